# C declarations of the blend part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t

from lipsync_fast.kernels._arguments cimport lf_rows


cdef extern from "kernels.h" nogil:
    int lf_blend_u8(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, int dst_width, int dst_height,
        int dst_channels, const uint8_t *src, ptrdiff_t src_stride, int src_width,
        int src_height, int src_channels, const uint8_t *mask, ptrdiff_t mask_stride, int x,
        int y, int swap)
