"""The face detector, YuNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import kernels
from ...errors import InputError, LayoutError, ModelError
from ...nets.net import Net
from ..boxes import iou

__all__ = ["SCORE", "FaceDetector", "check_image"]

STRIDES = (8, 16, 32)
# Column of a detection that holds the score, after x, y, w, h and five points as x, y.
SCORE = 14


class FaceDetector:
    """YuNet: find faces in a picture, each as a box, five points and a score.

    Parameters
    ----------
    path : str or Path
        ONNX file of YuNet with dynamic height and width.
    size : int
        Longer side, in pixels, that the model sees; a larger picture is scaled down to it, a
        smaller one is taken as it is. 640 finds faces from about 10 px up to two thirds of
        the picture.
    providers, threads : optional
        As in `Generator`.

    Raises
    ------
    FileMissingError
        The file does not exist.
    ModelError
        The file is not the YuNet detector with dynamic height and width.
    InputError
        `size` is below 32.

    References
    ----------
    W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; decoding
    of its outputs as in OpenCV, modules/objdetect/src/face_detect.cpp.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: int = 640,
        providers: Any = None,
        threads: int | None = None,
    ) -> None:
        if size < 32:
            raise InputError(f"size must be at least 32 pixels, got {size}")
        self.size = size
        self._net = Net(path, providers=providers, threads=threads)
        needed = {f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in STRIDES}
        shapes = self._net.input_shapes
        if not needed <= self._net.output_shapes.keys() or len(shapes) != 1:
            raise ModelError(
                f"{path}: not the YuNet detector: needs one picture input and the outputs cls, "
                f"obj, bbox and kps at strides 8, 16, 32, got {', '.join(self._net.output_shapes)}"
            )
        (self._input, shape), *_ = shapes.items()
        if any(isinstance(side, int) for side in shape[2:]):
            raise ModelError(
                f"{path}: takes pictures of {shape} only: give the detector as a YuNet file with "
                "dynamic height and width"
            )

    def detect(
        self, image: NDArray[np.uint8], threshold: float = 0.6, overlap: float = 0.3
    ) -> NDArray[np.float32]:
        """Find the faces of one picture.

        Parameters
        ----------
        image : (H, W, 3) uint8, bgr24
        threshold : float
            Lowest score to report, 0..1.
        overlap : float
            Where two boxes share more than this part of their union, the better one stays.

        Returns
        -------
        (k, 15) float32, fresh
            Best score first, in pixels of the picture: x, y, w, h; right eye, left eye, nose,
            right and left mouth corner (the subject's right) as x, y; score.

        Raises
        ------
        LayoutError
            `image` is not an array of uint8.
        InputError
            `image` has another shape.
        """
        height, width = check_image(image)
        scale = min(1.0, self.size / max(height, width))
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        small = image
        if scale < 1:
            packed = image if image.strides[1:] == (3, 1) else np.ascontiguousarray(image)
            small = kernels.resize(packed, size=inner, filter="area")
        # The model halves its picture five times; the padding stays black.
        padded = (-(-inner[0] // 32) * 32, -(-inner[1] // 32) * 32)
        batch = np.zeros((1, 3, padded[1], padded[0]), np.float32)
        batch[0, :, : inner[1], : inner[0]] = small.transpose(2, 0, 1)
        outputs = self._net.run({self._input: batch})
        found = decode(outputs, padded[0], threshold)
        found = found[suppress(found[:, :4], found[:, SCORE], overlap)]
        found[:, 0:14:2] *= np.float32(width / inner[0])
        found[:, 1:14:2] *= np.float32(height / inner[1])
        return found


# ---- the detector's arithmetic -------------------------------------------------------------


def decode(
    outputs: dict[str, NDArray[np.float32]], width: int, threshold: float
) -> NDArray[np.float32]:
    """Decode the outputs to (k, 15) detections in pixels of the input, unsorted, overlapping."""
    parts = []
    for stride in STRIDES:
        classes = np.clip(outputs[f"cls_{stride}"][0, :, 0], 0, 1)
        objects = np.clip(outputs[f"obj_{stride}"][0, :, 0], 0, 1)
        score = np.sqrt(classes * objects)
        chosen = np.flatnonzero(score >= threshold)
        row, column = np.divmod(chosen, width // stride)
        cell = np.stack([column, row], axis=1).astype(np.float32)
        box = outputs[f"bbox_{stride}"][0, chosen]
        points = outputs[f"kps_{stride}"][0, chosen].reshape(-1, 5, 2)
        size = np.exp(box[:, 2:]) * stride
        part = np.empty((len(chosen), SCORE + 1), np.float32)
        part[:, 0:2] = (cell + box[:, :2]) * stride - size / 2
        part[:, 2:4] = size
        part[:, 4:14] = ((points + cell[:, None]) * stride).reshape(-1, 10)
        part[:, SCORE] = score[chosen]
        parts.append(part)
    return np.concatenate(parts)


def suppress(
    boxes: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]], overlap: float
) -> NDArray[np.int64]:
    """Return indices of boxes that no better box overlaps by more than `overlap`, best first."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        order = order[iou(boxes[order[:1]], boxes[order])[0] <= overlap]
        order = order[order != kept[-1]]
    return np.array(kept, np.int64)


def check_image(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Return height and width; raise unless `image` is (H, W, 3) uint8."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        got = getattr(image, "dtype", type(image).__name__)
        raise LayoutError(f"image must be an array of uint8, got {got}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"image must have shape (H, W, 3), got {image.shape}")
    return image.shape[0], image.shape[1]
