"""The compiled kernels as Python functions: one front for all, one file for each operation."""

from ._arguments import ISA, available_isas
from ._blend import blend
from ._convert import convert, to_planes
from ._jpeg import JpegEncoder
from ._match import colour_planes, match_colour
from ._mel import mel
from ._patch import patch
from ._resize import ResizePlan, resize
from ._spectrum import SCRATCH as SPECTRUM_SCRATCH
from ._spectrum import spectrum
from ._splice import SplicedJpeg
from ._yuv import blend_i420, from_i420, i420_planes, i420_size, to_i420

__all__ = [  # noqa: RUF022 (grouped by subject)
    # instruction sets
    "ISA",
    "available_isas",
    # packed pixels
    "blend",
    "ResizePlan",
    "resize",
    "colour_planes",
    "match_colour",
    # a generator's planes
    "convert",
    "to_planes",
    "patch",
    # I420
    "blend_i420",
    "from_i420",
    "i420_planes",
    "i420_size",
    "to_i420",
    # JPEG
    "JpegEncoder",
    "SplicedJpeg",
    # sound
    "SPECTRUM_SCRATCH",
    "mel",
    "spectrum",
]
