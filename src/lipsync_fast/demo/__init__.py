"""The built-in demo: a drawn person, two tiny models and speech-like sound.

It needs none of the user's files. The models fulfil the synctalk328 contract, but open a mouth
by rule and were never trained.

`draw_frames` and `mouth_rects` make a template, `GENERATOR` and `AUDIO_ENCODER` are the models
for preset `PRESET`, `speech` makes the sound. `build_nets` rebuilds the models.
"""

from pathlib import Path

from .person import COUNT, FPS, HEIGHT, WIDTH, draw_frames, mouth_rects
from .speech import SAMPLE_RATE, speech

__all__ = [
    "AUDIO_ENCODER",
    "COUNT",
    "FPS",
    "GENERATOR",
    "HEIGHT",
    "PRESET",
    "SAMPLE_RATE",
    "WIDTH",
    "draw_frames",
    "mouth_rects",
    "speech",
]

PRESET = "synctalk328"
GENERATOR = Path(__file__).parent / "generator.onnx"
AUDIO_ENCODER = Path(__file__).parent / "audio_encoder.onnx"
