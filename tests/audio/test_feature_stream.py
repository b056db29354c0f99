"""Feature windows: the references' own indexing, any frame rate, chunks equal to the whole."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from tests.support.voices import random_cuts, read_voice, synthetic_voice

from lipsync_fast.audio import FeatureStream, feature_windows, frame_count, mel_spectrogram
from lipsync_fast.audio.windows import window_start
from lipsync_fast.errors import InputError, LayoutError

NTSC = Fraction(30000, 1001)
RATES = [25, 30, NTSC, Fraction(24000, 1001), 20, 60, 8]


class Encoder:
    """A stand-in for the audio encoder: a fixed projection; it insists on one window a call."""

    def __init__(self):
        rng = np.random.default_rng(11)
        self.weights = rng.normal(0, 0.05, (1280, 512)).astype(np.float32)
        self.calls = 0

    def __call__(self, window):
        assert window.shape == (1, 1, 80, 16)
        assert window.dtype == np.float32
        assert window.flags.c_contiguous
        self.calls += 1
        return np.tanh(window.reshape(1, 1280) @ self.weights)


class Mouth:
    """A stand-in for a driver: each frame's loudest band and the column where it stands."""

    shape = (2,)

    def __init__(self, fps):
        self.fps, self.columns, self.made = Fraction(fps), np.empty((0, 80), np.float32), 0

    def frames(self, count):
        made = []
        for frame in range(self.made, count):
            column = min(window_start(frame, self.fps), len(self.columns) - 1)
            made.append([self.columns[column].max(), column])
        self.made = count
        return np.array(made, np.float32).reshape(len(made), 2)

    def push(self, columns):
        self.columns = np.concatenate([self.columns, columns])
        count = self.made
        while window_start(count, self.fps) + 4 < len(self.columns):
            count += 1
        return self.frames(count)

    def flush(self, frames):
        return self.frames(frames)


def make_stream(features, fps):
    """A FeatureStream with the stand-ins above."""
    return FeatureStream(
        features,
        fps,
        encoder=Encoder() if features == "ave" else None,
        driver=Mouth(fps) if features == "params" else None,
    )


def stream_windows(samples, features, fps, cuts, rng):
    """The windows of a stream: chunks pushed, some of the ready frames taken at any time."""
    stream = make_stream(features, fps)
    windows, start, taken = [], 0, 0
    for cut in cuts:
        ready = stream.push(samples[start : start + cut])
        start += cut
        assert ready == stream.ready
        count = int(rng.integers(0, ready + 1)) if rng.random() < 0.7 else ready
        windows.append(stream.take(count))
        taken += count
    assert stream.flush() + taken == frame_count(samples.size, fps)
    windows.append(stream.take(stream.ready))
    assert (start, stream.ready) == (samples.size, 0)
    return np.concatenate(windows)


def padded_mel(samples):
    """Mel columns (M, 80), at least 16 of them."""
    columns = mel_spectrogram(samples)
    short = max(0, 16 - len(columns))
    return np.concatenate([columns, np.full((short, 80), -4, np.float32)])


def mel_twin(samples, fps):
    """Every frame's 16 columns by Wav2Lip's rule, past the end the last 16."""
    mel, windows = padded_mel(samples), []
    for frame in range(frame_count(samples.size, fps)):
        start = min(int(Fraction(80 * frame) / Fraction(fps)), len(mel) - 16)
        windows.append(mel[start : start + 16].T[None])
    return np.stack(windows)


def ave_twin(samples, encoder):
    """Every frame's encoder rows by SyncTalk_2D's rule: doubled ends, zeros outside."""
    mel = padded_mel(samples)
    rows = []
    for k in range(int((len(mel) - 16) / 80 * 25) + 2):
        start = min(80 * k // 25, len(mel) - 16)
        rows.append(encoder(np.ascontiguousarray(mel[start : start + 16].T[None, None]))[0])
    rows = np.stack([rows[0], *rows, rows[-1]])
    padded = np.concatenate([np.zeros((8, 512)), rows, np.zeros((400, 512))]).astype(np.float32)
    count = frame_count(samples.size, 25)
    return np.stack([padded[i : i + 16].reshape(32, 16, 16) for i in range(count)])


# ---- counts and places -----------------------------------------------------------------


def test_frame_counts():
    assert frame_count(160000, 25) == 250
    assert frame_count(1, 25) == 1
    assert frame_count(0, 25) == 0
    assert frame_count(640, 25) == 1
    assert frame_count(641, 25) == 2
    assert frame_count(np.int64(641), "25") == 2
    for wrong in (1.5, -1, "a", None):
        with pytest.raises(InputError, match="samples must be a whole number, 0 or more"):
            frame_count(wrong, 25)
    assert frame_count(16000 * 1001, NTSC) == 30000
    assert frame_count(16000 * 1001 + 1, NTSC) == 30001
    assert frame_count(16000 * 1001, 29.97) == 30000
    # 28 hours, past the places where float32 and int32 go wrong.
    assert frame_count(16000 * 100100, NTSC) == 3000000


def test_window_starts_are_exact():
    assert [window_start(i, 25) for i in range(7)] == [0, 3, 6, 9, 12, 16, 19]
    assert window_start(375 * 3, NTSC) == 3003
    assert window_start(3000000, NTSC) == 80 * 100100


# ---- windows ---------------------------------------------------------------------------

LENGTHS = [1, 160, 640, 641, 2999, 3000, 3199, 3200, 3201, 3599, 3600, 5000, 9600, 16000, 30001]


@pytest.mark.parametrize("size", LENGTHS)
@pytest.mark.parametrize("fps", RATES)
def test_mel_windows_follow_the_rule(size, fps):
    samples = synthetic_voice(2, seed=2)[:size]
    windows = feature_windows(samples, "mel", fps)
    assert windows.dtype == np.float32
    assert windows.tobytes() == mel_twin(samples, fps).tobytes()


@pytest.mark.parametrize("size", [*LENGTHS, 48000, 47999, 48111])
def test_encoder_windows_follow_the_rule(size):
    samples = synthetic_voice(4, seed=2)[:size]
    assert samples.size == size
    encoder = Encoder()
    windows = feature_windows(samples, "ave", 25, encoder=encoder)
    # A frame needs at most seven rows more than frames, and no window is encoded twice.
    assert encoder.calls <= len(windows) + 1
    assert windows.shape == (frame_count(size, 25), 32, 16, 16)
    assert windows.tobytes() == ave_twin(samples, Encoder()).tobytes()


def test_ten_seconds_as_synctalk_counts_them():
    """10.0 s: 247 rows, 249 entries; frame 249, which we add, hears zeros in its last 8."""
    encoder = Encoder()
    windows = feature_windows(synthetic_voice(10), "ave", 25, encoder=encoder)
    assert (len(windows), encoder.calls) == (250, 247)
    last = windows[249].reshape(16, 512)
    assert not last[8:].any()
    assert (last[7] == last[6]).all()
    assert last[7].any()
    first = windows[0].reshape(16, 512)
    assert not first[:8].any()
    assert (first[8] == first[9]).all()
    assert (first[9] != first[10]).any()


@pytest.mark.parametrize(
    ("features", "fps"), [("mel", 25), ("mel", NTSC), ("ave", 25), ("params", 25), ("params", NTSC)]
)
@pytest.mark.parametrize("longest", [300, 4000, 40000])
def test_random_chunks_equal_the_whole(features, fps, longest):
    samples = synthetic_voice(4 if longest > 300 else 1, seed=6)
    whole = make_stream(features, fps)
    whole.push(samples)
    expected = whole.take(whole.flush())
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cuts = random_cuts(rng, samples.size, longest)
        windows = stream_windows(samples, features, fps, cuts, rng)
        assert windows.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ["jfk_16k", "librivox_16k"])
def test_random_chunks_of_real_voices_equal_the_whole(assets, name):
    samples = read_voice(assets, name)
    for features, fps in (("mel", NTSC), ("ave", 25)):
        rng = np.random.default_rng(3)
        whole = feature_windows(samples, features, fps, encoder=Encoder())
        cuts = random_cuts(rng, samples.size, 30000)
        assert stream_windows(samples, features, fps, cuts, rng).tobytes() == whole.tobytes()


@pytest.mark.parametrize(("features", "fps"), [("mel", 25), ("mel", NTSC), ("ave", 25)])
def test_frames_come_as_early_as_they_can(features, fps):
    """A frame is ready when the last column that it hears is, and not one sample later."""
    stream = make_stream(features, fps)
    samples = synthetic_voice(3)
    for end in range(40, samples.size, 40):
        ready = stream.push(samples[end - 40 : end])
        columns = (end - 400) // 200 + 1
        heard = 6 if features == "ave" else 0
        expected = 0
        while window_start(expected + heard, Fraction(fps)) + 16 <= columns:
            expected += 1
        assert ready == expected


def test_windows_go_into_the_callers_memory():
    samples = synthetic_voice(1)
    stream = make_stream("mel", 25)
    stream.push(samples)
    pooled = np.full((20, 1, 80, 16), 7, np.float32)
    assert stream.take(6, out=pooled[2:8]).base is pooled
    assert (pooled[2:8] == feature_windows(samples, "mel", 25)[:6]).all()
    assert (pooled[:2] == 7).all()
    assert (pooled[8:] == 7).all()


@pytest.mark.parametrize("features", ["mel", "ave"])
def test_memory_stays_flat_over_ten_minutes(features):
    second = synthetic_voice(1)
    # The stand-in's product costs more than all else here; any answer will do.
    answer = np.ones((1, 512), np.float32)
    stream = FeatureStream(features, 25, encoder=lambda window: answer)
    out = np.empty((70, *stream.shape), np.float32)
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(10):
            tracemalloc.reset_peak()
            for _ in range(60):
                ready = stream.push(second)
                stream.take(ready, out=out[:ready])
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert max(peaks) < 2_000_000
    assert max(peaks[1:]) - peaks[1] < 8192


def test_frames_left_for_long_are_kept():
    """Nothing is lost when a caller takes no frame for two minutes and then all."""
    samples = np.tile(synthetic_voice(10), 12)
    stream = make_stream("mel", 25)
    for start in range(0, samples.size, 48000):
        stream.push(samples[start : start + 48000])
    assert stream.flush() == 3000
    assert stream.take(3000).tobytes() == feature_windows(samples, "mel", 25).tobytes()


# ---- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hubert", 25), "hubert"),
        (("ave", 25), "audio encoder"),
        (("params", 25), "driver"),
        (("mel", 0), "fps"),
        (("mel", "fast"), "fps"),
    ],
)
def test_bad_stream(arguments, words):
    with pytest.raises(InputError, match=words):
        FeatureStream(*arguments)


def test_encoder_features_need_25_frames_a_second():
    with pytest.raises(InputError, match="25 frames a second, got 30"):
        FeatureStream("ave", 30, encoder=Encoder())


@pytest.mark.parametrize("answer", [np.zeros((1, 256), np.float32), np.zeros((1, 512))])
def test_a_foreign_encoder_is_refused(answer):
    stream = FeatureStream("ave", 25, encoder=lambda window: answer)
    stream.push(synthetic_voice(1))
    with pytest.raises(InputError, match="must return"):
        stream.take(1)


def test_a_driver_that_miscounts_is_refused():
    class Short(Mouth):
        def push(self, columns):
            return super().push(columns)[1:]

    with pytest.raises(InputError, match="25 frames of this sound, got 2"):
        feature_windows(synthetic_voice(1), "params", 25, driver=Short(25))


def test_taking_more_than_there_is():
    stream = make_stream("mel", 25)
    ready = stream.push(synthetic_voice(1))
    for count in (ready + 1, -1):
        with pytest.raises(InputError, match=f"{ready} are ready"):
            stream.take(count)
    assert stream.take(0).shape == (0, 1, 80, 16)
    assert stream.ready == ready


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (np.zeros((2, 80, 16), np.float32), InputError, "shape"),
        (np.zeros((2, 1, 80, 16)), LayoutError, "float64"),
        (np.zeros((2, 1, 80, 32), np.float32)[..., ::2], LayoutError, "C-contiguous"),
    ],
)
def test_bad_out(out, error, words):
    stream = make_stream("mel", 25)
    stream.push(synthetic_voice(1))
    with pytest.raises(error, match=words):
        stream.take(2, out=out)
    assert stream.taken == 0


def test_read_only_out():
    stream = make_stream("mel", 25)
    stream.push(synthetic_voice(1))
    out = np.zeros((2, 1, 80, 16), np.float32)
    out.flags.writeable = False
    with pytest.raises(InputError, match="read-only"):
        stream.take(2, out=out)


def test_a_sound_without_samples():
    with pytest.raises(InputError, match="at least one sample"):
        feature_windows(np.zeros(0, np.float32), "mel", 25)
    with pytest.raises(LayoutError, match="float64"):
        feature_windows(np.zeros(100), "mel", 25)


def test_a_sound_ends_once():
    stream = make_stream("mel", 25)
    stream.push(synthetic_voice(1))
    count = stream.flush()
    for again in (stream.flush, lambda: stream.push(synthetic_voice(1))):
        with pytest.raises(InputError, match="the sound of this FeatureStream has ended; make a"):
            again()
    assert (stream.ready, stream.samples) == (count, 16000)


def test_a_refused_chunk_leaves_the_stream_as_it_was():
    samples = synthetic_voice(12)
    stream = make_stream("mel", 25)
    stream.push(samples[:100000])
    broken = samples[100000:].copy()
    broken[-1] = np.nan
    with pytest.raises(InputError, match="finite"):
        stream.push(broken)
    stream.push(samples[100000:])
    windows = stream.take(stream.flush())
    assert windows.tobytes() == feature_windows(samples, "mel", 25).tobytes()
