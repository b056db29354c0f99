from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats import VideoFormat
from ..presets import Preset

class Backgrounds:
    def __init__(self, count: int, video: VideoFormat, format: str, preset: Preset) -> None: ...
    def set_mouth(
        self,
        index: int,
        rect: Sequence[int] | NDArray[np.int32],
        crop: NDArray[np.uint8],
        mask: NDArray[np.uint8] | None,
        whole: Sequence[int] | NDArray[np.int32] | None = None,
    ) -> None: ...
    def set_bgr24(self, index: int, frame: NDArray[np.uint8]) -> None: ...
    def set_i420(self, index: int, planes: NDArray[np.uint8]) -> None: ...
    def use_jpeg(self, quality: int, subsampling: str, restart_interval: int) -> None: ...
    def set_jpeg(
        self,
        index: int,
        file: NDArray[np.uint8],
        segments: NDArray[np.uint32],
        box: Sequence[int] | NDArray[np.int32],
        region: NDArray[np.uint8],
    ) -> None: ...

class Worker:
    def __init__(self, backgrounds: Backgrounds, isa: str | None = None) -> None: ...

class Targets:
    def __init__(self, backgrounds: Backgrounds, buffers: list[Any]) -> None: ...
    @property
    def lengths(self) -> NDArray[np.int64]: ...

class InPlaceFrame:
    def array(self) -> NDArray[np.uint8]: ...

class InPlace:
    lent: int
    refused: int
    @property
    def backgrounds(self) -> Backgrounds: ...
    def __init__(self, backgrounds: Backgrounds, frames: NDArray[np.uint8]) -> None: ...
    def borrow(self, index: int) -> InPlaceFrame | None: ...

def measure(
    worker: Worker,
    outputs: NDArray[np.float32] | NDArray[np.uint8],
    indices: NDArray[np.int64],
    alphas: NDArray[np.uint8],
    planes: NDArray[np.float64],
    first: int,
    last: int,
) -> None: ...
def finish(
    worker: Worker,
    outputs: NDArray[np.float32] | NDArray[np.uint8],
    indices: NDArray[np.int64],
    targets: Targets,
    first: int,
    last: int,
    alphas: NDArray[np.uint8],
    matches: NDArray[np.int32] | None = None,
) -> None: ...
