"""python -m fuzz TARGET [--runs N] [--seed S] [--atheris]"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .folders import TARGETS
from .mutate import mutate
from .targets import Target

# Address space: a size that a file merely claims must not be allocated. Linux and macOS.
MEMORY = 6 << 30


def limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))


def fuzz(target: Target, runs: int, seed: int, seconds: float | None = None) -> int:
    """Run a target on `runs` inputs; return how many ran. Unexpected exceptions pass through."""
    rng = random.Random(seed)
    until = None if seconds is None else time.monotonic() + seconds
    for run in range(runs):
        if until is not None and time.monotonic() > until:
            return run
        state = rng.getrandbits(64)
        data = one_input(target, state)
        try:
            target.run(data)
        except Exception as error:
            error.add_note(f"repeat it: python -m fuzz {target.name} --input {state}")
            error.add_note(f"input: {data[:200]!r} ({len(data)} bytes)")
            raise
    return runs


def one_input(target: Target, state: int) -> bytes:
    rng = random.Random(state)
    return mutate(rng.choice(target.corpus), rng, target.words)


def run_atheris(target: Target, runs: int) -> None:
    import atheris

    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(target.corpus):
            (Path(folder) / str(i)).write_bytes(data)
        atheris.Setup([sys.argv[0], f"-runs={runs}", folder], target.run)
        atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=int, help="repeat the input of this number")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage")
    options = parser.parse_args()
    limit_memory()
    failed = 0
    for name in TARGETS if options.target == "all" else [options.target]:
        with TARGETS[name]() as target:
            failed |= run_one(target, options)
    return failed


def run_one(target: Target, options: argparse.Namespace) -> int:
    """Run one target as the command line says; return 1 if it found something."""
    if options.input is not None:
        target.run(one_input(target, options.input))
        return 0
    if options.atheris:
        run_atheris(target, options.runs)
        return 0
    start = time.monotonic()
    try:
        done = fuzz(target, options.runs, options.seed)
    except Exception:
        traceback.print_exc()
        return 1
    took = time.monotonic() - start
    print(
        f"{target.name}: {done} inputs in {took:.1f} s, {target.accepted} accepted, "
        f"{target.refused} refused",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
