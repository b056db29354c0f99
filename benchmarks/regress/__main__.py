"""Compare this build with benchmarks/regress/baseline.json; exit with status 1 if it is worse.

    python -m benchmarks.regress                25 s of processor time
    python -m benchmarks.regress --slowed 1.2   slow ours down 1.2 times, to prove that it notices
    python -m benchmarks.regress --update       write the baseline of this machine

Everything is measured in fresh processes: the layout of memory is decided when a process starts,
and matters more than a small regression. Memory is compared exactly: pool misses and large blocks
always, all blocks and their bytes with a baseline of the same Python, NumPy and libjpeg-turbo.
Time is compared as a ratio to a calibrating peer that runs in turn with ours, with similar work
and footprint; the median of the processes may worsen by 15 % against a baseline of the same ISA
and CPU family. Figures without such a baseline are only reported. A case that looks worse is
measured in more processes, and fails only if it stays worse.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.regress.cases import CASES, write_templates
from benchmarks.regress.process import Found
from lipsync_fast import kernels
from lipsync_fast.kernels import _jpeg

BASELINE = Path(__file__).with_name("baseline.json")
WORSE = 1.15  # ratio to the baseline's above which a case is slower
LOOKS = (3, 5, 7, 9, 11)  # processes after which a case that looks worse is judged again
UPDATE = 9  # processes that make a baseline
ALWAYS = ("large", "misses")  # counts that do not depend on the Python version
COUNTS = ("blocks", "bytes", *ALWAYS)


def cpu_key() -> str:
    """Return the ISA in use and the family of the processor."""
    facts: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    except OSError:
        facts["vendor_id"] = platform.processor() or platform.machine()
    vendor = facts.get("vendor_id") or facts.get("CPU implementer") or platform.machine()
    family = facts.get("cpu family") or facts.get("CPU part") or "?"
    return f"{kernels.ISA}, {vendor} family {family}"


def runtime_key() -> str:
    """Return the versions of Python, NumPy and libjpeg-turbo, which affect small blocks."""
    python, numpy = (
        ".".join(version.split(".")[:2]) for version in (platform.python_version(), np.__version__)
    )
    return f"{platform.python_implementation()} {python}, NumPy {numpy}, {_jpeg.LIBRARY}"


class Measurements:
    """Results of fresh processes, case by case.

    Parameters
    ----------
    work : Path
        Folder with the template of `write_templates`.
    slowed : float
        Factor to slow ours down by; other than 1 only to prove that it is noticed.
    """

    def __init__(self, work: Path, slowed: float = 1.0) -> None:
        self.work, self.slowed = work, slowed
        self.found: dict[str, list[Found]] = {name: [] for name in CASES}

    def add(self, names: Sequence[str]) -> None:
        """Measure cases once more, in a fresh process."""
        command = [
            sys.executable,
            "-m",
            "benchmarks.regress.process",
            str(self.work),
            str(self.slowed),
        ]
        done = subprocess.run([*command, *names], check=True, stdout=subprocess.PIPE)
        for name, found in json.loads(done.stdout).items():
            self.found[name].append(found)

    def ratio(self, name: str) -> float:
        return median(found["ratio"] for found in self.found[name])

    def counts(self, name: str) -> dict[str, int]:
        """Return the fewest of all processes: the rest does not belong to the case."""
        return {n: int(min(found[n] for found in self.found[name])) for n in COUNTS}


class Judge:
    """Compares measurements with a baseline, as far as it applies.

    Parameters
    ----------
    baseline : dict
        As in baseline.json: ``ratios`` by `cpu_key`, ``memory`` by `runtime_key`.
    cpu, runtime : str
        The keys of the measurements.
    """

    def __init__(self, baseline: dict[str, Any], cpu: str, runtime: str) -> None:
        self.ratios: dict[str, float] = baseline["ratios"].get(cpu, {})
        self.exact = runtime in baseline["memory"]
        # Without a baseline of this Python, any other still has the counts in ALWAYS.
        others = next(iter(baseline["memory"].values()), {})
        self.memory: dict[str, dict[str, int]] = baseline["memory"].get(runtime, others)

    def complaints(self, name: str, ratio: float, held: dict[str, int]) -> list[str]:
        """Describe the figures that are worse than the baseline."""
        base = self.memory.get(name, {})
        names = COUNTS if self.exact else ALWAYS
        worse = [f"{n} {held[n]} > {base[n]}" for n in names if n in base and held[n] > base[n]]
        if name in self.ratios and ratio > WORSE * self.ratios[name]:
            worse.append(f"{ratio / self.ratios[name]:.2f} times the baseline's ratio")
        return worse


def compare(measured: Measurements, judge: Judge) -> dict[str, list[str]]:
    """Measure until each case has passed once or looked worse every time."""
    doubtful = list(CASES)
    worse: dict[str, list[str]] = {}
    for processes in LOOKS:
        while len(measured.found[doubtful[0]]) < processes:
            measured.add(doubtful)
        worse = {n: judge.complaints(n, measured.ratio(n), measured.counts(n)) for n in doubtful}
        doubtful = [n for n in doubtful if worse[n]]
        if not doubtful:
            break
        print(f"after {processes} processes worse: {', '.join(doubtful)}", flush=True)
    return {n: worse[n] for n in doubtful}


def print_table(measured: Measurements, judge: Judge, worse: dict[str, list[str]]) -> None:
    head = ("case", "ratio", "baseline", "lowest", "highest", "blocks", "bytes", "misses")
    print(f"{head[0]:20}" + "".join(f"{word:>10}" for word in head[1:]))
    for name, found in measured.found.items():
        ratios = [f["ratio"] for f in found]
        base = f"{judge.ratios[name]:.3f}" if name in judge.ratios else ""
        held = measured.counts(name)
        print(
            f"{name:20}{measured.ratio(name):10.3f}{base:>10}{min(ratios):10.3f}"
            f"{max(ratios):10.3f}{held['blocks']:10}{held['bytes']:10}{held['misses']:10}"
            f"  {'; '.join(worse.get(name, []))}"
        )


def update(measured: Measurements, baseline: dict[str, Any]) -> None:
    """Put this machine's medians and this Python's counts into the baseline."""
    for _ in range(UPDATE):
        measured.add(list(CASES))
    baseline["ratios"][cpu_key()] = {n: round(measured.ratio(n), 4) for n in CASES}
    baseline["memory"][runtime_key()] = {n: measured.counts(n) for n in CASES}
    BASELINE.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="write the baseline")
    parser.add_argument("--slowed", type=float, default=1.0, help="slow ours by this factor")
    options = parser.parse_args()
    baseline: dict[str, Any] = {"ratios": {}, "memory": {}}
    if BASELINE.exists():
        baseline = json.loads(BASELINE.read_text("utf-8"))
    elif not options.update:
        parser.error(f"there is no {BASELINE}; make it with --update")
    judge = Judge(baseline, cpu_key(), runtime_key())
    with tempfile.TemporaryDirectory(prefix="lipsync_fast-regress-") as work:
        write_templates(Path(work))
        measured = Measurements(Path(work), options.slowed)
        if options.update:
            update(measured, baseline)
            print_table(measured, judge, {})
            return 0
        if not judge.ratios:
            print(f"no baseline for {cpu_key()}: times are only reported")
        if not judge.exact:
            print(f"no baseline for {runtime_key()}: small blocks are only reported")
        worse = compare(measured, judge)
        print_table(measured, judge, worse)
    print(f"{len(worse)} of {len(CASES)} cases are worse" if worse else "no case is worse")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
