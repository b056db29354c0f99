"""Rects: the place of the generated picture in each background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import as_array
from ..errors import InputError

__all__ = ["clip_rects", "rects_inside", "visible_parts"]


def clip_rects(rects: ArrayLike, count: int, width: int, height: int) -> NDArray[np.int32]:
    """Clip rects to the frame; w = h = 0 stays and means that the frame shows no face.

    Parameters
    ----------
    rects : (n, 4) or (4,) integers
        x, y, w, h in pixels of the background; a single rect applies to all frames.
    count : int
        Number of frames.
    width, height : int
        Size of the frames in pixels.

    Returns
    -------
    (count, 4) int32, fresh

    Raises
    ------
    InputError
        The number or dtype is wrong, or a rect lies outside the frame or has no area.
    """
    array = as_array("rects", rects)
    if array.shape == (4,):
        array = np.broadcast_to(array, (count, 4))
    if array.shape != (count, 4) or array.dtype.kind not in "iu":
        raise InputError(
            f"rects must be {count} rows of x, y, w, h as integers, got {array.dtype} {array.shape}"
        )
    array = array.astype(np.int64)
    empty = (array == 0)[:, 2:].all(axis=1)
    left, top = np.maximum(array[:, 0], 0), np.maximum(array[:, 1], 0)
    right = np.minimum(array[:, 0] + array[:, 2], width)
    bottom = np.minimum(array[:, 1] + array[:, 3], height)
    bad = ~empty & ((right <= left) | (bottom <= top) | (array[:, 2:] <= 0).any(axis=1))
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"rect {i} must have an area inside the {width}×{height} frame, "
            f"got x, y, w, h = {', '.join(map(str, array[i]))}; use 0,0,0,0 where there is no face"
        )
    clipped = np.stack([left, top, right - left, bottom - top], axis=1)
    clipped[empty] = 0
    return clipped.astype(np.int32)


def rects_inside(rects: ArrayLike, width: int, height: int) -> bool:
    """Tell whether all rects lie inside the frame as `clip_rects` leaves them.

    Parameters
    ----------
    rects : (n, 4) integers
        x, y, w, h in pixels; all 0 where there is no face.
    width, height : int
        Size of the frame in pixels.
    """
    x, y, w, h = np.asarray(rects, np.int64).T
    placed = (w > 0) & (h > 0) & (x >= 0) & (y >= 0) & (x + w <= width) & (y + h <= height)
    return bool((placed | ((x == 0) & (y == 0) & (w == 0) & (h == 0))).all())


def visible_parts(rects: ArrayLike, width: int, height: int) -> NDArray[np.int32]:
    """Return the part of each rect that lies inside the frame, where that is two thirds or more.

    Of less than that no face can be told, nor be shown speaking.

    Parameters
    ----------
    rects : (n, 4) integers
        x, y, w, h in pixels; they may reach over the frame's border.
    width, height : int
        Size of the frame in pixels.

    Returns
    -------
    (n, 4) int32, fresh
        All 0 where a rect has no area, or more than a third of it lies outside.
    """
    x, y, w, h = np.asarray(rects, np.int64).reshape(-1, 4).T
    left, top = np.maximum(x, 0), np.maximum(y, 0)
    inside = np.minimum(x + w, width) - left, np.minimum(y + h, height) - top
    parts = np.stack([left, top, *inside], axis=1)
    shown = (parts[:, 2:] > 0).all(axis=1) & (3 * inside[0] * inside[1] >= 2 * w * h)
    parts[~shown] = 0
    return parts.astype(np.int32)
