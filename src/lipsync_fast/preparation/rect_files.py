"""Given rects: typed, from a file, or from other systems' folders of landmarks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import shown
from ..errors import InputError, LayoutError
from ..files.untrusted import load_npy, parse_json, read_text
from .boxes import from_corners

__all__ = ["read_landmarks", "read_rects", "square_of_landmarks"]

LMS_POINTS = 110
_MOST_LMS = 1 << 20  # bytes
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_RECT = ("x", "y", "w", "h")


def read_rects(source: str | Path | Sequence[int] | ArrayLike) -> NDArray[np.int64]:
    """Read given rects; they are not yet clipped to a frame.

    Parameters
    ----------
    source : str, Path, sequence or array
        - ``"x,y,w,h"`` or four integers: one rect for all frames;
        - (n, 4) integers;
        - a ``.json`` file with ``[[x, y, w, h], …]``; one named ``crop_rects*.json`` holds
          ``[[xmin, ymin, xmax, ymax], …]`` (half-open), as the Go server of SyncTalk avatars
          writes it;
        - a ``.csv`` file with four columns, with or without a header ``x,y,w,h`` or
          ``xmin,ymin,xmax,ymax``;
        - a ``.npy`` file of (n, 4) integers;
        - a ``.lms`` file of 110 landmarks, or a folder of them from ``0.lms`` or ``1.lms`` on.

        Among several rects ``0,0,0,0`` stands for a frame without a face.

    Returns
    -------
    (n, 4) int64, fresh
        x, y, w, h.

    Raises
    ------
    FileMissingError
        The file does not exist.
    InputError
        An entry is malformed or has no area; the message names the file and the line.
    LayoutError
        The numbers are not integers.
    """
    if isinstance(source, (str, Path)):
        typed = _typed_rect(str(source))
        rects, name = (typed, "the rect") if typed is not None else _read_file(Path(source))
    else:
        rects, name = np.asarray(source), "rects"
    rects = _whole(rects, name)
    bad = (rects[:, 2:] <= 0).any(axis=1)
    if len(rects) > 1 and not bad.all():
        bad &= rects.any(axis=1)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        where = name if len(rects) == 1 else f"{name}, entry {i}"
        raise InputError(
            f"{where} must have a width and height of at least 1 pixel, "
            f"got x, y, w, h = {', '.join(map(str, rects[i]))}"
        )
    return rects


def read_landmarks(path: str | Path) -> NDArray[np.int32]:
    """Read the points of one ``.lms`` file, truncated as in the scripts that read it.

    Returns
    -------
    (110, 2) int32, fresh
        x, y in pixels of the frame.

    Raises
    ------
    FileMissingError
        The file does not exist.
    InputError
        The file does not hold 110 lines of ``x y``.
    """
    lines = read_text(path, "landmarks", _MOST_LMS).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) != LMS_POINTS:
        raise InputError(f"{path} must hold {LMS_POINTS} lines of 'x y', got {len(lines)}")
    points = np.empty((LMS_POINTS, 2), np.float64)
    for number, line in enumerate(lines, 1):
        try:
            x, y = map(float, line.split())
        except ValueError:
            raise InputError(f"{path}, line {number}: needs 'x y', got {line[:40]!r}") from None
        points[number - 1] = x, y
    if not (np.abs(points) < 2**31).all():
        number = int(np.flatnonzero(~(np.abs(points) < 2**31).all(axis=1))[0]) + 1
        raise InputError(f"{path}, line {number}: the numbers must be finite pixels")
    return points.astype(np.int32)


def square_of_landmarks(points: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the square of the lower face from 110 landmarks.

    Parameters
    ----------
    points : (110, 2) int32

    Returns
    -------
    (4,) int64, fresh
        x, y, w, h; not clipped.

    References
    ----------
    SyncTalk_2D and Ultralight-Digital-Human, inference scripts: xmin = p[1].x,
    ymin = p[52].y, xmax = p[31].x, ymax = ymin + xmax − xmin.
    """
    left, top, right = (int(v) for v in (points[1, 0], points[52, 1], points[31, 0]))
    return np.array([left, top, right - left, right - left], np.int64)


# ---- one reader a kind of source -------------------------------------------------------------


def _typed_rect(text: str) -> NDArray[Any] | None:
    """Return the rect that a text spells, or None where it looks like a path."""
    parts = text.replace(",", " ").split()
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        return None
    if len(numbers) != 4:
        raise InputError(f"a rect must be four integers 'x,y,w,h', got {shown(text)}")
    return np.array([numbers])


def _read_file(path: Path) -> tuple[NDArray[Any], str]:
    try:
        folder = path.is_dir()
    except OSError as error:  # a name too long for the system
        raise InputError(
            f"rects must be 'x,y,w,h' or a file, got {shown(str(path))}: {error.strerror}"
        ) from None
    if folder:
        return _read_lms_folder(path), str(path)
    readers = {".json": _read_json, ".csv": _read_csv, ".npy": _read_npy, ".lms": _read_lms}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"rects must be 'x,y,w,h', a .json, .csv, .npy or .lms file or a folder of .lms "
            f"files, got {shown(str(path))}"
        )
    return reader(path), str(path)


def _read_json(path: Path) -> NDArray[Any]:
    text = read_text(path, "rects")
    try:
        entries = parse_json(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not valid JSON ({error.msg})") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    corners = path.name.startswith("crop_rects")
    words = _CORNERS if corners else _RECT
    if isinstance(entries, list) and len(entries) == 4 and all(map(_is_number, entries)):
        entries = [entries]
    if not isinstance(entries, list):
        raise InputError(f"{path} must hold a list of [{', '.join(words)}]")
    for i, entry in enumerate(entries):
        if not (isinstance(entry, list) and len(entry) == 4 and all(map(_is_number, entry))):
            raise InputError(
                f"{path}, entry {i}: needs [{', '.join(words)}], got {json.dumps(entry)[:60]}"
            )
    rects = np.array(entries).reshape(-1, 4)
    return from_corners(rects) if corners else rects


def _read_csv(path: Path) -> NDArray[Any]:
    rows: list[tuple[int, int, int, int]] = []
    corners = False
    for number, row in _csv_rows(path):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        words = tuple(cell.lower() for cell in cells)
        if not rows and words in (_CORNERS, _RECT):
            corners = words == _CORNERS
            continue
        try:
            x, y, w, h = map(int, cells)
        except ValueError:
            raise InputError(
                f"{path}, line {number}: needs four integers x,y,w,h, got {','.join(cells)[:60]!r}"
            ) from None
        rows.append((x, y, w, h))
    rects = np.array(rows).reshape(-1, 4)
    return from_corners(rects) if corners else rects


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a file with the numbers of their lines."""
    reader = csv.reader(read_text(path, "rects").splitlines())
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: needs four integers x,y,w,h, but {error}"
        ) from None


def _read_npy(path: Path) -> NDArray[Any]:
    return load_npy(path, "rects")


def _read_lms(path: Path) -> NDArray[Any]:
    return square_of_landmarks(read_landmarks(path))[None]


def _read_lms_folder(folder: Path) -> NDArray[Any]:
    files = {int(f.stem): f for f in folder.glob("*.lms") if f.stem.isdecimal()}
    if not files:
        raise InputError(f"{folder} must hold landmark files 0.lms, 1.lms, …, got none")
    first = min(files)
    gap = next((i for i in range(first, first + len(files)) if i not in files), None)
    if gap is not None:
        raise InputError(
            f"{folder} must hold a landmark file for every frame, and {gap}.lms is missing"
        )
    return np.stack([square_of_landmarks(read_landmarks(files[i])) for i in sorted(files)])


# ---- checks ----------------------------------------------------------------------------------


def _fit(rects: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which numbers are below 2³¹; no abs(), which the smallest integer does not have."""
    return (rects > -(2**31)) & (rects < 2**31)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(rects: NDArray[Any], name: str) -> NDArray[np.int64]:
    if rects.shape == (4,):
        rects = rects[None]
    if rects.ndim != 2 or rects.shape[1] != 4 or len(rects) == 0:
        raise InputError(f"{name} must hold at least one row of x, y, w, h, got {rects.shape}")
    if rects.dtype.kind == "O" or (rects.dtype.kind in "iu" and not _fit(rects).all()):
        raise InputError(f"{name} must hold pixels of a frame, got numbers beyond ±{2**31}")
    if rects.dtype.kind not in "iuf":
        raise LayoutError(f"{name} must hold integers, got {rects.dtype}")
    if rects.dtype.kind == "f":
        bad = ~(np.isfinite(rects) & (rects == np.trunc(rects))).all(axis=1)
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise LayoutError(f"{name}, entry {i}: needs whole pixels, got {rects[i].tolist()}")
    if not _fit(rects).all():
        raise InputError(f"{name} must hold pixels of a frame, got numbers beyond ±{2**31}")
    return rects.astype(np.int64)
