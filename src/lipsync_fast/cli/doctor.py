"""``lipsync-fast doctor``: whether the GPU is really used, and how fast it is."""

from __future__ import annotations

import argparse
import json
from typing import Any

__all__ = ["add_doctor"]


def add_doctor(commands: Any) -> None:
    """Add `doctor` to the commands."""
    command = commands.add_parser(
        "doctor",
        help="tell whether the GPU is really used, and how fast it is",
        description="Look at driver, CUDA, cuDNN and providers, run a model as a pipeline would "
        "and measure it at each size. Exit status: 0 if it ran on a GPU, 1 if not, 2 for bad "
        "input.",
    )
    command.add_argument("--generator", metavar="ONNX", help="your model (default: the demo's)")
    command.add_argument("--template", metavar="FOLDER", help="whose faces it sees")
    command.add_argument("--device", type=int, default=0, metavar="NUMBER", help="CUDA device (0)")
    command.add_argument("--no-graphs", action="store_true", help="without CUDA graphs")
    command.add_argument("--tf32", action="store_true", help="round convolutions to 10 bits")
    command.add_argument("--nhwc", action="store_true", help="channels last in convolutions")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from ..diagnostics.doctor import examine
    from ..nets.options import DeviceOptions

    facts = examine(
        options.generator,
        options.template,
        options=DeviceOptions(
            device=options.device,
            graphs=not options.no_graphs,
            tf32=options.tf32,
            nhwc=options.nhwc,
        ),
    )
    if options.json:
        print(json.dumps(facts, indent=2))
    elif not options.quiet:
        print(_text(facts))
    return 0 if facts["gpu used"] else 1


def _text(facts: dict[str, Any]) -> str:
    """Return one fact a line; the parts of a fact stand a line each below it."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines.append(name)
            lines += [f"  {part:24} {_word(said)}" for part, said in value.items()]
        elif name != "advice" or value:
            lines.append(f"{name:26} {_word(value)}")
    return "\n".join(lines)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return "not found" if value is None else str(value)
