"""Folders of other systems, read as frames, rects and masks; nothing in them changes.

References
----------
SyncTalk_2D and Ultralight-Digital-Human, inference scripts (data sets, parsing maps);
LiveTalking, avatars/*/genavatar.py and *_avatar.py (avatars, order of their coordinates, loop);
MuseTalk, scripts/realtime_inference.py and utils/blending.py (avatars, masks and their boxes).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..errors import FileMissingError, InputError
from ..files.plain_pickle import load_plain
from ..files.untrusted import parse_json, plain_text
from ..media import list_images, read_image
from ..presets import PRESETS, Preset
from ..timing import Loop, parse_fps
from .boxes import from_corners
from .rect_files import read_landmarks, read_rects, square_of_landmarks

__all__ = ["Avatar", "MaskOf", "find_avatar", "read_boxes"]

_log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
Rects = NDArray[np.int64]
Rect = tuple[int, int, int, int]
# Makes alpha over a frame's rect, from its index, clipped rect, and the frame's width and height.
MaskOf = Callable[[int, Rect, tuple[int, int]], Picture]

_PARTS = 3  # missing files that a message names
_COMPARED = 3  # faces that decide the order of the coordinates


@dataclass(frozen=True)
class Avatar:
    """What another system's folder holds.

    Attributes
    ----------
    system : str
        Its name in messages, with an article.
    frames : Path or sequence of Path
        A video, or images in order.
    rects : (n, 4) int64 or None
        x, y, w, h of each frame, not clipped; None where `lacking` says what is missing.
    lacking : str or None
    mask : callable or None
        Alpha over a frame's rect, (h, w) uint8.
    preset : str or None
        The family that the folder was made for, where it says so.
    loop : Loop
        The order in which that system shows the frames; what is open is left to the preset.
    fps : Fraction or None
        Frames a second, where the folder says so.
    """

    system: str
    frames: Path | Sequence[Path]
    rects: Rects | None
    lacking: str | None = None
    mask: MaskOf | None = None
    preset: str | None = None
    loop: Loop = field(default_factory=Loop)
    fps: Fraction | None = None


def find_avatar(
    folder: str | Path, preset: Preset | None = None, *, masks: bool = True
) -> Avatar | None:
    """Read another system's folder, recognised by the names in it.

    Parameters
    ----------
    folder : str or Path
    preset : Preset, optional
        The family of the generator that is to use it; decides what the folder leaves open.
    masks : bool
        Whether to read its masks or parsing maps.

    Returns
    -------
    Avatar or None
        None for any other folder, or for a path that names no folder.

    Raises
    ------
    FileMissingError
        An essential part of the system's layout is missing.
    InputError
        A part is malformed; the message names the file.
    MediaError
        An image cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        return None
    if (root / "full_body_img").is_dir():
        found = _read_dataset(root, masks)
    elif _has(root, "crop_rects.json", "cache/crop_rectangles.json", "full_body_video.mp4") or (
        _has(root, "frames") and _has(root, "package_info.json")
    ):
        found = _read_package(root)
    elif _has(root, "full_imgs"):
        muse = _has(root, "mask", "mask_coords.pkl", "latents.pt", "avator_info.json")
        found = _read_musetalk(root, masks) if muse else _read_livetalking(root, preset)
    else:
        return None
    _log.info("%s: %s", folder, found.system)
    return found


def _has(root: Path, *names: str) -> bool:
    return any((root / name).exists() for name in names)


def _missing(root: Path, names: Sequence[str]) -> str | None:
    """Return the names that do not exist in a folder as one text, or None."""
    absent = [name for name in names if not (root / name).is_file()]
    if not absent:
        return None
    more = f" and {len(absent) - _PARTS} more" if len(absent) > _PARTS else ""
    return ", ".join(absent[:_PARTS]) + more


# ---- SyncTalk_2D, Ultralight -----------------------------------------------------------------


def _read_dataset(root: Path, masks: bool) -> Avatar:
    files = list_images(root / "full_body_img")
    names = [f"landmarks/{file.stem}.lms" for file in files]
    lacking = _missing(root, names)
    rects = None
    if lacking is None:
        rects = np.stack([square_of_landmarks(read_landmarks(root / name)) for name in names])
    mask = None
    if masks and (root / "parsing").is_dir():
        maps = [f"parsing/{file.stem}.png" for file in files]
        if (absent := _missing(root, maps)) is not None:
            raise FileMissingError(
                f"{root} has parsing maps, but {absent} is missing; "
                "add it or leave masks out (--masks none)"
            )
        mask = _parsing_masks([root / name for name in maps])
    return Avatar("a SyncTalk_2D or Ultralight data set", files, rects, lacking, mask)


def _parsing_masks(maps: Sequence[Path]) -> MaskOf:
    """Make masks that keep the background where a map is pure red or white."""

    def mask(index: int, rect: Rect, size: tuple[int, int]) -> Picture:
        parsing = read_image(maps[index])
        _check_size(maps[index], parsing, size)
        x, y, w, h = rect
        area = parsing[y : y + h, x : x + w]
        kept = (area == (0, 0, 255)).all(axis=2) | (area == 255).all(axis=2)
        return np.where(kept, 0, 255).astype(np.uint8)

    return mask


def _check_size(path: Path, picture: Picture, size: tuple[int, int]) -> None:
    got = (picture.shape[1], picture.shape[0])
    if got != size:
        raise InputError(
            f"{path} must be {size[0]}×{size[1]} pixels like its frame, got {got[0]}×{got[1]}"
        )


# ---- the Go server of SyncTalk avatars ---------------------------------------------------------


def _read_package(root: Path) -> Avatar:
    rects, lacking = _package_rects(root)
    files: list[Path] = []
    if (root / "frames").is_dir() and any((root / "frames").iterdir()):
        files = list_images(root / "frames")
    video = root / "full_body_video.mp4"
    # The server extracts frames from the video when it starts, sometimes not to the end.
    whole = len(files) > 0 and (rects is None or len(files) == len(rects))
    from_video = video.is_file() and not whole
    if not from_video and not files:
        raise FileMissingError(
            f"{root} holds crops but no full frames to put them back in: "
            "frames/ and full_body_video.mp4 are missing; add one of them"
        )
    return Avatar(
        "a package of the Go server",
        video if from_video else files,
        rects,
        lacking,
        preset="synctalk328",
        loop=Loop("forward", 0),
        fps=None if from_video else _package_fps(root),
    )


def _package_rects(root: Path) -> tuple[Rects | None, str | None]:
    if (path := root / "crop_rects.json").is_file():
        return read_rects(path), None
    if (path := root / "cache" / "crop_rectangles.json").is_file():
        return _numbered_rects(path), None
    if (root / "landmarks").is_dir():
        return read_rects(root / "landmarks"), None
    return None, "crop_rects.json"


def _numbered_rects(path: Path) -> Rects:
    """Read rects from ``{"0": {"rect": [xmin, ymin, xmax, ymax]}, …}``."""
    entries = _read_json(path)
    try:
        numbered = {int(number): entry["rect"] for number, entry in entries.items()}
        corners = np.array([numbered[i] for i in range(len(numbered))], np.int64).reshape(-1, 4)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise InputError(
            f'{path} must hold {{"0": {{"rect": [xmin, ymin, xmax, ymax]}}, …}} with whole '
            "numbers, one entry a frame"
        ) from None
    return read_rects(from_corners(corners))


def _package_fps(root: Path) -> Fraction | None:
    """Return the frames' rate from package_info.json, where it states one."""
    path = root / "package_info.json"
    if not path.is_file():
        return None
    info = _read_json(path)
    videos = info.get("videos") if isinstance(info, dict) else None
    whole = videos.get("full_body") if isinstance(videos, dict) else None
    for part in (whole, info):
        if isinstance(part, dict) and isinstance(part.get("fps"), (int, float)):
            return parse_fps(part["fps"])
    return None


def _read_json(path: Path) -> Any:
    try:
        return parse_json(plain_text(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None


# ---- LiveTalking, MuseTalk -----------------------------------------------------------------------


def _read_livetalking(root: Path, preset: Preset | None) -> Avatar:
    files = list_images(root / "full_imgs")
    faces = list_images(root / "face_imgs") if _has(root, "face_imgs") else []
    side = read_image(faces[0]).shape[0] if faces else None
    made_for = {168: "ultralight168-hubert"}.get(side or 0, f"wav2lip{side}")
    path = root / "coords.pkl"
    rects = _ordered_rects(path, files, faces, preset) if path.is_file() else None
    return Avatar(
        "a LiveTalking avatar",
        files,
        rects,
        None if rects is not None else path.name,
        preset=made_for if made_for in PRESETS else None,
        loop=Loop("pingpong-doubled", 0),
    )


def _ordered_rects(
    path: Path, files: Sequence[Path], faces: Sequence[Path], preset: Preset | None
) -> Rects:
    """Read the rects of coords.pkl, whose order depends on the family it was made for.

    wav2lip writes (y1, y2, x1, x2), ultralight (x1, y1, x2, y2). The faces cut out beside it
    decide; without them the order that fits the frames does, or else the preset.
    """
    numbers = read_boxes(path)
    height, width = read_image(files[0]).shape[:2]
    orders = {"y1, y2, x1, x2": numbers[:, [2, 0, 3, 1]], "x1, y1, x2, y2": numbers}
    fitting = {
        order: from_corners(corners)
        for order, corners in orders.items()
        if _within(corners, width, height)
    }
    if not fitting:
        raise InputError(
            f"{path} holds boxes that lie outside of the {width}×{height} frames, whether read "
            f"as {' or '.join(orders)}; give rects in their place (--rects)"
        )
    if len(fitting) > 1 and faces:
        off = {order: _difference(rects, files, faces) for order, rects in fitting.items()}
        order = min(off, key=off.__getitem__)
    elif len(fitting) > 1:
        square = preset is not None and preset.rect_rule == "square"
        order = list(fitting)[square]
        _log.warning(
            "%s: face_imgs is missing, which tells the order of the boxes; they are read as (%s)",
            path, order,
        )  # fmt: skip
    else:
        (order,) = fitting
    _log.info("%s: boxes are read as (%s)", path, order)
    return fitting[order]


def _within(corners: Rects, width: int, height: int) -> bool:
    """Tell whether every box has an area inside the frame or is all 0, for no face."""
    left, top, right, bottom = corners.T
    empty = ~corners.any(axis=1)
    inside = (np.minimum(right, width) > np.maximum(left, 0)) & (left < right)
    inside &= (np.minimum(bottom, height) > np.maximum(top, 0)) & (top < bottom)
    return bool((inside | empty).all())


def _difference(rects: Rects, files: Sequence[Path], faces: Sequence[Path]) -> float:
    """Return the mean difference, in levels, between some faces and the pixels in their rects."""
    count = min(len(rects), len(files), len(faces))
    off = []
    for i in np.linspace(0, count - 1, min(count, _COMPARED)).astype(int):
        frame, face = read_image(files[i]), read_image(faces[i])
        x, y, w, h = rects[i]
        area = frame[max(y, 0) : y + h, max(x, 0) : x + w]
        if area.size == 0:
            continue
        size = (face.shape[1], face.shape[0])
        cut = kernels.resize(np.ascontiguousarray(area), size=size, filter="bilinear")
        off.append(float(np.abs(cut.astype(np.int16) - face).mean()))
    return float(np.mean(off)) if off else np.inf


def read_boxes(path: Path) -> Rects:
    """Read the (n, 4) whole numbers of a pickle, in its own order of coordinates."""
    value = load_plain(path)
    try:
        entries = [_items(row) for row in _items(value)]
        # Checked before any row is read: a file may name one long list as each of its rows.
        if not entries or any(len(row) != 4 for row in entries):
            raise ValueError
        rows = [[_number(v) for v in row] for row in entries]
    except (TypeError, ValueError):
        raise InputError(
            f"{path} must hold a list of boxes, one a frame, of four whole numbers each"
        ) from None
    return np.array(rows, np.int64)


def _items(value: Any) -> list[Any] | NDArray[Any]:
    if not isinstance(value, (list, np.ndarray)):
        raise TypeError
    return value


def _number(value: Any) -> int:
    number = value.item() if isinstance(value, (np.ndarray, np.generic)) else value
    if not isinstance(number, (int, float)) or abs(number) >= 2**31 or number != int(number):
        raise ValueError
    return int(number)


def _read_musetalk(root: Path, masks: bool) -> Avatar:
    files = list_images(root / "full_imgs")
    path = root / "coords.pkl"
    rects = from_corners(read_boxes(path)) if path.is_file() else None
    lacking = None if rects is not None else path.name
    mask = None
    if masks and _has(root, "mask") and rects is not None:
        boxes = root / "mask_coords.pkl"
        if not boxes.is_file():
            raise FileMissingError(
                f"{root} has masks, but mask_coords.pkl, which says where they lie, is missing; "
                "add it or leave masks out (--masks none)"
            )
        mask = _crop_masks(list_images(root / "mask"), read_boxes(boxes), boxes)
    # full_imgs holds the frames forwards and backwards already.
    return Avatar("a MuseTalk avatar", files, rects, lacking, mask, loop=Loop("forward", 0))


def _crop_masks(pictures: Sequence[Path], boxes: Rects, path: Path) -> MaskOf:
    """Cut masks out of pictures of alpha that cover boxes round the rects."""
    if len(pictures) != len(boxes):
        raise InputError(
            f"{path} must hold a box for each of the {len(pictures)} masks, got {len(boxes)} boxes"
        )

    def mask(index: int, rect: Rect, size: tuple[int, int]) -> Picture:
        if index >= len(pictures):
            raise InputError(
                f"{path} has no box for frame {index}, only {len(boxes)} in all; leave masks out "
                "(--masks none)"
            )
        left, top, right, bottom = (int(v) for v in boxes[index])
        alpha = read_image(pictures[index])[:, :, 0]
        _check_size(pictures[index], alpha, (right - left, bottom - top))
        x, y, w, h = rect
        area = alpha[max(y - top, 0) : y - top + h, max(x - left, 0) : x - left + w]
        if area.shape != (h, w):
            raise InputError(
                f"{path}: the box of frame {index} does not hold its rect {rect}; leave masks out "
                "(--masks none) or use the rects of coords.pkl"
            )
        return np.ascontiguousarray(area)

    return mask
