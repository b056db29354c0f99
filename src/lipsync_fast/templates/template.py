"""Template: a prepared person, in memory or as a folder of plain files."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import kernels
from ..checks import check_type
from ..errors import InputError, LayoutError, TemplateError
from ..kernels import _jpeg
from ..presets import Preset, get_preset
from ..timing import check_loop, check_start, loop_indices, parse_fps
from .arrays import Ragged
from .crops import clip_rects, cut_crop
from .jpeg_backgrounds import JpegBackgrounds, JpegMaker, JpegSettings, relabel
from .masks import rect_masks
from .reader import open_private, private_files, read_folder

__all__ = ["Template"]

_log = logging.getLogger("lipsync_fast")


class Template:
    """A prepared person: backgrounds, rects, crops and masks, read-only.

    Threads may share a template. Arrays it hands out are views that keep the files mapped
    after `close`. A folder that is truncated while it is open kills the process on the next
    read (as with any memory map); ``open(load=True)`` reads everything first.

    Attributes
    ----------
    count, width, height : int
        Number of backgrounds; their size in pixels.
    fps : Fraction
        Frames a second.
    preset : Preset
    matrix : {"bt601", "bt709"}
    full_range : bool
    tagged : bool
        Whether the source said so itself; outputs are tagged only then.
    loop, start : str, int
        See `loop_indices`.
    label : bool
        Whether what is generated from it carries the mark of generated media; see `labels`.
    rects : (n, 4) int32
        x, y, w, h inside the frame; w = h = 0 where there is no face.
    crops : (n, C, C, 3) uint8, bgr24
    """

    def __init__(
        self,
        *,
        rects: NDArray[np.int32],
        crops: NDArray[np.uint8],
        width: int,
        height: int,
        fps: Fraction,
        preset: Preset,
        matrix: str,
        full_range: bool,
        tagged: bool,
        loop: str,
        start: int,
        label: bool,
        bgr24: Sequence[NDArray[np.uint8]] | NDArray[np.uint8] | None,
        i420: Sequence[NDArray[np.uint8]] | NDArray[np.uint8] | None,
        jpeg: JpegBackgrounds | None,
        masks: Sequence[NDArray[np.uint8] | None],
        folder: Path | None = None,
    ) -> None:
        self.rects, self.crops = rects, crops
        self.count, self.width, self.height = len(rects), width, height
        self.fps, self.preset = fps, preset
        self.matrix, self.full_range, self.tagged = matrix, full_range, tagged
        self.loop, self.start = loop, start
        self.label = label
        self._bgr24, self._i420, self._jpeg = bgr24, i420, jpeg
        self._masks = masks
        self._folder = folder
        self._opened = {} if folder is None else private_files(folder)

    # ---- making ------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        rects: ArrayLike,
        *,
        preset: str | Preset,
        fps: Fraction | int | str = 25,
        loop: str | None = None,
        start: int | None = None,
        crops: NDArray[np.uint8] | None = None,
        masks: Sequence[NDArray[np.uint8] | None] | None = None,
        border: int | None = None,
        feather: str | None = None,
        label: bool = True,
    ) -> Template:
        """Template in memory over the caller's frames, which are kept, not copied.

        Parameters
        ----------
        frames : (n, H, W, 3) uint8 or sequence of (H, W, 3) uint8, bgr24
            Backgrounds; they must not be changed afterwards.
        rects : (n, 4) or (4,) integers
            Where the generated picture goes; clipped to the frame.
        preset : str or Preset
        fps : number or fraction such as "30000/1001"
        loop, start : optional
            Override the preset's; see `loop_indices`.
        crops : (n, C, C, 3) uint8, optional
            Stored squares, where they are at hand; else resized from the rects.
        masks : sequence of (h, w) uint8 or None, optional
            Alpha over each rect, used as they are; the preset's edge rule otherwise.
        border : int, optional
            0 for the first generation's paste; see `Preset.with_border`.
        feather : {"auto", "rounded", "ellipse"}, optional
            How the patch fades into the background; see `Preset.with_feather`.
        label : bool
            False leaves out the mark of generated media.

        Raises
        ------
        InputError, LayoutError
            If frames, rects, crops or masks do not fit each other.
        """
        row = get_preset(preset).with_border(border).with_feather(feather)
        if masks is not None and feather is not None:
            raise InputError(f"masks are used as they are: leave out feather={feather!r}")
        height, width = _check_frames(frames)
        clipped = clip_rects(rects, len(frames), width, height)
        if crops is None:
            crops = _cut_crops(frames, clipped, row)
        _check_crops(crops, len(frames), row)
        return cls(
            rects=clipped,
            crops=crops,
            width=width,
            height=height,
            fps=parse_fps(fps),
            preset=row,
            matrix="bt601",
            full_range=False,
            tagged=False,
            loop=row.loop if loop is None else check_loop(loop),
            start=row.start if start is None else check_start(start),
            label=label,
            bgr24=frames,
            i420=None,
            jpeg=None,
            masks=_check_masks(masks, clipped) if masks is not None else rect_masks(row, clipped),
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        load: bool = False,
        border: int | None = None,
        label: bool | None = None,
    ) -> Template:
        """Open a prepared folder.

        Parameters
        ----------
        path : str or Path
            Folder that `prepare` wrote.
        load : bool
            Read all files into memory instead of mapping them.
        border : int, optional
            0 for the first generation's paste; see `Preset.with_border`.
        label : bool, optional
            Whether generated media is marked as such; as it was prepared by default. JPEG
            backgrounds that were prepared otherwise are rewritten in memory.

        Raises
        ------
        FileMissingError
            If there is no such folder.
        TemplateError
            If it is not a template, is of another version, or a file is missing or has
            another size than when it was written.
        LayoutError
            If `path` is no path.
        """
        check_type("path of a template", path, str, Path)
        parts = read_folder(Path(path), load)
        parts["preset"] = parts["preset"].with_border(border)
        if label is not None:
            parts["label"] = label
        return cls(**parts)

    def close(self) -> None:
        """Let go of the files; views that are still in use keep theirs mapped."""
        self._bgr24 = self._i420 = self._jpeg = None
        self.crops = self.crops[:0]
        self._masks = ()

    def __enter__(self) -> Template:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return (
            f"<Template {self.count} × {self.width}×{self.height} at {self.fps} fps, "
            f"{self.preset.name}, {self.loop}, stores {', '.join(self.stored)}>"
        )

    # ---- reading -----------------------------------------------------------------------

    @property
    def folder(self) -> Path | None:
        """Where its files are mapped from; None where it is in memory."""
        return self._folder

    @property
    def stored(self) -> tuple[str, ...]:
        """Formats in which the backgrounds are at hand: of "jpeg", "i420", "bgr24"."""
        parts = {"jpeg": self._jpeg, "i420": self._i420, "bgr24": self._bgr24}
        return tuple(name for name, part in parts.items() if part is not None)

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Template indices of `count` output frames from `start` on: (count,) int64, fresh."""
        return loop_indices(start, count, self.count, self.loop, self.start)

    def looped(self, loop: str | None = None, start: int | None = None) -> Template:
        """The same person shown in another order: itself, or a template that shares all with it.

        Parameters
        ----------
        loop : str, optional
            See `loop_indices`; as it is by default.
        start : int, optional
            Place in the loop that output frame 0 shows, with "still" the frame that is held; as it
            is by default.

        Raises
        ------
        InputError
            An unknown loop, a start below 0, or a frame to hold that the template does not have.
        """
        if loop is None and start is None:
            return self
        other = copy.copy(self)
        other.loop = self.loop if loop is None else check_loop(loop)
        other.start = self.start if start is None else check_start(start)
        if other.loop == "still" and start is not None and start >= self.count:
            raise InputError(f"start must be a frame, 0 to {self.count - 1}, to hold, got {start}")
        return other

    def has_face(self, index: int) -> bool:
        """False where the rect is empty and the background passes through."""
        return bool(self.rects[index, 2])

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        """Alpha over the rect, (h, w) uint8 view, or None where the patch overwrites."""
        return self._masks[index]

    def bgr24(self, index: int) -> NDArray[np.uint8]:
        """Background as (H, W, 3) uint8 bgr24: a view where it is stored so, else fresh."""
        if self._bgr24 is not None:
            return self._bgr24[index]
        if self._i420 is not None:
            return kernels.from_i420(
                self._i420[index],
                width=self.width,
                height=self.height,
                matrix=self.matrix,
                full_range=self.full_range,
            )
        if self._jpeg is not None:
            return _jpeg.decode(self._jpeg.files[index])
        raise TemplateError("the template is closed; open it again")

    def i420(self, index: int) -> NDArray[np.uint8]:
        """Background as flat I420 planes, uint8: a view where it is stored so, else fresh."""
        if self._i420 is not None:
            return self._i420[index]
        return kernels.to_i420(self.bgr24(index), matrix=self.matrix, full_range=self.full_range)

    def private(self, format: str) -> NDArray[np.uint8] | None:
        """Backgrounds that may be painted on: a copy-on-write mapping of its own.

        Parameters
        ----------
        format : {"bgr24", "i420"}

        Returns
        -------
        (n, H, W, 3) or (n, bytes) uint8, or None
            None where the template is in memory or does not store that format, or where the
            folder has been removed or prepared anew since: those would be other pictures.
        """
        if self._folder is None or format not in self.stored:
            return None
        return open_private(self._folder, format, self.width, self.height, self._opened[format])

    def jpeg(self, settings: JpegSettings | None = None) -> JpegBackgrounds:
        """Encoded backgrounds; made in memory where the template does not store them so.

        Parameters
        ----------
        settings : JpegSettings, optional
            Those of the stored ones by default, with the template's own `label`.
        """
        stored = self._jpeg
        if settings is None:
            settings = replace(stored.settings if stored else JpegSettings(), label=self.label)
        wanted = settings.resolve(self.width)
        if stored is not None and wanted == replace(stored.settings, label=wanted.label):
            self._jpeg = relabel(stored, wanted.label)
            return self._jpeg
        _log.info("encoding %d backgrounds as JPEG, quality %d", self.count, wanted.quality)
        maker = JpegMaker(wanted, self.width, self.height)
        files, segments, boxes, regions = [], [], [], []
        for i in range(self.count):
            file, offsets, box, region = maker.encode(self.bgr24(i), self.rects[i])
            files.append(file.copy())
            segments.append(offsets)
            boxes.append(box)
            regions.append(region)
        made = JpegBackgrounds(
            maker.settings,
            Ragged.from_items(files),
            np.stack(segments),
            np.array(boxes, np.int32),
            Ragged.from_items(regions),
        )
        if stored is None:
            self._jpeg = made
        return made


# ---- checks ------------------------------------------------------------------------------


def _check_frames(frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> tuple[int, int]:
    if not hasattr(frames, "__len__"):
        raise LayoutError(f"frames must be a sequence of arrays, got {type(frames).__name__}")
    if len(frames) == 0:
        raise InputError("frames must hold at least one picture, got none")
    shape = np.shape(frames[0])
    for i, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            got = getattr(frame, "dtype", type(frame).__name__)
            raise LayoutError(f"frame {i} must be an array of uint8, got {got}; convert it first")
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape or 0 in shape:
            raise InputError(
                f"frame {i} must have shape (H, W, 3) as all others, {shape}, got {frame.shape}"
            )
        if frame.strides[1:] != (3, 1):
            raise LayoutError(
                f"frame {i} must have packed pixels in each row, got strides {frame.strides}; "
                "pass np.ascontiguousarray(frame)"
            )
    return shape[0], shape[1]


def _cut_crops(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    rects: NDArray[np.int32],
    preset: Preset,
) -> NDArray[np.uint8]:
    crops = np.zeros((len(frames), preset.crop, preset.crop, 3), np.uint8)
    for frame, rect, crop in zip(frames, rects, crops, strict=True):
        cut_crop(frame, rect, preset, out=crop)
    return crops


def _check_crops(crops: NDArray[np.uint8], count: int, preset: Preset) -> None:
    check_type("crops", crops, np.ndarray)
    needed = (count, preset.crop, preset.crop, 3)
    if crops.shape != needed or crops.dtype != np.uint8:
        raise InputError(
            f"crops must be {needed} uint8 for {preset.name}, got {crops.dtype} {crops.shape}"
        )


def _check_masks(
    masks: Sequence[NDArray[np.uint8] | None], rects: NDArray[np.int32]
) -> Sequence[NDArray[np.uint8] | None]:
    if not hasattr(masks, "__len__"):
        raise LayoutError(f"masks must be a sequence of arrays, got {type(masks).__name__}")
    if len(masks) != len(rects):
        raise InputError(f"masks must be {len(rects)}, one a frame, got {len(masks)}")
    for i, (mask, (_, _, w, h)) in enumerate(zip(masks, rects, strict=True)):
        if mask is not None and not isinstance(mask, np.ndarray):
            raise LayoutError(f"mask {i} must be an array of uint8, got {type(mask).__name__}")
        if mask is not None and (mask.shape != (h, w) or mask.dtype != np.uint8):
            raise InputError(
                f"mask {i} must be ({h}, {w}) uint8 like its rect, got {mask.dtype} {mask.shape}"
            )
    return masks
