"""The target of a rendered speech."""

from __future__ import annotations

from pathlib import Path

from .. import media
from ..errors import InputError, MediaError
from ..files.targets import check_file, check_new_folder

__all__ = ["render_target"]


# Endings of names that a person means as a file.
_FILMS = (".mov", ".m4v", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".3gp")
_PICTURES = (".gif", ".apng", ".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff")
_OTHERS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".onnx", ".zip", ".html")


def render_target(path: str | Path) -> tuple[Path, bool]:
    """Return the real path of a target, and whether it is an mp4.

    Parameters
    ----------
    path : str or Path
        ``.mp4``, or a pipe ("-" for standard output, a named one), which gets an mp4; or the name
        of a folder for JPEG files, dots in it or not.

    Raises
    ------
    InputError
        The name is that of another kind of film, picture or sound.
    FileMissingError, MediaError
        The folder above it does not exist, or something is there that must not be replaced.
    """
    target = Path(path)
    if media.is_pipe_out(path):
        return target, True
    if ".mp4" in (target.suffix.lower(), target.name.lower()):
        return check_file(path, MediaError, (".mp4",)), True
    if target.suffix.lower() in _FILMS + _PICTURES + _OTHERS and not target.is_dir():
        raise InputError(
            f"{target} must be an .mp4, or a folder for JPEG files, got {target.suffix}; "
            "name one of these, and convert it afterwards"
        )
    return check_new_folder(path, MediaError), False
