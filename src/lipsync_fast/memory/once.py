"""A call whose arguments an executor's thread cannot keep alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OneShot"]


class OneShot:
    """A call that releases its function and arguments before its result is known.

    An executor's thread keeps its work item until after others have seen the result, so buffers
    in it would return to their pool late, and at a different time in every run.

    Parameters
    ----------
    work : callable
    arguments
        Its arguments.
    """

    __slots__ = ("_call",)

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        self._call: tuple[Any, ...] | None = (work, *arguments)

    def __call__(self) -> Any:
        call, self._call = self._call, None
        assert call is not None, "it was called before"
        try:
            return call[0](*call[1:])
        finally:
            del call  # a traceback would keep it alive, perhaps together with the error itself
