"""Places for outputs: what is there and cannot be replaced is refused in one sentence."""

import os
import sys

import pytest

from lipsync_fast.errors import FileMissingError, InputError, MediaError
from lipsync_fast.files.part import atomic_write
from lipsync_fast.files.targets import check_file, check_folder, check_new_folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def test_new_names_and_plain_files_are_taken(tmp_path):
    assert check_file(str(tmp_path / "new"), MediaError) == tmp_path / "new"
    (tmp_path / "old.HTML").write_text("x")
    assert check_file(tmp_path / "old.HTML", MediaError, (".html",)) == tmp_path / "old.HTML"
    assert check_folder(tmp_path / "a" / "b", MediaError) == (tmp_path / "a" / "b").resolve()
    (tmp_path / "empty").mkdir()
    assert check_new_folder(tmp_path / "empty", MediaError) == (tmp_path / "empty").resolve()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "old.HTML"]


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a.mp4/", "a/.."])
def test_what_names_no_file(name):
    with pytest.raises(InputError, match="does not name a file; give a name for the output"):
        check_file(name, MediaError)


@pytest.mark.parametrize(("name", "got"), [("a.avi", r"\.avi"), ("a", "no ending")])
def test_endings(tmp_path, name, got):
    with pytest.raises(InputError, match=rf"must end in \.mp4, \.mov; got {got}$"):
        check_file(tmp_path / name, MediaError, (".mp4", ".mov"))
    with pytest.raises(InputError, match=r"\.MP4 is an ending alone; put a name before it"):
        check_file(tmp_path / ".MP4", MediaError, (".mp4", ".mov"))


def test_folders_in_a_files_place_and_files_in_a_folders(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="folder cannot be written: it is a folder"):
        check_file(tmp_path / "folder", MediaError)
    for check in (check_folder, check_new_folder):
        with pytest.raises(MediaError, match="file cannot be written: it is a file"):
            check(tmp_path / "file", MediaError)
    (tmp_path / "folder" / "mine").touch()
    with pytest.raises(MediaError, match="folder already contains files"):
        check_new_folder(tmp_path / "folder", MediaError)
    for check in (check_file, check_new_folder):
        with pytest.raises(FileMissingError, match=r"none does not exist; make that folder first"):
            check(tmp_path / "none" / "a", MediaError)
        with pytest.raises(MediaError, match="file is not a folder"):
            check(tmp_path / "file" / "a", MediaError)


@posix
def test_devices_and_pipes_stay(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(os.devnull)
    for place in (tmp_path / "pipe", tmp_path / "link", os.devnull):
        with pytest.raises(MediaError, match="it is a device or a pipe, not a plain file"):
            check_file(place, MediaError)


@posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)
    (tmp_path / "disk" / "old").write_text("x")
    for name in ("old", "new"):
        with atomic_write(check_file(tmp_path / name, MediaError)) as part:
            part.write_text("y")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "disk" / name).read_text() == "y"
    (tmp_path / "lost").symlink_to(tmp_path / "none" / "lost")
    with pytest.raises(FileMissingError, match=r"none does not exist"):
        check_file(tmp_path / "lost", MediaError)


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    for check in (check_file, check_new_folder):
        with pytest.raises(MediaError, match="Permission denied in its folder"):
            check(tmp_path / "a", MediaError)


@pytest.mark.parametrize("name", ["", "/"])
def test_what_names_no_folder(name):
    with pytest.raises(InputError, match="does not name a new folder"):
        check_folder(name, MediaError)


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (".", str(tmp_path), "none/.."):
        with pytest.raises(MediaError, match="is the current folder"):
            check_folder(name, MediaError)
