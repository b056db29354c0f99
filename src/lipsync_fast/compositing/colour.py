"""Seams: how visible the border of a rect is, and what keeps a mouth's colours from flickering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from operator import index

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int
from ..errors import InputError, LayoutError
from ..timing import parse_fps

__all__ = ["ColourSmoother", "seam_error"]

_UNIT = 1 << 16  # of the kernels' whole numbers, in levels

_SETTLE = 0.2  # s; after this time a change of colour has been followed to 63 %

# Levels. What lies beyond is no drift of a net's colours but something else at the border, a
# hand or a microphone that the net does not draw.
_MOST_LEVEL, _MOST_SLOPE = 48.0, 24.0


class ColourSmoother:
    """The colour planes of one speech, smoothed from frame to frame.

    Exponential smoothing in frame order, so that the result does not depend on how the frames
    were cut into requests. One thread at a time.

    Parameters
    ----------
    fps : number or fraction such as "30000/1001"
        Frames a second, 1 to 1000.
    view : int
        Side in pixels of the pictures that are measured.
    settle : float
        Time constant in seconds; 0 follows each frame at once and keeps nothing, and threads
        may then share the track.

    Raises
    ------
    InputError
        A value out of range.
    """

    def __init__(self, fps: Fraction | float | str, view: int, settle: float = _SETTLE) -> None:
        if not isinstance(settle, (int, float)) or not 0 <= settle < math.inf:
            raise InputError(f"settle must be a time in seconds from 0 on, got {settle!r}")
        rate, view = float(parse_fps(fps)), check_int("view", view, 1, unit="pixels")
        self._gain = 1.0 - math.exp(-1.0 / (settle * rate)) if settle else 1.0
        # Slopes are a half pixel's; from the centre to the border are `view` half pixels.
        self._most = np.array([_MOST_LEVEL, _MOST_SLOPE / view, _MOST_SLOPE / view])[:, None]
        self._planes: NDArray[np.float64] | None = None

    def push(self, planes: NDArray[np.float64]) -> NDArray[np.int32]:
        """Take what the next frames measure and return by what they are moved.

        Parameters
        ----------
        planes : (N, 3, 3) float64
            As `colour_planes` gives them; NaN for frames without a mouth, which change nothing.

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


def seam_error(frame: NDArray[np.uint8], rect: Sequence[int] | NDArray[np.int32]) -> float:
    """How much the border of a rect stands out from the picture round it.

    The mean absolute step from the rect's outermost pixels to their neighbours outside,
    divided by the mean absolute step between those neighbours and the next ones outwards; over
    all four sides and all channels. 1 is no seam. Sides that have no two pixels outside within
    the frame are left out.

    Parameters
    ----------
    frame : (H, W) or (H, W, C) uint8
    rect : (x, y, w, h)
        In pixels, inside the frame, with an area.

    Returns
    -------
    float
        1.0 where neither step exists; infinite for a step in a flat surrounding.

    Raises
    ------
    LayoutError
        If the frame is no array of uint8.
    InputError
        If it is no picture, or the rect has no area inside it.
    """
    across, outside = seam_steps(frame, rect)
    if outside == 0:
        return 1.0 if across == 0 else math.inf
    return across / outside


def seam_steps(
    frame: NDArray[np.uint8], rect: Sequence[int] | NDArray[np.int32]
) -> tuple[float, float]:
    """The two means of `seam_error`, in levels: across the border, and outside it."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        got = getattr(frame, "dtype", type(frame).__name__)
        raise LayoutError(f"frame must be an array of uint8, got {got}; convert it first")
    if frame.ndim not in (2, 3):
        raise InputError(f"frame must have shape (H, W) or (H, W, C), got {frame.shape}")
    height, width = frame.shape[:2]
    try:
        x, y, w, h = map(index, rect)
    except (TypeError, ValueError):
        raise InputError(f"rect must be x, y, w, h in whole pixels, got {rect!r}") from None
    if w < 1 or h < 1 or x < 0 or y < 0 or x + w > width or y + h > height:
        raise InputError(
            f"rect must have an area inside the {width}×{height} frame, got {x}, {y}, {w}, {h}"
        )
    sides = []
    if y >= 2:
        sides.append([frame[row, x : x + w] for row in (y, y - 1, y - 2)])
    if y + h + 2 <= height:
        sides.append([frame[row, x : x + w] for row in (y + h - 1, y + h, y + h + 1)])
    if x >= 2:
        sides.append([frame[y : y + h, column] for column in (x, x - 1, x - 2)])
    if x + w + 2 <= width:
        sides.append([frame[y : y + h, column] for column in (x + w - 1, x + w, x + w + 1)])
    if not sides:
        return 0.0, 0.0
    inner, near, far = (
        np.concatenate(pixels).astype(np.int16) for pixels in zip(*sides, strict=True)
    )
    return float(np.abs(inner - near).mean()), float(np.abs(near - far).mean())
