"""Compositor: net outputs and template indices in, finished frames out."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import as_array, check_int, check_type
from ..errors import InputError, LayoutError, PoolExhausted
from ..memory._pool import BufferPool
from ..memory.once import OneShot
from ..templates.template import Template
from ..timing import check_start
from . import _finish
from ._finish import Worker
from .canvas import Canvas, open_canvas
from .colour import ColourSmoother

__all__ = ["Compositor", "CompositorStats", "Frame", "Frames", "check_alphas"]

_COMPOSITORS: weakref.WeakSet[Compositor] = weakref.WeakSet()


def _after_fork() -> None:
    """Threads do not live on in a child: a request would wait for them for ever."""
    for compositor in list(_COMPOSITORS):
        compositor._start_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


MOST_THREADS = 256  # each has scratch of its own from the first request on

_OPAQUE = np.full(64, 255, np.uint8)  # the usual alphas of a request
_OPAQUE.setflags(write=False)

_Buffer = bytearray | memoryview | NDArray[np.uint8]


class Frame:
    """A finished frame in pooled memory, lent until it is released or no longer used.

    Attributes
    ----------
    index : int
        Number of the output frame, counted from the start of the speech.
    template_index : int
        Which background it shows.
    format : str
    array : ndarray of uint8
        (H, W, channels) for packed formats, flat I420 planes, or the JPEG's bytes: a view.
    """

    __slots__ = ("array", "format", "index", "template_index")

    def __init__(self, array: NDArray[np.uint8], format: str, index: int, template_index: int):
        self.array = array
        self.format, self.index, self.template_index = format, index, template_index

    @property
    def data(self) -> memoryview:
        """The frame's bytes: a flat memoryview, valid as long as it is held."""
        return self.array.reshape(-1).data

    def release(self) -> None:
        """Let go of the memory; it returns to the pool once no view of it is left."""
        self.array = self.array[:0].copy()

    def __enter__(self) -> Frame:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Frame {self.index} {self.format}, {self.array.nbytes} bytes>"


class Frames(Sequence[Frame]):
    """The frames of one request, in order; leaving the ``with`` block releases them all."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: Any) -> Any:
        return self._frames[index]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for frame in self._frames:
            frame.release()


@dataclass(frozen=True)
class CompositorStats:
    """Frames finished, and how their backgrounds came to be under the mouth.

    Attributes
    ----------
    frames, in_place, copied : int
        All frames; those painted on the background itself; those that were written whole
        (copied, converted or spliced).
    """

    frames: int
    in_place: int
    copied: int


class Compositor:
    """Puts generated mouths on a template's backgrounds.

    Threads may share a compositor; each call borrows workers of its own. A process forked while
    no request runs has its own copy, with threads of its own.

    Parameters
    ----------
    template : Template
    threads : int, optional
        Threads that share a request's frames, 1 to 256; the machine's cores by default, at most
        8.
    pool : BufferPool, optional
        Where frames are lent from; a pool of its own by default.
    colour_match : bool
        Move the colours of every mouth to those round it: per channel the level and slopes by
        which the net's output differs from the stored crop along the border of the view. No
        reference does that.

    Raises
    ------
    LayoutError
        An argument of another type.
    InputError
        A number of threads that cannot be.

    Examples
    --------
    >>> compositor = Compositor(Template.from_arrays(frames, rects, preset="wav2lip256"))
    >>> compositor.composite(net_outputs, indices, out=buffers)
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
        # Without smoothing a track keeps no state, so threads may share it.
        self._still = ColourSmoother(1, template.preset.view, settle=0)
        self._canvases: dict[tuple[str, int | None], Canvas] = {}
        self._workers: dict[Canvas, list[Worker]] = {}
        self._reserved: set[tuple[Canvas, int]] = set()
        self._frames = self._painted = 0
        self._closed = False
        self._start_threads()
        _COMPOSITORS.add(self)

    def _start_threads(self) -> None:
        """Threads for requests, and the lock; made anew in a forked process, which has neither."""
        self._lock = threading.Lock()
        others = self.threads - 1
        self._executor = ThreadPoolExecutor(others, "lipsync-compositor") if others else None

    def close(self) -> None:
        """End the threads; requests that run in other threads finish, new ones are refused."""
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown()
        with self._lock:
            self._workers.clear()

    def __enter__(self) -> Compositor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def canvas(self, format: str, quality: int | None = None) -> Canvas:
        """The canvas of a format, made at its first use; see `open_canvas`."""
        check_type("format", format, str)
        if quality is not None:
            quality = check_int("quality", quality, 1, 100)
        key = (format, quality)
        with self._lock:
            if key not in self._canvases:
                self._canvases[key] = open_canvas(self.template, format, quality)
            return self._canvases[key]

    def composite(
        self,
        outputs: NDArray[np.float32] | NDArray[np.uint8],
        indices: ArrayLike,
        *,
        format: str = "bgr24",
        quality: int | None = None,
        out: Sequence[_Buffer] | NDArray[np.uint8] | None = None,
        start: int = 0,
        alphas: ArrayLike | None = None,
        track: ColourSmoother | None = None,
    ) -> Frames | NDArray[np.int64]:
        """Finish one request.

        Parameters
        ----------
        outputs : (N, 3, S, S) float32 or (N, S, S, 3) uint8, C-contiguous
            What the generator made, as it made it: planes in the preset's channel order
            and range; or what a `ResidentGenerator` makes of them, bgr24 pictures. Not changed.
        indices : (N,) integers
            The background of each frame. Where it has no face, the output is not used and
            the background passes through.
        format : {"bgr24", "rgb24", "bgra", "rgba", "i420", "jpeg"}
        quality : int, optional
            JPEG quality; the template's own by default.
        out : array or sequence of N buffers, uint8, optional
            The caller's buffers, each of the canvas's shape: (H, W, channels) with rows
            any stride apart, contiguous I420 planes, or contiguous room for a JPEG. A bytearray
            or a writable memoryview of bytes will do as well.
        start : int
            Number of the first frame, for `Frame.index`; from 0 on.
        alphas : (N,) uint8, optional
            Fade of each frame's mouth, on top of its mask: 255, the default, shows it, 0 shows
            the background alone and the output is not used.
        track : ColourSmoother, optional
            With `colour_match`: what smooths the colours from frame to frame of one speech.
            Give the same one to its requests, in their order. Without it each frame's colours
            are moved by what that frame measures.

        Returns
        -------
        Frames
            Without `out`. Where the template is on disk and stores bgr24 or i420, frames of
            that format are the backgrounds themselves, painted in place and read-only; a
            background that is lent already is copied. All others are leases from the pool.
        (N,) int64
            Bytes written to each buffer of `out`.

        Raises
        ------
        LayoutError
            If an array has another dtype or layout.
        InputError
            If a shape or an index does not fit, a JPEG does not fit its buffer, or the compositor
            is closed.
        """
        if self._closed:
            raise InputError("this compositor is closed; make another one")
        start = check_start(start)
        if track is not None:
            check_type("track", track, ColourSmoother)
        canvas = self.canvas(format, quality)
        chosen = self._check(outputs, indices)
        mouths = _Mouths(outputs, chosen, check_alphas(alphas, len(chosen)))
        if out is not None:
            _check_out(out, len(chosen))
        if self.colour_match:
            self._measure(canvas, mouths, track or self._still)
        if out is not None:
            return self._finish(canvas, mouths, out)
        if canvas.in_place is not None and (canvas, len(chosen)) not in self._reserved:
            self._reserve(canvas, len(chosen))
        shown = chosen.tolist()
        targets = [self._target(canvas, index) for index in shown]
        lengths = self._finish(canvas, mouths, targets)
        buffers = [t if isinstance(t, np.ndarray) else t.array() for t in targets]
        if format == "jpeg":
            buffers = [b[:n] for b, n in zip(buffers, lengths.tolist(), strict=True)]
        return Frames([Frame(b, format, start + i, shown[i]) for i, b in enumerate(buffers)])

    def _reserve(self, canvas: Canvas, count: int) -> None:
        """Have at hand the buffers for backgrounds that the template's loop repeats in a request.

        How many those are depends on where the request meets the loop's turn: a pool that has
        only seen others would run short there, long after the warm-up.
        """
        self._reserved.add((canvas, count))
        span = 2 * self.template.count
        shown = np.lib.stride_tricks.sliding_window_view(
            self.template.indices(0, span + count), max(count, 1)
        )
        distinct = 1 + np.count_nonzero(np.diff(np.sort(shown, axis=1), axis=1), axis=1)
        with suppress(PoolExhausted):  # a request that needs them will say so itself
            _ = [self.pool.empty(canvas.shape, "uint8") for _ in range(count - distinct.min())]

    def _target(self, canvas: Canvas, index: int) -> NDArray[np.uint8] | _finish.InPlaceFrame:
        """Where a frame is finished: its background itself, or a buffer of the pool."""
        if canvas.in_place is not None:
            painted = canvas.in_place.borrow(index)
            if painted is not None:
                return painted
        buffer: NDArray[np.uint8] = self.pool.empty(canvas.shape, "uint8")
        return buffer

    def stats(self) -> CompositorStats:
        """Counts since the compositor was made."""
        with self._lock:
            return CompositorStats(self._frames, self._painted, self._frames - self._painted)

    def _check(self, outputs: NDArray[Any], indices: ArrayLike) -> NDArray[np.int64]:
        chosen = as_array("indices", indices)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise InputError(
                f"indices must be one integer a frame, got {chosen.dtype} {chosen.shape}"
            )
        count, side = self.template.count, self.template.preset.view
        chosen = np.ascontiguousarray(chosen, np.int64)
        if not _finish.all_below(chosen, count):
            raise InputError(
                f"indices must be 0 to {count - 1}, got {chosen.min()} to {chosen.max()}"
            )
        needed = (len(chosen), 3, side, side)
        if not isinstance(outputs, np.ndarray) or outputs.dtype not in (np.float32, np.uint8):
            got = getattr(outputs, "dtype", type(outputs).__name__)
            raise LayoutError(
                f"outputs must be an array of float32, or of uint8 where they are pictures, "
                f"got {got}; convert it first"
            )
        if outputs.dtype == np.uint8:
            needed = (len(chosen), side, side, 3)
        if outputs.shape != needed:
            raise InputError(f"outputs must have shape {needed}, got {outputs.shape}")
        if not outputs.flags.c_contiguous:
            raise LayoutError("outputs must be C-contiguous; pass np.ascontiguousarray(outputs)")
        return chosen

    def _measure(self, canvas: Canvas, mouths: _Mouths, track: ColourSmoother) -> None:
        """Measure the colours of a request on all threads, then smooth them in order."""
        planes = np.empty((len(mouths.indices), 3, 3), np.float64)

        def measure(worker: Worker, first: int, last: int) -> None:
            _finish.measure(
                worker, mouths.outputs, mouths.indices, mouths.alphas, planes, first, last
            )

        self._share(canvas, len(planes), measure)
        mouths.matches = track.push(planes)

    def _finish(
        self,
        canvas: Canvas,
        mouths: _Mouths,
        buffers: Iterable[_Buffer | _finish.InPlaceFrame],
    ) -> NDArray[np.int64]:
        """Finish frames into buffers; their lengths."""
        buffers = list(buffers)
        targets = _finish.Targets(canvas.backgrounds, buffers)
        count = len(mouths.indices)

        def finish(worker: Worker, first: int, last: int) -> None:
            _finish.finish(
                worker,
                mouths.outputs,
                mouths.indices,
                targets,
                first,
                last,
                mouths.alphas,
                mouths.matches,
            )

        self._share(canvas, count, finish)
        painted = 0
        if canvas.in_place is not None:
            painted = sum(isinstance(buffer, _finish.InPlaceFrame) for buffer in buffers)
        with self._lock:
            self._frames += count
            self._painted += painted
        return targets.lengths

    def _share(self, canvas: Canvas, count: int, work: Callable[[Worker, int, int], None]) -> None:
        """Work through `count` frames, a run of neighbours on each thread."""

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
            # Their buffers must not be let go of while they are written to.
            errors = [error for other in others if (error := other.exception()) is not None]
        if errors:
            raise errors[0]

    def _borrow(self, canvas: Canvas) -> Worker:
        with self._lock:
            if canvas not in self._workers:
                # All at once: whether two threads ever meet in the first requests is chance.
                self._workers[canvas] = [Worker(canvas.backgrounds) for _ in range(self.threads)]
            idle = self._workers[canvas]
            if idle:
                return idle.pop()
        return Worker(canvas.backgrounds)


@dataclass
class _Mouths:
    """Net outputs of one request and how they are put on their backgrounds."""

    outputs: NDArray[np.float32] | NDArray[np.uint8]
    indices: NDArray[np.int64]
    alphas: NDArray[np.uint8]
    matches: NDArray[np.int32] | None = None


def _check_out(out: Sequence[_Buffer] | NDArray[np.uint8], count: int) -> None:
    if not isinstance(out, Sequence) and np.ndim(out) == 0:
        raise LayoutError(
            f"out must be a sequence of arrays, one a frame, got {type(out).__name__}"
        )
    if len(out) != count:
        raise InputError(f"out must hold {count} buffers, got {len(out)}")


def check_alphas(alphas: ArrayLike | None, count: int) -> NDArray[np.uint8]:
    """The fades of `count` frames as (count,) uint8, all 255 where none are given.

    Raises
    ------
    InputError
        If they are not one whole number from 0 to 255 for each frame.
    """
    if alphas is None:
        return _OPAQUE[:count] if count <= len(_OPAQUE) else np.full(count, 255, np.uint8)
    array = as_array("alphas", alphas)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise InputError(
            f"alphas must be {count} whole numbers, one a frame, got {array.dtype} {array.shape}"
        )
    if array.dtype != np.uint8 and count and (array.min() < 0 or array.max() > 255):
        raise InputError(f"alphas must be 0 to 255, got {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.uint8)
