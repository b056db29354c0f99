"""Tiny ONNX models in the exact contracts of the presets, for tests."""

import numpy as np
import pytest

from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.presets import get_preset
from tests.support import reference

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
WAV2LIP = get_preset("wav2lip96")


def save(path, nodes, inputs, outputs, constants=(), *, kinds=(), versions=(17, 9), checked=True):
    """Write a model.

    Inputs and outputs are (name, shape) pairs, float32 unless `kinds` names another type. The
    versions are those of opset and IR.
    """
    kinds, (opset, ir) = dict(kinds), versions
    sides = [
        [helper.make_tensor_value_info(n, kinds.get(n, FLOAT), shape) for n, shape in side]
        for side in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in constants]
    graph = helper.make_graph(nodes, "tiny", *sides, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir
    if checked:
        onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def save_generator(path, preset, batch, nodes, constants, further=()):
    """A model with the preset's two inputs, further ones, and an output called `output`."""
    inputs = [
        (preset.image_input, (batch, *preset.visual_shape)),
        (preset.audio_input, (batch, *preset.audio_shape)),
        *further,
    ]
    return save(path, nodes, inputs, [("output", (batch, 3, preset.view, preset.view))], constants)


def relu(path, **options):
    """The smallest model: x (N, 3) to y, negative numbers set to 0."""
    return save(
        path,
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", ("N", 3))],
        [("y", ("N", 3))],
        **options,
    )


def reference_and_mean(preset):
    """Nodes and constants that make `reference` of the picture and `mean` (N, 1) of the hearing."""
    first = 3 * preset.visual.split("+").index("reference")
    nodes = [
        helper.make_node("Slice", [preset.image_input, "first", "last", "channel"], ["reference"]),
        helper.make_node("Flatten", [preset.audio_input], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
    ]
    constants = [
        ("first", ints(first)),
        ("last", ints(first + 3)),
        ("channel", ints(1)),
        ("apart", ints(-1, 1, 1, 1)),
        ("low", np.array(preset.low, np.float32)),
        ("high", np.array(preset.high, np.float32)),
    ]
    return nodes, constants


def tiny_generator(path, preset, batch="batch"):
    """The reference picture, shifted by the mean of the audio: a model whose output is known.

    output = clip(reference + 0.05 mean(audio), low, high)
    """
    nodes, constants = reference_and_mean(preset)
    nodes += [
        helper.make_node("Mul", ["mean", "gain"], ["shift"]),
        helper.make_node("Reshape", ["shift", "apart"], ["shifts"]),
        helper.make_node("Add", ["reference", "shifts"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["output"]),
    ]
    constants.append(("gain", np.array(0.05, np.float32)))
    return save_generator(path, preset, batch, nodes, constants)


def drifting_generator(path, preset, batch="batch"):
    """The reference picture in colours that are wrong, sloped, and move with the hearing.

    output = clip(reference + drift (1 + 0.1 mean(audio)), low, high)
    """
    nodes, constants = reference_and_mean(preset)
    nodes += [
        helper.make_node("Mul", ["mean", "tenth"], ["small"]),
        helper.make_node("Add", ["small", "one"], ["gain"]),
        helper.make_node("Reshape", ["gain", "apart"], ["gains"]),
        helper.make_node("Mul", ["gains", "drift"], ["moved"]),
        helper.make_node("Add", ["reference", "moved"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["output"]),
    ]
    constants += [
        ("tenth", np.array(0.1, np.float32)),
        ("one", np.array(1, np.float32)),
        ("drift", reference.drift(preset)[None]),
    ]
    return save_generator(path, preset, batch, nodes, constants)


# Constants of the model below, for a Slice that leaves the reference's planes.
REFERENCE = (("three", np.array([3])), ("six", np.array([6])), ("one", np.array([1])))


def summing_generator(path, batch="N", *, side=96, mel=(1, 80, 16), kind=FLOAT, weighted=False):
    """Of wav2lip's contract: the reference plus the mel's mean, times `weight` if there is one."""
    nodes = [
        helper.make_node("Slice", ["video_frames", "three", "six", "one"], ["reference"]),
        helper.make_node("ReduceMean", ["mel_spectrogram"], ["mean"], axes=[1, 2, 3], keepdims=1),
    ]
    inputs = [("video_frames", (batch, 6, side, side)), ("mel_spectrogram", (batch, *mel))]
    level = "mean"
    if weighted:
        level = "level"
        nodes.append(helper.make_node("Mul", ["mean", "weight"], [level]))
        inputs.append(("weight", (1,)))
    nodes.append(helper.make_node("Add", ["reference", level], ["predicted_frames"]))
    outputs = [("predicted_frames", (batch, 3, side, side))]
    kinds = {name: kind for name, _ in (*inputs, *outputs)}
    return save(path, nodes, inputs, outputs, REFERENCE, kinds=kinds)


def summed(visual, audio):
    """What `summing_generator` draws of a request."""
    return visual[:, 3:] + audio.mean((1, 2, 3), dtype=np.float64)[:, None, None, None]


def inputs_for(preset, count, seed=0):
    """A random request: planes and feature windows."""
    draw = np.random.default_rng(seed)
    return (
        draw.random((count, *preset.visual_shape), np.float32),
        draw.random((count, *preset.audio_shape), np.float32),
    )


def crops_for(preset, count=5):
    """Random crops of a template."""
    draw = np.random.default_rng(4)
    return draw.integers(0, 256, (count, preset.crop, preset.crop, 3), dtype=np.uint8)


def sounds_for(preset, count):
    """Random feature windows."""
    draw = np.random.default_rng(5)
    return draw.standard_normal((count, *preset.audio_shape)).astype(np.float32)


def open_resident(path, preset=WAV2LIP, crops=None, **options):
    """Open the model with random crops, or the given ones."""
    crops = crops_for(preset) if crops is None else crops
    return ResidentGenerator(path, crops, preset, **options)


def read_only(array):
    """Return the array itself, now read-only."""
    array.flags.writeable = False
    return array


def mixing_generator(path, preset, batch="batch"):
    """A random mixture of all planes, shifted by a random projection of the hearing.

    Every plane, every number heard and every constant of the preset counts in the output.
    """
    draw = np.random.default_rng(5)
    planes, heard = preset.channels, int(np.prod(preset.audio_shape))
    mixture = draw.uniform(-0.1, 0.1, (3, planes, 1, 1)).astype(np.float32)
    for plane in range(planes):
        mixture[plane % 3, plane] += 1.5 / planes
    constants = [
        ("mixture", mixture),
        ("hearing", draw.normal(0, 0.3 / np.sqrt(heard), (heard, 3)).astype(np.float32)),
        ("apart", ints(-1, 3, 1, 1)),
        ("low", np.array(preset.low, np.float32)),
        ("high", np.array(preset.high, np.float32)),
    ]
    nodes = [
        helper.make_node("Conv", [preset.image_input, "mixture"], ["seen"], kernel_shape=[1, 1]),
        helper.make_node("Flatten", [preset.audio_input], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "hearing"], ["heard"]),
    ]
    level = "heard"
    for name, _ in preset.constants:
        nodes.append(helper.make_node("Mul", [level, name], [f"{level}_{name}"]))
        level = f"{level}_{name}"
    nodes += [
        helper.make_node("Reshape", [level, "apart"], ["shift"]),
        helper.make_node("Add", ["seen", "shift"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["output"]),
    ]
    further = [(name, (len(value),)) for name, value in preset.constants]
    return save_generator(path, preset, batch, nodes, constants, further)


def tiny_hubert(path):
    """Sound (1, n) to (1, (n - 80) // 320, 1024): HuBERT's steps, a random projection of each."""
    weights = np.random.default_rng(6).normal(0, 0.05, (1024, 1, 400)).astype(np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "weights"], ["steps"], strides=[320]),
        helper.make_node("Transpose", ["steps"], ["last_hidden_state"], perm=[0, 2, 1]),
    ]
    return save(
        path,
        nodes,
        [("input_values", (1, "samples"))],
        [("last_hidden_state", (1, "frames", 1024))],
        [("weights", weights), ("one", ints(1))],
    )


def tiny_wenet(path, steps=67, width=512):
    """Wenet's streaming encoder: a random projection of the steps, its state added."""
    draw = np.random.default_rng(8)
    nodes = [
        helper.make_node("Flatten", ["chunk"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "hearing"], ["heard"]),
        helper.make_node("Reshape", ["heard", "rows"], ["column"]),
        helper.make_node("Mul", ["column", "spread"], ["wide"]),
        helper.make_node("Cast", ["offset"], ["place"], to=FLOAT),
        helper.make_node("ReduceSum", ["att_cache"], ["att"], keepdims=0),
        helper.make_node("ReduceSum", ["cnn_cache"], ["cnn"], keepdims=0),
        helper.make_node("Sum", ["wide", "place", "att", "cnn"], ["output"]),
    ]
    inputs = [
        ("chunk", (1, 1, steps, 80)),
        ("offset", (1,)),
        ("att_cache", (3, 8, 16, 128)),
        ("cnn_cache", (3, 1, 512, 14)),
    ]
    constants = [
        ("hearing", draw.normal(0, 0.02, (steps * 80, 16)).astype(np.float32)),
        ("rows", ints(1, 16, 1)),
        ("spread", draw.normal(0, 1, (1, 1, width)).astype(np.float32)),
    ]
    outputs = [("output", (1, 16, width))]
    return save(path, nodes, inputs, outputs, constants, kinds={"offset": INT64})


def tiny_encoder(path, batch="batch"):
    """Mel windows (N, 1, 80, 16) to 512 features: a fixed random projection."""
    weights = np.random.default_rng(0).normal(0, 0.02, (1280, 512)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["mel_spectrogram"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["audio_features"]),
    ]
    return save(
        path,
        nodes,
        [("mel_spectrogram", (batch, 1, 80, 16))],
        [("audio_features", (batch, 512))],
        [("weights", weights)],
    )


def ints(*values):
    """A tensor of int64, as shapes and axes are."""
    return np.array(values, np.int64)


def exported_generator(path, preset, batch=1):
    """A model as exported for a fixed batch: a dozen constants hold the batch.

    The picture is convolved at a quarter of its size, the hearing goes through a layer and is
    laid over it, together with a map that is the same for every frame.
    """
    draw = np.random.default_rng(3)
    side, quarter, heard = preset.view, preset.view // 4, int(np.prod(preset.audio_shape))

    def f32(*shape, spread=0.2):
        return draw.normal(0, spread, shape).astype(np.float32)

    image, audio = preset.image_input, preset.audio_input
    nodes = [
        helper.make_node("Conv", [image, "w1"], ["seen"], strides=[4, 4], kernel_shape=[4, 4]),
        helper.make_node("Reshape", [audio, "flat"], ["heard"]),
        helper.make_node("Gemm", ["heard", "w2"], ["code"], transB=1),
        helper.make_node("Tanh", ["code"], ["level"]),
        helper.make_node("Reshape", ["level", "as_picture"], ["small"]),
        helper.make_node("Expand", ["small", "as_map"], ["level_map"]),
        helper.make_node("Mul", ["seen", "level_map"], ["both"]),
        helper.make_node("Slice", ["both", "zero", "batch_end", "batch_axis"], ["all"]),
        # (N·4, h, w) and back, as attention and grouped layers do
        helper.make_node("Reshape", ["all", "merged"], ["groups"]),
        helper.make_node("Relu", ["groups"], ["positive"]),
        helper.make_node("Reshape", ["positive", "apart"], ["back"]),
        helper.make_node(
            "Concat", ["back", "place"] if batch == 1 else ["back", "all"], ["joined"], axis=1
        ),
        helper.make_node("Conv", ["joined", "w3"], ["mixed"], kernel_shape=[1, 1]),
        helper.make_node("Resize", ["mixed", "", "", "sizes"], ["large"], mode="linear"),
        helper.make_node("Sigmoid", ["large"], ["output"]),
    ]
    constants = [
        ("w1", f32(4, preset.channels, 4, 4)),
        ("flat", ints(batch, -1) if batch == 1 else ints(batch, heard)),
        ("w2", f32(4, heard, spread=heard**-0.5)),
        ("as_picture", ints(batch, 4, 1, 1)),
        ("as_map", ints(batch, 4, quarter, quarter)),
        ("zero", ints(0)),
        ("batch_end", ints(batch)),
        ("batch_axis", ints(0)),
        ("merged", ints(batch * 4, quarter, quarter)),
        ("apart", ints(batch, 4, quarter, quarter)),
        ("place", f32(1, 4, quarter, quarter)),
        ("w3", f32(3, 8, 1, 1, spread=0.7)),
        ("sizes", ints(batch, 3, side, side)),
    ]
    return save(
        path,
        nodes,
        [(image, [batch, *preset.visual_shape]), (audio, [batch, *preset.audio_shape])],
        [("output", [batch, 3, side, side])],
        constants,
    )


def old_opset(path):
    """ReduceMean and Add are the same in opset 9; Slice is not."""
    return save(
        path,
        [
            helper.make_node("Slice", ["video_frames"], ["r"], axes=[1], starts=[3], ends=[6]),
            helper.make_node("ReduceMean", ["mel_spectrogram"], ["m"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Add", ["r", "m"], ["predicted_frames"]),
        ],
        [
            ("video_frames", ("N", *WAV2LIP.visual_shape)),
            ("mel_spectrogram", ("N", *WAV2LIP.audio_shape)),
        ],
        [("predicted_frames", ("N", 3, 96, 96))],
        versions=(9, 9),
    )
