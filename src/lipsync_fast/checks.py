"""Checks of arguments that several modules share."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError, LayoutError

__all__ = ["as_array", "check_int", "check_type"]


def check_int(
    name: str, value: SupportsIndex, minimum: int, maximum: int | None = None, unit: str = ""
) -> int:
    """Return `value` as an int that lies in a range.

    Parameters
    ----------
    name : str
        What the caller calls it.
    value : int
        Any integer, NumPy's included.
    minimum, maximum : int
        The range, both ends included; without `maximum` it is open above.
    unit : str
        What is counted: ``"frames"``.

    Raises
    ------
    InputError
        If it is not an integer or not in the range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if number < minimum or (maximum is not None and number > maximum):
        kind = f"a whole number of {unit}" if unit else "a whole number"
        span = f"{minimum} to {maximum}" if maximum is not None else f"{minimum} or more"
        raise InputError(f"{name} must be {kind}, {span}, got {value!r}")
    return number


def check_type(name: str, value: object, *types: type, hint: str = "") -> None:
    """Refuse what is none of some classes.

    Parameters
    ----------
    name : str
        What the caller calls it.
    value : object
    *types : type
        Classes that will do.
    hint : str
        What to do, where that is not plain.

    Raises
    ------
    LayoutError
        If it is something else.
    """
    if not isinstance(value, types):
        wanted = " or ".join(kind.__name__ for kind in types)
        tail = f"; {hint}" if hint else ""
        raise LayoutError(f"{name} must be of type {wanted}, got {type(value).__name__}{tail}")


def as_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """`value` as an array; itself where it is one.

    Raises
    ------
    InputError
        If it is lists of different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(f"{name} must be rows of one length, got {value!r:.80}") from None
