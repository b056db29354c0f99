"""A short run of every fuzz target, and the findings of long runs."""

import json
import pickle
import random
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from lipsync_fast import SplicedJpeg, kernels
from lipsync_fast.errors import InputError, LipsyncError, TemplateError
from lipsync_fast.files.untrusted import parse_json, read_npy
from lipsync_fast.formats import VideoFormat
from lipsync_fast.kernels import _jpeg
from lipsync_fast.preparation import foreign as bridges
from lipsync_fast.preparation.rect_files import read_rects
from lipsync_fast.presets import load_preset
from lipsync_fast.templates import TemplateWriter
from lipsync_fast.templates.template import Template
from lipsync_fast.timing import parse_fps

ROOT = Path(__file__).resolve().parents[2]


# ---- targets -------------------------------------------------------------------------------


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return pytest.importorskip("fuzz.__main__", reason="the folder fuzz/ is not here")


TARGETS = [
    *("jpeg", "splice", "wav", "rects", "preset", "coords", "features", "kernels"),
    *("requests", "template", "avatar"),
]


@pytest.mark.repository
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(fuzz, name):
    target = fuzz.TARGETS[name]()
    chance = random.SystemRandom()
    with target:
        fuzz.fuzz(target, 100, seed=chance.getrandbits(32))
        fuzz.fuzz(target, 20_000, seed=chance.getrandbits(32), seconds=1)
    assert target.accepted > 5, "inputs that are never taken test nothing"
    assert target.refused > 5


@pytest.mark.repository
def test_every_target_is_run_here(fuzz):
    assert fuzz.TARGETS.keys() == set(TARGETS)


@pytest.mark.repository
def test_a_finding_is_reported(fuzz):
    class Broken(fuzz.Target):
        name = "broken"
        corpus = (b"abc",)

        def __init__(self):
            self.accepted = self.refused = 0

        def check(self, data):
            if len(data) > 3:
                raise IndexError("found")
            raise LipsyncError("refused")

    with pytest.raises(IndexError) as caught:
        fuzz.fuzz(Broken(), 1000, seed=1)
    assert any("--input" in note for note in caught.value.__notes__)
    state = int(caught.value.__notes__[0].split()[-1])
    assert len(fuzz.one_input(Broken(), state)) > 3


# ---- findings: sizes ---------------------------------------------------------------------


def npy(shape, descr="'<i4'", data=b"", length=None):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H", len(header) if length is None else length)
    return b"\x93NUMPY\x01\x00" + size + header + data


@pytest.mark.parametrize("mode", [None, "r"])
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (npy((2**40, 4)), "states 17592186044416 bytes of numbers, but it holds 0"),
        (npy((2, 4), data=bytes(31)), "states 32 bytes of numbers, but it holds 31"),
        (npy((1, 4), data=bytes(17)), "states 16 bytes of numbers, but it holds 17"),
        (npy((-1, -4), data=bytes(16)), "its shape is"),
        (npy((True, 4), data=bytes(16)), "its shape is"),
        (npy("2.0"), "its shape is"),
        (npy((1,) * 9, data=bytes(4)), "its shape is"),
        (npy((1, 4), "'|O'", bytes(32)), "not plain numbers"),
        (npy((1, 4), "'<i3'", bytes(12)), "not plain numbers"),
        (npy((1, 4), "[('a', '<i4')]", bytes(16)), "not plain numbers"),
        (npy("(" * 5000), "its header is damaged"),
        (npy("(2,", data=bytes(8)), "its header is damaged"),
        (npy((4,), length=60_000), "states a length of 60000"),
        (b"PK\x03\x04" + bytes(50), "does not start as a .npy"),
        (b"", "does not start as a .npy"),
    ],
)
def test_npy_headers_are_not_believed(tmp_path, data, problem, mode):
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=problem):
        read_npy(path, mode)


@pytest.mark.parametrize("mode", [None, "r", "c"])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype="<i4").reshape(3, 4),
        np.zeros((0, 4), np.uint8),
        np.float64(3).reshape(()),
    ],
)
def test_npy_files_of_numpy_are_read(tmp_path, array, mode):
    for order in (array, np.asfortranarray(array)):
        np.save(tmp_path / "a.npy", order)
        got = read_npy(tmp_path / "a.npy", mode)
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)
    if mode == "c" and array.size:
        got[...] = 0
        np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)


def test_a_jpeg_header_alone_takes_no_memory_for_its_pixels():
    small = _jpeg.JpegEncoder(75, "4:0:0", 1).encode(np.zeros((8, 8), np.uint8))
    at = small.index(b"\xff\xc0") + 5
    claim = small[:at] + struct.pack(">HH", 65500, 8) + small[at + 4 :]
    for call in (_jpeg.decode, SplicedJpeg):
        with pytest.raises(ValueError, match="cut off"):
            call(claim)
    wide = _jpeg.JpegEncoder(75, "4:0:0", 8188).encode(np.zeros((8, 65500), np.uint8))
    at = wide.index(b"\xff\xc0") + 5
    claim = wide[:at] + struct.pack(">HH", 65500, 65500) + wide[at + 4 :]
    with pytest.raises(ValueError, match=r"must hold 65500x65500 pixels, but it is cut off"):
        _jpeg.decode(claim)


def test_a_pickle_whose_rows_are_one_long_list_is_refused_at_once(tmp_path, monkeypatch):
    """60 kB that name 400 million numbers are rejected without reading any of them."""
    monkeypatch.setattr(bridges, "_number", lambda value: pytest.fail("a number was read"))
    long = [1] * 20_000
    path = tmp_path / "coords.pkl"
    path.write_bytes(pickle.dumps([long] * 20_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"coords\.pkl must hold a list of boxes"):
        bridges.read_boxes(path)


# ---- findings: texts -----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", "nul"])
def test_json_of_strangers(text):
    with pytest.raises(ValueError, match=r"deep|digits|line 1"):
        parse_json(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", "[" * 100_000),
        ("digits.json", "[[" + "9" * 5000 + ",0,1,1]]"),
        ("large.json", "[[99999999999999999999999999, 0, 1, 1]]"),
        ("least.json", "[[-9223372036854775808, 0, 1, 1]]"),
        ("crop_rects.json", "[[-9223372036854775808, 0, 9223372036854775807, 1]]"),
        ("large.csv", "1,299999999999999999999999990,3,4\n"),
        ("least.csv", "-9223372036854775808,0,1,1\n"),
    ],
)
def test_rects_beyond_all_frames(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        read_rects(tmp_path / name)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000, "1", "nan"])
def test_presets_of_strangers(tmp_path, value):
    path = tmp_path / "own.toml"
    path.write_text(f'base = "wav2lip256"\nname = "own"\nview = {value}\n')
    with pytest.raises(InputError, match="own"):
        load_preset(path)


@pytest.mark.parametrize("fps", ["1e999999999", "1/0", "nan", "9" * 5000, "25;", ""])
def test_frame_rates_that_are_none(fps):
    with pytest.raises(InputError, match="fps must be"):
        parse_fps(fps)


# ---- findings: templates -------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, rng):
    path = tmp_path / "t"
    with TemplateWriter(path, VideoFormat(48, 40), preset="wav2lip96") as writer:
        for i in range(2):
            writer.add((4 + i, 6, 24, 20), bgr24=rng.integers(0, 256, (40, 48, 3), np.uint8))
    return path


def change_head(folder, **fields):
    path = folder / "template.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    "fields",
    [
        {"fps": "1e999999999"},
        {"fps": "1/0"},
        {"width": 1e400},
        {"width": 10**30},
        {"count": "many"},
        {"files": {"a\0b": 1}},
        {"files": {"..": 4096}},
        {"jpeg": {"quality": "high"}},
        {"jpeg": {"subsampling": "5:5:5"}},
        {"jpeg": {"quality": 75, "subsampling": "4:0:0", "restart_interval": 1, "label": True}},
        {"jpeg": {"quality": 1e400, "subsampling": "4:2:0", "restart_interval": 1, "label": True}},
        {"jpeg": {"quality": 75, "subsampling": ["4:2:0"], "restart_interval": 1, "label": True}},
        {"jpeg": {"restart_interval": 7}},
        {"preset": ["wav2lip96"]},
        {"matrix": "bt2020"},
        {"start": 10**30},
        {"loop": "round"},
        {"store": 3},
    ],
)
def test_damaged_template_json(folder, fields):
    change_head(folder, **fields)
    with pytest.raises(TemplateError, match=re.escape(str(folder))):
        Template.open(folder)


def test_template_json_nested_too_deep(folder):
    (folder / "template.json").write_text("[" * 100_000)
    with pytest.raises(TemplateError, match="nested too deep"):
        Template.open(folder)


def test_regions_that_are_no_segments(folder):
    boxes = np.load(folder / "regions.npy")
    boxes[1] = [0, 0, boxes[1, 3], boxes[1, 2]] if boxes[1, 2] != boxes[1, 3] else [1, 0, 32, 32]
    np.save(folder / "regions.npy", boxes)
    with pytest.raises(TemplateError, match=r"regions.* does not fit"):
        Template.open(folder)


def test_segments_that_do_not_ascend(folder):
    from lipsync_fast import Compositor

    segments = np.load(folder / "jpeg_segments.npy")
    segments[1, 2:5] = segments[1, 4:1:-1]
    np.save(folder / "jpeg_segments.npy", segments)
    with (
        Compositor(Template.open(folder), threads=1) as compositor,
        pytest.raises(InputError, match=r"background 1 must be a JPEG whose segments ascend"),
    ):
        compositor.composite(np.zeros((2, 3, 96, 96), np.float32), [0, 1], format="jpeg")


def test_backgrounds_that_are_not_encoded_as_template_json_says(folder):
    """If spliced anyway, a mouth would have the colours of other divisors."""
    from lipsync_fast import Compositor

    outputs = np.zeros((2, 3, 96, 96), np.float32)
    head = json.loads((folder / "template.json").read_text())
    for quality in (75, 60):
        change_head(folder, jpeg={**head["jpeg"], "quality": quality})
        with Compositor(Template.open(folder), threads=1) as compositor:
            if quality == head["jpeg"]["quality"]:
                compositor.composite(outputs, [0, 1], format="jpeg")
                continue
            with pytest.raises(InputError, match=r"background 0 must be .* of quality 60"):
                compositor.composite(outputs, [0, 1], format="jpeg")


# ---- findings: kernels ---------------------------------------------------------------------


def test_a_black_box_beyond_all_pictures():
    image = np.zeros((4, 4, 3), np.uint8)
    for box in ((0, 0, 1, 2**40), (-(2**40), 0, 1, 1)):
        with pytest.raises(ValueError, match="black must be a box"):
            kernels.to_planes(image, black=box)


def test_fuzz_needs_no_extra():
    assert "atheris" not in sys.modules
