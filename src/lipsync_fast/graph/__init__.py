"""Surgery on the user's own nets: a free batch axis, half precision.

Each function reads an ONNX file, writes another beside it, proves by running both that it
draws the same pictures, and only then gives it its name.
"""

from .batch import make_batch_dynamic
from .files import ModelFacts, describe
from .half import make_half

__all__ = ["ModelFacts", "describe", "make_batch_dynamic", "make_half"]
