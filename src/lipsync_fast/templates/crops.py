"""Rects and the crops cut from them.

References
----------
OpenCV, modules/imgproc/src/resize.cpp, for the positions, weights and rounding of bicubic crops.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import kernels
from ..checks import as_array
from ..errors import InputError
from ..presets import Preset

__all__ = ["clip_rects", "cut_crop", "pack_crop"]


def clip_rects(rects: ArrayLike, count: int, width: int, height: int) -> NDArray[np.int32]:
    """Rects clipped to the frame; w = h = 0 stays as the sign of no face.

    Parameters
    ----------
    rects : (n, 4) or (4,) integers
        x, y, w, h in pixels of the background; one rect serves all frames.
    count, width, height : int
        Frames, and their size in pixels.

    Returns
    -------
    (count, 4) int32, fresh

    Raises
    ------
    InputError
        If the number of rects is wrong, or a rect lies outside the frame or has no area.
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


def cut_crop(
    frame: NDArray[np.uint8],
    rect: Iterable[int],
    preset: Preset,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """The stored square of one frame: its rect, resized as the preset does; black without a face.

    Returns
    -------
    (C, C, 3) uint8: `out`, or fresh
    """
    if out is None:
        out = np.empty((preset.crop, preset.crop, 3), np.uint8)
    x, y, w, h = (int(v) for v in rect)
    if w == 0:
        out[...] = 0
        return out
    area = frame[y : y + h, x : x + w]
    if preset.crop_filter == "bicubic":
        _resize_cubic(area, out)
    else:
        kernels.resize(area, out=out, filter=preset.crop_filter)
    return out


def _resize_cubic(area: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """OpenCV's own bicubic: all of its digits, and one rounding at the end.

    The kernel for patches is within a level of it. Crops are cut once, and resized again in every
    frame: with the same deviation there, the two would add up to two levels.
    """
    pixels = area.astype(np.float32)
    columns, weights = _cubic_taps(area.shape[1], out.shape[1])
    across = sum(pixels[:, c] * w[:, None] for c, w in zip(columns, weights, strict=True))
    rows, weights = _cubic_taps(area.shape[0], out.shape[0])
    whole = sum(across[r] * w[:, None, None] for r, w in zip(rows, weights, strict=True))
    np.clip(np.rint(whole), 0, 255, out=out, casting="unsafe")


def _cubic_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Source pixels (4, target), those beyond an edge being the edge's, and their weights."""
    a = -0.75
    place = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(place)
    x = place - first
    before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    near = [((a + 2) * t - (a + 3)) * t * t + 1 for t in (x, 1 - x)]
    weights = np.stack([before, *near, 1 - before - near[0] - near[1]])
    taps = first.astype(np.intp) + np.arange(-1, 3)[:, None]
    return taps.clip(0, source - 1), weights.astype(np.float32)


def pack_crop(
    crop: NDArray[np.uint8], preset: Preset, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Visual input of one crop: its view as the preset's float planes.

    Parameters
    ----------
    crop : (C, C, 3) uint8, bgr24
    preset : Preset
    out : (channels, S, S) float32, optional

    Returns
    -------
    (channels, S, S) float32: `out`, or fresh
    """
    if out is None:
        out = np.empty(preset.visual_shape, np.float32)
    inner = slice(preset.border, preset.border + preset.view)
    for place, name in enumerate(preset.visual.split("+")):
        kernels.to_planes(
            crop[inner, inner],
            out=out[3 * place : 3 * place + 3],
            low=preset.low,
            high=preset.high,
            swap=preset.rgb,
            black=preset.black if name == "masked" else None,
        )
    return out
