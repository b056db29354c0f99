"""The face of a clip, frame by frame, from which rects and masks are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import kernels
from ..boxes import iou
from .detector import SCORE, FaceDetector
from .mesh import FaceLandmarks
from .outlines import OUTLINE, lower_face
from .tracking import box_corners, choose_face, mesh_corners

__all__ = ["FaceFinder"]

# Weak detections count too: the choice over the whole clip weighs them.
LEAST_SCORE = 0.3
# Faces kept of a frame: at most so many, none below a third of the largest one's side.
CANDIDATES, SMALLEST = 4, 1 / 3
# Columns of a detection: right and left mouth corner as x, y.
MOUTH = slice(10, 14)

SURE = 0.7  # score of a face beside the chosen one that a person would see, too
# A picture is another one where its small copy changes by so many levels, and by so many times
# the usual change of its film.
CUT_LEVELS, CUT_TIMES, SMALL = 20, 6, (16, 16)

Picture = NDArray[np.uint8]


class FaceFinder:
    """Find corners and outlines of a clip's face; for one clip and one thread.

    Parameters
    ----------
    detector : str, Path or FaceDetector
    landmarks : str, Path, FaceLandmarks or None
        The face mesh, needed for squares and for outlines.
    rule : {"box", "square", "given"}
        `Preset.rect_rule`; "square" takes corners from the mesh, the others from the
        detector's box.
    """

    def __init__(
        self,
        detector: str | Path | FaceDetector,
        landmarks: str | Path | FaceLandmarks | None,
        rule: str,
    ) -> None:
        self._detector = detector if isinstance(detector, FaceDetector) else FaceDetector(detector)
        if isinstance(landmarks, (str, Path)):
            landmarks = FaceLandmarks(landmarks)
        self._landmarks, self._square = landmarks, rule == "square"
        self._meshes: list[NDArray[np.float32]] = []
        # What `find` saw beside the face: facts for a report.
        self.others = 0
        self.cuts: list[int] = []
        self.place: str | None = None

    def find(
        self,
        pictures: Iterable[Picture],
        step: Callable[[], None],
        rects: NDArray[np.integer[Any]] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Find the face that `choose_face` chooses for the whole clip.

        Parameters
        ----------
        pictures : iterable of (H, W, 3) uint8, bgr24
        step : callable
            Called after each picture.
        rects : (n, 4) or (1, 4) integers, optional
            Count only faces whose mouth lies in the frame's rect.

        Returns
        -------
        corners : (n, 4) float64
            xmin, ymin, xmax, ymax; NaN where there is no face.
        outlines : (n, P, 2) float64
            As `lower_face`; NaN where there is none.
        """
        faces, corners, outlines, looks = [], [], [], []
        width = 0
        for i, picture in enumerate(pictures):
            rect = None if rects is None else rects[min(i, len(rects) - 1)]
            found, places, lower = self._look(picture, rect)
            faces.append(found)
            corners.append(places)
            outlines.append(lower)
            looks.append(_look_of(picture))
            width = picture.shape[1]
            step()
        chosen = choose_face(faces)
        self.cuts = _find_cuts(looks)
        self._count_others(faces, chosen, width)
        no_corners, no_outline = np.full(4, np.nan), np.full((len(OUTLINE), 2), np.nan)
        return (
            np.array(
                [c[k] if k >= 0 else no_corners for c, k in zip(corners, chosen, strict=True)]
            ),
            np.array(
                [o[k] if k >= 0 else no_outline for o, k in zip(outlines, chosen, strict=True)]
            ),
        )

    def _count_others(
        self, faces: list[NDArray[np.float32]], chosen: NDArray[np.int64], width: int
    ) -> None:
        """Count the frames that show another sure face, and tell where the chosen one is."""
        middles = []
        for found, k in zip(faces, chosen.tolist(), strict=True):
            if k >= 0 and ((found[:, SCORE] > SURE) & (np.arange(len(found)) != k)).any():
                middles.append(float(found[k, 0] + found[k, 2] / 2))
        self.others = len(middles)
        if middles:
            third = min(int(3 * float(np.median(middles)) / max(width, 1)), 2)
            self.place = ("left", "middle", "right")[max(third, 0)]

    def _look(
        self, picture: Picture, rect: NDArray[np.integer[Any]] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Return one frame's candidates, (k, 15), with their corners and outlines."""
        found = self._detector.detect(picture, threshold=LEAST_SCORE)
        if rect is not None:
            mouth = found[:, MOUTH].reshape(-1, 2, 2).mean(axis=1) - rect[:2]
            found = found[((mouth >= 0) & (mouth < rect[2:])).all(axis=1)]
        area = found[:, 2] * found[:, 3]
        large = area >= SMALLEST**2 * area[found[:, SCORE] > 0.5].max(initial=0)
        found = found[large][np.argsort(-area[large], kind="stable")[:CANDIDATES]]
        outlines = np.full((len(found), len(OUTLINE), 2), np.nan)
        places = box_corners(found[:, :4])
        if self._landmarks is None:
            return found, places, outlines
        meshes = [self._landmarks.locate(picture, f, last=self._last(f)) for f in found]
        seen = np.array([mesh is not None for mesh in meshes], bool)
        self._meshes = [mesh for mesh in meshes if mesh is not None]
        if self._meshes:
            outlines[seen] = [lower_face(mesh) for mesh in self._meshes]
        if not self._square:
            return found, places, outlines
        squares = np.array([mesh_corners(mesh) for mesh in self._meshes]).reshape(-1, 4)
        return found[seen], squares, outlines[seen]

    def _last(self, face: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the mesh of the frame before that overlaps a face most."""
        if not self._meshes:
            return None
        low = np.array([mesh[:, :2].min(axis=0) for mesh in self._meshes])
        high = np.array([mesh[:, :2].max(axis=0) for mesh in self._meshes])
        shared = iou(face[None, :4], np.concatenate([low, high - low], axis=1))[0]
        return self._meshes[int(shared.argmax())]


def _look_of(picture: Picture) -> Picture:
    """Return a small copy of a picture, of which neighbours of one take differ by little."""
    packed = picture if picture.strides[1:] == (3, 1) else np.ascontiguousarray(picture)
    return kernels.resize(packed, size=SMALL, filter="area")


def _find_cuts(looks: list[Picture]) -> list[int]:
    """Return the frames at which the picture changes to another one."""
    if len(looks) < 3:
        return []
    steps = np.abs(np.diff(np.stack(looks).astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    found = np.flatnonzero(steps > max(CUT_LEVELS, CUT_TIMES * float(np.median(steps)))) + 1
    return [int(i) for i in found]
