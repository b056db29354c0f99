"""patch beside its two steps, and beside SyncTalk_2D's script with NumPy and OpenCV."""

import cv2
import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast import kernels

VIEW, BORDER, SIZE = 320, 4, (182, 185)
SIDE = VIEW + 2 * BORDER
GROUP = "patch 3x320x320 float32 into a 328 crop, bicubic to 182x185"


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(5)
    return rng.random((3, VIEW, VIEW), np.float32), rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def plan():
    return kernels.ResizePlan((SIDE, SIDE), SIZE, "bicubic")


def peer(planar, crop):
    whole = crop.copy()
    whole[BORDER:-BORDER, BORDER:-BORDER] = np.array(planar.transpose(1, 2, 0) * 255, np.uint8)
    return cv2.resize(whole, SIZE, interpolation=cv2.INTER_CUBIC)


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_patch(benchmark, inputs, plan, isa):
    out = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    kernels.patch(inputs[0], plan, inputs[1], out, isa=isa)
    assert np.abs(out.astype(np.int16) - peer(*inputs)).max() <= 1
    time_it(
        benchmark,
        lambda: kernels.patch(inputs[0], plan, inputs[1], out, isa=isa),
        touched=inputs[0].nbytes + out.nbytes,
    )


@pytest.mark.benchmark(group=GROUP)
def test_two_steps(benchmark, inputs, plan):
    planar, crop = inputs
    whole, out = np.empty_like(crop), np.empty((SIZE[1], SIZE[0], 3), np.uint8)

    def steps():
        whole[...] = crop
        kernels.convert(planar, whole[BORDER:-BORDER, BORDER:-BORDER])
        plan.resize(whole, out)

    steps()
    np.testing.assert_array_equal(out, kernels.patch(planar, plan, crop))
    time_it(benchmark, steps)


@pytest.mark.benchmark(group=GROUP)
def test_peer(benchmark, inputs):
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        time_it(benchmark, lambda: peer(*inputs))
    finally:
        cv2.setNumThreads(before)
