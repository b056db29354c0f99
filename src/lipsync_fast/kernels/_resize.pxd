# C declarations of the resize part of csrc/kernels.h.
from libc.stddef cimport size_t

from lipsync_fast.kernels._arguments cimport lf_box, lf_image, lf_rows, lf_scratch


cdef extern from "kernels.h" nogil:
    enum:
        LF_RESIZE_SIDE

    enum lf_resize_filter:
        LF_RESIZE_NEAREST
        LF_RESIZE_BILINEAR
        LF_RESIZE_BICUBIC
        LF_RESIZE_AREA
        LF_RESIZE_BILINEAR_TOPLEFT
        LF_RESIZE_BILINEAR_AA
        LF_RESIZE_BICUBIC_AA
        LF_RESIZE_LANCZOS_AA

    ctypedef struct lf_resize_plan:
        pass

    size_t lf_resize_plan_size(
        int src_width, int src_height, int dst_width, int dst_height, lf_resize_filter filter,
        const lf_box *part)
    int lf_resize_plan_init(
        lf_resize_plan *plan, size_t size, int src_width, int src_height, int dst_width,
        int dst_height, lf_resize_filter filter, const lf_box *part)
    size_t lf_resize_scratch_size(const lf_resize_plan *plan, int channels)
    int lf_resize_u8(
        const lf_rows *rows, const lf_image *dst, const lf_image *src, const lf_resize_plan *plan,
        const lf_scratch *scratch)


# Sampling positions and weights for one pair of sizes; immutable, but for its idle scratch.
cdef class ResizePlan:
    cdef lf_resize_plan *plan
    cdef readonly tuple source
    cdef readonly tuple target
    cdef readonly tuple part
    cdef readonly tuple size
    cdef readonly str filter
    cdef object spare_lock  # a Lock of the .pyx
    cdef void *spare        # a scratch of spare_size bytes that no call uses now, or NULL
    cdef size_t spare_size
    cdef void *borrow_scratch(self, size_t size) except? NULL
    cdef void return_scratch(self, void *scratch, size_t size) noexcept
