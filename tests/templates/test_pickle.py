"""Templates that are pickled: one on disk is its path, one in memory its pictures."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.jpeg_tools import photo

import lipsync_fast
from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import FileMissingError, TemplateError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.templates import Template, TemplateOptions, TemplateWriter
from lipsync_fast.timing import Loop

WIDTH, HEIGHT, COUNT = 322, 244, 6
RECT = (60, 40, 90, 88)
OUTPUTS = np.random.default_rng(4).random((COUNT, 3, 328, 328), np.float32)


HOME = str(Path(lipsync_fast.__file__).resolve().parents[1])
CHILD = """
import pickle, sys
import numpy as np
from lipsync_fast import Compositor
template = pickle.load(sys.stdin.buffer)
outputs = np.random.default_rng(4).random((6, 3, 328, 328), np.float32)
side = template.preset.view
outputs = np.ascontiguousarray(outputs[:, :, :side, :side])
with Compositor(template, threads=1) as compositor:
    made = compositor.composite(outputs, range(6), format="i420")
    sys.stdout.buffer.write(pickle.dumps([template.folder.resolve(), bytes(made[-1].data)]))
"""


def write(path, seed=0, store=("jpeg", "i420")):
    rng = np.random.default_rng(seed)
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=store)
    with TemplateWriter(path, video, preset="synctalk328", options=options) as writer:
        for _ in range(COUNT):
            writer.add(RECT, bgr24=photo(rng, HEIGHT, WIDTH))
    return path


def frames(template):
    side = template.preset.view
    outputs = np.ascontiguousarray(OUTPUTS[:, :, :side, :side])
    with Compositor(template, threads=1) as compositor:
        return [
            bytes(frame.data)
            for format in ("jpeg", "i420")
            for frame in compositor.composite(outputs, range(COUNT), format=format)
        ]


def test_a_template_on_disk_is_its_path(tmp_path):
    with Template.open(write(tmp_path / "t")) as template:
        data = pickle.dumps(template)
        assert len(data) < 4096
        with pickle.loads(data) as again:
            assert again.folder == template.folder
            assert frames(again) == frames(template)
        data = pickle.dumps(Template.open(tmp_path / "t", load=True))
        assert len(data) > COUNT * WIDTH * HEIGHT
    shutil.rmtree(tmp_path / "t")
    assert len(frames(pickle.loads(data))) == 2 * COUNT, "it was loaded"


def test_another_process_opens_it(tmp_path, monkeypatch):
    write(tmp_path / "t")
    monkeypatch.chdir(tmp_path)
    template = Template.open("t")
    want = frames(template)
    monkeypatch.chdir(tmp_path.parent)
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=pickle.dumps(template),
        env={**os.environ, "PYTHONPATH": HOME},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert pickle.loads(done.stdout) == [tmp_path / "t", want[-1]]


def test_how_it_was_opened_comes_along(tmp_path):
    write(tmp_path / "t")
    template = Template.open(tmp_path / "t", border=0, label=False, loop=Loop("forward", 2))
    for way in (lambda t: pickle.loads(pickle.dumps(t)), copy.copy, copy.deepcopy):
        again = way(template)
        for name in ("preset", "label", "loop", "video", "stored"):
            assert getattr(again, name) == getattr(template, name)
        assert frames(again) == frames(template)
        held = way(template.looped("still"))
        assert held.indices(0, 2).tolist() == [2, 2]
    assert copy.copy(template).crops is template.crops


def test_a_folder_with_another_template_is_refused(tmp_path):
    template = Template.open(write(tmp_path / "t"))
    data = pickle.dumps(template)
    write(tmp_path / "t", seed=1)
    with pytest.raises(TemplateError, match="holds another template than the one that was pickled"):
        pickle.loads(data)
    shutil.rmtree(tmp_path / "t")
    with pytest.raises(FileMissingError, match="no such template folder"):
        pickle.loads(data)
    template.close()
    with pytest.raises(TemplateError, match="is closed; open it again"):
        pickle.dumps(template)


def test_a_template_in_memory_is_its_pictures():
    rng = np.random.default_rng(3)
    pictures = [photo(rng, HEIGHT, WIDTH) for _ in range(COUNT)]
    template = Template.from_arrays(pictures, RECT, preset="synctalk328")
    again = pickle.loads(pickle.dumps(template))
    assert again.folder is None
    assert frames(again) == frames(template)
