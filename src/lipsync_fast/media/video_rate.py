"""The frame rate that a person would name, from what a file states and from its timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

_USUAL = (5, 6, 8, 10, 12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60, 72, 75, 90, 100, 120)
_NTSC = (24, 30, 48, 60, 120)
# Rates above it are seldom meant where a file does not state them plainly.
HIGHEST_USUAL = 120


def ntsc(rate: int) -> Fraction:
    """Return the NTSC rate beside a whole one: 30000/1001 for 30."""
    return Fraction(rate * 1000, 1001)


_COMMON_RATES = [Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60)]
_COMMON_RATES += [ntsc(n) for n in (24, 30, 60)]


def constant_rate(guessed: Fraction | None, average: Fraction | None) -> Fraction:
    """Choose the constant frame rate of a file from what FFmpeg says.

    Parameters
    ----------
    guessed : Fraction or None
        What FFmpeg guesses from the timestamps' grid; right where the rate is constant.
    average : Fraction or None
        Frames over duration.

    Returns
    -------
    Fraction
        `guessed`, unless it is a grid much finer than the frames (over 60 and over 1.5 times the
        average): then the average, put to a common rate within 1 %.
    """
    if not guessed and not average:
        return Fraction(25)
    if not guessed or (average and guessed > 60 and guessed > average * Fraction(3, 2)):
        assert average is not None
        nearest = min(_COMMON_RATES, key=lambda rate: abs(rate - average))
        close = abs(nearest - average) * 100 <= average
        return nearest if close else average.limit_denominator(1001)
    return Fraction(guessed)


def is_stated(guessed: Fraction | None, average: Fraction | None) -> bool:
    """Tell whether FFmpeg's two rates say the same and a usual one: then no stamp need be read."""
    usual = {*map(Fraction, _USUAL), *map(ntsc, _NTSC)}
    return guessed is not None and guessed == average and guessed in usual


def rate_of_times(times: Sequence[Fraction], tick: Fraction, stated: Fraction) -> Fraction:
    """Choose the frame rate of a film from the times of its frames.

    Parameters
    ----------
    times : sequence of Fraction
        Seconds at which frames are shown, in order.
    tick : Fraction
        Seconds of one unit of the timestamps.
    stated : Fraction
        What `constant_rate` says.

    Returns
    -------
    Fraction
        `stated`, where the times keep it, or where there are not two; else the usual rate at the
        median step, or the whole number there.
    """
    seconds = np.array([float(time) for time in times])
    steps = np.diff(seconds)
    steps = steps[steps > 0]
    if not len(steps):
        return stated if stated <= HIGHEST_USUAL else Fraction(25)
    if _keeps(seconds, float(stated), float(tick)):
        return stated
    if stated <= HIGHEST_USUAL and _share(steps, stated, tick) > 0.4:
        return stated
    median = np.median(steps)
    # Stamps that tremble, or in milliseconds, make the median coarse, and the mean of all but the
    # long steps exact; frames left out now and then make the mean slow, and the median stays.
    mean = steps[steps < 1.75 * median].mean()
    usual, measured = min(
        ((rate, 1 / step) for rate in _USUAL for step in (median, mean)),
        key=lambda pair: abs(pair[0] / pair[1] - 1),
    )
    if abs(usual / measured - 1) > 0.03:
        measured = 1 / median
        close = abs(float(stated) / measured - 1) <= 0.05
        return stated if close else Fraction(max(round(measured), 1))
    if usual in _NTSC and tick < 1e-4 and _share(steps, ntsc(usual), tick) > 0.5:
        return ntsc(usual)
    return Fraction(usual)


def _keeps(seconds: np.ndarray, rate: float, tick: float) -> bool:
    """Tell whether the frames come at `rate`, within a millisecond and the stamps' tick."""
    wanted = seconds[0] + np.arange(len(seconds)) / rate
    return bool(np.abs(seconds - wanted).max() <= 0.001 + tick)


def _share(steps: np.ndarray, rate: Fraction, tick: Fraction) -> float:
    """Return how many of the steps are those of `rate`, to the tick."""
    return float(np.mean(np.abs(steps - float(1 / rate)) <= 1.01 * float(tick)))
