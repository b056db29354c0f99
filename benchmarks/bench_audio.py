"""From speech to a generator's features, beside Wav2Lip's script; for the mel: bench_mel.py."""

from fractions import Fraction

import numpy as np
import pytest

from benchmarks.support.extra import time_it
from lipsync_fast.audio import FeatureStream, frame_count
from lipsync_fast.audio.lite_avatar import LiteAvatarDriver
from lipsync_fast.audio.mel import mel_spectrogram

SECONDS = 60
FPS = Fraction(25)
GROUP = f"feature windows of {SECONDS} s, plain mel"


@pytest.fixture(scope="module")
def speech():
    """Noise bursts over a hum at 16 kHz."""
    rng = np.random.default_rng(2)
    time = np.arange(SECONDS * 16000) / 16000
    loudness = np.maximum(0.0, np.sin(2 * np.pi * 1.3 * time)) ** 2
    sound = loudness * rng.normal(0, 0.1, time.size) + 0.05 * np.sin(2 * np.pi * 180 * time)
    return sound.astype(np.float32)


def windows_of_lists(speech):
    """Do as Wav2Lip's script: the whole mel, a list of cut windows, then one array."""
    mel = mel_spectrogram(speech).T
    step, chunks = 80.0 / float(FPS), []
    for frame in range(frame_count(speech.size, FPS)):
        start = int(frame * step)
        if start + 16 > mel.shape[1]:
            start = mel.shape[1] - 16
        chunks.append(mel[:, start : start + 16])
    return np.asarray(chunks)[:, None]


def stream(speech, out, chunk, kind="mel", **options):
    """Push sound in chunks, take windows as soon as they are ready."""
    source, done = FeatureStream(kind, FPS, **options), 0
    for start in range(0, speech.size, chunk):
        ready = source.push(speech[start : start + chunk])
        done += len(source.take(ready, out=out[done : done + ready]))
    ready = source.flush()
    done += len(source.take(ready, out=out[done : done + ready]))
    return done


@pytest.mark.benchmark(group=GROUP)
@pytest.mark.parametrize("chunk", [640, 16000], ids=["40 ms chunks", "1 s chunks"])
def test_stream(benchmark, speech, chunk):
    count = frame_count(speech.size, FPS)
    out = np.empty((count, 1, 80, 16), np.float32)
    assert stream(speech, out, chunk) == count
    np.testing.assert_array_equal(out, windows_of_lists(speech))
    time_it(benchmark, lambda: stream(speech, out, chunk), frames=count)


@pytest.mark.benchmark(group=GROUP)
def test_peer_lists(benchmark, speech):
    assert len(windows_of_lists(speech)) == frame_count(speech.size, FPS)
    time_it(benchmark, lambda: windows_of_lists(speech), frames=frame_count(speech.size, FPS))


@pytest.mark.benchmark(group=f"mouth parameters of {SECONDS} s by rule")
def test_driver(benchmark, speech):
    count = frame_count(speech.size, FPS)
    out, again = np.empty((2, count, 32), np.float32)

    def drive(target=out, chunk=16000):
        return stream(speech, target, chunk, "params", driver=LiteAvatarDriver(FPS))

    assert drive() == count
    drive(again, 997)
    np.testing.assert_array_equal(out, again)
    time_it(benchmark, drive, frames=count)
