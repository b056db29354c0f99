"""Presets: the contracts of the model families, and which of them a net fits."""

from .detect import find_preset
from .families import PRESETS, get_preset
from .preset import FEATHERS, FEATURES, LOOPS, ROW_SIZES, Preset

__all__ = [
    "FEATHERS",
    "FEATURES",
    "LOOPS",
    "PRESETS",
    "ROW_SIZES",
    "Preset",
    "find_preset",
    "get_preset",
]
