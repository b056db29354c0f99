"""Functions in Python, Cython and C files: their lengths and parameters."""

import ast
import functools
import re
from dataclasses import dataclass

NUMBERS = ["nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]


@dataclass(frozen=True)
class Function:
    """One function of a file.

    Attributes
    ----------
    name : str
    line : int
        Where it begins.
    lines : int
        From its signature to its end, docstring apart.
    parameters : int
        ``self`` and ``cls`` apart.
    reasoned : bool
        Whether its docstring, or a comment, gives the reason for its number of parameters.
    """

    name: str
    line: int
    lines: int
    parameters: int
    reasoned: bool


def gives_reason(text, count):
    """Tell whether a docstring or comment explains the parameters: "Ten parameters: …"."""
    number = "".join(NUMBERS[count - 9 : count - 8]) if count > 8 else ""
    return bool(number and re.search(rf"\b{number} parameters\b", text, re.IGNORECASE))


@functools.cache
def functions_of(path):
    """The functions that a file defines, with a body, in their order."""
    text = path.read_text("utf-8")
    readers = {".py": python, ".pyx": cython, ".pxd": cython, ".c": c, ".h": c}
    return list(readers[path.suffix](text)) if path.suffix in readers else []


# ---- Python ----------------------------------------------------------------------------------


def python(text):
    nodes = list(ast.walk(ast.parse(text)))
    classes = {id(child): c for c in nodes if isinstance(c, ast.ClassDef) for child in c.body}
    functions = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in sorted(functions, key=lambda n: n.lineno):
        lines = node.end_lineno - node.lineno + 1
        doc = ast.get_docstring(node) or ""
        if doc:
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = len([a for a in arguments if a.arg not in ("self", "cls")])
        if node.name == "__init__" and id(node) in classes:  # described where the class is
            doc += ast.get_docstring(classes[id(node)]) or ""
        yield Function(node.name, node.lineno, lines, count, gives_reason(doc, count))


# ---- Cython ----------------------------------------------------------------------------------

CYTHON = re.compile(r"^([ \t]*)(?:async )?(?:def|cdef|cpdef)\b[^(\n=]*?(\w+)\(", re.MULTILINE)
CYTHON_DOC = re.compile(r'\s*(?:[ru]*)("""|\'\'\')(.*?)\1', re.DOTALL)


def cython(text):
    for match in CYTHON.finditer(text):
        inside, end = in_brackets(text, match.end())
        colon = re.compile(r"[^\n]*:[ \t]*(#[^\n]*)?\n").match(text, end)
        if colon is None:
            continue  # a declaration
        body = indented(text, colon.end(), len(match[1]))
        found = CYTHON_DOC.match(body)
        doc = found[2] if found else ""
        taken = doc.count("\n") + 1 if found else 0
        if match[2] in ("__init__", "__cinit__"):  # described where the class is
            doc += class_doc(text[: match.start()])
        signature = text.count("\n", match.start(), colon.end())
        names = [p for p in split(inside) if p.split()[-1] not in ("self", "cls", "*", "/")]
        yield Function(
            match[2],
            text.count("\n", 0, match.start()) + 1,
            signature + body.count("\n") - taken,
            len(names),
            gives_reason(doc, len(names)),
        )


def class_doc(above):
    """The docstring of the last class that begins in a text."""
    start = max(above.rfind("\nclass "), above.rfind("\ncdef class "))
    head = re.compile(r"[^:]*:[ \t]*(?:#[^\n]*)?").match(above, start)
    found = CYTHON_DOC.match(above, head.end())
    return found[2] if found else ""


def indented(text, start, depth):
    """The lines from `start` on that are indented deeper, but for blank ones at the end."""
    lines = []
    for line in text[start:].splitlines(keepends=True):
        if line.strip() and len(line) - len(line.lstrip()) <= depth:
            break
        lines.append(line)
    while lines and not lines[-1].strip():
        lines.pop()
    return "".join(lines)


# ---- C ---------------------------------------------------------------------------------------

C_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
C_START = re.compile(r"^(?!else|return|typedef)\w[\w \t*\n]*?[ *\n](\w+)\(", re.MULTILINE)


def c(text):
    bare = C_TEXT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for match in C_START.finditer(bare):
        inside, end = in_brackets(bare, match.end())
        brace = re.compile(r"[^;{}()=]*\{").match(bare, end)
        if brace is None:
            continue  # a declaration
        _, last = in_brackets(bare, brace.end(), "{}")
        count = 0 if inside.strip() == "void" else len(split(inside))
        comments = re.finditer(r"/\*((?:(?!\*/).)*)\*/(\s*)", text, re.DOTALL)
        about = [m[1] for m in comments if m.end() == match.start() or match[1] in m[1]]
        yield Function(
            match[1],
            text.count("\n", 0, match.start()) + 1,
            text.count("\n", match.start(), last) + 1,
            count,
            gives_reason(" ".join(about), count),
        )


# ---- both ------------------------------------------------------------------------------------


def in_brackets(text, start, pair="()"):
    """The text up to the bracket that closes the one before `start`, and where it ends."""
    depth = 1
    for bracket in re.compile(f"[{re.escape(pair)}]").finditer(text, start):
        depth += 1 if bracket[0] == pair[0] else -1
        if depth == 0:
            return text[start : bracket.start()], bracket.end()
    raise ValueError(f"no {pair[1]} after {text[:start][-40:]!r}")


def split(inside):
    """Return the parameters of a signature, split at its commas."""
    flat = re.sub(r"#[^\n]*", "", inside)
    while (shorter := re.sub(r"\([^()]*\)|\[[^][]*\]", "", flat)) != flat:
        flat = shorter
    return [part for part in flat.split(",") if part.strip()]
