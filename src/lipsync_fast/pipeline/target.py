"""The target of a rendered speech."""

from __future__ import annotations

from pathlib import Path

from .. import media
from ..errors import InputError, MediaError
from ..files.targets import check_file, check_new_folder

__all__ = ["render_target"]


def render_target(path: str | Path) -> tuple[Path, bool]:
    """Return the real path of a target, and whether it is an mp4.

    Parameters
    ----------
    path : str or Path
        ``.mp4``, or a pipe ("-" for standard output, a named one), which gets an mp4; or a name
        without a suffix for a folder of JPEG files.

    Raises
    ------
    InputError
        The name is neither an mp4's nor a folder's.
    FileMissingError, MediaError
        The folder above it does not exist, or something is there that must not be replaced.
    """
    target = Path(path)
    if media.is_pipe_out(path):
        return target, True
    to_mp4 = ".mp4" in (target.suffix.lower(), target.name.lower())
    if target.suffix and not to_mp4:
        raise InputError(f"{target}: output must be .mp4 or a folder name without a suffix")
    if to_mp4:
        return check_file(path, MediaError, (".mp4",)), True
    return check_new_folder(path, MediaError), False
