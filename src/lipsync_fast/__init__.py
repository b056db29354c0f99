"""From a lip-sync model's output to finished full-HD frames, touching only the mouth.

Each name here comes from one package, and the packages stand in the order of the road: a
template and speech in, finished frames out.
"""
# ruff: noqa: I001, RUF022 - by package, from the road down to its stones

from ._version import __version__

try:
    from . import kernels as kernels
except ImportError as error:
    raise ImportError(
        "lipsync_fast: its compiled parts could not be loaded "
        f"({error}); install it with `pip install .` and do not import it from its source folder"
    ) from error

# preparation: a video or folder becomes a template
from .preparation import FaceOptions, prepare

# pipeline: the road, from speech to frames
from .pipeline import MouthOptions, Pipeline, PipelineStats, SpeechFeatures

# templates: a prepared person, in memory or on disk
from .templates import JpegSettings, Template, TemplateOptions, TemplateWriter

# presets: the contracts of model families
from .presets import PRESETS, Preset, get_preset, load_preset

# audio: speech to what a generator hears
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

# nets: generators and audio encoders; nets.graph changes ONNX files
from .nets import (
    AudioEncoder,
    DeviceOptions,
    Generator,
    HubertEncoder,
    ResidentGenerator,
    WenetEncoder,
)
from .nets import graph

# compositing: mouths onto backgrounds
from .compositing import ColourSmoother, Compositor, CompositorStats, Frame, Frames, seam_error

# media: video, sound and images in and out
from . import media

# kernels: the operations by themselves
from .kernels import (
    JpegEncoder,
    ResizePlan,
    SplicedJpeg,
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

# memory: arrays whose memory comes back by itself
from .memory import BufferPool, PoolStats, default_pool

# formats, timing and errors: what all of them speak of
from .formats import VideoFormat
from .timing import Loop
from . import errors
from .errors import LipsyncError, PoolExhausted

__all__ = [
    "__version__",
    # preparation
    "FaceOptions",
    "prepare",
    # pipeline
    "MouthOptions",
    "Pipeline",
    "PipelineStats",
    "SpeechFeatures",
    # templates
    "JpegSettings",
    "Template",
    "TemplateOptions",
    "TemplateWriter",
    # presets
    "PRESETS",
    "Preset",
    "get_preset",
    "load_preset",
    # audio
    "FeatureFile",
    "FeatureStream",
    "MelStream",
    "NoiseGate",
    "SilenceFades",
    "feature_windows",
    "frame_count",
    "mel_spectrogram",
    # nets
    "AudioEncoder",
    "DeviceOptions",
    "Generator",
    "HubertEncoder",
    "ResidentGenerator",
    "WenetEncoder",
    "graph",
    # compositing
    "ColourSmoother",
    "Compositor",
    "CompositorStats",
    "Frame",
    "Frames",
    "seam_error",
    # media
    "media",
    # kernels
    "JpegEncoder",
    "ResizePlan",
    "SplicedJpeg",
    "blend",
    "blend_i420",
    "colour_planes",
    "convert",
    "from_i420",
    "match_colour",
    "resize",
    "to_i420",
    "to_planes",
    # memory
    "BufferPool",
    "PoolStats",
    "default_pool",
    # formats, timing, errors
    "Loop",
    "VideoFormat",
    "LipsyncError",
    "PoolExhausted",
    "errors",
]


def __dir__() -> list[str]:
    return sorted(__all__)
