"""The only door to PyAV: loads it when first needed and turns its errors into sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import FileMissingError, LipsyncError, MediaError, MissingExtraError
from .pipes import PipedFile, is_pipe, receive


def load_av(purpose: str) -> ModuleType:
    """Return the module ``av``; where it is missing, MissingExtraError names `purpose`."""
    try:
        import av

        # A package that was removed may leave a folder of its name, which imports as empty.
        if not hasattr(av, "open"):
            raise ImportError("the module av is empty")
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs PyAV, which cannot be loaded ({error}); "
            'install it with `pip install "lipsync_fast[video]"`'
        ) from error
    _know_all_side_data(av)
    return av


def _know_all_side_data(av: ModuleType) -> None:
    """Let a frame have side data of kinds that FFmpeg knows and PyAV's list ends before.

    PyAV 18 would raise ValueError for all side data of a frame that has any such (31 is EXIF).
    """
    kinds = av.sidedata.sidedata.Type
    if "_missing_" not in vars(kinds):
        kinds._missing_ = classmethod(_kind_without_name)


def _kind_without_name(cls: Any, number: object) -> Any:
    kind = object.__new__(cls)
    kind._name_, kind._value_ = f"KIND_{number}", number
    return kind


def require_file(path: str | os.PathLike[str]) -> Path:
    """Check that a file can be read, before anything is done for it.

    What comes through a pipe ("-" for standard input, a named one, ``<(…)``) is kept in a temporary
    file until the path that is returned is let go.

    Returns
    -------
    Path

    Raises
    ------
    FileMissingError
        There is no such file.
    MediaError
        It is a folder or a device, or may not be read.
    """
    if isinstance(path, PipedFile):
        return path
    if is_pipe(path):
        received = receive(path)
        _reject_empty(received)
        return received
    path = Path(path)
    if path.is_dir():
        raise MediaError(f"{path} is a folder; name a file")
    if not path.exists():
        raise FileMissingError(f"no such file: {path}")
    if not path.is_file():
        raise MediaError(f"{path} is a device; name a file or a pipe")
    if not os.access(path, os.R_OK):
        raise MediaError(f"{path} cannot be read: permission denied")
    _reject_empty(path)
    return path


def _reject_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); record or export it again")


# What FFmpeg reads as media, too: it draws texts, and plays the files that lists name.
_NO_MEDIA = {
    **dict.fromkeys(("tty", "bin", "xbin", "adf", "idf"), "a text or plain data"),
    **dict.fromkeys(("srt", "ass", "webvtt", "microdvd", "subviewer", "sami"), "a text"),
    **dict.fromkeys(("hls", "concat", "dash", "imf", "sdp", "rtsp"), "a list of other files"),
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the errors that FFmpeg reports while `path` is decoded into one MediaError."""
    av = load_av(f"reading {path.name}")
    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaError(
            f"{path} is damaged, or not a media file that FFmpeg can read: {error.strerror}"
        ) from error
    except (ArithmeticError, AttributeError, LookupError, NotImplementedError, ValueError) as error:
        if isinstance(error, LipsyncError):
            raise
        raise MediaError(
            f"{path} holds something that PyAV {av.__version__} does not know ({error}); convert "
            "it with another program first"
        ) from error


@contextmanager
def open_input(path: Path) -> Iterator[Any]:
    """Open `path` with FFmpeg for the length of a ``with`` block; errors become MediaError."""
    av = load_av(f"reading {path.name}")
    # Titles need not be UTF-8 for us; PyAV 19 ignores them by itself.
    leniency = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
    # "file:" keeps a colon in the name from being taken for a protocol.
    # And a playlist opens nothing of the network.
    options = {"protocol_whitelist": "file"}
    url = f"file:{os.fspath(path)}"
    with reading(path), av.open(url, options=options, **leniency) as container:
        if what := _NO_MEDIA.get(container.format.name):
            raise MediaError(f"{path} is {what}, not a film or a sound; name the file itself")
        yield container
