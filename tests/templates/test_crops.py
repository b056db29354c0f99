"""Crops are those that the families' scripts cut; how they are packed is tested with the nets."""

import numpy as np
import pytest

from lipsync_fast.presets import get_preset
from lipsync_fast.templates.crops import cut_crop

SYNCTALK = get_preset("synctalk328")
SIZES = [(1, 1), (24, 400), (57, 131), (178, 178), (328, 328), (419, 289), (640, 500)]


def assert_opencvs(frame, rect):
    cv2 = pytest.importorskip("cv2")
    x, y, w, h = rect
    got = cut_crop(frame, rect, SYNCTALK)
    area = np.ascontiguousarray(frame[y : y + h, x : x + w])
    wanted = cv2.resize(area, (328, 328), interpolation=cv2.INTER_CUBIC)
    # Sums of floats in another order decide the rare ties.
    off = np.abs(got.astype(int) - wanted)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= off.size / 50_000


@pytest.mark.parametrize(("w", "h"), SIZES)
def test_bicubic_crops_are_opencvs(w, h, rng):
    assert_opencvs(rng.integers(0, 256, (510, 650, 3), np.uint8), (3, 4, w, h))


@pytest.mark.assets
@pytest.mark.parametrize("rect", [(278, 355, 419, 289), (331, 342, 277, 277), (0, 0, 340, 500)])
def test_bicubic_crops_of_a_person_are_opencvs(still_woman, rect):
    for frame in still_woman:
        assert_opencvs(frame, rect)


def test_extremes(rng):
    frame = rng.choice(np.array([0, 255], np.uint8), (200, 200, 3))
    assert_opencvs(frame, (0, 0, 150, 150))
    flat = np.full((90, 80, 3), 255, np.uint8)
    assert (cut_crop(flat, (10, 10, 50, 60), SYNCTALK) == 255).all()


def test_no_face_is_black():
    frame = np.full((90, 80, 3), 255, np.uint8)
    assert not cut_crop(frame, (0, 0, 0, 0), SYNCTALK).any()
