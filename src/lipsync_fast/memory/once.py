"""A call that an executor cannot hold on to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OneShot"]


class OneShot:
    """A call that has let go of its function and arguments by the time its result is known.

    An executor's thread keeps what it was given to run until after others have seen the result:
    buffers in it would come back to their pool late, and differently from run to run.

    Parameters
    ----------
    work : callable
    arguments
        What it is called with.
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
            del call  # else an error's traceback would hold it, and so perhaps the error itself
