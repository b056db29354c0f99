from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._backgrounds import Backgrounds

class Worker:
    def __init__(self, backgrounds: Backgrounds, isa: str | None = None) -> None: ...

class Spans:
    def __init__(self, arrays: Iterable[NDArray[Any]]) -> None: ...

class Targets:
    def __init__(self, backgrounds: Backgrounds, buffers: list[Any]) -> None: ...
    def need_apart(self, outputs: NDArray[Any], template: Spans) -> None: ...
    @property
    def in_place(self) -> int: ...
    @property
    def lengths(self) -> NDArray[np.int64]: ...

def measure(
    worker: Worker,
    outputs: NDArray[np.float32] | NDArray[np.uint8],
    indices: NDArray[np.int64],
    alphas: NDArray[np.uint8],
    planes: NDArray[np.float64],
    first: int,
    last: int,
) -> None: ...
def finish(
    worker: Worker,
    outputs: NDArray[np.float32] | NDArray[np.uint8],
    indices: NDArray[np.int64],
    targets: Targets,
    first: int,
    last: int,
    alphas: NDArray[np.uint8],
    matches: NDArray[np.int32] | None = None,
) -> None: ...
