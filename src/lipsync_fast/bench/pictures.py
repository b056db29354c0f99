"""Synthetic pictures for measurements, the same in every run: frames, model outputs, masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mouth_mask", "net_output", "photo"]

# Texture: cell in pixels at 1080p, amplitude in levels. The two finest are strong in places
# (grass, hair, cloth) and weak in others, as in photographs.
_COARSE = ((96, 16.0), (40, 12.0), (16, 9.0))
_FINE = ((6, 22.0), (3, 44.0))


def _stretch(grid: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Interpolate a grid linearly to `size` samples along one axis, ends on ends."""
    at = np.linspace(0, grid.shape[axis] - 1, size, dtype=np.float32)
    left = np.minimum(at.astype(np.intp), grid.shape[axis] - 2)
    shape = [1] * grid.ndim
    shape[axis] = size
    part = (at - left).astype(np.float32).reshape(shape)
    stretched: NDArray[np.float32] = np.take(grid, left, axis) * (1 - part)
    stretched += np.take(grid, left + 1, axis) * part
    return stretched


def _cloud(
    rng: np.random.Generator, width: int, height: int, cell: int, channels: int
) -> NDArray[np.float32]:
    """Draw value noise in -1..1: random colours at the nodes of a grid, linear between them."""
    nodes = (height // cell + 2, width // cell + 2, channels)
    grid = rng.integers(-1000, 1001, nodes).astype(np.float32) / np.float32(1000)
    return _stretch(_stretch(grid, height, 0), width, 1)


def photo(
    width: int = 1920, height: int = 1080, *, seed: int = 0, noise: int = 6
) -> NDArray[np.uint8]:
    """Draw a frame that costs a JPEG encoder as much as a photograph.

    Smooth colour, texture of several sizes, one soft-edged head and sensor noise. At
    1920×1080 its JPEG of quality 75, 4:2:0, takes about 300 kB.

    Parameters
    ----------
    width, height : int
        Pixels, 16 or more. The texture scales with the height, the noise stays per pixel.
    seed : int
        Each seed gives a different picture, the same in every run.
    noise : int
        Sensor noise: uniform in -noise..noise, independent in every value.

    Returns
    -------
    (height, width, 3) uint8, bgr24
        Fresh.
    """
    rng = np.random.default_rng(seed)
    picture = 120 + 30 * _cloud(rng, width, height, max(height // 3, 8), 3)
    picture += 45 * _cloud(rng, width, height, max(height // 2, 8), 1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot((x - width * 0.5) / (height * 0.25), (y - height * 0.5) / (height * 0.34))
    head = np.clip((1.02 - distance) / 0.04, 0, 1)[..., None]
    picture += head * (np.array([125, 150, 205], np.float32) - picture) * 0.8
    rough = np.clip(0.55 + _cloud(rng, width, height, max(height // 5, 8), 1), 0.05, 1)
    for cell, amplitude in _COARSE + _FINE:
        scaled = max(cell * height // 1080, 2)
        strength = amplitude * rough if (cell, amplitude) in _FINE else np.float32(amplitude)
        picture += strength * _cloud(rng, width, height, scaled, 1)
        picture += strength / 6 * _cloud(rng, width, height, scaled, 3)
    if noise:
        picture += rng.integers(-noise, noise + 1, (height, width, 3), np.int16)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def net_output(view: int, *, seed: int = 0, detail: float = 1.0) -> NDArray[np.float32]:
    """Draw a generator's output: skin, lips and their texture.

    Parameters
    ----------
    view : int
        Side in pixels, 16 or more.
    seed : int
    detail : float
        Strength of the fine texture; 0 leaves smooth colour.

    Returns
    -------
    (3, view, view) float32
        Fresh; planes B, G, R in 0..1.
    """
    rng = np.random.default_rng(seed)
    picture = 12 * _cloud(rng, view, view, max(view // 4, 8), 3)
    picture += detail * 10 * _cloud(rng, view, view, max(view // 80, 2), 1)
    picture += np.array([125, 150, 205], np.float32)
    y, x = np.mgrid[0:view, 0:view].astype(np.float32) / view
    for tall, colour in ((0.16, (90, 80, 170)), (0.08, (35, 25, 60))):
        distance = np.hypot((x - 0.5) / 0.24, (y - 0.62) / tall)
        lips = np.clip((1 - distance) / 0.35, 0, 1)[..., None]
        picture += lips * (np.array(colour, np.float32) - picture)
    planes = np.clip(picture, 0, 255).transpose(2, 0, 1) / np.float32(255)
    return np.ascontiguousarray(planes, np.float32)


def mouth_mask(width: int, height: int) -> NDArray[np.uint8]:
    """Draw a soft-edged mask: 255 inside, falling to 0 over the outer eighth of each side.

    Parameters
    ----------
    width, height : int
        Pixels. Masks of two sizes are samples of the same shape.

    Returns
    -------
    (height, width) uint8
        Fresh.
    """
    across, down = (
        np.minimum(1, np.minimum(at, 1 - at) * 8)
        for at in ((np.arange(n, dtype=np.float64) + 0.5) / n for n in (width, height))
    )
    alpha: NDArray[np.uint8] = np.rint(np.outer(down, across) * 255).astype(np.uint8)
    return alpha
