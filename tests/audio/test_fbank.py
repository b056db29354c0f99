"""Log mel energies against Kaldi's own."""

import numpy as np
import pytest
from tests.support.voices import VOICES, read_voice, synthetic_voice

from lipsync_fast.audio.fbank import log_mel_energies
from lipsync_fast.errors import InputError, LayoutError


def kaldi(samples):
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(16000, samples.tolist())
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def assert_kaldis(samples):
    got, wanted = log_mel_energies(samples), kaldi(samples)
    assert got.shape == wanted.shape == (1 + (len(samples) - 400) // 160, 80)
    assert got.dtype == np.float32
    # Kaldi sums in float32: it differs where a band has next to nothing.
    np.testing.assert_allclose(np.exp(got), np.exp(wanted), rtol=2e-3, atol=0.5)
    assert np.abs(got - wanted).mean() < 1e-3


@pytest.mark.parametrize("length", [400, 559, 560, 16000, 176_123])
def test_energies_are_kaldis(length):
    voice = synthetic_voice(length / 16000 + 0.1)[:length]
    assert_kaldis(np.trunc(voice * 32767))


@pytest.mark.assets
@pytest.mark.parametrize("name", VOICES)
def test_energies_of_a_voice_are_kaldis(assets, name):
    assert_kaldis(np.trunc(read_voice(assets, name) * np.float32(32767)))


def test_silence_and_a_constant_are_the_floor():
    floor = np.log(np.finfo(np.float32).eps)
    for level in (0.0, 1000.0):
        assert log_mel_energies(np.full(800, level, np.float32)) == pytest.approx(floor, abs=1e-4)


@pytest.mark.parametrize("hertz", [440, 1000, 3000, 7000])
def test_a_tone_is_loudest_in_its_band(hertz):
    tone = (8000 * np.sin(2 * np.pi * hertz * np.arange(4000) / 16000)).astype(np.float32)
    mel = 1127 * np.log1p(np.array([20, hertz, 8000]) / 700)
    place = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 81 - 1  # bands are centred on whole numbers
    loudest = log_mel_energies(tone).argmax(axis=1)
    assert np.abs(loudest - place).max() <= 1.0


def test_long_sound_is_the_same_in_parts():
    samples = np.random.default_rng(0).normal(0, 900, 400 + 160 * 1500).astype(np.float32)
    whole = log_mel_energies(samples)
    tail = log_mel_energies(samples[160 * 990 :])
    np.testing.assert_allclose(whole[990:], tail, rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "error", "says"),
    [
        (np.zeros(399, np.float32), InputError, "400 or more, got 399"),
        (np.zeros(800), LayoutError, "float32"),
        (np.zeros((2, 800), np.float32), InputError, "mono"),
        (np.full(800, np.nan, np.float32), InputError, "finite"),
    ],
)
def test_what_is_no_sound(samples, error, says):
    with pytest.raises(error, match=says):
        log_mel_energies(samples)
