"""Presets: the contracts of the model families, and which of them a net fits."""

from .finding import find_preset
from .row import FEATHERS, FEATURES, LOOPS, ROW_SIZES, Preset
from .rows import PRESETS, get_preset

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
