"""Finished frames, from model output to frame, beside other systems."""

from functools import cache

import cv2
import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast.bench.encoders import ENCODERS
from lipsync_fast.bench.peers import PEERS, make_inputs
from lipsync_fast.bench.scenes import LIVETALKING, SYNCTALK, Scene, drifting_rects, photos
from lipsync_fast.compositing import Compositor
from lipsync_fast.kernels import _jpeg
from lipsync_fast.provenance import XMP

SIZES = {
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "4K": (3840, 2160),
}
FORMATS = ["jpeg", "bgr24", "rgb24", "rgba", "i420"]
CHANNELS = {"bgr24": 3, "rgb24": 3, "rgba": 4}
WIDELY_USED = [SYNCTALK, LIVETALKING]
PEER_FRAMES = [
    (size, peer) for size in SIZES for peer in (PEERS if size == "1080p" else WIDELY_USED)
]


@cache
def background(size):
    """Cut a frame out of a photo-like one laid 2 by 2, so that each pixel keeps its own noise."""
    width, height = SIZES[size]
    whole = np.tile(next(photos(1)), (2, 2, 1))
    return np.ascontiguousarray(whole[:height, :width])


@cache
def scene(size, peer=SYNCTALK):
    return Scene.make(size, [background(size)], drifting_rects(1, *SIZES[size]), peer)


@pytest.fixture(autouse=True)
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture
def compositor(request):
    with Compositor(scene(request.getfixturevalue("size")).template, threads=1) as made:
        yield made


def finish(compositor, size, format):
    outputs = scene(size).outputs
    with compositor.composite(outputs, [0], format=format) as frames:
        return frames[0].array.copy()


def expected(size, format):
    """Return the peer's frame in our format; JPEG is compared with an encoding of our pixels."""
    frame = PEERS[SYNCTALK].composite(scene(size).inputs[0])
    if format == "i420":
        return cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).ravel()
    code = {"rgb24": cv2.COLOR_BGR2RGB, "rgba": cv2.COLOR_BGR2RGBA}.get(format)
    return frame if code is None else cv2.cvtColor(frame, code)


def check(compositor, size, format):
    got = finish(compositor, size, format)
    if format == "jpeg":
        s = scene(size).template.jpeg_settings
        encoder = _jpeg.JpegEncoder(s.quality, s.subsampling, s.restart_interval, xmp=XMP)
        assert got.tobytes() == encoder.encode(finish(compositor, size, "bgr24"))
    else:
        # OpenCV takes the chroma of every second pixel instead of the mean of four.
        most = np.abs(got.astype(np.int16) - expected(size, format))
        luma = most[: SIZES[size][0] * SIZES[size][1]] if format == "i420" else most
        assert luma.max() <= 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", FORMATS)
def test_frame(benchmark, compositor, size, format):
    benchmark.group = f"frame {size} {format}"
    check(compositor, size, format)
    outputs, chosen = scene(size).outputs, np.array([0])

    def frame():
        with compositor.composite(outputs, chosen, format=format):
            pass

    time_it(benchmark, frame, touched=outputs.nbytes + compositor.canvas(format).shape[0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", FORMATS)
def test_frame_into_a_callers_buffer(benchmark, compositor, size, format):
    benchmark.group = f"frame {size} {format}"
    check(compositor, size, format)
    outputs, chosen = scene(size).outputs, np.array([0])
    out = [np.empty(compositor.canvas(format).shape, np.uint8)]
    time_it(benchmark, lambda: compositor.composite_into(out, outputs, chosen, format=format))


@pytest.mark.parametrize(("size", "peer"), PEER_FRAMES)
def test_peer_frame(benchmark, size, peer):
    theirs, inputs = PEERS[peer], inputs_of(size, peer)
    benchmark.group = f"frame {size} {'rgba' if theirs.channels == 4 else 'bgr24'}"
    assert theirs.composite(inputs).shape == (*SIZES[size][::-1], theirs.channels)
    time_it(benchmark, lambda: theirs.composite(inputs))


def inputs_of(size, peer):
    if peer in WIDELY_USED:
        return scene(size, peer).inputs[0]
    rect = tuple(int(v) for v in scene(size).template.rects[0])
    return make_inputs(PEERS[peer], background(size), rect)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoder", ["cv2", "simplejpeg", "pillow"])
@pytest.mark.parametrize("peer", WIDELY_USED)
def test_peer_jpeg(benchmark, size, peer, encoder):
    benchmark.group = f"frame {size} jpeg"
    inputs, encode = scene(size, peer).inputs[0], ENCODERS[encoder]
    assert encode(PEERS[peer].composite(inputs), 75)[:2] == b"\xff\xd8"
    time_it(benchmark, lambda: encode(PEERS[peer].composite(inputs), 75))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("peer", WIDELY_USED)
def test_peer_i420(benchmark, size, peer):
    benchmark.group = f"frame {size} i420"
    inputs = scene(size, peer).inputs[0]
    height, width = inputs.background.shape[:2]

    def frame():
        return cv2.cvtColor(PEERS[peer].composite(inputs), cv2.COLOR_BGR2YUV_I420)

    assert frame().shape == (height * 3 // 2, width)
    time_it(benchmark, frame)
