from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..formats import VideoFormat
from ..presets import Preset

class Backgrounds:
    def __init__(self, count: int, video: VideoFormat, format: str, preset: Preset) -> None: ...
    def use_jpeg(self, quality: int, subsampling: str, restart_interval: int) -> None: ...
    def set_mouth(
        self,
        index: int,
        rect: Sequence[int] | NDArray[np.int32],
        crop: NDArray[np.uint8],
        mask: NDArray[np.uint8] | None,
        whole: Sequence[int] | NDArray[np.int32] | None = None,
    ) -> None: ...
    @property
    def most_spliced(self) -> int: ...
    def set_bgr24(
        self, index: int, frame: NDArray[np.uint8], under: NDArray[np.uint8] | None = None
    ) -> None: ...
    def set_i420(self, index: int, planes: NDArray[np.uint8]) -> None: ...
    def set_jpeg(
        self,
        index: int,
        file: NDArray[np.uint8],
        segments: NDArray[np.uint32],
        region: NDArray[np.uint8],
    ) -> None: ...
    def clear(self, index: int) -> None: ...

class Holders:
    lent: int
    refused: int
    def __init__(self, count: int) -> None: ...

class InPlaceFrame:
    def array(self) -> NDArray[np.uint8]: ...

class InPlace:
    @property
    def lent(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def backgrounds(self) -> Backgrounds: ...
    def __init__(
        self,
        backgrounds: Backgrounds,
        frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        holders: Holders | None = None,
    ) -> None: ...
    def borrow(self, index: int) -> InPlaceFrame | None: ...
