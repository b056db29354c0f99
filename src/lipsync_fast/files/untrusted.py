"""Files that strangers wrote, read without trusting a size, a depth or a number in them."""

from __future__ import annotations

import ast
import json
import math
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["parse_json", "read_npy"]

_MOST_HEADER = 10_000  # bytes; NumPy's own limit for headers of strangers
_PLAIN_TYPE = re.compile(r"[<>|=]?[biufc]\d{1,2}")


def parse_json(text: str) -> Any:
    """What a JSON text says.

    Raises
    ------
    ValueError
        If it is no JSON, nested too deep, or a number has thousands of digits;
        `json.JSONDecodeError`, with its line, where the text is malformed.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_npy(path: str | Path, mode: str | None = None) -> NDArray[Any]:
    """The array of a .npy file of plain numbers.

    The header is believed only where it states just the bytes that are there, so that no
    memory is taken that the file does not fill.

    Parameters
    ----------
    path : str or Path
    mode : {"r", "c"}, optional
        Map the file read-only or copy-on-write; else it is read whole.

    Returns
    -------
    ndarray

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not such a file; the message says why.

    References
    ----------
    NumPy Enhancement Proposal 1, A Simple File Format for NumPy Arrays.
    """
    with Path(path).open("rb") as file:
        dtype, shape, order = _read_header(file)
        start = file.tell()
        held = file.seek(0, 2) - start
        needed = math.prod(shape) * dtype.itemsize
        if needed != held:
            raise ValueError(f"its header states {needed} bytes of numbers, {held} are there")
        if mode is not None and needed:
            mapped = np.memmap(path, dtype, "r" if mode == "r" else "c", start, shape, order)
            return np.asarray(mapped)
        file.seek(start)
        array = np.fromfile(file, dtype)
    return array.reshape(shape, order=order)


def _read_header(file: BinaryIO) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    """Item type, shape and order ("C" or "F"); the file then stands at the numbers."""
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
