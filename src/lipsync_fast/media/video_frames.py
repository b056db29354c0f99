"""From decoded frames to upright I420 of square pixels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MediaError
from ..kernels import i420_planes, i420_size
from .pyav import load_av

# Numbers of ITU-T H.273, which FFmpeg uses for its colour tags.
_UNTAGGED = 2
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", _UNTAGGED: "bt601"}
_BT709 = 1
_BT2020_MATRICES, _BT2020_PRIMARIES = (9, 10), 9
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_FULL_RANGE = 2
# Formats of 8-bit 4:2:0 planes, which are copied as they are.
_I420_FORMATS = ("yuv420p", "yuvj420p")
# Ratios that no film has on purpose, and ratios so near 1 that nobody sees them.
_ODDEST_ASPECT, _SQUARE = 8, Fraction(1, 200)
_LEAST_FIELD = 4  # pixels: the deinterlacer needs two lines of each field

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Colours:
    """What is known of the colours of a film.

    Attributes
    ----------
    matrix : str
        "bt601" or "bt709", that of the frames as they are read.
    full_range, tagged : bool
        As of `VideoFormat`.
    is_rgb : bool
        Whether the file holds R'G'B'.
    is_wide : bool
        Whether it holds the colours of BT.2020, which become those of BT.709.
    """

    matrix: str
    full_range: bool
    tagged: bool
    is_rgb: bool = False
    is_wide: bool = False


def read_colours(path: Path, frame: Any, codec: Any) -> Colours:
    """Tell the colours of a decoded frame.

    Raises
    ------
    MediaError
        HDR, or a matrix that is neither BT.601 nor BT.709 nor BT.2020.
    """
    matrix, transfer = int(frame.colorspace), int(codec.color_trc)
    if transfer in _HDR_TRANSFERS:
        raise MediaError(
            f"{path} is HDR ({_HDR_TRANSFERS[transfer]}), which is not supported; convert it to "
            "SDR (BT.709, 8 bits) first"
        )
    full = frame.format.name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE
    wide = int(codec.color_primaries) == _BT2020_PRIMARIES or matrix in _BT2020_MATRICES
    if frame.format.is_rgb or frame.format.name == "pal8":
        # We choose the matrix of the conversion ourselves, so it is known.
        return Colours("bt601", False, True, is_rgb=True)
    if wide:
        return Colours("bt709", full, True, is_wide=True)
    if matrix not in _MATRICES:
        raise MediaError(
            f"{path} has the colour matrix number {matrix} of ITU-T H.273; supported are "
            "BT.601, BT.709 and BT.2020"
        )
    return Colours(_MATRICES[matrix], full, matrix != _UNTAGGED)


def read_aspect(path: Path, stream: Any) -> Fraction:
    """Return how wide a pixel is for its height; 1 where that is unknown or nonsense."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect <= 0 or abs(aspect - 1) <= _SQUARE:
        return Fraction(1)
    if not Fraction(1, _ODDEST_ASPECT) <= aspect <= _ODDEST_ASPECT:
        _log.warning(
            "%s states pixels of %d:%d, which no film has; they count as square",
            path, aspect.numerator, aspect.denominator,
        )  # fmt: skip
        return Fraction(1)
    return Fraction(aspect)


def square_width(width: int, aspect: Fraction) -> int:
    """Return the even width of a picture whose pixels become square."""
    return width if aspect == 1 else max(2 * round(width * aspect / 2), 2)


@dataclass(frozen=True)
class Orientation:
    """How to turn a frame upright: transpose, then flip the rows, then the columns."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False


def read_orientation(path: Path, frame: Any) -> Orientation:
    """Return how `frame` is to be turned.

    The display matrix (ISO/IEC 14496-12, 6.2.2) maps (p, q) to (a p + c q, b p + d q).

    Raises
    ------
    MediaError
        An angle that is not a multiple of 90 degrees.
    """
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
    scale = max(abs(a), abs(b), abs(c), abs(d)) / 100
    if max(abs(b), abs(c)) <= scale:
        return Orientation(False, d < 0, a < 0)
    if max(abs(a), abs(d)) <= scale:
        return Orientation(True, b < 0, c < 0)
    raise MediaError(f"{path} is rotated by an angle that is not a multiple of 90 degrees")


def deinterlaced(frames: Iterable[Any], found: Callable[[], object]) -> Iterator[Any]:
    """Yield frames; from the first one flagged as interlaced on through FFmpeg's bwdif.

    Frames that are not flagged stay as they are. Each frame stays one, at its time.

    Parameters
    ----------
    frames : iterable of av.VideoFrame, of one size
    found : callable
        Called at the first interlaced frame.
    """
    graph: Any = None
    for frame in frames:
        small = min(frame.width, frame.height) < _LEAST_FIELD
        if graph is None and (small or not frame.interlaced_frame):
            yield frame
            continue
        if graph is None:
            found()
            graph = _deinterlacer(frame)
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _deinterlacer(frame: Any) -> Any:
    graph = load_av("").filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    # One frame for each; the second field would make a film of twice the rate.
    fields = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(fields)
    fields.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    av = load_av("")
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


class Converter:
    """Makes the upright I420 buffer of a decoded frame; holds swscale's tables between frames.

    Parameters
    ----------
    coded_size : (int, int)
        Width and height of decoded frames.
    aspect : Fraction
        How wide their pixels are.
    orientation : Orientation
    colours : Colours

    Attributes
    ----------
    width, height : int
        Of the buffers.
    """

    def __init__(
        self,
        coded_size: tuple[int, int],
        aspect: Fraction,
        orientation: Orientation,
        colours: Colours,
    ) -> None:
        self._scaler = load_av("").video.reformatter.VideoReformatter()
        self._orientation, self._colours = orientation, colours
        self._square = square_width(coded_size[0], aspect), coded_size[1]
        self._scales = self._square != coded_size
        self.width, self.height = self._square[:: -1 if orientation.transpose else 1]

    def __call__(self, frame: Any, out: np.ndarray | None) -> np.ndarray:
        """Return (n,) uint8: `out` or a fresh buffer."""
        if out is None:
            out = np.empty(i420_size(self.width, self.height), np.uint8)
        targets: tuple[np.ndarray, ...] = i420_planes(out, self.width, self.height)
        if frame.format.name.startswith("gray"):
            # swscale would take grey for full range, whatever the file says.
            frame = self._scaler.reformat(
                frame, *self._square, format="gray", interpolation="BICUBIC"
            )
            for chroma in targets[1:]:
                chroma.fill(128)
            targets = targets[:1]
        elif (
            self._scales
            or self._colours.is_wide
            or frame.format.name not in _I420_FORMATS
            or frame.planes[0].line_size < 0
        ):
            frame = self._to_i420(frame)
        turn = self._orientation
        for plane, target in zip(frame.planes, targets, strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            source = rows[: plane.height, : plane.width]
            source = source.T if turn.transpose else source
            source = source[::-1] if turn.flip_rows else source
            source = source[:, ::-1] if turn.flip_columns else source
            np.copyto(target, source)
        return out

    def _to_i420(self, frame: Any) -> Any:
        """Bring any pixel format to 8-bit 4:2:0 of square pixels; the range stays as it is."""
        colours = self._colours
        code = 5 if colours.matrix == "bt601" else 1
        source = _BT2020_MATRICES[0] if colours.is_wide else code
        full = 2 if colours.full_range else 1
        # Only where these are named does swscale convert primaries and transfer.
        gamut = {"dst_color_primaries": _BT709, "dst_color_trc": _BT709} if colours.is_wide else {}
        return self._scaler.reformat(
            frame,
            *self._square,
            format="yuvj420p" if colours.full_range else "yuv420p",
            src_colorspace=None if colours.is_rgb else source,
            dst_colorspace=code,
            src_color_range=2 if colours.is_rgb else full,
            dst_color_range=full,
            interpolation="BICUBIC" if self._scales else "AREA",
            **gamut,
        )
