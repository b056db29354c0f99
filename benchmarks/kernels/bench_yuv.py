"""yuv beside OpenCV's conversions; a patch put into I420 beside converting the frame."""

import cv2
import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast import kernels

WIDTH, HEIGHT, X, Y = 182, 185, 701, 501
SIZE = {"width": 1920, "height": 1080}


@pytest.fixture(autouse=True)
def one_thread():
    """Limit OpenCV to one core, like the kernels."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


@pytest.fixture(scope="module")
def frame():
    """A smooth 1080p picture with noise, bgr24."""
    yy, xx = np.mgrid[0:1080, 0:1920].astype(np.float32)
    waves = np.stack([np.sin(xx / 90 + k) * 60 + np.cos(yy / 70 - k) * 50 for k in range(3)], -1)
    noise = np.random.default_rng(1).integers(-6, 7, waves.shape)
    return np.clip(waves + 128 + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def patch():
    return np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def mask():
    """Return a feathered edge of 20 pixels, like the scripts that blend."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:-20, 20:-20] = 255
    return cv2.blur(mask, (21, 21))


def composite_and_convert(patch, frame):
    """Do as users of OpenCV: paste into a copy, convert all of it."""
    frame = frame.copy()
    frame[Y : Y + HEIGHT, X : X + WIDTH] = patch
    return cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)


@pytest.mark.benchmark(group="1080p bgr24 to i420")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_to_i420(benchmark, frame, isa):
    out = np.empty(kernels.i420_size(**SIZE), np.uint8)
    kernels.to_i420(frame, out, isa=isa)
    luma = cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)[:1080].astype(int)
    assert np.abs(kernels.i420_planes(out, **SIZE)[0] - luma).max() <= 1
    touched = frame.nbytes + out.nbytes
    time_it(benchmark, lambda: kernels.to_i420(frame, out, isa=isa), touched=touched)


@pytest.mark.benchmark(group="1080p bgr24 to i420")
def test_peer_to_i420(benchmark, frame):
    """Time OpenCV, whose chroma is the top left pixel's: less work than the mean of four."""
    out = np.empty((1620, 1920), np.uint8)
    time_it(benchmark, lambda: cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420, out))


@pytest.mark.benchmark(group="1080p i420 to bgr24")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_from_i420(benchmark, frame, isa):
    picture, out = kernels.to_i420(frame).reshape(1620, 1920), np.empty_like(frame)
    kernels.from_i420(picture, out, isa=isa)
    want = cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420).astype(int)
    assert np.abs(out - want).max() <= 1
    touched = picture.nbytes + out.nbytes
    time_it(benchmark, lambda: kernels.from_i420(picture, out, isa=isa), touched=touched)


@pytest.mark.benchmark(group="1080p i420 to bgr24")
def test_peer_from_i420(benchmark, frame):
    picture, out = kernels.to_i420(frame).reshape(1620, 1920), np.empty_like(frame)
    time_it(benchmark, lambda: cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420, out))


@pytest.mark.benchmark(group="182x185 patch to a 1080p i420 frame")
@pytest.mark.parametrize("isa", kernels.available_isas())
@pytest.mark.parametrize("masked", [False, True])
def test_blend_i420(benchmark, frame, patch, mask, isa, masked):
    picture = kernels.to_i420(frame)
    composite = kernels.blend(patch, frame, mask if masked else None, x=X, y=Y)
    want = kernels.to_i420(composite).astype(int)
    alpha = mask if masked else None
    kernels.blend_i420(patch, picture, alpha, x=X, y=Y, **SIZE, isa=isa)
    luma = slice(0, 1920 * 1080)
    assert np.abs(picture[luma] - want[luma]).max() <= 1
    # The mean chroma of an uneven background block depends on alpha: differences only under a mask.
    assert np.abs(picture - want).mean() <= 0.01
    time_it(
        benchmark,
        lambda: kernels.blend_i420(patch, picture, alpha, x=X, y=Y, **SIZE, isa=isa),
        touched=patch.nbytes + WIDTH * HEIGHT * 3 // 2,
    )


@pytest.mark.benchmark(group="182x185 patch to a 1080p i420 frame")
def test_peer_composite_and_convert(benchmark, frame, patch):
    time_it(benchmark, lambda: composite_and_convert(patch, frame))
