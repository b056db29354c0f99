"""Generators of a pipeline: resident or packed, shared, on several devices."""

import logging
import shutil
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import exported_generator, mixing_generator, old_opset, tiny_generator
from tests.support.person import COUNT, NO_FACE, frames_of, photo, template_of, windows_of
from tests.support.recorder import Recorder

from lipsync_fast.errors import ArgumentTypeError, DeviceMemoryError, InputError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.nets.devices import Device
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.opening import open_generators
from lipsync_fast.nets.options import DeviceOptions
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.presets import PRESETS, get_preset
from lipsync_fast.templates import TemplateWriter
from lipsync_fast.templates.template import Template

WAV2LIP, SYNCTALK = get_preset("wav2lip96"), get_preset("synctalk328")


@pytest.fixture
def folder(tmp_path):
    """A prepared folder of wav2lip96."""
    with TemplateWriter(tmp_path / "anna", VideoFormat(240, 180), preset=WAV2LIP) as writer:
        for i in range(COUNT):
            writer.add((60 + i, 40, 100, 90), bgr24=photo(i))
    return tmp_path / "anna"


# ---- resident or packed ---------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_both_ways_finish_the_same_frames(tmp_path, preset, batch):
    """The mixing model uses every plane and constant; one level may become two by resizing."""
    path = mixing_generator(tmp_path / "net.onnx", preset, batch)
    template, features = template_of(preset), windows_of(preset, 12)
    with Pipeline.open(template, path) as resident:
        assert isinstance(resident.generator, ResidentGenerator)
        made = frames_of(resident, features)
        assert resident.stats().stages["visual"].runs == 0, "nothing is to be packed"
    with Pipeline(template, Generator(path, preset)) as packed:
        expected = frames_of(packed, features)
    off = np.abs(made.astype(int) - expected)
    assert off.max() <= 2
    assert (off > 1).mean() < 1e-4
    backgrounds = np.stack([template.bgr24(i) for i in template.indices(0, 12)])
    assert np.abs(expected.astype(int) - backgrounds).max() > 20, "the mouths are there"


def test_without_onnx_the_packed_way_says_why_once(tmp_path, monkeypatch, caplog):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with (
        caplog.at_level(logging.INFO, "lipsync_fast"),
        Pipeline.open(template_of(WAV2LIP), path) as pipeline,
    ):
        assert isinstance(pipeline.generator, Generator)
        assert frames_of(pipeline, windows_of(WAV2LIP, 8)).shape == (8, 180, 240, 3)
        assert pipeline.stats().stages["visual"].frames == 6
    said = [r for r in caplog.records if "packing crops frame by frame" in r.getMessage()]
    assert [r.levelname for r in said] == ["INFO"]


def test_a_refused_net_is_packed(tmp_path):
    with Pipeline.open(template_of(WAV2LIP), old_opset(tmp_path / "net.onnx")) as pipeline:
        assert isinstance(pipeline.generator, Generator)
        assert frames_of(pipeline, windows_of(WAV2LIP, 3)).any()


@pytest.mark.parametrize("resident", [True, False])
def test_frames_without_a_mouth_do_not_reach_the_net(tmp_path, monkeypatch, resident):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    template = template_of(WAV2LIP)
    net = ResidentGenerator(path, template.crops, WAV2LIP) if resident else Generator(path)
    seen = []
    real = net.draw

    def count(template, indices, features, out, **named):
        seen.append(len(indices))
        return real(template, indices, features, out, **named)

    monkeypatch.setattr(net, "draw", count)
    with Pipeline(template, net) as pipeline:
        features = windows_of(WAV2LIP, 10)
        alphas = [255] * 9 + [0]
        with pipeline.composite(features, alphas=alphas) as frames:
            for frame in frames:
                same = (frame.array == template.bgr24(frame.template_index)).all()
                assert same == (frame.template_index == NO_FACE or frame.index == 9)
        stats = pipeline.stats()
    assert sum(seen) == stats.stages["net"].frames == stats.devices["cpu"].frames == 7


def test_bytes_of_a_pipelines_request(tmp_path, monkeypatch):
    """25 frames of synctalk328: 92 MB of floats become 9 MB, as bound to the session."""
    path, template = tiny_generator(tmp_path / "net.onnx", SYNCTALK), template_of(SYNCTALK)
    template.rects[NO_FACE] = template.rects[0]
    moved = {}
    for way, net in (
        ("packed", Generator(path)),
        ("resident", *open_generators(path, template)),
    ):
        recorder = Recorder(net._session)
        monkeypatch.setattr(net, "_session", recorder)
        with Pipeline(template, net) as pipeline:
            frames_of(pipeline, windows_of(SYNCTALK, 25))
        # Crops are where the model runs: on the CPU they are bound again, not copied.
        moved[way] = sum(size for name, size, _ in recorder.inputs if name != "crops")
        moved[way] += sum(size for _, size in recorder.outputs)
    assert 92e6 < moved["packed"] < 94e6
    assert moved["resident"] <= 9e6


# ---- the cache of changed models ----------------------------------------------------------


def test_it_is_made_once_and_kept_apart_from_the_template(tmp_path, folder, kept_models):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    before = sorted(folder.iterdir())
    with Pipeline.open(folder, path) as pipeline:
        first = frames_of(pipeline, windows_of(WAV2LIP, 4))
    (kept,) = kept_models()
    inode = kept.stat().st_ino
    with Pipeline.open(folder, path) as pipeline:
        assert isinstance(pipeline.generator, ResidentGenerator)
        assert (frames_of(pipeline, windows_of(WAV2LIP, 4)) == first).all()
    assert [path.stat().st_ino for path in kept_models()] == [inode], "it was made again"
    assert sorted(folder.iterdir()) == before


def test_a_model_that_lies_in_a_template_is_not_run(tmp_path, folder, kept_models):
    """A template may come from a stranger, so it may hold pictures, never code."""
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    with Pipeline.open(folder, path) as pipeline:
        expected = frames_of(pipeline, windows_of(WAV2LIP, 2))
    (kept,) = kept_models()
    key = kept.name.split(".")[0]
    kept.unlink()
    for name in (f"resident-{key[:32]}-{key[:16]}.onnx", kept.name):
        (folder / name).write_bytes(b"a stranger's model")
    with Pipeline.open(folder, path) as pipeline:
        assert (frames_of(pipeline, windows_of(WAV2LIP, 2)) == expected).all()
    assert kept_models() == [kept]


def test_a_feather_needs_no_other_net(tmp_path, kept_models):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    for feather in (None, "ellipse"):
        preset = WAV2LIP.with_feather(feather)
        template = Template.from_arrays([photo(0)], (60, 40, 100, 90), preset=preset)
        open_generators(path, template)
        ResidentGenerator(path, template.crops, preset)
    assert len(kept_models()) == 1


# ---- shared ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Pipeline.open, Pipeline], ids=["opened", "made"])
@pytest.mark.parametrize("way", ["resident", "packed"])
def test_pipelines_share_a_session(tmp_path, way, make):
    path = mixing_generator(tmp_path / "net.onnx", WAV2LIP)
    anna, bert = template_of(WAV2LIP), template_of(WAV2LIP, seed=50)
    features = windows_of(WAV2LIP, 9)
    alone = []
    for template in (anna, bert):
        with Pipeline.open(template, path) as pipeline:
            alone.append(frames_of(pipeline, features))
    first = Pipeline.open(anna, path if way == "resident" else Generator(path))
    second = make(bert, first.generators)
    assert second.generator._session is first.generator._session
    wrong = []

    def work(pipeline, expected):
        for _ in range(15):
            off = np.abs(frames_of(pipeline, features).astype(int) - expected).max()
            if off > (0 if way == "resident" else 2):
                wrong.append(off)

    jobs = [(first, alone[0]), (second, alone[1])] * 2
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    first.close()
    work(second, alone[1])
    assert not wrong, "the other one's end must not matter"
    second.close()
    assert (alone[0] != alone[1]).any()


def test_what_cannot_be_shared(tmp_path):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    template, other = template_of(WAV2LIP), template_of(get_preset("wav2lip256"))
    for net in (Generator(path), *open_generators(path, template)):
        with pytest.raises(InputError, match=r"for wav2lip256, the generator .* wav2lip96"):
            open_generators(net, other)
        with pytest.raises(InputError, match="apply only when a generator is opened; leave"):
            open_generators(net, template, options=DeviceOptions())
        with pytest.raises(InputError, match=r"for wav2lip256, the generator .* wav2lip96"):
            Pipeline(other, net)
    with pytest.raises(InputError, match="at least one generator, got none"):
        Pipeline(template, [])
    for given in (5, [5], str(path)):
        with pytest.raises(
            ArgumentTypeError, match="must be of type Generator or ResidentGenerator, got"
        ):
            Pipeline(template, given)
    with pytest.raises(InputError, match="devices must be a sequence of numbers, got 0"):
        open_generators(path, template, devices=0)
    with pytest.raises(InputError, match=r"different numbers, got \[1, 1\]"):
        open_generators(path, template, devices=[1, 1])
    with pytest.raises(InputError, match="models run on the CPU here, got 0, 1; see"):
        open_generators(path, template, devices=[0, 1], providers=["cpu"])
    with pytest.raises(InputError, match="models run on the CPU here, got 0; see"):
        open_generators(path, template, devices=[0], providers=["cpu"])


# ---- several devices ------------------------------------------------------------------------


def two_sessions(path, template):
    return [*open_generators(path, template), *open_generators(path, template)]


def test_requests_are_spread_over_devices(tmp_path):
    path, template = mixing_generator(tmp_path / "net.onnx", WAV2LIP), template_of(WAV2LIP)
    features = windows_of(WAV2LIP, 40)
    with Pipeline.open(template, path) as single:
        expected = list(single.frames(None, features=features.reshape(40, -1)))
    with Pipeline(template, two_sessions(path, template), request=4) as pipeline:
        assert pipeline.generators[0]._session is not pipeline.generators[1]._session
        made = list(pipeline.frames(None, features=features.reshape(40, -1)))
        stats = pipeline.stats()
    assert [f.index for f in made] == list(range(40))
    for got, want in zip(made, expected, strict=True):
        assert (got.array == want.array).all()
    assert list(stats.devices) == ["cpu #1", "cpu #2"]
    runs = [s.runs for s in stats.devices.values()]
    assert sum(runs) == 10
    assert min(runs) > 1
    faces = sum(i != NO_FACE for i in template.indices(0, 40))
    assert sum(s.frames for s in stats.devices.values()) == faces
    assert all(s.total_ms > 0 for s in stats.devices.values())


def test_a_busy_device_gets_nothing_more(tmp_path, monkeypatch):
    path, template = tiny_generator(tmp_path / "net.onnx", WAV2LIP), template_of(WAV2LIP)
    slow, quick = two_sessions(path, template)
    slow.device, quick.device = Device.of("cuda:6"), Device.of("cuda:7")
    entered, release = threading.Event(), threading.Event()
    real = slow.draw

    def wait(*arguments, **named):
        entered.set()
        assert release.wait(30)
        return real(*arguments, **named)

    monkeypatch.setattr(slow, "draw", wait)
    with Pipeline(template, [slow, quick]) as pipeline:
        features = windows_of(WAV2LIP, 2)
        thread = threading.Thread(target=frames_of, args=(pipeline, features))
        thread.start()
        assert entered.wait(30)
        for _ in range(4):
            frames_of(pipeline, features)
        release.set()
        thread.join()
        assert [s.runs for s in pipeline.stats().devices.values()] == [1, 4]


def test_the_net_runs_while_the_request_before_is_finished(tmp_path, monkeypatch):
    path, template = tiny_generator(tmp_path / "net.onnx", WAV2LIP), template_of(WAV2LIP)
    with Pipeline.open(template, path) as pipeline:
        begun = [threading.Event() for _ in range(4)]
        number = iter(begun)
        draw, finish = pipeline.inference._draw, pipeline.compositor.composite

        def inference(job):
            next(number).set()
            return draw(job)

        def composite(*arguments, start, **named):
            following = start // 4 + 1
            assert following == 4 or begun[following].wait(30), "the net waits for the compositor"
            return finish(*arguments, start=start, **named)

        monkeypatch.setattr(pipeline.inference, "_draw", inference)
        monkeypatch.setattr(pipeline.compositor, "composite", composite)
        features = windows_of(WAV2LIP, 16).reshape(16, -1)
        assert len(list(pipeline.frames(None, features=features, request=4))) == 16


def refused(pipeline, features):
    """Return the message of a request without memory, not its traceback, which holds pictures."""
    try:
        pipeline.composite(features)
    except DeviceMemoryError as error:
        return str(error)
    raise AssertionError("it was not refused")


def test_a_pipeline_lives_on_with_less_memory(tmp_path, monkeypatch, caplog):
    path, template = tiny_generator(tmp_path / "net.onnx", WAV2LIP), template_of(WAV2LIP)
    with Pipeline.open(template, path) as pipeline:
        features = windows_of(WAV2LIP, 10)
        expected = frames_of(pipeline, features)
        net = pipeline.generator
        real, room = net._run_bound, [1]

        def cramped(binding, feeds, output, out, *rest):
            if len(out) > room[0]:
                raise DeviceMemoryError(f"net.onnx: no memory for {len(out)} frames at once")
            real(binding, feeds, output, out, *rest)

        monkeypatch.setattr(net, "_run_bound", cramped)
        assert (frames_of(pipeline, features) == expected).all()
        assert net.micro_batch == 1
        assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1
        room[0] = 0
        assert "no memory for 1 frames" in refused(pipeline, features)
        room[0] = 1
        assert (frames_of(pipeline, features) == expected).all(), "one error is not the end"
        assert pipeline.pool.stats().lent == 0


def test_exported_nets_run_whole_batches(tmp_path, folder):
    path = exported_generator(tmp_path / "net.onnx", WAV2LIP, 4)
    with Pipeline.open(folder, path) as pipeline:
        assert pipeline.generator.batch == 4
        assert frames_of(pipeline, windows_of(WAV2LIP, 6)).shape == (6, 180, 240, 3)
    shutil.rmtree(folder)
