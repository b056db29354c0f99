"""``lipsync-fast demo``: a drawn person speaks, no files needed."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .render import reject_same, render_speech
from .shared import Progress, add_label

__all__ = ["add_demo"]


def add_demo(commands: Any) -> None:
    """Add `demo` to the commands."""
    command = commands.add_parser(
        "demo",
        help="render a drawn person, no files needed",
        description="Render a drawn person with tiny built-in models, to try that all is in place.",
    )
    command.add_argument(
        "output", nargs="?", default="demo.mp4", help="an .mp4, or a folder for JPEG files"
    )
    command.add_argument("--audio", help="your own sound file instead of the synthesised one")
    add_label(command)
    command.set_defaults(run=_demo, takes_dash=("output", "audio"))


def _demo(options: argparse.Namespace) -> None:
    from .. import demo, media
    from ..demo.run import open_pipeline
    from ..pipeline import render_target

    render_target(options.output)
    speech = demo.speech() if options.audio is None else media.require_file(options.audio)
    if isinstance(speech, Path):
        reject_same(speech, options.output)
        media.AudioSource(speech)
    with ExitStack() as stack:
        with Progress("draw", options.quiet) as progress:
            pipeline = stack.enter_context(
                open_pipeline(progress, label=options.label is not False)
            )
        render_speech(pipeline, speech, options)
