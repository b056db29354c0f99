"""Encoded backgrounds: what a finished JPEG frame is spliced from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int
from ..errors import InputError
from ..kernels import _jpeg
from ..provenance import JPEG_SEGMENT, XMP
from .arrays import Ragged

__all__ = ["JpegBackgrounds", "JpegMaker", "JpegSettings", "relabel"]


_SUBSAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")  # of colour pictures


@dataclass(frozen=True)
class JpegSettings:
    """How backgrounds are encoded, and frames after them.

    Attributes
    ----------
    quality : int
        1–100, libjpeg's scale.
    subsampling : str
        ``"4:2:0"``, ``"4:2:2"`` or ``"4:4:4"``.
    restart_interval : int
        MCUs of one segment; it divides the MCUs of a row. 0 lets the width choose.
    label : bool
        Whether the header says that the picture is generated; see `labels`.
    """

    quality: int = 75
    subsampling: str = "4:2:0"
    restart_interval: int = 0
    label: bool = True

    def __post_init__(self) -> None:
        for name, least, most in (("quality", 1, 100), ("restart_interval", 0, 65535)):
            check_int(name, getattr(self, name), least, most)
        if self.subsampling not in _SUBSAMPLINGS:
            raise InputError(
                f"subsampling of JPEG backgrounds must be one of {', '.join(_SUBSAMPLINGS)}, "
                f"got {self.subsampling!r}"
            )

    def resolve(self, width: int) -> JpegSettings:
        """The same settings with the restart interval chosen for a frame width in pixels."""
        if self.restart_interval:
            return self
        interval = _jpeg.choose_restart_interval(width, self.subsampling)
        return replace(self, restart_interval=interval)


@dataclass
class JpegBackgrounds:
    """Encoded backgrounds of a template with what a splice needs.

    Attributes
    ----------
    settings : JpegSettings
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
    files: Ragged
    segments: NDArray[np.uint32]
    boxes: NDArray[np.int32]
    regions: Ragged

    def region(self, index: int) -> NDArray[np.uint8]:
        """Background pixels of the region of one background: (h, w, 3) view."""
        _, _, w, h = self.boxes[index]
        return self.regions[index].reshape(h, w, 3)


class JpegMaker:
    """Encodes backgrounds one by one into the parts of `JpegBackgrounds`."""

    def __init__(self, settings: JpegSettings, width: int, height: int) -> None:
        self.settings = settings.resolve(width)
        self.width, self.height = width, height
        s = self.settings
        xmp = XMP if s.label else None
        self._encoder = _jpeg.JpegEncoder(s.quality, s.subsampling, s.restart_interval, xmp=xmp)
        self._buffer = np.empty(_jpeg.jpeg_bound(width, height, s.subsampling, xmp), np.uint8)

    def encode(
        self, frame: NDArray[np.uint8], rect: Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32], tuple[int, int, int, int], NDArray[np.uint8]]:
        """File (view of the maker's buffer), segment offsets, region box, region pixels (view)."""
        length = self._encoder.encode(frame, out=self._buffer)
        file = self._buffer[:length]
        s = self.settings
        x, y, w, h = (int(v) for v in rect)
        x, y, w, h = _jpeg.jpeg_region(
            x, y, w, h, self.width, self.height, s.subsampling, s.restart_interval
        )
        return file, _jpeg.jpeg_segments(file), (x, y, w, h), frame[y : y + h, x : x + w]


def relabel(backgrounds: JpegBackgrounds, label: bool) -> JpegBackgrounds:
    """The same pictures with or without the mark of generated media, in memory.

    Raises
    ------
    InputError
        If a file's header is not as `JpegMaker` writes it.
    """
    if label == backgrounds.settings.label:
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
    settings = replace(backgrounds.settings, label=label)
    return replace(
        backgrounds, settings=settings, files=Ragged.from_items(files), segments=segments
    )


def _behind_app0(file: NDArray[np.uint8]) -> int:
    """Where the segment behind APP0 starts."""
    if file[:4].tobytes() != b"\xff\xd8\xff\xe0":
        raise InputError("a background must start with SOI and APP0; prepare the template again")
    return 4 + int.from_bytes(file[4:6].tobytes(), "big")
