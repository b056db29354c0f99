"""Checks of arguments that several modules share."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError, LayoutError

__all__ = ["as_array", "check_int", "check_type"]


def check_int(
    name: str, value: SupportsIndex, least: int, most: int | None = None, of: str = ""
) -> int:
    """A whole number in its range, as int.

    Parameters
    ----------
    name : str
        What the caller calls it.
    value : int
        Any integer, NumPy's included.
    least, most : int
        The range, both ends in it; open above without `most`.
    of : str
        What is counted: ``"frames"``.

    Raises
    ------
    InputError
        If it is no integer or not in the range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        kind = f"a whole number of {of}" if of else "a whole number"
        span = f"{least} to {most}" if most is not None else f"{least} or more"
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
