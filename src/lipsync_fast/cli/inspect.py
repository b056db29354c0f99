"""``lipsync-fast inspect``: what a template folder or an ONNX model is."""

from __future__ import annotations

import argparse
import json
from typing import Any

__all__ = ["add_inspect"]


def add_inspect(commands: Any) -> None:
    """Add `inspect` to the commands."""
    command = commands.add_parser(
        "inspect",
        help="tell what a template or a model is",
        description="Tell what a template folder or an ONNX model is.",
    )
    command.add_argument("path", help="a template folder or an .onnx file")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command.add_argument(
        "--template", metavar="FOLDER", help="show a model the faces of this template"
    )
    command.add_argument("--preset", help="what a model is, where its shapes do not tell")
    command.set_defaults(run=_inspect)


def _inspect(options: argparse.Namespace) -> None:
    from ..diagnostics.inspection import inspect

    facts = inspect(options.path, template=options.template, preset=options.preset)
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")
