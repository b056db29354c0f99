"""The net with the template inside beside the packed way: crops in, bytes out, on the CPU."""

import numpy as np
import onnx
import pytest

from build_unet import build
from lipsync_fast import _kernels
from lipsync_fast.crops import pack_crop
from lipsync_fast.presets import get_preset
from lipsync_fast.resident import ResidentGenerator
from lipsync_fast.session import Generator

PRESET = get_preset("synctalk328")
COUNT = 8


@pytest.fixture(scope="module")
def request_of_8(tmp_path_factory):
    """The U-Net of the size that users run, opened both ways, and one request."""
    folder = tmp_path_factory.mktemp("resident")
    onnx.save(build(), str(folder / "unet.onnx"))
    draw = np.random.default_rng(0)
    crops = draw.integers(0, 256, (10, PRESET.crop, PRESET.crop, 3), dtype=np.uint8)
    audio = draw.standard_normal((COUNT, *PRESET.audio_shape)).astype(np.float32)
    net = Generator(folder / "unet.onnx", providers=["cpu"])
    inside = ResidentGenerator(folder / "unet.onnx", crops, PRESET, providers=["cpu"], cache=folder)
    visual = np.empty((COUNT, *PRESET.visual_shape), np.float32)
    pictures = np.empty((COUNT, 3, PRESET.view, PRESET.view), np.float32)
    out = np.empty((COUNT, PRESET.view, PRESET.view, 3), np.uint8)

    def packed():
        for crop, planes in zip(crops, visual, strict=False):
            pack_crop(crop, PRESET, out=planes)
        net.infer(visual, audio, out=pictures)
        for planes, picture in zip(pictures, out, strict=True):
            _kernels.convert(planes, out=picture)
        return out

    def resident():
        return inside.infer_indices(range(COUNT), audio, out=out)

    assert np.abs(packed().astype(int) - resident().copy()).max() <= 1
    return {"packed": packed, "resident": resident}


@pytest.mark.parametrize("way", ["packed", "resident"])
def test_request_of_8(benchmark, request_of_8, way):
    benchmark.group = "synctalk328 U-Net, request of 8, crops to bytes"
    assert benchmark.pedantic(request_of_8[way], rounds=5, warmup_rounds=1).any()
