"""The 320 U-Net on a GPU: resident or packed, with or without graphs, full or half precision.

Times the model alone and finished JPEG frames. Skipped if no session really runs on CUDA.
"""

from functools import cache

import numpy as np
import pytest

from benchmarks.support.build_unet import build
from benchmarks.support.extra import time_it
from lipsync_fast import demo
from lipsync_fast.bench.scenes import drifting_rects, photos, write_template
from lipsync_fast.diagnostics.doctor import request_bytes
from lipsync_fast.errors import LipsyncError
from lipsync_fast.nets import cuda
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.net import Net
from lipsync_fast.nets.options import DeviceOptions
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.template import Template

pytestmark = pytest.mark.gpu

PRESET = get_preset("synctalk328")
COUNT = 60
ROW = 512  # numbers of the audio encoder for a frame
WAYS = {
    "packed": None,
    "resident": DeviceOptions(graphs=False),
    "resident, graphs": DeviceOptions(),
    "resident, graphs, TF32": DeviceOptions(tf32=True),
    "resident, graphs, NHWC": DeviceOptions(nhwc=True),
}


@cache
def on_cuda() -> bool:
    """Tell whether a session gets the CUDA it asks for; the driver alone shows too little."""
    if not cuda.devices():
        return False
    try:
        return Net(demo.GENERATOR, providers=["cuda"]).provider == "CUDAExecutionProvider"
    except LipsyncError:
        return False


@pytest.fixture(scope="module", autouse=True)
def gpu():
    if not on_cuda():
        pytest.skip("no GPU that ONNX Runtime runs on")


@pytest.fixture(scope="module")
def template(tmp_path_factory, gpu):
    """Photo-like 1080p frames, JPEG of quality 75."""
    path = tmp_path_factory.mktemp("gpu") / "template"
    write_template(path, photos(COUNT), drifting_rects(COUNT))
    with Template.open(path) as opened:
        yield opened


@pytest.fixture(scope="module", params=["full", "half"])
def net(request, tmp_path_factory, gpu):
    """Build the U-Net of users' size, and its `model half`."""
    onnx = pytest.importorskip("onnx")
    from lipsync_fast.nets.graph import make_half

    folder = tmp_path_factory.mktemp("nets")
    onnx.save(build(), str(folder / "full.onnx"))
    if request.param == "half":
        make_half(folder / "full.onnx", folder / "half.onnx")
    return request.param, folder / f"{request.param}.onnx"


@pytest.fixture(scope="module", params=WAYS)
def pipeline(request, template, net):
    way, path = request.param, net[1]
    made = (
        Generator(path, PRESET, providers=["cuda"])
        if WAYS[way] is None
        else ResidentGenerator(
            path,
            template.crops,
            PRESET,
            providers=["cuda"],
            options=WAYS[way],
        )
    )
    with Pipeline(template, made) as opened:
        yield way, opened


@pytest.fixture(params=[8, 25], ids=lambda n: f"{n} frames")
def features(request):
    shape = (request.param, *PRESET.audio_shape)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def test_net(benchmark, pipeline, net, features):
    way, opened = pipeline
    count = len(features)
    benchmark.group = f"{net[0]}, model only, request of {count}"
    at = [0]

    def request():
        opened.inference.run(features, at[0])
        at[0] += count

    for _ in range(5):
        request()
    time_it(benchmark, request, frames=count)
    moved = request_bytes(PRESET, count, resident=way != "packed")
    benchmark.extra_info["bytes over the bus"] = moved


def test_net_and_jpeg(benchmark, pipeline, net, features):
    """Time a speech of 200 frames: the model draws the next request while one is finished."""
    _, opened = pipeline
    count = len(features)
    benchmark.group = f"{net[0]}, model and finished JPEG, requests of {count}"
    rows = np.random.default_rng(1).standard_normal((200, ROW), np.float32)

    def speech():
        for frame in opened.frames(None, features=rows, format="jpeg", request=count):
            frame.release()

    speech()
    time_it(benchmark, speech, frames=len(rows))


def test_pictures_are_the_cpus(pipeline, net, features, template):
    """Full precision within one level; half at most 4, and 99.9 % within one."""
    way, opened = pipeline
    if way == "packed" or "TF32" in way:
        pytest.skip("returns floats, or rounds to 10 bits on purpose")
    indices = np.arange(len(features)) % COUNT
    on_cpu = ResidentGenerator(
        net[1].with_name("full.onnx"),
        template.crops,
        PRESET,
        providers=["cpu"],
    )
    expected = on_cpu.infer_indices(indices, features).astype(np.int16)
    off = np.abs(opened.generator.infer_indices(indices, features) - expected)
    assert off.max() <= (1 if net[0] == "full" else 4)
    assert (off > 1).mean() <= 1e-3
