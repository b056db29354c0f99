"""Generator: bound memory, micro-batches, threads, and bad models."""

import logging
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from lipsync_fast.errors import ArgumentTypeError, InputError, LayoutError, LipsyncError, ModelError
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.nets.generator import Generator
from lipsync_fast.presets import PRESETS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import (  # noqa: E402
    FLOAT,
    HALF,
    REFERENCE,
    WAV2LIP,
    inputs_for,
    read_only,
    relu,
    save,
    summed,
    summing_generator,
)

helper = onnx.helper

BIG = 64 << 10  # bytes of a block that a warm call must not allocate


@pytest.fixture
def generator(tmp_path):
    return Generator(summing_generator(tmp_path / "net.onnx"))


# ---- facts of a model --------------------------------------------------------------------


def test_a_generator_knows_its_contract(tmp_path, caplog):
    path = summing_generator(tmp_path / "net.onnx")
    with caplog.at_level(logging.INFO, "lipsync_fast"):
        net = Generator(str(path))
    assert net.preset == WAV2LIP
    assert net.batch is None
    assert net.micro_batch == (4 if net.provider == "CPUExecutionProvider" else 8)
    assert net.inputs["video_frames"].shape == ("N", 6, 96, 96)
    assert net.inputs["video_frames"].dtype == "float32"
    assert net.output_shapes == {"predicted_frames": ("N", 3, 96, 96)}
    assert f"{path}: running on {net.provider}" in caplog.text
    assert repr(net) == f"<Generator net.onnx on {net.provider}>"


@pytest.mark.parametrize("preset", ["wav2lip96", WAV2LIP, None])
def test_a_preset_may_be_named(tmp_path, preset):
    assert Generator(summing_generator(tmp_path / "net.onnx"), preset).preset == WAV2LIP


def test_other_input_names_are_taken(tmp_path):
    path = tmp_path / "net.onnx"
    save(
        path,
        [
            helper.make_node("Slice", ["target", "three", "six", "one"], ["reference"]),
            helper.make_node("ReduceMean", ["source"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Add", ["reference", "mean"], ["y"]),
        ],
        [("target", ["N", 6, 96, 96]), ("source", ["N", 1, 80, 16])],
        [("y", ["N", 3, 96, 96])],
        REFERENCE,
    )
    net = Generator(path)
    assert net.preset == replace(WAV2LIP, image_input="target", audio_input="source")
    visual, audio = inputs_for(WAV2LIP, 2)
    np.testing.assert_allclose(net.infer(visual, audio), summed(visual, audio), atol=1e-6)


# ---- inference ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 25])
@pytest.mark.parametrize("batch", ["N", 1, 2, 4])
def test_any_request_on_any_batch_axis(tmp_path, batch, count):
    net = Generator(summing_generator(tmp_path / "net.onnx", batch))
    assert net.batch == (None if batch == "N" else batch)
    visual, audio = inputs_for(WAV2LIP, count)
    out = net.infer(visual, audio)
    assert out.shape == (count, 3, 96, 96)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, summed(visual, audio), atol=1e-6)
    single = [net.infer(visual[i : i + 1], audio[i : i + 1])[0] for i in range(count)]
    assert all((a == b).all() for a, b in zip(out, single, strict=True))


def test_the_callers_memory_is_read_and_written_in_place(generator):
    visual, audio = inputs_for(WAV2LIP, 6)
    block = np.full((8, 3, 96, 96), -5, np.float32)
    out = block[1:7]
    assert generator.infer(visual, audio, out=out) is out
    np.testing.assert_allclose(out, summed(visual, audio), atol=1e-6)
    assert (block[0] == -5).all()
    assert (block[7] == -5).all()
    visual[...] = 0.25  # a copy from the first call would show the old values
    generator.infer(visual, audio, out=out)
    np.testing.assert_allclose(out, summed(visual, audio), atol=1e-6)


def test_read_only_and_shifted_inputs(generator):
    visual, audio = inputs_for(WAV2LIP, 5)
    shifted = np.empty(visual.size + 1, np.float32)[1:].reshape(visual.shape)
    shifted[...] = visual
    shifted.flags.writeable = audio.flags.writeable = False
    np.testing.assert_allclose(generator.infer(shifted, audio), summed(visual, audio), atol=1e-6)


def test_outputs_come_from_the_pool(tmp_path):
    pool = BufferPool()
    net = Generator(summing_generator(tmp_path / "net.onnx", 4), pool=pool)
    visual, audio = inputs_for(WAV2LIP, 6)
    for _ in range(3):
        net.infer(visual, audio)
    misses = pool.stats().misses
    out = net.infer(visual, audio)
    assert pool.stats().misses == misses
    assert pool.stats().lent == 1
    del out
    assert pool.stats().lent == 0


def test_constant_inputs(tmp_path):
    path = summing_generator(tmp_path / "net.onnx", weighted=True)
    visual, audio = inputs_for(WAV2LIP, 5)
    out = Generator(path, constants={"weight": [0.5]}).infer(visual, audio)
    np.testing.assert_allclose(out, (summed(visual, audio) + visual[:, 3:]) / 2, atol=1e-6)
    with pytest.raises(ModelError, match="fit no preset"):
        Generator(path)
    with pytest.raises(InputError, match="constants name 'wait'"):
        Generator(path, constants={"wait": 1.0})
    with pytest.raises(InputError, match=r"must fit weight \(1\) float32, got shape \(2,\)"):
        Generator(path, constants={"weight": [1, 2]})


def test_threads_share_one_net(generator):
    jobs = [inputs_for(WAV2LIP, 5, seed) for seed in range(4)]
    results = [[] for _ in jobs]

    def work(mine):
        for _ in range(20):
            results[mine].append(generator.infer(*jobs[mine]).copy())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for job, made in zip(jobs, results, strict=True):
        assert len(made) == 20
        for out in made:
            np.testing.assert_allclose(out, summed(*job), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda v, a, o: (v.astype("f8"), a, o), LayoutError, "visual must be an array of float32"),
        (lambda v, a, o: (v.tolist(), a, o), LayoutError, "got list"),
        (lambda v, a, o: (v, a.astype("f2"), o), LayoutError, "audio must be .*, got float16"),
        (lambda v, a, o: (v[:, :3], a, o), InputError, r"visual must have shape \(N,6,96,96\)"),
        (lambda v, a, o: (v[0], a, o), InputError, "visual must have shape"),
        (lambda v, a, o: (v, a[:2], o), InputError, r"audio must have shape \(3,1,80,16\)"),
        (lambda v, a, o: (v[::-1], a, o), LayoutError, "visual must be C-contiguous"),
        (lambda v, a, o: (v.swapaxes(2, 3), a, o), LayoutError, "visual must be C-contiguous"),
        (lambda v, a, o: (v, a.swapaxes(0, 1), o), InputError, "audio must have shape"),
        (lambda v, a, o: (v, a, o[:2]), InputError, r"out must have shape \(3,3,96,96\)"),
        (lambda v, a, o: (v, a, o.astype("u1")), LayoutError, "out must be an array of float32"),
        (lambda v, a, o: (v, a, o[:, ::-1]), LayoutError, "out must be C-contiguous"),
        (lambda v, a, o: (v, a, read_only(o)), InputError, "out must be writable"),
        (
            lambda v, a, o: (v, a, v.reshape(-1)[: o.size].reshape(o.shape)),
            InputError,
            "out must not overlap visual",
        ),
    ],
)
def test_arrays_that_cannot_be_bound(generator, change, error, says):
    visual, audio = inputs_for(WAV2LIP, 3)
    out = np.zeros((3, 3, 96, 96), np.float32)
    visual, audio, out = change(visual, audio, out)
    with pytest.raises(error, match=says):
        generator.infer(visual, audio, out=out)


# ---- models that cannot be used -----------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ({"side": 128}, r"net\.onnx: .*fit no preset: found video_frames \(N,6,128,128\)"),
        ({"mel": (1, 80, 20)}, r"fit no preset.*mel_spectrogram \(N,1,80,20\)"),
        ({"kind": HALF}, "video_frames is float16, needs float32"),
    ],
)
def test_inputs_that_fit_no_preset(tmp_path, layout, says):
    with pytest.raises(ModelError, match=says):
        Generator(summing_generator(tmp_path / "net.onnx", **layout))


def test_a_model_of_another_preset(tmp_path):
    with pytest.raises(ModelError, match="do not fit the preset synctalk328"):
        Generator(summing_generator(tmp_path / "net.onnx"), "synctalk328")
    with pytest.raises(InputError, match="preset must be one of"):
        Generator(summing_generator(tmp_path / "net.onnx"), "mona lisa")


def test_one_input_only(tmp_path):
    with pytest.raises(ModelError, match=r"fit no preset: found x \(N,3\)"):
        Generator(relu(tmp_path / "net.onnx"))


def save_head(path, node, output_type=FLOAT, out_shape=None, batch="N", attributes=None):
    """The wav2lip inputs, then one more node that makes the output `y`."""
    return save(
        path,
        [
            helper.make_node("Slice", ["video_frames", "three", "six", "one"], ["reference"]),
            helper.make_node(
                "ReduceMean", ["mel_spectrogram"], ["mean"], axes=[1, 2, 3], keepdims=1
            ),
            helper.make_node("Add", ["reference", "mean"], ["sum"]),
            helper.make_node(node, ["sum"], ["y"], **(attributes or {})),
        ],
        [
            ("video_frames", [batch, 6, 96, 96]),
            ("mel_spectrogram", [batch, 1, 80, 16]),
        ],
        [("y", out_shape)],
        REFERENCE,
        kinds={"y": output_type},
        checked=out_shape is not None,
    )


def test_a_float16_output(tmp_path):
    path = save_head(tmp_path / "net.onnx", "Cast", HALF, ["N", 3, 96, 96], attributes={"to": HALF})
    with pytest.raises(ModelError, match="y is float16, needs float32"):
        Generator(path)


@pytest.mark.parametrize("out_shape", [["N", 96, 96, 3], None, ["N", "a", "b", "c"]])
def test_an_output_of_another_shape(tmp_path, out_shape):
    path = save_head(
        tmp_path / "net.onnx", "Transpose", FLOAT, out_shape, attributes={"perm": [0, 2, 3, 1]}
    )
    with pytest.raises(ModelError, match=r"needs an output of shape \(N,3,96,96\), got y \("):
        Generator(path)


@pytest.mark.parametrize("out_shape", [None, ["N", "a", "b", "c"], ["N", 3, "b", "c"]])
@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_an_output_of_unknown_shape_is_tried_out(tmp_path, out_shape, batch):
    net = Generator(save_head(tmp_path / "net.onnx", "Identity", FLOAT, out_shape, batch))
    visual, audio = inputs_for(WAV2LIP, 3)
    np.testing.assert_allclose(net.infer(visual, audio), summed(visual, audio), atol=1e-6)


def test_the_picture_is_found_among_several_outputs(tmp_path):
    path = summing_generator(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.output.insert(0, helper.make_tensor_value_info("mean", FLOAT, ["N", 1, 1, 1]))
    onnx.save(model, str(path))
    visual, audio = inputs_for(WAV2LIP, 3)
    np.testing.assert_allclose(
        Generator(path).infer(visual, audio), summed(visual, audio), atol=1e-6
    )


def test_batch_axes_that_disagree(tmp_path):
    path = summing_generator(tmp_path / "net.onnx", 2)
    model = onnx.load(str(path))
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(model, str(path))
    with pytest.raises(LipsyncError):
        Generator(path)


def save_fixed_inside(path, last):
    """A batch axis declared free, with a Reshape to a batch of 1 inside; `last` makes `y`."""
    return save(
        path,
        [
            helper.make_node("Slice", ["video_frames", "three", "six", "one"], ["reference"]),
            helper.make_node(
                "ReduceMean", ["mel_spectrogram"], ["mean"], axes=[1, 2, 3], keepdims=1
            ),
            helper.make_node("Reshape", ["reference", "shape"], ["single"]),
            last,
        ],
        [("video_frames", ["N", 6, 96, 96]), ("mel_spectrogram", ["N", 1, 80, 16])],
        [("y", ["M", 3, 96, 96])],
        [*REFERENCE, ("shape", np.array([1, 3, 96, 96]))],
    )


def test_a_batch_fixed_inside_is_one_clear_error(tmp_path, capfd):
    path = tmp_path / "net.onnx"
    net = Generator(save_fixed_inside(path, helper.make_node("Add", ["single", "mean"], ["y"])))
    assert net.batch is None
    visual, audio = inputs_for(WAV2LIP, 2)
    with pytest.raises(ModelError, match=r"net\.onnx: failed on a batch of 2: Reshape ") as caught:
        net.infer(visual, audio)
    assert "{1,3,96,96}" in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(
        net.infer(visual[:1], audio[:1]), summed(visual[:1], audio[:1]), atol=1e-6
    )


def test_a_batch_fixed_inside_is_honoured_where_it_shows(tmp_path):
    path = tmp_path / "net.onnx"
    net = Generator(save_fixed_inside(path, helper.make_node("Identity", ["single"], ["y"])))
    assert net.batch == 1
    visual, audio = inputs_for(WAV2LIP, 3)
    assert (net.infer(visual, audio) == visual[:, 3:]).all()


# ---- the real model -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(assets):
    return Generator(assets / "models" / "liteavatar384.onnx")


def real_inputs(assets, count):
    neutral = np.load(assets / "models" / "liteavatar_neutral_pose.npy").astype(np.float32)
    visual, _ = inputs_for(PRESETS["liteavatar384"], 1)
    params = np.tile(neutral, (count, 1))
    params[:, 5] += np.linspace(0, 0.3, count, dtype=np.float32)
    return np.repeat(visual * 2 - 1, count, 0), params


@pytest.mark.assets
def test_the_real_net_is_known(real):
    assert real.preset == PRESETS["liteavatar384"]
    assert real.batch == 1
    assert real.micro_batch == 1


@pytest.mark.assets
@pytest.mark.parametrize("count", [1, 8, 25])
def test_requests_of_the_real_net_equal_single_runs(real, assets, count):
    visual, params = real_inputs(assets, count)
    out = real.infer(visual, params)
    for i in {0, count // 2, count - 1}:
        single = real.run({"image": visual[i : i + 1], "params": params[i : i + 1]})["output"]
        assert (out[i] == single[0]).all()
    if count > 1:
        assert np.abs(out[0] - out[-1]).max() > 0.01


@pytest.mark.assets
def test_a_truncated_real_net(tmp_path, assets):
    path = tmp_path / "net.onnx"
    path.write_bytes((assets / "models" / "liteavatar384.onnx").read_bytes()[:500_000])
    with pytest.raises(ModelError, match="not an ONNX model, or cut short"):
        Generator(path)


# ---- memory -------------------------------------------------------------------------------


def warm_call(net):
    """Warm up with requests of each size, pooled and own memory; return a function to repeat."""
    pool = BufferPool()
    requests = []
    for count in (8, 25):
        visual = pool.empty((count, *WAV2LIP.visual_shape), "float32")
        audio = pool.empty((count, *WAV2LIP.audio_shape), "float32")
        visual[...], audio[...] = inputs_for(WAV2LIP, count)
        requests.append((visual, audio, pool.empty((count, 3, 96, 96), "float32")))

    def call():
        for visual, audio, out in requests:
            net.infer(visual, audio, out=out)
            net.infer(visual, audio)

    for _ in range(3):
        call()
    return call


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_a_warm_call_allocates_no_large_block(tmp_path, batch):
    memray = pytest.importorskip("memray")
    net = Generator(summing_generator(tmp_path / "net.onnx", batch))
    call = warm_call(net)
    record = tmp_path / "record.bin"
    with memray.Tracker(record, native_traces=False):
        for _ in range(5):
            call()
    with memray.FileReader(record) as reader:
        large = [r for r in reader.get_allocation_records() if r.size >= BIG]
    assert not large


def test_a_warm_call_is_small_in_python(generator):
    call = warm_call(generator)
    tracemalloc.start()
    try:
        call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BIG


@pytest.mark.parametrize("name", ["constants", "options", "pool"])
def test_arguments_of_another_type_are_named(tmp_path, name):
    path = summing_generator(tmp_path / "net.onnx")
    with pytest.raises(ArgumentTypeError, match=f"{name} must be of type .*, got int"):
        Generator(path, **{name: 5})
