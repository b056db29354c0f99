"""Crops: the stored squares, cut at the rects.

References
----------
OpenCV, modules/imgproc/src/resize.cpp, for the positions, weights and rounding of bicubic crops.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..checks import check_type
from ..errors import InputError, LayoutError
from ..presets import Preset

__all__ = ["check_crops", "cut_crop", "pack_crop"]


def check_crops(crops: Any, preset: Preset, count: int | None = None) -> None:
    """Raise unless `crops` is (count, C, C, 3) uint8 for a preset; without `count`, at least one.

    Raises
    ------
    ArgumentTypeError, LayoutError
        `crops` is not an array, or not of uint8.
    InputError
        The shape differs.
    """
    check_type("crops", crops, np.ndarray)
    side = preset.crop
    needs = f"({'n' if count is None else count}, {side}, {side}, 3) uint8 for {preset.name}"
    if crops.dtype != np.uint8:
        raise LayoutError(f"crops must be {needs}, got {crops.dtype}")
    right_count = len(crops) > 0 if count is None else len(crops) == count
    if crops.shape[1:] != (side, side, 3) or not right_count:
        raise InputError(f"crops must be {needs}, got {crops.shape}")


def cut_crop(
    frame: NDArray[np.uint8],
    rect: Iterable[int],
    preset: Preset,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Cut the stored square of one frame: its rect, resized with the preset's filter.

    Beyond the frame's border its outermost pixels are repeated, as OpenCV's copyMakeBorder does
    with BORDER_REPLICATE.

    Parameters
    ----------
    frame : (H, W, 3) uint8, bgr24
    rect : (x, y, w, h)
        It may reach over the border; w = 0 where there is no face, which gives a black crop.
    preset : Preset
    out : (C, C, 3) uint8, optional

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
    area = _area(frame, x, y, w, h)
    if preset.crop_filter == "bicubic":
        _resize_cubic(area, out)
    else:
        kernels.resize(area, out=out, filter=preset.crop_filter)
    return out


def _area(frame: NDArray[np.uint8], x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
    """Return the pixels of a rect: a view, or fresh where it reaches over the border."""
    height, width = frame.shape[:2]
    if min(x, y) >= 0 and x + w <= width and y + h <= height:
        return frame[y : y + h, x : x + w]
    rows = np.arange(y, y + h).clip(0, height - 1)
    columns = np.arange(x, x + w).clip(0, width - 1)
    return np.ascontiguousarray(frame[rows[:, None], columns])


def _resize_cubic(area: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Resize like OpenCV's bicubic, in float32 with one rounding at the end.

    The kernel for patches stays within a level of OpenCV. Crops are resized again for every
    frame, so the same deviation here would add up to two levels.
    """
    pixels = area.astype(np.float32)
    columns, weights = _cubic_taps(area.shape[1], out.shape[1])
    across = sum(pixels[:, c] * w[:, None] for c, w in zip(columns, weights, strict=True))
    rows, weights = _cubic_taps(area.shape[0], out.shape[0])
    whole = sum(across[r] * w[:, None, None] for r, w in zip(rows, weights, strict=True))
    np.clip(np.rint(whole), 0, 255, out=out, casting="unsafe")


def _cubic_taps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return source pixels (4, target), clamped to the edges, and their weights."""
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
    """Pack the visual input of one crop: its view as the preset's float planes.

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
