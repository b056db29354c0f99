"""The sizes of runs that a request is cut into; large ones go when memory is short."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from ..errors import DeviceMemoryError
from ..memory._pool import BufferPool

__all__ = ["CPU_SIZES", "MicroBatches", "padded"]

_log = logging.getLogger(__name__)

# A 320 U-Net takes 0.5 GB at 1, 3 GB at 8 and 9.6 GB at 25 frames on the CPU, at equal speed.
CPU_SIZES = (1, 2, 3, 4)


class MicroBatches:
    """The sizes of a model's runs; threads may share it.

    Parameters
    ----------
    sizes : sequence of int
        Frames of a run, ascending. The rest of a request takes the next larger size if at most
        a quarter of it would idle, else the next smaller one.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        self._lock = threading.Lock()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes in use, ascending."""
        with self._lock:
            return self._sizes

    @property
    def most(self) -> int:
        """The most frames of one run."""
        return self.sizes[-1]

    def size_for(self, rest: int) -> int:
        """Return the size of the run that takes the next of `rest` frames."""
        sizes = self.sizes
        if rest >= sizes[-1]:
            return sizes[-1]
        above = next(size for size in sizes if size >= rest)
        below = max((size for size in sizes if size <= rest), default=None)
        return above if below is None or 4 * (above - rest) <= above else below

    def halve(self, size: int) -> bool:
        """Keep the sizes up to half of one that was too large; return False if none is left."""
        with self._lock:
            kept = tuple(s for s in self._sizes if 2 * s <= size)
            # Another thread may have halved it meanwhile: the smaller set counts.
            self._sizes = kept or self._sizes
        return bool(kept)

    def run(self, count: int, work: Callable[[slice, int], None]) -> None:
        """Process a request run by run; repeat a run that finds no memory in smaller ones.

        Parameters
        ----------
        count : int
            Frames of the request.
        work : callable
            Called with the frames of a run and the run's size, which may be larger.

        Raises
        ------
        DeviceMemoryError
            There is no memory even for the smallest size.
        """
        first = 0
        while first < count:
            size = self.size_for(count - first)
            part = slice(first, min(first + size, count))
            try:
                work(part, size)
            except DeviceMemoryError as error:
                if not self.halve(size):
                    raise
                # Log its text alone: a stored log record would keep the error's pictures alive.
                _log.warning("%s; from now on at most %d at once", str(error), self.most)
            else:
                first = part.stop


def padded(array: NDArray[Any], size: int, pool: BufferPool) -> NDArray[Any]:
    """Return a pooled copy of an array, padded to `size` rows; itself if it has them already.

    Repeats the last row, so that no model divides by the zeros of a blank frame.
    """
    if len(array) == size:
        return array
    full = pool.empty((size, *array.shape[1:]), array.dtype)
    full[: len(array)] = array
    full[len(array) :] = array[-1]
    return full
