"""Films as they are to be seen: square pixels, whole frames, colours, and what cameras add."""

import io
from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from tests.support.clips import i420_noise, write_clip

from lipsync_fast import errors, kernels, media
from lipsync_fast.formats import VideoFormat
from lipsync_fast.kernels import i420_planes

av = pytest.importorskip("av")


def disc(width, height, aspect):
    """(H*3/2, W) of a disc that is round where pixels are `aspect` wide for their height."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot((x - width / 2) * float(aspect), y - height / 2)
    luma = np.where(far < height / 3, 200, 40)
    return np.vstack([luma, np.full((height // 2, width), 128)]).astype(np.uint8)


def extent(luma):
    """Width and height of the disc in it."""
    bright = luma > 120
    return bright.any(axis=0).sum(), bright.any(axis=1).sum()


def anamorphic(path, size, aspect, rotation=None):
    frames = [disc(*size, aspect)] * 3
    tags = {"sample_aspect_ratio": aspect}
    return write_clip(
        path,
        frames,
        codec=("libx264", {"crf": "5", "preset": "ultrafast"}),
        tags=tags,
        rotation=rotation,
    )


@pytest.mark.parametrize(
    ("size", "aspect", "wanted"),
    [
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 480), Fraction(8, 9), (640, 480)),
        ((720, 480), Fraction(32, 27), (854, 480)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((96, 64), Fraction(10, 7), (138, 64)),
        ((96, 64), Fraction(3, 1), (288, 64)),
        ((96, 64), Fraction(201, 200), (96, 64)),
    ],
)
@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_pixels_become_square(tmp_path, size, aspect, wanted, kind, caplog):
    reader = media.VideoReader(anamorphic(tmp_path / f"a.{kind}", size, aspect))
    assert (reader.width, reader.height) == wanted
    luma = i420_planes(next(iter(reader)), *wanted)[0]
    across, down = extent(luma)
    assert abs(across - down) <= 2 + (wanted == size)
    if wanted == size:
        assert not caplog.records
        return
    assert reader.pixel_aspect == aspect
    (record,) = caplog.records
    assert "a." in record.getMessage()
    assert f"{wanted[0]}x{wanted[1]} square" in record.getMessage()


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_square_pixels_and_rotation(tmp_path, rotation):
    path = anamorphic(tmp_path / "a.mkv", (144, 96), Fraction(4, 3), rotation)
    reader = media.VideoReader(path)
    assert (reader.width, reader.height) == ((192, 96) if rotation == 180 else (96, 192))
    across, down = extent(i420_planes(next(iter(reader)), reader.width, reader.height)[0])
    assert abs(across - down) <= 2


@pytest.mark.parametrize("aspect", [Fraction(9), Fraction(1, 50)])
def test_aspects_that_no_film_has(tmp_path, aspect, caplog):
    reader = media.VideoReader(anamorphic(tmp_path / "a.mkv", (96, 64), aspect))
    assert (reader.width, reader.height, reader.pixel_aspect) == (96, 64, 1)
    assert "count as square" in caplog.text


def moving_bar(moment, width=96, height=64):
    """(H, W) luma of a bar at the place of a moment."""
    luma = np.full((height, width), 40, np.uint8)
    luma[:, 8 + 3 * moment : 24 + 3 * moment] = 200
    return luma


def interlaced(path, codec, options=(), field="tff", count=12, pix_fmt="yuv420p", flagged=True):
    """Write a film of which each frame weaves two moments of a moving bar."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=96, height=64, format=av.VideoFormat(pix_fmt), time_base=Fraction(1, 25)
    )
    mark = graph.add("setfield", field if flagged else "prog")
    sink = graph.add("buffersink")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = 96, 64, pix_fmt
        for i in range(count):
            first, second = moving_bar(2 * i), moving_bar(2 * i + 1)
            luma = first.copy()
            luma[1 if field == "tff" else 0 :: 2] = second[1 if field == "tff" else 0 :: 2]
            planes = np.vstack([luma, np.full((32, 96), 128, np.uint8)])
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p").reformat(format=pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            graph.push(frame)
            for packet in stream.encode(graph.pull()):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return path


def combing(luma):
    """How much neighbouring rows differ, beside rows of one field."""
    rows = luma.astype(int)
    return np.abs(rows[1:-1] * 2 - rows[:-2] - rows[2:]).mean()


INTERLACED = {
    "h264": ("mkv", "libx264", {"flags": "+ildct+ilme", "crf": "1"}, "yuv420p"),
    "mpeg2": ("mpg", "mpeg2video", {"flags": "+ildct+ilme", "q": "1"}, "yuv420p"),
    "ffv1": ("mkv", "ffv1", {}, "yuv422p"),
}


@pytest.mark.parametrize("kind", INTERLACED)
@pytest.mark.parametrize("field", ["tff", "bff"])
def test_interlaced_film_is_deinterlaced(tmp_path, kind, field, caplog):
    ending, codec, options, pix_fmt = INTERLACED[kind]
    path = interlaced(tmp_path / f"a.{ending}", codec, options, field, pix_fmt=pix_fmt)
    reader = media.VideoReader(path)
    for _ in range(2):
        frames = [i420_planes(f, 96, 64)[0].copy() for f in reader]
        assert len(frames) == 12
        assert max(combing(f) for f in frames) < 3
        # Each frame shows its first moment.
        for i, frame in enumerate(frames):
            middle = np.flatnonzero(frame[32] > 120).mean()
            assert abs(middle - (15.5 + 6 * i)) <= 2
    assert reader.interlaced
    assert [r.getMessage() for r in caplog.records] == [
        f"{path} is interlaced; its frames are deinterlaced"
    ]


def test_film_flagged_as_progressive_stays(tmp_path, caplog):
    path = interlaced(tmp_path / "a.mkv", "ffv1", flagged=False)
    reader = media.VideoReader(path)
    frames = [i420_planes(f, 96, 64)[0].copy() for f in reader]
    wanted = moving_bar(0)
    wanted[1::2] = moving_bar(1)[1::2]
    np.testing.assert_array_equal(frames[0], wanted)
    assert not reader.interlaced
    assert not caplog.records


def jpeg_of(image, orientation=None):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    if orientation:
        exif[0x0112] = orientation
    data = io.BytesIO()
    image.save(data, "JPEG", exif=exif, quality=95, subsampling=0)
    return data.getvalue()


def quarters():
    """An image of four grey quarters, which tells its orientation."""
    grey = np.zeros((48, 64), np.uint8)
    grey[:24, :32], grey[:24, 32:], grey[24:, :32], grey[24:, 32:] = 40, 90, 150, 220
    return Image.fromarray(grey).convert("RGB")


@pytest.mark.parametrize("kind", ["avi", "mkv", "mjpeg"])
@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 5, 6, 7, 8])
def test_camera_jpegs_as_a_film(tmp_path, kind, orientation):
    """EXIF is side data of a kind that PyAV's list did not have."""
    data = jpeg_of(quarters(), orientation)
    path = tmp_path / f"a.{kind}"
    if kind == "mjpeg":
        path.write_bytes(data * 4)
    else:
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj444p"
            for i in range(4):
                packet = av.Packet(data)
                packet.pts = packet.dts = i
                packet.time_base, packet.stream = Fraction(1, 25), stream
                file.mux(packet)
    (tmp_path / "a.jpg").write_bytes(data)
    upright = media.read_image(tmp_path / "a.jpg")[..., 1]
    reader = media.VideoReader(path)
    assert (reader.height, reader.width) == upright.shape
    frames = list(reader)
    assert len(frames) == 4
    luma = i420_planes(frames[0], reader.width, reader.height)[0]
    assert np.abs(luma.astype(int) - upright).max() <= 4


@pytest.mark.parametrize("kind", ["webp", "tiff", "png"])
def test_stills_with_exif_end_in_no_traceback(tmp_path, kind):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x0112] = 6
    quarters().save(tmp_path / f"a.{kind}", exif=exif)
    with suppress(errors.MediaError):  # where FFmpeg cannot read it as a film
        assert len(list(media.VideoReader(tmp_path / f"a.{kind}"))) >= 1


def test_a_film_of_palettes(tmp_path):
    path = tmp_path / "a.mov"
    image = quarters().quantize(8)
    data = io.BytesIO()
    image.save(data, "PNG")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for i in range(3):
            packet = av.Packet(data.getvalue())
            packet.pts = packet.dts = i
            packet.time_base, packet.stream = Fraction(1, 25), stream
            file.mux(packet)
    reader = media.VideoReader(path)
    frames = list(reader)
    bgr = kernels.from_i420(frames[0], width=64, height=48, matrix=reader.matrix)
    wanted = np.asarray(image.convert("L")).astype(int)
    assert len(frames) == 3
    assert np.abs(bgr[4::8, 4::8, 1] - wanted[4::8, 4::8]).max() <= 3


def test_what_pyav_does_not_know_is_one_sentence(tmp_path, monkeypatch):
    path = write_clip(
        tmp_path / "a.mkv", [i420_noise(np.random.default_rng(0), 64, 48).reshape(72, 64)]
    )

    def unknown(*arguments):
        raise ValueError("99 is not a valid Type")

    monkeypatch.setattr("lipsync_fast.media.video_in.read_orientation", unknown)
    with pytest.raises(errors.MediaError, match="99 is not a valid Type"):
        media.VideoReader(path)


# Linear light of BT.709 in the primaries of BT.2020 (ITU-R BT.2087).
TO_WIDE = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def wide_codes(rgb):
    """10-bit Y', Cb, Cr of BT.2020 for R'G'B' of BT.709 in 0..255."""
    code = np.array(rgb) / 255
    light = np.where(code < 0.0812, code / 4.5, ((code + 0.0993) / 1.0993) ** (1 / 0.45))
    light = TO_WIDE @ light
    r, g, b = np.where(light < 0.01805, 4.5 * light, 1.0993 * light**0.45 - 0.0993)
    y = 0.2627 * r + 0.6780 * g + 0.0593 * b
    u, v = (b - y) / 1.8814, (r - y) / 1.4746
    return [round(4 * (16 + 219 * y)), round(4 * (128 + 224 * u)), round(4 * (128 + 224 * v))]


@pytest.mark.parametrize("rgb", [(190, 140, 115), (128, 128, 128), (90, 60, 50), (230, 180, 160)])
def test_wide_colours_without_hdr_become_those_of_bt709(tmp_path, rgb):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        codec = stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range = 9, 9, 14, 1
        frame = av.VideoFrame(64, 48, "yuv420p10le")
        for plane, value in zip(frame.planes, wide_codes(rgb), strict=True):
            np.frombuffer(plane, np.uint16)[:] = value
        frame.pts, frame.colorspace, frame.color_range = 0, 9, 1
        frame.color_primaries, frame.color_trc = 9, 14
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    reader = media.VideoReader(path)
    assert (reader.matrix, reader.tagged) == ("bt709", True)
    (i420,) = reader
    bgr = kernels.from_i420(i420, width=64, height=48, matrix="bt709")
    assert np.abs(bgr[24, 32, ::-1].astype(int) - rgb).max() <= 5


def test_the_default_sound_track_is_taken(tmp_path):
    tones = [0.3 * np.sin(2 * np.pi * f * np.arange(16000) / 16000) for f in (400, 900)]
    for chosen in (0, 1):
        path = tmp_path / f"{chosen}.mkv"
        with av.open(str(path), "w") as file:
            streams = [file.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in tones]
            for i, stream in enumerate(streams):
                stream.disposition = av.stream.Disposition(int(i == chosen))
            for stream, tone in zip(streams, tones, strict=True):
                samples = (tone * 32767).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
                frame.sample_rate = 16000
                for packet in [*stream.encode(frame), *stream.encode(None)]:
                    file.mux(packet)
        heard = np.abs(np.fft.rfft(media.load_audio(path)))
        assert abs(heard.argmax() - (400, 900)[chosen]) <= 2
        with media.VideoWriter(
            tmp_path / f"{chosen}.mp4", VideoFormat(64, 48), audio=path
        ) as writer:
            for _ in range(25):
                writer.write(np.full(64 * 72, 128, np.uint8))
        written = np.abs(np.fft.rfft(media.load_audio(tmp_path / f"{chosen}.mp4")[:16000]))
        assert abs(written.argmax() - (400, 900)[chosen]) <= 2
