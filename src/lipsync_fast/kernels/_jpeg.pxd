# C declarations of the JPEG part of csrc/kernels.h.
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t

from lipsync_fast.kernels._arguments cimport Array, ExclusiveUse, lf_box, lf_image, lf_scratch


cdef extern from "kernels.h" nogil:
    enum:
        LF_ERR_MEMORY
        LF_JPEG_MAX_APP1
        LF_JPEG_MAX_REGIONS
        LF_JPEG_MAX_SIDE

    ctypedef enum lf_sampling:
        LF_420
        LF_422
        LF_444
        LF_GRAY

    ctypedef enum lf_pixels:
        LF_BGR24
        LF_RGB24
        LF_BGRA
        LF_RGBA
        LF_GRAY8

    ctypedef struct lf_jpeg_info:
        int width
        int height
        lf_sampling sampling
        int restart_interval
        int mcus_per_row
        int mcu_rows
        uint32_t segments
        uint32_t header_size
        int standard_huffman
        uint8_t quant[2][64]
        const char *problem

    ctypedef struct lf_jpeg:
        pass

    ctypedef struct lf_jpeg_background:
        const uint8_t *data
        size_t size
        const uint32_t *offsets
        uint32_t segments
        int width
        int height

    ctypedef struct lf_jpeg_region_pixels:
        int x
        int y
        lf_image image
        lf_pixels pixels

    const char *lf_jpeg_library()
    lf_jpeg *lf_jpeg_create(int quality, lf_sampling sampling, int restart_interval)
    lf_jpeg *lf_jpeg_create_like(const lf_jpeg_info *info)
    int lf_jpeg_set_app1(lf_jpeg *jpeg, const uint8_t *app1, size_t size)
    void lf_jpeg_destroy(lf_jpeg *jpeg)
    int lf_jpeg_fits(const lf_jpeg *jpeg, const lf_jpeg_info *info)
    void lf_jpeg_mcu(lf_sampling sampling, int *width, int *height)
    size_t lf_jpeg_bound(int width, int height, lf_sampling sampling)
    int lf_jpeg_encode(
        lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length, const lf_image *src,
        lf_pixels pixels)
    int lf_jpeg_read_header(const uint8_t *data, size_t size, lf_jpeg_info *info)
    int lf_jpeg_index(
        const uint8_t *data, size_t size, lf_jpeg_info *info, uint32_t *offsets, size_t room)
    int lf_jpeg_region(
        const lf_box *rect, int width, int height, lf_sampling sampling, int restart_interval,
        lf_box *region)
    int lf_jpeg_splice(
        lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
        const lf_jpeg_background *background, const lf_jpeg_region_pixels *regions, int count,
        const lf_scratch *scratch)
    int lf_jpeg_decode(const lf_image *dst, const uint8_t *data, size_t size)


cdef class JpegEncoder:
    cdef lf_jpeg *jpeg
    cdef lf_sampling sampling
    cdef ExclusiveUse in_use
    cdef bytes app1
    cdef readonly int quality
    cdef readonly int restart_interval
    cdef lf_pixels pixels_for(self, Array picture, object format) except *
    cdef size_t write(self, Array dst, Array src, lf_pixels pixels) except 0


cdef lf_sampling sampling_of(object subsampling) except *
cdef object sampling_name(lf_sampling sampling)
cdef lf_pixels pixels_of(Array image, object format) except *
cdef int check_picture(Array image) except -1
cdef int check_kind(Array image, lf_sampling sampling) except -1
cdef int check_full(int status, Array out, str enough) except -1
cdef int check_file(int status, const lf_jpeg_info *info) except -1
cdef int interval_for(object interval, int width, lf_sampling sampling) except -1
