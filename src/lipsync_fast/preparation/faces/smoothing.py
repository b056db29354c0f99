"""Corners over time, smoothed and made into one rect a frame."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...templates.rects import visible_parts
from ..boxes import from_corners, iou

__all__ = [
    "CENTRE_SIGMA",
    "CENTRE_SLACK",
    "SIZE_SIGMA",
    "SMOOTHING",
    "follow_line",
    "local_line",
    "rects_of_corners",
    "reference_corners",
    "runs",
    "smooth_corners",
    "steady_corners",
]

SMOOTHING = ("steady", "reference", "none")
REFERENCE_WINDOW = 5

# Standard deviations, in seconds, of the weights that steady_corners gives to neighbouring
# frames. 0.08 s removes two thirds of a detector's jitter and still follows a nod.
CENTRE_SIGMA = 0.08
SIZE_SIGMA = 0.32
# By which part of the face's side those weights may draw a frame away from its own corners; where
# a head moves harder, narrower ones count. Less would follow the tremble of calm faces.
CENTRE_SLACK = 0.012
SIZE_SLACK = 0.025
# Weights from narrow to wide, as parts of the standard deviation.
_WIDTHS = (0.1, 0.15, 0.25, 0.4, 0.65, 1.0)
_SURE = 0.8  # standard deviations of a fit's noise on either side of it
# Half a size, in whole pixels, changes only when the smooth value is this far from it.
STICKY = 0.75


def runs(corners: NDArray[np.floating[Any]], cuts: bool = False) -> list[slice]:
    """Return the stretches of neighbouring frames that show a face.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    cuts : bool
        Also divide where the corners of neighbouring frames share less than a third.
    """
    seen = np.isfinite(corners).all(axis=1)
    joined = seen[1:] & seen[:-1]
    if cuts:
        boxes = from_corners(corners)
        for i in np.flatnonzero(joined):
            joined[i] = iou(boxes[i : i + 1], boxes[i + 1 : i + 2])[0, 0] >= 1 / 3
    starts = np.flatnonzero(seen & ~np.concatenate([[False], joined]))
    stops = np.flatnonzero(seen & ~np.concatenate([joined, [False]])) + 1
    return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def steady_corners(
    corners: NDArray[np.floating[Any]], fps: Fraction | float
) -> NDArray[np.float64]:
    """Remove the detector's jitter from corners, without lag.

    Centre and size follow a straight line fitted to the frames before and after, weighted by
    a Gaussian (σ 0.08 s for the centre, 0.32 s for the size), each stretch of frames with a
    face by itself. The weights are even in time, so that motion comes neither late nor early,
    and a line does not pull the ends inwards. Where a head starts, stops or turns so hard that
    no line fits, fewer frames count, down to the frame alone: see `follow_line`. Centre and half
    the size then become whole pixels; a size changes only where the smooth value of its half is
    more than 0.75 away.

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
    (its local line without the robust passes).
    """
    out = np.full(corners.shape, np.nan)
    for run in runs(corners, cuts=True):
        part = np.asarray(corners[run], np.float64)
        centre, size = (part[:, :2] + part[:, 2:]) / 2, part[:, 2:] - part[:, :2]
        side = size.mean(axis=1)
        centre = follow_line(centre, CENTRE_SIGMA * float(fps), CENTRE_SLACK * side)
        size = follow_line(size, SIZE_SIGMA * float(fps), SIZE_SLACK * side)
        square = np.allclose(part[:, 2] - part[:, 0], part[:, 3] - part[:, 1], rtol=0, atol=1e-3)
        # Sizes are even: a change of size then leaves the centre where it is.
        half = _sticky(size / 2)
        if square:
            half[:, 1] = half[:, 0]
        centre = np.round(centre)
        out[run] = np.concatenate([centre - half, centre + half], axis=1)
    return out


def reference_corners(
    corners: NDArray[np.floating[Any]], rule: str, width: int, height: int
) -> NDArray[np.float64]:
    """Smooth corners as the preset's own script does.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    rule : {"box", "square"}
        ``"box"``: clip to the frame, then truncate the mean of the boxes [i, i + 5); the last
        four frames share the final five boxes, as far as those are smoothed by then.
        ``"square"``: the square of truncated points.
    width, height : int
        Size of the frame in pixels.

    Returns
    -------
    (n, 4) float64, fresh
        Whole numbers, or NaN.

    References
    ----------
    Wav2Lip, inference.py, get_smoothened_boxes, which works in place on integers.
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
    """Turn corners into rects, which may reach over the frame's border.

    Returns
    -------
    (n, 4) int32, fresh
        x, y, w, h; all 0 without a face, or where more than a third of it lies outside.
    """
    # NaN becomes 0, and its rect an empty one.
    rects = from_corners(np.nan_to_num(np.trunc(corners)).astype(np.int32))
    rects[visible_parts(rects, width, height)[:, 2] == 0] = 0
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
    """Make a clip's rects from its face's corners, smoothed in one of three ways.

    Parameters
    ----------
    corners : (n, 4) floats
        xmin, ymin, xmax, ymax; NaN where there is no face.
    smooth : {"steady", "reference", "none"}
        By `steady_corners`, by `reference_corners`, or not at all.
    rule : {"box", "square"}
        `Preset.rect_rule`.
    fps : number
        Frames a second.
    width, height : int
        Size of the frame in pixels.

    Returns
    -------
    (n, 4) int32, fresh
        As `rects_of_corners`.

    Raises
    ------
    InputError
        `smooth` is another word.
    """
    if smooth not in SMOOTHING:
        raise InputError(f"smooth must be one of {', '.join(SMOOTHING)}, got {smooth!r}")
    if smooth == "steady":
        corners = steady_corners(corners, fps)
    elif smooth == "reference" or rule == "square":
        # No script smooths squares.
        if rule == "box":  # which the script clips, so that their proportions are lost
            outside = rects_of_corners(corners, width, height)[:, 2] == 0
            corners = np.where(outside[:, None], np.nan, corners)
        corners = reference_corners(corners, rule, width, height)
    return rects_of_corners(corners, width, height)


def local_line(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Fit a line to each frame's neighbours; return its value there: (n, m) to (n, m), fresh.

    `sigma` of the Gaussian weights is in frames.
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
        # A run of one frame has no slope; its mean is the value itself.
        line = (s2 * t0 - s1 * t1) / np.where(determinant > 1e-9, determinant, 1)
        out[:, column] = np.where(determinant > 1e-9, line, t0 / s0)
    return out


def follow_line(
    values: NDArray[np.float64], sigma: float, slack: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Fit lines as `local_line` does, to fewer neighbours where the values leave a line.

    Each value takes the widest fit that agrees with all narrower ones, within their noise and
    the slack: their intervals have a point in common.

    Parameters
    ----------
    values : (n, m) float64
    sigma : float
        Of the widest Gaussian weights, in frames.
    slack : (n,) floats
        Half the width that the interval of a fit without noise has.

    Returns
    -------
    (n, m) float64, fresh

    References
    ----------
    A. Goldenshluger, A. Nemirovski, "On Spatially Adaptive Estimation of Nonparametric
    Regression", 1997.
    """
    noise = _SURE * _noise(values)
    out = values
    low, high = values - noise - slack[:, None], values + noise + slack[:, None]
    for width in (sigma * part for part in _WIDTHS):
        fit = local_line(values, width)
        kept = min(1.0, (4 * np.pi * width**2) ** -0.25)  # of the noise, in a line over many frames
        reach = kept * noise + slack[:, None]
        low, high = np.maximum(low, fit - reach), np.minimum(high, fit + reach)
        out = np.where(low <= high, fit, out)  # once they part, they do not meet again
    return out


def _noise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of the noise in each column: (m,), fresh; 0 where unknown.

    It is told from the median of differences, which a few hard motions do not change, of the
    order that leaves least of the motion.
    """
    found = np.full(values.shape[1], np.inf)
    for order in (2, 3, 4):
        if len(values) > order:
            steps = np.median(np.abs(np.diff(values, order, axis=0)), axis=0)
            found = np.minimum(found, steps / 0.6745 / comb(2 * order, order) ** 0.5)
    return np.where(np.isfinite(found), found, 0.0)


def _sticky(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round values to whole numbers that do not flutter between neighbours; fresh."""
    out = np.empty_like(values)
    held = np.round(values[0])
    for i, value in enumerate(values):
        held = np.where(np.abs(value - held) > STICKY, np.round(value), held)
        out[i] = held
    return out
