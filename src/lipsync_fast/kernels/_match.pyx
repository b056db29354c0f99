# cython: language_level=3, freethreading_compatible=True
"""Low-frequency colour of a patch, measured along its border and matched to the background."""
from lipsync_fast.kernels._arguments cimport (
    LF_ERR_ARGUMENT,
    LF_OK,
    Array,
    as_image,
    check,
    image_of,
    in_place,
    lf_image,
    lf_rows,
    out_like,
    result_of,
    rows_of,
)
from lipsync_fast.kernels._blend cimport lf_blend_u8
from lipsync_fast.kernels._resize cimport LF_RESIZE_SIDE

import numpy as np

from ..checks import check_int
from ..errors import InputError


def colour_planes(patch, background, *, ring=8):
    """Measure how the colours of a patch differ from its background along the border.

    A plane for each channel, fitted by least squares to background − patch over the ring of
    pixels less than `ring` from the border: the low frequencies that the patch lacks.

    Parameters
    ----------
    patch, background : (h, w, 3) uint8
        Of one shape and channel order; pixels of a row packed, rows may be apart.
    ring : int
        Width of the ring in pixels, 1 or more; a ring up to the centre takes all pixels.

    Returns
    -------
    (3, 3) float64, fresh
        Rows: level at the centre, slope across, slope down (per half pixel). Columns: the
        channels. In levels of 255, as :func:`match_colour` takes them.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong or different shapes, or a ring that is not an integer of 1 or more.
    """
    cdef Array made = image_of(patch, "patch")
    cdef Array base = image_of(background, "background")
    if made.channels != 3 or made.width > LF_RESIZE_SIDE or made.height > LF_RESIZE_SIDE:
        raise InputError(
            f"patch must have shape (h, w, 3), at most {LF_RESIZE_SIDE} a side, "
            f"got shape {made.shape}"
        )
    if made.shape != base.shape:
        raise InputError(f"background must have patch's shape {made.shape}, got shape {base.shape}")
    cdef int width = min(check_int("ring", ring, 1, unit="pixels"), LF_RESIZE_SIDE)
    planes = np.empty((3, 3), np.float64)
    cdef Array target = Array(planes, "planes", "float64", 2, True)
    cdef lf_image pixels = as_image(made), under = as_image(base)
    cdef int status
    with nogil:
        status = lf_match_measure_u8x3(
            <lf_match_planes *> target.view.buf, &pixels, &under, width)
    check(status)
    return planes


cdef lf_match match_of(object planes) except *:
    """Return planes of `colour_planes` as the kernels' integers."""
    cdef lf_match match
    cdef str needed = "planes must be (3, 3) finite levels, as colour_planes returns them"
    try:
        exact = np.asarray(planes, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{needed}, got {planes!r}") from None
    if exact.shape != (3, 3) or not (np.abs(exact) < 1024).all():
        raise InputError(f"{needed}, got {exact.tolist()}")
    numbers = np.rint(exact * (1 << LF_MATCH_BITS)).astype(np.int32)
    for c, (level, across, down) in enumerate(numbers.T.tolist()):
        match.level[c], match.across[c], match.down[c] = level, across, down
    return match


def match_colour(patch, planes, out=None, *, isa=None):
    """Add planes of `colour_planes` to a patch, round each byte to the nearest and clamp it.

    Parameters
    ----------
    patch : (h, w, 3) or (h, w, 4) uint8
        Pixels of a row packed, rows may be apart; a fourth channel stays.
    planes : (3, 3) float64
        Rows: level at the centre, slope across, slope down; columns: the channels. Rounded to
        1/65536 of a level.
    out : array like `patch`, optional
        Where to write; ``out=patch`` works in place.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    array like `patch`
        `out`, or a fresh array.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape, planes out of range, a read-only `out`, or one that overlaps `patch`
        without being the same array.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_match match = match_of(planes)
    cdef Array src = image_of(patch, "patch")
    if src.channels == 1:
        raise InputError(f"patch must have shape (h, w, 3) or (h, w, 4), got shape {src.shape}")
    if src.width > LF_RESIZE_SIDE or src.height > LF_RESIZE_SIDE:
        raise InputError(
            f"patch must have at most {LF_RESIZE_SIDE} pixels a side, got shape {src.shape}"
        )
    cdef Array dst = out_like(out, src.shape, ())
    cdef bint kept = in_place(dst, src)
    cdef lf_image to = as_image(dst), pixels = as_image(src)
    cdef int status = LF_OK
    with nogil:
        if not kept:
            status = lf_blend_u8(rows, &to, &pixels, NULL, 0, 0, 0)
        if status == LF_OK:
            status = lf_match_u8(rows, &to, &match)
    if status == LF_ERR_ARGUMENT:
        raise InputError(
            f"planes reach beyond what {dst.width}x{dst.height} pixels can hold: {planes}"
        )
    check(status)
    return result_of(out, dst)
