"""Facts about a template or a model."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import FileMissingError, InputError, MissingExtraError, ModelError, TemplateError
from ..nets import graph
from ..nets.encoders import AudioEncoder, HubertEncoder, WenetEncoder
from ..nets.net import Net
from ..preparation.faces.detector import FaceDetector
from ..preparation.faces.mesh import FaceLandmarks
from ..preparation.foreign import find_avatar
from ..presets import Preset, fit_preset
from ..templates.layout import HEAD
from ..templates.template import Template
from .probes import SEAM_FRAMES, probe, seam_facts

__all__ = ["inspect"]

_log = logging.getLogger(__name__)

Facts = dict[str, object]

# Models other than generators, each with the option that takes it.
_OTHERS: tuple[tuple[str, type[Net] | type[FaceDetector] | type[FaceLandmarks]], ...] = (
    ("audio encoder of ave features (--audio-encoder)", AudioEncoder),
    ("HuBERT (--audio-encoder)", HubertEncoder),
    ("wenet's encoder (--audio-encoder)", WenetEncoder),
    ("face detector (--detector)", FaceDetector),
    ("face mesh (--landmarks)", FaceLandmarks),
)


def inspect(
    path: str | Path,
    *,
    template: str | Path | None = None,
    preset: str | Path | Preset | None = None,
) -> Facts:
    """Return facts about a template folder or an ONNX file, in display order.

    Parameters
    ----------
    path : str or Path
        A template folder, or a model. A model that fits a preset is run, to measure its batch,
        masked area, plane and colour order, seam, memory and speed.
    template : str or Path, optional
        The template whose faces the model sees; by default a drawn face.
    preset : str, Path or Preset, optional
        The model's preset; by default the template's, or found from the input shapes.

    Returns
    -------
    dict of str to str or number
        Fresh; ready for JSON.

    Raises
    ------
    FileMissingError
        Nothing exists at `path`.
    TemplateError, ModelError
        `path` is neither a template nor a model, or the model does not fit `preset`.
    InputError
        The preset is unknown; or `template` or `preset` is given although `path` is a template.
    """
    found = Path(path)
    if not found.exists():
        raise FileMissingError(f"{path}: no such file or folder")
    if found.is_dir():
        if template is not None or preset is not None:
            raise InputError(
                f"{path} is a folder, but template and preset (--template, --preset) apply to a "
                "model only: leave them out"
            )
        return _template_facts(found)
    if template is None:
        return _net_facts(found, None, preset)
    with Template.open(template) as opened:
        return _net_facts(found, opened, opened.preset if preset is None else preset)


# ---- templates ---------------------------------------------------------------------------


def _template_facts(path: Path) -> Facts:
    if not (path / HEAD).exists() and (avatar := find_avatar(path)) is not None:
        raise TemplateError(
            f"{path} is {avatar.system}, not a template; convert it with lipsync-fast prepare"
        )
    with Template.open(path) as template:
        faces = template.rects[template.rects[:, 2] > 0]
        facts: Facts = {
            "template": str(path),
            "frames": template.count,
            "size": f"{template.width}×{template.height}",
            "frame rate": str(template.fps),
            "preset": template.preset.name,
            "loop": f"{template.loop.kind} from {template.loop.start}",
            "colour": f"{template.matrix} {'full' if template.full_range else 'limited'}"
            + ("" if template.tagged else " (untagged)"),
            "stored": ", ".join(template.stored),
            "frames with a face": len(faces),
        }
        if len(faces):
            low, high = faces[:, 2:].min(axis=0), faces[:, 2:].max(axis=0)
            facts["rects"] = f"{low[0]}×{low[1]} to {high[0]}×{high[1]}"
        facts.update(_motion_facts(template.rects))
        if len(faces):
            chosen = _spread(np.flatnonzero(template.rects[:, 2]), SEAM_FRAMES)
            border = template.preset.border
            inner = slice(border, border + template.preset.view)
            # The best that any model can reach: the seam of the template's own crops.
            seen = np.ascontiguousarray(template.crops[chosen][:, inner, inner])
            facts.update(seam_facts(template, seen, chosen))
        if "jpeg" in template.stored:
            s = template.jpeg_settings
            facts["jpeg"] = (
                f"quality {s.quality}, {s.subsampling}, restart interval {s.restart_interval}"
            )
        size = sum(f.stat().st_size for f in path.iterdir())
        facts["megabytes"] = _megabytes(size)
        return facts


def _spread(indices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return at most `count` of the indices, spread from the first to the last."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(int)
    chosen: NDArray[np.intp] = indices[places]
    return chosen


def _megabytes(size: float) -> float:
    return round(size / 1e6, 1 if size >= 1e7 else 3)


def _motion_facts(rects: NDArray[np.int32]) -> Facts:
    """Return the motion and the jitter of the rect's centre, in pixels.

    The motion is the mean step between neighbours that both have a face. The jitter is the mean
    change of that step: an evenly moving head has none.
    """
    centres, seen = rects[:, :2] + rects[:, 2:] / 2, rects[:, 2] > 0
    facts: Facts = {}
    for order, name in ((1, "motion in px a frame"), (2, "jitter in px a frame")):
        if len(rects) <= order:
            break
        whole = np.lib.stride_tricks.sliding_window_view(seen, order + 1).all(axis=1)
        if whole.any():
            steps = np.hypot(*np.diff(centres, order, axis=0)[whole].T)
            facts[name] = round(float(steps.mean()), 2)
    return facts


# ---- models --------------------------------------------------------------------------------


def _net_facts(path: Path, template: Template | None, named: str | Path | Preset | None) -> Facts:
    net = Net(path)
    facts: Facts = {"model": str(path), "provider": net.provider}
    preset = None
    try:
        preset = fit_preset(net.input_shapes, named)
    except ModelError as error:
        if named is not None:
            raise ModelError(f"{path}: {error}") from None
        facts.update(_what_else(path, str(error)))
    if preset is not None:
        facts["preset"] = preset.name
    for kind, tensors in (("input", net.inputs), ("output", net.outputs)):
        for tensor in tensors.values():
            facts[f"{kind} {tensor.name}"] = str(tensor).removeprefix(f"{tensor.name} ")
    facts["megabytes"] = _megabytes(path.stat().st_size)
    facts.update(_file_facts(path))
    if preset is not None:
        del net  # frees its memory, which must not be counted as the generator's
        facts.update(probe(path, preset, template))
    return facts


def _what_else(path: Path, why: str) -> Facts:
    """Return the other role of a model, or why it matches no preset."""
    for name, kind in _OTHERS:
        try:
            kind(path)
        except ModelError:
            continue
        return {"preset": "none", "is": name}
    return {"preset": "none", "why": why}


def _file_facts(path: Path) -> Facts:
    """Return the facts that only the file contains, not ONNX Runtime."""
    try:
        said = graph.describe(path)
    except MissingExtraError as error:
        _log.info("opset and precision are not shown: %s", error)
        return {}
    total = sum(said.precision.values())
    shares = [
        f"{name} {100 * size / total:.0f} %"
        for name, size in said.precision.items()
        if size >= total / 100  # a few indices and sizes do not count
    ]
    facts: Facts = {
        "opset": said.opset,
        "nodes": said.nodes,
        "parameters": said.parameters,
        "precision": ", ".join(shares) or "no weights",
    }
    if said.producer:
        facts["made by"] = said.producer
    return facts
