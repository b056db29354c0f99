"""A template as a folder of plain files: how it is written, checked and read.

Fixed-size parts are .npy files, ragged ones .bin files with offsets, and template.json,
written last, lists the byte size of each. A folder is built under another name and
renamed when it is complete, so that it is never seen half-written.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..checks import check_type
from ..errors import FileMissingError, InputError, LipsyncError, TemplateError
from ..files.untrusted import parse_json, read_npy
from ..kernels import _jpeg, i420_size
from ..presets import PRESETS, Preset, get_preset
from ..timing import check_loop, check_start, parse_fps
from .arrays import FixedWriter, Ragged, RaggedWriter, open_fixed, save_array
from .crops import clip_rects, cut_crop
from .jpeg_backgrounds import JpegBackgrounds, JpegMaker, JpegSettings
from .layout import FORMAT, HEAD, check_target
from .masks import rect_masks

__all__ = ["STORES", "TemplateWriter", "open_private", "private_files", "read_folder"]

VERSION = 1
STORES = ("jpeg", "i420", "bgr24")


# ---- reading -----------------------------------------------------------------------------


def read_folder(folder: Path, load: bool) -> dict[str, Any]:
    """All that `Template` is made of, mapped or loaded; see `Template.open`."""
    head = _read_head(folder)
    try:
        return _read_parts(folder, head, load)
    except TemplateError:
        raise
    except LipsyncError as error:
        raise TemplateError(f"{folder}: {error}") from None
    except PermissionError as error:
        raise TemplateError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise TemplateError(
            f"{folder}: template.json or a file it names is damaged ({error!r}); "
            "prepare the template again"
        ) from None


def _read_parts(folder: Path, head: dict[str, Any], load: bool) -> dict[str, Any]:
    preset = _stored_preset(head)
    width, height, count = int(head["width"]), int(head["height"]), int(head["count"])
    rects = open_fixed(folder / "rects.npy", np.int32, (4,), load=True)
    crops = open_fixed(folder / "crops.npy", np.uint8, (preset.crop, preset.crop, 3), load=load)
    store = head["store"]
    bgr24 = i420 = jpeg = None
    if "bgr24" in store:
        bgr24 = open_fixed(folder / "bgr24.npy", np.uint8, (height, width, 3), load=load)
    if "i420" in store:
        i420 = open_fixed(folder / "i420.npy", np.uint8, (i420_size(width, height),), load=load)
    if "jpeg" in store:
        jpeg = _open_jpeg(folder, JpegSettings(**head["jpeg"]), load)
        _check_regions(folder, jpeg, rects, width, height)
    lengths = {len(p) for p in (bgr24, i420, jpeg.files if jpeg else None) if p is not None}
    if count < 1 or lengths != {count} or {len(rects), len(crops)} != {count}:
        raise TemplateError(
            f"{folder}: its files do not hold {count} frames each; prepare the template again"
        )
    if not np.array_equal(clip_rects(rects, count, width, height), rects):
        raise TemplateError(f"{folder}/rects.npy holds rects outside the frame; prepare it again")
    return {
        "rects": rects,
        "crops": crops,
        "width": width,
        "height": height,
        "fps": parse_fps(head["fps"]),
        "preset": preset,
        "matrix": _one_of(head["matrix"], ("bt601", "bt709")),
        "full_range": bool(head["full_range"]),
        "tagged": bool(head["tagged"]),
        "loop": check_loop(head["loop"]),
        "start": _one_of(head["start"], range(2**31)),
        "label": bool(head["label"]),
        "bgr24": bgr24,
        "i420": i420,
        "jpeg": jpeg,
        "masks": _open_masks(folder, rects, load),
        "folder": None if load else folder,
    }


def _stored_preset(head: dict[str, Any]) -> Preset:
    """The preset by its name; a user's own by the row that is stored beside the name."""
    if "preset_row" in head:
        return Preset.from_mapping(head["preset_row"])
    try:
        return PRESETS[head["preset"]]
    except KeyError:
        raise TemplateError(
            f"its preset {head['preset']!r} is none of {', '.join(PRESETS)}; use the "
            "lipsync_fast that made it, or prepare it again"
        ) from None


def _one_of(value: Any, allowed: Sequence[Any]) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r} is not among what is possible")
    return value


FileId = tuple[int, int]  # device and inode: the same file, whatever lies under its name later


def private_files(folder: Path) -> dict[str, FileId | None]:
    """The stored backgrounds that may be painted on, to be told again in `open_private`."""
    return {format: _file_id(folder / f"{format}.npy") for format in ("bgr24", "i420")}


def open_private(
    folder: Path, format: str, width: int, height: int, opened: FileId | None
) -> NDArray[np.uint8] | None:
    """Stored backgrounds, bgr24 or i420, mapped copy-on-write: they may be painted on.

    None where the file is no longer `opened`.
    """
    shape = (height, width, 3) if format == "bgr24" else (i420_size(width, height),)
    path = folder / f"{format}.npy"
    if opened is None or _file_id(path) != opened:
        return None
    frames = open_fixed(path, np.uint8, shape, load=False, private=True)
    return frames if _file_id(path) == opened else None


def _file_id(path: Path) -> FileId | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _read_head(folder: Path) -> dict[str, Any]:
    """template.json, checked against the sizes of the files it names."""
    path = folder / HEAD
    if folder.exists() and not folder.is_dir():
        raise TemplateError(f"{folder} is a file; name a template, a folder that prepare made")
    if not folder.exists():
        raise FileMissingError(
            f"{folder}: no such template folder; make one with lipsync-fast prepare"
        )
    try:
        head = parse_json(path.read_text("utf-8"))
    except FileNotFoundError:
        raise TemplateError(f"{folder} has no template.json; it is no prepared template") from None
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TemplateError(
            f"{path} cannot be read ({error}); prepare the template again"
        ) from None
    if not isinstance(head, dict) or head.get("version") != VERSION:
        version = head.get("version") if isinstance(head, dict) else None
        raise TemplateError(
            f"{path} must be of version {VERSION}, got {version}; prepare the template again"
        )
    files = head.get("files")
    if not isinstance(files, dict):
        raise TemplateError(f"{path} does not list its files; prepare the template again")
    for name, size in files.items():
        if "/" in name or "\\" in name or name in (".", ".."):
            raise TemplateError(f"{path} names a file outside its folder: {name!r}")
        try:
            got = (folder / name).stat().st_size
        except (OSError, ValueError):  # a name with a null byte is the latter
            raise TemplateError(f"{folder / name} is missing; prepare the template again") from None
        if got != size:
            raise TemplateError(
                f"{folder / name} must have {size} bytes, got {got}; prepare the template again"
            )
    return head


def _open_jpeg(folder: Path, settings: JpegSettings, load: bool) -> JpegBackgrounds:
    segments = read_npy(folder / "jpeg_segments.npy", None if load else "r")
    boxes = open_fixed(folder / "regions.npy", np.int32, (4,), load=True)
    files = Ragged.open(folder, "jpeg", load)
    regions = Ragged.open(folder, "regions", load)
    if segments.ndim != 2 or segments.dtype != np.uint32 or len(segments) != len(files):
        raise TemplateError(f"{folder}/jpeg_segments.npy does not fit jpeg.bin; prepare it again")
    area = boxes[:, 2].astype(np.int64) * boxes[:, 3] * 3
    if len(boxes) != len(files) or not np.array_equal(np.diff(regions.offsets), area):
        raise TemplateError(f"{folder}/regions.bin does not fit its boxes; prepare it again")
    return JpegBackgrounds(settings, files, segments, boxes, regions)


def _check_regions(
    folder: Path, jpeg: JpegBackgrounds, rects: NDArray[np.int32], width: int, height: int
) -> None:
    """Refuse regions that are not whole segments round their rects."""
    s = jpeg.settings
    if len(jpeg.boxes) != len(rects):
        raise TemplateError(f"{folder}/regions.npy does not fit its rects; prepare it again")
    for (x, y, w, h), box in zip(rects.tolist(), jpeg.boxes.tolist(), strict=True):
        region = _jpeg.jpeg_region(x, y, w, h, width, height, s.subsampling, s.restart_interval)
        if tuple(box) != region:
            raise TemplateError(f"{folder}/regions.npy does not fit its rects; prepare it again")


def _open_masks(
    folder: Path, rects: NDArray[np.int32], load: bool
) -> list[NDArray[np.uint8] | None]:
    if not (folder / "masks.bin").exists():
        return [None] * len(rects)
    pool = Ragged.open(folder, "masks", load)
    which = open_fixed(folder / "masks.npy", np.int32, (), load=True)
    if len(which) != len(rects) or which.min() < -1 or which.max() >= len(pool):
        raise TemplateError(f"{folder}/masks.npy does not fit its frames; prepare it again")
    masks: list[NDArray[np.uint8] | None] = []
    for i, m in enumerate(which):
        _, _, w, h = rects[i]
        if m >= 0 and pool[m].size != w * h:
            raise TemplateError(f"{folder}/masks.bin does not fit rect {i}; prepare it again")
        masks.append(pool[m].reshape(h, w) if m >= 0 else None)
    return masks


# ---- writing -----------------------------------------------------------------------------


class TemplateWriter:
    """Write a template frame by frame; memory does not grow with its length.

    Use it as a context manager: leaving it normally completes the folder under its final
    name, an exception removes what was written. An older template of that name stays
    until the new one is complete.

    Parameters
    ----------
    path : str or Path
        Folder to make.
    width, height : int
        Size of all backgrounds, in pixels.
    preset : str or Preset
    fps : number or fraction such as "30000/1001"
    matrix : {"bt601", "bt709"}
    full_range, tagged : bool
        Colour of the source, and whether it said so itself.
    store : sequence of {"jpeg", "i420", "bgr24"}
        Formats in which backgrounds are kept.
    jpeg : JpegSettings, optional
    loop, start : optional
        Override the preset's.
    label : bool
        Whether what is generated from it carries the mark of generated media; see `labels`.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        *,
        preset: str | Preset,
        fps: Fraction | int | float | str = 25,
        matrix: str = "bt601",
        full_range: bool = False,
        tagged: bool = False,
        store: tuple[str, ...] = ("jpeg", "i420"),
        jpeg: JpegSettings | None = None,
        loop: str | None = None,
        start: int | None = None,
        label: bool = True,
    ) -> None:
        self.path, self.width, self.height = Path(path), width, height
        self.preset = get_preset(preset)
        check_type("store", store, tuple, list)
        unknown = [name for name in store if name not in STORES]
        if unknown or not store:
            raise InputError(
                f"store must name some of {', '.join(STORES)}, got {', '.join(map(str, store))!r}"
            )
        self._place = check_target(self.path)
        self._matrix, self._full_range = matrix, full_range
        settings = replace(jpeg or JpegSettings(), label=label)
        self._maker = JpegMaker(settings, width, height) if "jpeg" in store else None
        self._rects: list[tuple[int, int, int, int]] = []
        self._boxes: list[tuple[int, int, int, int]] = []
        self._masks: list[int] = []
        self._mask_numbers: dict[tuple[tuple[int, ...], bytes], int] = {}
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "width": width,
            "height": height,
            "fps": str(parse_fps(fps)),
            "matrix": matrix,
            "full_range": full_range,
            "tagged": tagged,
            "preset": self.preset.name,
            "loop": check_loop(self.preset.loop if loop is None else loop),
            "start": self.preset.start if start is None else check_start(start),
            "store": list(store),
            "label": label,
        }
        if PRESETS.get(self.preset.name) != self.preset:
            self._head["preset_row"] = self.preset.to_mapping()
        if self._maker is not None:
            self._head["jpeg"] = asdict(self._maker.settings)
        # No process number: in a container the one after a killed one often has the same.
        self._own = f"{self._place.name}.{secrets.token_hex(4)}"
        self._part = self._place.with_name(f"{self._own}.part")
        self._parents = [p for p in self._place.parents if not p.exists()]  # innermost first
        self._writers: dict[str, FixedWriter | RaggedWriter] = self._open_writers(store)

    def _open_writers(self, store: tuple[str, ...]) -> dict[str, FixedWriter | RaggedWriter]:
        try:
            self._part.mkdir(parents=True)
        except OSError as error:
            self._remove_parents()
            raise TemplateError(f"{self.path} cannot be written: {error.strerror}") from None
        side = self.preset.crop
        writers: dict[str, FixedWriter | RaggedWriter] = {
            "crops": FixedWriter(self._part / "crops.npy", (side, side, 3), np.uint8)
        }
        if "bgr24" in store:
            shape = (self.height, self.width, 3)
            writers["bgr24"] = FixedWriter(self._part / "bgr24.npy", shape, np.uint8)
        if "i420" in store:
            size = i420_size(self.width, self.height)
            writers["i420"] = FixedWriter(self._part / "i420.npy", (size,), np.uint8)
        if "jpeg" in store:
            writers["jpeg"] = RaggedWriter(self._part, "jpeg")
            writers["regions"] = RaggedWriter(self._part, "regions")
        return writers

    def add(
        self,
        rect: tuple[int, int, int, int],
        *,
        bgr24: NDArray[np.uint8] | None = None,
        i420: NDArray[np.uint8] | None = None,
        crop: NDArray[np.uint8] | None = None,
        mask: NDArray[np.uint8] | None = None,
    ) -> None:
        """Append one background.

        Parameters
        ----------
        rect : (x, y, w, h)
            In pixels, clipped to the frame; all 0 where there is no face.
        bgr24 : (H, W, 3) uint8, or i420 : flat planes, uint8
            The background; one is made from the other where only one is given.
        crop : (C, C, 3) uint8, optional
            The stored square, where it is at hand.
        mask : (h, w) uint8, optional
            Alpha over the rect; the preset's edge rule otherwise.
        """
        if bgr24 is None:
            if i420 is None:
                raise InputError("add needs a background, bgr24= or i420=, got neither")
            bgr24 = kernels.from_i420(
                i420,
                width=self.width,
                height=self.height,
                matrix=self._matrix,
                full_range=self._full_range,
            )
        if bgr24.shape != (self.height, self.width, 3):
            raise InputError(
                f"frame {len(self._rects)} must be {self.width}×{self.height} like the others, "
                f"got {bgr24.shape[1]}×{bgr24.shape[0]}"
            )
        clipped = clip_rects([rect], 1, self.width, self.height)
        x, y, w, h = (int(v) for v in clipped[0])
        if mask is None:
            mask = rect_masks(self.preset, clipped)[0]
        try:
            self._write(bgr24, i420, (x, y, w, h), crop, mask)
        except OSError as error:
            raise TemplateError(f"{self.path} cannot be written: {error.strerror}") from None

    def _write(
        self,
        bgr24: NDArray[np.uint8],
        i420: NDArray[np.uint8] | None,
        rect: tuple[int, int, int, int],
        crop: NDArray[np.uint8] | None,
        mask: NDArray[np.uint8] | None,
    ) -> None:
        writers = self._writers
        writers["crops"].append(cut_crop(bgr24, rect, self.preset) if crop is None else crop)
        if "bgr24" in writers:
            writers["bgr24"].append(bgr24)
        if "i420" in writers:
            writers["i420"].append(
                kernels.to_i420(bgr24, matrix=self._matrix, full_range=self._full_range)
                if i420 is None
                else i420
            )
        if self._maker is not None:
            file, offsets, box, region = self._maker.encode(bgr24, rect)
            if "jpeg_segments" not in writers:
                path = self._part / "jpeg_segments.npy"
                writers["jpeg_segments"] = FixedWriter(path, offsets.shape, np.uint32)
            writers["jpeg"].append(file)
            writers["jpeg_segments"].append(offsets)
            writers["regions"].append(region)
            self._boxes.append(box)
        self._masks.append(self._mask_number(mask))
        self._rects.append(rect)

    def _mask_number(self, mask: NDArray[np.uint8] | None) -> int:
        """Number of a mask in masks.bin, where equal ones are stored once; -1 for none."""
        if mask is None:
            return -1
        if "masks" not in self._writers:
            self._writers["masks"] = RaggedWriter(self._part, "masks")
        key = (mask.shape, mask.tobytes())
        if key not in self._mask_numbers:
            self._mask_numbers[key] = len(self._mask_numbers)
            self._writers["masks"].append(mask)
        return self._mask_numbers[key]

    def finish(self) -> None:
        """Complete the folder and give it its name; an older template there is replaced."""
        if not self._rects:
            self.abort()
            raise InputError("a template needs at least one frame, got none")
        try:
            for writer in self._writers.values():
                writer.close()
            save_array(self._part / "rects.npy", np.array(self._rects, np.int32))
            if self._boxes:
                save_array(self._part / "regions.npy", np.array(self._boxes, np.int32))
            if "masks" in self._writers:
                save_array(self._part / "masks.npy", np.array(self._masks, np.int32))
            files = {p.name: p.stat().st_size for p in sorted(self._part.iterdir())}
            head = {**self._head, "count": len(self._rects), "files": files}
            (self._part / HEAD).write_text(json.dumps(head, indent=1) + "\n", "utf-8")
            check_target(self.path)  # again: what has been put there meanwhile
            self._rename()
        except LipsyncError:
            self.abort()
            raise
        except OSError as error:
            self.abort()
            raise TemplateError(f"{self.path} cannot be written: {error.strerror}") from None

    def _rename(self) -> None:
        """Put the folder in the place of an older one, which comes back if that fails."""
        old = self._place.with_name(f"{self._own}.old")
        if self._place.exists():
            self._place.rename(old)
        try:
            self._part.rename(self._place)
        except OSError:
            if old.exists():
                old.rename(self._place)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def abort(self) -> None:
        """Remove what was written, and the folders that were made to hold it."""
        for writer in self._writers.values():
            with suppress(OSError):  # a full disk: the folder goes anyway
                writer.close()
        shutil.rmtree(self._part, ignore_errors=True)
        self._remove_parents()

    def _remove_parents(self) -> None:
        with suppress(OSError):  # missing already, or used by others
            for folder in self._parents:
                folder.rmdir()

    def __enter__(self) -> TemplateWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()
