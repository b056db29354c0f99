"""mp4 files from I420 frames and a sound, written as they come."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from ..checks import check_int, check_type
from ..errors import InputError, LipsyncError, MediaError
from ..files.part import PartFile
from ..files.targets import check_file
from ..formats import VideoFormat
from ..kernels import i420_planes
from ..provenance import MP4_BOX, SOURCE_TYPE
from .mp4_durations import mend_durations
from .pipes import PipeOut, is_pipe_out
from .pyav import load_av
from .sound_in import SAMPLE_RATE
from .sound_out import SoundTrack

_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
# Numbers of ITU-T H.273: matrix, primaries, transfer.
_TAGS = {"bt709": (1, 1, 1), "bt601": (6, 6, 6)}
_LIMITED, _FULL = 1, 2
_MUXER_OPTIONS = {
    # Fragments while writing, so that what a killed process leaves can be played; at the end the
    # muxer adds the index of a plain file and hides the fragments' headers.
    # The header waits for the first packets: only then are the edit lists right that skip the
    # priming samples of AAC and the reordering delay of H.264.
    "movflags": "hybrid_fragmented+delay_moov",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
    # The default, 1000, would round the tracks' lengths to milliseconds.
    "movie_timescale": "90000",
}
# Through a pipe there is no way back to an index: the fragments stay, each with its own.
_PIPE_OPTIONS = _MUXER_OPTIONS | {"movflags": "delay_moov+default_base_moof"}
_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
# H.264 levels end there, and so do the decoders.
_MAX_SIDE = 16384

__all__ = ["H264Options", "VideoWriter"]

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class H264Options:
    """How libx264 compresses frames.

    Attributes
    ----------
    crf : float
        Quality, 0 (lossless) to 51.
    preset : str
        Effort, "ultrafast" to "placebo".
    threads : int
        Threads of the encoder; 0 lets it choose.

    Raises
    ------
    InputError
        A value out of its range.
    """

    crf: float = 20
    preset: str = "veryfast"
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise InputError(f"crf must be 0 (lossless) to 51, got {self.crf}")
        if self.preset not in _PRESETS:
            raise InputError(f"preset must be one of {', '.join(_PRESETS)}, got {self.preset!r}")
        check_int("threads", self.threads, 0)


class VideoWriter:
    """An mp4 of H.264 and AAC, written while frames arrive.

    What is written goes to ``<path>.part``, which plays as far as it got even if the process is
    killed; `close` makes a plain mp4 of it and renames it to `path`. A file that was there before
    stays until then. One writer at a time holds ``.part``; what a killed one left there is
    overwritten. As a context manager it closes at the end of the block, and aborts where the
    block raises.

    Parameters
    ----------
    path : str or PathLike
        Ends in .mp4, .m4v or .mov; its folder exists. Or "-" for standard output, or a named pipe:
        these get an mp4 in fragments, as it is made, which stays a part if the writer aborts.
    format : VideoFormat
        Size, rate and colour of the frames. An odd size gets its last column or row twice: H.264
        needs even ones. The file names its matrix only where the format is `tagged`.
    audio : str or PathLike or (n,) float32, optional
        A sound or video file, whose rate and channels are kept, or mono samples at `audio_rate`.
        Sample n of the sound belongs to second n / rate of the video; the sound is cut, or filled
        up with silence, to the end of the last frame.
    audio_rate : int
        Samples a second of an `audio` given as an array.
    h264 : H264Options, optional
        How the frames are compressed.
    label : bool
        Mark the file as generated media: as XMP, and as a comment that players show.

    Attributes
    ----------
    frames : int
        Frames written so far.

    Raises
    ------
    InputError
        A name or a size that cannot be used.
    MediaError
        The output cannot be written, or the sound not be read.
    FileMissingError
        The sound file, or the folder to write to, does not exist.
    MissingExtraError
        PyAV is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: VideoFormat,
        *,
        audio: str | os.PathLike[str] | np.ndarray | None = None,
        audio_rate: int = SAMPLE_RATE,
        h264: H264Options | None = None,
        label: bool = False,
    ) -> None:
        self._container: Any = None
        self._part: PartFile | None = None
        self._pipe: PipeOut | None = None
        self._is_pipe = is_pipe_out(path)
        self.path = Path(path) if self._is_pipe else check_file(path, MediaError, tuple(_FORMATS))
        self.frames = 0
        self._av = load_av("writing video")
        check_type("format", format, VideoFormat)
        h264 = H264Options() if h264 is None else h264
        check_type("h264", h264, H264Options)
        if max(format.size) > _MAX_SIDE:
            raise InputError(
                f"a video must have at most {_MAX_SIDE} pixels a side, "
                f"got {format.width}x{format.height}"
            )
        self._size = width, height = format.size
        self._fps = format.fps
        self._even = width + width % 2, height + height % 2
        # PyAV can alias a buffer whose height is a multiple of four; others are copied into this.
        self._copy: Any = None
        if self._even != self._size or height % 4:
            self._copy = self._av.VideoFrame(*self._even, "yuv420p")
        sound = None if audio is None else SoundTrack(audio, audio_rate)
        if self._is_pipe:
            self._pipe = self._guard(PipeOut, path)
        else:
            self._part = self._guard(PartFile, self.path)
        self._container = self._guard(self._open_container)
        try:
            self._video = self._guard(self._add_video, h264)
            self._tag_colour(format)
            self._label = label
            if label:
                self._container.metadata["comment"] = f"Digital source type: {SOURCE_TYPE}"
            self._sound = sound
            if sound is not None:
                sound.start(self._container)
            self._guard(self._container.start_encoding)
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def write(self, frame: np.ndarray) -> None:
        """Encode the next frame.

        Parameters
        ----------
        frame : (n,) or (H*3/2, W) uint8, I420: luma, U, V, packed, chroma ceil(W/2) x ceil(H/2)
            Free to be changed when this returns. May be read-only.

        Raises
        ------
        TypeError, ValueError
            Not such a buffer, or the writer is closed; an open writer stays usable.
        MediaError
            The output cannot be written (a full disk, say), or the sound is damaged; the writer
            has given up and removed its ``.part``.
        """
        if self._container is None:
            raise InputError(f"the writer of {self.path} is closed; no frame can be added")
        planes = i420_planes(frame, *self._size)
        # libx264 has its own copy of the picture when encode() returns.
        if self._copy is not None:
            picture = self._copy
            _fill(picture, planes)
        else:
            width, height = self._size
            packed = frame.reshape(height * 3 // 2, width)
            picture = self._av.VideoFrame.from_numpy_buffer(packed, "yuv420p")
        picture.pts = self.frames
        picture.time_base = 1 / self._fps
        self._guard(self._encode, picture)
        self.frames += 1
        if self._sound is not None:
            self._guard(self._sound.feed, self.frames / self._fps)

    def close(self) -> None:
        """Finish the file and give it its name; a closed writer does nothing.

        Raises
        ------
        MediaError
            The output cannot be written, or no frame was; ``.part`` is removed.
        """
        if self._container is None:
            return
        if not self.frames:
            self.abort()
            raise MediaError(f"{self.path} was not written: there was no frame")
        self._guard(self._finish)

    def abort(self) -> None:
        """Give up: remove ``.part``, leave an earlier file of the name as it is."""
        container, self._container = self._container, None
        if self._pipe is not None:
            self._pipe.close()  # first, so that nothing waits for its reader
        if container is not None:
            with suppress(self._av.error.FFmpegError, OSError, ValueError):
                container.close()
        if self._part is not None:
            self._part.discard()

    def _guard(self, action: Callable[..., Result], *arguments: Any) -> Result:
        """Run `action`; an error ends the writer, and FFmpeg's become MediaError."""
        try:
            return action(*arguments)
        except (self._av.error.FFmpegError, OSError) as error:
            self.abort()
            if self._pipe is not None and self._pipe.stopped is not None:
                raise self._pipe.stopped from None
            if isinstance(error, LipsyncError):
                raise
            reason = error.strerror or str(error)
            raise MediaError(f"{self.path} cannot be written: {reason}") from error
        except BaseException:
            self.abort()
            raise

    def _open_container(self) -> Any:
        if self._pipe is not None:
            return self._av.open(self._pipe, "w", format="mp4", container_options=_PIPE_OPTIONS)
        assert self._part is not None
        return self._av.open(
            f"file:{self._part.path}",
            "w",
            format=_FORMATS[self.path.suffix.lower()],
            container_options=_MUXER_OPTIONS,
        )

    def _add_video(self, h264: H264Options) -> Any:
        try:
            stream = self._container.add_stream("libx264", rate=self._fps)
        except self._av.codec.codec.UnknownCodecError as error:
            raise MediaError(
                "this build of PyAV has no libx264; install the wheels with "
                '`pip install "lipsync_fast[video]"`'
            ) from error
        codec = stream.codec_context
        codec.width, codec.height = self._even
        codec.pix_fmt = "yuv420p"
        codec.time_base = 1 / self._fps
        codec.options = {"crf": str(h264.crf), "preset": h264.preset}
        codec.thread_count = h264.threads
        # PyAV's default, SLICE, would cut each picture into slices, which costs quality.
        codec.thread_type = "FRAME"
        return stream

    def _tag_colour(self, format: VideoFormat) -> None:
        codec = self._video.codec_context
        if format.tagged:
            codec.colorspace, codec.color_primaries, codec.color_trc = _TAGS[format.matrix]
        if format.tagged or format.full_range:
            codec.color_range = _FULL if format.full_range else _LIMITED

    def _encode(self, picture: Any) -> None:
        for packet in self._video.encode(picture):
            self._container.mux(packet)

    def _finish(self) -> None:
        if self._sound is not None:
            self._sound.finish(self.frames / self._fps)
        self._encode(None)
        self._container.close()
        if self._pipe is not None:
            if self._label:
                self._pipe.write(MP4_BOX)
            self._pipe.close()
        else:
            self._finish_file()
        self._container = None
        _log.debug("%s: %d frames", self.path, self.frames)

    def _finish_file(self) -> None:
        assert self._part is not None
        with suppress(ValueError, struct.error):  # boxes of another muxer: they stay as they are
            mend_durations(self._part.path)
        # On the disk before it takes the name of a file that may be there already.
        with self._part.path.open("ab") as file:
            if self._label:
                file.write(MP4_BOX)
                file.flush()
            os.fsync(file.fileno())
        self._part.finish()


def _fill(picture: Any, planes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Copy planes into an av.VideoFrame of even size; the last line fills the rest."""
    for source, plane in zip(planes, picture.planes, strict=True):
        height, width = source.shape
        target = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width]
        target[:height, :width] = source
        target[:height, width:] = source[:, -1:]
        target[height:] = target[height - 1]
