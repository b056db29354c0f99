"""Pixel formats in one table, and the format of a video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .checks import check_int, shown
from .errors import InputError
from .timing import parse_fps

__all__ = ["DEFAULT_PACKED", "FRAME_FORMATS", "MATRICES", "PACKED_CHANNELS", "VideoFormat"]

# Channels of packed pixels, in the order that the name says.
PACKED_CHANNELS = {"bgr24": 3, "rgb24": 3, "bgra": 4, "rgba": 4, "gray": 1}
# The format of packed pixels by their channels, where none is named.
DEFAULT_PACKED = {1: "gray", 3: "bgr24", 4: "bgra"}
# Formats of finished frames.
FRAME_FORMATS = ("bgr24", "rgb24", "bgra", "rgba", "i420", "jpeg")
MATRICES = ("bt601", "bt709")


_LARGEST = 1 << 24  # pixels of a side, as in the kernels


@dataclass(frozen=True)
class VideoFormat:
    """Size, rate and colour of a video or of the backgrounds of a template.

    Attributes
    ----------
    width, height : int
        Pixels.
    fps : Fraction
        Frames a second, exact; a number or a text such as ``"30000/1001"`` is taken too.
    matrix : {"bt601", "bt709"}
        The matrix between R'G'B' and Y'CbCr.
    full_range : bool
        Luma 0 to 255 instead of 16 to 235.
    tagged : bool
        Whether the source states matrix and range itself; outputs are tagged only then.

    Raises
    ------
    InputError
        If a size is below 1, the rate outside 1 to 1000, or the matrix unknown.
    """

    width: int
    height: int
    fps: Fraction = Fraction(25)
    matrix: str = "bt601"
    full_range: bool = False
    tagged: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_int("width", self.width, 1, _LARGEST, "pixels"))
        object.__setattr__(self, "height", check_int("height", self.height, 1, _LARGEST, "pixels"))
        object.__setattr__(self, "fps", parse_fps(self.fps))
        if self.matrix not in MATRICES:
            raise InputError(
                f"matrix must be one of {', '.join(MATRICES)}, got {shown(self.matrix)}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height
