"""The two face models, and two frames of a real person."""

import numpy as np
import pytest

from lipsync_fast.preparation.faces.detector import FaceDetector
from lipsync_fast.preparation.faces.mesh import FaceLandmarks

FIRST_AND_LAST = (0, 40)


@pytest.fixture(scope="package")
def detector(assets):
    pytest.importorskip("onnxruntime")
    return FaceDetector(assets / "models" / "yunet_n_dynamic.onnx")


@pytest.fixture(scope="package")
def landmarks(assets):
    pytest.importorskip("onnxruntime")
    return FaceLandmarks(assets / "models" / "face_landmarks_478.onnx")


@pytest.fixture(scope="package")
def pictures(assets):
    """Two frames of the woman, (2, 1920, 1080, 3) bgr24."""
    av = pytest.importorskip("av")
    found = []
    with av.open(str(assets / "video" / "woman_1080x1920_25fps.mp4")) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i in FIRST_AND_LAST:
                found.append(frame.to_ndarray(format="bgr24"))
            if i == FIRST_AND_LAST[-1]:
                break
    return np.stack(found)
