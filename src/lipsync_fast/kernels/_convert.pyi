import numpy as np
from numpy.typing import NDArray

def convert(
    planar: NDArray[np.float32],
    out: NDArray[np.uint8] | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    rounding: str = "truncate",
    swap: bool = False,
    isa: str | None = None,
) -> NDArray[np.uint8]: ...
def to_planes(
    image: NDArray[np.uint8],
    out: NDArray[np.float32] | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    swap: bool = False,
    black: tuple[int, int, int, int] | None = None,
    isa: str | None = None,
) -> NDArray[np.float32]: ...
