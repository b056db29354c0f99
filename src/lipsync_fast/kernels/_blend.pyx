# cython: language_level=3, freethreading_compatible=True
"""Blending a patch onto a background, unchanged or through an alpha mask."""
from lipsync_fast.kernels._arguments cimport (
    LF_OK,
    Array,
    as_image,
    check,
    image_of,
    in_place,
    lf_image,
    mask_of,
    out_like,
    place_of,
    result_of,
    rows_of,
)

from ..errors import InputError


def blend(patch, background, mask=None, out=None, *, x=0, y=0, bint swap=False, isa=None):
    """Put a patch onto a background, unchanged or through an alpha mask.

    The patch's top left pixel lands at (x, y); pixels outside the background are cut off.
    Alpha mixes as ``t = d*(255-a) + s*a + 128; (t + (t >> 8)) >> 8``, the rounded quotient by
    255: 0 keeps the background, 255 gives the patch.

    Parameters
    ----------
    patch : (h, w), (h, w, 3) or (h, w, 4) uint8
        Pixels of a row packed, rows may be apart, as for all images here.
    background : (H, W), (H, W, 3) or (H, W, 4) uint8
        As many channels as the patch, all mixed alike; or four for a patch of three: then the
        fourth channel stays.
    mask : (h, w) uint8, optional
        Alpha of each patch pixel. Without it the patch replaces the background.
    out : array like `background`, optional
        Where to write; ``out=background`` works in place and touches only the patch's pixels.
    x, y : int
        Position of the patch in pixels; may be negative or beyond the background.
    swap : bool
        Exchange the first and third channel of a patch of three: bgr24 onto rgb24 or rgba.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    array like `background`
        `out`, or a fresh array.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape or place, a read-only `out`, or one that overlaps an input without being
        `background`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef int left = place_of(x, "x")
    cdef int top = place_of(y, "y")
    cdef Array src = image_of(patch, "patch")
    cdef Array base = image_of(background, "background")
    if src.channels != base.channels and not (src.channels == 3 and base.channels == 4):
        raise InputError(
            "patch must have background's channels, or 3 onto 4; "
            f"got {src.channels} onto {base.channels}"
        )
    if swap and src.channels != 3:
        raise InputError(f"swap needs a patch of 3 channels, got {src.channels}")
    cdef Array alpha = mask_of(mask, src)
    cdef Array dst = out_like(out, base.shape, (src, alpha))
    cdef bint kept = in_place(dst, base)
    cdef lf_image to = as_image(dst), under = as_image(base), pixels = as_image(src), alphas
    cdef const lf_image *alphas_or_null = NULL
    if alpha is not None:
        alphas = as_image(alpha)
        alphas_or_null = &alphas
    cdef int status = LF_OK
    with nogil:
        if not kept:
            status = lf_blend_u8(rows, &to, &under, NULL, 0, 0, 0)
        if status == LF_OK:
            status = lf_blend_u8(rows, &to, &pixels, alphas_or_null, left, top, swap)
    check(status)
    return result_of(out, dst)
