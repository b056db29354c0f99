"""One fresh process of the regression run: measures cases and prints the results as JSON.

    python benchmarks/regress/process.py FOLDER SLOWED CASE...

FOLDER holds the template of `regress_cases.write_templates`. Memory comes first, after a fixed
number of calls, so that it is the same in every process; then come the times, in many short
slices of ours and of the peer's in turn, by the thread's processor time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.regress.cases import CASES, Case, Scenery, Work
from lipsync_fast.bench import memory
from lipsync_fast.bench.clock import ratio, run_in_turn

ROUNDS = 80
SLICE_NS = 1_000_000  # short enough to end before another program is scheduled
QUIET = 10  # percentile of the slices that shows the undisturbed cost

Found = dict[str, float]


def slowness(case: Case, slowed: float) -> float:
    """Return our processor time over the calibrating peer's.

    Compares the undisturbed slices of short works. Long ones are seldom undisturbed, but both
    suffer alike in turn, so compares the median of the pairs.
    """
    ours = case.ours if slowed == 1 else slow(case.ours, slowed)
    found = run_in_turn({"ours": ours, "peer": case.peer}, ROUNDS, sample_ns=SLICE_NS)
    if case.long:
        return ratio(found["ours"], found["peer"], cpu=True)
    ours_s, peer_s = (np.percentile(found[name].cpu, QUIET) for name in ("ours", "peer"))
    return float(ours_s / peer_s)


def slow(work: Work, factor: float) -> Work:
    """Return the same work, made to take `factor` times as long."""

    def slower() -> None:
        start = time.thread_time_ns()
        work()
        end = start + factor * (time.thread_time_ns() - start)
        while time.thread_time_ns() < end:
            pass

    return slower


def counts(case: Case) -> Found:
    """Return the fewest blocks of several calls, without Python's occasional own blocks."""
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


def measure(name: str, scenery: Scenery, slowed: float) -> Found:
    case = CASES[name](scenery)
    case.warm()
    held = counts(case)
    return held | {"ratio": slowness(case, slowed)}


def main() -> None:
    folder, slowed, *names = sys.argv[1:]
    scenery = Scenery(Path(folder))
    json.dump({name: measure(name, scenery, float(slowed)) for name in names}, sys.stdout)


if __name__ == "__main__":
    main()
