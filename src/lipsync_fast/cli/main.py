"""The command line: lipsync-fast demo, prepare, render, inspect, bench."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from .._version import __version__
from ..audio.silence import SILENCE
from ..errors import InputError, LipsyncError, MissingExtraError
from ..presets import FEATHERS, PRESETS
from ..timing import LOOPS
from .doctor import add_doctor
from .model import add_model
from .streams import discard, ignore_broken_stderr, reopen_closed

__all__ = ["main"]

_DESCRIPTION = """\
Finished talking-head frames from a template, an ONNX generator and speech.

  lipsync-fast demo                                  a drawn person speaks, to demo.mp4
  lipsync-fast prepare anna.mp4 anna/ --preset synctalk328 --detector yunet.onnx \\
      --landmarks mesh.onnx                          film a person once
  lipsync-fast render anna/ speech.wav out.mp4 --generator unet.onnx \\
      --audio-encoder ave.onnx                       then let her say anything
  lipsync-fast inspect anna/                         what a template or a net is
  lipsync-fast bench                                 how fast this machine is, beside others
  lipsync-fast doctor                                whether the GPU is really used
  lipsync-fast model batch unet.onnx free.onnx       let a net of fixed batch run several frames
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status: 0, 2 for bad input, 130 interrupted, 143 asked to end.

    `doctor` ends with 1 where no GPU is used.
    """
    reopen_closed()
    with ignore_broken_stderr():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("lipsync_fast").setLevel(logging.INFO if options.verbose else "WARNING")
    try:
        _refuse_empty(options)
        with _ending_cleanly():
            status: int | None = options.run(options)
            sys.stdout.flush()
    except LipsyncError as error:
        print(f"lipsync-fast: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        asked = isinstance(stopped, _AskedToEnd)
        print(f"lipsync-fast: {'asked to end' if asked else 'interrupted'}", file=sys.stderr)
        return 128 + (signal.SIGTERM if asked else signal.SIGINT)
    except BrokenPipeError:
        discard(sys.stdout)
        return 0
    except OSError as error:
        print(f"lipsync-fast: {error}", file=sys.stderr)
        discard(sys.stdout)
        return 2
    return status or 0


def _refuse_empty(options: argparse.Namespace) -> None:
    """Refuse "", such as of a shell's variable that is not set; it would be a path of its own."""
    for name, value in vars(options).items():
        if value == "" or (isinstance(value, list) and "" in value):
            raise InputError(f"{name.replace('_', '-')} is empty; say what it is, or leave it out")


class _AskedToEnd(KeyboardInterrupt):
    """A request to end, which ends all that an interrupt ends."""


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """A request to end, as service managers and containers send it, leaves as little as Ctrl-C."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise_asked_to_end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise_asked_to_end(signum: int, frame: object) -> None:
    raise _AskedToEnd


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "lipsync-fast",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    adders = (_add_demo, _add_prepare, _add_render, _add_inspect, _add_bench, add_doctor, add_model)
    for add in adders:
        add(commands)
    for command in commands.choices.values():
        command.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")
        command.add_argument("-v", "--verbose", action="store_true", help="log what is chosen")
    return parser


def _version() -> str:
    from ..kernels import ISA

    return f"lipsync_fast {__version__} ({ISA})"


# ---- demo --------------------------------------------------------------------------------


def _add_demo(commands: Any) -> None:
    command = commands.add_parser(
        "demo",
        help="render a drawn person, no files needed",
        description="Render a drawn person with tiny built-in nets: shows that all is in place.",
    )
    command.add_argument(
        "output", nargs="?", default="demo.mp4", help="an .mp4, or a folder for JPEG files"
    )
    command.add_argument("--audio", help="your own sound file instead of the synthesised one")
    _add_label(command)
    command.set_defaults(run=_demo)


def _add_label(command: Any) -> None:
    command.add_argument(
        "--no-label",
        dest="label",
        action="store_const",
        const=False,
        help="do not mark the output as generated media (XMP: IPTC digital source type)",
    )


def _demo(options: argparse.Namespace) -> None:
    from .. import demo, media
    from ..demo.run import open_pipeline
    from ..pipeline.pipeline import check_target

    check_target(options.output)
    speech = demo.speech() if options.audio is None else media.require_file(options.audio)
    with ExitStack() as stack:
        with _Progress("draw", options.quiet) as progress:
            pipeline = stack.enter_context(
                open_pipeline(progress, label=options.label is not False)
            )
        _render(pipeline, speech, options)


# ---- prepare -----------------------------------------------------------------------------


def _add_prepare(commands: Any) -> None:
    command = commands.add_parser(
        "prepare",
        help="make a template from a video, images or another system's avatar",
        description="Make a template: backgrounds, rects and crops, from a video or a folder "
        "of images. Rects are given, or found with a face detector, or come with a SyncTalk_2D "
        "or Ultralight data set, a LiveTalking or MuseTalk avatar, a package of the Go server.",
    )
    command.add_argument(
        "source", help="a video file, a folder of images, or another system's folder"
    )
    command.add_argument("template", help="the folder to make")
    command.add_argument(
        "--preset",
        help=f"the generator's family: {', '.join(PRESETS)}, or your own .toml file",
    )  # fmt: skip
    command.add_argument("--rect", metavar="X,Y,W,H", help="one rect in pixels for all frames")
    command.add_argument(
        "--rects", metavar="FILE",
        help="rects of every frame: a folder of .lms, crop_rects.json, .json, .csv or .npy",
    )  # fmt: skip
    command.add_argument("--detector", metavar="ONNX", help="YuNet, finds the face")
    command.add_argument(
        "--landmarks", metavar="ONNX", help="478-point face mesh, for square rects and for masks"
    )
    command.add_argument("--smooth", choices=("steady", "reference", "none"),
                         help="how found rects are smoothed (default: steady)")  # fmt: skip
    command.add_argument(
        "--masks",
        choices=("source", "landmarks", "none"),
        default="source",
        help="another system's own (the default), or made from landmarks",
    )
    command.add_argument("--feather", choices=("auto", *FEATHERS),
                         help="fade the mouth into its background")  # fmt: skip
    command.add_argument("--store", default="jpeg,i420", metavar="LIST",
                         help="of jpeg, i420, bgr24 (default: %(default)s)")  # fmt: skip
    command.add_argument("--quality", type=int, default=75, help="JPEG quality (default: 75)")
    _add_order(command, "preset")
    _add_label(command)
    command.set_defaults(run=_prepare)


def _add_order(command: Any, whose: str) -> None:
    command.add_argument(
        "--loop", choices=LOOPS, help=f"order of the frames; still: one is held (the {whose}'s)"
    )
    command.add_argument(
        "--start",
        type=int,
        metavar="N",
        help=f"place where it starts, or the frame held ({whose}'s)",
    )


def _prepare(options: argparse.Namespace) -> None:
    from ..preparation.prepare import prepare

    if options.rect and options.rects:
        raise InputError("rects are given once: pass --rect or --rects, not both")
    with _Progress("prepare", options.quiet) as progress:
        template = prepare(
            options.source,
            options.template,
            preset=options.preset,
            rects=options.rect or options.rects,
            detector=options.detector,
            landmarks=options.landmarks,
            smooth=options.smooth,
            masks=options.masks,
            feather=options.feather,
            store=tuple(options.store.split(",")),
            quality=options.quality,
            loop=options.loop,
            start=options.start,
            label=options.label is not False,
            progress=progress,
        )
    with template:
        _say(options, f"{options.template}: {template!r}")


# ---- render ------------------------------------------------------------------------------


def _add_render(commands: Any) -> None:
    command = commands.add_parser(
        "render",
        help="let a template say a speech",
        description="Render a speech with a prepared template to an mp4 or to JPEG files.",
    )
    command.add_argument("template", help="a folder that prepare made")
    command.add_argument(
        "speech", help="a sound file, or a video with sound; - for none, with --features"
    )
    command.add_argument("output", help="an .mp4, or a folder for JPEG files")
    command.add_argument("--generator", required=True, metavar="ONNX")
    command.add_argument(
        "--audio-encoder", metavar="ONNX", help="for presets with ave, hubert or wenet features"
    )
    command.add_argument(
        "--features", metavar="NPY", help="what the generator hears, made elsewhere, row by row"
    )
    command.add_argument("--quality", type=int, help="JPEG quality (default: the template's)")
    command.add_argument("--provider", action="append", metavar="NAME",
                         help="ONNX Runtime provider (default: CUDA, else CPU)")  # fmt: skip
    command.add_argument("--device", action="append", type=int, metavar="NUMBER",
                         help="CUDA device; several share the requests (default: 0)")  # fmt: skip
    command.add_argument("--stats", action="store_true", help="tell where the time went")
    command.add_argument("--threads", type=int, help="threads that composite (default: the cores)")
    command.add_argument("--border", type=int, help="0: paste as the first generation did")
    command.add_argument(
        "--colour-match", action="store_true", help="move the mouth's colours to those round it"
    )
    command.add_argument(
        "--silence", choices=SILENCE,
        help="what pauses show: the mouth closed by the net, the background as it was filmed, or "
        "what the net makes of the noise (default: background for liteavatar384, else closed)",
    )  # fmt: skip
    command.add_argument(
        "--neutral", metavar="NPY", help="the person's closed mouth, for liteavatar384"
    )
    _add_order(command, "template")
    command.add_argument("--request", type=int, default=8, help="frames asked for at once (8)")
    _add_label(command)
    command.set_defaults(run=_render_command)


def _render_command(options: argparse.Namespace) -> None:
    from ..pipeline.pipeline import Pipeline, check_target

    check_target(options.output)
    with Pipeline.open(
        options.template,
        options.generator,
        options.audio_encoder,
        providers=options.provider,
        devices=options.device,
        threads=options.threads,
        request=options.request,
        border=options.border,
        label=options.label,
        colour_match=options.colour_match,
        silence=options.silence,
        neutral=options.neutral,
        loop=options.loop,
        start=options.start,
    ) as pipeline:
        speech = None if options.speech == "-" else options.speech
        _render(pipeline, speech, options)


def _render(pipeline: Any, speech: Any, options: argparse.Namespace) -> None:
    _say(options, f"generator on {', '.join(pipeline.stats().devices)}")
    with _Progress("render", options.quiet) as progress:
        frames = pipeline.render(
            speech,
            options.output,
            features=getattr(options, "features", None),
            quality=getattr(options, "quality", None),
            progress=progress,
        )
    if getattr(options, "stats", False):
        _print_stats(pipeline.stats())
    seconds = float(frames / pipeline.template.fps)
    _say(options, f"{options.output}: {frames} frames, {seconds:.2f} s")


def _print_stats(stats: Any) -> None:
    print(f"{'stage':10}{'frames':>8}{'ms':>10}{'ms/frame':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name, s in stats.stages.items():
        if not s.runs:
            continue  # such as visual where the net holds the template's crops
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


# ---- inspect -----------------------------------------------------------------------------


def _add_inspect(commands: Any) -> None:
    command = commands.add_parser(
        "inspect",
        help="tell what a template or a net is",
        description="Tell what a template folder or an ONNX net is.",
    )
    command.add_argument("path", help="a template folder or an .onnx file")
    command.add_argument("--json", action="store_true", help="machine-readable")
    command.add_argument("--template", metavar="FOLDER", help="show a net the faces of this one")
    command.add_argument("--preset", help="what a net is, where its shapes do not tell")
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


# ---- bench -------------------------------------------------------------------------------


def _add_bench(commands: Any) -> None:
    command = commands.add_parser(
        "bench",
        help="measure this machine, beside what users run today",
        description="Measure every stage, ours and other systems' in turn, and write a report. "
        "Without a template it draws 1080p frames; without a net it runs the demo's.",
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
    from ..bench.report import check_target, run_benchmark

    check_target(options.output)
    with _Progress("measure", options.quiet, unit="lines") as progress:
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
    _say(options, f"{options.output} holds the tables and the plots")


# ---- showing -----------------------------------------------------------------------------


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.quiet:
        print(line, file=sys.stderr)


class _Progress:
    """A progress bar with frames a second and time left, fed with (done, total)."""

    def __init__(self, label: str, quiet: bool, unit: str = "frames") -> None:
        self._bar: Any = None
        self._label, self._quiet, self._unit = label, quiet, unit

    def __enter__(self) -> Callable[[int, int | None], None] | None:
        if self._quiet:
            return None
        try:
            from tqdm import tqdm
        except ImportError:
            raise MissingExtraError(
                'the progress bar needs tqdm: pip install "lipsync_fast[cli]", or pass --quiet'
            ) from None
        self._bar = tqdm(desc=self._label, unit=f" {self._unit}", dynamic_ncols=True)
        return self._update

    def _update(self, done: int, total: int | None) -> None:
        if total is not None and self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            if not self._bar.n:
                self._bar.leave = False  # an error is told alone
            self._bar.close()
