"""From a lip-sync net's output to finished full-HD frames, touching only the mouth."""

from ._version import __version__

try:
    from . import _kernels as _kernels
except ImportError as error:
    raise ImportError(
        "lipsync_fast: its compiled parts could not be loaded "
        f"({error}); install it with `pip install .` and do not import it from its source folder"
    ) from error

from ._jpeg import JpegEncoder
from ._kernels import (
    ResizePlan,
    blend,
    blend_i420,
    colour_planes,
    convert,
    from_i420,
    match_colour,
    resize,
    to_i420,
    to_planes,
)
from ._pool import BufferPool, default_pool
from ._splice import SplicedJpeg
from .audio import FeatureStream, feature_windows, frame_count
from .compositor import Compositor, Frame, Frames
from .errors import LipsyncError
from .features import FeatureFile
from .mel import MelStream, mel_spectrogram
from .pipeline import Pipeline
from .prepare import prepare
from .presets import PRESETS, Preset
from .resident import ResidentGenerator
from .row_encoders import HubertEncoder, WenetEncoder
from .seams import ColourTrack, seam_error
from .session import AudioEncoder, Generator, SessionOptions
from .silence import Fades, Hush
from .template import Template

__all__ = [
    "PRESETS",
    "AudioEncoder",
    "BufferPool",
    "ColourTrack",
    "Compositor",
    "Fades",
    "FeatureFile",
    "FeatureStream",
    "Frame",
    "Frames",
    "Generator",
    "HubertEncoder",
    "Hush",
    "JpegEncoder",
    "LipsyncError",
    "MelStream",
    "Pipeline",
    "Preset",
    "ResidentGenerator",
    "ResizePlan",
    "SessionOptions",
    "SplicedJpeg",
    "Template",
    "WenetEncoder",
    "__version__",
    "blend",
    "blend_i420",
    "colour_planes",
    "convert",
    "default_pool",
    "feature_windows",
    "frame_count",
    "from_i420",
    "match_colour",
    "mel_spectrogram",
    "prepare",
    "resize",
    "seam_error",
    "to_i420",
    "to_planes",
]
