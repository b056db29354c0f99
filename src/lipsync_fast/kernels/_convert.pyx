# cython: language_level=3, freethreading_compatible=True
"""Conversion between a generator's planar floats and packed bytes."""
from operator import index

from libc.math cimport isfinite

from lipsync_fast.kernels._arguments cimport (
    Array,
    as_f32p3,
    as_image,
    check,
    image_of,
    lf_f32p3,
    lf_image,
    out_like,
    planes_of,
    result_of,
    rows_of,
)

from ..errors import InputError


cdef lf_range range_of(object low, object high, object rounding, bint swap) except *:
    cdef lf_range levels
    if not isinstance(rounding, str) or rounding not in ("truncate", "round"):
        raise InputError(f"rounding must be 'truncate' or 'round', got {rounding!r}")
    try:
        levels.low, levels.high = low, high
    except (TypeError, OverflowError):
        raise InputError(
            f"low and high must be finite with low < high, got {low!r} and {high!r}"
        ) from None
    levels.truncate, levels.swap = rounding == "truncate", swap
    if not (isfinite(levels.low) and isfinite(levels.high)
            and isfinite(levels.high - levels.low) and levels.low < levels.high):
        raise InputError(f"low and high must be finite with low < high, got {low} and {high}")
    return levels


cdef lf_box box_of(object black, int width, int height) except *:
    cdef lf_box box
    try:
        x0, y0, x1, y1 = map(index, black)
    except (TypeError, ValueError):
        x0, y0, x1, y1 = -1, -1, -1, -1
    if not (0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height):
        raise InputError(
            f"black must be a box (x0, y0, x1, y1) inside {width}x{height}, got {black!r}"
        )
    box.x0, box.y0, box.x1, box.y1 = x0, y0, x1, y1
    return box


def convert(planar, out=None, *, low=0.0, high=1.0, rounding="truncate", swap=False, isa=None):
    """Turn a generator's planar floats into packed bytes.

    ``byte = (value - low) * (255 / (high - low))``, clamped to 0..255; NaN gives 0. In the
    range 0..1 these are the bytes of ``(value * 255).astype(uint8)``.

    Parameters
    ----------
    planar : (3, H, W) float32
        One picture; values of a row packed, rows and planes may be apart.
    out : (H, W, 3) or (H, W, 4) uint8, optional
        Where to write; pixels of a row packed, rows may be apart. A fourth byte becomes 255.
    low, high : float
        The values that stand for the bytes 0 and 255: 0 and 1, or -1 and 1.
    rounding : {"truncate", "round"}
        Truncate, like the models' own scripts, or round to the nearest, ties to even.
    swap : bool
        Exchange the first and third channel: RGB planes to bgr24 pixels or the reverse.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (H, W, 3) or (H, W, 4) uint8
        `out`, or a fresh array of three channels.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape, range or rounding, a read-only `out`, or one that overlaps `planar`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_range levels = range_of(low, high, rounding, swap)
    cdef Array src = planes_of(planar, "planar")
    cdef Array dst = out_like(out, (src.height, src.width, 3), (src,), 4)
    cdef lf_image pixels = as_image(dst)
    cdef lf_f32p3 values = as_f32p3(src)
    cdef int status
    with nogil:
        status = lf_convert_f32p3_u8(rows, &pixels, &values, &levels)
    check(status)
    return result_of(out, dst)


def to_planes(image, out=None, *, low=0.0, high=1.0, swap=False, black=None, isa=None):
    """Turn packed bytes into the planar floats that a generator takes.

    ``value = byte / 255 * (high - low) + low``, each step one float32 operation: in the range
    0..1 the bits of ``byte / 255``, in -1..1 those of ``(byte / 255 - 0.5) / 0.5``.

    Parameters
    ----------
    image : (H, W, 3) uint8
        A picture or a view into a larger one; pixels of a row packed, rows may be apart.
    out : (3, H, W) float32, optional
        Where to write, such as three planes of a generator's input; values of a row packed.
    low, high : float
        The values that stand for the bytes 0 and 255: 0 and 1, or -1 and 1.
    swap : bool
        Exchange the first and third channel: bgr24 pixels to RGB planes or the reverse.
    black : (x0, y0, x1, y1), optional
        Half-open box in pixels, inside the image, written as the value of byte 0.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (3, H, W) float32
        `out`, or a fresh array.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape, range or box, a read-only `out`, or one that overlaps `image`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_range levels = range_of(low, high, "truncate", swap)
    cdef Array src = image_of(image, "image")
    if src.channels != 3:
        raise InputError(f"image must have shape (H, W, 3), got shape {src.shape}")
    cdef lf_box box
    if black is not None:
        box = box_of(black, src.width, src.height)
    cdef const lf_box *box_or_null = NULL if black is None else &box
    cdef Array dst = out_like(out, (3, src.height, src.width), (src,), 0, "float32")
    cdef lf_f32p3 values = as_f32p3(dst)
    cdef lf_image pixels = as_image(src)
    cdef int status
    with nogil:
        status = lf_convert_u8x3_f32p3(rows, &values, &pixels, &levels, box_or_null)
    check(status)
    return result_of(out, dst)
