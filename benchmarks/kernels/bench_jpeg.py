"""JPEG of a region, a finished frame and the index beside what a user would run instead."""

import io

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from benchmarks.support.extra import time_it
from lipsync_fast.kernels import _jpeg
from lipsync_fast.kernels._splice import SplicedJpeg

QUALITY, INTERVAL = 75, 2
X, Y, W, H = 801, 617, 182, 185


@pytest.fixture(scope="module")
def frame():
    """A photo-like picture: smooth colour, texture, sensor noise of ±6."""
    rng = np.random.default_rng(1)
    smooth = cv2.resize(
        rng.uniform(0, 255, (9, 16, 3)).astype(np.float32),
        (1920, 1080),
        interpolation=cv2.INTER_CUBIC,
    )
    texture = cv2.resize(rng.normal(0, 18, (270, 480, 3)).astype(np.float32), (1920, 1080))
    noise = rng.uniform(-6, 6, smooth.shape)
    return np.clip(smooth * 0.7 + 40 + texture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def patch(frame):
    return np.ascontiguousarray(frame[300 : 300 + H, 900 : 900 + W])


@pytest.fixture(scope="module")
def region(frame):
    x, y, w, h = _jpeg.jpeg_region(X, Y, W, H, 1920, 1080, "4:2:0", INTERVAL)
    return frame[y : y + h, x : x + w]


def composite(frame, patch):
    frame[Y : Y + H, X : X + W] = patch
    return frame


def pillow(frame):
    file = io.BytesIO()
    rgb = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    rgb.save(file, "JPEG", quality=QUALITY, subsampling="4:2:0", restart_marker_blocks=INTERVAL)
    return file.getvalue()


def opencv(frame):
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]


def simple(frame):
    return simplejpeg.encode_jpeg(frame, QUALITY, "BGR", "420")


PEERS = [opencv, simple, pillow]


@pytest.mark.benchmark(group="jpeg of the region of a 182x185 rect")
def test_region(benchmark, region):
    encoder = _jpeg.JpegEncoder(QUALITY, "4:2:0", INTERVAL)
    out = np.empty(_jpeg.jpeg_bound(region.shape[1], region.shape[0]), np.uint8)
    length = encoder.encode_into(out, region)
    assert out[:length].tobytes() == pillow(region)
    time_it(benchmark, lambda: encoder.encode_into(out, region), touched=region.nbytes + length)


@pytest.mark.benchmark(group="jpeg of the region of a 182x185 rect")
@pytest.mark.parametrize("peer", PEERS)
def test_peer_region(benchmark, region, peer):
    part = np.ascontiguousarray(region)
    time_it(benchmark, lambda: peer(part))


@pytest.mark.benchmark(group="finished 1080p jpeg with a 182x185 patch")
def test_splice(benchmark, frame, patch):
    spliced = SplicedJpeg(frame, QUALITY, "4:2:0", INTERVAL)
    out = np.empty(spliced.bound(W, H), np.uint8)
    length = spliced.splice_into(out, patch, X, Y)
    assert out[:length].tobytes() == pillow(composite(frame.copy(), patch))
    benchmark.extra_info["file bytes"] = length
    time_it(benchmark, lambda: spliced.splice_into(out, patch, X, Y))


@pytest.mark.benchmark(group="finished 1080p jpeg with a 182x185 patch")
def test_region_alone_and_copy(benchmark, frame, region):
    """Time the least possible work: encode the region, copy the file's bytes."""
    data = SplicedJpeg(frame, QUALITY, "4:2:0", INTERVAL).data
    encoder = _jpeg.JpegEncoder(QUALITY, "4:2:0", INTERVAL)
    out = np.empty(_jpeg.jpeg_bound(region.shape[1], region.shape[0]), np.uint8)
    whole = np.empty_like(data)

    def work():
        encoder.encode_into(out, region)
        whole[:] = data

    time_it(benchmark, work)


@pytest.mark.benchmark(group="finished 1080p jpeg with a 182x185 patch")
@pytest.mark.parametrize("peer", PEERS)
def test_peer_full_encode(benchmark, frame, patch, peer):
    background = frame.copy()
    time_it(benchmark, lambda: peer(composite(background, patch)))


@pytest.mark.benchmark(group="jpeg of a whole 1080p frame")
def test_encode(benchmark, frame):
    encoder = _jpeg.JpegEncoder(QUALITY, "4:2:0", INTERVAL)
    out = np.empty(_jpeg.jpeg_bound(1920, 1080), np.uint8)
    length = encoder.encode_into(out, frame)
    assert out[:length].tobytes() == pillow(frame)
    time_it(benchmark, lambda: encoder.encode_into(out, frame))


@pytest.mark.benchmark(group="segments of a 1080p jpeg")
def test_index(benchmark, frame):
    data = _jpeg.JpegEncoder(QUALITY, "4:2:0", INTERVAL).encode(frame)
    assert _jpeg.jpeg_segments(data)[-1] == len(data)
    time_it(benchmark, lambda: _jpeg.jpeg_segments(data))
