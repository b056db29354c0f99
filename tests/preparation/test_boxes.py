"""Boxes, corners, and how far two boxes agree."""

import numpy as np

from lipsync_fast.preparation.boxes import from_corners, iou


def test_from_corners():
    corners = np.array([[1, 2, 11, 22], [0, 0, 0, 0]])
    assert from_corners(corners).tolist() == [[1, 2, 10, 20], [0, 0, 0, 0]]


def test_corners_that_overflow_pass_without_a_warning():
    corners = np.array([[-1e308, np.nan, 1e308, np.inf]])
    assert not np.isfinite(from_corners(corners)[:, 2:]).any()


def test_iou():
    a = np.array([[0, 0, 10, 10], [20, 20, 0, 0]], float)
    b = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [30, 30, 5, 5], [2, 2, 5, 4]], float)
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 3, 0, 0.2], [0, 0, 0, 0]])
