"""The driver on the real, trained model: the lips open with the voice and close in its pauses."""

import numpy as np
import pytest
from tests.support.mouths import best_correlation, levels, paused_frames
from tests.support.voices import read_voice

from lipsync_fast.audio import feature_windows
from lipsync_fast.audio.lite_avatar import LiteAvatarDriver
from lipsync_fast.audio.silence import SilenceFades
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.templates.template import Template

RECT = (slice(355, 355 + 289), slice(278, 278 + 419))
FACE = (slice(80, 680), slice(185, 785))
STEP, SECONDS = 3, 6


@pytest.fixture(scope="module")
def sessions(assets):
    """Generator and face mesh on one thread each."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return [
        runtime.InferenceSession(
            str(assets / "models" / name), options, providers=["CPUExecutionProvider"]
        )
        for name in ("liteavatar384.onnx", "face_landmarks_478.onnx")
    ]


@pytest.fixture(scope="module")
def film(assets):
    """Filmed frames, one after the other, bgr24."""
    cv2 = pytest.importorskip("cv2")
    reader = cv2.VideoCapture(str(assets / "video" / "liteavatar_890x1920_30fps.mp4"))
    return [reader.read()[1] for _ in range(40)]


@pytest.fixture(scope="module")
def pictures(film):
    """Some filmed frames, bgr24."""
    return film[::10]


def render(cv2, generator, picture, params):
    """The picture with the mouth of these parameters, by the contract of liteavatar384."""
    crop = cv2.resize(picture[RECT], (384, 384), interpolation=cv2.INTER_LINEAR)
    planes = crop[..., ::-1].transpose(2, 0, 1)[None] / np.float32(127.5) - 1
    (made,) = generator.run(None, {"image": planes, "params": params[None]})
    made = (np.clip(made[0] / 2 + 0.5, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)[..., ::-1]
    frame = picture.copy()
    frame[RECT] = cv2.resize(made, (419, 289), interpolation=cv2.INTER_LINEAR)
    return frame


def lip_gap(cv2, mesh, frame):
    """Gap of the inner lips over the distance of the outer eye corners."""
    face = cv2.resize(frame[FACE], (256, 256), interpolation=cv2.INTER_AREA)
    planes = face[None, ..., ::-1] / np.float32(255)
    answers = mesh.run(None, {mesh.get_inputs()[0].name: planes})
    points = next(a for a in answers if a.size == 478 * 3).reshape(478, 3)[:, :2]
    return np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[33] - points[263])


def test_lips_follow_the_voice(assets, sessions, pictures):
    cv2 = pytest.importorskip("cv2")
    generator, mesh = sessions
    samples = read_voice(assets, "jfk_16k")[: SECONDS * 16000]
    params = feature_windows(samples, "params", 30, driver=LiteAvatarDriver(30))
    shown = range(0, len(params), STEP)
    gaps = np.array(
        [
            lip_gap(cv2, mesh, render(cv2, generator, pictures[k % len(pictures)], params[frame]))
            for k, frame in enumerate(shown)
        ]
    )
    level = levels(samples, len(params))
    assert best_correlation(level[::STEP], gaps, reach=0) > 0.7
    paused = [k for k, frame in enumerate(shown) if frame in paused_frames(level)]
    assert len(paused) > 5
    assert gaps[paused].max() < 0.02
    assert gaps.max() > 0.08


def test_silence_is_the_film_and_nothing_jumps_where_speech_begins_or_ends(assets, sessions, film):
    """The pipeline with its defaults, through a pause of 1.1 s and both ends of a speech."""
    cv2 = pytest.importorskip("cv2")
    mesh = sessions[1]
    samples = read_voice(assets, "jfk_16k")[int(1.2 * 16000) : int(3.9 * 16000)]
    person = Template.from_arrays(
        film, (278, 355, 419, 289), preset="liteavatar384", fps=30, loop="pingpong"
    )
    with Pipeline.open(person, assets / "models" / "liteavatar384.onnx", threads=1) as pipeline:
        frames = [frame.array.copy() for frame in pipeline.frames(samples)]
        ran = pipeline.stats().stages["net"].frames
    listener = SilenceFades(30, ahead=7, attack=2)
    alphas = np.concatenate([listener.push(samples), listener.flush(len(frames))])
    silent = np.flatnonzero(alphas == 0)
    assert len(silent) > 10
    assert ran == len(frames) - len(silent)
    for i in silent:
        assert np.array_equal(frames[i], film[person.indices(i, 1)[0]])
    paused = paused_frames(levels(samples, len(frames)))
    assert len(paused) > 15
    assert max(lip_gap(cv2, mesh, frames[i]) for i in paused[::2]) < 0.02
    # Before and after the speech, the film is shown.
    shown = [film[1], *frames, film[person.indices(len(frames), 1)[0]]]
    mouths = np.stack([frame[RECT] for frame in shown]).astype(np.int16)
    jumps = np.abs(np.diff(mouths, axis=0)).mean(axis=(1, 2, 3))
    faded = np.concatenate([[0], alphas, [0]])
    speaking = jumps[(faded[1:] == 255) & (faded[:-1] == 255)]
    edges = np.flatnonzero(np.diff(faded > 0))
    assert len(edges) == 4
    near = np.concatenate([jumps[max(edge - 5, 0) : edge + 6] for edge in edges])
    assert near.max() <= 3 * np.median(speaking)
