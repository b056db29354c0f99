import numpy as np
from numpy.typing import NDArray

def blend(
    patch: NDArray[np.uint8],
    background: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None = None,
    out: NDArray[np.uint8] | None = None,
    *,
    x: int = 0,
    y: int = 0,
    swap: bool = False,
    isa: str | None = None,
) -> NDArray[np.uint8]: ...
