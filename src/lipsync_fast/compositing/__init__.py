"""Put generated mouths on a template's backgrounds: model outputs in, finished frames out."""

from .canvas import Canvas
from .colour import ColourSmoother
from .compositor import Compositor
from .frames import CompositorStats, Frame, Frames
from .seams import seam_error

__all__ = [
    "Canvas",
    "ColourSmoother",
    "Compositor",
    "CompositorStats",
    "Frame",
    "Frames",
    "seam_error",
]
