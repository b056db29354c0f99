"""ONNX files: reading, writing, and the shapes and types of their tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import FileMissingError, MissingExtraError, ModelError

__all__ = [
    "ModelFacts",
    "axes_of",
    "constants_of",
    "describe",
    "load_onnx",
    "read_model",
    "tensor_shapes",
    "write_model",
]

BIG = 1024  # numbers; tensors that describe a shape are shorter

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ModelFacts:
    """Facts from an ONNX file's own header and graph.

    Attributes
    ----------
    opset : int
        Version of the plain operators.
    ir_version : int
    producer : str
        The tool that wrote it, with its version; empty if unknown.
    nodes, parameters : int
        Number of operators, and of numbers in the weights.
    precision : dict of str to int
        Bytes of the weights by dtype, largest first.
    """

    opset: int
    ir_version: int
    producer: str
    nodes: int
    parameters: int
    precision: dict[str, int]


def load_onnx() -> Any:
    """Import the onnx package.

    Raises
    ------
    MissingExtraError
        onnx is not installed.
    """
    try:
        import onnx
        import onnx.shape_inference

        onnx.load  # noqa: B018  an uninstalled package may leave its folder
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            'changing models needs onnx; pip install "lipsync_fast[models]"'
        ) from error
    return onnx


def read_model(path: str | Path) -> Any:
    """Read a model with its weights; import each operator set once and name each node.

    Raises
    ------
    MissingExtraError, FileMissingError
    ModelError
        The file is not an ONNX model or is damaged.
    """
    onnx = load_onnx()
    path = Path(path)
    if not path.exists():
        raise FileMissingError(f"{path}: no such file; give the path of an ONNX model")
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; give the path of an ONNX model")
    try:
        model = onnx.load(str(path))
        whole = bool(model.graph.node) and bool(model.opset_import)
    except Exception as error:  # protobuf's and onnx's exceptions share no narrower base
        raise ModelError(f"{path}: {_unreadable(error)}") from error
    if not whole:
        raise ModelError(f"{path}: {_unreadable(None)}")
    _import_once(model)
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
    return model


def _unreadable(error: Exception | None) -> str:
    if isinstance(error, FileNotFoundError):
        return "its weights are in another file, which is missing; put that file beside it"
    return "not an ONNX model, or cut short; check the file, fetch or export it again"


def _import_once(model: Any) -> None:
    """Keep the newest of each operator set: merging tools list some twice, others refuse that."""
    newest: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        newest[domain] = max(newest.get(domain, 0), entry.version)
    del model.opset_import[:]
    onnx = load_onnx()
    model.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in newest.items())


def opset_of(model: Any) -> int:
    """Return the version of the plain operators; 0 if the model imports none."""
    return max((e.version for e in model.opset_import if e.domain == ""), default=0)


def write_model(model: Any, path: Path) -> None:
    """Write a model with its weights inside.

    Raises
    ------
    ModelError
        The model is larger than 2 GB.
    """
    try:
        data = model.SerializeToString()
    except Exception as error:  # protobuf's ways of saying "too large" differ by version
        raise ModelError(f"{path}: models larger than 2 GB are not supported") from error
    path.write_bytes(data)


def describe(path: str | Path) -> ModelFacts:
    """Read the facts of an ONNX file without running it.

    Raises
    ------
    MissingExtraError, FileMissingError, ModelError
        As `make_batch_dynamic`.
    """
    onnx = load_onnx()
    model = read_model(path)
    count: Counter[str] = Counter()
    numbers = 0
    for tensor in _weights(model):
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        size = int(np.prod(tensor.dims, dtype=np.int64))
        numbers += size
        count[dtype.name] += size * dtype.itemsize
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return ModelFacts(
        opset_of(model), model.ir_version, producer, len(model.graph.node), numbers,
        dict(count.most_common()),
    )  # fmt: skip


def _weights(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            yield from (a.t for a in node.attribute if a.name == "value")


def constants_of(model: Any) -> dict[str, NDArray[Any]]:
    """Return the model's short constants (shapes, axes, scales) by name."""
    to_array = load_onnx().numpy_helper.to_array
    found = {t.name: to_array(t) for t in model.graph.initializer if np.prod(t.dims) < BIG}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for a in node.attribute:
                if a.name == "value" and np.prod(a.t.dims) < BIG:
                    found[node.output[0]] = to_array(a.t)
                elif a.name == "value_ints":
                    found[node.output[0]] = np.array(a.ints, np.int64)
        elif node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def real_inputs(graph: Any) -> list[Any]:
    """Return the inputs that a caller gives; old models list their weights among them."""
    weights = {t.name for t in graph.initializer}
    return [i for i in graph.input if i.name not in weights]


def axes_of(value: Any) -> tuple[int | str | None, ...]:
    """Return the axes of a value as ONNX Runtime reports them: numbers, names, or None."""
    return tuple(
        axis.dim_value if axis.HasField("dim_value") else (axis.dim_param or None)
        for axis in value.type.tensor_type.shape.dim
    )


def skeleton(model: Any) -> Any:
    """Return the model with its long weights turned into inputs: enough to infer shapes."""
    onnx = load_onnx()
    bare = onnx.ModelProto()
    bare.ir_version = model.ir_version
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.name = "skeleton"
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    listed = {i.name for i in model.graph.input}
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims) < BIG:
            bare.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            bare.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    for output in model.graph.output:
        value = bare.graph.output.add(name=output.name)
        value.type.tensor_type.elem_type = output.type.tensor_type.elem_type
    return bare


def infer(bare: Any) -> Any:
    """Return the skeleton's graph with all inferred shapes and types.

    Raises
    ------
    ModelError
        The graph is invalid.
    """
    try:
        return load_onnx().shape_inference.infer_shapes(bare, data_prop=True).graph
    except Exception as error:  # onnx raises RuntimeError, ValueError and its own
        raise ModelError(
            f"its shapes cannot be inferred: {' '.join(str(error).split())}"
        ) from error


def tensor_shapes(graph: Any) -> dict[str, Shape]:
    """Return the shape of every tensor whose axes are all numbers."""
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in kind.shape.dim)
    return shapes


def tensor_types(graph: Any) -> dict[str, int]:
    """Return the known element types, as onnx numbers them, by tensor."""
    types = {t.name: t.data_type for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.elem_type:
            types[value.name] = value.type.tensor_type.elem_type
    return types
