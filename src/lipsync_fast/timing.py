"""Frame rates and loops: which template frame is shown when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .checks import check_int, shown
from .errors import InputError

__all__ = ["LOOPS", "Loop", "check_start", "parse_fps"]

LOOPS = ("pingpong", "pingpong-doubled", "forward", "once", "still")

_FPS = re.compile(r"\d{1,12}([./]\d{1,12})?")


@dataclass(frozen=True)
class Loop:
    """The order in which the frames of a template are shown.

    Attributes
    ----------
    kind : {"pingpong", "pingpong-doubled", "forward", "once", "still"}, optional
        For n frames: 0 1 … n−1 n−2 … 1 0 1 …; the same with both ends doubled; 0 … n−1 0 …;
        0 … n−1 and then the last frame; or one frame. None leaves the choice to the preset or
        the template.
    start : int, optional
        The place in the loop that output frame 0 shows; with "still", the frame that is held.
        None leaves the choice to the preset or the template.

    Raises
    ------
    InputError
        If the kind is unknown, or the start is not a whole number from 0 to 2³¹ − 1.
    """

    kind: str | None = None
    start: int | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in LOOPS:
            raise InputError(f"loop must be one of {', '.join(LOOPS)}, got {shown(self.kind)}")
        if self.start is not None:
            object.__setattr__(self, "start", check_start(self.start))

    @classmethod
    def of(cls, loop: Loop | str | None) -> Loop:
        """Return a Loop for an argument that may also be the name of a kind, or None."""
        return loop if isinstance(loop, Loop) else cls(loop)

    def over(self, default: Loop) -> Loop:
        """Return this loop with the fields that are None taken from `default`."""
        return Loop(
            default.kind if self.kind is None else self.kind,
            default.start if self.start is None else self.start,
        )

    def indices(self, first: int, count: int, frames: int) -> NDArray[np.int64]:
        """Return the template index that each output frame shows.

        Fields that are None count as "pingpong" and 0.

        Parameters
        ----------
        first, count : int
            Output frames ``first … first + count − 1``, counted from 0.
        frames : int
            Length of the template, 1 or more.

        Returns
        -------
        (count,) int64, fresh
        """
        kind, start = self.kind or "pingpong", self.start or 0
        step = np.arange(first + start, first + start + count, dtype=np.int64)
        if kind == "forward":
            return step % frames
        if kind == "once":
            return np.minimum(step, frames - 1)
        if kind == "still":
            return np.full(count, min(start, frames - 1), np.int64)
        if kind == "pingpong-doubled":
            step %= 2 * frames
            return np.minimum(step, 2 * frames - 1 - step)
        period = max(2 * (frames - 1), 1)  # 1 where a single frame is shown
        step %= period
        return np.minimum(step, period - step)


def parse_fps(fps: Fraction | float | int | str) -> Fraction:
    """Return a frame rate as a fraction; 29.97 and its like become the NTSC fraction meant.

    Raises
    ------
    InputError
        If it is not a number from 1 to 1000.
    """
    try:
        if isinstance(fps, str) and not _FPS.fullmatch(fps.strip()):
            raise ValueError  # 1e1000000000 would be computed digit by digit
        rate = Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise InputError(
            f"fps must be a number or a fraction such as 30000/1001, got {shown(fps)}"
        ) from None
    ntsc = Fraction(round(rate) * 1000, 1001)
    if rate.denominator not in (1, 1001) and abs(rate - ntsc) < Fraction(1, 200):
        rate = ntsc
    if not 1 <= rate <= 1000:
        raise InputError(f"fps must be between 1 and 1000, got {shown(fps)}")
    return rate


def check_start(start: int) -> int:
    """Return `start` if it is a whole number from 0 to 2³¹ − 1, else raise InputError."""
    return check_int("start", start, 0, 2**31 - 1, unit="frames")
