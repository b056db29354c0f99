"""Rects: clipped to the frame once, and recognised as clipped afterwards."""

import numpy as np
import pytest

from lipsync_fast.templates.rects import clip_rects, rects_inside

WIDTH, HEIGHT = 64, 48


def test_rects_are_clipped_and_no_face_stays():
    given = [(-10, 5, 30, 20), (50, 40, 30, 20), (0, 0, 64, 48), (9, 9, 0, 0)]
    clipped = clip_rects(given, 4, WIDTH, HEIGHT)
    assert clipped.dtype == np.int32
    assert clipped.tolist() == [[0, 5, 20, 20], [50, 40, 14, 8], [0, 0, 64, 48], [0, 0, 0, 0]]
    assert rects_inside(clipped, WIDTH, HEIGHT)
    assert np.array_equal(clip_rects(clipped, 4, WIDTH, HEIGHT), clipped)


def test_random_rects_are_inside_once_clipped(rng):
    low, high = [-40, -30, 50, 40], [60, 40, 200, 150]
    rects = rng.integers(low, high, (500, 4))
    assert not rects_inside(rects, WIDTH, HEIGHT)
    assert rects_inside(clip_rects(rects, 500, WIDTH, HEIGHT), WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "rect",
    [
        (-1, 0, 5, 5), (0, -1, 5, 5), (60, 0, 5, 5), (0, 44, 5, 5), (0, 0, 0, 5), (0, 0, 5, 0),
        (1, 0, 0, 0), (0, 0, -5, 5), (2**31 - 1, 0, 2**31 - 1, 5),
    ],
)  # fmt: skip
def test_rects_that_are_not_clipped_are_found(rect):
    assert not rects_inside([(1, 1, 5, 5), rect], WIDTH, HEIGHT)
