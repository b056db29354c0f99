"""Size limits of files, functions, signatures and lines."""

from pathlib import Path

import pytest
from tests.support import sizes

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["src", "csrc", "tests", "benchmarks", "fuzz", "tools", "examples"]
SUFFIXES = {".py", ".pyx", ".pxd", ".c", ".h", ".sh"}
FILE, FUNCTION, PARAMETERS, COLUMNS = 500, 60, 8, 100

pytestmark = pytest.mark.repository


def files():
    found = [p for f in FOLDERS for p in (ROOT / f).rglob("*") if p.suffix in SUFFIXES]
    assert len(found) > 200
    return sorted(found)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_can_be_read(path):
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) <= FILE
    if path.suffix in {".pyx", ".pxd", ".c", ".h"}:  # ruff checks Python
        wide = [number for number, line in enumerate(lines, 1) if len(line) > COLUMNS]
        assert wide == [], f"lines of more than {COLUMNS} columns"
    long = [f for f in sizes.functions_of(path) if f.lines > FUNCTION]
    assert long == [], f"functions of more than {FUNCTION} lines"
    many = [f for f in sizes.functions_of(path) if f.parameters > PARAMETERS and not f.reasoned]
    assert many == [], 'they need fewer parameters, or a reason in words: "Ten parameters: …"'


# ---- the reader ------------------------------------------------------------------------------

PYTHON = '''
class Frame:
    """A frame. Its nine parameters are those of a file."""

    def __init__(self, a, b, c, d, e, f, g, *, h=(1, 2), i=0):
        pass


async def long(first, /, second: dict[str, int], *rest, **named):
    """One line.

    And a second one, without a reason.
    """
    return 1
'''
CYTHON = '''
cdef class Worker:
    cdef int size(self, int a,
                  const float *b) except -1:
        """Two
        lines."""
        x = 1

        return x

    cdef int declared(self, int a) noexcept

cdef class Large:
    """One.

    Nine parameters: it is flat.
    """
    def __cinit__(self, int a, b, c, d, e, f, g, h, *, i):
        pass

def free(Worker worker not None, object out=None, *, size=(1, 2)):  # a remark
    return 1
'''
C = """
/* Adds.
   Nine parameters, here and in nothing. */
static int
add(const float *a, int (*call)(int, int), int b, int c, int d, int e, int f, int g, int h)
{
    if (a) { /* } */
        return '}';
    }
    return 0;
}

int declared(int a, int b);
static const int TABLE[] = { 1, 2 };
void nothing(void) {
}
"""


def test_functions_of_python_are_seen():
    init, long = sizes.python(PYTHON)
    assert (init.name, init.line, init.lines, init.parameters) == ("__init__", 5, 2, 9)
    assert init.reasoned
    assert (long.name, long.line, long.lines, long.parameters) == ("long", 9, 2, 2)
    assert not long.reasoned


def test_functions_of_cython_are_seen():
    size, large, free = sizes.cython(CYTHON)
    assert (size.name, size.line, size.lines, size.parameters) == ("size", 3, 5, 2)
    assert (free.name, free.line, free.lines, free.parameters) == ("free", 21, 2, 3)
    assert (large.parameters, large.reasoned) == (9, True)
    assert not free.reasoned


def test_functions_of_c_are_seen():
    add, nothing = sizes.c(C)
    assert (add.name, add.line, add.lines, add.parameters) == ("add", 4, 8, 9)
    assert add.reasoned
    assert (nothing.name, nothing.lines, nothing.parameters) == ("nothing", 2, 0)
    assert not nothing.reasoned


def test_a_reason_counts_the_parameters():
    assert sizes.gives_reason("Its ten parameters are those of a file.", 10)
    assert not sizes.gives_reason("Ten parameters: it is flat.", 11)
    assert not sizes.gives_reason("Parameters", 9)
    assert not sizes.gives_reason("Ten parameters", 30)


@pytest.mark.parametrize("suffix", [".py", ".pyx", ".c"])
def test_a_long_function_is_found(tmp_path, suffix):
    body = "\n".join(["    a;"] * FUNCTION)
    end = "\n}\n" if suffix == ".c" else "\n"
    start = "int f(int a)\n{\n" if suffix == ".c" else "def f(a):\n"
    path = tmp_path / f"made_up{suffix}"
    path.write_text(start + body + end)
    assert [f.lines > FUNCTION for f in sizes.functions_of(path)] == [True]
    assert len([f for p in files() for f in sizes.functions_of(p)]) > 1500
