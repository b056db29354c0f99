"""Arrays of a template on disk: fixed-size items as .npy, ragged items as .bin + offsets.

Writers append item by item; their files are complete once `close` returns. Readers map files
read-only, or load them whole.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import TemplateError
from ..files.untrusted import open_plain, read_npy
from .layout import ragged_names

__all__ = ["FixedWriter", "Ragged", "RaggedWriter", "open_fixed", "save_array"]


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a small array as .npy.

    np.save can hide why, or even that, a disk refused; so write the bytes here.
    """
    file = io.BytesIO()
    np.save(file, array)
    path.write_bytes(file.getbuffer())


class FixedWriter:
    """Append items of one shape and dtype to a .npy file whose first axis grows."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self.count = 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by close)
        self._header()

    def _header(self) -> None:
        # NumPy pads the header so that the first axis can grow in place.
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (self.count, *self.shape),
            },
        )

    def append(self, item: NDArray[Any]) -> None:
        """Write one item; it must have the writer's shape."""
        assert item.shape == self.shape, (self.path.name, item.shape, self.shape)
        self._file.write(np.ascontiguousarray(item, self.dtype).data)
        self.count += 1

    def close(self) -> None:
        """Write the number of items into the header and close the file."""
        if not self._file.closed:
            with self._file:  # closes it even on a full disk
                self._file.seek(0)
                self._header()


class RaggedWriter:
    """Append byte strings to a .bin file; `close` writes their offsets beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        data, offsets = ragged_names(name)
        self.offsets = [0]
        self._offsets_path = folder / offsets
        self._file = open(folder / data, "wb")  # noqa: SIM115 (closed by close)

    def append(self, item: NDArray[Any]) -> None:
        """Write the bytes of one item of any shape."""
        self._file.write(np.ascontiguousarray(item).data)
        self.offsets.append(self.offsets[-1] + item.nbytes)

    def close(self) -> None:
        """Close the file and write the offsets."""
        if not self._file.closed:
            self._file.close()
            save_array(self._offsets_path, np.array(self.offsets, np.int64))


class Ragged:
    """Byte strings of different lengths in one flat array, with (n + 1) int64 offsets."""

    def __init__(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.data, self.offsets = data, offsets

    @classmethod
    def open(cls, folder: Path, name: str, load: bool) -> Ragged:
        """Open ``name.bin``, mapped or loaded; its offsets must rise and end with the file."""
        data_name, offsets_name = ragged_names(name)
        offsets = open_fixed(folder / offsets_name, np.int64, (), load=True)
        path = folder / data_name
        size = path.stat().st_size
        rising = offsets.size > 0 and offsets[0] == 0 and bool((np.diff(offsets) >= 0).all())
        if not rising or offsets[-1] != size:
            raise TemplateError(
                f"{path}: its offsets do not match its {size} bytes; prepare the template again"
            )
        try:
            with open_plain(path) as file:
                if load or size == 0:
                    data = np.fromfile(file, np.uint8, size)
                else:
                    data = np.asarray(np.memmap(file, np.uint8, "r", shape=(size,)))
        except ValueError as error:
            raise TemplateError(
                f"{path} is damaged ({error}); prepare the template again"
            ) from None
        return cls(data, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return a view of one item, (bytes,) uint8."""
        return self.data[self.offsets[index] : self.offsets[index + 1]]


def open_fixed(
    path: Path, dtype: DTypeLike, shape: tuple[int, ...], *, load: bool, private: bool = False
) -> NDArray[Any]:
    """Open a .npy file whose items have the given shape and dtype, as a plain array.

    Maps it read-only, reads it whole (`load`), or maps it copy-on-write (`private`): writes to
    such an array never reach the file or other mappings.

    Raises
    ------
    TemplateError
        The file is missing or damaged, or contains something else.
    """
    try:
        array = read_npy(path, None if load else "c" if private else "r")
    except FileNotFoundError:
        raise TemplateError(f"{path} is missing; prepare the template again") from None
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TemplateError(f"{path} is damaged ({error}); prepare the template again") from None
    if array.dtype != np.dtype(dtype) or array.shape[1:] != shape:
        raise TemplateError(
            f"{path} must hold {np.dtype(dtype)} items of shape {shape}, "
            f"got {array.dtype} {array.shape[1:]}; prepare the template again"
        )
    if not array.flags.c_contiguous:
        raise TemplateError(
            f"{path} must hold its items one after the other (C order), got another order; "
            "prepare the template again"
        )
    return np.asarray(array)
