"""What the net draws for a request: frames that show a mouth go through it, on some device."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_alphas
from ..errors import InputError, LayoutError
from ..memory._pool import BufferPool
from ..nets.generator import Generator
from ..nets.resident import ResidentGenerator
from ..templates.template import Template
from ..timing import check_start
from .stages import Stages

__all__ = ["Inference", "NetOutputs", "device_names"]


@dataclass(frozen=True)
class NetOutputs:
    """Net outputs of one request, on their way to the compositor.

    Attributes
    ----------
    start : int
        Number of the first frame.
    indices : (N,) int64
        Backgrounds.
    outputs : (N, 3, S, S) float32, or (N, S, S, 3) uint8 bgr24 of a resident generator
        Pooled; what belongs to a frame without a mouth is undefined.
    alphas : (N,) uint8
        Fade of each frame's mouth: 255 shows it, 0 the background alone.
    """

    start: int
    indices: NDArray[np.int64]
    outputs: NDArray[Any]
    alphas: NDArray[np.uint8]


class Inference:
    """A template's visual inputs and generators; threads may share it.

    Parameters
    ----------
    template : Template
    generators : sequence of Generator or ResidentGenerator
        One for each device; a request goes to the one with the fewest under way.
    pool : BufferPool
    stages : Stages
        With a clock for each of `device_names`.
    """

    def __init__(
        self,
        template: Template,
        generators: Sequence[Generator | ResidentGenerator],
        pool: BufferPool,
        stages: Stages,
    ) -> None:
        self.template, self.generators = template, tuple(generators)
        self.pool, self.stages = pool, stages
        self._lock = threading.Lock()
        self._under_way = dict.fromkeys(device_names(generators), 0)
        self._last = len(self.generators) - 1

    @contextmanager
    def _device(self) -> Iterator[tuple[str, Generator | ResidentGenerator]]:
        """The next of the devices that have the least to do."""
        names = list(self._under_way)
        with self._lock:
            turn = [(self._last + 1 + k) % len(names) for k in range(len(names))]
            self._last = min(turn, key=lambda i: self._under_way[names[i]])
            chosen = self._last
            self._under_way[names[chosen]] += 1
        try:
            yield names[chosen], self.generators[chosen]
        finally:
            with self._lock:
                self._under_way[names[chosen]] -= 1

    def run(
        self, features: NDArray[np.float32], start: int, alphas: ArrayLike | None = None
    ) -> NetOutputs:
        """Run the net for the frames that show a mouth: that have a face, and an alpha.

        Parameters
        ----------
        features : (N, *audio_shape) float32
            One feature window for each frame.
        start : int
            Number of the first frame.
        alphas : (N,) integers, 0 to 255, optional
            Fade of each frame's mouth; 255 by default. Frames of 0 do not reach the net.

        Raises
        ------
        LayoutError
            If the features are not float32.
        InputError
            If they have another shape than the preset's, the alphas do not fit them, or `start`
            is not a whole number from 0 on.
        ModelError, DeviceMemoryError
            If the net fails on them.
        """
        preset = self.template.preset
        if not isinstance(features, np.ndarray) or features.dtype != np.float32:
            got = getattr(features, "dtype", type(features).__name__)
            raise LayoutError(f"features must be an array of float32, got {got}; convert it first")
        if features.ndim == 0 or features.shape[1:] != preset.audio_shape:
            needed = ", ".join(map(str, ("N", *preset.audio_shape)))
            raise InputError(
                f"features must have shape ({needed}) for {preset.name}, got {features.shape}"
            )
        count, start = len(features), check_start(start)
        fades = check_alphas(alphas, count)
        indices = self.template.indices(start, count)
        mouths = (self.template.rects[indices, 2] > 0) & (fades > 0)
        with self._device() as (name, generator), self.stages.devices[name](int(mouths.sum())):
            outputs: NDArray[Any]
            if isinstance(generator, ResidentGenerator):
                outputs = self._draw_resident(generator, features, indices, mouths)
            else:
                outputs = self._draw_packed(generator, features, indices, mouths)
        return NetOutputs(start, indices, outputs, fades)

    def _draw_resident(
        self,
        generator: ResidentGenerator,
        features: NDArray[np.float32],
        indices: NDArray[np.int64],
        mouths: NDArray[np.bool_],
    ) -> NDArray[np.uint8]:
        side = self.template.preset.view
        pool = self.pool if generator.pinned is None else generator.pinned
        outputs: NDArray[np.uint8] = pool.empty((len(indices), side, side, 3), "uint8")
        for part in _stretches(mouths, len(mouths)):
            with self.stages.net(part.stop - part.start):
                generator.infer_indices(indices[part], features[part], out=outputs[part])
        return outputs

    def _draw_packed(
        self,
        generator: Generator,
        features: NDArray[np.float32],
        indices: NDArray[np.int64],
        mouths: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        preset = self.template.preset
        shape = (len(indices), 3, preset.view, preset.view)
        outputs: NDArray[np.float32] = self.pool.empty(shape, "float32")
        for part in _stretches(mouths, generator.micro_batch):
            count = part.stop - part.start
            visual = self.pool.empty((count, *preset.visual_shape), "float32")
            with self.stages.visual(count):
                for slot, index in enumerate(indices[part]):
                    self.template.visual(int(index), out=visual[slot])
            with self.stages.net(count):
                generator.infer(visual, features[part], out=outputs[part])
        return outputs


def device_names(generators: Sequence[Generator | ResidentGenerator]) -> list[str]:
    """Where each of them runs: "cuda:0", "cpu"; numbered where two run in one place."""
    places = [generator.device for generator in generators]
    return [
        place if places.count(place) == 1 else f"{place} #{places[: i + 1].count(place)}"
        for i, place in enumerate(places)
    ]


def _stretches(wanted: NDArray[np.bool_], most: int) -> Iterator[slice]:
    """Neighbours that are wanted, at most `most` at a time."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    for start, stop in edges.reshape(-1, 2).tolist():
        for first in range(start, stop, most):
            yield slice(first, min(first + most, stop))
