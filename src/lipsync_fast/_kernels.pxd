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
    ctypedef struct lf_tone:
        float low
        float high
        int truncate
        int swap

    ctypedef struct lf_box:
        int x0
        int y0
        int x1
        int y1

    int lf_convert_f32p3_u8x3(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const float *src,
        ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int width, int height,
        const lf_tone *tone)
    int lf_convert_f32p3_u8x4(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const float *src,
        ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int width, int height,
        const lf_tone *tone)
    int lf_convert_u8x3_f32p3(
        const lf_rows *rows, float *dst, ptrdiff_t dst_stride, ptrdiff_t dst_plane_stride,
        const uint8_t *src, ptrdiff_t src_stride, int width, int height, const lf_tone *tone,
        const lf_box *black)

    # resize
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
        int src_width, int src_height, int dst_width, int dst_height, lf_resize_filter filter)
    int lf_resize_plan_init(
        lf_resize_plan *plan, size_t size, int src_width, int src_height, int dst_width,
        int dst_height, lf_resize_filter filter)
    size_t lf_resize_scratch_size(const lf_resize_plan *plan, int channels)
    int lf_resize_u8(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
        ptrdiff_t src_stride, int channels, const lf_resize_plan *plan, void *scratch,
        size_t scratch_size)

    # match
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
        lf_match_planes *planes, const uint8_t *patch, ptrdiff_t patch_stride,
        const uint8_t *background, ptrdiff_t background_stride, int width, int height, int ring)
    int lf_match_u8(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, int width, int height,
        int channels, const lf_match *match)

    # patch
    int lf_patch_f32p3_u8x3(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const float *src,
        ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int view, const lf_tone *tone,
        const lf_match *match, const uint8_t *crop, ptrdiff_t crop_stride, int border,
        const lf_resize_plan *plan, void *scratch, size_t scratch_size)
    size_t lf_patch_scratch_size(const lf_resize_plan *plan)

    # blend
    int lf_blend_u8(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, int dst_width, int dst_height,
        int dst_channels, const uint8_t *src, ptrdiff_t src_stride, int src_width,
        int src_height, int src_channels, const uint8_t *mask, ptrdiff_t mask_stride, int x,
        int y, int swap)

    # yuv
    enum lf_yuv_matrix:
        LF_BT601
        LF_BT709

    enum:
        LF_I420_MAX_SIDE

    ctypedef struct lf_i420:
        uint8_t *y
        uint8_t *u
        uint8_t *v
        ptrdiff_t y_stride
        ptrdiff_t u_stride
        ptrdiff_t v_stride
        int width
        int height

    int lf_yuv_u8x3_to_i420(
        const lf_rows *rows, const lf_i420 *dst, const uint8_t *src, ptrdiff_t src_stride,
        lf_yuv_matrix matrix, int full_range, int swap)
    int lf_yuv_i420_to_u8x3(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const lf_i420 *src,
        lf_yuv_matrix matrix, int full_range, int swap)
    int lf_yuv_i420_to_u8x4(
        const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const lf_i420 *src,
        lf_yuv_matrix matrix, int full_range, int swap)
    int lf_yuv_blend_u8x3_i420(
        const lf_rows *rows, const lf_i420 *dst, const uint8_t *patch, ptrdiff_t patch_stride,
        const uint8_t *mask, ptrdiff_t mask_stride, int x, int y, int width, int height,
        lf_yuv_matrix matrix, int full_range, int swap)

    # mel
    enum:
        LF_MEL_MAX_BINS
        LF_MEL_MAX_BANDS

    lf_status lf_mel_f64(const lf_rows *rows, float *dst, ptrdiff_t dst_stride, const double *spectrum,
                         ptrdiff_t spectrum_stride, int bins, const int32_t *edges,
                         const float *weights, int bands, int frames)


# A caller's array, checked and held for the length of a call.
cdef class Array:
    cdef Py_buffer view
    cdef bint held
    cdef str name
    # of an image or float planes, set by image_of and planes_of
    cdef int height
    cdef int width
    cdef int channels
    cdef ptrdiff_t stride        # bytes from a row to the next
    cdef ptrdiff_t plane_stride  # bytes from a float plane to the next


# Sampling positions and weights for one pair of sizes; immutable, but for its idle scratch.
cdef class ResizePlan:
    cdef lf_resize_plan *plan
    cdef readonly tuple source
    cdef readonly tuple target
    cdef readonly str filter
    cdef object spare_lock  # a Lock of the .pyx
    cdef void *spare        # a scratch of spare_size bytes that no call uses now, or NULL
    cdef size_t spare_size
    cdef void *borrow_scratch(self, size_t size) except? NULL
    cdef void return_scratch(self, void *scratch, size_t size) noexcept


cdef const lf_rows *rows_of(object isa) except NULL
cdef int check(int status) except -1
cdef Array image_of(object array, str name, bint writable=*)
cdef Array planes_of(object array, str name, bint writable=*)
cdef int need_apart(Array out, Array source) except -1


# The three checked planes of an I420 picture, held for the length of a call.
cdef class Planes:
    cdef Array y
    cdef Array u
    cdef Array v
    cdef lf_i420 i420


cdef Planes i420_of(object picture, str name, object width, object height, bint writable=*)
cdef lf_yuv_matrix matrix_of(object matrix) except *
