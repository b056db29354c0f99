"""Alpha masks over a rect: how a patch fades into its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .presets import Preset

__all__ = ["edge_mask", "rect_masks"]

_RAMP = 20  # px over which the alpha of "ramp" grows to one
_FRAME = 10  # px of the frame that "frame" blurs
_BLUR_RADIUS, _BLUR_SIGMA = 10, 15.0


def edge_mask(edge: str | None, width: int, height: int) -> NDArray[np.uint8] | None:
    """Mask of a preset's edge rule for a rect of the given size.

    Parameters
    ----------
    edge : None, "ramp" or "frame"
        A `Preset.edge`. "ramp" is min(d / 20, 1) with d the distance in pixels to the
        rect's nearest border pixel; "frame" is one minus a 10 px frame blurred by a
        21 × 21 Gaussian of σ 15 with mirrored borders.
    width, height : int
        Size of the rect in pixels.

    Returns
    -------
    (height, width) uint8 or None
        Fresh; 255 shows the patch alone. None means that the patch overwrites.

    References
    ----------
    The blending code of the wav2lip384 and lite-avatar inference scripts.
    """
    if edge is None:
        return None
    if edge == "ramp":
        across, down = _border_distance(width), _border_distance(height)
        alpha = np.minimum(np.minimum(down[:, None], across[None, :]) / _RAMP, 1.0)
    else:
        # The inside of the frame is a product of two boxes and the Gaussian is
        # separable, so blurring each axis once is the whole blur.
        alpha = np.outer(_blurred_inside(height), _blurred_inside(width))
    return np.rint(alpha * 255.0).astype(np.uint8)


def rect_masks(preset: Preset, rects: NDArray[np.int32]) -> list[NDArray[np.uint8] | None]:
    """The preset's edge mask for every rect; equal sizes share one array."""
    by_size: dict[tuple[int, int], NDArray[np.uint8] | None] = {(0, 0): None}
    sizes = [(int(w), int(h)) for w, h in rects[:, 2:]]
    for size in sizes:
        if size not in by_size:
            by_size[size] = edge_mask(preset.edge, *size)
    return [by_size[size] for size in sizes]


def _border_distance(size: int) -> NDArray[np.float64]:
    index = np.arange(size, dtype=np.float64)
    return np.minimum(index, size - 1 - index)


def _blurred_inside(size: int) -> NDArray[np.float64]:
    inside = np.zeros(size)
    inside[_FRAME : max(size - _FRAME, _FRAME)] = 1.0
    offsets = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / _BLUR_SIGMA) ** 2)
    kernel /= kernel.sum()
    if size == 1:
        return inside
    period = 2 * (size - 1)
    source = np.abs((np.arange(size)[:, None] + offsets + period // 2) % period - period // 2)
    blurred: NDArray[np.float64] = inside[source] @ kernel
    return blurred
