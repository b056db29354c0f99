"""Frame rates and loops: which template frame is shown when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .checks import check_int
from .errors import InputError

__all__ = ["LOOPS", "Loop", "check_loop", "check_start", "loop_indices", "parse_fps"]

LOOPS = ("pingpong", "pingpong-doubled", "forward", "once", "still")

_FPS = re.compile(r"\d{1,12}([./]\d{1,12})?")


@dataclass(frozen=True)
class Loop:
    """The order in which a template's frames are shown.

    Attributes
    ----------
    kind : {"pingpong", "pingpong-doubled", "forward", "once", "still"}, optional
        See `loop_indices`. None leaves it to the preset or the template.
    start : int, optional
        Place in the loop that output frame 0 shows; with "still", the frame that is held. None
        leaves it to the preset or the template.

    Raises
    ------
    InputError
        An unknown kind, or a start that is not a whole number from 0 on.
    """

    kind: str | None = None
    start: int | None = None

    def __post_init__(self) -> None:
        if self.kind is not None:
            check_loop(self.kind)
        if self.start is not None:
            object.__setattr__(self, "start", check_start(self.start))

    @classmethod
    def of(cls, loop: Loop | str | None) -> Loop:
        """Return a Loop for an argument that may also be the name of a kind, or None."""
        return loop if isinstance(loop, Loop) else cls(loop)

    def over(self, default: Loop) -> Loop:
        """Return this loop with what it leaves open taken from `default`."""
        return Loop(
            default.kind if self.kind is None else self.kind,
            default.start if self.start is None else self.start,
        )

    def indices(self, first: int, count: int, frames: int) -> NDArray[np.int64]:
        """Return the template indices of `count` output frames from `first` on; (count,), fresh.

        Parameters
        ----------
        first, count : int
            Output frames asked for.
        frames : int
            Length of the template.
        """
        return loop_indices(first, count, frames, self.kind or "pingpong", self.start or 0)


def loop_indices(
    start: int, count: int, frames: int, loop: str, first: int = 0
) -> NDArray[np.int64]:
    """Template indices that output frames ``start … start + count − 1`` show.

    Parameters
    ----------
    start, count : int
        Output frames asked for.
    frames : int
        Length n of the template.
    loop : {"pingpong", "pingpong-doubled", "forward", "once", "still"}
        0 1 … n−1 n−2 … 1 0; the same with doubled ends; modulo; holding the last frame; or
        holding frame `first`.
    first : int
        Place in the loop that output frame 0 shows.

    Returns
    -------
    (count,) int64, fresh
    """
    step = np.arange(start + first, start + first + count, dtype=np.int64)
    if loop == "forward":
        return step % frames
    if loop == "once":
        return np.minimum(step, frames - 1)
    if loop == "still":
        return np.full(count, min(first, frames - 1), np.int64)
    if loop == "pingpong":
        period = max(2 * (frames - 1), 1)
        step %= period
        return np.minimum(step, period - step) if frames > 1 else step * 0
    if loop == "pingpong-doubled":
        step %= 2 * frames
        return np.minimum(step, 2 * frames - 1 - step)
    raise InputError(f"loop must be one of {', '.join(LOOPS)}, got {loop!r}")


def parse_fps(fps: Fraction | float | int | str) -> Fraction:
    """Frame rate as a fraction; 29.97 and its like become the NTSC fraction they stand for.

    Raises
    ------
    InputError
        If it is not a number between 1 and 1000.
    """
    try:
        if isinstance(fps, str) and not _FPS.fullmatch(fps.strip()):
            raise ValueError  # an exponent of a thousand million would be worked out digit by digit
        rate = Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise InputError(
            f"fps must be a number or a fraction such as 30000/1001, got {fps!r}"
        ) from None
    ntsc = Fraction(round(rate) * 1000, 1001)
    if rate.denominator not in (1, 1001) and abs(rate - ntsc) < Fraction(1, 200):
        rate = ntsc
    if not 1 <= rate <= 1000:
        raise InputError(f"fps must be between 1 and 1000, got {fps}")
    return rate


def check_loop(loop: str) -> str:
    """`loop` if it is one of LOOPS, else InputError."""
    if loop not in LOOPS:
        raise InputError(f"loop must be one of {', '.join(LOOPS)}, got {loop!r}")
    return loop


def check_start(start: int) -> int:
    """`start` if it is a whole number from 0 on, below 2**31, else InputError."""
    return check_int("start", start, 0, 2**31 - 1, unit="frames")
