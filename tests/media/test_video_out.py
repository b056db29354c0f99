"""Video out: pixels, time, sound in sync, and what is left when something goes wrong."""

import os
import resource
import signal
import struct
import subprocess
import sys
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.support.clips import decoded, i420_noise

from lipsync_fast import errors, media
from lipsync_fast.formats import VideoFormat
from lipsync_fast.kernels import i420_planes, i420_size

av = pytest.importorskip("av")

NTSC = Fraction(30000, 1001)


def frames_of(count, width=64, height=48, seed=0):
    rng = np.random.default_rng(seed)
    return [i420_noise(rng, width, height) for _ in range(count)]


def format_of(width=64, height=48, fps=25, matrix="bt601", full_range=False, tagged=True):
    return VideoFormat(width, height, Fraction(fps), matrix, full_range, tagged)


def write(path, frames, format=None, *, crf=20, audio=None):
    h264 = media.H264Options(crf=crf)
    with media.VideoWriter(path, format or format_of(), h264=h264, audio=audio) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def boxes(path):
    """Names of the top-level boxes of an mp4."""
    data, at, names = Path(path).read_bytes(), 0, []
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1:
            size = struct.unpack_from(">Q", data, at + 8)[0]
        names.append(name.decode())
        at += size
    return names


def sound_of(path):
    """(channels, n) float32 and the rate, as PyAV decodes it."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        assert stream.codec_context.name == "aac"
        frames = list(file.decode(stream))
        assert frames[0].pts == 0, "the priming samples are skipped"
        return np.concatenate([f.to_ndarray() for f in frames], axis=1), stream.rate


@pytest.mark.parametrize("size", [(64, 48), (66, 48), (66, 50), (318, 178), (890, 64)])
def test_pixels_at_crf_0(tmp_path, size):
    frames = frames_of(9, *size)
    path = write(tmp_path / "a.mp4", frames, format_of(*size), crf=0)
    reader = media.VideoReader(path)
    assert (reader.width, reader.height, reader.fps) == (*size, 25)
    for ours, theirs in zip(reader, frames, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (31, 33), (1, 1)])
def test_odd_sizes_repeat_the_last_line(tmp_path, size):
    width, height = size
    frames = frames_of(5, *size)
    path = write(tmp_path / "a.mp4", frames, format_of(*size), crf=0)
    reader = media.VideoReader(path)
    even = width + width % 2, height + height % 2
    assert (reader.width, reader.height) == even
    for got, frame in zip(reader, frames, strict=True):
        luma, *chroma = i420_planes(got, *even)
        wanted, *wanted_chroma = i420_planes(frame, width, height)
        spread = np.pad(wanted, ((0, height % 2), (0, width % 2)), mode="edge")
        np.testing.assert_array_equal(luma, spread)
        for ours, theirs in zip(chroma, wanted_chroma, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [(64, 48), (64, 46), (64, 47)])
@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", "medium"])
def test_one_buffer_serves_all_frames(tmp_path, preset, size):
    width, height = size
    frames = frames_of(60, *size)
    buffer = np.empty_like(frames[0])
    h264 = media.H264Options(preset=preset, crf=0)
    with media.VideoWriter(tmp_path / "a.mp4", format_of(*size), h264=h264) as writer:
        for frame in frames:
            buffer[:] = frame
            writer.write(buffer)
            buffer[:] = 0
    for ours, theirs in zip(media.VideoReader(tmp_path / "a.mp4"), frames, strict=True):
        np.testing.assert_array_equal(
            i420_planes(ours, width, height + height % 2)[0][:height],
            theirs[: width * height].reshape(height, width),
        )


def test_read_only_and_shaped_buffers(tmp_path):
    frame = frames_of(1)[0].reshape(72, 64)
    frame.flags.writeable = False
    path = write(tmp_path / "a.mp4", [frame], crf=0)
    np.testing.assert_array_equal(next(iter(media.VideoReader(path))), frame.ravel())


@pytest.mark.parametrize("fps", [10, 25, NTSC, Fraction(24000, 1001), 60])
@pytest.mark.parametrize("count", [1, 2, 100])
def test_times_are_exact(tmp_path, fps, count):
    path = write(
        tmp_path / "a.mp4", frames_of(count), format_of(fps=fps), audio=np.zeros(1000, np.float32)
    )
    times = decoded(path)[1]
    assert times == [Fraction(i) / fps for i in range(count)]
    with av.open(str(path)) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert video.frames == count
        assert video.duration * video.time_base == count / Fraction(fps)
        gap = sound.duration * sound.time_base - count / Fraction(fps)
        assert abs(gap) <= Fraction(2, sound.rate)
        assert abs(Fraction(file.duration, 10**6) - count / Fraction(fps)) < Fraction(1, 1000)
        assert (video.start_time, sound.start_time) == (0, 0)
    assert media.VideoReader(path).fps == fps or count == 1


def test_the_finished_file_is_plain(tmp_path):
    path = write(tmp_path / "a.mp4", frames_of(120), audio=np.zeros(80000, np.float32))
    names = boxes(path)
    assert names.count("moov") == 1
    assert not {"moof", "mfra", "sidx"} & set(names)
    data = path.read_bytes()
    assert b"mvex" not in data[data.rindex(b"moov") :]
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("tagged", [False, True])
def test_colour_tags_return(tmp_path, matrix, full_range, tagged):
    format = format_of(matrix=matrix, full_range=full_range, tagged=tagged)
    path = write(tmp_path / "a.mp4", frames_of(2), format, crf=0)
    reader = media.VideoReader(path)
    assert reader.tagged == tagged
    assert reader.full_range == full_range
    assert reader.matrix == (matrix if tagged else "bt601")
    np.testing.assert_array_equal(next(iter(reader)), frames_of(2)[0])


@pytest.mark.parametrize("name", ["woman_1080x1920_25fps.mp4", "liteavatar_890x1920_30fps.mp4"])
def test_colour_tags_of_real_clips_return(assets, tmp_path, name):
    source = media.VideoReader(assets / "video" / name)
    frames = [frame for frame, _ in zip(source, range(2), strict=False)]
    path = write(tmp_path / "a.mp4", frames, source.format)
    tags = []
    for file in (source.path, path):
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
            tags.append((frame.colorspace, frame.color_range))
    assert tags[0] == tags[1]


def click_wav(path, rate, channels, at, count):
    """A WAV of silence with one short click centred on sample `at`."""
    samples = np.zeros((count, channels), np.float32)
    window = np.hanning(2 * (rate // 2000) + 1)
    samples[at - rate // 2000 : at + rate // 2000 + 1] = 0.8 * window[:, None]
    raw = samples.tobytes()
    fmt = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(raw))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", len(raw))
        + raw
    )
    return samples[:, 0].copy()


@pytest.mark.parametrize("fps", [25, NTSC])
@pytest.mark.parametrize(
    ("rate", "channels", "kept_rate"),
    [(16000, 1, 16000), (44100, 2, 44100), (48000, 2, 48000), (37800, 1, 48000), (8000, 1, 8000)],
)
def test_a_click_stays_where_it_is(tmp_path, fps, rate, channels, kept_rate):
    at = int(2.345 * rate)
    click_wav(tmp_path / "click.wav", rate, channels, at, 4 * rate)
    path = write(
        tmp_path / "a.mp4", frames_of(100), format_of(fps=fps), audio=tmp_path / "click.wav"
    )
    got, got_rate = sound_of(path)
    assert (got_rate, got.shape[0]) == (kept_rate, channels)
    found = np.abs(got[0]).argmax() / got_rate
    assert abs(found - at / rate) <= 0.001
    assert np.abs(got).max() > 0.4
    # At 8 kHz a click of a millisecond is 9 samples; its place in 16 kHz is still found.
    again = np.abs(media.load_audio(path)).argmax() / 16000
    assert abs(again - at / rate) <= 0.001


def test_a_click_of_samples_in_memory(tmp_path):
    samples = click_wav(tmp_path / "click.wav", 16000, 1, 20000, 60000)
    path = write(tmp_path / "a.mp4", frames_of(94), audio=samples)
    got, rate = sound_of(path)
    assert rate == 16000
    assert abs(int(np.abs(got[0]).argmax()) - 20000) <= 16


@pytest.mark.parametrize("seconds", [0.5, 10])
def test_sound_is_cut_or_filled_to_the_end_of_the_video(tmp_path, seconds):
    tone = np.sin(np.arange(int(seconds * 16000)) / 5).astype(np.float32) / 2
    path = write(tmp_path / "a.mp4", frames_of(50), audio=tone)
    got = sound_of(path)[0][0]
    assert 32000 <= got.size <= 32000 + 1024
    level = np.sqrt(np.mean(got[:32000].reshape(-1, 800) ** 2, axis=1))
    heard = level > 0.2
    assert heard.sum() == min(40, seconds * 20)
    assert heard[: int(min(40, seconds * 20))].all()
    with av.open(str(path)) as file:
        assert file.streams.audio[0].duration == 32000


def test_sound_of_a_video_file(assets, tmp_path):
    source = assets / "video/woman_1080x1920_25fps.mp4"
    path = write(tmp_path / "a.mp4", frames_of(250), audio=source)
    original, rate = sound_of(source)
    got, got_rate = sound_of(path)
    assert (rate, got_rate, got.shape[0]) == (44100, 44100, 2)
    middle = slice(100000, 300000)
    lags = range(-3, 4)
    match = [np.corrcoef(original[0][middle], np.roll(got[0], k)[middle])[0, 1] for k in lags]
    assert lags[int(np.argmax(match))] == 0
    assert max(match) > 0.98


def test_more_than_two_channels_become_one(tmp_path):
    click_wav(tmp_path / "click.wav", 48000, 6, 40000, 90000)
    got, rate = sound_of(write(tmp_path / "a.mp4", frames_of(40), audio=tmp_path / "click.wav"))
    assert (rate, got.shape[0]) == (48000, 1)
    assert abs(int(np.abs(got[0]).argmax()) - 40000) <= 48


def test_sound_and_picture_lie_side_by_side_in_the_file(tmp_path):
    path = write(tmp_path / "a.mp4", frames_of(300), audio=np.zeros(16000 * 12, np.float32))
    with av.open(str(path)) as file:
        packets = [
            (p.pos, p.stream.type, float(p.dts * p.time_base)) for p in file.demux() if p.size
        ]
    latest = {"audio": 0.0, "video": 0.0}
    for _, kind, time in sorted(packets):
        latest[kind] = time
        assert abs(latest["audio"] - latest["video"]) < 1.5


CHILD = """
import sys, numpy as np
from lipsync_fast import media
from lipsync_fast.formats import VideoFormat
from tests.support import clips
rng = np.random.default_rng(0)
frames = [clips.i420_noise(rng, 320, 240) for _ in range(20)]
sound = np.sin(np.arange(16000 * 60) / 9).astype(np.float32) / 2
writer = media.VideoWriter(sys.argv[1], VideoFormat(320, 240), audio=sound)
for i in range(int(sys.argv[2])):
    writer.write(frames[i % 20])
"""


def run_child(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        **options,
    )


def test_a_killed_process_leaves_a_part_that_plays(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"an earlier file")
    code = CHILD + "print('written', flush=True)\nimport time; time.sleep(100)"
    child = run_child(code, path, 400)
    try:
        assert child.stdout.readline() == "written\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    part = tmp_path / "a.mp4.part"
    assert path.read_bytes() == b"an earlier file"
    frames, times = decoded(part)
    # The encoder's look-ahead and the last fragment, a second, are lost.
    assert 400 - 100 <= len(frames) <= 400
    # Frames that are decoded out of order may be missing among the last few.
    assert times[:-4] == [Fraction(i, 25) for i in range(len(frames) - 4)]
    assert abs(sound_of(part)[0].shape[1] / 16000 - len(frames) / 25) < 1.5
    # The next render starts over.
    write(path, frames_of(3))
    assert len(decoded(path)[0]) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("limit", [0, 1000, 20_000, 100_000])
def test_a_full_disk_is_one_clear_error(tmp_path, limit):
    """A limit on the file's size stands in for the disk's."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"an earlier file")
    code = CHILD + "writer.close()"

    def confine():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    child = run_child(code, path, 300, preexec_fn=confine)
    error = child.communicate(timeout=60)[1]
    assert child.returncode == 1
    last = error.strip().splitlines()[-1]
    assert last.startswith("lipsync_fast.errors.MediaError: ")
    assert "a.mp4 cannot be written: File too large" in last
    assert path.read_bytes() == b"an earlier file"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_disk_that_fills_while_closing(tmp_path):
    target = tmp_path / "a.mp4"
    writer = media.VideoWriter(target, format_of())
    for frame in frames_of(40):
        writer.write(frame)
    written = (tmp_path / "a.mp4.part").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (written + 500, before[1]))
        with pytest.raises(errors.MediaError, match=r"a\.mp4 cannot be written"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    writer.close()


def test_an_exception_leaves_nothing_but_the_earlier_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"an earlier file")

    def fail():
        with media.VideoWriter(path, format_of()) as writer:
            writer.write(frames_of(1)[0])
            assert (tmp_path / "a.mp4.part").exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"an earlier file"


def test_outputs_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    for target, words in [
        (tmp_path / "file" / "a.mp4", "is not a folder"),
        (tmp_path, "must end in"),
        (tmp_path / "a.avi", "must end in"),
    ]:
        with pytest.raises(ValueError, match=words):
            media.VideoWriter(target, format_of())
    with pytest.raises(errors.FileMissingError, match="does not exist; make that folder first"):
        media.VideoWriter(tmp_path / "none" / "a.mp4", format_of())
    with pytest.raises(errors.MediaError, match=r"\.mp4 cannot be written: File name too long"):
        media.VideoWriter(tmp_path / ("n" * 300 + ".mp4"), format_of())
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(errors.MediaError, match="it is a folder"):
        media.VideoWriter(tmp_path / "b.mp4", format_of())
    (tmp_path / "c.mp4.part").mkdir()
    with pytest.raises(errors.MediaError, match=r"c\.mp4 cannot be written: Is a directory"):
        media.VideoWriter(tmp_path / "c.mp4", format_of())


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(errors.MediaError, match="Permission denied"):
        media.VideoWriter(tmp_path / "a.mp4", format_of())


FORMAT_FIELDS, H264_FIELDS = ({f.name for f in fields(k)} for k in (VideoFormat, media.H264Options))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, "width must be"),
        ({"height": 20000}, "pixels a side"),
        ({"format": (64, 48)}, "format must be of type VideoFormat"),
        ({"h264": "fast"}, "h264 must be of type H264Options"),
        ({"threads": -1}, "threads must be"),
        ({"fps": 0}, "fps must be"),
        ({"fps": -5}, "fps must be"),
        ({"matrix": "bt2020"}, "matrix must be"),
        ({"preset": "quick"}, "preset"),
        ({"crf": 70}, "crf must be"),
        ({"audio": np.zeros(10)}, "float32"),
        ({"audio": np.zeros((10, 2), np.float32)}, "one dimension"),
        ({"audio": np.zeros(10, np.float32), "audio_rate": 0}, "audio_rate"),
    ],
)
def test_bad_settings(tmp_path, change, words):
    def write_with(change):
        look = {name: change[name] for name in change.keys() & FORMAT_FIELDS}
        effort = {name: change[name] for name in change.keys() & H264_FIELDS}
        rest = {name: change[name] for name in change.keys() - look.keys() - effort.keys()}
        settings = {"format": format_of(**look), "h264": media.H264Options(**effort)} | rest
        media.VideoWriter(tmp_path / "a.mp4", **settings)

    with pytest.raises((ValueError, TypeError), match=words):
        write_with(change)
    assert not list(tmp_path.iterdir())


def test_sound_that_cannot_be_read(tmp_path):
    with pytest.raises(errors.FileMissingError, match=r"none\.wav"):
        media.VideoWriter(tmp_path / "a.mp4", format_of(), audio=tmp_path / "none.wav")
    (tmp_path / "bad.wav").write_text("text" * 100)
    with pytest.raises(errors.MediaError, match=r"bad\.wav"):
        media.VideoWriter(tmp_path / "a.mp4", format_of(), audio=tmp_path / "bad.wav")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.wav"]


def test_a_bad_frame_leaves_the_writer_usable(tmp_path):
    frame = frames_of(1)[0]
    path = tmp_path / "a.mp4"
    with media.VideoWriter(path, format_of()) as writer:
        writer.write(frame)
        for bad in (frame[:-1], frame.astype(np.float32), np.repeat(frame, 2)[::2]):
            with pytest.raises((ValueError, TypeError)):
                writer.write(bad)
        writer.write(frame)
        assert writer.frames == 2
    with pytest.raises(errors.InputError, match="closed"):
        writer.write(frame)
    assert len(decoded(path)[0]) == 2


def test_no_frame_no_file(tmp_path):
    with pytest.raises(errors.MediaError, match="no frame"):
        write(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_length(tmp_path):
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("resident memory is read from /proc")

    def resident():
        return int(statm.read_text().split()[1]) * resource.getpagesize()

    frames = frames_of(10, 160, 120)
    assert frames[0].size == i420_size(160, 120)
    sound = np.zeros(16000 * 60, np.float32)
    with media.VideoWriter(tmp_path / "a.mp4", format_of(160, 120), audio=sound) as writer:
        for i in range(500):
            writer.write(frames[i % 10])
        before = resident()
        for i in range(2500):
            writer.write(frames[i % 10])
        assert resident() - before < 8 << 20
