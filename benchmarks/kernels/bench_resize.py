"""resize beside OpenCV on one thread (equal sampling, area) and Pillow (antialiased)."""

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.support.extra import time_it
from lipsync_fast import kernels

OPENCV = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
PILLOW = {
    "bilinear_aa": Image.Resampling.BILINEAR,
    "bicubic_aa": Image.Resampling.BICUBIC,
    "lanczos_aa": Image.Resampling.LANCZOS,
}
# a model's picture to a mouth's rect, synctalk328's crop to one, and a rect to a crop
SIZES = {
    "320 to 182": ((320, 320), (182, 182)),
    "328 to 182x185": ((328, 328), (182, 185)),
    "182x185 to 328": ((182, 185), (328, 328)),
}


def picture(width, height, channels):
    """Smooth colour and sensor noise."""
    rng = np.random.default_rng(4)
    y, x, c = np.mgrid[:height, :width, :channels]
    values = 128 + 60 * np.sin(x / 21 + c) + 40 * np.cos(y / 15) + rng.normal(0, 3, x.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


def mark(benchmark, sizes, channels, filter):
    benchmark.group = f"resize {sizes} u8x{channels} {filter}"


@pytest.fixture
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize("isa", kernels.available_isas())
@pytest.mark.parametrize("filter", [*OPENCV, *PILLOW])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("sizes", SIZES)
def test_resize(benchmark, sizes, channels, filter, isa):
    mark(benchmark, sizes, channels, filter)
    old, new = SIZES[sizes]
    src, out = picture(*old, channels), np.empty((new[1], new[0], channels), np.uint8)
    plan = kernels.ResizePlan(old, new, filter)
    plan.resize(src, out, isa=isa)
    if filter in OPENCV:
        want, most = cv2.resize(src, new, interpolation=OPENCV[filter]), filter != "bilinear"
    else:
        mode = "RGB" if channels == 3 else "CMYK"  # four channels without an alpha
        image = Image.frombuffer(mode, old, src, "raw", mode, 0, 1)
        want, most = np.asarray(image.resize(new, PILLOW[filter])), 0
    assert np.abs(out.astype(np.int16) - want).max() <= most
    time_it(benchmark, lambda: plan.resize(src, out, isa=isa), touched=src.nbytes + out.nbytes)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("filter", OPENCV)
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("sizes", SIZES)
def test_peer_opencv(benchmark, sizes, channels, filter):
    mark(benchmark, sizes, channels, filter)
    old, new = SIZES[sizes]
    src, out = picture(*old, channels), np.empty((new[1], new[0], channels), np.uint8)
    time_it(benchmark, lambda: cv2.resize(src, new, out, interpolation=OPENCV[filter]))


@pytest.mark.parametrize("filter", PILLOW)
@pytest.mark.parametrize("sizes", SIZES)
def test_peer_pillow(benchmark, sizes, filter):
    mark(benchmark, sizes, 3, filter)
    old, new = SIZES[sizes]
    image = Image.fromarray(picture(*old, 3))
    time_it(benchmark, lambda: image.resize(new, PILLOW[filter]))


@pytest.mark.benchmark(group="resize, one call by size")
@pytest.mark.parametrize("way", ["resize", "plan"])
def test_cost_of_a_call(benchmark, way):
    """Time the lookup of the plan, with a picture of one pixel."""
    src, out = np.full((1, 1, 3), 7, np.uint8), np.zeros((1, 1, 3), np.uint8)
    call = kernels.resize if way == "resize" else kernels.ResizePlan((1, 1), (1, 1)).resize
    call(src, out)
    assert (out == 7).all()
    time_it(benchmark, lambda: call(src, out))
