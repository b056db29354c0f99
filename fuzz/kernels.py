"""One random call of a kernel: canaries round its output, the same bytes on every ISA."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipsync_fast import kernels

CANARY = 0xA5
MARGIN = 64
SIDES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 40)
ISAS = kernels.available_isas()
FILTERS = (
    *("nearest", "bilinear", "bilinear_topleft", "bicubic", "area"),
    *("lanczos_aa", "bilinear_aa", "bicubic_aa"),
)


class Canvas:
    """An array in a block of canaries, perhaps of the wrong kind for the call."""

    def __init__(self, rng: random.Random, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        if rng.random() < 0.03:
            dtype = rng.choice(("uint8", "int8", "float32", "float64", "uint16", "bool"))
        if rng.random() < 0.03 and shape:
            shape = shape[: rng.randrange(len(shape) + 1)]
        item = np.dtype(dtype).itemsize
        shape = tuple(max(side, 0) for side in shape)
        row = int(np.prod(shape[1:], dtype=np.int64)) * item
        pitch = row + item * rng.choice((0, 0, 1, 5))
        rows = shape[0] if shape else 1
        offset = item * rng.choice((0, 0, 1))
        self.block = np.full(2 * MARGIN + offset + pitch * rows + item, CANARY, np.uint8)
        flip = rng.random() < 0.2 and rows > 0
        start = MARGIN + offset + (pitch * (rows - 1) if flip else 0)
        inner = [item]
        for side in shape[:0:-1]:
            inner.insert(0, inner[0] * side)
        strides = (-pitch if flip else pitch, *inner[1:])[: len(shape)]
        self.array = np.ndarray(shape, dtype, self.block, start, strides)
        self.inside = np.zeros(self.block.shape, bool)
        if self.array.size:
            np.ndarray((*shape, item), bool, self.inside, start, (*strides, 1))[...] = True
        if rng.random() < 0.03:
            self.array.flags.writeable = False

    def fill(self, seed: int) -> Canvas:
        values = np.random.default_rng(seed)
        array = self.array
        if array.flags.writeable and array.size:
            if array.dtype.kind == "f":
                array[...] = values.normal(0.5, 1, array.shape)
                special = [np.nan, np.inf, -np.inf, 1e38]
                array.flat[0] = special[seed % 4]
            else:
                array[...] = values.integers(0, 100, array.shape)
        return self

    def check(self) -> None:
        outside = self.block[~self.inside]
        assert (outside == CANARY).all(), "a byte outside the array was written"


def side(rng: random.Random) -> int:
    return rng.choice(SIDES)


def place(rng: random.Random) -> int:
    return rng.choice((0, 1, -1, 5, -17, 39, 2**31 - 1, -(2**31)))


@dataclass
class Call:
    """One call: its inputs and output, and whether it takes `isa` and `out`."""

    kernel: Callable[..., Any]
    inputs: list[Canvas]
    keywords: dict[str, Any]
    out: Canvas | None = None  # None: the call changes its second input in place
    takes_out: bool = True
    takes_isa: bool = True


class Draw:
    """Random sizes, arrays and options of one call."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.seed = rng, rng.getrandbits(20)
        self.h, self.w, self.c = side(rng), side(rng), rng.choice((1, 3, 3, 4, 2))

    def new(self, *shape: int, dtype: str = "uint8") -> Canvas:
        return Canvas(self.rng, shape, dtype).fill(self.seed)

    def picture(self, h: int, w: int, c: int) -> Canvas:
        return self.new(*((h, w) if c == 1 else (h, w, c)))

    def mask(self, h: int, w: int) -> list[Canvas]:
        return [self.new(h, w)] if self.rng.random() < 0.6 else []

    def tone(self) -> dict[str, Any]:
        low = self.rng.choice((0.0, -1.0, 1.0))
        rounding = self.rng.choice(("truncate", "round"))
        return {"low": low, "swap": self.rng.random() < 0.5, "rounding": rounding}

    def colour(self) -> dict[str, Any]:
        matrix = self.rng.choice(("bt601", "bt601", "bt709", "bt709", "x"))
        return {"matrix": matrix, "full_range": self.rng.random() < 0.5}

    def planes(self) -> np.ndarray:
        """Levels and slopes of a colour match, sometimes out of range."""
        values = np.random.default_rng(self.seed).normal(0, 30, (3, 3))
        values[1:] *= 0.01
        if self.rng.random() < 0.1:
            special = (np.nan, np.inf, 1023.9, -1024, 1e300)
            values[self.rng.randrange(3), self.rng.randrange(3)] = self.rng.choice(special)
        return values

    def i420(self) -> int:
        """Bytes of an I420 picture of w x h."""
        return self.h * self.w + 2 * ((self.h + 1) // 2) * ((self.w + 1) // 2)


def convert(d: Draw) -> Call:
    out = d.new(d.h, d.w, d.rng.choice((3, 4)))
    return Call(kernels.convert, [d.new(3, d.h, d.w, dtype="float32")], d.tone(), out)


def resize(d: Draw) -> Call:
    out = d.picture(side(d.rng), side(d.rng), d.c)
    keywords = {"filter": d.rng.choice(FILTERS)}
    return Call(kernels.resize, [d.picture(d.h, d.w, d.c)], keywords, out)


def blend(d: Draw) -> Call:
    h, w = side(d.rng), side(d.rng)
    c = 3 if d.c == 4 and d.rng.random() < 0.5 else d.c
    inputs = [d.picture(h, w, c), d.picture(d.h, d.w, d.c), *d.mask(h, w)]
    swap = c == 3 and d.rng.random() < 0.3
    return Call(kernels.blend, inputs, {"x": place(d.rng), "y": place(d.rng), "swap": swap})


def to_i420(d: Draw) -> Call:
    return Call(kernels.to_i420, [d.new(d.h, d.w, 3)], d.colour(), d.new(d.i420()))


def from_i420(d: Draw) -> Call:
    flat = d.new(d.i420() + d.rng.choice((0, 0, 0, 1)))
    keywords = {"width": d.w, "height": d.h, **d.colour()}
    return Call(kernels.from_i420, [flat], keywords, d.new(d.h, d.w, d.rng.choice((3, 4))))


def blend_i420(d: Draw) -> Call:
    h, w = side(d.rng), side(d.rng)
    keywords = {"width": d.w, "height": d.h, "x": place(d.rng), "y": place(d.rng), **d.colour()}
    inputs = [d.new(h, w, 3), d.new(d.i420()), *d.mask(h, w)]
    return Call(kernels.blend_i420, inputs, keywords, takes_out=False)


def to_planes(d: Draw) -> Call:
    box = d.rng.choice((None, (0, 0, 1, 1), (2, 3, 9, 9), (-1, 0, 99, 2**31)))
    keywords = {"low": d.rng.choice((0.0, -1.0)), "high": 1.0, "black": box}
    out = d.new(3, d.h, d.w, dtype="float32")
    return Call(kernels.to_planes, [d.new(d.h, d.w, 3)], keywords, out)


def patch(d: Draw) -> Call:
    """A model's output in a crop with a border, resized to a rect of any size."""
    view, border = max(d.h, 1), d.rng.choice((0, 1, 4))
    crop, h, w = view + 2 * border, max(side(d.rng), 1), max(side(d.rng), 1)
    plan = kernels.ResizePlan((crop, crop), (w, h), d.rng.choice(FILTERS))
    planar = d.new(3, view, view, dtype="float32")
    edge = [d.new(crop, crop, 3)] if border or d.rng.random() < 0.2 else []
    planes = d.planes() if d.rng.random() < 0.4 else None

    def kernel(planar: Any, *edge: Any, **keywords: Any) -> Any:
        return kernels.patch(planar, plan, *edge, **keywords)

    return Call(kernel, [planar, *edge], {**d.tone(), "planes": planes}, d.new(h, w, 3))


def match_colour(d: Draw) -> Call:
    planes = d.planes()

    def kernel(pixels: Any, **keywords: Any) -> Any:
        return kernels.match_colour(pixels, planes, **keywords)

    return Call(kernel, [d.picture(d.h, d.w, d.c)], {}, d.picture(d.h, d.w, d.c))


def colour_planes(d: Draw) -> Call:
    """Measured planes are finite and can be added again."""
    ring = d.rng.choice((8, 1, 2, 100, 2**31 - 1, 0))

    def kernel(pixels: Any, background: Any) -> None:
        found = kernels.colour_planes(pixels, background, ring=ring)
        assert np.isfinite(found).all()
        assert (np.abs(found[0]) <= 255).all()

    return Call(kernel, [d.new(d.h, d.w, 3), d.new(d.h, d.w, 3)], {}, None, False, False)


def mel(d: Draw) -> Call:
    frames, bins, bands = d.rng.choice((0, 1, 2, 5)), d.w + 2, max(d.h // 4, 1)
    first = np.random.default_rng(d.seed).integers(1, bins, (bands, 2)).astype(np.int32)
    first.sort(axis=1)
    edges = d.new(bands, 2, dtype="int32")
    if edges.array.flags.writeable and edges.array.shape == first.shape:
        edges.array[...] = first
    total = int((first[:, 1] - first[:, 0]).sum()) + d.rng.choice((0, 0, 0, 1))
    inputs = [d.new(frames, bins, 2, dtype="float64"), edges, d.new(total, dtype="float32")]
    return Call(kernels.mel, inputs, {}, d.new(frames, bands, dtype="float32"))


def spectrum(d: Draw) -> Call:
    frames = d.rng.choice((0, 1, 2, 4, 5, 8, 9, 11))
    samples = d.rng.choice((800, 800, 800, 799))
    out = d.new(frames, 401, 2, dtype="float64")
    return Call(kernels.spectrum, [d.new(frames, samples, dtype="float64")], {}, out)


KERNELS = (
    *(convert, resize, blend, to_i420, from_i420, blend_i420, to_planes, patch),
    *(match_colour, colour_planes, spectrum, mel),
)


def call_kernel(rng: random.Random) -> None:
    """Make one call on every ISA; raise TypeError or ValueError if all of them do."""
    state = rng.getrandbits(64)
    results: list[Any] = []
    for isa in ISAS:
        chance = random.Random(state)
        call = chance.choice(KERNELS)(Draw(chance))
        target = call.out or call.inputs[1]
        keywords = {**call.keywords}
        if call.takes_out:
            keywords["out"] = target.array
        if call.takes_isa:
            keywords["isa"] = isa
        try:
            with np.errstate(all="ignore"):
                call.kernel(*(canvas.array for canvas in call.inputs), **keywords)
            results.append(target.block.tobytes())
        except (TypeError, ValueError) as error:
            results.append(error)
        for canvas in (*call.inputs, target):
            canvas.check()
    if isinstance(results[0], Exception):
        assert all(type(r) is type(results[0]) for r in results), results
        raise results[0]
    assert all(r == results[0] for r in results), "the ISAs differ"
