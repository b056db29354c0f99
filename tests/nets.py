"""Tiny ONNX nets in the exact contracts of the presets, for tests."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT = TensorProto.FLOAT


def save(path, nodes, inputs, outputs, constants=(), opset=17):
    """Write a model; inputs and outputs are (name, shape) pairs."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def tiny_generator(path, preset, batch="batch"):
    """The reference picture, shifted by the mean of the audio: a net whose output is known.

    output = clip(reference + 0.05 mean(audio), low, high)
    """
    visual, audio = preset.image_input, preset.audio_input
    first = 3 * preset.visual.split("+").index("reference")
    nodes = [
        helper.make_node("Slice", [visual, "first", "last", "channel"], ["reference"]),
        helper.make_node("Flatten", [audio], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "gain"], ["shift"]),
        helper.make_node("Reshape", ["shift", "apart"], ["shifts"]),
        helper.make_node("Add", ["reference", "shifts"], ["sum"]),
        helper.make_node("Clip", ["sum", "low", "high"], ["output"]),
    ]
    constants = [
        ("first", np.array([first], np.int64)),
        ("last", np.array([first + 3], np.int64)),
        ("channel", np.array([1], np.int64)),
        ("gain", np.array(0.05, np.float32)),
        ("apart", np.array([-1, 1, 1, 1], np.int64)),
        ("low", np.array(preset.low, np.float32)),
        ("high", np.array(preset.high, np.float32)),
    ]
    return save(
        path,
        nodes,
        [(visual, (batch, *preset.visual_shape)), (audio, (batch, *preset.audio_shape))],
        [("output", (batch, 3, preset.view, preset.view))],
        constants,
    )


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
