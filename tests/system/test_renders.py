"""A whole render with every preset: models of its contract, any request, fixed, free batch."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
from tests.support.nets import mixing_generator, tiny_encoder, tiny_hubert, tiny_wenet
from tests.support.person import speech, template_of
from tests.support.scripts import HEARS

from lipsync_fast.cli.main import main
from lipsync_fast.errors import InputError
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.pipeline import MouthOptions, Pipeline
from lipsync_fast.presets import PRESETS
from lipsync_fast.templates.template import Template

COUNT = 27  # frames: more than the largest request, not a multiple of a micro-batch


def rows_for(preset):
    rng = np.random.default_rng(2)
    return rng.normal(0, 1, (COUNT, *HEARS[preset.name][1])).astype(np.float32)


def heard(preset):
    """Return speech and, if the preset's features are not computed from it here, features."""
    rate = preset.feature_rate or 25
    samples = speech(COUNT / rate)
    return samples, rows_for(preset) if preset.features in ("hubert", "wenet") else None


def opened(preset, folder, batch):
    net = folder / f"{batch}.onnx"
    if not net.exists():
        mixing_generator(net, preset, batch)
    encoder = tiny_encoder(folder / "e.onnx") if preset.features == "ave" else None
    person = template_of(preset, fps=preset.feature_rate or 25)
    return Pipeline.open(person, net, encoder)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_renders(name, tmp_path):
    preset = PRESETS[name]
    samples, features = heard(preset)
    outputs = {}
    for batch in (1, 4, "batch"):
        with opened(preset, tmp_path, batch) as pipeline:
            assert pipeline.generator.batch == (None if batch == "batch" else batch)
            for request in (1, 8, 25):
                path = tmp_path / f"{batch}-{request}"
                count = pipeline.render(samples, path, features=features, request=request)
                assert count == COUNT
                outputs[path.name] = [f.read_bytes() for f in sorted(path.iterdir())]
    wanted = outputs.pop("1-1")
    assert len(wanted) == COUNT
    assert len(set(wanted)) > COUNT // 2, "the mouth must move"
    for which, got in outputs.items():
        assert got == wanted, which


@pytest.mark.parametrize("name", ["ultralight168-wenet", "edtalk256"])
def test_to_a_video(name, tmp_path):
    av = pytest.importorskip("av")
    preset = PRESETS[name]
    samples, features = heard(preset)
    with opened(preset, tmp_path, "batch") as pipeline:
        assert pipeline.render(samples, tmp_path / "out.mp4", features=features) == COUNT
    with av.open(tmp_path / "out.mp4") as video:
        assert video.streams.video[0].average_rate == (preset.feature_rate or 25)
        assert sum(1 for _ in video.decode(video=0)) == COUNT
        assert len(video.streams.audio) == 1


def test_features_alone_make_a_silent_video(tmp_path):
    av = pytest.importorskip("av")
    preset = PRESETS["synctalk328-wenet"]
    reports = []
    with opened(preset, tmp_path, "batch") as pipeline:
        count = pipeline.render(
            None,
            tmp_path / "out.mp4",
            features=rows_for(preset),
            progress=lambda done, total: reports.append((done, total)),
        )
        wanted = [
            f.array.copy() for f in pipeline.frames(heard(preset)[0], features=rows_for(preset))
        ]
        got = [f.array.copy() for f in pipeline.frames(None, features=rows_for(preset))]
    assert count == COUNT
    assert reports == [(i + 1, COUNT) for i in range(COUNT)]
    assert all(map(np.array_equal, got, wanted))
    with av.open(tmp_path / "out.mp4") as video:
        assert video.streams.video[0].average_rate == 20
        assert sum(1 for _ in video.decode(video=0)) == COUNT
        assert not video.streams.audio


def test_features_stand_in_for_an_encoder(tmp_path):
    """`ave` rows saved by the scripts, without an audio encoder."""
    preset = PRESETS["synctalk328"]
    mixing_generator(tmp_path / "g.onnx", preset)
    np.save(tmp_path / "aud_ave.npy", rows_for(preset))
    with Pipeline.open(template_of(preset), tmp_path / "g.onnx") as pipeline:
        frames = list(pipeline.frames(None, features=tmp_path / "aud_ave.npy"))
        assert len(frames) == COUNT


def test_wenet_listens(tmp_path):
    preset = PRESETS["synctalk328-wenet"]
    net = mixing_generator(tmp_path / "g.onnx", preset)
    samples = speech(1.5)
    person = template_of(preset, fps=20)
    wenet = tiny_wenet(tmp_path / "w.onnx")
    with Pipeline.open(person, net, wenet, mouth=MouthOptions(silence="net")) as pipeline:
        rows = pipeline.audio_encoder.features(samples)
        assert rows.shape == (31, 16, 512)
        got = [f.array.copy() for f in pipeline.frames(samples)]
        wanted = [f.array.copy() for f in pipeline.frames(samples, features=rows)]
    assert len(got) == 30
    assert all(map(np.array_equal, got, wanted))


def test_hubert_listens(tmp_path):
    preset = PRESETS["ultralight168-hubert"]
    net = mixing_generator(tmp_path / "g.onnx", preset)
    hubert = tiny_hubert(tmp_path / "h.onnx")
    samples = speech(1.5)
    mouth = MouthOptions(silence="net")
    with Pipeline.open(template_of(preset), net, hubert, mouth=mouth) as pipeline:
        rows = pipeline.audio_encoder.features(samples)
        assert rows.shape == (37, 2, 1024)
        got = [f.array.copy() for f in pipeline.frames(samples)]
        wanted = [f.array.copy() for f in pipeline.frames(samples, features=rows)]
    assert len(got) == 38
    assert all(map(np.array_equal, got, wanted))


@pytest.mark.parametrize("name", ["ultralight168-hubert", "synctalk328-wenet"])
def test_features_that_are_missing_are_asked_for(name, tmp_path):
    preset = PRESETS[name]
    net = mixing_generator(tmp_path / "g.onnx", preset)
    with Pipeline.open(template_of(preset, fps=preset.feature_rate), net) as pipeline:
        with pytest.raises(InputError, match="--features") as caught:
            pipeline.frames(speech(0.5))
        assert "--audio-encoder" in str(caught.value)
        with pytest.raises(InputError, match="a speech or features"):
            pipeline.frames(None)
    with pytest.raises(InputError, match=f"{preset.feature_rate} frames a second"):
        Pipeline.open(template_of(preset, fps=24), net)


def test_the_weight_of_edtalk_is_its_presets(tmp_path):
    from lipsync_fast.nets.generator import Generator

    preset = PRESETS["edtalk256"]
    net = mixing_generator(tmp_path / "g.onnx", preset)
    rng = np.random.default_rng(0)
    visual = rng.uniform(0.3, 0.6, (2, *preset.visual_shape)).astype(np.float32)
    audio = rng.normal(0, 1, (2, *preset.audio_shape)).astype(np.float32)
    made = Generator(net).infer(visual, audio)
    for weight, same in [(0.5, True), (1.0, False)]:
        other = Generator(net, constants={"weight": [weight]})
        assert other.preset.name == "edtalk256"
        assert np.array_equal(other.infer(visual, audio), made) == same
    person = Template.from_arrays(
        [np.full((80, 90, 3), 120, np.uint8)], (10, 10, 60, 60), preset=preset
    )
    resident = ResidentGenerator(net, person.crops, preset)
    assert resident.infer_indices([0, 0], audio).shape == (2, 256, 256, 3)


def test_command_line(tmp_path, capsys):
    from PIL import Image

    preset = PRESETS["ultralight168-hubert"]
    net = mixing_generator(tmp_path / "g.onnx", preset)
    np.save(tmp_path / "aud_hu.npy", rows_for(preset).astype(np.float64))
    Image.fromarray(np.full((80, 90, 3), 120, np.uint8)).save(tmp_path / "anna.png")
    anna = str(tmp_path / "anna")
    prepare = ["prepare", f"{anna}.png", anna, "--preset", preset.name, "--rect", "10,10,60,60"]
    assert main([*prepare, "-q"]) == 0
    render = ["render", anna, "-", str(tmp_path / "out"), "--generator", str(net), "-q"]
    assert main([*render, "--features", str(tmp_path / "aud_hu.npy")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == COUNT
    render[3] = str(tmp_path / "never")
    assert main(render) == 2
    assert "nothing came through standard input" in capsys.readouterr().err
    assert main([*render, "--features", str(tmp_path / "no.npy")]) == 2
    assert "no.npy: no such file with features" in capsys.readouterr().err
