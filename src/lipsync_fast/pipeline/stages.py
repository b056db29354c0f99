"""A clock for each stage, to see where each millisecond goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

import numpy as np

__all__ = ["StageStats", "Stages"]

_KEPT = 4096  # durations kept per stage for the percentiles
_ROAD = ("features", "visual", "net", "finish", "write")


@dataclass(frozen=True)
class StageStats:
    """Durations of one stage.

    Attributes
    ----------
    runs, frames : int
        Number of times that the stage ran, and of frames that passed through it.
    total_ms : float
        Summed wall time, in milliseconds.
    p50_ms, p99_ms : float
        Percentiles of one run, over the last 4096.
    """

    runs: int
    frames: int
    total_ms: float
    p50_ms: float
    p99_ms: float


class _Stage:
    """Sums and the last durations of one stage; `with stage(frames):` times a run."""

    def __init__(self) -> None:
        self.runs = self.frames = self.total_ns = 0
        self.recent = np.zeros(_KEPT, np.int64)
        self.lock = threading.Lock()

    def __call__(self, frames: int) -> _Run:
        return _Run(self, frames)

    def add(self, elapsed_ns: int, frames: int) -> None:
        with self.lock:
            self.recent[self.runs % _KEPT] = elapsed_ns
            self.runs += 1
            self.frames += frames
            self.total_ns += elapsed_ns

    def stats(self) -> StageStats:
        with self.lock:
            recent = self.recent[: min(self.runs, _KEPT)] / 1e6
            p50, p99 = np.percentile(recent, (50, 99)) if len(recent) else (0.0, 0.0)
            return StageStats(self.runs, self.frames, self.total_ns / 1e6, float(p50), float(p99))


class _Run:
    __slots__ = ("_frames", "_stage", "_start")

    def __init__(self, stage: _Stage, frames: int) -> None:
        self._stage, self._frames = stage, frames

    def __enter__(self) -> None:
        self._start = time.perf_counter_ns()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._stage.add(time.perf_counter_ns() - self._start, self._frames)


class Stages:
    """Clocks of the stages of one pipeline; threads may share it.

    Attributes
    ----------
    features : speech to feature windows, audio encoder included
    visual : crops to visual inputs
    net : runs of the generator's model
    finish : model outputs to finished frames
    write : finished frames to files, including the encoding of a video

    Parameters
    ----------
    devices : iterable of str
        Names of the devices that requests are spread over; each has its own clock.
    """

    def __init__(self, devices: Iterable[str] = ()) -> None:
        self._road = {name: _Stage() for name in _ROAD}
        self.features, self.visual, self.net, self.finish, self.write = self._road.values()
        self.devices = {name: _Stage() for name in devices}

    def stats(self) -> dict[str, StageStats]:
        """Return the stages in the order of the work."""
        return {name: stage.stats() for name, stage in self._road.items()}

    def device_stats(self) -> dict[str, StageStats]:
        """Return the requests that each device drew, not counting frames without a mouth."""
        return {name: stage.stats() for name, stage in self.devices.items()}
