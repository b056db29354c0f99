"""Surgery on the user's own models: a free batch axis, half precision.

Each function reads an ONNX file, writes the new one under a temporary name, runs both to prove
that they draw the same pictures, and only then renames the new one.
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
