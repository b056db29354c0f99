"""Sound files, and the sound of video files, as samples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MediaError
from .pyav import load_av, open_input, require_file
from .wav import CodedWav, WavFile

SAMPLE_RATE = 16000


class AudioSource:
    """The sound of a file as 16 kHz mono samples, read piece by piece.

    The channels are averaged first and resampled then, since FFmpeg's own stereo-to-mono mix is
    a factor of sqrt(2) louder. WAV files of plain samples at 16 kHz need no PyAV; other rates,
    other formats and video files do. As in FFmpeg, the priming samples of AAC and its like are
    dropped and a first timestamp other than zero adds no silence.

    Parameters
    ----------
    path : str or PathLike
        A sound file, or a video file with sound.

    Attributes
    ----------
    path : Path
    rate : int
        Samples a second in the file, before resampling.
    channels : int
        Channels in the file, before averaging.
    duration : Fraction or None
        Seconds as the file states them, None where it does not.

    Raises
    ------
    FileMissingError
        There is no such file.
    MediaError
        It is not a media file, is damaged, or has no sound.
    MissingExtraError
        The file needs PyAV, which is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._sound = open_sound(path)
        self.path = self._sound.path
        self.rate: int = self._sound.rate
        self.channels: int = self._sound.channels
        self.duration: Fraction | None = self._sound.duration

    def __iter__(self) -> Iterator[np.ndarray]:
        """Read the file from its start; memory does not grow with its length.

        Yields
        ------
        (n,) float32, full scale -1..1, mono, 16 kHz, fresh; n is about 16000

        Raises
        ------
        MediaError
            Damaged, without a sample, or with samples that are NaN or infinite.
        MissingExtraError
            The rate is not 16 kHz and PyAV is not installed.
        """
        mono = (_average(self.path, block) for block in self._sound.blocks())
        count = 0
        for samples in resampled(mono, self.rate, SAMPLE_RATE):
            count += samples.shape[-1]
            yield samples.reshape(-1)
        if not count:
            raise MediaError(f"{self.path} holds no sound: not one sample is in it")


def load_audio(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the whole sound of a file.

    Parameters
    ----------
    path : str or PathLike
        A sound file, or a video file with sound; see AudioSource, which reads piece by piece.

    Returns
    -------
    (n,) float32, full scale -1..1, mono, 16 kHz, fresh

    Raises
    ------
    FileMissingError, MediaError, MissingExtraError
        As AudioSource.
    """
    return np.concatenate(list(AudioSource(path)))


def duration(path: str | os.PathLike[str]) -> Fraction | None:
    """Return the seconds of a file's sound as it states them, None where it does not.

    Raises
    ------
    FileMissingError, MediaError, MissingExtraError
        As AudioSource.
    """
    return AudioSource(path).duration


def open_sound(path: str | os.PathLike[str]) -> WavFile | DecodedSound:
    """Return the reader that fits `path`: has rate, channels, duration and blocks()."""
    path = require_file(path)
    if WavFile.accepts(path):
        with suppress(CodedWav):
            return WavFile(path)
    return DecodedSound(path)


def resampled(blocks: Iterable[np.ndarray], rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """Bring a sound to another sample rate, streaming; the result starts with the source's start.

    Parameters
    ----------
    blocks : iterable of (channels, n) float32, one or two channels
    rate, to_rate : int
        Samples a second.

    Yields
    ------
    (channels, n) float32; all in all ceil(samples * to_rate / rate) samples
    """
    if rate == to_rate:
        yield from blocks
        return
    av = load_av(f"resampling sound from {rate} to {to_rate} Hz")
    resampler = None
    taken = given = 0
    tail: np.ndarray | None = None
    for block in blocks:
        layout = "mono" if block.shape[0] == 1 else "stereo"
        resampler = resampler or av.AudioResampler("fltp", layout, to_rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), taken
        taken += block.shape[1]
        tail = block[:, :0]
        for out in resampler.resample(frame):
            given += out.samples
            yield out.to_ndarray()
    if resampler is None or tail is None:
        return
    left = -(-taken * to_rate // rate) - given
    rest = [out.to_ndarray() for out in resampler.resample(None)]
    rest_samples = np.concatenate([tail, *rest], axis=1)[:, :left]
    # The filter may end a sample or two early; the count of samples is what time is told by.
    yield np.pad(rest_samples, ((0, 0), (0, left - rest_samples.shape[1])))


class DecodedSound:
    """The sound of any file that FFmpeg reads, at its own rate and channels."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_input(path) as container:
            stream = self._stream(container)
            first = next(container.decode(stream), None)
            if first is None:
                raise MediaError(f"{path} holds no sound: not one sample is in it")
            self.rate: int = first.sample_rate
            self.channels: int = first.layout.nb_channels
            self.duration: Fraction | None = None
            if stream.duration is not None:
                self.duration = stream.duration * stream.time_base
            elif container.duration is not None:
                self.duration = Fraction(container.duration, 1_000_000)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the sound in order, about a second at a time, as (channels, n) float32."""
        held: list[np.ndarray] = []
        count = 0
        with open_input(self.path) as container:
            for frame in self._frames(container):
                if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                    raise MediaError(
                        f"{self.path} changes from {self.channels} channels at {self.rate} Hz to "
                        f"{frame.layout.nb_channels} at {frame.sample_rate} Hz on the way"
                    )
                held.append(_planar_float(frame))
                count += frame.samples
                if count >= self.rate:
                    yield np.concatenate(held, axis=1)
                    held, count = [], 0
        if held:
            yield np.concatenate(held, axis=1)

    def _frames(self, container: Any) -> Iterator[Any]:
        """Decode; junk after the last good packet (tags of MP3 files) is passed over."""
        stream = self._stream(container)
        damage: Exception | None = None
        good = False
        av = load_av("")
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                damage = damage or error
                continue
            if frames and damage:
                raise damage
            good = good or bool(frames)
            yield from frames
        if damage and not good:
            raise damage

    def _stream(self, container: Any) -> Any:
        if not container.streams.audio:
            raise MediaError(f"{self.path} has no sound in it")
        return container.streams.audio[0]


def _planar_float(frame: Any) -> np.ndarray:
    """Return the samples of an av.AudioFrame as (channels, n) float32, full scale -1..1, fresh."""
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) * np.float32(2**-7)
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) * np.float32(2.0 ** (1 - 8 * samples.itemsize))
    return samples.astype(np.float32)


def _average(path: Path, block: np.ndarray) -> np.ndarray:
    """Return the mean of the channels, (1, n) float32; raise MediaError where it is not finite."""
    mono = block.mean(axis=0, dtype=np.float32, keepdims=True) if len(block) > 1 else block
    if not np.isfinite(mono).all():
        raise MediaError(f"{path} holds samples that are NaN or infinite; export the sound again")
    return mono
