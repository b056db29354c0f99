"""Seams: a measure of how visible the border of a rect is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, LayoutError

__all__ = ["seam_error", "seam_steps"]


def seam_error(frame: NDArray[np.uint8], rect: Sequence[int] | NDArray[np.int32]) -> float:
    """Measure how much the border of a rect stands out from the surrounding picture.

    The mean absolute step from the rect's outermost pixels to their neighbours outside,
    divided by the mean absolute step between those neighbours and the next ones outwards, over
    all four sides and all channels. A value of 1 means that no seam shows. Sides with fewer
    than two pixels to the frame's edge are left out.

    Parameters
    ----------
    frame : (H, W) or (H, W, C) uint8
    rect : (x, y, w, h)
        In pixels, inside the frame, with an area.

    Returns
    -------
    float
        1.0 if neither step exists; infinite for a step in flat surroundings.

    Raises
    ------
    LayoutError
        The frame is not an array of uint8.
    InputError
        The frame's shape is not a picture's, or the rect has no area inside it.
    """
    across, outside = seam_steps(frame, rect)
    if outside == 0:
        return 1.0 if across == 0 else math.inf
    return across / outside


def seam_steps(
    frame: NDArray[np.uint8], rect: Sequence[int] | NDArray[np.int32]
) -> tuple[float, float]:
    """Return the two means of `seam_error`, in levels: across the border, and outside it."""
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
