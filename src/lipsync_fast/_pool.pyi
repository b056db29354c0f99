from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, SupportsIndex, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Shape = SupportsIndex | Sequence[SupportsIndex]

@dataclass(frozen=True)
class PoolStats:
    hits: int
    misses: int
    lent: int
    lent_bytes: int
    idle: int
    bytes: int
    peak: int
    trimmed: int
    served_bytes: int
    limit: int | None

@final
class Lease:
    @property
    def array(self) -> NDArray[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nbytes(self) -> int: ...
    def release(self) -> None: ...
    def __enter__(self) -> NDArray[Any]: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class BufferPool:
    def __init__(self, *, limit: int | None = None) -> None: ...
    def empty(self, shape: _Shape, dtype: DTypeLike = "uint8") -> NDArray[Any]: ...
    def lend(self, shape: _Shape, dtype: DTypeLike = "uint8") -> Lease: ...
    def trim(self) -> int: ...
    @property
    def limit(self) -> int | None: ...
    @limit.setter
    def limit(self, limit: int | None) -> None: ...
    def stats(self) -> PoolStats: ...

def default_pool() -> BufferPool: ...
