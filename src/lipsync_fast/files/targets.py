"""Targets of outputs, checked before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import FileMissingError, InputError, LipsyncError

__all__ = ["check_file", "check_folder", "check_new_folder"]

_SEPARATORS = tuple(filter(None, ("/", os.sep, os.altsep)))


def check_file(
    path: str | os.PathLike[str], error: type[LipsyncError], endings: tuple[str, ...] = ()
) -> Path:
    """Return the path of a file to write: a new name, or a plain file to replace.

    Parameters
    ----------
    path : str or PathLike
    error : type of LipsyncError
        Raised if something else is there, or without permission.
    endings : tuple of str
        Allowed suffixes of the name, in lower case; by default any.

    Returns
    -------
    Path
        The real file: links are followed, and stay links.

    Raises
    ------
    InputError
        `path` does not name a file, or ends in none of `endings`.
    FileMissingError
        The folder above it does not exist.
    """
    text = os.fspath(path)
    _refuse_dash(text)
    target = Path(text)
    if text.endswith(_SEPARATORS) or target.name in ("", ".."):
        raise InputError(f"{text!r} does not name a file; give a name for the output")
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
    """Return the path of a folder to make: a new name, or an existing folder, left to the caller.

    Parameters
    ----------
    path : str or PathLike
    error : type of LipsyncError
        Raised if something else is there, or for the current folder, which cannot be replaced.

    Returns
    -------
    Path
        The real path; links are followed.

    Raises
    ------
    InputError
        `path` does not name a folder.
    """
    text = os.fspath(path)
    _refuse_dash(text)
    target = Path(os.path.realpath(text))
    if not text or not target.name:
        raise InputError(f"{text!r} does not name a new folder; give a name for the output")
    if os.path.exists(target):
        if not os.path.isdir(target):
            raise error(f"{path} cannot be written: it is a file; name a folder")
        if os.path.samefile(target, "."):
            raise error(f"{path} is the current folder, which cannot be replaced; name another")
    return target


def check_new_folder(path: str | os.PathLike[str], error: type[LipsyncError]) -> Path:
    """Return the path of a new or empty folder; see `check_folder`.

    Raises
    ------
    FileMissingError
        The folder above it does not exist.
    LipsyncError
        Of the class `error`: as `check_folder`, or the folder is not empty.
    """
    target = check_folder(path, error)
    _check_parent(target, error)
    try:
        full = os.path.exists(target) and bool(os.listdir(target))
    except OSError as failed:
        raise error(f"{path} cannot be written: {failed.strerror}") from None
    if full:
        raise error(f"{path} already contains files; name a new folder")
    return target


def _refuse_dash(text: str) -> None:
    if text == "-":
        raise InputError("- stands for standard output, which cannot take this; name an output")


def _check_parent(target: Path, error: type[LipsyncError]) -> None:
    if not os.path.exists(target.parent):
        raise FileMissingError(
            f"{target} cannot be written: {target.parent} does not exist; make that folder first"
        )
    if not os.path.isdir(target.parent):
        raise error(f"{target} cannot be written: {target.parent} is not a folder")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise error(f"{target} cannot be written: Permission denied in its folder")
