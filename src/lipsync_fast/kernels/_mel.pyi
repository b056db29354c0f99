import numpy as np
from numpy.typing import NDArray

def mel(
    spectrum: NDArray[np.float64],
    edges: NDArray[np.int32],
    weights: NDArray[np.float32],
    *,
    out: NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> NDArray[np.float32]: ...
