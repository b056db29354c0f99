"""Standard output and error that may be closed, or lead to a full disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

__all__ = ["discard", "ignore_broken_stderr", "reopen_closed"]


def reopen_closed() -> None:
    """Open closed standard streams onto the null device.

    Otherwise the next file opened would take the number of a closed one, and receive whatever
    libraries print there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)  # as standard streams are
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for the process's life)


@contextmanager
def ignore_broken_stderr() -> Iterator[None]:
    """Inside the block, drop messages that standard error cannot take; nothing else is lost."""
    with redirect_stderr(_Messages(sys.stderr)):
        yield


def discard(stream: Any) -> None:
    """Drop what a stream could not print; Python would try again at exit."""
    with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class _Messages:
    """A stream that drops what cannot be written, and all that follows it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            discard(self._stream)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
