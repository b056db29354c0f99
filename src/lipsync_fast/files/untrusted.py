"""Readers for untrusted files: they check every kind, size, depth and number.

`open_plain`, `plain_text`, `parse_json` and `read_npy` raise OSError and ValueError, for callers
with their own messages; `read_text` and `load_npy` raise the package's errors.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import FileMissingError, InputError

__all__ = [
    "MOST_TEXT",
    "load_npy",
    "open_plain",
    "parse_json",
    "parse_toml",
    "plain_text",
    "read_most",
    "read_npy",
    "read_text",
]

MOST_TEXT = 64 << 20  # bytes; a rect for each frame of half a day takes less
_MOST_HEADER = 10_000  # bytes; NumPy's own limit for untrusted headers
_MOST_DOTS = 1000  # of a line of TOML
_NOT_PLAIN = "it is not a plain file"
_PLAIN_TYPE = re.compile(r"[<>|=]?[biufc]\d{1,2}")


def open_plain(path: str | Path) -> BinaryIO:
    """Open a plain file for reading; never wait for a pipe or read from a device.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        The path is not a plain file.
    """
    try:
        file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 (the caller closes)
    except IsADirectoryError:
        raise ValueError(_NOT_PLAIN) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(_NOT_PLAIN)
    return file


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_most(file: BinaryIO, most_bytes: int) -> bytes:
    """Return the bytes of a file, one more than `most_bytes` at most; take no more memory."""
    # A buffer of what may come at most would be larger than most files.
    data = file.read(min(os.fstat(file.fileno()).st_size, most_bytes) + 1)
    while 0 < len(data) <= most_bytes and (more := file.read(min(len(data), most_bytes) + 1)):
        data += more  # it has grown
    return data[: most_bytes + 1]


def plain_text(path: str | Path, most_bytes: int = MOST_TEXT) -> str:
    """Return the UTF-8 text of a plain file, without a byte order mark.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not plain, is larger than `most_bytes`, or is not UTF-8.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most_bytes:
            data = read_most(file, most_bytes)
            size = max(size, len(data))
    if size > most_bytes:
        raise ValueError(f"it has {size} bytes, at most {most_bytes} are allowed")
    return data.decode("utf-8-sig")


def read_text(path: str | Path, what: str, most_bytes: int = MOST_TEXT) -> str:
    """Return the UTF-8 text of a file that a user names; see `plain_text`.

    Parameters
    ----------
    path : str or Path
    what : str
        Expected content, for messages: ``"rects"``.
    most_bytes : int

    Raises
    ------
    FileMissingError
        The file does not exist.
    InputError
        The file cannot be read as text.
    """
    try:
        return plain_text(path, most_bytes)
    except FileNotFoundError:
        raise FileMissingError(f"{path}: no such file with {what}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as text ({_reason(error)}); name a text file with {what}"
        ) from None


def load_npy(path: str | Path, what: str, mode: str | None = None) -> NDArray[Any]:
    """Return the array of a .npy file that a user names; see `read_npy`.

    Parameters
    ----------
    path : str or Path
    what : str
        Expected content, for messages: ``"features"``.
    mode : see `read_npy`

    Raises
    ------
    FileMissingError
        The file does not exist.
    InputError
        The file is not plain, or not a .npy file of plain numbers.
    """
    try:
        return read_npy(path, mode)
    except FileNotFoundError:
        raise FileMissingError(f"{path}: no such file with {what}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a plain .npy array ({_reason(error)}); "
            f"name a file with {what} that np.save wrote"
        ) from None


def _reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        The text is nested too deep, or a number has thousands of digits. If it is not JSON, a
        `json.JSONDecodeError` with the line.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python's own words are for programmers
        raise ValueError("it has a number of thousands of digits") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text says.

    Raises
    ------
    ValueError
        If it is not TOML, is nested too deep, or a number has thousands of digits.
    """
    # A key of n parts costs n² steps; no key goes over a line.
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > _MOST_DOTS:
            raise ValueError(f"line {number} has more than {_MOST_DOTS} dots")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        raise ValueError("it has a number of thousands of digits") from None


def read_npy(path: str | Path, mode: str | None = None) -> NDArray[Any]:
    """Return the array of a .npy file of plain numbers.

    The header must state exactly the bytes of the file, so that no memory is taken that the
    file does not fill.

    Parameters
    ----------
    path : str or Path
    mode : {"r", "c"}, optional
        Map the file read-only or copy-on-write; by default read it whole.

    Returns
    -------
    ndarray

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        The file is not plain, or not such a .npy file; the message says why.

    References
    ----------
    NumPy Enhancement Proposal 1, A Simple File Format for NumPy Arrays.
    """
    with open_plain(path) as file:
        dtype, shape, order = _read_header(file)
        start = file.tell()
        held = file.seek(0, 2) - start
        needed = math.prod(shape) * dtype.itemsize
        if needed != held:
            raise ValueError(f"its header states {needed} bytes of numbers, but it holds {held}")
        if mode is not None and needed:
            mapped = np.memmap(file, dtype, "r" if mode == "r" else "c", start, shape, order)
            return np.asarray(mapped)
        file.seek(start)
        array = np.fromfile(file, dtype)
    return array.reshape(shape, order=order)


def _read_header(file: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    """Return item type, shape and order ("C" or "F"); leave the file at the numbers."""
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise ValueError("it does not start as a .npy file")
    length = int.from_bytes(file.read(2 if magic[6] == 1 else 4), "little")
    if length > _MOST_HEADER:
        raise ValueError(f"its header states a length of {length} bytes")
    text = file.read(length)
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip())
        kind, shape, fortran = (fields[name] for name in ("descr", "shape", "fortran_order"))
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise ValueError("its header is damaged") from None
    if not isinstance(kind, str) or not _PLAIN_TYPE.fullmatch(kind):
        raise ValueError(f"it holds {str(kind)[:40]!r}, not plain numbers")
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or len(shape) > 8:
        raise ValueError(f"its shape is {str(shape)[:40]}")
    try:
        return np.dtype(kind), shape, "F" if fortran is True else "C"
    except TypeError:
        raise ValueError(f"it holds {kind!r}, not plain numbers") from None
