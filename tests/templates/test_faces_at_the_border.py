"""Faces that reach over the frame's border: shown as in a larger picture, cut to the frame."""

import os

import numpy as np
import pytest

from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import InputError, TemplateError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.kernels import _jpeg
from lipsync_fast.presets import get_preset
from lipsync_fast.templates import JpegSettings, TemplateOptions, TemplateWriter
from lipsync_fast.templates.rects import visible_parts
from lipsync_fast.templates.template import Template

WIDTH, HEIGHT = 322, 242
MARGIN = 64  # a multiple of every block of chroma and of JPEG
RECTS = [(-30, 60, 120, 120), (240, 140, 103, 110), (-10, -11, 90, 91), (60, 170, 97, 100)]
RECTS += [(100, 80, 97, 91), (0, 0, 0, 0)]
PRESETS = ["synctalk328", "wav2lip96", "wav2lip384", "ultralight168-hubert", "liteavatar384"]


def pictures(rng):
    y, x, c = np.ogrid[:HEIGHT, :WIDTH, :3]
    ramps = [40 + x / 3 + y / 4 + 9 * c + 5 * i for i in range(len(RECTS))]
    return [np.clip(ramp + rng.normal(0, 9, ramp.shape), 0, 255).astype(np.uint8) for ramp in ramps]


def write(path, frames, preset, rects=RECTS):
    video = VideoFormat(WIDTH, HEIGHT)
    options = TemplateOptions(store=("bgr24", "i420", "jpeg"), jpeg=JpegSettings(95, "4:4:4"))
    with TemplateWriter(path, video, preset=preset, options=options) as writer:
        for frame, rect in zip(frames, rects, strict=True):
            writer.add(rect, bgr24=frame)
    return path


def larger(frames, preset):
    """The same in frames whose border is repeated outside of them."""
    padded = [np.pad(f, ((MARGIN,) * 2, (MARGIN,) * 2, (0, 0)), "edge") for f in frames]
    rects = np.add(RECTS, (MARGIN, MARGIN, 0, 0))
    rects[np.array(RECTS)[:, 2] == 0] = 0
    return Template.from_arrays(padded, rects, preset=preset)


def inner(picture):
    return picture[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]


@pytest.mark.parametrize("load", [False, True])
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("border", [None, 0])
def test_a_face_keeps_its_geometry(tmp_path, rng, name, border, load):
    frames = pictures(rng)
    path = write(tmp_path / "t", frames, name)
    preset = get_preset(name).with_border(border)
    whole = larger(frames, preset)
    outputs = rng.random((len(RECTS), 3, preset.view, preset.view), dtype=np.float32)
    outputs = outputs * (preset.high - preset.low) + preset.low
    chosen = range(len(RECTS))
    with Template.open(path, load=load, border=border) as template:
        np.testing.assert_array_equal(template.crops, whole.crops)
        assert template.whole_rects.tolist() == [list(rect) for rect in RECTS]
        np.testing.assert_array_equal(template.rects, visible_parts(RECTS, WIDTH, HEIGHT))
        with Compositor(template, threads=2) as compositor, Compositor(whole) as other:
            expected = [inner(f.array) for f in other.composite(outputs, chosen)]
            for frame, picture in zip(compositor.composite(outputs, chosen), expected, strict=True):
                np.testing.assert_array_equal(frame.array, picture)
            planes = [f.array.copy() for f in other.composite(outputs, chosen, format="i420")]
            for frame, flat in zip(
                compositor.composite(outputs, chosen, format="i420"), planes, strict=True
            ):
                wide = WIDTH + 2 * MARGIN
                luma = flat[: wide * (HEIGHT + 2 * MARGIN)].reshape(-1, wide)
                np.testing.assert_array_equal(
                    frame.array[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH), inner(luma)
                )
            for frame, picture in zip(
                compositor.composite(outputs, chosen, format="jpeg"), expected, strict=True
            ):
                off = np.abs(_jpeg.decode(frame.array).astype(int) - picture)
                assert off.mean() < 4


def test_old_folders_and_whole_faces_need_no_further_file(tmp_path, rng):
    inside = [(100, 80, 97, 91)] * len(RECTS)
    path = write(tmp_path / "t", pictures(rng), "wav2lip96", inside)
    assert not (path / "whole_rects.npy").exists()
    with Template.open(path) as template:
        assert template.whole_rects is template.rects


@pytest.mark.parametrize(
    "rect",
    [
        *((-41, 60, 120, 120), (148, 60, 174, 3000), (319, 5, 174, 174), (0, -174, 174, 174)),
        *((5, 5, -3, 9), (-(2**31), 5, 2**31 - 1, 9)),
    ],
)
def test_less_than_two_thirds_of_a_face_is_none(tmp_path, rng, rect):
    assert visible_parts([rect], WIDTH, HEIGHT).tolist() == [[0, 0, 0, 0]]
    with pytest.raises(
        InputError, match=r"rect 0 must lie inside the 322×242 frame, by two thirds"
    ):
        write(tmp_path / "t", pictures(rng)[:1], "wav2lip96", [rect])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [(0, (-30, 60, 121, 120)), (5, (1, 1, 9, 9)), (4, (0, 0, 0, 0))],
)
def test_whole_rects_that_lie_are_refused(tmp_path, rng, change):
    path = write(tmp_path / "t", pictures(rng), "wav2lip96")
    whole = np.load(path / "whole_rects.npy")
    whole[change[0]] = change[1]
    np.save(path / "whole_rects.npy", whole)
    with pytest.raises(TemplateError, match=r"whole_rects\.npy does not fit"):
        Template.open(path)


def test_an_edge_fades_towards_the_picture_not_towards_the_border(tmp_path, rng):
    path = write(tmp_path / "t", pictures(rng), get_preset("wav2lip96").with_feather("rounded"))
    with Template.open(path) as template:
        cut, full = template.mask(0), template.mask(4)
    assert cut.shape == (120, 90)
    assert (cut[60, :60] == 255).all()
    assert cut[60, -1] == full[45, 0] == 0
