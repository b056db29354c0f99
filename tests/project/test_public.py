"""Public names: a package's `__all__` and the reference agree.

A leading underscore on a file means that it is compiled, and only that.
"""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

import lipsync_fast

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = Path(lipsync_fast.__file__).parent

# Packages with a front, and the pages of the reference that show them.
PAGES = {
    "preparation": "preparation",
    "pipeline": "pipeline",
    "templates": "templates",
    "presets": "presets",
    "audio": "audio",
    "nets": "nets",
    "nets.graph": "graph",
    "compositing": "compositing",
    "media": "media",
    "kernels": "kernels",
    "memory": "memory",
}
TOP = "lipsync_fast"  # the page of names outside packages, such as Loop
OTHER_PAGES = {TOP, "commands", "errors"}


def front(package):
    return importlib.import_module(f"lipsync_fast.{package}")


def names_of_fronts():
    """{public name: packages that list it}."""
    places = {}
    for package in PAGES:
        for name in front(package).__all__:
            places.setdefault(name, []).append(package)
    return places


def shown_by(page):
    """The names that a page of the reference shows, dotted, in its order."""
    text = (REFERENCE / f"{page}.md").read_text("utf-8")
    return re.findall(r"^::: (\S+)$", text, re.MULTILINE)


# ---- fronts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PAGES)
def test_a_front_lists_what_it_has(package):
    module = front(package)
    assert module.__doc__, "it says what the package is for"
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert not name.startswith("_")
        assert not isinstance(getattr(module, name), ModuleType)


def test_the_package_shows_only_what_is_public():
    assert dir(lipsync_fast) == sorted(lipsync_fast.__all__)
    assert len(set(lipsync_fast.__all__)) == len(lipsync_fast.__all__)
    for name in lipsync_fast.__all__:
        assert hasattr(lipsync_fast, name)


def test_names_of_the_package_come_from_one_package_each():
    places = names_of_fronts()
    for name in lipsync_fast.__all__:
        value = getattr(lipsync_fast, name)
        if name == "__version__" or isinstance(value, ModuleType):
            continue
        if name in places:
            assert len(places[name]) == 1, f"{name} is in {places[name]}"
            assert getattr(front(places[name][0]), name) is value
        else:
            home = value.__module__.removeprefix("lipsync_fast.")
            homes = {"errors", "formats", "timing"}
            assert home in homes, f"{name} is in no package's __all__"


def test_modules_that_are_public_names():
    assert lipsync_fast.graph is front("nets.graph")
    assert lipsync_fast.media is front("media")
    assert lipsync_fast.errors is front("errors")


# ---- the reference ---------------------------------------------------------------------------


@pytest.mark.repository
@pytest.mark.parametrize("package", PAGES)
def test_a_page_shows_the_public_names_of_its_package(package):
    shown = shown_by(PAGES[package])
    assert len(set(shown)) == len(shown)
    assert set(shown) == {f"lipsync_fast.{package}.{name}" for name in front(package).__all__}


@pytest.mark.repository
def test_one_page_shows_what_stands_in_no_package():
    places = names_of_fronts()
    alone = {
        name
        for name in lipsync_fast.__all__
        if name not in places and not isinstance(getattr(lipsync_fast, name), ModuleType)
    }
    alone -= {"__version__", *vars(lipsync_fast.errors)}
    assert sorted(shown_by(TOP)) == sorted(f"lipsync_fast.{name}" for name in alone)
    assert shown_by("errors") == ["lipsync_fast.errors"]


@pytest.mark.repository
def test_there_are_no_other_pages():
    pages = {path.stem for path in REFERENCE.glob("*.md")}
    assert pages == OTHER_PAGES | set(PAGES.values())
    for page in (ROOT / "docs").rglob("*.md"):
        if page.parent != REFERENCE:
            assert "\n::: " not in page.read_text("utf-8"), page


# ---- files -----------------------------------------------------------------------------------


def test_an_underscore_means_compiled():
    files = [p for p in SOURCES.rglob("*") if p.suffix in {".py", ".pyx", ".pxd", ".so", ".pyd"}]
    stems = {p.relative_to(SOURCES).parent / p.name.split(".")[0] for p in files}
    compiled = {
        p.relative_to(SOURCES).parent / p.name.split(".")[0]
        for p in files
        if p.suffix in {".pyx", ".so", ".pyd"}
    }
    assert len(compiled) > 10
    plain = {s for s in stems if s.name.startswith("_") and not s.name.startswith("__")}
    assert plain - {Path("_version")} == compiled
