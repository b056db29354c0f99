"""Reading a template's folder: mapped read-only, or loaded whole.

Every number in the files is checked: sizes, offsets, rects and regions must agree before anything
is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int, shown
from ..errors import FileMissingError, InputError, LipsyncError, TemplateError
from ..files.untrusted import parse_json, plain_text
from ..formats import VideoFormat
from ..kernels import _jpeg
from ..presets import PRESETS, Preset
from ..timing import Loop
from .arrays import Ragged, open_fixed
from .jpeg_backgrounds import JpegBackgrounds, JpegSettings
from .layout import (
    BACKGROUNDS,
    BOXES,
    CROPS,
    HEAD,
    JPEG,
    MASK_NUMBERS,
    MASKS,
    MOST_HEAD,
    RECTS,
    REGIONS,
    SEGMENTS,
    VERSION,
    WHOLE_RECTS,
    background_shape,
    ragged_names,
)
from .options import STORES
from .owned import OwnedFrames
from .rects import rects_inside, visible_parts

__all__ = ["FileId", "TemplateParts", "open_private", "read_folder"]

_TRIES = 100  # openings of a folder that others replace at the same time

_JPEG_FIELDS = {"quality", "subsampling", "restart_interval", "label"}

FileId = tuple[int, int]  # device and inode: identify a file even if its name is reused

Pictures = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]


@dataclass
class TemplateParts:
    """Everything that a `Template` holds; see its attributes."""

    video: VideoFormat
    preset: Preset
    loop: Loop
    label: bool
    rects: NDArray[np.int32]
    crops: NDArray[np.uint8]
    masks: Sequence[NDArray[np.uint8] | None]
    whole_rects: NDArray[np.int32] | None = None
    bgr24: Pictures | OwnedFrames | None = None
    i420: Pictures | None = None
    jpeg: JpegBackgrounds | None = None
    folder: Path | None = None
    digest: str = ""  # of the head, which tells one template from another
    # The backgrounds that may be painted on, for `open_private` to recognise.
    opened: dict[str, FileId | None] = field(default_factory=dict)


def read_folder(folder: Path, load: bool) -> TemplateParts:
    """Read a template's folder, mapped or loaded; see `Template.open`.

    All parts come from one folder, also where another one takes its name meanwhile.
    """
    for _ in range(_TRIES):
        with _hold(folder) as same:
            try:
                parts = _read_once(folder, load)
            except LipsyncError:
                if same():
                    raise
                continue  # it was gone in the middle
            if same():
                return parts
    raise TemplateError(f"{folder} is replaced again and again; open it when that has ended")


@contextmanager
def _hold(folder: Path) -> Iterator[Callable[[], bool]]:
    """Hold a folder open, so that its number is not given to another, for a block.

    Yields
    ------
    callable
        Tells whether the name still means that folder.
    """
    descriptor = None
    if sys.platform != "win32":  # which neither opens nor renames folders that are in use
        with suppress(OSError):  # the reader finds out, too, and says so
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def same() -> bool:
        if descriptor is None:
            return True
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(folder))
        except OSError:
            return False

    try:
        yield same
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _read_once(folder: Path, load: bool) -> TemplateParts:
    head = _read_head(folder)
    try:
        return replace(_read_parts(folder, head, load), digest=_digest(head))
    except TemplateError:
        raise
    except LipsyncError as error:
        raise TemplateError(f"{folder}: {error}") from None
    except PermissionError as error:
        raise TemplateError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise TemplateError(
            f"{folder}: {HEAD} or a file it names is damaged ({_reason(error)}); "
            "prepare the template again"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{shown(error.args[0])} is missing"
    return str(error) if isinstance(error, ValueError) else type(error).__name__


def _read_parts(folder: Path, head: dict[str, Any], load: bool) -> TemplateParts:
    preset = _stored_preset(head)
    video = _stored_video(head)
    count, store = check_int("count", head["count"], 1, unit="frames"), head["store"]
    if not isinstance(store, list) or not all(name in STORES for name in store):
        raise ValueError("its store does not name formats")
    rects = open_fixed(folder / RECTS, np.int32, (4,), load=True)
    crops = open_fixed(folder / CROPS, np.uint8, (preset.crop, preset.crop, 3), load=load)
    bgr24, i420 = (
        open_fixed(folder / name, np.uint8, background_shape(format, video), load=load)
        if format in store
        else None
        for format, name in BACKGROUNDS.items()
    )
    jpeg = None
    if "jpeg" in store:
        jpeg = _open_jpeg(folder, head["jpeg"], video, load)
        _check_regions(folder, jpeg, rects, video)
    lengths = {len(p) for p in (bgr24, i420, jpeg.files if jpeg else None) if p is not None}
    if lengths != {count} or {len(rects), len(crops)} != {count}:
        raise TemplateError(
            f"{folder}: its files do not hold {count} frames each; prepare the template again"
        )
    if not rects_inside(rects, video.width, video.height):
        raise TemplateError(f"{folder / RECTS} holds rects outside the frame; prepare it again")
    return TemplateParts(
        video=video,
        preset=preset,
        loop=_stored_loop(head),
        label=_stored_flag(head, "label"),
        rects=rects,
        crops=crops,
        masks=_open_masks(folder, rects, load),
        whole_rects=_open_whole_rects(folder, rects, video),
        bgr24=bgr24,
        i420=i420,
        jpeg=jpeg,
        folder=None if load else folder,
        opened={} if load else _private_files(folder),
    )


def _digest(head: dict[str, Any]) -> str:
    """Tell templates apart by their heads, which list the size of every file."""
    return hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()


def _stored_video(head: dict[str, Any]) -> VideoFormat:
    return VideoFormat(
        head["width"],
        head["height"],
        head["fps"],
        head["matrix"],
        full_range=_stored_flag(head, "full_range"),
        tagged=_stored_flag(head, "tagged"),
    )


def _stored_flag(head: dict[str, Any], name: str) -> bool:
    value = head[name]
    if not isinstance(value, bool):
        raise ValueError(f"its {name} is neither true nor false")
    return value


def _stored_loop(head: dict[str, Any]) -> Loop:
    loop = Loop(head["loop"], head["start"])
    if loop.kind is None or loop.start is None:
        raise ValueError("its loop or start is null")
    return loop


def _stored_preset(head: dict[str, Any]) -> Preset:
    """Return the preset by its name, or a user's own from its stored fields."""
    if "preset_row" in head:
        return Preset.from_mapping(head["preset_row"])
    try:
        return PRESETS[head["preset"]]
    except (KeyError, TypeError):  # a list, for one, is no key
        raise InputError(
            f"its preset must be one of {', '.join(PRESETS)}, got {shown(head['preset'])}; use the "
            "version of lipsync_fast that made it, or prepare it again"
        ) from None


def _private_files(folder: Path) -> dict[str, FileId | None]:
    return {format: _file_id(folder / name) for format, name in BACKGROUNDS.items()}


def open_private(
    folder: Path, format: str, video: VideoFormat, opened: FileId | None
) -> NDArray[np.uint8] | None:
    """Map stored backgrounds, bgr24 or i420, copy-on-write: they may be painted on.

    Return None if the file is no longer the one that was `opened`.
    """
    path = folder / BACKGROUNDS[format]
    if opened is None or _file_id(path) != opened:
        return None
    shape = background_shape(format, video)
    frames = open_fixed(path, np.uint8, shape, load=False, private=True)
    return frames if _file_id(path) == opened else None


def _file_id(path: Path) -> FileId | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _read_head(folder: Path) -> dict[str, Any]:
    """Read the head and check it against the sizes of the files that it names."""
    path = folder / HEAD
    if folder.exists() and not folder.is_dir():
        raise TemplateError(f"{folder} is a file; name a template, a folder that prepare made")
    if not folder.exists():
        raise FileMissingError(
            f"{folder}: no such template folder; make one with lipsync-fast prepare"
        )
    try:
        head: dict[str, Any] = parse_json(plain_text(path, MOST_HEAD))
    except FileNotFoundError:
        raise TemplateError(f"{folder} has no {HEAD}; name a folder that prepare made") from None
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TemplateError(
            f"{path} cannot be read ({error}); prepare the template again"
        ) from None
    version = head.get("version") if isinstance(head, dict) else None
    if type(version) is not int or version != VERSION:
        raise TemplateError(
            f"{path} must be of version {VERSION}, got {shown(version)}; prepare the template again"
        )
    files = head.get("files")
    if not isinstance(files, dict):
        raise TemplateError(f"{path} does not list its files; prepare the template again")
    for name, size in files.items():
        if "/" in name or "\\" in name or name in (".", ".."):
            raise TemplateError(f"{path} names a file outside its folder: {name!r}")
        try:
            got = (folder / name).stat().st_size
        except (OSError, ValueError):  # ValueError: a name with a null byte
            raise TemplateError(f"{folder / name} is missing; prepare the template again") from None
        if got != size:
            raise TemplateError(
                f"{folder / name} must have {shown(size)} bytes, got {got}; "
                "prepare the template again"
            )
    return head


def _open_jpeg(
    folder: Path, stored: dict[str, Any], video: VideoFormat, load: bool
) -> JpegBackgrounds:
    if not isinstance(stored, dict) or not stored.keys() <= _JPEG_FIELDS:
        raise ValueError("its jpeg does not describe JPEG settings")
    settings = dict(stored)
    label = bool(settings.pop("label", True))
    chosen = JpegSettings(**settings)
    offsets = chosen.segments(video.width, video.height) + 1
    segments = open_fixed(folder / SEGMENTS, np.uint32, (offsets,), load=load)
    boxes = open_fixed(folder / BOXES, np.int32, (4,), load=True)
    files = Ragged.open(folder, JPEG, load)
    regions = Ragged.open(folder, REGIONS, load)
    if len(segments) != len(files):
        raise _misfit(folder / SEGMENTS, ragged_names(JPEG)[0])
    area = boxes[:, 2].astype(np.int64) * boxes[:, 3] * 3
    if len(boxes) != len(files) or not np.array_equal(np.diff(regions.offsets), area):
        raise _misfit(folder / ragged_names(REGIONS)[0], BOXES)
    return JpegBackgrounds(chosen, label, files, segments, boxes, regions)


def _misfit(path: Path, other: str) -> TemplateError:
    return TemplateError(f"{path} does not fit {other}; prepare the template again")


def _check_regions(
    folder: Path, jpeg: JpegBackgrounds, rects: NDArray[np.int32], video: VideoFormat
) -> None:
    """Reject regions other than the whole segments round their rects."""
    s = jpeg.settings
    if len(jpeg.boxes) != len(rects):
        raise _misfit(folder / BOXES, RECTS)
    for (x, y, w, h), box in zip(rects.tolist(), jpeg.boxes.tolist(), strict=True):
        region = _jpeg.jpeg_region(
            x, y, w, h, video.width, video.height, s.subsampling, s.restart_interval
        )
        if tuple(box) != region:
            raise _misfit(folder / BOXES, RECTS)


def _open_whole_rects(
    folder: Path, rects: NDArray[np.int32], video: VideoFormat
) -> NDArray[np.int32] | None:
    path = folder / WHOLE_RECTS
    if not path.exists():
        return None
    whole: NDArray[np.int32] = open_fixed(path, np.int32, (4,), load=True)
    if not np.array_equal(visible_parts(whole, video.width, video.height), rects):
        raise _misfit(path, RECTS)
    return whole


def _open_masks(
    folder: Path, rects: NDArray[np.int32], load: bool
) -> list[NDArray[np.uint8] | None]:
    data = folder / ragged_names(MASKS)[0]
    if not data.exists():
        return [None] * len(rects)
    pool = Ragged.open(folder, MASKS, load)
    numbers = open_fixed(folder / MASK_NUMBERS, np.int32, (), load=True)
    if len(numbers) != len(rects) or numbers.min() < -1 or numbers.max() >= len(pool):
        raise _misfit(folder / MASK_NUMBERS, RECTS)
    masks: list[NDArray[np.uint8] | None] = []
    for i, number in enumerate(numbers):
        _, _, w, h = rects[i]
        if number >= 0 and pool[number].size != w * h:
            raise TemplateError(f"{data} does not fit rect {i}; prepare the template again")
        masks.append(pool[number].reshape(h, w) if number >= 0 else None)
    return masks
