"""Edge masks against OpenCV and the rule in words."""

from dataclasses import replace

import numpy as np
import pytest

from lipsync_fast.errors import InputError
from lipsync_fast.presets import PRESETS, get_preset
from lipsync_fast.templates.masks import edge_mask, rect_masks


@pytest.mark.parametrize("size", [(419, 289), (182, 185), (25, 60), (21, 21), (7, 5), (1, 1)])
def test_frame_is_opencvs_gaussian_of_a_frame(size):
    cv2 = pytest.importorskip("cv2")
    w, h = size
    background = np.ones((h, w))
    background[10 : max(h - 10, 10), 10 : max(w - 10, 10)] = 0
    blurred = cv2.GaussianBlur(background, (21, 21), 15)
    mask = edge_mask("frame", w, h)
    assert mask.shape == (h, w)
    assert np.abs(mask / 255 - (1 - blurred)).max() <= 0.5001 / 255


def test_frame_has_the_weights_of_the_contract():
    mask = edge_mask("frame", 419, 289)
    assert 1 - mask[144, 0] / 255 == pytest.approx(0.914, abs=0.005)
    assert (mask[20:-20, 20:-20] == 255).all()


@pytest.mark.parametrize("size", [(182, 185), (30, 45), (1, 9)])
def test_ramp_is_the_distance_to_the_border(size):
    w, h = size
    mask = edge_mask("ramp", w, h)
    for y in range(h):
        for x in range(w):
            distance = min(x, y, w - 1 - x, h - 1 - y)
            assert mask[y, x] == round(min(distance / 20, 1) * 255)


def outline(width, height, radius, steps=4000):
    """Points along the border of a rectangle with round corners: (steps, 2)."""
    t = 2 * np.pi * (np.arange(steps) + 0.5) / steps
    circle = np.stack([np.cos(t), np.sin(t)], axis=1) * radius
    centre = np.array([width - 1, height - 1]) / 2
    corners = centre + np.sign(circle) * (centre - radius) + circle
    sides = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if np.abs(b - a).max() > 1:  # a straight side between two arcs
            sides.append(a + np.linspace(0, 1, steps)[:, None] * (b - a))
    return np.concatenate([corners, *sides])


@pytest.mark.parametrize(("size", "part"), [((91, 70), 0.12), ((60, 44), 0.3), ((50, 50), 0.5)])
def test_rounded_is_the_distance_to_round_corners(size, part):
    w, h = size
    fade = part * min(w, h)
    radius = min(2 * fade, (min(w, h) - 1) / 2)
    border = outline(w, h, radius)
    mask = edge_mask("rounded", w, h, part)
    for y in range(0, h, 3):
        for x in range(0, w, 3):
            beside = np.clip([x, y], radius, [w - 1 - radius, h - 1 - radius])
            s = min(np.hypot(*(border - (x, y)).T).min() / fade, 1)
            if np.hypot(*(beside - (x, y))) > radius:  # the corner's arc cuts it off
                s = 0
            assert abs(mask[y, x] - s * s * (3 - 2 * s) * 255) <= 1, (x, y)


def test_ellipse_is_what_is_drawn_of_it():
    """Where the alpha passes one half: the ellipse that OpenCV fills."""
    cv2 = pytest.importorskip("cv2")
    w, h, part = 301, 201, 0.12
    mask = edge_mask("ellipse", w, h, part)
    inner = 1 - 0.5 * part * h / 100  # s = 1/2 where 1 − ρ is half a fade of the short half axis
    drawn = np.zeros((h, w), np.uint8)
    axes = (round(150 * inner * 16), round(100 * inner * 16))
    cv2.ellipse(drawn, (150 * 16, 100 * 16), axes, 0, 0, 360, 255, -1, cv2.LINE_8, 4)
    apart = (mask > 127) != (drawn > 0)
    assert apart.sum() <= 0.01 * (drawn > 0).sum()
    near = cv2.dilate(drawn, np.ones((5, 5))) != cv2.erode(drawn, np.ones((5, 5)))
    assert near[apart].all()


@pytest.mark.parametrize("edge", ["rounded", "ellipse"])
@pytest.mark.parametrize("size", [(182, 185), (419, 289), (25, 60), (5, 7), (2, 1), (1, 9)])
def test_feathers_rise_from_nothing_to_all(edge, size):
    w, h = size
    mask = edge_mask(edge, w, h).astype(int)
    assert mask.shape == (h, w)
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()
    assert np.array_equal(mask, mask[::-1, ::-1])
    rising = mask[: (h + 1) // 2, : (w + 1) // 2]
    assert (np.diff(rising, axis=0) >= 0).all()
    assert (np.diff(rising, axis=1) >= 0).all()
    if min(size) > 20:
        middle = mask[h // 3 : h - h // 3, w // 3 : w - w // 3]
        assert (middle == 255).all()
        # smooth: no step is steeper than the curve's own slope of 3/2
        steepest = 1.5 * 255 / (0.12 * min(size)) * np.sqrt(2)
        assert max(np.abs(np.diff(mask, axis=k)).max() for k in (0, 1)) <= steepest + 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_feather_is_its_edge_only_when_asked(name):
    preset = get_preset(name)
    rects = np.array([[0, 0, 90, 80], [0, 0, 0, 0]], np.int32)
    assert preset.edge not in ("rounded", "ellipse")
    assert preset.with_feather(None) is preset
    for kind in ("auto", "rounded", "ellipse"):
        shape = preset.feather if kind == "auto" else kind
        mask, none = rect_masks(preset.with_feather(kind), rects)
        assert np.array_equal(mask, edge_mask(shape, 90, 80, preset.feather_width))
        assert none is None
    wider = replace(preset, feather_width=0.3).with_feather("rounded")
    assert np.array_equal(rect_masks(wider, rects)[0], edge_mask("rounded", 90, 80, 0.3))
    with pytest.raises(InputError, match="feather must be auto, rounded or ellipse, got 'soft'"):
        preset.with_feather("soft")


def test_no_edge_no_mask():
    assert edge_mask(None, 10, 10) is None


def test_equal_sizes_share_a_mask():
    rects = np.array([[0, 0, 30, 20], [5, 5, 30, 20], [0, 0, 0, 0], [0, 0, 20, 30]], np.int32)
    masks = rect_masks(get_preset("wav2lip384"), rects)
    assert masks[0] is masks[1]
    assert masks[2] is None
    assert masks[3].shape == (30, 20)
    assert rect_masks(get_preset("wav2lip96"), rects) == [None] * 4
