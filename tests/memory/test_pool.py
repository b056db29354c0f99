"""BufferPool: who holds a block, when it comes back, what the limit does, what it costs."""

import ctypes
import gc
import os
import random
import sys
import threading

import numpy as np
import pytest
from tests.support.pools import class_size

from lipsync_fast.errors import ArgumentTypeError, InputError, LayoutError, PoolExhausted
from lipsync_fast.memory._pool import BufferPool, Lease, PoolStats, default_pool

FRAMES = [(720, 1280, 3), (1080, 1920, 3), (1440, 2560, 4), (271, 483, 3), (1081, 1919, 4)]


@pytest.fixture
def pool():
    return BufferPool()


# ---- blocks -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", FRAMES)
def test_an_array_is_empty_like_and_aligned(pool, shape):
    a = pool.empty(shape, "uint8")
    assert a.shape == shape
    assert a.dtype == np.uint8
    assert a.flags.c_contiguous
    assert a.flags.writeable
    assert a.flags.aligned
    assert a.ctypes.data % (2 << 20 if a.nbytes > 2 << 20 else 64) == 0
    a[...] = 7
    assert int(a.sum(dtype=np.int64)) == 7 * a.size


@pytest.mark.parametrize("size", [1, 63, 64, 65, 4095, 65537, 2097151, 2097152, 2097153, 6220800])
def test_every_size_is_aligned_and_wastes_an_eighth_at_most(pool, size):
    a = pool.empty(size)
    held = pool.stats().bytes
    assert held == class_size(size)
    assert size <= held < max(size * 1.125, size + 64)
    assert a.ctypes.data % (2 << 20 if held >= 2 << 20 else 64) == 0


def test_class_sizes_hold_for_random_sizes(pool):
    draw = random.Random(5)
    for _ in range(300):
        size = int(2 ** draw.uniform(0, 23))
        a = pool.empty(size)
        assert pool.stats().lent_bytes == class_size(size)
        a[-1] = 1
        del a
        pool.trim()


def test_large_blocks_were_touched_once(pool):
    resource = pytest.importorskip("resource")
    a = pool.empty(32 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    a[::4096] = 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 100


def test_a_dead_array_is_lent_again(pool):
    a = pool.empty((1080, 1920, 3))
    address = a.ctypes.data
    del a
    b = pool.empty((1080, 1919, 3))  # another size of the same class
    assert b.ctypes.data == address
    stats = pool.stats()
    assert (stats.hits, stats.misses, stats.lent, stats.idle) == (1, 1, 1, 0)
    assert stats.bytes == stats.peak == stats.lent_bytes == class_size(b.nbytes)
    assert stats.served_bytes == 1080 * 1920 * 3 + 1080 * 1919 * 3


def test_living_arrays_never_share_memory(pool):
    arrays = [pool.empty(1000, "float32") for _ in range(50)]
    for i, a in enumerate(arrays):
        a[...] = i
    assert [set(a.tolist()) for a in arrays] == [{float(i)} for i in range(50)]


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[1:2, ::-1],
        lambda a: a.reshape(-1)[5:6],
        lambda a: a.T,
        lambda a: a.view(np.uint16),
        lambda a: np.asarray(a, copy=False)[0],
        lambda a: memoryview(a),
        lambda a: np.frombuffer(a, np.uint8),
        lambda a: memoryview(a[2:3])[0:1],
        lambda a: a[0, 0, ...].base,
        lambda a: np.broadcast_to(a, (2, *a.shape)),
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=0),
        lambda a: a.flat,
        lambda a: a.__array_interface__ and np.from_dlpack(a),
    ],
)
def test_any_view_keeps_the_block(pool, view):
    a = pool.empty((4, 6, 8))
    kept = view(a)
    del a
    gc.collect()
    assert pool.stats().lent == 1
    b = pool.empty((4, 6, 8))
    assert pool.stats().misses == 2
    del b, kept
    gc.collect()
    assert pool.stats().lent == 0
    assert pool.stats().idle == 2


def test_a_cycle_returns_its_block_when_collected(pool):
    class Node:
        pass

    node = Node()
    node.array = pool.empty(100)
    node.itself = node
    del node
    assert pool.stats().lent == 1
    gc.collect()
    assert pool.stats().lent == 0


def test_a_view_may_die_in_another_thread(pool):
    box = [pool.empty((720, 1280, 3))[10:20]]
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert pool.stats().lent == 0


def test_arrays_outlive_their_pool():
    pool = BufferPool()
    small, large = pool.empty(1000), pool.empty(4 << 20)
    lease = pool.lend(100, "float32")
    idle = pool.empty(3 << 20)
    del idle, pool
    gc.collect()
    small[...] = 1
    large[...] = 2
    lease.array[...] = 3
    assert int(small.sum()) == 1000
    assert int(large.sum(dtype=np.int64)) == 2 * (4 << 20)
    assert float(lease.array.sum()) == 300
    lease.release()


def test_memory_of_a_dropped_pool_goes_back_to_the_system():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    before = resident()
    for _ in range(20):
        pool = BufferPool()
        survivor = pool.empty(16 << 20)
        pool.empty(16 << 20)
        del pool, survivor
    assert resident() - before < 64 << 20


# ---- shapes and dtypes --------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), 0, (0,), (3, 0, 5), (0, 1 << 59), 5, np.int64(5), [2, 3]])
def test_shapes_as_numpy_takes_them(pool, shape):
    a = pool.empty(shape, "float32")
    assert a.shape == (tuple(shape) if isinstance(shape, tuple | list) else (shape,))
    assert a.dtype == np.float32
    del a
    assert pool.stats().lent == 0


@pytest.mark.parametrize(
    "dtype", ["float16", "int64", "complex64", "bool", np.float32, np.dtype("S5"), "u1,f4"]
)
def test_dtypes(pool, dtype):
    a = pool.empty((3, 5), dtype)
    assert a.dtype == np.dtype(dtype)
    assert a.shape == (3, 5)


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "says"),
    [
        ((2, -1), "uint8", InputError, "no negative length"),
        ((1 << 40, 1 << 40), "uint8", InputError, "more than memory"),
        ((1 << 62, 2), "uint8", InputError, "more than memory"),
        ((1 << 61,), "float64", InputError, "more than memory"),
        ((1 << 70,), "uint8", InputError, "more than memory"),
        ((0, 1 << 62, 1 << 62), "uint8", InputError, "more than memory"),
        ((1,) * 33, "uint8", InputError, "32 axes"),
        ((2.0, 3), "uint8", ArgumentTypeError, "integers"),
        ("12", "uint8", ArgumentTypeError, "integers"),
        (None, "uint8", ArgumentTypeError, "integers"),
        ((2,), object, LayoutError, "Python objects"),
        ((2,), [("a", object)], LayoutError, "Python objects"),
        ((2,), np.dtype("float32").newbyteorder(), LayoutError, "byte order"),
        ((2,), "no such", LayoutError, "dtype must be"),
        ((2,), "U", LayoutError, "known size"),
        ((2,), np.dtype(("u1", (2,))), LayoutError, "known size"),
    ],
)
@pytest.mark.parametrize("call", ["empty", "lend"])
def test_what_cannot_be_pooled(pool, call, shape, dtype, error, says):
    with pytest.raises(error, match=says):
        getattr(pool, call)(shape, dtype)
    assert pool.stats().lent == pool.stats().bytes == 0


def test_more_than_the_system_has(pool):
    with pytest.raises(PoolExhausted, match="the system has no memory"):
        pool.empty(1 << 58)
    stats = pool.stats()
    assert (stats.lent, stats.bytes, stats.served_bytes) == (0, 0, 0)


# ---- leases -------------------------------------------------------------------------------


def test_a_lease_gives_its_array_and_ends(pool):
    lease = pool.lend((2, 3), "float32")
    assert isinstance(lease, Lease)
    assert (lease.shape, lease.dtype, lease.nbytes) == ((2, 3), np.dtype("float32"), 24)
    a = lease.array
    a[...] = 4
    assert (lease.array == 4).all()
    with pytest.raises(BufferError, match="views of the leased array are alive"):
        lease.release()
    assert pool.stats().lent == 1
    row = a[0]
    del a
    with pytest.raises(BufferError):
        lease.release()
    del row
    lease.release()
    lease.release()
    assert pool.stats().lent == 0
    with pytest.raises(InputError, match="the lease was released"):
        lease.array  # noqa: B018
    assert "released" in repr(lease)


def test_a_lease_without_array_can_be_released_at_once(pool):
    lease = pool.lend(10)
    lease.release()
    assert (pool.stats().lent, pool.stats().idle) == (0, 1)


def test_a_dead_lease_returns_its_block(pool):
    lease = pool.lend(10)
    a = lease.array
    del lease
    assert pool.stats().lent == 1
    del a
    assert pool.stats().lent == 0


def test_leaving_a_with_block_never_raises(pool):
    with pool.lend((4, 4)) as a:
        a[...] = 1
        kept = a[1]
    del a
    assert pool.stats().lent == 1
    assert kept.tolist() == [1, 1, 1, 1]
    del kept
    assert pool.stats().lent == 0


def test_leaving_returns_at_once_when_no_view_lives(pool):
    lease = pool.lend(10)
    with lease as a:
        a[0] = 1
        del a
    assert pool.stats().lent == 0
    with pytest.raises(InputError):
        lease.__enter__()


def test_an_exception_passes_through_a_with_block(pool):
    with pytest.raises(ZeroDivisionError), pool.lend(10):
        raise ZeroDivisionError
    gc.collect()
    assert pool.stats().lent == 0


def test_released_twice_by_two_threads_returns_once(pool):
    for _ in range(200):
        lease = pool.lend(100)
        barrier = threading.Barrier(2)

        def release(lease=lease, barrier=barrier):
            barrier.wait()
            lease.release()

        threads = [threading.Thread(target=release) for _ in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert (pool.stats().lent, pool.stats().idle) == (0, 1)


def test_only_a_pool_makes_leases():
    with pytest.raises(ArgumentTypeError, match=r"BufferPool\.lend"):
        Lease()
    with pytest.raises(ArgumentTypeError, match="made by BufferPool"):
        type(default_pool().empty(1).base)()


# ---- limit and trim -----------------------------------------------------------------------


def test_at_the_limit_idle_blocks_go_first_then_it_is_exhausted():
    pool = BufferPool(limit=10 << 20)
    a = pool.empty(4 << 20)
    b = pool.empty(4 << 20)
    with pytest.raises(PoolExhausted, match=r"8388608 of its limit of 10485760 bytes"):
        pool.empty(4 << 20)
    del b
    assert pool.stats().idle == 1
    c = pool.empty(6 << 20)  # takes the place of the idle 4 MiB
    stats = pool.stats()
    assert (stats.idle, stats.lent, stats.trimmed, stats.bytes) == (0, 2, 1, 10 << 20)
    del a
    with pytest.raises(MemoryError):
        pool.empty(8 << 20)
    assert pool.stats().idle == 1, "a request that cannot fit must not throw idle blocks away"
    del c
    pool.empty(8 << 20)
    assert pool.stats().peak <= 10 << 20


def test_a_lowered_limit_trims_now_and_at_each_return():
    pool = BufferPool()
    arrays = [pool.empty(1 << 20) for _ in range(4)]
    del arrays[0]
    pool.limit = 2 << 20
    assert pool.limit == 2 << 20
    assert (pool.stats().idle, pool.stats().lent) == (0, 3)
    arrays.pop()
    assert (pool.stats().idle, pool.stats().lent) == (0, 2)
    arrays.pop()
    assert (pool.stats().idle, pool.stats().lent) == (1, 1)
    pool.limit = None
    assert pool.limit is None
    pool.empty(64 << 20)


@pytest.mark.parametrize(
    ("limit", "error"), [(-1, InputError), (1.5, ArgumentTypeError), ("1", ArgumentTypeError)]
)
def test_limits_that_are_none(limit, error):
    with pytest.raises(error, match="limit must"):
        BufferPool(limit=limit)
    with pytest.raises(error, match="limit must"):
        BufferPool().limit = limit


def test_a_limit_of_zero_lends_nothing():
    with pytest.raises(PoolExhausted):
        BufferPool(limit=0).empty(1)


def test_trim_gives_back_what_idles(pool):
    a = pool.empty(1 << 20)
    pool.empty(3 << 20)
    pool.empty(100)
    assert pool.trim() == (3 << 20) + 128
    assert pool.stats().bytes == a.nbytes
    assert pool.trim() == 0
    a[...] = 1


def test_stats_are_frozen_and_repr_tells(pool):
    stats = pool.stats()
    assert isinstance(stats, PoolStats)
    with pytest.raises(AttributeError):
        stats.hits = 1
    assert repr(pool) == "<BufferPool: 0 lent, 0 idle, 0 MiB held, limit none>"
    assert default_pool() is default_pool()


# ---- pinned memory --------------------------------------------------------------------------


class _Pins:
    """C functions of the shape of cudaHostRegister and cudaHostUnregister that keep a record."""

    def __init__(self, code=0):
        self.held, self.most = {}, 0

        def register(address, size, flags):
            assert flags == 1, "it must be pinned for every device"
            if not code:
                self.held[address] = size
                self.most = max(self.most, len(self.held))
            return code

        self.functions = (
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)(
                register
            ),
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
                lambda address: self.held.pop(address) * 0
            ),
        )

    @property
    def addresses(self):
        return tuple(ctypes.cast(f, ctypes.c_void_p).value for f in self.functions)


def test_blocks_are_pinned_from_first_to_last():
    pins = _Pins()
    pool = BufferPool(pin=pins.addresses)
    a = pool.empty(5000)
    assert pins.held == {a.ctypes.data: pool.stats().bytes}
    view, b = a[10:], pool.empty(5000)
    assert len(pins.held) == 2
    del a, view
    assert len(pins.held) == 2, "an idle block stays pinned"
    c = pool.empty(5000)
    assert pins.most == 2, "a block that is lent again is not registered again"
    del c
    pool.trim()
    assert pins.held == {b.ctypes.data: pool.stats().bytes}
    del pool
    b[...] = 1
    del b
    gc.collect()
    assert pins.held == {}


def test_memory_that_cannot_be_pinned_is_used_as_it_is():
    pins = _Pins(code=2)
    pool = BufferPool(pin=pins.addresses)
    pool.empty(5000)[...] = 1
    pool.trim()
    assert pool.stats().trimmed == 1
    assert pins.held == {}
