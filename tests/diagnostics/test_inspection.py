"""What inspect says of templates and nets, held against what is known of them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lipsync_fast.cli import main as cli
from lipsync_fast.compositing.seams import seam_steps
from lipsync_fast.diagnostics import probes as net_probes
from lipsync_fast.diagnostics.inspection import _motion_facts, inspect
from lipsync_fast.errors import FileMissingError, InputError, ModelError, TemplateError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.template import Template

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tests.support.nets import ints, save, tiny_encoder, tiny_hubert, tiny_wenet  # noqa: E402

node = onnx.helper.make_node


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch):
    monkeypatch.setattr(net_probes, "SECONDS", 0.05)


def save_copier(path, preset, *, planes="reference", rgb=None, batch="N", mixing=False):
    """A net that hands its reference (or the named planes) through, as a trained one would.

    It knows one colour order: skin that comes the other way round leaves darker.
    """
    rgb = preset.rgb if rgb is None else rgb
    first = 3 * preset.visual.split("+").index(planes)
    red, blue = (0, 2) if rgb else (2, 0)
    image, audio, side = preset.image_input, preset.audio_input, preset.view
    nodes = [
        node("Slice", [image, "first", "last", "one"], ["picture"]),
        node("Gather", ["picture", "red"], ["reds"], axis=1),
        node("Gather", ["picture", "blue"], ["blues"], axis=1),
        node("ReduceMean", ["reds"], ["r"], axes=[1, 2, 3], keepdims=1),
        node("ReduceMean", ["blues"], ["b"], axes=[1, 2, 3], keepdims=1),
        node("Less", ["r", "b"], ["wrong"]),
        node("Where", ["wrong", "dark", "bright"], ["light"]),
        node("Mul", ["picture", "light"], ["lit"]),
        node("Flatten", [audio], ["flat"], axis=1),
        node("ReduceMean", ["flat"], ["mean"], axes=[0, 1] if mixing else [1], keepdims=1),
        node("Reshape", ["mean", "apart"], ["sound"]),
        node("Add", ["lit", "sound"], ["output"]),
    ]
    constants = [
        ("first", ints(first)), ("last", ints(first + 3)), ("one", ints(1)),
        ("red", ints(red)), ("blue", ints(blue)), ("apart", ints(-1, 1, 1, 1)),
        ("dark", np.array(0.5, np.float32)), ("bright", np.array(1, np.float32)),
    ]  # fmt: skip
    inputs = [(image, (batch, *preset.visual_shape)), (audio, (batch, *preset.audio_shape))]
    outputs = [("output", (batch, 3, side, side))]
    return save(path, nodes, inputs, outputs, constants, versions=(16, 9))


@pytest.mark.parametrize("name", ["synctalk328", "wav2lip96"])
def test_a_net_that_is_what_its_preset_says(tmp_path, name):
    preset = get_preset(name)
    facts = inspect(save_copier(tmp_path / "net.onnx", preset))
    assert facts["preset"] == name
    assert facts["opset"] == 16
    assert facts["nodes"] == 12
    side = preset.view
    assert facts[f"input {preset.image_input}"] == f"(N,6,{side},{side}) float32"
    assert facts["output output"] == f"(N,3,{side},{side}) float32"
    assert facts["batch"] == "free; 2 at once equal 2 × 1"
    assert facts["masked area"] == "ignored: noise in it changes nothing"
    assert facts["plane order"].startswith(f"{preset.visual}: ")
    assert facts["colour order"].startswith("BGR: ")
    assert facts["hears"].startswith("sounds: ")
    assert facts["frames a second, model"] > 0
    assert 0 < facts["frames a second, end to end"] <= facts["frames a second, model"]
    assert facts["end to end"] == "from crops to finished 1920×1080 JPEG, 8 a request"
    assert "seam error" not in facts, "a drawn face has a border of its own"
    low, high = map(float, re.findall(r"-?\d+\.\d+", facts["output range"])[:2])
    assert 0 <= low < 0.2 < 0.7 < high <= 1
    json.dumps(facts)


@pytest.mark.parametrize("name", ["synctalk328", "wav2lip96"])
def test_a_net_that_is_not_what_its_preset_says(tmp_path, name):
    preset = get_preset(name)
    net = save_copier(tmp_path / "net.onnx", preset, planes="masked", rgb=True, batch=1)
    facts = inspect(net)
    other = "+".join(preset.visual.split("+")[::-1])
    assert facts["plane order"].startswith(f"{other}, unlike the preset: ")
    assert facts["colour order"].startswith("RGB, unlike the preset: ")
    assert facts["masked area"].startswith("used: ")
    assert facts["batch"] == "fixed at 1; `lipsync-fast model batch` frees it"


def test_a_net_that_mixes_frames(tmp_path):
    preset = get_preset("wav2lip96")
    visual = np.zeros((4, *preset.visual_shape), np.float32)
    audio = np.random.default_rng(0).standard_normal((4, *preset.audio_shape)).astype("f4")
    audio += np.arange(4, dtype="f4")[:, None, None, None]
    for mixing, says in ((True, "declared free, but mixes frames: "), (False, "free; ")):
        path = save_copier(tmp_path / f"{mixing}.onnx", preset, mixing=mixing)
        net = net_probes.Generator(path)
        assert net_probes._batch_fact(net, visual, audio).startswith(says)


def test_a_net_of_no_family(tmp_path, assets):
    facts = inspect(assets / "models" / "yunet_n_dynamic.onnx")
    assert (facts["preset"], facts["is"]) == ("none", "face detector (--detector)")
    assert "batch" not in facts
    assert facts["precision"] == "float32 100 %"
    mesh = inspect(assets / "models" / "face_landmarks_478.onnx")
    assert mesh["is"] == "face mesh (--landmarks)"


def test_encoders_are_told(tmp_path):
    for make, says in ((tiny_encoder, "ave"), (tiny_hubert, "HuBERT"), (tiny_wenet, "wenet")):
        facts = inspect(make(tmp_path / "net.onnx"))
        assert facts["preset"] == "none"
        assert says in facts["is"]
        assert "--audio-encoder" in facts["is"]
        assert "why" not in facts


def test_why_a_net_is_none(tmp_path):
    preset = get_preset("wav2lip96")
    five = replace(preset, name="five", view=80, crop=80, black=(0, 40, 80, 80))
    path = save_copier(tmp_path / "net.onnx", five)
    facts = inspect(path)
    assert facts["preset"] == "none"
    assert "no preset has pictures of 80 px" in facts["why"]
    assert "batch" not in facts
    # and what it is once its preset is named
    facts = inspect(path, preset=five)
    assert facts["preset"] == "five"
    assert facts["plane order"].startswith("masked+reference: ")
    with pytest.raises(ModelError, match="it has pictures of 80 px, wav2lip256 has 256"):
        inspect(path, preset="wav2lip256")


def test_a_template_is_what_it_says_it_is(tmp_path):
    for more in ({"preset": "wav2lip96"}, {"template": tmp_path}):
        with pytest.raises(InputError, match="apply to a model only: leave them out"):
            inspect(tmp_path, **more)


def test_without_onnx_the_rest_is_told(tmp_path, monkeypatch):
    import sys

    path = save_copier(tmp_path / "net.onnx", get_preset("wav2lip96"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    facts = inspect(path)
    assert "opset" not in facts
    assert facts["batch"].startswith("free")


@pytest.mark.assets
def test_the_real_net(assets):
    facts = inspect(assets / "models" / "liteavatar384.onnx")
    assert facts["preset"] == "liteavatar384"
    assert facts["opset"] == 11
    assert facts["parameters"] == 248294
    assert facts["precision"].startswith("float32 100 %")
    assert facts["batch"].startswith("fixed at 1")
    assert facts["colour order"].startswith("RGB: ")
    assert "masked area" not in facts, "it has none"
    assert facts["frames a second, end to end"] <= facts["frames a second, model"]


# ---- templates ----------------------------------------------------------------------------


def test_motion_is_the_mean_step_of_the_centre():
    rects = np.array([[10, 10, 4, 4], [13, 14, 4, 4], [13, 14, 4, 4], [0, 0, 0, 0], [50, 9, 4, 4]])
    # 5 px, then none; the frame without a face is no neighbour
    assert _motion_facts(rects) == {"motion in px a frame": 2.5, "jitter in px a frame": 5.0}
    assert _motion_facts(rects[:1]) == {}
    wider = np.array([[10, 10, 4, 4], [10, 10, 6, 4]])
    assert _motion_facts(wider) == {"motion in px a frame": 1.0}


def test_a_tremble_is_told_from_a_motion():
    rects = np.full((60, 4), 100)
    rects[:, 0] = 7 * np.arange(60)
    assert _motion_facts(rects) == {"motion in px a frame": 7.0, "jitter in px a frame": 0.0}
    rects[:, 0] = 100 + 3 * (np.arange(60) % 2)
    assert _motion_facts(rects) == {"motion in px a frame": 3.0, "jitter in px a frame": 6.0}


def make_template(tmp_path, preset="wav2lip96"):
    from lipsync_fast.templates import TemplateWriter

    draw = np.random.default_rng(1)
    path = tmp_path / "person"
    writer = TemplateWriter(path, VideoFormat(320, 240), preset=preset)
    for x in (50, 54, 58):
        frame = draw.integers(0, 80, (240, 320, 3), dtype=np.uint8)
        frame[40:160, x : x + 120] = net_probes.drawn_face(120)
        writer.add((x, 40, 120, 120), bgr24=frame)
    writer.close()
    return path


def test_a_template(tmp_path, capsys):
    path = make_template(tmp_path)
    facts = inspect(path)
    assert facts["frames"] == 3
    assert facts["size"] == "320×240"
    assert facts["rects"] == "120×120 to 120×120"
    assert facts["motion in px a frame"] == 4.0
    assert facts["jitter in px a frame"] == 0.0
    own = facts["seam error of the untouched background"]
    with Template.open(path) as template:
        steps = [seam_steps(template.bgr24(i), template.rects[i]) for i in range(3)]
    across, outside = np.sum(steps, axis=0)
    assert own == pytest.approx(across / outside, abs=1e-3)
    assert facts["seam error"] == pytest.approx(own, rel=0.05)
    assert cli.main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == facts


def test_a_net_is_shown_the_faces_of_a_template(tmp_path, capsys):
    path = make_template(tmp_path)
    net = save_copier(tmp_path / "net.onnx", get_preset("wav2lip96"))
    assert cli.main(["inspect", str(net), "--template", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["shown"] == "faces of the template"
    assert facts["seam error"] > 0
    assert facts["colour order"].startswith("BGR: ")
    with Template.open(path) as template:
        visual, audio, chosen = net_probes._probe_inputs(template.preset, template)
        assert chosen.tolist() == [0, 0, 1, 2]
        assert (visual[-1] == template.visual(2)).all()
        assert audio.shape == (4, 1, 80, 16)


def test_what_is_neither(tmp_path):
    with pytest.raises(FileMissingError):
        inspect(tmp_path / "nothing")
    with pytest.raises(TemplateError, match=r"no template\.json"):
        inspect(tmp_path)
    (tmp_path / "full_body_img").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "full_body_img" / "0.jpg")
    with pytest.raises(TemplateError, match="is a SyncTalk_2D or Ultralight data set, not a temp"):
        inspect(tmp_path)
    (tmp_path / "file").write_text("hello")
    with pytest.raises(ModelError):
        inspect(tmp_path / "file")
