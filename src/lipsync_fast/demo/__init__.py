"""The embedded default: a drawn person, two tiny nets and speech-like sound, without any file.

All of it is a drawing and says so: the nets hold to the synctalk328 contract, but open a mouth
by rule and were never trained.

`draw_frames` and `mouth_rects` are what a template is made of, `GENERATOR` and `AUDIO_ENCODER`
the nets of preset `PRESET`, `speech` the sound. `build_nets` writes the nets anew.
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
