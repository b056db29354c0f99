"""Objects of compiled classes that no constructor made: they raise, not end the process."""

import subprocess
import sys
from pathlib import Path

import lipsync_fast

PACKAGE = Path(lipsync_fast.__file__).parent
MODULES = sorted(
    ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.pyi")
)

CALLS = """
import importlib, sys

def classes(base=object):
    for cls in type.__subclasses__(base):
        if cls.__module__ in MODULES:
            yield cls
        yield from classes(cls) if cls is not type else ()

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except Exception:
        return None

MODULES = sys.argv[1:]
for name in MODULES:
    importlib.import_module(name)
found = sorted({*classes()}, key=lambda cls: (cls.__module__, cls.__qualname__))
for cls in found:
    made = attempt(cls.__new__, cls)
    print(f"{cls.__module__}.{cls.__qualname__}", made is not None, flush=True)
    if made is None:
        continue
    for protocol in (repr, memoryview, bytes, iter, len, hash):
        attempt(protocol, made)
    for name in dir(made):
        member = attempt(getattr, made, name)
        if callable(member) and name not in ("__class__", "__init_subclass__", "__subclasshook__"):
            for count in range(5):
                for value in (None, 0, -1, made):
                    attempt(member, *[value] * count)
        attempt(setattr, made, name, 0)
    del made
"""


def test_no_method_of_an_unmade_object_ends_the_process():
    command = [sys.executable, "-c", CALLS, *MODULES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ended by {done.returncode} in {done.stdout[-200:]}"
    listed = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert len(listed) >= 15
    made_by_others = (
        *("_pool.Lease", "_splice.SplicedJpeg", "_finish.Worker"),
        *("_backgrounds.InPlace", "_backgrounds.Holders"),
    )
    for name in made_by_others:
        assert [made for cls, made in listed.items() if cls.endswith(name)] == ["False"]
