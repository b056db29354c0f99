"""Mutation runs: change the code in one place at a time and see whether a test notices.

    python tools/mutants.py csrc/patch.c --tests tests/kernels/test_patch.py --most 25
    python tools/mutants.py src/lipsync_fast/compositing/canvas.py --tests tests/compositing

Changes C (comparisons, `&&` and `||`, shifts, numbers by one, conditions of `if` made true or
false, statements removed) and Python (the same, `not`, True and False). Each change is built and
tested in a copy under build/mutants, so the sources stay as they are however a run ends. A change
that does not compile, fails a test, crashes or runs out of time is killed; one whose extensions
come out the same byte for byte is called "same code". What is left survives: a test is missing
there, or the change means nothing. Survivors are added to build/mutants.txt, and the exit status
is 1 where there are any, 2 where the tests fail without a change.

PYTHON names the interpreter, as for the other tools. The same seed gives the same changes.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COPIED = ["CMakeLists.txt", "benchmarks", "cmake", "csrc", "docs", "examples", "fuzz"]
COPIED += ["licenses", "pyproject.toml", "src", "tests", "tools"]
NOT_COPIED = {"__pycache__", ".so"}
MEMORY = 16 << 30  # bytes of address space that a test run may take
KILLED, SAME, SURVIVES = "killed", "same code", "SURVIVES"


@dataclass(frozen=True)
class Mutant:
    """One change: its kind, its place, the old and the new code, and the changed file."""

    kind: str
    line: int
    old: str
    new: str
    text: str

    def __str__(self) -> str:
        old, new = (" ".join(side.split())[:90] for side in (self.old, self.new))
        return f"{self.line}: {self.kind}: {old}  ->  {new}"


def both_ways(pairs: str) -> dict[str, str]:
    """Turn `a b, c d` into a mapping: a to b, b to a, c to d, d to c."""
    words = [pair.split() for pair in pairs.split(", ")]
    return {a: b for pair in words for a, b in (pair, pair[::-1])}


# ---- C ---------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""(?P<skip>/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
                | ^[ \t]*\#(?:\\\n|[^\n])* | \s+)
      | (?P<number>(?:0[xX][0-9a-fA-F]+ | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[uUlLfF]*)
      | (?P<word>\w+)
      | (?P<sign><<= | >>= | -> | << | >> | <= | >= | == | != | && | \|\| | \+\+ | -- | .)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
OTHER_SIGN = both_ways("< <=, > >=, == !=, && ||, << >>, <<= >>=")
CONTROL = {"if", "for", "while", "switch"}
NO_STATEMENT = CONTROL | {"return", "case", "default", "else", "do", "goto"}
NO_STATEMENT |= {"const", "static", "struct", "enum", "union"}


def tokens_of(text: str) -> list[re.Match[str]]:
    """Return the tokens of a C file without comments, strings and preprocessor lines."""
    return [m for m in TOKEN.finditer(text) if m.lastgroup != "skip"]


def one_off(number: str, by: int) -> str:
    """Return a C number one larger or smaller, with its suffix."""
    if number[:2] in ("0x", "0X"):
        digits = number.rstrip("uUlL")
        made = hex(max(int(digits, 16) + by, 0))
    else:
        digits = number.rstrip("uUlLfF")
        made = str(int(digits) + by if digits.isdigit() else float(digits) + by)
    made += number[len(digits) :]
    return f"({made})" if made.startswith("-") else made


def closing(tokens: list[re.Match[str]], at: int) -> int:
    """Return the position of the parenthesis that closes the one at `at`."""
    depth = 1
    while depth:
        at += 1
        depth += (tokens[at][0] == "(") - (tokens[at][0] == ")")
    return at


def statement_starts(tokens: list[re.Match[str]]) -> Iterator[int]:
    """Return where statements of functions begin, including declarations and control flow."""
    parens: list[bool] = []  # of the open ones: whether they belong to if, for, while or switch
    blocks: list[bool] = []  # of the open braces: whether they contain statements
    begins = False
    for i, text in enumerate(token[0] for token in tokens):
        before = tokens[i - 1][0] if i else ""
        if begins and not parens and blocks and all(blocks) and text not in "{};":
            yield i
        if text == "(":
            parens.append(before in CONTROL)
        elif text == "{":
            body = not blocks and before == ")"
            blocks.append(body or begins or before in ("else", "do"))
        elif text == "}":
            blocks.pop()
        control = text == ")" and parens.pop()
        begins = bool(control) or text in ("{", "}", ";", "else", "do")


def is_declaration(tokens: list[re.Match[str]], at: int) -> bool:
    """Tell whether a statement is a declaration: a word, stars, another word."""
    first, second = [t.lastgroup for t in tokens[at : at + 4] if t[0] != "*"][:2]
    return first == second == "word"


def c_changes(tokens: list[re.Match[str]]) -> Iterator[tuple[str, int, int, str]]:
    """Yield every change of a C file: its kind, first and last token, and their replacement."""
    for i, token in enumerate(tokens):
        if token[0] in OTHER_SIGN:
            kind = "logic" if token[0] in ("&&", "||") else "compare"
            kind = "shift" if token[0][:2] in ("<<", ">>") else kind
            yield kind, i, i, OTHER_SIGN[token[0]]
        elif token.lastgroup == "number":
            yield "number", i, i, one_off(token[0], 1)
            yield "number", i, i, one_off(token[0], -1)
        elif token[0] == "if":
            last = closing(tokens, i + 1)
            yield "check", i, last, "if (0)"
            yield "check", i, last, "if (1)"
    for i in statement_starts(tokens):
        if tokens[i][0] not in NO_STATEMENT and not is_declaration(tokens, i):
            last = next(k for k in range(i, len(tokens)) if tokens[k][0] == ";")
            yield "statement", i, last, ";"


def c_mutants(text: str) -> list[Mutant]:
    """Return all mutants of a C file."""
    tokens = tokens_of(text)
    made = []
    for kind, first, last, new in c_changes(tokens):
        start, end = tokens[first].start(), tokens[last].end()
        left, right = text[:start], text[end:]
        lead = left.rpartition("\n")[2].lstrip()[-25:]  # a sign alone is not informative
        tail = right.partition("\n")[0][:25]
        old, shown = lead + text[start:end] + tail, lead + new + tail
        made.append(Mutant(kind, left.count("\n") + 1, old, shown, left + new + right))
    return made


# ---- Python ----------------------------------------------------------------------------------

NODES = both_ways("Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, And Or, LShift RShift")
OTHER_NODE = {getattr(ast, a): getattr(ast, b) for a, b in NODES.items()}
REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete, ast.Break, ast.Continue)


# Kind, node to show, and the node or list to change with its field or index and the new value.
Change = tuple[str, Any, Any, Any, Any]


def left_alone(tree: ast.AST) -> set[int]:
    """Return the nodes that no test can check: annotations, decorators, imports for types."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(tree):
        roots += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        roots += getattr(node, "decorator_list", [])
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            roots.append(node)
    return {id(child) for root in roots if root for child in ast.walk(root)}


def removals(node: ast.AST) -> Iterator[Change]:
    """Yield the statements in a node's bodies, except docstrings and assignments of names."""
    names = (ast.Name, ast.Tuple)  # without them the next line fails anyway
    bodies = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    for body in (b for b in bodies if isinstance(b, list)):
        for i, child in enumerate(body):
            simple = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            plain = isinstance(child, ast.Assign) and isinstance(child.targets[0], names)
            if isinstance(child, REMOVED) and not simple and not plain:
                yield "statement", child, body, i, ast.Pass()


def changes_of(node: ast.AST) -> Iterator[Change]:
    """Yield every change of a node itself and of the statements in it."""
    yield from removals(node)
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            yield "compare", node, node.ops, i, OTHER_NODE[type(op)]()
    elif isinstance(node, ast.BoolOp):
        yield "logic", node, node, "op", OTHER_NODE[type(node.op)]()
    elif isinstance(node, ast.BinOp) and type(node.op) in OTHER_NODE:
        yield "shift", node, node, "op", OTHER_NODE[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", node, node, "operand", ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.If | ast.IfExp):
        yield "check", node.test, node, "test", ast.Constant(False)
        yield "check", node.test, node, "test", ast.Constant(True)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "number", node, node, "value", not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "number", node, node, "value", node.value + 1
        yield "number", node, node, "value", node.value - 1


def python_mutants(text: str) -> list[Mutant]:
    """Return all mutants of a Python file, without its comments, with its original line numbers."""
    tree = ast.parse(text)
    rows = text.splitlines()
    skipped = left_alone(tree)
    made = []
    for node in list(ast.walk(tree)):
        for kind, shown, holder, key, new in [] if id(node) in skipped else changes_of(node):
            fields: Any = holder if isinstance(holder, list) else vars(holder)
            old, fields[key] = fields[key], new
            source = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
            after = ast.unparse(new if kind in ("check", "statement") else shown)
            fields[key] = old
            made.append(Mutant(kind, shown.lineno, rows[shown.lineno - 1], after, source))
    return made


# ---- the copy --------------------------------------------------------------------------------


class Copy:
    """A copy of the tree with its own build, in which one file is changed at a time."""

    def __init__(self, root: Path, file: str, tests: list[str]) -> None:
        self.root, self.tests = root, tests
        self.python = os.environ.get("PYTHON", sys.executable)
        folder = root / "build" / "mutants"
        self.tree, self.built = folder / "tree", folder / "cmake"
        self.package = self.built / "package"
        self.is_c = file.endswith(".c")
        self.original = (root / file).read_text("utf-8")
        self.file = self.tree / file if self.is_c else self.package / Path(file).relative_to("src")
        self.limit = 600.0

    def renew(self) -> None:
        """Update the copy from the tree; write, and so rebuild, only the files that differ."""
        wanted = set()
        for path in (p for n in COPIED for p in [self.root / n, *(self.root / n).rglob("*")]):
            if path.is_file() and not NOT_COPIED & {path.suffix, *path.parts}:
                copy = self.tree / path.relative_to(self.root)
                wanted.add(copy)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if not copy.is_file() or copy.read_bytes() != path.read_bytes():
                    shutil.copyfile(path, copy)
        for path in (p for n in COPIED for p in (self.tree / n).rglob("*")):
            if path.is_file() and path not in wanted:
                path.unlink()
        if (self.root / "shared").is_dir() and not (self.tree / "shared").exists():
            (self.tree / "shared").symlink_to((self.root / "shared").resolve())

    def shell(self, call: str) -> bool:
        """Call a function of tools/compile.sh; return whether it succeeded."""
        ours = {"TOOLS": f"{self.root}/build/tools", "PYTHON": self.python}
        ours["CMAKE_INSTALL_ALWAYS"] = "1"  # a mutant is often built in less than a second
        return self.run(["bash", "-ec", f". tools/compile.sh; {call}", str(self.built)], ours)

    def test(self, **environment: str) -> bool:
        """Run the tests; return whether all passed in time."""
        command = [self.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *self.tests]
        return self.run(command, {"PYTHONPATH": str(self.package), **environment})

    def run(self, command: list[str], environment: dict[str, str]) -> bool:
        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

        environment = {**os.environ, **environment}
        with open(self.built.parent / "output.txt", "wb") as output:
            process = subprocess.Popen(
                command, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, preexec_fn=limited,
            )  # fmt: skip
            try:
                return process.wait(self.limit) == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def code(self) -> str:
        """Return a digest of the built extensions."""
        files = sorted(self.package.rglob("*.so"))
        return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()

    def prepare(self) -> bool:
        """Build and test the unchanged copy, to learn the time limit; return whether it passes."""
        self.renew()
        if not self.shell('compile "$0" -DCMAKE_BUILD_TYPE=Release'):
            return False
        self.unchanged = self.code()
        begin = time.monotonic()
        passed = self.test()
        self.limit = 30 + 5 * (time.monotonic() - begin)
        return passed

    def write(self, text: str) -> None:
        self.file.write_text(text, "utf-8")
        for compiled in self.file.parent.glob(f"__pycache__/{self.file.stem}.*.pyc"):
            compiled.unlink()  # it may have the same time and size

    def outcome(self, mutant: Mutant) -> str:
        """Build and test one mutant."""
        self.write(mutant.text)
        try:
            if self.is_c and not self.shell('rebuild "$0"'):
                return KILLED
            if self.is_c and self.code() == self.unchanged:
                return SAME
            return SURVIVES if self.test(PYTHONDONTWRITEBYTECODE="1") else KILLED
        finally:
            self.write(self.original)


# ---- a run -----------------------------------------------------------------------------------


def chosen(mutants: list[Mutant], most: int, seed: int) -> list[Mutant]:
    """Choose random mutants up to a number: each line once before any twice, the kinds in turn."""
    mutants = sorted(mutants, key=lambda m: (m.line, m.kind, m.text))
    random.Random(seed).shuffle(mutants)
    lines: Counter[int] = Counter()
    kinds: Counter[tuple[int, str]] = Counter()
    turns = {}
    for mutant in mutants:
        turn = lines[mutant.line]
        turns[mutant] = turn, kinds[turn, mutant.kind]
        lines[mutant.line] += 1
        kinds[turn, mutant.kind] += 1
    first = sorted(turns, key=turns.__getitem__)[: most or None]
    return sorted(first, key=lambda m: m.line)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/mutants.py", description=__doc__.split("\n")[0])
    parser.add_argument("file", help="of csrc/ or src/, from the root of the repository")
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest is told to run")
    parser.add_argument("--most", type=int, default=25, help="mutants; 0 for all (default: 25)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, nargs="+", help="change these lines only")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Make, build and test the requested mutants; return the exit status."""
    options = parsed(arguments)
    copy = Copy(root, options.file, options.tests)
    mutants = (c_mutants if copy.is_c else python_mutants)(copy.original)
    mutants = [m for m in mutants if not options.lines or m.line in options.lines]
    if not copy.prepare():
        print(f"the build or the tests fail without a change: {copy.built.parent}/output.txt")
        return 2
    counts: Counter[str] = Counter()
    picked = chosen(mutants, options.most, options.seed)
    with open(root / "build" / "mutants.txt", "a", encoding="utf-8") as report:
        for mutant in picked:
            outcome = copy.outcome(mutant)
            counts[outcome] += 1
            print(f"{outcome:9}  {options.file}:{mutant}", flush=True)
            if outcome == SURVIVES:
                print(f"  {options.file}:{mutant}", file=report, flush=True)
        told = (
            f"{options.file}, seed {options.seed}: {len(picked)} of {len(mutants)} mutants, "
            f"{counts[KILLED]} killed, {counts[SAME]} same code, {counts[SURVIVES]} survive"
        )
        print(told)
        print(told, file=report)
    return int(counts[SURVIVES] > 0)


if __name__ == "__main__":
    os.nice(19)
    sys.exit(main())
