"""Video files as I420 frames at a constant rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MediaError
from ..formats import VideoFormat
from ..kernels import i420_planes, i420_size
from .pyav import load_av, open_input, require_file

# Numbers of ITU-T H.273, which FFmpeg uses for its colour tags.
_UNTAGGED = 2
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", _UNTAGGED: "bt601"}
_MATRIX_OF_RGB = 0
_BT2020_MATRICES, _BT2020_PRIMARIES = (9, 10), 9
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_FULL_RANGE = 2
# Formats of 8-bit 4:2:0 planes, which are copied as they are.
_I420_FORMATS = ("yuv420p", "yuvj420p")
# Containers round timestamps, Matroska to 1 ms: a frame counts as there this much before its time.
_SLACK = Fraction(1, 2000)
# A hole in the timestamps that no real take has; filling it would make frames without end.
_MAX_GAP = 3600
_COMMON_RATES = [Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60)]
_COMMON_RATES += [Fraction(n * 1000, 1001) for n in (24, 30, 60)]


class VideoReader:
    """The pictures of a video file, upright, as 8-bit I420 at a constant frame rate.

    Display rotation is applied. More than 8 bits and other chroma layouts become 8-bit 4:2:0
    (swscale, area filter). Frames without a matrix tag count as BT.601, without a range tag as
    limited range.

    Parameters
    ----------
    path : str or PathLike
    threads : int, optional
        Threads of the decoder; 0, the default, lets FFmpeg choose.

    Attributes
    ----------
    path : Path
    width, height : int
        Pixels, after rotation.
    fps : Fraction
        Frames a second: the file's own rate where it is constant (30000/1001 stays that), else
        the rate that FFmpeg guesses, or a common rate near the average.
    frame_count : int or None
        An estimate of the frames that iteration yields; None where the file does not tell.
    matrix : str
        "bt601" or "bt709".
    full_range : bool
        Luma 0..255 instead of 16..235.
    tagged : bool
        Whether the file names its matrix; where not, an output should name none either.

    Raises
    ------
    FileMissingError
        There is no such file.
    MediaError
        It is not a video, is damaged, or is HDR.
    MissingExtraError
        PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 0) -> None:
        self.path: Path = require_file(path)
        self._threads = threads
        with open_input(self.path) as container:
            stream = self._stream(container)
            first = next(container.decode(stream), None)
            if first is None:
                raise MediaError(f"{self.path} holds no picture: not one frame is in it")
            self._coded_size = first.width, first.height
            self._orientation = _orientation(self.path, first)
            self._read_colour(first, stream.codec_context)
            rate, average = stream.guessed_rate, stream.average_rate
            self.fps: Fraction = constant_rate(rate, average)
            self._seconds: Fraction | None = None
            if stream.duration:
                self._seconds = stream.duration * stream.time_base
            elif container.duration:
                self._seconds = Fraction(container.duration, 1_000_000)
        turned = self._orientation[0]
        self.width, self.height = self._coded_size[::-1] if turned else self._coded_size

    @property
    def format(self) -> VideoFormat:
        """Size, rate and colour of the frames.

        Raises
        ------
        InputError
            The file has less than 1 or more than 1000 frames a second.
        """
        return VideoFormat(
            self.width, self.height, self.fps, self.matrix, self.full_range, self.tagged
        )

    @property
    def frame_count(self) -> int | None:
        """Return an estimate of what iteration yields; None where the file does not tell."""
        return self.count_at(self.fps)

    def count_at(self, fps: Fraction) -> int | None:
        """Estimate how many frames `frames` yields at another rate; None where it is unknown."""
        return None if self._seconds is None else max(1, ceil((self._seconds - _SLACK) * fps))

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.frames()

    def frames(
        self, fps: Fraction | int | None = None, out: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """Read the file from its start; memory does not grow with its length.

        Frame i is the latest one of the file at i / fps seconds after the file's first frame.

        Parameters
        ----------
        fps : Fraction or int, optional
            Frames a second; the file's own rate if None.
        out : (n,) uint8, optional
            Buffer for every frame in turn, n as of the frames.

        Yields
        ------
        (n,) uint8, I420: H*W luma, then twice ceil(H/2)*ceil(W/2) chroma (U, V), rows packed;
        fresh, or `out`

        Raises
        ------
        MediaError
            It is damaged, or its frames change their size.
        """
        step = 1 / Fraction(self.fps if fps is None else fps)
        if step <= 0:
            raise InputError(f"fps must be positive; got {fps}")
        due = 0
        held = None
        end = Fraction(0)
        convert = _Converter(self)
        for time, length, frame in self._timed_frames():
            while held is not None and due * step < time - _SLACK:
                yield convert(held, out)
                due += 1
            held, end = frame, time + length
        while held is not None and due * step < end - _SLACK:
            yield convert(held, out)
            due += 1

    def _timed_frames(self) -> Iterator[tuple[Fraction, Fraction, Any]]:
        """Yield (seconds since the first frame, seconds it lasts, av.VideoFrame)."""
        start: Fraction | None = None
        previous = Fraction(0)
        count = 0
        with open_input(self.path) as container:
            for frame in container.decode(self._stream(container)):
                if (frame.width, frame.height) != self._coded_size:
                    raise MediaError(
                        f"{self.path} changes its frame size from {self._coded_size[0]}x"
                        f"{self._coded_size[1]} to {frame.width}x{frame.height} at frame {count}"
                    )
                # Raw streams carry no timestamps.
                untimed = frame.pts is None or frame.time_base is None
                time = count / self.fps if untimed else frame.pts * frame.time_base
                start = time if start is None else start
                time -= start
                if time - previous > _MAX_GAP:
                    raise MediaError(
                        f"{self.path} is damaged: its timestamps jump from {float(previous):.1f} "
                        f"to {float(time):.1f} seconds"
                    )
                length = frame.duration * frame.time_base if frame.duration else 1 / self.fps
                yield time, length, frame
                previous, count = time, count + 1

    def _stream(self, container: Any) -> Any:
        """Return the first stream of moving pictures (cover art does not count)."""
        av = load_av(f"reading {self.path.name}")
        for stream in container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:
                stream.codec_context.thread_count = self._threads
                stream.codec_context.thread_type = "AUTO"
                return stream
        raise MediaError(f"{self.path} has no video in it")

    def _read_colour(self, frame: Any, codec: Any) -> None:
        matrix, transfer = int(frame.colorspace), int(codec.color_trc)
        if transfer in _HDR_TRANSFERS or (
            matrix in _BT2020_MATRICES or int(codec.color_primaries) == _BT2020_PRIMARIES
        ):
            kind = _HDR_TRANSFERS.get(transfer, "BT.2020 colours")
            raise MediaError(
                f"{self.path} is HDR ({kind}), which is not supported; convert it to SDR "
                "(BT.709, 8 bits) first"
            )
        self._is_rgb = frame.format.is_rgb
        if self._is_rgb:
            # We choose the matrix of the conversion ourselves, so it is known.
            self.matrix, self.full_range, self.tagged = "bt601", False, True
            return
        if matrix not in _MATRICES:
            raise MediaError(
                f"{self.path} has the colour matrix number {matrix} of ITU-T H.273; supported are "
                "BT.601 and BT.709"
            )
        self.matrix = _MATRICES[matrix]
        self.tagged = matrix != _UNTAGGED
        named_full = frame.format.name.startswith("yuvj")
        self.full_range = named_full or int(frame.color_range) == _FULL_RANGE


def constant_rate(guessed: Fraction | None, average: Fraction | None) -> Fraction:
    """Choose the constant frame rate of a file.

    Parameters
    ----------
    guessed : Fraction or None
        What FFmpeg guesses from the timestamps' grid; right where the rate is constant.
    average : Fraction or None
        Frames over duration.

    Returns
    -------
    Fraction
        `guessed`, unless it is a grid much finer than the frames (over 60 and over 1.5 times the
        average): then the average, put to a common rate within 1 %.
    """
    if not guessed and not average:
        return Fraction(25)
    if not guessed or (average and guessed > 60 and guessed > average * Fraction(3, 2)):
        assert average is not None
        nearest = min(_COMMON_RATES, key=lambda rate: abs(rate - average))
        close = abs(nearest - average) * 100 <= average
        return nearest if close else average.limit_denominator(1001)
    return Fraction(guessed)


def _orientation(path: Path, frame: Any) -> tuple[bool, bool, bool]:
    """Tell how to turn the frame upright: transpose, then flip the rows, then the columns.

    The display matrix (ISO/IEC 14496-12, 6.2.2) maps (p, q) to (a p + c q, b p + d q).
    """
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
    scale = max(abs(a), abs(b), abs(c), abs(d)) / 100
    if max(abs(b), abs(c)) <= scale:
        return False, d < 0, a < 0
    if max(abs(a), abs(d)) <= scale:
        return True, b < 0, c < 0
    raise MediaError(f"{path} is rotated by an angle that is not a multiple of 90 degrees")


class _Converter:
    """Makes the upright I420 buffer of a decoded frame; holds swscale's tables between frames."""

    def __init__(self, reader: VideoReader) -> None:
        av = load_av(f"reading {reader.path.name}")
        self._reader = reader
        self._scaler = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: Any, out: np.ndarray | None) -> np.ndarray:
        """Return (n,) uint8: `out` or a fresh buffer."""
        reader = self._reader
        width, height = reader.width, reader.height
        if out is None:
            out = np.empty(i420_size(width, height), np.uint8)
        targets: tuple[np.ndarray, ...] = i420_planes(out, width, height)
        if frame.format.name.startswith("gray"):
            # swscale would take grey for full range, whatever the file says.
            frame = self._scaler.reformat(frame, format="gray")
            for chroma in targets[1:]:
                chroma.fill(128)
            targets = targets[:1]
        elif frame.format.name not in _I420_FORMATS or frame.planes[0].line_size < 0:
            frame = self._to_i420(frame)
        transpose, flip_rows, flip_columns = reader._orientation
        for plane, target in zip(frame.planes, targets, strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            source = rows[: plane.height, : plane.width]
            source = source.T if transpose else source
            source = source[::-1] if flip_rows else source
            source = source[:, ::-1] if flip_columns else source
            np.copyto(target, source)
        return out

    def _to_i420(self, frame: Any) -> Any:
        """Bring any pixel format to 8-bit 4:2:0; matrix and range stay as they are."""
        reader = self._reader
        code = 5 if reader.matrix == "bt601" else 1
        matrix = None if reader._is_rgb else code
        full = 2 if reader.full_range else 1
        return self._scaler.reformat(
            frame,
            format="yuvj420p" if reader.full_range else "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=code,
            src_color_range=2 if reader._is_rgb else full,
            dst_color_range=full,
            interpolation="AREA",
        )
