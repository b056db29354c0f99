"""Disks that fill and processes that are killed: one clear error, and nothing is lost.

Afterwards the files hold the old, whole, or the new, whole.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.small_person import (
    COUNT,
    HEIGHT,
    PRESET,
    RECT,
    WIDTH,
    finished,
    nothing_is_lent,
    open_pipeline,
    photos,
    speech,
    write_template,
)

from lipsync_fast import Compositor, Template, prepare
from lipsync_fast.errors import MediaError, TemplateError
from lipsync_fast.files import part
from lipsync_fast.formats import VideoFormat
from lipsync_fast.templates import TemplateOptions, TemplateWriter

resource = pytest.importorskip("resource", reason="disks are filled by a limit on file sizes")


@pytest.fixture
def folder(tmp_path, rng):
    return write_template(tmp_path / "anna", photos(rng))


@pytest.fixture
def pipeline(folder, tmp_path):
    with open_pipeline(folder, tmp_path / "net.onnx") as opened:
        yield opened


@pytest.fixture
def frames(rng):
    return photos(rng)


@pytest.fixture
def images(tmp_path, frames):
    place = tmp_path / "images"
    place.mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame[..., ::-1]).save(place / f"{i}.png")
    return place


# ---- a disk that is full ---------------------------------------------------------------------


@contextlib.contextmanager
def largest_file(size):
    """Limit the files of this process to `size` bytes: a full disk without privileges."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """Maker of file systems of some kibibytes; skips where this user may not mount."""
    mounted = []

    def make(kibibytes):
        place = tmp_path / "disk"
        place.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(place)]
        done = None
        if os.geteuid() == 0 and shutil.which("mount"):
            done = subprocess.run(["mount", *options], capture_output=True, check=False)
        if done is None or done.returncode:
            pytest.skip("this user may not mount a small file system")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=False)


def whole_size(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9])
def test_prepare_on_a_disk_that_fills(tmp_path, folder, images, share):
    """Whichever file meets the limit first, the older template stays and nothing else does."""
    with Compositor(Template.open(folder, load=True)) as compositor:
        want = finished(compositor)
    largest = max(path.stat().st_size for path in folder.iterdir())
    options = TemplateOptions(store=("jpeg", "bgr24"))
    with (
        largest_file(int(largest * share)),
        pytest.raises(TemplateError, match="anna cannot be written: File too large"),
    ):
        prepare(images, folder, preset=PRESET, rects=RECT, options=options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anna", "images"]
    with Compositor(Template.open(folder)) as compositor:
        assert finished(compositor) == want


def test_a_template_at_any_end_of_a_small_disk(small_disk, tmp_path, frames):
    """Disks from too small to large enough: one clear error, or a whole template."""
    disk = small_disk(64)
    want = write_template(tmp_path / "whole", frames, store=("jpeg",))
    needed = whole_size(want) // 1024
    outcomes = []
    for kibibytes in [*range(4, needed + 80, 12)]:
        subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", str(disk)], check=True)
        try:
            made = write_template(disk / "t", frames, store=("jpeg",))
        except TemplateError as error:
            assert not list(disk.iterdir())
            outcomes.append(str(error))
        else:
            for path in want.iterdir():
                assert (made / path.name).read_bytes() == path.read_bytes()
            shutil.rmtree(made)
            outcomes.append("whole")
    full = f"{disk / 't'} cannot be written: No space left on device"
    assert set(outcomes) == {full, "whole"}
    assert outcomes == sorted(outcomes, key=[full, "whole"].index)


def test_render_on_a_disk_that_fills(tmp_path, pipeline):
    pytest.importorskip("av")
    target = tmp_path / "out.mp4"
    target.write_bytes(b"an earlier file")
    with (
        largest_file(6000),
        pytest.raises(MediaError, match=r"out\.mp4 cannot be written: File too large"),
    ):
        pipeline.render(speech(8.0), target)
    assert target.read_bytes() == b"an earlier file"
    assert not list(tmp_path.glob("*.part"))
    assert nothing_is_lent(pipeline)
    assert pipeline.render(speech(0.5), target) == 13
    assert target.stat().st_size > 1000


def test_a_folder_of_images_on_a_disk_that_fills(tmp_path, pipeline):
    with (
        largest_file(1000),
        pytest.raises(MediaError, match="stills cannot be written: File too large"),
    ):
        pipeline.render(speech(), tmp_path / "stills")
    assert not list(tmp_path.glob("stills*"))
    assert nothing_is_lent(pipeline)
    assert pipeline.render(speech(0.5), tmp_path / "stills") == 13


def test_images_until_a_small_disk_is_full(small_disk, pipeline):
    disk = small_disk(64)
    with pytest.raises(MediaError, match="stills cannot be written: No space left on device"):
        pipeline.render(speech(20.0), disk / "stills")
    assert not list(disk.iterdir())
    assert nothing_is_lent(pipeline)


def test_the_command_line_says_so_in_one_line(tmp_path, pipeline, capsys):
    from lipsync_fast.cli.main import main

    wave = tmp_path / "speech.wav"
    write_wave(wave, speech(4.0))
    with largest_file(3000):
        status = main(
            ["render", str(tmp_path / "anna"), str(wave), str(tmp_path / "stills"), "--quiet",
             "--generator", str(tmp_path / "net.onnx")]
        )  # fmt: skip
    assert status == 2
    said = capsys.readouterr().err
    assert said == f"lipsync-fast: output {tmp_path / 'stills'} cannot be written: File too large\n"


def write_wave(path, samples):
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


# ---- a process that is killed ----------------------------------------------------------------


RENDER = """
import sys
import numpy as np
from lipsync_fast import Pipeline

def told(done, total):
    print(done, flush=True)
    if done == int(sys.argv[4]):
        import time
        time.sleep(100)

samples = np.sin(np.arange(16000 * 40) / 9).astype(np.float32) / 2
with Pipeline.open(sys.argv[1], sys.argv[2]) as pipeline:
    pipeline.render(samples, sys.argv[3], progress=told)
"""


@contextlib.contextmanager
def killed(code, *arguments, line):
    """Run code in another process, and kill it once it prints `line`."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert any(said.strip() == line for said in child.stdout)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    yield


def test_a_render_that_is_killed_plays_up_to_the_cut(tmp_path, pipeline):
    clips = pytest.importorskip("tests.support.clips")
    pytest.importorskip("av")
    target = tmp_path / "out.mp4"
    target.write_bytes(b"an earlier file")
    places = (tmp_path / "anna", tmp_path / "net.onnx", target)
    with killed(RENDER, *places, 500, line="500"):
        assert target.read_bytes() == b"an earlier file"
        pictures, times = clips.decoded(tmp_path / "out.mp4.part")
    # The encoder's look-ahead and the last fragment, a second, are lost.
    assert 400 <= len(pictures) <= 500
    assert times[:-4] == [Fraction(i, 25) for i in range(len(times) - 4)]
    samples = np.sin(np.arange(16000 * 40) / 9).astype(np.float32) / 2
    for got, frame in zip(
        pictures[:60:7], list(pipeline.frames(samples[:40000], format="i420"))[:60:7], strict=True
    ):
        assert np.abs(got.reshape(-1).astype(int) - frame.array).mean() < 4
    assert pipeline.render(speech(0.5), target) == 13
    assert not list(tmp_path.glob("*.part"))


def test_images_of_a_killed_render_are_whole(tmp_path, pipeline):
    places = (tmp_path / "anna", tmp_path / "net.onnx", tmp_path / "stills")
    with killed(RENDER, *places, 100, line="100"):
        left = sorted((tmp_path / "stills.part").iterdir())
        assert not (tmp_path / "stills").exists()
    assert [path.name for path in left] == [f"{i:08d}.jpg" for i in range(100)]
    for path in left:
        with Image.open(path) as image:
            image.load()
    assert pipeline.render(speech(0.5), tmp_path / "stills") == 13
    assert len(list((tmp_path / "stills").iterdir())) == 13
    assert not (tmp_path / "stills.part").exists()


PREPARE = """
import sys
from lipsync_fast import prepare

def told(done, total):
    print(done, flush=True)
    if done == 2:
        import time
        time.sleep(100)

prepare(sys.argv[1], sys.argv[2], preset="wav2lip96", rects=(40, 30, 60, 62), progress=told)
"""


def test_a_killed_prepare_leaves_the_older_template(tmp_path, folder, images):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with killed(PREPARE, images, folder, line="2"):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (left,) = tmp_path.glob("anna.*.part")
    with pytest.raises(TemplateError, match=r"no template\.json; name a folder"):
        Template.open(left)
    assert prepare(images, folder, preset=PRESET, rects=RECT).count == COUNT


def test_two_that_prepare_one_template_do_not_meet(tmp_path, frames):
    """The later one to close gives the name; neither sees the other's files."""
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=("bgr24",))
    first, second = (
        TemplateWriter(tmp_path / "t", video, preset=PRESET, options=options) for _ in range(2)
    )
    first.add((1, 2, 30, 30), bgr24=frames[0])
    second.add((5, 6, 30, 30), bgr24=frames[1])
    second.close()
    first.close()
    with Template.open(tmp_path / "t") as template:
        assert template.rects.tolist() == [[1, 2, 30, 30]]
        np.testing.assert_array_equal(template.bgr24(0), frames[0])
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_name_that_cannot_be_given_leaves_the_older_template(folder, frames, monkeypatch):
    writer = TemplateWriter(folder, VideoFormat(WIDTH, HEIGHT), preset=PRESET)
    writer.add((1, 2, 30, 30), bgr24=frames[0])
    rename = Path.rename

    def refuse(path, target):
        if path.name.endswith(".part"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(part, "_renameat2", None)  # as if two folders could not swap names
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(TemplateError, match="anna cannot be written: Input/output error"):
        writer.close()
    monkeypatch.undo()
    assert [path.name for path in folder.parent.iterdir()] == ["anna"]
    assert Template.open(folder).count == COUNT
