"""Standard output and error that may be closed, lead to a full disk, or speak ASCII alone."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from typing import Any

__all__ = ["discard", "ignore_broken_stderr", "print_any_text", "reopen_closed"]

_PLAIN = {"×": "x", "…": "...", "–": "-", "±": "+-", "²": "^2", "³": "^3", "¹": "^1", "µ": "u"}
_PLAINLY = "lipsync_fast.plainly"


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


@contextmanager
def print_any_text() -> Iterator[None]:
    """Inside the block, let standard output and error take any text in any encoding.

    A × is printed as x where × cannot be; the bytes of a file name that is not text as they are;
    anything else that cannot be printed as its number.
    """
    codecs.register_error(_PLAINLY, _print_plainly)
    with ExitStack() as stack:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stack.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors=_PLAINLY)
        yield


def _print_plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    with suppress(UnicodeError):
        return text.encode("ascii", "surrogateescape"), error.end
    plain = "".join(_PLAIN.get(letter, letter) for letter in text)
    return plain.encode("ascii", "backslashreplace").decode("ascii"), error.end


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
