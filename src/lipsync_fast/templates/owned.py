"""OwnedFrames: pictures in memory that finished frames may be painted on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, LayoutError

__all__ = ["OwnedFrames"]


class OwnedFrames:
    """Pictures that their owner gave away, with a copy of what lies under each rect.

    Whoever paints on `frames` stays inside the rects, so that each picture can be read as it was
    filmed at any time.

    Parameters
    ----------
    frames : sequence of (H, W, 3) uint8, bgr24
    rects : (n, 4) int32
        Inside the frame.

    Attributes
    ----------
    frames : list of (H, W, 3) uint8, C-contiguous, writable
        The given ones.
    under : list of (h, w, 3) uint8
        Pixels of each rect, as they were filmed.

    Raises
    ------
    InputError
        If a frame is read-only, or two of them share memory.
    LayoutError
        If a frame is not contiguous.
    """

    def __init__(
        self, frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], rects: NDArray[np.int32]
    ) -> None:
        self.frames = list(frames)
        self.rects = rects
        for i, frame in enumerate(self.frames):
            if not frame.flags.writeable:
                raise InputError(
                    f"frame {i} must be writable to be painted on, got a read-only array; "
                    "leave owned out"
                )
            if not frame.flags.c_contiguous:
                raise LayoutError(
                    f"frame {i} must be contiguous to be painted on, got strides {frame.strides}; "
                    "pass np.ascontiguousarray(frame) or leave owned out"
                )
        _need_apart(self.frames)
        self.under = [
            frame[y : y + h, x : x + w].copy()
            for frame, (x, y, w, h) in zip(self.frames, rects, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, index: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return a picture as it was filmed, whoever paints on it: `out`, or fresh."""
        picture = np.empty_like(self.frames[index]) if out is None else out
        picture[...] = self.frames[index]
        x, y, w, h = self.rects[index]
        picture[y : y + h, x : x + w] = self.under[index]
        return picture

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnedFrames, ([self.read(i) for i in range(len(self))], self.rects)


def _need_apart(frames: list[NDArray[np.uint8]]) -> None:
    spans = sorted((f.__array_interface__["data"][0], i) for i, f in enumerate(frames))
    for (start, i), (following, k) in itertools.pairwise(spans):
        if following < start + frames[i].nbytes:
            first, second = sorted((i, k))
            raise InputError(
                f"frame {second} must not share memory with frame {first} where they are painted "
                "on; pass copies or leave owned out"
            )
