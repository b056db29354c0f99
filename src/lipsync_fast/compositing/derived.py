"""Backgrounds in formats that a template does not store: made on request, up to a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..memory import BufferPool
from .canvas import Canvas

__all__ = ["DerivedBackgrounds"]

# Runs work(first, last) for parts of `count` items, on as many threads as there are.
Share = Callable[[int, Callable[[int, int], None]], None]


class _Entry:
    """One background: under way until `made` is set, then available unless it `failed`."""

    __slots__ = ("canvas", "dropped", "failed", "holders", "index", "made", "nbytes")

    def __init__(self, canvas: Canvas, index: int) -> None:
        self.canvas, self.index = canvas, index
        self.nbytes = 0
        self.holders = 1  # requests that need it now, or wait for it
        self.made = threading.Event()
        self.failed = self.dropped = False


class DerivedBackgrounds:
    """The backgrounds that a compositor has made, up to a limit; the least recently used go.

    Threads may share it. The first request that needs a background makes it, others wait only
    for that one: no lock is held meanwhile.

    Parameters
    ----------
    limit : int
        Bytes that may be kept. Backgrounds of requests under way may exceed it until these end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pool = BufferPool()
        self._entries: OrderedDict[tuple[Canvas, int], _Entry] = OrderedDict()
        self._bytes = 0
        self.renew_lock()

    def renew_lock(self) -> None:
        """Make a new lock, since a forked process may inherit a locked one."""
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Bytes that may be kept; setting it releases backgrounds beyond it."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._evict()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept now."""
        return self._bytes

    def kept(self, canvas: Canvas) -> tuple[int, int]:
        """Return the number of a canvas's kept backgrounds, and their bytes."""
        with self._lock:
            sizes = [e.nbytes for e in self._entries.values() if e.canvas is canvas]
        return len(sizes), sum(sizes)

    @contextmanager
    def lease(self, canvas: Canvas, indices: Iterable[int], share: Share) -> Iterator[None]:
        """Make missing backgrounds of a canvas, and keep them all until the block ends.

        Parameters
        ----------
        canvas : Canvas
        indices : iterable of int
        share : callable
            ``share(count, work)`` calls ``work(first, last)`` for all parts of a range, on
            several threads.

        Raises
        ------
        TemplateError, InputError
            A background cannot be made.
        """
        held: list[_Entry] = []
        mine: list[_Entry] = []
        try:
            wanted = set(indices)
            while wanted:
                mine.clear()
                others = self._take(canvas, wanted, held, mine)
                if mine:
                    share(len(mine), lambda first, last: self._make(mine[first:last]))
                for entry in others:
                    entry.made.wait()
                # Try again to make one that another request failed to make.
                wanted = {entry.index for entry in others if entry.failed}
            yield
        finally:
            self._give_back(held, mine)

    def drop(self, canvas: Canvas) -> None:
        """Forget a canvas; backgrounds of requests under way go when these end."""
        with self._lock:
            for entry in [e for e in self._entries.values() if e.canvas is canvas]:
                entry.dropped = True
                if not entry.holders:
                    self._forget(entry)

    # ---- parts of a lease --------------------------------------------------------------

    def _take(
        self, canvas: Canvas, wanted: Iterable[int], held: list[_Entry], mine: list[_Entry]
    ) -> list[_Entry]:
        """Hold entries; list those to make here, and return those that others make."""
        others = []
        with self._lock:
            for index in wanted:
                entry = self._entries.get((canvas, index))
                if entry is None:
                    entry = self._entries[canvas, index] = _Entry(canvas, index)
                    mine.append(entry)
                else:
                    entry.holders += 1
                    self._entries.move_to_end((canvas, index))
                    if not entry.made.is_set():
                        others.append(entry)
                held.append(entry)
        return others

    def _make(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            nbytes = entry.canvas.derive(entry.index, self._pool)
            with self._lock:
                entry.nbytes = nbytes
                self._bytes += nbytes
                self._evict()
            entry.made.set()

    def _give_back(self, held: Iterable[_Entry], mine: Iterable[_Entry]) -> None:
        with self._lock:
            for entry in mine:
                if not entry.made.is_set():  # an error or an interrupt came before it
                    del self._entries[entry.canvas, entry.index]
                    entry.failed = True
                    entry.made.set()
            for entry in held:
                entry.holders -= 1
                if entry.dropped and not entry.holders and not entry.failed:
                    self._forget(entry)
            self._evict()

    # ---- under the lock ----------------------------------------------------------------

    def _evict(self) -> None:
        if self._bytes <= self._limit:
            return
        for entry in list(self._entries.values()):
            if self._bytes <= self._limit:
                break
            if not entry.holders and entry.made.is_set():
                self._forget(entry)
        if self._pool.stats().bytes > 2 * self._limit + self._bytes:
            self._pool.trim()  # blocks of sizes that nobody needs any more

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.canvas, entry.index]
        self._bytes -= entry.nbytes
        entry.canvas.forget(entry.index)

    def __repr__(self) -> str:
        kept: dict[Any, int] = {}
        for canvas, _ in self._entries:
            kept[canvas.format] = kept.get(canvas.format, 0) + 1
        return f"<DerivedBackgrounds {kept}, {self._bytes} bytes>"
