"""Pickles of plain numbers, read without running any code.

Python's own unpickler calls whatever a file names and allocates whatever it asks for. This
reader knows only the few operations that write lists of numbers, makes nothing larger than the
file itself, and rejects everything else.

References
----------
Python, Lib/pickletools.py (the operations); NumPy, ndarray.__reduce__ (how arrays, scalars and
dtypes are written).
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileMissingError, InputError
from .untrusted import open_plain, read_most

__all__ = ["load_plain"]

LARGEST = 32 << 20  # bytes: coordinates of about 500 000 frames
DEEPEST = 8  # lists in lists
_MOST_OPERATIONS = 8_000_000

_MARK, _ARGUMENT = object(), object()


class _Refused(ValueError):
    """The reason why a file is refused."""


class _Sequence(list[Any]):
    """A list or tuple of the file, as opposed to the lists inside NumPy's parts."""


class _Array:
    """An ndarray that still waits for its state."""

    value: NDArray[Any] | None = None


class _Dtype:
    """A dtype that still waits for its byte order."""

    def __init__(self, name: str) -> None:
        # Reject objects, voids and strings.
        if not re.fullmatch(r"[iuf][1248]|b1", name) or name == "f1":
            raise _Refused(f"holds an array of dtype {name[:40]!r}, not numbers")
        self.name, self.order = name, "<"

    @property
    def value(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.name)


def load_plain(path: str | Path) -> Any:
    """Read a pickle of lists, tuples, numbers, and NumPy scalars and arrays.

    Parameters
    ----------
    path : str or Path
        Written by ``pickle.dump`` with any protocol.

    Returns
    -------
    list, int, float or ndarray, nested
        Tuples become lists, and NumPy scalars become arrays without axes.

    Raises
    ------
    FileMissingError
        The file does not exist.
    InputError
        The file contains anything else, is damaged, larger than 32 MiB, or nested more than 8
        deep. Names in the file are never imported or called.
    """
    try:
        with open_plain(path) as stream:
            data = read_most(stream, LARGEST)
    except FileNotFoundError:
        raise FileMissingError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    try:
        if len(data) > LARGEST:
            raise _Refused(f"is larger than {LARGEST >> 20} MiB")
        return _Reader().read(data)
    except _Refused as refused:
        raise InputError(
            f"{path} {refused}; a pickle may hold only lists, tuples, numbers and NumPy arrays"
        ) from None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} cannot be read as a pickle: {error}") from None


class _Reader:
    """Runs the operations for plain data."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, data: bytes) -> Any:
        for count, (code, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count > _MOST_OPERATIONS:
                raise _Refused(f"has more than {_MOST_OPERATIONS} operations")
            if code.name == "STOP":
                break
            self._run(code.name, argument)
        (value,) = self._stack
        return _plain(value, 0, set())

    def _run(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(argument if _CONSTANTS[name] is _ARGUMENT else _CONSTANTS[name])
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in _MAKERS:
            _MAKERS[name](self, argument)
        else:
            raise _Refused(f"uses the operation {name}")

    # ---- sequences ---------------------------------------------------------------------

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _pop(self, count: int) -> list[Any]:
        place = len(self._stack) - count
        if place < 0:
            raise ValueError("values are missing")
        values = self._stack[place:]
        del self._stack[place:]
        return values

    def _gather(self, count: int | None) -> None:
        """Gather the last values, or those since the mark, in a new sequence."""
        values = self._since_mark() if count is None else self._pop(count)
        self._stack.append(_Sequence(values))

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, _Sequence):
            raise ValueError("it appends to something other than a list")
        target.extend(values)

    # ---- NumPy -------------------------------------------------------------------------

    def _name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise _Refused("names something")
        place = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        if place not in _NAMES:
            raise _Refused(f"names {place[:80]}")
        self._stack.append(_NAMES[place])

    def _reduce(self) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        if not isinstance(maker, _Maker) or not isinstance(arguments, _Sequence):
            raise _Refused("calls something")
        self._stack.append(maker.make(*arguments))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, _Dtype):
            if state[1] not in ("<", ">", "|", "="):
                raise ValueError("a dtype has no byte order")
            target.order = state[1]
        elif isinstance(target, _Array) and target.value is None:
            _, shape, dtype, by_columns, data = state
            target.value = _array(data, dtype, shape, "F" if by_columns else "C")
        else:
            raise _Refused("changes something")


class _Maker:
    """A stand-in for one of the few functions that NumPy's pickles name."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, _Dtype):
        raise _Refused("holds an array of other things than plain numbers")
    sides = [shape] if isinstance(shape, int) else list(shape)
    if len(sides) > DEEPEST or not all(_is_side(n) for n in sides):
        raise ValueError("the shape of an array is not a few sides")
    if math.prod(sides) * dtype.value.itemsize != len(data) or order not in ("C", "F"):
        raise ValueError("an array's data do not fit its shape")
    return np.frombuffer(data, dtype.value).reshape(sides, order=order)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= LARGEST


def _encode(text: Any, encoding: Any) -> bytes:
    """Return the bytes of a text, as protocols below 3 store them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused("calls something")
    return text.encode("latin1")


# The names in NumPy's pickles; NumPy 2 moved the modules to numpy._core.
_NAMES: dict[str, Any] = {
    "numpy.core.multiarray._reconstruct": _Maker(lambda kind, shape, typecode: _Array()),
    "numpy.core.multiarray.scalar": _Maker(lambda dtype, data: _array(data, dtype, [], "C")),
    "numpy.core.numeric._frombuffer": _Maker(_array),
    "numpy.ndarray": None,  # an argument of _reconstruct, which ignores it
    "numpy.dtype": _Maker(lambda name, align, copy: _Dtype(name)),
    "_codecs.encode": _Maker(_encode),
    "__builtin__.bytes": _Maker(lambda: b""),
}

# Operations that push one value: the table's, or else their argument.
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"), _ARGUMENT),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _ARGUMENT),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _ARGUMENT),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _ARGUMENT),
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
}

_MAKERS: dict[str, Callable[[_Reader, Any], None]] = {
    "EMPTY_LIST": lambda reader, _: reader._gather(0),
    "EMPTY_TUPLE": lambda reader, _: reader._gather(0),
    "TUPLE1": lambda reader, _: reader._gather(1),
    "TUPLE2": lambda reader, _: reader._gather(2),
    "TUPLE3": lambda reader, _: reader._gather(3),
    "LIST": lambda reader, _: reader._gather(None),
    "TUPLE": lambda reader, _: reader._gather(None),
    "APPEND": lambda reader, _: reader._append([reader._stack.pop()]),
    "APPENDS": lambda reader, _: reader._append(reader._since_mark()),
    "GLOBAL": lambda reader, names: reader._name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda reader, _: reader._name(*reader._pop(2)),
    "REDUCE": lambda reader, _: reader._reduce(),
    "BUILD": lambda reader, _: reader._build(),
}


def _plain(value: Any, level: int, seen: set[int]) -> Any:
    """Replace stand-ins by NumPy's own objects; reject anything but numbers."""
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if isinstance(value, _Sequence):
        if level == DEEPEST:
            raise _Refused(f"is nested more than {DEEPEST} deep")
        if id(value) not in seen:  # the same list may occur in many places
            seen.add(id(value))
            value[:] = [_plain(item, level + 1, seen) for item in value]
        return value
    if isinstance(value, (int, float, np.ndarray)):
        return value
    raise _Refused(f"holds {type(value).__name__} beside numbers")
