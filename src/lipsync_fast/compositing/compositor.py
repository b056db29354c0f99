"""Compositor: net outputs and template indices in, finished frames out."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_alphas, check_indices, check_int, check_type
from ..errors import ArgumentTypeError, InputError, LayoutError, PoolExhausted
from ..memory._pool import BufferPool
from ..memory.once import OneShot
from ..templates.template import Template
from ..timing import check_start
from . import _finish
from ._finish import Worker
from .canvas import Canvas, open_canvas
from .colour import ColourSmoother
from .frames import CompositorStats, Frame, Frames

__all__ = ["Compositor"]

_COMPOSITORS: weakref.WeakSet[Compositor] = weakref.WeakSet()


def _after_fork() -> None:
    """Start new threads in a child process: a request would wait for the parent's for ever."""
    for compositor in list(_COMPOSITORS):
        compositor._start_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


MOST_THREADS = 256  # each has its own scratch from the first request on

_Buffer = bytearray | memoryview | NDArray[np.uint8]


class Compositor:
    """Put generated mouths on a template's backgrounds.

    Threads may share a compositor; each call borrows its own workers. A process forked while
    no request runs has its own copy, with its own threads.

    Parameters
    ----------
    template : Template
    threads : int, optional
        Threads that share a request's frames, 1 to 256; the machine's cores by default, at most
        8.
    pool : BufferPool, optional
        The pool that frames are lent from; a new one by default.
    colour_match : bool
        Match the colours of every mouth to those round it: take off, per channel, the level and
        slopes by which the model's output differs from the stored crop along the border of the
        view. None of the reference scripts does that.

    Raises
    ------
    ArgumentTypeError
        If an argument has the wrong type.
    InputError
        If the number of threads is out of range.

    Examples
    --------
    >>> compositor = Compositor(Template.from_arrays(frames, rects, preset="wav2lip256"))
    >>> with compositor.composite(net_outputs, indices, format="jpeg") as frames:
    ...     for frame in frames:
    ...         socket.send(frame.data)
    >>> lengths = compositor.composite_into(buffers, net_outputs, indices)
    """

    def __init__(
        self,
        template: Template,
        *,
        threads: int | None = None,
        pool: BufferPool | None = None,
        colour_match: bool = False,
    ) -> None:
        if threads is None:
            threads = min(os.cpu_count() or 1, 8)
        self.template, self.colour_match = template, colour_match
        self.threads = check_int("threads", threads, 1, MOST_THREADS)
        self.pool = BufferPool() if pool is None else pool
        check_type("template", template, Template, hint="Template.open opens a folder")
        check_type("pool", self.pool, BufferPool)
        # It keeps no state, so threads may share it.
        self._unsmoothed = ColourSmoother(1, template.preset.view, time_constant=0)
        self._canvases: dict[tuple[str, int | None], Canvas] = {}
        self._workers: dict[Canvas, list[Worker]] = {}
        self._reserved: set[tuple[Canvas, int]] = set()
        self._frames = self._painted = 0
        self._closed = False
        self._start_threads()
        _COMPOSITORS.add(self)

    def _start_threads(self) -> None:
        """Start the threads and make the lock: a forked process inherits neither in order."""
        self._lock = threading.Lock()
        others = self.threads - 1
        self._executor = ThreadPoolExecutor(others, "lipsync-compositor") if others else None

    def close(self) -> None:
        """End the threads; requests under way in other threads finish, new ones are refused."""
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown()
        with self._lock:
            self._workers.clear()

    def __enter__(self) -> Compositor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def canvas(self, format: str, quality: int | None = None) -> Canvas:
        """Return the canvas of a format, made at its first use; see `open_canvas`."""
        check_type("format", format, str)
        if quality is not None:
            quality = check_int("quality", quality, 1, 100)
        key = (format, quality)
        with self._lock:
            if key not in self._canvases:
                self._canvases[key] = open_canvas(self.template, format, quality)
            return self._canvases[key]

    # ---- requests ----------------------------------------------------------------------

    def composite(
        self,
        outputs: NDArray[np.float32] | NDArray[np.uint8],
        indices: ArrayLike,
        *,
        format: str = "bgr24",
        quality: int | None = None,
        start: int = 0,
        alphas: ArrayLike | None = None,
        smoother: ColourSmoother | None = None,
    ) -> Frames:
        """Finish one request.

        Parameters
        ----------
        outputs : (N, 3, S, S) float32 or (N, S, S, 3) uint8, C-contiguous
            The generator's output as it is: planes in the preset's channel order and range, or
            bgr24 pictures from a `ResidentGenerator`. Not changed.
        indices : (N,) integers
            The background of each frame. Where it has no face, the output is not used and
            the background passes through.
        format : {"bgr24", "rgb24", "bgra", "rgba", "i420", "jpeg"}
        quality : int, optional
            JPEG quality, 1 to 100; the template's own by default.
        start : int
            Number of the first frame, for `Frame.index`; from 0 on.
        alphas : (N,) integers, 0 to 255, optional
            Fade of each frame's mouth, on top of its mask: 255, the default, shows it, 0 shows
            the background alone and the output is not used.
        smoother : ColourSmoother, optional
            Used with `colour_match`: it smooths the colours from frame to frame of one speech.
            Give the same one to all requests of the speech, in their order. By default each
            frame is matched by itself.

        Returns
        -------
        Frames
            Leases from the pool. Where the template is on disk and stores bgr24 or i420, frames
            of that format are the backgrounds themselves, painted in place and read-only; only
            a background that is lent already is copied.

        Raises
        ------
        ArgumentTypeError
            If an argument has the wrong type.
        LayoutError
            If an array has the wrong dtype or layout.
        InputError
            If a shape or a value does not fit, or the compositor is closed.
        """
        start = check_start(start)
        request = self._request(outputs, indices, format, quality, alphas, smoother)
        canvas, count = request.canvas, len(request.indices)
        self._match_colours(request)
        if canvas.in_place is not None and (canvas, count) not in self._reserved:
            self._reserve_repeats(canvas, count)
        shown = request.indices.tolist()
        targets = [self._target(canvas, index) for index in shown]
        lengths = self._finish(request, targets)
        buffers = [t if isinstance(t, np.ndarray) else t.array() for t in targets]
        if format == "jpeg":
            buffers = [b[:n] for b, n in zip(buffers, lengths.tolist(), strict=True)]
        return Frames([Frame(b, format, start + i, shown[i]) for i, b in enumerate(buffers)])

    def composite_into(
        self,
        out: Sequence[_Buffer] | NDArray[np.uint8],
        outputs: NDArray[np.float32] | NDArray[np.uint8],
        indices: ArrayLike,
        *,
        format: str = "bgr24",
        quality: int | None = None,
        alphas: ArrayLike | None = None,
        smoother: ColourSmoother | None = None,
    ) -> NDArray[np.int64]:
        """Finish one request in the caller's buffers.

        Parameters
        ----------
        out : array or sequence of N buffers, uint8
            Each of the shape ``compositor.canvas(format, quality).shape``: (H, W, channels) with
            rows any stride apart, contiguous I420 planes, or contiguous room for a JPEG. A
            bytearray or a writable memoryview of bytes will do as well.
        outputs, indices, format, quality, alphas, smoother
            See `composite`.

        Returns
        -------
        (N,) int64, fresh
            Bytes written to each buffer.

        Raises
        ------
        ArgumentTypeError
            If an argument has the wrong type.
        LayoutError
            If an array has the wrong dtype or layout.
        InputError
            If a shape or a value does not fit, a JPEG does not fit its buffer, or the compositor
            is closed.
        """
        request = self._request(outputs, indices, format, quality, alphas, smoother)
        _check_out(out, len(request.indices))
        self._match_colours(request)
        return self._finish(request, out)

    def stats(self) -> CompositorStats:
        """Return the counts since the compositor was made."""
        with self._lock:
            return CompositorStats(self._frames, self._painted, self._frames - self._painted)

    # ---- the parts of a request --------------------------------------------------------

    def _request(
        self,
        outputs: NDArray[np.float32] | NDArray[np.uint8],
        indices: ArrayLike,
        format: str,
        quality: int | None,
        alphas: ArrayLike | None,
        smoother: ColourSmoother | None,
    ) -> _Request:
        """Check the arguments of a request."""
        if self._closed:
            raise InputError("this compositor is closed; make another one")
        if smoother is not None:
            check_type("smoother", smoother, ColourSmoother)
        canvas = self.canvas(format, quality)
        chosen = check_indices(indices, self.template.count)
        _check_outputs(outputs, len(chosen), self.template.preset.view)
        fades = check_alphas(alphas, len(chosen))
        return _Request(canvas, outputs, chosen, fades, smoother or self._unsmoothed)

    def _reserve_repeats(self, canvas: Canvas, count: int) -> None:
        """Have buffers at hand for the backgrounds that requests of `count` frames repeat.

        How many those are depends on where a request meets the turn of the template's loop: a
        pool that has only seen the others would run short there, long after the warm-up.
        """
        self._reserved.add((canvas, count))
        repeats = _most_repeats(self.template, count)
        with suppress(PoolExhausted):  # a request that needs them will say so itself
            _ = [self.pool.empty(canvas.shape, "uint8") for _ in range(repeats)]

    def _target(self, canvas: Canvas, index: int) -> NDArray[np.uint8] | _finish.InPlaceFrame:
        """Return where a frame is finished: its background itself, or a buffer of the pool."""
        if canvas.in_place is not None:
            painted = canvas.in_place.borrow(index)
            if painted is not None:
                return painted
        buffer: NDArray[np.uint8] = self.pool.empty(canvas.shape, "uint8")
        return buffer

    def _match_colours(self, request: _Request) -> None:
        """Measure the colours of a request on all threads, then smooth them in order."""
        if not self.colour_match:
            return
        r, planes = request, np.empty((len(request.indices), 3, 3), np.float64)

        def measure(worker: Worker, first: int, last: int) -> None:
            _finish.measure(worker, r.outputs, r.indices, r.alphas, planes, first, last)

        self._share(r.canvas, len(planes), measure)
        r.matches = r.smoother.push(planes)

    def _finish(
        self, request: _Request, buffers: Iterable[_Buffer | _finish.InPlaceFrame]
    ) -> NDArray[np.int64]:
        """Finish frames into buffers and return their lengths."""
        r, buffers = request, list(buffers)
        targets = _finish.Targets(r.canvas.backgrounds, buffers)
        count = len(r.indices)

        def finish(worker: Worker, first: int, last: int) -> None:
            _finish.finish(worker, r.outputs, r.indices, targets, first, last, r.alphas, r.matches)

        self._share(r.canvas, count, finish)
        painted = 0
        if r.canvas.in_place is not None:
            painted = sum(isinstance(buffer, _finish.InPlaceFrame) for buffer in buffers)
        with self._lock:
            self._frames += count
            self._painted += painted
        return targets.lengths

    def _share(self, canvas: Canvas, count: int, work: Callable[[Worker, int, int], None]) -> None:
        """Work through `count` frames, one run of neighbours on each thread."""

        def run(work: Callable[..., None], first: int, last: int) -> None:
            worker = self._borrow(canvas)
            try:
                work(worker, first, last)
            finally:
                with self._lock:
                    if canvas in self._workers:  # not closed meanwhile
                        self._workers[canvas].append(worker)

        shares = min(self.threads, count)
        if shares <= 1:
            run(work, 0, count)
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
                    others.append(self._executor.submit(OneShot(run, work, *part)))
                except RuntimeError:  # closed meanwhile
                    own.append(part)
            for part in own:
                run(work, *part)
        finally:
            # Their buffers must not be released while they are written to.
            errors = [error for other in others if (error := other.exception()) is not None]
        if errors:
            raise errors[0]

    def _borrow(self, canvas: Canvas) -> Worker:
        with self._lock:
            if canvas not in self._workers:
                # All of them now: whether two threads meet in the first requests is chance.
                self._workers[canvas] = [Worker(canvas.backgrounds) for _ in range(self.threads)]
            idle = self._workers[canvas]
            if idle:
                return idle.pop()
        return Worker(canvas.backgrounds)


@dataclass
class _Request:
    """The checked arguments of one request."""

    canvas: Canvas
    outputs: NDArray[np.float32] | NDArray[np.uint8]
    indices: NDArray[np.int64]
    alphas: NDArray[np.uint8]
    smoother: ColourSmoother
    matches: NDArray[np.int32] | None = None


def _most_repeats(template: Template, count: int) -> int:
    """Return the most frames of one request whose background the request has shown before.

    Every request of `count` frames begins somewhere in two rounds of the template; each is a
    position of a window that slides over them.
    """
    shown = template.indices(0, 2 * template.count + count)
    requests = np.lib.stride_tricks.sliding_window_view(shown, max(count, 1))
    changes = np.count_nonzero(np.diff(np.sort(requests, axis=1), axis=1), axis=1)
    return count - 1 - int(changes.min())


def _check_out(out: Sequence[_Buffer] | NDArray[np.uint8], count: int) -> None:
    if not isinstance(out, Sequence) and np.ndim(out) == 0:
        raise ArgumentTypeError(
            f"out must be a sequence of arrays, one a frame, got {type(out).__name__}"
        )
    if len(out) != count:
        raise InputError(f"out must hold {count} buffers, got {len(out)}")


def _check_outputs(outputs: object, count: int, side: int) -> None:
    if not isinstance(outputs, np.ndarray) or outputs.dtype not in (np.float32, np.uint8):
        got = getattr(outputs, "dtype", type(outputs).__name__)
        raise LayoutError(
            f"outputs must be an array of float32, or of uint8 for pictures, got {got}; "
            "convert it first"
        )
    pictures = outputs.dtype == np.uint8
    needed = (count, side, side, 3) if pictures else (count, 3, side, side)
    if outputs.shape != needed:
        raise InputError(f"outputs must have shape {needed}, got {outputs.shape}")
    if not outputs.flags.c_contiguous:
        raise LayoutError("outputs must be C-contiguous; pass np.ascontiguousarray(outputs)")
