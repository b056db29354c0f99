# C declarations of csrc/kernels.h: the one place where Cython learns of them.
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "kernels.h" nogil:
    enum lf_status:
        LF_OK
        LF_ERR_ARGUMENT
        LF_ERR_SCRATCH
        LF_ERR_FULL
        LF_ERR_DATA

    enum lf_isa:
        LF_ISA_C
        LF_ISA_AVX2
        LF_ISA_NEON

    ctypedef struct lf_rows:
        pass

    const lf_rows *lf_rows_for(lf_isa isa)

    # convert

    # resize

    # blend

    # yuv

    # mel


# A caller's array, checked and held for the length of a call.
cdef class Array:
    cdef Py_buffer view
    cdef bint held
    cdef str name


cdef const lf_rows *rows_of(object isa) except NULL
cdef int check(int status) except -1
