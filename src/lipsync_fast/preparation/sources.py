"""Sources of frames: a video, a folder of images, or one image."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels, media
from ..errors import InputError, MediaError
from ..formats import VideoFormat
from ..media.images import IMAGE_SUFFIXES, files_beside, image_facts
from ..presets import Preset
from ..timing import parse_fps
from .foreign import Avatar

__all__ = ["Source", "open_source"]

_log = logging.getLogger(__name__)

IMAGE_FPS = 25
_JPEG_FILMS = (".mjpeg", ".mjpg")  # one JPEG behind the other

Picture = NDArray[np.uint8]


class Source(ABC):
    """Frames that can be read more than once.

    Attributes
    ----------
    path : Path
    video : VideoFormat
        Size, rate and colour of the frames.
    count : int or None
        Number of frames where it is certain before reading.
    estimate : int or None
        Number of frames as far as it can be told before reading.
    """

    path: Path
    video: VideoFormat
    count: int | None = None
    estimate: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return what a `PreparationReport` says of the source itself."""
        return {"source_fps": self.video.fps}

    @abstractmethod
    def pictures(self) -> Iterator[tuple[Picture, Picture | None]]:
        """Yield bgr24 and, where the source has them, I420 planes; the next frame reuses both."""


def open_source(
    path: Path,
    preset: Preset,
    fps: Fraction | int | float | str | None,
    avatar: Avatar | None = None,
) -> Source:
    """Open a source at the preset's feature rate, where it has one.

    Parameters
    ----------
    path : Path
    preset : Preset
    fps : number or fraction, optional
        Frames a second of images, where None stands for the avatar's, the preset's, or 25; or
        those that a video is read at, where None stands for the preset's or its own.
    avatar : Avatar, optional
        What `find_avatar` found at `path`; its frames are read.

    Raises
    ------
    FileMissingError
        The source does not exist.
    MediaError
        The source cannot be read.
    InputError
        `fps` does not fit the preset; or a video does not tell its own.
    """
    if avatar is not None:
        if not isinstance(avatar.frames, Path):
            return _Images(path, avatar.frames, preset, avatar.fps if fps is None else fps)
        path = avatar.frames
    if path.is_dir():
        return _Images(path, media.list_images(path), preset, fps)
    if path.is_file() and path.suffix.lower() not in _JPEG_FILMS:
        facts = image_facts(path)
        if facts is not None and facts.pictures == 1:
            return _Images(path, [path], preset, fps)
        # Of animations FFmpeg reads these two; it takes others for their first picture.
        if (facts is None and path.suffix.lower() in IMAGE_SUFFIXES) or (
            facts is not None and facts.format not in ("GIF", "PNG")
        ):
            media.read_image(path)  # which says what is wrong with it
    return _Video(path, preset, fps)


class _Video(Source):
    """A video at the preset's feature rate, at the one that was asked for, or at its own."""

    def __init__(
        self, path: Path, preset: Preset, fps: Fraction | int | float | str | None
    ) -> None:
        self.path = path
        self._reader = reader = media.VideoReader(path)
        self.video = reader.format_at(preset.feature_rate if fps is None else fps)
        fps = self.video.fps
        if preset.feature_rate and fps != preset.feature_rate:
            raise InputError(
                f"preset {preset.name} needs {preset.feature_rate} frames a second, got fps={fps}; "
                "leave out fps (--fps): the video is resampled"
            )
        self.estimate = reader.count_at(fps)
        self._own = reader.fps
        if fps != reader.fps:
            _log.info("%s: %s frames a second become %s", path, reader.fps, fps)

    def facts(self) -> dict[str, Any]:
        return {"source_fps": self._own}

    def pictures(self) -> Iterator[tuple[Picture, Picture | None]]:
        width, height = self.video.size
        planes = np.empty(kernels.i420_size(width, height), np.uint8)
        bgr24 = np.empty((height, width, 3), np.uint8)
        for i420 in self._reader.frames(self.video.fps, out=planes):
            kernels.from_i420(
                i420,
                width=width,
                height=height,
                matrix=self.video.matrix,
                full_range=self.video.full_range,
                out=bgr24,
            )
            yield bgr24, i420


class _Images(Source):
    """Images of one size."""

    def __init__(
        self,
        path: Path,
        files: Sequence[Path],
        preset: Preset,
        fps: Fraction | int | float | str | None,
    ) -> None:
        self.path, self._files = path, files
        height, width = media.read_image(files[0]).shape[:2]
        rate = preset.feature_rate
        own = parse_fps((rate or IMAGE_FPS) if fps is None else fps)
        self.video = VideoFormat(width, height, own)
        if rate is not None and self.video.fps != rate:
            raise InputError(
                f"preset {preset.name} needs {rate} frames a second, got images at "
                f"{self.video.fps}; make a video from them, which prepare resamples"
            )
        self.count = self.estimate = len(files)

    def facts(self) -> dict[str, Any]:
        facts = [image_facts(path) for path in self._files]
        alpha = sum(each is not None and each.alpha for each in facts)
        folder = self._files[0].parent
        left = files_beside(folder) if folder == self.path else []
        return {"source_fps": self.video.fps, "alpha": alpha, "left_out": left}

    def pictures(self) -> Iterator[tuple[Picture, Picture | None]]:
        width, height = self.video.size
        for path in self._files:
            bgr24 = media.read_image(path)
            if bgr24.shape != (height, width, 3):
                raise MediaError(
                    f"{path} is {bgr24.shape[1]}×{bgr24.shape[0]}, but {self._files[0].name} is "
                    f"{width}×{height}; all images must have one size"
                )
            yield bgr24, None
