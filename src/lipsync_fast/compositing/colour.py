"""Colour matching over time, without flicker."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int
from ..errors import InputError
from ..timing import parse_fps

__all__ = ["ColourSmoother"]

_UNIT = 1 << 16  # one level, in the kernels' integers

# Levels. A greater difference comes not from the model's colours but from something at the border
# that the model does not draw, such as a hand or a microphone.
_MOST_LEVEL, _MOST_SLOPE = 48.0, 24.0


class ColourSmoother:
    """Smooths the colour matching of one speech from frame to frame.

    Exponential smoothing in frame order, so that the result does not depend on the size of
    requests. One thread at a time.

    Parameters
    ----------
    fps : number or fraction such as "30000/1001"
        Frames a second, 1 to 1000.
    view : int
        Side in pixels of the pictures that are measured.
    time_constant : float
        Seconds to follow 63 % of a change of colour. 0 follows each frame at once and keeps no
        state; threads may then share the smoother.

    Raises
    ------
    InputError
        A value is out of range.
    """

    def __init__(self, fps: Fraction | float | str, view: int, time_constant: float = 0.2) -> None:
        if not isinstance(time_constant, (int, float)) or not 0 <= time_constant < math.inf:
            raise InputError(
                f"time_constant must be a time in seconds, 0 or more, got {time_constant!r}"
            )
        rate, view = float(parse_fps(fps)), check_int("view", view, 1, unit="pixels")
        self._gain = 1.0 - math.exp(-1.0 / (time_constant * rate)) if time_constant else 1.0
        # A slope is per half pixel, and the border is `view` half pixels from the centre.
        self._most = np.array([_MOST_LEVEL, _MOST_SLOPE / view, _MOST_SLOPE / view])[:, None]
        self._planes: NDArray[np.float64] | None = None

    def push(self, planes: NDArray[np.float64]) -> NDArray[np.int32]:
        """Take the measurements of the next frames and return their smoothed corrections.

        Parameters
        ----------
        planes : (N, 3, 3) float64
            From `colour_planes`; NaN for frames without a mouth, which change nothing.

        Returns
        -------
        (N, 3, 3) int32, fresh
            In 1/65536 of a level.
        """
        out = np.zeros(planes.shape, np.int32)
        for measured, moved in zip(planes, out, strict=True):
            if np.isfinite(measured).all():
                moving = np.clip(measured, -self._most, self._most)
                if self._planes is not None:
                    moving = self._planes + self._gain * (moving - self._planes)
                if self._gain < 1.0:
                    self._planes = moving
                moved[...] = np.rint(moving * _UNIT)
            elif self._planes is not None:
                moved[...] = np.rint(self._planes * _UNIT)
        return out
