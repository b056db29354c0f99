"""What a template or a net is, in plain facts."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import graph
from .errors import FileMissingError, MissingExtraError, ModelError
from .net_probes import probe
from .presets import find_preset
from .session import Net
from .template import Template

__all__ = ["inspect"]

_log = logging.getLogger("lipsync_fast")

Facts = dict[str, object]


def inspect(path: str | Path, *, template: str | Path | None = None) -> Facts:
    """Facts of a template folder or an ONNX file, in the order in which to show them.

    Parameters
    ----------
    path : str or Path
        A template folder, or a net. A net that fits a preset is run: it is asked about its
        batch, masked area, plane and colour order, memory and speed.
    template : str or Path, optional
        Whose faces to show the net; a drawn one by default.

    Returns
    -------
    dict of str to str or number
        Fresh; ready for JSON.

    Raises
    ------
    FileMissingError
        If there is nothing at the path.
    TemplateError, ModelError
        If it is neither a template nor a net.
    """
    found = Path(path)
    if not found.exists():
        raise FileMissingError(f"{path}: no such file or folder")
    return _template_facts(found) if found.is_dir() else _net_facts(found, template)


# ---- templates ---------------------------------------------------------------------------


def _template_facts(path: Path) -> Facts:
    with Template.open(path) as template:
        faces = template.rects[template.rects[:, 2] > 0]
        facts: Facts = {
            "template": str(path),
            "frames": template.count,
            "size": f"{template.width}×{template.height}",
            "frame rate": str(template.fps),
            "preset": template.preset.name,
            "loop": f"{template.loop} from {template.start}",
            "colour": f"{template.matrix} {'full' if template.full_range else 'limited'}"
            + ("" if template.tagged else " (untagged)"),
            "stored": ", ".join(template.stored),
            "frames with a face": len(faces),
        }
        if len(faces):
            low, high = faces[:, 2:].min(axis=0), faces[:, 2:].max(axis=0)
            facts["rects"] = f"{low[0]}×{low[1]} to {high[0]}×{high[1]}"
        jitter = _jitter(template.rects)
        if jitter is not None:
            facts["jitter in px a frame"] = round(jitter, 2)
        if "jpeg" in template.stored:
            s = template.jpeg().settings
            facts["jpeg"] = (
                f"quality {s.quality}, {s.subsampling}, restart interval {s.restart_interval}"
            )
        size = sum(file.stat().st_size for file in path.iterdir())
        facts["megabytes"] = round(size / 1e6, 1)
        return facts


def _jitter(rects: NDArray[np.int32]) -> float | None:
    """Mean step of the rect's centre between two frames that both have a face, in pixels."""
    centres = rects[:, :2] + rects[:, 2:] / 2
    both = (rects[1:, 2] > 0) & (rects[:-1, 2] > 0)
    if not both.any():
        return None
    steps: NDArray[np.float64] = np.hypot(*np.diff(centres, axis=0)[both].T)
    return float(steps.mean())


# ---- nets --------------------------------------------------------------------------------


def _net_facts(path: Path, template: str | Path | None) -> Facts:
    net = Net(path)
    facts: Facts = {"net": str(path), "provider": net.provider}
    try:
        facts["preset"] = find_preset(net.input_shapes).name
    except ModelError:
        facts["preset"] = "none: not a generator of a known family"
    for kind, tensors in (("input", net.inputs), ("output", net.outputs)):
        for tensor in tensors.values():
            facts[f"{kind} {tensor.name}"] = str(tensor).removeprefix(f"{tensor.name} ")
    facts["megabytes"] = round(path.stat().st_size / 1e6, 1)
    facts.update(_file_facts(path))
    if not str(facts["preset"]).startswith("none"):
        del net  # its memory is not the generator's
        if template is None:
            facts.update(probe(path))
        else:
            with Template.open(template) as opened:
                facts.update(probe(path, opened))
    return facts


def _file_facts(path: Path) -> Facts:
    """What only the file tells, not ONNX Runtime."""
    try:
        said = graph.describe(path)
    except MissingExtraError as error:
        _log.info("opset and precision are not shown: %s", error)
        return {}
    total = sum(said.precision.values())
    shares = [f"{name} {100 * size / total:.0f} %" for name, size in said.precision.items()]
    facts: Facts = {
        "opset": said.opset,
        "nodes": said.nodes,
        "parameters": said.parameters,
        "precision": ", ".join(shares) or "no weights",
    }
    if said.producer:
        facts["made by"] = said.producer
    return facts
