"""Surgery on models: a free batch axis, float16 inside; proved, or refused with the reason."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lipsync_fast.cli import main as cli
from lipsync_fast.errors import FileMissingError, InputError, MissingExtraError, ModelError
from lipsync_fast.presets import PRESETS, get_preset

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import exported_generator, ints, save  # noqa: E402

from lipsync_fast.nets.generator import Generator  # noqa: E402
from lipsync_fast.nets.graph import describe, make_batch_dynamic, make_half  # noqa: E402
from lipsync_fast.nets.graph.embed import make_resident  # noqa: E402
from lipsync_fast.nets.graph.onnx_file import read_model  # noqa: E402
from lipsync_fast.nets.net import Net  # noqa: E402

helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
node = helper.make_node

WAV2LIP = get_preset("wav2lip96")


def frames_for(preset, count, seed=0):
    draw = np.random.default_rng(seed)
    return {
        preset.image_input: draw.random((count, *preset.visual_shape), np.float32),
        preset.audio_input: draw.standard_normal((count, *preset.audio_shape)).astype("f4"),
    }


def picture_rows(net, feeds, size):
    count = len(next(iter(feeds.values())))
    runs = [net.run({n: a[i : i + size] for n, a in feeds.items()}) for i in range(0, count, size)]
    return np.concatenate([next(iter(run.values())) for run in runs])


# ---- a free batch axis --------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_every_presets_shape(tmp_path, preset):
    src = exported_generator(tmp_path / "in.onnx", preset)
    changed = make_batch_dynamic(src, tmp_path / "out.onnx")
    kinds = sorted(name.split("_")[0] for name in changed)
    assert kinds == ["Concat", "Reshape", "Reshape", "Reshape", "Reshape", "Resize", "Slice"]
    net = Generator(tmp_path / "out.onnx", preset, providers=["cpu"])
    assert net.batch is None
    feeds = frames_for(preset, 4)
    one_by_one = picture_rows(Net(src, providers=["cpu"]), feeds, 1)
    np.testing.assert_allclose(net.run(feeds)["output"], one_by_one, atol=1e-6)
    assert np.ptp(one_by_one, axis=0).max() > 0.05, "frames that are alike prove nothing"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.onnx", "out.onnx"]


@pytest.mark.parametrize("batch", [2, 4])
def test_a_batch_of_several(tmp_path, batch):
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP, batch)
    make_batch_dynamic(src, tmp_path / "out.onnx")
    feeds = frames_for(WAV2LIP, 8)
    expected = picture_rows(Net(src, providers=["cpu"]), feeds, batch)
    net = Net(tmp_path / "out.onnx", providers=["cpu"])
    for size in (1, 3, 8):
        np.testing.assert_allclose(picture_rows(net, feeds, size), expected, atol=1e-6)


def test_attention_keeps_the_batch_in_the_middle(tmp_path):
    """(time, batch, wide) to (time, batch · heads, narrow) and back: time is not the batch."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node("Reshape", ["t", "heads"], ["h"]),
        node("Transpose", ["h"], ["q"], perm=[1, 0, 2]),
        node("Transpose", ["h"], ["k"], perm=[1, 2, 0]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=-1),
        node("MatMul", ["weights", "q"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[1, 0, 2]),
        node("Reshape", ["b", "whole"], ["c"]),
        node("Transpose", ["c"], ["y"], perm=[1, 0, 2]),
    ]
    src = save(
        tmp_path / "in.onnx", nodes, [("x", [1, 5, 12])], [("y", [1, 5, 12])],
        [("heads", ints(5, 3, 4)), ("whole", ints(5, 1, 12))],
    )  # fmt: skip
    assert make_batch_dynamic(src, tmp_path / "out.onnx") == ["Reshape_1", "Reshape_8"]
    feeds = {"x": np.random.default_rng(0).standard_normal((6, 5, 12)).astype("f4")}
    expected = picture_rows(Net(src, providers=["cpu"]), feeds, 1)
    np.testing.assert_allclose(
        Net(tmp_path / "out.onnx", providers=["cpu"]).run(feeds)["y"], expected, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_initial_states_are_repeated(tmp_path, kind):
    gates = {"LSTM": 4, "GRU": 3}[kind]
    draw = np.random.default_rng(0)
    states = ["h0", "c0"] if kind == "LSTM" else ["h0"]
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        node(kind, ["t", "w", "r", "", "", *states], ["", "last"], hidden_size=6),
        node("Squeeze", ["last", "axis"], ["y"]),
    ]
    src = save(
        tmp_path / "in.onnx", nodes, [("x", [1, 7, 4])], [("y", [1, 6])],
        [
            ("w", draw.normal(0, 1, (1, gates * 6, 4)).astype("f4")),
            ("r", draw.normal(0, 1, (1, gates * 6, 6)).astype("f4")),
            ("h0", draw.normal(0, 1, (1, 1, 6)).astype("f4")),
            ("axis", ints(0)),
            *([("c0", np.zeros((1, 1, 6), "f4"))] if kind == "LSTM" else []),
        ],
    )  # fmt: skip
    assert make_batch_dynamic(src, tmp_path / "out.onnx") == [f"{kind}_1"]
    feeds = {"x": draw.standard_normal((5, 7, 4)).astype("f4")}
    expected = picture_rows(Net(src, providers=["cpu"]), feeds, 1)
    np.testing.assert_allclose(
        Net(tmp_path / "out.onnx", providers=["cpu"]).run(feeds)["y"], expected, atol=1e-5
    )


def test_a_batch_fixed_inside_only(tmp_path):
    """The axes are declared free, but a Reshape fixes them."""
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP)
    model = onnx.load(str(src))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(model, str(src))
    assert len(make_batch_dynamic(src, src)) == 7  # in place
    assert Generator(src).infer(*frames_for(WAV2LIP, 3).values()).shape == (3, 3, 96, 96)


def test_a_free_net_stays_as_it_is(tmp_path):
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP)
    make_batch_dynamic(src, tmp_path / "once.onnx")
    assert make_batch_dynamic(tmp_path / "once.onnx", tmp_path / "twice.onnx") == []


def test_a_setting_without_a_batch_axis_is_left_alone(tmp_path):
    nodes = [node("Mul", ["x", "weight"], ["m"]), node("Reshape", ["m", "shape"], ["y"])]
    src = save(
        tmp_path / "in.onnx", nodes, [("x", [1, 6]), ("weight", [1])], [("y", [1, 2, 3])],
        [("shape", ints(1, 2, 3))],
    )  # fmt: skip
    make_batch_dynamic(src, tmp_path / "out.onnx")
    net = Net(tmp_path / "out.onnx")
    assert net.input_shapes == {"x": ("batch", 6), "weight": (1,)}
    x = np.arange(24, dtype="f4").reshape(4, 6)
    y = net.run({"x": x, "weight": np.array([2], "f4")})["y"]
    assert (y == 2 * x.reshape(4, 2, 3)).all()


MIXING = {
    "ReduceMean": [
        node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        node("Sub", ["x", "m"], ["s"]),
        node("Add", ["s", "x"], ["y"]),
    ],
    "ReduceSum": [
        node("ReduceSum", ["x"], ["m"], keepdims=1),
        node("Reshape", ["m", "one"], ["s"]),
        node("Add", ["s", "x"], ["y"]),
    ],
    "Gather": [
        node("Gather", ["x", "zero"], ["g"], axis=0),
        node("Mul", ["g", "g"], ["h"]),
        node("Reshape", ["h", "six"], ["t"]),
        node("Add", ["x", "t"], ["y"]),
    ],
}


@pytest.mark.parametrize("kind", MIXING)
def test_a_net_that_mixes_frames_is_refused(tmp_path, kind):
    constants = {"six": ints(1, 6), "one": ints(1, 1), "zero": ints(0)}
    used = {i for n in MIXING[kind] for i in n.input} & constants.keys()
    src = save(
        tmp_path / "in.onnx", MIXING[kind], [("x", [1, 6])], [("y", [1, 6])],
        [(name, constants[name]) for name in used],
    )  # fmt: skip
    with pytest.raises(ModelError) as caught:
        make_batch_dynamic(src, tmp_path / "out.onnx")
    assert str(caught.value) == (
        f"{src}: its batch cannot be freed: node {kind}_0 ({kind}) mixes the frames of a batch"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["in.onnx"]


def test_a_node_that_fails_is_named(tmp_path):
    src = save(
        tmp_path / "in.onnx",
        [
            node("Squeeze", ["x", "zero"], ["q"], name="without_its_batch"),
            node("Softmax", ["q"], ["s"], axis=0),
            node("Unsqueeze", ["s", "zero"], ["y"]),
        ],
        [("x", [1, 6])],
        [("y", [1, 6])],
        [("zero", ints(0))],
    )
    with pytest.raises(ModelError, match=r"cannot be freed, a node fails: .*without_its_batch"):
        make_batch_dynamic(src, tmp_path / "out.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["in.onnx"]


def test_weights_made_from_a_frame_cannot_be_a_batchs(tmp_path):
    src = save(
        tmp_path / "in.onnx",
        [
            node("Reshape", ["w", "kernels"], ["k"]),
            node("Conv", ["x", "k"], ["y"], kernel_shape=[1, 1], name="own_weights"),
        ],
        [("x", [1, 2, 4, 4]), ("w", [1, 6])],
        [("y", [1, 3, 4, 4])],
        [("kernels", ints(3, 2, 1, 1))],
    )
    with pytest.raises(ModelError, match=r"freed: node own_weights \(Conv\) mixes"):
        make_batch_dynamic(src, tmp_path / "out.onnx")


def test_an_output_that_tells_nothing_proves_nothing(tmp_path):
    src = save(
        tmp_path / "in.onnx", [node("Mul", ["x", "none"], ["y"])], [("x", [1, 3])],
        [("y", [1, 3])], [("none", np.float32(0))],
    )  # fmt: skip
    with pytest.raises(ModelError, match="nothing can be proved: y is the same"):
        make_batch_dynamic(src, tmp_path / "out.onnx")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"probes": 1}, InputError, "probes must be 2 or more"),
        ({"inputs": {"z": [1]}}, InputError, "inputs name 'z', the model has video_frames"),
        ({"inputs": {"video_frames": np.zeros((1, 6, 96, 96))}}, InputError, "3 or more rows"),
        ({"inputs": {"video_frames": np.zeros((3, 6, 96))}}, InputError, "3 or more rows"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, error, says):
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP)
    with pytest.raises(error, match=says):
        make_batch_dynamic(src, tmp_path / "out.onnx", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["in.onnx"]


@pytest.mark.parametrize("change", [make_batch_dynamic, make_half, describe])
def test_what_is_no_net(tmp_path, change):
    to = () if change is describe else (tmp_path / "out.onnx",)
    with pytest.raises(FileMissingError, match=r"nothing\.onnx: no such file"):
        change(tmp_path / "nothing.onnx", *to)
    with pytest.raises(ModelError, match="is a folder"):
        change(tmp_path, *to)
    for content in (b"", b"hello, this is a text file\n" * 20, b"RIFF\0\0\0\0WAVE"):
        (tmp_path / "in.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"in\.onnx: not an ONNX model, or cut short"):
            change(tmp_path / "in.onnx", *to)
    if to:
        exported_generator(tmp_path / "in.onnx", WAV2LIP)
        with pytest.raises(FileMissingError, match="does not exist; make that folder first"):
            change(tmp_path / "in.onnx", tmp_path / "none" / "out.onnx")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("change", [make_batch_dynamic, make_half, make_resident])
def test_what_cannot_be_replaced_is_refused_before_anything_is_read(tmp_path, change):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.onnx").symlink_to(os.devnull)
    for name, kind, words in (
        ("folder", ModelError, "it is a folder"),
        ("link.onnx", ModelError, "it is a device or a pipe"),
    ):
        with pytest.raises(kind, match=words):
            change(tmp_path / "nothing.onnx", tmp_path / name)
    for name in ("", "."):
        with pytest.raises(InputError, match="does not name a file"):
            change(tmp_path / "nothing.onnx", name)
        for options in (["half"], ["batch"], ["batch", "--half"]):
            assert cli.main(["model", *options, str(tmp_path / "nothing.onnx"), name, "-q"]) == 2


def test_onnx_missing_names_its_extra(tmp_path, monkeypatch):
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for change in (make_batch_dynamic, make_half):
        with pytest.raises(MissingExtraError, match=r'pip install "lipsync_fast\[models\]"'):
            change(src, tmp_path / "out.onnx")


# ---- float16 inside -----------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_half_of_every_presets_shape(tmp_path, preset):
    src = exported_generator(tmp_path / "in.onnx", preset)
    found = make_half(src, tmp_path / "out.onnx")
    assert 0 < found.most <= 4
    assert 0.999 <= found.near <= 1
    old, new = Net(src, providers=["cpu"]), Net(tmp_path / "out.onnx", providers=["cpu"])
    assert (new.inputs, new.outputs) == (old.inputs, old.outputs), "float32 at the borders"
    weights = describe(tmp_path / "out.onnx").precision
    assert weights.get("float32", 0) == 0
    assert weights["float16"] == describe(src).precision["float32"] // 2
    feeds = frames_for(preset, 1)
    np.testing.assert_allclose(new.run(feeds)["output"], old.run(feeds)["output"], atol=4 / 255)


def test_half_rounds_where_a_gpu_would(tmp_path):
    """x + 1000 − 1000 has steps of 0.5 in float16; a run on the CPU would hide it."""
    src = save(
        tmp_path / "in.onnx",
        [node("Add", ["x", "k"], ["a"]), node("Sub", ["a", "k"], ["y"])],
        [("x", ["N", 3, 8, 8])], [("y", ["N", 3, 8, 8])], [("k", np.float32(1000))],
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"changes its pictures too much: max \d+ levels, "):
        make_half(src, tmp_path / "out.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["in.onnx"]


def test_sums_stay_in_full_precision(tmp_path):
    """Squares of values near 400 overflow float16, their mean's root does not."""
    src = save(
        tmp_path / "in.onnx",
        [
            node("Mul", ["x", "large"], ["l"]),
            node("Pow", ["l", "two"], ["p"]),
            node("ReduceMean", ["p"], ["m"], axes=[1, 2, 3], keepdims=1),
            node("Sqrt", ["m"], ["s"]),
            node("Div", ["l", "s"], ["d"]),
            node("Sigmoid", ["d"], ["y"]),
        ],
        [("x", [1, 3, 8, 8])], [("y", [1, 3, 8, 8])],
        [("large", np.float32(400)), ("two", np.float32(2))],
    )  # fmt: skip
    assert make_half(src, tmp_path / "out.onnx").most <= 1
    # The root runs in float16, so its input must be in range.
    x = np.ones((1, 3, 8, 8), np.float32) / 2
    y = Net(tmp_path / "out.onnx", providers=["cpu"]).run({"x": x})["y"]
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-1)), atol=2e-3)


def test_operators_without_float16_stay_in_float32(tmp_path):
    """Resize has scales in float32; Range and CumSum do not support float16 at all."""
    src = save(
        tmp_path / "in.onnx",
        [
            node("Range", ["zero", "eight", "one"], ["r"]),
            node("CumSum", ["r", "axis"], ["c"]),
            node("Mul", ["c", "small"], ["s"]),
            node("Add", ["x", "s"], ["a"]),
            node("Resize", ["a", "", "scales"], ["large"], mode="linear"),
            node("Shape", ["a"], ["shape"]),
            node("Cast", ["shape"], ["sizes"], to=FLOAT),
            node("ReduceMax", ["sizes"], ["eight_again"], keepdims=0),
            node("Div", ["large", "eight_again"], ["y"]),
        ],
        [("x", ["N", 3, 8, 8])], [("y", ["N", 3, 16, 16])],
        [
            ("zero", np.float32(0)), ("eight", np.float32(8)), ("one", np.float32(1)),
            ("axis", np.int64(0)), ("small", np.float32(0.01)),
            ("scales", np.array([1, 1, 2, 2], "f4")),
        ],
    )  # fmt: skip
    make_half(src, tmp_path / "out.onnx")
    x = np.random.default_rng(0).random((2, 3, 8, 8), np.float32)
    old, new = (Net(p, providers=["cpu"]).run({"x": x})["y"] for p in (src, tmp_path / "out.onnx"))
    np.testing.assert_allclose(new, old, atol=1e-3)


def test_half_twice_is_refused(tmp_path):
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP)
    make_half(src, tmp_path / "half.onnx")
    with pytest.raises(ModelError, match="contains float16 already"):
        make_half(tmp_path / "half.onnx", tmp_path / "quarter.onnx")


def test_half_needs_a_picture(tmp_path):
    src = save(tmp_path / "in.onnx", [node("Relu", ["x"], ["y"])], [("x", [1, 3])], [("y", [1, 3])])
    with pytest.raises(ModelError, match=r"needs an output of shape \(N,3,S,S\), got y \(1, 3\)"):
        make_half(src, tmp_path / "out.onnx")
    with pytest.raises(InputError, match="probes must be 1"):
        make_half(src, tmp_path / "out.onnx", probes=0)


def test_half_of_a_loop_is_refused(tmp_path):
    branch = helper.make_graph(
        [node("Identity", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", FLOAT, None)]
    )
    src = save(
        tmp_path / "in.onnx",
        [node("If", ["yes"], ["y"], name="fork", then_branch=branch, else_branch=branch)],
        [("x", [1, 3, 4, 4])], [("y", [1, 3, 4, 4])], [("yes", np.array(True))],
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"node fork \(If\) contains a graph of its own"):
        make_half(src, tmp_path / "out.onnx")


# ---- the command line ---------------------------------------------------------------------


def test_the_commands(tmp_path, capsys):
    src = exported_generator(tmp_path / "in.onnx", WAV2LIP)
    free, both, half = (tmp_path / f"{n}.onnx" for n in ("free", "both", "half"))
    assert cli.main(["model", "batch", str(src), str(free)]) == 0
    assert "any batch, 7 nodes changed inside" in capsys.readouterr().err
    assert cli.main(["model", "half", str(src), str(half)]) == 0
    assert "float16 inside; max " in capsys.readouterr().err
    assert cli.main(["model", "batch", str(src), str(both), "--half", "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert Generator(both).batch is None
    assert describe(both).precision.keys() == describe(half).precision.keys()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "both.onnx", "free.onnx", "half.onnx", "in.onnx"
    ]  # fmt: skip
    (tmp_path / "text.onnx").write_text("hello")
    assert cli.main(["model", "batch", str(tmp_path / "text.onnx"), str(free)]) == 2
    assert "not an ONNX model" in capsys.readouterr().err


def test_importing_needs_no_onnx():
    code = "import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None\n"
    code += "import lipsync_fast.nets.graph, lipsync_fast.cli.model"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- the real model -----------------------------------------------------------------------


def real_frames(assets, count):
    """Views of the person that the model was trained on, and mouths that open."""
    cv2 = pytest.importorskip("cv2")
    video = cv2.VideoCapture(str(assets / "video" / "liteavatar_890x1920_30fps.mp4"))
    pictures = []
    for _ in range(count):
        frame = video.read()[1][355:644, 278:697]
        pictures.append(cv2.resize(frame, (384, 384))[:, :, ::-1].transpose(2, 0, 1))
        for _ in range(20):
            video.grab()
    params = np.load(assets / "models" / "liteavatar_neutral_pose.npy").astype("f4").reshape(1, 32)
    params = params.repeat(count, axis=0)
    params[:, 5] += np.linspace(0, 0.3, count)
    return {"image": np.stack(pictures).astype("f4") / 127.5 - 1, "params": params}


@pytest.mark.assets
def test_the_real_net_at_any_batch(tmp_path, assets):
    src = assets / "models" / "liteavatar384.onnx"
    changed = make_batch_dynamic(src, tmp_path / "free.onnx")
    assert len(changed) == 6
    assert all("AAD2/Reshape" in name for name in changed)
    model = read_model(tmp_path / "free.onnx")
    assert [(e.domain, e.version) for e in model.opset_import] == [("", 11)], "imported once"
    onnx.checker.check_model(model)
    feeds = real_frames(assets, 5)
    single = picture_rows(Net(src, providers=["cpu"]), feeds, 1)
    free = Net(tmp_path / "free.onnx", providers=["cpu"]).run(feeds)["output"]
    assert np.abs(free - single).max() < 1e-4
    assert np.abs(single[0] - single[-1]).max() > 0.1, "the mouth opens"


@pytest.mark.assets
def test_the_real_net_at_half(tmp_path, assets):
    src = assets / "models" / "liteavatar384.onnx"
    found = make_half(src, tmp_path / "half.onnx", inputs=real_frames(assets, 4))
    assert found.most <= 2
    assert found.near > 0.9999
