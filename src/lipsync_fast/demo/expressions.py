"""ONNX graphs written as formulas, only for the script that builds the demo's models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import MissingExtraError

if TYPE_CHECKING:
    import onnx

__all__ = ["Graph", "Value"]

OPSET, IR_VERSION = 16, 8  # GridSample came with opset 16; both load in ONNX Runtime 1.11


class Value:
    """A tensor of a graph being written; arithmetic on it adds nodes."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Operand) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.op("Div", self, other)

    def __neg__(self) -> Value:
        return self.graph.op("Neg", self)

    def __matmul__(self, other: Operand) -> Value:
        return self.graph.op("MatMul", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self.graph.op("Greater", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def clip(self, low: float = 0.0, high: float = 1.0) -> Value:
        """Return the value limited to low..high."""
        return self.graph.op("Clip", self, low, high)

    def relu(self) -> Value:
        """Return the value if it is positive, else 0."""
        return self.graph.op("Relu", self)

    def smoothstep(self) -> Value:
        """Return 0 below 0, 1 above 1, and a smooth step between."""
        t = self.clip()
        return t * t * (3.0 - t * 2.0)

    def total(self, *axes: int) -> Value:
        """Sum over axes, which keep the length 1."""
        return self.graph.op("ReduceSum", self, np.array(axes, np.int64), keepdims=1)

    def part(self, axis: int, begin: int, end: int) -> Value:
        """Return the elements [begin, end) of an axis."""
        bounds = (np.array([v], np.int64) for v in (begin, end, axis))
        return self.graph.op("Slice", self, *bounds)

    def window(self, box: tuple[int, int, int, int]) -> Value:
        """Cut the box (x0, y0, x1, y1), half-open, out of pictures (N, C, H, W)."""
        return self.part(2, box[1], box[3]).part(3, box[0], box[2])

    def padded(self, box: tuple[int, int, int, int], width: int, height: int) -> Value:
        """Put pictures cut by `window` back in their place, with zeros around them."""
        x0, y0, x1, y1 = box
        pads = np.array([0, 0, y0, x0, 0, 0, height - y1, width - x1], np.int64)
        return self.graph.op("Pad", self, pads)


Operand = Value | ArrayLike


class Graph:
    """Collect the nodes and constants of one model.

    Parameters
    ----------
    name, doc : str
        Name of the model and the text that it carries.

    Raises
    ------
    MissingExtraError
        The package ``onnx`` is not installed.
    """

    def __init__(self, name: str, doc: str) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError(
                'building the demo\'s models needs onnx; run `pip install "lipsync_fast[dev]"`'
            ) from error
        self.onnx = onnx
        self.name, self.doc = name, doc
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[bytes, tuple[int, ...], str], onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []

    def _description(self, name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        kind = self.onnx.TensorProto.FLOAT
        return self.onnx.helper.make_tensor_value_info(name, kind, ["batch", *shape])

    def input(self, name: str, shape: Sequence[int]) -> Value:
        """Add a float32 input with a free batch axis in front of `shape`."""
        self.inputs.append(self._description(name, shape))
        return Value(self, name)

    def constant(self, value: ArrayLike) -> Value:
        """Add a constant; floats become float32, equal constants are stored once."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (array.tobytes(), array.shape, array.dtype.str)
        if key not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.constants[key] = self.onnx.numpy_helper.from_array(array, name)
        return Value(self, self.constants[key].name)

    def op(self, kind: str, *operands: Operand, **attributes: Any) -> Value:
        """Add a node of one output."""
        values = [v if isinstance(v, Value) else self.constant(v) for v in operands]
        name = f"{kind.lower()}_{len(self.nodes)}"
        node = self.onnx.helper.make_node(kind, [v.name for v in values], [name], **attributes)
        self.nodes.append(node)
        return Value(self, name)

    def model(self, output: Value, name: str, shape: Sequence[int]) -> onnx.ModelProto:
        """Return the finished model with one float32 output."""
        helper = self.onnx.helper
        self.nodes.append(helper.make_node("Identity", [output.name], [name]))
        graph = helper.make_graph(
            self.nodes,
            self.name,
            self.inputs,
            [self._description(name, shape)],
            [*self.constants.values()],
            self.doc,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model: onnx.ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION
        )
        model.producer_name, model.producer_version = "lipsync_fast demo", ""
        self.onnx.checker.check_model(model, full_check=True)
        return model
