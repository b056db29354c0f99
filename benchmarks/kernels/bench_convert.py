"""convert and to_planes beside what a user would write in NumPy and OpenCV."""

import cv2
import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast import kernels

SIDE = 320


@pytest.fixture(scope="module")
def planar():
    return np.random.default_rng(1).random((3, SIDE, SIDE), np.float32)


@pytest.fixture(scope="module")
def crop():
    return np.random.default_rng(2).integers(0, 256, (328, 328, 3), np.uint8)


@pytest.mark.benchmark(group="convert 3x320x320 float32 to bgr24")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_convert(benchmark, planar, isa):
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    kernels.convert(planar, out, isa=isa)
    np.testing.assert_array_equal(out, (planar.transpose(1, 2, 0) * 255).astype(np.uint8))
    time_it(
        benchmark,
        lambda: kernels.convert(planar, out, isa=isa),
        touched=planar.nbytes + out.nbytes,
    )


@pytest.mark.benchmark(group="convert 3x320x320 float32 to bgr24")
def test_peer_convert(benchmark, planar):
    """Do as SyncTalk_2D's script, which then writes the pixels into its crop."""
    out = np.empty((SIDE, SIDE, 3), np.uint8)

    def peer():
        out[...] = np.array(planar.transpose(1, 2, 0) * 255, dtype=np.uint8)

    time_it(benchmark, peer)


@pytest.mark.benchmark(group="visual input 6x320x320 from a crop")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_to_planes(benchmark, crop, isa):
    out = np.empty((6, SIDE, SIDE), np.float32)
    view, black = crop[4:324, 4:324], (5, 5, 315, 310)

    def build():
        kernels.to_planes(view, out[:3], isa=isa)
        kernels.to_planes(view, out[3:], black=black, isa=isa)

    build()
    np.testing.assert_array_equal(out, peer_input(crop))
    time_it(benchmark, build, touched=2 * view.size + out.nbytes)


@pytest.mark.benchmark(group="visual input 6x320x320 from a crop")
def test_peer_to_planes(benchmark, crop):
    """Do as SyncTalk_2D's script."""
    time_it(benchmark, lambda: peer_input(crop))


def peer_input(crop):
    view = crop[4:324, 4:324].copy()
    masked = cv2.rectangle(view.copy(), (5, 5, 310, 305), (0, 0, 0), -1)
    planes = [p.transpose(2, 0, 1).astype(np.float32) / 255.0 for p in (view, masked)]
    return np.concatenate(planes)
