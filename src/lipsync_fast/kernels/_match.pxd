# C declarations of the match part of csrc/kernels.h.
from libc.stdint cimport int32_t

from lipsync_fast.kernels._arguments cimport lf_image, lf_rows


cdef extern from "kernels.h" nogil:
    ctypedef struct lf_match_planes:
        double level[3]
        double across[3]
        double down[3]

    ctypedef struct lf_match:
        int32_t level[3]
        int32_t across[3]
        int32_t down[3]

    enum:
        LF_MATCH_BITS

    int lf_match_measure_u8x3(
        lf_match_planes *planes, const lf_image *patch, const lf_image *background, int ring)
    int lf_match_u8(const lf_rows *rows, const lf_image *dst, const lf_match *match)


cdef lf_match match_of(object planes) except *
