"""Drawing the frames that show a mouth, each request on the least busy device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_alphas
from ..errors import InputError, LayoutError
from ..memory._pool import BufferPool
from ..nets.devices import least_busy
from ..nets.opening import AnyGenerator
from ..templates.template import Template
from ..timing import check_start
from .speech import Request
from .stages import Stages

__all__ = ["Inference", "NetOutputs", "device_names"]


@dataclass(frozen=True)
class NetOutputs:
    """Model outputs of one request, on their way to the compositor.

    Attributes
    ----------
    start : int
        Number of the first frame.
    indices : (N,) int64
        Backgrounds.
    outputs : (N, 3, S, S) float32, or (N, S, S, 3) uint8 bgr24, as the generator makes them
        Pooled; undefined in frames without a mouth.
    alphas : (N,) uint8
        Fade of each frame's mouth: 255 shows it, 0 shows only the background.
    """

    start: int
    indices: NDArray[np.int64]
    outputs: NDArray[Any]
    alphas: NDArray[np.uint8]


@dataclass(frozen=True)
class _Job:
    """A checked request, and the generator that draws it."""

    generator: AnyGenerator
    load: ExitStack  # counts the frames as under way until closed
    features: NDArray[np.float32]
    start: int
    indices: NDArray[np.int64]
    alphas: NDArray[np.uint8]
    mouths: NDArray[np.bool_]  # frames that the model draws


class Inference:
    """A template's generators, one for each device; threads may share it.

    Parameters
    ----------
    template : Template
    generators : sequence of AnyGenerator
        A request goes to the one whose device has the fewest frames under way, including those
        of other pipelines.
    pool : BufferPool
    stages : Stages
        With a clock for each of `device_names`.
    """

    def __init__(
        self,
        template: Template,
        generators: Sequence[AnyGenerator],
        pool: BufferPool,
        stages: Stages,
    ) -> None:
        self.template, self.generators = template, tuple(generators)
        self.pool, self.stages = pool, stages
        names = device_names(self.generators)
        self._clocks = {g: stages.devices[n] for g, n in zip(self.generators, names, strict=True)}

    def run(
        self, features: NDArray[np.float32], start: int, alphas: ArrayLike | None = None
    ) -> NetOutputs:
        """Draw the frames that show a mouth: those with a face and an alpha above 0.

        Parameters
        ----------
        features : (N, *audio_shape) float32
            One feature window for each frame.
        start : int
            Number of the first frame.
        alphas : (N,) integers, 0 to 255, optional
            Fade of each frame's mouth; by default 255. The model does not draw frames of 0.

        Raises
        ------
        LayoutError
            The features are not float32.
        InputError
            The shape of `features` or `alphas` does not fit, or `start` is not a whole number of
            0 or more.
        ModelError, DeviceMemoryError
            The model fails on the features.
        """
        return self._draw(self._plan(features, start, alphas))

    def submit(self, request: Request) -> Future[NetOutputs]:
        """Start `run` on a thread of the device; from now on its frames count as load.

        Features and outputs are released once the future is dropped and a run under way ends.
        """
        job = self._plan(request.features, request.start, request.alphas)
        load = job.load
        future: Future[NetOutputs] = job.generator.device.submit(self._draw, job)
        future.add_done_callback(lambda _: load.close())  # in case it was cancelled
        return future

    def _plan(self, features: NDArray[np.float32], start: int, alphas: ArrayLike | None) -> _Job:
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
        generator, load = least_busy(self.generators), ExitStack()
        load.enter_context(generator.device.busy(int(np.count_nonzero(mouths))))
        return _Job(generator, load, features, start, indices, fades, mouths)

    def _draw(self, job: _Job) -> NetOutputs:
        generator, indices = job.generator, job.indices
        pool = self.pool if generator.pool is None else generator.pool
        frames = int(np.count_nonzero(job.mouths))
        with job.load, self._clocks[generator](frames):
            outputs: NDArray[Any] = pool.empty(*generator.output(len(indices)))
            for part in _stretches(job.mouths):
                generator.draw(
                    self.template,
                    indices[part],
                    job.features[part],
                    outputs[part],
                    pool=self.pool,
                    clock=self.stages,
                )
        return NetOutputs(job.start, indices, outputs, job.alphas)


def device_names(generators: Sequence[AnyGenerator]) -> list[str]:
    """Return each generator's device, "cuda:0" or "cpu"; numbered if two share one."""
    places = [generator.device.name for generator in generators]
    return [
        place if places.count(place) == 1 else f"{place} #{places[: i + 1].count(place)}"
        for i, place in enumerate(places)
    ]


def _stretches(wanted: NDArray[np.bool_]) -> Iterator[slice]:
    """Yield the runs of neighbouring wanted frames."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)
