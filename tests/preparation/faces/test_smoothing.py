"""How smooth rects are, and that they do not lag: on made-up clips and on real ones."""

import numpy as np
import pytest

from lipsync_fast.errors import InputError
from lipsync_fast.preparation.faces.smoothing import (
    follow_line,
    local_line,
    rects_of_corners,
    reference_corners,
    runs,
    smooth_corners,
    steady_corners,
)
from lipsync_fast.preparation.faces.tracking import box_corners, choose_face, mesh_corners

FPS = 25


def test_runs():
    corners = np.array([[0, 0, 10, 10]] * 9, float)
    corners[[0, 4, 5]] = np.nan
    corners[7:] += 40
    assert runs(corners) == [slice(1, 4), slice(6, 9)]
    assert runs(corners, cuts=True) == [slice(1, 4), slice(6, 7), slice(7, 9)]
    assert runs(corners[:1]) == []


def test_rects_reach_over_the_border_and_are_empty_without_a_face():
    corners = np.array(
        [[-5, 3, 20, 30.9], [np.nan] * 4, [90, 70, 130, 99], [101, 0, 120, 30], [9, 9, 9.5, 20]]
    )
    rects = rects_of_corners(corners, 100, 80)
    assert rects.dtype == np.int32
    assert rects.tolist() == [[-5, 3, 25, 27], [0] * 4, [0] * 4, [0] * 4, [0] * 4]
    just = np.array([[-10, 5, 20, 35], [-11, 5, 19, 35], [70, 60, 100, 90.9], [70, 61, 100, 91]])
    rects = rects_of_corners(just, 100, 80)
    assert rects.tolist() == [[-10, 5, 30, 30], [0] * 4, [70, 60, 30, 30], [0] * 4]


def test_a_script_that_clips_boxes_does_not_blow_up_what_is_left():
    x = np.arange(0, 160, 8.0)
    corners = np.stack([x - 80, np.full(20, 10.0), x, np.full(20, 90.0)], axis=1)
    for smooth, least in (("reference", 0), ("none", -27), ("steady", -27)):
        rects = smooth_corners(corners, smooth, rule="box", fps=FPS, width=160, height=100)
        seen = rects[:, 2] > 0
        np.testing.assert_array_equal(seen, x >= 56)  # two thirds of 80 px are 53
        assert rects[seen, 0].min() >= least
        assert (rects[seen, 2] >= 53).all()
        if smooth != "reference":
            assert (rects[seen, 2:] == 80).all()


# ---- smoothing -------------------------------------------------------------------------------


def noisy_clip(count=200, noise=2.0):
    """A face that nods and comes nearer: true and noisy corners, NaN nowhere."""
    rng = np.random.default_rng(3)
    time = np.arange(count) / FPS
    centre = np.stack([500 + 60 * np.sin(2.5 * time), 700 + 25 * np.sin(4 * time)], axis=1)
    half = (100 + 2 * time)[:, None]
    true = np.concatenate([centre - half, centre + half], axis=1)
    shift, grow = rng.normal(0, noise, (count, 2)), rng.normal(0, noise, (count, 1))
    return true, true + np.concatenate([shift - grow, shift + grow], axis=1)


def centre_of(corners):
    return (corners[:, :2] + corners[:, 2:]) / 2


def jitter(series):
    """Mean length of the second difference: motion leaves little of it, jitter all."""
    return np.linalg.norm(np.diff(series, 2, axis=0), axis=1).mean()


def lag(before, after):
    """Frames by which `after` is late, where the velocities correlate best."""
    first, second = np.gradient(before, axis=0), np.gradient(after, axis=0)
    shifts = range(-5, 6)

    def match(shift):
        a = first[max(0, -shift) : len(first) - max(0, shift)]
        b = second[max(0, shift) : len(second) + min(0, shift)]
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    return max(shifts, key=match)


def test_steady_is_nearer_to_the_truth_and_not_late():
    true, noisy = noisy_clip()
    steady = steady_corners(noisy, FPS)
    assert jitter(centre_of(steady)) < jitter(centre_of(noisy)) / 4
    assert jitter(steady[:, 2:] - steady[:, :2]) < jitter(noisy[:, 2:] - noisy[:, :2]) / 10
    assert lag(centre_of(true), centre_of(steady)) == 0
    error = np.abs(centre_of(steady) - centre_of(true))
    assert error.mean() < 0.8 * np.abs(centre_of(noisy) - centre_of(true)).mean()
    assert (steady == np.round(steady)).all()
    np.testing.assert_array_equal(*np.split(steady[:, 2:] - steady[:, :2], 2, axis=1))


def test_steady_is_the_same_backwards():
    _, noisy = noisy_clip()
    forwards, backwards = steady_corners(noisy, FPS), steady_corners(noisy[::-1], FPS)[::-1]
    # the whole sizes are held from the left, nothing else has a direction
    np.testing.assert_array_equal(centre_of(forwards), centre_of(backwards))
    assert np.abs(forwards - backwards).max() <= 1


def test_steady_keeps_a_line_to_its_ends():
    time = np.arange(50.0)[:, None]
    line = np.concatenate([time * 3, time * 2, time * 3 + 100, time * 2 + 100], axis=1)
    np.testing.assert_array_equal(steady_corners(line, FPS), line)


def test_steady_bridges_neither_gaps_nor_cuts():
    corners = np.tile([100.0, 100, 200, 200], (40, 1))
    corners[10:14] = np.nan
    corners[14:] += 60
    corners[25:] += 500
    np.testing.assert_array_equal(steady_corners(corners, FPS), corners)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_steady_on_short_clips(count):
    corners = np.tile([10.2, 20.4, 50.2, 60.4], (count, 1))
    np.testing.assert_array_equal(
        steady_corners(corners, FPS), np.tile([10, 20, 50, 60], (count, 1))
    )


def hard_track(kind, fps, side=200):
    """A head that moves as hard as a film allows: true corners, (4 fps, 4)."""
    time = np.arange(4 * fps) / fps
    run = np.clip(time - 1, 0, 1)  # it rests a second, moves, rests
    x, size = np.full(len(time), 960.0), np.full(len(time), float(side))
    if kind == "cross":
        x = 1920 * run
    elif kind == "eased":
        x = 1920 * (3 * run**2 - 2 * run**3)
    elif kind == "to and fro":
        x = 480 + 1920 * np.abs(time % 1 - 0.5)
    elif kind == "accelerated":
        x = 400 * np.clip(time - 1, 0, 2) ** 2
    elif kind == "stops":
        x = np.cumsum(np.where((2 * time).astype(int) % 2, 0, 900)) / fps
    elif kind == "zoom":
        size = side * (1 + run)
    else:
        size = np.where(time < 2, side, 1.4 * side)
    middle = np.stack([x, np.full(len(x), 500.0)], axis=1)
    return np.concatenate([middle - size[:, None] / 2, middle + size[:, None] / 2], axis=1)


@pytest.mark.parametrize("fps", [25, 60])
@pytest.mark.parametrize(
    "kind", ["cross", "eased", "to and fro", "accelerated", "stops", "zoom", "jump nearer"]
)
def test_steady_stays_on_a_head_that_moves_hard(kind, fps):
    true = hard_track(kind, fps)
    noise = np.random.default_rng(5).normal(0, 2, (8, *true.shape))
    off = np.concatenate([np.abs(steady_corners(true + n, fps) - true).max(axis=1) for n in noise])
    side = np.tile(true[:, 2] - true[:, 0], len(noise))
    assert np.percentile(off / side, 99) <= 0.04


def test_a_calm_face_takes_the_widest_weights():
    time = np.arange(200)[:, None] / FPS
    noise = np.random.default_rng(7).normal(0, 1.4, (200, 2))
    still = 500 + 3 * np.sin(2 * time) + noise
    wide = local_line(still, 2.0)
    got = follow_line(still, 2.0, np.full(200, 0.012 * 200))
    assert jitter(got) < 1.1 * jitter(wide)


def wav2lip_twin(boxes, window=5):
    """Smoothing of integer boxes in place, as the script does it."""
    boxes = boxes.astype(np.int64)
    for i in range(len(boxes)):
        part = boxes[len(boxes) - window :] if i + window > len(boxes) else boxes[i : i + window]
        boxes[i] = np.mean(part, axis=0)
    return boxes


def test_reference_of_boxes():
    _, noisy = noisy_clip(40, noise=9)
    noisy[:, 3] += 1000
    expected = wav2lip_twin(np.clip(noisy, 0, [1080, 1920, 1080, 1920]))
    got = reference_corners(noisy, "box", 1080, 1920)
    np.testing.assert_array_equal(got, expected)
    assert not np.array_equal(got, np.trunc(noisy))


def test_reference_of_boxes_stops_at_gaps():
    _, noisy = noisy_clip(30, noise=9)
    noisy[12:15] = np.nan
    got = reference_corners(noisy, "box", 1080, 1920)
    np.testing.assert_array_equal(got[:12], wav2lip_twin(noisy[:12]))
    np.testing.assert_array_equal(got[15:], wav2lip_twin(noisy[15:]))
    assert np.isnan(got[12:15]).all()


@pytest.mark.parametrize("smooth", ["reference", "none"])
def test_squares_are_cut_from_whole_points(smooth):
    corners = np.array([[10.9, 20.2, 30.1, 39.4]])
    rects = smooth_corners(corners, smooth, rule="square", fps=25, width=99, height=99)
    assert rects.tolist() == [[10, 20, 20, 20]]


def test_unsmoothed():
    corners = np.array([[10.9, 20.2, 30.1, 39.4], [np.nan] * 4])
    rects = smooth_corners(corners, "none", rule="box", fps=25, width=99, height=99)
    assert rects.tolist() == [[10, 20, 20, 19], [0, 0, 0, 0]]
    with pytest.raises(InputError, match="steady, reference, none, got 'much'"):
        smooth_corners(corners, "much", rule="box", fps=25, width=99, height=99)


# ---- real clips ------------------------------------------------------------------------------


class Found:
    """Faces of a clip: chosen detections and meshes, NaN where there is none."""

    def __init__(self, assets, name, detector, landmarks, every=1):
        av = pytest.importorskip("av")
        detections, meshes, last = [], [], None
        with av.open(str(assets / "video" / name)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i % every:
                    continue
                picture = frame.to_ndarray(format="bgr24")
                found = detector.detect(picture, threshold=0.3)
                detections.append(found)
                last = landmarks.locate(picture, found[0], last) if len(found) else None
                meshes.append(np.full((478, 3), np.nan) if last is None else last)
        self.height, self.width = picture.shape[:2]
        self.chosen = choose_face(detections)
        self.boxes = np.array(
            [
                d[k, :4] if k >= 0 else [np.nan] * 4
                for d, k in zip(detections, self.chosen, strict=True)
            ]
        )
        self.meshes = np.stack(meshes)
        self.meshes[self.chosen < 0] = np.nan

    def corners(self, rule):
        if rule == "box":
            return box_corners(self.boxes)
        return np.array([mesh_corners(mesh) for mesh in self.meshes])

    def rects(self, rule, smooth):
        return smooth_corners(
            self.corners(rule), smooth, rule=rule, fps=FPS, width=self.width, height=self.height
        )


@pytest.fixture(scope="module")
def woman(assets, detector, landmarks):
    return Found(assets, "woman_1080x1920_25fps.mp4", detector, landmarks)


@pytest.mark.assets
def test_woman_has_one_face_throughout(woman):
    assert woman.chosen.tolist() == [0] * 250
    low, high = woman.meshes[:, :, :2].min(axis=1), woman.meshes[:, :, :2].max(axis=1)
    away = woman.boxes[:, :2] + woman.boxes[:, 2:] / 2 - (low + high) / 2
    assert (np.hypot(*away.T) / (high - low)[:, 0]).max() < 0.15


@pytest.mark.assets
@pytest.mark.parametrize("rule", ["box", "square"])
@pytest.mark.parametrize("smooth", ["steady", "reference", "none"])
def test_lips_lie_in_every_rect(woman, rule, smooth):
    rects = woman.rects(rule, smooth)
    lips = woman.meshes[:, [13, 14, 61, 291], :2]
    assert (rects[:, 2:] > 100).all()
    assert (lips >= rects[:, None, :2]).all()
    assert (lips < rects[:, None, :2] + rects[:, None, 2:]).all()


@pytest.mark.assets
@pytest.mark.parametrize("rule", ["box", "square"])
def test_steady_halves_the_jitter_without_lag(woman, rule):
    none, steady = (woman.rects(rule, smooth) for smooth in ("none", "steady"))
    before, after = (rects[:, :2] + rects[:, 2:] / 2 for rects in (none, steady))
    assert jitter(after) < jitter(before) / 2
    assert jitter(steady[:, 2:]) < jitter(none[:, 2:]) / 2
    assert jitter(after) < 0.98, "of boxes and squares alike"
    assert abs(lag(before, after)) <= 1
    assert np.hypot(*(after - before).T).max() < 0.05 * steady[:, 2].max()


@pytest.mark.assets
@pytest.mark.parametrize("smooth", ["steady", "reference", "none"])
def test_face_then_none(face_then_none, smooth):
    for rule in ("box", "square"):
        rects = face_then_none.rects(rule, smooth)
        assert (rects[:36, 2:] > 200).all()
        assert (rects[36:] == 0).all()


@pytest.fixture(scope="module")
def face_then_none(assets, detector, landmarks):
    """Every second frame; the last with a face is the 72nd of the clip."""
    return Found(assets, "face_then_none_vfr.mov", detector, landmarks, every=2)
