"""The face mesh, on a real person."""

import numpy as np
import pytest


@pytest.mark.assets
@pytest.mark.parametrize("angle", [0, 25, -40])
def test_landmarks_of_a_turned_head(detector, landmarks, pictures, angle):
    cv2 = pytest.importorskip("cv2")
    face = detector.detect(pictures[0])[0]
    upright = landmarks.locate(pictures[0], face)
    size = upright[454, 0] - upright[234, 0]
    middle = face[:2] + face[2:4] / 2
    turn = cv2.getRotationMatrix2D(middle.tolist(), angle, 1)
    turned = cv2.warpAffine(pictures[0], turn, pictures[0].shape[1::-1])
    (found,) = detector.detect(turned)
    mesh = landmarks.locate(turned, found)
    expected = upright[:, :2] @ turn[:, :2].T + turn[:, 2]
    errors = np.hypot(*(mesh[:, :2] - expected).T) / size
    assert errors.mean() < 0.035
    assert errors.max() < 0.12


@pytest.mark.assets
def test_landmarks_lie_on_the_face(detector, landmarks, pictures):
    for picture in pictures:
        face = detector.detect(picture)[0]
        mesh = landmarks.locate(picture, face)
        assert mesh.shape == (478, 3)
        assert mesh.dtype == np.float32
        # the mesh's eye corners, nose tip and mouth corners beside the detector's points
        pairs = [((33, 133), 4), ((263, 362), 6), ((1,), 8), ((61,), 10), ((291,), 12)]
        for points, column in pairs:
            away = mesh[list(points), :2].mean(axis=0) - face[column : column + 2]
            assert np.hypot(*away) < 0.08 * face[2]


@pytest.mark.assets
def test_landmarks_do_not_depend_on_size_or_surroundings(detector, landmarks, pictures):
    cv2 = pytest.importorskip("cv2")
    face = detector.detect(pictures[0])[0]
    mesh = landmarks.locate(pictures[0], face)
    large = cv2.resize(pictures[0], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = np.append(face[:14] * 3, face[14])
    assert np.abs(landmarks.locate(large, found)[:, :2] / 3 - mesh[:, :2]).mean() < 1.5
    # a picture that ends within the model's square, black beyond its border
    x, y, w, h = face[:4].astype(int)
    tight = pictures[0, y - 10 : y + h + 10, x - 10 : x + w + 10]
    moved = face.copy()
    moved[[0, 4, 6, 8, 10, 12]] -= x - 10
    moved[[1, 5, 7, 9, 11, 13]] -= y - 10
    again = landmarks.locate(tight, moved)[:, :2] + (x - 10, y - 10)
    assert np.abs(again - mesh[:, :2]).mean() < 0.03 * w


@pytest.mark.assets
def test_last_mesh_is_used_only_near_the_box(detector, landmarks, pictures):
    face = detector.detect(pictures[0])[0]
    fresh = landmarks.locate(pictures[0], face)
    tracked = landmarks.locate(pictures[0], face, last=fresh)
    assert 0 < np.abs(tracked - fresh)[:, :2].mean() < 0.02 * face[2]
    elsewhere = fresh + np.float32([500, 0, 0])
    np.testing.assert_array_equal(landmarks.locate(pictures[0], face, last=elsewhere), fresh)


@pytest.mark.assets
def test_no_face_no_mesh(landmarks, pictures):
    assert landmarks.locate(pictures[0], np.array([100, 1300, 300, 300])) is None
    assert landmarks.locate(pictures[0], np.array([-900, -900, 300, 300])) is None
