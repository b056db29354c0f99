"""The contracts of model families, and the search for the one that fits a model."""

from .detect import find_preset, fit_preset, shape_fits
from .families import PRESETS, get_preset, load_preset
from .preset import FEATHERS, FEATURES, ROW_SIZES, Preset

__all__ = [
    "FEATHERS",
    "FEATURES",
    "PRESETS",
    "ROW_SIZES",
    "Preset",
    "find_preset",
    "fit_preset",
    "get_preset",
    "load_preset",
    "shape_fits",
]
