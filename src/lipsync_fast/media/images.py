"""Folders of images, in and out."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from ..errors import FileMissingError, MediaError
from ..files.part import hold_folder, part_of, release, remove_frames
from ..files.targets import check_new_folder
from .pyav import require_file

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the JPEG and PNG files of a folder in natural order: 2.jpg before 10.jpg.

    Raises
    ------
    FileMissingError
        There is no such folder.
    MediaError
        It is not a folder, or holds none of these files.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileMissingError(f"no such folder: {folder}")
    if not folder.is_dir():
        raise MediaError(f"{folder} is not a folder")
    files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
    # The hidden files that macOS leaves beside each image ("._1.jpg") hold no picture.
    files = [p for p in files if not p.name.startswith(".")]
    if not files:
        raise MediaError(f"{folder} must hold .jpg or .png files, got none")
    return sorted(files, key=_natural)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one image, turned upright by its EXIF tag; transparency is dropped.

    Returns
    -------
    (H, W, 3) uint8, bgr24, fresh

    Raises
    ------
    FileMissingError
        There is no such file.
    MediaError
        It is not an image, is damaged, or has more than 8 bits a channel.
    """
    path = require_file(path)
    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"):
                raise MediaError(
                    f"{path} has pixels of mode {image.mode}; needed are 8 bits a channel"
                )
            rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{path} is not an image that can be read: {error}") from error
    return np.ascontiguousarray(rgb[..., ::-1])


def read_images(folder: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Read the images of a folder in natural order, one at a time; all must be of one size.

    Yields
    ------
    (H, W, 3) uint8, bgr24, fresh

    Raises
    ------
    FileMissingError, MediaError
        As list_images and read_image; or an image differs in size from the first.
    """
    files = list_images(folder)
    first: tuple[int, ...] = ()
    for path in files:
        image = read_image(path)
        first = first or image.shape
        if image.shape != first:
            raise MediaError(
                f"{path} is {image.shape[1]}x{image.shape[0]}, but {files[0].name} is "
                f"{first[1]}x{first[0]}; all images of a folder must be of one size"
            )
        yield image


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that compares runs of digits as numbers."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts]


class JpegFolder:
    """A folder of numbered JPEG files: 00000000.jpg, 00000001.jpg and so on.

    They are written to ``<folder>.part``, which `close` renames, and which one writer at a time
    holds; frames that a killed one left there are removed. As a context manager it closes
    at the end of the block, and aborts where the block raises.

    Parameters
    ----------
    folder : str or PathLike
        New, or empty; its parent exists.

    Raises
    ------
    InputError
        A name that names no folder.
    FileMissingError
        The folder that it is to lie in does not exist.
    MediaError
        The folder has files in it, or cannot be made; another writer is at it, or ``.part`` holds
        anything besides frames.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = check_new_folder(folder, MediaError)
        self.frames = 0
        self._part = part_of(self.folder)
        try:
            self._release = weakref.finalize(self, release, hold_folder(self.folder))
        except OSError as error:
            raise self._unwritable(error) from error
        self._open = True

    def __enter__(self) -> JpegFolder:
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

    def write(self, data: Buffer) -> None:
        """Write the next frame.

        Parameters
        ----------
        data : bytes-like
            A whole JPEG file.

        Raises
        ------
        MediaError
            It cannot be written; ``.part`` has been removed.
        """
        try:
            (self._part / f"{self.frames:08d}.jpg").write_bytes(data)
        except OSError as error:
            self.abort()
            raise self._unwritable(error) from error
        self.frames += 1

    def close(self) -> None:
        """Give the folder its name; a closed one does nothing.

        Raises
        ------
        MediaError
            The name has been taken; ``.part`` has been removed.
        """
        if not self._open:
            return
        try:
            with suppress(FileNotFoundError):
                self.folder.rmdir()
            self._part.rename(self.folder)
        except OSError as error:
            self.abort()
            raise self._unwritable(error) from error
        self._open = False
        self._release()

    def abort(self) -> None:
        """Remove what was written."""
        if self._open:
            self._open = False
            with suppress(OSError, MediaError):
                remove_frames(self._part, self.folder)
                self._part.rmdir()
            self._release()

    def _unwritable(self, error: OSError) -> MediaError:
        return MediaError(f"{self.folder} cannot be written: {error.strerror or error}")
