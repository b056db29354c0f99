"""What the generator hears, and the alphas that silence gives the frames."""

from fractions import Fraction

import numpy as np
import pytest
from tests.support.voices import VOICES, random_cuts, read_voice, synthetic_voice

from lipsync_fast.audio import FeatureStream, feature_windows, frame_count
from lipsync_fast.audio.lite_avatar import LiteAvatarDriver
from lipsync_fast.audio.silence import NoiseGate, SilenceFades
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.pipeline.speech import SpeechFeatures
from lipsync_fast.pipeline.stages import Stages
from lipsync_fast.presets import get_preset


def listening(speech, preset="wav2lip96", features=None, fps=25, **options):
    return SpeechFeatures(
        speech,
        features,
        preset=get_preset(preset),
        fps=Fraction(fps),
        encoder=None,
        pool=BufferPool(),
        stages=Stages(),
        **options,
    )


def heard(speech, preset="wav2lip96", size=8, **options):
    """Feature windows and alphas of all frames; no alphas where a request has none."""
    requests = list(listening(speech, preset, **options).requests(size))
    starts = np.cumsum([0, *(len(r.features) for r in requests)])
    assert [r.start for r in requests] == starts[:-1].tolist()
    features = np.concatenate([r.features for r in requests])
    alphas = None
    if requests[0].alphas is not None:
        alphas = np.concatenate([r.alphas for r in requests])
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
def test_a_closed_mouth_hears_a_hushed_sound(assets, name):
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
    for request in listening(chunks(), preset, silence=silence).requests(1):
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
        live.extend(r.start for r in listening(chunks(), silence=silence).requests(1))
    came = len(live)
    assert 40 < came < 50
    with pytest.raises(EOFError):
        got.extend(r.features.copy() for r in listening(chunks(), silence=silence).requests(size))
    assert [len(part) for part in got[:-1]] == [size] * (len(got) - 1)
    assert np.concatenate(got).tobytes() == whole[:came].tobytes()


def test_another_persons_neutral_pose():
    samples = synthetic_voice(1)
    pose = np.linspace(0, 0.1, 32)
    features, _ = heard(samples, "liteavatar384", neutral=pose)
    expected = feature_windows(samples, "params", 25, driver=LiteAvatarDriver(25, pose))
    assert np.array_equal(features, expected)
