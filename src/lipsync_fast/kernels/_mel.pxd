# C declarations of the mel part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t

from lipsync_fast.kernels._arguments cimport lf_rows, lf_status


cdef extern from "kernels.h" nogil:
    enum:
        LF_MEL_MAX_BINS
        LF_MEL_MAX_BANDS

    ctypedef struct lf_mel_bands:
        const int32_t *edges
        const float *weights
        int count

    lf_status lf_mel_f64(
        const lf_rows *rows, float *dst, ptrdiff_t dst_stride, const double *spectrum,
        ptrdiff_t spectrum_stride, int bins, const lf_mel_bands *bands, int frames)
