"""A look at the first outputs of a model: are they pictures, on the scale that was agreed?"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..presets import Preset

__all__ = ["look_at_outputs"]

_log = logging.getLogger(__name__)

_MOST_FRAMES = 8
_MOST_BEYOND = 0.01  # share of values beyond the range by half of it: models overshoot at edges


def look_at_outputs(outputs: NDArray[Any], preset: Preset) -> bool:
    """Reject outputs that are no pictures in the preset's range; one look is enough.

    Parameters
    ----------
    outputs : (N, 3, S, S) float32 or (N, S, S, 3) uint8
        Of frames that show a mouth; the first eight are looked at.
    preset : Preset

    Returns
    -------
    bool
        Whether there was something to look at.

    Raises
    ------
    InputError
        If a value is NaN or infinite, or the values are wrong by a factor or an offset.
    """
    looked = outputs[:_MOST_FRAMES]
    if looked.size == 0:
        return False
    least, most = float(looked.min()), float(looked.max())
    if least == most:
        _log.warning(
            "the first mouths are of one colour, %g all over; a model that makes NaN inside may "
            "look so: check what it is given, and its precision",
            least,
        )
    if looked.dtype == np.uint8:
        if 0 < most <= 1:
            raise InputError(
                f"pictures must have levels from 0 to 255, got {least:g} to {most:g}; multiply the "
                "model's output by 255 before it becomes uint8"
            )
        return True
    low, high = preset.low, preset.high
    if not np.isfinite(least) or not np.isfinite(most):
        raise InputError(
            f"outputs must be numbers from {low:g} to {high:g} for preset {preset.name}, got "
            f"{least:g} to {most:g}; check what the model was given, and its precision"
        )
    hint = _mistake(looked, least, most, preset)
    if hint:
        raise InputError(
            f"outputs must lie between {low:g} and {high:g} for preset {preset.name}, got "
            f"{least:g} to {most:g}; {hint}"
        )
    return True


def _mistake(outputs: NDArray[np.float32], least: float, most: float, preset: Preset) -> str:
    """Return how to mend outputs of another scale, "" where they have the preset's."""
    low, high = preset.low, preset.high
    span = high - low
    beyond = (outputs < low - span / 2) | (outputs > high + span / 2)
    if np.count_nonzero(beyond) > _MOST_BEYOND * outputs.size:
        if least >= -span and span * 100 < most <= 300:
            return f"divide by {255 / span:g}{_then_add(low)}"
        if low == 0 and least >= -1.5 * high and most <= 1.5 * high:
            return f"add {high:g}, then divide by 2"
        return "scale them, or name the preset of the model's family"
    if least == most:
        return ""  # one colour tells nothing
    if most - least < span / 100 and max(abs(least), abs(most)) < span / 100:
        return "multiply by 255"
    middle = (low + high) / 2
    if low < 0 and least >= middle - span / 50:  # no face is without a dark pixel
        return f"multiply by {span / high:g}{_then_add(low)}"
    return ""


def _then_add(low: float) -> str:
    return "" if low == 0 else f", then subtract {-low:g}"
