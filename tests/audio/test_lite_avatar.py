"""The rule-based driver: the mouth follows the voice, the same in any chunks."""

import math
import re
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from tests.support.mouths import best_correlation, levels, paused_frames
from tests.support.noises import clearly_voiced, with_noise
from tests.support.voices import VOICES, random_cuts, read_voice, silence, synthetic_voice

from lipsync_fast.audio import FeatureStream, feature_windows, frame_count
from lipsync_fast.audio.lite_avatar import NEUTRAL, LiteAvatarDriver, neutral_pose
from lipsync_fast.audio.mel import mel_spectrogram
from lipsync_fast.demo.speech import speech
from lipsync_fast.errors import FileMissingError, InputError, LayoutError

JAW, PUCKER, LEFT, RIGHT = 5, 12, 24, 25
NTSC = Fraction(30000, 1001)


def drive(samples, fps=30):
    """Parameters of every frame, less the neutral pose."""
    rows = feature_windows(samples, "params", fps, driver=LiteAvatarDriver(fps))
    return rows - np.array(NEUTRAL, np.float32)


def vowel(seconds, first, second, pitch=120.0, loudness=0.3):
    """A buzz at a pitch with two resonances: a vowel, roughly. Formants and pitch in Hz."""
    time = np.arange(int(seconds * 16000)) / 16000
    sound = np.zeros(time.size)
    for harmonic in range(1, int(4000 / pitch)):
        hz = harmonic * pitch
        gain = sum(1.0 / (1.0 + ((hz - f) / 90.0) ** 2) for f in (first, second)) / harmonic**0.5
        sound += gain * np.sin(2 * np.pi * hz * time + harmonic)
    return (loudness * sound / np.abs(sound).max()).astype(np.float32)


# ---- the mouth -------------------------------------------------------------------------


def test_silence_is_the_mouth_at_rest():
    rows = drive(silence(2))
    assert (rows == rows[0]).all()
    moved = np.flatnonzero(np.abs(rows[0]) > 1e-6)
    assert set(moved) == {JAW, LEFT, RIGHT}
    assert rows[0, JAW] == pytest.approx(0.2)


def test_the_jaw_opens_with_the_voice_and_closes_after_it():
    sound = np.concatenate([silence(1), vowel(1, 700, 1200), silence(1)])
    jaw = drive(sound)[:, JAW]
    assert jaw[:27] == pytest.approx(0.2, abs=0.005)
    assert (jaw[33:58] > 0.38).all()
    assert jaw[66:] == pytest.approx(0.2, abs=0.01)
    assert jaw.max() <= 0.4201


def test_lips_are_wide_for_front_and_drawn_together_for_back_vowels():
    front, back = vowel(1.5, 300, 2300), vowel(1.5, 320, 750)
    sound = np.concatenate([front, back] * 3)
    rows = drive(sound)
    is_front = np.arange(len(rows)) // 45 % 2 == 0
    settled = np.arange(len(rows)) % 45 > 10
    assert rows[is_front & settled, PUCKER].max() < 0.05
    assert rows[~is_front & settled, PUCKER].min() > 0.1
    assert rows[is_front & settled, LEFT].min() > 0.23
    assert rows[~is_front & settled, LEFT].max() < 0.17
    assert rows[:, LEFT] == pytest.approx(rows[:, RIGHT], abs=1e-6)


def test_a_steady_noise_does_not_speak():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 16000 * 20).astype(np.float32)
    jaw = drive(noise)[:, JAW]
    assert jaw[300:].max() < 0.25
    speech = noise + np.concatenate([silence(15), vowel(1, 700, 1200), silence(4)])
    jaw = drive(speech)[:, JAW]
    assert jaw[453:478].min() > 0.38
    assert jaw[490:].max() < 0.25


@pytest.mark.parametrize("level", [0.3, 0.01])
def test_a_held_vowel_keeps_the_mouth_open(level):
    jaw = drive(vowel(15, 700, 1200, loudness=level))[:, JAW]
    assert jaw[90:].min() > 0.35


def test_quiet_speech_after_a_beep_opens_the_mouth():
    beep = 0.9 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000).astype(np.float32)
    voice = 0.05 * speech()
    jaw = drive(np.concatenate([beep, silence(0.5), voice, voice]))[-200:, JAW]
    assert np.percentile(jaw, 90) > 0.3


def test_the_mouth_moves_with_a_voice_in_noise():
    voice = np.tile(speech(), 2)
    jaw = drive(with_noise(voice, "white", 10))[:, JAW]
    where = clearly_voiced(voice)
    shown = jaw[np.arange(len(where)) * 30 // 25]
    assert np.mean(shown[where] < 0.23) < 0.1


@pytest.mark.parametrize("name", VOICES)
def test_a_quieter_recording_moves_the_mouth_as_much(assets, name):
    samples = read_voice(assets, name)
    loud, soft = (drive(gain * samples)[150:, JAW] for gain in (np.float32(1), np.float32(0.2)))
    assert np.percentile(soft, 95) > 0.38
    assert abs(soft.mean() - loud.mean()) < 0.04


@pytest.mark.parametrize("name", VOICES)
def test_parameters_stay_where_the_net_was_trained(assets, name):
    rows = drive(read_voice(assets, name))
    assert rows[:, JAW].min() >= 0.1999
    assert rows[:, JAW].max() <= 0.4201
    assert rows[:, PUCKER].min() >= -1e-6
    assert rows[:, PUCKER].max() <= 0.3001
    assert rows[:, LEFT].min() >= -1e-6
    assert rows[:, LEFT].max() <= 0.4001
    still = [k for k in range(32) if k not in (JAW, PUCKER, LEFT, RIGHT)]
    assert np.abs(rows[:, still]).max() < 1e-6


@pytest.mark.parametrize("name", VOICES)
def test_the_jaw_follows_real_voices(assets, name):
    samples = read_voice(assets, name)
    jaw = drive(samples)[:, JAW]
    level = levels(samples, len(jaw))
    assert best_correlation(level, jaw) > 0.7
    paused = paused_frames(level)
    assert len(paused) > 20
    assert jaw[paused].max() < 0.25


# ---- frames and chunks -----------------------------------------------------------------


@pytest.mark.parametrize("fps", [25, 30, NTSC, 60, 8, 120])
@pytest.mark.parametrize("size", [1, 160, 3000, 16000, 40001])
def test_one_row_for_each_frame(fps, size):
    samples = synthetic_voice(3)[:size]
    rows = feature_windows(samples, "params", fps, driver=LiteAvatarDriver(fps))
    assert rows.shape == (frame_count(size, fps), 32)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("fps", [25, NTSC])
def test_random_chunks_equal_the_whole(fps):
    samples = synthetic_voice(4, seed=4)
    whole = feature_windows(samples, "params", fps, driver=LiteAvatarDriver(fps))
    for seed in range(4):
        stream = FeatureStream("params", fps, driver=LiteAvatarDriver(fps))
        rows, start = [], 0
        for cut in random_cuts(np.random.default_rng(seed), samples.size, 5000):
            rows.append(stream.take(stream.push(samples[start : start + cut])))
            start += cut
        rows.append(stream.take(stream.flush()))
        assert np.concatenate(rows).tobytes() == whole.tobytes()


def test_random_chunks_of_a_real_voice_equal_the_whole(assets):
    columns = mel_spectrogram(read_voice(assets, "jfk_16k"))
    whole, parts, rng = LiteAvatarDriver(30), LiteAvatarDriver(30), np.random.default_rng(1)
    expected = np.concatenate([whole.push(columns), whole.flush(330)])
    rows, start = [], 0
    while start < len(columns):
        cut = int(rng.integers(0, 40))
        rows.append(parts.push(columns[start : start + cut]))
        start += cut
    assert np.concatenate([*rows, parts.flush(330)]).tobytes() == expected.tobytes()


@pytest.mark.parametrize("fps", [25, NTSC, 60])
def test_frames_come_within_100_ms_of_their_middle(fps):
    """75 ms of columns and the 25 ms that a column reaches beyond its centre."""
    stream = FeatureStream("params", fps, driver=LiteAvatarDriver(fps))
    samples = synthetic_voice(3)
    for end in range(80, samples.size, 80):
        ready = stream.push(samples[end - 80 : end])
        assert ready >= math.floor(Fraction(end - 1600, 16000) * fps - Fraction(1, 2))


def test_memory_stays_flat_over_minutes():
    second = synthetic_voice(1)
    stream = FeatureStream("params", NTSC, driver=LiteAvatarDriver(NTSC))
    out, peaks = np.empty((40, 32), np.float32), []
    tracemalloc.start()
    try:
        for _ in range(6):
            tracemalloc.reset_peak()
            for _ in range(20):
                ready = stream.push(second)
                stream.take(ready, out=out[:ready])
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert max(peaks) < 1_000_000
    assert max(peaks[1:]) - peaks[1] < 8192


# ---- arguments -------------------------------------------------------------------------


def test_a_person_with_another_neutral_pose(assets):
    measured = np.load(assets / "models" / "liteavatar_neutral_pose.npy")
    np.testing.assert_allclose(NEUTRAL, measured, rtol=0, atol=6e-6)
    other = measured + np.linspace(0, 0.1, 32, dtype=np.float32)
    sound = synthetic_voice(1)
    ours = feature_windows(sound, "params", 30, driver=LiteAvatarDriver(30))
    theirs = feature_windows(sound, "params", 30, driver=LiteAvatarDriver(30, neutral=other))
    np.testing.assert_allclose(theirs - ours, np.tile(other - NEUTRAL, (30, 1)), atol=1e-6)


def test_a_neutral_pose_from_a_file(tmp_path):
    np.save(tmp_path / "pose.npy", np.linspace(0, 0.1, 32, dtype=np.float32))
    pose = neutral_pose(tmp_path / "pose.npy")
    assert pose == pytest.approx(np.linspace(0, 0.1, 32))
    columns = np.full((20, 80), -4, np.float32)
    rows = LiteAvatarDriver(30, str(tmp_path / "pose.npy")).push(columns)
    assert np.array_equal(rows, LiteAvatarDriver(30, pose).push(columns))
    with pytest.raises(FileMissingError, match=r"no\.npy: no such file with a neutral pose"):
        neutral_pose(tmp_path / "no.npy")
    (tmp_path / "text.npy").write_text("no numbers")
    with pytest.raises(InputError, match=r"text\.npy cannot be read"):
        neutral_pose(tmp_path / "text.npy")
    with pytest.raises(InputError, match="it is not a plain file"):
        neutral_pose(tmp_path)


@pytest.mark.parametrize("neutral", [np.zeros(31), np.full(32, np.nan), 0.0, ["a"] * 32])
def test_bad_neutral_pose(neutral):
    with pytest.raises(InputError, match="32 finite numbers"):
        LiteAvatarDriver(30, neutral=neutral)


@pytest.mark.parametrize("value", [np.nan, np.inf, -10.1, 1e30])
def test_a_number_that_is_no_part_of_a_mouth_shape_is_named(tmp_path, value):
    pose = np.array(NEUTRAL)
    pose[7] = value
    np.save(tmp_path / "pose.npy", pose)
    for neutral in (pose, tmp_path / "pose.npy"):
        with pytest.raises(
            InputError, match=f"from -10 to 10, got {re.escape(str(value))} at index 7"
        ):
            neutral_pose(neutral)
    pose[7] = -1
    assert neutral_pose(pose)[7] == -1


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        (np.zeros((3, 80)), LayoutError, "float32"),
        (np.zeros((3, 79), np.float32), InputError, r"\(3, 79\)"),
        (np.zeros(80, np.float32), InputError, r"\(80,\)"),
    ],
)
def test_bad_columns(columns, error, words):
    with pytest.raises(error, match=words):
        LiteAvatarDriver(30).push(columns)
