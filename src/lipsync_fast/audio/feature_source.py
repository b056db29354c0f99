"""How feature windows are asked for, whatever they are made from: push, take, flush."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, LayoutError
from ..timing import parse_fps
from .mel import check_out, check_samples

__all__ = ["FeatureSource", "Floats"]

Floats = NDArray[np.float32]


class FeatureSource(ABC):
    """Feature windows of one sound, one window for each video frame. One thread at a time.

    Parameters
    ----------
    fps : Fraction, number or str
        Video frames a second.

    Attributes
    ----------
    shape : tuple of int
        Shape of one window.
    samples : int
        Samples received.
    taken : int
        Frames handed out.

    Raises
    ------
    InputError
        A bad fps.
    """

    shape: tuple[int, ...]

    def __init__(self, fps: Fraction | float | int | str) -> None:
        self.fps = parse_fps(fps)
        self.samples = self.taken = 0
        self._total: int | None = None  # frames of the sound, once it has ended

    @property
    def ready(self) -> int:
        """Frames that can be taken now."""
        return (self._settled() if self._total is None else self._total) - self.taken

    def push(self, samples: Floats) -> int:
        """Push samples; return the number of frames that can be taken.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono, any n including 0

        Returns
        -------
        int
            `ready`.

        Raises
        ------
        LayoutError, InputError
            Samples of another dtype or shape, or not finite; nothing has changed then. InputError
            also after `flush`.
        """
        check_samples(samples)
        self._check_open()
        self.samples += samples.size
        self._add(samples)
        return self.ready

    def flush(self) -> int:
        """End the sound; return the number of frames that can be taken.

        Returns
        -------
        int
            `ready`; with those taken before ceil(samples · fps / 16000).

        Raises
        ------
        InputError
            No samples, or flushed before.
        """
        self._check_open()
        self._total = self._end()
        return self.ready

    def take(self, count: int, out: Floats | None = None) -> Floats:
        """Write the next feature windows.

        Parameters
        ----------
        count : int
            Frames wanted, at most `ready`.
        out : (count, *shape) float32, C-contiguous, optional
            Pooled memory, for one.

        Returns
        -------
        (count, *shape) float32
            ``out``, or a fresh array.

        Raises
        ------
        InputError
            More frames than are ready, or an ``out`` of another shape.
        LayoutError
            An ``out`` of another dtype, or not C-contiguous.
        """
        if not 0 <= count <= self.ready:
            raise InputError(
                f"{count} frames were asked for and {self.ready} are ready; push more sound, "
                "or flush it, first"
            )
        shape = (count, *self.shape)
        target = np.empty(shape, np.float32) if out is None else check_out(out, shape)
        if not target.flags.c_contiguous:
            raise LayoutError("out must be C-contiguous, got a strided view; pass a packed array")
        for window in target:
            self._write(self.taken, window)
            self.taken += 1
        return target

    def _check_open(self) -> None:
        if self._total is not None:
            raise InputError(
                f"the sound of this {type(self).__name__} has ended; make a new one for the next "
                "sound"
            )

    @abstractmethod
    def _settled(self) -> int:
        """Frames whose windows no later sample can change."""

    @abstractmethod
    def _add(self, samples: Floats) -> None:
        """Take checked samples, which `samples` counts already."""

    @abstractmethod
    def _end(self) -> int:
        """End the sound; the number of its frames."""

    @abstractmethod
    def _write(self, frame: int, out: Floats) -> None:
        """Write the window of a frame into `out`; never ask for an earlier frame."""
