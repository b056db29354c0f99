"""Canvases: a template's backgrounds in one output format, ready to take patches."""

from __future__ import annotations

import copy
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..errors import InputError
from ..formats import FRAME_FORMATS, PACKED_CHANNELS
from ..kernels import _jpeg, i420_size
from ..memory import BufferPool
from ..provenance import XMP
from ..templates.jpeg_backgrounds import BackgroundEncoder, JpegSettings
from ..templates.owned import OwnedFrames
from ..templates.template import Template
from . import _backgrounds
from ._finish import Worker

__all__ = ["Canvas", "jpeg_settings", "open_canvas"]

# Compositors that paint on the same frames take turns.
_HOLDERS: weakref.WeakKeyDictionary[OwnedFrames, _backgrounds.Holders] = weakref.WeakKeyDictionary()
_HOLDERS_LOCK = threading.Lock()


class Canvas:
    """The backgrounds of one template in one format.

    Threads may share a canvas: all scratch belongs to the workers.

    Attributes
    ----------
    format : str
        Format of the finished frames.
    settings : JpegSettings or None
        Encoding of JPEG frames.
    template : Template
        A copy that shares the pictures and keeps them open.
    derives : bool
        Whether the template does not store such backgrounds: each has to be made (`derive`)
        before a frame is finished on it.
    backgrounds
        The compiled part.
    in_place
        Backgrounds that are painted on to become frames, or None: those of templates on disk that
        store the format, bgr24 or i420, and owned frames in memory.
    workers : list of Worker
        Idle ones.
    """

    def __init__(self, template: Template, format: str, settings: JpegSettings | None) -> None:
        self.format, self.settings = format, settings
        self.template = template = copy.copy(template)
        self.workers: list[Worker] = []
        self._encoders: list[BackgroundEncoder] = []
        self._most_file = 0  # bytes of a background's file, with room for larger ones
        self._lock = threading.Lock()
        self.backgrounds = _backgrounds.Backgrounds(
            template.count, template.video, format, template.preset
        )
        if settings is not None:
            self.backgrounds.use_jpeg(
                settings.quality, settings.subsampling, settings.restart_interval
            )
        for i in range(template.count):
            rect: NDArray[np.int32] = template.rects[i]
            whole = template.whole_rects[i]
            self.backgrounds.set_mouth(i, rect, template.crops[i], template.mask(i), whole)
        self.derives = not self._set_stored()
        self.in_place = self._open_in_place()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame's buffer: (H, W, channels), flat I420 planes, or bytes for any JPEG."""
        t = self.template
        if self.settings is None:
            return self._frame_shape
        if not self.derives:
            return self.lent_shape
        return (_jpeg.jpeg_bound(t.width, t.height, self.settings.subsampling, XMP),)

    @property
    def lent_shape(self) -> tuple[int, ...]:
        """The same for a frame on a background that has been made: JPEGs may take far less."""
        if self.settings is None:
            return self._frame_shape
        # A spliced frame is its background with the segments of the region replaced.
        return (self._most_file + self.backgrounds.most_spliced,)

    @property
    def _frame_shape(self) -> tuple[int, ...]:
        t = self.template
        if self.format == "i420":
            return (i420_size(t.width, t.height),)
        return (t.height, t.width, PACKED_CHANNELS[self.format])

    # ---- backgrounds that are stored ---------------------------------------------------

    def _set_stored(self) -> bool:
        """Point at the backgrounds, where the template stores what frames are made from."""
        t, backgrounds = self.template, self.backgrounds
        if self.settings is not None:
            if not t.stores_jpeg(self.settings):
                return False
            for i in range(t.count):
                stored = t.jpeg(i)
                backgrounds.set_jpeg(i, stored.file, stored.segments, stored.region)
                self._most_file = max(self._most_file, stored.file.size)
            return True
        if self.format != "i420" and "bgr24" in t.stored:
            for i in range(t.count):
                if t.owned is None:
                    backgrounds.set_bgr24(i, t.bgr24(i))
                else:
                    backgrounds.set_bgr24(i, t.owned.frames[i], t.owned.under[i])
            return True
        if "i420" in t.stored:
            for i in range(t.count):
                backgrounds.set_i420(i, t.i420(i))
            return True
        return False

    def _open_in_place(self) -> _backgrounds.InPlace | None:
        if self.derives or self.format not in ("bgr24", "i420"):
            return None
        owned = self.template.owned
        if owned is not None and self.format == "bgr24":
            with _HOLDERS_LOCK:
                holders = _HOLDERS.get(owned)
                if holders is None:
                    holders = _HOLDERS[owned] = _backgrounds.Holders(len(owned))
            return _backgrounds.InPlace(self.backgrounds, owned.frames, holders)
        private = self.template.private(self.format)
        return None if private is None else _backgrounds.InPlace(self.backgrounds, private)

    # ---- backgrounds that are made -----------------------------------------------------

    def derive(self, index: int, pool: BufferPool) -> int:
        """Make one background and set it; threads may make different ones.

        Parameters
        ----------
        index : int
        pool : BufferPool
            Lends the memory of pictures.

        Returns
        -------
        int
            Bytes that it takes until it is forgotten.
        """
        t = self.template
        room = None
        if t.owned is not None or "bgr24" not in t.stored:
            room = pool.empty((t.height, t.width, 3), "uint8")
        if self.settings is not None:
            return self._derive_jpeg(index, self.settings, room)
        picture = t.bgr24(index, room)
        if self.format != "i420":
            self.backgrounds.set_bgr24(index, picture)
            return picture.nbytes
        planes = pool.empty(self._frame_shape, "uint8")
        kernels.to_i420(picture, planes, matrix=t.matrix, full_range=t.full_range)
        self.backgrounds.set_i420(index, planes)
        return planes.nbytes

    def _derive_jpeg(
        self, index: int, settings: JpegSettings, room: NDArray[np.uint8] | None
    ) -> int:
        t = self.template
        try:
            encoder = self._encoders.pop()
        except IndexError:
            encoder = BackgroundEncoder(settings, t.width, t.height, t.label)
        made = t.jpeg(index, settings, encoder, room)
        self._encoders.append(encoder)
        self.backgrounds.set_jpeg(index, made.file, made.segments, made.region)
        with self._lock:
            if made.file.size > self._most_file:
                self._most_file = made.file.size * 9 // 8
        return made.file.nbytes + made.segments.nbytes + made.region.nbytes

    def forget(self, index: int) -> None:
        """Release a derived background; nobody may be finishing a frame on it."""
        self.backgrounds.clear(index)


def jpeg_settings(template: Template, format: str, quality: int | None) -> JpegSettings | None:
    """Return the encoding of the frames of a format; None for other formats than JPEG.

    Parameters
    ----------
    template : Template
    format : {"bgr24", "rgb24", "bgra", "rgba", "i420", "jpeg"}
    quality : int, optional
        JPEG quality, 1 to 100; the template's own by default.

    Raises
    ------
    InputError
        If the format is unknown, or a quality is given for another format than JPEG.
    """
    if format not in FRAME_FORMATS:
        raise InputError(f"format must be one of {', '.join(FRAME_FORMATS)}, got {format!r}")
    if format != "jpeg":
        if quality is not None:
            raise InputError(f"quality is for format 'jpeg' only, got it with {format!r}")
        return None
    if quality is None:
        return template.jpeg_settings
    return JpegSettings(quality).resolve(template.width)


def open_canvas(template: Template, format: str, quality: int | None = None) -> Canvas:
    """Make the canvas of a template for an output format; see `jpeg_settings`.

    Backgrounds that the template does not store in the format are made later, one by one; packed
    pixels from I420 are converted with each frame.
    """
    return Canvas(template, format, jpeg_settings(template, format, quality))
