"""Alpha masks over a rect: how a patch fades into its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..presets import FEATHERS, Preset

__all__ = ["edge_mask", "mask_for", "rect_masks"]

_RAMP = 20  # px over which the alpha of "ramp" grows to one
_FRAME = 10  # px, width of the frame that "frame" blurs
_BLUR_RADIUS, _BLUR_SIGMA = 10, 15.0


def edge_mask(
    edge: str | None, width: int, height: int, feather_width: float = 0.12
) -> NDArray[np.uint8] | None:
    """Return the mask of a preset's edge rule for a rect of the given size.

    Parameters
    ----------
    edge : None, "ramp", "frame", "rounded" or "ellipse"
        A `Preset.edge`. "ramp" is min(d / 20, 1) with d the distance in pixels to the
        rect's nearest border pixel; "frame" is one minus a 10 px frame blurred by a
        21 × 21 Gaussian of σ 15 with mirrored borders. The feathers are 0 on the outermost
        pixels and s²(3 − 2s) inside, s = min(d / t, 1), t = `feather_width` of the shorter
        side: for "rounded" d is the distance to the border, whose corners have the radius
        2t; for "ellipse" it is (1 − ρ) times the shorter half axis, with ρ = 1 on the
        ellipse that touches the four sides.
    width, height : int
        Size of the rect in pixels.
    feather_width : float
        A `Preset.feather_width`.

    Returns
    -------
    (height, width) uint8 or None
        Fresh; 255 shows only the patch. None means that the patch overwrites.

    References
    ----------
    The blending code of the wav2lip384 and lite-avatar inference scripts. The distance to a
    rectangle with round corners: I. Quilez, "2D distance functions", sdRoundedBox.
    """
    if edge is None:
        return None
    if edge == "ramp":
        across, down = _border_distance(width), _border_distance(height)
        alpha = np.minimum(np.minimum(down[:, None], across[None, :]) / _RAMP, 1.0)
    elif edge in FEATHERS:
        depth = (_rounded_depth if edge == "rounded" else _ellipse_depth)(
            width, height, feather_width
        )
        alpha = smooth_step(depth)
    else:
        # The inside of the frame is a product of two boxes and the Gaussian is separable,
        # so blur each axis once.
        alpha = np.outer(_blurred_inside(height), _blurred_inside(width))
    return np.rint(alpha * 255.0).astype(np.uint8)


def rect_masks(preset: Preset, rects: NDArray[np.int32]) -> list[NDArray[np.uint8] | None]:
    """Return the preset's edge mask for every rect; equal sizes share one array."""
    by_size: dict[tuple[int, int], NDArray[np.uint8] | None] = {}
    sizes = [(int(w), int(h)) for w, h in rects[:, 2:]]
    for size in sizes:
        if size not in by_size:
            by_size[size] = mask_for(preset, (0, 0, *size))
    return [by_size[size] for size in sizes]


def mask_for(
    preset: Preset,
    rect: tuple[int, int, int, int],
    own: NDArray[np.uint8] | None = None,
    whole: tuple[int, int, int, int] | None = None,
) -> NDArray[np.uint8] | None:
    """Return the mask of one frame: the smaller alpha of its own mask and the preset's edge.

    Parameters
    ----------
    preset : Preset
    rect : (x, y, w, h)
        Inside the frame; w = h = 0 where there is no face.
    own : (h, w) uint8, optional
        The frame's own mask, such as from landmarks.
    whole : (x, y, w, h), optional
        The rect that the edge belongs to, where it reaches over the frame's border; nothing fades
        towards the border then.

    Returns
    -------
    (h, w) uint8 or None
        Fresh, or `own`. None means that the patch overwrites, or that there is no face.
    """
    _, _, width, height = rect
    if width == 0:
        return None
    x, y, whole_width, whole_height = rect if whole is None else whole
    edge = edge_mask(preset.edge, whole_width, whole_height, preset.feather_width)
    if edge is not None and whole is not None:
        left, top = rect[0] - x, rect[1] - y
        edge = np.ascontiguousarray(edge[top : top + height, left : left + width])
    if own is None or edge is None:
        return edge if own is None else own
    return np.minimum(own, edge)


def smooth_step(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return s²(3 − 2s) of values clipped to 0..1, fresh: smooth at both ends."""
    s = np.clip(depth, 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def _rounded_depth(width: int, height: int, part: float) -> NDArray[np.float64]:
    """Return the distance from the border inwards, in fade widths: (height, width)."""
    half = np.array([width - 1, height - 1]) / 2.0
    fade = part * min(width, height)
    radius = min(2.0 * fade, *half)
    across = np.abs(np.arange(width) - half[0])[None, :] - (half[0] - radius)
    down = np.abs(np.arange(height) - half[1])[:, None] - (half[1] - radius)
    corner = np.hypot(np.maximum(across, 0.0), np.maximum(down, 0.0))
    distance: NDArray[np.float64] = radius - corner - np.minimum(np.maximum(across, down), 0.0)
    return distance / fade


def _ellipse_depth(width: int, height: int, part: float) -> NDArray[np.float64]:
    """Return 1 − the radius in the ellipse, in fade widths of its shorter half axis."""
    across, down = np.linspace(-1.0, 1.0, width), np.linspace(-1.0, 1.0, height)
    short = min(width, height)
    depth: NDArray[np.float64] = 1.0 - np.hypot(across[None, :], down[:, None])
    return depth * ((short - 1) / 2.0) / (part * short)


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
