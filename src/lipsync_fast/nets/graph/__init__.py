"""Surgery on the user's own models: a free batch axis, half precision.

Each function reads an ONNX file, writes another beside it, proves by running both that it
draws the same pictures, and only then gives it its name.
"""

from .batch import make_batch_dynamic
from .embed import cached_resident, make_resident
from .half import make_half
from .onnx_file import ModelFacts, describe

__all__ = [
    "ModelFacts",
    "cached_resident",
    "describe",
    "make_batch_dynamic",
    "make_half",
    "make_resident",
]
