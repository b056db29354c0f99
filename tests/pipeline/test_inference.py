"""Only frames that have a face and an alpha reach the model."""

from concurrent.futures import Future

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
from tests.support.nets import tiny_generator
from tests.support.person import template_of

from lipsync_fast.errors import InputError, LayoutError
from lipsync_fast.memory import BufferPool, default_pool
from lipsync_fast.nets.devices import Device
from lipsync_fast.pipeline.inference import Inference, device_names
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.pipeline.speech import Request
from lipsync_fast.pipeline.stages import Stages
from lipsync_fast.presets import get_preset

COUNT = 20
FACELESS = 2  # of the template's five backgrounds


@pytest.fixture(params=[1, "batch"])
def pipeline(request, tmp_path):
    preset = get_preset("wav2lip96")
    net = tiny_generator(tmp_path / "g.onnx", preset, batch=request.param)
    with Pipeline.open(template_of(preset), net, threads=2) as opened:
        yield opened


@pytest.fixture
def features(pipeline, rng):
    shape = pipeline.template.preset.audio_shape
    return rng.normal(0, 1, (COUNT, *shape)).astype(np.float32)


def composite(pipeline, features, alphas):
    with pipeline.composite(features, alphas=alphas) as frames:
        return [frame.array.copy() for frame in frames]


def test_frames_of_alpha_zero_never_reach_the_net(pipeline, features):
    alphas = np.array([0, 0, 0, 1, 60, 255, 255, 0, 0, 255] * 2)
    shown = composite(pipeline, features, None)
    faces = pipeline.template.indices(0, COUNT) != FACELESS
    assert pipeline.stats().stages["net"].frames == faces.sum()
    faded = composite(pipeline, features, alphas)
    reached = pipeline.stats().stages["net"].frames - faces.sum()
    assert reached == (faces & (alphas > 0)).sum() == 10
    for i, index in enumerate(pipeline.template.indices(0, COUNT)):
        background = pipeline.template.bgr24(int(index))
        if alphas[i] == 0:
            assert np.array_equal(faded[i], background)
        elif alphas[i] == 255:
            assert np.array_equal(faded[i], shown[i])
        elif faces[i]:
            way = np.abs(faded[i] - background.astype(float)).sum()
            whole = np.abs(shown[i] - background.astype(float)).sum()
            assert way < 0.3 * whole


def test_a_silent_request_skips_the_net(pipeline, features):
    frames = composite(pipeline, features, np.zeros(COUNT, np.uint8))
    stages = pipeline.stats().stages
    assert stages["net"].runs == stages["visual"].runs == 0
    for frame, index in zip(frames, pipeline.template.indices(0, COUNT), strict=True):
        assert np.array_equal(frame, pipeline.template.bgr24(int(index)))


@pytest.mark.parametrize("alphas", [[255] * (COUNT - 1), [256] * COUNT, [0.5] * COUNT])
def test_alphas_that_do_not_fit(pipeline, features, alphas):
    with pytest.raises(InputError, match="alphas must be"):
        pipeline.composite(features, alphas=alphas)
    assert pipeline.stats().stages["net"].runs == 0


def test_features_that_do_not_fit(pipeline, features):
    for other in (features.astype(np.float64), features.tolist(), None):
        with pytest.raises(LayoutError, match="features must be an array of float32, got "):
            pipeline.composite(other)
    for other in (features[0], features[..., :-1], np.zeros((), np.float32)):
        with pytest.raises(InputError, match=r"features must have shape \(N, 1, 80, 16\)"):
            pipeline.composite(other)
    assert pipeline.stats().stages["net"].runs == 0


def test_all_buffers_of_a_request_are_the_pipelines(pipeline, features):
    """Its limit would bound little if visual inputs came from another pool."""
    before = default_pool().stats()
    composite(pipeline, features, None)
    after = default_pool().stats()
    assert (after.hits, after.misses) == (before.hits, before.misses)
    assert pipeline.pool.stats().misses > 0


def test_a_request_is_load_until_it_is_drawn_or_cancelled(pipeline, features, monkeypatch):
    faces = int((pipeline.template.indices(0, COUNT) != FACELESS).sum())
    device, submit = Device.of("cpu"), Device.submit
    pipeline.inference.submit(Request(0, features)).result()
    assert device.load == 0
    waiting = []
    monkeypatch.setattr(Device, "submit", lambda *_: waiting.append(Future()) or waiting[-1])
    future = pipeline.inference.submit(Request(0, features))
    assert device.load == faces
    assert future.cancel()
    assert device.load == 0
    monkeypatch.setattr(Device, "submit", submit)
    assert len(pipeline.inference.submit(Request(0, features)).result().indices) == COUNT


class Painter:
    """A generator that draws nothing, with a device and memory of its own."""

    def __init__(self, preset, place="cpu", pool=None):
        self.preset, self.device, self.pool = preset, Device.of(place), pool
        self.drawn = []

    def output(self, count):
        return (count, 3, self.preset.view, self.preset.view), "float32"

    def draw(self, template, indices, features, out, *, pool, clock):
        self.drawn.append((indices.tolist(), pool))


def test_outputs_lie_in_the_memory_of_the_generator(rng):
    """A device copies to its own pinned memory faster; visual inputs are the pipeline's."""
    preset = get_preset("wav2lip96")
    features = rng.normal(0, 1, (5, *preset.audio_shape)).astype(np.float32)
    pool = BufferPool()
    for own in (BufferPool(), None):
        painter = Painter(preset, pool=own)
        inference = Inference(template_of(preset), [painter], pool, Stages(["cpu"]))
        outputs = inference.run(features, 0)
        assert (own or pool).stats().lent == 1
        assert own is None or pool.stats().lent == 0
        assert painter.drawn == [([0, 1], pool), ([3, 4], pool)]
        del outputs


def test_devices_that_are_shared_are_numbered():
    preset = get_preset("wav2lip96")
    painters = [Painter(preset, place) for place in ("cuda:0", "cpu", "cuda:0", "cuda:1")]
    assert device_names(painters) == ["cuda:0 #1", "cpu", "cuda:0 #2", "cuda:1"]
    assert device_names(painters[:2]) == ["cuda:0", "cpu"]
