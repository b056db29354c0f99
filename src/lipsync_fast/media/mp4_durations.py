"""Durations in the index of an mp4 that was written in fragments."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["mend_durations"]

Span = tuple[int, int]


def mend_durations(path: Path) -> None:
    """Make the video of an mp4 last until the end of its last frame.

    FFmpeg's muxer ends a track where the last frame of its *last fragment* ends. Where that
    fragment holds nothing but B-frames, the frame that they lean on, which is shown later, lies in
    the one before: the edit list ends too early, and players leave out that frame. The table of
    the frames' lengths (stts) tells the truth.

    Raises
    ------
    OSError
        The file cannot be read or written.
    """
    with path.open("r+b") as file:
        place, size = _find_index(file)
        file.seek(place)
        moov = bytearray(file.read(size))
        movie = _find(moov, (8, size), b"mvhd")
        scale, longest = _read(moov, movie, 12), 0
        for track in _children(moov, (8, size), b"trak"):
            header, media = _find(moov, track, b"tkhd"), _find(moov, track, b"mdia", b"mdhd")
            if _children(moov, track, b"mdia", b"minf", b"vmhd"):
                ticks = _sum_lengths(moov, _find(moov, track, b"mdia", b"minf", b"stbl", b"stts"))
                units = round(ticks * scale / _read(moov, media, 12))
                _write(moov, media, 16, ticks)
                _write(moov, header, 20, units)
                _write_edit(moov, _find(moov, track, b"edts", b"elst"), units)
            longest = max(longest, _read(moov, header, 20))
        _write(moov, movie, 16, longest)
        file.seek(place)
        file.write(moov)


def _find_index(file: BinaryIO) -> Span:
    """Return where the box moov begins, and its size."""
    at, end = 0, file.seek(0, 2)
    while at < end:
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        if name == b"moov":
            return at, size
        at += size or end
    raise OSError("the file has no index")


def _children(data: bytearray, span: Span, *path: bytes) -> list[Span]:
    """Return where the contents of the boxes at `path` inside `span` lie."""
    found, (at, end) = [], span
    while at < end:
        size, name = struct.unpack_from(">I4s", data, at)
        if name == path[0]:
            found.append((at + 8, at + size))
        at += size
    if len(path) == 1:
        return found
    return [inner for outer in found for inner in _children(data, outer, *path[1:])]


def _find(data: bytearray, span: Span, *path: bytes) -> Span:
    (found,) = _children(data, span, *path)
    return found


# Version 1 of these boxes has 64 bits for the two times before the scale, and for a duration.
def _read(data: bytearray, box: Span, place: int) -> int:
    """Read the scale of mvhd and mdhd (at 12) or the duration of these (16) or of tkhd (20)."""
    return int(struct.unpack_from(*_field(data, box, place))[0])


def _write(data: bytearray, box: Span, place: int, value: int) -> None:
    layout, _, at = _field(data, box, place)
    struct.pack_into(layout, data, at, value)


def _field(data: bytearray, box: Span, place: int) -> tuple[str, bytearray, int]:
    wide = data[box[0]] == 1
    return ">Q" if wide and place > 12 else ">I", data, box[0] + place + 8 * wide


def _write_edit(data: bytearray, box: Span, units: int) -> None:
    """Set how long the last edit is; those before it are empty ones."""
    at, wide = box[0], data[box[0]] == 1
    (count,) = struct.unpack_from(">I", data, at + 4)
    struct.pack_into(
        ">Q" if wide else ">I", data, at + 8 + (count - 1) * (20 if wide else 12), units
    )


def _sum_lengths(data: bytearray, box: Span) -> int:
    """Return the ticks that all frames last."""
    (count,) = struct.unpack_from(">I", data, box[0] + 4)
    pairs = struct.iter_unpack(">II", data[box[0] + 8 : box[0] + 8 + 8 * count])
    return sum(frames * ticks for frames, ticks in pairs)
