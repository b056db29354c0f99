"""Rects: the place of the generated picture in each background."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import as_array
from ..errors import InputError

__all__ = ["clip_rects", "rects_inside", "visible_parts"]

_log = logging.getLogger(__name__)

# Other orders of four numbers, and which of them are x, y of two corners.
_CORNERS = {"x1, y1, x2, y2": (0, 1, 2, 3), "y1, y2, x1, x2": (2, 0, 3, 1)}
_MOVING = 25  # square pixels: the variance of corners that follow a head


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
        The number or dtype is wrong, a rect lies outside the frame or has no area, or they make
        sense only as corners.
    """
    array = as_array("rects", rects)
    if array.shape == (4,):
        array = np.broadcast_to(array, (count, 4))
    if array.shape != (count, 4) or array.dtype.kind not in "iu":
        raise InputError(
            f"rects must be {count} rows of x, y, w, h as integers, got {array.dtype} {array.shape}"
        )
    array = array.astype(np.int64)
    _check_order(array, width, height)
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


def _check_order(rects: NDArray[np.int64], width: int, height: int) -> None:
    """Reject corners where x, y, w, h are needed; warn where a film only looks like corners.

    As x, y, w, h most corners reach far beyond the frame. Those that do not move as one: of a head
    that moves, width and height would follow x and y.
    """
    faces = rects[(rects[:, 2:] != 0).any(axis=1)]
    if not len(faces) or (faces[:, 2:] <= 0).any():
        return
    orders = {order: faces[:, columns].T for order, columns in _CORNERS.items()}
    fitting = {order: c for order, c in orders.items() if _are_corners(c, width, height)}
    if not fitting:
        return
    # The one of them whose faces are the least oblong.
    order = min(fitting, key=lambda order: _oblong(fitting[order]))
    x1, y1, x2, y2 = fitting[order]
    if (visible_parts(faces, width, height)[:, 2] == 0).mean() > 0.5:
        raise InputError(
            f"rects must be x, y, w, h inside the {width}×{height} frame, got what reads as "
            f"corners {order}; give x1, y1, x2 - x1, y2 - y1"
        )
    sizes = faces[:, 2:].astype(float).var(axis=0).sum()
    if sizes > _MOVING and (x2 - x1).var() + (y2 - y1).var() < sizes / 20:
        _log.warning(
            "rects are taken as x, y, w, h, but move like corners %s; if they are, give "
            "x1, y1, x2 - x1, y2 - y1",
            order,
        )


def _are_corners(corners: NDArray[np.int64], width: int, height: int) -> bool:
    x1, y1, x2, y2 = corners
    inside = (x1 >= 0) & (x1 < x2) & (x2 <= width) & (y1 >= 0) & (y1 < y2) & (y2 <= height)
    return bool(inside.all())


def _oblong(corners: NDArray[np.int64]) -> float:
    x1, y1, x2, y2 = corners
    return float(np.abs(np.log((x2 - x1) / (y2 - y1))).mean())


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
