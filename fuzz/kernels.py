"""One random call of a kernel: canaries round its output, every ISA the same bytes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from lipsync_fast import _kernels

CANARY = 0xA5
MARGIN = 64
SIDES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 40)
ISAS = _kernels.available_isas()


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


def arguments(rng: random.Random) -> tuple[Any, list[Canvas], dict[str, Any], Canvas | None]:
    """Kernel, positional arguments, keywords and the output of one call."""
    seed = rng.getrandbits(20)
    h, w, c = side(rng), side(rng), rng.choice((1, 3, 3, 4, 2))
    image = (h, w) if c == 1 else (h, w, c)

    def new(*shape: int, dtype: str = "uint8") -> Canvas:
        return Canvas(rng, shape, dtype).fill(seed)

    kind = rng.randrange(7)
    if kind == 0:
        keywords: dict[str, Any] = {"low": rng.choice((0.0, -1.0, 1.0)), "swap": rng.random() < 0.5}
        keywords["rounding"] = rng.choice(("truncate", "round"))
        out = new(h, w, rng.choice((3, 4)))
        return _kernels.convert, [new(3, h, w, dtype="float32")], keywords, out
    if kind == 1:
        oh, ow = side(rng), side(rng)
        out = new(*((oh, ow) if c == 1 else (oh, ow, c)))
        names = (
            "nearest",
            "bilinear",
            "bicubic",
            "area",
            "lanczos_aa",
            "bilinear_aa",
            "bicubic_aa",
        )
        return _kernels.resize, [new(*image)], {"filter": rng.choice(names)}, out
    if kind == 2:
        ph, pw = side(rng), side(rng)
        patch = new(*((ph, pw) if c == 1 else (ph, pw, c)))
        masks = [new(ph, pw)] if rng.random() < 0.6 else []
        keywords = {"x": place(rng), "y": place(rng)}
        return _kernels.blend, [patch, new(*image), *masks], keywords, None
    colour = {"matrix": rng.choice(("bt601", "bt709", "x")), "full_range": rng.random() < 0.5}
    planes = h * w + 2 * ((h + 1) // 2) * ((w + 1) // 2)
    if kind == 3:
        return _kernels.to_i420, [new(h, w, 3)], colour, new(planes)
    if kind == 4:
        flat = new(planes + rng.choice((0, 0, 0, 1)))
        return _kernels.from_i420, [flat], {"width": w, "height": h, **colour}, new(h, w, 3)
    if kind == 5:
        box = rng.choice((None, (0, 0, 1, 1), (2, 3, 9, 9), (-1, 0, 99, 2**31)))
        keywords = {"low": rng.choice((0.0, -1.0)), "high": 1.0, "black": box}
        return _kernels.to_planes, [new(h, w, 3)], keywords, new(3, h, w, dtype="float32")
    ph, pw = side(rng), side(rng)
    keywords = {"width": w, "height": h, "x": place(rng), "y": place(rng), **colour}
    masks = [new(ph, pw)] if rng.random() < 0.6 else []
    return _kernels.blend_i420, [new(ph, pw, 3), new(planes), *masks], keywords, None


def call_kernel(rng: random.Random) -> None:
    """One call on every ISA; raises TypeError or ValueError where all of them do."""
    state = rng.getrandbits(64)
    results: list[Any] = []
    for isa in ISAS:
        kernel, inputs, keywords, out = arguments(random.Random(state))
        in_place = kernel in (_kernels.blend, _kernels.blend_i420)
        target = inputs[1] if in_place else out
        assert target is not None
        try:
            with np.errstate(all="ignore"):
                if kernel is not _kernels.blend_i420:
                    keywords = {**keywords, "out": target.array}
                kernel(*(c.array for c in inputs), isa=isa, **keywords)
            results.append(target.block.tobytes())
        except (TypeError, ValueError) as error:
            results.append(error)
        for canvas in (*inputs, *([out] if out else [])):
            canvas.check()
    if isinstance(results[0], Exception):
        assert all(type(r) is type(results[0]) for r in results), results
        raise results[0]
    assert all(r == results[0] for r in results), "the ISAs differ"
