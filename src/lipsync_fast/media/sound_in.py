"""Sound files, and the sound of video files, as samples."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MediaError
from .channels import downmix, downmix_weights, names_of_layout, take_names
from .pyav import load_av, open_input, require_file
from .wav import CodedWav, WavFile, ignore

SAMPLE_RATE = 16000

# A jump of the stamps that stands for missing sound (a parser dropped damage, a recorder left out
# silence), not for stamps that tremble; a longer one says nothing.
_GAP, _LONGEST_GAP = Fraction(1, 20), 60

_log = logging.getLogger(__name__)


class AudioSource:
    """The sound of a file as 16 kHz mono samples, read piece by piece.

    Two channels are averaged first and resampled then, since FFmpeg's own stereo-to-mono mix is
    a factor of sqrt(2) louder; of more the centre is taken, where dialogue is, or else the usual
    downmix, without LFE. WAV files of plain samples at 16 kHz need no PyAV; other rates, other
    formats and video files do. As in FFmpeg, the priming samples of AAC and its like are dropped
    and a first timestamp other than zero adds no silence. What cannot be decoded, up to a tenth
    of the sound, is silent, and a warning is logged.

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
        Channels in the file, before they are mixed.
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
        weights = downmix_weights(self.channels, self._sound.names)
        blocks = self._sound.blocks(_log.warning)
        mono = (_finite(self.path, downmix(block, weights)) for block in blocks)
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
    """The sound of any file that FFmpeg reads, at the rate and with the channels it begins with.

    What cannot be decoded is skipped, and silence keeps its place: the timestamps say how long it
    was. ID3 tags between parts that someone has joined are skipped without.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_input(path) as container:
            stream = self._stream(container)
            first = next(self._decoded(container, _Damage(path)), None)
            if first is None:
                raise MediaError(f"{path} holds no sound: not one sample is in it")
            self.rate: int = first.rate
            self.names = first.names
            self.channels: int = first.samples.shape[0]
            self.duration: Fraction | None = None
            if stream.duration is not None:
                self.duration = stream.duration * stream.time_base
            elif container.duration is not None:
                self.duration = Fraction(container.duration, 1_000_000)

    def blocks(self, warn: Callable[[str], object] = ignore) -> Iterator[np.ndarray]:
        """Yield the sound in order, about a second at a time, as (channels, n) float32.

        Parameters
        ----------
        warn : callable
            Told, in a sentence, what was skipped, and what changes on the way.

        Raises
        ------
        MediaError
            More than a tenth of the sound cannot be decoded.
        """
        held: list[np.ndarray] = []
        count = 0
        for samples in self._at_one_rate(warn):
            held.append(samples)
            count += samples.shape[1]
            if count >= self.rate:
                yield np.concatenate(held, axis=1)
                held, count = [], 0
        if held:
            yield np.concatenate(held, axis=1)

    def _at_one_rate(self, warn: Callable[[str], object]) -> Iterator[np.ndarray]:
        """Bring what changes its rate or its channels to those of the start."""
        damage = _Damage(self.path, self.duration)
        told = False
        seconds = Fraction(0)
        with open_input(self.path) as container:
            pieces = self._decoded(container, damage)
            for (rate, names, channels), run in groupby(pieces, _Piece.key):
                same = (names, channels) == (self.names, self.channels)
                if not told and (rate != self.rate or not same):
                    told = True
                    warn(
                        f"{self.path} changes from {self.channels} channels at {self.rate} Hz to "
                        f"{channels} at {rate} Hz at {float(seconds):.2f} s; what follows is "
                        "converted"
                    )
                blocks: Iterator[np.ndarray] = (piece.samples for piece in run)
                if not same or (rate != self.rate and channels > 2):
                    weights = downmix_weights(channels, names)
                    one = (downmix(block, weights) for block in blocks)
                    blocks = (np.repeat(block, self.channels, axis=0) for block in one)
                for samples in resampled(blocks, rate, self.rate):
                    seconds += Fraction(samples.shape[1], self.rate)
                    yield samples
        damage.end()
        damage.check(seconds + damage.left_out)
        if sentence := damage.sentence():
            warn(sentence)

    def _decoded(self, container: Any, damage: _Damage) -> Iterator[_Piece]:
        """Decode, with silence for what is damaged between good packets."""
        av = load_av("")
        stream = self._stream(container)
        stated, taken = take_names(stream.codec_context), _Samples()
        latest: _Piece | None = None
        for packet in container.demux(stream):
            if damage.in_tag(packet):
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                damage.add(packet, error)
                continue
            for frame in frames:
                samples = taken.of(frame)
                names = names_of_layout(frame.layout)
                if not names and len(stated) == len(samples):
                    names = stated
                piece = _Piece(frame.sample_rate, names, samples)
                yield from damage.fill(frame, latest or piece)
                latest = piece
                yield piece
        if latest is None and damage.first is not None:
            raise damage.first

    def _stream(self, container: Any) -> Any:
        """Return the track that is played where nobody chooses one, else the first."""
        tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if not tracks:
            raise MediaError(f"{self.path} has no sound in it")
        default = load_av("").stream.Disposition.default
        return next((track for track in tracks if track.disposition & default), tracks[0])


@dataclass(frozen=True)
class _Piece:
    """Samples, (channels, n) float32, with their rate and the names of their channels."""

    rate: int
    names: tuple[str, ...]
    samples: np.ndarray

    def key(self) -> tuple[int, tuple[str, ...], int]:
        """What changes where one sound is joined to another."""
        return self.rate, self.names, self.samples.shape[0]

    def silence(self, seconds: Fraction) -> Iterator[_Piece]:
        """Yield as much silence of this kind, at most a second at a time."""
        left = round(seconds * self.rate)
        while left > 0:
            count = min(left, self.rate)
            yield replace(self, samples=np.zeros((self.samples.shape[0], count), np.float32))
            left -= count


class _Damage:
    """Keeps count of what cannot be decoded, and of the time that it took.

    Attributes
    ----------
    first : Exception or None
        What FFmpeg said of the first damaged packet.
    lost : Fraction
        Seconds that cannot be decoded.
    left_out : Fraction
        Those of them, at the end, that no silence stands for.
    absent : Fraction
        Seconds that the timestamps leap over, without a damaged packet there.
    """

    def __init__(self, path: Path, duration: Fraction | None = None) -> None:
        self._path, self._duration = path, duration
        self.first: Exception | None = None
        self.lost = self.left_out = self.absent = Fraction(0)
        self._place: Fraction | None = None
        self._end: Fraction | None = None  # of what was decoded, by the stamps
        self._clock = Fraction(0)  # the stamp that what was given out so far would lead to
        self._start: Fraction | None = None  # of what is skipped
        self._skipped = Fraction(-1)  # seconds since the last good frame; -1: nothing
        self._tag_end = -1  # in bytes of the file
        self._tags = Fraction(0)  # seconds that stamps count for tags, since the last good frame

    def in_tag(self, packet: Any) -> bool:
        """Tell whether a packet begins in a tag, which FFmpeg takes for damaged sound."""
        if packet.pos is None or packet.pos >= self._tag_end:
            return False
        self._tags += _seconds(packet.duration, packet)
        return True

    def add(self, packet: Any, error: Exception) -> None:
        """Count a packet that cannot be decoded."""
        self.first = self.first or error
        length = _tag_length(bytes(packet))
        if length is not None and packet.pos is not None:
            self._tag_end = packet.pos + length
            self._tags += _seconds(packet.duration, packet)
            return
        if self._skipped < 0:
            self._skipped = Fraction(0)
            self._start = None if packet.pts is None else packet.pts * packet.time_base
        self._skipped += _seconds(packet.duration, packet)

    def fill(self, frame: Any, kind: _Piece) -> Iterator[_Piece]:
        """Yield silence in place of what was skipped before `frame`."""
        timed = frame.pts is not None and frame.time_base is not None
        now = frame.pts * frame.time_base if timed else None
        before = self._end if self._end is not None else self._start
        gap = Fraction(0)
        if now is not None and before is not None:
            gap = max(now - before - self._tags, gap)
        self._clock += self._tags
        if self._skipped >= 0:
            gap = self._skipped if now is None else gap
            self._lose(gap)
            if self._duration is not None:
                self.check(self._duration)
        elif now is not None and self._end is not None:
            gap = min(gap, now - self._clock)
            gap = gap if _GAP <= gap <= _LONGEST_GAP else Fraction(0)
            if gap and self._place is None:
                self._place = self._end
            self.absent += gap
        yield from kind.silence(gap)
        length = Fraction(frame.samples, frame.sample_rate)
        if now is not None and self._end is None:
            self._clock = now - gap
        self._clock += gap + length
        self._end = None if now is None else now + length
        self._skipped, self._tags = Fraction(-1), Fraction(0)

    def end(self) -> None:
        """Count what was skipped after the last good frame."""
        if self._skipped > 0:
            self.left_out = self._skipped
            self._lose(self._skipped)

    def _lose(self, seconds: Fraction) -> None:
        if self._place is None:
            self._place = (self._end if self._end is not None else self._start) or Fraction(0)
        self.lost += seconds

    def check(self, seconds: Fraction) -> None:
        """Raise MediaError where too much was lost of a sound of so many seconds."""
        if self.lost * 10 > seconds:
            raise MediaError(
                f"{self._path} is damaged: {float(self.lost):.2f} of {float(seconds):.2f} s "
                "cannot be decoded; export the sound again"
            ) from self.first

    def sentence(self) -> str:
        """Say what was skipped or is absent, and where; "" where nothing was."""
        if self._place is None:
            return ""
        total, place = float(self.lost + self.absent), float(self._place)
        if not self.lost:
            return (
                f"{self._path} has no sound for {total:.2f} s from {place:.2f} s on; it is silent"
            )
        left = "left out" if self.left_out == self.lost else "silent"
        return (
            f"{self._path} is damaged: {total:.2f} s from {place:.2f} s on cannot be decoded and "
            f"are {left}"
        )


def _seconds(ticks: int | None, packet: Any) -> Fraction:
    return Fraction(0) if ticks is None else Fraction(ticks * packet.time_base)


def _tag_length(data: bytes) -> int | None:
    """Return the bytes from the start of a packet to the end of the tag in it, None without one."""
    at = data.find(b"ID3")
    if at >= 0 and len(data) >= at + 10 and max(data[at + 6 : at + 10]) < 128:
        a, b, c, d = data[at + 6 : at + 10]
        return at + 10 + (a << 21 | b << 14 | c << 7 | d)
    at = data.find(b"APETAGEX")
    if at >= 0 and len(data) >= at + 16:
        return at + 32 + int.from_bytes(data[at + 12 : at + 16], "little")
    return len(data) if data.startswith(b"TAG") and len(data) <= 128 else None


class _Samples:
    """Takes the samples out of decoded frames."""

    def __init__(self) -> None:
        self._packers: dict[tuple[str, str, int], Any] = {}

    def of(self, frame: Any) -> np.ndarray:
        """Return the samples of an av.AudioFrame, (channels, n) float32, full scale -1..1."""
        channels = frame.layout.nb_channels
        # PyAV 18 reads beyond the eighth plane, and knows no numbers of 64 bits.
        if (frame.format.is_planar and channels >= 8) or frame.format.name.startswith("s64"):
            frame = self._packed(frame)
        samples: np.ndarray = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, channels).T
        if samples.dtype == np.uint8:
            return (samples.astype(np.float32) - 128) * np.float32(2**-7)
        if samples.dtype.kind == "i":
            return samples.astype(np.float32) * np.float32(2.0 ** (1 - 8 * samples.itemsize))
        return samples.astype(np.float32)

    def _packed(self, frame: Any) -> Any:
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if key not in self._packers:
            self._packers[key] = load_av("").AudioResampler("flt", frame.layout, frame.sample_rate)
        (packed,) = self._packers[key].resample(frame)
        return packed


def _finite(path: Path, block: np.ndarray) -> np.ndarray:
    if not np.isfinite(block).all():
        raise MediaError(f"{path} holds samples that are NaN or infinite; export the sound again")
    return block
