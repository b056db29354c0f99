"""``lipsync-fast prepare``: a video, images or another system's avatar into a template."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..presets import FEATHERS, PRESETS
from ..timing import Loop
from .shared import Progress, add_label, add_order, say

__all__ = ["add_prepare"]


def add_prepare(commands: Any) -> None:
    """Add `prepare` to the commands."""
    command = commands.add_parser(
        "prepare",
        help="make a template from a video, images or another system's avatar",
        description="Make a template: backgrounds, rects and crops, from a video or a folder "
        "of images. Rects are given, or found with a face detector, or come with a SyncTalk_2D "
        "or Ultralight data set, a LiveTalking or MuseTalk avatar, or a package of the Go "
        "server for SyncTalk avatars.",
    )
    command.add_argument(
        "source", help="a video file, a folder of images, or another system's folder"
    )
    command.add_argument("template", help="the folder to make")
    command.add_argument(
        "--preset",
        help=f"the generator's family: {', '.join(PRESETS)}, or your own .toml file",
    )
    command.add_argument(
        "--fps",
        metavar="RATE",
        help="frames a second of images (default: 25), or those that a video is read at",
    )
    _add_faces(command)
    command.add_argument(
        "--feather", choices=("auto", *FEATHERS), help="fade the mouth into its background"
    )
    command.add_argument(
        "--store",
        default="jpeg,i420",
        metavar="LIST",
        help="one or more of jpeg, i420, bgr24 (default: %(default)s)",
    )
    command.add_argument(
        "--json", action="store_true", help="print what was found and decided, for programs"
    )
    command.add_argument("--quality", type=int, default=75, help="JPEG quality (default: 75)")
    add_order(command, "preset")
    add_label(command)
    command.set_defaults(run=_prepare, takes_dash=("source",))


def _add_faces(command: argparse.ArgumentParser) -> None:
    command._negative_number_matcher = re.compile(r"-\d[\d,.-]*$")  # --rect -5,20,80,80
    command.add_argument("--rect", metavar="X,Y,W,H", help="one rect in pixels for all frames")
    command.add_argument(
        "--rects",
        metavar="FILE",
        help="rects of every frame: a folder of .lms, crop_rects.json, .json, .csv or .npy",
    )
    command.add_argument("--detector", metavar="ONNX", help="YuNet, finds the face")
    command.add_argument(
        "--landmarks", metavar="ONNX", help="478-point face mesh, for square rects and for masks"
    )
    command.add_argument(
        "--smooth",
        choices=("steady", "reference", "none"),
        help="how found rects are smoothed (default: steady)",
    )
    command.add_argument(
        "--masks",
        choices=("source", "landmarks", "none"),
        default="source",
        help="where masks come from: another system's avatar (the default) or landmarks",
    )


def _prepare(options: argparse.Namespace) -> None:
    from ..preparation import FaceOptions, PreparationReport, prepare
    from ..templates import JpegSettings, TemplateOptions
    from ..templates.layout import HEAD

    if options.rect and options.rects:
        raise InputError("rects can be given once only: pass --rect or --rects, not both")
    if (Path(options.source) / HEAD).is_file():
        raise InputError(
            f"{options.source} is a template already: render it, or name the film that it was "
            "made from"
        )
    reports: list[PreparationReport] = []
    with Progress("prepare", options.quiet) as progress:
        template = prepare(
            options.source,
            options.template,
            preset=options.preset,
            rects=options.rect or options.rects,
            faces=FaceOptions(options.detector, options.landmarks, options.smooth, options.masks),
            options=TemplateOptions(
                store=tuple(name.strip() for name in options.store.split(",")),
                jpeg=JpegSettings(options.quality),
                loop=Loop(options.loop, options.start),
                feather=options.feather,
                label=options.label is not False,
            ),
            fps=options.fps,
            progress=progress,
            report=reports.append,
        )
    (report,) = reports
    with template:
        say(options, f"{options.template}: {template!r}")
    say(options, f"a face in {report.faces} of {report.frames} frames")
    for note in report.notes():
        say(options, f"- {note}")
    if options.json:
        print(json.dumps(report.to_mapping(), indent=2))
