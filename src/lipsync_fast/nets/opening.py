"""Opening generators for a template: resident where the model allows it, packed otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentTypeError, InputError, ModelError
from ..memory._pool import BufferPool
from ..presets import Preset, fit_preset
from ..templates.template import Template
from .devices import Device
from .generator import UNTIMED, Clock, Generator, require_preset
from .micro_batches import MicroBatches
from .net import Net, check_model_file
from .options import DeviceOptions, Provider
from .resident import try_resident

__all__ = ["OPENS", "AnyGenerator", "open_generators", "share_generators"]

OPENS = "Pipeline.open opens the path of an ONNX file"


class AnyGenerator(Protocol):
    """A generator of either kind; threads may share it.

    `Generator` packs the crops of any template of its preset; `ResidentGenerator` holds the
    crops of one template.

    Attributes
    ----------
    preset : Preset
    path : Path
        The ONNX file.
    options : DeviceOptions
    provider : str
        The provider's name in ONNX Runtime.
    device : Device
        Where the model runs.
    place : (str, int)
        Kind and number of the device's memory, as ONNX Runtime names them.
    sizes : MicroBatches
        How requests are cut; nothing else cuts them.
    pool : BufferPool or None
        Pinned memory, to which the device copies pictures faster; None if any memory will do.
    """

    preset: Preset
    path: Path
    options: DeviceOptions
    provider: str
    sizes: MicroBatches
    pool: BufferPool | None

    @property
    def device(self) -> Device: ...

    @property
    def place(self) -> tuple[str, int]: ...

    def draw(
        self,
        template: Template,
        indices: ArrayLike,
        features: NDArray[np.float32],
        out: NDArray[Any] | None = None,
        *,
        pool: BufferPool | None = None,
        clock: Clock = UNTIMED,
    ) -> NDArray[Any]:
        """Draw the frames of these indices into `out`, or into an array of a pool."""

    def output(self, count: int) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of the array that `draw` fills with `count` frames."""

    def for_template(self, template: Template) -> AnyGenerator:
        """Return a generator on the same session that draws this template."""


def open_generators(
    given: str | Path | AnyGenerator | Sequence[AnyGenerator],
    template: Template,
    *,
    providers: Sequence[Provider] | None = None,
    devices: Sequence[int] | None = None,
    options: DeviceOptions | None = None,
) -> list[AnyGenerator]:
    """Open generators for a template, one on each device.

    Parameters
    ----------
    given : path, generator, or sequence of generators
        An ONNX file; or open generators, whose sessions are then shared: a Generator as it is,
        a ResidentGenerator with this template's crops.
    template : Template
    providers : see `Net`
    devices : sequence of int, optional
        Numbers of CUDA devices; by default the one of `options`.
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
        The generator is of another preset, or `devices` cannot be used.
    """
    if not isinstance(given, (str, Path)):
        if devices is not None or options is not None or providers is not None:
            raise InputError(
                "providers, devices and options apply only when a generator is opened; "
                "leave them out with open generators"
            )
        return share_generators(given, template)
    first = options or DeviceOptions()
    if devices is not None and not isinstance(devices, Iterable):
        raise InputError(f"devices must be a sequence of numbers, got {devices!r}")
    numbers = [first.device] if devices is None else list(devices)
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"devices must be different numbers, got {numbers}")
    made = [_open(given, template, providers, replace(first, device=n)) for n in numbers]
    if devices is not None and any(generator.device.name == "cpu" for generator in made):
        raise InputError(
            f"devices must be left out, because models run on the CPU here, got "
            f"{', '.join(map(str, numbers))}; see lipsync-fast doctor"
        )
    return made


def share_generators(
    given: AnyGenerator | Sequence[AnyGenerator], template: Template
) -> list[AnyGenerator]:
    """Return open generators for a template, on their existing sessions.

    Parameters
    ----------
    given : generator, or sequence of generators
    template : Template

    Returns
    -------
    list of Generator or ResidentGenerator
        On the sessions of the given ones.

    Raises
    ------
    ArgumentTypeError
        One of them is not a generator.
    InputError
        There are none, or the template was prepared for another preset.
    DeviceMemoryError
        A device has too little memory for the template's crops.
    """
    ready: list[Any] = [given]
    if isinstance(given, Sequence) and not isinstance(given, str):
        ready = list(given)
    if not ready:
        raise InputError("generator must be at least one generator, got none")
    for generator in ready:
        if not callable(getattr(generator, "draw", None)):
            raise ArgumentTypeError(
                "generator must be of type Generator or ResidentGenerator, got "
                f"{type(generator).__name__}; {OPENS}"
            )
    return [generator.for_template(template) for generator in ready]


def _open(
    path: str | Path,
    template: Template,
    providers: Sequence[Provider] | None,
    options: DeviceOptions,
) -> AnyGenerator:
    preset = template.preset
    check_model_file(path)
    resident = try_resident(path, template.crops, preset, providers=providers, options=options)
    if resident is not None:
        return resident
    try:
        return Generator(path, preset=preset, providers=providers, options=options)
    except ModelError:
        if not _fits(path, preset):
            # Its error tells if the file is not a generator at all.
            other = Generator(path, providers=providers, options=options)
            require_preset(other, template)
        raise


def _fits(path: str | Path, preset: Preset) -> bool:
    """Tell whether a model's inputs fit a preset: then nothing else is to be said of its family."""
    try:
        fit_preset(Net(path, providers=["cpu"]).input_shapes, preset)
    except ModelError:
        return False
    return True
