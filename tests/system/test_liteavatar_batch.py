"""The real model with a free batch: its clip and a real voice give the frames of single runs."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("av")
from tests.support.voices import read_voice

from lipsync_fast.cli.main import main
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.micro_batches import MicroBatches
from lipsync_fast.pipeline import MouthOptions, Pipeline
from lipsync_fast.preparation import prepare
from lipsync_fast.templates import Template, TemplateOptions

pytestmark = pytest.mark.assets
SECONDS = 1.1


@pytest.fixture(scope="module")
def place(assets, tmp_path_factory):
    """A folder with the person's template, `anna`."""
    folder = tmp_path_factory.mktemp("liteavatar")
    film = assets / "video" / "liteavatar_890x1920_30fps.mp4"
    rects = "278,355,419,289"
    options = TemplateOptions(store=("i420",))
    prepare(film, folder / "anna", preset="liteavatar384", rects=rects, options=options).close()
    return folder


def frames_of(place, net, samples, request):
    mouth = MouthOptions(silence="net")  # pauses, too, are drawn: every frame counts here
    with Pipeline.open(place / "anna", net, mouth=mouth) as pipeline:
        return [frame.array.copy() for frame in pipeline.frames(samples, request=request)]


def test_a_request_of_25_equals_single_frames(place, assets, monkeypatch):
    fixed, free = assets / "models" / "liteavatar384.onnx", place / "free.onnx"
    assert main(["model", "batch", str(fixed), str(free), "--template", str(place / "anna")]) == 0
    samples = read_voice(assets, "jfk_16k")[: int(SECONDS * 16000)]
    wanted = frames_of(place, fixed, samples, 1)
    assert len(wanted) == 33
    runs = []
    run = MicroBatches.run

    def spy(self, count, work):
        def counted(part, size):
            runs.append(size)
            work(part, size)

        run(self, count, counted)

    monkeypatch.setattr(MicroBatches, "run", spy)
    for request in (8, 25):
        runs.clear()
        got = frames_of(place, free, samples, request)
        assert len(got) == len(wanted)
        off = [np.abs(g.astype(np.int16) - w).max() for g, w in zip(got, wanted, strict=True)]
        assert max(off) <= 1
        assert sum(runs) == len(wanted), "no frame is drawn twice or for nothing"
        assert runs.count(4) >= 33 // request * (request // 4), "several frames in one run"
    with Template.open(place / "anna") as template:
        x, y, w, h = template.rects[0]
        backgrounds = [template.bgr24(int(i)) for i in template.indices(0, len(wanted))]
    mouths = [
        np.abs(f[y : y + h, x : x + w].astype(int) - b[y : y + h, x : x + w]).mean()
        for f, b in zip(wanted, backgrounds, strict=True)
    ]
    assert max(mouths) > 2, "the mouth is drawn"
    assert np.ptp(mouths) > 0.3, "and moves"


@pytest.mark.parametrize("command", [["half"], ["batch", "--half"]])
def test_half_of_the_real_net_on_its_faces(place, assets, capsys, command):
    source, target = assets / "models" / "liteavatar384.onnx", place / f"{command[0]}.onnx"
    change = ["model", *command, str(source), str(target), "--template", str(place / "anna")]
    assert main(change) == 0
    said = capsys.readouterr().err
    assert "float16 inside" in said
    most, near = said.split("max ")[1].split(" levels, ")
    assert int(most) <= 4
    assert float(near.split(" %")[0]) >= 99.9
    assert Generator(target).batch == (None if command[0] == "batch" else 1)
