# C declarations of what all parts of csrc/kernels.h share.
from cpython.pythread cimport PyThread_type_lock
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport uint8_t


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
        LF_ISA_AVX512

    ctypedef struct lf_rows:
        pass

    const lf_rows *lf_rows_for(lf_isa isa)

    ctypedef struct lf_box:
        int x0
        int y0
        int x1
        int y1

    ctypedef struct lf_image:
        uint8_t *data
        ptrdiff_t stride
        int width
        int height
        int channels

    ctypedef struct lf_f32p3:
        float *data
        ptrdiff_t stride
        ptrdiff_t plane_stride
        int width
        int height

    ctypedef struct lf_scratch:
        void *data
        size_t size


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


# Which thread may use an object's scratch.
cdef class ExclusiveUse:
    cdef PyThread_type_lock lock
    cdef int take(self) except -1
    cdef void give(self) noexcept


cdef inline lf_image as_image(Array array) noexcept nogil:
    """View an array of image_of as the kernels do; valid while the array is held."""
    cdef lf_image image
    image.data, image.stride = <uint8_t *> array.view.buf, array.stride
    image.width, image.height, image.channels = array.width, array.height, array.channels
    return image


cdef inline lf_f32p3 as_f32p3(Array array) noexcept nogil:
    """View an array of planes_of as the kernels do; valid while the array is held."""
    cdef lf_f32p3 planes
    planes.data, planes.stride = <float *> array.view.buf, array.stride
    planes.plane_stride = array.plane_stride
    planes.width, planes.height = array.width, array.height
    return planes


cdef const lf_rows *rows_of(object isa) except NULL
cdef int check(int status) except -1
cdef int place_of(object value, str name) except? -1
cdef Array image_of(object array, str name, bint writable=*)
cdef Array bytes_of(object data, str name, bint writable=*)
cdef Array planes_of(object array, str name, bint writable=*)
cdef Array mask_of(object mask, Array image)
cdef void extent_of(Array array, size_t *begin, size_t *end) noexcept
cdef int need_apart(Array out, Array source) except -1
cdef bint in_place(Array out, Array source) except -1
cdef Array out_like(
    object out, tuple shape, tuple inputs, int other_channels=*, str dtype=*)
cdef Array frames_like(object out, tuple shape, tuple inputs, str dtype)
cdef object result_of(object out, Array target)
