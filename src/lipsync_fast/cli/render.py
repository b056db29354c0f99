"""``lipsync-fast render``: a template says a speech, to an mp4 or to JPEG files."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

from ..audio.silence import SILENCE
from ..errors import InputError
from .shared import Progress, add_label, add_order, say

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..pipeline import Pipeline, PipelineStats

__all__ = ["add_render", "reject_same", "render_speech"]

_MUCH = 1 / 3  # of the loud sound taken for silence, from which on one is told


def add_render(commands: Any) -> None:
    """Add `render` to the commands."""
    command = commands.add_parser(
        "render",
        help="let a template say a speech",
        description="Render a speech with a prepared template to an mp4 or to JPEG files.",
    )
    command.add_argument("template", help="a folder that prepare made")
    command.add_argument(
        "speech",
        help="a sound file, or a video with sound, or a pipe; - for standard input, or, with "
        "--features, for none",
    )
    command.add_argument(
        "output", help="an .mp4, or a folder for JPEG files, or a pipe; - for standard output"
    )
    _add_models(command)
    command.add_argument("--quality", type=int, help="JPEG quality (default: the template's)")
    command.add_argument("--stats", action="store_true", help="print where the time went")
    command.add_argument("--threads", type=int, help="threads that composite (default: the cores)")
    command.add_argument("--border", type=int, help="0: paste as the first generation did")
    command.add_argument(
        "--colour-match",
        action="store_true",
        help="match the colours of the mouth to those around it",
    )
    command.add_argument(
        "--silence",
        choices=SILENCE,
        help="what pauses show: the mouth as the model closes it, the film as it was shot, or "
        "what the model makes of the noise (default: background for liteavatar384, else closed)",
    )
    command.add_argument(
        "--neutral", metavar="NPY", help="the person's closed mouth, for liteavatar384"
    )
    add_order(command, "template")
    command.add_argument(
        "--request", type=int, default=8, help="frames that the model is asked for at once (8)"
    )
    add_label(command)
    command.set_defaults(run=_render, takes_dash=("speech", "output"))


def _add_models(command: argparse.ArgumentParser) -> None:
    command.add_argument("--generator", required=True, metavar="ONNX")
    command.add_argument(
        "--audio-encoder", metavar="ONNX", help="for presets with ave, hubert or wenet features"
    )
    command.add_argument(
        "--features", metavar="NPY", help="what the generator hears, made elsewhere, row by row"
    )
    command.add_argument(
        "--provider",
        action="append",
        metavar="NAME",
        help="ONNX Runtime provider (default: CUDA, else CPU)",
    )
    command.add_argument(
        "--device",
        action="append",
        type=int,
        metavar="NUMBER",
        help="CUDA device; give it several times to share the requests (default: 0)",
    )


def _render(options: argparse.Namespace) -> None:
    from ..media import is_pipe_out
    from ..pipeline import MouthOptions, Pipeline, render_target
    from ..templates import Template
    from ..timing import Loop

    render_target(options.output)
    no_speech = options.speech == "-" and options.features is not None
    speech = None if no_speech else options.speech
    reject_same(speech, options.output)
    template = Template.open(
        options.template,
        border=options.border,
        label=options.label,
        loop=Loop(options.loop, options.start),
    )
    with Pipeline.open(
        template,
        options.generator,
        options.audio_encoder,
        providers=options.provider,
        devices=options.device,
        mouth=MouthOptions(options.colour_match, options.silence, options.neutral),
        threads=options.threads,
    ) as pipeline:
        render_speech(
            pipeline,
            speech,
            options,
            features=options.features,
            quality=options.quality,
            request=options.request,
        )
        if options.stats:
            with redirect_stdout(sys.stderr if is_pipe_out(options.output) else sys.stdout):
                _print_stats(pipeline.stats())


def render_speech(
    pipeline: Pipeline,
    speech: str | Path | NDArray[np.float32] | None,
    options: argparse.Namespace,
    **more: Any,
) -> None:
    """Render to `options.output` with a progress bar and a summary.

    Parameters
    ----------
    pipeline : Pipeline
    speech : path, samples or None
    options : Namespace
        With `output` and `quiet`.
    **more
        Further arguments of `Pipeline.render`.
    """
    devices = ", ".join(pipeline.stats().devices)
    with Progress(f"render on {devices}", options.quiet) as progress:
        frames = pipeline.render(speech, options.output, progress=progress, **more)
    seconds = float(frames / pipeline.template.fps)
    say(options, f"{options.output}: {frames} frames, {seconds:.2f} s, generator on {devices}")
    silenced = pipeline.stats().silenced
    if silenced > _MUCH:
        say(
            options,
            f"{silenced:.0%} of the loud sound was taken for silence; if it is speech, install the "
            "extra voice, or let the model hear all of it with --silence net",
        )


def reject_same(speech: str | Path | None, output: str) -> None:
    """Reject an output that would replace the film whose sound is heard."""
    with suppress(OSError):
        if speech is not None and os.path.samefile(speech, output):
            raise InputError(f"{output} is the speech itself, which would be lost; name another")


def _print_stats(stats: PipelineStats) -> None:
    print(f"{'stage':10}{'frames':>8}{'ms':>10}{'ms/frame':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name, s in stats.stages.items():
        if not s.runs:
            continue  # such as visual, where the model holds the template's crops
        each = s.total_ms / s.frames if s.frames else 0.0
        print(f"{name:10}{s.frames:8}{s.total_ms:10.1f}{each:10.3f}{s.p50_ms:9.3f}{s.p99_ms:9.3f}")
    for name, s in stats.devices.items():
        print(f"{name}: {s.runs} requests, {s.frames} frames, {s.total_ms:.1f} ms")
    pool = stats.pool
    print(
        f"pool: {pool.hits} hits, {pool.misses} misses, {pool.bytes / 1e6:.1f} MB held, "
        f"{pool.peak / 1e6:.1f} MB at most, {pool.served_bytes / 1e6:.1f} MB lent in all"
    )
    frames = stats.compositor
    print(f"frames: {frames.frames}, {frames.in_place} painted in place, {frames.copied} written")
