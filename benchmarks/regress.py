"""Compares this build with benchmarks/baseline.json; the exit status is 1 if it is worse.

    python benchmarks/regress.py             about a minute
    python benchmarks/regress.py --update    measure five times and write the baseline

Memory is compared exactly: pool misses and large blocks always, all blocks and their bytes with
a baseline of the same Python and NumPy. Time is compared as a ratio to a calibrating peer that
runs in turn with ours, of much the same work and footprint; it may worsen by 15 % against a
baseline of the same ISA and CPU family. What has no such baseline is only reported. A ratio
that looks worse is measured again before it is believed: it has to stay worse.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lipsync_fast import _kernels
from lipsync_fast.bench import memory
from lipsync_fast.bench.clock import ratio, run_in_turn
from regress_cases import Case, make_cases

BASELINE = Path(__file__).with_name("baseline.json")
WORSE = 1.15  # a ratio to the baseline's from which on a case is slower
ROUNDS = 40
AGAIN = 4  # more measurements of a case that looks slower
ALWAYS = ("large", "misses")  # counts that no Python version changes

Counts = dict[str, int]


def cpu_key() -> str:
    """The ISA in use and the family of the processor."""
    facts = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    except OSError:
        facts["vendor_id"] = platform.processor() or platform.machine()
    vendor = facts.get("vendor_id") or facts.get("CPU implementer") or platform.machine()
    family = facts.get("cpu family") or facts.get("CPU part") or "?"
    return f"{_kernels.ISA}, {vendor} family {family}"


def runtime_key() -> str:
    """Python and NumPy: their versions change how many small blocks they take."""
    python, numpy = (
        ".".join(version.split(".")[:2]) for version in (platform.python_version(), np.__version__)
    )
    return f"{platform.python_implementation()} {python}, NumPy {numpy}"


def slowness(case: Case, rounds: int) -> float:
    """Our processor time over the calibrating peer's."""
    found = run_in_turn({"ours": case.ours, "peer": case.peer}, rounds)
    return ratio(found["ours"], found["peer"], cpu=True)


def counts(case: Case) -> Counts:
    """Fewest blocks of several calls: what a call needs, without what Python does at times."""
    found = [memory.blocks_of(case.ours) for _ in range(7)]
    before = case.misses()
    for _ in range(10):
        case.ours()
    return {
        "blocks": min(b.count for b in found),
        "bytes": min(b.bytes for b in found),
        "large": min(b.large for b in found),
        "misses": case.misses() - before,
    }


def more_than(found: Counts, base: Counts, exact: bool) -> list[str]:
    """Counts that exceed the baseline's, as words."""
    names = found if exact else ALWAYS
    return [f"{n} {found[n]} > {base[n]}" for n in names if n in base and found[n] > base[n]]


def judge_time(case: Case, base: float | None) -> tuple[float, bool]:
    """The ratio, and whether it is worse than the baseline's each time it is measured."""
    found = slowness(case, ROUNDS)
    for _ in range(AGAIN):
        if base is None or found <= base * WORSE:
            break
        found = min(found, slowness(case, ROUNDS))
    return found, base is not None and found > base * WORSE


def compare(cases: list[Case], baseline: dict[str, Any]) -> int:
    """Print each case beside the baseline; how many are worse."""
    times = baseline["ratios"].get(cpu_key())
    blocks = baseline["memory"].get(runtime_key())
    known = next(iter(baseline["memory"].values()), {}) if blocks is None else blocks
    if times is None:
        print(f"no baseline for {cpu_key()}: times are only reported")
    if blocks is None:
        print(f"no baseline for {runtime_key()}: small blocks are only reported")
    worse = 0
    print(f"{'case':22}{'ratio':>8}{'baseline':>10}{'blocks':>8}{'bytes':>10}{'misses':>8}")
    for case in cases:
        base = (times or {}).get(case.name)
        found, slower = judge_time(case, base)
        held = counts(case)
        complaints = more_than(held, known.get(case.name, {}), blocks is not None)
        if slower:
            complaints.append(f"{found / base:.2f} times the baseline's ratio")
        worse += bool(complaints)
        print(
            f"{case.name:22}{found:8.3f}{'' if base is None else format(base, '.3f'):>10}"
            f"{held['blocks']:8}{held['bytes']:10}{held['misses']:8}  {'; '.join(complaints)}",
            flush=True,
        )
    return worse


def update(cases: list[Case], baseline: dict[str, Any]) -> None:
    """Put this machine's medians and this Python's counts into the baseline."""
    ratios, held = {}, {}
    for case in cases:
        ratios[case.name] = round(float(np.median([slowness(case, ROUNDS) for _ in range(5)])), 4)
        held[case.name] = counts(case)
        print(f"{case.name:22}{ratios[case.name]:8.3f}  {held[case.name]}", flush=True)
    baseline["ratios"][cpu_key()] = ratios
    baseline["memory"][runtime_key()] = held
    BASELINE.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="write the baseline")
    options = parser.parse_args()
    baseline: dict[str, Any] = {"ratios": {}, "memory": {}}
    if BASELINE.exists():
        baseline = json.loads(BASELINE.read_text("utf-8"))
    elif not options.update:
        parser.error(f"there is no {BASELINE}; make it with --update")
    with tempfile.TemporaryDirectory(prefix="lipsync_fast-regress-") as work:
        cases = make_cases(Path(work))
        if options.update:
            update(cases, baseline)
            return 0
        worse = compare(cases, baseline)
    print(f"{worse} of {len(cases)} cases are worse" if worse else "no case is worse")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
