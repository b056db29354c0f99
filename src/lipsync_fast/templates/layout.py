"""What a template's folder is made of, and which folders a new template may replace."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError, TemplateError
from ..files.targets import check_folder
from ..files.untrusted import parse_json

__all__ = ["FORMAT", "HEAD", "KEPT_NETS", "check_target"]

HEAD = "template.json"
FORMAT = "lipsync_fast template"  # the head says so under "format"
KEPT_NETS = "resident-*.onnx"  # nets put round the template, which are kept beside it

_FILES = frozenset(
    [
        *("rects.npy", "crops.npy", "bgr24.npy", "i420.npy"),
        *("jpeg.bin", "jpeg_offsets.npy", "jpeg_segments.npy"),
        *("regions.bin", "regions_offsets.npy", "regions.npy"),
        *("masks.bin", "masks_offsets.npy", "masks.npy"),
    ]
)
_KEPT = (KEPT_NETS, f".{KEPT_NETS}.*.part")  # a killed process leaves the latter


def check_target(path: Path) -> Path:
    """The real place of a new template: a new or empty folder, or a template to replace.

    Raises
    ------
    InputError
        It names no folder that can be made, or one that holds what is no part of a template.
    TemplateError
        It may not be read or replaced.
    """
    place = check_folder(path, InputError)
    if not place.exists():
        return place
    try:
        foreign = next((p.name for p in sorted(place.iterdir()) if not _is_ours(p)), None)
    except OSError as error:
        raise TemplateError(f"{path} cannot be replaced: {error.strerror}") from None
    if foreign is not None:
        raise InputError(
            f"{path} is a folder with other files in it, {foreign} among them; name a new folder"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise TemplateError(f"{path} cannot be replaced: it may not be written to")
    return place


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if path.name != HEAD:
        return path.name in _FILES or any(path.match(names) for names in _KEPT)
    try:
        head = parse_json(path.read_text("utf-8"))
    except ValueError:
        return path.with_name("crops.npy").exists()  # damaged: a template to be prepared again
    return isinstance(head, dict) and head.get("format") == FORMAT
