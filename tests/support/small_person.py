"""A small person and speech for the tests of faults."""

import time

import numpy as np
import pytest

from lipsync_fast.formats import VideoFormat
from lipsync_fast.pipeline import Pipeline
from lipsync_fast.presets import get_preset
from lipsync_fast.templates import TemplateOptions, TemplateWriter
from tests.support.jpeg_tools import photo

PRESET = get_preset("wav2lip96")
WIDTH, HEIGHT, COUNT = 160, 120, 4
RECT = (40, 30, 60, 62)
FORMATS = ("jpeg", "i420", "bgr24", "rgba")
OUTPUTS = np.random.default_rng(4).random((COUNT, 3, 96, 96), np.float32)


def photos(rng):
    return [photo(rng, HEIGHT, WIDTH) for _ in range(COUNT)]


def write_template(path, frames, rect=RECT, store=("jpeg", "i420", "bgr24")):
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=store)
    with TemplateWriter(path, video, preset=PRESET, options=options) as writer:
        for frame in frames:
            writer.add(rect, bgr24=frame)
    return path


def finished(compositor):
    """Bytes of every background, finished in every format."""
    made = {}
    for format in FORMATS:
        with compositor.composite(OUTPUTS, range(COUNT), format=format) as lent:
            made[format] = [bytes(frame.data) for frame in lent]
    return made


def speech(seconds=2.0):
    return np.random.default_rng(2).normal(0, 0.1, int(16000 * seconds)).astype(np.float32)


def open_pipeline(folder, net):
    """A pipeline with the tiny generator, which is written to `net`."""
    pytest.importorskip("onnxruntime")
    nets = pytest.importorskip("tests.support.nets")
    return Pipeline.open(folder, nets.tiny_generator(net, PRESET))


def nothing_is_lent(pipeline):
    """Tell whether all memory returns once the model's run under way has ended."""
    deadline = time.monotonic() + 60
    while pipeline.pool.stats().lent and time.monotonic() < deadline:
        time.sleep(0.001)
    return pipeline.pool.stats().lent == 0
