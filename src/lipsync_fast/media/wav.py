"""RIFF/WAVE files of plain samples, read without PyAV."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import MediaError
from .channels import names_of_mask

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Bytes 2..15 of the sub-format GUID of an extensible header, equal for PCM and float.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# What writers to a pipe leave as the size, which they cannot know, is 0, or just below 2 or 4 GiB:
# 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, with or without the header's bytes.
_PLACEHOLDERS = (range(2**31 - 2**16, 2**31 + 1), range(2**32 - 2**16, 2**32))
_PLACEHOLDERS_64 = (range(2**63 - 2**16, 2**63 + 1), range(2**64 - 2**16, 2**64))
# RIFF, and its kin of more than 4 GiB (EBU Tech 3306, ITU-R BS.2088).
_KINDS = (b"RIFF", b"RF64", b"BW64")
_MAX_CHUNKS = 1000
_MAX_FORMAT_BYTES = 4096
_MAX_CHANNELS = 256
_MAX_RATE = 1_536_000


def ignore(sentence: str) -> None:
    pass


class CodedWav(MediaError):
    """A WAV whose samples are not plain numbers; FFmpeg may know their codec."""


class WavFile:
    """The samples of a WAV file: PCM of 8, 16, 24 or 32 bits, or floats of 32 or 64.

    Attributes
    ----------
    rate : int
        Samples a second of each channel.
    channels : int
    samples : int
        Samples of each channel.
    names : tuple of str
        The channels' names as FFmpeg says them; () where the header does not name them.
    duration : Fraction
        Seconds.

    Raises
    ------
    MediaError
        The header is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size_64: int | None = None
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(12)
            size = self._seek_chunk(file, b"fmt ", end)
            if not 16 <= size <= _MAX_FORMAT_BYTES:
                raise MediaError(f"{path} is a damaged WAV: its format chunk has {size} bytes")
            self._parse_format(file.read(size).ljust(16, b"\0"))
            file.seek(size % 2, 1)
            size = self._seek_chunk(file, b"data", end)
            self._start = file.tell()
        self._warning = ""
        self.samples = self._data_size(size, end) // self._sample_bytes // self.channels
        self.duration = Fraction(self.samples, self.rate)

    @staticmethod
    def accepts(path: Path) -> bool:
        """Tell whether `path` begins as a RIFF/WAVE file does."""
        with path.open("rb") as file:
            head = file.read(12)
        return head[:4] in _KINDS and head[8:12] == b"WAVE"

    def blocks(self, warn: Callable[[str], object] = ignore) -> Iterator[np.ndarray]:
        """Yield the sound in order, about a second at a time.

        Parameters
        ----------
        warn : callable
            Told, in a sentence, that the file is shorter than its header says.

        Yields
        ------
        (channels, n) float32, full scale -1..1, fresh
        """
        if self._warning:
            warn(self._warning)
        left = self.samples
        frame_bytes = self._sample_bytes * self.channels
        with self.path.open("rb") as file:
            file.seek(self._start)
            while left:
                raw = file.read(min(left, self.rate) * frame_bytes)
                if len(raw) < min(left, self.rate) * frame_bytes:
                    raise MediaError(f"{self.path} became shorter while it was read")
                block = self._to_float(raw).reshape(-1, self.channels).T
                left -= block.shape[1]
                yield np.ascontiguousarray(block)

    def _seek_chunk(self, file: BinaryIO, wanted: bytes, end: int) -> int:
        """Move `file` to the content of the next chunk `wanted`; return the size it states."""
        for _ in range(_MAX_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                break
            name, size = struct.unpack("<4sI", head)
            if name == b"ds64" and 16 <= size <= end - file.tell():
                self._size_64 = struct.unpack("<8xQ", file.read(16))[0]
                file.seek(-16, 1)
            if name == wanted:
                return int(size)
            if file.tell() + size > end:
                break
            file.seek(size + size % 2, 1)
        raise MediaError(f"{self.path} is a damaged WAV: it has no {wanted.decode().strip()} chunk")

    def _data_size(self, stated: int, end: int) -> int:
        """Return how many bytes of samples there are where the header states `stated`."""
        held = end - self._start
        placeholders = _PLACEHOLDERS
        if stated == 2**32 - 1 and self._size_64 is not None:
            stated, placeholders = self._size_64, _PLACEHOLDERS_64
        if not stated or any(stated in sizes for sizes in placeholders):
            return held
        if stated > held:
            self._warning = (
                f"{self.path} is cut off: its header promises {stated} bytes of samples, "
                f"{held} are there and are used"
            )
        return min(stated, held)

    def _parse_format(self, chunk: bytes) -> None:
        tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
        self.names: tuple[str, ...] = ()
        if tag == _EXTENSIBLE and len(chunk) >= 40:
            self.names = names_of_mask(struct.unpack_from("<I", chunk, 20)[0], channels)
            tag = struct.unpack_from("<H", chunk, 24)[0] if chunk[26:40] == _GUID_TAIL else 0
        if not 1 <= channels <= _MAX_CHANNELS or not 1 <= rate <= _MAX_RATE:
            raise MediaError(
                f"{self.path} is a damaged WAV: its header says {channels} channels at {rate} Hz"
            )
        sample_bytes, rest = divmod(frame_bytes, channels)
        widths = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8)}.get(tag, ())
        if not widths:
            raise CodedWav(f"{self.path} is a WAV of coded sound (format {tag})")
        if rest or sample_bytes not in widths or not 0 < bits <= 8 * sample_bytes:
            raise MediaError(
                f"{self.path} is a damaged WAV: its header says {bits} bits in {frame_bytes} bytes "
                f"for {channels} channels"
            )
        self.rate, self.channels = rate, channels
        self._float, self._sample_bytes = tag == _FLOAT, sample_bytes

    def _to_float(self, raw: bytes) -> np.ndarray:
        if self._float:
            return np.frombuffer(raw, f"<f{self._sample_bytes}").astype(np.float32)
        if self._sample_bytes == 1:
            return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) * np.float32(2**-7)
        if self._sample_bytes == 2:
            return np.frombuffer(raw, "<i2").astype(np.float32) * np.float32(2**-15)
        if self._sample_bytes == 3:
            # 24 bits become the upper three bytes of 32.
            wide = np.zeros((len(raw) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
            raw = wide.tobytes()
        return np.frombuffer(raw, "<i4").astype(np.float32) * np.float32(2**-31)
