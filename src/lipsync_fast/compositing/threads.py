"""The threads that share the frames of a request."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ..memory.once import OneShot

__all__ = ["Threads"]


class Threads:
    """Threads that work through a range together with the calling thread.

    Parameters
    ----------
    count : int
        Number of threads, including the calling one.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.start()

    def start(self) -> None:
        """Start the threads, since a forked process inherits none."""
        others = self.count - 1
        self._executor = ThreadPoolExecutor(others, "lipsync-compositor") if others else None

    def close(self) -> None:
        """End the threads once their work is done; the calling thread does any later work."""
        if self._executor is not None:
            self._executor.shutdown()

    def share(self, count: int, work: Callable[[int, int], None]) -> None:
        """Work through `count` items, one run of neighbours on each thread.

        Parameters
        ----------
        count : int
        work : callable
            ``work(first, last)`` for each run, half-open.

        Raises
        ------
        Exception
            The error of a run, the calling thread's before others; all runs have ended by then.
        """
        shares = min(self.count, count)
        if shares <= 1:
            work(0, count)
            return
        # The larger runs first: this thread begins at once, the others have to wake up.
        bounds = [count - count * (shares - share) // shares for share in range(shares + 1)]
        runs = list(itertools.pairwise(bounds))
        others: list[Future[None]] = []
        try:
            own = runs[:1]
            for part in runs[1:]:
                try:
                    assert self._executor is not None  # one thread makes one run
                    others.append(self._executor.submit(OneShot(work, *part)))
                except RuntimeError:  # closed in the meantime
                    own.append(part)
            for part in own:
                work(*part)
        finally:
            # Their buffers must not be released while they are written to.
            errors = [error for other in others if (error := other.exception()) is not None]
        if errors:
            raise errors[0]
