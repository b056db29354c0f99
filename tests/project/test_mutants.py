"""tools/mutants.py: what it changes, what counts as killed, and that the sources stay."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "mutants.py"

pytestmark = pytest.mark.repository

# `most` has a test on either side of its limit; nothing asks `least` about its own.
C = """/* limits: "<" and 7 in a comment stay. */
#define SEVEN 7

int most(int value)
{
    return value <= 10;
}

int least(int value)
{
    return value <= 3;
}
"""
PYTHON = '''"""Limits, <= 7."""


def most(value: int) -> bool:
    return value <= 10


def least(value: int) -> bool:
    return value <= 3
'''
COMPILE = """
compile() {
    mkdir -p "$1/package"
    cp -r src/limits "$1/package/"
    rebuild "$1"
}

rebuild() {
    cc -shared -fPIC -O2 -o "$1/package/limits.so" csrc/limits.c
}
"""
TESTS = """
import ctypes
from pathlib import Path

import limits


def test_c():
    built = ctypes.CDLL(str(Path(limits.__path__[0]).parent / "limits.so"))
    assert built.most(10) == 1
    assert built.most(11) == 0
    assert built.least(0) == 1


def test_python():
    assert limits.most(10)
    assert not limits.most(11)
    assert limits.least(0)
"""


@pytest.fixture(scope="module")
def mutants():
    if not TOOL.exists():
        pytest.skip("tools/ is not here")
    found = importlib.util.spec_from_file_location("mutants", TOOL)
    module = importlib.util.module_from_spec(found)
    sys.modules["mutants"] = module  # its dataclasses look there
    found.loader.exec_module(module)
    yield module
    del sys.modules["mutants"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A made-up repository with a file of C, one of Python, and their tests."""
    if not shutil.which("cc"):
        pytest.skip("no compiler")
    files = {
        "csrc/limits.c": C,
        "src/limits/__init__.py": PYTHON,
        "tools/compile.sh": COMPILE,
        "tests/test_limits.py": TESTS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHON", sys.executable)
    return tmp_path


@pytest.mark.parametrize("file", ["csrc/limits.c", "src/limits/__init__.py"])
def test_a_change_that_no_test_notices_survives(mutants, tree, capsys, file):
    before = {p: p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    assert mutants.main([file, "--tests", "tests/test_limits.py", "--most", "0"], tree) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == f"{file}, seed 1: 6 of 6 mutants, 3 killed, 0 same code, 3 survive"
    survivors = [line for line in told if line.startswith("SURVIVES")]
    assert len(survivors) == 3
    assert all("value <= 3" in line for line in survivors)
    report = (tree / "build" / "mutants.txt").read_text("utf-8").splitlines()
    assert [line.strip() for line in report] == [*(s[11:] for s in survivors), told[-1]]
    assert {p: p.read_bytes() for p in before} == before


def test_a_run_of_killed_mutants_is_a_success(mutants, tree):
    arguments = ["csrc/limits.c", "--tests", "tests/test_limits.py", "--lines", "6"]
    assert mutants.main(arguments, tree) == 0


def test_tests_that_fail_without_a_change_end_the_run(mutants, tree, capsys):
    (tree / "csrc" / "limits.c").write_text(C.replace("10", "12"))
    assert mutants.main(["csrc/limits.c", "--tests", "tests/test_limits.py"], tree) == 2
    assert "fail without a change" in capsys.readouterr().out


def test_what_is_killed_and_what_is_the_same_code(mutants, tree):
    copy = mutants.Copy(tree, "csrc/limits.c", ["tests/test_limits.py"])
    assert copy.prepare()

    def outcome(first, then):
        return copy.outcome(mutants.Mutant("", 0, "", "", C.replace(first, then)))

    assert outcome("value <= 3", "value < 4") == mutants.SAME
    assert outcome("value <= 3", "value < 5") == mutants.SURVIVES
    assert outcome("value <= 3", "value <= ") == mutants.KILLED  # by the compiler
    assert outcome("value <= 3", "*(volatile int *)0") == mutants.KILLED  # by a crash
    copy.limit = 1.0
    assert outcome("value <= 3", '({ for (;;) __asm__ volatile(""); 1; })') == mutants.KILLED
    assert copy.file.read_text("utf-8") == C


def test_a_copy_left_changed_is_renewed(mutants, tree):
    arguments = (tree, "csrc/limits.c", ["tests/test_limits.py"])
    mutants.Copy(*arguments).renew()
    (tree / "build/mutants/tree/csrc/limits.c").write_text("left by a killed run")
    (tree / "build/mutants/tree/csrc/gone.c").write_text("")
    copy = mutants.Copy(*arguments)
    copy.renew()
    assert [p.name for p in (copy.tree / "csrc").iterdir()] == ["limits.c"]
    assert copy.file.read_text("utf-8") == C


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ("return a->b + x[i] - y;", []),
        ("return a && b;", ["return a || b;"]),
        ("s = a << b;", [";", "s = a >> b;"]),
        ("const int s = 0x10;", ["const int s = 0x11;", "const int s = 0xf;"]),
        ("return 0;", ["return (-1);", "return 1;"]),
        ("return 2.5f;", ["return 1.5f;", "return 3.5f;"]),
        ("if (a(b)) return b;", ["if (0) return b;", "if (1) return b;"]),
        ("float *p[1] = {a};", ["float *p[0] = {a};", "float *p[2] = {a};"]),
        ("f((g){a, b}); struct h k;", ["; struct h k;"]),
        ("while (a) b(); else c();", ["while (a) ; else c();", "while (a) b(); else ;"]),
        ("switch (a) { case B: c(); break; }", ["switch (a) { case B: c(); ; }"]),
    ],
)
def test_changes_of_c(mutants, body, made):
    text = "/* 1 < 2 */\nvoid f(void)\n{\n%s // 5 < 7, '9'\n}\n"
    found = mutants.c_mutants(text % body)
    assert sorted(m.text for m in found) == [text % other for other in made]
    assert all(m.line == 4 for m in found)


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ("x: Literal[1] = y", []),
        ("return a < b <= c", ["return a < b < c", "return a <= b <= c"]),
        ("return a is b", ["return a is not b"]),
        ("return a and (not b)", ["return a and (not not b)", "return a or not b"]),
        ("return a << 1", ["return a << 0", "return a << 2", "return a >> 1"]),
        ("return True", ["return False"]),
        ("self.a = b", ["pass"]),
        ("a, b = (c, d)", []),
        ("a()", ["pass"]),
        ("return a if b else c", ["return a if False else c", "return a if True else c"]),
        ("if a:\n        raise b", ["if False:\n        raise b", "if True:\n        raise b",
                                  "if a:\n        pass"]),
        ("if TYPE_CHECKING:\n        a = 1", []),
    ],
)  # fmt: skip
def test_changes_of_python(mutants, body, made):
    text = '"""Text of 1."""\n\n@cached(size=2)\ndef f(self) -> Annotated[int, 3]:\n    %s\n'
    found = mutants.python_mutants(text % body)
    assert sorted(m.text for m in found) == [text % other for other in made]


def test_a_choice_changes_each_line_before_any_twice(mutants):
    text = "int f(void)\n{\n    return 1 + 2 + 3 + 4;\n    g();\n    h();\n    i(0 < 1);\n}\n"
    found = mutants.c_mutants(text)
    first = mutants.chosen(found, 4, 7)
    assert [m.line for m in first] == [3, 4, 5, 6]
    assert mutants.chosen(found, 4, 7) == first
    assert len({tuple(mutants.chosen(found, 4, seed)) for seed in range(20)}) > 1
    assert len(mutants.chosen(found, 0, 1)) == len(found)
