"""One random request: any template, model output, format and buffers; the rest must not change."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from lipsync_fast import PRESETS, Compositor, Preset, Template
from lipsync_fast.formats import FRAME_FORMATS

from .kernels import Canvas


def draw_preset(rng: random.Random) -> Preset:
    """A family of small pictures, with every option of a preset."""
    base = PRESETS[rng.choice(("wav2lip96", "synctalk328", "edtalk256", "liteavatar384"))]
    view, border = rng.choice((8, 9, 16, 31, 32, 40)), rng.choice((0, 0, 1, 4))
    masked = base.black is not None
    return Preset.from_mapping(
        {
            "name": "fuzzed",
            "view": view,
            "crop": view + 2 * border,
            "black": [0, view // 2, view, view] if masked else None,
            "edge": rng.choice((None, "ramp", "frame")),
            "patch_filter": rng.choice(("bilinear", "bicubic", "area")),
        },
        base,
    )


def draw_rects(rng: random.Random, count: int, width: int, height: int) -> list[list[int]]:
    """Rects inside, over the edges, of one pixel, larger than the frame, and without a face."""
    rects = []
    for _ in range(count):
        x, y = rng.randrange(-5, width), rng.randrange(-5, height)
        w, h = (rng.choice((1, 2, 7, 16, 33, 50, 300)) for _ in range(2))
        if rng.random() < 0.95:  # else it may lie outside, which must raise
            w, h = max(w, 1 - x), max(h, 1 - y)
        rects.append([0, 0, 0, 0] if rng.random() < 0.2 else [x, y, w, h])
    return rects


def draw_outputs(rng: random.Random, count: int, view: int) -> Any:
    values = np.random.default_rng(rng.getrandbits(20))
    if rng.random() < 0.2:
        return values.integers(0, 256, (count, view, view, 3), np.uint8)
    outputs = values.normal(0.4, 0.5, (count, 3, view, view)).astype(np.float32)
    outputs.flat[:: rng.choice((7, 1000))] = rng.choice((np.nan, np.inf, -np.inf, 1e38, 0.5))
    if rng.random() < 0.03:
        outputs = outputs[:, :, : rng.randrange(view)]
    return outputs.astype(np.float64) if rng.random() < 0.02 else outputs


def draw_template(rng: random.Random) -> Template:
    width, height, count = rng.randrange(1, 70), rng.randrange(1, 60), rng.randrange(1, 4)
    values = np.random.default_rng(rng.getrandbits(20))
    frames = values.integers(0, 256, (count, height, width, 3), np.uint8)
    rects = draw_rects(rng, count, width, height)
    return Template.from_arrays(frames, rects, preset=draw_preset(rng), label=rng.random() < 0.5)


def request(rng: random.Random) -> None:
    """Finish one request, twice: the same bytes, no byte beyond the buffers, no pixel too far."""
    template = draw_template(rng)
    format = rng.choice(FRAME_FORMATS)
    count = rng.randrange(0, 5)
    indices = [
        rng.randrange(-1 if rng.random() < 0.02 else 0, template.count) for _ in range(count)
    ]
    outputs = draw_outputs(rng, count, template.preset.view)
    keywords: dict[str, Any] = {"format": format}
    if format == "jpeg" and rng.random() < 0.5:
        keywords["quality"] = rng.choice((1, 60, 100, 101))
    if rng.random() < 0.4:
        keywords["alphas"] = [rng.choice((0, 1, 128, 255)) for _ in range(count)]
    match, threads = rng.random() < 0.3, rng.choice((1, 1, 2))
    with Compositor(template, threads=threads, colour_match=match) as compositor:
        side, faces = template.preset.view, np.flatnonzero(template.rects[:, 2])[:1]
        compositor.composite(np.zeros((len(faces), 3, side, side), np.float32), faces)
        with np.errstate(all="ignore"):
            first = compositor.composite(outputs, indices, **keywords)
        shape = compositor.canvas(format, keywords.get("quality")).shape
        made = [bytes(frame.data) for frame in first]
        buffers = [Canvas(rng, shape if len(shape) > 1 else (1, *shape)) for _ in indices]
        out = [b.array if len(shape) > 1 else b.array.reshape(-1) for b in buffers]
        with np.errstate(all="ignore"):
            # A worker's earlier mouths and backgrounds must not show.
            compositor.composite(outputs[::-1].copy(), indices[::-1], format=format)
            lengths = compositor.composite_into(out, outputs, indices, **keywords)
    for buffer, array, length, want in zip(buffers, out, lengths, made, strict=True):
        buffer.check()
        assert array.tobytes()[:length] == want
    if format == "bgr24":
        for frame, index in zip(first, indices, strict=True):
            x, y, w, h = template.rects[index]
            outside = np.ones(frame.array.shape[:2], bool)
            outside[y : y + h, x : x + w] = False
            background = template.bgr24(index)
            assert np.array_equal(frame.array[outside], background[outside])
