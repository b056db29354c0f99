"""Links planted at the temporary name of a writer: nothing behind them changes."""

import os
import sys
from contextlib import suppress

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("av")
from tests.support.nets import WAV2LIP, exported_generator, tiny_generator

from lipsync_fast import media
from lipsync_fast.bench import report as bench
from lipsync_fast.errors import LipsyncError
from lipsync_fast.files import cache, part
from lipsync_fast.formats import VideoFormat
from lipsync_fast.nets import graph
from lipsync_fast.templates import TemplateWriter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links are of POSIX")

KEY = "0" * 32


def mp4(target, folder):
    with media.VideoWriter(target, VideoFormat(64, 48)) as writer:
        writer.write(np.zeros(64 * 48 * 3 // 2, np.uint8))


def frames(target, folder):
    with media.JpegFolder(target) as writer:
        writer.write(b"a frame")


def batch(target, folder):
    graph.make_batch_dynamic(exported_generator(folder / "fixed.onnx", WAV2LIP), target)


def half(target, folder):
    graph.make_half(tiny_generator(folder / "free.onnx", WAV2LIP), target)


def report(target, folder):
    pytest.importorskip("matplotlib")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "draw_plots", lambda report: b"a picture")
        bench.Report({"CPU": "any"}, []).save(target)


def template(target, folder):
    with TemplateWriter(target, VideoFormat(64, 48), preset="wav2lip96") as writer:
        writer.add((8, 8, 32, 32), bgr24=np.zeros((48, 64, 3), np.uint8))


def kept(target, folder):
    with cache.cache_entry("models", KEY, lambda path: path.write_bytes(b"ours"), suffix=".onnx"):
        pass


WRITERS = {
    "a.mp4": mp4,
    "frames": frames,
    "free.batch.onnx": batch,
    "free.half.onnx": half,
    "bench.html": report,
    "anna": template,
    KEY: kept,
}


@pytest.mark.parametrize("random_name", ["guessed", "not guessed"])
@pytest.mark.parametrize("victim", ["file", "folder"])
@pytest.mark.parametrize("name", WRITERS)
def test_nothing_behind_them_changes(tmp_path, monkeypatch, name, victim, random_name):
    place = tmp_path / "cache" / "models" if name == KEY else tmp_path / "out"
    place.mkdir(parents=True)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "folder").mkdir()
    for theirs in (tmp_path / "file", tmp_path / "folder" / "00000000.jpg"):
        theirs.write_text("theirs")
    # Where the random part is known as well, the exclusive creation is what refuses.
    if random_name == "guessed":
        monkeypatch.setattr(part.secrets, "token_hex", lambda count: "guessed")
    middles = ("", f".{os.getpid()}", ".guessed")
    links = [place / f"{dot}{name}{m}{end}" for dot in (".", "") for m in middles
             for end in (".part", ".old", ".tmp")]  # fmt: skip
    for link in links:
        link.symlink_to(tmp_path / victim)
    with suppress(LipsyncError, OSError):
        WRITERS[name](place / name, tmp_path)
    assert (tmp_path / "file").read_text() == "theirs"
    assert (tmp_path / "folder" / "00000000.jpg").read_text() == "theirs"
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["00000000.jpg"]
