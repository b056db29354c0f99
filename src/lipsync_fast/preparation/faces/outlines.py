"""Masks from face landmarks: the lower face of every frame as alpha over its rect."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .smoothing import CENTRE_SIGMA, CENTRE_SLACK, SIZE_SIGMA, follow_line, local_line, runs

__all__ = ["OUTLINE", "lower_face", "outline_mask", "steady_outlines"]

# Points of the 478-point mesh round the lower face: below the eyes from the subject's right ear
# over the bridge of the nose to the left one, then back along the jaw.
UPPER = 13  # of the points lie below the eyes
OUTLINE = (
    *(234, 117, 118, 119, 120, 121, 197, 350, 349, 348, 347, 346, 454),
    *(323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93),
)
# The outline grows by this factor from the middle of its upper side: a generated jaw opens
# further than the filmed one, and the eyes stay as they are.
GROWTH = 1.08
# σ of the blur in widths of the outline. With GROWTH the filmed chin keeps 0.9 of its alpha.
SOFTNESS = 0.035
_FINE = 4  # outlines are drawn in quarters of a pixel, so that they do not jump by whole ones


def lower_face(mesh: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the lower face's outline, `OUTLINE` of a (478, 2 or 3) mesh, as (P, 2), fresh."""
    return np.array(mesh, np.float64)[list(OUTLINE), :2]


def steady_outlines(
    outlines: NDArray[np.floating[Any]], rects: NDArray[np.integer[Any]], fps: Fraction | float
) -> NDArray[np.float64]:
    """Smooth outlines without lag, one for every rect.

    A frame with a rect but without an outline takes it from its neighbours, moved and
    stretched with the rect. Middle and shape then follow a straight line fitted to the frames
    before and after: the middle as the rect's does, the shape, in sides of the rect, with
    σ 0.32 s, so that the filmed mouth's own speech hardly moves it.

    Parameters
    ----------
    outlines : (n, P, 2) floats
        x, y in pixels of the frame; NaN where none was found. At least one frame with a rect
        has an outline.
    rects : (n, 4) integers
        x, y, w, h; w = h = 0 where there is no face.
    fps : number
        Frames a second.

    Returns
    -------
    (n, P, 2) float64, fresh
        In pixels of the frame; NaN where there is no rect.
    """
    count, points = outlines.shape[:2]
    places = rects.astype(np.float64)
    shown = np.flatnonzero(places[:, 2] > 0)
    centre, size = (places[:, :2] + places[:, 2:] / 2)[:, None], places[:, None, 2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = ((outlines - centre) / size).reshape(count, -1)
    found = shown[np.isfinite(relative[shown]).all(axis=1)]
    filled = np.full((count, points, 2), np.nan)
    columns = [np.interp(shown, found, column) for column in relative[found].T]
    filled[shown] = np.stack(columns, axis=1).reshape(-1, points, 2) * size[shown] + centre[shown]
    out = np.full_like(filled, np.nan)
    corners = np.concatenate([filled.min(axis=1), filled.max(axis=1)], axis=1)
    for run in runs(corners, cuts=True):
        middle, side = filled[run].mean(axis=1), places[run, 2:].mean(axis=1)
        shape = (filled[run] - middle[:, None]) / side[:, None, None]
        steady = local_line(shape.reshape(len(middle), -1), SIZE_SIGMA * float(fps))
        middle = follow_line(middle, CENTRE_SIGMA * float(fps), CENTRE_SLACK * side)
        out[run] = steady.reshape(-1, points, 2) * side[:, None, None] + middle[:, None]
    return out


def outline_mask(
    outline: NDArray[np.floating[Any]], rect: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Draw an outline as alpha over a rect.

    The outline, grown by 8 % from the middle of its upper side, is filled and blurred by a
    Gaussian whose σ is 3.5 % of the outline's width.

    Parameters
    ----------
    outline : (P, 2) floats
        x, y in pixels of the frame, as `lower_face` orders them.
    rect : (x, y, w, h)

    Returns
    -------
    (h, w) uint8, fresh
        255 shows the patch alone.
    """
    x, y, width, height = rect
    top = outline[:UPPER].mean(axis=0)
    grown = (outline - top) * GROWTH + top - (x, y)
    sigma = SOFTNESS * float(np.ptp(outline[:, 0]))
    # The blur reads beyond the rect.
    beside = int(np.ceil(3 * sigma))
    fine = Image.new("L", ((width + 2 * beside) * _FINE, (height + 2 * beside) * _FINE))
    corners = ((grown + beside) * _FINE - 0.5).ravel().tolist()
    ImageDraw.Draw(fine).polygon(corners, fill=255)
    soft = fine.reduce(_FINE).filter(ImageFilter.GaussianBlur(sigma))
    return np.array(soft)[beside : beside + height, beside : beside + width]
