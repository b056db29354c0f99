"""TemplateOptions: the choices made when a template folder is written."""

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
    """The choices made when a template folder is written.

    Attributes
    ----------
    store : tuple of {"jpeg", "i420", "bgr24"}
        Formats in which backgrounds are kept. A list is taken too.
    jpeg : JpegSettings
        How backgrounds, and the JPEG frames made from them, are encoded.
    loop : Loop, optional
        The order in which frames are shown; the name of a kind is taken too. The preset fills in
        what is left open.
    feather : {"auto", "rounded", "ellipse"}, optional
        How the patch fades into the background in place of the preset's edge; see
        `Preset.with_feather`. None keeps the pixels of the family's own script.
    label : bool
        Whether media generated from the template is marked as such.

    Raises
    ------
    InputError
        If a format of `store`, or a loop, is unknown.
    ArgumentTypeError
        If a value has the wrong type.
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
