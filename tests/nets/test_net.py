"""Net: any ONNX file on ONNX Runtime, and files of other kinds."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lipsync_fast.errors import ArgumentTypeError, FileMissingError, InputError, ModelError
from lipsync_fast.nets.net import Net

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import WAV2LIP, relu, save, tiny_generator  # noqa: E402


def test_run_of_a_plain_net(tmp_path):
    net = Net(relu(tmp_path / "net.onnx"))
    x = np.array([[-1, 0, 2]], np.float32)
    assert net.run({"x": x})["y"].tolist() == [[0, 0, 2]]
    with pytest.raises(InputError, match="needs the inputs x, got z"):
        net.run({"z": x})
    with pytest.raises(ModelError, match=r"net\.onnx: .*[Ii]nvalid"):
        net.run({"x": np.zeros((1, 4), np.float32)})


# ---- files that cannot be used -------------------------------------------------------------


def test_no_such_file(tmp_path):
    with pytest.raises(FileMissingError, match=r"nothing\.onnx: no such file"):
        Net(tmp_path / "nothing.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        Net(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"hello, this is a text file\n" * 20, "it is a text file"),
        (b"RIFF\0\0\0\0WAVE", "it is a sound file"),
    ],
)
def test_not_onnx(tmp_path, content, says, capfd):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"net\.onnx: not an ONNX model: {says}"):
        Net(path)
    assert capfd.readouterr() == ("", "")


def test_one_that_may_not_be_read(tmp_path, monkeypatch):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    with pytest.raises(ModelError, match=r"net\.onnx: cannot be read: Permission denied$"):
        Net(path)


def test_truncated(tmp_path, capfd):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="not an ONNX model, or cut short"):
        Net(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("versions", [(99, 9), (17, 99)])
def test_too_new(tmp_path, versions, capfd):
    with pytest.raises(ModelError, match=r"99 is too new for ONNX Runtime .*lower opset") as caught:
        Net(relu(tmp_path / "net.onnx", versions=versions, checked=False))
    assert "\n" not in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert capfd.readouterr() == ("", "")


def test_unknown_operator(tmp_path):
    path = save(
        tmp_path / "net.onnx",
        [onnx.helper.make_node("Telepathy", ["x"], ["y"])],
        [("x", ("N",))],
        [("y", ("N",))],
        checked=False,
    )
    with pytest.raises(ModelError, match=r"cannot open it: .*Telepathy"):
        Net(path)


# ---- telemetry -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
@pytest.mark.parametrize("said", [None, "0"])
def test_telemetry_is_off_unless_the_user_says_otherwise(tmp_path, said):
    program = (
        "import os, sys; from lipsync_fast.nets.net import Net; net = Net(sys.argv[1], threads=1);"
        "print(os.environ['ORT_DISABLE_TELEMETRY'], len(os.listdir('/proc/self/task')))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    if said is not None:
        environment["ORT_DISABLE_TELEMETRY"] = said
    command = [sys.executable, "-c", program, str(relu(tmp_path / "net.onnx"))]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    value, threads = done.stdout.split()
    assert value == (said or "1")
    if said is None:
        assert threads == "1", "a thread beside the caller's runs"


def test_arguments_of_another_type_are_named(tmp_path):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    with pytest.raises(
        ArgumentTypeError, match="path of a model must be of type str or Path, got int"
    ):
        Net(5)
    with pytest.raises(ArgumentTypeError, match="options must be of type DeviceOptions, got dict"):
        Net(path, options={"device": 1})
    with pytest.raises(ArgumentTypeError, match="providers must be of type Sequence, got int"):
        Net(path, providers=5)
