"""The user's cache: bounded, checked, and never in a caller's way."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from lipsync_fast.cli.main import main
from lipsync_fast.errors import InputError
from lipsync_fast.files import cache

posix = pytest.mark.skipif(sys.platform == "win32", reason="locks and owners of POSIX")
KEYS = [f"{n:016x}" for n in range(6)]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The cache's folder, which does not exist yet."""
    monkeypatch.delenv("LIPSYNC_FAST_CACHE_LIMIT", raising=False)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "home" / "lipsync_fast")
    return tmp_path / "home" / "lipsync_fast"


def keep(key, size=1000, kind="models"):
    """Use an entry of so many bytes; whether it had to be made, and where it lies."""
    made = []

    def make(path):
        made.append(path)
        path.write_bytes(key.encode() * (size // len(key) + 1))
        os.truncate(path, size)

    with cache.cache_entry(kind, key, make, suffix=".bin") as path:
        assert path.stat().st_size == size
        assert path.read_bytes()[:16] == key.encode()
    return bool(made), path


def use_at(path, seconds):
    os.utime(path, (seconds, seconds))


def kept(place):
    return sorted(p.name.split(".")[0] for p in place.rglob("*") if p.is_file())


def test_an_entry_is_made_once(place):
    assert not place.exists()
    made, path = keep(KEYS[0])
    assert made
    assert path.parent == place / "models"
    assert keep(KEYS[0]) == (False, path)
    assert keep(KEYS[0], kind="films")[0]
    assert not list(place.rglob("*.part"))


def test_what_was_not_used_for_longest_goes_first(place, monkeypatch):
    monkeypatch.setenv("LIPSYNC_FAST_CACHE_LIMIT", "3500")
    for i in range(3):
        use_at(keep(KEYS[i], kind=cache.KINDS[i])[1], 1000 + i)
    keep(KEYS[0])  # a hit counts as a use
    keep(KEYS[3])
    assert kept(place) == [KEYS[0], KEYS[2], KEYS[3]]
    keep(KEYS[4], size=3400)
    assert kept(place) == [KEYS[4]]


def test_an_entry_larger_than_the_cache_is_made_and_not_kept(place, monkeypatch):
    keep(KEYS[0])
    monkeypatch.setenv("LIPSYNC_FAST_CACHE_LIMIT", "2K")
    made, path = keep(KEYS[1], size=2049)
    assert made
    assert not path.exists()
    assert kept(place) == [KEYS[0]]
    monkeypatch.setenv("LIPSYNC_FAST_CACHE_LIMIT", "0")
    assert keep(KEYS[0])[0], "switched off"


@pytest.mark.parametrize(
    ("text", "limit"),
    [("", 4 << 30), ("123", 123), ("5k", 5 << 10), ("500M", 500 << 20), (" 2G ", 2 << 30)],
)
def test_limits(monkeypatch, text, limit):
    monkeypatch.setenv("LIPSYNC_FAST_CACHE_LIMIT", text)
    assert cache.cache_limit() == limit


@pytest.mark.parametrize("text", ["-1", "much", "1.5G", "4T", "9" * 19, "٣"])
def test_limits_that_are_none(monkeypatch, text):
    monkeypatch.setenv("LIPSYNC_FAST_CACHE_LIMIT", text)
    with pytest.raises(InputError, match="LIPSYNC_FAST_CACHE_LIMIT must be bytes, such as 500M"):
        cache.cache_limit()


def test_bytes_that_are_not_those_made_are_made_anew(place):
    _, path = keep(KEYS[0])
    path.write_bytes(b"x" * 1000)
    assert keep(KEYS[0]) == (True, path)
    assert path.read_bytes()[:16] == KEYS[0].encode()


@posix
def test_a_place_that_cannot_be_used_is_no_error(place, monkeypatch):
    def is_made():
        made, path = keep(KEYS[0])
        return made and not path.exists()

    place.parent.mkdir()
    place.write_text("in the way")
    assert is_made()
    place.unlink()
    place.mkdir()
    place.chmod(0o777)  # anyone could have put it there
    assert is_made()
    place.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert is_made()

    def homeless():
        raise RuntimeError("no home")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "cache_folder", homeless)
        assert is_made()
        assert [k.entries for k in cache.list_cache()] == [0] * len(cache.KINDS)
    assert not is_made()


def test_a_full_disk_is_no_error(place, monkeypatch):
    def full(part, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    made, path = keep(KEYS[0])
    assert made
    assert not path.exists()
    assert kept(place) == []


def test_errors_of_the_maker_are_the_callers(place):
    def make(path):
        path.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), cache.cache_entry("models", KEYS[0], make):
        pass
    assert not list(place.rglob("*.*"))


def test_folders(place):
    calls = []

    def make(path):
        calls.append(path)
        (path / "inside").mkdir()
        (path / "inside" / "a").write_bytes(bytes(500))

    for _ in range(2):
        with cache.cache_entry("templates", KEYS[0], make, folder=True) as path:
            assert path == place / "templates" / KEYS[0]
            assert (path / "inside" / "a").stat().st_size == 500
    assert len(calls) == 1
    assert cache.list_cache()[1] == cache.CacheKind("templates", 1, 500)
    assert cache.clear_cache("templates") == cache.CacheKind("templates", 1, 500)
    assert not list((place / "templates").iterdir())


@posix
def test_what_is_in_use_stays(place, monkeypatch):
    with ExitStack() as stack:
        held = stack.enter_context(
            cache.cache_entry("models", KEYS[0], lambda path: path.write_bytes(bytes(1000)))
        )
        use_at(held, 1000)
        monkeypatch.setenv("LIPSYNC_FAST_CACHE_LIMIT", "1500")
        keep(KEYS[1])
        assert cache.clear_cache().entries == 1
        assert held.exists()
    assert cache.clear_cache().entries == 1
    assert not held.exists()


def test_threads_that_need_one_entry(place):
    ready = threading.Barrier(8, timeout=60)

    def use(_):
        ready.wait()
        return keep(KEYS[0])[1]

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(use, range(8)))
    assert paths == {keep(KEYS[0])[1]}
    assert len(kept(place)) == 1


def test_parts_of_killed_processes_go_after_a_day(place):
    keep(KEYS[0])
    fresh, old = (place / "models" / f".{name}.part" for name in ("fresh", "old"))
    for path in (fresh, old):
        path.write_bytes(bytes(10))
    use_at(old, 1000)
    assert cache.list_cache()[0] == cache.CacheKind("models", 1, 1000)
    assert fresh.exists()
    assert not old.exists()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_where_it_lies(monkeypatch, tmp_path, platform):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which counts for nothing
    home = {"linux": ".cache", "darwin": "Library/Caches", "win32": "AppData/Local"}[platform]
    assert cache.cache_folder() == tmp_path / home / "lipsync_fast"
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "x"))
    if platform != "darwin":
        assert cache.cache_folder() == tmp_path / "x" / "lipsync_fast"


def test_the_command(place, capsys):
    keep(KEYS[0], size=2_000_000)
    keep(KEYS[1], size=1_000_000, kind="demo")
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["models", "1", "2.0"]
    assert lines[-1].startswith("3.0 of 4295.0 MB in ")
    assert main(["cache", "clear", "demo"]) == 0
    assert capsys.readouterr().err == "removed 1, 1.0 MB\n"
    assert kept(place) == [KEYS[0]]
    assert main(["cache", "--json"]) == 0
    assert '"bytes": 2000000' in capsys.readouterr().out
    assert main(["cache", "clear", "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert kept(place) == []
    assert cache.clear_cache("films").entries == 0
    with pytest.raises(InputError, match="kind must be one of models, "):
        cache.clear_cache("dreams")
