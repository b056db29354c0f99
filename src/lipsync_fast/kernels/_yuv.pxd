# C declarations of the yuv part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t

from lipsync_fast.kernels._arguments cimport Array, lf_image, lf_rows


cdef extern from "kernels.h" nogil:
    enum lf_yuv_matrix:
        LF_BT601
        LF_BT709

    ctypedef struct lf_yuv_space:
        lf_yuv_matrix matrix
        int full_range

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
        const lf_rows *rows, const lf_i420 *dst, const lf_image *src, const lf_yuv_space *space,
        int swap)
    int lf_yuv_i420_to_u8(
        const lf_rows *rows, const lf_image *dst, const lf_i420 *src, const lf_yuv_space *space,
        int swap)
    int lf_yuv_blend_u8x3_i420(
        const lf_rows *rows, const lf_i420 *dst, const lf_image *patch, const lf_image *mask, int x,
        int y, const lf_yuv_space *space, int swap)


# The three checked planes of an I420 picture, held for the length of a call.
cdef class Planes:
    cdef Array y
    cdef Array u
    cdef Array v
    cdef lf_i420 i420


cdef Planes i420_of(object picture, str name, object width, object height, bint writable=*)
cdef lf_yuv_space space_of(object matrix, bint full_range) except *
