"""Untrusted files: kind and size are looked at before a byte is read."""

import os
import sys

import numpy as np
import pytest

from lipsync_fast.errors import FileMissingError, InputError
from lipsync_fast.files import untrusted
from lipsync_fast.files.untrusted import load_npy, plain_text, read_text

READERS = [
    lambda path: load_npy(path, "features"),
    lambda path: load_npy(path, "features", "r"),
    lambda path: read_text(path, "rects"),
]


@pytest.fixture(params=READERS, ids=["npy", "mapped npy", "text"])
def read(request):
    """One of the readers."""
    return request.param


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")
def test_pipes_devices_and_folders_are_refused_unread(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")  # a plain open() would wait for a writer here
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "zero", "folder"):
        with pytest.raises(InputError, match=r"read as .* \(it is not a plain file\)"):
            read(tmp_path / name)


def test_missing_files(tmp_path, read):
    with pytest.raises(FileMissingError, match=r"none: no such file with (rects|features)$"):
        read(tmp_path / "none")


def test_a_text_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "rects.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a file of zeros without a byte on the disk
    with pytest.raises(InputError, match=r"1099511627776 bytes, at most 67108864 are allowed"):
        read_text(path, "rects")
    path.write_text("[1]")
    assert read_text(path, "rects", 3) == "[1]"
    with pytest.raises(InputError, match="it has 3 bytes, at most 2 are allowed"):
        read_text(path, "rects", 2)
    # A file that grows while it is read.
    size = os.stat_result((0o100644, *[0] * 9))
    monkeypatch.setattr(untrusted.os, "fstat", lambda descriptor: size)
    with pytest.raises(ValueError, match="at most 2 are allowed"):
        plain_text(path, 2)


def test_texts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffgrün".encode())
    assert read_text(path, "rects") == "grün"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"a\.txt cannot be read as text .*; name a text file"):
        read_text(path, "rects")


def test_arrays(tmp_path):
    path, array = tmp_path / "a.npy", np.arange(6, dtype=np.int16).reshape(2, 3)
    np.save(path, array)
    for mode in (None, "r", "c"):
        loaded = load_npy(path, "rects", mode)
        np.testing.assert_array_equal(loaded, array)
        assert type(loaded) is np.ndarray
        assert loaded.flags.writeable == (mode != "r")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"a\.npy cannot be read as a plain \.npy array"):
        load_npy(path, "rects")
