# Blocks of pooled memory; the numbers of classes and bytes that there can be.
cdef extern from *:
    """
    #define LF_POOL_CLASSES 512
    #define LF_POOL_MAX_BYTES ((size_t)PTRDIFF_MAX / 2)
    """
    enum: LF_POOL_CLASSES
    const size_t LF_POOL_MAX_BYTES

# As cudaHostRegister and cudaHostUnregister are; 0 is success.
ctypedef int (*Pin)(void *data, size_t size, unsigned flags) noexcept nogil
ctypedef int (*Unpin)(void *data) noexcept nogil

cdef struct Block:
    Block *next         # in an idle list, or in a chain to be given to the system
    void *data
    size_t capacity     # bytes, a class size
    unsigned holders    # living holds of arrays, and the lease if one is open; 0 = idle
    Unpin unpin         # NULL where the memory is not pinned


cdef Block *obtain_block(size_t capacity, Pin pin, Unpin unpin) noexcept nogil
cdef void free_chain(Block *block) noexcept nogil
cdef size_t class_size(size_t size) noexcept nogil
cdef unsigned class_index(size_t capacity) noexcept nogil
cdef object checked_dtype(object dtype)
cdef tuple checked_shape(object shape)
cdef Py_ssize_t byte_size(tuple shape, object dtype) except -1
cdef size_t checked_limit(object limit) except? 0
