"""The mel of 60 s of speech beside librosa's, and the kernel of one block by ISA."""

import numpy as np
import pytest
import threadpoolctl

from benchmarks.support.extra import time_it
from lipsync_fast import kernels
from lipsync_fast.audio.mel import MelStream, mel_spectrogram, slaney_bands

SECONDS = 60


@pytest.fixture(scope="module")
def speech():
    """Noise bursts over a hum, 60 s at 16 kHz."""
    rng = np.random.default_rng(2)
    time = np.arange(SECONDS * 16000) / 16000
    loudness = np.maximum(0.0, np.sin(2 * np.pi * 1.3 * time)) ** 2
    sound = loudness * rng.normal(0, 0.1, time.size) + 0.05 * np.sin(2 * np.pi * 180 * time)
    return sound.astype(np.float32)


@pytest.fixture(scope="module")
def peer(speech):
    """Do Wav2Lip's own steps with librosa; its scipy filter turns them into float64."""
    librosa = pytest.importorskip("librosa")
    signal = pytest.importorskip("scipy.signal")
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)

    def mel(dtype):
        emphasised = signal.lfilter([1, -0.97], [1], speech).astype(dtype, copy=False)
        spectrum = librosa.stft(emphasised, n_fft=800, hop_length=200, pad_mode="constant")
        decibels = 20 * np.log10(np.maximum(1e-5, basis @ np.abs(spectrum))) - 20
        return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T

    return mel


@pytest.fixture(autouse=True)
def one_thread():
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.mark.benchmark(group="mel of 60 s")
def test_mel(benchmark, speech, peer):
    out = mel_spectrogram(speech)
    np.testing.assert_allclose(out, peer(np.float64), rtol=0, atol=1e-6)
    time_it(benchmark, lambda: mel_spectrogram(speech, out=out), frames=25 * SECONDS)


@pytest.mark.benchmark(group="mel of 60 s")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_librosa(benchmark, speech, peer, dtype):
    np.testing.assert_allclose(peer(dtype), mel_spectrogram(speech), rtol=0, atol=1e-3)
    time_it(benchmark, lambda: peer(dtype), frames=25 * SECONDS)


@pytest.mark.benchmark(group="mel of 60 s")
def test_stream_of_40_ms_chunks(benchmark, speech):
    def stream():
        mel = MelStream()
        columns = [mel.push(speech[start : start + 640]) for start in range(0, speech.size, 640)]
        return np.concatenate([*columns, mel.flush()])

    assert stream().tobytes() == mel_spectrogram(speech).tobytes()
    time_it(benchmark, stream, frames=25 * SECONDS)


@pytest.mark.benchmark(group="spectrum of 64 frames")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_spectrum(benchmark, isa):
    frames = np.random.default_rng(0).normal(size=(64, 800))
    out, scratch = np.empty((64, 401, 2)), np.empty(kernels.SPECTRUM_SCRATCH)
    kernels.spectrum(frames, out=out, scratch=scratch, isa=isa)
    np.testing.assert_allclose(out.view(complex)[..., 0], np.fft.rfft(frames), atol=1e-12)
    time_it(benchmark, lambda: kernels.spectrum(frames, out=out, scratch=scratch, isa=isa))


@pytest.mark.benchmark(group="spectrum of 64 frames")
def test_spectrum_by_numpy(benchmark):
    frames = np.random.default_rng(0).normal(size=(64, 800))
    out = np.fft.rfft(frames)
    np.testing.assert_allclose(
        out, kernels.spectrum(frames).view(complex)[..., 0], rtol=0, atol=1e-12
    )
    time_it(benchmark, lambda: np.fft.rfft(frames))


@pytest.mark.benchmark(group="mel kernel, 64 frames")
@pytest.mark.parametrize("isa", kernels.available_isas())
def test_kernel(benchmark, isa):
    frames = np.random.default_rng(0).normal(size=(64, 800))
    spectrum = np.fft.rfft(frames).view(np.float64).reshape(64, 401, 2)
    edges, weights = slaney_bands()
    out = np.empty((64, 80), np.float32)
    kernels.mel(spectrum, edges, weights, out=out, isa=isa)
    assert (out == kernels.mel(spectrum, edges, weights, isa="c")).all()
    time_it(benchmark, lambda: kernels.mel(spectrum, edges, weights, out=out, isa=isa))
