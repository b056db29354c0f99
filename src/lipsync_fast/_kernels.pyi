from typing import Literal

import numpy as np
from numpy.typing import NDArray

ISA: str

def available_isas() -> tuple[str, ...]: ...

# convert

def convert(
    planar: NDArray[np.float32],
    out: NDArray[np.uint8] | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    rounding: Literal["truncate", "round"] = "truncate",
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

# resize

# blend

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

# yuv

# mel
