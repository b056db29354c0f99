"""A pipeline's request with a resident generator beside a packed one, on the CPU."""

import numpy as np
import onnx
import pytest

from benchmarks.support.build_unet import CHANNELS, build
from benchmarks.support.extra import is_timed, time_it
from lipsync_fast import demo
from lipsync_fast.bench.scenes import drifting_rects, photos, write_template
from lipsync_fast.diagnostics.doctor import request_bytes
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.template import Template

PRESET = get_preset("synctalk328")
COUNT = 30


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Photo-like 1080p frames."""
    path = tmp_path_factory.mktemp("resident") / "template"
    write_template(path, photos(COUNT), drifting_rects(COUNT))
    with Template.open(path) as opened:
        yield opened


@pytest.fixture(scope="module", params=["demo's model", "320 U-Net"])
def net(request, tmp_path_factory, pytestconfig):
    """Build the demo's model, which costs next to nothing, and one of users' size."""
    if request.param == "demo's model":
        return request.param, demo.GENERATOR
    channels = CHANNELS if is_timed(pytestconfig) else [max(8, c // 8) for c in CHANNELS]
    path = tmp_path_factory.mktemp("nets") / "unet.onnx"
    onnx.save(build(channels=channels), str(path))
    return request.param, path


@pytest.fixture(scope="module")
def ways(template, net):
    """Open pipelines on one template both ways, and assert that they finish the same frames."""
    path = net[1]
    packed = Generator(path, PRESET, providers=["cpu"])
    resident = ResidentGenerator(path, template.crops, PRESET, providers=["cpu"])
    pipelines = {"packed": Pipeline(template, packed), "resident": Pipeline(template, resident)}
    features = np.random.default_rng(0).standard_normal((4, *PRESET.audio_shape), np.float32)
    made = []
    for pipeline in pipelines.values():
        with pipeline.composite(features) as frames:
            made.append(np.stack([frame.array for frame in frames]).astype(np.int16))
    assert np.abs(made[0] - made[1]).max() <= 2  # a level, then resized
    return pipelines


@pytest.mark.parametrize("size", [8, 25])
@pytest.mark.parametrize("way", ["packed", "resident"])
def test_request(benchmark, ways, net, way, size):
    benchmark.group = f"{net[0]}, request of {size} as JPEG"
    features = np.random.default_rng(0).standard_normal((size, *PRESET.audio_shape), np.float32)
    at = [0]

    def request():
        with ways[way].composite(features, at[0], format="jpeg"):
            at[0] += size

    for _ in range(2 * COUNT // size + 1):
        request()
    time_it(benchmark, request, frames=size)
    moved = request_bytes(PRESET, size, resident=way == "resident")
    benchmark.extra_info["bytes to and from the model"] = moved
