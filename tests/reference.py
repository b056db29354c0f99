"""NumPy twins of the kernels, written for clarity: what the C code must equal."""

import numpy as np


def convert(planar, channels=3, low=0.0, high=1.0, rounding="truncate", swap=False):
    """Planar float32 (3, H, W) -> packed uint8 (H, W, channels)."""
    low, high = np.float32(low), np.float32(high)
    scaled = (planar - low) * (np.float32(255) / (high - low))
    scaled = np.where(np.isnan(scaled), np.float32(0), np.clip(scaled, 0, 255))
    packed = (np.trunc(scaled) if rounding == "truncate" else np.rint(scaled)).astype(np.uint8)
    packed = packed[::-1] if swap else packed
    out = np.full((*planar.shape[1:], channels), 255, np.uint8)
    out[..., :3] = packed.transpose(1, 2, 0)
    return out


def to_planes(image, low=0.0, high=1.0, swap=False, black=None):
    """Packed uint8 (H, W, 3) -> planar float32 (3, H, W)."""
    image = image.copy()
    if black is not None:
        x0, y0, x1, y1 = black
        image[y0:y1, x0:x1] = 0
    low, high = np.float32(low), np.float32(high)
    planes = image.astype(np.float32) / np.float32(255) * (high - low) + low
    return (planes[..., ::-1] if swap else planes).transpose(2, 0, 1)


def mix(background, patch, alpha):
    """The rounded quotient by 255 of the weighted sum of two uint8 arrays."""
    d, s, a = (np.asarray(v).astype(np.uint32) for v in (background, patch, alpha))
    t = d * (255 - a) + s * a + 128
    return ((t + (t >> 8)) >> 8).astype(np.uint8)


def blend(patch, background, mask=None, x=0, y=0, swap=False):
    """A fresh background with the patch at (x, y), cut off at the borders."""
    out = background.copy()
    patch = patch[..., ::-1] if swap else patch
    top, bottom = max(y, 0), min(y + patch.shape[0], out.shape[0])
    left, right = max(x, 0), min(x + patch.shape[1], out.shape[1])
    if top >= bottom or left >= right:
        return out
    part = out[top:bottom, left:right]
    if patch.ndim == 3:
        part = part[..., : patch.shape[2]]
    patch = patch[top - y : bottom - y, left - x : right - x]
    if mask is None:
        part[...] = patch
    else:
        alpha = mask[top - y : bottom - y, left - x : right - x]
        part[...] = mix(part, patch, alpha if patch.ndim == 2 else alpha[..., None])
    return out
