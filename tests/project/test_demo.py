"""The drawn person, its models and its sound: contract, looks in numbers, reproducibility."""

import itertools

import numpy as np
import pytest
from PIL import Image

from lipsync_fast import demo
from lipsync_fast.demo import build_nets
from lipsync_fast.presets import get_preset

PRESET = get_preset(demo.PRESET)
STATES = [(0.1, 0.0), (0.4, 1.0), (0.4, -1.0), (0.7, 0.0), (1.0, 1.0), (1.0, -1.0)]


# ---- the person --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames():
    """Some frames of the loop, by index: at rest, mid-motion, in a blink, at the end."""
    wanted = {0, 1, 23, 60, demo.COUNT - 1}
    return {i: frame for i, frame in enumerate(demo.draw_frames()) if i in wanted}


def test_frames_are_full_hd_and_the_same_in_every_run(frames):
    for frame in frames.values():
        assert frame.shape == (demo.HEIGHT, demo.WIDTH, 3) == (1080, 1920, 3)
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
    np.testing.assert_array_equal(next(demo.draw_frames()), frames[0])


def test_frames_do_not_share_memory():
    first, second = itertools.islice(demo.draw_frames(4), 2)
    assert not np.shares_memory(first, second)


def test_the_skin_is_bgr(frames):
    x, y, w, h = demo.mouth_rects()[0]
    blue, green, red = frames[0][y + h // 3, x + w // 4]
    assert red > green > blue > 100


def test_rects_follow_the_head_smoothly():
    rects = demo.mouth_rects()
    assert rects.shape == (demo.COUNT, 4)
    assert rects.dtype == np.int32
    assert (rects[:, 2] == rects[:, 3]).all()
    assert ((rects[:, 2] >= 190) & (rects[:, 2] <= 260)).all()
    assert (rects[:, :2] >= 0).all()
    assert (rects[:, :2] + rects[:, 2:] <= (demo.WIDTH, demo.HEIGHT)).all()
    steps = np.abs(np.diff(rects[:, :2], axis=0))
    assert steps.max() <= 2, "the head drifts, it does not jump"
    assert np.ptp(rects[:, 0]) >= 10, "but it does move"
    assert steps[[0, -1]].max() == 0, "it rests where a pingpong turns round"


def test_the_mouth_stays_where_the_rect_says(frames):
    """Rects do not turn with the head, so lips may move a little inside: the generator looks."""
    places = []
    for i, frame in frames.items():
        x, y, w, h = demo.mouth_rects()[i]
        rows, columns = np.nonzero(redness(frame[y : y + h, x : x + w]) > 0)
        places.append((columns.mean(), rows.mean()))
    assert np.ptp(places, axis=0).max() < 4.0


def test_the_eyes_blink(frames):
    """The iris is the only green in the face."""
    x, y, w, _ = demo.mouth_rects()[23]
    eyes = np.s_[y - 70 : y - 10, x + 20 : x + w - 20]
    green = {i: frame[eyes].astype(np.int16) @ (0, 1, -1) for i, frame in frames.items()}
    assert (green[1] > 10).sum() > 200
    assert (green[23] > 10).sum() == 0


# ---- the sound ---------------------------------------------------------------------------


def test_speech_is_eight_seconds_or_so_with_pauses():
    samples = demo.speech()
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert 7 <= len(samples) / demo.SAMPLE_RATE <= 10
    assert 0.3 < np.abs(samples).max() <= 0.5
    np.testing.assert_array_equal(samples, demo.speech())
    silent = np.convolve(np.abs(samples) < 1e-4, np.ones(3200, np.int64), "valid") == 3200
    starts = np.flatnonzero(np.diff(silent.astype(int)) == 1)
    assert len(starts) >= 3, "at least three pauses of 0.2 s after the beginning"


# ---- the models --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runtime():
    return pytest.importorskip("onnxruntime")


def load(runtime, path):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def generator(runtime):
    net = load(runtime, demo.GENERATOR)
    return lambda visual, audio: net.run(None, {"input": visual, "audio": audio})[0]


@pytest.fixture(scope="module")
def encoder(runtime):
    net = load(runtime, demo.AUDIO_ENCODER)
    return lambda mel: net.run(None, {"mel_spectrogram": mel})[0]


def crop_of(frame, rect, shift=(0, 0)):
    """The 328 crop of a rect, moved by `shift` pixels of the crop."""
    x, y, w, h = (float(v) for v in rect)
    dx, dy = shift[0] * w / PRESET.crop, shift[1] * h / PRESET.crop
    box = (x + dx, y + dy, x + w + dx, y + h + dy)
    size = (PRESET.crop, PRESET.crop)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC, box))


def visual_of(crop):
    """The (1, 6, 320, 320) input made from a crop, and its view in uint8."""
    view = crop[4:324, 4:324]
    planes = np.empty((1, 6, PRESET.view, PRESET.view), np.float32)
    planes[0, :3] = planes[0, 3:] = view.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    x0, y0, x1, y1 = PRESET.black
    planes[0, 3:, y0:y1, x0:x1] = 0
    return planes, view


def audio_of(opening, spread):
    rows = np.zeros((1, 16, 512), np.float32)
    rows[:, :, :2] = opening, spread
    return rows.reshape(1, *PRESET.audio_shape)


def picture_of(output):
    """Convert an output like the reference's script: truncate to uint8."""
    return (output.transpose(1, 2, 0) * 255).astype(np.uint8)


def redness(picture):
    """Return how much redder than skin pixels are: the generator's measure of lips."""
    return np.maximum(picture[..., 2].astype(np.int16) - picture[..., 1] - 74, 0)


def lips_height(picture):
    """Rows from the upper edge of the upper lip to the lower edge of the lower one."""
    middle = (redness(picture[60:230, 150:170]) > 0).sum(axis=1) > 10
    rows = np.flatnonzero(middle)
    return rows[-1] - rows[0] + 1


@pytest.fixture(scope="module")
def visuals(frames):
    rects = demo.mouth_rects()
    return {i: visual_of(crop_of(frame, rects[i])) for i, frame in frames.items()}


def test_nets_have_the_contracts_names_and_shapes(runtime):
    net = load(runtime, demo.GENERATOR)
    shapes = {v.name: v.shape[1:] for v in (*net.get_inputs(), *net.get_outputs())}
    assert shapes == {
        PRESET.image_input: list(PRESET.visual_shape),
        PRESET.audio_input: list(PRESET.audio_shape),
        "output": [3, PRESET.view, PRESET.view],
    }
    net = load(runtime, demo.AUDIO_ENCODER)
    shapes = {v.name: v.shape[1:] for v in (*net.get_inputs(), *net.get_outputs())}
    assert shapes == {"mel_spectrogram": [1, 80, 16], "audio_features": [512]}


def test_a_batch_equals_its_parts(generator, encoder, visuals):
    pictures = np.concatenate([visual for visual, _ in visuals.values()])[:3]
    audio = np.concatenate([audio_of(*state) for state in STATES])[:3]
    whole = generator(pictures, audio)
    for i in range(3):
        part = generator(pictures[i : i + 1], audio[i : i + 1])[0]
        np.testing.assert_allclose(whole[i], part, atol=1e-5)
    mel = np.random.default_rng(1).uniform(-4, 2, (3, 1, 80, 16)).astype(np.float32)
    parts = np.concatenate([encoder(mel[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(encoder(mel), parts, atol=1e-6)


def test_in_silence_the_picture_stays_as_it_is(generator, visuals):
    for visual, view in visuals.values():
        np.testing.assert_array_equal(picture_of(generator(visual, audio_of(0, 0))[0]), view)


@pytest.mark.parametrize("state", STATES)
def test_no_seam(generator, visuals, state):
    """Outside the box that moves nothing changes, and inside it changes begin softly."""
    x0, y0, x1, y1 = build_nets.MOVED
    for visual, view in visuals.values():
        output = generator(visual, audio_of(*state))[0]
        assert output.min() >= 0
        assert output.max() <= 1
        change = np.abs(picture_of(output).astype(np.int16) - view)
        assert change[y0:y1, x0:x1].max() > 40, "the mouth did not open"
        change[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = 0
        assert change.max() <= 2


def test_the_mouth_opens_with_the_features(generator, visuals):
    for visual, _ in visuals.values():
        heights = [
            lips_height(picture_of(generator(visual, audio_of(opening, 0))[0]))
            for opening in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
        ]
        assert (np.diff(heights) >= 4).all(), heights
        assert heights[-1] >= 1.6 * heights[0]


def lips_width(picture):
    columns = np.flatnonzero((redness(picture[60:230]) > 0).any(axis=0))
    return columns[-1] - columns[0] + 1


def test_the_lips_spread_and_round(generator, visuals):
    visual, _ = visuals[0]
    rounded, level, spread = (
        lips_width(picture_of(generator(visual, audio_of(0.4, s))[0])) for s in (-1, 0, 1)
    )
    assert rounded + 6 <= level <= spread - 6


@pytest.mark.parametrize("shift", [(3, 2), (-3, -3), (0, 3)])
def test_the_mouth_is_painted_where_the_lips_are(generator, frames, visuals, shift):
    """A picture that lies elsewhere in the view gets the same mouth, elsewhere."""
    state = audio_of(0.6, 0.0)
    straight = picture_of(generator(visuals[0][0], state)[0])
    moved, _ = visual_of(crop_of(frames[0], demo.mouth_rects()[0], shift))
    moved = picture_of(generator(moved, state)[0])
    dx, dy = shift
    mouth = np.s_[90 + dy : 190 + dy, 90 + dx : 230 + dx]
    same = np.s_[90:190, 90:230]
    moved_mouth = moved[same].astype(np.int16)
    error = np.abs(moved_mouth - straight[mouth])
    assert error.mean() < 2.0
    assert error.mean() < 0.25 * np.abs(moved_mouth - straight[same]).mean()


def windows_of(level, low=0, high=80):
    mel = np.full((1, 1, 80, 16), -4, np.float32)
    mel[:, :, low:high] = level
    return mel


def test_the_encoder_hears_loudness_and_brightness(encoder):
    np.testing.assert_array_equal(encoder(windows_of(-4.0)), np.zeros((1, 512), np.float32))
    openings = [float(encoder(windows_of(v))[0, 0]) for v in (-2, -1, -0.5, 0, 0.5, 1)]
    assert openings[0] == 0
    assert (np.diff(openings) > 0).all()
    assert openings[-1] == 1
    dark, bright = encoder(windows_of(0.5, 4, 22))[0], encoder(windows_of(0.5, 28, 55))[0]
    assert dark[1] == -1
    assert bright[1] == 1
    hiss = encoder(windows_of(0.5, 54, 80))[0]
    assert 0.1 < hiss[0] < 0.4, "a hiss shows the teeth, it does not open the jaw"
    assert not encoder(windows_of(0.5))[0, 2:].any()


def test_the_generator_listens_to_the_frames_own_moment(generator, visuals):
    visual, view = visuals[0]
    for row in range(16):
        rows = np.zeros((1, 16, 512), np.float32)
        rows[:, row, 0] = 1
        output = picture_of(generator(visual, rows.reshape(1, *PRESET.audio_shape))[0])
        assert (output != view).any() == (row in build_nets.MOMENT)


@pytest.mark.parametrize(
    ("path", "build"),
    [
        (demo.GENERATOR, build_nets.build_generator),
        (demo.AUDIO_ENCODER, build_nets.build_audio_encoder),
    ],
)
def test_the_shipped_nets_are_what_the_script_builds(path, build):
    onnx = pytest.importorskip("onnx")
    assert path.stat().st_size < 40_000
    shipped, built = onnx.load(path), build()
    assert (shipped.ir_version, shipped.opset_import[0].version) == (8, 16)
    to_array = onnx.numpy_helper.to_array
    assert len(shipped.graph.initializer) == len(built.graph.initializer)
    for ours, theirs in zip(shipped.graph.initializer, built.graph.initializer, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_allclose(to_array(ours), to_array(theirs), rtol=1e-6, atol=1e-7)
    for model in (shipped, built):
        del model.graph.initializer[:]
    assert shipped == built


def test_the_script_writes_both_nets(tmp_path, capsys):
    pytest.importorskip("onnx")
    build_nets.main(str(tmp_path))
    assert {p.name for p in tmp_path.iterdir()} == {demo.GENERATOR.name, demo.AUDIO_ENCODER.name}
    assert "nodes" in capsys.readouterr().out
