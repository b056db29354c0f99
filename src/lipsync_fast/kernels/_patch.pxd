# C declarations of the patch part of csrc/kernels.h.
from libc.stddef cimport size_t

from lipsync_fast.kernels._arguments cimport lf_f32p3, lf_image, lf_rows, lf_scratch
from lipsync_fast.kernels._convert cimport lf_range
from lipsync_fast.kernels._match cimport lf_match
from lipsync_fast.kernels._resize cimport lf_resize_plan


cdef extern from "kernels.h" nogil:
    int lf_patch_f32p3_u8x3(
        const lf_rows *rows, const lf_image *dst, const lf_f32p3 *src, const lf_range *range,
        const lf_match *match, const lf_image *crop, const lf_resize_plan *plan,
        const lf_scratch *scratch)
    size_t lf_patch_scratch_size(const lf_resize_plan *plan)
