"""MicroBatches: the sizes that a request is cut into, and how they shrink without memory."""

import threading

import pytest

from lipsync_fast.errors import DeviceMemoryError
from lipsync_fast.nets.micro_batches import CPU_SIZES, MicroBatches
from lipsync_fast.nets.options import DeviceOptions

DEVICE = DeviceOptions().sizes


def runs_of(sizes, count):
    done, seen = [], []
    MicroBatches(sizes).run(count, lambda part, size: (done.append(size), seen.append(part)))
    assert [i for part in seen for i in range(part.start, part.stop)] == list(range(count))
    assert all(p.stop - p.start <= size for p, size in zip(seen, done, strict=True))
    return done


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []), (1, [1]), (3, [4]), (5, [4, 1]), (7, [8]), (8, [8]), (9, [8, 1]), (13, [16]),
        (17, [16, 1]), (20, [25]), (25, [25]), (26, [32]), (50, [32, 16, 2]),
    ],
)  # fmt: skip
def test_sizes_of_a_device(count, sizes):
    assert runs_of(DEVICE, count) == sizes


@pytest.mark.parametrize("count", range(130))
def test_little_idles(count):
    idle = sum(runs_of(DEVICE, count)) - count
    assert 4 * idle <= max(count, 1) * 4 / 3
    assert sum(runs_of(CPU_SIZES, count)) == count
    assert sum(runs_of([7], count)) == -(-count // 7) * 7


def test_halving():
    batches = MicroBatches(DEVICE)
    assert batches.halve(25)
    assert batches.sizes == (1, 2, 4, 8)
    assert batches.halve(32), "a thread that was slower must not bring sizes back"
    assert batches.sizes == (1, 2, 4, 8)
    assert not batches.halve(1)
    assert batches.sizes == (1, 2, 4, 8)


def test_a_run_without_memory_is_done_again(caplog):
    batches, done = MicroBatches(DEVICE), []

    def work(part, size):
        if size > 5:
            raise DeviceMemoryError(f"no memory for {size} frames at once")
        done.append((part.start, part.stop, size))

    batches.run(10, work)
    assert done == [(0, 4, 4), (4, 8, 4), (8, 10, 2)]
    assert "no memory for 8 frames at once; from now on at most 4 at once" in caplog.text
    with pytest.raises(DeviceMemoryError, match="for good"):
        MicroBatches([1]).run(1, lambda part, size: fail())


def fail():
    raise DeviceMemoryError("for good")


def test_threads_share_it():
    batches, wrong = MicroBatches(DEVICE), []

    def work(part, size):
        if size > 2:
            raise DeviceMemoryError("too large")

    def request():
        try:
            for _ in range(50):
                batches.run(25, work)
        except DeviceMemoryError as error:
            wrong.append(error)

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert batches.sizes == (1, 2)
