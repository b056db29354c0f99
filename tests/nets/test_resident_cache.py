"""The cache of models with a template inside."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
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


def test_the_changed_net_is_made_once(tmp_path, monkeypatch, kept_models):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    open_resident(path)
    (kept,) = kept_models()
    monkeypatch.setitem(sys.modules, "onnx", None)  # not needed if the file exists
    net = open_resident(path)
    assert net.path == path
    assert f"{net!r}".startswith("<ResidentGenerator net.onnx on ")
    monkeypatch.undo()
    assert kept.exists()


def test_threads_that_open_one_template_first(tmp_path, kept_models):
    path, crops = tiny_generator(tmp_path / "net.onnx", WAV2LIP), crops_for(WAV2LIP)
    audio, ready = sounds_for(WAV2LIP, 2), threading.Barrier(6, timeout=60)

    def work(number):
        ready.wait()
        return open_resident(path, crops=crops).infer_indices([0, 1], audio)

    with ThreadPoolExecutor(6) as pool:
        drawn = list(pool.map(work, range(6)))
    assert all((pictures == drawn[0]).all() for pictures in drawn)
    assert len(kept_models()) == 1


def test_another_net_of_the_same_name_is_another_file(tmp_path, kept_models):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    open_resident(path)
    exported_generator(path, WAV2LIP)
    assert open_resident(path).batch == 1
    assert len(kept_models()) == 2


def test_a_net_that_was_moved_is_known(tmp_path, kept_models):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    with resident.cached_resident(path, WAV2LIP) as kept:
        assert kept_models() == [kept]
    moved = path.rename(tmp_path / "best.onnx")
    with resident.cached_resident(moved, WAV2LIP) as again:
        assert again == kept
    assert kept_models() == [kept]


@pytest.mark.parametrize("damage", ["cut short", "another model", "a bit"])
def test_a_kept_file_that_is_not_what_was_made_is_made_anew(tmp_path, kept_models, damage):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    audio = sounds_for(WAV2LIP, 2)
    expected = open_resident(path).infer_indices([0, 1], audio)
    (kept,) = kept_models()
    whole = bytearray(kept.read_bytes())
    if damage == "another model":
        other = exported_generator(tmp_path / "other.onnx", WAV2LIP, batch=2)
        with resident.cached_resident(other, WAV2LIP) as made:
            changed = made.read_bytes()
        made.unlink()
    else:
        changed = whole[: len(whole) // 2] if damage == "cut short" else bytearray(whole)
        changed[len(changed) // 2] ^= 1
    kept.write_bytes(changed)
    assert (open_resident(path).infer_indices([0, 1], audio) == expected).all()
    assert [p.read_bytes() for p in kept_models()] == [bytes(whole)]


def test_weights_in_a_file_of_their_own_count(tmp_path):
    """After more training, the model's own file may be the same to the byte."""
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


def test_another_preset_is_another_file(tmp_path, kept_models):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    crops, audio = crops_for(WAV2LIP, 1), np.zeros((1, *WAV2LIP.audio_shape), np.float32)
    bright = replace(WAV2LIP, name="mine", black=(0, 0, 96, 96), visual="reference+masked")
    a = open_resident(path, WAV2LIP, crops).infer_indices([0], audio)
    b = open_resident(path, bright, crops).infer_indices([0], audio)
    assert a.max() > 0
    assert b.max() == 0
    assert len(kept_models()) == 2


def test_a_cache_that_cannot_be_written(tmp_path, user_cache):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    user_cache.write_text("in the way")
    net = open_resident(path)
    assert net.infer_indices([0], sounds_for(WAV2LIP, 1)).shape == (1, 96, 96, 3)
    assert user_cache.read_text() == "in the way"
