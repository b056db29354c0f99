import numpy as np
from numpy.typing import NDArray

from ._resize import ResizePlan

def patch(
    planar: NDArray[np.float32],
    plan: ResizePlan,
    crop: NDArray[np.uint8] | None = None,
    out: NDArray[np.uint8] | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    rounding: str = "truncate",
    swap: bool = False,
    planes: NDArray[np.float64] | None = None,
    isa: str | None = None,
) -> NDArray[np.uint8]: ...
