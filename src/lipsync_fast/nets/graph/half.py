"""Half precision inside, full precision at the borders.

A GPU multiplies float16 two to eight times as fast and reads half the bytes; sessions and
callers keep float32. A node runs in float16 where its operator's definition allows it and
its arithmetic tolerates it; Cast nodes join the two.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import kernels
from ...errors import InputError, ModelError
from ...files.part import atomic_write
from ...files.targets import check_file
from ...presets import Preset, find_preset
from ..net import Net
from . import onnx_file
from .half_twin import rounding_twin
from .proof import open_reference, probe_feeds

__all__ = ["HalfError", "make_half"]

_log = logging.getLogger(__name__)

MOST = 4  # levels of 255 by which any number of the picture may differ
NEAR, NEAR_SHARE = 1, 0.999  # this share of the numbers may differ by at most NEAR levels

# Sums over a whole picture lose their last digits in float16, and squares overflow above 255.
FULL_PRECISION = {
    "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LpNormalization",
    "MeanVarianceNormalization", "ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd", "GlobalAveragePool",
    "Pow", "Exp", "Softmax", "LogSoftmax", "CumSum", "Range", "QuantizeLinear",
    "DequantizeLinear", "RandomNormal", "RandomUniform", "RandomNormalLike",
    "RandomUniformLike", "Multinomial", "EyeLike",
}  # fmt: skip


@dataclass(frozen=True)
class HalfError:
    """Difference of pictures from those of full precision, in levels of 255.

    Attributes
    ----------
    most : int
        Largest difference.
    near : float
        Share of the numbers that differ by at most one level, 0 to 1.
    """

    most: int
    near: float

    def __str__(self) -> str:
        return f"max {self.most} levels, {100 * self.near:.3f} % within 1"


def make_half(
    src: str | Path,
    dst: str | Path,
    *,
    probes: int = 4,
    inputs: Mapping[str, ArrayLike] | None = None,
) -> HalfError:
    """Convert the inside of a generator to float16, and measure what that changes.

    Parameters
    ----------
    src, dst : str or Path
        The ONNX file to read, and the one to write, under a temporary name until it is good
        enough: no number of a picture off by more than 4 levels of 255, 99.9 % by at most 1.
    probes : int
        Number of frames to measure.
    inputs : mapping of str to array, optional
        Real frames: arrays of `probes` or more rows by input name, instead of random
        numbers. No model was trained on random numbers; prefer real frames.

    Returns
    -------
    HalfError
        The measured difference.

    Raises
    ------
    MissingExtraError, FileMissingError, InputError
        As `make_batch_dynamic`.
    ModelError
        The file is not an ONNX model, contains loops or branches, is already in float16, has no
        picture output, or its pictures change too much: the message gives the figures.

    Notes
    -----
    Measured on the CPU with a float32 twin that rounds to float16 every tensor that the model
    stores in float16; sums inside an operator stay in float32, as on GPUs.
    """
    if probes < 1:
        raise InputError(f"probes must be 1 or more frames, got {probes}")
    src, dst = Path(src), check_file(dst, ModelError)
    model = onnx_file.read_model(src)
    try:
        _Halver(model).rewrite()
    except ModelError as error:
        raise ModelError(f"{src}: {error}") from error
    with atomic_write(dst) as part:
        try:
            onnx_file.write_model(rounding_twin(model), part)
            twin = open_reference(part)
            onnx_file.write_model(model, part)
            open_reference(part)
        except ModelError as error:
            what = str(error).removeprefix(f"{part}: ")
            raise ModelError(f"{src}: cannot be converted to float16: {what}") from error
        found = _measure(src, open_reference(src), twin, probes, inputs or {})
        if found.most > MOST or found.near < NEAR_SHARE:
            raise ModelError(
                f"{src}: float16 changes its pictures too much: {found}; needs max {MOST} and "
                f"{100 * NEAR_SHARE:.1f} %, measured on {'given' if inputs else 'random'} frames"
            )
    _log.info("%s: float16 inside, %s", dst, found)
    return found


class _Halver:
    """Rewrites one model, in place."""

    def __init__(self, model: Any) -> None:
        onnx = onnx_file.load_onnx()
        self._helper, self._to_array = onnx.helper, onnx.numpy_helper.to_array
        self._from_array, self._defs = onnx.numpy_helper.from_array, onnx.defs
        self._float, self._half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        self._graph_kinds = {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}
        self._graph, self._opset = model.graph, onnx_file.opset_of(model)
        self._types = onnx_file.tensor_types(onnx_file.infer(onnx_file.skeleton(model)))
        self._weights = {t.name: t for t in model.graph.initializer}
        # The types in which each float32 tensor is available: name by element type.
        self._at_hand: dict[str, dict[int, str]] = {}
        self._nodes: list[Any] = []
        self._new_weights: list[Any] = []

    def rewrite(self) -> None:
        """Choose a type for every node, and put casts between them."""
        if self._half in self._types.values():
            raise ModelError("contains float16 already")
        for value in onnx_file.real_inputs(self._graph):
            if self._types.get(value.name) == self._float:
                self._at_hand[value.name] = {self._float: value.name}
        results = {o.name for o in self._graph.output}
        for node in self._graph.node:
            self._rewrite_node(node, results)
        for name in results & self._at_hand.keys():
            self._deliver(name)
        used = {i for n in self._nodes for i in n.input} | results
        kept = [t for t in self._graph.initializer if t.name in used]
        inputs = onnx_file.real_inputs(self._graph)
        for field, items in (
            (self._graph.node, self._nodes),
            (self._graph.initializer, kept + self._new_weights),
            (self._graph.input, inputs),
            (self._graph.value_info, []),
        ):
            copies = [type(item).FromString(item.SerializeToString()) for item in items]
            del field[:]
            field.extend(copies)

    def _rewrite_node(self, node: Any, results: set[str]) -> None:
        if any(a.type in self._graph_kinds for a in node.attribute):
            raise ModelError(
                f"node {node.name} ({node.op_type}) contains a graph of its own; "
                "loops and branches cannot be converted to float16"
            )
        schema = self._schema(node)
        halves = schema is not None and node.op_type not in FULL_PRECISION
        wants = []
        for i, name in enumerate(node.input):
            may = halves and self._allows_half(schema.inputs, i)
            wants.append(self._half if may and self._is_float(name) else self._float)
        gives = [
            self._half if halves and self._allows_half(schema.outputs, i) else self._float
            for i in range(len(node.output))
        ]
        # Inputs that share one type in the operator's definition must stay of one type.
        if halves and self._is_float_maker(node):
            self._halve_attributes(node)
        for i, name in enumerate(node.input):
            if self._is_float(name):
                node.input[i] = self._get(name, wants[i])
        self._nodes.append(node)
        for i, name in enumerate(node.output):
            if name and self._is_float(name):
                stored = f"{name}_as_half" if gives[i] == self._half and name in results else name
                node.output[i] = stored
                self._at_hand[name] = {gives[i]: stored}

    # ---- types that an operator allows ---------------------------------------------------

    def _schema(self, node: Any) -> Any:
        """Return the operator's definition; None if it is not one of ONNX's own."""
        if node.domain not in ("", "ai.onnx"):
            return None
        try:
            return self._defs.get_schema(node.op_type, self._opset, "")
        except self._defs.SchemaError:
            return None

    @staticmethod
    def _allows_half(formals: Any, i: int) -> bool:
        """Tell whether parameter `i` of an operator takes float16; the last may stand for many."""
        if not formals:
            return False
        return "tensor(float16)" in formals[min(i, len(formals) - 1)].types

    def _is_float(self, name: str) -> bool:
        return bool(name) and self._types.get(name) == self._float

    def _is_float_maker(self, node: Any) -> bool:
        """Tell whether an attribute of the node makes its output float32."""
        return node.op_type in ("Constant", "ConstantOfShape", "Cast") and self._is_float(
            node.output[0]
        )

    def _halve_attributes(self, node: Any) -> None:
        for a in node.attribute:
            if node.op_type == "Cast" and a.name == "to":
                a.i = self._half
            elif a.name == "value" and a.t.data_type == self._float:
                a.t.CopyFrom(self._from_array(_as_half(self._to_array(a.t)), a.t.name))
            elif a.name in ("value_float", "value_floats"):
                numbers = np.array(a.f if a.name == "value_float" else list(a.floats), np.float32)
                tensor = self._from_array(_as_half(numbers))
                a.CopyFrom(self._helper.make_attribute("value", tensor))

    # ---- tensors in a requested type -------------------------------------------------------

    def _get(self, name: str, kind: int) -> str:
        """Return the name of a tensor in a type; add a cast if there is none yet."""
        at_hand = self._at_hand.setdefault(name, {self._float: name})
        if kind not in at_hand:
            at_hand[kind] = self._make(name, kind, at_hand)
        return at_hand[kind]

    def _make(self, name: str, kind: int, at_hand: Mapping[int, str]) -> str:
        made = f"{name}_{'half' if kind == self._half else 'full'}"
        if name in self._weights:
            array = _as_half(self._to_array(self._weights[name]))
            self._new_weights.append(self._from_array(array, made))
        else:
            (source,) = at_hand.values()
            self._nodes.append(self._helper.make_node("Cast", [source], [made], name=made, to=kind))
        return made

    def _deliver(self, name: str) -> None:
        """Make an output of the graph available in float32 under its own name."""
        at_hand = self._at_hand[name]
        if at_hand.get(self._float) != name:
            source = at_hand[self._half]
            self._nodes.append(
                self._helper.make_node("Cast", [source], [name], name=f"{name}_out", to=self._float)
            )


def _as_half(array: NDArray[Any]) -> NDArray[np.float16]:
    """Round to float16: clip numbers that are too large, and keep nonzero numbers nonzero."""
    limits = np.finfo(np.float16)
    half = np.clip(array, limits.min, limits.max).astype(np.float16)
    least = np.copysign(limits.smallest_subnormal, array).astype(np.float16)
    kept: NDArray[np.float16] = np.where((half == 0) & (array != 0), least, half)
    return kept


# ---- measuring -----------------------------------------------------------------------------


def _measure(
    src: Path, full: Net, half: Net, probes: int, given: Mapping[str, ArrayLike]
) -> HalfError:
    """Measure how the pictures of two models differ, frame by frame (or by fixed batches)."""
    sizes = [t.shape[0] for t in full.inputs.values() if len(t.shape) > 1]
    step = next((s for s in sizes if isinstance(s, int)), 1)
    count = -(-probes // step) * step
    frames, settings = probe_feeds(full, count, given)
    preset = _preset_of(full)
    most, near, numbers = 0, 0, 0
    for i in range(0, count, step):
        feeds = {n: a[i : i + step] for n, a in frames.items()} | settings
        old, new = full.run(feeds), half.run(feeds)
        name = _picture(src, old, preset)
        for a, b in zip(old[name], new[name], strict=True):
            difference = np.abs(_levels(a, preset).astype(int) - _levels(b, preset))
            most = max(most, int(difference.max()))
            near += int((difference <= NEAR).sum())
            numbers += difference.size
    return HalfError(most, near / numbers)


def _preset_of(net: Net) -> Preset | None:
    try:
        return find_preset(net.input_shapes)
    except ModelError:
        return None


def _picture(src: Path, outputs: Mapping[str, NDArray[Any]], preset: Preset | None) -> str:
    """Return the name of the output that is a picture (N, 3, S, S)."""
    for name, array in outputs.items():
        side = array.shape[-1] if array.ndim == 4 else 0
        if array.shape[1:] == (3, side, side) and (preset is None or side == preset.view):
            return name
    found = ", ".join(f"{n} {a.shape}" for n, a in outputs.items())
    raise ModelError(f"{src}: needs an output of shape (N,3,S,S), got {found}")


def _levels(planar: NDArray[np.float32], preset: Preset | None) -> NDArray[np.uint8]:
    low, high = (preset.low, preset.high) if preset else (0.0, 1.0)
    return kernels.convert(planar, low=low, high=high)
