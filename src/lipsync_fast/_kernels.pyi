from typing import TypeVar, final, overload

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

# resize

@final
class ResizePlan:
    source: tuple[int, int]
    target: tuple[int, int]
    filter: str

    def __init__(
        self, source: tuple[int, int], target: tuple[int, int], filter: str = "bilinear"
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

# match

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

# patch

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

_Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

def i420_size(width: int, height: int) -> int: ...
def i420_planes(buffer: NDArray[np.uint8], width: int, height: int) -> _Planes: ...
@overload
def to_i420(
    image: NDArray[np.uint8],
    out: NDArray[np.uint8] | None = None,
    *,
    matrix: str = "bt601",
    full_range: bool = False,
    swap: bool = False,
    isa: str | None = None,
) -> NDArray[np.uint8]: ...
@overload
def to_i420(
    image: NDArray[np.uint8],
    out: _Planes,
    *,
    matrix: str = "bt601",
    full_range: bool = False,
    swap: bool = False,
    isa: str | None = None,
) -> _Planes: ...
def from_i420(
    picture: NDArray[np.uint8] | _Planes,
    out: NDArray[np.uint8] | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
    matrix: str = "bt601",
    full_range: bool = False,
    swap: bool = False,
    isa: str | None = None,
) -> NDArray[np.uint8]: ...

_Picture = TypeVar("_Picture", NDArray[np.uint8], _Planes)

def blend_i420(
    patch: NDArray[np.uint8],
    picture: _Picture,
    mask: NDArray[np.uint8] | None = None,
    *,
    x: int = 0,
    y: int = 0,
    width: int | None = None,
    height: int | None = None,
    matrix: str = "bt601",
    full_range: bool = False,
    swap: bool = False,
    isa: str | None = None,
) -> _Picture: ...

# mel

def mel(
    spectrum: NDArray[np.float64],
    edges: NDArray[np.int32],
    weights: NDArray[np.float32],
    *,
    out: NDArray[np.float32] | None = None,
    isa: str | None = None,
) -> NDArray[np.float32]: ...
