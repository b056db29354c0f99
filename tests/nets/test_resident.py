"""The resident generator: frame indices and audio in, a packed generator's bytes out."""

import logging
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from tests.support.nets import old_opset
from tests.support.recorder import Recorder

from lipsync_fast import kernels
from lipsync_fast.errors import (
    ArgumentTypeError,
    FileMissingError,
    InputError,
    LayoutError,
    MissingExtraError,
    ModelError,
)
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.presets import PRESETS, get_preset
from lipsync_fast.templates.crops import pack_crop

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import (  # noqa: E402
    REFERENCE,
    WAV2LIP,
    crops_for,
    exported_generator,
    open_resident,
    read_only,
    save,
    sounds_for,
    tiny_generator,
)

from lipsync_fast.nets.generator import Generator  # noqa: E402
from lipsync_fast.nets.graph import embed as resident  # noqa: E402
from lipsync_fast.nets.graph import make_resident  # noqa: E402
from lipsync_fast.nets.net import Net  # noqa: E402
from lipsync_fast.nets.resident import ResidentGenerator, try_resident  # noqa: E402

node = onnx.helper.make_node

SYNCTALK = get_preset("synctalk328")
BIG = 64 << 10  # bytes of a block that a warm call must not allocate


def packed(net, crops, indices, audio):
    """Draw with a packed generator: float planes in, float planes out, then bytes."""
    row = net.preset
    visual = np.stack([pack_crop(crops[i], row) for i in indices])
    pictures = net.infer(visual, audio)
    tone = {"low": row.low, "high": row.high, "swap": row.rgb}
    return np.stack([kernels.convert(p, **tone) for p in pictures])


# ---- the same pictures ----------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_every_preset_draws_what_the_packed_way_draws(tmp_path, preset, batch):
    make = exported_generator if batch == 1 else tiny_generator
    path = make(tmp_path / "net.onnx", preset, batch)
    crops, indices = crops_for(preset), [3, 0, 0, 4, 1, 2]
    audio = sounds_for(preset, len(indices))
    net = open_resident(path, preset, crops)
    assert net.batch == (None if batch == "batch" else 1)
    made = net.infer_indices(indices, audio)
    assert made.shape == (6, preset.view, preset.view, 3)
    assert made.dtype == np.uint8
    expected = packed(Generator(path, preset), crops, indices, audio)
    off = np.abs(made.astype(int) - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3
    assert np.ptp(expected) > 20, "a flat picture would prove nothing"


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
@pytest.mark.parametrize("planes", [0, 1])
def test_the_net_is_shown_the_very_planes(tmp_path, preset, planes):
    """A model that returns three of its planes: order, black box, colour and border matter."""
    if preset.channels == 3 and planes:
        pytest.skip("it is shown three planes only")
    first = np.array([3 * planes])
    path = save(
        tmp_path / "net.onnx",
        [
            node("Slice", [preset.image_input, "first", "last", "axis"], ["output"]),
            node("ReduceMean", [preset.audio_input], ["unused"], keepdims=0),
        ],
        [
            (preset.image_input, ("N", *preset.visual_shape)),
            (preset.audio_input, ("N", *preset.audio_shape)),
        ],
        [("output", ("N", 3, preset.view, preset.view))],
        [("first", first), ("last", first + 3), ("axis", np.array([1]))],
    )
    crops = crops_for(preset, 3)
    made = open_resident(path, preset, crops).infer_indices([2, 1], sounds_for(preset, 2))
    b, order = preset.border, preset.visual.split("+")
    expected = crops[[2, 1], b : b + preset.view, b : b + preset.view].copy()
    if order[planes] == "masked":
        x0, y0, x1, y1 = preset.black
        expected[:, y0:y1, x0:x1] = 0
    assert np.abs(made.astype(int) - expected).max() <= 1, "a byte's float may be cut to the next"
    net = Generator(path, preset)
    assert (made == packed(net, crops, [2, 1], sounds_for(preset, 2))).all()


def test_values_out_of_range_and_not_numbers(tmp_path):
    """Below black gives 0, above white 255, and NaN 0, as in `convert`."""
    values = np.array([-5, -0.001, 0, 0.5, 0.999, 1, 7, np.nan, np.inf, -np.inf], np.float32)
    picture = np.resize(values, (1, 3, 96, 96))
    path = save(
        tmp_path / "net.onnx",
        [
            node("ReduceMean", ["video_frames"], ["a"], axes=[1, 2, 3], keepdims=1),
            node("ReduceMean", ["mel_spectrogram"], ["b"], axes=[1, 2, 3], keepdims=1),
            node("Add", ["a", "b"], ["sum"]),
            node("Mul", ["sum", "none"], ["zero"]),
            node("Add", ["zero", "picture"], ["predicted_frames"]),
        ],
        [
            ("video_frames", ("N", *WAV2LIP.visual_shape)),
            ("mel_spectrogram", ("N", *WAV2LIP.audio_shape)),
        ],
        [("predicted_frames", ("N", 3, 96, 96))],
        [("none", np.array(0, np.float32)), ("picture", picture)],
    )
    made = open_resident(path).infer_indices([1], sounds_for(WAV2LIP, 1))
    assert (made[0] == kernels.convert(picture[0])).all()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 25])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_any_request_on_a_fixed_batch(tmp_path, batch, count):
    path = exported_generator(tmp_path / "net.onnx", WAV2LIP, batch)
    net = open_resident(path)
    assert (net.batch, net.micro_batch) == (batch, batch)
    indices = np.arange(count) % 5
    audio = sounds_for(WAV2LIP, count)
    made = net.infer_indices(indices, audio)
    assert made.shape == (count, 96, 96, 3)
    if count:
        expected = packed(Generator(path), net._crops, indices, audio)
        assert np.abs(made.astype(int) - expected).max() <= 1


def test_the_callers_memory_is_written_in_place(tmp_path):
    net = open_resident(tiny_generator(tmp_path / "net.onnx", WAV2LIP))
    block = np.full((9, 96, 96, 3), 77, np.uint8)
    out, audio = block[1:8], sounds_for(WAV2LIP, 7)
    assert net.infer_indices(range(5), audio[:5], out=out[:5]) is not None
    expected = net([0, 1, 2, 3, 4, 0, 1], audio)
    assert net([0, 1, 2, 3, 4, 0, 1], audio, out=out) is out
    assert (out == expected).all()
    assert (block[[0, 8]] == 77).all()


def test_crops_may_be_a_file_that_is_only_read(tmp_path):
    crops = crops_for(WAV2LIP)
    np.save(tmp_path / "crops.npy", crops)
    mapped = np.load(tmp_path / "crops.npy", mmap_mode="r")
    path, audio = tiny_generator(tmp_path / "net.onnx", WAV2LIP), sounds_for(WAV2LIP, 5)
    a, b = (open_resident(path, crops=c).infer_indices(range(5), audio) for c in (crops, mapped))
    assert (a == b).all()


def test_names_of_the_net_that_are_ours(tmp_path):
    """A model whose tensors have the names of the new inputs and output."""
    row = replace(WAV2LIP, image_input="frames", audio_input="features")
    path = tmp_path / "net.onnx"
    tiny_generator(path, row)
    model = onnx.load(str(path))
    for made in model.graph.node:
        for field in (made.input, made.output):
            field[:] = [{"reference": "crops", "output": "pictures"}.get(n, n) for n in field]
    model.graph.output[0].name = "pictures"
    onnx.save(model, str(path))
    made = open_resident(path).infer_indices([1, 2], sounds_for(WAV2LIP, 2))
    expected = packed(Generator(path), crops_for(WAV2LIP), [1, 2], sounds_for(WAV2LIP, 2))
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_constant_inputs(tmp_path):
    path = save(
        tmp_path / "net.onnx",
        [
            node("Slice", ["video_frames", "three", "six", "one"], ["reference"]),
            node("ReduceMean", ["mel_spectrogram"], ["mean"], axes=[1, 2, 3], keepdims=1),
            node("Mul", ["reference", "weight"], ["lit"]),
            node("Add", ["lit", "mean"], ["predicted_frames"]),
        ],
        [
            ("video_frames", ("N", *WAV2LIP.visual_shape)),
            ("mel_spectrogram", ("N", *WAV2LIP.audio_shape)),
            ("weight", (1,)),
        ],
        [("predicted_frames", ("N", 3, 96, 96))],
        REFERENCE,
    )
    audio = sounds_for(WAV2LIP, 2)
    made = open_resident(path, constants={"weight": [0.5]}).infer_indices([0, 1], audio)
    net = Generator(path, constants={"weight": [0.5]})
    expected = packed(net, crops_for(WAV2LIP), [0, 1], audio)
    assert np.abs(made.astype(int) - expected).max() <= 1
    with pytest.raises(InputError, match="constants must be given for weight, got nothing"):
        open_resident(path)


@pytest.mark.assets
def test_the_real_net(tmp_path, assets):
    preset = get_preset("liteavatar384")
    path = assets / "models" / "liteavatar384.onnx"
    cv2 = pytest.importorskip("cv2")
    video = cv2.VideoCapture(str(assets / "video" / "liteavatar_890x1920_30fps.mp4"))
    crops = np.stack([cv2.resize(video.read()[1][355:644, 278:697], (384, 384)) for _ in range(4)])
    params = np.load(assets / "models" / "liteavatar_neutral_pose.npy").astype("f4")
    audio = np.tile(params.reshape(1, 32), (6, 1))
    audio[:, 5] += np.linspace(0, 0.3, 6)
    indices = [0, 1, 2, 3, 2, 1]
    net = ResidentGenerator(path, crops, preset)
    made = net.infer_indices(indices, audio)
    off = np.abs(made.astype(int) - packed(Generator(path), crops, indices, audio))
    assert off.max() <= 1
    assert np.abs(made[2].astype(int) - crops[2]).mean() < 12, "the person herself"


# ---- bytes over the bus ---------------------------------------------------------------------


def test_bytes_of_a_request_fall_tenfold(tmp_path, monkeypatch):
    """25 frames of synctalk328: from 92 MB of floats to under 9 MB, as bound."""
    path = tiny_generator(tmp_path / "net.onnx", SYNCTALK)
    crops, audio = crops_for(SYNCTALK, 3), sounds_for(SYNCTALK, 25)
    indices = np.arange(25) % 3
    old, new = Generator(path), open_resident(path, SYNCTALK, crops)
    for net in (old, new):
        monkeypatch.setattr(net, "_session", Recorder(net._session))
    visual = np.stack([pack_crop(crops[i], SYNCTALK) for i in indices])
    old.infer(visual, audio)
    new.infer_indices(indices, audio)
    was, now = old._session, new._session
    moved = sum(size for _, size, _ in was.inputs) + sum(size for _, size in was.outputs)
    assert 92e6 < moved < 94e6
    resident_crops = [(size, address) for name, size, address in now.inputs if name == "crops"]
    assert set(resident_crops) == {(crops.nbytes, crops.ctypes.data)}, "read where they lie"
    moving = sum(size for name, size, _ in now.inputs if name != "crops")
    assert moving + sum(size for _, size in now.outputs) < 9e6


# ---- models that do not fit -----------------------------------------------------------------


def test_refused_nets_take_the_packed_way(tmp_path, caplog):
    path = old_opset(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"net\.onnx: opset 9 is too old for a resident template"):
        open_resident(path)
    with caplog.at_level(logging.INFO, "lipsync_fast"):
        assert try_resident(path, crops_for(WAV2LIP), WAV2LIP) is None
    assert [r.levelname for r in caplog.records] == ["INFO"]
    assert "packing crops frame by frame, the model cannot hold them: " in caplog.text
    good = tiny_generator(tmp_path / "good.onnx", WAV2LIP)
    assert try_resident(good, crops_for(WAV2LIP), WAV2LIP) is not None


def test_without_onnx_the_packed_way_is_taken(tmp_path, monkeypatch, caplog):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"lipsync_fast\[models\]"):
        open_resident(path)
    with caplog.at_level(logging.INFO, "lipsync_fast"):
        assert try_resident(path, crops_for(WAV2LIP), WAV2LIP) is None
    assert "lipsync_fast[models]" in caplog.text


def test_a_net_that_would_change_is_refused(tmp_path, monkeypatch):
    """The proof keeps wrong surgery from being used."""
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    monkeypatch.setattr(resident._Builder, "_levels", lambda self: np.array(255, np.float32))
    make_resident(path, tmp_path / "same.onnx")  # it uses only the reference
    copier = tmp_path / "copier.onnx"
    tiny_generator(copier, replace(WAV2LIP, visual="reference+masked"))
    with pytest.raises(ModelError, match=r"from the template would change pictures by \d+ levels"):
        make_resident(copier, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_files_that_are_no_generator(tmp_path):
    with pytest.raises(FileMissingError):
        make_resident(tmp_path / "none.onnx", tmp_path / "out.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match="not an ONNX model"):
        make_resident(tmp_path / "text.onnx", tmp_path / "out.onnx")
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    with pytest.raises(ModelError, match="do not fit the preset synctalk328"):
        make_resident(path, tmp_path / "out.onnx", "synctalk328")
    with pytest.raises(FileMissingError):
        open_resident(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda c: c.astype("f4"), LayoutError, "crops must be .*uint8 for wav2lip96, got float32"),
        (lambda c: c.tolist(), ArgumentTypeError, "got list"),
        (lambda c: c[:0], InputError, r"crops must be \(n, 96, 96, 3\)"),
        (lambda c: c[:, :90], InputError, r"got \(5, 90, 96, 3\)"),
        (lambda c: c[::2], LayoutError, "crops must be C-contiguous"),
    ],
)
def test_crops_that_cannot_be(tmp_path, change, error, says):
    path = tiny_generator(tmp_path / "net.onnx", WAV2LIP)
    with pytest.raises(error, match=says):
        open_resident(path, crops=change(crops_for(WAV2LIP)))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda i, a, o: ([0, 5, 1], a, o), InputError, "indices must be 0 to 4, got 0 to 5"),
        (lambda i, a, o: ([0, -1, 1], a, o), InputError, "got -1 to 1"),
        (lambda i, a, o: ([0.0, 1.0, 2.0], a, o), InputError, "one integer a frame, got float64"),
        (lambda i, a, o: ([[0, 1, 2]], a, o), InputError, "one integer a frame"),
        (lambda i, a, o: (i, a[:2], o), InputError, r"audio must have shape \(3,1,80,16\)"),
        (lambda i, a, o: (i, a.astype("f8"), o), LayoutError, "audio must be .* float32"),
        (lambda i, a, o: (i, a, o.astype("f4")), LayoutError, "out must be an array of uint8"),
        (lambda i, a, o: (i, a, o[:2]), InputError, r"out must have shape \(3,96,96,3\)"),
        (lambda i, a, o: (i, a, o[:, ::-1]), LayoutError, "out must be C-contiguous"),
        (lambda i, a, o: (i, a, read_only(o)), InputError, "out must be writable"),
    ],
)
def test_requests_that_cannot_be(tmp_path, change, error, says):
    net = open_resident(tiny_generator(tmp_path / "net.onnx", WAV2LIP))
    request = change([0, 1, 2], sounds_for(WAV2LIP, 3), np.zeros((3, 96, 96, 3), np.uint8))
    with pytest.raises(error, match=says):
        net.infer_indices(request[0], request[1], out=request[2])


# ---- memory and threads ---------------------------------------------------------------------


def test_threads_share_one_net(tmp_path):
    net = open_resident(tiny_generator(tmp_path / "net.onnx", WAV2LIP))
    jobs = [([i, 4, i], sounds_for(WAV2LIP, 3) + i) for i in range(4)]
    expected = [net.infer_indices(*job).copy() for job in jobs]
    wrong = []

    def work(mine):
        for _ in range(20):
            if (net.infer_indices(*jobs[mine]) != expected[mine]).any():
                wrong.append(mine)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong
    assert (expected[0] != expected[1]).any()


@pytest.mark.parametrize("batch", ["N", 4])
def test_a_warm_call_allocates_no_large_block(tmp_path, batch):
    memray = pytest.importorskip("memray")
    make = tiny_generator if batch == "N" else exported_generator
    # One thread: ONNX Runtime's others allocate scratch when they first get work.
    path = make(tmp_path / "net.onnx", WAV2LIP, batch)
    net = open_resident(path, pool=BufferPool(), threads=1)
    requests = [(np.arange(n) % 5, sounds_for(WAV2LIP, n)) for n in (8, 25)]

    def call():
        for indices, audio in requests:
            net.infer_indices(indices, audio)

    for _ in range(3):
        call()
    record = tmp_path / "record.bin"
    with memray.Tracker(record, native_traces=False):
        for _ in range(5):
            call()
    with memray.FileReader(record) as reader:
        assert not [r for r in reader.get_allocation_records() if r.size >= BIG]


def test_the_layout_of_the_new_net(tmp_path):
    path = tiny_generator(tmp_path / "net.onnx", SYNCTALK)
    assert make_resident(path, tmp_path / "out.onnx") == SYNCTALK
    net = Net(tmp_path / "out.onnx")
    assert {n: (t.shape, t.dtype) for n, t in net.inputs.items()} == {
        "frames": (("batch",), "int64"),
        "crops": (("template", 328, 328, 3), "uint8"),
        "features": (("batch", 32, 16, 16), "float32"),
    }
    assert {n: (t.shape, t.dtype) for n, t in net.outputs.items()} == {
        "pictures": (("batch", 320, 320, 3), "uint8")
    }
    onnx.checker.check_model(onnx.load(str(tmp_path / "out.onnx")), full_check=True)


@pytest.mark.parametrize("name", ["constants", "options", "pool"])
def test_arguments_of_another_type_are_named(tmp_path, name):
    preset = PRESETS["wav2lip96"]
    path = tiny_generator(tmp_path / "net.onnx", preset)
    crops = np.zeros((1, preset.crop, preset.crop, 3), np.uint8)
    with pytest.raises(ArgumentTypeError, match=f"{name} must be of type .*, got int"):
        ResidentGenerator(path, crops, preset, **{name: 5})
