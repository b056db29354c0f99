"""JPEG backgrounds, from whose segments finished JPEG frames are spliced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int
from ..errors import InputError
from ..kernels import _jpeg
from ..provenance import JPEG_SEGMENT, XMP
from .arrays import Ragged

__all__ = ["BackgroundEncoder", "EncodedBackground", "JpegBackgrounds", "JpegSettings", "relabel"]

# Width and height of an MCU in pixels, of colour pictures.
_SUBSAMPLINGS = {"4:2:0": (16, 16), "4:2:2": (16, 8), "4:4:4": (8, 8)}


@dataclass(frozen=True)
class JpegSettings:
    """Settings of the JPEG encoding of backgrounds, and of the frames made from them.

    Attributes
    ----------
    quality : int
        1–100, libjpeg's scale.
    subsampling : str
        ``"4:2:0"``, ``"4:2:2"`` or ``"4:4:4"``.
    restart_interval : int
        MCUs of a segment, a divisor of the MCUs of a row. 0 chooses it by the width.

    Raises
    ------
    InputError
        A value is out of range.
    """

    quality: int = 75
    subsampling: str = "4:2:0"
    restart_interval: int = 0

    def __post_init__(self) -> None:
        for name, minimum, maximum in (("quality", 1, 100), ("restart_interval", 0, 65535)):
            check_int(name, getattr(self, name), minimum, maximum)
        if self.subsampling not in _SUBSAMPLINGS:
            raise InputError(
                f"subsampling of JPEG backgrounds must be one of {', '.join(_SUBSAMPLINGS)}, "
                f"got {self.subsampling!r}"
            )

    def resolve(self, width: int) -> JpegSettings:
        """Return the settings with the restart interval chosen for a frame width in pixels."""
        if self.restart_interval:
            return self
        interval = _jpeg.choose_restart_interval(width, self.subsampling)
        return replace(self, restart_interval=interval)

    def segments(self, width: int, height: int) -> int:
        """Return the number of segments of a picture, in pixels; the interval must be chosen.

        Raises
        ------
        InputError
            If the restart interval does not divide the MCUs of a row.
        """
        mcu_width, mcu_height = _SUBSAMPLINGS[self.subsampling]
        mcus, rows = -(-width // mcu_width), -(-height // mcu_height)
        if not self.restart_interval or mcus % self.restart_interval:
            raise InputError(
                f"restart_interval must divide the {mcus} MCUs of a row of {width} pixels, "
                f"got {self.restart_interval}"
            )
        return mcus // self.restart_interval * rows


class EncodedBackground(NamedTuple):
    """One background as `JpegBackgrounds` holds it.

    Attributes
    ----------
    file : (bytes,) uint8
        View of the encoder's buffer, valid until the next background is encoded.
    segments : (segments + 1,) uint32
        Byte offsets of the segments, and the length of the file.
    box : (x, y, w, h)
        The region round the rect, in pixels.
    region : (h, w, 3) uint8, bgr24
        View of the frame.
    """

    file: NDArray[np.uint8]
    segments: NDArray[np.uint32]
    box: tuple[int, int, int, int]
    region: NDArray[np.uint8]


@dataclass
class JpegBackgrounds:
    """Encoded backgrounds of a template, with the offsets and pixels that a splice needs.

    Attributes
    ----------
    settings : JpegSettings
        With the restart interval resolved.
    label : bool
        Whether each header carries the mark of generated media.
    files : Ragged
        One complete JPEG per background.
    segments : (n, segments + 1) uint32
        Byte offsets of each background's segments, and the length of its file.
    boxes : (n, 4) int32
        The region round each rect: x, y, w, h in pixels.
    regions : Ragged
        Pixels of each region, (h, w, 3) bgr24, flat.
    """

    settings: JpegSettings
    label: bool
    files: Ragged
    segments: NDArray[np.uint32]
    boxes: NDArray[np.int32]
    regions: Ragged

    def background(self, index: int) -> EncodedBackground:
        """Return one background: views."""
        x, y, w, h = (int(v) for v in self.boxes[index])
        region = self.regions[index].reshape(h, w, 3)
        return EncodedBackground(self.files[index], self.segments[index], (x, y, w, h), region)


class BackgroundEncoder:
    """Encode backgrounds of one size one by one.

    Parameters
    ----------
    settings : JpegSettings
    width, height : int
        Size of the backgrounds in pixels.
    label : bool
        Whether each header carries the mark of generated media.
    """

    def __init__(self, settings: JpegSettings, width: int, height: int, label: bool) -> None:
        self.settings = settings.resolve(width)
        self.width, self.height, self.label = width, height, label
        s = self.settings
        xmp = XMP if label else None
        self._encoder = _jpeg.JpegEncoder(s.quality, s.subsampling, s.restart_interval, xmp=xmp)
        self._buffer = np.empty(_jpeg.jpeg_bound(width, height, s.subsampling, xmp), np.uint8)

    def encode(self, frame: NDArray[np.uint8], rect: Iterable[int]) -> EncodedBackground:
        """Encode an (H, W, 3) uint8 bgr24 frame, whose `rect` lies inside it."""
        length = self._encoder.encode_into(self._buffer, frame)
        file = self._buffer[:length]
        s = self.settings
        x, y, w, h = (int(v) for v in rect)
        x, y, w, h = _jpeg.jpeg_region(
            x, y, w, h, self.width, self.height, s.subsampling, s.restart_interval
        )
        region = frame[y : y + h, x : x + w]
        return EncodedBackground(file, _jpeg.jpeg_segments(file), (x, y, w, h), region)


def relabel(background: EncodedBackground, label: bool) -> EncodedBackground:
    """Return the same picture with the mark of generated media put in or taken out.

    Parameters
    ----------
    background : EncodedBackground
        With the mark, or without it: as `label` does not ask for.
    label : bool

    Returns
    -------
    EncodedBackground
        File and segments are fresh.

    Raises
    ------
    InputError
        If the file's header is not as `BackgroundEncoder` writes it.
    """
    mark = np.frombuffer(JPEG_SEGMENT, np.uint8)
    file = background.file
    at = _behind_app0(file)
    if label:
        shift, parts = mark.size, [file[:at], mark, file[at:]]
    else:
        shift, parts = -mark.size, [file[:at], file[at + mark.size :]]
        if not np.array_equal(file[at : at + mark.size], mark):
            raise InputError(
                "a background must carry the mark of generated media directly behind APP0, "
                "but does not; prepare the template again"
            )
    segments = (background.segments.astype(np.int64) + shift).astype(np.uint32)
    return background._replace(file=np.concatenate(parts), segments=segments)


def _behind_app0(file: NDArray[np.uint8]) -> int:
    """Return the offset of the segment after APP0."""
    if file[:4].tobytes() != b"\xff\xd8\xff\xe0":
        raise InputError("a background must start with SOI and APP0; prepare the template again")
    return 4 + int.from_bytes(file[4:6].tobytes(), "big")
