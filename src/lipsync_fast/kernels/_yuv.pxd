# C declarations of the yuv part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t

from lipsync_fast.kernels._arguments cimport Array, lf_rows


cdef extern from "kernels.h" nogil:
    enum lf_yuv_matrix:
        LF_BT601
        LF_BT709

    enum:
        LF_I420_MAX_SIDE

    ctypedef struct lf_i420:
        uint8_t *y
        uint8_t *u
        uint8_t *v
        ptrdiff_t y_stride
        ptrdiff_t u_stride
        ptrdiff_t v_stride
        int width
        int height

    int lf_yuv_u8x3_to_i420(
        const lf_rows *rows, const lf_i420 *dst, const uint8_t *src, ptrdiff_t src_stride,
        lf_yuv_matrix matrix, int full_range, int swap)
    int lf_yuv_i420_to_u8x3(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const lf_i420 *src,
        lf_yuv_matrix matrix, int full_range, int swap)
    int lf_yuv_i420_to_u8x4(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const lf_i420 *src,
        lf_yuv_matrix matrix, int full_range, int swap)
    int lf_yuv_blend_u8x3_i420(
        const lf_rows *rows, const lf_i420 *dst, const uint8_t *patch, ptrdiff_t patch_stride,
        const uint8_t *mask, ptrdiff_t mask_stride, int x, int y, int width, int height,
        lf_yuv_matrix matrix, int full_range, int swap)


# The three checked planes of an I420 picture, held for the length of a call.
cdef class Planes:
    cdef Array y
    cdef Array u
    cdef Array v
    cdef lf_i420 i420


cdef Planes i420_of(object picture, str name, object width, object height, bint writable=*)
cdef lf_yuv_matrix matrix_of(object matrix) except *
