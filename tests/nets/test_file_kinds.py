"""What someone gave as a model, told by its first bytes."""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from lipsync_fast.nets.file_kinds import advice_for


def packed(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return data.getvalue()


def picture(kind):
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, kind)
    return data.getvalue()


def tarred():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.onnx"), io.BytesIO())
    return data.getvalue()


def array():
    data = io.BytesIO()
    np.save(data, np.zeros(3))
    return data.getvalue()


# PyTorch's older files: a magic number, pickled, then the weights.
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)

KINDS = {
    "empty (0 bytes); fetch": b"",
    "a PyTorch checkpoint; load it into its network": MAGIC + bytes(99),
    "a PyTorch checkpoint; load it": packed("archive/data.pkl", "archive/version"),
    "a TorchScript model; load it with torch.jit.load": packed(
        "net/data.pkl", "net/code/__torch__.py", "net/constants.pkl"
    ),
    "a safetensors file": (20).to_bytes(8, "little") + b'{"__metadata__":{}}',
    "a GGUF file": b"GGUF\3\0\0\0",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n",
    "a Keras model": packed("config.json", "metadata.json", "model.weights.h5"),
    "a TensorFlow Lite model": b"\x1c\0\0\0TFL3",
    "a TensorRT engine": b"ftrt\0\0\0\0",
    "an ncnn model": b"7767517\n3 3\n",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "a web page": b"\n<!doctype HTML><html>",
    "a text file": "größer als nötig\n".encode() * 400,
    "a zip archive; unpack it": packed("a/net.onnx"),
    "a zip archive that is damaged": packed("a")[:20],
    "a NumPy .npz file": packed("a.npy", "b.npy"),
    "a NumPy array": array(),
    "a gzip archive": gzip.compress(b"x"),
    "a tar archive": tarred(),
    "a Python pickle": pickle.dumps({"a": 1}),
    "a picture (JPEG)": picture("JPEG"),
    "a picture (PNG)": picture("PNG"),
    "a picture (WebP)": picture("WEBP"),
    "a sound file (WAV)": b"RIFF\0\0\0\0WAVEfmt ",
    "a sound file (FLAC)": b"fLaC\0",
    "a film (MP4 or MOV)": b"\0\0\0\x18ftypisom",
    "a film (Matroska or WebM)": b"\x1a\x45\xdf\xa3",
    "a film (MPEG transport stream)": (b"G" + bytes(187)) * 4,
}


@pytest.mark.parametrize("what", KINDS)
def test_it_is_called_by_its_name(tmp_path, what):
    (tmp_path / "net").write_bytes(KINDS[what])
    said = advice_for(tmp_path / "net")
    assert said is not None
    assert said.startswith(f"it is {what}")
    assert "; " in said
    assert "\n" not in said


def test_a_pickle_of_weights_is_told_by_its_ending(tmp_path):
    for name, what in (("a.pth", "a PyTorch checkpoint"), ("a.pickle", "a Python pickle")):
        (tmp_path / name).write_bytes(pickle.dumps({"epoch": 1}, protocol=2))
        assert what in advice_for(tmp_path / name)


@pytest.mark.parametrize("content", [b"\x08\x09\x12\x07pytorch", b"\x00\x01\x02\x03" * 99])
def test_others_are_not_guessed(tmp_path, content):
    (tmp_path / "net").write_bytes(content)
    assert advice_for(tmp_path / "net") is None
