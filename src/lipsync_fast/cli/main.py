"""The command line: parses the arguments, runs a command, turns errors into exit statuses."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .._version import __version__
from ..errors import LipsyncError
from .bench import add_bench
from .cache import add_cache
from .demo import add_demo
from .doctor import add_doctor
from .inspect import add_inspect
from .model import add_model
from .naming import name_option, reject_dashes, reject_empty
from .prepare import add_prepare
from .render import add_render
from .shared import add_verbosity
from .streams import discard, ignore_broken_stderr, print_any_text, reopen_closed

__all__ = ["main"]

_DESCRIPTION = """\
Finished talking-head frames from a template, an ONNX generator and speech.

  lipsync-fast demo                                  a drawn person speaks, to demo.mp4
  lipsync-fast prepare anna.mp4 anna/ --preset synctalk328 --detector yunet.onnx \\
      --landmarks mesh.onnx                          film a person once
  lipsync-fast render anna/ speech.wav out.mp4 --generator unet.onnx \\
      --audio-encoder ave.onnx                       then let her say anything
  lipsync-fast inspect anna/                         what a template or a model is
  lipsync-fast bench                                 how fast this machine is, beside others
  lipsync-fast doctor                                whether the GPU is really used
  lipsync-fast model batch unet.onnx free.onnx       let a model of fixed batch run many frames
  lipsync-fast cache                                 what is kept for the next time
"""

_ADDERS = (
    *(add_demo, add_prepare, add_render, add_inspect),
    *(add_bench, add_doctor, add_model, add_cache),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status: 0; 1 where `doctor` found no GPU in use; 2 for bad input; 130 when
        interrupted; 143 when asked to end.
    """
    reopen_closed()
    with print_any_text(), ignore_broken_stderr():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("lipsync_fast").setLevel(logging.INFO if options.verbose else "WARNING")
    try:
        reject_empty(options)
        reject_dashes(options, getattr(options, "takes_dash", ()))
        with _ending_cleanly():
            status: int | None = options.run(options)
            sys.stdout.flush()
    except LipsyncError as error:
        return _fail(options, str(error))
    except KeyboardInterrupt as stopped:
        asked = isinstance(stopped, _AskedToEnd)
        print(f"lipsync-fast: {'asked to end' if asked else 'interrupted'}", file=sys.stderr)
        return 128 + (signal.SIGTERM if asked else signal.SIGINT)
    except BrokenPipeError:
        discard(sys.stdout)
        return 0
    except OSError as error:
        discard(sys.stdout)
        return _fail(options, _os_message(error))
    return status or 0


def _fail(options: argparse.Namespace, message: str) -> int:
    print(f"lipsync-fast: {name_option(options, message)}", file=sys.stderr)
    return 2


def _os_message(error: OSError) -> str:
    """Return what the system refused, in the order of the other sentences."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


class _AskedToEnd(KeyboardInterrupt):
    """A request to end; whatever an interrupt ends, it ends too."""


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that a stopped container leaves no partial files."""
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
    for add in _ADDERS:
        add(commands)
    for command in commands.choices.values():
        add_verbosity(command)
        command.set_defaults(parser=command)
    return parser


def _version() -> str:
    from ..kernels import ISA

    return f"lipsync_fast {__version__} ({ISA})"
