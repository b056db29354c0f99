"""Silence: speech is told by energy alone, mouths fade, pauses are gated."""

import itertools
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from tests.support.voices import VOICES, random_cuts, read_voice, silence, synthetic_voice

from lipsync_fast.audio import FeatureStream, feature_windows, frame_count
from lipsync_fast.audio.lite_avatar import LiteAvatarDriver
from lipsync_fast.audio.silence import NoiseGate, SilenceFades
from lipsync_fast.errors import InputError, LayoutError

NTSC = Fraction(30000, 1001)


def fades(samples, fps=25, **options):
    """Alphas of a whole sound, as signed numbers."""
    whole = SilenceFades(fps, **options)
    count = frame_count(len(samples), fps)
    return np.concatenate([whole.push(samples), whole.flush(count)]).astype(int)


def gated(samples):
    gate = NoiseGate()
    return np.concatenate([gate.push(samples), gate.flush()])


def noise(seconds, decibels, seed=0):
    """White noise of a level below full scale."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 10 ** (decibels / 20), int(seconds * 16000)).astype(np.float32)


def hum(seconds, decibels):
    """Mains hum with its harmonics."""
    time = np.arange(int(seconds * 16000)) / 16000
    sound = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, 12))
    return (10 ** (decibels / 20) * sound).astype(np.float32)


def syllables(seconds, decibels=-20.0, seed=0):
    """Noise in bursts of a quarter of a second, as dense as speech."""
    time = np.arange(int(seconds * 16000)) / 16000
    return (np.sin(np.pi * 4 * time) ** 2 * noise(seconds, decibels, seed)).astype(np.float32)


# ---- speech or silence -----------------------------------------------------------------


@pytest.mark.parametrize("make", [noise, hum])
@pytest.mark.parametrize("decibels", [-80, -50, -30, -12])
def test_a_steady_noise_of_any_level_is_silence(make, decibels):
    """From the first frame on: the floor is known from the sound itself."""
    sound = make(6, decibels)
    assert not fades(sound).any()
    assert not gated(sound).any()


def test_digital_silence_is_silence():
    assert not fades(silence(2)).any()
    assert not gated(silence(2)).any()


@pytest.mark.parametrize("background", [None, -80, -55, -40])
def test_speech_is_told_from_the_noise_round_it(background):
    sound = np.concatenate([silence(1), syllables(1), silence(1.5), syllables(1), silence(1)])
    if background is not None:
        sound += noise(len(sound) / 16000, background, seed=1)
    alphas = fades(sound)
    assert not alphas[:20].any()
    assert (alphas[28:49] == 255).all()
    assert not alphas[64:84].any()
    assert (alphas[91:111] == 255).all()
    assert not alphas[-6:].any()


@pytest.mark.parametrize("gap", [-100, -70])
def test_noise_between_cut_gaps_is_silence(gap):
    """Recordings whose pauses were cut out here and there: the gaps tell nothing of the noise."""
    quiet = noise(0.4, gap, seed=3)
    quiet[np.abs(quiet) < 10 ** (-90 / 20)] = 0
    parts = [syllables(2), noise(0.7, -60, seed=1), silence(0.3), noise(0.6, -60, seed=2), quiet]
    alphas = fades(np.concatenate([*parts, silence(0.5)]))
    assert not alphas[62:].any()


def test_a_noise_that_sets_in_is_soon_known():
    alphas = fades(np.concatenate([noise(3, -70), noise(6, -30)]))
    assert not alphas[:70].any()
    assert not alphas[int((3 + 2.5 + 0.6) * 25) :].any()


def test_a_noise_that_ends_does_not_deafen():
    sound = np.concatenate([noise(3, -30), noise(0.5, -70), syllables(1, -40), noise(0.5, -70)])
    alphas = fades(sound)
    assert not alphas[:84].any()
    assert (alphas[92:112] == 255).all()


@pytest.mark.parametrize("name", VOICES)
def test_real_voices(assets, name):
    """Beside librosa's split by level, which sees the whole sound before it judges."""
    librosa = pytest.importorskip("librosa")
    samples = read_voice(assets, name)
    alphas = fades(samples)
    loud = np.zeros(len(alphas), bool)
    for start, end in librosa.effects.split(samples, top_db=30, frame_length=800, hop_length=200):
        loud[start * 25 // 16000 : math.ceil(end * 25 / 16000)] = True
    assert (alphas[loud] > 0).all()
    bounds = np.flatnonzero(np.diff(np.concatenate([[True], loud, [True]]).astype(int)))
    # Long enough for 0.2 s of waiting, six frames of fading and the look ahead.
    pauses = [alphas[a:b] for a, b in bounds.reshape(-1, 2) if b - a > 14]
    assert len(pauses) >= 2
    assert sum((pause == 0).any() for pause in pauses) >= len(pauses) - 1  # one holds a breath


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("gain", [0.1, 3.0])
def test_the_level_of_a_recording_does_not_matter(assets, name, gain):
    samples = read_voice(assets, name)
    same = fades(samples) == fades((np.float32(gain) * samples).astype(np.float32))
    assert same.mean() > 0.95


# ---- fading ----------------------------------------------------------------------------


@pytest.mark.parametrize(("attack", "release"), [(1, 1), (4, 6), (3, 10)])
@pytest.mark.parametrize("fps", [25, NTSC, 60])
def test_nothing_jumps(attack, release, fps):
    sound = np.concatenate([silence(0.5), syllables(2), silence(1), syllables(2, seed=1)])
    alphas = fades(sound, fps, attack=attack, release=release, ahead=12)
    steps = np.diff([0, *alphas])
    assert 0 < steps.max() <= math.ceil(255 / attack)
    assert alphas.max() == 255
    sinking = min(release, int(Fraction(1, 2) + fps * Fraction(12, 80)))
    assert -np.diff([*alphas[: len(alphas) - sinking]]).min() <= math.ceil(255 / release)
    tail = [*alphas[len(alphas) - sinking - 1 :], 0]
    assert -np.diff(tail).min() <= math.ceil(255 / (sinking + 1))
    assert np.flatnonzero(alphas)[0] > 0.3 * fps


def test_a_speech_rises_from_the_background_and_sinks_into_it():
    alphas = fades(syllables(2), ahead=12)
    assert alphas[0] <= 85
    assert alphas[-4:].tolist() == [204, 153, 102, 51]


def test_the_mouth_is_there_when_the_voice_begins():
    sound = np.concatenate([noise(1, -70), syllables(1), noise(1, -70)])
    early = np.flatnonzero(fades(sound, ahead=12))[0]
    assert 21 <= early <= 24
    assert fades(sound, ahead=12)[26] == 255
    assert np.flatnonzero(fades(sound, ahead=0))[0] > early


# ---- frames and chunks -----------------------------------------------------------------


@pytest.mark.parametrize("fps", [25, 30, NTSC, 60, 8, 120, 1])
@pytest.mark.parametrize("size", [1, 160, 3000, 16000, 40001])
def test_one_alpha_for_each_frame(fps, size):
    alphas = fades(synthetic_voice(3)[:size], fps)
    assert len(alphas) == frame_count(size, fps)
    assert alphas.min() >= 0
    assert alphas.max() <= 255


def in_chunks(samples, sizes, fps, **options):
    stream, parts, start = SilenceFades(fps, **options), [], 0
    for size in sizes:
        parts.append(stream.push(samples[start : start + size]))
        start += size
    return np.concatenate([*parts, stream.flush(frame_count(len(samples), fps))]).astype(int)


@pytest.mark.parametrize("options", [{}, {"ahead": 12}, {"ahead": 40, "attack": 2, "release": 9}])
@pytest.mark.parametrize("fps", [25, NTSC, 60, 8])
def test_random_chunks_equal_the_whole(fps, options):
    for seed, size in enumerate((63999, 64000, 64001, 51234)):
        samples = synthetic_voice(4, seed=seed)[:size]
        cuts = random_cuts(np.random.default_rng(seed), len(samples), 5000)
        whole = fades(samples, fps, **options)
        assert np.array_equal(in_chunks(samples, cuts, fps, **options), whole)
        assert 0 < whole.mean() < 255


@pytest.mark.parametrize("name", VOICES)
def test_random_chunks_of_a_real_voice_equal_the_whole(assets, name, rng):
    samples = read_voice(assets, name)
    cuts = list(random_cuts(rng, len(samples), 9000))
    assert np.array_equal(in_chunks(samples, cuts, 25), fades(samples))
    gate, parts, start = NoiseGate(), [], 0
    for size in cuts:
        parts.append(gate.push(samples[start : start + size]))
        assert len(parts[-1]) % 200 == 0
        start += size
    assert np.concatenate([*parts, gate.flush()]).tobytes() == gated(samples).tobytes()


@pytest.mark.parametrize(
    ("features", "fps", "ahead"), [("params", 25, 7), ("params", NTSC, 7), ("params", 60, 7)]
    + [("mel", fps, 12) for fps in (25, NTSC, 60, 12.5)] + [("ave", 25, 12)],
)  # fmt: skip
def test_no_frame_waits_longer_than_its_features(features, fps, ahead):
    driver = LiteAvatarDriver(fps) if features == "params" else None
    encoder = lambda window: np.zeros((1, 512), np.float32)  # noqa: E731
    stream = FeatureStream(features, fps, driver=driver, encoder=encoder)
    alphas, settled, samples = SilenceFades(fps, ahead=ahead), 0, synthetic_voice(3)
    for end in range(40, len(samples), 40):
        ready = stream.push(samples[end - 40 : end])
        settled += len(alphas.push(samples[end - 40 : end]))
        assert settled >= ready
        assert settled <= max(0, math.floor(Fraction(end, 16000) * Fraction(fps) + 1))


def test_memory_stays_flat_over_minutes():
    second = synthetic_voice(1)
    stream, gate, peaks = SilenceFades(NTSC), NoiseGate(), []
    tracemalloc.start()
    try:
        for _ in range(4):
            tracemalloc.reset_peak()
            for _ in range(20):
                stream.push(second)
                gate.push(second)
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert max(peaks) < 1_000_000
    assert max(peaks[1:]) - peaks[1] < 8192


# ---- the gate ---------------------------------------------------------------------------


def test_speech_is_left_as_it_is_and_pauses_are_digital_silence():
    spoken = syllables(1)
    sound = np.concatenate([noise(1, -60), spoken, noise(2, -60, seed=1), spoken])
    quiet = gated(sound)
    assert len(quiet) == len(sound)
    assert not quiet[: 15 * 1000].any()
    assert np.array_equal(quiet[17500 : 2 * 16000], sound[17500 : 2 * 16000])
    assert not quiet[int(2.4 * 16000) : int(3.95 * 16000)].any()
    assert np.array_equal(quiet[-14000:], sound[-14000:])
    # The sound of a pause fades: no step is larger than those it had.
    assert (np.abs(quiet) <= np.abs(sound)).all()


def test_a_sound_without_noise_stays_as_it_is():
    sound = np.concatenate([silence(1), syllables(1), silence(1), syllables(1, seed=2)])
    quiet = gated(sound)
    changed = np.flatnonzero(quiet != sound)
    # But for its faintest beginnings.
    assert ((changed - 16000) % 32000 < 1200).all()
    assert np.sum((quiet - sound) ** 2) < 1e-5 * np.sum(sound**2)


@pytest.mark.parametrize("name", VOICES)
def test_mel_windows_hear_no_noise_in_pauses(assets, name):
    samples = read_voice(assets, name)
    alphas = fades(samples)
    windows = feature_windows(gated(samples), "mel", 25)
    plain = feature_windows(samples, "mel", 25)
    still = [i for i in range(len(alphas) - 8) if not alphas[i : i + 5].any()]
    assert still
    assert (windows[still] == -4).all()
    assert (plain[still] > -4).any()
    spoken = [i for i in range(3, len(alphas) - 8) if (alphas[i - 3 : i + 8] == 255).all()]
    assert np.abs(windows[spoken] - plain[spoken]).mean() < 0.02


@pytest.mark.parametrize("features", ["mel", "ave"])
def test_gated_features_are_ready_no_later(features):
    def encoder(window):
        return np.zeros((1, 512), np.float32)

    plain, quiet = (FeatureStream(features, 25, encoder=encoder) for _ in range(2))
    gate, samples = NoiseGate(), synthetic_voice(3)
    for start, end in itertools.pairwise(range(0, len(samples), 130)):
        chunk = samples[start:end]
        assert quiet.push(gate.push(chunk)) == plain.push(chunk)


# ---- arguments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"ahead": -1}, {"attack": 0}, {"release": 0}, {"fps": 0}, {"fps": "fast"}]
)
def test_bad_numbers(options):
    with pytest.raises(InputError, match=r"ahead must be|fps"):
        SilenceFades(**{"fps": 25, **options})


@pytest.mark.parametrize(
    ("samples", "error"),
    [
        ([0.0], LayoutError),
        (np.zeros(10), LayoutError),
        (np.zeros((10, 2), np.float32), InputError),
        (np.full(10, np.nan, np.float32), InputError),
    ],
)
@pytest.mark.parametrize("make", [lambda: SilenceFades(25), NoiseGate])
def test_bad_samples_change_nothing(make, samples, error):
    ear, other = make(), make()
    with pytest.raises(error, match="samples must be"):
        ear.push(samples)
    sound = synthetic_voice(1)
    assert np.array_equal(ear.push(sound), other.push(sound))
