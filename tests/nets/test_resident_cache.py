"""Nets with a template inside, kept for the next time."""

import sys
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import (  # noqa: E402
    WAV2LIP,
    crops_for,
    exported_generator,
    open_resident,
    sounds_for,
    tiny_generator,
)

from lipsync_fast.nets.graph import embed as resident  # noqa: E402


def test_the_changed_net_is_made_once(tmp_path, monkeypatch):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    open_resident(path)
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith("resident-")
    monkeypatch.setitem(sys.modules, "onnx", None)  # not needed where the file is there
    net = open_resident(path)
    assert net.path == path
    assert f"{net!r}".startswith("<ResidentGenerator net.onnx on ")
    monkeypatch.undo()
    exported_generator(path, WAV2LIP)  # another net of the same name
    assert open_resident(path).batch == 1
    (other,) = (tmp_path / "cache").iterdir()
    assert other.name != kept.name


def test_what_an_earlier_net_left_goes(tmp_path):
    """Only what was made of the same path for the same preset; an open file lives on."""
    path, cache = tiny_generator(tmp_path / "net.onnx", WAV2LIP), tmp_path / "cache"
    neighbour = exported_generator(tmp_path / "other.onnx", WAV2LIP)
    theirs = {resident.cached_resident(neighbour, WAV2LIP, cache)}
    mine = replace(WAV2LIP, name="mine", black=(0, 0, 96, 96))
    theirs.add(resident.cached_resident(path, mine, cache))
    (cache / "notes.onnx").write_text("not ours")
    old = resident.cached_resident(path, WAV2LIP, cache)
    with open(old, "rb") as file:
        before = old.read_bytes()
        exported_generator(path, WAV2LIP, batch=2)  # trained again
        new = resident.cached_resident(path, WAV2LIP, cache)
        if sys.platform != "win32":  # there an open file stays
            assert set(cache.iterdir()) == {*theirs, new, cache / "notes.onnx"}
        assert file.read() == before


def test_a_net_that_was_moved_is_known(tmp_path):
    path, cache = tiny_generator(tmp_path / "net.onnx", WAV2LIP), tmp_path / "cache"
    kept = resident.cached_resident(path, WAV2LIP, cache)
    moved = path.rename(tmp_path / "best.onnx")
    assert resident.cached_resident(moved, WAV2LIP, cache) == kept
    assert list(cache.iterdir()) == [kept]


def test_weights_in_a_file_of_their_own_count(tmp_path):
    """Trained on, the net's own file may stay as it is to the byte."""
    path, other = tmp_path / "net.onnx", tmp_path / "other"
    exported_generator(path, WAV2LIP)
    model = onnx.load(str(path))
    apart = {"save_as_external_data": True, "location": "weights", "size_threshold": 90}
    onnx.save(onnx.ModelProto.FromString(model.SerializeToString()), str(path), **apart)
    assert (tmp_path / "weights").stat().st_size > 1000
    before, audio = path.read_bytes(), sounds_for(WAV2LIP, 1)
    first = open_resident(path).infer_indices([0], audio)
    for tensor in model.graph.initializer:
        if tensor.name == "w3":
            tensor.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(tensor), "w3"))
    other.mkdir()
    onnx.save(model, str(other / "net.onnx"), **apart)
    (other / "weights").replace(tmp_path / "weights")
    assert (other / "net.onnx").read_bytes() == before == path.read_bytes()
    assert (open_resident(path).infer_indices([0], audio) != first).any()


def test_another_preset_is_another_file(tmp_path):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    crops, audio = crops_for(WAV2LIP, 1), np.zeros((1, *WAV2LIP.audio_shape), np.float32)
    bright = replace(WAV2LIP, name="mine", black=(0, 0, 96, 96), visual="reference+masked")
    a = open_resident(path, WAV2LIP, crops).infer_indices([0], audio)
    b = open_resident(path, bright, crops).infer_indices([0], audio)
    assert a.max() > 0
    assert b.max() == 0
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    kept = resident.cached_resident(path, WAV2LIP)
    assert kept.parent == tmp_path / "cache" / "lipsync_fast"
    assert kept.exists()


def test_a_cache_that_cannot_be_written(tmp_path):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    (tmp_path / "file").write_text("in the way")
    net = open_resident(path, cache=tmp_path / "file" / "cache")
    assert net.infer_indices([0], sounds_for(WAV2LIP, 1)).shape == (1, 96, 96, 3)
