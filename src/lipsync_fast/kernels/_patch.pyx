# cython: language_level=3, freethreading_compatible=True
"""From a generator's output to the pixels of its rect: convert, match, resize in one pass."""
from lipsync_fast.kernels._arguments cimport (
    LF_ERR_ARGUMENT,
    Array,
    as_f32p3,
    as_image,
    check,
    image_of,
    lf_f32p3,
    lf_image,
    lf_rows,
    lf_scratch,
    out_like,
    planes_of,
    result_of,
    rows_of,
)
from lipsync_fast.kernels._convert cimport lf_range, range_of
from lipsync_fast.kernels._match cimport lf_match, match_of
from lipsync_fast.kernels._resize cimport ResizePlan

from ..errors import InputError


def patch(
    planar, ResizePlan plan not None, crop=None, out=None, *, low=0.0, high=1.0,
    rounding="truncate", swap=False, planes=None, isa=None,
):
    """Turn a generator's output into the pixels of its rect, in one pass.

    The bytes equal those of `convert` into the middle of the crop, then `resize` of the whole,
    without the picture between. The ten parameters are those of the two.

    Parameters
    ----------
    planar : (3, S, S) float32
        The generator's output; values of a row packed, rows and planes may be apart.
    plan : ResizePlan
        From the crop's size (C, C) to the rect's; (C - S) / 2 is the border in pixels.
    crop : (C, C, 3) uint8, optional
        The stored crop; only its border is read. Not needed if C equals S.
    out : (h, w, 3) uint8, optional
        Where to write; pixels of a row packed, rows may be apart.
    low, high, rounding, swap
        As in `convert`.
    planes : (3, 3) float64, optional
        Match the colours of the picture in the middle, as `match_colour` does.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (h, w, 3) uint8
        `out`, or a fresh array.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape, range or rounding, a read-only `out`, or one that overlaps an input.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_range levels = range_of(low, high, rounding, swap)
    cdef Array src = planes_of(planar, "planar")
    cdef int width = plan.source[0], height = plan.source[1]
    cdef int border = (width - src.width) // 2
    cdef Array edge = None
    if width != height or src.width != src.height or src.width + 2 * border != width or border < 0:
        raise InputError(
            "planar must be a square with an equal border on all sides of the plan's "
            f"{width}x{height}, got shape {src.shape}"
        )
    if border:
        if crop is None:
            raise InputError(f"crop must be given for a border of {border} pixels, got None")
        edge = image_of(crop, "crop")
        if edge.width != width or edge.height != height or edge.channels != 3:
            raise InputError(f"crop must have shape ({height}, {width}, 3), got shape {edge.shape}")
    cdef Array dst = out_like(out, (plan.size[1], plan.size[0], 3), (src, edge))
    cdef lf_image to = as_image(dst), around
    cdef lf_f32p3 values = as_f32p3(src)
    cdef const lf_image *around_or_null = NULL
    if edge is not None:
        around = as_image(edge)
        around_or_null = &around
    cdef lf_match match
    cdef const lf_match *moved = NULL
    if planes is not None:
        match = match_of(planes)
        moved = &match
    cdef lf_scratch scratch
    scratch.size = lf_patch_scratch_size(plan.plan)
    scratch.data = plan.borrow_scratch(scratch.size)
    cdef int status
    with nogil:
        status = lf_patch_f32p3_u8x3(
            rows, &to, &values, &levels, moved, around_or_null, plan.plan, &scratch)
    plan.return_scratch(scratch.data, scratch.size)
    if status == LF_ERR_ARGUMENT and moved != NULL:
        raise InputError(
            f"planes reach beyond what {src.width}x{src.height} pixels can hold: {planes}"
        )
    check(status)
    return result_of(out, dst)
