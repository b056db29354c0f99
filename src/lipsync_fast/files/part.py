"""Where an output lies until it is whole: <name>.part, held by one writer at a time.

The name is fixed, so that what a killed process leaves can be found and played, and the next
writer starts over in it. So that two writers do not mix their frames there, each holds it: by a
lock that ends with the process, however that ends. Windows has no such lock, but deletes no file
that is open, which says the same; a folder that is there already is refused.
"""

from __future__ import annotations

import os
import re
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from ..errors import MediaError

if sys.platform != "win32":
    import fcntl

__all__ = ["PartFile", "hold_folder", "part_of", "release", "remove_frames"]

_FRAME = re.compile(r"\d{8,}\.jpg")


def part_of(target: Path) -> Path:
    """Where `target` lies until it is whole."""
    return target.with_name(target.name + ".part")


class PartFile:
    """The part of a file, made, or taken where a killed writer left it.

    Raises
    ------
    MediaError
        Another writer holds it.
    OSError
        It cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.path = target, part_of(target)
        self._let_go = weakref.finalize(self, release, self._hold())  # also where it is forgotten

    def _hold(self) -> int:
        if sys.platform == "win32":
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:
                raise _held(self.target) from None
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        while True:
            _refuse_links(self.path, self.target)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            if _lock(descriptor, self.path, self.target):
                return descriptor

    def finish(self) -> None:
        """Give it its name; a file that was there is replaced."""
        if sys.platform == "win32":
            self._let_go()  # nothing that is open can be renamed there
        self.path.replace(self.target)
        self._let_go()

    def discard(self) -> None:
        """Remove it; nothing where it has its name, or is removed already."""
        if not self._let_go.alive:
            return
        if sys.platform == "win32":
            self._let_go()
        with suppress(OSError):
            self.path.unlink()
        self._let_go()


def hold_folder(target: Path) -> int | None:
    """Make the part of a folder of frames, or take what a killed writer left of it.

    Returns
    -------
    int or None
        For `release`.

    Raises
    ------
    MediaError
        Another writer holds it, or it holds something that is no frame.
    OSError
        It cannot be made.
    """
    part = part_of(target)
    if sys.platform == "win32":
        try:
            part.mkdir()
        except FileExistsError:
            raise MediaError(
                f"{target} cannot be written: {part} is there, of another writer or of a killed "
                "one; remove it if nothing writes there"
            ) from None
        return None
    while True:
        _refuse_links(part, target)
        with suppress(FileExistsError):
            part.mkdir()
        try:
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # another writer has just finished, or given up
        if _lock(descriptor, part, target):
            break
    try:
        remove_frames(part, target)
    except BaseException:
        release(descriptor)
        raise
    return descriptor


def remove_frames(part: Path, target: Path) -> None:
    """Empty the part of a folder; nothing is removed where it holds what is no frame."""
    found = list(part.iterdir())
    for path in found:
        if not _FRAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
            raise MediaError(
                f"{target} cannot be written: {part}, where its frames lie at first, holds "
                f"{path.name}, which is no frame; move it away, or name another folder"
            )
    for path in found:
        path.unlink()


def _refuse_links(part: Path, target: Path) -> None:
    """What lies behind a link is another's, and what is written to a pipe is lost."""
    plain = part.is_file() or part.is_dir() or not part.exists()
    if part.is_symlink() or not plain:
        raise MediaError(
            f"{target} cannot be written: {part}, where it lies at first, is a link or a device; "
            "move it away, or name another output"
        )


def release(descriptor: int | None) -> None:
    """End a hold of this process.

    It is closed, not unlocked: that would end the hold of a process that this one was forked
    from. Who shares it with a forked one has renamed or removed what is locked by then.
    """
    if descriptor is not None:
        os.close(descriptor)


def _lock(descriptor: int, part: Path, target: Path) -> bool:
    """Hold what was opened; False, and closed, where it is no longer what lies at `part`."""
    assert sys.platform != "win32"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _held(target) from None
    except OSError:
        pass  # a file system without locks, as some networks' are
    try:
        same = os.path.samestat(os.fstat(descriptor), os.stat(part))
    except FileNotFoundError:
        same = False
    if not same:
        release(descriptor)
    return same


def _held(target: Path) -> MediaError:
    return MediaError(
        f"{target} cannot be written: another writer is at it; wait for it, or name another output"
    )
