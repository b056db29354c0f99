"""Parts of the JPEG tests: Pillow as the oracle, pictures, buffers that end at a guard page."""

import ctypes
import ctypes.util
import io
import mmap

import numpy as np
from PIL import Image

PILLOW_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
MCU = {"4:2:0": (16, 16), "4:2:2": (16, 8), "4:4:4": (8, 8), "4:0:0": (8, 8)}


def pillow_jpeg(frame, quality, subsampling, interval):
    """Encode a bgr24 or grey picture with Pillow."""
    picture = Image.fromarray(np.ascontiguousarray(frame[..., ::-1] if frame.ndim == 3 else frame))
    options = {"quality": quality, "restart_marker_blocks": interval}
    if frame.ndim == 3:
        options["subsampling"] = PILLOW_SUBSAMPLING[subsampling]
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def photo(rng, height, width, channels=3):
    """Smooth colour, an edge and noise of ±6: every size of coefficient, few of them large."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        128 + 90 * np.sin(x / rng.uniform(5, 60) + y / rng.uniform(5, 60) + rng.uniform(0, 6))
        for _ in range(channels)
    ]
    picture = np.stack(waves, -1) + rng.uniform(-6, 6, (height, width, channels))
    picture[(x + y) % 61 < 20] -= 40
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return picture[..., 0].copy() if channels == 1 else picture


def mcus_per_row(width, subsampling):
    return -(-width // MCU[subsampling][0])


def intervals(width, subsampling):
    """Return all restart intervals that divide a row."""
    mcus = mcus_per_row(width, subsampling)
    return [r for r in range(1, mcus + 1) if mcus % r == 0]


def tables_of(data):
    """Where the segments of quantisation and Huffman tables stand: slices of the file."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] in (0xDB, 0xC4):
            found.append(slice(at, end))
        at = end
    return found


class GuardedPages:
    """Memory that ends at a page which the process may not read or write."""

    def __init__(self, size):
        page = mmap.PAGESIZE
        self.size = -(-size // page) * page
        self._map = mmap.mmap(-1, self.size + page)
        self.memory = np.frombuffer(self._map, np.uint8)
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        guard = ctypes.c_void_p(self.memory.ctypes.data + self.size)
        if libc.mprotect(
            guard, ctypes.c_size_t(page), mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0
        ):
            raise OSError(ctypes.get_errno(), "mprotect")

    def hold(self, data):
        """The bytes, moved so that they end where the guard begins: (n,) uint8 view."""
        view = self.memory[self.size - len(data) : self.size]
        view[:] = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        return view

    def image(self, picture):
        """The picture, its last byte the last before the guard: a view of its shape."""
        return self.hold(picture.reshape(-1)).reshape(picture.shape)
