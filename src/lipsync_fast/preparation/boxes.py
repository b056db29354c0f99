"""Boxes x, y, w, h, corners xmin, ymin, xmax, ymax, and how far two boxes agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_corners", "iou"]


def from_corners(corners: NDArray[Any]) -> NDArray[Any]:
    """Return x, y, w, h of xmin, ymin, xmax, ymax: (n, 4) to (n, 4), fresh.

    Numbers that overflow or are NaN pass without a warning; the caller rejects them by name.
    """
    with np.errstate(all="ignore"):
        return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def iou(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the intersection over union of boxes x, y, w, h: (m, 4), (n, 4) to (m, n), fresh."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:4], b[None, :, :2] + b[None, :, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    union = np.prod(a[:, 2:4], axis=1)[:, None] + np.prod(b[:, 2:4], axis=1)[None] - shared
    quotient: NDArray[np.floating[Any]] = shared / np.maximum(union, 1e-9)
    return quotient
