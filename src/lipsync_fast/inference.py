"""What the net draws for a request: frames that show a mouth go through it in micro-batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._pool import BufferPool
from .compositor import check_alphas
from .crops import pack_crop
from .errors import InputError
from .session import Generator
from .stages import Stages
from .template import Template

__all__ = ["Drawn", "Inference", "pack_visual"]


@dataclass(frozen=True)
class Drawn:
    """Net outputs of one request, on their way to the compositor.

    Attributes
    ----------
    start : int
        Number of the first frame.
    indices : (N,) int64
        Backgrounds.
    outputs : (N, 3, S, S) float32
        Pooled; what belongs to a frame without a mouth is undefined.
    alphas : (N,) uint8
        Fade of each frame's mouth: 255 shows it, 0 the background alone.
    """

    start: int
    indices: NDArray[np.int64]
    outputs: NDArray[np.float32]
    alphas: NDArray[np.uint8]


class Inference:
    """A template's visual inputs and a generator; threads may share it.

    Parameters
    ----------
    template : Template
    generator : Generator
    pool : BufferPool
    stages : Stages
    """

    def __init__(
        self, template: Template, generator: Generator, pool: BufferPool, stages: Stages
    ) -> None:
        self.template, self.generator = template, generator
        self.pool, self.stages = pool, stages

    def run(
        self, features: NDArray[np.float32], start: int, alphas: ArrayLike | None = None
    ) -> Drawn:
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
        InputError
            If the features have another shape than the preset's, or the alphas do not fit them.
        ModelError
            If the net fails on them.
        """
        preset = self.template.preset
        count = len(features)
        needed = (count, *preset.audio_shape)
        if features.shape != needed:
            raise InputError(
                f"features must have shape {needed} for {preset.name}, got {features.shape}"
            )
        fades = check_alphas(alphas, count)
        indices = self.template.indices(start, count)
        outputs = self.pool.empty((count, 3, preset.view, preset.view), "float32")
        step = self.generator.micro_batch
        mouths = (self.template.rects[indices, 2] > 0) & (fades > 0)
        first = 0
        while first < count:
            if not mouths[first]:
                first += 1
                continue
            last = first + 1
            while last < min(first + step, count) and mouths[last]:
                last += 1
            visual = self.pool.empty((last - first, *preset.visual_shape), "float32")
            with self.stages.visual(last - first):
                for slot, index in enumerate(indices[first:last]):
                    pack_visual(self.template, int(index), out=visual[slot])
            with self.stages.net(last - first):
                self.generator.infer(visual, features[first:last], out=outputs[first:last])
            first = last
        return Drawn(start, indices, outputs, fades)


def pack_visual(
    template: Template, index: int, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Visual input of one background: its crop as the preset's float planes.

    Parameters
    ----------
    template : Template
    index : int
        Which background.
    out : (channels, S, S) float32, optional

    Returns
    -------
    (channels, S, S) float32: `out`, or fresh
    """
    return pack_crop(template.crops[index], template.preset, out)
