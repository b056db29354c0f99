"""The one face of a clip, and the corners of its rect in every frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import iou
from .detector import SCORE
from .mesh import LEFT_EYE, RIGHT_EYE

__all__ = ["box_corners", "choose_face", "mesh_corners"]

# Wav2Lip's --pads: top, bottom, left, right, in pixels of the frame.
PADS = (0, 10, 0, 0)
# Points of the mesh at the ears: the subject's right and left.
RIGHT_EAR, LEFT_EAR = 234, 454
BELOW_EYES = 0.24

# In choose_face a detection below LEAST_SCORE costs, each start costs BEGIN, and sure faces
# that overlap earn LINK: single strong frames fall away, weak ones bridge a few frames.
LEAST_SCORE = 0.5
SURE_SCORE = 0.8
BEGIN = 0.5
LINK = 0.5


def choose_face(detections: Sequence[NDArray[np.floating[Any]]]) -> NDArray[np.int64]:
    """Choose the one face of a clip: large, sure and lasting.

    The chosen path through the clip earns, in each frame, (score − 0.5) and the overlap with
    a sure face in the frame before, both weighted by size, and pays for each new start. A few
    weak detections of the lasting face stay, a short strong one elsewhere does not.

    Parameters
    ----------
    detections : n arrays (k, 15), k from 0
        From `FaceDetector.detect`; a threshold of 0.3 leaves something to weigh.

    Returns
    -------
    (n,) int64, fresh
        Index of the chosen detection, −1 where there is no face.
    """
    sides = [np.sqrt(np.prod(np.asarray(d)[:, 2:4], axis=1)) for d in detections]
    sure = [
        side[d[:, SCORE] > LEAST_SCORE].max(initial=0)
        for side, d in zip(sides, detections, strict=True)
    ]
    usual = np.median([side for side in sure if side > 0] or [1.0])
    # State 0 of a frame means "no face", state k + 1 its detection k.
    total = np.zeros(1)
    boxes, worth = np.zeros((0, 4)), np.zeros(0)
    steps = []
    for i, found in enumerate(detections):
        boxes_before, worth_before = boxes, worth
        boxes, score = np.asarray(found[:, :4], np.float64), found[:, SCORE]
        size = np.minimum(sides[i] / usual, 2)
        worth = size * np.clip((score - LEAST_SCORE) / (SURE_SCORE - LEAST_SCORE), 0, 1)
        shared = iou(boxes_before, boxes)
        link = np.full((len(total), len(boxes) + 1), -BEGIN if i else 0.0)
        link[:, 0] = 0
        # Half an overlap is motion within one frame; less counts as part of a new start.
        start = BEGIN * (1 - np.minimum(2 * shared, 1))
        link[1:, 1:] = LINK * shared * np.sqrt(np.outer(worth_before, worth)) - start
        arrived = total[:, None] + link
        steps.append(arrived.argmax(axis=0))
        total = arrived.max(axis=0)
        total[1:] += (score - LEAST_SCORE) * size
    chosen = np.full(len(detections), -1, np.int64)
    state = int(total.argmax())
    for i in range(len(detections) - 1, -1, -1):
        chosen[i] = state - 1
        state = int(steps[i][state])
    return chosen


# ---- a face's rect as its preset's script cuts it: xmin, ymin, xmax, ymax --------------------


def box_corners(
    box: NDArray[np.floating[Any]], pads: tuple[int, int, int, int] = PADS
) -> NDArray[np.float64]:
    """Return corners of a detector's box with Wav2Lip's pads.

    Parameters
    ----------
    box : (..., 4) floats
        x, y, w, h in pixels of the frame.
    pads : (top, bottom, left, right) pixels

    Returns
    -------
    (..., 4) float64, fresh
        xmin, ymin, xmax, ymax; not clipped.
    """
    corners = np.array(box, np.float64)
    corners[..., 2:] += corners[..., :2]
    top, bottom, left, right = pads
    corners += (-left, -top, right, bottom)
    return corners


def mesh_corners(mesh: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the lower face's square from the 478-point mesh, as from 110 landmarks.

    It reaches from ear to ear and starts at the eye line, lowered by 0.24 of the distance
    between the outer eye corners: the 110-point rule starts at a point between brow and nose
    that lies 0.244 below it in its mean face.

    Parameters
    ----------
    mesh : (478, 2 or 3) floats

    Returns
    -------
    (4,) float64, fresh
        xmin, ymin, xmax, ymax in pixels of the frame; not clipped.
    """
    mesh = np.asarray(mesh, np.float64)
    left, right = mesh[RIGHT_EAR, 0], mesh[LEFT_EAR, 0]
    eyes = mesh[[RIGHT_EYE, LEFT_EYE], :2]
    top = eyes[:, 1].mean() + BELOW_EYES * np.hypot(*(eyes[1] - eyes[0]))
    return np.array([left, top, right, top + right - left])
