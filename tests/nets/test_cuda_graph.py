"""Runs as CUDA graphs, on a stand-in for a session on a device.

The CPU provider takes no notice of graph ids, and binds and updates OrtValues as CUDA does: what
is tested is what is ours, the order of calls, the memory and the threads.
"""

import logging
import threading

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnxruntime as ort
from tests.support.nets import crops_for, exported_generator, sounds_for, tiny_generator
from tests.support.on_device import OnDevice, Session
from tests.support.person import frames_of, template_of, windows_of

from lipsync_fast.errors import DeviceMemoryError, ModelError
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.nets import resident
from lipsync_fast.nets.cuda_graph import CudaGraph
from lipsync_fast.nets.options import DeviceOptions
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.presets import get_preset

WAV2LIP = get_preset("wav2lip96")


def open_on_device(path, crops=None, kind=OnDevice, **options):
    crops = crops_for(WAV2LIP) if crops is None else crops
    return kind(path, crops, WAV2LIP, pool=BufferPool(), **options)


def on_cpu(path, crops, indices, audio):
    net = ResidentGenerator(path, crops, WAV2LIP, providers=["cpu"])
    return net.infer_indices(indices, audio)


def test_every_size_is_tried_and_captured_as_it_is_opened(tmp_path, copies):
    net = open_on_device(tiny_generator(tmp_path / "net.onnx", WAV2LIP))
    runs = net._session.runs
    sizes = DeviceOptions().sizes
    assert [size for graph, size in runs if graph == -1] == sorted(sizes, reverse=True)
    captured = {graph: size for graph, size in runs if graph > 0}
    assert sorted(captured.values()) == list(sizes)
    for graph in captured:
        # Two plain runs, the captured one, and one that replays it.
        assert [g for g, _ in runs].count(graph) == 4
    assert copies.waits == copies.copies == 4 * len(sizes)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 25, 60])
@pytest.mark.parametrize("batch", ["batch", 4])
def test_the_same_pictures_as_on_the_cpu(tmp_path, copies, batch, count):
    make = tiny_generator if batch == "batch" else exported_generator
    path, crops = make(tmp_path / "net.onnx", WAV2LIP, batch), crops_for(WAV2LIP)
    net = open_on_device(path, crops)
    net._session.runs.clear()
    indices, audio = np.arange(count) * 3 % 5, sounds_for(WAV2LIP, count)
    made = net.infer_indices(indices, audio)
    assert (made == on_cpu(path, crops, indices, audio)).all()
    assert all(graph > 0 for graph, _ in net._session.runs), "a run without its graph"
    out = np.empty_like(made)
    assert net.infer_indices(indices, audio, out=out) is out
    assert (out == made).all()


def test_one_thread_runs_what_it_captured(tmp_path, copies):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    anna, bert = crops_for(WAV2LIP), crops_for(WAV2LIP)[::-1].copy()
    first = open_on_device(path, anna)
    second = first.with_crops(bert)
    assert second._session is first._session
    graphs = [graph for graph, _ in first._session.runs if graph > 0]
    assert len(set(graphs)) == 2 * len(DeviceOptions().sizes), "each template has its own"
    indices, audio = [0, 1, 2, 3, 4], sounds_for(WAV2LIP, 5)
    wanted = {net: on_cpu(path, crops, indices, audio)
              for net, crops in ((first, anna), (second, bert))}  # fmt: skip
    wrong = []

    def work(net):
        for _ in range(20):
            if (net.infer_indices(indices, audio) != wanted[net]).any():
                wrong.append(net)

    threads = [threading.Thread(target=work, args=(net,)) for net in (first, second) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(first._session.threads) == 1
    assert threading.get_ident() not in first._session.threads


def test_memory_ends_while_sizes_are_tried(tmp_path, copies, caplog):
    class Small(OnDevice):
        room = 10

    path, crops = tiny_generator(tmp_path / "net.onnx", WAV2LIP), crops_for(WAV2LIP)
    net = open_on_device(path, crops, Small)
    assert net.sizes.sizes == (1, 2, 4, 8)
    assert "no memory for 32 frames at once" in caplog.text
    assert set(net._captured) == {1, 2, 4, 8}
    indices, audio = np.arange(25) % 5, sounds_for(WAV2LIP, 25)
    assert (net.infer_indices(indices, audio) == on_cpu(path, crops, indices, audio)).all()

    class None_(OnDevice):
        room = 0

    with pytest.raises(DeviceMemoryError, match="no memory for one frame"):
        open_on_device(path, crops, None_)


@pytest.mark.parametrize("fault", ["error", "picture"])
def test_a_graph_that_fails_is_not_used(tmp_path, copies, monkeypatch, caplog, fault):
    class Faulty(CudaGraph):
        def __call__(self, feeds, out):
            if fault == "error":
                raise ModelError("operation not permitted when stream is capturing")
            super().__call__(feeds, out)
            out[0] ^= 64

    monkeypatch.setattr(resident, "CudaGraph", Faulty)
    path, crops = tiny_generator(tmp_path / "net.onnx", WAV2LIP), crops_for(WAV2LIP)
    with caplog.at_level(logging.INFO, "lipsync_fast"):
        net = open_on_device(path, crops)
    says = "run without a CUDA graph" if fault == "error" else "levels off and is not used"
    assert caplog.text.count(says) == len(DeviceOptions().sizes)
    net._session.runs.clear()
    indices, audio = np.arange(9) % 5, sounds_for(WAV2LIP, 9)
    assert (net.infer_indices(indices, audio) == on_cpu(path, crops, indices, audio)).all()
    assert {graph for graph, _ in net._session.runs} == {-1}


def test_without_graphs_any_thread_runs_it(tmp_path, copies):
    path, crops = tiny_generator(tmp_path / "net.onnx", WAV2LIP), crops_for(WAV2LIP)
    real, options = Session.run_with_iobinding, ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "-1")

    class PlainSession(Session):
        def get_provider_options(self):
            return {"CUDAExecutionProvider": {}}

        def run_with_iobinding(self, binding, given):
            assert given is None
            real(self, binding, options)

    class Plain(OnDevice):
        def _open(self, providers, threads):
            return PlainSession(ResidentGenerator._open(self, ["cpu"], 1))

    net = open_on_device(path, crops, Plain)
    indices, audio = np.arange(9) % 5, sounds_for(WAV2LIP, 9)
    assert (net.infer_indices(indices, audio) == on_cpu(path, crops, indices, audio)).all()
    assert net._session.threads == {threading.get_ident()}


def test_a_pipeline_on_a_device(tmp_path, copies):
    """Pictures are in pinned memory, which is allocated once."""
    path, template = tiny_generator(tmp_path / "net.onnx", WAV2LIP), template_of(WAV2LIP)
    with Pipeline.open(template, path) as pipeline:
        expected = frames_of(pipeline, windows_of(WAV2LIP, 25))
    net = open_on_device(path, template.crops)
    with Pipeline(template, net) as pipeline:
        for _ in range(3):
            assert (frames_of(pipeline, windows_of(WAV2LIP, 25)) == expected).all()
        misses = net.pool.stats().misses, net._pool.stats().misses
        assert (frames_of(pipeline, windows_of(WAV2LIP, 25)) == expected).all()
        assert (net.pool.stats().misses, net._pool.stats().misses) == misses
        assert misses[0] == 1
        assert net.pool.stats().lent == 0
        assert list(pipeline.stats().devices) == ["cuda:0"]
