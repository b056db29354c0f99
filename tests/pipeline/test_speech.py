"""SpeechFeatures: windows and alphas, the same in any chunks and requests."""

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.support.voices import VOICES, random_cuts, read_voice, synthetic_voice

from lipsync_fast import media
from lipsync_fast.audio import (
    FeatureFile,
    FeatureStream,
    LiteAvatarDriver,
    NoiseGate,
    SilenceFades,
    feature_windows,
    frame_count,
)
from lipsync_fast.errors import ArgumentTypeError, InputError
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.pipeline import MouthOptions, SpeechFeatures
from lipsync_fast.pipeline.speech import expected_frames, open_speech, read_requests
from lipsync_fast.pipeline.stages import Stages
from lipsync_fast.presets import get_preset


def listener(preset="wav2lip96", features=None, silence="net", neutral=None):
    mouth = MouthOptions(silence=silence, neutral=neutral)
    pool = BufferPool()
    return SpeechFeatures(get_preset(preset), 25, features=features, mouth=mouth, pool=pool)


def requests(speech, preset="wav2lip96", size=8, **options):
    """The requests of a speech, as a pipeline reads it."""
    chunks = () if speech is None else open_speech(speech)
    return read_requests(listener(preset, **options), chunks, size, live=False)


def heard(speech, preset="wav2lip96", size=8, **options):
    """Feature windows and alphas of all frames; no alphas where a request has none."""
    found = list(requests(speech, preset, size, **options))
    starts = np.cumsum([0, *(len(r.features) for r in found)])
    assert [r.start for r in found] == starts[:-1].tolist()
    features = np.concatenate([r.features for r in found])
    alphas = None
    if found[0].alphas is not None:
        alphas = np.concatenate([r.alphas for r in found])
        assert alphas.dtype == np.uint8
        assert len(alphas) == len(features)
    return features, alphas


def fades(samples, **options):
    whole = SilenceFades(25, **options)
    return np.concatenate([whole.push(samples), whole.flush(frame_count(len(samples), 25))])


@pytest.mark.parametrize(
    ("preset", "options"), [("wav2lip96", {}), ("liteavatar384", {"ahead": 7, "attack": 2})]
)
def test_the_background_comes_with_alphas(preset, options):
    samples = synthetic_voice(4)
    plain, none = heard(samples, preset)
    features, alphas = heard(samples, preset, silence="background")
    assert none is None
    assert np.array_equal(features, plain)
    assert np.array_equal(alphas, fades(samples, **options))
    assert 0 < np.count_nonzero(alphas == 0) < len(alphas)


@pytest.mark.parametrize("name", VOICES)
def test_a_closed_mouth_hears_a_gated_sound(assets, name):
    samples = read_voice(assets, name)
    gate = NoiseGate()
    quiet = np.concatenate([gate.push(samples), gate.flush()])
    features, alphas = heard(samples, silence="closed")
    assert alphas is None
    assert np.array_equal(features, feature_windows(quiet, "mel", 25))
    assert not np.array_equal(features, heard(samples)[0])


def test_drivers_close_the_mouth_themselves():
    samples = synthetic_voice(4)
    features, alphas = heard(samples, "liteavatar384", silence="closed")
    assert alphas is None
    expected = feature_windows(samples, "params", 25, driver=LiteAvatarDriver(25))
    assert np.array_equal(features, expected)


def test_features_that_are_given_are_not_changed():
    samples = synthetic_voice(4)
    rows = np.random.default_rng(0).normal(0, 1, (100, 1, 80, 16)).astype(np.float32)
    for silence in ("closed", "background", "net"):
        features, alphas = heard(samples, features=rows, silence=silence)
        assert np.array_equal(features, rows)
        assert (alphas is not None) == (silence == "background")
        alone, none = heard(None, features=rows, silence=silence)
        assert np.array_equal(alone, rows)
        assert none is None


@pytest.mark.parametrize("silence", ["closed", "background"])
@pytest.mark.parametrize("preset", ["wav2lip96", "liteavatar384"])
@pytest.mark.parametrize("size", [1, 8, 25])
def test_chunks_and_requests_change_nothing(preset, silence, size, rng):
    samples = synthetic_voice(4)
    features, alphas = heard(samples, preset, silence=silence)
    cuts = np.cumsum(list(random_cuts(rng, len(samples), 6000)))[:-1]
    pieces, faded = heard(np.split(samples, cuts), preset, size=size, silence=silence)
    assert pieces.tobytes() == features.tobytes()
    assert (faded is None) == (alphas is None)
    assert faded is None or np.array_equal(faded, alphas)


@pytest.mark.parametrize("silence", ["closed", "background"])
@pytest.mark.parametrize("preset", ["wav2lip96", "liteavatar384"])
def test_frames_of_live_speech_come_as_early_as_their_features(preset, silence):
    samples = synthetic_voice(3)
    driver = LiteAvatarDriver(25) if preset == "liteavatar384" else None
    stream = FeatureStream(get_preset(preset).features, 25, driver=driver)
    pushed = 0

    def chunks():
        nonlocal pushed
        for start in range(0, len(samples), 170):
            pushed = start + 170
            yield samples[start:pushed]

    came, when = [], []
    for request in requests(chunks(), preset, 1, silence=silence):
        came.append(pushed)
        assert request.start == len(came) - 1
    for start in range(0, len(samples), 170):
        stream.push(samples[start : start + 170])
        when += [start + 170] * (stream.ready - len(when))
    assert len(when) > 60
    assert came[: len(when)] == when


@pytest.mark.parametrize("silence", ["closed", "background", "net"])
@pytest.mark.parametrize("size", [1, 8, 25])
def test_what_was_heard_before_the_sound_broke_off_comes_first(silence, size):
    """As many frames as live speech gives by then, one at a time, and the same."""
    samples = synthetic_voice(3)
    whole, _ = heard(samples, silence=silence)

    def chunks():
        for start in range(0, 32_000, 1700):
            yield samples[start : start + 1700]
        raise EOFError

    live, got = [], []
    with pytest.raises(EOFError):
        live.extend(r.start for r in requests(chunks(), size=1, silence=silence))
    came = len(live)
    assert 40 < came < 50
    with pytest.raises(EOFError):
        got.extend(r.features.copy() for r in requests(chunks(), size=size, silence=silence))
    assert [len(part) for part in got[:-1]] == [size] * (len(got) - 1)
    assert np.concatenate(got).tobytes() == whole[:came].tobytes()


def test_another_persons_neutral_pose():
    samples = synthetic_voice(1)
    pose = np.linspace(0, 0.1, 32)
    features, _ = heard(samples, "liteavatar384", neutral=pose)
    expected = feature_windows(samples, "params", 25, driver=LiteAvatarDriver(25, pose))
    assert np.array_equal(features, expected)


@pytest.mark.parametrize("silence", ["closed", "background", "net"])
def test_pushing_and_taking_by_hand(silence):
    """Push tells what can be taken, take counts on from there, and more is refused."""
    samples = synthetic_voice(2)
    features, alphas = heard(samples, silence=silence)
    stream = listener(silence=silence)
    assert (stream.ready, stream.taken) == (0, 0)
    ready = stream.push(samples[:20000])
    assert ready == stream.ready > 20
    with pytest.raises(InputError, match=f"{ready + 1} frames were asked for and {ready} are"):
        stream.take(ready + 1)
    first = stream.take(ready)
    assert (first.start, stream.taken, stream.ready) == (0, ready, 0)
    stream.push(samples[20000:])
    assert stream.flush() == stream.ready == len(features) - ready
    second = stream.take(stream.ready)
    assert second.start == ready
    assert np.array_equal(np.concatenate([first.features, second.features]), features)
    if silence == "background":
        assert np.array_equal(np.concatenate([first.alphas, second.alphas]), alphas)
    for again in (stream.flush, lambda: stream.push(samples)):
        with pytest.raises(InputError, match="has ended; make a new one"):
            again()


@pytest.mark.parametrize("silence", ["closed", "background", "net"])
@pytest.mark.parametrize("preset", ["wav2lip96", "liteavatar384"])
def test_a_refused_chunk_changes_nothing(preset, silence):
    samples = synthetic_voice(2)
    features, alphas = heard(samples, preset, silence=silence)
    stream = listener(preset, silence=silence)
    stream.push(samples[:20000])
    bad = samples[20000:].copy()
    bad[-1] = np.nan
    with pytest.raises(InputError, match="finite"):
        stream.push(bad)
    stream.push(samples[20000:])
    whole = stream.take(stream.flush())
    assert np.array_equal(whole.features, features)
    assert alphas is None or np.array_equal(whole.alphas, alphas)


@pytest.mark.parametrize("silence", ["closed", "background", "net"])
def test_an_encoder_of_whole_speeches_hears_all_at_the_end(tmp_path, silence, rng):
    pytest.importorskip("onnxruntime")
    tiny_hubert = pytest.importorskip("tests.support.nets").tiny_hubert
    from lipsync_fast.nets.encoders import HubertEncoder

    hubert, samples = HubertEncoder(tiny_hubert(tmp_path / "h.onnx")), synthetic_voice(2)
    stream = SpeechFeatures(
        get_preset("synctalk328-hubert"), 25, hubert, mouth=MouthOptions(silence=silence)
    )
    buffer = np.empty(6000, np.float32)  # one that the caller uses again
    start = 0
    for size in random_cuts(rng, len(samples), 6000):
        buffer[:size] = samples[start : start + size]
        assert stream.push(buffer[:size]) == 0
        start += size
    assert stream.flush() == 50
    taken = stream.take(50)
    gate = NoiseGate()
    sound = np.concatenate([gate.push(samples), gate.flush()]) if silence == "closed" else samples
    given = FeatureFile(hubert.features(sound), "synctalk328-hubert")
    given.push(samples)
    assert np.array_equal(taken.features, given.take(given.flush()))
    assert (taken.alphas is not None) == (silence == "background")


@pytest.mark.parametrize(
    ("preset", "model"),
    [("ultralight168-hubert", "HuBERT"), ("synctalk328-wenet", "wenet's encoder")],
)
@pytest.mark.parametrize("encoder", [None, "an encoder of another kind"])
def test_presets_that_need_an_encoder_name_it(preset, model, encoder):
    kind = preset.partition("-")[2]
    words = rf"{preset} hears {kind} features: .* \(--features\), or {model} as an ONNX file"
    with pytest.raises(InputError, match=words):
        SpeechFeatures(get_preset(preset), 25, encoder)


def test_the_clock_of_features_counts_the_frames_that_are_taken():
    stages = Stages()
    speech = SpeechFeatures(get_preset("wav2lip96"), 25, stages=stages)
    speech.push(synthetic_voice(1))
    speech.flush()
    assert speech.ready == 25
    for count in (3, 22):
        speech.take(count)
    counted = stages.stats()["features"]
    assert (counted.runs, counted.frames) == (4, 25)


def save_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_a_speech_may_be_a_file_or_an_array(tmp_path, kind):
    samples = np.round(synthetic_voice(2.3) * 32767).astype(np.float32) / 32767
    file = kind(save_wav(tmp_path / "a.wav", samples))
    read = np.concatenate(list(open_speech(file)))
    np.testing.assert_allclose(read, samples, atol=1e-4)
    assert np.array_equal(np.concatenate(open_speech(samples)), samples)
    chunks = iter([samples])
    assert open_speech(chunks) is chunks
    frames = frame_count(len(samples), 25)
    speech = listener()
    assert expected_frames(file, speech, Fraction(25)) == frames
    assert expected_frames(samples, speech, Fraction(25)) == frames
    assert expected_frames(chunks, speech, Fraction(25)) is None
    assert expected_frames(None, speech, Fraction(25)) is None
    rows = np.zeros((7, 1, 80, 16), np.float32)
    assert expected_frames(None, listener(features=rows), Fraction(25)) == 7


def test_the_length_of_a_file_that_states_none_is_unknown(monkeypatch):
    monkeypatch.setattr(media, "duration", lambda path: None)
    assert expected_frames("a.mp3", listener(), Fraction(25)) is None


def test_a_speech_of_another_type_is_named():
    with pytest.raises(ArgumentTypeError, match=r"the speech must be a path, .* got int"):
        open_speech(5)


def test_live_speech_says_before_each_chunk_that_it_may_have_to_wait():
    samples, read = synthetic_voice(1), []

    def chunks():
        for start in range(0, 16000, 8000):
            read.append(start)
            yield samples[start : start + 8000]

    told = []
    for request in read_requests(listener(), chunks(), 8, live=True):
        told.append((request is None, len(read)))
    waits = [done for waiting, done in told if waiting]
    assert waits == [0, 1, 2], "before the two chunks, and before the end"
    assert told.count((False, 2)) + told.count((False, 1)) == 4
