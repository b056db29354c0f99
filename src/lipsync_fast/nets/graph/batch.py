"""A free batch axis for models that were exported with a fixed one.

Most exports fix the batch to 1 in two places: the shapes of inputs and outputs, which are easy
to change, and constants inside, which are not. To find those, infer all shapes for the old
batch and for a larger one: the first node whose input grows and whose output does not holds
the batch. Rewrite its constant, then infer the shapes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import InputError, ModelError
from ...files.part import atomic_write
from ...files.targets import check_file
from . import onnx_file
from .proof import prove_batch

__all__ = ["BATCH_AXIS", "make_batch_dynamic"]

_log = logging.getLogger(__name__)

BATCH_AXIS = "batch"  # name of the free axis
RATIO = 13  # a prime that no axis of a model is likely to have by itself
TO_THE_END = np.iinfo(np.int64).max

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def make_batch_dynamic(
    src: str | Path,
    dst: str | Path,
    *,
    probes: int = 3,
    inputs: Mapping[str, ArrayLike] | None = None,
) -> list[str]:
    """Free the batch axis of a model, and prove that it still draws the same pictures.

    The proof, on the CPU: one run on all probes equals runs on each alone, and equals the
    original model's runs.

    Parameters
    ----------
    src, dst : str or Path
        The ONNX file to read, and the one to write, under a temporary name until proved.
    probes : int
        Number of frames for the proof, 2 or more.
    inputs : mapping of str to array, optional
        Inputs for the proof, e.g. real frames: arrays of `probes` rows by input name, instead
        of random numbers. Also sets inputs without a batch axis, which are ones by default.

    Returns
    -------
    list of str
        The nodes that were changed; empty if only inputs and outputs were.

    Raises
    ------
    MissingExtraError
        onnx or ONNX Runtime is not installed.
    FileMissingError
        `src`, or the folder of `dst`, does not exist.
    InputError
        `probes` is below 2, or `inputs` do not fit.
    ModelError
        The file is not an ONNX model, or its batch axis cannot be freed: the message names the
        node that fails or that mixes frames.
    """
    if probes < 2:
        raise InputError(f"probes must be 2 or more frames, got {probes}")
    src, dst = Path(src), check_file(dst, ModelError)
    model = onnx_file.read_model(src)
    try:
        surgeon = _Surgeon(model)
        changed = surgeon.free()
    except ModelError as error:
        raise ModelError(f"{src}: {error}") from error
    with atomic_write(dst) as part:
        onnx_file.write_model(model, part)
        prove_batch(src, part, model, surgeon.batch, probes, inputs or {})
    _log.info("%s: batch axis is free, proved on %d frames", dst, probes)
    return changed


class _Surgeon:
    """Rewrites the nodes that hold the batch of one model, in place."""

    def __init__(self, model: Any) -> None:
        self._onnx = onnx_file.load_onnx()
        self._model, self._graph = model, model.graph
        self._inputs = [i for i in onnx_file.real_inputs(model.graph) if _has_batch(i)]
        if not self._inputs:
            raise ModelError("none of its inputs has a batch axis to free")
        sizes = {d.dim_value for i in self._inputs if (d := _first_axis(i)).HasField("dim_value")}
        if len(sizes) > 1:
            found = ", ".join(f"{i.name} {_first_axis(i).dim_value}" for i in self._inputs)
            raise ModelError(f"the batch axes of its inputs disagree: {found}")
        self.batch: int = next(iter(sizes), 1)
        self._constants = onnx_file.constants_of(model)
        self._before = self._shapes(self.batch)
        self._batch_tensor: str | None = None
        self._names = 0

    def free(self) -> list[str]:
        """Free the batch axis; return the names of the nodes that were changed."""
        changed: dict[str, None] = {}
        # Every round changes another node, so this ends.
        while True:
            after = self._shapes(self.batch * RATIO)
            for node in self._graph.node:
                rule = _RULES.get(node.op_type)
                if rule and node.name not in changed and rule(self, node, after):
                    changed[node.name] = None
                    break
            else:
                break
        for value in (*self._inputs, *self._graph.output):
            self._rename_axis(value, after)
        del self._graph.value_info[:]
        return list(changed)

    # ---- shapes ------------------------------------------------------------------------

    def _shapes(self, batch: int) -> dict[str, Shape]:
        """Infer all shapes that follow from this batch of the inputs."""
        bare = onnx_file.skeleton(self._model)
        ours = {i.name for i in self._inputs}
        for value in bare.graph.input:
            if value.name in ours:
                _first_axis(value).dim_value = batch
        return onnx_file.tensor_shapes(onnx_file.infer(bare))

    def _axis(self, name: str, after: Shapes) -> int | None:
        """Return the axis of a tensor that grows with the batch; None if none or several do."""
        old, new = self._before.get(name), after.get(name)
        if old is None or new is None or len(old) != len(new):
            return None
        grown = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        if len(grown) != 1 or new[grown[0]] != RATIO * old[grown[0]]:
            return None
        return grown[0]

    def _rename_axis(self, value: Any, after: Shapes) -> None:
        if value.name in self._before and value.name in after:
            del value.type.tensor_type.shape.dim[:]
            for size in self._before[value.name]:
                value.type.tensor_type.shape.dim.add(dim_value=size)
        if value in self._inputs or self._axis(value.name, after) == 0:
            _first_axis(value).dim_param = BATCH_AXIS

    # ---- operators that hold a batch; each returns True if it changed something ---------

    def _reshape(self, node: Any, after: Shapes) -> bool:
        """Let Reshape find the axis that carries the batch, and give it all others."""
        x, y = node.input[0], node.output[0]
        axis, target = self._axis(x, after), self._before.get(y)
        if axis is None or target is None or 0 in target:
            return False
        place = _carrier(self._before[x], axis, target, self.batch, self._axis(y, after))
        if place is None:
            return False
        grown = (*target[:place], target[place] * RATIO, *target[place + 1 :])
        if after.get(y) == grown:
            return False
        node.input[1] = self._constant((*target[:place], -1, *target[place + 1 :]))
        return True

    def _filling(self, node: Any, after: Shapes) -> bool:
        """Free the shape of Expand, Tile, ConstantOfShape; leave a batch of 1 to broadcasting."""
        which = 0 if node.op_type == "ConstantOfShape" else 1
        shape = self._constants.get(node.input[which])
        y = node.output[0]
        if self.batch == 1 or shape is None or not shape.size or shape[0] != self.batch:
            return False
        if self._axis(y, after) is not None:
            return False
        node.input[which] = self._shape_with_batch(node, shape.tolist(), 0)
        return True

    def _slice(self, node: Any, after: Shapes) -> bool:
        """Let a slice that kept the whole batch keep any batch."""
        x, y = node.input[0], node.output[0]
        axis = self._axis(x, after)
        if axis is None or self._axis(y, after) is not None or y not in self._before:
            return False
        if self._before[x][axis] != self._before[y][axis]:
            return False
        rank = len(self._before[x])
        if len(node.input) == 1:  # before opset 10 the bounds were attributes
            bounds = {a.name: a.ints for a in node.attribute}
            axes = list(bounds.get("axes", range(len(bounds["ends"]))))
            for i, ended in enumerate(axes):
                if ended % rank == axis:
                    bounds["ends"][i] = TO_THE_END
                    return True
            return False
        ends = self._constants.get(node.input[2])
        if ends is None:
            return False
        given = self._constants.get(node.input[3]) if len(node.input) > 3 else None
        here = (np.arange(len(ends)) if given is None else given % rank) == axis
        node.input[2] = self._constant(np.where(here, TO_THE_END, ends).tolist())
        return bool(here.any())

    def _resize(self, node: Any, after: Shapes) -> bool:
        """Give Resize the batch of the run: its sizes name all axes."""
        axis = self._axis(node.input[0], after)
        if axis is None or len(node.input) < 4 or self._axis(node.output[0], after) is not None:
            return False
        sizes = self._constants.get(node.input[3])
        if sizes is None or len(sizes) <= axis or sizes[axis] != self.batch:
            return False
        node.input[3] = self._shape_with_batch(node, sizes.tolist(), axis)
        return True

    def _concat(self, node: Any, after: Shapes) -> bool:
        """Repeat inputs that all frames share, so that they can be joined frame by frame."""
        joined = next(a.i for a in node.attribute if a.name == "axis")
        return self._match(node, range(len(node.input)), joined, after)

    def _grid(self, node: Any, after: Shapes) -> bool:
        """Repeat a grid that all frames share."""
        return self._match(node, range(2), None, after, axis=0)

    def _recurrent(self, node: Any, after: Shapes) -> bool:
        """Repeat the initial states (directions, batch, hidden) of LSTM, GRU and RNN."""
        if self._axis(node.input[0], after) is None:
            return False
        states = [i for i in (5, 6) if i < len(node.input) and node.input[i]]
        return self._match(node, states, None, after, axis=1)

    def _match(
        self, node: Any, which: Any, joined: int | None, after: Shapes, axis: int | None = None
    ) -> bool:
        """Repeat the inputs of a node that do not grow with the batch along the batch axis."""
        if axis is None:
            grown = {a for i in which if (a := self._axis(node.input[i], after)) is not None}
            if len(grown) != 1:
                return False
            axis = grown.pop()
        changed = False
        for i in which:
            shape = self._before.get(node.input[i])
            if shape is None or self._axis(node.input[i], after) is not None:
                continue
            if self.batch != 1 or (joined is not None and joined % len(shape) == axis):
                continue
            ones = [1] * len(shape)
            wide = self._new_name(f"{node.input[i]}_every_frame")
            shape_name = self._shape_with_batch(node, ones, axis)
            self._insert(node, "Expand", [node.input[i], shape_name], wide)
            node.input[i] = wide
            changed = True
        return changed

    # ---- building ----------------------------------------------------------------------

    def _new_name(self, stem: str) -> str:
        self._names += 1
        return f"{stem}_lf{self._names}"

    def _constant(self, values: Any) -> str:
        name = self._new_name("shape")
        array = np.array(values, np.int64)
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(array, name))
        self._constants[name] = array
        return name

    def _insert(self, before: Any, op: str, inputs: list[str], output: str, **named: Any) -> None:
        place = 0
        if before is not None:
            place = next(i for i, n in enumerate(self._graph.node) if n.name == before.name)
        made = self._onnx.helper.make_node(op, inputs, [output], name=output, **named)
        self._graph.node.insert(place, made)

    def _shape_with_batch(self, node: Any, shape: list[int], axis: int) -> str:
        """Build a (rank,) shape with the batch of the run in `axis`; return the tensor's name."""
        if self._batch_tensor is None:
            whole, self._batch_tensor = self._new_name("input_shape"), self._new_name("batch")
            first = self._constant([0])
            self._insert(None, "Gather", [whole, first], self._batch_tensor, axis=0)
            self._insert(None, "Shape", [self._inputs[0].name], whole)
        parts = [
            self._constant(part) if part else None for part in (shape[:axis], shape[axis + 1 :])
        ]
        name = self._new_name("shape")
        pieces = [p for p in (parts[0], self._batch_tensor, parts[1]) if p]
        self._insert(node, "Concat", pieces, name, axis=0)
        return name


_RULES: dict[str, Callable[[_Surgeon, Any, Shapes], bool]] = {
    "Reshape": _Surgeon._reshape,
    "Expand": _Surgeon._filling,
    "Tile": _Surgeon._filling,
    "ConstantOfShape": _Surgeon._filling,
    "Slice": _Surgeon._slice,
    "Resize": _Surgeon._resize,
    "Concat": _Surgeon._concat,
    "GridSample": _Surgeon._grid,
    "LSTM": _Surgeon._recurrent,
    "GRU": _Surgeon._recurrent,
    "RNN": _Surgeon._recurrent,
}


def _carrier(x: Shape, axis: int, y: Shape, batch: int, own: int | None) -> int | None:
    """Return the axis of `y` that holds the batch after `x`, with the batch in `axis`, is reshaped.

    In row-major order the batch is a digit of the flat index, with a stride; the axis of `y`
    that covers this digit holds it. Where axes of length 1 leave a choice, the batch stays in
    its place.
    """
    stride = prod(x[axis + 1 :]) * (x[axis] // batch)
    fitting = [
        i
        for i, size in enumerate(y)
        if prod(y[i + 1 :]) <= stride and stride * batch <= prod(y[i:]) and size % batch == 0
    ]

    def preference(i: int) -> tuple[bool, bool, bool, bool]:
        return (y[i] == batch and i == axis, i == own, y[i] == batch, i == axis)

    return max(fitting, key=preference, default=None)


def _has_batch(value: Any) -> bool:
    """Tell whether an input has a batch axis; one of rank 1 is a setting, such as a weight."""
    kind = value.type.tensor_type
    return bool(kind.HasField("shape")) and len(kind.shape.dim) >= 2


def _first_axis(value: Any) -> Any:
    return value.type.tensor_type.shape.dim[0]
