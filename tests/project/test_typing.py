"""Calls that the pages show pass a strict type check in a user's program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lipsync_fast

pytest.importorskip("mypy")

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(lipsync_fast.__file__).resolve().parents[1]

pytestmark = pytest.mark.repository

# The start of a user's program: names that the pages use without defining them.
PREAMBLE = """
import socket as sockets
from collections.abc import Sequence

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import lipsync_fast as lf

"""
GIVEN = {
    "background": "NDArray[np.uint8]",
    "buffers": "list[bytearray]",
    "compositor": "lf.Compositor",
    "dst": "NDArray[np.uint8]",
    "features": "NDArray[np.float32]",
    "frames": "Sequence[NDArray[np.uint8]]",
    "indices": "list[int]",
    "mask": "NDArray[np.uint8]",
    "net_outputs": "NDArray[np.float32]",
    "outputs": "NDArray[np.float32]",
    "patch": "NDArray[np.uint8]",
    "rects": "list[tuple[int, int, int, int]]",
    "socket": "sockets.socket",
    "src": "NDArray[np.uint8]",
    "theirs": "NDArray[np.int64]",
}


def blocks():
    """{name: code} of each block of Python on the pages, but for those that are files."""
    found = {}
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        fence = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
        for number, code in enumerate(fence.findall(page.read_text("utf-8"))):
            if "--8<--" not in code:
                found[f"{page.stem.lower()}_{number}"] = code
    return found


def check(folder, programs):
    """Run `mypy --strict` on programs {name: code} and return what it prints."""
    for name, code in programs.items():
        (folder / f"{name}.py").write_text(code, "utf-8")
    outside = "site-packages" not in PACKAGES.parts
    options = ["--strict", "--config-file=", "--follow-imports=silent", "--cache-dir=cache"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "."],
        cwd=folder,
        env=os.environ | ({"MYPYPATH": str(PACKAGES)} if outside else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def program(code):
    """A whole program: the names that the code uses but does not make, then the code."""
    made = set(re.findall(r"^(?:with .* as )?(\w+)(?: =|:$)", code, re.MULTILINE))
    used = set(re.findall(r"\b\w+\b", re.sub(r"#.*|\"[^\"]*\"", "", code))) & GIVEN.keys()
    given = "".join(f"{name}: {GIVEN[name]}\n" for name in sorted(used - made))
    return PREAMBLE + given + "\n" + code


def test_the_pages_calls_are_typed(tmp_path):
    shown = blocks()
    assert {"readme_0", "pool_0"} <= shown.keys()
    wrong = "import lipsync_fast as lf\n\nlf.BufferPool(limit='all')\nprint(lf.nothing)\n"
    told = check(tmp_path, {n: program(c) for n, c in shown.items()} | {"wrong": wrong})
    lines = told.splitlines()
    # The wrong program shows that the types are seen, and by their exact meaning.
    mine = [line for line in lines if line.startswith("wrong.py")]
    assert len(mine) == 2, told
    assert 'Argument "limit"' in mine[0]
    assert "nothing" in mine[1]
    assert [line for line in lines if line not in mine and not line.startswith("Found")] == []


def test_the_package_says_that_it_is_typed():
    assert (Path(lipsync_fast.__file__).parent / "py.typed").is_file()
