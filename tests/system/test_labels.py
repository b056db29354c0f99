"""The mark of generated media: where Pillow and mp4 readers look for it, at no cost, one switch."""

import io
import json
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from tests.support.jpeg_tools import photo

from lipsync_fast import Compositor, SplicedJpeg, Template
from lipsync_fast.errors import ArgumentTypeError, InputError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.kernels import _jpeg
from lipsync_fast.provenance import JPEG_SEGMENT, MP4_BOX, SOURCE_TYPE, XMP
from lipsync_fast.templates import TemplateOptions, TemplateWriter
from lipsync_fast.templates.jpeg_backgrounds import relabel

RECT = (40, 30, 50, 40)


def source_type(packet):
    """Digital source type that an XMP packet states."""
    description = ET.fromstring(packet.decode("utf-8")).find(".//{*}Description")
    return description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")


def pillow(frame, quality, interval, **options):
    file = io.BytesIO()
    options = {"quality": quality, "restart_marker_blocks": interval, "subsampling": 2, **options}
    Image.fromarray(np.ascontiguousarray(frame[..., ::-1])).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def frames(rng):
    return [photo(rng, 96, 160) for _ in range(3)]


def write(path, frames, **options):
    video, options = VideoFormat(160, 96), TemplateOptions(**options)
    with TemplateWriter(path, video, preset="wav2lip96", options=options) as writer:
        for frame in frames:
            writer.add(RECT, bgr24=frame)
    return path


def finished(template, rng=None, quality=None):
    """All frames of a template as JPEG files, with the same mouths in every call."""
    outputs = np.random.default_rng(3).random((3, 3, 96, 96), np.float32)
    with (
        Compositor(template, threads=1) as compositor,
        compositor.composite(outputs, [0, 1, 2], format="jpeg", quality=quality) as made,
    ):
        return [bytes(frame.data) for frame in made]


def test_the_packet_says_what_iptc_says():
    assert source_type(XMP) == SOURCE_TYPE
    assert SOURCE_TYPE.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert struct.unpack(">HH", JPEG_SEGMENT[:4]) == (0xFFE1, len(JPEG_SEGMENT) - 2)
    assert struct.unpack(">I4s", MP4_BOX[:8]) == (len(MP4_BOX), b"uuid")


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("xmp", [XMP, b"x", b"y" * 65504, None, b""])
def test_encoder_puts_it_where_pillow_does(frames, subsampling, xmp):
    encoder = _jpeg.JpegEncoder(80, subsampling, 2, xmp=xmp)
    options = {"xmp": xmp} if xmp else {}
    want = pillow(frames[0], 80, 2, subsampling={"4:2:0": 2, "4:4:4": 0}[subsampling], **options)
    assert encoder.encode(frames[0]) == encoder.encode(frames[0]) == want
    assert encoder.xmp == (xmp or None)
    room = np.empty(_jpeg.jpeg_bound(160, 96, subsampling, xmp), np.uint8)
    assert encoder.encode_into(room, frames[0]) == len(want)


def test_encoder_refuses_what_no_segment_holds(frames):
    with pytest.raises(InputError, match="at most 65504 bytes, got 65505"):
        _jpeg.JpegEncoder(xmp=b"x" * 65505)
    with pytest.raises(ArgumentTypeError, match="xmp must be bytes, got str"):
        _jpeg.JpegEncoder(xmp="x")
    small = _jpeg.JpegEncoder(75, "4:2:0", 2, xmp=XMP)
    with pytest.raises(InputError, match="out is too small"):
        small.encode_into(np.empty(200, np.uint8), frames[0])
    assert small.encode(frames[0]) == pillow(frames[0], 75, 2, xmp=XMP), "usable after an error"


def test_splice_carries_the_header(frames):
    labelled = _jpeg.JpegEncoder(75, "4:2:0", 2, xmp=XMP).encode(frames[0])
    plain = _jpeg.JpegEncoder(75, "4:2:0", 2).encode(frames[0])
    patch = frames[1][:40, :50]
    got = SplicedJpeg(labelled).splice(patch, 40, 30)
    assert got.replace(JPEG_SEGMENT, b"", 1) == SplicedJpeg(plain).splice(patch, 40, 30)
    assert source_type(Image.open(io.BytesIO(got)).info["xmp"]) == SOURCE_TYPE


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("quality", [None, 90])
def test_frames_are_labelled_unless_switched_off(tmp_path, frames, label, quality):
    """Byte for byte Pillow's file of the frame's pixels, with `xmp=` and without."""
    folder = write(tmp_path / "t", frames, store=("bgr24", "jpeg"), label=label)
    head = json.loads((folder / "template.json").read_text())
    assert head["label"] is head["jpeg"]["label"] is label
    template = Template.open(folder)
    assert template.label is label
    outputs = np.random.default_rng(3).random((3, 3, 96, 96), np.float32)
    with Compositor(template) as compositor:
        pixels = [f.array.copy() for f in compositor.composite(outputs, [0, 1, 2])]
    interval = template.jpeg_settings.restart_interval
    options = {"xmp": XMP} if label else {}
    for file, picture in zip(finished(template, quality=quality), pixels, strict=True):
        assert file == pillow(picture, quality or 75, interval, **options)
        assert ("xmp" in Image.open(io.BytesIO(file)).info) is label


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("load", [True, False])
def test_the_switch_works_on_a_prepared_template(tmp_path, frames, prepared, load):
    folder = write(tmp_path / "t", frames, label=prepared)
    files = {}
    for label in (True, False):
        template = Template.open(folder, label=label, load=load)
        files[label] = finished(template)
        for i in range(3):
            background = template.jpeg(i)
            found = _jpeg.jpeg_segments(background.file)
            np.testing.assert_array_equal(found, background.segments)
    assert files[prepared] == finished(Template.open(folder))
    for on, off in zip(files[True], files[False], strict=True):
        assert on.count(JPEG_SEGMENT) == 1
        assert on.replace(JPEG_SEGMENT, b"") == off


def test_relabelling_refuses_another_header(tmp_path, frames):
    template = Template.from_arrays(frames, RECT, preset="wav2lip96", label=False)
    plain = template.jpeg(0)
    with pytest.raises(InputError, match="must carry the mark of generated media"):
        relabel(plain, False)
    plain.file[2] = 0
    with pytest.raises(InputError, match="must start with SOI and APP0"):
        relabel(plain, True)


def test_templates_in_memory_are_labelled_too(frames):
    on = finished(Template.from_arrays(frames, RECT, preset="wav2lip96"))
    off = finished(Template.from_arrays(frames, RECT, preset="wav2lip96", label=False))
    assert [f.replace(JPEG_SEGMENT, b"") for f in on] == off != on


# ---- mp4 -----------------------------------------------------------------------------------


def boxes(data):
    """(kind, body) of the top-level boxes of an ISO base media file."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        yield kind, data[at + head : at + size]
        at += size
    assert at == len(data)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("label", [True, False])
def test_mp4_carries_it_as_xmp_and_in_words(tmp_path, suffix, label):
    av = pytest.importorskip("av")
    from lipsync_fast.media import VideoWriter

    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, VideoFormat(64, 64), label=label) as writer:
        for level in (16, 100, 200):
            writer.write(np.full(64 * 96, level, np.uint8))
    packets = [body[16:] for kind, body in boxes(path.read_bytes()) if kind == b"uuid"]
    assert [source_type(packet) for packet in packets] == [SOURCE_TYPE] * label
    with av.open(str(path)) as container:
        assert (SOURCE_TYPE in container.metadata.get("comment", "")) is label
        assert sum(1 for _ in container.decode(video=0)) == 3


def told_by_exiftool(path):
    """Return the kind of source that exiftool reads from a file."""
    tool = shutil.which("exiftool")
    if tool is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    command = [tool, "-json", "-XMP-iptcExt:DigitalSourceType", str(path)]
    (facts,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return facts.get("DigitalSourceType")


@pytest.mark.parametrize("label", [True, False])
def test_exiftool_reads_it_in_a_jpeg(tmp_path, frames, label):
    template = Template.from_arrays(frames, RECT, preset="wav2lip96", label=label)
    path = tmp_path / "out.jpg"
    path.write_bytes(finished(template)[0])
    assert told_by_exiftool(path) == (SOURCE_TYPE if label else None)


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_exiftool_reads_it_in_a_video(tmp_path, suffix, label):
    pytest.importorskip("av")
    from lipsync_fast.media import VideoWriter

    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, VideoFormat(64, 64), label=label) as writer:
        writer.write(np.full(64 * 96, 128, np.uint8))
    assert told_by_exiftool(path) == (SOURCE_TYPE if label else None)
