"""The contracts of the model families, one data row each.

A preset says how a stored crop becomes the generator's visual input, what the
generator hears, and how its output goes back to the frame. The rows hold what the
projects' own inference scripts do; pixel parity with those scripts is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .errors import InputError, ModelError
from .misfits import misfit, shape_text

__all__ = ["PRESETS", "Preset", "find_preset", "get_preset"]

LOOPS = ("pingpong", "pingpong-doubled", "forward", "once")


@dataclass(frozen=True)
class Preset:
    """The contract of one model family.

    Attributes
    ----------
    name : str
        What users call it; also stored in a template.
    view : int
        Side S in pixels of the square picture that the net sees and makes.
    crop : int
        Side of the square stored in the template; ``border = (crop - view) // 2``.
    black : (x0, y0, x1, y1) or None
        Rectangle of the view, half-open, that is black in the masked picture.
    visual : str
        Order of the input planes: ``"reference+masked"``, ``"masked+reference"``
        (six planes) or ``"reference"`` (three).
    rgb : bool
        True where the planes are R, G, B; False where they are B, G, R.
    low, high : float
        Values of black and white, in the net's input and in its output.
    crop_filter, patch_filter : str
        Filters of rect → crop and of crop → rect, as in `resize`.
    image_input, audio_input : str
        Names of the net's inputs.
    audio_shape : tuple of int
        Shape of one feature window, without the batch axis.
    features : str
        Source of the feature windows: ``"ave"``, ``"mel"`` or ``"params"``.
    feature_rate : int or None
        Frames a second that the features are made for; None where any rate will do.
    rect_rule : str
        How a rect is found in a face: ``"square"`` (from landmarks), ``"box"`` (padded
        detector box) or ``"given"``.
    edge : str or None
        How the patch fades into the background: None (overwritten), ``"ramp"`` (alpha
        grows over 20 px) or ``"frame"`` (a 10 px frame, blurred).
    loop, start : str, int
        The order in which the family's own script shows the template's frames.
    whole_view : bool
        False: the net's output is put into the crop, inside its border, and the crop is
        resized to the rect. True: the output alone is; see `with_border`.
    """

    name: str
    view: int
    crop: int
    black: tuple[int, int, int, int] | None
    visual: str
    rgb: bool
    low: float
    high: float
    crop_filter: str
    patch_filter: str
    image_input: str
    audio_input: str
    audio_shape: tuple[int, ...]
    features: str
    feature_rate: int | None
    rect_rule: str
    edge: str | None
    loop: str
    start: int
    whole_view: bool = False

    @property
    def border(self) -> int:
        """Pixels of the crop on each side that the net does not see."""
        return (self.crop - self.view) // 2

    @property
    def patch_border(self) -> int:
        """Pixels of the stored crop that surround the net's output in the patch."""
        return 0 if self.whole_view else self.border

    def with_border(self, border: int | None) -> Preset:
        """The preset with another border round the net's output.

        Parameters
        ----------
        border : int or None
            None or the preset's own changes nothing. 0 pastes the output over the whole
            rect with top-left bilinear sampling, as the first generation's server did.

        Raises
        ------
        InputError
            If it is another number.
        """
        if border is None or border == self.border:
            return self
        if border != 0:
            raise InputError(f"border must be {self.border} or 0 for {self.name}, got {border}")
        return replace(self, whole_view=True, patch_filter="bilinear_topleft")

    @property
    def channels(self) -> int:
        """Planes of the visual input: 3 or 6."""
        return 3 if self.visual == "reference" else 6

    @property
    def visual_shape(self) -> tuple[int, int, int]:
        """Shape of one visual input: (channels, view, view)."""
        return (self.channels, self.view, self.view)


def _wav2lip(size: int, edge: str | None = None) -> Preset:
    return Preset(
        name=f"wav2lip{size}",
        view=size,
        crop=size,
        black=(0, size // 2, size, size),
        visual="masked+reference",
        rgb=False,
        low=0.0,
        high=1.0,
        crop_filter="bilinear",
        patch_filter="bilinear",
        image_input="video_frames",
        audio_input="mel_spectrogram",
        audio_shape=(1, 80, 16),
        features="mel",
        feature_rate=None,
        rect_rule="box",
        edge=edge,
        loop="forward",
        start=0,
    )


_ROWS = (
    Preset(
        name="synctalk328",
        view=320,
        crop=328,
        black=(5, 5, 315, 310),
        visual="reference+masked",
        rgb=False,
        low=0.0,
        high=1.0,
        crop_filter="bicubic",
        patch_filter="bicubic",
        image_input="input",
        audio_input="audio",
        audio_shape=(32, 16, 16),
        features="ave",
        feature_rate=25,
        rect_rule="square",
        edge=None,
        loop="pingpong",
        start=1,
    ),
    _wav2lip(96),
    _wav2lip(256),
    _wav2lip(288),
    _wav2lip(384, edge="ramp"),
    Preset(
        name="liteavatar384",
        view=384,
        crop=384,
        black=None,
        visual="reference",
        rgb=True,
        low=-1.0,
        high=1.0,
        crop_filter="bilinear",
        patch_filter="bilinear",
        image_input="image",
        audio_input="params",
        audio_shape=(32,),
        features="params",
        feature_rate=None,
        rect_rule="given",
        edge="frame",
        loop="pingpong-doubled",
        start=0,
    ),
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in _ROWS}


def get_preset(preset: str | Preset) -> Preset:
    """The preset of a name; a Preset is returned as it is.

    Raises
    ------
    InputError
        If no preset has that name.
    """
    if isinstance(preset, Preset):
        return preset
    try:
        return PRESETS[preset]
    except (KeyError, TypeError):
        raise InputError(
            f"preset must be one of {', '.join(PRESETS)} or a Preset, got {preset!r}"
        ) from None


def _fits(shape: Sequence[object], needed: Sequence[int]) -> bool:
    """True where a model's shape (names or None for dynamic axes) allows the one needed."""
    return len(shape) == len(needed) and all(
        not isinstance(have, int) or have == need for have, need in zip(shape, needed, strict=True)
    )


def find_preset(
    inputs: Mapping[str, Sequence[object]], presets: Mapping[str, Preset] = PRESETS
) -> Preset:
    """Find the preset whose input shapes a generator has.

    Parameters
    ----------
    inputs : mapping of name to shape
        The model's inputs; dynamic axes are names or None. The first axis is the batch.
    presets : mapping of name to Preset
        The rows to choose from.

    Returns
    -------
    Preset
        The one row that fits; input names decide between rows of equal shapes, and the
        row's input names are replaced by the model's own where they differ.

    Raises
    ------
    ModelError
        If none fits; the message lists the shapes found and the families known.
    """
    fitting = []
    for row in presets.values():
        image = [n for n, s in inputs.items() if _fits(s[1:], row.visual_shape)]
        audio = [n for n, s in inputs.items() if _fits(s[1:], row.audio_shape)]
        pairs = [(i, a) for i in image for a in audio if i != a]
        if len(inputs) == 2 and pairs:
            named = (row.image_input, row.audio_input)
            pair = named if named in pairs else pairs[0]
            _check_names(row, *pair)
            fitting.append((pair == named, row, pair))
    if not fitting:
        raise ModelError(_no_preset(inputs, presets))
    names_match, row, (image_input, audio_input) = max(fitting, key=lambda f: f[0])
    same = [f for f in fitting if f[0] == names_match]
    if len(same) > 1:
        names = ", ".join(f[1].name for f in same)
        raise ModelError(
            f"the generator's open input sizes fit several presets ({names}); name one with preset="
        )
    if names_match:
        return row
    return replace(row, image_input=image_input, audio_input=audio_input)


def _check_names(row: Preset, image: str, audio: str) -> None:
    """The names of a family on each other's inputs: one of both is wrong, so ask."""
    if (image, audio) == (row.audio_input, row.image_input):
        raise ModelError(
            f"its inputs are swapped: {row.image_input} has the shape of what {row.name} hears "
            f"and {row.audio_input} that of the picture; exchange their names in the export"
        )


def _no_preset(inputs: Mapping[str, Sequence[object]], presets: Mapping[str, Preset]) -> str:
    """The sentence for a net of no family: what it has, and what is wrong or known."""
    found = ", ".join(f"{n} {shape_text(s)}" for n, s in inputs.items()) or "none"
    hears: dict[int, list[str]] = {}
    for row in presets.values():
        hears.setdefault(row.view, []).append(shape_text(("N", *row.audio_shape)))
    why = misfit(inputs, hears)
    if why is None:
        known = (
            f"{r.name} {shape_text(('N', *r.visual_shape))} + {shape_text(('N', *r.audio_shape))}"
            for r in presets.values()
        )
        why = f"known are {'; '.join(known)}; name one with preset= if it leaves its sizes open"
    return f"the generator's inputs fit no preset: found {found}; {why}"
