from typing import final

import numpy as np
from numpy.typing import NDArray

@final
class ResizePlan:
    source: tuple[int, int]
    target: tuple[int, int]
    filter: str
    part: tuple[int, int, int, int] | None
    size: tuple[int, int]

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        filter: str = "bilinear",
        part: tuple[int, int, int, int] | None = None,
    ) -> None: ...
    def resize(
        self,
        src: NDArray[np.uint8],
        out: NDArray[np.uint8] | None = None,
        *,
        isa: str | None = None,
    ) -> NDArray[np.uint8]: ...

def resize(
    src: NDArray[np.uint8],
    out: NDArray[np.uint8] | None = None,
    *,
    size: tuple[int, int] | None = None,
    filter: str = "bilinear",
    isa: str | None = None,
) -> NDArray[np.uint8]: ...
