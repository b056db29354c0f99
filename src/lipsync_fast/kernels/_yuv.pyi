from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

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
