# C declarations of the blend part of csrc/kernels.h.
from lipsync_fast.kernels._arguments cimport lf_image, lf_rows


cdef extern from "kernels.h" nogil:
    int lf_blend_u8(
        const lf_rows *rows, const lf_image *dst, const lf_image *src, const lf_image *mask, int x,
        int y, int swap)
