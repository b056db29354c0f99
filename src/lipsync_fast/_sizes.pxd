# Sizes of pooled arrays; the numbers of classes and bytes that there can be.
cdef extern from "kernels.h" nogil:
    const size_t LF_MEMORY_ALIGNMENT

cdef extern from *:
    """
    #define LF_POOL_CLASSES 512
    #define LF_POOL_MAX_BYTES ((size_t)PTRDIFF_MAX / 2)
    """
    enum: LF_POOL_CLASSES
    const size_t LF_POOL_MAX_BYTES


cdef size_t class_size(size_t size) noexcept nogil
cdef unsigned class_index(size_t capacity) noexcept nogil
cdef object checked_dtype(object dtype)
cdef tuple checked_shape(object shape)
cdef Py_ssize_t byte_size(tuple shape, object dtype) except -1
cdef size_t checked_limit(object limit) except? 0
