"""One fresh process of regress.py: measures cases and prints what it found as JSON.

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
SLICE_NS = 1_000_000  # short enough to be over before another program is let in
QUIET = 10  # percentile of the slices: what a work costs where nothing disturbed it

Found = dict[str, float]


def slowness(case: Case, slowed: float) -> float:
    """Our processor time over the calibrating peer's.

    Of short works the undisturbed slices are compared. Long ones are seldom undisturbed, but
    both in turn equally much: the median of the pairs is compared.
    """
    ours = case.ours if slowed == 1 else slow(case.ours, slowed)
    found = run_in_turn({"ours": ours, "peer": case.peer}, ROUNDS, sample_ns=SLICE_NS)
    if case.long:
        return ratio(found["ours"], found["peer"], cpu=True)
    ours_s, peer_s = (np.percentile(found[name].cpu, QUIET) for name in ("ours", "peer"))
    return float(ours_s / peer_s)


def slow(work: Work, factor: float) -> Work:
    """The same work made to take so many times as long."""

    def slower() -> None:
        start = time.thread_time_ns()
        work()
        end = start + factor * (time.thread_time_ns() - start)
        while time.thread_time_ns() < end:
            pass

    return slower


def counts(case: Case) -> Found:
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
