"""The face mesh, 478 points by MediaPipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ModelError
from ...nets.net import Net
from ...presets.misfits import shape_text
from ..boxes import iou
from .detector import check_image

__all__ = ["LEFT_EYE", "RIGHT_EYE", "FaceLandmarks"]

MESH_SIDE = 256
MESH_POINTS = 478
# Outer eye corners in the mesh: the subject's right and left.
RIGHT_EYE, LEFT_EYE = 33, 263
# Radians between the square and the mesh in it beyond which the points suffer.
MOST_TURN = 0.12
MORE_LOOKS = 3

_BILINEAR = Image.Resampling.BILINEAR


class FaceLandmarks:
    """MediaPipe face mesh: place 478 points on one face.

    Parameters
    ----------
    path : str or Path
        ONNX file that turns (1, 256, 256, 3) RGB 0..1 into 1434 numbers and a presence logit.
    margin : float
        Side of the square that the model sees, as a multiple of the face box's longer side.
    providers, threads : optional
        As in `Generator`.

    Raises
    ------
    FileMissingError
        The file does not exist.
    ModelError
        The file is not the 478-point face mesh.

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
                f"{path}: not the 478-point face mesh: needs an input (1,256,256,3) and outputs of "
                f"1434 numbers and of 1, got {_listed(shapes)} and "
                f"{_listed(self._net.output_shapes)}"
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
        """Return the mesh of one detected face.

        Parameters
        ----------
        image : (H, W, 3) uint8, bgr24
        face : (15,) or (4,) floats
            A detection, or only its box x, y, w, h: the face then counts as upright.
        last : (478, 3) floats, optional
            The same face in the frame before, whose place is steadier than the box. Ignored
            where it has left the box.
        presence : float
            Lowest probability of a face, 0..1.

        Returns
        -------
        (478, 3) float32, fresh, or None where the model sees no face
            x, y in pixels of the picture, z in the same unit.

        Raises
        ------
        LayoutError
            `image` is not an array of uint8.
        InputError
            `image` has another shape.
        """
        check_image(image)
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
            # The detector's points lean towards the upright: look again at a head that the
            # mesh finds turned otherwise.
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


def _listed(shapes: dict[str, tuple[int | str | None, ...]]) -> str:
    return ", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes.items())


# ---- the square that the model sees: centre, side in pixels, angle in radians ----------------

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
    """Return matrix and shift from the model's 256×256 picture to the image; edges are whole."""
    unit = side / MESH_SIDE
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * unit
    return turn, centre - turn @ np.full(2, MESH_SIDE / 2)


def _cut_square(
    image: NDArray[np.uint8], centre: NDArray[np.float64], side: float, angle: float
) -> NDArray[np.uint8]:
    """Cut out the square, upright, as (256, 256, 3) rgb24; black outside the image."""
    matrix, shift = _square_to_image(centre, side, angle)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * MESH_SIDE @ matrix.T + shift
    # Two pixels more: bilinear taps at the border then find their neighbours.
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, image.shape[1::-1])
    if (high <= low).any():
        return np.zeros((MESH_SIDE, MESH_SIDE, 3), np.uint8)
    window = Image.fromarray(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0], ::-1]))
    # Bilinear sampling alone would skip pixels of a face more than twice the model's size.
    factor = max(1, int(side / MESH_SIDE))
    if factor > 1:
        window = window.reduce(factor)
    matrix, shift = matrix / factor, (shift - low) / factor
    coefficients = (*matrix[0], shift[0], *matrix[1], shift[1])
    size = (MESH_SIDE, MESH_SIDE)
    return np.asarray(window.transform(size, Image.Transform.AFFINE, coefficients, _BILINEAR))
