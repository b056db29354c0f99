"""Timing side by side: works run in turn, so that disturbances hit all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Timing", "ratio", "run_in_turn"]

Work = Callable[[], object]

SAMPLE_NS = 6_000_000  # least length of one sample: long enough that a cold cache matters little


@dataclass(frozen=True)
class Timing:
    """The durations of one call, sample by sample.

    Attributes
    ----------
    wall, cpu : (n,) float64
        Seconds of one call: wall time, and this thread's processor time (which excludes other
        programs and other threads).
    """

    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]

    @property
    def median_ms(self) -> float:
        """Return the median wall time in milliseconds."""
        return float(np.median(self.wall)) * 1e3

    @property
    def cpu_ms(self) -> float:
        """Return the median processor time in milliseconds."""
        return float(np.median(self.cpu)) * 1e3

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the wall time in milliseconds."""
        return float(np.percentile(self.wall, percent)) * 1e3

    def joined(self, other: Timing) -> Timing:
        """Return the samples of both together."""
        return Timing(
            np.concatenate([self.wall, other.wall]), np.concatenate([self.cpu, other.cpu])
        )


def _sample(work: Work, calls: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    for _ in range(calls):
        work()
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    return wall / calls / 1e9, cpu / calls / 1e9


def _calls_of(work: Work, sample_ns: int) -> int:
    """Return the number of calls that make a sample long enough."""
    work()
    spent = time.thread_time_ns()
    work()
    spent = max(time.thread_time_ns() - spent, 1000)
    return max(1, -(-sample_ns // spent))


def run_in_turn(
    works: Mapping[str, Work],
    rounds: int,
    *,
    calls: int | None = None,
    sample_ns: int = SAMPLE_NS,
) -> dict[str, Timing]:
    """Time works in turn; which one starts the round changes.

    Parameters
    ----------
    works : mapping of name to callable without arguments
        Each is run twice beforehand.
    rounds : int
        Samples of each.
    calls : int, optional
        Calls of one sample; by default as many as take `sample_ns`.
    sample_ns : int
        Nanoseconds of processor time, 6 ms by default.

    Returns
    -------
    dict of name to Timing
        In the order of `works`; samples of the same number ran in the same round.
    """
    counts = {
        name: _calls_of(work, sample_ns) if calls is None else calls for name, work in works.items()
    }
    if calls is not None:
        for work in works.values():
            _sample(work, 2)
    names = list(works)
    found = {name: np.zeros((rounds, 2)) for name in names}
    for i in range(rounds):
        shift = i % len(names)
        for name in names[shift:] + names[:shift]:
            found[name][i] = _sample(works[name], counts[name])
    return {name: Timing(times[:, 0].copy(), times[:, 1].copy()) for name, times in found.items()}


def ratio(slow: Timing, fast: Timing, *, cpu: bool = False) -> float:
    """Return how many times as long `slow` takes: the median over rounds that ran together."""
    a, b = (slow.cpu, fast.cpu) if cpu else (slow.wall, fast.wall)
    return float(np.median(a / b))
