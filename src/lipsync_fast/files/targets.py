"""Places for outputs, checked before any work is done for them."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import FileMissingError, InputError, LipsyncError

__all__ = ["check_file", "check_folder", "check_new_folder"]

_SEPARATORS = tuple(filter(None, ("/", os.sep, os.altsep)))


def check_file(
    path: str | os.PathLike[str], error: type[LipsyncError], endings: tuple[str, ...] = ()
) -> Path:
    """Return where a file can be written: a new name, or that of a plain file to be replaced.

    Parameters
    ----------
    path : str or PathLike
    error : type of LipsyncError
        Raised where there is something else, or no permission.
    endings : tuple of str
        Suffixes that the name may have, in lower case; any by default.

    Returns
    -------
    Path
        The file itself; a link is followed, and stays a link.

    Raises
    ------
    InputError
        It names no file, or one without any of `endings`.
    FileMissingError
        The folder to hold it does not exist.
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
    """Return where a folder can be made: a new name, or that of one that the caller judges.

    Parameters
    ----------
    path : str or PathLike
    error : type of LipsyncError
        Raised where there is something else, or for the current folder, which cannot be
        replaced.

    Returns
    -------
    Path
        The real place; links are followed.

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
    """Return where a folder can be made that holds nothing yet; see `check_folder`.

    Raises
    ------
    FileMissingError
        The folder to hold it does not exist.
    LipsyncError
        Of the class `error`: as `check_folder`, or it has files in it.
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
