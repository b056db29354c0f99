"""Small hostile files and arguments: one short sentence, at a cost that their size tells."""

import json
import os
import pickle
import tracemalloc

import numpy as np
import pytest

from lipsync_fast.checks import shown
from lipsync_fast.errors import InputError, LipsyncError, TemplateError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.preparation import read_rects
from lipsync_fast.preparation.foreign import read_boxes
from lipsync_fast.presets import load_preset
from lipsync_fast.templates import JpegSettings, Template, TemplateWriter
from lipsync_fast.timing import Loop, parse_fps

LONG = 2100  # characters of the longest message


def refused(call, error=LipsyncError, megabytes=8.0):
    """The sentence in which a call ends, which takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert peak < megabytes * 1e6, f"{peak} bytes: {text[:200]}"
    assert len(text) < LONG
    assert "\n" not in text
    return text


# ---- pickles: one list that holds another twice, and so on ------------------------------------

DOUBLED = b"K\x01\x94" + b"".join(bytes([104, i, 104, i, 0x86, 0x94]) for i in range(21))
PICKLES = {
    "rows": b"\x80\x04" + DOUBLED + b"h\x15\x86.",
    "shape": b"\x80\x04cnumpy.core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n(X\x02\0\0\0i4"
    b"K\0K\x01tR" + DOUBLED + b"X\x01\0\0\0CtR.",
    "name": b"\x80\x04" + DOUBLED + b"X\x01\0\0\0a\x93.",
    "dtype": b"\x80\x04cnumpy\ndtype\n(" + DOUBLED + b"K\0K\x01tR.",
    "length": b"\x80\x02](" + b"\x8a\xff" + b"\x7f" * 255 + b"e.",
    "long name": b"\x80\x02c" + b"a" * 100_000 + b"\nb\n.",
    "one long row": pickle.dumps([list(range(1000))] * 1000),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles(tmp_path, kind):
    path = tmp_path / "coords.pkl"
    path.write_bytes(PICKLES[kind])
    refused(lambda: read_boxes(path), InputError)


# ---- rects -------------------------------------------------------------------------------------

RECTS = {
    "field.csv": "1,2,3," + "4" * 131_073,
    "quote.csv": '"' + "4" * 200_000,
    "number.csv": "1,2,3,1" + "0" * 400,
    "digits.csv": "1,2,3,1" + "0" * 5000,
    "number.json": "[[1,2,3,1" + "0" * 400 + "]]",
    "digits.json": "[[1,2,3,1" + "0" * 5000 + "]]",
    "crop_rects.json": "[[1,2,3,1" + "0" * 400 + "]]",
    "infinite.json": "[[1,2,3,1e400]]",
    "deep.json": "[" * 100_000,
    "row.json": json.dumps([[1] * 50_000]),
}


@pytest.mark.parametrize("name", RECTS)
def test_rects(tmp_path, name):
    (tmp_path / name).write_text(RECTS[name])
    assert name in refused(lambda: read_rects(tmp_path / name))


@pytest.mark.parametrize("zeros", [400, 5000, 100_000])
def test_typed_rects(zeros):
    refused(lambda: read_rects("1,2,3,1" + "0" * zeros), InputError)
    refused(lambda: read_rects([[1, 2, 3, 10**zeros]]), InputError)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".npy", ".lms"])
@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_pipes_and_devices(tmp_path, suffix, kind):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    path = tmp_path / f"a{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(kind)
    text = refused(lambda: read_rects(path), InputError)
    assert text.count("cannot be read") == 1
    assert "not a plain file" in text


# ---- presets -----------------------------------------------------------------------------------

PRESETS = {
    "shape": "audio_shape = [" + "9," * 100_000 + "]",
    "large shape": "audio_shape = [" + "2147483647," * 20_000 + "]",
    "box": "black = [" + "1," * 100_000 + "]",
    "dotted": ".".join("a" * 40_000) + " = 1",
    "dotted digits": ".".join("1" * 40_000) + " = 1",
    "table": "[" + ".".join("a" * 40_000) + "]",
    "fields": "\n".join(f"k{i} = 1" for i in range(15_000)),
    "number": "start = 1" + "0" * 4000,
    "digits": "start = 1" + "0" * 5000,
    "level": "low = 1" + "0" * 400,
    "deep": "black = " + "[" * 50_000,
    "text": 'view = "' + "a" * 200_000 + '"',
}


@pytest.mark.parametrize("kind", PRESETS)
def test_presets(tmp_path, kind):
    path = tmp_path / "a.toml"
    path.write_text('base = "wav2lip96"\nname = "x"\n' + PRESETS[kind])
    refused(lambda: load_preset(path), InputError, megabytes=30)


# ---- templates -----------------------------------------------------------------------------------

HEADS = [
    *(("start", value) for value in ("x", None, 0.5, 10**400, [1] * 9000, True and [[]])),
    *(("count", value) for value in ("1", 1.7, None, 10**400, 0, -1)),
    *(("width", value) for value in ("16", 16.5, None, 10**400)),
    *(("fps", value) for value in ("9" * 9000, 1e300, None, [25])),
    *(("loop", value) for value in ("x" * 9000, None, [])),
    *(("preset", value) for value in ("x" * 9000, None, [], {})),
    *(("store", value) for value in ("jpeg", None, ["gif"], [["jpeg"]], {})),
    *(("jpeg", value) for value in (None, [], {"quality": 10**400}, {"x" * 9000: 1})),
    *(("label", value) for value in (None, "no", 1)),
    *(("full_range", value) for value in (None, "no")),
    *(("matrix", value) for value in ("x" * 9000, [], None)),
    *(("preset_row", value) for value in ("x" * 9000, [], {"view": 3}, None)),
    *(("files", value) for value in ([], {"x" * 9000: 1}, {"rects.npy": 1e400})),
    *(("version", value) for value in (1.0, True, "x" * 9000, 10**400, None)),
]


@pytest.mark.parametrize("number", range(len(HEADS)))
def test_heads(tmp_path, number):
    with TemplateWriter(tmp_path / "t", VideoFormat(16, 16), preset="wav2lip96") as writer:
        writer.add((1, 1, 12, 12), bgr24=np.zeros((16, 16, 3), np.uint8))
    path = tmp_path / "t" / "template.json"
    head = json.loads(path.read_text())
    field, value = HEADS[number]
    path.write_text(json.dumps({**head, field: value}))
    text = refused(lambda: Template.open(tmp_path / "t"), TemplateError)
    assert "Error(" not in text


def test_a_pipe_of_no_bytes_is_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    with TemplateWriter(tmp_path / "t", VideoFormat(16, 16), preset="wav2lip96") as writer:
        writer.add((0, 0, 0, 0), bgr24=np.zeros((16, 16, 3), np.uint8))
    path = tmp_path / "t" / "regions.bin"
    assert path.stat().st_size == 0
    path.unlink()
    os.mkfifo(path)
    for load in (False, True):
        with pytest.raises(TemplateError, match="not a plain file"):
            Template.open(tmp_path / "t", load=load)


# ---- arguments -----------------------------------------------------------------------------------

HUGE = 10**5000


@pytest.mark.parametrize(
    "call",
    [
        lambda: JpegSettings(HUGE),
        lambda: JpegSettings("9" * 10**6),
        lambda: VideoFormat(HUGE, 4),
        lambda: VideoFormat(4, 4, HUGE),
        lambda: VideoFormat(4, 4, matrix=[HUGE]),
        lambda: parse_fps("9" * 10**6),
        lambda: Loop("still", HUGE),
        lambda: Loop([HUGE]),
    ],
)
def test_arguments(call):
    refused(call)


def test_values_in_messages_are_short():
    twice = [1]
    for _ in range(60):
        twice = [twice, twice]
    loop = []
    loop.append(loop)
    for value in (twice, loop, HUGE, -HUGE, "x" * 10**6, b"x" * 10**6, [HUGE] * 10**5, {1: twice}):
        assert len(shown(value)) < 90
    assert shown((1, "a", None)) == "(1, 'a', None)"
    assert shown((1,)) == "(1,)"
    assert shown([[1], [1, 2]]) == "[[1], [1, 2]]"
    assert shown(10**30) == "1" + "0" * 30
    assert shown(HUGE) == "a number of about 5001 digits"
    assert shown("x" * 100) == repr("x" * 80) + " …"
