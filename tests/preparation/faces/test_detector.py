"""The face detector, on drawn outputs and on a real person."""

import math

import numpy as np
import pytest

from lipsync_fast.errors import FileMissingError, InputError, LayoutError, ModelError
from lipsync_fast.preparation.faces.detector import FaceDetector, decode, suppress
from lipsync_fast.preparation.faces.mesh import FaceLandmarks


def decode_twin(outputs, width, height, threshold):
    """The published decoding, cell by cell."""
    found = []
    for stride in (8, 16, 32):
        columns = width // stride
        for cell in range(columns * (height // stride)):
            row, column = divmod(cell, columns)
            score = math.sqrt(
                min(max(float(outputs[f"cls_{stride}"][0, cell, 0]), 0), 1)
                * min(max(float(outputs[f"obj_{stride}"][0, cell, 0]), 0), 1)
            )
            if score < threshold:
                continue
            dx, dy, dw, dh = (float(v) for v in outputs[f"bbox_{stride}"][0, cell])
            w, h = math.exp(dw) * stride, math.exp(dh) * stride
            x, y = (column + dx) * stride - w / 2, (row + dy) * stride - h / 2
            points = outputs[f"kps_{stride}"][0, cell].reshape(5, 2)
            points = [((px + column) * stride, (py + row) * stride) for px, py in points]
            found.append([x, y, w, h, *np.ravel(points), score])
    return np.array(found).reshape(-1, 15)


def test_decode_equals_its_twin():
    rng = np.random.default_rng(5)
    width, height = 96, 64
    outputs = {}
    for stride in (8, 16, 32):
        cells = (width // stride) * (height // stride)
        for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            values = rng.uniform(-0.2, 1.2, (1, cells, size)).astype(np.float32)
            outputs[f"{kind}_{stride}"] = values
    expected = decode_twin(outputs, width, height, 0.6)
    assert 20 < len(expected) < 120
    np.testing.assert_allclose(decode(outputs, width, 0.6), expected, rtol=1e-5, atol=1e-4)


def test_decode_of_nothing():
    outputs = {
        f"{kind}_{stride}": np.zeros((1, (64 // stride) ** 2, size), np.float32)
        for stride in (8, 16, 32)
        for kind, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    }
    assert decode(outputs, 64, 0.5).shape == (0, 15)


def test_suppress_keeps_the_best_of_each_group():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [40, 0, 9, 9], [41, 1, 9, 9], [0, 40, 5, 5]])
    scores = np.array([0.7, 0.9, 0.8, 0.6, 0.5])
    assert suppress(boxes, scores, 0.3).tolist() == [1, 2, 4]
    assert suppress(boxes[:0], scores[:0], 0.3).tolist() == []


# ---- a real person ---------------------------------------------------------------------------


def opencv_faces(assets, picture, threshold=0.6):
    cv2 = pytest.importorskip("cv2")
    path = str(assets / "models" / "yunet_n_dynamic.onnx")
    height, width = picture.shape[:2]
    oracle = cv2.FaceDetectorYN.create(path, "", (width, height), threshold, 0.3, 5000)
    return oracle.detect(np.ascontiguousarray(picture))[1]


@pytest.mark.assets
@pytest.mark.parametrize("crop", [np.s_[400:1000, 200:800], np.s_[480:1003, 300:737]])
def test_detector_equals_opencv(assets, detector, pictures, crop):
    # no larger than the model's picture, so that both see the same pixels
    for picture in pictures[:, *crop]:
        expected = opencv_faces(assets, picture)
        got = detector.detect(picture)
        assert got.shape == expected.shape == (1, 15)
        np.testing.assert_allclose(got, expected, atol=0.05)


@pytest.mark.assets
def test_detector_equals_opencv_on_a_full_frame(assets, detector, pictures):
    cv2 = pytest.importorskip("cv2")
    for picture in pictures:
        small = cv2.resize(picture, (360, 640), interpolation=cv2.INTER_AREA)
        expected = opencv_faces(assets, small)[0, :14] * 3
        got = detector.detect(picture)[0]
        assert got[14] > 0.9
        np.testing.assert_allclose(got[:14], expected, atol=0.5)


@pytest.mark.assets
def test_two_faces_and_none(detector, pictures):
    both = np.concatenate(
        [pictures[0, 400:1000, 200:800], pictures[1, 400:1000, 200:800, :]], axis=1
    )
    found = detector.detect(both)
    assert len(found) == 2
    assert sorted(x // 600 for x in found[:, 0]) == [0, 1]
    assert len(detector.detect(pictures[0, 1200:])) == 0
    assert len(detector.detect(np.full((7, 5, 3), 90, np.uint8))) == 0


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.assets
@pytest.mark.parametrize("kind", [FaceDetector, FaceLandmarks])
def test_a_model_of_another_kind(assets, kind):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match=r"liteavatar384\.onnx: not the"):
        kind(assets / "models" / "liteavatar384.onnx")


@pytest.mark.parametrize("kind", [FaceDetector, FaceLandmarks])
def test_missing_and_broken_files(tmp_path, kind):
    pytest.importorskip("onnxruntime")
    with pytest.raises(FileMissingError, match="no such"):
        kind(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        kind(tmp_path / "text.onnx")


@pytest.mark.assets
@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((8, 8, 3), np.float64), LayoutError, "uint8, got float64"),
        (np.zeros((8, 8), np.uint8), InputError, r"\(H, W, 3\), got \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), InputError, r"got \(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), InputError, r"got \(0, 8, 3\)"),
        ([[1, 2, 3]], LayoutError, "got list"),
    ],
)
def test_bad_pictures(detector, landmarks, image, error, message):
    with pytest.raises(error, match=message):
        detector.detect(image)
    with pytest.raises(error, match=message):
        landmarks.locate(image, np.array([0, 0, 5, 5]))


@pytest.mark.assets
def test_strided_and_read_only_pictures(detector, landmarks, pictures):
    picture = pictures[0, 400:1000, 200:800]
    mirrored = np.ascontiguousarray(picture[:, ::-1])[:, ::-1]
    mirrored.flags.writeable = False
    expected, got = detector.detect(picture.copy()), detector.detect(mirrored)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(
        landmarks.locate(mirrored, got[0]), landmarks.locate(picture, got[0])
    )
