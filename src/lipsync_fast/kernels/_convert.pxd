# C declarations of the convert part of csrc/kernels.h.
from lipsync_fast.kernels._arguments cimport lf_box, lf_f32p3, lf_image, lf_rows


cdef extern from "kernels.h" nogil:
    ctypedef struct lf_range:
        float low
        float high
        int truncate
        int swap

    int lf_convert_f32p3_u8(
        const lf_rows *rows, const lf_image *dst, const lf_f32p3 *src, const lf_range *range)
    int lf_convert_u8x3_f32p3(
        const lf_rows *rows, const lf_f32p3 *dst, const lf_image *src, const lf_range *range,
        const lf_box *black)


cdef lf_range range_of(object low, object high, object rounding, bint swap) except *
