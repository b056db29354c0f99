"""Mouths in wrong colours, and the seams they would leave, for tests of edges and colours."""

import numpy as np

from lipsync_fast.compositing import seam_error
from lipsync_fast.templates.crops import pack_crop
from tests.support import reference

# Rects of the three frames of the fixture `woman`.
WOMAN = [(515, 720, 178, 178), (505, 741, 183, 183), (497, 749, 186, 186)]


def insets(frame, rect):
    """`seam_error` of the rect and of those 1 to 20 pixels inside it.

    A synctalk mouth begins up to 4 px inside its rect, and a feather must not move its border.
    """
    x, y, w, h = (int(v) for v in rect)
    return np.array([seam_error(frame, (x + k, y + k, w - 2 * k, h - 2 * k)) for k in range(21)])


def drifting(template):
    """Draw pictures like a model whose colours are wrong: (N, 3, S, S) float32."""
    preset = template.preset
    first = 3 * preset.visual.split("+").index("reference")
    planes = np.stack([pack_crop(crop, preset)[first : first + 3] for crop in template.crops])
    return np.clip(
        planes + reference.drift(preset) + np.float32(0.5 / 255), preset.low, preset.high
    )
