"""The user's one cache, for things that take time to make.

Each kind of entry has its own folder, each entry a name made from hashes. All entries together keep
to a limit in bytes; the least recently used go first. A cache that is full, broken or inaccessible
never stops a caller: the entry is then made in a temporary place.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .part import PartFolder, scratch_file

if sys.platform != "win32":
    import fcntl

__all__ = [
    "KINDS",
    "CacheKind",
    "cache_entry",
    "cache_folder",
    "cache_limit",
    "clear_cache",
    "list_cache",
]

KINDS = ("models", "templates", "films", "demo", "tensorrt")

_log = logging.getLogger(__name__)

_LIMIT = "LIPSYNC_FAST_CACHE_LIMIT"
_DEFAULT_LIMIT = 4 << 30  # bytes
_SIZE = re.compile(r"([0-9]{1,18})([KMG]?)", re.IGNORECASE)
_KEY = re.compile(r"[0-9a-f]{16,64}")
_ABANDONED = 24 * 3600  # seconds after which a part counts as left by a killed process


@dataclass(frozen=True)
class CacheKind:
    """The entries of one kind.

    Attributes
    ----------
    kind : str
    entries, bytes : int
    """

    kind: str
    entries: int
    bytes: int


def cache_folder() -> Path:
    """Return the folder of this user's cache, which may not exist yet.

    Returns
    -------
    Path
        ``$XDG_CACHE_HOME/lipsync_fast`` or ``~/.cache/lipsync_fast``; on macOS in
        ``~/Library/Caches``, on Windows in ``%LOCALAPPDATA%``.

    Raises
    ------
    RuntimeError
        The user has no home folder.
    """
    base: str | Path
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # XDG: ignore relative ones
            base = Path.home() / ".cache"
    return Path(base) / "lipsync_fast"


def cache_limit() -> int:
    """Return the bytes that all entries together may take; 0 disables the cache.

    Raises
    ------
    InputError
        ``LIPSYNC_FAST_CACHE_LIMIT`` is not a number of bytes.
    """
    text = os.environ.get(_LIMIT, "").strip()
    if not text:
        return _DEFAULT_LIMIT
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InputError(f"{_LIMIT} must be bytes, such as 500M or 4G, got {text!r}")
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2].upper()]


@contextmanager
def cache_entry(
    kind: str,
    key: str,
    make: Callable[[Path], object],
    *,
    suffix: str = "",
    folder: bool = False,
) -> Iterator[Path]:
    """Yield a cached file or folder, made if missing; it stays until the block ends.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    key : str
        Lower-case hexadecimal hash, 16 to 64 digits, of everything that the entry is made from.
    make : callable
        Called with the path of an empty file, or folder, to fill.
    suffix : str
        Ending of a file's name.
    folder : bool
        The entry is a folder.

    Yields
    ------
    Path
        Read-only. A file's digest is checked against the bytes that `make` wrote. If the cache
        cannot be used, a temporary path, removed after the block.

    Raises
    ------
    InputError
        ``LIPSYNC_FAST_CACHE_LIMIT`` is not a number of bytes.
    Exception
        Whatever `make` raises.
    """
    assert kind in KINDS, kind
    assert _KEY.fullmatch(key), key
    with ExitStack() as stack:
        yield _open_entry(stack, kind, key, make, suffix, folder)


def _open_entry(
    stack: ExitStack,
    kind: str,
    key: str,
    make: Callable[[Path], object],
    suffix: str,
    folder: bool,
) -> Path:
    limit = cache_limit()
    place = _kind_folder(kind) if limit else None
    if place is not None:
        name = re.compile(rf"{key}{'' if folder else '[.][0-9a-f]{64}'}{re.escape(suffix)}")
        try:
            for path in sorted(p for p in place.iterdir() if name.fullmatch(p.name)):
                if _is_usable(stack, path, folder):
                    return path
            return _make_kept(stack, place / key, make, suffix, folder)
        except OSError as error:
            _log.debug("%s: not cached: %s", place, error)
    temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="lipsync_fast-"))
    path = Path(temporary) / f"{key}{suffix}"
    if folder:
        path.mkdir()
    make(path)
    return path


def _kind_folder(kind: str) -> Path | None:
    """Make and return the folder of a kind; None if it is unusable or others may write to it."""
    try:
        root = cache_folder()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform != "win32":
            found = root.stat()
            if found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH:
                _log.debug("%s: not used, since others own it or may write to it", root)
                return None
        place = root / kind
        place.mkdir(mode=0o700, exist_ok=True)
    except (OSError, RuntimeError) as error:
        _log.debug("no cache: %s", error)
        return None
    return place


def _is_usable(stack: ExitStack, path: Path, folder: bool) -> bool:
    """Hold an entry and mark it as used; remove it if its bytes do not match its name."""
    try:
        _hold(stack, path)
        if folder or _digest(path) in path.name:
            os.utime(path)
            return True
        _log.warning("%s: damaged; making it again", path)
        path.unlink()
    except FileNotFoundError:
        pass  # another process has removed it
    return False


def _make_kept(
    stack: ExitStack, path: Path, make: Callable[[Path], object], suffix: str, folder: bool
) -> Path:
    """Make an entry under a temporary name; rename it only if the cache is large enough."""
    if folder:
        part_folder = PartFolder(path)
        stack.callback(part_folder.discard)
        make(part_folder.path)
        if _size(part_folder.path) > cache_limit():
            return part_folder.path
        part_folder.finish()
        kept = path
    else:
        part = stack.enter_context(scratch_file(path))
        make(part)
        if _size(part) > cache_limit():
            return part
        kept = path.with_name(f"{path.name}.{_digest(part)}{suffix}")
        os.replace(part, kept)
    _hold(stack, kept)
    _shrink(cache_limit(), kept)
    return kept


def _hold(stack: ExitStack, path: Path) -> None:
    """Keep other processes from removing an entry until the stack is closed."""
    if sys.platform != "win32":  # Windows never removes an open file
        descriptor = os.open(path, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- the limit -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    path: Path
    bytes: int
    used: float  # seconds since the epoch


def _entries(kind: str) -> list[_Entry]:
    """List the entries of a kind, and remove abandoned parts."""
    entries = []
    with suppress(OSError, RuntimeError):
        for path in sorted((cache_folder() / kind).iterdir()):
            with suppress(FileNotFoundError):
                used = path.stat().st_mtime
                if path.suffix not in (".part", ".old"):
                    entries.append(_Entry(path, _size(path), used))
                elif time.time() - used > _ABANDONED:
                    _remove(path)
    return entries


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    sizes = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                sizes += os.lstat(os.path.join(folder, name)).st_size
    return sizes


def _shrink(limit: int, kept: Path) -> None:
    """Remove the least recently used entries until the rest keep to the limit."""
    entries = [entry for kind in KINDS for entry in _entries(kind)]
    total = sum(entry.bytes for entry in entries)
    for entry in sorted(entries, key=lambda entry: entry.used):
        if total <= limit:
            return
        if entry.path != kept and _remove(entry.path):
            total -= entry.bytes


def _remove(path: Path) -> bool:
    """Remove an entry; return False if a process holds it or it cannot be removed."""
    try:
        with _held_alone(path):
            if path.is_dir():
                gone = path.with_name(f".{path.name}.part")  # so that nobody sees it half removed
                path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
            else:
                path.unlink()
    except OSError as error:
        _log.debug("%s stays in the cache: %s", path, error)
        return False
    return True


@contextmanager
def _held_alone(path: Path) -> Iterator[None]:
    """Hold an entry; raise BlockingIOError if another process holds it."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def list_cache() -> list[CacheKind]:
    """Return the entries and bytes of each kind, in the order of `KINDS`."""
    found = {kind: _entries(kind) for kind in KINDS}
    return [
        CacheKind(kind, len(entries), sum(entry.bytes for entry in entries))
        for kind, entries in found.items()
    ]


def clear_cache(kind: str | None = None) -> CacheKind:
    """Remove all entries of a kind, or of every kind, except those that a process holds.

    Returns
    -------
    CacheKind
        The removed entries; of kind "all" if `kind` is None.

    Raises
    ------
    InputError
        `kind` is unknown.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    entries = [entry for name in KINDS if kind in (None, name) for entry in _entries(name)]
    removed = [entry.bytes for entry in entries if _remove(entry.path)]
    return CacheKind(kind or "all", len(removed), sum(removed))
