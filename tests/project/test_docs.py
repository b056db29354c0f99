"""The documentation is complete, its commands exist, and its tutorial works."""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import lipsync_fast

pytestmark = pytest.mark.repository

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
READ = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
ids = [str(path.relative_to(ROOT)) for path in READ]


def blocks(path, language):
    """Return the code of a page's fences of one language."""
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(path, program):
    """Return a page's commands that run a program, split into words."""
    text = "\n".join(blocks(path, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[1:] for words in lines if words and Path(words[0]).name == program]


# ---- the site ----------------------------------------------------------------------------


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kernels = (tmp_path / "reference" / "kernels" / "index.html").read_text("utf-8")
    assert "Keys" in kernels, "the docstrings of compiled functions are missing"
    shown = (tmp_path / "reference" / "commands" / "index.html").read_text("utf-8")
    assert "usage: lipsync-fast prepare" in shown


def test_every_command_has_its_place_in_the_reference():
    from lipsync_fast.cli.main import main

    with pytest.raises(SystemExit):
        main(["--help"])
    text = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    for name in command_names():
        assert f"<!-- help: {name} -->" in text, name


def command_names():
    """`demo`, `prepare`, … and `model batch`, …"""
    from lipsync_fast.cli.main import _parser

    def below(parser, words):
        groups = [a for a in parser._actions if hasattr(a, "choices") and a.nargs == "A..."]
        if not groups:
            yield " ".join(words)
        for group in groups:
            for name, inner in group.choices.items():
                yield from below(inner, [*words, name])

    return list(below(_parser(), []))


@pytest.mark.parametrize("path", READ, ids=ids)
def test_commands_that_are_shown_exist(path):
    from lipsync_fast.cli.main import _parser

    for words in commands(path, "lipsync-fast"):
        if words != ["--version"]:
            _parser().parse_args(words)  # exits if an option is unknown
    for words in commands(path, "python"):
        if words[0].endswith(".py"):
            assert (ROOT / words[0]).is_file(), words[0]
    shown = re.findall(r"`(?:python |pytest )([\w/]+\.py)", path.read_text("utf-8"))
    assert all((ROOT / name).is_file() for name in shown), shown


@pytest.mark.parametrize("path", READ, ids=ids)
def test_python_that_is_shown_is_python(path):
    for code in blocks(path, "python"):
        if "--8<--" not in code:  # those are separate files
            ast.parse(code)


def test_links_of_the_front_page_lead_somewhere():
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (ROOT / link).exists(), f"{path.name}: {link}"


def test_the_matrix_of_kernels_is_the_tree():
    """Each operation is a file of csrc, each tick of an instruction set another one."""
    text = (ROOT / "README.md").read_text("utf-8")
    table = re.search(r"^\| operation .*?\n\|-.*?\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)[1]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    csrc = ROOT / "csrc"
    shared = {"cpu", "memory", "resize_plan", "finish"}  # not operations by themselves
    assert {row[0] for row in rows} == {p.stem for p in csrc.glob("*.c")} - shared | {"jpeg"}
    for operation, _, _, avx2, avx512, neon, _ in rows:
        for cell, pattern in (
            (avx2, f"x86/{operation}_*avx2.c"),
            (avx512, f"x86/{operation}_*avx512.c"),
            (neon, f"arm/{operation}_*neon.c"),
        ):
            ticked = bool(cell) and not cell.startswith("as ")
            assert ticked == bool(list(csrc.glob(pattern))), (operation, pattern)


def test_the_picture_of_segments_is_up_to_date():
    spec = importlib.util.spec_from_file_location("s", ROOT / "docs" / "pictures" / "segments.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept = (ROOT / "docs" / "pictures" / "segments.svg").read_text("utf-8")

    def drawn(svg):
        """Return shapes and numbers without the frame's own pixels, which depend on libjpeg."""
        svg = re.sub(r'href="[^"]*"', "", svg).replace(",", "")
        return re.sub(r"\d+(\.\d+)?", "#", svg), [float(n) for n in re.findall(r"\d+\.?\d*", svg)]

    (shapes, numbers), (shapes_today, numbers_today) = drawn(kept), drawn(module.draw())
    assert shapes == shapes_today
    np.testing.assert_allclose(numbers, numbers_today, rtol=0.01, atol=1.5)


# ---- the tutorial ------------------------------------------------------------------------

TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.fixture
def desk(tmp_path, assets, request):
    """A folder with the files that the tutorial asks for, 2 s long; whole with --long."""
    av = pytest.importorskip("av")
    pytest.importorskip("onnxruntime")
    whole = request.config.getoption("--long")
    video = assets / "video" / "woman_1080x1920_25fps.mp4"
    with av.open(str(video)) as source, av.open(str(tmp_path / "woman.mp4"), "w") as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and (whole or packet.pts * packet.time_base < 2):
                packet.stream = copied
                target.mux(packet)
    with wave.open(str(assets / "audio" / "jfk_16k.wav")) as source:
        sound = source.readframes(source.getnframes() if whole else 30000)
    with wave.open(str(tmp_path / "speech.wav"), "wb") as target:
        target.setparams((1, 2, 16000, 0, "NONE", ""))
        target.writeframes(sound)
    models = assets / "models"
    (tmp_path / "yunet.onnx").symlink_to(models / "yunet_n_dynamic.onnx")
    (tmp_path / "face_mesh.onnx").symlink_to(models / "face_landmarks_478.onnx")
    yield tmp_path
    shutil.rmtree(tmp_path / "anna", ignore_errors=True)  # up to a gigabyte


def test_the_tutorial_leads_from_a_video_to_an_mp4(desk):
    """Run it line by line, unchanged except for the installation."""
    import av

    scripts = Path(sys.executable).parent
    if not (scripts / "lipsync-fast").exists():
        pytest.skip("the package is built in place, not installed")
    lines = [line for block in blocks(TUTORIAL, "sh") for line in block.splitlines()]
    ours = [line for line in lines if not line.startswith("pip install ")]
    assert len(lines) - len(ours) == 1
    said = {}
    for line in ours:
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=desk,
            env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said[line] = done.stdout
    assert "synctalk328" in said["lipsync-fast inspect generator.onnx"]
    check_facts("\n".join(said.values()))
    facts = said["lipsync-fast inspect anna/"]
    count = int(re.search(r"^frames +(\d+)", facts, re.MULTILINE)[1])
    faces = int(re.search(r"^frames with a face +(\d+)", facts, re.MULTILINE)[1])
    assert faces == count >= 40

    with wave.open(str(desk / "speech.wav")) as sound:
        expected = lipsync_fast.frame_count(sound.getnframes(), 25)
    with av.open(str(desk / "out.mp4")) as video:
        seconds = video.streams.audio[0].duration * video.streams.audio[0].time_base
        assert float(seconds) == pytest.approx(expected / 25, abs=0.1)
        pictures = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    assert len(pictures) == expected == len(list((desk / "frames").iterdir()))
    check_mouths(desk / "anna", pictures)
    assert not list(desk.glob("*.part"))


def check_facts(said):
    """Each fact that the page shows as printed is printed."""
    for line in "".join(blocks(TUTORIAL, "text")).splitlines():
        fact, _, value = line.partition("  ")
        if value:
            assert re.search(f"^{re.escape(fact)}  ", said, re.MULTILINE), line


def check_mouths(folder, pictures):
    """Each picture is its background except in the rect, where the model has drawn."""
    with lipsync_fast.Template.open(folder) as template:
        shown = template.indices(0, len(pictures))
        for i in range(0, len(pictures), 10):
            ground = template.bgr24(shown[i])
            apart = np.abs(pictures[i].astype(np.int16) - ground).mean(axis=2)
            x, y, w, h = template.rects[shown[i]]
            inside = apart[y : y + h, x : x + w].mean()
            apart[y : y + h, x : x + w] = 0
            outside = apart.sum() / (apart.size - w * h)
            assert outside < 2.5, "beyond the loss of H.264"
            assert inside > outside
