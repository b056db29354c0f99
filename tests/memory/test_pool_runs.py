"""BufferPool over thousands of borrowings: against a model, from threads, in a forked child."""

import gc
import os
import random
import sys
import threading
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from tests.support.pools import class_size

from lipsync_fast.errors import PoolExhausted
from lipsync_fast.memory._pool import BufferPool, Lease


@pytest.fixture
def pool():
    return BufferPool()


@pytest.mark.parametrize("seed", range(4))
def test_random_use_equals_a_model(seed):
    draw = random.Random(seed)
    limit = 3 << 20
    pool = BufferPool(limit=limit)
    lent, idle = [], []  # (object, class size); class sizes
    hits = misses = refused = 0
    for step in range(3000):
        if lent and (len(lent) > 40 or draw.random() < 0.45):
            thing, capacity = lent.pop(draw.randrange(len(lent)))
            if isinstance(thing, Lease) and draw.random() < 0.5:
                thing.release()
            del thing
            idle.append(capacity)
        else:
            size = int(2 ** draw.uniform(0, 19))
            capacity = class_size(size)
            used = sum(c for _, c in lent)
            if capacity in idle:
                idle.remove(capacity)
                hits += 1
            else:
                misses += 1
                if used + capacity > limit:
                    with pytest.raises(PoolExhausted):
                        pool.empty(size)
                    refused += 1
                    continue
                for largest in sorted(idle, reverse=True):
                    if used + capacity + sum(idle) <= limit:
                        break
                    idle.remove(largest)
            thing = pool.lend(size) if draw.random() < 0.3 else pool.empty(size)[size // 2 :]
            lent.append((thing, capacity))
        if draw.random() < 0.005:
            assert pool.trim() == sum(idle)
            idle.clear()
        stats = pool.stats()
        assert (stats.hits, stats.misses) == (hits, misses), step
        assert (stats.lent, stats.lent_bytes) == (len(lent), sum(c for _, c in lent))
        assert (stats.idle, stats.bytes) == (len(idle), stats.lent_bytes + sum(idle))
        assert stats.bytes <= stats.peak <= limit
    assert hits
    assert refused


def test_threads_hammering_one_pool():
    pool = BufferPool(limit=64 << 20)
    failures = []
    handed = [[] for _ in range(4)]
    start = threading.Barrier(4)

    def work(me):
        draw = random.Random(me)
        start.wait()
        for step in range(3000):
            try:
                a = pool.empty(draw.choice([100, 5000, 70000, 300000]), "uint8")
            except PoolExhausted:
                handed[me].clear()
                continue
            stamp = (me * 64 + step) % 251
            a[:64] = stamp
            a[-1] = stamp
            other = handed[draw.randrange(4)]
            if step % 3 == 0:
                other.append((a, stamp))  # dies in whichever thread takes it
            if step % 5 == 0 and other:
                try:
                    b, expected = other.pop()
                except IndexError:
                    continue
                if int(b[0]) != expected or int(b[-1]) != expected:
                    failures.append((me, step))
            if step % 7 == 0:
                with suppress(PoolExhausted), pool.lend(1000) as c:
                    c[...] = stamp
            if int(a[0]) != stamp or int(a[-1]) != stamp:
                failures.append((me, step))
            if step % 500 == 0:
                pool.trim()
            if len(handed[me]) > 200:
                handed[me].clear()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        [t.start() for t in threads]
        [t.join() for t in threads]
    finally:
        sys.setswitchinterval(interval)
    assert not failures
    handed.clear()
    gc.collect()
    stats = pool.stats()
    assert stats.lent == stats.lent_bytes == 0
    assert stats.hits > 1000
    assert stats.peak <= 64 << 20
    assert pool.trim() == stats.bytes


def test_warm_borrowing_allocates_nothing(pool):
    pool.empty((1080, 1920, 3))
    tracemalloc.start()
    try:
        for _ in range(100):
            a = pool.empty((1080, 1920, 3))
            a[0, 0] = 1
            del a
            with pool.lend((1080, 1920, 3)) as b:
                b[0, 0] = 1
            del b
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 10
    assert pool.stats().misses == 1


def test_objects_do_not_pile_up(pool):
    def round_trip():
        for _ in range(100):
            pool.empty((5, 5), np.float32)
            with pool.lend(3):
                pass

    round_trip()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        round_trip()
    gc.collect()
    assert sys.getallocatedblocks() - before < 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_may_use_the_pool(pool):
    inherited = pool.empty(4 << 20)
    inherited[...] = 5
    child = os.fork()
    if child == 0:
        good = int(inherited[123]) == 5
        inherited[...] = 6
        good &= bool((pool.empty(4 << 20)[:10] is not None) and pool.stats().lent == 1)
        del inherited
        pool.trim()
        os._exit(0 if good and pool.stats().bytes == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert int(inherited[-1]) == 5
