"""The whole road: speech, template and models to frames, files and video."""

import threading
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
from tests.support.nets import drifting_generator, tiny_encoder, tiny_generator
from tests.support.person import speech, template_of
from tests.support.small_person import nothing_is_lent

from lipsync_fast.audio import SilenceFades, frame_count
from lipsync_fast.compositing import ColourSmoother
from lipsync_fast.errors import ArgumentTypeError, FileMissingError, InputError
from lipsync_fast.memory import BufferPool
from lipsync_fast.nets.generator import Generator
from lipsync_fast.pipeline import MouthOptions, Pipeline, SpeechFeatures
from lipsync_fast.presets import PRESETS, get_preset
from lipsync_fast.timing import Loop

NAMES = ["synctalk328", "wav2lip96", "wav2lip384", "liteavatar384"]


@pytest.fixture(params=NAMES)
def pipeline(request, tmp_path):
    preset = get_preset(request.param)
    generator = tiny_generator(tmp_path / "generator.onnx", preset)
    encoder = tiny_encoder(tmp_path / "encoder.onnx") if preset.features == "ave" else None
    with Pipeline.open(template_of(preset), generator, encoder, threads=2) as opened:
        yield opened


@pytest.mark.parametrize("name", PRESETS)
def test_visual_input_is_the_contracts(name):
    one = template_of(name, count=1)
    preset, b = one.preset, one.preset.border
    view = one.crops[0][b : b + preset.view, b : b + preset.view].astype(np.float32)
    if preset.rgb:
        view = view[..., ::-1]
    unit = view / np.float32(255)
    if preset.low == -1:
        unit = (unit - np.float32(0.5)) / np.float32(0.5)
    planes = unit.transpose(2, 0, 1)
    masked = planes.copy()
    if preset.black:
        x0, y0, x1, y1 = preset.black
        masked[:, y0:y1, x0:x1] = 0
    parts = {"reference": planes, "masked": masked}
    want = np.concatenate([parts[part] for part in preset.visual.split("+")])
    assert np.array_equal(one.visual(0), want)


def test_all_frames_come_in_order(pipeline):
    samples = speech()
    frames = list(pipeline.frames(samples))
    assert len(frames) == frame_count(len(samples), pipeline.template.fps) == 50
    assert [f.index for f in frames] == list(range(50))
    assert [f.template_index for f in frames] == pipeline.template.indices(0, 50).tolist()


def test_frames_without_a_face_equal_their_background(pipeline):
    seen = 0
    for frame in pipeline.frames(speech(1.0)):
        background = pipeline.template.bgr24(frame.template_index)
        same = np.array_equal(frame.array, background)
        if frame.index:  # the first mouth may be faded in from nothing
            assert same == (frame.template_index == 2), frame
        seen += same
    assert seen


def test_a_speech_is_heard_in_order_in_the_callers_thread(pipeline, monkeypatch):
    """Two that listen at once would mix up its samples."""
    samples, said, heard = speech(1.5), [], []
    push = SpeechFeatures.push

    def note(self, chunk):
        heard.append((threading.get_ident(), float(chunk[0])))
        return push(self, chunk)

    def chunks():
        for chunk in np.split(samples, 60):
            said.append((threading.get_ident(), float(chunk[0])))
            yield chunk

    monkeypatch.setattr(SpeechFeatures, "push", note)
    frames = [f.index for f in pipeline.frames(chunks(), request=2)]
    assert frames == list(range(len(frames)))
    assert heard == said
    assert {thread for thread, _ in heard} == {threading.get_ident()}


def test_chunks_of_any_size_give_the_same_frames(pipeline):
    samples = speech(1.3)
    whole = [bytes(f.data) for f in pipeline.frames(samples, format="jpeg")]
    rng = np.random.default_rng(5)
    cuts = np.sort(rng.integers(0, len(samples), 40))
    pieces = [bytes(f.data) for f in pipeline.frames(np.split(samples, cuts), format="jpeg")]
    assert pieces == whole


@pytest.mark.parametrize("request_size", [1, 8, 25])
def test_the_size_of_a_request_changes_nothing(pipeline, request_size):
    samples = speech(1.2)
    want = [bytes(f.data) for f in pipeline.frames(samples)]
    assert [bytes(f.data) for f in pipeline.frames(samples, request=request_size)] == want
    pipeline.request = request_size
    assert [bytes(f.data) for f in pipeline.frames(samples)] == want


def test_a_net_of_batch_one_gives_the_same_frames(pipeline, tmp_path):
    preset = pipeline.template.preset
    fixed = tiny_generator(tmp_path / "fixed.onnx", preset, batch=1)
    encoder = tmp_path / "encoder.onnx" if preset.features == "ave" else None
    samples = speech(1.0)
    want = [bytes(f.data) for f in pipeline.frames(samples)]
    with Pipeline.open(pipeline.template, fixed, encoder) as other:
        assert other.generator.batch == 1
        assert [bytes(f.data) for f in other.frames(samples)] == want


def test_one_request_at_a_time(pipeline):
    shape = pipeline.template.preset.audio_shape
    features = np.random.default_rng(1).normal(0, 1, (8, *shape)).astype(np.float32)
    with pipeline.composite(features, start=100, format="jpeg") as frames:
        assert [f.index for f in frames] == list(range(100, 108))
        assert all(bytes(f.data[:2]) == b"\xff\xd8" for f in frames)
    assert pipeline.pool.stats().lent == 0
    with pytest.raises(InputError, match="features"):
        pipeline.composite(features[..., :-1])


def test_memory_comes_back_when_a_speech_is_left_early(pipeline):
    for frame in pipeline.frames(speech(3.0)):
        if frame.index == 9:
            break
    del frame
    for frame in pipeline.frames(speech(1.0)):
        frame.release()
    del frame
    assert nothing_is_lent(pipeline)  # what was left may be under way a moment longer


def test_any_rate_for_mel_presets(tmp_path):
    preset = get_preset("wav2lip96")
    generator = tiny_generator(tmp_path / "g.onnx", preset)
    samples = speech(2.0)
    for fps, count in [("30000/1001", 60), (30, 60), (24, 48), (12.5, 25)]:
        with Pipeline.open(template_of(preset, fps=fps), generator) as pipeline:
            assert sum(1 for _ in pipeline.frames(samples)) == count
            assert pipeline.template.fps == Fraction(str(fps))


def test_jpeg_folder(pipeline, tmp_path):
    reports = []
    count = pipeline.render(
        speech(0.5), tmp_path / "out", progress=lambda done, total: reports.append((done, total))
    )
    assert count == 13
    files = sorted((tmp_path / "out").iterdir())
    assert [f.name for f in files] == [f"{i:08d}.jpg" for i in range(13)]
    assert reports[-1] == (13, 13)
    want = [bytes(f.data) for f in pipeline.frames(speech(0.5), format="jpeg")]
    assert [f.read_bytes() for f in files] == want


def test_mp4(pipeline, tmp_path):
    av = pytest.importorskip("av")
    samples = speech(1.5)
    assert pipeline.render(samples, tmp_path / "out.mp4") == 38
    with av.open(tmp_path / "out.mp4") as video:
        stream = video.streams.video[0]
        assert stream.average_rate == 25
        decoded = [f.to_ndarray(format="bgr24") for f in video.decode(stream)]
    assert len(decoded) == 38
    frames = list(pipeline.frames(samples))
    for got, frame in zip(decoded, frames, strict=True):
        assert np.abs(got.astype(int) - frame.array).mean() < 4
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_colours_that_drift_are_matched(tmp_path):
    """With colour match the mouth has its background's colours, and all else is as before."""
    preset = get_preset("wav2lip96")
    person, samples = template_of(preset), speech(1.2)
    net = drifting_generator(tmp_path / "net.onnx", preset)
    shown = {}
    for match in (False, True):
        with Pipeline.open(person, net, threads=2, mouth=MouthOptions(match)) as pipeline:
            shown[match] = list(pipeline.frames(samples))
    for plain, matched in zip(shown[False], shown[True], strict=True):
        background = person.bgr24(plain.template_index).astype(int)
        x, y, w, h = person.rects[plain.template_index]
        for frame in (plain, matched):
            outside = frame.array.astype(int) - background
            outside[y : y + h, x : x + w] = 0
            assert not outside.any()
        if w == 0:
            continue
        inside = np.s_[y : y + h, x : x + w]
        off = [np.abs(f.array[inside] - background[inside]).mean() for f in (plain, matched)]
        # The rest is the model's own flicker with the sound, which is smoothed.
        assert off[0] > 5
        assert off[1] < 3


@pytest.mark.parametrize("name", ["wav2lip384", "liteavatar384"])
@pytest.mark.parametrize("format", ["bgr24", "jpeg"])
def test_matched_colours_do_not_depend_on_requests(tmp_path, name, format):
    preset, samples = get_preset(name), speech(1.2)
    net = drifting_generator(tmp_path / "net.onnx", preset)
    mouth = MouthOptions(colour_match=True)
    with Pipeline.open(template_of(preset), net, threads=2, mouth=mouth) as pipeline:
        want = [bytes(f.data) for f in pipeline.frames(samples, format=format)]
        for size in (1, 25):
            sized = pipeline.frames(samples, format=format, request=size)
            assert [bytes(f.data) for f in sized] == want
        pieces = np.split(samples, [900, 901, 12000])
        assert [bytes(f.data) for f in pipeline.frames(pieces, format=format)] == want
        smoother, got = ColourSmoother(pipeline.template.fps, preset.view), []
        speech_features = pipeline.listen()
        speech_features.push(samples)
        speech_features.flush()
        while speech_features.ready:
            heard = speech_features.take(min(7, speech_features.ready))
            with pipeline.composite(
                heard.features, heard.start, format=format, alphas=heard.alphas, smoother=smoother
            ) as frames:
                got += [bytes(f.data) for f in frames]
        assert got == want


def paused_speech():
    """Two seconds of speech-like bursts, one of them within a long pause."""
    samples = np.concatenate([speech(1.0), np.zeros(24000, np.float32), speech(1.0, seed=1)])
    return samples + np.random.default_rng(7).normal(0, 1e-3, len(samples)).astype(np.float32)


@pytest.mark.parametrize("name", ["wav2lip96", "wav2lip384", "liteavatar384"])
def test_silence_shows_the_background_and_skips_the_net(tmp_path, name):
    preset, samples = get_preset(name), paused_speech()
    net = tiny_generator(tmp_path / "g.onnx", preset)
    shown, faded = {}, {}
    for silence, frames in (("net", shown), ("background", faded)):
        with Pipeline.open(
            template_of(preset), net, mouth=MouthOptions(silence=silence)
        ) as pipeline:
            for frame in pipeline.frames(samples):
                frames[frame.index] = frame.array.copy()
            ran = pipeline.stats().stages["net"].frames
            indices = pipeline.template.indices(0, len(frames))
            backgrounds = [pipeline.template.bgr24(int(i)) for i in indices]
            if silence == "net":
                assert ran == np.count_nonzero(indices != 2)
    untouched = [np.array_equal(faded[i], b) for i, b in enumerate(backgrounds)]
    assert all(untouched[40:60])
    listener = (
        SilenceFades(25, ahead=7, attack=2) if preset.features == "params" else SilenceFades(25)
    )
    alphas = np.concatenate([listener.push(samples), listener.flush(len(faded))])
    assert ran == np.count_nonzero((alphas > 0) & (indices != 2)) < len(faded) - 20
    assert all(np.array_equal(faded[i], shown[i]) for i in range(10, 20))
    # Half shown, the mouth lies between the film and the model's picture.
    way = [np.abs(faded[i] - b.astype(float)).sum() for i, b in enumerate(backgrounds)]
    whole = [np.abs(shown[i] - b.astype(float)).sum() for i, b in enumerate(backgrounds)]
    fading = np.flatnonzero((alphas > 0) & (alphas < 255) & (indices != 2))
    assert len(fading) >= 6
    assert all(way[i] < whole[i] for i in fading)


def test_what_is_shown_in_silence_by_default(tmp_path):
    for name, silence in [("wav2lip96", "closed"), ("liteavatar384", "background")]:
        preset = get_preset(name)
        net = tiny_generator(tmp_path / f"{name}.onnx", preset)
        with Pipeline.open(template_of(preset), net) as pipeline:
            assert pipeline.mouth.silence == silence
        with pytest.raises(InputError, match="silence must be one of closed, background, net"):
            MouthOptions(silence="quiet")


def test_a_closed_mouth_in_silence_ignores_noise(tmp_path):
    preset, samples = get_preset("wav2lip96"), paused_speech()
    net, mute = tiny_generator(tmp_path / "g.onnx", preset), samples.copy()
    mute[16000 + 4800 : 40000] = 0
    frames = {}
    for silence, sound in [("closed", samples), ("net", samples), ("net", mute)]:
        with Pipeline.open(
            template_of(preset), net, mouth=MouthOptions(silence=silence)
        ) as pipeline:
            shown = [bytes(f.data) for f in pipeline.frames(sound)]
            frames[silence, sound is mute] = shown[35:55]
    assert frames["closed", False] == frames["net", True]
    assert frames["closed", False] != frames["net", False]


def test_another_neutral_pose_order_and_start(tmp_path):
    preset, pose = get_preset("liteavatar384"), np.linspace(0, 0.5, 32)
    net = tiny_generator(tmp_path / "g.onnx", preset)
    np.save(tmp_path / "pose.npy", pose)
    samples = speech(0.5)

    def shown(loop=None, start=None, neutral=None):
        person = template_of(preset).looped(Loop(loop, start))
        mouth = MouthOptions(silence="net", neutral=neutral)
        with Pipeline.open(person, net, mouth=mouth) as pipeline:
            frames = list(pipeline.frames(samples))
            return [f.template_index for f in frames], [bytes(f.data) for f in frames]

    plain = shown()
    assert plain[0][:4] == [0, 1, 2, 3]
    assert shown(loop="still", start=3)[0] == [3] * 13
    assert shown(loop="forward", start=1)[0][:5] == [1, 2, 3, 4, 0]
    posed = shown(neutral=tmp_path / "pose.npy")
    assert posed[0] == plain[0]
    assert posed[1] != plain[1]
    assert shown(neutral=pose)[1] == posed[1]
    with pytest.raises(FileMissingError, match="neutral pose"):
        shown(neutral="no.npy")
    other = tiny_generator(tmp_path / "o.onnx", get_preset("wav2lip96"))
    with pytest.raises(
        InputError, match="neutral must be left out: it is for presets that hear params"
    ):
        Pipeline.open(template_of("wav2lip96"), other, mouth=MouthOptions(neutral=pose))


def test_what_does_not_match_is_refused(tmp_path):
    preset = get_preset("synctalk328")
    generator = tiny_generator(tmp_path / "g.onnx", preset)
    other = tiny_generator(tmp_path / "o.onnx", get_preset("wav2lip96"))
    encoder = tiny_encoder(tmp_path / "e.onnx")
    with (
        Pipeline.open(template_of(preset), generator) as deaf,
        pytest.raises(InputError, match="audio encoder"),
    ):
        deaf.frames(speech())
    with Pipeline.open(template_of(preset), generator, encoder) as pipeline:
        with pytest.raises(ArgumentTypeError, match=r"the speech must be a path, .* got int"):
            pipeline.frames(5)
        with pytest.raises(InputError, match="request must be a whole number of frames"):
            pipeline.frames(speech(), request=0)
        windows = np.zeros((2, *preset.audio_shape), np.float32)
        for start in (-3, 0.5):
            with pytest.raises(InputError, match="start must be a whole number of frames"):
                pipeline.composite(windows, start)
    with pytest.raises(InputError, match="wav2lip96"):
        Pipeline.open(template_of(preset), other, encoder)
    with pytest.raises(InputError, match="25 frames a second"):
        Pipeline.open(template_of(preset, fps=30), generator, encoder)
    with pytest.raises(FileMissingError, match="nothing"):
        Pipeline.open(tmp_path / "nothing", generator, encoder)
    with pytest.raises(FileMissingError, match=r"no\.onnx"):
        Pipeline.open(template_of(preset), tmp_path / "no.onnx", encoder)


def test_bad_speech_and_bad_outputs(pipeline, tmp_path):
    for bad in (np.zeros(0, np.float32), np.full(16000, np.nan, np.float32)):
        with pytest.raises(ValueError, match=r"sample|finite"):
            list(pipeline.frames(bad))
    assert len(list(pipeline.frames(np.zeros(160, np.float32)))) == 1
    with pytest.raises(FileMissingError):
        pipeline.render(tmp_path / "no.wav", tmp_path / "out.mp4")
    with pytest.raises(InputError, match="mp4"):
        pipeline.render(speech(0.2), tmp_path / "out.gif")
    assert not (tmp_path / "out.mp4").exists()


def test_parts_that_are_none_are_named(tmp_path):
    made, path = (
        template_of("wav2lip96"),
        tiny_generator(tmp_path / "n.onnx", get_preset("wav2lip96")),
    )
    net = Generator(path)
    opens = "; Pipeline.open opens the path of an ONNX file"
    for make, says in [
        (lambda: Pipeline(None, None), "template must be of type Template, got NoneType; Template"),
        (lambda: Pipeline("anna", net), "template must be of type Template, got str; Template"),
        (lambda: Pipeline(made, None), f"generator must be of type .*, got NoneType{opens}"),
        (lambda: Pipeline(made, "a.onnx"), f"generator must be of type .*, got str{opens}"),
        (lambda: Pipeline(made, [net, path]), f"generator must be of type .*Path{opens}"),
        (lambda: Pipeline(made, net, path), f"audio_encoder must be of type .*Path{opens}"),
        (lambda: Pipeline(made, net, mouth="net"), "mouth must be of type MouthOptions, got str"),
        (lambda: Pipeline(made, net, pool=5), "pool must be of type BufferPool, got int"),
        (lambda: Pipeline.open(5, path), "path of a template must be of type str or Path"),
        (lambda: Pipeline.open(made, None), "generator must be of type .*, got NoneType"),
        (lambda: Pipeline.open(made, [path]), "generator must be of type .*Path"),
        (lambda: Pipeline.open(made, path, 5), "audio_encoder must be of type .*, got int"),
        (lambda: Pipeline.open(made, path, options=5), "options must be of type DeviceOptions"),
    ]:
        with pytest.raises(ArgumentTypeError, match=says):
            make()
    with pytest.raises(InputError, match="generator must be at least one generator, got none"):
        Pipeline(made, [])


def test_a_pipeline_uses_the_pool_and_the_request_that_it_is_given(tmp_path):
    net = Generator(tiny_generator(tmp_path / "g.onnx", get_preset("wav2lip96")), "wav2lip96")
    with pytest.raises(InputError, match="request must be a whole number of frames"):
        Pipeline(template_of("wav2lip96"), net, request=0)
    pool = BufferPool()
    with Pipeline(template_of("wav2lip96"), net, request=1, threads=1, pool=pool) as made:
        assert made.pool is pool is made.compositor.pool
        frames = made.frames(speech(0.2))
        next(frames)
        assert made.stats().stages["finish"].frames == 1
        assert pool.stats().misses > 0
        frames.close()
        rows = np.zeros((2, *made.template.preset.audio_shape), np.float32)
        assert [frame.index for frame in made.composite(rows)] == [0, 1]


def test_given_features_need_no_speech(tmp_path, rng):
    preset = get_preset("wav2lip96")
    rows = rng.normal(0, 1, (5, *preset.audio_shape)).astype(np.float32)
    net = tiny_generator(tmp_path / "g.onnx", preset)
    with Pipeline.open(template_of(preset), net, threads=1) as pipeline:
        alone = [bytes(frame.data) for frame in pipeline.frames(None, features=rows)]
        assert alone == [bytes(frame.data) for frame in pipeline.composite(rows)]
        with pytest.raises(InputError, match="need a speech or features, got neither"):
            pipeline.frames(None)


def test_what_is_rendered_is_counted_and_told(tmp_path):
    preset, told = get_preset("wav2lip96"), []
    net = tiny_generator(tmp_path / "g.onnx", preset)
    with Pipeline.open(template_of(preset), net, threads=1) as pipeline:
        done = pipeline.render(speech(0.4), tmp_path / "out", progress=lambda *n: told.append(n))
        write = pipeline.stats().stages["write"]
    assert (done, write.runs, write.frames) == (10, 10, 10)
    assert told == [(i, 10) for i in range(1, 11)]
    assert len(list((tmp_path / "out").iterdir())) == 10
