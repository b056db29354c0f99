"""Parts that the acceptance lines share: rows, ratios, templates and scenes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2

from benchmarks.support import scenery
from lipsync_fast.bench.clock import Timing, ratio
from lipsync_fast.bench.scenes import SYNCTALK, Scene


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None if the line only reports."""

    what: str
    reach: str
    got: str
    met: bool | None = None


class Session:
    """Rounds, templates on disk and scenes, made at first use."""

    def __init__(self, work: Path, quick: bool) -> None:
        self.work, self.quick = work, quick
        cv2.setNumThreads(1)

    def rounds(self, count: int) -> int:
        return max(5, count // 5) if self.quick else count

    @cached_property
    def long_template(self) -> Path:
        return scenery.long_template(self.work)

    @cached_property
    def packed_template(self) -> Path:
        return scenery.packed_template(self.work)

    @cached_property
    def steady_template(self) -> Path:
        return scenery.steady_template(self.work)

    @cached_property
    def synthetic(self) -> Scene:
        return scenery.synthetic(SYNCTALK)


def gain(slow: Timing, fast: Timing) -> float:
    """Return the deciding ratio: of processor time, since all lines but one use one thread."""
    return ratio(slow, fast, cpu=True)


def factor(slow: Timing, fast: Timing) -> str:
    return f"{ratio(slow, fast):.1f}× ({ratio(slow, fast, cpu=True):.1f}×)"


def times(**timings: Timing) -> str:
    return ", ".join(f"{n.replace('_', ' ')} {t.median_ms:.3f}" for n, t in timings.items()) + " ms"
