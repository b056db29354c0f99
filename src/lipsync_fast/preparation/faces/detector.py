"""Faces in a picture: a detector (YuNet) and a face mesh (MediaPipe, 478 points)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ... import kernels
from ...errors import InputError, LayoutError, ModelError
from ...nets.generator import Net

__all__ = ["FaceDetector", "FaceLandmarks", "iou"]

STRIDES = (8, 16, 32)
MESH_SIDE = 256
MESH_POINTS = 478
# Outer eye corners in the mesh: the subject's right and left.
RIGHT_EYE, LEFT_EYE = 33, 263
# Radians between the square and the mesh in it beyond which the points suffer.
MOST_TURN = 0.12
MORE_LOOKS = 3

# Column of a detection that holds the score, after x, y, w, h and five points as x, y.
SCORE = 14


class FaceDetector:
    """YuNet: faces of a picture as boxes, five points each and a score.

    Parameters
    ----------
    path : str or Path
        ONNX file of YuNet with dynamic height and width.
    size : int
        Pixels of the picture's longer side in the net; a larger picture is scaled down to it,
        a smaller one is taken as it is. Faces from about 10 px up to two thirds of the
        picture are found well at 640.
    providers, threads : optional
        As in `Generator`.

    Raises
    ------
    FileMissingError, ModelError
        If the file is missing or is not that net.

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
                f"{path}: takes pictures of {shape} only; use a YuNet file with dynamic "
                "height and width"
            )

    def detect(
        self, image: NDArray[np.uint8], threshold: float = 0.6, overlap: float = 0.3
    ) -> NDArray[np.float32]:
        """Faces of one picture.

        Parameters
        ----------
        image : (H, W, 3) uint8, bgr24
        threshold : float
            Least score, 0..1.
        overlap : float
            Of two boxes that share more than this part of their union, the better one stays.

        Returns
        -------
        (k, 15) float32, fresh
            Best score first, in pixels of the picture: x, y, w, h; right eye, left eye, nose,
            right and left mouth corner (the subject's right) as x, y; score.
        """
        height, width = _check_image(image)
        scale = min(1.0, self.size / max(height, width))
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        small = image
        if scale < 1:
            packed = image if image.strides[1:] == (3, 1) else np.ascontiguousarray(image)
            small = kernels.resize(packed, size=inner, filter="area")
        # The net halves its picture five times; the rest stays black.
        padded = (-(-inner[0] // 32) * 32, -(-inner[1] // 32) * 32)
        batch = np.zeros((1, 3, padded[1], padded[0]), np.float32)
        batch[0, :, : inner[1], : inner[0]] = small.transpose(2, 0, 1)
        outputs = self._net.run({self._input: batch})
        found = decode(outputs, padded[0], threshold)
        found = found[suppress(found[:, :4], found[:, SCORE], overlap)]
        found[:, 0:14:2] *= np.float32(width / inner[0])
        found[:, 1:14:2] *= np.float32(height / inner[1])
        return found


class FaceLandmarks:
    """MediaPipe face mesh: 478 points of one face.

    Parameters
    ----------
    path : str or Path
        ONNX file: (1, 256, 256, 3) RGB 0..1 to 1434 numbers and a presence logit.
    margin : float
        Side of the square that the net sees, in longer sides of the face's box.
    providers, threads : optional
        As in `Generator`.

    Raises
    ------
    FileMissingError, ModelError
        If the file is missing or is not that net.

    References
    ----------
    Y. Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile
    GPUs", 2019; square, margin and rotation as in MediaPipe's face_landmark graphs.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        margin: float = 1.5,
        providers: Any = None,
        threads: int | None = None,
    ) -> None:
        self.margin = margin
        self._net = Net(path, providers=providers, threads=threads)
        shapes = self._net.input_shapes
        sizes = {name: shape[-1] for name, shape in self._net.output_shapes.items() if shape}
        points = [name for name, size in sizes.items() if size == 3 * MESH_POINTS]
        logits = [name for name, size in sizes.items() if size == 1]
        side = (MESH_SIDE, MESH_SIDE, 3)
        if [shape[1:] for shape in shapes.values()] != [side] or not points or not logits:
            raise ModelError(
                f"{path}: not the 478-point face mesh: needs an input (1, 256, 256, 3) and "
                f"outputs of 1434 numbers and of 1, got {shapes} and {self._net.output_shapes}"
            )
        self._input = next(iter(shapes))
        self._points, self._presence = points[0], logits[0]

    def locate(
        self,
        image: NDArray[np.uint8],
        face: NDArray[np.floating[Any]],
        last: NDArray[np.floating[Any]] | None = None,
        presence: float = 0.5,
    ) -> NDArray[np.float32] | None:
        """Mesh of one detected face.

        Parameters
        ----------
        image : (H, W, 3) uint8, bgr24
        face : (15,) or (4,) floats
            A detection; or its box x, y, w, h alone, then the face is taken as upright.
        last : (478, 3) floats, optional
            The same face in the frame before: its place is steadier than the box. It is not
            used where it has left the box.
        presence : float
            Least probability that a face is there, 0..1.

        Returns
        -------
        (478, 3) float32, fresh, or None where the net sees no face
            x, y in pixels of the picture, z in the same unit.
        """
        _check_image(image)
        place = np.asarray(face, np.float64)
        square = _square_of_face(place, self.margin)
        if last is not None:
            before = np.asarray(last, np.float64)
            low, high = before[:, :2].min(axis=0), before[:, :2].max(axis=0)
            if iou(place[None, :4], np.array([[*low, *(high - low)]]))[0, 0] > 0.4:
                square = _square_of_mesh(before, self.margin)
        mesh = self._look(image, square, presence)
        for _ in range(MORE_LOOKS):
            if mesh is None:
                return None
            again = _square_of_mesh(mesh, self.margin)
            # The detector's points lean to the upright: a head that the mesh finds turned
            # otherwise is looked at again.
            if abs(again[2] - square[2]) < MOST_TURN:
                break
            square = again
            mesh = self._look(image, square, presence)
        return None if mesh is None else mesh.astype(np.float32)

    def _look(
        self, image: NDArray[np.uint8], square: _Square, presence: float
    ) -> NDArray[np.float64] | None:
        crop = _cut_square(image, *square)
        batch = np.divide(crop, np.float32(255), dtype=np.float32)[None]
        outputs = self._net.run({self._input: batch})
        logit = float(outputs[self._presence].reshape(-1)[0])
        if logit < np.log(presence / (1 - presence)):
            return None
        mesh = outputs[self._points].reshape(MESH_POINTS, 3).astype(np.float64)
        matrix, shift = _square_to_image(*square)
        mesh[:, :2] = mesh[:, :2] @ matrix.T + shift
        mesh[:, 2] *= square[1] / MESH_SIDE
        return mesh


# ---- the detector's arithmetic -------------------------------------------------------------


def decode(
    outputs: dict[str, NDArray[np.float32]], width: int, threshold: float
) -> NDArray[np.float32]:
    """YuNet's outputs as detections in pixels of its input, unsorted, overlapping: (k, 15)."""
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
    """Indices of the boxes that no better box overlaps by more than `overlap`, best first."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        order = order[iou(boxes[order[:1]], boxes[order])[0] <= overlap]
        order = order[order != kept[-1]]
    return np.array(kept, np.int64)


def iou(a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Intersection over union of boxes x, y, w, h: (m, 4) and (n, 4) to (m, n), fresh."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:4], b[None, :, :2] + b[None, :, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    union = np.prod(a[:, 2:4], axis=1)[:, None] + np.prod(b[:, 2:4], axis=1)[None] - shared
    quotient: NDArray[np.floating[Any]] = shared / np.maximum(union, 1e-9)
    return quotient


# ---- the square that the mesh sees: centre, side in pixels, angle in radians ----------------

_Square = tuple[NDArray[np.float64], float, float]


def _square_of_face(face: NDArray[np.float64], margin: float) -> _Square:
    angle = 0.0
    if len(face) >= 8:
        eyes = face[6:8] - face[4:6]
        angle = float(np.arctan2(eyes[1], eyes[0]))
    return face[:2] + face[2:4] / 2, margin * float(face[2:4].max()), angle


def _square_of_mesh(mesh: NDArray[np.float64], margin: float) -> _Square:
    eyes = mesh[LEFT_EYE, :2] - mesh[RIGHT_EYE, :2]
    angle = float(np.arctan2(eyes[1], eyes[0]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = mesh[:, :2] @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    return turn @ ((low + high) / 2), margin * float((high - low).max()), angle


def _square_to_image(
    centre: NDArray[np.float64], side: float, angle: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and shift from the net's 256×256 picture to the image (pixel edges are whole)."""
    unit = side / MESH_SIDE
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * unit
    return turn, centre - turn @ np.full(2, MESH_SIDE / 2)


def _cut_square(
    image: NDArray[np.uint8], centre: NDArray[np.float64], side: float, angle: float
) -> NDArray[np.uint8]:
    """The square, upright, as (256, 256, 3) rgb24; black outside the image."""
    matrix, shift = _square_to_image(centre, side, angle)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * MESH_SIDE @ matrix.T + shift
    # Two pixels more, so that bilinear taps at the border find their neighbours.
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, image.shape[1::-1])
    if (high <= low).any():
        return np.zeros((MESH_SIDE, MESH_SIDE, 3), np.uint8)
    window = Image.fromarray(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0], ::-1]))
    # Bilinear sampling alone would skip pixels of a face more than twice the net's size.
    factor = max(1, int(side / MESH_SIDE))
    if factor > 1:
        window = window.reduce(factor)
    matrix, shift = matrix / factor, (shift - low) / factor
    coefficients = (*matrix[0], shift[0], *matrix[1], shift[1])
    size = (MESH_SIDE, MESH_SIDE)
    return np.asarray(window.transform(size, Image.Transform.AFFINE, coefficients, _BILINEAR))


_BILINEAR = Image.Resampling.BILINEAR


def _check_image(image: NDArray[np.uint8]) -> tuple[int, int]:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        got = getattr(image, "dtype", type(image).__name__)
        raise LayoutError(f"image must be an array of uint8, got {got}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"image must have shape (H, W, 3), got {image.shape}")
    return image.shape[0], image.shape[1]
