"""Compositor: model outputs and template indices in, finished frames out."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_alphas, check_indices, check_int, check_type
from ..errors import ArgumentTypeError, InputError, LayoutError, PoolExhausted
from ..memory._pool import BufferPool
from ..templates.jpeg_backgrounds import JpegSettings
from ..templates.template import Template
from ..timing import check_start
from . import _finish
from ._backgrounds import InPlaceFrame
from ._finish import Worker
from .canvas import Canvas, jpeg_settings
from .colour import ColourSmoother
from .derived import DerivedBackgrounds
from .frames import CompositorStats, Frame, Frames
from .plausible import look_at_outputs
from .threads import Threads

__all__ = ["Compositor"]

_COMPOSITORS: weakref.WeakSet[Compositor] = weakref.WeakSet()


def _after_fork() -> None:
    """Start new threads in a child process: a request would wait for the parent's for ever."""
    for compositor in list(_COMPOSITORS):
        compositor._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


MOST_THREADS = 256  # each has its own scratch from the first request on
BACKGROUND_LIMIT = 512 << 20  # bytes
MOST_QUALITIES = 8  # JPEG canvases that are kept, each with scratch for every thread

_Key = tuple[str, JpegSettings | None]

_Buffer = bytearray | memoryview | NDArray[np.uint8]


class Compositor:
    """Put generated mouths on a template's backgrounds.

    Threads may share a compositor; each call borrows its own workers. A process forked while
    no request runs has its own copy, with its own threads.

    Parameters
    ----------
    template : Template
    threads : int, optional
        Threads that share a request's frames, 1 to 256; by default the machine's cores, at most
        8.
    pool : BufferPool, optional
        The pool that lends frames; by default a new one.
    colour_match : bool
        Match the colours of every mouth to those round it: subtract, per channel, the level and
        slopes by which the model's output differs from the stored crop along the border of the
        view. None of the reference scripts does that.
    background_limit : int
        Bytes of backgrounds that may be kept in formats that the template does not store: JPEG of
        another quality, I420 or packed pixels. They are made when a request first needs them; the
        least recently used go. See `warm`.

    Attributes
    ----------
    template, threads, pool, colour_match

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
        background_limit: int = BACKGROUND_LIMIT,
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
        limit = check_int("background_limit", background_limit, 0, unit="bytes")
        self._derived = DerivedBackgrounds(limit)
        self._canvases: OrderedDict[_Key, Canvas] = OrderedDict()
        self._spans: _finish.Spans | None = None
        self._reserved: set[tuple[Canvas, int]] = set()
        self._frames = self._painted = 0
        self._closed = self._looked = False
        self._team = Threads(self.threads)
        self._make_locks()
        _COMPOSITORS.add(self)

    def _make_locks(self) -> None:
        self._lock, self._opening = threading.Lock(), threading.Lock()

    def _after_fork(self) -> None:
        """Start over what a forked process does not inherit in order: threads and locks."""
        self._make_locks()
        self._derived.renew_lock()
        self._team.start()

    def close(self) -> None:
        """End the threads; requests under way in other threads finish, new ones are refused."""
        self._closed = True
        self._team.close()
        with self._lock:
            canvases = list(self._canvases.values())
            for canvas in canvases:
                canvas.workers.clear()
        for canvas in canvases:
            self._derived.drop(canvas)

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
        """Return the canvas of a format, opened at its first use; see `open_canvas`."""
        check_type("format", format, str)
        if quality is not None:
            quality = check_int("quality", quality, 1, 100)
        key = format, jpeg_settings(self.template, format, quality)
        with self._lock:
            canvas = self._canvases.get(key)
            if canvas is not None:
                self._canvases.move_to_end(key)
        return self._open(key) if canvas is None else canvas

    def _open(self, key: _Key) -> Canvas:
        """Open a canvas while others composite; of too many qualities the oldest goes."""
        with self._opening:
            canvas = self._canvases.get(key)
            if canvas is None:
                canvas = Canvas(self.template, *key)
                # All of them now: whether two threads meet in the first requests is chance.
                canvas.workers += [Worker(canvas.backgrounds) for _ in range(self.threads)]
                with self._lock:
                    self._canvases[key] = canvas
                    jpegs = [k for k in self._canvases if k[0] == "jpeg"]
                    gone = [self._canvases.pop(k) for k in jpegs[:-MOST_QUALITIES]]
                for old in gone:
                    self._derived.drop(old)
        return canvas

    @property
    def background_limit(self) -> int:
        """Bytes of backgrounds that may be kept besides the template's own; can be set."""
        return self._derived.limit

    @background_limit.setter
    def background_limit(self, limit: int) -> None:
        self._derived.limit = check_int("background_limit", limit, 0, unit="bytes")

    def warm(self, format: str = "bgr24", quality: int | None = None) -> int:
        """Prepare for requests of a format, so that none of them has to wait.

        If the template does not store the format, makes all its backgrounds, on all threads;
        other threads may go on compositing.

        Parameters
        ----------
        format, quality : see `composite`

        Returns
        -------
        int
            Bytes of the backgrounds made and kept; 0 if the template stores them.

        Raises
        ------
        InputError
            If the backgrounds take more than `background_limit`, or the compositor is closed.
        """
        canvas = self._usable(format, quality)
        if not canvas.derives:
            return 0
        count = self.template.count
        for first in range(0, count, 4 * self.threads):
            part = range(first, min(first + 4 * self.threads, count))
            with self._derived.lease(canvas, part, self._team.share):
                pass
        kept, nbytes = self._derived.kept(canvas)
        if kept < count:
            mib = self._derived.limit >> 20
            raise InputError(
                f"the {count} backgrounds as {format} take more than background_limit, {mib} MiB; "
                f"raise it, or store {format} when the template is prepared"
            )
        return nbytes

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
            The generator's unchanged output: planes in the preset's channel order and range, or
            bgr24 pictures from a `ResidentGenerator`. Never written to.
        indices : (N,) integers
            The background of each frame. If it has no face, the output is not used and the
            background passes through.
        format : {"bgr24", "rgb24", "bgra", "rgba", "i420", "jpeg"}
        quality : int, optional
            JPEG quality, 1 to 100; the template's own by default.
        start : int
            Number of the first frame, for `Frame.index`; from 0 on.
        alphas : (N,) integers, 0 to 255, optional
            Fade of each frame's mouth, on top of its mask: 255, the default, shows it, 0 shows
            the background alone and the output is not used.
        smoother : ColourSmoother, optional
            With `colour_match`, smooths the colours from frame to frame of one speech. Pass the
            same one to all requests of the speech, in order. By default each frame is matched
            separately.

        Returns
        -------
        Frames
            Leases from the pool. If the template is on disk and stores bgr24 or i420, frames of
            that format are the backgrounds themselves, painted in place and read-only; only a
            background that is already lent is copied.

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
        shown = request.indices.tolist()
        with self._made(canvas, shown):
            self._match_colours(request)
            if canvas.in_place is not None and (canvas, count) not in self._reserved:
                self._reserve_repeats(canvas, count)
            targets = [self._target(canvas, index) for index in shown]
            lengths = self._finish(request, _finish.Targets(canvas.backgrounds, targets))
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
            If a shape or a value does not fit, a JPEG does not fit its buffer, a buffer is
            read-only or shares memory with another one, with `outputs` or with the template, or
            the compositor is closed.
        """
        request = self._request(outputs, indices, format, quality, alphas, smoother)
        _check_out(out, len(request.indices))
        targets = _finish.Targets(request.canvas.backgrounds, list(out))
        targets.need_apart(outputs, self._template_spans())
        with self._made(request.canvas, request.indices.tolist()):
            self._match_colours(request)
            return self._finish(request, targets)

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
        if smoother is not None:
            check_type("smoother", smoother, ColourSmoother)
        canvas = self._usable(format, quality)
        chosen = check_indices(indices, self.template.count)
        _check_outputs(outputs, len(chosen), self.template.preset.view)
        fades = check_alphas(alphas, len(chosen))
        if not self._looked:
            shown = (fades > 0) & (self.template.rects[chosen, 2] > 0)
            self._looked = look_at_outputs(outputs[shown], self.template.preset)
        return _Request(canvas, outputs, chosen, fades, smoother or self._unsmoothed)

    def _usable(self, format: str, quality: int | None) -> Canvas:
        if self._closed:
            raise InputError("this compositor is closed; make another one")
        return self.canvas(format, quality)

    def _made(self, canvas: Canvas, indices: Sequence[int]) -> AbstractContextManager[None]:
        """Hold the backgrounds of a request while frames are finished on them."""
        if not canvas.derives:
            return nullcontext()
        return self._derived.lease(canvas, indices, self._team.share)

    def _template_spans(self) -> _finish.Spans:
        """Return the memory of the template's pictures, found at the first request that asks."""
        if self._spans is None:
            self._spans = _finish.Spans(self.template.arrays())
        return self._spans

    def _reserve_repeats(self, canvas: Canvas, count: int) -> None:
        """Reserve buffers for the backgrounds that requests of `count` frames repeat.

        Their number depends on where a request meets the turn of the template's loop: without
        this, the pool would run short there, long after the warm-up.
        """
        self._reserved.add((canvas, count))
        repeats = _most_repeats(self.template, count)
        with suppress(PoolExhausted):  # a request that needs them will say so itself
            _ = [self.pool.empty(canvas.shape, "uint8") for _ in range(repeats)]

    def _target(self, canvas: Canvas, index: int) -> NDArray[np.uint8] | InPlaceFrame:
        """Return the target of a frame: its background itself, or a buffer of the pool."""
        if canvas.in_place is not None:
            painted = canvas.in_place.borrow(index)
            if painted is not None:
                return painted
        buffer: NDArray[np.uint8] = self.pool.empty(canvas.lent_shape, "uint8")
        return buffer

    def _match_colours(self, request: _Request) -> None:
        """Measure the colours of a request on all threads, then smooth them in order."""
        if not self.colour_match:
            return
        r, planes = request, np.empty((len(request.indices), 3, 3), np.float64)

        def measure(first: int, last: int) -> None:
            with self._worker(r.canvas) as worker:
                _finish.measure(worker, r.outputs, r.indices, r.alphas, planes, first, last)

        self._team.share(len(planes), measure)
        r.matches = r.smoother.push(planes)

    def _finish(self, request: _Request, targets: _finish.Targets) -> NDArray[np.int64]:
        """Finish frames into buffers and return their lengths."""
        r, count = request, len(request.indices)

        def finish(first: int, last: int) -> None:
            with self._worker(r.canvas) as worker:
                _finish.finish(
                    worker, r.outputs, r.indices, targets, first, last, r.alphas, r.matches
                )

        self._team.share(count, finish)
        with self._lock:
            self._frames += count
            self._painted += targets.in_place
        return targets.lengths

    @contextmanager
    def _worker(self, canvas: Canvas) -> Iterator[Worker]:
        """Lend a worker of a canvas."""
        with self._lock:
            worker = canvas.workers.pop() if canvas.workers else None
        if worker is None:
            worker = Worker(canvas.backgrounds)
        try:
            yield worker
        finally:
            with self._lock:
                if not self._closed:
                    canvas.workers.append(worker)


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
