"""spectrum: NumPy's transform of frames, the same bits in every ISA and any block."""

import numpy as np
import pytest
from tests.support.voices import read_voice

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError
from lipsync_fast.kernels import SPECTRUM_SCRATCH, spectrum

COUNTS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 64]


def by_numpy(frames):
    return np.fft.rfft(frames).view(np.float64).reshape(len(frames), 401, 2)


@pytest.mark.parametrize("count", COUNTS)
def test_equals_numpys(isa, guarded, rng, count):
    frames = rng.normal(size=(count, 800))
    out = guarded((count, 401, 2), np.float64)
    assert spectrum(frames, out=out, isa=isa) is out
    np.testing.assert_allclose(out, by_numpy(frames), rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_every_isa_and_block_gives_the_same_bits(isa, rng, count):
    frames = rng.normal(size=(count, 800))
    block = spectrum(frames, isa=isa)
    assert block.tobytes() == spectrum(frames, isa="c").tobytes()
    for k in range(count):
        assert spectrum(frames[k : k + 1], isa=isa).tobytes() == block[k].tobytes()


def test_single_tones_are_single_bins(isa):
    n = np.arange(800)
    bins = np.array([0, 1, 2, 80, 199, 200, 201, 398, 399, 400])
    found = spectrum(np.cos(2 * np.pi * bins[:, None] * n / 800), isa=isa)
    want = np.zeros((len(bins), 401, 2))
    want[np.arange(len(bins)), bins, 0] = np.where(bins % 400, 400, 800)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-9)


def test_frames_may_overlap_and_lie_backwards(isa, rng):
    sound = rng.normal(size=800 + 200 * 20)
    frames = np.lib.stride_tricks.sliding_window_view(sound, 800)[::200]
    np.testing.assert_allclose(spectrum(frames, isa=isa), by_numpy(frames), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        spectrum(frames[::-1], isa=isa), by_numpy(frames[::-1]), rtol=0, atol=1e-12
    )


def test_real_voices(isa, assets):
    sound = read_voice(assets, "jfk_16k").astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(sound, 800)[::200]
    np.testing.assert_allclose(spectrum(frames, isa=isa), by_numpy(frames), rtol=0, atol=1e-11)


def test_a_nan_stays_in_its_frame(isa, rng):
    frames = rng.normal(size=(9, 800))
    clean = spectrum(frames, isa=isa)
    frames[4, 100] = np.nan
    found = spectrum(frames, isa=isa)
    assert np.isnan(found[4]).any()
    assert np.array_equal(np.delete(found, 4, 0), np.delete(clean, 4, 0))


def test_no_frames(isa):
    assert spectrum(np.empty((0, 800)), isa=isa).shape == (0, 401, 2)


FRAMES, OUT = np.zeros((3, 800)), np.zeros((3, 401, 2))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((FRAMES.astype(np.float32),), {}, LayoutError, "frames must be float64"),
        ((FRAMES[:, :799],), {}, InputError, r"frames must have shape \(n, 800\)"),
        ((np.zeros((3, 1600))[:, ::2],), {}, LayoutError, "packed within a frame"),
        ((FRAMES,), {"out": OUT[:2]}, InputError, "out must have shape"),
        ((FRAMES,), {"out": np.zeros((3, 401, 4))[..., :2]}, LayoutError, "gaps"),
        ((FRAMES,), {"scratch": np.zeros(SPECTRUM_SCRATCH - 1)}, InputError, "scratch must hold"),
        ((FRAMES,), {"isa": "mmx"}, InputError, "isa must be one of"),
        ((FRAMES[0],), {}, InputError, "2 axes"),
    ],
)
def test_bad_arguments(arguments, options, error, words):
    with pytest.raises(error, match=words):
        spectrum(*arguments, **options)


def test_memory_is_apart():
    block = np.zeros(3 * 802 + 3 * 800)
    with pytest.raises(InputError, match="out must not overlap frames"):
        spectrum(block[2000:4400].reshape(3, 800), out=block[:2406].reshape(3, 401, 2))
    room = np.zeros(SPECTRUM_SCRATCH)
    with pytest.raises(InputError, match="scratch must not overlap frames"):
        spectrum(room[:800].reshape(1, 800), scratch=room)
    assert kernels.spectrum is spectrum
