"""Opening generators for a template: resident where the net allows it, packed otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checks import check_type
from ..errors import InputError, ModelError
from ..presets import Preset
from ..templates.template import Template
from .generator import Generator
from .graph.embed import BUILT_IN
from .ort import DeviceOptions, Provider
from .resident import ResidentGenerator, try_resident

__all__ = ["OPENS", "AnyGenerator", "open_generators", "share_generators"]

OPENS = "Pipeline.open opens the path of an ONNX file"

AnyGenerator = Generator | ResidentGenerator


def open_generators(
    given: str | Path | AnyGenerator | Sequence[AnyGenerator],
    template: Template,
    *,
    providers: Sequence[Provider] | None = None,
    devices: Sequence[int] | None = None,
    options: DeviceOptions | None = None,
) -> list[AnyGenerator]:
    """Generators for a template, one on each device.

    Parameters
    ----------
    given : path, generator, or sequence of generators
        An ONNX file; or what is open already, whose sessions are shared then: a Generator as
        it is, a ResidentGenerator over this template's crops.
    template : Template
    providers : see `Net`
    devices : sequence of int, optional
        Numbers of CUDA devices; that of `options` by default.
    options : DeviceOptions, optional

    Returns
    -------
    list of Generator or ResidentGenerator
        Fresh.

    Raises
    ------
    FileMissingError, ModelError, MissingExtraError, DeviceMemoryError
        As `Generator`.
    InputError
        The generator is of another preset, or the devices cannot be.
    """
    if not isinstance(given, (str, Path)):
        if devices is not None or options is not None or providers is not None:
            raise InputError(
                "providers, devices and options are for a generator to be opened; "
                "leave them out with open ones"
            )
        return share_generators(given, template)
    first = options or DeviceOptions()
    if devices is not None and not isinstance(devices, Iterable):
        raise InputError(f"devices must be a sequence of numbers, got {devices!r}")
    numbers = [first.device] if devices is None else list(devices)
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"devices must be different numbers, got {numbers}")
    made = [_open(given, template, providers, replace(first, device=n)) for n in numbers]
    if devices is not None and any(generator.on_cpu for generator in made):
        raise InputError(
            f"devices {', '.join(map(str, numbers))} were asked for and nets run on the CPU "
            "here; see lipsync-fast doctor, or leave devices out"
        )
    return made


def share_generators(
    given: AnyGenerator | Sequence[AnyGenerator], template: Template
) -> list[AnyGenerator]:
    """Open generators for a template: those that pack crops as they are, others over its crops.

    Parameters
    ----------
    given : generator, or sequence of generators
    template : Template

    Returns
    -------
    list of Generator or ResidentGenerator
        On the sessions of those given.

    Raises
    ------
    ArgumentTypeError
        If one of them is not a generator.
    InputError
        There are none, or they are of another preset than the template.
    DeviceMemoryError
        A device has no memory for the template's crops.
    """
    ready: list[Any] = [given]
    if isinstance(given, Sequence) and not isinstance(given, str):
        ready = list(given)
    if not ready:
        raise InputError("generator must be at least one generator, got none")
    for generator in ready:
        check_type("generator", generator, Generator, ResidentGenerator, hint=OPENS)
    return [_share(generator, template) for generator in ready]


def _open(
    path: str | Path,
    template: Template,
    providers: Sequence[Provider] | None,
    options: DeviceOptions,
) -> AnyGenerator:
    preset = template.preset
    resident = try_resident(
        path, template.crops, preset, providers=providers, cache=template.folder, options=options
    )
    if resident is not None:
        return resident
    try:
        return Generator(path, preset=preset, providers=providers, options=options)
    except ModelError:
        # Says so if it is no generator at all.
        other = Generator(path, providers=providers, options=options)
        raise _mismatch(preset, path, other.preset) from None


def _share(generator: AnyGenerator, template: Template) -> AnyGenerator:
    row, preset = generator.preset, template.preset
    if any(getattr(row, name) != getattr(preset, name) for name in BUILT_IN):
        raise _mismatch(preset, generator.path, row)
    if isinstance(generator, ResidentGenerator):
        return generator.with_crops(template.crops)
    return generator


def _mismatch(preset: Preset, path: str | Path, other: Preset) -> InputError:
    kind = other.name
    if kind == preset.name:
        kind += " with other settings"
    return InputError(
        f"the template was prepared for {preset.name}, the generator {path} is "
        f"{kind}; prepare the template with that preset"
    )
