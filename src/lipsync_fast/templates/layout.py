"""The files of a template's folder, and the folders that a new template may replace."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError, TemplateError
from ..files.targets import check_folder
from ..files.untrusted import parse_json, plain_text
from ..formats import VideoFormat
from ..kernels import i420_size

__all__ = [
    "BACKGROUNDS",
    "BOXES",
    "CROPS",
    "FORMAT",
    "HEAD",
    "JPEG",
    "MASKS",
    "MASK_NUMBERS",
    "MOST_HEAD",
    "RECTS",
    "REGIONS",
    "SEGMENTS",
    "VERSION",
    "WHOLE_RECTS",
    "background_shape",
    "check_target",
    "ragged_names",
]

HEAD = "template.json"
FORMAT = "lipsync_fast template"  # value of "format" in the head
VERSION = 1
MOST_HEAD = 1 << 20  # bytes

# Arrays with one item a frame, as .npy.
RECTS = "rects.npy"
WHOLE_RECTS = "whole_rects.npy"  # of the crops; only where a face reaches over the frame's border
CROPS = "crops.npy"
BACKGROUNDS = {"bgr24": "bgr24.npy", "i420": "i420.npy"}
SEGMENTS = "jpeg_segments.npy"
BOXES = "regions.npy"  # x, y, w, h of each region
MASK_NUMBERS = "masks.npy"  # number of each frame's mask, -1 for none
# Byte strings of different lengths: each stem names two files.
JPEG, REGIONS, MASKS = "jpeg", "regions", "masks"


def background_shape(format: str, video: VideoFormat) -> tuple[int, ...]:
    """Return the shape of one stored background, "bgr24" or "i420"."""
    if format == "bgr24":
        return (video.height, video.width, 3)
    return (i420_size(video.width, video.height),)


def ragged_names(stem: str) -> tuple[str, str]:
    """Return the names of the two files of a `Ragged`: its bytes and their offsets."""
    return f"{stem}.bin", f"{stem}_offsets.npy"


_FILES = frozenset(
    [
        *(RECTS, WHOLE_RECTS, CROPS, *BACKGROUNDS.values(), SEGMENTS, BOXES, MASK_NUMBERS),
        *(name for stem in (JPEG, REGIONS, MASKS) for name in ragged_names(stem)),
    ]
)


def check_target(path: Path) -> Path:
    """Return the real path of a new template: a new or empty folder, or a template to replace.

    Raises
    ------
    InputError
        The path cannot become a folder, or is a folder with files of other kinds.
    TemplateError
        The folder may not be read or replaced.
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
            f"{path} is a folder with other files, such as {foreign}; name a new folder"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise TemplateError(f"{path} cannot be replaced: it is not writable")
    return place


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if path.name != HEAD:
        return path.name in _FILES
    try:
        head = parse_json(plain_text(path, MOST_HEAD))
    except ValueError:
        return path.with_name(CROPS).exists()  # a damaged template, to be prepared again
    return isinstance(head, dict) and head.get("format") == FORMAT
