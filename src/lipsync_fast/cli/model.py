"""``lipsync-fast model``: free a model's batch axis, halve its precision."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..files.part import scratch_file
from ..files.targets import check_file
from .shared import add_verbosity, say

if TYPE_CHECKING:
    from ..presets import Preset
    from ..templates.template import Template

__all__ = ["add_model"]

_PROBES = 4  # real frames that a model is tried on, spread over the template


def add_model(commands: Any) -> None:
    """Add the group `model` to the commands."""
    group = commands.add_parser(
        "model",
        help="change a model: free its batch axis, halve its precision",
        description="Change an ONNX model and prove that it still draws the same.",
    )
    kinds = group.add_subparsers(dest="kind", required=True, metavar="change")
    batch = _add(
        kinds,
        "batch",
        "give a model of fixed batch a free batch axis",
        "Give a model of fixed batch a free batch axis; proved by one run on several frames "
        "against runs on each.",
    )
    batch.add_argument("--half", action="store_true", help="float16 inside as well")
    batch.set_defaults(run=_batch)
    half = _add(
        kinds,
        "half",
        "turn a generator's inside to float16",
        "Turn a generator's inside to float16; inputs and outputs stay float32. Refused where "
        "a picture changes by more than 4 levels of 255, or more than 0.1 % of it by more than 1.",
    )
    half.set_defaults(run=_half)


def _add(kinds: Any, name: str, brief: str, description: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = kinds.add_parser(name, help=brief, description=description)
    command.add_argument("source", metavar="IN.onnx")
    command.add_argument("target", metavar="OUT.onnx")
    command.add_argument(
        "--template", metavar="FOLDER", help="prove it on its faces instead of random pictures"
    )
    add_verbosity(command, argparse.SUPPRESS)  # given before or after the change's name
    command.set_defaults(parser=command)
    return command


def _batch(options: argparse.Namespace) -> None:
    from ..nets import graph

    target = check_file(options.target, ModelError)
    inputs = _probe_inputs(options)
    if not options.half:
        changed = graph.make_batch_dynamic(options.source, options.target, inputs=inputs)
        say(options, f"{options.target}: any batch, {len(changed)} nodes changed inside")
        return
    with scratch_file(target) as between:
        try:
            graph.make_batch_dynamic(options.source, between, inputs=inputs)
            found = graph.make_half(between, target, inputs=inputs)
        except ModelError as error:
            raise ModelError(str(error).replace(str(between), str(options.source))) from None
    say(options, f"{target}: any batch, float16 inside; {found}")


def _half(options: argparse.Namespace) -> None:
    from ..nets import graph

    target = check_file(options.target, ModelError)
    found = graph.make_half(options.source, target, inputs=_probe_inputs(options))
    say(options, f"{target}: float16 inside; {found}")


def _probe_inputs(options: argparse.Namespace) -> dict[str, NDArray[np.float32]]:
    """Return speech, and the template's faces, by the generator's own input names.

    Parameters and mel columns lie in the range that a model was trained on; random numbers
    would not.
    """
    from ..nets.net import Net
    from ..presets import fit_preset
    from ..templates.template import Template

    shapes = Net(options.source).input_shapes
    if not options.template:
        try:
            return _sounds(fit_preset(shapes))
        except ModelError:
            return {}
    with Template.open(options.template) as template:
        try:
            preset = fit_preset(shapes, template.preset)
        except ModelError as error:
            raise ModelError(f"{options.source}: {error}") from None
        return _sounds(preset) | {preset.image_input: _faces(template)}


def _faces(template: Template) -> NDArray[np.float32]:
    faces = np.flatnonzero(template.rects[:, 2])
    if not len(faces):
        raise InputError(
            "the template has no frame with a face to try the model on; give another --template"
        )
    chosen = faces[np.linspace(0, len(faces) - 1, _PROBES).astype(int)]
    return np.stack([template.visual(i) for i in chosen])


def _sounds(preset: Preset) -> dict[str, NDArray[np.float32]]:
    """Return feature windows spread over a synthesised speech, where sound alone makes them."""
    from ..audio.feature_stream import FeatureStream
    from ..audio.lite_avatar import NEUTRAL, LiteAvatarDriver
    from ..demo import speech

    shape = {"mel": (1, 80, 16), "params": (len(NEUTRAL),)}.get(preset.features)
    if preset.audio_shape != shape:
        return {}
    rate = preset.feature_rate or 25
    driver = LiteAvatarDriver(rate) if preset.driven_by_rule else None
    stream = FeatureStream(preset.features, rate, driver=driver)
    stream.push(speech())
    windows = stream.take(stream.flush())
    chosen = np.linspace(0, len(windows) - 1, _PROBES + 2).astype(int)[1:-1]  # it begins in silence
    return {preset.audio_input: windows[chosen]}
