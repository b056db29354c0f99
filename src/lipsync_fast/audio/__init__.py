"""Speech samples to what a generator hears: mel, feature windows, silence; no model, no device."""

from .feature_file import FeatureFile
from .feature_source import FeatureSource
from .feature_stream import FeatureStream, feature_windows
from .lite_avatar import LiteAvatarDriver
from .mel import SAMPLE_RATE, MelStream, mel_spectrogram
from .silence import SILENCE, NoiseGate, SilenceFades
from .windows import Driver, frame_count

__all__ = [
    "SAMPLE_RATE",
    "SILENCE",
    "Driver",
    "FeatureFile",
    "FeatureSource",
    "FeatureStream",
    "LiteAvatarDriver",
    "MelStream",
    "NoiseGate",
    "SilenceFades",
    "feature_windows",
    "frame_count",
    "mel_spectrogram",
]
