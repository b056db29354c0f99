"""A small made-up person for tests: pictures, a template, speech, and frames as pixels."""

import io

import numpy as np
from PIL import Image

from lipsync_fast import kernels
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.template import Template

WIDTH, HEIGHT = 240, 180
NO_FACE = 2  # the frame without a face
RECTS = [(60, 40, 100, 90), (61, 40, 100, 90), (0, 0, 0, 0), (62, 41, 101, 91), (63, 41, 99, 90)]
COUNT = len(RECTS)


def photo(seed, width=WIDTH, height=HEIGHT):
    """A grey ramp with grain: (height, width, 3) uint8, bgr24."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(30, 200, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    return np.clip(ramp + rng.normal(0, 2, (height, width, 3)), 0, 255).astype(np.uint8)


def template_of(preset, *, seed=0, fps=None, count=COUNT):
    """A template in memory of `count` frames of 240 × 180; the third has no face."""
    if fps is None:
        fps = get_preset(preset).feature_rate or 25
    frames = [photo(seed + i) for i in range(count)]
    return Template.from_arrays(frames, RECTS[:count], preset=preset, fps=fps)


def windows_of(preset, count, seed=1):
    """Random feature windows: (count, *audio_shape) float32."""
    draw = np.random.default_rng(seed)
    return draw.standard_normal((count, *preset.audio_shape)).astype(np.float32)


def speech(seconds=2.0, seed=0):
    """Noise whose loudness rises and falls, float32 at 16 kHz."""
    rng = np.random.default_rng(seed)
    n = int(seconds * 16000)
    envelope = 0.5 - 0.5 * np.cos(np.arange(n) / 16000 * 2 * np.pi * 1.5)
    return (rng.normal(0, 0.2, n) * envelope).astype(np.float32)


def frames_of(pipeline, features, start=0, format="bgr24"):
    """The frames of one request, copied and stacked."""
    with pipeline.composite(features, start, format=format) as frames:
        return np.stack([frame.array.copy() for frame in frames])


def as_bgr24(frame, template):
    """Any frame as (H, W, 3) uint8, bgr24."""
    if frame.format == "jpeg":
        return np.asarray(Image.open(io.BytesIO(frame.data)).convert("RGB"))[..., ::-1]
    if frame.format == "i420":
        return kernels.from_i420(frame.array, width=template.width, height=template.height)
    return frame.array[..., 2::-1] if frame.format == "rgba" else frame.array
