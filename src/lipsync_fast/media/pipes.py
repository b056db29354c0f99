"""Sound and films that come through a pipe, and films that leave through one."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, MediaError

if sys.platform == "win32":
    from pathlib import WindowsPath as SystemPath
else:
    from pathlib import PosixPath as SystemPath

__all__ = ["PipeOut", "PipedFile", "is_pipe", "is_pipe_out", "receive"]

_STDIN, _STDOUT = ("-", "/dev/stdin"), ("-", "/dev/stdout")
_CHUNK = 1 << 20


class PipedFile(SystemPath):
    """The path of a file that keeps what came through a pipe, for as long as the path is held.

    Readers go back and forth, and read a sound twice; a pipe can do neither. `str` gives the
    pipe's own name, for messages.
    """

    _shown = _place = ""

    def __str__(self) -> str:
        return self._shown

    def __fspath__(self) -> str:
        return self._place


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Tell whether an input comes through a pipe: standard input, a named pipe, ``<(…)``."""
    return os.fspath(path) in _STDIN or _is_fifo(path)


def is_pipe_out(path: str | os.PathLike[str]) -> bool:
    """Tell whether an output leaves through a pipe: standard output, a named pipe, ``>(…)``."""
    return os.fspath(path) in _STDOUT or _is_fifo(path)


def _is_fifo(path: str | os.PathLike[str]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def receive(path: str | os.PathLike[str]) -> PipedFile:
    """Keep what comes through a pipe, to its end, in a temporary file.

    Raises
    ------
    MediaError
        Standard input is a terminal; the pipe cannot be read, or its content not be kept.
    """
    text = os.fspath(path)
    name = "standard input" if text in _STDIN else text
    if text in _STDIN and os.isatty(0):
        raise MediaError("standard input is a terminal: lead a file or a pipe to it")
    ending = "" if text in _STDIN else Path(text).suffix
    try:
        kept, place = tempfile.mkstemp(ending, "lipsync_fast-")
    except OSError as error:
        raise MediaError(f"{name} cannot be kept in a temporary file: {error.strerror}") from error
    file = PipedFile(place)
    file._shown, file._place = name, place
    weakref.finalize(file, _remove, place)
    try:
        # Python opens and reads: a signal ends a wait there, which FFmpeg would go on with.
        pipe = os.dup(0) if text in _STDIN else os.open(text, os.O_RDONLY)
        try:
            while chunk := os.read(pipe, _CHUNK):
                _write_all(kept, chunk)
        finally:
            os.close(pipe)
    except OSError as error:
        raise MediaError(
            f"{name} cannot be read, or kept in {tempfile.gettempdir()} (TMPDIR): {error.strerror}"
        ) from error
    finally:
        os.close(kept)
    if not os.path.getsize(place):
        raise MediaError(f"nothing came through {name}: lead a sound or a film to it")
    return file


def _remove(place: str) -> None:
    with suppress(OSError):
        os.unlink(place)


def _write_all(descriptor: int, data: Any) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


class PipeOut:
    """A pipe as an output of PyAV, which sees that it cannot seek.

    Attributes
    ----------
    stopped : BaseException or None
        What a signal raised while the pipe waited for its reader.

    Raises
    ------
    InputError
        Standard output is a terminal.
    OSError
        The pipe cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        if text in _STDOUT and os.isatty(1):
            raise InputError(
                "standard output is a terminal: lead it to a program or a file, or name an output"
            )
        self.stopped: BaseException | None = None
        self._descriptor = os.dup(1) if text in _STDOUT else os.open(text, os.O_WRONLY)
        self.name = "standard output" if text in _STDOUT else text

    def write(self, data: Any) -> int:
        """Write all of `data`, as soon as the reader takes it."""
        if self._descriptor < 0 or self.stopped is not None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        try:
            _write_all(self._descriptor, data)
        except Exception:
            raise
        except BaseException as stopped:  # of a signal: PyAV would drop it
            self.stopped = stopped
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR)) from stopped
        return len(data)

    def close(self) -> None:
        """Tell the reader that there is no more; a closed pipe does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
