# C declarations of the finish part of csrc/kernels.h, and what is built on them.
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint8_t

from lipsync_fast.compositing._backgrounds cimport (
    Backgrounds,
    lf_background,
    lf_canvas,
    lf_worker_limits,
)
from lipsync_fast.kernels._arguments cimport Array, lf_rows
from lipsync_fast.kernels._jpeg cimport lf_jpeg
from lipsync_fast.kernels._match cimport lf_match, lf_match_planes


cdef extern from "kernels.h" nogil:
    ctypedef struct lf_mouth:
        const float *output
        const uint8_t *picture
        const lf_match *match
        int alpha

    ctypedef struct lf_worker:
        pass

    size_t lf_worker_size(const lf_worker_limits *limits)
    void lf_worker_init(
        lf_worker *worker, const lf_worker_limits *limits, const lf_rows *rows,
        lf_jpeg *encoder, void *memory)

    ctypedef struct lf_target:
        uint8_t *data
        ptrdiff_t stride
        size_t capacity
        int in_place
        size_t length

    int lf_finish(
        const lf_canvas *canvas, const lf_background *background, const lf_mouth *mouth,
        const lf_worker *worker, lf_target *target)
    int lf_finish_measure(
        const lf_canvas *canvas, const lf_background *background, const lf_mouth *mouth,
        const lf_worker *worker, lf_match_planes *planes)


cdef class Worker:
    cdef lf_worker worker
    cdef lf_jpeg *encoder
    cdef Array memory
    cdef Backgrounds backgrounds


cdef class Targets:
    cdef lf_target *items
    cdef Py_ssize_t count
    cdef Backgrounds backgrounds
    cdef list held
    cdef object take(self, Backgrounds backgrounds, Py_ssize_t index, object buffer)
    cdef int need_apart_from_all(self, Py_ssize_t index, list spans) except -1
