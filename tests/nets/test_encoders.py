"""Audio encoders; the rows of HuBERT and wenet equal those of the families' own scripts."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
import onnx
import onnxruntime
from tests.support.nets import save, tiny_encoder, tiny_generator, tiny_hubert, tiny_wenet
from tests.support.voices import read_voice, synthetic_voice

from lipsync_fast.errors import InputError, LipsyncError, ModelError
from lipsync_fast.nets.encoders import AudioEncoder, HubertEncoder, WenetEncoder
from lipsync_fast.pipeline.speech import SpeechFeatures, open_speech, read_requests
from lipsync_fast.presets import PRESETS

# ---- the audio encoder of "ave" features -----------------------------------------------------


def save_encoder(path, batch="N", *, window=(1, 80, 16), features=512, tail=()):
    weights = np.random.default_rng(3).standard_normal((1280, features)).astype(np.float32) / 36
    return save(
        path,
        [
            onnx.helper.make_node("Reshape", ["mel_spectrogram", "rows"], ["flat"]),
            onnx.helper.make_node("MatMul", ["flat", "weights"], ["product"]),
            onnx.helper.make_node("Reshape", ["product", "shape"], ["audio_features"]),
        ],
        [("mel_spectrogram", [batch, *window])],
        [("audio_features", [batch, features, *tail])],
        [
            ("rows", np.array([-1, 1280])),
            ("weights", weights),
            ("shape", np.array([-1, features, *tail])),
        ],
    ), weights


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("tail", [(), (1, 1)])
def test_features_of_mel_windows(tmp_path, batch, tail):
    path, weights = save_encoder(tmp_path / "ave.onnx", batch, tail=tail)
    encoder = AudioEncoder(path)
    windows = np.random.default_rng(1).standard_normal((7, 1, 80, 16)).astype(np.float32)
    features = encoder.infer(windows)
    assert features.shape == (7, 512)
    np.testing.assert_allclose(features, windows.reshape(7, -1) @ weights, atol=1e-4)
    out = np.empty((7, 512), np.float32)
    assert encoder(windows, out=out) is out
    assert (out == features).all()
    one_by_one = np.concatenate([encoder(windows[i : i + 1]) for i in range(7)])
    assert (one_by_one == features).all(), "features must not depend on the request's size"


@pytest.mark.parametrize(
    "layout", [{"features": 256}, {"batch": 2}, {"window": (1, 16, 80)}, {"window": (80, 16)}]
)
def test_not_an_audio_encoder(tmp_path, layout):
    path, _ = save_encoder(tmp_path / "ave.onnx", **layout)
    with pytest.raises(ModelError, match=r"ave\.onnx: not an audio encoder: needs one float32"):
        AudioEncoder(path)


def test_an_encoder_checks_its_arrays(tmp_path):
    encoder = AudioEncoder(save_encoder(tmp_path / "ave.onnx")[0])
    windows = np.zeros((2, 1, 80, 16), np.float32)
    with pytest.raises(InputError, match=r"mel_windows must have shape \(N,1,80,16\)"):
        encoder(windows[0])
    with pytest.raises(InputError, match=r"out must have shape \(2,512\)"):
        encoder(windows, out=np.empty((1, 512), np.float32))


# ---- HuBERT ----------------------------------------------------------------------------------


@pytest.fixture
def hubert(tmp_path):
    return HubertEncoder(tiny_hubert(tmp_path / "hubert.onnx"))


def hubert_rows(samples):
    """Compute the script's rows with the model of `tiny_hubert`, a whole speech in one run."""
    weights = np.random.default_rng(6).normal(0, 0.05, (1024, 1, 400)).astype(np.float32)[:, 0]
    normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    steps = np.lib.stride_tricks.sliding_window_view(normal, 400)[::320]
    rows = steps @ weights.T
    return rows[: len(rows) // 2 * 2].reshape(-1, 2, 1024)


@pytest.mark.parametrize(
    "length", [720, 1039, 1040, 16000, 319999, 320000, 320080, 320400, 321000, 647000]
)
def test_hubert_rows_are_the_scripts(hubert, length):
    """Also in several runs: each hears just what its frames need."""
    samples = (synthetic_voice(length / 16000 + 0.1)[:length] + 0.1).astype(np.float32)
    rows = hubert.features(samples)
    wanted = hubert_rows(samples.astype(np.float64))
    assert rows.shape == wanted.shape == ((length - 80) // 640, 2, 1024)
    np.testing.assert_allclose(rows, wanted, atol=2e-4)


def test_long_speech_is_cut_as_the_script_cuts_it(hubert, monkeypatch):
    """1000 frames a run, the last one with the rest."""
    runs = []
    run = HubertEncoder._run_part

    def spy(self, samples):
        runs.append(len(samples))
        return run(self, samples)

    monkeypatch.setattr(HubertEncoder, "_run_part", spy)
    for length, wanted in [
        (300000, [300000]),
        (320000, [320000]),
        (320100, [320080]),
        (500000, [320080, 180000]),
        (900000, [320080, 320080, 260000]),
    ]:
        runs.clear()
        hubert.features(np.random.default_rng(1).normal(0, 1, length).astype(np.float32))
        assert runs == wanted


def test_hubert_needs_some_speech(hubert):
    with pytest.raises(InputError, match="720 samples or longer for HuBERT, got 719"):
        hubert.features(np.zeros(719, np.float32))
    assert np.isfinite(hubert.features(np.zeros(16000, np.float32))).all()


def test_other_models_than_hubert(tmp_path):
    for path in (
        tiny_encoder(tmp_path / "e.onnx"),
        tiny_generator(tmp_path / "g.onnx", PRESETS["wav2lip96"]),
    ):
        with pytest.raises(ModelError, match="not a HuBERT"):
            HubertEncoder(path)


@pytest.mark.parametrize(
    ("speech", "said"),
    [
        (np.full(16000, 3000, np.int16), "got int16; divide by 32768"),
        ([np.zeros(16000, np.float32), np.ones(16000, np.int16)], "got int16; divide by 32768"),
        ([np.zeros((16000, 2), np.float32)], "mono with one axis"),
        ([[0.0, 0.1]], "got list"),
    ],
)
def test_speech_of_another_kind_is_refused_before_it_is_joined(hubert, speech, said):
    features = SpeechFeatures(PRESETS["synctalk328-hubert"], 25, hubert)
    with pytest.raises(LipsyncError, match=said):
        list(read_requests(features, open_speech(speech), 8, live=False))


# ---- wenet -----------------------------------------------------------------------------------


@pytest.fixture
def wenet(tmp_path):
    return WenetEncoder(tiny_wenet(tmp_path / "encoder.onnx"))


def wenet_rows(path, samples):
    """Compute the script's rows of a speech: 67 steps of Kaldi's energies, every 5th step."""
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    waveform = (samples.astype(np.float32) * 32767).astype(np.int16)
    waveform = np.concatenate([np.zeros(32 * 160), waveform, np.zeros(35 * 160)])
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(16000, waveform.astype(np.float32).tolist())
    feats = np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows, start, end = [], 0, 0
    while end < len(feats):
        end = start + 67
        chunk = feats[start:end]
        chunk = np.concatenate([chunk, np.zeros([67 - len(chunk), 80])])
        start += 5
        feeds = {
            "chunk": chunk[None, None].astype(np.float32),
            "offset": np.ones(1, np.int64) * 100,
            "att_cache": np.zeros([3, 8, 16, 128], np.float32),
            "cnn_cache": np.zeros([3, 1, 512, 14], np.float32),
        }
        rows.append(session.run(None, feeds)[0][0])
    return np.array(rows)


def assert_equal_rows(rows, wanted):
    assert rows.shape == wanted.shape
    off = np.abs(rows - wanted)
    # Kaldi's own sums are in float32, which shows where a band has next to nothing.
    assert off.max() <= 2e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("length", [1, 799, 800, 801, 16000, 33333, 200000])
def test_wenet_rows_are_the_scripts(wenet, length):
    samples = synthetic_voice(length / 16000 + 0.1)[:length]
    rows = wenet.features(samples)
    assert rows.shape[1:] == (16, 512)
    assert -(-length // 800) <= len(rows) <= -(-length // 800) + 1
    assert_equal_rows(rows, wenet_rows(wenet.path, samples))


@pytest.mark.assets
def test_wenet_rows_of_a_real_voice(wenet, assets):
    samples = read_voice(assets, "jfk_16k")
    rows = wenet.features(samples)
    assert len(rows) == 221  # 11 s
    assert_equal_rows(rows, wenet_rows(wenet.path, samples))


def test_a_row_hears_what_lies_round_its_frame(wenet):
    """A click at 2.0 s moves the rows of about a third of a second on both sides, and no other."""
    samples = synthetic_voice(4.0)
    clicked = samples.copy()
    clicked[32000] = 0.9
    moved = np.flatnonzero((wenet.features(samples) != wenet.features(clicked)).any(axis=(1, 2)))
    assert (moved == np.arange(moved[0], moved[-1] + 1)).all()
    assert 12 <= len(moved) <= 15
    assert abs((moved[0] + moved[-1]) / 2 - 40) <= 1


def test_wenet_needs_some_speech(wenet):
    with pytest.raises(InputError, match="must hold samples for wenet"):
        wenet.features(np.zeros(0, np.float32))


def test_other_models_than_wenet(tmp_path):
    for path in (
        tiny_encoder(tmp_path / "e.onnx"),
        tiny_hubert(tmp_path / "h.onnx"),
        tiny_wenet(tmp_path / "w.onnx", steps=43),
        tiny_wenet(tmp_path / "o.onnx", width=256),
    ):
        with pytest.raises(ModelError, match="not wenet's encoder: needs the inputs") as caught:
            WenetEncoder(path)
        assert "\n" not in str(caught.value)
