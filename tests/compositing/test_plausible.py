"""Outputs and samples that are wrong by a factor or not numbers: said once, in one sentence."""

import logging

import numpy as np
import pytest
from tests.support.jpeg_tools import photo
from tests.support.person import speech

from lipsync_fast.audio import FeatureStream, mel_spectrogram
from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import InputError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.templates.template import Template

RECT = (40, 30, 60, 62)


def person(preset, count=2, rects=RECT):
    rng = np.random.default_rng(7)
    return Template.from_arrays([photo(rng, 120, 160) for _ in range(count)], rects, preset=preset)


def faces(preset, count=2, seed=3):
    """Pictures with every level, as a model of the preset draws them."""
    rng = np.random.default_rng(seed)
    unit = np.stack([photo(rng, preset.view, preset.view) for _ in range(count)]) / 255
    planes = unit.transpose(0, 3, 1, 2) * (preset.high - preset.low) + preset.low
    return np.ascontiguousarray(planes, np.float32)


def unit(outputs, preset):
    return (outputs - preset.low) / (preset.high - preset.low)


def spoilt(value):
    """Set one value of the second frame."""

    def spoil(outputs, preset):
        outputs = outputs.copy()
        outputs[1, 2, 5, 7] = value
        return outputs

    return spoil


WRONG = [
    ("wav2lip96", lambda o, p: 255 * o, "between 0 and 1 .* to 2[0-9.]+; divide by 255"),
    ("wav2lip96", lambda o, p: 2 * o - 1, "between 0 and 1 .*; add 1, then divide by 2"),
    ("wav2lip96", lambda o, p: o / 255, "multiply by 255"),
    ("wav2lip96", lambda o, p: 9 * o + 30, "scale them, or name the preset"),
    ("wav2lip96", lambda o, p: 40000 * o, "scale them, or name the preset"),
    ("liteavatar384", lambda o, p: 255 * unit(o, p), "divide by 127.5, then subtract 1"),
    ("liteavatar384", lambda o, p: unit(o, p), "multiply by 2, then subtract 1"),
    ("liteavatar384", lambda o, p: o / 255, "multiply by 255"),
    *[
        ("synctalk328", spoilt(v), "numbers from 0 to 1 .*nan|inf")
        for v in (np.nan, np.inf, -np.inf)
    ],
]


@pytest.mark.parametrize(("preset", "spoil", "says"), WRONG)
def test_outputs_of_another_scale_are_refused(preset, spoil, says):
    template = person(preset)
    right = faces(template.preset)
    wrong = np.ascontiguousarray(spoil(right, template.preset), np.float32)
    with Compositor(template) as compositor:
        for _ in range(2):
            with pytest.raises(InputError, match=says):
                compositor.composite(wrong, [0, 1])
            with pytest.raises(InputError, match=says):
                compositor.composite_into([np.empty((120, 160, 3), np.uint8)] * 2, wrong, [0, 1])
        assert compositor.stats().frames == 0
        compositor.composite(right, [0, 1])
        compositor.composite(wrong, [0, 1])  # nothing is paid for later frames


@pytest.mark.parametrize("preset", ["wav2lip96", "liteavatar384", "synctalk328", "edtalk256"])
def test_outputs_of_the_preset_are_taken(preset):
    template = person(preset)
    right = faces(template.preset)
    span = template.preset.high - template.preset.low
    overshoot = right + np.where(right > template.preset.high - span / 9, span / 4, 0)
    for outputs in (right, overshoot.astype(np.float32), np.zeros_like(right)):
        with Compositor(template) as compositor:
            compositor.composite(outputs, [0, 1])
    pictures = np.random.default_rng(1).integers(0, 256, (2, *right.shape[2:], 3), np.uint8)
    with Compositor(template) as compositor:
        compositor.composite(pictures, [0, 1])
    with (
        Compositor(template) as compositor,
        pytest.raises(InputError, match="levels from 0 to 255"),
    ):
        compositor.composite(pictures // 128, [0, 1])


def test_what_shows_no_mouth_is_not_looked_at():
    """Memory that a generator left undefined says nothing; the next frames do."""
    template = person("wav2lip96", 3, [RECT, (0, 0, 0, 0), RECT])
    outputs = 255 * faces(template.preset, 3)
    with Compositor(template) as compositor:
        compositor.composite(outputs[1:2], [1])
        compositor.composite(outputs, [0, 1, 2], alphas=[0, 255, 0])
        with pytest.raises(InputError, match="divide by 255"):
            compositor.composite(outputs, [0, 1, 2], alphas=[0, 255, 255])


def test_mouths_of_one_colour_are_named(caplog):
    template = person("wav2lip96")
    for outputs in (np.zeros((1, 96, 96, 3), np.uint8), np.full((1, 3, 96, 96), 0.5, np.float32)):
        caplog.clear()
        with Compositor(template) as compositor, caplog.at_level(logging.WARNING):
            for _ in range(2):
                compositor.composite(outputs, [0])
        assert caplog.text.count("of one colour") == 1


# ---- rects -----------------------------------------------------------------------------------


def corners(x, y, w, h, order):
    x1, y1, x2, y2 = x, y, x + w, y + h
    return (x1, y1, x2, y2) if order == "x1, y1, x2, y2" else (y1, y2, x1, x2)


ORDERS = ["x1, y1, x2, y2", "y1, y2, x1, x2"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("place", [(90, 50, 60, 62), (70, 55, 50, 60), (100, 60, 59, 58)])
def test_corners_are_not_taken_for_sizes(order, place):
    right = np.array([np.add(place, (i % 2, i % 3 - 1, 0, 0)) for i in range(4)])
    wrong = [corners(*rect, order) for rect in right.tolist()]
    wrong[2] = right[2] = (0, 0, 0, 0)
    for rects in (wrong, wrong[:1] * 4):
        with pytest.raises(InputError, match=f"reads as corners {order}; give x1, y1, x2 - x1"):
            person("wav2lip96", 4, rects)
    assert person("wav2lip96", 4, right).rects.tolist() == right.tolist()


def test_rects_that_move_like_corners_are_named(caplog):
    """Near the frame's first pixel both readings lie inside it; the motion tells."""
    steps = np.arange(6) * 4
    right = [(5 + s, 20 + s, 40, 42) for s in steps.tolist()]
    grows = [(40 - s // 2, 30 - s // 2, 30 + s, 32 + s) for s in steps.tolist()]
    for order in ORDERS:
        caplog.clear()
        person("wav2lip96", 6, [corners(*rect, order) for rect in right])
        assert f"move like corners {order}" in caplog.text
    caplog.clear()
    for rects in (right, grows, RECT):
        person("wav2lip96", 6, rects)
    assert caplog.text == ""


# ---- samples ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [32767, 32768 * 256, -20000, 300])
def test_samples_of_another_scale_are_refused(scale):
    sound = speech(0.5) * np.float32(scale)
    says = r"samples must lie between -1 and 1, got -.* to .*; divide 16-bit samples by 32768"
    with pytest.raises(InputError, match=says):
        mel_spectrogram(sound)
    stream = FeatureStream("mel", 25)
    with pytest.raises(InputError, match=says):
        stream.push(sound)
    stream.push(3 * speech(0.5))  # too loud, but on the right scale
    assert stream.ready > 0


def test_a_track_of_another_scale_is_refused(tmp_path):
    pytest.importorskip("av")
    from lipsync_fast.media import VideoWriter

    for wrong in (speech(0.5) * np.float32(32767), np.full(800, np.nan, np.float32)):
        with pytest.raises(InputError, match="audio must lie between -1 and 1"):
            VideoWriter(tmp_path / "out.mp4", VideoFormat(64, 64), audio=wrong)
    assert list(tmp_path.iterdir()) == []
