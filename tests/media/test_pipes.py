"""Sound and films through pipes: in, to their end and as often as wanted; out, in fragments."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.media.test_sound_damage import coded
from tests.media.test_sound_in import wav_bytes
from tests.media.test_video_out import boxes, format_of, frames_of, run_child
from tests.support.clips import decoded, write_clip

from lipsync_fast import errors, media
from lipsync_fast.provenance import MP4_BOX

av = pytest.importorskip("av")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes are of POSIX")


@pytest.fixture
def tone():
    """(n, 1) samples of 3 seconds."""
    return 0.3 * np.sin(2 * np.pi * 400 * np.arange(48000) / 16000)[:, None]


def feed(path, data, seconds=0.0):
    """Make a named pipe and write `data` to it, in two parts, from another thread."""
    os.mkfifo(path)

    def write():
        with open(path, "wb") as pipe:
            pipe.write(data[: len(data) // 2])
            pipe.flush()
            time.sleep(seconds)
            pipe.write(data[len(data) // 2 :])

    threading.Thread(target=write, daemon=True).start()
    return path


def left_over():
    return set(Path(tempfile.gettempdir()).glob("lipsync_fast-*"))


@pytest.mark.parametrize("kind", ["wav", "unknown size", "mp3", "mp4", "mka"])
def test_sound_of_a_named_pipe(tmp_path, tone, kind):
    if kind in ("wav", "unknown size"):
        data = wav_bytes(tone, 16000, "i2", size=0xFFFFFFFF if kind != "wav" else None)
    else:
        data = coded(kind, 400)
    before = left_over()
    samples = media.load_audio(feed(tmp_path / "sound", data, 0.05))
    assert abs(len(samples) - 48000) <= 1500
    assert abs(np.abs(np.fft.rfft(samples, 48000)).argmax() - 1200) <= 5
    assert left_over() <= before


def test_a_pipe_is_read_once_and_heard_twice(tmp_path, tone):
    path = media.require_file(feed(tmp_path / "sound", wav_bytes(tone, 16000, "i2")))
    assert media.duration(path) == 3
    source = media.AudioSource(path)
    np.testing.assert_array_equal(np.concatenate(list(source)), np.concatenate(list(source)))
    with media.VideoWriter(tmp_path / "a.mp4", format_of(), audio=path) as writer:
        for frame in frames_of(25):
            writer.write(frame)
    assert abs(len(media.load_audio(tmp_path / "a.mp4")) - 16000) <= 1024


def test_a_film_of_a_named_pipe(tmp_path):
    frames = [np.full((72, 64), 20 + i, np.uint8) for i in range(30)]
    film = write_clip(tmp_path / "film.mp4", frames, codec=("libx264", {"crf": "0"}))
    reader = media.VideoReader(feed(tmp_path / "pipe", film.read_bytes()))
    for _ in range(2):
        assert [int(f[0]) for f in reader] == [20 + i for i in range(30)]


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/proc/self/fd/0"])
def test_standard_input(tone, name):
    if name.startswith("/") and not os.path.exists(name):
        pytest.skip(f"no {name} here")
    code = "import sys; from lipsync_fast import media; print(media.load_audio(sys.argv[1]).size)"
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        input=wav_bytes(tone, 16000, "i2"),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
    )
    assert done.stdout == b"48000\n"


def test_errors_name_the_pipe(tmp_path):
    with pytest.raises(errors.MediaError) as caught:
        media.load_audio(feed(tmp_path / "sound.mp3", b"text " * 1000))
    assert str(caught.value).startswith(f"{tmp_path}/sound.mp3 is damaged, or not a media file")
    with pytest.raises(errors.MediaError, match=r"nothing came through .*empty"):
        media.load_audio(feed(tmp_path / "empty", b""))
    with pytest.raises(errors.MediaError, match="is a device; name a file or a pipe"):
        media.load_audio("/dev/zero")


@pytest.mark.parametrize("count", [1, 3, 26, 90])
def test_a_film_into_a_named_pipe(tmp_path, count):
    os.mkfifo(tmp_path / "out")
    got = io.BytesIO()

    def read():
        with open(tmp_path / "out", "rb") as pipe:
            got.write(pipe.read())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    sound = np.sin(np.arange(16000 * 5) / 9).astype(np.float32) / 2
    with media.VideoWriter(tmp_path / "out", format_of(), audio=sound, label=True) as writer:
        for frame in frames_of(count):
            writer.write(frame)
    reader.join(20)
    (tmp_path / "got.mp4").write_bytes(got.getvalue())
    planes, times = decoded(tmp_path / "got.mp4")
    assert len(planes) == count
    assert [float(t) for t in times] == pytest.approx([i / 25 for i in range(count)])
    assert abs(len(media.load_audio(tmp_path / "got.mp4")) - count * 640) <= 1024
    names = boxes(tmp_path / "got.mp4")
    assert names[:2] == ["ftyp", "moov"]
    assert "moof" in names
    assert got.getvalue().endswith(MP4_BOX)
    assert {p.name for p in tmp_path.iterdir()} == {"out", "got.mp4"}


WRITER = """
import sys, numpy as np
from lipsync_fast import media
from lipsync_fast.formats import VideoFormat
from tests.support import clips
rng = np.random.default_rng(0)
frames = [rng.integers(0, 256, 320 * 360).astype(np.uint8) for i in range(4)]
with media.VideoWriter(sys.argv[1], VideoFormat(320, 240)) as writer:
    for i in range(400):
        writer.write(frames[i % 4])
        print(i, file=sys.stderr, flush=True)
"""


def test_a_reader_that_goes_away_is_one_error():
    child = run_child(WRITER, "-")
    child.stdout.buffer.read(1000)
    child.stdout.close()
    with child.stderr:
        error = child.stderr.read()
    assert child.wait(60) == 1
    last = error.strip().splitlines()[-1]
    assert last == "lipsync_fast.errors.MediaError: - cannot be written: Broken pipe"


def test_a_signal_ends_the_wait_for_a_reader():
    code = WRITER.replace("import sys,", "import signal, sys,").replace(
        "rng =", "signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))\nrng =", 1
    )
    child = run_child(code, "-")
    # Nobody reads: the child stands still when the pipe is full.
    seen = [child.stderr.readline()]
    waiter = threading.Thread(target=lambda: seen.extend(child.stderr), daemon=True)
    waiter.start()
    while True:
        before = len(seen)
        time.sleep(0.7)
        if len(seen) == before:
            break
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 143
    waiter.join(20)
    child.stdout.close()
    child.stderr.close()


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_signal_ends_the_wait_for_the_other_end(tmp_path, way):
    os.mkfifo(tmp_path / "pipe")
    use = {
        "in": "media.load_audio(sys.argv[1])",
        "out": "media.VideoWriter(sys.argv[1], VideoFormat(64, 48))",
    }[way]
    code = (
        "import signal, sys\nfrom lipsync_fast import media\n"
        "from lipsync_fast.formats import VideoFormat\n"
        "signal.signal(signal.SIGTERM, lambda *a: sys.exit(143))\n"
        f"media.load_audio.__module__; print('ready', flush=True)\n{use}\n"
    )
    child = run_child(code, tmp_path / "pipe")
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 143
    child.communicate()
