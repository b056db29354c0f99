# cython: language_level=3, freethreading_compatible=True
"""Blocks of pooled memory: from the system and back, size classes, checks of requests."""
from cpython.number cimport PyNumber_Index
from libc.stdlib cimport free, malloc

import numpy as np

from ..errors import ArgumentTypeError, InputError, LayoutError

cdef extern from "kernels.h" nogil:
    const size_t LF_MEMORY_ALIGNMENT
    void *lf_memory_obtain(size_t size)
    void lf_memory_release(void *block, size_t size)

cdef enum:
    FOR_EVERY_DEVICE = 1    # cudaHostRegisterPortable

cdef object _dtype = np.dtype


# ---- from the system and back -----------------------------------------------------------

cdef Block *obtain_block(size_t capacity, Pin pin, Unpin unpin) noexcept nogil:
    """Return a block of a class size with one holder, or NULL if the system has no memory.

    The block is pinned if `pin` is not NULL and succeeds.
    """
    cdef Block *block = <Block *> malloc(sizeof(Block))
    if block == NULL:
        return NULL
    block.data = lf_memory_obtain(capacity)
    if block.data == NULL:
        free(block)
        return NULL
    block.capacity = capacity
    block.holders = 1
    block.unpin = NULL
    if pin != NULL and pin(block.data, capacity, FOR_EVERY_DEVICE) == 0:
        block.unpin = unpin
    return block


cdef void free_chain(Block *block) noexcept nogil:
    cdef Block *following
    while block != NULL:
        following = block.next
        if block.unpin != NULL:
            block.unpin(block.data)
        lf_memory_release(block.data, block.capacity)
        free(block)
        block = following


# ---- size classes: eight to the doubling ------------------------------------------------

cdef size_t class_size(size_t size) noexcept nogil:
    """Round `size` up to its four leading binary digits, in steps of at least 64 bytes.

    One rule for every size; from 512 bytes on it wastes less than 12.5 %.
    """
    cdef size_t step = LF_MEMORY_ALIGNMENT
    if size == 0:
        size = 1
    while size > step * 16:
        step *= 2
    return (size + step - 1) // step * step


cdef unsigned class_index(size_t capacity) noexcept nogil:
    """Return the number of a class size: eight for each doubling of its step, plus its steps."""
    cdef size_t step = LF_MEMORY_ALIGNMENT
    cdef unsigned octave = 0
    while capacity > step * 16:
        step *= 2
        octave += 1
    return octave * 8 + <unsigned> (capacity // step)


# ---- checks of requests -------------------------------------------------------------------

cdef object checked_dtype(object dtype):
    if type(dtype) is not _dtype:
        try:
            dtype = _dtype(dtype)
        except TypeError:
            raise LayoutError(f"dtype must be a NumPy dtype or its name, got {dtype!r}") from None
    if dtype.hasobject:
        raise LayoutError(
            f"dtype must be without Python objects, got {dtype}; pooled memory is not cleared"
        )
    if not dtype.isnative:
        raise LayoutError(
            f"dtype must be in the machine's byte order, got {dtype.str}; convert it first"
        )
    if dtype.subdtype is not None or dtype.itemsize == 0:
        raise LayoutError(f"dtype must be that of one element of known size, got {dtype!r}")
    return dtype


cdef tuple checked_shape(object shape):
    try:
        if isinstance(shape, (tuple, list)):
            return tuple([PyNumber_Index(length) for length in shape])
        return (PyNumber_Index(shape),)
    except TypeError:
        raise ArgumentTypeError(
            f"shape must be an integer or a tuple of integers, got {shape!r}"
        ) from None


cdef Py_ssize_t byte_size(tuple shape, object dtype) except -1:
    """Return the bytes of an array; reject one that NumPy or the address space cannot hold."""
    cdef size_t size = dtype.itemsize
    cdef size_t length
    cdef bint empty = False
    if len(shape) > 32:
        raise InputError(f"shape must have at most 32 axes, got {len(shape)}")
    for number in shape:
        if number < 0:
            raise InputError(f"shape must have no negative length, got {shape}")
        if number > <object> LF_POOL_MAX_BYTES:
            raise InputError(f"shape {shape} of {dtype} is more than memory can hold")
        length = number
        if length == 0:
            empty = True
        elif size > LF_POOL_MAX_BYTES // length:
            raise InputError(f"shape {shape} of {dtype} is more than memory can hold")
        else:
            size *= length
    return 0 if empty else <Py_ssize_t> size


cdef size_t checked_limit(object limit) except? 0:
    """Return the bytes of a limit; None is the largest number."""
    if limit is None:
        return <size_t> -1
    try:
        limit = PyNumber_Index(limit)
    except TypeError:
        raise ArgumentTypeError(
            f"limit must be a number of bytes or None, got {limit!r}"
        ) from None
    if limit < 0:
        raise InputError(f"limit must not be negative, got {limit}")
    return limit if limit < <object> LF_POOL_MAX_BYTES else LF_POOL_MAX_BYTES
