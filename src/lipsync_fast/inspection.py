"""What a template or a net is, in plain facts."""

from __future__ import annotations

from pathlib import Path

from .errors import FileMissingError, ModelError
from .presets import find_preset
from .session import Net
from .template import Template

__all__ = ["inspect"]


def inspect(path: str | Path) -> dict[str, object]:
    """Facts of a template folder or an ONNX file, in the order in which to show them.

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
    return _template_facts(found) if found.is_dir() else _net_facts(found)


def _template_facts(path: Path) -> dict[str, object]:
    with Template.open(path) as template:
        faces = template.rects[template.rects[:, 2] > 0]
        facts: dict[str, object] = {
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
        if "jpeg" in template.stored:
            s = template.jpeg().settings
            facts["jpeg"] = (
                f"quality {s.quality}, {s.subsampling}, restart interval {s.restart_interval}"
            )
        size = sum(file.stat().st_size for file in path.iterdir())
        facts["megabytes"] = round(size / 1e6, 1)
        return facts


def _net_facts(path: Path) -> dict[str, object]:
    net = Net(path)
    facts: dict[str, object] = {"net": str(path), "provider": net.provider}
    for name, shape in net.input_shapes.items():
        facts[f"input {name}"] = str(shape)
    for name, shape in net.output_shapes.items():
        facts[f"output {name}"] = str(shape)
    try:
        facts["preset"] = find_preset(net.input_shapes).name
    except ModelError:
        facts["preset"] = "none: not a generator of a known family"
    return facts
