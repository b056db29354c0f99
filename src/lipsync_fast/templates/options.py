"""TemplateOptions: the choices in writing a template folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..checks import check_type
from ..errors import InputError
from ..timing import Loop
from .jpeg_backgrounds import JpegSettings

__all__ = ["STORES", "TemplateOptions"]

STORES = ("jpeg", "i420", "bgr24")


@dataclass(frozen=True)
class TemplateOptions:
    """The choices in writing a template folder.

    Attributes
    ----------
    store : tuple of {"jpeg", "i420", "bgr24"}
        Formats of the stored backgrounds. May be given as a list.
    jpeg : JpegSettings
        Encoding of the backgrounds, and of the JPEG frames made from them.
    loop : Loop, optional
        The order in which frames are shown. May be given as the name of a kind. The preset
        completes it.
    feather : {"auto", "rounded", "ellipse"}, optional
        How the patch fades into the background, instead of the preset's edge; see
        `Preset.with_feather`. None keeps the pixels of the family's own script.
    label : bool
        Whether media generated from the template is marked as such.

    Raises
    ------
    InputError
        A format of `store`, or the loop, is unknown.
    ArgumentTypeError
        A value has the wrong type.
    """

    store: tuple[str, ...] = ("jpeg", "i420")
    jpeg: JpegSettings = field(default_factory=JpegSettings)
    loop: Loop | str | None = None
    feather: str | None = None
    label: bool = True

    def __post_init__(self) -> None:
        check_type("store", self.store, tuple, list)
        unknown = [name for name in self.store if name not in STORES]
        if unknown or not self.store:
            got = ", ".join(map(str, self.store))
            raise InputError(f"store must name some of {', '.join(STORES)}, got {got!r}")
        check_type("jpeg", self.jpeg, JpegSettings)
        object.__setattr__(self, "store", tuple(self.store))
        object.__setattr__(self, "loop", Loop.of(self.loop))
