"""Build a generator of SyncTalk_2D's size with random weights, for measurements.

The model is our own: a U-Net of inverted residuals with 32 to 512 channels at 320x320, audio
features joined at its bottleneck, sigmoid at its end. It costs as much as real ones and draws
noise. The same arguments give the same bytes.

    python -m benchmarks.support.build_unet unet.onnx
    python -m benchmarks.support.build_unet unet1.onnx --batch 1
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = (32, 64, 128, 256, 512)
EXPAND = 2  # hidden channels of an inverted residual over its input's
AUDIO_SHAPE = (32, 16, 16)  # one `ave` feature window
OPSET = 17
IR_VERSION = 8  # the oldest that opset 17 allows: old runtimes load it too


class Graph:
    """Nodes and weights of a model under construction, whose values go by name."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def convolve(
        self, x: str, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1,
        groups: int = 1, relu: bool = True, gain: float = 2.0,
    ) -> str:  # fmt: skip
        """Add a convolution with bias, as if its batch norm were folded in; keep the variance."""
        fan_in = inputs // groups * kernel * kernel
        shape = (outputs, inputs // groups, kernel, kernel)
        kernels = self.rng.standard_normal(shape, np.float32) * np.float32((gain / fan_in) ** 0.5)
        bias = self.rng.standard_normal(outputs, np.float32) * np.float32(0.01)
        x = self.node(
            "Conv",
            x,
            self.weight(kernels),
            self.weight(bias),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            group=groups,
        )
        return self.node("Relu", x) if relu else x

    def inverted_residual(self, x: str, inputs: int, outputs: int, stride: int = 1) -> str:
        """Add 1x1 up, 3x3 depthwise, 1x1 down, and add the input if the shapes allow."""
        hidden = EXPAND * inputs
        y = self.convolve(x, inputs, hidden)
        y = self.convolve(y, hidden, hidden, kernel=3, stride=stride, groups=hidden)
        residual = stride == 1 and inputs == outputs
        # A residual with full gain would double the variance at each block.
        y = self.convolve(y, hidden, outputs, relu=False, gain=0.1 if residual else 1.0)
        return self.node("Add", x, y) if residual else y

    def pair(self, x: str, inputs: int, outputs: int, stride: int = 1) -> str:
        x = self.inverted_residual(x, inputs, outputs, stride)
        return self.inverted_residual(x, outputs, outputs)

    def enlarge(self, x: str, scale: float) -> str:
        scales = self.weight(np.array([1, 1, scale, scale], np.float32))
        return self.node(
            "Resize", x, "", scales, mode="linear", coordinate_transformation_mode="align_corners"
        )


def audio_branch(graph: Graph, channels: int, side: int) -> str:
    """Turn the feature window into `channels` planes of side x side."""
    planes, rows, _ = AUDIO_SHAPE
    x = "audio"
    for width in (channels // 8, channels // 4, channels // 2):
        x = graph.convolve(x, planes, width, kernel=3)
        x = graph.inverted_residual(x, width, width)
        planes = width
    x = graph.convolve(x, planes, channels, kernel=3)
    return graph.enlarge(x, side / rows)


def build(
    side: int = 320,
    channels: Sequence[int] = CHANNELS,
    batch: int | None = None,
    seed: int = 20,
) -> onnx.ModelProto:
    """Build the model.

    Parameters
    ----------
    side : int
        Of the view, in pixels; a multiple of ``2 ** (len(channels) - 1)``.
    channels : sequence of int
        Of each level, from the finest; multiples of 8.
    batch : int, optional
        A fixed batch; any by default.
    seed : int
        Of the weights.

    Returns
    -------
    onnx.ModelProto
        Inputs ``input`` (N, 6, side, side) and ``audio`` (N, 32, 16, 16), output ``output``
        (N, 3, side, side) in 0..1; float32.
    """
    halvings = len(channels) - 1
    if side % (1 << halvings) or any(c % 8 for c in channels):
        raise ValueError(f"side must be a multiple of {1 << halvings}, channels of 8")
    graph = Graph(seed)
    levels = [graph.inverted_residual("input", 6, channels[0])]
    for below, above in zip(channels[1:], channels, strict=False):
        levels.append(graph.pair(levels[-1], above, below, stride=2))
    deepest = channels[-1]
    audio = audio_branch(graph, deepest, side >> halvings)
    x = graph.node("Concat", levels.pop(), audio, axis=1)
    x = graph.pair(x, 2 * deepest, deepest)
    x = graph.pair(x, deepest, channels[-2])
    # On the way up, a level ends with the channels of the next skip, so both weigh the same.
    for skip, following in zip(channels[-2::-1], [*channels[-3::-1], channels[0]], strict=True):
        x = graph.node("Concat", graph.enlarge(x, 2.0), levels.pop(), axis=1)
        x = graph.pair(x, 2 * skip, following)
    width = channels[0]
    x = graph.convolve(x, width, 3, relu=False, gain=1.0)
    graph.nodes.append(helper.make_node("Sigmoid", [x], ["output"]))
    n = "N" if batch is None else batch
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "unet",
            [
                helper.make_tensor_value_info("input", TensorProto.FLOAT, [n, 6, side, side]),
                helper.make_tensor_value_info("audio", TensorProto.FLOAT, [n, *AUDIO_SHAPE]),
            ],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, [n, 3, side, side])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="lipsync_fast benchmarks",
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("path", help="the ONNX file to write")
    parser.add_argument("--batch", type=int, help="a fixed batch (default: any)")
    parser.add_argument("--seed", type=int, default=20, help="of the weights (default: 20)")
    options = parser.parse_args()
    model = build(batch=options.batch, seed=options.seed)
    onnx.save(model, options.path)
    weights = sum(int(np.prod(w.dims)) for w in model.graph.initializer)
    print(f"{options.path}: {weights / 1e6:.1f} million weights, {model.ByteSize() / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
