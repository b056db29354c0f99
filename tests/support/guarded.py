"""Arrays between canaries, and the layouts and widths that kernels are tried with."""

import numpy as np

LAYOUTS = [
    {},
    {"offset": 1},
    {"padding": 5},
    {"padding": 12, "flip": True},
]
WIDTHS = [*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65]


class Guarded:
    """An array inside a larger block of canary bytes.

    Parameters
    ----------
    shape : (H, W[, C]) of the array
    dtype : its dtype
    padding : canary bytes between the rows
    offset : bytes that move the first pixel off its alignment
    flip : rows stored bottom up (negative row stride)
    """

    CANARY = 0xA5
    MARGIN = 256

    def __init__(self, shape, dtype=np.uint8, *, padding=0, offset=0, flip=False):
        dtype = np.dtype(dtype)
        row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        pitch = row + padding
        self.block = np.full(2 * self.MARGIN + offset + pitch * shape[0], self.CANARY, np.uint8)
        inner = np.cumprod((dtype.itemsize, *shape[:0:-1]))[::-1][1:]
        start = self.MARGIN + offset + (pitch * (shape[0] - 1) if flip else 0)
        strides = (-pitch if flip else pitch, *(int(s) for s in inner))
        self.array = np.ndarray(shape, dtype, self.block, start, strides)

    def check(self):
        """Raise AssertionError if a byte outside the array was written."""
        mask = np.ones(self.block.shape, bool)
        view = np.ndarray(
            (*self.array.shape, self.array.itemsize),
            bool,
            mask,
            self.array.ctypes.data - self.block.ctypes.data,
            (*self.array.strides, 1),
        )
        view[...] = False
        assert (self.block[mask] == self.CANARY).all(), "a byte outside the array was written"
