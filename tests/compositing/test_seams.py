"""The seam error: the steps that it measures, and the frames and rects that it rejects."""

import numpy as np
import pytest
from tests.support.person import photo

from lipsync_fast.compositing.seams import seam_error, seam_steps
from lipsync_fast.errors import InputError, LayoutError


def test_steps_are_those_of_the_four_sides():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (40, 50, 3), np.uint8)
    x, y, w, h = 7, 9, 20, 15
    inner, near, far = [], [], []
    for i in range(w):
        inner += [frame[y, x + i], frame[y + h - 1, x + i]]
        near += [frame[y - 1, x + i], frame[y + h, x + i]]
        far += [frame[y - 2, x + i], frame[y + h + 1, x + i]]
    for i in range(h):
        inner += [frame[y + i, x], frame[y + i, x + w - 1]]
        near += [frame[y + i, x - 1], frame[y + i, x + w]]
        far += [frame[y + i, x - 2], frame[y + i, x + w + 1]]
    inner, near, far = (np.array(v, float) for v in (inner, near, far))
    across, outside = np.abs(inner - near).mean(), np.abs(near - far).mean()
    assert seam_steps(frame, (x, y, w, h)) == pytest.approx((across, outside))
    assert seam_error(frame, (x, y, w, h)) == pytest.approx(across / outside)


def test_a_natural_border_is_one_and_a_box_is_not():
    frame = photo(3)
    rect = (60, 50, 90, 80)
    assert seam_error(frame, rect) == pytest.approx(1, abs=0.1)
    frame[50:130, 60:150] += 12
    assert seam_error(frame, rect) > 3


def test_sides_at_the_frames_edge_are_left_out():
    flat = np.zeros((20, 30), np.uint8)
    assert seam_error(flat, (0, 0, 30, 20)) == 1.0
    flat[:, :10] = 9
    assert seam_error(flat, (0, 0, 10, 20)) == np.inf
    for rect in [(0, 0, 0, 5), (25, 0, 10, 5), (-1, 0, 5, 5)]:
        with pytest.raises(InputError, match="rect"):
            seam_error(flat, rect)
    for rect in [(1, 2, 3), None, 5, (0.5, 0, 9, 9)]:
        with pytest.raises(InputError, match="rect must be x, y, w, h in whole pixels"):
            seam_error(flat, rect)
    for frame in (None, [[1, 2]], flat.astype(float)):
        with pytest.raises(LayoutError, match="frame must be an array of uint8"):
            seam_error(frame, (0, 0, 5, 5))
    with pytest.raises(InputError, match=r"frame must have shape \(H, W\) or \(H, W, C\)"):
        seam_error(flat[0], (0, 0, 5, 1))
