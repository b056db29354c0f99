"""Find the preset that fits a model: input shapes tell the families apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ModelError
from .families import PRESETS, get_preset
from .misfits import misfit, shape_text
from .preset import Preset

__all__ = ["find_preset", "fit_preset", "shape_fits"]


def shape_fits(shape: Sequence[object], needed: Sequence[int]) -> bool:
    """Tell whether a model's shape (names or None for dynamic axes) allows the needed one."""
    return len(shape) == len(needed) and all(
        not isinstance(have, int) or have == need for have, need in zip(shape, needed, strict=True)
    )


def find_preset(
    inputs: Mapping[str, Sequence[object]], presets: Mapping[str, Preset] = PRESETS
) -> Preset:
    """Find the preset that fits the input shapes of a generator.

    Parameters
    ----------
    inputs : mapping of name to shape
        The model's inputs; dynamic axes are names or None. The first axis is the batch. A
        preset's constants may be among them.
    presets : mapping of name to Preset
        The presets to choose from.

    Returns
    -------
    Preset
        The one preset that fits, with the model's own input names. Between presets of equal
        shapes, input names decide.

    Raises
    ------
    ModelError
        None fits; the message lists the model's shapes and the known families.
    """
    fitting = []
    for preset in presets.values():
        constants = dict(preset.constants)
        framed = {n: s for n, s in inputs.items() if n not in constants}
        image = [n for n, s in framed.items() if shape_fits(s[1:], preset.visual_shape)]
        audio = [n for n, s in framed.items() if shape_fits(s[1:], preset.audio_shape)]
        pairs = [(i, a) for i in image for a in audio if i != a]
        if len(framed) == 2 and pairs:
            named = (preset.image_input, preset.audio_input)
            pair = named if named in pairs else pairs[0]
            _check_names(preset, *pair)
            fitting.append((pair == named, preset, pair))
    if not fitting:
        raise ModelError(_no_preset(inputs, presets))
    names_match, preset, (image_input, audio_input) = max(fitting, key=lambda f: f[0])
    same = [f for f in fitting if f[0] == names_match]
    if len(same) > 1:
        names = ", ".join(f[1].name for f in same)
        raise ModelError(
            f"the generator's open input sizes fit several presets ({names}); name one with "
            "preset= (inspect --preset), or give a template of it (--template)"
        )
    if names_match:
        return preset
    return replace(preset, image_input=image_input, audio_input=audio_input)


def fit_preset(
    inputs: Mapping[str, Sequence[object]], preset: str | Path | Preset | None = None
) -> Preset:
    """Return `preset` with the model's own input names, or the built-in one that fits.

    Parameters
    ----------
    inputs : mapping of name to shape
        See `find_preset`.
    preset : str, Path or Preset, optional
        A name, a ``.toml`` file or a Preset, as for `get_preset`; None tries all built-in ones.

    Raises
    ------
    ModelError
        The inputs do not fit.
    InputError, FileMissingError
        The preset is unknown.
    """
    if preset is None:
        return find_preset(inputs)
    chosen = get_preset(preset)
    return find_preset(inputs, {chosen.name: chosen})


def _check_names(preset: Preset, image: str, audio: str) -> None:
    """Reject inputs whose names are those of the family, but swapped."""
    if (image, audio) == (preset.audio_input, preset.image_input):
        raise ModelError(
            f"its inputs are swapped: {preset.image_input} has the shape of {preset.name}'s audio "
            f"and {preset.audio_input} that of its picture; swap their names in the export"
        )


def _no_preset(inputs: Mapping[str, Sequence[object]], presets: Mapping[str, Preset]) -> str:
    """Explain why no preset fits: the model's inputs, and their fault or the known shapes."""
    found = ", ".join(f"{n} {shape_text(s)}" for n, s in inputs.items()) or "none"
    hears: dict[int, list[str]] = {}
    for preset in presets.values():
        hears.setdefault(preset.view, []).append(shape_text(("N", *preset.audio_shape)))
    one = next(iter(presets)) if len(presets) == 1 else None
    why = misfit(inputs, hears, one)
    if why is None:
        known = (
            f"{p.name} {shape_text(('N', *p.visual_shape))} + {shape_text(('N', *p.audio_shape))}"
            for p in presets.values()
        )
        why = f"{'needed' if one else 'known'} are {'; '.join(known)}"
        if one is None:
            why += "; name one with preset= (inspect --preset) if it leaves its sizes open"
    which = f"the preset {one}" if one else "no preset"
    fit = "do not fit" if one else "fit"
    return f"the generator's inputs {fit} {which}: found {found}; {why}"
