"""RIFF/WAVE files of plain samples, read without PyAV."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import MediaError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Bytes 2..15 of the sub-format GUID of an extensible header, equal for PCM and float.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# A data size of 0 or all ones is what a writer to a pipe leaves behind: the samples run to the end.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_MAX_CHUNKS = 1000
_MAX_FORMAT_BYTES = 4096
_MAX_CHANNELS = 256
_MAX_RATE = 1_536_000


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
    duration : Fraction
        Seconds.

    Raises
    ------
    MediaError
        The header is damaged, or promises more samples than the file holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        held = end - self._start
        if size in _UNKNOWN_SIZES:
            size = held
        if size > held:
            raise MediaError(
                f"{path} is cut off: its header promises {size} bytes of samples, {held} are there"
            )
        self.samples = size // self._sample_bytes // self.channels
        self.duration = Fraction(self.samples, self.rate)

    @staticmethod
    def accepts(path: Path) -> bool:
        """Tell whether `path` begins as a RIFF/WAVE file does."""
        with path.open("rb") as file:
            head = file.read(12)
        return head[:4] == b"RIFF" and head[8:12] == b"WAVE"

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the sound in order, about a second at a time.

        Yields
        ------
        (channels, n) float32, full scale -1..1, fresh
        """
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
            if name == wanted:
                return int(size)
            if file.tell() + size > end:
                break
            file.seek(size + size % 2, 1)
        raise MediaError(f"{self.path} is a damaged WAV: it has no {wanted.decode().strip()} chunk")

    def _parse_format(self, chunk: bytes) -> None:
        tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
        if tag == _EXTENSIBLE and len(chunk) >= 40:
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
