"""JPEG backgrounds: finished JPEG frames are spliced from their segments."""

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

_SUBSAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")  # of colour pictures


@dataclass(frozen=True)
class JpegSettings:
    """How backgrounds are encoded as JPEG, and the frames made from them.

    Attributes
    ----------
    quality : int
        1–100, libjpeg's scale.
    subsampling : str
        ``"4:2:0"``, ``"4:2:2"`` or ``"4:4:4"``.
    restart_interval : int
        MCUs in a segment; it divides the MCUs of a row. 0 chooses it from the width.

    Raises
    ------
    InputError
        If a value is out of its range.
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


@dataclass
class JpegBackgrounds:
    """Encoded backgrounds of a template, with the offsets and pixels that a splice needs.

    Attributes
    ----------
    settings : JpegSettings
        Their restart interval is chosen.
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

    def region(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of one background's region: (h, w, 3) uint8 bgr24 view."""
        _, _, w, h = self.boxes[index]
        return self.regions[index].reshape(h, w, 3)


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

    def encode_all(
        self, frames: Iterable[NDArray[np.uint8]], rects: Iterable[Iterable[int]]
    ) -> JpegBackgrounds:
        """Encode frames with a rect each; all parts are held in memory."""
        files, segments, boxes, regions = [], [], [], []
        for frame, rect in zip(frames, rects, strict=True):
            made = self.encode(frame, rect)
            files.append(made.file.copy())
            segments.append(made.segments)
            boxes.append(made.box)
            regions.append(made.region)
        return JpegBackgrounds(
            self.settings,
            self.label,
            Ragged.from_items(files),
            np.stack(segments),
            np.array(boxes, np.int32),
            Ragged.from_items(regions),
        )


def relabel(backgrounds: JpegBackgrounds, label: bool) -> JpegBackgrounds:
    """Return the same pictures with or without the mark of generated media, in memory.

    Raises
    ------
    InputError
        If a file's header is not as `BackgroundEncoder` writes it.
    """
    if label == backgrounds.label:
        return backgrounds
    mark = np.frombuffer(JPEG_SEGMENT, np.uint8)
    files = []
    for i in range(len(backgrounds.files)):
        file = backgrounds.files[i]
        at = _behind_app0(file)
        if label:
            files.append(np.concatenate([file[:at], mark, file[at:]]))
            continue
        if not np.array_equal(file[at : at + mark.size], mark):
            raise InputError(
                f"background {i} must carry the mark of generated media directly behind APP0, "
                "but does not; prepare the template again"
            )
        files.append(np.concatenate([file[:at], file[at + mark.size :]]))
    shift = mark.size if label else -mark.size
    segments = (backgrounds.segments.astype(np.int64) + shift).astype(np.uint32)
    return replace(backgrounds, label=label, files=Ragged.from_items(files), segments=segments)


def _behind_app0(file: NDArray[np.uint8]) -> int:
    """Return the offset of the segment behind APP0."""
    if file[:4].tobytes() != b"\xff\xd8\xff\xe0":
        raise InputError("a background must start with SOI and APP0; prepare the template again")
    return 4 + int.from_bytes(file[4:6].tobytes(), "big")
