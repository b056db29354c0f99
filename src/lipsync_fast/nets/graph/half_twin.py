"""The float32 twin of a float16 model: rounds where a GPU would.

ONNX Runtime has few float16 operators on the CPU: it computes in float32 and drops the
rounding between two nodes, so the model itself looks better on the CPU than it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import onnx_file

__all__ = ["rounding_twin"]


def rounding_twin(model: Any) -> Any:
    """Build a float32 model that rounds to float16 each tensor that `model` keeps in float16.

    Parameters
    ----------
    model : ModelProto
        Float16 inside, float32 at the borders.

    Returns
    -------
    ModelProto
        Fresh, with the same inputs and outputs.
    """
    onnx = onnx_file.load_onnx()
    half = onnx.TensorProto.FLOAT16
    types = onnx_file.tensor_types(onnx_file.infer(onnx_file.skeleton(model)))
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    for tensor in twin.graph.initializer:
        _widen(onnx, tensor)
    del twin.graph.node[:]
    for node in model.graph.node:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        for attribute in made.attribute:
            if attribute.name == "value":
                _widen(onnx, attribute.t)
            elif attribute.name == "to" and attribute.i == half:
                attribute.i = onnx.TensorProto.FLOAT
        rounded = [i for i, name in enumerate(node.output) if types.get(name) == half]
        for i in rounded:
            made.output[i] = f"{node.output[i]}_exact"
        twin.graph.node.append(made)
        for i in rounded:
            twin.graph.node.extend(_rounding(onnx, node.output[i]))
    return twin


def _widen(onnx: Any, tensor: Any) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT16:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _rounding(onnx: Any, name: str) -> Iterator[Any]:
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    yield onnx.helper.make_node("Cast", [f"{name}_exact"], [f"{name}_rounded"], to=half)
    yield onnx.helper.make_node("Cast", [f"{name}_rounded"], [name], to=full)
