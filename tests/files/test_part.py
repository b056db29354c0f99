"""Outputs beside their name: one writer at a time, or each beside the others, and whole."""

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lipsync_fast import media
from lipsync_fast.errors import MediaError
from lipsync_fast.files import part
from lipsync_fast.formats import VideoFormat

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no folder over")


def mp4(path):
    pytest.importorskip("av")
    return media.VideoWriter(path, VideoFormat(64, 48))


def frame(writer):
    if isinstance(writer, media.JpegFolder):
        writer.write(b"\xff\xd8")
    else:
        writer.write(np.full(64 * 72, 128, np.uint8))


@pytest.mark.parametrize(("kind", "name"), [(mp4, "out.mp4"), (media.JpegFolder, "out")])
def test_a_second_writer_is_refused_while_the_first_lives(tmp_path, kind, name):
    first = kind(tmp_path / name)
    frame(first)
    with pytest.raises(MediaError, match=f"{name} cannot be written: (another process|.* exists)"):
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
        with pytest.raises(MediaError, match="another process is writing it"):
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
        with pytest.raises(MediaError, match=f"{name}, which is not a frame; move it away"):
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
        with pytest.raises(MediaError, match=r"\.part, its temporary name, is a link or"):
            kind(tmp_path / name)
        part.unlink()
    os.mkfifo(part)
    with pytest.raises(MediaError, match=r"\.part, its temporary name, is a link or"):
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


@posix
@pytest.mark.parametrize("planted", ["link", "owner"])
def test_a_part_that_somebody_else_can_change_is_refused(tmp_path, monkeypatch, planted):
    (tmp_path / "theirs").write_bytes(b"theirs")
    if planted == "link":
        os.link(tmp_path / "theirs", tmp_path / "out.mp4.part")
    else:
        (tmp_path / "out.mp4.part").write_bytes(b"theirs")
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(MediaError, match=r"\.part, its temporary name, is another user's, or"):
        part.PartFile(tmp_path / "out.mp4")
    assert {p.read_bytes() for p in tmp_path.iterdir()} == {b"theirs"}
    if planted == "owner":
        (tmp_path / "out.part").mkdir()
        with pytest.raises(MediaError, match="is another user's"):
            part.hold_folder(tmp_path / "out")


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


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    target = tmp_path / "a.html"
    target.write_text("old")

    def fail():
        with part.atomic_write(target) as path:
            path.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_text() == "old"
    with part.atomic_write(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


# ---- random names ---------------------------------------------------------------------------


@posix
def test_links_planted_at_names_that_can_be_guessed_are_not_followed(tmp_path, monkeypatch):
    target, victim = tmp_path / "a.onnx", tmp_path / "victim"
    victim.write_text("theirs")
    for name in (f".a.onnx.{os.getpid()}.part", ".a.onnx.part", "a.onnx.part"):
        (tmp_path / name).symlink_to(victim)
    with part.atomic_write(target) as path:
        path.write_text("ours")
    assert (target.read_text(), victim.read_text()) == ("ours", "theirs")
    # And where the name is known, the file is refused.
    monkeypatch.setattr(part.secrets, "token_hex", lambda count: "guessed")
    (tmp_path / ".a.onnx.guessed.part").symlink_to(victim)
    with pytest.raises(FileExistsError), part.atomic_write(target):
        pass
    assert victim.read_text() == "theirs"
    assert (tmp_path / ".a.onnx.guessed.part").is_symlink()
    (tmp_path / "t.guessed.part").symlink_to(tmp_path)
    with pytest.raises(FileExistsError):
        part.PartFolder(tmp_path / "t")


def at_once(count, work):
    """Run `work(number)` in threads that start together; errors are raised."""
    ready = threading.Barrier(count, timeout=60)

    def run(number):
        ready.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


def test_threads_that_write_one_file_all_succeed(tmp_path):
    target, all_made = tmp_path / "a.html", threading.Barrier(8, timeout=60)

    def write(number):
        for _ in range(20):
            with part.atomic_write(target) as path:
                path.write_text(str(number) * 1000)
                all_made.wait()  # all eight parts lie there at the same time

    at_once(8, write)
    assert target.read_text() in {str(n) * 1000 for n in range(8)}
    assert list(tmp_path.iterdir()) == [target]


def test_names_as_long_as_they_may_be(tmp_path):
    target = tmp_path / ("ä" * 125 + ".bin")  # 254 bytes of 255
    with part.atomic_write(target) as path:
        path.write_text("x")
    assert list(tmp_path.iterdir()) == [target]
    with part.PartFolder(tmp_path / ("ö" * 127)) as folder:
        (folder.path / "x").touch()
    assert len(list(tmp_path.iterdir())) == 2


# ---- folders ----------------------------------------------------------------------------------


@pytest.fixture(params=["exchange", "two renames"])
def exchange(request, monkeypatch):
    """Whether two folders can swap their names in one step."""
    if request.param == "two renames":
        monkeypatch.setattr(part, "_renameat2", None)
    elif part._renameat2 is None:
        pytest.skip("this system has no renameat2")


def fill(folder, text):
    for name in "abc":
        (folder / name).write_text(text)


def content(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


OLD, NEW = (dict.fromkeys("abc", text) for text in ("old", "new"))


@pytest.mark.parametrize("older", [None, "empty", "full"])
def test_a_folder_takes_its_name_when_it_is_whole(tmp_path, exchange, older):
    target = tmp_path / "t"
    if older:
        target.mkdir()
    if older == "full":
        fill(target, "old")
    with part.PartFolder(target) as folder:
        fill(folder.path, "new")
        assert target.exists() == bool(older)
        assert older != "full" or content(target) == OLD
    folder.discard()
    assert content(target) == NEW
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_given_up_leaves_nothing(tmp_path):
    def fail():
        with part.PartFolder(tmp_path / "a" / "b" / "t") as folder:
            fill(folder.path, "new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from lipsync_fast.files.part import PartFolder\n"
        "folder = PartFolder(Path(sys.argv[1])); (folder.path / 'a').write_text('x')\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    target = tmp_path / "t"
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        child.stdout.readline()
        (left,) = tmp_path.iterdir()
        part.PartFolder(target).discard()
        assert left.exists(), "its writer lives"
        child.kill()
    (tmp_path / f"u.{'0' * 16}.part").mkdir()  # another name's
    with part.PartFolder(target) as folder:
        fill(folder.path, "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t", f"u.{'0' * 16}.part"]


def test_a_folder_that_is_forgotten_discards_itself(tmp_path):
    folder = part.PartFolder(tmp_path / "a" / "t")
    fill(folder.path, "new")
    del folder
    gc.collect()
    assert not list(tmp_path.iterdir())


def replace_interrupted(target, moment):
    """Replace a folder; an interrupt comes with the line `moment` of taking the name.

    Returns whether it was raised.
    """
    count, code = 0, part.__file__

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename != code or frame.f_code.co_name not in ("_take", "_exchange"):
            return trace if frame.f_code.co_filename == code else None
        if event in ("line", "return"):
            count += 1
            if count == moment:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        with part.PartFolder(target) as folder:
            fill(folder.path, "new")
            sys.settrace(trace)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_at_any_moment_leaves_the_old_folder_or_the_new_one(tmp_path, exchange):
    target, moment, seen = tmp_path / "t", 0, set()
    interrupted = True
    while interrupted:
        moment += 1
        target.mkdir(exist_ok=True)
        fill(target, "old")
        interrupted = replace_interrupted(target, moment)
        assert content(target) in (OLD, NEW), moment
        seen.add(content(target)["a"])
        assert list(tmp_path.iterdir()) == [target], moment
    assert moment > 5
    assert seen == {"old", "new"}


@pytest.mark.parametrize("number", [1, 2])
def test_a_rename_that_fails_leaves_the_old_folder(tmp_path, monkeypatch, number):
    monkeypatch.setattr(part, "_renameat2", None)
    target, calls, rename = tmp_path / "t", [], Path.rename
    target.mkdir()
    fill(target, "old")

    def refuse(path, name):
        calls.append(path)
        if len(calls) == number:
            raise OSError(5, "Input/output error")
        return rename(path, name)

    folder = part.PartFolder(target)
    fill(folder.path, "new")
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        folder.finish()
    assert content(target) == OLD
    assert list(tmp_path.iterdir()) == [target]


def test_threads_that_make_one_folder_all_succeed(tmp_path, exchange):
    target, all_made = tmp_path / "t", threading.Barrier(8, timeout=60)

    def make(number):
        for _ in range(5):
            with part.PartFolder(target) as folder:
                fill(folder.path, str(number))
                all_made.wait()

    at_once(8, make)
    assert len(set(content(target).values())) == 1
    assert list(tmp_path.iterdir()) == [target]
