"""A generator that finds its picture itself: frame indices and audio in, bytes out.

The template's crops are an input that is bound once and stays on the device. Plain operators
go before the user's model (gather the requested crops, cut out the view, black out the box,
order and scale the planes) and after it (scale, clip, truncate, interleave).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import kernels
from ...errors import FileMissingError, ModelError
from ...files.cache import cache_entry
from ...files.part import atomic_write
from ...files.targets import check_file
from ...presets import Preset, fit_preset, get_preset
from ...templates.crops import pack_crop
from ..net import Net
from . import onnx_file
from .proof import open_reference

__all__ = [
    "AUDIO",
    "BUILT_IN",
    "CROPS",
    "FRAMES",
    "PICTURES",
    "cached_resident",
    "make_resident",
]

_log = logging.getLogger(__name__)

# Names of the new model's inputs and output.
FRAMES, CROPS, AUDIO, PICTURES = "frames", "crops", "features", "pictures"

# The fields of a preset that are built into the model; a feather or a loop is not.
BUILT_IN = ("view", "crop", "black", "visual", "rgb", "low", "high", "audio_shape")

VERSION = 2  # of the added operators; part of the cache's key
OLDEST_OPSET = 10  # Slice had other inputs before
TOLERANCE = 1  # levels
_PREFIX = "resident_"


def make_resident(src: str | Path, dst: str | Path, preset: str | Preset | None = None) -> Preset:
    """Build a preset's packing of inputs and conversion of outputs into the model itself.

    The new model has the inputs ``frames`` (N,) int64, ``crops`` (n, C, C, 3) uint8 bgr24 and
    ``features`` (N, *audio_shape) float32, then any further inputs of the old one; its output
    is ``pictures`` (N, S, S, 3) uint8 bgr24, rows packed. N is free only if it was before.

    Parameters
    ----------
    src, dst : str or Path
        The ONNX file to read, and the one to write, under a temporary name until it has drawn
        the same as the old one: random crops, on the CPU, within one level of 255.
    preset : str or Preset, optional
        The model's family; by default found from its input shapes.

    Returns
    -------
    Preset
        With the old model's own input names.

    Raises
    ------
    MissingExtraError
        onnx or ONNX Runtime is not installed.
    FileMissingError
        `src`, or the folder of `dst`, does not exist.
    ModelError
        The file is not an ONNX model or fits no preset; its operators are too old; or the new model
        would not draw the same.
    """
    return _make(Path(src), check_file(dst, ModelError), preset)


def _make(src: Path, dst: Path, preset: str | Preset | None) -> Preset:
    model = onnx_file.read_model(src)
    try:
        builder = _Builder(model, preset)
        builder.build()
    except ModelError as error:
        raise ModelError(f"{src}: {error}") from error
    with atomic_write(dst) as part:
        onnx_file.write_model(model, part)
        _prove(src, part, builder)
    return builder.preset


class _Builder:
    """Rewrites one model, in place."""

    def __init__(self, model: Any, preset: str | Preset | None) -> None:
        self._onnx = onnx_file.load_onnx()
        self._graph, self._opset = model.graph, onnx_file.opset_of(model)
        if self._opset < OLDEST_OPSET:
            raise ModelError(
                f"opset {self._opset} is too old for a resident template; "
                f"export the model with {OLDEST_OPSET} or a newer one"
            )
        values = {v.name: v for v in onnx_file.real_inputs(self._graph)}
        shapes = {n: s for n, v in values.items() if len(s := onnx_file.axes_of(v)) > 1}
        self.preset = fit_preset(shapes, preset)
        self._picture, self._hearing = (
            values[name] for name in (self.preset.image_input, self.preset.audio_input)
        )
        self.output = self._find_output()
        self._require_float32(self._picture, self._hearing)
        self._nodes: list[Any] = []

    def _find_output(self) -> str:
        """Return the name of the first output of the preset's shape, or of unknown shape."""
        needed = (3, self.preset.view, self.preset.view)
        for value in self._graph.output:
            shape = onnx_file.axes_of(value)
            if not shape or (len(shape) == 4 and _may_be(shape[1:], needed)):
                self._require_float32(value)
                return str(value.name)
        raise ModelError(f"{self.preset.name} needs an output of shape (N,3,S,S), it has none")

    def _require_float32(self, *values: Any) -> None:
        for value in values:
            if value.type.tensor_type.elem_type != self._onnx.TensorProto.FLOAT:
                raise ModelError(f"{value.name} must be float32; export the model in float32")

    def build(self) -> None:
        """Add the operators before and after the model."""
        graph, kinds = self._graph, self._onnx.TensorProto
        info = self._onnx.helper.make_tensor_value_info
        batch = onnx_file.axes_of(self._picture)[0] or "batch"
        view, crop = self.preset.view, self.preset.crop
        self._rename_clashes()
        self._before()
        old = list(graph.node)
        head, self._nodes = self._nodes, []
        self._after()
        new = [
            info(FRAMES, kinds.INT64, [batch]),
            info(CROPS, kinds.UINT8, ["template", crop, crop, 3]),
            info(AUDIO, kinds.FLOAT, [batch, *self.preset.audio_shape]),
        ]
        taken = {self._picture.name, self._hearing.name}
        others = [v for v in onnx_file.real_inputs(graph) if v.name not in taken]
        pictures = [info(PICTURES, kinds.UINT8, [batch, view, view, 3])]
        for field, items in (
            (graph.node, [*head, *old, *self._nodes]),
            (graph.input, [*new, *others]),
            (graph.output, pictures),
            (graph.value_info, []),
        ):
            copies = [type(item).FromString(item.SerializeToString()) for item in items]
            del field[:]
            field.extend(copies)

    def _rename_clashes(self) -> None:
        """Rename the model's tensors that bear our names, so that ours are free."""
        ours = {FRAMES, CROPS, AUDIO, PICTURES}
        moved = {name: f"{_PREFIX}own_{name}" for name in ours}
        for node in self._graph.node:
            for field in (node.input, node.output):
                for i, name in enumerate(field):
                    field[i] = moved.get(name, name)
        for value in (*self._graph.initializer, *self._graph.input, *self._graph.output):
            value.name = moved.get(value.name, value.name)
        self.output = moved.get(self.output, self.output)

    # ---- operators -----------------------------------------------------------------------

    def _add(self, op: str, *inputs: str | NDArray[Any], to: str = "", **named: Any) -> str:
        """Add a node on tensors (by name) or constants; return the name of its output."""
        names = [i if isinstance(i, str) else self._constant(i) for i in inputs]
        name = to or f"{_PREFIX}{op.lower()}_{len(self._nodes)}_{len(self._graph.initializer)}"
        self._nodes.append(self._onnx.helper.make_node(op, names, [name], name=name, **named))
        return name

    def _constant(self, array: NDArray[Any]) -> str:
        name = f"{_PREFIX}constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def _before(self) -> None:
        """Add the way from frame indices to the model's picture and audio inputs."""
        preset, kinds = self.preset, self._onnx.TensorProto
        pixels = self._add("Gather", CROPS, FRAMES, axis=0)
        if b := preset.border:
            end = b + preset.view
            pixels = self._add("Slice", pixels, _ints(b, b), _ints(end, end), _ints(1, 2))
        planes = self._add("Transpose", pixels, perm=[0, 3, 1, 2])
        # Gather bytes, which are copied four times as fast as floats; and gather even where the
        # order stays: ONNX Runtime pushes a Transpose down through the whole model, which then
        # runs in an order it was not made for (2.4 times as slow here), but not past a Gather.
        order = [2, 1, 0] if preset.rgb else [0, 1, 2]
        planes = self._add("Gather", planes, _ints(*order * len(self._parts)), axis=1)
        planes = self._scale(self._cast(planes, kinds.FLOAT))
        self._add("Identity", planes, to=self._picture.name)
        self._add("Identity", AUDIO, to=self._hearing.name)

    @property
    def _parts(self) -> list[str]:
        """Return the names of the pictures that fill the input planes, three planes each."""
        return self.preset.visual.split("+")

    def _cast(self, name: str, kind: int) -> str:
        made = f"{name}_cast"
        self._nodes.append(self._onnx.helper.make_node("Cast", [name], [made], name=made, to=kind))
        return made

    def _scale(self, planes: str) -> str:
        """Scale bytes to the preset's range, with the same float steps as `to_planes`."""
        low, span = self.preset.low, self.preset.high - self.preset.low
        made = self._add("Div", planes, self._levels())
        if span != 1:
            made = self._add("Mul", made, _float(span))
        return self._add("Add", made, _float(low)) if low else made

    def _levels(self) -> NDArray[np.float32]:
        """Return the divisors of bytes: 255, and infinity where the masked picture is black."""
        if self.preset.black is None or "masked" not in self._parts:
            return _float(255)
        x0, y0, x1, y1 = self.preset.black
        levels = np.full((1, self.preset.channels, *2 * (self.preset.view,)), 255, np.float32)
        first = 3 * self._parts.index("masked")
        levels[:, first : first + 3, y0:y1, x0:x1] = np.inf
        return levels

    def _after(self) -> None:
        """Add the way from the model's output to bytes, with the same float steps as `convert`."""
        preset, kinds = self.preset, self._onnx.TensorProto
        gain = float(np.float32(255) / (np.float32(preset.high) - np.float32(preset.low)))
        value = self.output
        if preset.low:
            value = self._add("Sub", value, _float(preset.low))
        value = self._add("Mul", value, _float(gain))
        if self._opset < 11:
            value = self._add("Clip", value, min=0.0, max=255.0)
        else:
            value = self._add("Clip", value, _float(0), _float(255))
        made = self._cast(value, kinds.UINT8)
        if preset.rgb:
            made = self._add("Gather", made, _ints(2, 1, 0), axis=1)
        self._add("Transpose", made, to=PICTURES, perm=[0, 2, 3, 1])


def _float(value: float) -> NDArray[np.float32]:
    return np.array(value, np.float32)


def _ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _may_be(shape: Any, needed: tuple[int, ...]) -> bool:
    return all(not isinstance(a, int) or a == b for a, b in zip(shape, needed, strict=True))


# ---- proof ---------------------------------------------------------------------------------


def _prove(src: Path, part: Path, builder: _Builder) -> None:
    """Raise ModelError unless both models draw random crops alike, within one level."""
    preset = builder.preset
    old = open_reference(src)
    try:
        new = open_reference(part)
        sizes = [a for a in new.inputs[FRAMES].shape if isinstance(a, int)]
        count = sizes[0] if sizes else 2
        draw = np.random.default_rng(7)
        crops = draw.integers(0, 256, (3, preset.crop, preset.crop, 3), dtype=np.uint8)
        frames = (np.arange(count, dtype=np.int64) + 1) % 3
        audio = draw.standard_normal((count, *preset.audio_shape)).astype(np.float32)
        settings = _ones_for(old, preset)
        feeds: dict[str, NDArray[Any]] = {FRAMES: frames, CROPS: crops, AUDIO: audio}
        made = new.run(feeds | settings)[PICTURES]
        visual = np.stack([pack_crop(crops[i], preset) for i in frames])
        old_feeds = {preset.image_input: visual, preset.audio_input: audio}
        outputs = old.run(old_feeds | settings)
    except ModelError as error:
        what = str(error).removeprefix(f"{part}: ")
        raise ModelError(f"{src}: cannot read its crops from the template: {what}") from error
    name = next((n for n in (builder.output, *outputs) if n in outputs), "")
    if outputs[name].shape != (count, 3, preset.view, preset.view):
        raise ModelError(
            f"{src}: {name} must be pictures of shape (N,3,S,S), got {outputs[name].shape}"
        )
    expected = np.stack(
        [
            kernels.convert(planes, low=preset.low, high=preset.high, swap=preset.rgb)
            for planes in outputs[name]
        ]
    )
    off = np.abs(made.astype(int) - expected).max()
    if off > TOLERANCE:
        raise ModelError(
            f"{src}: reading its crops from the template would change pictures by {off} levels"
        )


def _ones_for(net: Net, preset: Preset) -> dict[str, NDArray[Any]]:
    """Return ones for the inputs other than picture and audio."""
    return {
        name: np.ones([a if isinstance(a, int) else 1 for a in tensor.shape], tensor.dtype)
        for name, tensor in net.inputs.items()
        if name not in (preset.image_input, preset.audio_input)
    }


# ---- the cache -----------------------------------------------------------------------------


@contextmanager
def cached_resident(src: str | Path, preset: str | Preset | None = None) -> Iterator[Path]:
    """Yield a file from `make_resident`: made the first time, taken from the cache afterwards.

    Parameters
    ----------
    src : str or Path
    preset : str or Preset, optional

    Yields
    ------
    Path
        In the user's cache (see `lipsync-fast cache`), named by the hashes of the model, the
        preset and its own bytes; it stays at least until the block ends. A temporary file if
        there is no cache.

    Raises
    ------
    MissingExtraError, FileMissingError, ModelError
        As `make_resident`.
    """
    src = Path(src)
    if not src.exists():
        raise FileMissingError(f"{src}: no such file; give the path of an ONNX model")
    known = None if preset is None else get_preset(preset)
    fields = [getattr(known, name, None) for name in (*BUILT_IN, "image_input", "audio_input")]
    key = hashlib.sha256(f"{VERSION} {fields!r} ".encode())
    try:
        _hash_net(src, key)
    except OSError as error:
        raise ModelError(f"{src}: cannot be read: {error.strerror}") from error

    def make(path: Path) -> None:
        _make(src, path, preset)
        _log.info("%s: now reads its crops from the template", src)

    with cache_entry("models", key.hexdigest(), make, suffix=".onnx") as path:
        yield path


# How a tensor's entry "location" is written: its key, then its value of under 128 bytes.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")


def _hash_net(src: Path, key: Any) -> None:
    """Add a model's bytes to a hash, and the bytes of the files that hold its weights."""
    data = src.read_bytes()
    key.update(data)
    beside = set()
    for found in _LOCATION.finditer(data):
        name = data[found.end() : found.end() + found[1][0]]
        beside.add(name.decode("utf-8", "surrogateescape"))
    for location in sorted(beside):
        weights = src.parent / location
        if "\0" not in location and weights.is_file():
            with open(weights, "rb") as file:
                while block := file.read(1 << 20):
                    key.update(block)
