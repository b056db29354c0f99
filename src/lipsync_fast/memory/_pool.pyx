# cython: language_level=3, freethreading_compatible=True, embedsignature=False
"""BufferPool: arrays whose memory comes back to a pool when their last view dies.

A block is lent through a `_Hold`, the object that NumPy keeps as the base of the array and
of every view derived from it. When the last of them dies, the hold dies, and its block goes to
the idle list of its size class. All bookkeeping is C data under one lock per pool. While the
lock is held, no Python object is made or freed and the system is not called: garbage collection
can never re-enter it, and a thread waits for it for nanoseconds.
"""
cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint64_t, uintptr_t

from lipsync_fast.memory._blocks cimport (
    LF_POOL_CLASSES,
    Block,
    Pin,
    Unpin,
    byte_size,
    checked_dtype,
    checked_limit,
    checked_shape,
    class_index,
    class_size,
    free_chain,
    obtain_block,
)

import numpy as np

from ..errors import ArgumentTypeError, InputError, PoolExhausted
from .stats import PoolStats

cdef object _ndarray = np.ndarray


@cython.final
@cython.no_gc
@cython.internal
cdef class _Store:
    """The part of a BufferPool that outlives it: idle lists and counts, shared with all holds."""

    cdef cython.pymutex lock
    cdef Block *idle[LF_POOL_CLASSES]
    cdef Pin pin                # NULL: memory stays as the system gives it
    cdef Unpin unpin
    cdef bint closed            # the BufferPool is gone: returning blocks go to the system
    cdef size_t limit
    cdef size_t lent_bytes
    cdef size_t idle_bytes
    cdef size_t peak
    cdef size_t lent
    cdef size_t idle_count
    cdef uint64_t hits
    cdef uint64_t misses
    cdef uint64_t trimmed
    cdef uint64_t served_bytes

    def __dealloc__(self):
        free_chain(self.unlink_idle(0))

    # The functions named *_locked are called with the lock held.

    cdef Block *unlink_locked(self, size_t keep) noexcept nogil:
        """Take idle blocks, largest first, out of the lists until at most `keep` bytes idle."""
        cdef Block *chain = NULL
        cdef Block *block
        cdef int index = LF_POOL_CLASSES - 1
        while index >= 0 and self.idle_bytes > keep:
            block = self.idle[index]
            if block == NULL:
                index -= 1
                continue
            self.idle[index] = block.next
            self.idle_bytes -= block.capacity
            self.idle_count -= 1
            self.trimmed += 1
            block.next = chain
            chain = block
        return chain

    cdef Block *unlink_idle(self, size_t keep) noexcept nogil:
        cdef Block *chain
        with self.lock:
            chain = self.unlink_locked(keep)
        return chain

    cdef Block *set_limit(self, size_t limit) noexcept nogil:
        """Set the limit and return the idle blocks above it."""
        cdef Block *chain
        with self.lock:
            self.limit = limit
            chain = self.unlink_locked(limit - self.lent_bytes if limit > self.lent_bytes else 0)
        return chain

    cdef Block *take_idle(
        self, size_t size, size_t capacity, Block **surplus, bint *exhausted
    ) noexcept nogil:
        """Return an idle block with one holder, or NULL; reserve bytes unless `exhausted`."""
        cdef unsigned index = class_index(capacity)
        cdef Block *block
        surplus[0] = NULL
        exhausted[0] = False
        with self.lock:
            block = self.idle[index]
            if block != NULL:
                self.idle[index] = block.next
                self.idle_bytes -= capacity
                self.idle_count -= 1
                self.hits += 1
                block.holders = 1
            else:
                self.misses += 1
                if self.lent_bytes > self.limit or capacity > self.limit - self.lent_bytes:
                    exhausted[0] = True
                elif self.idle_bytes > self.limit - self.lent_bytes - capacity:
                    surplus[0] = self.unlink_locked(self.limit - self.lent_bytes - capacity)
            if not exhausted[0]:
                self.lent += 1
                self.lent_bytes += capacity
                self.served_bytes += size
                if self.lent_bytes + self.idle_bytes > self.peak:
                    self.peak = self.lent_bytes + self.idle_bytes
        return block

    cdef void unreserve(self, size_t size, size_t capacity) noexcept nogil:
        with self.lock:
            self.lent -= 1
            self.lent_bytes -= capacity
            self.served_bytes -= size

    cdef Block *take(self, size_t size) except NULL:
        """Return a block of at least `size` bytes with one holder."""
        cdef size_t capacity = class_size(size)
        cdef Block *surplus
        cdef bint exhausted
        cdef Block *block = self.take_idle(size, capacity, &surplus, &exhausted)
        cdef size_t lent, limit
        if block != NULL:
            return block
        if exhausted:
            with self.lock:
                lent, limit = self.lent_bytes, self.limit
            raise PoolExhausted(
                f"the pool cannot lend {capacity} bytes: {lent} of its limit of {limit} bytes "
                "are lent; raise the limit or release arrays"
            )
        with nogil:
            free_chain(surplus)
            block = obtain_block(capacity, self.pin, self.unpin)
        if block == NULL:
            self.unreserve(size, capacity)
            raise PoolExhausted(f"the system has no memory for a block of {capacity} bytes")
        return block

    # A lease's `released` is read and written under the lock as well: taking the lock may release
    # the GIL, so nothing that was read before still holds.

    cdef bint hold(self, Block *block, const bint *released) noexcept nogil:
        """Add a holder; return False if the lease is over and the block no longer its own."""
        with self.lock:
            if released[0]:
                return False
            block.holders += 1
        return True

    cdef bint drop(self, Block *block, bint only_last, bint *released) noexcept nogil:
        """Remove a holder; after the last the block is idle again.

        With `only_last`, a block that others hold stays as it is. `released`, unless NULL, is set
        once the holder is removed; if it is set already, nothing happens. Return whether the
        holder is gone.
        """
        cdef Block *chain = NULL
        cdef unsigned index
        with self.lock:
            if released != NULL and released[0]:
                return True
            if only_last and block.holders != 1:
                return False
            if released != NULL:
                released[0] = True
            index = class_index(block.capacity)
            block.holders -= 1
            if block.holders == 0:
                self.lent -= 1
                self.lent_bytes -= block.capacity
                if self.closed or self.lent_bytes + self.idle_bytes + block.capacity > self.limit:
                    block.next = NULL
                    chain = block
                else:
                    block.next = self.idle[index]
                    self.idle[index] = block
                    self.idle_bytes += block.capacity
                    self.idle_count += 1
        free_chain(chain)
        return True

    cdef void close(self) noexcept nogil:
        with self.lock:
            self.closed = True
        free_chain(self.unlink_idle(0))


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class _Hold:
    """One holder of a block: base of an array and of all its views."""

    cdef _Store store
    cdef Block *block
    cdef Py_ssize_t size

    def __init__(self):
        raise ArgumentTypeError("holds are made by BufferPool.empty and Lease.array")

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.block == NULL:
            raise BufferError("this hold was not made by a BufferPool and has no memory")
        PyBuffer_FillInfo(buffer, self, self.block.data, self.size, 0, flags)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        if self.block != NULL:
            self.store.drop(self.block, False, NULL)


cdef object _array_over(_Store store, Block *block, Py_ssize_t size, object shape, object dtype):
    """Make an array over a block; take over one holder of it, even when this raises."""
    cdef _Hold hold
    try:
        hold = _Hold.__new__(_Hold)
    except MemoryError:
        store.drop(block, False, NULL)
        raise
    hold.store = store
    hold.block = block
    hold.size = size
    return _ndarray(shape, dtype, hold)


@cython.final
@cython.no_gc
cdef class Lease:
    """A pooled buffer lent out until `release()`, the end of a ``with`` block, or its death.

    Made by `BufferPool.lend`. As a context manager it gives the array; leaving never raises,
    and the block returns to the pool once the last view of the array is dead as well.
    """

    cdef _Store store
    cdef Block *block
    cdef bint released
    cdef Py_ssize_t size
    cdef readonly tuple shape
    cdef readonly object dtype

    def __cinit__(self, _Store store=None, tuple shape=None, dtype=None, Py_ssize_t size=0):
        if store is None:
            raise ArgumentTypeError("leases are made by BufferPool.lend")
        self.store, self.shape, self.dtype, self.size = store, shape, dtype, size
        self.block = store.take(size)

    cdef bint end(self, bint only_last) noexcept:
        """Give the lease's own hold back, once; return whether the lease is over."""
        return self.store.drop(self.block, only_last, &self.released)

    def __dealloc__(self):
        if self.block != NULL:
            self.end(False)

    @property
    def array(self):
        """A new view of the memory: a C-contiguous array, uninitialised at first.

        Raises
        ------
        InputError
            The lease has been released.
        """
        if not self.store.hold(self.block, &self.released):
            raise InputError("the lease was released; lend a new one")
        return _array_over(self.store, self.block, self.size, self.shape, self.dtype)

    @property
    def nbytes(self):
        """Bytes of the array."""
        return self.size

    def release(self):
        """Return the block to the pool now; a second call does nothing.

        Raises
        ------
        BufferError
            Views of the array are alive. The lease stays open.
        """
        if not self.end(True):
            raise BufferError(
                "views of the leased array are alive; delete them first, or let the lease end "
                "with them"
            )

    def __enter__(self):
        return self.array

    def __exit__(self, *exception):
        self.end(False)

    def __repr__(self):
        cdef bint released
        with self.store.lock:
            released = self.released
        return f"<Lease of {self.shape} {self.dtype}{', released' if released else ''}>"


@cython.final
@cython.no_gc
cdef class BufferPool:
    """Memory for frames and tensors that is requested from the system once, then reused.

    Blocks come in size classes, eight to the doubling, so that any frame size wastes less than
    12.5 %. They are aligned to 64 bytes; from 2 MiB on to 2 MiB, on huge pages where the
    system has them, with each page touched once. Threads may share a pool, and arrays may
    die in any thread. The pool never waits for a block. Arrays outlive their pool: after it,
    each block goes back to the system with its last view. A forked child has its own copy of
    the pool and may use it; on free-threaded Python, fork only while no other thread runs.

    Parameters
    ----------
    limit : int, optional
        Most bytes to hold, lent and idle, counted at class sizes. At the limit idle blocks go back
        to the system; if that does not suffice, `PoolExhausted` is raised. Default: no limit.
    pin : (int, int), optional
        Addresses of the C functions that pin a block for a device's copies and unpin it, as
        cudaHostRegister and cudaHostUnregister do. A block that they refuse is used unpinned.

    Examples
    --------
    >>> pool = BufferPool(limit=512 << 20)
    >>> pool.empty((4, 3, 320, 320), "float32").shape
    (4, 3, 320, 320)
    >>> pool.stats().lent
    0
    """

    cdef _Store store
    cdef object __weakref__

    def __cinit__(self, *, limit=None, pin=None):
        self.store = _Store.__new__(_Store)
        self.store.limit = checked_limit(limit)
        if pin is not None:
            self.store.pin = <Pin> <uintptr_t> pin[0]
            self.store.unpin = <Unpin> <uintptr_t> pin[1]

    def __dealloc__(self):
        if self.store is not None:
            self.store.close()

    def empty(self, shape, dtype="uint8"):
        """Return an uninitialised C-contiguous array on pooled memory, as `numpy.empty` does.

        Its block returns to the pool when the array and all views of it are dead.

        Parameters
        ----------
        shape : int or tuple of int
        dtype : numpy.dtype or its name
            Of the machine's byte order and without Python objects.

        Returns
        -------
        numpy.ndarray
            Fresh; aligned to 64 bytes, from 2 MiB on to 2 MiB.

        Raises
        ------
        ArgumentTypeError
            A shape that is not made of integers.
        LayoutError
            A dtype that cannot be pooled.
        InputError
            A negative length, or more bytes than an address can reach.
        PoolExhausted
            The limit is reached and nothing idles, or the system has no memory.
        """
        dtype = checked_dtype(dtype)
        cdef tuple lengths = checked_shape(shape)
        cdef Py_ssize_t size = byte_size(lengths, dtype)
        return _array_over(self.store, self.store.take(size), size, lengths, dtype)

    def lend(self, shape, dtype="uint8"):
        """Lend an uninitialised array, for memory with a clear end.

        Parameters
        ----------
        shape : int or tuple of int
        dtype : numpy.dtype or its name

        Returns
        -------
        Lease
            With `array` and `release()`; in a ``with`` statement it gives the array.

        Raises
        ------
        ArgumentTypeError, LayoutError, InputError, PoolExhausted
            As `empty`.
        """
        dtype = checked_dtype(dtype)
        cdef tuple lengths = checked_shape(shape)
        cdef Py_ssize_t size = byte_size(lengths, dtype)
        return Lease.__new__(Lease, self.store, lengths, dtype, size)

    def trim(self):
        """Return all idle blocks to the system.

        Returns
        -------
        int
            Bytes that were returned.
        """
        cdef Block *chain = self.store.unlink_idle(0)
        cdef Block *block = chain
        cdef size_t size = 0
        while block != NULL:
            size += block.capacity
            block = block.next
        with nogil:
            free_chain(chain)
        return size

    @property
    def limit(self):
        """Most bytes to hold, or None; lowering it returns idle blocks above it to the system."""
        cdef size_t limit
        with self.store.lock:
            limit = self.store.limit
        return None if limit == <size_t> -1 else limit

    @limit.setter
    def limit(self, limit):
        cdef Block *chain = self.store.set_limit(checked_limit(limit))
        with nogil:
            free_chain(chain)

    def stats(self):
        """Return the counts of this pool so far.

        Returns
        -------
        PoolStats
        """
        cdef _Store store = self.store
        cdef size_t lent, lent_bytes, idle, held, peak, limit
        cdef uint64_t hits, misses, trimmed, served
        with store.lock:
            hits, misses, peak, limit = store.hits, store.misses, store.peak, store.limit
            lent, lent_bytes, idle = store.lent, store.lent_bytes, store.idle_count
            held = lent_bytes + store.idle_bytes
            trimmed, served = store.trimmed, store.served_bytes
        return PoolStats(
            hits=hits,
            misses=misses,
            lent=lent,
            lent_bytes=lent_bytes,
            idle=idle,
            bytes=held,
            peak=peak,
            trimmed=trimmed,
            served_bytes=served,
            limit=None if limit == <size_t> -1 else limit,
        )

    def __repr__(self):
        stats = self.stats()
        limit = "none" if stats.limit is None else f"{stats.limit >> 20} MiB"
        return (
            f"<BufferPool: {stats.lent} lent, {stats.idle} idle, {stats.bytes >> 20} MiB held, "
            f"limit {limit}>"
        )


_default = BufferPool()


def default_pool():
    """Return the process's pool, without a limit, that calls use by default.

    Returns
    -------
    BufferPool
    """
    return _default
