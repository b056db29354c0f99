"""Places for outputs: checked before any work is done for them, and taken when it is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import FileMissingError, InputError, LipsyncError

__all__ = ["atomic_write", "check_file", "check_folder", "check_new_folder"]

_SEPARATORS = tuple(filter(None, ("/", os.sep, os.altsep)))


def check_file(
    path: str | os.PathLike[str], error: type[LipsyncError], endings: tuple[str, ...] = ()
) -> Path:
    """Where a file can be written: a new name, or that of a plain file, which is replaced.

    Parameters
    ----------
    path : str or PathLike
    error : type of LipsyncError
        Raised where there is something else, or no permission.
    endings : tuple of str
        Suffixes that the name may have, in small letters; any where there are none.

    Returns
    -------
    Path
        What a link leads to, which stays a link.

    Raises
    ------
    InputError
        It names no file, or none with one of `endings`.
    FileMissingError
        The folder that it is to lie in does not exist.
    """
    text = os.fspath(path)
    target = Path(text)
    if text.endswith(_SEPARATORS) or target.name in ("", ".."):
        raise InputError(f"{text!r} names no file; give a name for the output")
    if endings and target.suffix.lower() not in endings:
        if target.name.lower() in endings:
            raise InputError(f"{path} is an ending alone; put a name before it")
        got = target.suffix or "no ending"
        raise InputError(f"{path} must end in {', '.join(endings)}; got {got}")
    if os.path.islink(target):
        target = Path(os.path.realpath(target))
    if os.path.isdir(target):
        raise error(f"{path} cannot be written: it is a folder")
    _check_parent(target, error)
    if os.path.exists(target) and not os.path.isfile(target):
        raise error(f"{path} cannot be written: it is a device or a pipe, not a plain file")
    return target


def check_folder(path: str | os.PathLike[str], error: type[LipsyncError]) -> Path:
    """Where a folder can be made: a new name, or that of one whose content the caller judges.

    Parameters
    ----------
    path : str or PathLike
    error : type of LipsyncError
        Raised where there is something else, or the folder that the process works in, which
        cannot be replaced under its feet.

    Returns
    -------
    Path
        The real place, to which links lead.

    Raises
    ------
    InputError
        It names no folder.
    """
    text = os.fspath(path)
    target = Path(os.path.realpath(text))
    if not text or not target.name:
        raise InputError(f"{text!r} names no new folder; give a name for the output")
    if os.path.exists(target):
        if not os.path.isdir(target):
            raise error(f"{path} cannot be written: it is a file; name a folder")
        if os.path.samefile(target, "."):
            raise error(f"{path} is the current folder, which cannot be replaced; name another")
    return target


def check_new_folder(path: str | os.PathLike[str], error: type[LipsyncError]) -> Path:
    """Where files can be put in a folder of their own, as `check_folder`.

    Raises
    ------
    FileMissingError
        The folder that it is to lie in does not exist.
    LipsyncError
        The `error`: as `check_folder`, or there are files in it.
    """
    target = check_folder(path, error)
    _check_parent(target, error)
    try:
        full = os.path.exists(target) and bool(os.listdir(target))
    except OSError as failed:
        raise error(f"{path} cannot be written: {failed.strerror}") from None
    if full:
        raise error(f"{path} has files in it already; name a new folder")
    return target


def _check_parent(target: Path, error: type[LipsyncError]) -> None:
    if not os.path.exists(target.parent):
        raise FileMissingError(
            f"{target} cannot be written: no such folder as {target.parent}; make it first"
        )
    if not os.path.isdir(target.parent):
        raise error(f"{target} cannot be written: {target.parent} is not a folder")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise error(f"{target} cannot be written: Permission denied in its folder")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file to write next to `path`, renamed to it at the end and removed on failure."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
