"""Preset: the contract of one model family, checked where it is made."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from ..checks import shown
from ..errors import InputError
from ..timing import LOOPS, Loop

__all__ = ["FEATHERS", "FEATURES", "FILTERS", "ROW_SIZES", "Preset"]

FEATURES = ("ave", "hubert", "wenet", "mel", "params", "file")
# Numbers in one feature row, for features that come row by row.
ROW_SIZES = {"ave": 512, "hubert": 2 * 1024, "wenet": 16 * 512}
FILTERS = (
    "nearest",
    "bilinear",
    "bicubic",
    "area",
    "bilinear_topleft",
    "bilinear_aa",
    "bicubic_aa",
    "lanczos_aa",
)
_VISUALS = ("reference+masked", "masked+reference", "reference")
_RECT_RULES = ("square", "box", "given")
FEATHERS = ("rounded", "ellipse")
_EDGES = (None, "ramp", "frame", *FEATHERS)

_SMALLEST, _LARGEST = 8, 4096  # px, sides of a view
_MOST_AXES = 8
_MOST_LEVEL = 1e9  # of black and white
_NAMED = 5  # unknown fields that a message names


@dataclass(frozen=True)
class Preset:
    """The contract of one model family.

    Attributes
    ----------
    name : str
        Its name, also stored in templates.
    view : int
        Side S in pixels of the square picture that the model sees and draws.
    crop : int
        Side of the square stored in the template; ``border = (crop - view) // 2``.
    black : (x0, y0, x1, y1) or None
        Rectangle of the view, half-open, that is black in the masked picture.
    visual : str
        Order of the input planes: ``"reference+masked"``, ``"masked+reference"``
        (six planes) or ``"reference"`` (three).
    rgb : bool
        True if the planes are R, G, B; False if they are B, G, R.
    low, high : float
        Values of black and white, in the model's input and in its output.
    crop_filter, patch_filter : str
        Filters of rect → crop and of crop → rect, as in `resize`.
    image_input, audio_input : str
        Names of the model's inputs.
    audio_shape : tuple of int
        Shape of one feature window, without the batch axis.
    features : str
        Source of the feature windows. ``"mel"``, ``"ave"`` and ``"params"`` are computed from
        speech; ``"hubert"`` (rows of 2048 numbers), ``"wenet"`` (rows of 8192) and ``"file"``
        (rows of any size) can be read from a file, `FeatureFile`. A window holds as many rows
        as `audio_shape` has room for, half of them before the frame.
    feature_rate : int or None
        Frames a second that the features are made for; None if any rate will do.
    rect_rule : str
        How a rect is found in a face: ``"square"`` (from landmarks), ``"box"`` (padded
        detector box) or ``"given"``.
    edge : str or None
        How the patch fades into the background: None (it overwrites), ``"ramp"`` (alpha
        grows over 20 px), ``"frame"`` (a 10 px frame, blurred), or a feather: ``"rounded"``
        (a rectangle with round corners) or ``"ellipse"``; see `edge_mask`.
    loop, start : str, int
        The order in which the family's own script shows the template's frames; see `Loop`.
    whole_view : bool
        False: the model's output is put into the crop, inside its border, and the crop is
        resized to the rect. True: only the output is resized; see `with_border`.
    constants : tuple of (str, tuple of float)
        Further inputs of the model, the same for every frame and without a batch axis. May
        be given as a mapping of names to numbers.
    feather : str
        The feather that suits the family's rects, used if a feather is requested; see
        `with_feather`.
    feather_width : float
        Share of the rect's shorter side over which a feather grows from 0 to 1, at most 0.5.

    Raises
    ------
    InputError
        The fields do not fit each other.
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
    constants: tuple[tuple[str, tuple[float, ...]], ...] = ()
    feather: str = "rounded"
    feather_width: float = 0.12

    def __post_init__(self) -> None:
        _normalise(self)
        _check_names(self)
        _check_picture(self)
        _check_sound(self)

    @property
    def border(self) -> int:
        """Pixels of the crop on each side that the model does not see."""
        return (self.crop - self.view) // 2

    @property
    def patch_border(self) -> int:
        """Pixels of the stored crop that surround the model's output in the patch."""
        return 0 if self.whole_view else self.border

    def with_border(self, border: int | None) -> Preset:
        """Return the preset with another border round the model's output.

        Parameters
        ----------
        border : int or None
            None or the preset's own border changes nothing. 0 pastes the output over the whole
            rect with top-left bilinear sampling, like the first generation's server.

        Raises
        ------
        InputError
            `border` is another number.
        """
        if border is None or border == self.border:
            return self
        if border != 0:
            needed = f"{self.border} or 0" if self.border else "0"
            raise InputError(f"border must be {needed} for {self.name}, got {border}")
        return replace(self, whole_view=True, patch_filter="bilinear_topleft")

    def with_feather(self, feather: str | None) -> Preset:
        """Return the preset with a feather as its edge, unlike its own script.

        Parameters
        ----------
        feather : None, "auto", "rounded" or "ellipse"
            None changes nothing; "auto" is the preset's `feather`.

        Raises
        ------
        InputError
            `feather` is another word.
        """
        if feather is None:
            return self
        if feather not in ("auto", *FEATHERS):
            raise InputError(f"feather must be auto, {' or '.join(FEATHERS)}, got {feather!r}")
        return replace(self, edge=self.feather if feather == "auto" else feather)

    @property
    def channels(self) -> int:
        """Planes of the visual input: 3 or 6."""
        return 3 if self.visual == "reference" else 6

    @property
    def visual_shape(self) -> tuple[int, int, int]:
        """Shape of one visual input: (channels, view, view)."""
        return (self.channels, self.view, self.view)

    @property
    def default_loop(self) -> Loop:
        """The order in which the family's own script shows the template's frames."""
        return Loop(self.loop, self.start)

    @property
    def streams(self) -> bool:
        """Whether features can be computed while the speech still arrives."""
        return self.features in ("mel", "ave", "params")

    @property
    def driven_by_rule(self) -> bool:
        """Whether a driver computes the features from the mel by a rule."""
        return self.features == "params"

    # ---- as data -----------------------------------------------------------------------

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields as plain data for storage in a template: a fresh dict."""
        return {**asdict(self), "constants": dict(self.constants)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], base: Preset | None = None) -> Preset:
        """Make a preset from plain data; the inverse of `to_mapping`.

        Parameters
        ----------
        values : mapping
            Fields by name; lists for tuples, a mapping for `constants`. A missing `black`,
            `feature_rate` or `edge` is None.
        base : Preset, optional
            Source of the fields missing in `values`.

        Raises
        ------
        InputError
            A field is unknown, missing or wrong.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping):
            raise InputError(f"a preset must be fields by name, got {shown(values)}")
        unknown = [str(name)[:40] for name in values if name not in known][:_NAMED]
        if unknown:
            raise InputError(
                f"a preset has no field {', '.join(unknown)}; its fields are {', '.join(known)}"
            )
        start = {"black": None, "feature_rate": None, "edge": None}
        given = {**(start if base is None else base.to_mapping()), **values}
        missing = [f.name for f in fields(cls) if f.name not in given and f.default is MISSING]
        if missing:
            raise InputError(
                f"a preset also needs {', '.join(missing)}; add them, or take them from a built-in "
                'preset with base = "its name"'
            )
        return cls(**given)


# ---- checks ------------------------------------------------------------------------------


def _normalise(preset: Preset) -> None:
    """Turn lists into tuples and constants into pairs, so that presets compare and hash."""
    for name in ("black", "audio_shape"):
        value = getattr(preset, name)
        if isinstance(value, list):
            object.__setattr__(preset, name, tuple(value))
    try:
        pairs = (
            preset.constants.items() if isinstance(preset.constants, Mapping) else preset.constants
        )
        pairs = tuple((name, _numbers(value)) for name, value in pairs)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(preset, "constants", "names and their numbers", preset.constants) from None
    if not all(math.isfinite(value) for _, values in pairs for value in values):
        raise _wrong(preset, "constants", "names and their finite numbers", preset.constants)
    object.__setattr__(preset, "constants", pairs)


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value if isinstance(value, Iterable) else (value,)))


def _wrong(preset: Preset, field: str, needs: str, got: object) -> InputError:
    return InputError(f"preset {preset.name}: {field} must be {needs}, got {shown(got)}")


def _require(preset: Preset, field: str, fits: bool, needs: str) -> None:
    if not fits:
        raise _wrong(preset, field, needs, getattr(preset, field))


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check_names(preset: Preset) -> None:
    if not isinstance(preset.name, str) or not re.fullmatch(r"[\w+-]{1,64}", preset.name):
        raise InputError(
            "name of a preset must be 1 to 64 letters, digits or any of + - _, "
            f"got {shown(preset.name)}"
        )
    inputs = (preset.image_input, preset.audio_input, *(name for name, _ in preset.constants))
    for name in inputs:
        if not isinstance(name, str) or not name:
            raise _wrong(preset, "image_input and audio_input", "names of the model's inputs", name)
    if len(set(inputs)) < len(inputs):
        raise _wrong(preset, "image_input, audio_input and constants", "different names", inputs)


def _check_picture(preset: Preset) -> None:
    sides = f"a side of {_SMALLEST} to {_LARGEST} pixels"
    _require(preset, "view", _is_whole(preset.view, _SMALLEST, _LARGEST), sides)
    crop = _is_whole(preset.crop, preset.view, _LARGEST) and (preset.crop - preset.view) % 2 == 0
    _require(preset, "crop", crop, f"view ({preset.view}) and an equal border on both sides")
    _require(preset, "visual", preset.visual in _VISUALS, f"one of {', '.join(_VISUALS)}")
    masked = "masked" in preset.visual
    if (preset.black is not None) != masked:
        needs = "a rectangle, since the model sees a masked picture" if masked else "None"
        raise _wrong(preset, "black", needs, preset.black)
    if preset.black is not None:
        box = isinstance(preset.black, tuple) and len(preset.black) == 4
        box = box and all(_is_whole(v, 0, preset.view) for v in preset.black)
        inside = box and preset.black[0] < preset.black[2] and preset.black[1] < preset.black[3]
        _require(preset, "black", inside, f"x0, y0, x1, y1 inside the view of {preset.view} px")
    for field in ("rgb", "whole_view"):
        _require(preset, field, isinstance(getattr(preset, field), bool), "true or false")
    numbers = all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= _MOST_LEVEL
        for v in (preset.low, preset.high)
    )
    _require(
        preset,
        "high",
        numbers and preset.low < preset.high,
        f"a number above low ({shown(preset.low)})",
    )
    for field in ("crop_filter", "patch_filter"):
        _require(preset, field, getattr(preset, field) in FILTERS, f"one of {', '.join(FILTERS)}")
    _require(
        preset, "rect_rule", preset.rect_rule in _RECT_RULES, f"one of {', '.join(_RECT_RULES)}"
    )
    _require(preset, "edge", preset.edge in _EDGES, f"absent or one of {', '.join(_EDGES[1:])}")
    _require(preset, "feather", preset.feather in FEATHERS, f"one of {', '.join(FEATHERS)}")
    width = isinstance(preset.feather_width, (int, float)) and 0 < preset.feather_width <= 0.5
    _require(preset, "feather_width", width, "a share of the rect's shorter side, up to 0.5")
    _require(preset, "loop", preset.loop in LOOPS, f"one of {', '.join(LOOPS)}")
    _require(preset, "start", _is_whole(preset.start, 0, 2**31), "a whole number of 0 or more")


def _check_sound(preset: Preset) -> None:
    shape = isinstance(preset.audio_shape, tuple) and 0 < len(preset.audio_shape) <= _MOST_AXES
    shape = shape and all(_is_whole(v, 1, 2**31) for v in preset.audio_shape)
    _require(preset, "audio_shape", shape, "the shape of one feature window, without the batch")
    _require(preset, "features", preset.features in FEATURES, f"one of {', '.join(FEATURES)}")
    size = math.prod(preset.audio_shape)
    each = ROW_SIZES.get(preset.features, 1)
    _require(
        preset, "audio_shape", size % each == 0, f"a multiple of rows of {each} ({preset.features})"
    )
    rate = preset.feature_rate is None or _is_whole(preset.feature_rate, 1, 1000)
    _require(preset, "feature_rate", rate, "absent or frames a second")
