"""``lipsync-fast bench``: how fast this machine is, beside what users run today."""

from __future__ import annotations

import argparse
from typing import Any

from .shared import Progress, say

__all__ = ["add_bench"]


def add_bench(commands: Any) -> None:
    """Add `bench` to the commands."""
    command = commands.add_parser(
        "bench",
        help="measure this machine, beside what users run today",
        description="Measure every stage, ours and other systems' in turn, and write a report. "
        "Without a template it draws 1080p frames; without a model it runs the demo's.",
    )
    command.add_argument(
        "output", nargs="?", default="bench.html", help="a .html or a .png file (bench.html)"
    )
    command.add_argument("--template", metavar="FOLDER", help="a folder that prepare made")
    command.add_argument("--generator", metavar="ONNX")
    command.add_argument("--audio-encoder", metavar="ONNX", help="for presets with ave features")
    command.add_argument("--threads", type=int, help="threads that composite (default: the cores)")
    command.add_argument("--rounds", type=int, default=20, help="samples of each work (20)")
    command.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    command.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> None:
    from ..bench.report import check_report, run_benchmark

    check_report(options.output)
    with Progress("measure", options.quiet, unit="lines") as progress:
        report = run_benchmark(
            options.template,
            options.generator,
            options.audio_encoder,
            threads=options.threads,
            rounds=options.rounds,
            progress=progress,
        )
    report.save(options.output)
    print(report.markdown() if options.markdown else report.text())
    say(options, f"{options.output} holds the tables and the plots")
