"""Folders of images, in and out."""

from __future__ import annotations

import logging
import os
import re
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from ..errors import FileMissingError, MediaError
from ..files.part import hold_folder, part_of, release, remove_frames
from ..files.targets import check_new_folder
from ..files.untrusted import open_plain
from .pyav import require_file

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".tga", ".jp2"),
)
# What Pillow may open: none of these calls another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_MOST_PIXELS = 1 << 26  # of a picture: 8192 x 8192
_NAMED = 5  # files that a message names


@dataclass(frozen=True)
class ImageFacts:
    """What the header of an image file says.

    Attributes
    ----------
    format : str
        Pillow's name of it.
    pictures : int
        More than 1 in an animation or a file of several pages.
    alpha : bool
        Whether it has transparency, which `read_image` drops.
    """

    format: str
    pictures: int
    alpha: bool


def image_facts(path: str | os.PathLike[str]) -> ImageFacts | None:
    """Return what the header of an image file says; None where the file is not an image.

    Raises
    ------
    FileMissingError
        There is no such file.
    MediaError
        It is a folder or a pipe, or may not be read.
    """
    try:
        with _opened(_require_image(path)) as image:
            # A camera's JPEG may bring a second picture, for depth or in small.
            pictures = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            alpha = "A" in image.getbands() or "transparency" in image.info
            return ImageFacts(image.format or "", pictures, alpha)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, MediaError):
            raise
        return None


def _require_image(path: str | os.PathLike[str]) -> Path:
    """Check that a plain file can be read; an image is not taken from a pipe."""
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise MediaError(f"{path} is a pipe or a device; name an image file")
    return Path(require_file(path))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image by its content; its pixels are not read yet."""
    file = open_plain(path)
    with warnings.catch_warnings():
        # Pillow's limit is a warning; ours is checked before the pixels are read.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        Image.init()
        known = [name for name in _FORMATS if name in Image.OPEN]  # older ones lack AVIF
        with file, Image.open(file, formats=known) as image:
            yield image


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the images of a folder in natural order: 2.jpg before 10.jpg.

    They are recognised by their endings, `IMAGE_SUFFIXES`. A warning names what is left out.

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
    files = [p for p in _visible(folder) if _is_image(p)]
    if not files:
        raise MediaError(
            f"{folder} must hold images, {', '.join(IMAGE_SUFFIXES)}, got none; name a folder of "
            "images or a video"
        )
    if left := files_beside(folder):
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        _log.warning(
            "%s: left out, since they are not images: %s%s", folder, ", ".join(left[:_NAMED]), more
        )
    return sorted(files, key=_natural)


def files_beside(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names in a folder that `list_images` leaves out, hidden ones apart."""
    return sorted(p.name for p in _visible(Path(folder)) if not _is_image(p))


def _visible(folder: Path) -> list[Path]:
    # The hidden files that macOS leaves beside each image ("._1.jpg") hold no picture.
    return [p for p in folder.iterdir() if not p.name.startswith(".")]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


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
        It is not an image, is damaged, has more than 8 bits a channel or more than 67 million
        pixels, or holds several pictures.
    """
    path = _require_image(path)
    try:
        with _opened(path) as image:
            _check_header(path, image)
            if image.mode not in _MODES:
                raise MediaError(
                    f"{path} has pixels of mode {image.mode}; needed are 8 bits a channel"
                )
            rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{path} is not an image that can be read: {error}") from error
    return np.ascontiguousarray(rgb[..., ::-1])


def _check_header(path: Path, image: Image.Image) -> None:
    """Reject what would take much memory, or lose pictures, before any pixel is read."""
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise MediaError(
            f"{path} is {width}x{height}; the most is {_MOST_PIXELS} pixels: make it smaller"
        )
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":
        raise MediaError(
            f"{path} holds {pictures} pictures; save each as a file of its own, or make a video "
            "from them"
        )


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
