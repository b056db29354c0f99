"""Canvases: a template's backgrounds in one output format, ready to take patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..formats import FRAME_FORMATS, PACKED_CHANNELS
from ..kernels import _jpeg, i420_size
from ..templates.jpeg_backgrounds import JpegSettings
from ..templates.template import Template
from . import _finish

__all__ = ["Canvas", "open_canvas"]


@dataclass(frozen=True, eq=False)
class Canvas:
    """The backgrounds of one template in one format.

    Threads may share a canvas: it is read-only, all scratch belongs to the workers.

    Attributes
    ----------
    format : str
        Format of the finished frames.
    shape : tuple of int
        Shape of a frame's buffer: (H, W, channels), flat I420 planes, or the most bytes
        that a JPEG of this template can take.
    template : Template
        Kept alive, since the compiled part points into it.
    backgrounds
        The compiled part.
    in_place
        Backgrounds that become frames by being painted on, or None: of templates on disk that
        store the format, bgr24 or i420.
    """

    format: str
    shape: tuple[int, ...]
    backgrounds: _finish.Backgrounds
    template: Template
    in_place: _finish.InPlace | None


def open_canvas(template: Template, format: str, quality: int | None = None) -> Canvas:
    """Make the canvas of a template for an output format.

    Parameters
    ----------
    template : Template
        Backgrounds that it does not store in the format are derived: packed pixels from
        I420 frame by frame, JPEG and I420 once, in memory.
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
    if quality is not None and format != "jpeg":
        raise InputError(f"quality is for format 'jpeg' only, got it with {format!r}")
    backgrounds = _finish.Backgrounds(template.count, template.video, format, template.preset)
    if format == "jpeg":
        shape = _fill_jpeg(backgrounds, template, quality)
    elif format == "i420":
        shape = (i420_size(template.width, template.height),)
        for i in range(template.count):
            backgrounds.set_i420(i, template.i420(i))
    else:
        shape = (template.height, template.width, PACKED_CHANNELS[format])
        from_i420 = "bgr24" not in template.stored and "i420" in template.stored
        for i in range(template.count):
            if from_i420:
                backgrounds.set_i420(i, template.i420(i))
            else:
                backgrounds.set_bgr24(i, template.bgr24(i))
    for i in range(template.count):
        rect: NDArray[np.int32] = template.rects[i]
        whole = template.whole_rects[i]
        backgrounds.set_mouth(i, rect, template.crops[i], template.mask(i), whole)
    private = template.private(format) if format in ("bgr24", "i420") else None
    in_place = None if private is None else _finish.InPlace(backgrounds, private)
    return Canvas(format, shape, backgrounds, template, in_place)


def _fill_jpeg(
    backgrounds: _finish.Backgrounds, template: Template, quality: int | None
) -> tuple[int, ...]:
    jpeg = template.jpeg(None if quality is None else JpegSettings(quality))
    s = jpeg.settings
    backgrounds.use_jpeg(s.quality, s.subsampling, s.restart_interval)
    for i in range(template.count):
        backgrounds.set_jpeg(i, jpeg.files[i], jpeg.segments[i], jpeg.boxes[i], jpeg.region(i))
    # A spliced frame is its background with the segments of the region replaced.
    files = int(np.diff(jpeg.files.offsets).max())
    regions = {(int(w), int(h)) for w, h in jpeg.boxes[:, 2:] if w}
    return (files + max((_jpeg.jpeg_bound(w, h, s.subsampling) for w, h in regions), default=0),)
