"""Figures of a benchmark besides its time: frames a second, memory, tail."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from lipsync_fast.bench import memory
from lipsync_fast.errors import MissingExtraError


def is_timed(config) -> bool:
    """Tell whether benchmarks are timed in this run, not just run once."""
    off, on = config.getoption("benchmark_disable"), config.getoption("benchmark_enable")
    return on or not off


def time_it(
    benchmark, work: Callable[[], object], *, frames: int = 1, touched: int | None = None
) -> None:
    """Time a work, and add figures of one more call to its `extra_info`.

    Parameters
    ----------
    benchmark : fixture
    work : callable
        Warm: its first-time work is done.
    frames : int
        Frames finished by one call.
    touched : int, optional
        Bytes read and written by one call, for GB/s.
    """
    benchmark(work)
    if benchmark.disabled:
        return
    seconds = np.asarray(benchmark.stats.stats.data)
    p50, p99 = np.percentile(seconds, (50, 99))
    info = benchmark.extra_info
    info["frames a second"] = round(frames / p50, 1)
    info["p50 ms"], info["p99 ms"] = round(p50 * 1e3, 4), round(p99 * 1e3, 4)
    if touched is not None:
        info["GB/s"] = round(touched / p50 / 1e9, 2)
    if sys.platform != "win32":
        info["faults"] = memory.faults_of(work)
    try:
        blocks = memory.blocks_of(work)
    except MissingExtraError:
        return
    info["blocks"], info["bytes allocated"] = blocks.count, blocks.bytes
    info["blocks of 64 KiB"] = blocks.large
