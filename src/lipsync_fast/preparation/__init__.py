"""From a filmed person, or another system's avatar, to a template."""

from .faces.detector import FaceDetector
from .faces.mesh import FaceLandmarks
from .options import FaceOptions
from .prepare import prepare
from .rect_files import read_rects
from .report import PreparationReport

__all__ = [
    "FaceDetector",
    "FaceLandmarks",
    "FaceOptions",
    "PreparationReport",
    "prepare",
    "read_rects",
]
