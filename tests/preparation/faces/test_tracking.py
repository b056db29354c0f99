"""Which face, which corners: on made-up clips."""

import numpy as np

from lipsync_fast.preparation.faces.tracking import box_corners, choose_face, mesh_corners


def detection(x, y, side, score=0.9):
    return [x, y, side, side, *[0] * 10, score]


def clip(*tracks):
    """Frames of detections from tracks: (first frame, last + 1, x, y, side, score)."""
    count = max(stop for _, stop, *_ in tracks)
    frames = [[] for _ in range(count)]
    for track, (first, stop, x, y, side, score) in enumerate(tracks):
        for i in range(first, stop):
            frames[i].append((track, detection(x + i, y, side, score)))
    rows = [np.array([d for _, d in frame], float).reshape(-1, 15) for frame in frames]
    return rows, [[track for track, _ in frame] for frame in frames]


def chosen_tracks(*tracks):
    rows, owners = clip(*tracks)
    chosen = choose_face(rows)
    assert chosen.dtype == np.int64
    assert len(chosen) == len(rows)
    return [owner[k] if k >= 0 else None for owner, k in zip(owners, chosen, strict=True)]


def test_the_larger_face_is_taken():
    assert chosen_tracks((0, 30, 0, 0, 60, 0.95), (0, 30, 300, 0, 120, 0.8)) == [1] * 30


def test_the_lasting_face_is_taken():
    # another one, as large and surer, passes through
    tracks = chosen_tracks((0, 60, 0, 0, 100, 0.85), (20, 30, 400, 0, 100, 0.95))
    assert tracks == [0] * 60


def test_a_weak_moment_of_the_lasting_face_is_kept():
    frames = [(0, 10, 0, 0, 100, 0.9), (10, 13, 0, 0, 100, 0.35), (13, 30, 0, 0, 100, 0.9)]
    assert chosen_tracks(*frames) == [0] * 10 + [1] * 3 + [2] * 17


def test_a_weak_detection_alone_is_no_face():
    tracks = chosen_tracks((0, 20, 0, 0, 100, 0.9), (30, 40, 300, 0, 90, 0.4))
    assert tracks == [0] * 20 + [None] * 20


def test_a_speck_is_no_face_and_a_return_is_one():
    tracks = chosen_tracks(
        (0, 20, 0, 0, 100, 0.9), (25, 26, 300, 300, 20, 0.8), (40, 60, 200, 0, 100, 0.9)
    )
    assert tracks == [0] * 20 + [None] * 20 + [2] * 20


def test_single_frame_and_no_frames():
    assert chosen_tracks((0, 1, 0, 0, 100, 0.9)) == [0]
    assert choose_face([]).tolist() == []
    assert choose_face([np.zeros((0, 15))] * 3).tolist() == [-1] * 3


# ---- rules -----------------------------------------------------------------------------------


def test_box_with_pads():
    assert box_corners([10.5, 20, 30, 40]).tolist() == [10.5, 20, 40.5, 70]
    padded = box_corners(np.array([[10, 20, 30, 40]]), pads=(1, 2, 3, 4))
    assert padded.tolist() == [[7, 19, 44, 62]]


def test_square_of_a_mesh():
    mesh = np.zeros((478, 3))
    mesh[234, :2], mesh[454, :2] = (100, 150), (300, 150)
    mesh[33, :2], mesh[263, :2] = (140, 120), (240, 130)
    top = 125 + 0.24 * np.hypot(100, 10)
    np.testing.assert_allclose(mesh_corners(mesh), [100, top, 300, top + 200])
