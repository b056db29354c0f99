"""Template: a prepared person, in memory or as a folder of plain files."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import kernels
from ..checks import check_type
from ..errors import InputError, TemplateError
from ..formats import VideoFormat
from ..kernels import _jpeg
from ..presets import Preset, get_preset
from ..timing import Loop, parse_fps
from .crops import check_crops, pack_crop
from .given import check_frames, check_masks, cut_crops
from .jpeg_backgrounds import BackgroundEncoder, EncodedBackground, JpegSettings, relabel
from .masks import rect_masks
from .owned import OwnedFrames
from .reader import TemplateParts, open_private, read_folder
from .rects import clip_rects

__all__ = ["Template"]


class Template:
    """A prepared person: backgrounds, rects, crops and masks, read-only.

    Threads may share a template. Arrays it hands out are views that keep the files mapped
    after `close`. A folder that is truncated while it is open kills the process on the next
    read (as with any memory map); ``open(load=True)`` reads everything first.

    Attributes
    ----------
    video : VideoFormat
        Size, rate and colour of the backgrounds.
    preset : Preset
    loop : Loop
        The resolved order in which the backgrounds are shown.
    label : bool
        Whether media generated from it is marked as such.
    rects : (n, 4) int32
        x, y, w, h inside the frame; w = h = 0 if there is no face.
    whole_rects : (n, 4) int32
        The rects that the crops show: the same, except for faces that reach out of the frame.
    crops : (n, C, C, 3) uint8, bgr24
    """

    def __init__(self, parts: TemplateParts) -> None:
        self.video, self.preset = parts.video, parts.preset
        self.loop, self.label = parts.loop, parts.label
        self.rects, self.crops = parts.rects, parts.crops
        self.whole_rects = parts.rects if parts.whole_rects is None else parts.whole_rects
        self._bgr24, self._i420, self._jpeg = parts.bgr24, parts.i420, parts.jpeg
        self._masks = parts.masks
        # Absolute: the process may go elsewhere before it is pickled or mapped again.
        self._folder = None if parts.folder is None else parts.folder.absolute()
        self._digest = parts.digest
        self._opened = parts.opened

    # ---- making ------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        rects: ArrayLike,
        *,
        preset: str | Preset,
        fps: Fraction | int | str = 25,
        loop: Loop | str | None = None,
        crops: NDArray[np.uint8] | None = None,
        masks: Sequence[NDArray[np.uint8] | None] | None = None,
        label: bool = True,
        owned: bool = False,
    ) -> Template:
        """Make a template in memory from the caller's frames, which are kept, not copied.

        Nine parameters: they are the parts of a person.

        Parameters
        ----------
        frames : (n, H, W, 3) uint8 or sequence of (H, W, 3) uint8, bgr24
            Backgrounds; they must not be changed afterwards.
        rects : (n, 4) or (4,) integers
            Where the generated picture goes; clipped to the frame.
        preset : str or Preset
            For another border or a feather, change the preset first: `Preset.with_border`,
            `Preset.with_feather`.
        fps : number or fraction such as "30000/1001"
        loop : Loop or name of a kind, optional
            The order in which frames are shown; the preset completes it.
        crops : (n, C, C, 3) uint8, optional
            Stored squares; by default resized from the rects.
        masks : sequence of (h, w) uint8 or None, optional
            Alpha over each rect, used unchanged; by default from the preset's edge.
        label : bool
            False leaves out the mark of generated media.
        owned : bool
            True hands the frames over: finished bgr24 frames are painted on them, without a copy
            of the background, and lent read-only; the pixels under the mouth are put back when
            the frame returns. They must be writable, contiguous, and not used by anyone else.

        Raises
        ------
        InputError, ArgumentTypeError, LayoutError
            Frames, rects, crops or masks do not fit each other.
        """
        preset = get_preset(preset)
        height, width = check_frames(frames)
        clipped = clip_rects(rects, len(frames), width, height)
        if crops is None:
            crops = cut_crops(frames, clipped, preset)
        check_crops(crops, preset, len(frames))
        if masks is None:
            masks = rect_masks(preset, clipped)
        return cls(
            TemplateParts(
                video=VideoFormat(width, height, parse_fps(fps)),
                preset=preset,
                loop=Loop.of(loop).over(preset.default_loop),
                label=label,
                rects=clipped,
                crops=crops,
                masks=check_masks(masks, clipped),
                bgr24=OwnedFrames(frames, clipped) if owned else frames,
            )
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        load: bool = False,
        border: int | None = None,
        label: bool | None = None,
        loop: Loop | str | None = None,
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
            Whether generated media is marked as such; by default as prepared. JPEG backgrounds
            that were prepared otherwise are rewritten in memory.
        loop : Loop or name of a kind, optional
            Another order of frames than the prepared one; see `looped`.

        Raises
        ------
        FileMissingError
            The folder does not exist.
        TemplateError
            The folder is not a template or is of another version, or a file is missing or has
            another size than when it was written.
        InputError
            The border or the loop does not fit.
        ArgumentTypeError
            `path` has the wrong type.
        """
        check_type("path of a template", path, str, Path)
        parts = read_folder(Path(path), load)
        parts.preset = parts.preset.with_border(border)
        if label is not None:
            parts.label = label
        return cls(parts).looped(loop)

    def close(self) -> None:
        """Release the backgrounds, crops and masks; views still in use keep their files mapped.

        Reading a background afterwards raises TemplateError.
        """
        self._bgr24 = self._i420 = self._jpeg = None
        self.crops = self.crops[:0].copy()
        self._masks = ()

    def __copy__(self) -> Template:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: of a mapped folder, only its path and options."""
        if self._folder is None:
            return self.__dict__
        if not self.stored:
            raise TemplateError("the template is closed; open it again to pickle it")
        kept = {name: self.__dict__[name] for name in ("preset", "loop", "label", "_digest")}
        return {"_folder": self._folder, **kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the folder again; raise TemplateError if it now holds another template."""
        if state["_folder"] is None:
            self.__dict__.update(state)
            return
        parts = read_folder(state["_folder"], load=False)
        if parts.digest != state["_digest"]:
            raise TemplateError(
                f"{parts.folder} holds another template than the one that was pickled; "
                "open it and pickle it again"
            )
        parts.preset, parts.loop, parts.label = (state[n] for n in ("preset", "loop", "label"))
        self.__init__(parts)  # type: ignore[misc]

    def __enter__(self) -> Template:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return (
            f"<Template {self.count} × {self.width}×{self.height} at {self.fps} fps, "
            f"{self.preset.name}, {self.loop.kind}, stores {', '.join(self.stored)}>"
        )

    # ---- reading -----------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of backgrounds."""
        return len(self.rects)

    @property
    def width(self) -> int:
        """Width of the backgrounds in pixels."""
        return self.video.width

    @property
    def height(self) -> int:
        """Height of the backgrounds in pixels."""
        return self.video.height

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return self.video.fps

    @property
    def matrix(self) -> str:
        """The matrix between R'G'B' and Y'CbCr: "bt601" or "bt709"."""
        return self.video.matrix

    @property
    def full_range(self) -> bool:
        """Whether luma spans 0 to 255 instead of 16 to 235."""
        return self.video.full_range

    @property
    def tagged(self) -> bool:
        """Whether the source stated its colour itself; outputs are tagged only then."""
        return self.video.tagged

    @property
    def folder(self) -> Path | None:
        """The folder from which its files are mapped; None if it is in memory."""
        return self._folder

    @property
    def stored(self) -> tuple[str, ...]:
        """Formats of the stored backgrounds: some of "jpeg", "i420", "bgr24"."""
        parts = {"jpeg": self._jpeg, "i420": self._i420, "bgr24": self._bgr24}
        return tuple(name for name, part in parts.items() if part is not None)

    def indices(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the template indices of `count` output frames from `start` on: (count,), fresh."""
        return self.loop.indices(start, count, self.count)

    def looped(self, loop: Loop | str | None = None) -> Template:
        """Return the same person shown in another order; backgrounds and all else are shared.

        Parameters
        ----------
        loop : Loop or name of a kind, optional
            Fields that are None stay as they are. None returns the template itself.

        Raises
        ------
        InputError
            The kind is unknown, the start below 0, or the frame to hold beyond the last one.
        """
        if loop is None:
            return self
        wanted = Loop.of(loop)
        other = copy.copy(self)
        other.loop = wanted.over(self.loop)
        start = wanted.start
        if other.loop.kind == "still" and start is not None and start >= self.count:
            raise InputError(f"start must be a frame to hold, 0 to {self.count - 1}, got {start}")
        return other

    def has_face(self, index: int) -> bool:
        """Tell whether a frame has a face; if not, its background passes through."""
        return bool(self.rects[index, 2])

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        """Return the alpha over the rect, (h, w) uint8 view, or None where the patch overwrites."""
        return self._masks[index]

    def visual(self, index: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Pack the visual input of one frame.

        Parameters
        ----------
        index : int
        out : (channels, S, S) float32, optional

        Returns
        -------
        (channels, S, S) float32: `out`, or fresh
        """
        return pack_crop(self.crops[index], self.preset, out)

    def bgr24(self, index: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return a background as packed pixels.

        Parameters
        ----------
        index : int
        out : (H, W, 3) uint8, optional
            Memory to use where it is not stored so.

        Returns
        -------
        (H, W, 3) uint8, bgr24
            A view where it is stored so and nobody paints on it; else `out`, or fresh.
        """
        if isinstance(self._bgr24, OwnedFrames):
            return self._bgr24.read(index, out)
        if self._bgr24 is not None:
            return self._bgr24[index]
        if self._i420 is not None:
            return kernels.from_i420(
                self._i420[index],
                width=self.width,
                height=self.height,
                matrix=self.matrix,
                full_range=self.full_range,
                out=out,
            )
        if self._jpeg is not None:
            return _jpeg.decode(self._jpeg.files[index], out)
        raise TemplateError("the template is closed; open it again")

    def i420(self, index: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return a background as flat I420 planes, uint8; see `bgr24`."""
        if self._i420 is not None:
            return self._i420[index]
        picture = self.bgr24(index)
        return kernels.to_i420(picture, matrix=self.matrix, full_range=self.full_range, out=out)

    @property
    def owned(self) -> OwnedFrames | None:
        """The frames in memory that may be painted on, where there are such."""
        return self._bgr24 if isinstance(self._bgr24, OwnedFrames) else None

    def arrays(self) -> list[NDArray[np.uint8]]:
        """Return all that lies in memory of its own or the caller's, not in mapped files."""
        if self._folder is not None:
            return []
        pictures: list[Any] = (
            [self._bgr24, self._i420] if self.owned is None else [self.owned.frames]
        )
        found = [array for part in pictures if part is not None for array in part]
        if self._jpeg is not None:
            found += [self._jpeg.files.data, self._jpeg.regions.data]
        return [*found, self.crops, *(mask for mask in self._masks if mask is not None)]

    def private(self, format: str) -> NDArray[np.uint8] | None:
        """Map the backgrounds copy-on-write, so that they may be painted on.

        Parameters
        ----------
        format : {"bgr24", "i420"}

        Returns
        -------
        (n, H, W, 3) or (n, bytes) uint8, or None
            A mapping of the caller's own. None where the template is in memory or does not store
            that format, or where the folder has been removed or replaced since, so that it would
            show other pictures.
        """
        if self._folder is None or format not in self.stored:
            return None
        return open_private(self._folder, format, self.video, self._opened[format])

    @property
    def jpeg_settings(self) -> JpegSettings:
        """How its JPEG frames are encoded where nothing else is asked for.

        As the stored backgrounds are, else `JpegSettings()`; the restart interval is chosen.
        """
        return JpegSettings().resolve(self.width) if self._jpeg is None else self._jpeg.settings

    def stores_jpeg(self, settings: JpegSettings) -> bool:
        """Tell whether JPEG backgrounds of these settings are stored, under its own `label`."""
        stored = self._jpeg
        return stored is not None and (stored.settings, stored.label) == (settings, self.label)

    def jpeg(
        self,
        index: int,
        settings: JpegSettings | None = None,
        encoder: BackgroundEncoder | None = None,
        out: NDArray[np.uint8] | None = None,
    ) -> EncodedBackground:
        """Return a background as JPEG, with the template's own `label`.

        Parameters
        ----------
        index : int
        settings : JpegSettings, optional
            `jpeg_settings` by default.
        encoder : BackgroundEncoder, optional
            Of these settings and this label; a new one by default.
        out : (H, W, 3) uint8, optional
            Memory for the picture, where it is not stored as bgr24.

        Returns
        -------
        EncodedBackground
            Views where it is stored so, else fresh.
        """
        settings = self.jpeg_settings if settings is None else settings.resolve(self.width)
        if self._jpeg is not None and settings == self._jpeg.settings:
            stored = self._jpeg.background(index)
            return stored if self._jpeg.label == self.label else relabel(stored, self.label)
        if encoder is None:
            encoder = BackgroundEncoder(settings, self.width, self.height, self.label)
        made = encoder.encode(self.bgr24(index, out), self.rects[index])
        return made._replace(file=made.file.copy(), region=made.region.copy())
