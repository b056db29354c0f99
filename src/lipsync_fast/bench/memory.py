"""Memory that a piece of work takes: blocks, bytes, page faults, resident pages."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..memory._pool import BufferPool
from . import need

__all__ = [
    "LARGE",
    "Blocks",
    "anonymous_bytes",
    "blocks_of",
    "faults_of",
    "misses_of",
    "traced_peak",
]

Work = Callable[[], object]

LARGE = 64 << 10
"""Bytes of the smallest block that counts as large, which a warm frame path must not take."""


@dataclass(frozen=True)
class Blocks:
    """Blocks that a work took from the system's allocators.

    Attributes
    ----------
    count, bytes : int
        All of them.
    large, large_bytes : int
        Those of 64 KiB and more.
    """

    count: int
    bytes: int
    large: int
    large_bytes: int


def blocks_of(work: Work) -> Blocks:
    """Count the blocks that one call takes in all threads, by malloc, mmap and the like.

    Counts Python's own small objects by the arenas that hold them.

    Raises
    ------
    MissingExtraError
        memray is not installed.
    """
    memray = need("memray")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blocks"
        with memray.Tracker(path):
            work()
        releases = (memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP)
        with memray.FileReader(path) as reader:
            sizes = [
                record.size
                for record in reader.get_allocation_records()
                if record.allocator not in releases
            ]
    large = [size for size in sizes if size >= LARGE]
    return Blocks(len(sizes), sum(sizes), len(large), sum(large))


def traced_peak(work: Work) -> int:
    """Return the most bytes that one call holds at a time, as far as tracemalloc counts them."""
    tracemalloc.start()
    try:
        work()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def faults_of(work: Work) -> int:
    """Count the pages that the system supplies during one call without reading a disk."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def misses_of(pool: BufferPool, work: Work) -> int:
    """Count the buffers that a pool takes from the system during one call."""
    before = pool.stats().misses
    work()
    return pool.stats().misses - before


def anonymous_bytes() -> int:
    """Return this process's resident memory that no file backs, painted pages of maps included.

    Raises
    ------
    OSError
        The system has no ``/proc``.
    """
    for line in Path(f"/proc/{os.getpid()}/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc names no anonymous resident memory; it needs Linux 4.5")
