"""blend beside NumPy's slice assignment and the blend that OpenCV users write."""

import cv2
import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast import kernels

WIDTH, HEIGHT, X, Y = 182, 185, 700, 500


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(3)
    patch = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return patch, rng.integers(0, 256, (1080, 1920, 3), np.uint8)


@pytest.fixture(scope="module")
def mask():
    """Return a feathered edge of 20 pixels, like the scripts that blend."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:-20, 20:-20] = 255
    return cv2.blur(mask, (21, 21))


def peer_blend(patch, background, alpha):
    part = background[Y : Y + HEIGHT, X : X + WIDTH]
    mixed = patch * alpha + part * (1 - alpha)
    background[Y : Y + HEIGHT, X : X + WIDTH] = np.rint(mixed).astype(np.uint8)


@pytest.mark.benchmark(group="blend 182x185 with a mask into 1080p")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_blend(benchmark, pictures, mask, isa):
    patch, background = pictures[0], pictures[1].copy()
    want = background.copy()
    peer_blend(patch, want, (mask / np.float32(255))[..., None])
    kernels.blend(patch, background, mask, background, x=X, y=Y, isa=isa)
    assert np.abs(background.astype(np.int16) - want).max() <= 1
    time_it(
        benchmark,
        lambda: kernels.blend(patch, background, mask, background, x=X, y=Y, isa=isa),
        touched=3 * patch.nbytes + mask.nbytes,
    )


@pytest.mark.benchmark(group="blend 182x185 with a mask into 1080p")
def test_peer_blend(benchmark, pictures, mask):
    background = pictures[1].copy()
    alpha = (mask / np.float32(255))[..., None]
    time_it(benchmark, lambda: peer_blend(pictures[0], background, alpha))


@pytest.mark.benchmark(group="paste 182x185 bgr24 into 1080p bgra")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_paste(benchmark, pictures, isa):
    patch = pictures[0]
    background = np.zeros((1080, 1920, 4), np.uint8)
    kernels.blend(patch, background, out=background, x=X, y=Y, isa=isa)
    np.testing.assert_array_equal(background[Y : Y + HEIGHT, X : X + WIDTH, :3], patch)
    time_it(
        benchmark,
        lambda: kernels.blend(patch, background, out=background, x=X, y=Y, isa=isa),
        touched=patch.nbytes + WIDTH * HEIGHT * 4,
    )


@pytest.mark.benchmark(group="paste 182x185 bgr24 into 1080p bgra")
def test_peer_paste(benchmark, pictures):
    background = np.zeros((1080, 1920, 4), np.uint8)

    def paste():
        background[Y : Y + HEIGHT, X : X + WIDTH, :3] = pictures[0]

    time_it(benchmark, paste)
