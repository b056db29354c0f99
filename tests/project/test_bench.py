"""bench: the clock, the scenes, the memory counters and the report of `lipsync-fast bench`."""

import sys
import time

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("simplejpeg")

from lipsync_fast.bench import measure, report, scenes
from lipsync_fast.bench.clock import Timing, ratio, run_in_turn
from lipsync_fast.bench.peers import PEERS
from lipsync_fast.cli import main as cli
from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import InputError
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.template import Template

WIDTH, HEIGHT = 480, 270


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "t"
    rects = scenes.drifting_rects(6, WIDTH, HEIGHT)
    scenes.write_template(
        path, scenes.photos(6, WIDTH, HEIGHT), rects, store=("jpeg", "i420", "bgr24")
    )
    return path


def test_works_run_in_turn():
    order = []
    works = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    found = run_in_turn(works, 4, calls=1)
    assert "".join(order[-8:]) == "abbaabba"  # each starts every second round
    assert list(found) == ["a", "b"]
    assert all(len(t.wall) == len(t.cpu) == 4 for t in found.values())


def test_wall_and_processor_time():
    timing = run_in_turn({"sleep": lambda: time.sleep(0.01)}, 3, calls=1)["sleep"]
    assert timing.median_ms >= 10
    assert timing.cpu_ms < timing.median_ms
    assert timing.percentile_ms(100) >= timing.median_ms


def test_ratio_is_by_round():
    slow = Timing(np.array([2.0, 30.0, 4.0]), np.array([3.0, 3.0, 3.0]))
    fast = Timing(np.array([1.0, 10.0, 1.0]), np.array([1.0, 1.0, 1.0]))
    assert ratio(slow, fast) == 3
    assert ratio(slow, fast, cpu=True) == 3


def test_photos_differ():
    pictures = list(scenes.photos(6, 64, 48))
    assert all(p.shape == (48, 64, 3) for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 6


def test_drifting_rects_have_the_sizes_of_a_calm_mouth():
    rects = scenes.drifting_rects(523)
    assert rects[:, 2].min() >= 173
    assert rects[:, 2].max() <= 189
    assert (rects[:, :2] >= 0).all()
    assert (rects[:, 0] + rects[:, 2] <= 1920).all()


@pytest.mark.parametrize("peer", scenes.PRESET_OF)
def test_a_scene_is_the_same_for_both(peer):
    frames = list(scenes.photos(2, WIDTH, HEIGHT))
    scene = scenes.Scene.make("two", frames, scenes.drifting_rects(2, WIDTH, HEIGHT), peer)
    with Compositor(scene.template, threads=1) as compositor:
        frames = compositor.composite(scene.outputs, [0, 1], format="bgr24")
    for frame, inputs in zip(frames, scene.inputs, strict=True):
        theirs = PEERS[peer].composite(inputs)
        assert np.abs(frame.array.astype(np.int16) - theirs).max() <= 1


def test_every_stage_is_measured(folder):
    with Template.open(folder) as template:
        lines = list(measure.measure_peers(template, 1))
    stages = dict(report.Report({}, lines).stages())
    assert set(stages) == {
        "encoded frame",
        "packed frame",
        "I420 frame",
        "the model's input",
        "model output to patch, cubic",
        "mel of 1 s",
    }
    for stage, held in stages.items():
        assert held[0].ours, f"{stage} must begin with ours"
        assert all(line.timing.median_ms > 0 for line in held)
    assert {line.who for line in stages["packed frame"] if not line.ours} == {
        peer.title for peer in PEERS.values()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="memray")
def test_peers_allocate_and_we_do_not(folder):
    pytest.importorskip("memray")
    with Template.open(folder) as template:
        lines = [x for x in measure.measure_peers(template, 1) if "frame" in x.stage]
    for line in lines:
        assert (line.large == 0) == line.ours, line.who


def test_the_command_writes_a_report(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("onnxruntime")
    nets = pytest.importorskip("tests.support.nets")
    net = nets.tiny_generator(tmp_path / "tiny.onnx", get_preset("synctalk328"))
    target = tmp_path / "r.html"
    arguments = ["bench", str(target), "--template", str(folder), "--generator", str(net)]
    arguments += ["--rounds", "1", "--quiet"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    for word in ("SyncTalk_2D", "encoded frame", "requests of 25, model", "ISA", "tiny.onnx"):
        assert word in said
    page = target.read_text("utf-8")
    assert "data:image/png;base64," in page
    assert "SyncTalk_2D, simplejpeg" in page


def test_plots_alone(tmp_path):
    pytest.importorskip("matplotlib")
    timing = Timing(np.array([0.001, 0.002]), np.array([0.001, 0.002]))
    lines = [
        measure.Line(stage, who, timing, None, 1)
        for stage in ("encoded frame", "packed frame")
        for who in ("lipsync_fast", "another")
    ]
    lines.append(
        measure.Line("whole road, jpeg", "lipsync_fast, requests of 8, model", timing, None, 8)
    )
    report.Report({"machine": "m", "ISA": "c"}, lines).save(tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_markdown_has_one_row_a_line():
    timing = Timing(np.array([0.001]), np.array([0.001]))
    lines = [measure.Line("a", w, timing, None, 1) for w in ("lipsync_fast", "another")]
    text = report.Report({"ISA": "c"}, lines).markdown()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert len({row.count("|") for row in rows}) == 1
    assert "1.0×" in rows[-1]


@pytest.mark.parametrize("name", ["report", "report.pdf"])
def test_other_files_are_refused_before_anything_runs(name):
    with pytest.raises(InputError, match=r"must end in \.html, \.png"):
        report.check_report(name)
    assert cli.main(["bench", name, "-q"]) == 2


def test_rounds_must_be_positive():
    with pytest.raises(InputError, match="rounds"):
        report.run_benchmark(rounds=0)


def test_times_are_by_processor_where_one_thread_did_it():
    slow = Timing(np.array([0.009]), np.array([0.004]))
    fast = Timing(np.array([0.001]), np.array([0.001]))
    for alone, times in ((True, 4), (False, 9)):
        a, b = (measure.Line("a", who, t, None, 1, alone) for who, t in (("x", slow), ("y", fast)))
        assert a.times(b) == times


def test_the_summary_names_the_quickest_of_the_others():
    def line(stage, who, ms, alone=True):
        return measure.Line(stage, who, Timing(*np.full((2, 1), ms / 1e3)), None, 1, alone)

    frames = [line("encoded frame", w, ms) for w, ms in (("lipsync_fast", 1), ("b", 30), ("c", 9))]
    road = line("whole road, jpeg", "lipsync_fast, requests of 8, model", 20, alone=False)
    encoded, whole = report.Report({}, [*frames, road]).summary()
    assert "1.000 ms of one core; c, the fastest of the others, takes 9.0 times" in encoded
    assert whole.endswith("50 in requests of 8, model")
