# C declarations of the convert part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t

from lipsync_fast.kernels._arguments cimport lf_box, lf_rows


cdef extern from "kernels.h" nogil:
    ctypedef struct lf_range:
        float low
        float high
        int truncate
        int swap

    int lf_convert_f32p3_u8x3(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const float *src,
        ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int width, int height,
        const lf_range *tone)
    int lf_convert_f32p3_u8x4(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const float *src,
        ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int width, int height,
        const lf_range *tone)
    int lf_convert_u8x3_f32p3(
        const lf_rows *rows, float *dst, ptrdiff_t dst_stride, ptrdiff_t dst_plane_stride,
        const uint8_t *src, ptrdiff_t src_stride, int width, int height, const lf_range *tone,
        const lf_box *black)


cdef lf_range range_of(object low, object high, object rounding, bint swap) except *
