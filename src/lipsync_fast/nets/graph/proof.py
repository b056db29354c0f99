"""Proofs by running: that two models draw the same, and where they first differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ModelError
from ...presets import find_preset
from ..net import Net
from . import onnx_file

__all__ = ["open_reference", "probe_feeds", "prove_batch"]

# Relative to the spread of a tensor's values. Sums in another order differ by 1e-6; 1e-4 is a
# thirtieth of a level of 255; mixed frames differ by far more.
SAME = 1e-4
TAPS = 24  # tensors fetched in one run: all those of a large model may not fit in memory

Arrays = dict[str, NDArray[Any]]


def probe_feeds(net: Net, count: int, given: Mapping[str, ArrayLike]) -> tuple[Arrays, Arrays]:
    """Return inputs to try a model with: those with a batch axis (`count` rows), and the others.

    Inputs that are not given are random: pictures in the preset's range, the rest normal.
    """
    for name in given:
        if name not in net.inputs:
            raise InputError(f"inputs name {name!r}, the model has {', '.join(net.inputs)}")
    low, high, image = _picture_range(net)
    draw = np.random.default_rng(1)
    frames: Arrays = {}
    settings: Arrays = {}
    for name, tensor in net.inputs.items():
        dtype = np.dtype(tensor.dtype)
        if len(tensor.shape) < 2:
            value = np.ones([1 if not isinstance(a, int) else a for a in tensor.shape], dtype)
            settings[name] = np.array(given.get(name, value), dtype)
            continue
        inner = [a if isinstance(a, int) else 1 for a in tensor.shape[1:]]
        if name in given:
            frames[name] = _given_rows(name, given[name], count, tensor, dtype)
        elif dtype.kind == "f" and (name == image or (len(inner) == 3 and inner[0] in (3, 6))):
            frames[name] = draw.uniform(low, high, (count, *inner)).astype(dtype)
        elif dtype.kind == "f":
            frames[name] = draw.standard_normal((count, *inner)).astype(dtype)
        else:
            frames[name] = draw.integers(0, 2, (count, *inner)).astype(dtype)
    return frames, settings


def _picture_range(net: Net) -> tuple[float, float, str | None]:
    try:
        preset = find_preset(net.input_shapes)
    except ModelError:
        return 0.0, 1.0, None
    return preset.low, preset.high, preset.image_input


def _given_rows(
    name: str, value: ArrayLike, count: int, tensor: Any, dtype: np.dtype[Any]
) -> NDArray[Any]:
    rows = np.ascontiguousarray(value, dtype)
    inner = tensor.shape[1:]
    fits = rows.ndim == len(tensor.shape) and all(
        not isinstance(need, int) or need == have
        for need, have in zip(inner, rows.shape[1:], strict=False)
    )
    if not fits or len(rows) < count:
        raise InputError(
            f"inputs {name} must be {count} or more rows of {tensor}, got {rows.shape}"
        )
    return rows[:count]


def open_reference(path: Path) -> Net:
    """Open a model on the CPU: full precision, always in the same order."""
    return Net(path, providers=["cpu"])


def rows_of(net: Net, frames: Arrays, settings: Arrays, size: int) -> list[Arrays]:
    """Return the outputs of runs on `size` frames at a time."""
    count = len(next(iter(frames.values())))
    return [
        net.run({n: a[i : i + size] for n, a in frames.items()} | settings)
        for i in range(0, count, size)
    ]


def prove_batch(
    src: Path, new: Path, model: Any, batch: int, probes: int, given: Mapping[str, ArrayLike]
) -> None:
    """Prove that a run of the new model on all probes equals runs on each and the old model's.

    Parameters
    ----------
    src, new : Path
        The model with a fixed batch, and the one to prove.
    model : ModelProto
        The new one.
    batch : int
        The fixed batch of the old model.
    probes : int
        Number of frames, rounded up to a multiple of `batch` so that the old model can run them.
    given : see `probe_feeds`

    Raises
    ------
    ModelError
        They differ, or a run fails; the message names the node.
    """
    count = -(-max(probes, batch + 1) // batch) * batch
    old, net = open_reference(src), open_reference(new)
    frames, settings = probe_feeds(net, count, given)
    try:
        expected = _stack(rows_of(old, frames, settings, batch))
    except ModelError as error:
        raise ModelError(f"{src}: the model itself fails on its own batch: {error}") from error
    try:
        whole = net.run(frames | settings)
        singles = _stack(rows_of(net, frames, settings, 1))
    except ModelError as error:
        what = str(error).removeprefix(f"{new}: ")
        raise ModelError(f"{src}: its batch cannot be freed, a node fails: {what}") from error
    for name, single in singles.items():
        _require_telling(src, name, single)
        if not _same(whole[name], single):
            culprit = _first_mixing(new, model, frames, settings) or f"a node before {name}"
            raise ModelError(
                f"{src}: its batch cannot be freed: {culprit} mixes the frames of a batch"
            )
        if not _same(expected[name], single):
            raise ModelError(f"{src}: its batch cannot be freed: that would change {name}")


def _require_telling(src: Path, name: str, rows: NDArray[Any]) -> None:
    if rows.ndim == 0 or not np.isfinite(rows).all() or not len(rows):
        raise ModelError(f"{src}: nothing can be proved: {name} is empty or not finite")
    if np.ptp(rows.reshape(len(rows), -1), axis=0).max() == 0:
        raise ModelError(
            f"{src}: nothing can be proved: {name} is the same for different inputs; "
            "give real ones with inputs="
        )


def _stack(runs: Sequence[Arrays], axis: int = 0) -> Arrays:
    return {n: np.concatenate([np.atleast_1d(r[n]) for r in runs], axis=axis) for n in runs[0]}


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    spread = float(np.ptp(b)) if b.size else 0.0
    scale = max(spread, float(np.abs(b).max(initial=0)) * 1e-2)
    return bool(np.abs(a - b).max(initial=0) <= SAME * scale)


# ---- finding the node that mixes frames ----------------------------------------------------


def _first_mixing(path: Path, model: Any, frames: Arrays, settings: Arrays) -> str | None:
    """Return the first node whose output for a batch differs from its frames' outputs, joined."""
    types = onnx_file.tensor_types(onnx_file.infer(onnx_file.skeleton(model)))
    outputs = [(node, name) for node in model.graph.node for name in node.output if name in types]
    for first in range(0, len(outputs), TAPS):
        tapped = outputs[first : first + TAPS]
        for node, (whole, singles) in _tapped(path, model, tapped, types, frames, settings):
            if not _side_by_side(whole, singles):
                return f"node {node.name} ({node.op_type})"
    return None


def _tapped(
    path: Path, model: Any, tapped: Any, types: Mapping[str, int], frames: Arrays, settings: Arrays
) -> Iterator[tuple[Any, tuple[NDArray[Any], list[NDArray[Any]]]]]:
    """Return tensors inside a model: from one run of the whole batch, and frame by frame."""
    onnx = onnx_file.load_onnx()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, types[name], None) for _, name in tapped
    )
    tapping = path.with_name(f"{path.name}.taps")
    try:
        onnx_file.write_model(copy, tapping)
        net = open_reference(tapping)
        whole = net.run(frames | settings)
        runs = rows_of(net, frames, settings, 1)
    finally:
        tapping.unlink(missing_ok=True)
    for node, name in tapped:
        yield node, (whole[name], [run[name] for run in runs])


def _side_by_side(whole: NDArray[Any], singles: list[NDArray[Any]]) -> bool:
    """Tell whether a batch's tensor is the frames' own, joined along an axis or shared by all."""
    if _same(whole, singles[0]) and all(_same(s, singles[0]) for s in singles):
        return True
    if whole.dtype.kind in "iu" and whole.ndim <= 1:
        return True  # shapes and indices, which may contain the batch
    return any(_same(whole, np.concatenate(singles, axis=axis)) for axis in range(whole.ndim))
