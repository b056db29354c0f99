"""NumPy twins of the kernels, written for clarity; the C code must equal them."""

import math

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


def places(size):
    """Distance of each pixel from the centre, in half pixels."""
    return 2 * np.arange(size) - (size - 1)


def colour_planes(patch, background, ring):
    """(level, across, down) of each channel: NumPy's least squares over the ring."""
    h, w = patch.shape[:2]
    y, x = np.mgrid[:h, :w]
    inside = np.minimum(np.minimum(x, w - 1 - x), np.minimum(y, h - 1 - y)) < ring
    difference = background[inside].astype(float) - patch[inside]
    terms = np.stack([np.ones(inside.sum()), places(w)[x[inside]], places(h)[y[inside]]], axis=1)
    return np.linalg.lstsq(terms, difference, rcond=None)[0]


def match_colour(patch, planes):
    """The patch with the planes added, rounded with ties up and clamped."""
    level, across, down = np.rint(np.asarray(planes) * 65536).astype(np.int64)
    h, w = patch.shape[:2]
    by = level + across * places(w)[None, :, None] + down * places(h)[:, None, None]
    out = patch.copy()
    out[..., :3] = np.clip(patch[..., :3] + ((by + 32768) >> 16), 0, 255)
    return out


KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
LUMA_BITS, CHROMA_BITS = 15, 13


def yuv_matrix(matrix, full_range):
    """Exact (3, 3) of rows y, u, v and columns b, g, r, and the offsets of y, u, v."""
    kr, kb = KR_KB[matrix]
    luma = np.array([kb, 1 - kr - kb, kr])
    u = (np.array([1, 0, 0]) - luma) / (2 - 2 * kb)
    v = (np.array([0, 0, 1]) - luma) / (2 - 2 * kr)
    scale = (1, 1) if full_range else (219 / 255, 224 / 255)
    rows = np.stack([luma * scale[0], u * scale[1], v * scale[1]])
    return rows, np.array([0 if full_range else 16, 128, 128])


def yuv_weights(matrix, full_range):
    """The integer weights: rows y, u, v; columns b, g, r; green completes the sum."""
    rows, _ = yuv_matrix(matrix, full_range)
    scaled = rows * np.array([[1 << LUMA_BITS], [1 << CHROMA_BITS], [1 << CHROMA_BITS]])
    weights = np.rint(scaled).astype(np.int64)
    weights[:, 1] = np.rint(scaled.sum(1)).astype(np.int64) - weights[:, 0] - weights[:, 2]
    return weights


def pad_even(plane):
    """The last row and column again where the size is odd."""
    pad = [(0, plane.shape[0] % 2), (0, plane.shape[1] % 2)] + [(0, 0)] * (plane.ndim - 2)
    return np.pad(plane, pad, mode="edge")


def block_sum(plane):
    """Sums over 2x2 blocks; at an odd edge the pixels that exist count twice."""
    p = pad_even(plane)
    return p[::2, ::2] + p[::2, 1::2] + p[1::2, ::2] + p[1::2, 1::2]


def luma_of(image, matrix, full_range, swap=False):
    """Rounded luma of packed pixels."""
    image = image[..., ::-1] if swap else image
    black = 0 if full_range else 16
    total = image.astype(np.int64) @ yuv_weights(matrix, full_range)[0]
    return (total + (black << LUMA_BITS) + (1 << (LUMA_BITS - 1)) >> LUMA_BITS).astype(np.uint8)


def to_i420(image, matrix="bt601", full_range=False, swap=False):
    """Packed pixels -> (y, u, v)."""
    y = luma_of(image, matrix, full_range, swap)
    image = image[..., ::-1] if swap else image
    weights = yuv_weights(matrix, full_range)
    sums = block_sum(image.astype(np.int64) @ weights[1:].T)
    chroma = (sums + ((128 * 4 + 2) << CHROMA_BITS)) >> (CHROMA_BITS + 2)
    chroma = np.minimum(chroma, 255).astype(np.uint8)
    return y, chroma[..., 0].copy(), chroma[..., 1].copy()


def from_i420(planes, channels=3, matrix="bt601", full_range=False, swap=False):
    """(y, u, v) -> packed pixels, every pixel with its block's chroma."""
    inverse = np.linalg.inv(yuv_matrix(matrix, full_range)[0])
    weights = np.rint(inverse * (1 << CHROMA_BITS)).astype(np.int64)
    height, width = planes[0].shape
    u, v = (
        np.repeat(np.repeat(p, 2, 0), 2, 1)[:height, :width].astype(np.int64) for p in planes[1:]
    )
    yuv = np.stack([planes[0].astype(np.int64) - (0 if full_range else 16), u - 128, v - 128], -1)
    bgr = (yuv @ weights.T + (1 << (CHROMA_BITS - 1))) >> CHROMA_BITS
    out = np.full((height, width, channels), 255, np.uint8)
    out[..., :3] = np.clip(bgr, 0, 255)[..., :: -1 if swap else 1]
    return out


def blend_i420(patch, planes, mask=None, x=0, y=0, matrix="bt601", full_range=False, swap=False):
    """Fresh (y, u, v) with the patch at (x, y), cut off at the borders."""
    patch = patch[..., ::-1] if swap else patch
    height, width = planes[0].shape
    # The patch and its alphas laid over the whole picture, alpha 0 outside the patch.
    over = np.zeros((height, width, 3), np.uint8)
    over = blend(patch, over, None, x, y)
    opaque = np.full(patch.shape[:2], 255, np.uint8) if mask is None else mask
    alpha = blend(opaque, np.zeros((height, width), np.uint8), None, x, y)
    luma = mix(planes[0], luma_of(over, matrix, full_range), alpha)
    weighted = (over.astype(np.int64) @ yuv_weights(matrix, full_range)[1:].T) * alpha[..., None]
    total = block_sum(alpha.astype(np.int64))[..., None]
    old = np.stack(planes[1:], -1).astype(np.int64)
    numerator = block_sum(weighted) + (((old - 128) * (1020 - total)) << CHROMA_BITS)
    chroma = (numerator + ((128 * 1020 + 510) << CHROMA_BITS)) // (1020 << CHROMA_BITS)
    chroma = np.minimum(chroma, 255).astype(np.uint8)
    return luma, chroma[..., 0].copy(), chroma[..., 1].copy()


def mel(spectrum, edges, weights):
    """Mel columns of frames from their (frames, bins) complex spectra; see `_kernels.mel`."""
    length = 2 * (spectrum.shape[1] - 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    magnitude = np.abs(np.fft.rfft(np.fft.irfft(spectrum, length) * hann))
    offsets = np.concatenate([[0], np.cumsum(edges[:, 1] - edges[:, 0])])
    columns = np.empty((len(spectrum), len(edges)))
    for band, (first, end) in enumerate(edges):
        w = weights[offsets[band] : offsets[band + 1]].astype(np.float64)
        columns[:, band] = magnitude[:, first:end] @ w
    decibels = 20.0 * np.log10(np.maximum(1e-5, columns)) - 20.0
    return np.clip(8.0 * (decibels + 100.0) / 100.0 - 4.0, -4.0, 4.0)


# ---- resize --------------------------------------------------------------------------------
# Each direction is a dense matrix of integer weights (new pixels, old pixels) or, for the two
# short kernels, a list of (old pixel, weight) per tap: the roundings are per tap there.


def sampling_points(old, new, filter):
    """Whole and fractional part of where each new pixel samples, as OpenCV computes them."""
    d, scale = np.arange(new), 1 / (new / old)
    if filter == "area":
        whole = np.floor(d * scale)
        part = ((d + 1) - (whole + 1) * (new / old)).astype(np.float32)
        return whole.astype(int), np.where(part <= 0, np.float32(0), part - np.floor(part))
    centre = 0.0 if filter == "bilinear_topleft" else 0.5
    at = ((d + centre) * scale - centre).astype(np.float32)
    return np.floor(at).astype(int), at - np.floor(at)


def short_taps(old, new, filter):
    """(pixels, weights): lists over the taps, weights as floats; pixels clamped to the edges."""
    whole, x = sampling_points(old, new, filter)
    one = np.float32(1)
    if filter == "bicubic":
        a, y, z = np.float32(-0.75), x + one, one - x
        first = whole - 1
        weights = [
            ((a * y - 5 * a) * y + 8 * a) * y - 4 * a,
            ((a + 2) * x - (a + 3)) * x * x + one,
            ((a + 2) * z - (a + 3)) * z * z + one,
        ]
        weights.append(one - weights[0] - weights[1] - weights[2])
    else:
        first, weights = whole, [one - x, x]
    pixels = [np.clip(first + k, 0, old - 1) for k in range(len(weights))]
    return pixels, weights


def aa_kernel(filter, x):
    x = abs(x)
    if filter == "bilinear_aa":
        return max(1 - x, 0.0)
    if filter == "bicubic_aa":
        if x < 1:
            return (1.5 * x - 2.5) * x * x + 1
        return -0.5 * (((x - 5) * x + 8) * x - 4) if x < 2 else 0.0

    def sinc(t):
        return math.sin(t * math.pi) / (t * math.pi) if t else 1.0

    return sinc(x) * sinc(x / 3) if x < 3 else 0.0


def aa_matrix(old, new, filter):
    """Weights in 1/2^22 as Pillow computes them."""
    scale = old / new
    stretch = max(scale, 1.0)
    support = {"bilinear_aa": 1, "bicubic_aa": 2, "lanczos_aa": 3}[filter] * stretch
    matrix = np.zeros((new, old), np.int64)
    for d in range(new):
        centre = (d + 0.5) * scale
        first, end = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), old)
        values = [aa_kernel(filter, (j - centre + 0.5) * (1 / stretch)) for j in range(first, end)]
        total = sum(values) or 1.0
        for j, value in enumerate(values, first):
            scaled = value / total * 2**22
            matrix[d, j] = int(scaled + math.copysign(0.5, scaled))
    return matrix


def area_matrix(old, new):
    """Weights in 1/2^22: differences of the rounded share of the box left of each pixel edge."""
    edges, begin = np.arange(old + 1) * new, np.arange(new)[:, None] * old
    share = np.clip(edges - begin, 0, old).astype(np.int64)
    return np.diff(((share << 22) + old // 2) // old, axis=1)


def resize(image, size, filter="bilinear"):
    """uint8 (H, W[, C]) resized to (width, height)."""
    (height, width), (new_width, new_height) = image.shape[:2], size
    planes = image.reshape(height, width, -1).astype(np.int64)

    def across(matrix):
        return np.einsum("dw,hwc->hdc", matrix, planes)

    if filter == "nearest":
        x, y = (
            np.minimum(np.floor(np.arange(new) * (1 / (new / old))).astype(int), old - 1)
            for old, new in ((width, new_width), (height, new_height))
        )
        out = planes[y][:, x]
    elif filter == "area" and new_width <= width and new_height <= height:
        rows = (across(area_matrix(width, new_width)) + 2**14) >> 15
        out = (np.einsum("dh,hwc->dwc", area_matrix(height, new_height), rows) + 2**28) >> 29
    elif filter.endswith("_aa"):
        # Pillow's order of the passes: rows first where the height shrinks much more
        down_first = new_height < height and height - new_height > 2 * (width - new_width)
        out = planes
        for axis in (0, 1) if down_first else (1, 0):
            matrix = aa_matrix(image.shape[axis], size[1 - axis], filter)
            sums = np.moveaxis(np.tensordot(matrix, out, (1, axis)), 0, axis)
            out = np.clip((sums + 2**21) >> 22, 0, 255)
    else:
        x, a = short_taps(width, new_width, filter)
        y, b = short_taps(height, new_height, filter)

        def in_units(weights, unit):
            return [np.rint(w * np.float32(unit)).astype(np.int64) for w in weights]

        cubic = filter == "bicubic"
        a, b = in_units(a, 16384 if cubic else 2048), in_units(b, -32768 if cubic else 2048)
        sums = sum(planes[:, pixel] * w[None, :, None] for pixel, w in zip(x, a, strict=True))
        rows = sums >> (8 if cubic else 4)
        if cubic:
            products = [rows[pixel] * w[:, None, None] for pixel, w in zip(y, b, strict=True)]
            out = (32 - sum((product + 2**14) >> 15 for product in products)) >> 6
        else:
            products = [rows[pixel] * w[:, None, None] for pixel, w in zip(y, b, strict=True)]
            out = (sum(product >> 16 for product in products) + 2) >> 2
    return np.clip(out, 0, 255).astype(np.uint8).reshape(new_height, new_width, *image.shape[2:])


def drift(preset):
    """Colour errors of a model: (3, S, S) float32 in its own unit and plane order.

    Up to 16 levels of 255, another plane for each channel.
    """
    v, u = np.mgrid[-1 : 1 : 1j * preset.view, -1 : 1 : 1j * preset.view]
    levels = np.stack([10 + 4 * u + 2 * v, -8 + 3 * u - 4 * v, 6 - 5 * u + 3 * v])
    planes = levels[::-1] if preset.rgb else levels
    return (planes / 255 * (preset.high - preset.low)).astype(np.float32)
