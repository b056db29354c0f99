# C declarations of the patch part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint8_t

from lipsync_fast.kernels._arguments cimport lf_rows
from lipsync_fast.kernels._convert cimport lf_range
from lipsync_fast.kernels._match cimport lf_match
from lipsync_fast.kernels._resize cimport lf_resize_plan


cdef extern from "kernels.h" nogil:
    int lf_patch_f32p3_u8x3(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const float *src,
        ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int view, const lf_range *tone,
        const lf_match *match, const uint8_t *crop, ptrdiff_t crop_stride, int border,
        const lf_resize_plan *plan, void *scratch, size_t scratch_size)
    size_t lf_patch_scratch_size(const lf_resize_plan *plan)
