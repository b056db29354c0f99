import numpy as np
from numpy.typing import NDArray

def colour_planes(
    patch: NDArray[np.uint8], background: NDArray[np.uint8], *, ring: int = 8
) -> NDArray[np.float64]: ...
def match_colour(
    patch: NDArray[np.uint8],
    planes: NDArray[np.float64],
    out: NDArray[np.uint8] | None = None,
    *,
    isa: str | None = None,
) -> NDArray[np.uint8]: ...
