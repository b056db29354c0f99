"""lipsync-fast doctor: what it finds, and its exit status."""

import json
import re
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import tiny_encoder, tiny_generator
from tests.support.on_device import OnDevice

from lipsync_fast.cli.main import main
from lipsync_fast.diagnostics import doctor
from lipsync_fast.formats import VideoFormat
from lipsync_fast.nets import cuda
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.options import DeviceOptions
from lipsync_fast.presets import PRESETS, get_preset
from lipsync_fast.templates import TemplateWriter

WAV2LIP = get_preset("wav2lip96")
GPU = cuda.CudaDevice(0, "A device", 80 << 30)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0)
    monkeypatch.setattr(doctor, "RUNS", 1)


@pytest.fixture
def net(tmp_path):
    return tiny_generator(tmp_path / "net.onnx", WAV2LIP)


@pytest.fixture
def no_gpu(monkeypatch):
    """Also where the tests run on a machine with one."""
    monkeypatch.setattr(cuda, "devices", lambda: [])


def test_a_machine_without_a_gpu(no_gpu, capsys):
    assert main(["doctor", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["gpu used"] is False
    assert facts["runs on"] == "cpu"
    assert facts["way"] == "resident"
    assert facts["preset"] == "synctalk328"
    assert facts["providers that load"]["CPUExecutionProvider"] == "yes"
    assert list(facts["frames a second at"]) == ["1", "2", "3", "4"]
    assert all(speed > 0 for speed in facts["frames a second at"].values())
    assert facts["copies of a request's pictures a second"]["within memory"] > 0
    moved = facts["bytes of a request of 25"]
    assert 92e6 < moved["packed"] < 94e6
    assert moved["resident"] < 9e6
    assert "no NVIDIA driver answers" in facts["advice"]


def test_it_is_readable(no_gpu, net, capsys):
    assert main(["doctor", "--generator", str(net)]) == 1
    said = capsys.readouterr().out
    assert "gpu used                   no\n" in said
    assert "driver                     " in said
    assert "wav2lip96" in said
    assert "None" not in said
    assert main(["doctor", "--generator", str(net), "-q"]) == 1
    assert capsys.readouterr().out == ""


def test_a_users_own_template_and_net(no_gpu, net, tmp_path):
    with TemplateWriter(tmp_path / "anna", VideoFormat(160, 120), preset=WAV2LIP) as writer:
        for rect in ((20, 20, 60, 60), (0, 0, 0, 0)):
            writer.add(rect, bgr24=np.full((120, 160, 3), 90, np.uint8))
    facts = doctor.examine(net, tmp_path / "anna")
    assert facts["model"] == str(net)
    assert facts["way"] == "resident"


def test_bad_input_is_status_two(no_gpu, tmp_path, capsys):
    assert main(["doctor", "--generator", str(tmp_path / "no.onnx")]) == 2
    assert "no.onnx" in capsys.readouterr().err
    encoder = tiny_encoder(tmp_path / "encoder.onnx")
    assert main(["doctor", "--generator", str(encoder)]) == 2
    assert main(["doctor", "--device", "-1"]) == 2
    assert main(["doctor", "--template", str(tmp_path)]) == 2


def test_a_packed_net_is_measured_too(no_gpu, net, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # none is at hand from before
    monkeypatch.setitem(sys.modules, "onnx", None)
    facts = doctor.examine(net)
    assert facts["way"] == "packed"
    assert all(speed > 0 for speed in facts["frames a second at"].values())


@pytest.mark.parametrize(
    ("devices", "built_in", "says"),
    [
        ([], [], "no NVIDIA driver answers"),
        (
            ["0: A device"],
            [],
            'ONNX Runtime is the CPU build; .* pip install "lipsync_fast\\[gpu\\]"',
        ),
        (["0: A device"], ["CUDAExecutionProvider"], "CUDA does not load: libcudnn"),
    ],
)
def test_what_stands_in_the_way(devices, built_in, says):
    facts = {
        "gpu used": False,
        "devices": devices,
        "providers built in": built_in,
        "providers that load": {"CUDAExecutionProvider": "libcudnn.so.9 is missing"},
    }
    assert re.search(says, doctor._advice(facts))


def test_a_gpu_without_the_template_on_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    facts = {"gpu used": True, "way": "packed"}
    assert 'pip install "lipsync_fast[models]"' in doctor._advice(facts)
    assert doctor._advice({**facts, "way": "resident"}) == ""


def test_a_machine_with_a_gpu(net, monkeypatch, capsys, copies):
    monkeypatch.setattr(cuda, "devices", lambda: [GPU])
    monkeypatch.setattr(cuda, "driver_version", lambda: "580.65.06")
    copies.version = "13.0"

    def open_on_device(path, template, *, options):
        assert options.device == 1
        return [OnDevice(path, template.crops, template.preset, options=options)]

    monkeypatch.setattr(doctor, "open_generators", open_on_device)
    assert main(["doctor", "--generator", str(net), "--device", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["gpu used"] is True
    assert facts["advice"] == ""
    assert facts["driver"] == "580.65.06"
    assert facts["CUDA runtime"] == "13.0"
    assert facts["devices"] == ["0: A device, 81920 MiB"]
    assert facts["runs on"] == "cuda:0"
    assert facts["CUDA graphs at"] == list(DeviceOptions().sizes)
    assert list(facts["frames a second at"]) == [str(n) for n in DeviceOptions().sizes]
    assert set(facts["copies of a request's pictures a second"]) == {
        "to the device",
        "from the device",
        "from the device, pinned",
    }


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_bytes_are_those_of_the_arrays(preset):
    audio = np.zeros((25, *preset.audio_shape), np.float32)
    visual = np.zeros((25, *preset.visual_shape), np.float32)
    floats = np.zeros((25, 3, preset.view, preset.view), np.float32)
    pictures = np.zeros((25, preset.view, preset.view, 3), np.uint8)
    packed = audio.nbytes + visual.nbytes + floats.nbytes
    resident = audio.nbytes + np.zeros(25, np.int64).nbytes + pictures.nbytes
    assert doctor.request_bytes(preset, 25, resident=False) == packed
    assert doctor.request_bytes(preset, 25, resident=True) == resident


def test_the_generator_says_where_it_runs(net):
    found = Generator(net, providers=["cpu"])
    assert (found.device.name, found.place) == ("cpu", ("cpu", 0))
