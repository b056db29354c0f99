"""Buffers of a caller's own that overlap: each other, the outputs, the template."""

import numpy as np
import pytest
from tests.support import jpeg_tools

from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import InputError
from lipsync_fast.templates.template import Template

RECT, SIDE = (300, 150, 182, 185), 96


def photo(seed):
    return jpeg_tools.photo(np.random.default_rng(seed), 360, 640)


def outputs_of(count):
    return np.random.default_rng(9).random((count, 3, SIDE, SIDE), np.float32)


def overlapping_buffers(outputs, frames):
    """Name, buffers for two bgr24 frames of 360 × 640, and what the error says."""
    one, size = np.empty((360, 640, 3), np.uint8), 360 * 640 * 3
    many = np.empty(2 * size, np.uint8)
    reach = many[size - 1 : 2 * size - 1].reshape(360, 640, 3)
    inside = outputs.view(np.uint8).reshape(-1)[:size].reshape(360, 640, 3)
    wide = np.empty((360, 1279, 3), np.uint8)
    apart = r"out\[1\] must not overlap out\[0\]; pass a buffer for each frame"
    yield [one, one], apart
    yield [one, memoryview(one)], apart
    yield [one, one[::-1]], apart
    yield [many[:size].reshape(360, 640, 3), reach], apart
    yield [wide[:, :640], wide[:, 639:]], apart
    yield [inside, one], r"out\[0\] must not overlap outputs"
    yield [one, frames[1]], r"out\[1\] must not overlap the template's own pictures"
    yield [frames[0][:, ::-1][:, ::-1], one], r"out\[0\] must not overlap the template's own"


def test_buffers_that_overlap_are_refused():
    frames = [photo(1), photo(2)]
    template = Template.from_arrays(frames, RECT, preset="wav2lip96")
    outputs = np.resize(outputs_of(2), (8, 3, SIDE, SIDE))
    before = outputs.copy(), frames[0].copy(), frames[1].copy()
    with Compositor(template, threads=2) as compositor:
        for out, says in overlapping_buffers(outputs, frames):
            with pytest.raises(InputError, match=says):
                compositor.composite_into(out, outputs[:2], [0, 1])
        for now, then in zip((outputs, *frames), before, strict=True):
            assert np.array_equal(now, then)


@pytest.mark.parametrize("format", ["i420", "jpeg"])
def test_flat_buffers_that_overlap_are_refused(format):
    template = Template.from_arrays([photo(1)], RECT, preset="wav2lip96")
    outputs = outputs_of(3)
    with Compositor(template) as compositor:
        (size,) = compositor.canvas(format).shape
        room = bytearray(3 * size)
        views = [memoryview(room)[k * size : (k + 1) * size] for k in range(3)]
        compositor.composite_into(views, outputs, [0, 0, 0], format=format)
        views[1] = memoryview(room)[2 * size - 1 : 3 * size - 1]
        with pytest.raises(InputError, match=r"out\[2\] must not overlap out\[1\]"):
            compositor.composite_into(views, outputs, [0, 0, 0], format=format)
        own = compositor.template.crops.reshape(-1)
        if own.size < size:
            return
        with pytest.raises(InputError, match="the template's own pictures"):
            compositor.composite_into([own[:size]], outputs[:1], [0], format=format)


def test_buffers_may_lie_between_each_others_rows():
    template = Template.from_arrays([photo(1), photo(2)], RECT, preset="wav2lip96")
    outputs = outputs_of(4)
    indices = [0, 1, 1, 0]
    with Compositor(template, threads=2) as compositor:
        want = [f.array for f in compositor.composite(outputs, indices)]
        wall = np.zeros((720, 1280, 3), np.uint8)  # four frames as one picture
        parts = [wall[y : y + 360, x : x + 640] for y in (0, 360) for x in (640, 0)]
        compositor.composite_into(parts, outputs, indices)
        for part, frame in zip(parts, want, strict=True):
            assert np.array_equal(part, frame)
        lines = np.zeros((720, 640, 3), np.uint8)  # interlaced, one of them upside down
        compositor.composite_into([lines[::2], lines[1::2][::-1]], outputs[:2], indices[:2])
        assert np.array_equal(lines[::2], want[0])
        assert np.array_equal(lines[1::2][::-1], want[1])
