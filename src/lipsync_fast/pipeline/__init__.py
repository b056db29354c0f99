"""From speech to frames: features, models and compositor, wired together."""

from .mouth import MouthOptions
from .pipeline import Pipeline, PipelineStats
from .speech import Request, SpeechFeatures
from .stages import StageStats
from .target import render_target

__all__ = [
    "MouthOptions",
    "Pipeline",
    "PipelineStats",
    "Request",
    "SpeechFeatures",
    "StageStats",
    "render_target",
]
