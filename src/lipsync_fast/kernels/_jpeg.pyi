from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Bytes = bytes | bytearray | memoryview | NDArray[np.uint8]
_Buffer = bytearray | memoryview | NDArray[np.uint8]

LIBRARY: str

class JpegHeader(NamedTuple):
    width: int
    height: int
    subsampling: str
    restart_interval: int
    segments: int
    size: int

class JpegEncoder:
    def __init__(
        self,
        quality: int = 75,
        subsampling: str = "4:2:0",
        restart_interval: int = 0,
        *,
        xmp: bytes | None = None,
    ) -> None: ...
    @property
    def quality(self) -> int: ...
    @property
    def subsampling(self) -> str: ...
    @property
    def restart_interval(self) -> int: ...
    @property
    def xmp(self) -> bytes | None: ...
    def encode(self, picture: NDArray[np.uint8], *, format: str | None = None) -> bytes: ...
    def encode_into(
        self, out: _Buffer, picture: NDArray[np.uint8], *, format: str | None = None
    ) -> int: ...

def choose_restart_interval(width: int, subsampling: str = "4:2:0", share: float = ...) -> int: ...
def decode(data: _Bytes, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]: ...
def jpeg_bound(
    width: int, height: int, subsampling: str = "4:2:0", xmp: bytes | None = None
) -> int: ...
def jpeg_header(data: _Bytes) -> JpegHeader: ...
def jpeg_region(
    x: int,
    y: int,
    w: int,
    h: int,
    width: int,
    height: int,
    subsampling: str,
    restart_interval: int,
) -> tuple[int, int, int, int]: ...
def jpeg_segments(data: _Bytes) -> NDArray[np.uint32]: ...
