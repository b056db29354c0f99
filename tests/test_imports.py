"""The house's import rule: imports go down only, and each heavy dependency has one door."""

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

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "lipsync_fast"

# From the ground up. A unit is a module or a folder; it may import what stands on a lower
# line. Units of one line do not know each other.
LAYERS = [
    ["errors", "_version", "labels", "misfits", "once", "reading", "standard_streams"],
    ["_blocks", "_cuda", "checks", "outputs", "pool_stats"],
    ["_arguments"],
    ["_blend", "_convert", "_mel", "_pool", "_resize", "_spectrum", "_yuv"],
    ["_jpeg", "_match"],
    ["_patch", "_splice"],
    ["_canvas", "_kernels"],
    ["presets", "_runtime", "_store", "stages", "micro_batches", "template_files"],
    ["timing"],
    ["masks", "seams", "crops", "backgrounds", "mel", "rects", "plain_pickle"],
    ["_folder", "net"],
    ["template"],
    ["canvas", "session", "captured"],
    ["audio", "drive", "silence", "graph", "compositor", "media", "faces"],
    ["face_rects", "resident", "features", "fbank", "bridges"],
    ["row_encoders"],
    ["generators", "inference", "listening", "face_masks"],
    ["face_finding"],
    ["pipeline", "prepare"],
    ["net_probes"],
    ["inspection"],
    ["demo"],
    ["model_commands"],
    ["bench", "doctor"],
    ["doctor_command"],
    ["cli"],
    ["__main__"],
]
LEVEL = {unit: level for level, line in enumerate(LAYERS) for unit in line}

# Dependencies of extras, and the units that may import them.
DOORS = {
    "onnxruntime": {"net", "graph"},
    "onnx": {"graph", "demo"},  # demo: the script that builds its nets
    "av": {"media"},
    "typer": {"cli"},
    "tqdm": {"cli"},
    "cv2": {"bench"},
    "simplejpeg": {"bench"},
    "librosa": set(),
    "matplotlib": {"bench"},
}


def sources():
    return [p for p in sorted(PACKAGE.rglob("*")) if p.suffix in {".py", ".pyx"}]


def name_of(path):
    """Dotted name inside the package; that of a folder's __init__ is the folder's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def exists(dotted):
    place = PACKAGE.joinpath(*dotted.split("."))
    return any(
        p.exists()
        for p in (place / "__init__.py", place.with_suffix(".py"), place.with_suffix(".pyx"))
    )


def import_statements(path):
    """(level, module, names) of each import, at any depth of the file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".pyx":
        for dots, module, names in re.findall(
            r"^\s*from (\.*)([\w.]*) c?import \(?([\w, ]*)", text, re.MULTILINE
        ):
            yield len(dots), module, [n.strip() for n in names.split(",")]
        for module in re.findall(r"^\s*c?import ([\w.]+)", text, re.MULTILINE):
            yield 0, module, []
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


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_every_file_has_its_place(path):
    if name_of(path):
        assert unit_of(name_of(path)) in LEVEL, "give this file its line in LAYERS"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_imports_go_down(path):
    me = unit_of(name_of(path))
    if not me:
        return  # the package's own front shows names of every layer
    for imported in imports_of(path)[0]:
        other = unit_of(imported)
        if other in {me, ""}:  # a folder's files know each other; "" is __version__
            continue
        assert LEVEL[other] < LEVEL[me], f"{name_of(path)} must not import {imported}"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_imported_modules_exist(path):
    for imported in imports_of(path)[0]:
        assert imported == "" or exists(imported), f"{imported} does not exist"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_heavy_dependencies_come_in_by_their_door(path):
    unit = unit_of(name_of(path))
    for module in imports_of(path)[1] & DOORS.keys():
        assert unit in DOORS[module], f"{name_of(path)} must not import {module}"


def test_errors_are_a_leaf():
    assert imports_of(PACKAGE / "errors.py") == (set(), set())


def test_the_reader_of_imports_reads(tmp_path):
    """The rule is only as good as what it sees."""
    assert "errors" in imports_of(PACKAGE / "_pool.pyx")[0]
    assert "numpy" in imports_of(PACKAGE / "_pool.pyx")[1]
    assert {"_pool", "_runtime", "errors", "presets"} <= imports_of(PACKAGE / "session.py")[0]
    others = imports_of(PACKAGE / "net.py")[1]
    assert "onnxruntime" in others, "an import inside a function counts"


def importable():
    return [n for p in sources() if (n := name_of(p)) and n != "__main__"]


def test_nothing_heavy_is_loaded_by_importing():
    """Every module imports in a bare environment: base dependencies only."""
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in DOORS)
    names = [f"lipsync_fast.{name}" for name in importable()]
    code = f"import importlib, sys\n{blocked}for name in {names!r}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ---- without ONNX Runtime -----------------------------------------------------------------


@pytest.mark.parametrize("rest", [None, type(sys)("onnxruntime")], ids=["none", "empty folder"])
def test_a_missing_runtime_names_its_extra(tmp_path, monkeypatch, rest):
    """Also where an uninstalled package has left an empty folder of its name behind."""
    from lipsync_fast.session import AudioEncoder, Generator, Net

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
