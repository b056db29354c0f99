"""Finished frames: lent one by one, or together as the answer to a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["CompositorStats", "Frame", "Frames"]

_RELEASED = np.empty(0, np.uint8)  # replaces memory that is no longer lent


class Frame:
    """A finished frame in pooled memory, lent until it is released or no longer used.

    Attributes
    ----------
    index : int
        Number of the output frame, counted from the start of the speech.
    template_index : int
        Number of the background that it shows.
    format : str
    array : ndarray of uint8
        (H, W, channels) for packed formats, flat I420 planes, or the bytes of a JPEG: a view.
        Empty once the frame is released.
    """

    __slots__ = ("array", "format", "index", "template_index")

    def __init__(
        self, array: NDArray[np.uint8], format: str, index: int, template_index: int
    ) -> None:
        self.array = array
        self.format, self.index, self.template_index = format, index, template_index

    @property
    def data(self) -> memoryview:
        """The frame's bytes: a flat memoryview, valid as long as you hold it."""
        return self.array.reshape(-1).data

    def release(self) -> None:
        """Release the memory, which returns to the pool once its last view is gone."""
        self.array = _RELEASED

    def __enter__(self) -> Frame:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Frame {self.index} {self.format}, {self.array.nbytes} bytes>"


class Frames(Sequence[Frame]):
    """The frames of one request, in order; leaving the ``with`` block releases them all."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames

    def release(self) -> None:
        """Release every frame; see `Frame.release`."""
        for frame in self._frames:
            frame.release()

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
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
        self.release()

    def __repr__(self) -> str:
        return f"<Frames {len(self)}>"


@dataclass(frozen=True)
class CompositorStats:
    """Frames that a compositor has finished.

    Attributes
    ----------
    frames : int
        All of them.
    in_place : int
        Those painted on the background itself.
    copied : int
        Those written whole: copied, converted or spliced.
    """

    frames: int
    in_place: int
    copied: int
