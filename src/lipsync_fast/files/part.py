"""Outputs that are written under a temporary name and renamed once complete.

Files written in one go (`atomic_write`) and folders (`PartFolder`) have a random name until then,
created exclusively, so no other writer, thread or planted link can interfere.

Films and folders of frames (`PartFile`, `hold_folder`) are at <name>.part: the name is fixed, so
that users can find and play what a killed process leaves, and the next writer starts over in it.
Each writer holds it, so that two do not mix their frames: by a lock that ends with the process,
however it ends. Windows has no such lock, but never deletes an open file, which has the same
effect; an existing part folder is refused there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import MediaError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "PartFile",
    "PartFolder",
    "atomic_write",
    "hold_folder",
    "part_of",
    "release",
    "remove_frames",
    "scratch_file",
]

_FRAME = re.compile(r"\d{8,}\.jpg")
_EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
_LONGEST = 40  # characters of the name in a random one; file systems allow 255 bytes
_TRIES = 100  # attempts at a name that other writers take at the same time


# ---- files written in one go -------------------------------------------------------------


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`; rename it after the block, remove it on an error.

    Parameters
    ----------
    path : Path
        From `check_file`; if several threads or processes write the same one, the last wins.

    Yields
    ------
    Path
        The file, to be opened by name.

    Raises
    ------
    OSError
        The file cannot be made or renamed.
    """
    with scratch_file(path) as part:
        yield part
        os.replace(part, path)


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """Yield an empty file of a random name beside `path`; remove it after the block.

    Yields
    ------
    Path

    Raises
    ------
    OSError
        The file cannot be made.
    """
    part = path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, _EXCLUSIVE, 0o666)
    try:
        os.close(descriptor)
        yield part
    finally:
        part.unlink(missing_ok=True)


# ---- folders -----------------------------------------------------------------------------


class PartFolder:
    """A folder that is filled under a temporary name, and takes its name in one step.

    An older folder of that name stays until then. Whatever is raised, and whenever, the name
    holds the old folder or the whole new one. As a context manager it finishes at the end of the
    block, and discards if the block raises; one that is garbage-collected discards itself. The
    next one removes what a killed process left under the same name.

    Parameters
    ----------
    target : Path
        From `check_folder`. Missing parents are made, and removed by `discard`.

    Attributes
    ----------
    target, path : Path
        The final name, and the temporary one until `finish`.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, target: Path) -> None:
        # No process number: in a container, the successor of a killed process often has the same.
        own = f"{target.name[:_LONGEST]}.{secrets.token_hex(8)}"
        self.target, self.path = target, target.with_name(f"{own}.part")
        self._old = target.with_name(f"{own}.old")
        self._parents = [p for p in target.parents if not p.exists()]  # innermost first
        # An interrupt may come before any caller holds the folder.
        self._forgotten = weakref.finalize(self, _forget, os.getpid(), self._places())
        self._lock: int | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(target)
            self._make()
        except BaseException:
            self.discard()
            raise

    def _make(self) -> None:
        """Make the folder and hold it, so that no other writer takes it for abandoned."""
        for turn in range(_TRIES):
            self.path.mkdir(exist_ok=turn > 0)
            if sys.platform == "win32":
                return
            with suppress(FileNotFoundError, BlockingIOError):  # removed as abandoned
                self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                _share_lock(self._lock)
                if os.path.samestat(os.fstat(self._lock), os.stat(self.path)):
                    return
            self._unlock()
            time.sleep(0.001)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def _places(self) -> tuple[Path, Path, Path, list[Path]]:
        return self.path, self._old, self.target, self._parents

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None  # in this order: an interrupt must not close it twice
        release(lock)

    def finish(self) -> None:
        """Take the name.

        Raises
        ------
        OSError
            The name cannot be taken; the old folder stays, the new one is removed.
        """
        try:
            self._take()
        finally:
            self.discard()

    def _take(self) -> None:
        for _ in range(_TRIES):
            if _exchange(self.path, self.target):
                return  # the older folder is at `path` now
            try:
                self.path.rename(self.target)  # which is free, or an empty folder
                return
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            _remove(self._old)
            with suppress(FileNotFoundError):
                self.target.rename(self._old)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.target))

    def discard(self) -> None:
        """Remove the folder and the parents made for it; do nothing once it is finished."""
        try:
            _clear(*self._places())
            self._forgotten.detach()
        finally:
            self._unlock()

    def __enter__(self) -> PartFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.discard()


def _clear(path: Path, old: Path, target: Path, parents: list[Path]) -> None:
    """Remove a part and the folder that it has replaced; put that back where it has not."""
    if os.path.lexists(path) and os.path.lexists(old):  # the name was not taken
        with suppress(OSError):  # another writer has taken it meanwhile
            old.rename(target)
    _remove(old)
    _remove(path)
    with suppress(OSError):  # missing already, or used: where the name was taken, by that folder
        for parent in parents:
            parent.rmdir()


def _forget(process: int, places: tuple[Path, Path, Path, list[Path]]) -> None:
    if os.getpid() == process:  # not in a forked one
        _clear(*places)


def _share_lock(descriptor: int) -> None:
    """Take a lock that ends with the process; BlockingIOError where another has it alone."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks, as some network ones are


def _remove_abandoned(target: Path) -> None:
    """Remove the parts of a name whose processes were killed: nobody holds them."""
    if sys.platform == "win32":
        return
    ours = re.compile(re.escape(target.name[:_LONGEST]) + r"\.[0-9a-f]{16}\.part")
    for path in [p for p in target.parent.iterdir() if ours.fullmatch(p.name)]:
        with suppress(OSError):  # another user's, a link, held, or gone
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(path)
            finally:
                os.close(descriptor)


def _remove(folder: Path) -> None:
    try:
        if folder.is_symlink():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:  # an interrupt: remove the rest all the same
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _find_renameat2() -> Any:
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), "renameat2", None)
    except OSError:  # no dynamic libraries here
        return None


_renameat2 = _find_renameat2()
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; return False if one is missing or the system cannot."""
    if _renameat2 is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(_renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


# ---- films and folders of frames ---------------------------------------------------------


def part_of(target: Path) -> Path:
    """Return the temporary path of an unfinished film or folder of frames."""
    return target.with_name(target.name + ".part")


class PartFile:
    """The unfinished part of a film: new, or taken over from a killed writer.

    Raises
    ------
    MediaError
        Another writer holds it; or it is a link, a device, or another user's.
    OSError
        The file cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.path = target, part_of(target)
        self._release = weakref.finalize(self, release, self._hold())  # even if never closed

    def _hold(self) -> int:
        if sys.platform == "win32":
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:
                raise _held(self.target) from None
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        while True:
            _refuse_links(self.path, self.target)
            try:
                descriptor = os.open(self.path, _EXCLUSIVE, 0o666)
                made = True
            except FileExistsError:
                made = False
                try:
                    descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
                except FileNotFoundError:
                    continue  # another writer has just finished, or given up
            if _lock(descriptor, self.path, self.target, made):
                return descriptor

    def finish(self) -> None:
        """Rename it to its final name, replacing any older file."""
        if sys.platform == "win32":
            self._release()  # Windows never renames an open file
        self.path.replace(self.target)
        self._release()

    def discard(self) -> None:
        """Remove it; do nothing if it is already finished or removed."""
        if not self._release.alive:
            return
        if sys.platform == "win32":
            self._release()
        with suppress(OSError):
            self.path.unlink()
        self._release()


def hold_folder(target: Path) -> int | None:
    """Make the part of a folder of frames, or take it over from a killed writer.

    Returns
    -------
    int or None
        For `release`.

    Raises
    ------
    MediaError
        Another writer holds it; it contains something besides frames; or it is a link, or
        another user's.
    OSError
        The part cannot be made.
    """
    part = part_of(target)
    if sys.platform == "win32":
        try:
            part.mkdir()
        except FileExistsError:
            raise MediaError(
                f"{target} cannot be written: {part} exists, from another writer or a killed "
                "one; remove it if nothing writes to it"
            ) from None
        return None
    while True:
        _refuse_links(part, target)
        try:
            part.mkdir()
            made = True
        except FileExistsError:
            made = False
        try:
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # another writer has just finished, or given up
        if _lock(descriptor, part, target, made):
            break
    try:
        remove_frames(part, target)
    except BaseException:
        release(descriptor)
        raise
    return descriptor


def remove_frames(part: Path, target: Path) -> None:
    """Empty the part of a folder; remove nothing if it contains anything besides frames."""
    found = list(part.iterdir())
    for path in found:
        if not _FRAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
            raise MediaError(
                f"{target} cannot be written: {part}, the folder for its unfinished frames, holds "
                f"{path.name}, which is not a frame; move it away, or name another folder"
            )
    for path in found:
        path.unlink()


def release(descriptor: int | None) -> None:
    """End a hold of this process.

    Close it, do not unlock it: unlocking would end the hold of a process that this one was forked
    from. A caller that shares it with a forked process has renamed or removed the part by then.
    """
    if descriptor is not None:
        os.close(descriptor)


def _refuse_links(part: Path, target: Path) -> None:
    """Reject a link, which leads to another file, and a pipe, which loses frames."""
    plain = part.is_file() or part.is_dir() or not part.exists()
    if part.is_symlink() or not plain:
        raise _not_ours(part, target, "a link or a device")


def _lock(descriptor: int, part: Path, target: Path, made: bool) -> bool:
    """Hold an open part; if `part` is now another file, close it and return False.

    A part not `made` here is taken over only from the same user's killed process.
    """
    assert sys.platform != "win32"
    found = os.fstat(descriptor)
    shared = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
    if not made and (shared or found.st_uid != os.geteuid()):
        os.close(descriptor)
        raise _not_ours(part, target, "another user's, or has a second link")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _held(target) from None
    except OSError:
        pass  # a file system without locks, such as some network ones
    try:
        same = os.path.samestat(os.fstat(descriptor), os.stat(part))
    except FileNotFoundError:
        same = False
    if not same:
        release(descriptor)
    return same


def _not_ours(part: Path, target: Path, what: str) -> MediaError:
    return MediaError(
        f"{target} cannot be written: {part}, its temporary name, is {what}; "
        "move it away, or name another output"
    )


def _held(target: Path) -> MediaError:
    return MediaError(
        f"{target} cannot be written: another process is writing it; wait, or name another output"
    )
