"""Errors: each is also a builtin error, and kernels raise only these."""

import builtins
import re
from pathlib import Path

import pytest

import lipsync_fast
from lipsync_fast import errors

SOURCES = sorted((Path(__file__).resolve().parents[2] / "src" / "lipsync_fast").rglob("*.pyx"))
CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]
PLAIN = re.compile(r"\braise (ValueError|TypeError|RuntimeError|OverflowError|AttributeError)\b")


@pytest.mark.parametrize("kind", CLASSES)
def test_each_is_ours_and_a_builtin(kind):
    assert issubclass(kind, lipsync_fast.LipsyncError)
    if kind is not lipsync_fast.LipsyncError:
        names = [base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"]
        assert set(names) - {"Exception", "BaseException", "object"}
        assert all(hasattr(builtins, name) for name in names)


def test_the_tree_in_the_docstring_is_whole():
    drawn = re.findall(r"^ +(?:\|-- )?(\w+)(?: +\((\w+)\))?", errors.__doc__, re.MULTILINE)
    assert sorted(name for name, _ in drawn) == sorted(kind.__name__ for kind in CLASSES)
    for name, builtin in drawn[1:]:
        assert issubclass(getattr(errors, name), getattr(builtins, builtin))


def test_tracebacks_name_the_module_that_is_imported():
    for kind in CLASSES:
        assert f"{kind.__module__}.{kind.__name__}" == f"lipsync_fast.errors.{kind.__name__}"


@pytest.mark.repository
def test_kernels_raise_no_plain_builtins():
    assert len(SOURCES) > 10
    plain = [
        f"{path.name}: {line}"
        for path in SOURCES
        for line in path.read_text().splitlines()
        if PLAIN.search(line)
    ]
    assert plain == []
