"""From a lip-sync net's output to finished full-HD frames, touching only the mouth."""

from ._version import __version__

try:
    from . import kernels as kernels
except ImportError as error:
    raise ImportError(
        "lipsync_fast: its compiled parts could not be loaded "
        f"({error}); install it with `pip install .` and do not import it from its source folder"
    ) from error

from .audio import (
    FeatureFile,
    FeatureStream,
    MelStream,
    NoiseGate,
    SilenceFades,
    feature_windows,
    frame_count,
    mel_spectrogram,
)
from .compositing import ColourSmoother, Compositor, CompositorStats, Frame, Frames, seam_error
from .errors import LipsyncError
from .kernels import (
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
from .kernels._jpeg import JpegEncoder
from .kernels._splice import SplicedJpeg
from .memory._pool import BufferPool, default_pool
from .nets.encoders import HubertEncoder, WenetEncoder
from .nets.generator import AudioEncoder, DeviceOptions, Generator
from .nets.resident import ResidentGenerator
from .pipeline.pipeline import Pipeline
from .preparation.prepare import prepare
from .presets import PRESETS, Preset, load_preset
from .templates.template import Template

__all__ = [
    "PRESETS",
    "AudioEncoder",
    "BufferPool",
    "ColourSmoother",
    "Compositor",
    "CompositorStats",
    "DeviceOptions",
    "FeatureFile",
    "FeatureStream",
    "Frame",
    "Frames",
    "Generator",
    "HubertEncoder",
    "JpegEncoder",
    "LipsyncError",
    "MelStream",
    "NoiseGate",
    "Pipeline",
    "Preset",
    "ResidentGenerator",
    "ResizePlan",
    "SilenceFades",
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
    "load_preset",
    "match_colour",
    "mel_spectrogram",
    "prepare",
    "resize",
    "seam_error",
    "to_i420",
    "to_planes",
]
