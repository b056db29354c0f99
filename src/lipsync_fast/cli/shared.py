"""What the commands share: options that several have, summaries and the progress bar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import MissingExtraError
from ..timing import LOOPS

__all__ = ["Progress", "add_label", "add_order", "add_verbosity", "say"]


def add_verbosity(command: argparse.ArgumentParser, default: Any = False) -> None:
    """Add --quiet and --verbose; `default` SUPPRESS lets a parent command's value stand."""
    for flags, brief in (
        (("-q", "--quiet"), "no progress, no summary"),
        (("-v", "--verbose"), "log what is chosen"),
    ):
        command.add_argument(*flags, action="store_true", default=default, help=brief)


def add_label(command: argparse.ArgumentParser) -> None:
    """Add --no-label, which sets `label` to False; without it `label` is None."""
    command.add_argument(
        "--no-label",
        dest="label",
        action="store_const",
        const=False,
        help="do not mark the output as generated media (XMP: IPTC digital source type)",
    )


def add_order(command: argparse.ArgumentParser, owner: str) -> None:
    """Add --loop and --start; `owner` says whose values hold without them."""
    command.add_argument(
        "--loop",
        choices=LOOPS,
        help=f"order of the frames; still: hold one frame (default: the {owner}'s)",
    )
    command.add_argument(
        "--start",
        type=int,
        metavar="N",
        help=f"where in the loop to start, or the frame to hold (default: the {owner}'s)",
    )


def say(options: argparse.Namespace, line: str) -> None:
    """Print a line of the summary to standard error, unless --quiet is given."""
    if not options.quiet:
        print(line, file=sys.stderr)


class Progress:
    """A progress bar with rate and time left, fed with (done, total).

    On a terminal it stands there from the start; elsewhere from the first step on, so that an
    error before it stands alone.

    Parameters
    ----------
    label : str
        What is being done, one word.
    quiet : bool
        Show nothing; entering the block then gives None.
    unit : str
        What is counted.

    Raises
    ------
    MissingExtraError
        On entering, where tqdm is not installed.
    """

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
        self._make = partial(
            tqdm, desc=self._label, unit=f" {self._unit}", dynamic_ncols=True, file=sys.stderr
        )
        if sys.stderr.isatty():
            self._bar = self._make()
        return self._update

    def _update(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = self._make(total=total)
        if total is not None and self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            if not self._bar.n:
                self._bar.leave = False  # so that an error stands alone
            self._bar.close()
