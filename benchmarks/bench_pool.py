"""Borrowing and dropping a block, beside numpy.empty: alone, and with every page written."""

import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast.memory._pool import BufferPool

SHAPES = {
    "720p": (720, 1280, 3),
    "1080p": (1080, 1920, 3),
    "1440p bgra": (1440, 2560, 4),
    "net": (4, 3, 320, 320),
}


def sources():
    pool = BufferPool()

    def lend(shape, dtype):
        with pool.lend(shape, dtype) as array:
            return array

    return {
        "pool.empty": (pool.empty, pool),
        "pool.lend": (lend, pool),
        "numpy.empty": (np.empty, None),
    }


def check(make, pool, shape, dtype):
    """Assert the requested shape and dtype, and a pool hit from the second time on."""
    for _ in range(2):
        array = make(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        del array
    if pool:
        assert (pool.stats().misses, pool.stats().lent) == (1, 0)


@pytest.mark.parametrize("source", sources())
@pytest.mark.parametrize("size", SHAPES)
def test_borrow_and_let_die(benchmark, size, source):
    benchmark.group = f"pool: borrow {size}"
    make, pool = sources()[source]
    shape, dtype = SHAPES[size], np.dtype("float32" if size == "net" else "uint8")
    check(make, pool, shape, dtype)
    time_it(benchmark, lambda: make(shape, dtype))
    if pool:
        benchmark.extra_info["misses"] = pool.stats().misses


@pytest.mark.parametrize("source", sources())
@pytest.mark.parametrize("size", SHAPES)
def test_borrow_and_write_a_batch(benchmark, size, source):
    """Write a byte of each page of four live arrays, to see the true cost of fresh memory."""
    benchmark.group = f"pool: write 4 x {size}"
    make, pool = sources()[source]
    shape, dtype = SHAPES[size], np.dtype("float32" if size == "net" else "uint8")
    check(make, pool, shape, dtype)

    def batch():
        arrays = [make(shape, dtype) for _ in range(4)]
        for array in arrays:
            array.reshape(-1).view(np.uint8)[::4096] = 1
        return arrays

    assert all(array.shape == shape for array in batch())
    time_it(benchmark, batch)
