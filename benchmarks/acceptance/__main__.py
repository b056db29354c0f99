"""Measure every figure that the project promises, beside its peers, and print the table.

    python -m benchmarks.acceptance                 all lines, some minutes
    python -m benchmarks.acceptance jpeg resize     some of them
    python -m benchmarks.acceptance --quick         fewer rounds
    python -m benchmarks.acceptance --work FOLDER   keep the templates for the next run

Compared works run in turn, round by round; a ratio is the median over rounds. The first figure
is wall time, the one in parentheses the thread's processor time, which other programs on the
machine disturb less: it decides, except for two threads, the tail and opening. Everything runs
on one thread unless stated otherwise.
Real clips come from ../shared/assets; their lines are skipped if it does not exist.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path

import lipsync_fast
from benchmarks.acceptance.lines import LINES
from benchmarks.acceptance.parts import Row, Session
from lipsync_fast import kernels
from lipsync_fast.kernels import _jpeg


def print_row(row: Row) -> None:
    met = "" if row.met is None else "yes" if row.met else "NO"
    print(f"| {row.what} | {row.reach} | {row.got} | {met} |", flush=True)


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", nargs="*", help=f"of {', '.join(LINES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds")
    parser.add_argument("--work", metavar="FOLDER", help="make and keep templates there")
    options = parser.parse_args()
    unknown = set(options.lines) - set(LINES)
    if unknown:
        parser.error(f"unknown lines {', '.join(sorted(unknown))}; known are {', '.join(LINES)}")
    print(
        f"lipsync_fast {lipsync_fast.__version__}, ISA {kernels.ISA}, {_jpeg.LIBRARY}, "
        f"{cpu_name()}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}\n"
    )
    print("| what | reach | got: wall (processor) | met |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="lipsync_fast-acceptance-") as temporary:
        session = Session(Path(options.work or temporary), options.quick)
        missed = 0
        for name in options.lines or LINES:
            for row in LINES[name](session):
                print_row(row)
                missed += row.met is not None and not row.met
    print(f"\n{missed} lines missed" if missed else "\nall lines met")


if __name__ == "__main__":
    main()
