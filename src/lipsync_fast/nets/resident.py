"""A generator that holds a template's crops: frame indices and audio in, bytes out.

A packed generator sends six float planes to the model for each frame and gets three back: 93 MB
for 25 frames of 320 × 320. The crops never change, so here they stay where the model runs, and
the model returns bytes: 8.5 MB.
"""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_indices, check_type
from ..errors import (
    DeviceMemoryError,
    InputError,
    LayoutError,
    MissingExtraError,
    ModelError,
)
from ..memory._pool import BufferPool, default_pool
from ..presets import Preset, get_preset
from ..templates.crops import check_crops
from ..templates.template import Template
from . import cuda, graph, ort
from .cuda_graph import PLAIN, RUNS_TO_CAPTURE, CudaGraph, run_options
from .generator import UNTIMED, Clock, require_preset
from .graph.embed import AUDIO, CROPS, FRAMES, PICTURES
from .micro_batches import padded
from .net import Net, check_array, check_out
from .options import CUDA, DeviceOptions, Provider
from .ort import load_onnxruntime

__all__ = ["ResidentGenerator", "try_resident"]

_log = logging.getLogger(__name__)


class ResidentGenerator(Net):
    """The model that draws the lower face, over the crops of one template.

    Threads may share it. Opened on a device, it runs once at every size; if it was captured as
    CUDA graphs, its device's thread does all its runs.

    Parameters
    ----------
    path : str or Path
        The user's ONNX file, as for `Generator`.
    crops : (n, C, C, 3) uint8, bgr24, C-contiguous
        The template's crops; read in place on the CPU, copied to a device.
    preset : str or Preset
        The template's.
    providers, threads, options : see `Net`
    constants : mapping of str to array, optional
        Values of further inputs that are the same for every frame and have no batch axis; by
        default the preset's own.
    pool : BufferPool, optional
        Memory for pictures if `infer_indices` gets no `out`.

    Attributes
    ----------
    preset : Preset
    batch : int or None
        The fixed batch size of the model; None if it takes any.
    sizes : MicroBatches
        How requests are cut.
    pool : BufferPool or None
        Pinned memory, to which a device copies pictures faster; None on the CPU.

    Raises
    ------
    MissingExtraError, FileMissingError, ModelError
        As `graph.make_resident`.
    DeviceMemoryError
        The device has too little memory.
    InputError, LayoutError
        The crops do not fit the preset.
    """

    def __init__(
        self,
        path: str | Path,
        crops: NDArray[np.uint8],
        preset: str | Preset,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        pool: BufferPool | None = None,
        options: DeviceOptions | None = None,
    ) -> None:
        self.preset = get_preset(preset)
        _check_crops(crops, self.preset)
        if constants is not None:
            check_type("constants", constants, Mapping)
        if pool is not None:
            check_type("pool", pool, BufferPool)
        with graph.cached_resident(path, self.preset) as kept:
            super().__init__(kept, providers=providers, threads=threads, options=options)
        self.path = Path(path)
        self._pool = default_pool() if pool is None else pool
        self._constants = self._checked_constants(constants or {})
        size = self.inputs[FRAMES].shape[0]
        self.batch = size if isinstance(size, int) else None
        self.sizes = self._sizes(self.batch)
        self._cuda_runtime = None if self.on_cpu else cuda.load_runtime()
        self.pool = (
            None if self._cuda_runtime is None else BufferPool(pin=self._cuda_runtime.pinning)
        )
        self._numbers = itertools.count(1)  # of graphs; runs that name none have 0
        self._take(crops)

    def _open(self, providers: Sequence[Provider] | None, threads: int | None) -> Any:
        how = (self.path, providers, threads, self.options)
        if self.options.graphs:
            try:
                return ort.open_session(*how, capture=True)
            except ModelError as error:
                _log.debug("%s: opened without CUDA graphs: %s", self.path, error)
        return ort.open_session(*how)

    @cached_property
    def _captures(self) -> bool:
        """Tell whether the session captures CUDA graphs, and their pictures can be fetched."""
        chosen = self._session.get_provider_options().get(CUDA, {})
        return self._cuda_runtime is not None and chosen.get("enable_cuda_graph") == "1"

    def _take(self, crops: NDArray[np.uint8]) -> None:
        """Move a template's crops to where the model runs, and try the model on them."""
        self._crops = crops
        self._captured: dict[int, CudaGraph] = {}
        self._resident: dict[str, Any] = {}
        self._plain = run_options(PLAIN) if self._captures else None
        if not self.on_cpu:
            self._on_thread(self._warm_up)

    def for_template(self, template: Template) -> ResidentGenerator:
        """Return a generator on the same session with the crops of a template.

        Raises
        ------
        DeviceMemoryError
            The device has too little memory for them.
        InputError
            The template was prepared for another preset.
        """
        require_preset(self, template)
        return self.with_crops(template.crops)

    def with_crops(self, crops: NDArray[np.uint8]) -> ResidentGenerator:
        """Return a generator on the same session with other crops; itself for its own crops.

        Parameters
        ----------
        crops : (n, C, C, 3) uint8, bgr24, C-contiguous

        Returns
        -------
        ResidentGenerator
            Runs of both may be mixed freely, from any thread.

        Raises
        ------
        DeviceMemoryError
            The device has too little memory for them.
        InputError, LayoutError
            The crops do not fit the preset.
        """
        if crops is self._crops:
            return self
        _check_crops(crops, self.preset)
        other = copy.copy(self)
        other._take(crops)
        return other

    @property
    def micro_batch(self) -> int:
        """The most frames of one run; shrinks when memory is short."""
        return self.sizes.most

    @property
    def captured_sizes(self) -> tuple[int, ...]:
        """The sizes of runs that were captured as CUDA graphs."""
        return tuple(sorted(self._captured))

    def output(self, count: int) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of the array that `draw` fills with `count` frames."""
        return (count, self.preset.view, self.preset.view, 3), "uint8"

    def draw(
        self,
        template: Template,
        indices: ArrayLike,
        features: NDArray[np.float32],
        out: NDArray[Any] | None = None,
        *,
        pool: BufferPool | None = None,
        clock: Clock = UNTIMED,
    ) -> NDArray[Any]:
        """Draw frames of a template, in micro-batches.

        Parameters
        ----------
        template : Template
            The one whose crops the generator holds; see `for_template`.
        indices : (N,) integers
            The template's frames whose crops the model sees, in any order.
        features : (N, *audio_shape) float32, C-contiguous
            Feature windows.
        out : (N, S, S, 3) uint8, C-contiguous, optional
            Receives the pictures; must not overlap `features`.
        pool : BufferPool, optional
            Memory of scratch, and of the pictures without `out` where none is pinned; the
            generator's own by default.
        clock : Clock, optional
            Times the runs of the model.

        Returns
        -------
        (N, S, S, 3) uint8, bgr24, rows packed
            `out`, or a pooled array.

        Raises
        ------
        LayoutError, InputError, ModelError, DeviceMemoryError
            As `infer_indices`; InputError also for another template.
        """
        if template.crops is not self._crops:
            raise InputError(
                f"{self.path}: the generator holds the crops of another template; draw with "
                "generator.for_template(template)"
            )
        pool = self._pool if pool is None else pool
        return self._draw(indices, "features", features, out, pool, clock)

    def infer_indices(
        self,
        indices: ArrayLike,
        audio: NDArray[np.float32],
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw the pictures of a request, in micro-batches.

        Parameters
        ----------
        indices : (N,) integers
            The template's frames whose crops the model sees.
        audio : (N, *audio_shape) float32, C-contiguous
            Feature windows.
        out : (N, S, S, 3) uint8, C-contiguous, optional
            Receives the pictures; must not overlap `audio`.

        Returns
        -------
        (N, S, S, 3) uint8, bgr24, rows packed
            `out`, or a pooled array: the generator's output after `convert`.

        Raises
        ------
        LayoutError, InputError, ModelError, DeviceMemoryError
            As `Generator.infer`; InputError also for an index outside of the template.
        """
        return self._draw(indices, "audio", audio, out, self._pool, UNTIMED)

    __call__ = infer_indices

    def _draw(
        self,
        indices: ArrayLike,
        name: str,
        audio: NDArray[np.float32],
        out: NDArray[np.uint8] | None,
        pool: BufferPool,
        clock: Clock,
    ) -> NDArray[np.uint8]:
        chosen = check_indices(indices, len(self._crops))
        count = len(chosen)
        check_array(name, audio, (count, *self.preset.audio_shape))
        if out is None:
            out = (pool if self.pool is None else self.pool).empty(*self.output(count))
        else:
            shape, dtype = self.output(count)
            check_out(out, shape, dtype, **{name: audio})
        with clock.net(count):
            self._on_thread(self._infer, chosen, audio, out, pool)
        return out

    def _on_thread(self, work: Callable[..., None], *arguments: Any) -> None:
        """Run on the thread that captured the graphs: ONNX Runtime ties them to it."""
        if self._captures:
            self.device.run(work, *arguments)
        else:
            work(*arguments)

    def _infer(
        self,
        chosen: NDArray[np.int64],
        audio: NDArray[np.float32],
        out: NDArray[np.uint8],
        pool: BufferPool,
    ) -> None:
        binding = self._session.io_binding()
        for name, value in self._resident.items():
            binding.bind_ortvalue_input(name, value)

        def infer(part: slice, size: int) -> None:
            self._infer_part(binding, chosen[part], audio[part], out[part], size, pool)

        self.sizes.run(len(chosen), infer)

    def _infer_part(
        self,
        binding: Any,
        chosen: NDArray[np.int64],
        audio: NDArray[np.float32],
        out: NDArray[np.uint8],
        size: int,
        pool: BufferPool,
    ) -> None:
        target, count = out, len(chosen)
        if count < size:
            target = pool.empty((size, *out.shape[1:]), "uint8")
        chosen, audio = padded(chosen, size, pool), padded(audio, size, pool)
        feeds: dict[str, NDArray[Any]] = {FRAMES: chosen, AUDIO: audio}
        captured = self._captured.get(size)
        if captured is not None:
            with self._apart():
                captured(feeds, target)
        elif self._resident:
            self._run_bound(binding, feeds, PICTURES, target, self._plain)
        else:
            feeds[CROPS] = self._crops
            self._run_bound(binding, feeds | self._constants, PICTURES, target)
        if target is not out:
            out[...] = target[:count]

    # ---- on a device -------------------------------------------------------------------------

    def _warm_up(self) -> None:
        """Copy crops and constants to the device, then run at every size, the largest first."""
        values = load_onnxruntime().OrtValue
        try:
            with self._apart():
                self._resident = {
                    name: values.ortvalue_from_numpy(array, *self.place)
                    for name, array in {CROPS: self._crops, **self._constants}.items()
                }
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            raise DeviceMemoryError(
                f"{self.path}: too little memory for {self._crops.nbytes >> 20} MiB of crops on "
                f"{self.device.name} ({ort.short_message(error)})"
            ) from error
        for size in reversed(self.sizes.sizes):
            if size > self.micro_batch:
                continue  # a larger one ran out of memory
            chosen = np.arange(size, dtype=np.int64) % len(self._crops)
            audio = np.zeros((size, *self.preset.audio_shape), np.float32)
            out = self._pool.empty((size, self.preset.view, self.preset.view, 3), "uint8")
            self._infer(chosen, audio, out, self._pool)
            if self._captures and size <= self.micro_batch:
                self._capture({FRAMES: chosen, AUDIO: audio}, out)

    def _capture(self, feeds: dict[str, NDArray[Any]], expected: NDArray[np.uint8]) -> None:
        """Capture a size as a graph; keep it if it draws the same as the plain run."""
        assert self._cuda_runtime is not None
        size, made = len(expected), self._pool.empty(expected.shape, "uint8")
        try:
            with cuda.DEVICE_GATE.exclusive():
                captured = CudaGraph(
                    self._session,
                    self.path,
                    self.place,
                    next(self._numbers),
                    feeds=feeds,
                    resident=self._resident,
                    output=(PICTURES, made),
                    cuda_runtime=self._cuda_runtime,
                )
                for _ in range(RUNS_TO_CAPTURE + 1):
                    made[...] = 0
                    captured(feeds, made)
        except (ModelError, DeviceMemoryError) as error:
            _log.info("%s: %d frames run without a CUDA graph: %s", self.path, size, error)
            return
        off = np.abs(made.astype(np.int16) - expected).max()
        if off > 1:
            _log.warning(
                "%s: its CUDA graph of %d frames is %d levels off and is not used",
                self.path,
                size,
                off,
            )
            return
        self._captured[size] = captured

    # ---- checks ------------------------------------------------------------------------

    def _checked_constants(self, given: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        needed = [n for n in self.inputs if n not in (FRAMES, CROPS, AUDIO)]
        own = {name: value for name, value in self.preset.constants if name in needed}
        given = own | dict(given)
        if set(given) != set(needed):
            raise InputError(
                f"{self.path}: constants must be given for {', '.join(needed) or 'nothing'}, "
                f"got {', '.join(given) or 'nothing'}"
            )
        return {
            name: np.ascontiguousarray(np.array(value, self.inputs[name].dtype))
            for name, value in given.items()
        }


def _check_crops(crops: Any, preset: Preset) -> None:
    check_crops(crops, preset)
    if not crops.flags.c_contiguous:
        raise LayoutError("crops must be C-contiguous; pass numpy.ascontiguousarray of them")


def try_resident(
    path: str | Path, crops: NDArray[np.uint8], preset: str | Preset, **options: Any
) -> ResidentGenerator | None:
    """Return a `ResidentGenerator`; if the model does not allow it, log that and return None.

    Parameters
    ----------
    path, crops, preset, options : see `ResidentGenerator`
    """
    try:
        return ResidentGenerator(path, crops, preset, **options)
    except (ModelError, MissingExtraError) as error:
        _log.info("packing crops frame by frame, the model cannot hold them: %s", error)
        return None
