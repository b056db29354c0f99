"""Checks of arguments that several modules share."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ArgumentTypeError, InputError

__all__ = [
    "as_array",
    "check_alphas",
    "check_indices",
    "check_int",
    "check_level",
    "check_type",
    "shown",
]

# A float recording may go beyond 1, where it would be clipped; on the scale of 16 bits the faintest
# speech goes beyond this.
LOUDEST = 16.0

_OPAQUE = np.full(64, 255, np.uint8)  # the usual alphas of a request, without an allocation
_OPAQUE.setflags(write=False)


def shown(value: object, most: int = 80, levels: int = 2) -> str:
    """Return a value as a message shows it: short, whatever it is.

    Files and callers may pass numbers of thousands of digits, or lists that contain each other;
    neither is written out.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str, bytes, list, tuple, dict, set)):
        try:
            text = repr(value)
        except (ValueError, RecursionError):
            return f"a {type(value).__name__}"
    elif isinstance(value, int):
        digits = int(value.bit_length() * 0.30103) + 1
        text = repr(value) if digits < 40 else f"a number of about {digits} digits"
    elif isinstance(value, (str, bytes)):
        text = repr(value[:most])
        return text + " …" if len(value) > most else text
    elif isinstance(value, (dict, set)):
        text = f"a {type(value).__name__} of {len(value)}"
    else:
        items = [shown(v, 20, levels - 1) for v in value[:8]] if levels else ["…"]
        ends = "()" if isinstance(value, tuple) else "[]"
        more = ", …" if len(value) > 8 else "," if ends == "()" and len(value) == 1 else ""
        text = f"{ends[0]}{', '.join(items)}{more}{ends[1]}"
    return text[:most] + " …" if len(text) > most else text


def check_int(
    name: str, value: SupportsIndex, minimum: int, maximum: int | None = None, unit: str = ""
) -> int:
    """Return `value` as an int that lies in a range.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : int
        Any integer, NumPy's included.
    minimum, maximum : int
        The range, both ends included; without `maximum` it is open above.
    unit : str
        What is counted: ``"frames"``.

    Raises
    ------
    InputError
        If it is not an integer, or outside the range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if number < minimum or (maximum is not None and number > maximum):
        kind = f"a whole number of {unit}" if unit else "a whole number"
        span = f"{minimum} to {maximum}" if maximum is not None else f"{minimum} or more"
        raise InputError(f"{name} must be {kind}, {span}, got {shown(value)}")
    return number


def check_type(name: str, value: object, *types: type, hint: str = "") -> None:
    """Raise ArgumentTypeError unless `value` is an instance of one of `types`.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    value : object
    *types : type
        The classes to choose from.
    hint : str
        What to do instead, where that is not obvious.

    Raises
    ------
    ArgumentTypeError
        If `value` is an instance of none of them.
    """
    if not isinstance(value, types):
        wanted = " or ".join(kind.__name__ for kind in types)
        tail = f"; {hint}" if hint else ""
        raise ArgumentTypeError(
            f"{name} must be of type {wanted}, got {type(value).__name__}{tail}"
        )


def as_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return `value` as an array; unchanged if it already is one.

    Raises
    ------
    InputError
        If it holds lists of different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(f"{name} must be rows of one length, got {shown(value)}") from None


def check_level(name: str, samples: NDArray[np.float32], full_scale: float = 1.0) -> None:
    """Raise InputError where samples are on another scale than they should be.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    samples : (n,) float32
    full_scale : float
        The loudest sample there can be.

    Raises
    ------
    InputError
        If a sample is NaN, infinite, or of another scale, such as that of 16-bit integers.
    """
    most = LOUDEST * full_scale
    if samples.size and not -most <= samples.min() <= samples.max() <= most:
        raise InputError(
            f"{name} must lie between -{full_scale:g} and {full_scale:g}, "
            f"got {samples.min():g} to {samples.max():g}; divide 16-bit samples by 32768"
        )


def check_indices(indices: ArrayLike, count: int) -> NDArray[np.int64]:
    """Return the template indices of a request as an array.

    Parameters
    ----------
    indices : (N,) integers
    count : int
        Frames of the template.

    Returns
    -------
    (N,) int64, C-contiguous
        Fresh, or `indices` where it is such an array.

    Raises
    ------
    InputError
        If it is not one integer a frame, each from 0 to `count` - 1.
    """
    chosen = as_array("indices", indices)
    if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and chosen.size):
        raise InputError(f"indices must be one integer a frame, got {chosen.dtype} {chosen.shape}")
    values = chosen.tolist()  # for a few values quicker than reductions of the array
    if values and not 0 <= min(values) <= max(values) < count:
        raise InputError(f"indices must be 0 to {count - 1}, got {min(values)} to {max(values)}")
    return np.ascontiguousarray(chosen, np.int64)


def check_alphas(alphas: ArrayLike | None, count: int) -> NDArray[np.uint8]:
    """Return the fades of a request as an array, all 255 where none are given.

    Parameters
    ----------
    alphas : (N,) integers, 0 to 255, or None
    count : int
        Frames of the request, N.

    Returns
    -------
    (N,) uint8, C-contiguous
        Possibly read-only, or `alphas` itself.

    Raises
    ------
    InputError
        If they are not one whole number from 0 to 255 for each frame.
    """
    if alphas is None:
        return _OPAQUE[:count] if count <= len(_OPAQUE) else np.full(count, 255, np.uint8)
    array = as_array("alphas", alphas)
    if array.shape != (count,) or (array.dtype.kind not in "iu" and count):
        raise InputError(
            f"alphas must be {count} whole numbers, one a frame, got {array.dtype} {array.shape}"
        )
    if array.dtype != np.uint8 and count and (array.min() < 0 or array.max() > 255):
        raise InputError(f"alphas must be 0 to 255, got {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.uint8)
