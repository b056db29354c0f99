"""Every preset on real frames: finished frames equal those of the family's own script."""

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")
import cv2
import onnxruntime
from tests.support.nets import mixing_generator
from tests.support.scripts import FRAME

from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.presets import PRESETS
from lipsync_fast.templates.template import Template
from lipsync_fast.timing import Loop

# The woman's square, her face box, one that is larger than every crop, and one at the edge.
RECTS = [(515, 720, 178, 178), (491, 615, 187, 263), (380, 520, 450, 430), (900, 1700, 180, 220)]
# The rect of the lite-avatar net, a square and a box of that person's face, one at the corner.
STILL_RECTS = [(278, 355, 419, 289), (331, 342, 277, 277), (300, 230, 330, 401), (0, 0, 340, 500)]
SMALL = [(60, 40, 100, 90), (161, 30, 57, 131), (0, 0, 97, 60), (219, 170, 101, 70)]


def drawn(count=4):
    """Frames of smooth noise, if the real ones are missing."""
    rng = np.random.default_rng(8)
    small = rng.integers(0, 256, (count, 12, 16, 3), np.uint8)
    frames = [cv2.resize(s, (320, 240), interpolation=cv2.INTER_CUBIC).astype(int) for s in small]
    return [np.clip(f + rng.integers(-5, 6, f.shape), 0, 255).astype(np.uint8) for f in frames]


REAL = {"woman": RECTS, "still_woman": STILL_RECTS}


@pytest.fixture(params=["drawn", *(pytest.param(n, marks=pytest.mark.assets) for n in REAL)])
def people(request):
    """Frames and a rect in each."""
    if request.param == "drawn":
        return drawn(), SMALL
    frames = request.getfixturevalue(request.param)
    return [*frames, frames[0]], REAL[request.param]


@pytest.mark.parametrize("name", PRESETS)
def test_frames_are_those_of_the_familys_script(name, people, tmp_path):
    frames, rects = people
    preset = PRESETS[name]
    path = mixing_generator(tmp_path / "net.onnx", preset, batch=1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    heard = rng.normal(0, 1, (len(frames), *preset.audio_shape)).astype(np.float32)
    constants = {n: np.array(v, np.float32) for n, v in preset.constants}
    rate = preset.feature_rate or 25
    template = Template.from_arrays(frames, rects, preset=preset, fps=rate, loop=Loop("forward", 0))
    with Pipeline.open(template, path) as pipeline:
        finished = [f.array for f in pipeline.composite(heard)]
    for i, (frame, rect) in enumerate(zip(frames, rects, strict=True)):

        def predict(visual, window=heard[i]):
            assert visual.dtype == np.float32
            feeds = {preset.image_input: visual[None], preset.audio_input: window[None]}
            return session.run(None, feeds | constants)[0][0]

        x, y, w, h = rect
        h, w = min(h, frame.shape[0] - y), min(w, frame.shape[1] - x)
        wanted = FRAME[name](frame, (x, y, w, h), predict)
        off = np.abs(finished[i].astype(int) - wanted)
        assert off.max() <= 1, f"frame {i}: {off.max()} levels"
        # The scripts truncate where they blend, and we round.
        assert off[y : y + h, x : x + w].mean() < (0.5 if preset.edge else 0.1)
        changed = np.abs(wanted[y : y + h, x : x + w].astype(int) - frame[y : y + h, x : x + w])
        assert changed.mean() > 5, "the model must be seen in the frame"
        off[y : y + h, x : x + w] = 0
        assert not off.any()
