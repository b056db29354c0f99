"""Requests of 8 and of 25 frames: with a 320x320 U-Net, and without a model, in each format."""

import numpy as np
import pytest

from benchmarks.support.build_unet import CHANNELS, build
from benchmarks.support.extra import is_timed, time_it
from lipsync_fast.bench.encoders import ENCODERS
from lipsync_fast.bench.peers import PEERS, make_inputs
from lipsync_fast.bench.scenes import (
    SYNCTALK,
    drifting_rects,
    photos,
    request_outputs,
    write_template,
)
from lipsync_fast.compositing import Compositor
from lipsync_fast.kernels import _jpeg
from lipsync_fast.nets.generator import Generator
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.template import Template

FORMATS = ["jpeg", "i420", "bgr24"]
SIZES = [8, 25]
COUNT = 30
PRESET = get_preset("synctalk328")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 photo-like 1080p frames that store every format."""
    path = tmp_path_factory.mktemp("request") / "template"
    write_template(path, photos(COUNT), drifting_rects(COUNT), store=("jpeg", "i420", "bgr24"))
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory, pytestconfig):
    """Build the U-Net of users' size; with an eighth of its channels if nothing is timed."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("nets")
    channels = CHANNELS if is_timed(pytestconfig) else [max(8, c // 8) for c in CHANNELS]
    onnx.save(build(channels=channels), folder / "unet.onnx")
    return folder / "unet.onnx"


@pytest.fixture(params=SIZES, ids=lambda n: f"{n} frames")
def size(request):
    return request.param


@pytest.fixture(params=FORMATS)
def format(request):
    return request.param


@pytest.mark.parametrize("threads", [1, 2])
def test_request_without_net(benchmark, folder, size, format, threads):
    benchmark.group = f"request without model, {format}, {threads} threads"
    outputs = request_outputs(PRESET, size)
    with (
        Template.open(folder) as template,
        Compositor(template, threads=threads) as compositor,
    ):
        check_request(compositor, outputs, np.arange(size), format)
        at = [0]

        def request():
            chosen = template.indices(at[0], size)
            at[0] += size
            with compositor.composite(outputs, chosen, format=format):
                pass

        for _ in range(2 * COUNT // size + 1):
            request()
        misses = compositor.pool.stats().misses
        time_it(benchmark, request, frames=size)
        benchmark.extra_info["pool misses"] = compositor.pool.stats().misses - misses
        assert benchmark.extra_info["pool misses"] == 0


@pytest.mark.parametrize("encoder", ["cv2", "simplejpeg"])
def test_peer_request(benchmark, size, encoder):
    """Make SyncTalk_2D's frames of one request, one after the other like its script."""
    benchmark.group = "request without model, jpeg, 1 threads"
    twin, encode = PEERS[SYNCTALK], ENCODERS[encoder]
    rects = drifting_rects(size)
    inputs = [
        make_inputs(twin, frame, tuple(int(v) for v in rects[i]), seed=i)
        for i, frame in enumerate(photos(size))
    ]

    def request():
        return [encode(twin.composite(one), 75) for one in inputs]

    files = request()
    assert len(files) == size
    assert all(file[:2] == b"\xff\xd8" for file in files)
    time_it(benchmark, request, frames=size)


def check_request(compositor, outputs, chosen, format):
    """Assert that a request's frames equal frames requested one by one."""
    with compositor.composite(outputs, chosen, format=format) as frames:
        together = [frame.array.copy() for frame in frames]
    for i, whole in enumerate(together):
        with compositor.composite(outputs[i : i + 1], chosen[i : i + 1], format=format) as one:
            np.testing.assert_array_equal(one[0].array, whole)


@pytest.fixture
def pipeline(folder, nets):
    template = Template.open(folder)
    made = Pipeline(template, Generator(nets, PRESET), threads=2)
    with template, made:
        yield made


def test_request_with_net(benchmark, pipeline, size, format):
    benchmark.group = f"request with a 320 U-Net, {format}"
    rng = np.random.default_rng(3)
    features = rng.normal(0, 1, (size, *PRESET.audio_shape)).astype(np.float32)
    at = [0]

    def request():
        with pipeline.composite(features, at[0], format=format):
            at[0] += size

    with pipeline.composite(features, 0, format=format) as frames:
        first = frames[0].array.copy()
    index = pipeline.template.indices(0, 1)
    visual = pipeline.template.visual(int(index[0]))[None]
    output = pipeline.generator.infer(visual, features[:1])
    with pipeline.compositor.composite(output, index, format=format) as frames:
        again = frames[0].array.copy()
    # A model's last bits may depend on how many pictures it runs at once.
    if format == "jpeg":
        first, again = _jpeg.decode(first), _jpeg.decode(again)
    assert np.abs(again.astype(np.int16) - first).mean() <= 0.01
    time_it(benchmark, request, frames=size)
