"""The kernels as Python functions: the door to all of them, one compiled file each."""

from ._arguments import ISA, available_isas
from ._blend import blend
from ._convert import convert, to_planes
from ._match import colour_planes, match_colour
from ._mel import mel
from ._patch import patch
from ._resize import ResizePlan, resize
from ._spectrum import SCRATCH as SPECTRUM_SCRATCH
from ._spectrum import spectrum
from ._yuv import blend_i420, from_i420, i420_planes, i420_size, to_i420

__all__ = [
    "ISA",
    "SPECTRUM_SCRATCH",
    "ResizePlan",
    "available_isas",
    "blend",
    "blend_i420",
    "colour_planes",
    "convert",
    "from_i420",
    "i420_planes",
    "i420_size",
    "match_colour",
    "mel",
    "patch",
    "resize",
    "spectrum",
    "to_i420",
    "to_planes",
]
