"""Frames and masks that a caller gives, checked against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentTypeError, InputError, LayoutError
from ..presets import Preset
from .crops import cut_crop

__all__ = ["check_frames", "check_masks", "cut_crops"]


def check_frames(frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> tuple[int, int]:
    """Return the height and width of frames; raise unless all are packed bgr24 of one size."""
    if not hasattr(frames, "__len__"):
        raise ArgumentTypeError(f"frames must be a sequence of arrays, got {type(frames).__name__}")
    if len(frames) == 0:
        raise InputError("frames must hold at least one picture, got none")
    shape = np.shape(frames[0])
    for i, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            got = getattr(frame, "dtype", type(frame).__name__)
            raise LayoutError(f"frame {i} must be an array of uint8, got {got}; convert it first")
        if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            one = "; put one picture into a list" if np.ndim(frames) == 3 else ""
            raise InputError(f"frame {i} must have the shape (H, W, 3), got {frame.shape}{one}")
        if frame.shape != shape:
            raise InputError(
                f"frame {i} must have the shape of frame 0, {shape}, got {frame.shape}"
            )
        if frame.strides[1:] != (3, 1):
            raise LayoutError(
                f"frame {i} must have packed pixels in each row, got strides {frame.strides}; "
                "pass np.ascontiguousarray(frame)"
            )
    return shape[0], shape[1]


def cut_crops(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    rects: NDArray[np.int32],
    preset: Preset,
) -> NDArray[np.uint8]:
    """Cut the stored square of every frame: (n, C, C, 3) uint8, fresh."""
    crops = np.zeros((len(frames), preset.crop, preset.crop, 3), np.uint8)
    for frame, rect, crop in zip(frames, rects, crops, strict=True):
        cut_crop(frame, rect, preset, out=crop)
    return crops


def check_masks(
    masks: Sequence[NDArray[np.uint8] | None], rects: NDArray[np.int32]
) -> Sequence[NDArray[np.uint8] | None]:
    """Return masks as they are; raise unless each fits its rect."""
    if not hasattr(masks, "__len__"):
        raise ArgumentTypeError(f"masks must be a sequence of arrays, got {type(masks).__name__}")
    if len(masks) != len(rects):
        raise InputError(f"masks must be {len(rects)}, one for each frame, got {len(masks)}")
    for i, (mask, (_, _, w, h)) in enumerate(zip(masks, rects, strict=True)):
        if mask is not None and not isinstance(mask, np.ndarray):
            raise LayoutError(f"mask {i} must be an array of uint8, got {type(mask).__name__}")
        if mask is not None and (mask.shape != (h, w) or mask.dtype != np.uint8):
            raise InputError(
                f"mask {i} must be ({h}, {w}) uint8 like its rect, got {mask.dtype} {mask.shape}"
            )
    return masks
