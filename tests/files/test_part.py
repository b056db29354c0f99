"""One writer at a time: what two would write at once, and what was never theirs, stays whole."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from lipsync_fast import media
from lipsync_fast.errors import MediaError
from lipsync_fast.files import part

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no folder over")


def mp4(path):
    pytest.importorskip("av")
    return media.VideoWriter(path, 64, 48, 25)


def frame(writer):
    if isinstance(writer, media.JpegFolder):
        writer.write(b"\xff\xd8")
    else:
        writer.write(np.full(64 * 72, 128, np.uint8))


@pytest.mark.parametrize(("kind", "name"), [(mp4, "out.mp4"), (media.JpegFolder, "out")])
def test_a_second_writer_is_refused_while_the_first_lives(tmp_path, kind, name):
    first = kind(tmp_path / name)
    frame(first)
    with pytest.raises(MediaError, match=f"{name} cannot be written: (another writer|.* is there)"):
        kind(tmp_path / name)
    frame(first)
    first.close()
    whole = tmp_path / name
    if kind is mp4:
        from tests.support import clips

        assert len(clips.decoded(whole)[0]) == 2
        with kind(whole) as again:  # and the next one may
            frame(again)
        assert len(clips.decoded(whole)[0]) == 1
    else:
        assert len(list(whole.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [whole]


@pytest.mark.parametrize(("kind", "name"), [(mp4, "out.mp4"), (media.JpegFolder, "out")])
def test_who_gives_up_lets_the_next_one_in(tmp_path, kind, name):
    first = kind(tmp_path / name)
    frame(first)
    first.abort()
    assert not list(tmp_path.iterdir())
    second = kind(tmp_path / name)
    first.abort()  # a second time: not what is the other's now
    first.close()
    frame(second)
    second.close()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@posix
@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_another_process_is_refused_too_and_let_in_when_this_one_is_killed(tmp_path, name):
    pytest.importorskip("av")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from lipsync_fast.files import part\n"
        "target = Path(sys.argv[1])\n"
        "held = part.PartFile(target) if target.suffix else part.hold_folder(target)\n"
        "print('held', flush=True)\n"
        "time.sleep(100)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / name)], stdout=subprocess.PIPE, text=True
    )
    kind = mp4 if name.endswith("4") else media.JpegFolder
    try:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(MediaError, match="another writer is at it"):
            kind(tmp_path / name)
    finally:
        child.kill()
        child.communicate()
    assert (tmp_path / f"{name}.part").exists()
    with kind(tmp_path / name) as writer:
        frame(writer)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@posix
def test_frames_of_a_killed_writer_go_and_nothing_else_does(tmp_path):
    part = tmp_path / "out.part"
    part.mkdir()
    for i in range(3):
        (part / f"{i:08d}.jpg").write_bytes(b"old")
    with media.JpegFolder(tmp_path / "out") as folder:
        folder.write(b"new")
    assert [p.read_bytes() for p in (tmp_path / "out").iterdir()] == [b"new"]


@posix
@pytest.mark.parametrize("name", ["holiday.jpg", "00000001.png", "1.jpg", ".hidden"])
def test_what_is_no_frame_is_left_alone(tmp_path, name):
    part = tmp_path / "out.part"
    part.mkdir()
    (part / "00000000.jpg").write_bytes(b"old")
    (part / name).write_bytes(b"mine")
    for _ in range(2):  # refusing it lets go of it
        with pytest.raises(MediaError, match=f"{name}, which is no frame; move it away"):
            media.JpegFolder(tmp_path / "out")
    assert sorted(p.name for p in part.iterdir()) == sorted(["00000000.jpg", name])
    assert list(tmp_path.iterdir()) == [part]


@posix
@pytest.mark.parametrize(("kind", "name"), [(mp4, "out.mp4"), (media.JpegFolder, "out")])
def test_links_and_pipes_in_its_place_are_refused(tmp_path, kind, name):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "00000000.jpg").write_bytes(b"theirs")
    (tmp_path / "film").write_bytes(b"theirs")
    part = tmp_path / f"{name}.part"
    for place in ("others", "film", "none", os.devnull):
        part.symlink_to(tmp_path / place)
        with pytest.raises(MediaError, match=r"\.part, where it lies at first, is a link or"):
            kind(tmp_path / name)
        part.unlink()
    os.mkfifo(part)
    with pytest.raises(MediaError, match=r"\.part, where it lies at first, is a link or"):
        kind(tmp_path / name)
    part.unlink()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["00000000.jpg", "film", "others"]
    assert (tmp_path / "film").read_bytes() == b"theirs"


@posix
@pytest.mark.parametrize(("kind", "name"), [(mp4, "out.mp4"), (media.JpegFolder, "out")])
def test_who_is_forgotten_holds_nothing(tmp_path, kind, name):
    frame(kind(tmp_path / name))
    gc.collect()
    with kind(tmp_path / name) as writer:
        frame(writer)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_a_forked_process_neither_ends_a_hold_nor_keeps_it(tmp_path, name):
    # In a process of its own, which has one thread.
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from lipsync_fast import media\n"
        "from lipsync_fast.errors import MediaError\n"
        "from lipsync_fast.files import part\n"
        "target = Path(sys.argv[1])\n"
        "make = part.PartFile if target.suffix else media.JpegFolder\n"
        "first = make(target)\n"
        "ended = os.pipe()\n"
        "if not os.fork():\n"
        "    sys.exit()\n"  # with all that Python does at exit
        "os.wait()\n"
        "try:\n"
        "    make(target)\n"
        "    sys.exit('the second one was let in')\n"
        "except MediaError:\n"
        "    pass\n"
        "if not os.fork():\n"
        "    os.close(ended[1])\n"
        "    os.read(ended[0], 1)\n"  # lives until the other one ends
        "    os._exit(0)\n"
        "first.finish() if target.suffix else first.close()\n"
        "os.rename(target, target.with_name('done'))\n"
        "second = make(target)\n"
        "second.finish() if target.suffix else second.close()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["done", name]


@posix
def test_a_part_that_changes_hands_between_opening_and_locking(tmp_path, monkeypatch):
    """Who has opened what another writer then renames must not write into the finished file."""
    target = tmp_path / "out.mp4"
    first = part.PartFile(target)
    lock, calls = part.fcntl.flock, []

    def late(descriptor, how):
        if not calls:
            calls.append(1)
            first.path.write_bytes(b"whole")
            first.finish()
        lock(descriptor, how)

    monkeypatch.setattr(part.fcntl, "flock", late)
    second = part.PartFile(target)
    assert target.read_bytes() == b"whole"
    assert not os.path.samestat(os.stat(second.path), os.stat(target))
    second.discard()
    assert list(tmp_path.iterdir()) == [target]
