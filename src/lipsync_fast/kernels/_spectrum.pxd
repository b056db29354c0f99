# C declarations of the spectrum part of csrc/kernels.h.
from libc.stddef cimport ptrdiff_t, size_t

from lipsync_fast.kernels._arguments cimport lf_rows, lf_scratch, lf_status


cdef extern from "kernels.h" nogil:
    enum:
        LF_SPECTRUM_SAMPLES
        LF_SPECTRUM_BINS
        LF_SPECTRUM_TABLE

    lf_status lf_spectrum_f64(
        const lf_rows *rows, double *dst, ptrdiff_t dst_stride, const double *src,
        ptrdiff_t src_stride, int frames, const double *table, const lf_scratch *scratch)
    void lf_spectrum_table(double *table)
    size_t lf_spectrum_scratch_size()
