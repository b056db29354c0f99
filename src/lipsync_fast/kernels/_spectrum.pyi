import numpy as np
from numpy.typing import NDArray

SCRATCH: int

def spectrum(
    frames: NDArray[np.float64],
    *,
    out: NDArray[np.float64] | None = None,
    scratch: NDArray[np.float64] | None = None,
    isa: str | None = None,
) -> NDArray[np.float64]: ...
