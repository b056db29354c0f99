"""The mel: kernel against its NumPy twin, columns against librosa, chunks against the whole."""

import tracemalloc

import numpy as np
import pytest
from tests.support import reference
from tests.support.voices import VOICES, random_cuts, read_voice, synthetic_voice

from lipsync_fast import kernels
from lipsync_fast.audio.mel import MelStream, mel_columns, mel_spectrogram, slaney_bands
from lipsync_fast.errors import InputError, LayoutError

# ---- the kernel ------------------------------------------------------------------------


def parts(spectrum):
    """Complex spectra as the kernel takes them: (frames, bins, 2) float64."""
    return spectrum.view(np.float64).reshape(*spectrum.shape, 2)


def random_spectrum(rng, frames, bins):
    """Spectra of real frames whose magnitudes span silence to overload."""
    level = 10.0 ** rng.uniform(-7, 1, (frames, bins))
    spectrum = level * np.exp(2j * np.pi * rng.random((frames, bins)))
    spectrum[:, [0, -1]] = level[:, [0, -1]]
    return spectrum


def random_bands(rng, bins, widths):
    """Bands of the given widths at random places, with random weights."""
    first = np.array([rng.integers(1, bins - w) for w in widths])
    edges = np.stack([first, first + widths], 1).astype(np.int32)
    return edges, rng.random(int(np.sum(widths)), np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 80, 256])
def test_equals_twin(isa, guarded, count):
    rng = np.random.default_rng(count)
    edges, weights = random_bands(rng, 401, rng.integers(0, 20, count))
    spectrum = random_spectrum(rng, 6, 401)
    out = guarded((6, count), np.float32, padding=12)
    assert kernels.mel(parts(spectrum), edges, weights, out=out, isa=isa) is out
    np.testing.assert_allclose(out, reference.mel(spectrum, edges, weights), rtol=0, atol=5e-7)


@pytest.mark.parametrize("layout", [{}, {"padding": 32}, {"padding": 64, "flip": True}])
def test_every_isa_gives_the_same_bits(isa, guarded, layout):
    rng = np.random.default_rng(1)
    edges, weights = random_bands(rng, 1025, np.arange(70))
    spectrum = guarded((9, 1025, 2), np.float64, **layout)
    spectrum[...] = parts(random_spectrum(rng, 9, 1025))
    plain = kernels.mel(spectrum, edges, weights, isa="c")
    assert kernels.mel(spectrum, edges, weights, isa=isa).tobytes() == plain.tobytes()


@pytest.mark.parametrize("bins", [2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 63, 64, 65])
def test_a_frame_does_not_depend_on_its_block(isa, bins):
    rng = np.random.default_rng(bins)
    edges, weights = random_bands(rng, bins, rng.integers(0, bins - 1, 33))
    spectrum = parts(random_spectrum(rng, 7, bins))
    block = kernels.mel(spectrum, edges, weights, isa=isa)
    for k in range(7):
        alone = kernels.mel(spectrum[k : k + 1].copy(), edges, weights, isa=isa)
        assert alone.tobytes() == block[k : k + 1].tobytes()


def test_level_over_the_whole_range(isa):
    """One bin of weight 1 shows the level curve by itself, the ends of the clip included."""
    inside = 10.0 ** np.linspace(-4.5, 1.5, 20001)
    ends = [0.0, 1e-300, 1e-5, np.nextafter(1e-4, 0), 1e-4, 10.0, np.nextafter(10.0, 20), 1e300]
    magnitude = np.concatenate(
        [ends, inside, 2.0 ** np.arange(-14, 5), np.sqrt(0.5) * 2.0 ** np.arange(-13, 4)]
    )
    spectrum = np.zeros((magnitude.size, 3), np.complex128)
    spectrum[:, 1] = 2 * magnitude  # the window halves it
    edges, weights = np.array([[1, 2]], np.int32), np.ones(1, np.float32)
    level = kernels.mel(parts(spectrum), edges, weights, isa=isa)
    np.testing.assert_allclose(level, reference.mel(spectrum, edges, weights), rtol=0, atol=2.5e-7)
    assert (level[:5] == -4.0).all()
    assert (level[5:8] == 4.0).all()


def test_not_a_number_is_silent_and_infinity_loud(isa):
    spectrum = np.full((1, 8, 2), 1.0)
    spectrum[0, 2] = np.nan
    spectrum[0, 4] = 4.0
    spectrum[0, 6] = np.inf
    edges = np.array([[4, 5], [1, 4], [5, 7], [3, 3]], np.int32)
    level = kernels.mel(spectrum, edges, np.ones(6, np.float32), isa=isa)[0]
    assert level[1] == -4.0
    assert level[2] == 4.0
    assert level[3] == -4.0
    assert -4.0 < level[0] < 4.0


def test_no_frames(isa):
    edges, weights = slaney_bands()
    assert kernels.mel(np.empty((0, 401, 2)), edges, weights, isa=isa).shape == (0, 80)


EDGES = np.array([[1, 3], [2, 5]], np.int32)
WEIGHTS = np.ones(5, np.float32)
SPECTRUM = np.ones((3, 8, 2))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"spectrum": SPECTRUM.astype(np.float32)}, LayoutError, "spectrum must be float64"),
        ({"spectrum": SPECTRUM[:, ::2]}, LayoutError, "packed"),
        ({"spectrum": SPECTRUM[..., :1]}, InputError, "bins, 2"),
        ({"spectrum": np.ones((1, 1026, 2))}, InputError, "1025"),
        ({"spectrum": np.ones((1, 0, 2))}, InputError, "1025"),
        ({"edges": EDGES.astype(np.int64)}, LayoutError, "edges must be int32"),
        ({"edges": np.zeros((257, 2), np.int32)}, InputError, "256"),
        ({"edges": np.zeros((0, 2), np.int32)}, InputError, "256"),
        ({"edges": np.array([[1, 3], [2, 8]], np.int32)}, InputError, "band 1"),
        ({"edges": np.array([[0, 2], [2, 5]], np.int32)}, InputError, "band 0"),
        ({"edges": np.array([[3, 2], [1, 3]], np.int32)}, InputError, "band 0"),
        ({"weights": WEIGHTS[:4]}, InputError, "5 values"),
        ({"weights": WEIGHTS.astype(np.float64)}, LayoutError, "weights must be float32"),
        ({"weights": np.ones(10, np.float32)[::2]}, LayoutError, "C-contiguous"),
        ({"out": np.empty((3, 3), np.float32)}, InputError, r"\(3, 2\)"),
        ({"out": np.empty((3, 2))}, LayoutError, "out must be float32"),
        ({"out": np.empty((3, 4), np.float32)[:, ::2]}, LayoutError, "packed"),
        ({"isa": "sse9"}, InputError, "isa must be one of"),
    ],
)
def test_bad_arguments(change, error, words):
    arguments = {"spectrum": SPECTRUM, "edges": EDGES, "weights": WEIGHTS, **change}
    with pytest.raises(error, match=words):
        kernels.mel(
            arguments["spectrum"],
            arguments["edges"],
            arguments["weights"],
            out=arguments.get("out"),
            isa=arguments.get("isa"),
        )


def test_overlap():
    memory = np.ones(64)
    spectrum, out = memory[:48].reshape(3, 8, 2), memory[46:49].view(np.float32).reshape(3, 2)
    with pytest.raises(InputError, match="overlap spectrum"):
        kernels.mel(spectrum, EDGES, WEIGHTS, out=out)


def test_read_only_out():
    out = np.empty((3, 2), np.float32)
    out.flags.writeable = False
    with pytest.raises(InputError, match="read-only"):
        kernels.mel(SPECTRUM, EDGES, WEIGHTS, out=out)


# ---- columns ---------------------------------------------------------------------------


def test_column_count():
    assert [mel_columns(n) for n in (0, 1, 199, 200, 16000)] == [0, 1, 1, 2, 81]


def librosa_mel(samples, pad="constant"):
    """The mel as Wav2Lip computes it, with librosa."""
    librosa = pytest.importorskip("librosa")
    emphasised = samples.astype(np.float64)
    emphasised[1:] -= 0.97 * samples[:-1].astype(np.float64)
    spectrum = librosa.stft(
        emphasised,
        n_fft=800,
        hop_length=200,
        win_length=800,
        window="hann",
        center=True,
        pad_mode=pad,
    )
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    decibels = 20 * np.log10(np.maximum(1e-5, basis @ np.abs(spectrum))) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T


def stream_mel(samples, cuts, pad="constant"):
    """The columns of a MelStream fed with chunks of the given sizes."""
    stream = MelStream(pad)
    columns, start = [], 0
    for cut in cuts:
        columns.append(stream.push(samples[start : start + cut]))
        start += cut
    assert start == samples.size
    return np.concatenate([*columns, stream.flush()])


# ---- against librosa -------------------------------------------------------------------


def test_bands_equal_librosa():
    librosa = pytest.importorskip("librosa")
    edges, weights = slaney_bands()
    dense = np.zeros((80, 401), np.float32)
    offset = 0
    for band, (first, end) in enumerate(edges):
        dense[band, first:end] = weights[offset : offset + end - first]
        offset += end - first
    assert offset == weights.size
    oracle = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    np.testing.assert_allclose(dense, oracle, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", VOICES)
@pytest.mark.parametrize("pad", ["constant", "reflect"])
def test_equals_librosa_on_real_voices(assets, name, pad):
    samples = read_voice(assets, name)
    columns = mel_spectrogram(samples, pad)
    assert columns.shape == (1 + samples.size // 200, 80)
    assert columns.dtype == np.float32
    np.testing.assert_allclose(columns, librosa_mel(samples, pad), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [801, 1000, 1199, 1200, 16000, 30001])
@pytest.mark.parametrize("pad", ["constant", "reflect"])
def test_equals_librosa_at_every_length(size, pad):
    samples = synthetic_voice(2)[:size]
    columns = mel_spectrogram(samples, pad)
    assert columns.shape == (1 + size // 200, 80)
    np.testing.assert_allclose(columns, librosa_mel(samples, pad), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 160, 399, 400, 401, 799, 800])
@pytest.mark.parametrize("pad", ["constant", "reflect"])
def test_sounds_shorter_than_the_window(size, pad):
    samples = synthetic_voice(1, seed=3)[:size]
    emphasised = samples.astype(np.float64)
    emphasised[1:] -= 0.97 * samples[:-1].astype(np.float64)
    padded = np.pad(emphasised, 400, mode=pad)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    columns = mel_spectrogram(samples, pad)
    assert columns.shape == (1 + size // 200, 80)
    oracle = librosa_mel_of_frames(
        np.stack([padded[200 * k :][:800] * window for k in range(len(columns))])
    )
    np.testing.assert_allclose(columns, oracle, rtol=0, atol=1e-6)


def librosa_mel_of_frames(frames):
    """Mel columns of windowed frames, with librosa's filter bank."""
    librosa = pytest.importorskip("librosa")
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600).astype(
        np.float64
    )
    decibels = 20 * np.log10(np.maximum(1e-5, np.abs(np.fft.rfft(frames)) @ basis.T)) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)


# ---- chunks ----------------------------------------------------------------------------


@pytest.mark.parametrize("pad", ["constant", "reflect"])
@pytest.mark.parametrize("longest", [3, 700, 5000, 40000])
def test_random_chunks_equal_the_whole(pad, longest):
    samples = synthetic_voice(3 if longest > 10 else 0.3, seed=1)
    whole = mel_spectrogram(samples, pad)
    for seed in range(4):
        cuts = random_cuts(np.random.default_rng(seed), samples.size, longest)
        assert stream_mel(samples, cuts, pad).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", VOICES)
def test_random_chunks_of_real_voices_equal_the_whole(assets, name):
    samples = read_voice(assets, name)
    cuts = random_cuts(np.random.default_rng(7), samples.size, 20000)
    assert stream_mel(samples, cuts).tobytes() == mel_spectrogram(samples).tobytes()


def test_chunk_longer_than_a_minute():
    samples = np.tile(synthetic_voice(10), 7)
    whole = mel_spectrogram(samples)
    assert stream_mel(samples, [16000 * 65, samples.size - 16000 * 65]).tobytes() == whole.tobytes()


@pytest.mark.parametrize("pad", ["constant", "reflect"])
@pytest.mark.parametrize("size", [1, 399, 400, 401, 1001, 12999, 13000, 13400, 13401])
def test_columns_come_as_soon_as_their_samples(pad, size):
    """Column k needs 400 samples after its centre 200 k, and nothing else."""
    stream = MelStream(pad)
    got = len(stream.push(synthetic_voice(1)[:size]))
    ready = (size - 400) // 200 + 1 if size >= 400 else 0
    # Reflection needs the 401st sample for the one that it puts first.
    assert got == (0 if pad == "reflect" and size < 401 else ready)
    assert (stream.samples, stream.columns) == (size, got)


def test_strided_and_read_only_samples():
    stereo = np.stack([synthetic_voice(1), synthetic_voice(1, seed=5)], 1)
    left = stereo[:, 0]
    left.flags.writeable = False
    assert mel_spectrogram(left).tobytes() == mel_spectrogram(left.copy()).tobytes()


def test_out_is_filled_and_returned():
    samples = synthetic_voice(1)
    wide = np.zeros((81, 100), np.float32)
    out = wide[:, 10:90]
    assert mel_spectrogram(samples, out=out) is out
    assert (out == mel_spectrogram(samples)).all()
    assert not wide[:, :10].any()
    assert not wide[:, 90:].any()


def test_mel_stream_holds_no_more_with_time():
    stream = MelStream()
    second = synthetic_voice(1)
    for _ in range(5):
        stream.push(second)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(120):
            stream.push(second)
        assert tracemalloc.get_traced_memory()[0] - before < 4096
    finally:
        tracemalloc.stop()


# ---- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        (np.zeros(0, np.float32), InputError, "at least one sample"),
        (np.zeros(800), LayoutError, "float64"),
        (np.zeros(800, np.int16), LayoutError, "32768"),
        ([0.0] * 800, LayoutError, "list"),
        (np.zeros((2, 800), np.float32), InputError, r"\(2, 800\)"),
        (np.array([0, np.nan, 0], np.float32), InputError, "nan at sample 1"),
        (np.array([0, 0, -np.inf], np.float32), InputError, "-inf at sample 2"),
    ],
)
def test_bad_samples(samples, error, words):
    with pytest.raises(error, match=words):
        mel_spectrogram(samples)


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        (np.zeros((80, 80), np.float32), InputError, r"\(81, 80\)"),
        (np.zeros((81, 80)), LayoutError, "float64"),
    ],
)
def test_bad_out(out, error, words):
    with pytest.raises(error, match=words):
        mel_spectrogram(np.zeros(16000, np.float32), out=out)


def test_a_refused_chunk_leaves_the_stream_as_it_was():
    samples = synthetic_voice(1)
    stream = MelStream()
    first = stream.push(samples[:7000])
    with pytest.raises(InputError, match="finite"):
        stream.push(np.full(500, np.nan, np.float32))
    whole = np.concatenate([first, stream.push(samples[7000:]), stream.flush()])
    assert whole.tobytes() == mel_spectrogram(samples).tobytes()


def test_ended_and_empty_streams():
    stream = MelStream()
    with pytest.raises(InputError, match="at least one sample"):
        stream.flush()
    stream.push(np.zeros(10, np.float32))
    stream.flush()
    with pytest.raises(InputError, match="ended"):
        stream.push(np.zeros(10, np.float32))
    with pytest.raises(InputError, match="ended"):
        stream.flush()
    with pytest.raises(InputError, match="reflect"):
        MelStream("edge")
