"""Masks from landmarks: what they show of real faces, their blur, and that they do not jitter."""

import itertools

import numpy as np
import pytest
from tests.support.drift import WOMAN, drifting, insets
from tests.support.person import as_bgr24

from lipsync_fast.compositing import Compositor
from lipsync_fast.preparation.faces.outlines import (
    GROWTH,
    OUTLINE,
    SOFTNESS,
    UPPER,
    outline_mask,
    steady_outlines,
)
from lipsync_fast.templates.masks import edge_mask
from lipsync_fast.templates.template import Template

FPS = 25


def oval(count=120, points=36, seed=0, noise=0.0):
    """A lower face that nods, moves and breathes: (count, points, 2), and its rects."""
    t = np.arange(count)[:, None] / FPS
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    width = 60 + 2 * np.sin(0.4 * np.pi * t)
    middle = np.stack([200 + 8 * np.sin(np.pi * t), 150 + 5 * np.sin(1.2 * np.pi * t)], axis=-1)
    shape = np.stack([width * np.cos(angle), 0.8 * width * np.sin(angle)], axis=-1)
    outlines = middle + shape + np.random.default_rng(seed).normal(0, noise, shape.shape)
    rects = np.round(np.concatenate([middle[:, 0] - 70, np.full((count, 2), 140)], axis=1))
    return outlines, rects.astype(np.int32)


def jitter(outlines):
    """Mean second difference of the middle and of the points about it, in pixels."""
    middle = outlines.mean(axis=1)
    shape = outlines - middle[:, None]
    return np.abs(np.diff(middle, 2, axis=0)).mean(), np.abs(np.diff(shape, 2, axis=0)).mean()


# ---- over time -------------------------------------------------------------------------------


def test_jitter_falls_and_nothing_lags():
    truth, rects = oval()
    shaky, _ = oval(noise=0.8)
    steady = steady_outlines(shaky, rects, FPS)
    (middle, shape), (rough_middle, rough_shape) = jitter(steady), jitter(shaky)
    assert middle < rough_middle / 2
    assert shape < rough_shape / 20
    inner = slice(10, -10)
    path, goal = steady.mean(axis=1)[inner, 0], truth.mean(axis=1)
    apart = [np.abs(path - goal[10 + lag : len(goal) - 10 + lag, 0]).mean() for lag in range(-3, 4)]
    assert int(np.argmin(apart)) - 3 == 0
    assert np.abs(steady - truth).max() < 1.2


def test_even_motion_is_kept_as_it_is():
    outlines, rects = oval(40)
    outlines = outlines[:1] + np.array([1.5, -0.5]) * np.arange(40)[:, None, None]
    np.testing.assert_allclose(steady_outlines(outlines, rects, FPS), outlines, atol=1e-6)


def test_hard_motion_and_zooms_are_followed():
    (outline,), (rect,) = oval(1)
    time = np.arange(4 * FPS) / FPS
    x, scale = 1920 * np.clip(time - 1, 0, 1), 1 + np.clip(time - 2, 0, 1)
    shift = np.stack([x, np.zeros(len(x))], axis=1)
    middle = outline.mean(axis=0)
    truth = (outline - middle) * scale[:, None, None] + middle + shift[:, None]
    sides = np.round(rect[2] * scale).astype(np.int32)
    corners = np.round(middle + shift - sides[:, None] / 2).astype(np.int32)
    rects = np.concatenate([corners, sides[:, None], sides[:, None]], axis=1)
    off = np.abs(steady_outlines(truth, rects, FPS) - truth).max(axis=(1, 2))
    assert np.percentile(off / sides, 99) <= 0.04


def test_gaps_are_bridged_and_frames_without_a_rect_stay_empty():
    truth, rects = oval()
    holes = truth.copy()
    holes[:3] = holes[50:56] = holes[-4:] = np.nan
    rects[80:90] = 0
    steady = steady_outlines(holes, rects, FPS)
    empty = np.zeros(len(rects), bool)
    empty[80:90] = True
    assert np.array_equal(np.isnan(steady).any(axis=(1, 2)), empty)
    assert np.abs(steady - truth)[~empty].max() < 3


def test_a_cut_is_not_blurred():
    left, rects = oval(60)
    right, others = oval(60)
    right, others = right + np.array([300, 0]), others + np.array([300, 0, 0, 0], np.int32)
    both = steady_outlines(np.concatenate([left, right]), np.concatenate([rects, others]), FPS)
    np.testing.assert_array_equal(both[:60], steady_outlines(left, rects, FPS))
    np.testing.assert_allclose(both[60:], steady_outlines(right, others, FPS), atol=1e-9)


# ---- one mask ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rect", [(130, 80, 140, 140), (160, 120, 61, 90), (0, 0, 420, 300)])
def test_a_mask_is_opencvs_blur_of_a_polygon(rect):
    cv2 = pytest.importorskip("cv2")
    (outline,), _ = oval(1)
    mask = outline_mask(outline, rect)
    x, y, w, h = rect
    assert mask.shape == (h, w)
    assert mask.dtype == np.uint8
    top = outline[:UPPER].mean(axis=0)
    grown = (outline - top) * GROWTH + top
    # Centres of OpenCV's pixels are whole; here the edges are.
    fine = np.zeros((300 * 8, 420 * 8), np.uint8)
    cv2.fillPoly(fine, [np.round((grown * 8 - 0.5) * 16).astype(np.int32)], 255, shift=4)
    whole = cv2.resize(fine, (420, 300), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(whole, (0, 0), SOFTNESS * np.ptp(outline[:, 0]))
    # Pillow's Gaussian is three boxes.
    assert np.abs(mask - soft[y : y + h, x : x + w]).max() <= 0.035 * 255


def test_a_small_shift_moves_a_mask_by_little():
    (outline,), (rect,) = oval(1)
    rect = tuple(int(v) for v in rect)
    masks = [outline_mask(outline + np.array([k / 8, 0]), rect).astype(int) for k in range(9)]
    steps = [np.abs(b - a).max() for a, b in itertools.pairwise(masks)]
    # The steepest slope of the blurred edge is 255 / (σ sqrt(2π)) a pixel.
    assert max(steps) <= 255 / (SOFTNESS * 120 * np.sqrt(2 * np.pi)) / 4 + 2
    assert np.abs(masks[8][:, 1:] - masks[0][:, :-1]).max() <= 2  # a whole pixel: the same mask


# ---- real faces ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def meshes(woman, detector, landmarks):
    return [landmarks.locate(frame, detector.detect(frame)[0]) for frame in woman]


@pytest.mark.assets
def test_the_mouth_shows_and_the_eyes_do_not(meshes):
    for mesh in meshes:
        low, high = mesh[:, :2].min(axis=0).astype(int) - 20, mesh[:, :2].max(axis=0).astype(int)
        rect = (*low, *(high - low + 20))
        mask = outline_mask(mesh[list(OUTLINE), :2], rect)
        columns, rows = (mesh[:, :2] - low).astype(int).T
        at = mask[rows, columns]
        lips = [0, 13, 14, 17, 61, 291, 78, 308, 40, 270, 91, 321]
        assert (at[lips] == 255).all()
        assert (at[[1, 2, 205, 425]] == 255).all()  # tip of the nose, cheeks
        assert at[152] > 0.85 * 255  # chin
        assert (at[[468, 473, 33, 263, 10, 9]] < 3).all()  # pupils, outer eye corners, forehead


@pytest.mark.assets
@pytest.mark.parametrize("format", ["bgr24", "i420", "jpeg"])
def test_a_drifting_net_leaves_no_seam(woman, meshes, format):
    """What lies outside the mask is the background to the bit; what lies inside has no border."""
    masks = [
        np.minimum(outline_mask(mesh[list(OUTLINE), :2], rect), edge_mask("rounded", *rect[2:]))
        for mesh, rect in zip(meshes, WOMAN, strict=True)
    ]
    template = Template.from_arrays(woman, WOMAN, preset="synctalk328", masks=masks)
    with Compositor(template, colour_match=True) as compositor:
        shown = compositor.composite(drifting(template), range(3), format=format)
        plain = compositor.composite(drifting(template), range(3), format=format, alphas=[0] * 3)
        errors = []
        for i, rect in enumerate(WOMAN):
            got, want = as_bgr24(shown[i], template), as_bgr24(plain[i], template)
            errors.append((insets(got, rect), insets(want, rect)))
            x, y, w, h = rect
            changed = (got != want).any(axis=2)
            assert changed[y : y + h, x : x + w].any()
            if format == "bgr24":
                assert not changed[y : y + h, x : x + w][masks[i] == 0].any()
                changed[y : y + h, x : x + w] = False
                assert not changed.any()
        shown_errors, plain_errors = np.mean(errors, axis=0)
        assert shown_errors[0] <= 1.15
        assert (shown_errors / plain_errors).max() <= 1.15
