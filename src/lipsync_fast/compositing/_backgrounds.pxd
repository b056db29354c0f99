# C declarations of the finish part of csrc/kernels.h: backgrounds, and what holds them.
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from lipsync_fast.kernels._arguments cimport Array, lf_box
from lipsync_fast.kernels._convert cimport lf_range
from lipsync_fast.kernels._jpeg cimport lf_jpeg, lf_jpeg_background, lf_sampling
from lipsync_fast.kernels._resize cimport ResizePlan, lf_resize_plan
from lipsync_fast.kernels._yuv cimport lf_yuv_space


cdef extern from "kernels.h" nogil:
    ctypedef enum lf_format:
        LF_FORMAT_BGR24
        LF_FORMAT_RGB24
        LF_FORMAT_BGRA
        LF_FORMAT_RGBA
        LF_FORMAT_I420
        LF_FORMAT_JPEG

    ctypedef struct lf_canvas:
        lf_format format
        int width
        int height
        int channels
        size_t frame_bytes
        int view
        int crop
        lf_range range
        lf_yuv_space space

    ctypedef struct lf_background:
        int x
        int y
        int width
        int height
        const uint8_t *crop
        const uint8_t *mask
        const lf_resize_plan *plan
        const uint8_t *pixels
        ptrdiff_t stride
        const uint8_t *under
        const uint8_t *i420
        lf_jpeg_background jpeg
        lf_box box
        const uint8_t *region

    ctypedef struct lf_worker_limits:
        size_t patch
        size_t mask
        size_t region
        size_t splice
        size_t resize


cdef class Backgrounds:
    cdef lf_canvas canvas
    cdef lf_background *items
    cdef Py_ssize_t count
    cdef lf_worker_limits limits
    cdef int side  # of the square that is resized to the rect
    cdef str patch_filter
    cdef list mouths    # arrays of crops and masks
    cdef list pictures  # the arrays that each background is read from, or None
    cdef dict plans
    cdef int quality
    cdef lf_sampling sampling
    cdef int restart_interval
    cdef lf_jpeg *pattern  # encodes as the frames will be; only compared with
    cdef lf_background *at(self, Py_ssize_t index) except NULL
    cdef ResizePlan plan(self, rect, whole)
    cdef int set_box(self, lf_background *item) except -1


cdef class Holders:
    cdef unsigned char *busy
    cdef Py_ssize_t count
    cdef object lock             # a Lock of the .pyx
    cdef readonly uint64_t lent
    cdef readonly uint64_t refused
    cdef bint take(self, Py_ssize_t index) noexcept
    cdef void give_back(self, Py_ssize_t index) noexcept


cdef class InPlace:
    cdef readonly Backgrounds backgrounds
    cdef Holders holders
    cdef list frames  # of Array
    cdef tuple shape
    cdef void restore(self, Py_ssize_t index) noexcept


cdef class InPlaceFrame:
    cdef InPlace owner
    cdef Py_ssize_t index
    cdef uint8_t *data
