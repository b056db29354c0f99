"""Packaging: configuration checked by its own tools, version, stubs, licences."""

import ast
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lipsync_fast

pytestmark = pytest.mark.repository

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "lipsync_fast"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WORKFLOW = ROOT / ".github" / "workflows" / "wheels.yml"
MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.pyx")
)


def tool(name):
    """Path of a command of this environment, or of the machine; skips where there is none."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (extra dev)")
    return found


def run(*command, cwd=ROOT):
    home = Path(lipsync_fast.__file__).parents[1]
    environment = dict(os.environ)
    if home.name != "site-packages":  # mypy finds installed packages without a path
        environment |= {"MYPYPATH": str(home), "PYTHONPATH": str(home)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


# ---- cibuildwheel ------------------------------------------------------------------------

PYTHONS = ["cp311", "cp312", "cp313", "cp314", "cp314t"]
SYSTEMS = {
    "linux": ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64", "win_arm64"],
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_wheels_are_built_for_every_system(system):
    done = run(tool("cibuildwheel"), "--print-build-identifiers", "--platform", system, ".")
    assert done.returncode == 0, done.stdout + done.stderr
    found = set(done.stdout.split())
    wanted = {f"{python}-{tag}" for python in PYTHONS for tag in SYSTEMS[system]}
    wanted.discard("cp314t-win_arm64")  # Pillow and NumPy have no wheel of it
    assert wanted <= found
    assert {name.partition("-")[2] for name in found} == set(SYSTEMS[system])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("test-command =", "test-comand ="), ("skip = [", "skipp = [")],
)
def test_the_check_sees_a_misspelt_option(tmp_path, right, wrong):
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert right in text
    (tmp_path / "pyproject.toml").write_text(text.replace(right, wrong), "utf-8")
    command = [tool("cibuildwheel"), "--print-build-identifiers", "--platform", "linux", "."]
    assert run(*command, cwd=tmp_path).returncode != 0


def test_pyproject_fits_its_schemas(tmp_path):
    command = tool("validate-pyproject")
    done = run(command, "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(text.replace("requires-python", "require-python"))
    assert run(command, "pyproject.toml", cwd=tmp_path).returncode != 0


def test_wheels_carry_their_own_libjpeg():
    """On every system: an override of `environment` replaces the general one whole."""
    table = PROJECT["tool"]["cibuildwheel"]
    for part in (table, *(table[system] for system in SYSTEMS)):
        if "environment" in part or part is table:
            assert part["environment"]["LIPSYNC_FAST_JPEG"] == "bundled"
    assert all("nasm" in table[system]["before-all"] for system in SYSTEMS)
    text = (ROOT / "cmake" / "jpeg.cmake").read_text("utf-8")
    assert re.search(r"set\(lf_jpeg_sha256 [0-9a-f]{64}\)", text), "pinned by its hash"


# ---- licences ------------------------------------------------------------------------------

NOTICES = ROOT / "licenses"


def test_the_notices_of_what_is_bundled_are_here():
    text = (ROOT / "cmake" / "jpeg.cmake").read_text("utf-8")
    version = re.search(r"set\(lf_jpeg_version ([\d.]+)\)", text)[1]
    page = (ROOT / "docs" / "licences.md").read_text("utf-8")
    assert f"libjpeg-turbo {version}" in page
    sentence = "This software is based in part on the work of the Independent JPEG Group."
    assert sentence in page, "the IJG licence asks for it where only binaries are handed on"
    assert "Thomas G. Lane" in (NOTICES / "libjpeg-turbo" / "README.ijg").read_text("utf-8")
    assert "zlib License" in (NOTICES / "libjpeg-turbo" / "LICENSE.md").read_text("utf-8")
    assert PROJECT["project"]["license"] == "MIT AND IJG AND Zlib"


def test_an_installed_package_carries_them():
    try:
        found = importlib.metadata.distribution("lipsync_fast")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is built in place, not installed")
    names = {
        "LICENSE",
        *(p.relative_to(ROOT).as_posix() for p in NOTICES.rglob("*") if p.is_file()),
    }
    assert set(found.metadata.get_all("License-File")) == names
    for name in names:
        (held,) = (f for f in found.files if f.as_posix().endswith(f".dist-info/licenses/{name}"))
        assert held.read_text("utf-8") == (ROOT / name).read_text("utf-8")


def test_nothing_else_is_packed():
    """Only the demo's weights, and nothing too large for a wheel of 2 MB."""
    nets = [path for path in PACKAGE.rglob("*") if path.suffix in {".onnx", ".pth", ".bin", ".npz"}]
    assert {path.parent.name for path in nets} == {"demo"}
    assert sum(path.stat().st_size for path in nets) < 50_000


def test_no_code_of_ours_opens_a_connection():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in getattr(node, "names", ()) if hasattr(alias, "name")]
            names.append(getattr(node, "module", None) or "")
            tops = {name.split(".")[0] for name in names}
            assert not tops & {"urllib", "http", "socket", "requests", "ftplib"}, path.name


# ---- workflow ----------------------------------------------------------------------------


def test_the_workflow_publishes_by_trust_and_only_what_was_checked():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    publish = jobs["publish"]
    assert set(publish["needs"]) == jobs.keys() - {"publish"}
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert publish["permissions"]["id-token"] == "write"
    assert "secrets." not in WORKFLOW.read_text("utf-8")
    built = {row["archs"] for row in jobs["wheels"]["strategy"]["matrix"]["include"]}
    table = PROJECT["tool"]["cibuildwheel"]
    assert built == {arch for system in SYSTEMS for arch in table[system]["archs"]}


def test_every_file_the_workflow_calls_is_here():
    for path in re.findall(r"(?:bash|python) ([\w./]+\.(?:sh|py))", WORKFLOW.read_text("utf-8")):
        assert (ROOT / path).is_file(), path
    assert (ROOT / ".ci" / "run").is_file()


# ---- one version ---------------------------------------------------------------------------


def test_the_version_stands_in_one_place():
    version = lipsync_fast.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|(a|b|rc)\d+)?", version)
    assert (PACKAGE / "_version.py").read_text("utf-8") == f'__version__ = "{version}"\n'
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]
    for name in ("pyproject.toml", "CMakeLists.txt", "src/lipsync_fast/__init__.py", "README.md"):
        assert version not in (ROOT / name).read_text("utf-8"), name
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest[1] == version


def test_an_installed_package_tells_the_same_version():
    try:
        installed = importlib.metadata.version("lipsync_fast")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is built in place, not installed")
    assert installed == lipsync_fast.__version__


# ---- compilers -------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [(), ("AVX2",), ("AVX2", "AVX512")])
def test_the_dispatch_builds_for_compilers_that_know_less(tmp_path, known):
    if platform.machine().lower() not in ("x86_64", "amd64") or sys.platform == "win32":
        pytest.skip("what a compiler may not know are the instructions of x86-64")
    source, made = ROOT / "csrc" / "cpu.c", tmp_path / "cpu.o"
    defined = [f"-DLF_HAVE_{isa}=1" for isa in known]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}"]
    done = run(tool("cc"), *strict, *defined, "-c", str(source), "-o", str(made))
    assert done.returncode == 0, done.stderr
    rows = made.read_bytes()
    assert [isa for isa in ("AVX2", "AVX512") if f"_row_{isa.lower()}".encode() in rows] == [*known]


# ---- stable ABI ------------------------------------------------------------------------------


def test_no_extension_shares_a_mutex():
    """Wheels are built for the stable ABI, where Cython refuses a mutex that a .pxd shows."""
    assert PROJECT["tool"]["cibuildwheel"]["config-settings"] == {"wheel.py-api": "cp312"}
    for path in PACKAGE.rglob("*.pxd"):
        assert "pymutex" not in path.read_text("utf-8"), path.name


# ---- stubs ---------------------------------------------------------------------------------


def test_every_extension_is_built_and_has_a_stub():
    text = (ROOT / "CMakeLists.txt").read_text("utf-8")
    built = re.search(r"foreach\(path IN ITEMS([\w/\s]+)\)", text)[1].split()
    assert sorted(built) == MODULES
    for name in MODULES:
        ast.parse((PACKAGE / f"{name}.pyi").read_text("utf-8"))
    assert (PACKAGE / "py.typed").exists()


def test_stubs_say_what_the_extensions_are():
    pytest.importorskip("mypy")
    names = [f"lipsync_fast.{name.replace('/', '.')}" for name in MODULES]
    allowed = ROOT / "tests" / "stubtest_allowed.txt"
    options = ["--concise", "--ignore-disjoint-bases", "--ignore-unused-allowlist"]
    command = [sys.executable, "-m", "mypy.stubtest", *options, "--allowlist", str(allowed)]
    done = run(*command, *names)
    assert done.returncode == 0, done.stdout + done.stderr
