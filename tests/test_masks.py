"""Edge masks against OpenCV and the rule in words."""

import numpy as np
import pytest

from lipsync_fast.masks import edge_mask, rect_masks
from lipsync_fast.presets import get_preset


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


def test_no_edge_no_mask():
    assert edge_mask(None, 10, 10) is None


def test_equal_sizes_share_a_mask():
    rects = np.array([[0, 0, 30, 20], [5, 5, 30, 20], [0, 0, 0, 0], [0, 0, 20, 30]], np.int32)
    masks = rect_masks(get_preset("wav2lip384"), rects)
    assert masks[0] is masks[1]
    assert masks[2] is None
    assert masks[3].shape == (30, 20)
    assert rect_masks(get_preset("wav2lip96"), rects) == [None] * 4
