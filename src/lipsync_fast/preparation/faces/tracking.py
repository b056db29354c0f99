"""From the faces found in the frames of a clip to one rect a frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .detector import LEFT_EYE, RIGHT_EYE, SCORE, iou

__all__ = [
    "SMOOTHING",
    "box_corners",
    "choose_face",
    "local_line",
    "mesh_corners",
    "rects_of_corners",
    "reference_corners",
    "runs",
    "steady_corners",
]

SMOOTHING = ("steady", "reference", "none")

# Wav2Lip's --pads: top, bottom, left, right, in pixels of the frame.
PADS = (0, 10, 0, 0)
REFERENCE_WINDOW = 5
# Points of the mesh at the ears: the subject's right and left.
RIGHT_EAR, LEFT_EAR = 234, 454
BELOW_EYES = 0.24

# Standard deviations in seconds of the weights that steady_corners gives to the frames round
# about. 0.08 s takes two thirds of a detector's jitter and still follows a nod.
CENTRE_SIGMA = 0.08
SIZE_SIGMA = 0.32
# Half a size, in whole pixels, is left only when the smooth value is this far from it.
STICKY = 0.75

# In choose_face: a detection below LEAST_SCORE costs, each start costs BEGIN, and sure faces
# that overlap earn LINK. So single strong frames fall away, and weak ones bridge a few frames.
LEAST_SCORE = 0.5
SURE_SCORE = 0.8
BEGIN = 0.5
LINK = 0.5


def choose_face(detections: Sequence[NDArray[np.floating[Any]]]) -> NDArray[np.int64]:
    """The one face of a clip: large, sure and lasting.

    A path through the clip is chosen that earns, in each frame, (score − 0.5) and the overlap
    with a sure face in the frame before, both weighted by size, and pays for each new start.
    So a few weak detections of the lasting face stay, a short strong one elsewhere does not.

    Parameters
    ----------
    detections : n arrays (k, 15), k from 0
        As `FaceDetector.detect` gives them; a threshold of 0.3 leaves it something to weigh.

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
    # State 0 of a frame is "no face", state k + 1 its detection k.
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
        # Half an overlap is motion within one frame, less is partly a new start.
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


# ---- a face's rect, as its preset's script takes it: xmin, ymin, xmax, ymax --------------------


def box_corners(
    box: NDArray[np.floating[Any]], pads: tuple[int, int, int, int] = PADS
) -> NDArray[np.float64]:
    """Corners of a detector's box with Wav2Lip's pads.

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
    """Square of the lower face from the 478-point mesh, as from 110 landmarks.

    Ear to ear; from the eye line, lowered by 0.24 of the distance of the outer eye corners
    (the brow-to-nose point that the 110-point rule uses lies 0.244 below it in its mean face).

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


# ---- smoothing -------------------------------------------------------------------------------


def runs(corners: NDArray[np.floating[Any]], cuts: bool = False) -> list[slice]:
    """Stretches of neighbouring frames that hold a face.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    cuts : bool
        Also part where the corners of neighbouring frames share less than a third.
    """
    seen = np.isfinite(corners).all(axis=1)
    joined = seen[1:] & seen[:-1]
    if cuts:
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        for i in np.flatnonzero(joined):
            joined[i] = iou(boxes[i : i + 1], boxes[i + 1 : i + 2])[0, 0] >= 1 / 3
    starts = np.flatnonzero(seen & ~np.concatenate([[False], joined]))
    stops = np.flatnonzero(seen & ~np.concatenate([joined, [False]])) + 1
    return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def steady_corners(
    corners: NDArray[np.floating[Any]], fps: Fraction | float
) -> NDArray[np.float64]:
    """Corners without the detector's jitter and without lag.

    Centre and size follow a straight line fitted to the frames before and after, weighted by
    a Gaussian (σ 0.08 s for the centre, 0.32 s for the size), each stretch of frames with a
    face by itself. The weights are even in time, so motion comes neither late nor early, and
    a line does not pull the ends inwards. Then centre and half the size become whole pixels;
    a size is left only where the smooth value of its half is more than 0.75 away.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    fps : number
        Frames a second.

    Returns
    -------
    (n, 4) float64, fresh
        Whole numbers, or NaN.

    References
    ----------
    W. S. Cleveland, "Robust Locally Weighted Regression and Smoothing Scatterplots", 1979
    (the local line, without the robust passes).
    """
    out = np.full(corners.shape, np.nan)
    for run in runs(corners, cuts=True):
        part = np.asarray(corners[run], np.float64)
        centre = local_line((part[:, :2] + part[:, 2:]) / 2, CENTRE_SIGMA * float(fps))
        size = local_line(part[:, 2:] - part[:, :2], SIZE_SIGMA * float(fps))
        square = np.allclose(part[:, 2] - part[:, 0], part[:, 3] - part[:, 1], rtol=0, atol=1e-3)
        # Even sizes: a change of size then leaves the centre where it is.
        half = _sticky(size / 2)
        if square:
            half[:, 1] = half[:, 0]
        centre = np.round(centre)
        out[run] = np.concatenate([centre - half, centre + half], axis=1)
    return out


def reference_corners(
    corners: NDArray[np.floating[Any]], rule: str, width: int, height: int
) -> NDArray[np.float64]:
    """Corners as the preset's own script has them.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    rule : {"box", "square"}
        ``"box"``: clipped to the frame, then the mean of the boxes [i, i + 5) truncated; the
        last four share the final five, as far as those are smoothed by then. ``"square"``:
        the square of truncated points.
    width, height : int
        Of the frame, in pixels.

    Returns
    -------
    (n, 4) float64, fresh
        Whole numbers, or NaN.

    References
    ----------
    Wav2Lip, inference.py, get_smoothened_boxes: it works in place, on integers.
    """
    if rule == "square":
        out = np.trunc(np.asarray(corners, np.float64))
        out[:, 3] = out[:, 1] + out[:, 2] - out[:, 0]
        return out
    limits = np.array([width, height, width, height])
    out = np.trunc(np.clip(np.asarray(corners, np.float64), 0, limits))
    for run in runs(out):
        part = out[run]
        for i in range(len(part)):
            first = min(i, max(len(part) - REFERENCE_WINDOW, 0))
            part[i] = np.trunc(part[first : first + REFERENCE_WINDOW].mean(axis=0))
    return out


def rects_of_corners(
    corners: NDArray[np.floating[Any]], width: int, height: int
) -> NDArray[np.int32]:
    """Corners as rects inside the frame.

    Returns
    -------
    (n, 4) int32, fresh
        x, y, w, h; all 0 where there is no face or it lies outside the frame.
    """
    limits = np.array([width, height, width, height])
    # NaN becomes 0 and with it an empty rect.
    whole = np.nan_to_num(np.clip(np.trunc(corners), 0, limits)).astype(np.int32)
    rects = np.concatenate([whole[:, :2], whole[:, 2:] - whole[:, :2]], axis=1)
    rects[(rects[:, 2:] <= 0).any(axis=1)] = 0
    return rects


def smooth_corners(
    corners: NDArray[np.floating[Any]],
    smooth: str,
    *,
    rule: str,
    fps: Fraction | float,
    width: int,
    height: int,
) -> NDArray[np.int32]:
    """Rects of a clip from its faces' corners, smoothed in one of three ways.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    smooth : {"steady", "reference", "none"}
        `steady_corners`; `reference_corners`; or each frame by itself.
    rule : {"box", "square"}
    fps, width, height
        Of the clip.

    Returns
    -------
    (n, 4) int32, fresh
    """
    if smooth not in SMOOTHING:
        raise InputError(f"smooth must be one of {', '.join(SMOOTHING)}, got {smooth!r}")
    if smooth == "steady":
        corners = steady_corners(corners, fps)
    elif smooth == "reference" or rule == "square":
        # No script smooths squares.
        corners = reference_corners(corners, rule, width, height)
    return rects_of_corners(corners, width, height)


def local_line(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Value at each frame of the line fitted to its neighbours: (n, m) to (n, m), fresh.

    `sigma`, of the Gaussian weights, is in frames.
    """
    count = len(values)
    reach = max(1, int(np.ceil(3.5 * sigma)))
    time = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (time / max(sigma, 1e-6)) ** 2)
    padded = np.zeros((count + 2 * reach, values.shape[1]))
    padded[reach : reach + count] = values
    inside = np.zeros(count + 2 * reach)
    inside[reach : reach + count] = 1

    def total(series: NDArray[np.float64], power: int) -> NDArray[np.float64]:
        factors = (weight * time**power)[::-1]
        return np.convolve(series, factors, "valid")

    s0, s1, s2 = (total(inside, power) for power in (0, 1, 2))
    determinant = s0 * s2 - s1 * s1
    out = np.empty_like(values)
    for column in range(values.shape[1]):
        t0, t1 = total(padded[:, column], 0), total(padded[:, column], 1)
        # A run of one frame has no slope: there the mean is the value itself.
        line = (s2 * t0 - s1 * t1) / np.where(determinant > 1e-9, determinant, 1)
        out[:, column] = np.where(determinant > 1e-9, line, t0 / s0)
    return out


def _sticky(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole numbers near the values that do not flutter between neighbours: fresh."""
    out = np.empty_like(values)
    held = np.round(values[0])
    for i, value in enumerate(values):
        held = np.where(np.abs(value - held) > STICKY, np.round(value), held)
        out[i] = held
    return out
