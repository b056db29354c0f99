from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._jpeg import _Buffer, _Bytes

_Patch = (
    tuple[NDArray[np.uint8], int, int]
    | tuple[NDArray[np.uint8], int, int, NDArray[np.uint8] | None]
)

class SplicedJpeg:
    def __init__(
        self,
        background: NDArray[np.uint8] | _Bytes,
        quality: int | None = None,
        subsampling: str | None = None,
        restart_interval: int | None = None,
        *,
        format: str | None = None,
        segments: NDArray[np.uint32] | None = None,
    ) -> None: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def subsampling(self) -> str: ...
    @property
    def restart_interval(self) -> int: ...
    @property
    def data(self) -> NDArray[np.uint8]: ...
    def region(self, x: int, y: int, w: int, h: int) -> tuple[int, int, int, int]: ...
    def bound(self, w: int, h: int, count: int = 1) -> int: ...
    def splice(
        self, patch: NDArray[np.uint8], x: int, y: int, *, mask: NDArray[np.uint8] | None = None
    ) -> bytes: ...
    def splice_into(
        self,
        out: _Buffer,
        patch: NDArray[np.uint8],
        x: int,
        y: int,
        *,
        mask: NDArray[np.uint8] | None = None,
    ) -> int: ...
    def splice_all(self, patches: Sequence[_Patch]) -> bytes: ...
    def splice_all_into(self, out: _Buffer, patches: Sequence[_Patch]) -> int: ...
