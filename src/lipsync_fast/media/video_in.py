"""Video files as I420 frames at a constant rate."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MediaError
from ..formats import VideoFormat
from .pyav import load_av, open_input, require_file
from .video_frames import Converter, deinterlaced, read_aspect, read_colours, read_orientation
from .video_rate import HIGHEST_USUAL, constant_rate, is_stated, rate_of_times

# Containers round timestamps, Matroska to 1 ms: a frame counts as there this much before its time.
_SLACK = Fraction(1, 2000)
# A hole in the timestamps that no real take has; filling it would make frames without end.
_MAX_GAP = 3600
# Frames whose times are looked at where a file does not state its rate plainly, and those of the
# last of them that may be missing since frames are stored out of order.
_TIMED, _REORDERED = 400, 16

_log = logging.getLogger(__name__)


class VideoReader:
    """The pictures of a video file, upright, as 8-bit I420 at a constant frame rate.

    Display rotation is applied, and pixels that are not square become so: the width is scaled to
    an even one. Interlaced frames are deinterlaced (bwdif, one frame for each). More than 8 bits
    and other chroma layouts become 8-bit 4:2:0 (swscale, area filter), BT.2020 colours BT.709.
    Frames without a matrix tag count as BT.601, without a range tag as limited range.

    Parameters
    ----------
    path : str or PathLike
    threads : int, optional
        Threads of the decoder; 0, the default, lets FFmpeg choose.

    Attributes
    ----------
    path : Path
    width, height : int
        Square pixels, after rotation.
    pixel_aspect : Fraction
        Width of the file's pixels for their height; 1 where they are square.
    interlaced : bool
        Whether an interlaced frame has been seen so far.
    fps : Fraction
        Frames a second: the file's own rate where it is constant (30000/1001 stays that), else
        the usual rate at the median step of the frames' times.
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
            self.pixel_aspect = read_aspect(self.path, stream)
            self._orientation = read_orientation(self.path, first)
            self._colours = read_colours(self.path, first, stream.codec_context)
            self.matrix, self.full_range = self._colours.matrix, self._colours.full_range
            self.tagged = self._colours.tagged
            self.interlaced = False
            rates = stream.guessed_rate, stream.average_rate
            self._seconds: Fraction | None = None
            if stream.duration:
                self._seconds = stream.duration * stream.time_base
            elif container.duration:
                self._seconds = Fraction(container.duration, 1_000_000)
        self.fps: Fraction = constant_rate(*rates)
        self._rate_is_sure = is_stated(*rates) or self._measure_rate()
        convert = self._converter()
        self.width, self.height = convert.width, convert.height
        if self.pixel_aspect != 1:
            _log.warning(
                "%s has pixels of %d:%d: %dx%d becomes %dx%d square ones",
                self.path, *self.pixel_aspect.as_integer_ratio(), *self._coded_size,
                self.width, self.height,
            )  # fmt: skip

    def _measure_rate(self) -> bool:
        """Look at the frames' times; tell whether they keep the rate that the file states."""
        times: list[Fraction] = []
        with open_input(self.path) as container:
            stream = self._stream(container)
            tick = Fraction(stream.time_base)
            for packet in container.demux(stream):
                if packet.pts is not None and packet.size:
                    times.append(packet.pts * tick)
                if len(times) == _TIMED:
                    break
        times.sort()
        if len(times) == _TIMED:
            del times[-_REORDERED:]
        stated = self.fps
        self.fps = rate_of_times(times, tick, stated)
        return self.fps == stated

    def _converter(self) -> Converter:
        return Converter(self._coded_size, self.pixel_aspect, self._orientation, self._colours)

    @property
    def format(self) -> VideoFormat:
        """Size, rate and colour of the frames.

        Raises
        ------
        InputError
            The file has less than 1 or more than 1000 frames a second; or it states no rate, and
            its frames come more often than 120 times a second.
        """
        return self.format_at(None)

    def format_at(self, fps: Fraction | float | int | str | None) -> VideoFormat:
        """Return `format` at another rate; at the file's own where `fps` is None."""
        if fps is None and not self._rate_is_sure and self.fps > HIGHEST_USUAL:
            raise InputError(
                f"{self.path} states no frame rate, and its frames come {float(self.fps):g} times "
                f"a second; say how many to take, up to {HIGHEST_USUAL}: fps= (--fps)"
            )
        rate: Any = self.fps if fps is None else fps
        return VideoFormat(self.width, self.height, rate, self.matrix, self.full_range, self.tagged)

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
        convert = self._converter()
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
            frames = self._of_one_size(container.decode(self._stream(container)))
            for frame in deinterlaced(frames, self._say_interlaced):
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

    def _of_one_size(self, frames: Iterator[Any]) -> Iterator[Any]:
        for count, frame in enumerate(frames):
            if (frame.width, frame.height) != self._coded_size:
                raise MediaError(
                    f"{self.path} changes its frame size from {self._coded_size[0]}x"
                    f"{self._coded_size[1]} to {frame.width}x{frame.height} at frame {count}"
                )
            yield frame

    def _say_interlaced(self) -> None:
        if not self.interlaced:
            self.interlaced = True
            _log.warning("%s is interlaced; its frames are deinterlaced", self.path)

    def _stream(self, container: Any) -> Any:
        """Return the first stream of moving pictures (cover art does not count)."""
        av = load_av(f"reading {self.path.name}")
        for stream in container.streams.video:
            if stream.codec_context is None:
                continue
            if not stream.disposition & av.stream.Disposition.attached_pic:
                stream.codec_context.thread_count = self._threads
                stream.codec_context.thread_type = "AUTO"
                return stream
        raise MediaError(f"{self.path} has no video in it")
