"""Video in, images in and out."""

import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from tests.support.clips import decoded, i420_noise, write_clip

from lipsync_fast import errors, media
from lipsync_fast.kernels import i420_planes, i420_size
from lipsync_fast.media.video_rate import constant_rate

av = pytest.importorskip("av")


def grey_steps(count, width=64, height=48):
    """Frames of one luma each, 2 * i + 20, so that a frame tells its number."""
    frames = np.full((count, height * 3 // 2, width), 128, np.uint8)
    frames[:, :height] = 20 + 2 * np.arange(count)[:, None, None]
    return list(frames)


def numbers(reader, **options):
    """Number of the source frame that each read frame is."""
    return [(int(frame[0]) - 20) // 2 for frame in reader.frames(**options)]


@pytest.mark.parametrize(
    ("name", "size", "fps", "count", "colour"),
    [
        ("woman_1080x1920_25fps.mp4", (1080, 1920), 25, 250, ("bt709", False, True)),
        ("liteavatar_890x1920_30fps.mp4", (890, 1920), 30, 150, ("bt601", False, False)),
        ("face_then_none_vfr.mov", (960, 540), 30, 193, ("bt709", False, True)),
    ],
)
def test_real_clips(assets, name, size, fps, count, colour):
    reader = media.VideoReader(assets / "video" / name)
    assert (reader.width, reader.height) == size
    assert (reader.fps, reader.frame_count) == (fps, count)
    assert (reader.matrix, reader.full_range, reader.tagged) == colour
    planes, times = decoded(reader.path)
    buffer = np.empty(size[0] * size[1] * 3 // 2, np.uint8)
    seen = 0
    for i, frame in enumerate(reader.frames(out=buffer)):
        assert frame is buffer
        latest = max(k for k, time in enumerate(times) if time <= Fraction(i, fps))
        if i % 10 == 0:
            np.testing.assert_array_equal(frame, planes[latest].ravel())
        seen += 1
    assert seen == count


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 50, 60])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_constant_rate_stays_exact(tmp_path, rate, ending):
    frames = grey_steps(100)
    path = write_clip(
        tmp_path / f"a.{ending}", frames, codec=("libx264", {"crf": "1"}), rate=Fraction(rate)
    )
    reader = media.VideoReader(path)
    assert reader.fps == rate
    assert reader.frame_count == 100
    assert numbers(reader) == list(range(100))


def test_variable_rate_shows_the_latest_frame(tmp_path):
    rng = np.random.default_rng(3)
    steps = rng.choice([20, 33, 40, 100, 250], 79)
    pts = np.concatenate([[700], 700 + np.cumsum(steps)]).tolist()
    path = write_clip(tmp_path / "a.mkv", grey_steps(80), times=(pts, Fraction(1, 1000)))
    for fps in (25, 30, Fraction(30000, 1001), 10):
        got = numbers(media.VideoReader(path), fps=fps)
        instants = [700 + 1000 * i / Fraction(fps) for i in range(len(got))]
        latest = [max(k for k in range(80) if pts[k] <= t + Fraction(1, 2)) for t in instants]
        assert got == latest
        assert got[0] == 0
        assert abs(len(got) / fps - (pts[-1] - 700) / 1000) < 0.3


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        (30, 25, [i * 6 // 5 for i in range(50)]),
        (25, 50, [i // 2 for i in range(120)]),
        # Half a millisecond of slack, as container timestamps are rounded.
        (
            Fraction(30000, 1001),
            25,
            [int((Fraction(i, 25) + Fraction(1, 2000)) * 30000 / 1001) for i in range(51)],
        ),
    ],
)
def test_resampling_to_another_rate(tmp_path, source, target, wanted):
    path = write_clip(tmp_path / "a.mkv", grey_steps(60), rate=Fraction(source))
    reader = media.VideoReader(path)
    got = numbers(reader, fps=target)
    assert got == wanted
    assert reader.count_at(target) == len(got)


@pytest.mark.parametrize(
    ("guessed", "average", "chosen"),
    [
        (Fraction(30000, 1001), Fraction(19001, 634), Fraction(30000, 1001)),
        (Fraction(30), Fraction(519168, 19667), Fraction(30)),
        (Fraction(1000), Fraction(2999, 100), Fraction(30)),
        (Fraction(90000), Fraction(2997, 100), Fraction(30000, 1001)),
        (Fraction(240), Fraction(240), Fraction(240)),
        (None, Fraction(25), Fraction(25)),
        (Fraction(120), Fraction(17, 1), Fraction(17)),
        (None, None, Fraction(25)),
    ],
)
def test_constant_rate(guessed, average, chosen):
    assert constant_rate(guessed, average) == chosen


ROTATIONS = {0: 0, 90: 1, 180: 2, -90: 3}


@pytest.mark.parametrize("counterclockwise", ROTATIONS)
@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_rotation_is_applied(tmp_path, counterclockwise, size):
    width, height = size
    frames = [i420_noise(np.random.default_rng(0), *size) for _ in range(3)]
    path = tmp_path / "a.mkv"
    write_planes(path, frames, width, height, rotation=counterclockwise)
    reader = media.VideoReader(path)
    turns = ROTATIONS[counterclockwise]
    assert (reader.width, reader.height) == (size if turns % 2 == 0 else size[::-1])
    got = i420_planes(next(iter(reader)), reader.width, reader.height)
    for ours, plane in zip(got, i420_planes(frames[0], width, height), strict=True):
        np.testing.assert_array_equal(ours, np.rot90(plane, turns))


def write_planes(path, frames, width, height, *, rotation=None, tags=(), pix_fmt="yuv420p"):
    """Write flat I420 buffers, of odd sizes too, through FFV1."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for name, value in dict(tags).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        for i, buffer in enumerate(frames):
            frame = av.VideoFrame(width, height, pix_fmt)
            for plane, rows in zip(frame.planes, i420_planes(buffer, width, height), strict=True):
                target = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
                target[:, : rows.shape[1]] = rows
            frame.pts = i
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (890, 33), (1, 1)])
def test_planes_are_read_exactly(tmp_path, size):
    rng = np.random.default_rng(5)
    count = i420_size(*size)
    frames = [rng.integers(0, 256, count).astype(np.uint8) for _ in range(4)]
    write_planes(tmp_path / "a.mkv", frames, *size)
    for ours, theirs in zip(media.VideoReader(tmp_path / "a.mkv"), frames, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_mirrored_display_matrix(tmp_path):
    frame = i420_noise(np.random.default_rng(0), 64, 48)
    with av.open(str(tmp_path / "a.mov"), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90, hflip=True)
        picture = av.VideoFrame.from_numpy_buffer(frame.reshape(72, 64), "yuv420p")
        picture.pts = 0
        file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    reader = media.VideoReader(tmp_path / "a.mov")
    luma = i420_planes(next(iter(reader)), reader.width, reader.height)[0]
    plane = frame[: 64 * 48].reshape(48, 64)
    # Mirrored either before or after the turn, it is one of the two transposes.
    matches = [np.array_equal(luma, t) for t in (plane.T, plane[::-1, ::-1].T)]
    assert sum(matches) == 1


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({}, ("bt601", False, False)),
        ({"colorspace": 1, "color_range": 1}, ("bt709", False, True)),
        ({"colorspace": 5, "color_range": 2}, ("bt601", True, True)),
        ({"colorspace": 6}, ("bt601", False, True)),
        ({"color_range": 2}, ("bt601", True, False)),
    ],
)
def test_colour_tags(tmp_path, tags, wanted):
    frames = [i420_noise(np.random.default_rng(0), 64, 48)]
    path = tmp_path / "a.mp4"
    write_clip(path, [frames[0].reshape(72, 64)], codec="libx264", tags=tags)
    reader = media.VideoReader(path)
    assert (reader.matrix, reader.full_range, reader.tagged) == wanted


@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize(
    "pix_fmt", ["yuv444p", "yuv422p", "yuv420p10le", "yuv444p12le", "yuva420p", "nv12", "gray"]
)
def test_other_pixel_formats_become_i420(tmp_path, pix_fmt, full):
    """A smooth picture in another format reads as the picture in I420, within rounding."""
    if pix_fmt == "nv12" and full == 2:
        pytest.skip("no container of raw nv12 keeps the range")
    size = 64, 48
    buffer = i420_noise(np.random.default_rng(0), *size)
    source = av.VideoFrame.from_numpy_buffer(buffer.reshape(72, 64), "yuv420p")
    if pix_fmt == "gray":
        source = av.VideoFrame.from_ndarray(buffer[: 64 * 48].reshape(48, 64), "gray")
    source.color_range = full
    same = {"src_color_range": full, "dst_color_range": full}
    frame = source.reformat(format=pix_fmt, interpolation="AREA", **same)
    codec = "rawvideo" if pix_fmt == "nv12" else "ffv1"
    path = tmp_path / ("a.mkv" if codec == "ffv1" else "a.nut")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.color_range = full
        frame.pts = 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    reader = media.VideoReader(path)
    assert reader.full_range == (full == 2)
    got = i420_planes(next(iter(reader)), *size)
    want = i420_planes(buffer, *size)
    assert np.abs(got[0].astype(int) - want[0]).max() <= 1
    for ours, theirs in zip(got[1:], want[1:], strict=True):
        if pix_fmt == "gray":
            assert (np.abs(ours.astype(int) - 128) <= 1).all()
        else:
            assert np.abs(ours.astype(int) - theirs).max() <= 8


def test_rgb_video_gets_a_known_matrix(tmp_path):
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[:] = (200, 40, 90)
    path = write_clip(tmp_path / "a.nut", [rgb], pix_fmt="rgb24", codec="rawvideo")
    reader = media.VideoReader(path)
    assert (reader.matrix, reader.full_range, reader.tagged) == ("bt601", False, True)
    y, u, v = (int(p[10, 10]) for p in i420_planes(next(iter(reader)), 64, 48))
    r, g, b = 200 / 255, 40 / 255, 90 / 255
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    assert abs(y - (16 + 219 * luma)) <= 1
    assert abs(u - (128 + 112 * (b - luma) / 0.886)) <= 1
    assert abs(v - (128 + 112 * (r - luma) / 0.701)) <= 1


@pytest.mark.parametrize(
    "tags",
    [
        {"color_trc": 16, "color_primaries": 9, "colorspace": 9},
        {"color_trc": 18},
    ],
)
def test_hdr_is_refused(tmp_path, tags):
    buffer = i420_noise(np.random.default_rng(0), 64, 48).reshape(72, 64)
    path = write_clip(tmp_path / "a.mp4", [buffer], codec="libx264", tags=tags)
    with pytest.raises(errors.MediaError, match="HDR"):
        media.VideoReader(path)


def test_what_is_no_video(tmp_path, assets):
    with pytest.raises(errors.FileMissingError, match="no such file"):
        media.VideoReader(tmp_path / "none.mp4")
    with pytest.raises(errors.MediaError, match="no video"):
        media.VideoReader(assets / "audio/jfk_16k.wav")
    (tmp_path / "text.mp4").write_text("hello " * 1000)
    with pytest.raises(errors.MediaError, match="not a media file"):
        media.VideoReader(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(errors.MediaError, match="is empty"):
        media.VideoReader(tmp_path / "empty.mp4")
    whole = (assets / "video/woman_1080x1920_25fps.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.MediaError, match="damaged"):
        list(media.VideoReader(tmp_path / "cut.mp4"))


def test_changing_size_is_an_error(tmp_path):
    parts = []
    for width in (64, 96):
        path = write_clip(
            tmp_path / f"{width}.h264",
            grey_steps(5, width),
            codec=("libx264", {"bsf": "", "g": "1"}),
        )
        parts.append(path.read_bytes())
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    with pytest.raises(errors.MediaError, match="changes its frame size from 64x48 to 96x48"):
        list(media.VideoReader(tmp_path / "both.h264"))


def test_missing_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(errors.MissingExtraError, match=r"lipsync_fast\[video\]"):
        media.VideoReader(tmp_path / "a.mp4")


def test_frames_are_fresh_and_out_is_checked(tmp_path):
    path = write_clip(tmp_path / "a.mkv", grey_steps(3))
    reader = media.VideoReader(path)
    kept = list(reader)
    assert [int(f[0]) for f in kept] == [20, 22, 24]
    with pytest.raises(ValueError, match="bytes"):
        next(reader.frames(out=np.empty(10, np.uint8)))
    with pytest.raises(TypeError, match="uint8"):
        next(reader.frames(out=np.empty(64 * 72)))
    with pytest.raises(errors.InputError, match="fps"):
        next(reader.frames(fps=-1))
    assert all(len(set(pair)) == 2 for pair in pairwise(id(f) for f in kept))


def test_images_in_natural_order(tmp_path):
    for i in (10, 2, 1):
        Image.new("RGB", (8, 6), (i, 20, 30)).save(tmp_path / f"f{i}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._f1.png").write_bytes(b"junk")
    assert [p.name for p in media.list_images(tmp_path)] == ["f1.png", "f2.png", "f10.png"]
    frames = list(media.read_images(tmp_path))
    assert [f[0, 0].tolist() for f in frames] == [[30, 20, 1], [30, 20, 2], [30, 20, 10]]
    assert frames[0].shape == (6, 8, 3)
    assert frames[0].flags.c_contiguous
    Image.new("RGB", (8, 7)).save(tmp_path / "f11.jpg")
    with pytest.raises(errors.MediaError, match=r"f11\.jpg is 8x7, but f1\.png is 8x6"):
        list(media.read_images(tmp_path))


def test_images_that_cannot_be_used(tmp_path):
    with pytest.raises(errors.FileMissingError, match="no such folder"):
        media.list_images(tmp_path / "none")
    with pytest.raises(errors.MediaError, match=r"must hold images, \.jpg, "):
        media.list_images(tmp_path)
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(errors.MediaError, match="not an image"):
        media.read_image(tmp_path / "a.png")
    with pytest.raises(errors.MediaError, match="not a folder"):
        media.list_images(tmp_path / "a.png")
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(errors.MediaError, match="8 bits"):
        media.read_image(tmp_path / "deep.png")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(errors.MediaError, match=r"cut\.jpg"):
        media.read_image(tmp_path / "cut.jpg")


def test_image_is_turned_by_its_exif_tag(tmp_path):
    image = Image.fromarray(
        np.arange(48, dtype=np.uint8).reshape(4, 12).repeat(3, 1).reshape(4, 12, 3)
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    upright = media.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(upright, np.rot90(np.asarray(image)[..., ::-1], -1))


def test_jpeg_folder(tmp_path):
    target = tmp_path / "frames"
    with media.JpegFolder(target) as folder:
        folder.write(b"one")
        folder.write(memoryview(b"two"))
        assert not target.exists()
    assert sorted(p.name for p in target.iterdir()) == ["00000000.jpg", "00000001.jpg"]
    assert (target / "00000001.jpg").read_bytes() == b"two"
    with pytest.raises(errors.MediaError, match="already contains files"):
        media.JpegFolder(target)

    def fail():
        with media.JpegFolder(tmp_path / "other") as folder:
            folder.write(b"one")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]
    with pytest.raises(errors.FileMissingError, match="cannot be written"):
        media.JpegFolder(tmp_path / "none" / "frames")
    with pytest.raises(errors.MediaError, match="cannot be written"):
        media.JpegFolder(target / "00000000.jpg")


def test_a_jpeg_folder_that_cannot_take_its_name_leaves_nothing(tmp_path):
    target = tmp_path / "frames"
    folder = media.JpegFolder(target)
    folder.write(b"one")
    target.mkdir()
    (target / "mine").touch()
    with pytest.raises(errors.MediaError, match="frames cannot be written: "):
        folder.close()
    assert [p.name for p in tmp_path.rglob("*")] == ["frames", "mine"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_jpeg_folder_behind_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with media.JpegFolder(tmp_path / "link") as folder:
        folder.write(b"one")
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]
    assert (tmp_path / "real" / "00000000.jpg").read_bytes() == b"one"
