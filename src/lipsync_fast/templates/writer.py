"""Writing a template's folder, frame by frame.

The folder has a temporary name until it is complete, so that nobody sees it half-written; its
head, which lists the byte size of every file, is written last.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..checks import check_type
from ..errors import InputError, TemplateError
from ..files.part import PartFolder
from ..formats import VideoFormat
from ..presets import PRESETS, Preset, get_preset
from ..timing import Loop
from .arrays import FixedWriter, RaggedWriter, save_array
from .crops import cut_crop
from .jpeg_backgrounds import BackgroundEncoder
from .layout import (
    BACKGROUNDS,
    BOXES,
    CROPS,
    FORMAT,
    HEAD,
    JPEG,
    MASK_NUMBERS,
    MASKS,
    RECTS,
    REGIONS,
    SEGMENTS,
    VERSION,
    WHOLE_RECTS,
    background_shape,
    check_target,
)
from .masks import mask_for
from .options import TemplateOptions
from .rects import visible_parts

__all__ = ["TemplateWriter"]

Rect = tuple[int, int, int, int]


class TemplateWriter:
    """Write a template frame by frame; memory does not grow with its length.

    Use it as a context manager: leaving it normally completes the folder under its final
    name, an exception removes the unfinished folder. An older template of that name stays
    until the new one is complete. One thread at a time.

    Parameters
    ----------
    path : str or Path
        Folder to make.
    video : VideoFormat
        Size, rate and colour of all backgrounds.
    preset : str or Preset
    options : TemplateOptions, optional

    Attributes
    ----------
    preset : Preset
        With the options' feather.

    Raises
    ------
    InputError
        An argument does not fit, or the folder contains files of other kinds.
    TemplateError
        The folder cannot be made or replaced.
    """

    def __init__(
        self,
        path: str | Path,
        video: VideoFormat,
        *,
        preset: str | Preset,
        options: TemplateOptions | None = None,
    ) -> None:
        check_type("video", video, VideoFormat)
        options = TemplateOptions() if options is None else options
        check_type("options", options, TemplateOptions)
        self.path, self.video = Path(path), video
        self.preset = get_preset(preset).with_feather(options.feather)
        self._place = check_target(self.path)
        self._encoder = None
        if "jpeg" in options.store:
            self._encoder = BackgroundEncoder(
                options.jpeg, video.width, video.height, options.label
            )
        self._rects: list[Rect] = []
        self._whole: list[Rect] = []
        self._boxes: list[Rect] = []
        self._masks: list[int] = []
        self._mask_numbers: dict[tuple[tuple[int, ...], bytes], int] = {}
        self._head = self._make_head(options)
        self._closed = False
        self._folder = self._make_folder()
        self._part = self._folder.path
        try:
            self._writers = self._open_writers(options.store)
        except BaseException:
            self._folder.discard()
            raise

    def _make_head(self, options: TemplateOptions) -> dict[str, Any]:
        video, preset = self.video, self.preset
        loop = Loop.of(options.loop).over(preset.default_loop)
        head: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "width": video.width,
            "height": video.height,
            "fps": str(video.fps),
            "matrix": video.matrix,
            "full_range": video.full_range,
            "tagged": video.tagged,
            "preset": preset.name,
            "loop": loop.kind,
            "start": loop.start,
            "store": list(options.store),
            "label": options.label,
        }
        if PRESETS.get(preset.name) != preset:
            head["preset_row"] = preset.to_mapping()
        if self._encoder is not None:
            head["jpeg"] = {**asdict(self._encoder.settings), "label": options.label}
        return head

    def _make_folder(self) -> PartFolder:
        try:
            return PartFolder(self._place)
        except OSError as error:
            raise TemplateError(f"{self.path} cannot be written: {error.strerror}") from None

    def _open_writers(self, store: tuple[str, ...]) -> dict[str, FixedWriter | RaggedWriter]:
        part, video, side = self._part, self.video, self.preset.crop
        writers: dict[str, FixedWriter | RaggedWriter] = {
            CROPS: FixedWriter(part / CROPS, (side, side, 3), np.uint8)
        }
        for format, name in BACKGROUNDS.items():
            if format in store:
                shape = background_shape(format, video)
                writers[name] = FixedWriter(part / name, shape, np.uint8)
        if self._encoder is not None:
            writers[JPEG] = RaggedWriter(part, JPEG)
            writers[REGIONS] = RaggedWriter(part, REGIONS)
        return writers

    def add(
        self,
        rect: Rect,
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
            In pixels; all 0 if there is no face. Up to a third of it may lie outside the frame:
            the crop then repeats the frame's outermost pixels, so that the face keeps its
            proportions, and only the part inside the frame is shown.
        bgr24 : (H, W, 3) uint8, or i420 : flat planes, uint8
            The background; if only one is given, the other is made from it.
        crop : (C, C, 3) uint8, optional
            The stored square; by default cut from the frame.
        mask : (h, w) uint8, optional
            The frame's own alpha over the part of the rect inside the frame; if the preset's
            edge has one as well, the smaller counts.

        Raises
        ------
        InputError
            There is no background, or one of another size; more than a third of the rect lies
            outside the frame; or the writer is closed.
        TemplateError
            The disk refuses.
        """
        video = self.video
        if self._closed:
            raise InputError(f"{self.path} is closed; open another TemplateWriter to add frames")
        if bgr24 is None:
            if i420 is None:
                raise InputError("add needs a background, bgr24= or i420=, got neither")
            bgr24 = kernels.from_i420(
                i420,
                width=video.width,
                height=video.height,
                matrix=video.matrix,
                full_range=video.full_range,
            )
        if bgr24.shape != (video.height, video.width, 3):
            raise InputError(
                f"frame {len(self._rects)} must have the shape ({video.height}, {video.width}, 3) "
                f"of the others, got {bgr24.shape}"
            )
        part = self._part_inside(rect)
        try:
            self._write(bgr24, i420, rect, part, crop)
            self._masks.append(self._mask_number(mask_for(self.preset, part, mask, rect)))
        except OSError as error:
            raise TemplateError(f"{self.path} cannot be written: {error.strerror}") from None
        self._rects.append(part)
        self._whole.append(rect)

    def _part_inside(self, rect: Rect) -> Rect:
        width, height = self.video.size
        x, y, w, h = visible_parts([rect], width, height)[0].tolist()
        if not w and any(rect):
            raise InputError(
                f"rect {len(self._rects)} must lie inside the {width}×{height} frame, by two "
                f"thirds at least, got x, y, w, h = {', '.join(map(str, rect))}; clip it first, or "
                "give 0, 0, 0, 0 where there is no face"
            )
        return x, y, w, h

    def _write(
        self,
        bgr24: NDArray[np.uint8],
        i420: NDArray[np.uint8] | None,
        rect: Rect,
        part: Rect,
        crop: NDArray[np.uint8] | None,
    ) -> None:
        video, writers = self.video, self._writers
        writers[CROPS].append(cut_crop(bgr24, rect, self.preset) if crop is None else crop)
        if BACKGROUNDS["bgr24"] in writers:
            writers[BACKGROUNDS["bgr24"]].append(bgr24)
        if BACKGROUNDS["i420"] in writers:
            if i420 is None:
                i420 = kernels.to_i420(bgr24, matrix=video.matrix, full_range=video.full_range)
            writers[BACKGROUNDS["i420"]].append(i420)
        if self._encoder is not None:
            made = self._encoder.encode(bgr24, part)
            if SEGMENTS not in writers:
                path = self._part / SEGMENTS
                writers[SEGMENTS] = FixedWriter(path, made.segments.shape, np.uint32)
            writers[JPEG].append(made.file)
            writers[SEGMENTS].append(made.segments)
            writers[REGIONS].append(made.region)
            self._boxes.append(made.box)

    def _mask_number(self, mask: NDArray[np.uint8] | None) -> int:
        """Return the number of a mask among the stored ones; equal masks share it; -1 for none."""
        if mask is None:
            return -1
        if MASKS not in self._writers:
            self._writers[MASKS] = RaggedWriter(self._part, MASKS)
        key = (mask.shape, mask.tobytes())
        if key not in self._mask_numbers:
            self._mask_numbers[key] = len(self._mask_numbers)
            self._writers[MASKS].append(mask)
        return self._mask_numbers[key]

    def close(self) -> None:
        """Complete the folder and rename it; a closed writer does nothing.

        An older template of that name is replaced.

        Raises
        ------
        InputError
            No frame was added, or the older template now contains other files.
        TemplateError
            The disk refuses.
        """
        if self._closed:
            return
        if not self._rects:
            self.abort()
            raise InputError("a template must have at least one frame, got none")
        try:
            for writer in self._writers.values():
                writer.close()
            rects, whole = (np.array(each, np.int32) for each in (self._rects, self._whole))
            save_array(self._part / RECTS, rects)
            if not np.array_equal(whole, rects):
                save_array(self._part / WHOLE_RECTS, whole)
            if self._boxes:
                save_array(self._part / BOXES, np.array(self._boxes, np.int32))
            if MASKS in self._writers:
                save_array(self._part / MASK_NUMBERS, np.array(self._masks, np.int32))
            files = {p.name: p.stat().st_size for p in sorted(self._part.iterdir())}
            head = {**self._head, "count": len(self._rects), "files": files}
            (self._part / HEAD).write_text(json.dumps(head, indent=1) + "\n", "utf-8")
            check_target(self.path)  # again: something may have been put there meanwhile
            self._folder.finish()
            self._closed = True
        except OSError as error:
            self.abort()
            raise TemplateError(f"{self.path} cannot be written: {error.strerror}") from None
        except BaseException:  # an interrupt, too
            self.abort()
            raise

    def abort(self) -> None:
        """Remove the unfinished folder and parents made for it; a closed writer does nothing."""
        if self._closed:
            return
        self._closed = True
        for writer in self._writers.values():
            with suppress(OSError):  # a full disk: the folder goes anyway
                writer.close()
        self._folder.discard()

    def __enter__(self) -> TemplateWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
