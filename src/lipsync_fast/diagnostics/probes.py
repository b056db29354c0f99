"""Facts about a generator, found by running it.

Exported models do not name the order of their planes or colours. A trained model redraws a face
well if it is shown as in training, and worse otherwise; each probe shows it a face both ways and
compares.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio.lite_avatar import NEUTRAL
from ..compositing import Compositor
from ..compositing.seams import seam_steps
from ..errors import ModelError
from ..nets.generator import Generator
from ..presets import Preset
from ..templates.template import Template

__all__ = ["SEAM_FRAMES", "drawn_face", "probe", "resident_memory", "seam_facts"]

Facts = dict[str, object]
Floats = NDArray[np.float32]

FRAMES = 4  # frames of a probe
SEAM_FRAMES = 8  # frames whose borders are measured
REQUEST = 8
SOUND = 0.2  # spread of random features: driver parameters reach about 0.4
SECONDS = 2.0  # duration of the speed measurement
CLEAR = 1.1  # a guess counts if one way is this many times better than the other
FULL_HD = (1080, 1920)


def probe(path: Path, preset: Preset, template: Template | None = None) -> Facts:
    """Return facts about a generator: batch, results of the probes, seam, memory and speed.

    Parameters
    ----------
    path : Path
        An ONNX file whose inputs fit the preset.
    preset : Preset
    template : Template, optional
        The template whose faces it sees; by default a drawn face.

    Returns
    -------
    dict
        In display order.

    Raises
    ------
    ModelError
        The model cannot be used as a generator.
    """
    before = resident_memory()
    net = Generator(path, preset)
    own = template is None
    if template is None:
        template = _drawn_template(net.preset)
    visual, audio, chosen = _probe_inputs(net.preset, template)
    pictures = net.infer(visual, audio)
    low, high = float(pictures.min()), float(pictures.max())
    facts: Facts = {
        "batch": _batch_fact(net, visual, audio),
        "output range": f"{low:.3f} to {high:.3f} (the preset says "
        f"{net.preset.low:g} to {net.preset.high:g})",
        "shown": "a drawn face" if own else "faces of the template",
        "hears": _hearing_fact(net, visual, audio),
        "colour order": _colour_fact(net, visual, audio),
    }
    if net.preset.black is not None:
        facts["masked area"] = _mask_fact(net, visual, audio)
        facts["plane order"] = _order_fact(net, visual, audio)
    if not own:
        facts.update(seam_facts(template, pictures, chosen))
    alone, finished = _rates(net, template)
    facts["frames a second, model"] = round(alone, 1)
    facts["frames a second, end to end"] = round(finished, 1)
    facts["end to end"] = (
        f"from crops to finished {template.width}×{template.height} JPEG, {REQUEST} a request"
    )
    after = resident_memory()
    if before is not None and after is not None:
        facts["memory in MB"] = round((after - before) / 1e6)
    return facts


# ---- inputs of the probes ------------------------------------------------------------------


def drawn_face(side: int) -> NDArray[np.uint8]:
    """Draw a face as a few ellipses on shaded skin: (side, side, 3) uint8, bgr24, fresh."""
    y, x = np.mgrid[0:side, 0:side] / side
    shade = 1 - 1.4 * ((x - 0.5) ** 2 + (y - 0.4) ** 2)
    face = np.array([135, 160, 200]) * shade[:, :, None]
    for cx, cy, rx, ry, colour in (
        (0.3, 0.2, 0.08, 0.03, (40, 45, 60)),
        (0.7, 0.2, 0.08, 0.03, (40, 45, 60)),
        (0.5, 0.45, 0.05, 0.10, (120, 145, 185)),
        (0.5, 0.72, 0.16, 0.05, (80, 80, 170)),
    ):
        face[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = colour
    drawn: NDArray[np.uint8] = face.clip(0, 255).astype(np.uint8)
    return drawn


def _drawn_template(preset: Preset) -> Template:
    height, width = FULL_HD
    y, x = np.mgrid[0:height, 0:width]
    room = np.stack([x * 90 // width + 80, y * 90 // height + 80, (x + y) % 37 + 110], axis=2)
    side = min(preset.crop, 400)
    frame = room.astype(np.uint8)
    frame[300 : 300 + side, 700 : 700 + side] = drawn_face(side)
    rate = preset.feature_rate or 25
    return Template.from_arrays([frame], (700, 300, side, side), preset=preset, fps=rate)


def _probe_inputs(preset: Preset, template: Template) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return faces spread over the template, silence, and the faces' template indices."""
    faces = np.flatnonzero(template.rects[:, 2])
    if not len(faces):
        raise ModelError("the template must have a frame with a face, got none")
    chosen = faces[np.linspace(0, len(faces) - 1, FRAMES).astype(int)]
    visual = np.stack([template.visual(int(i)) for i in chosen])
    return visual, _silence(preset, FRAMES), chosen


def _silence(preset: Preset, count: int) -> Floats:
    """Return the features nearest to silence: the closed mouth's parameters, else zeros."""
    silence = np.zeros((count, *preset.audio_shape), np.float32)
    if preset.driven_by_rule and preset.audio_shape == (len(NEUTRAL),):
        silence[...] = NEUTRAL
    return silence


def _levels(preset: Preset, difference: Floats) -> float:
    """Return the mean absolute difference, in levels of 255."""
    return float(np.abs(difference).mean()) * 255 / (preset.high - preset.low)


def _planes(preset: Preset, name: str) -> slice:
    first = 3 * preset.visual.split("+").index(name)
    return slice(first, first + 3)


# ---- probes --------------------------------------------------------------------------------


def _batch_fact(net: Generator, visual: Floats, audio: Floats) -> str:
    if net.batch is not None:
        return f"fixed at {net.batch}; `lipsync-fast model batch` frees it"
    single = np.concatenate([net.infer(visual[i : i + 1], audio[i : i + 1]) for i in range(2)])
    try:
        both = net.infer(visual[:2], audio[:2])
    except ModelError as error:
        return f"declared free, but a batch of 2 fails: {error}"
    off = _levels(net.preset, both - single)
    if off > 0.1:
        return f"declared free, but mixes frames: {off:.1f} levels between 2 at once and 2 × 1"
    return "free; 2 at once equal 2 × 1"


def _hearing_fact(net: Generator, visual: Floats, audio: Floats) -> str:
    draw = np.random.default_rng(0)
    sounds = audio + draw.normal(0, SOUND, audio.shape).astype(np.float32)
    same = np.repeat(visual[:1], FRAMES, axis=0)
    pictures = net.infer(same, sounds)
    change = _levels(net.preset, pictures[1:] - pictures[:1])
    if change < 0.01:
        return "nothing: the picture does not depend on the sound"
    return f"sounds: random sound changes the picture by {change:.2f} levels"


def _colour_fact(net: Generator, visual: Floats, audio: Floats) -> str:
    """Tell RGB from BGR: in the right order skin looks like skin, and is redrawn unchanged."""
    preset = net.preset
    swapped = np.ascontiguousarray(
        visual.reshape(FRAMES, -1, 3, preset.view, preset.view)[:, :, ::-1]
    ).reshape(visual.shape)
    as_said, otherwise = (
        _levels(preset, _shown_twice(preset, net.infer(v, audio) - v[:, :3]))
        for v in (visual, swapped)
    )
    orders = ("RGB", "BGR") if preset.rgb else ("BGR", "RGB")
    evidence = f"differs from its input by {as_said:.1f} levels as {orders[0]}, "\
        f"{otherwise:.1f} as {orders[1]}"  # fmt: skip
    return f"{_guess(as_said, otherwise, *orders)}: {evidence}"


def _shown_twice(preset: Preset, planes: Floats) -> Floats:
    """Return the pixels outside the black box, which reference and masked picture share."""
    seen = np.ones(planes.shape[-2:], bool)
    if preset.black is not None:
        x0, y0, x1, y1 = preset.black
        seen[y0:y1, x0:x1] = False
    return planes[..., seen]


def _mask_fact(net: Generator, visual: Floats, audio: Floats) -> str:
    """Tell whether pixels inside the preset's black box matter: show noise there."""
    preset = net.preset
    assert preset.black is not None
    x0, y0, x1, y1 = preset.black
    filled = visual.copy()
    draw = np.random.default_rng(1)
    box = filled[:, _planes(preset, "masked"), y0:y1, x0:x1]
    box[...] = draw.uniform(preset.low, preset.high, box.shape)
    change = _levels(preset, net.infer(filled, audio) - net.infer(visual, audio))
    if change < 0.01:
        return "ignored: noise in it changes nothing"
    return f"used: noise in it changes the picture by {change:.1f} levels"


def _order_fact(net: Generator, visual: Floats, audio: Floats) -> str:
    """Tell which planes hold the reference; only those show a mouth."""
    preset = net.preset
    assert preset.black is not None
    x0, y0, x1, y1 = preset.black
    swapped = np.ascontiguousarray(np.concatenate([visual[:, 3:], visual[:, :3]], axis=1))
    face = visual[:, _planes(preset, "reference"), y0:y1, x0:x1]
    as_said = _levels(preset, net.infer(visual, audio)[:, :, y0:y1, x0:x1] - face)
    otherwise = _levels(preset, net.infer(swapped, audio)[:, :, y0:y1, x0:x1] - face)
    orders = (preset.visual, "+".join(preset.visual.split("+")[::-1]))
    evidence = f"the black box differs from the face by {as_said:.1f} levels in this order, "\
        f"{otherwise:.1f} in the other"  # fmt: skip
    return f"{_guess(as_said, otherwise, *orders)}: {evidence}"


def _guess(as_said: float, otherwise: float, said: str, other: str) -> str:
    if otherwise > CLEAR * as_said:
        return said
    if as_said > CLEAR * otherwise:
        return f"{other}, unlike the preset"
    return "unclear"


# ---- seam ----------------------------------------------------------------------------------


def seam_facts(template: Template, pictures: NDArray[Any], indices: NDArray[np.intp]) -> Facts:
    """Measure how much the rects' borders stand out, with pictures in the frames and without.

    Parameters
    ----------
    template : Template
    pictures : (N, 3, S, S) float32 or (N, S, S, 3) uint8
        As in `Compositor.composite`.
    indices : (N,) integers
        Frames with a face.

    Returns
    -------
    dict
        Over all frames together, as in `seam_error`; empty if all is flat round the rects.
    """
    bare = _steps(template, indices, [template.bgr24(int(i)) for i in indices])
    with Compositor(template) as compositor:
        finished = [f.array for f in compositor.composite(pictures, indices)]
        shown = _steps(template, indices, finished)
    if shown is None or bare is None:
        return {}
    return {"seam error": shown, "seam error of the untouched background": bare}


def _steps(
    template: Template, indices: NDArray[np.intp], frames: list[NDArray[np.uint8]]
) -> float | None:
    steps = [seam_steps(f, template.rects[i]) for i, f in zip(indices, frames, strict=True)]
    across, outside = np.sum(steps, axis=0)
    return round(float(across / outside), 3) if outside else None


# ---- speed and memory ----------------------------------------------------------------------


def _rates(net: Generator, template: Template) -> tuple[float, float]:
    """Measure frames a second of the model alone, and from crops to finished JPEG.

    Times both on the same requests, one after the other, so that a busy machine slows both
    alike; takes the medians of about two seconds.
    """
    preset = net.preset
    indices = template.indices(0, REQUEST)
    audio = _silence(preset, REQUEST)
    visual = np.empty((REQUEST, *preset.visual_shape), np.float32)
    nets: list[float] = []
    requests: list[float] = []
    with Compositor(template) as compositor:
        while sum(requests[1:]) < SECONDS or len(requests) < 4:
            start = time.perf_counter()
            for slot, index in enumerate(indices):
                template.visual(int(index), out=visual[slot])
            begun = time.perf_counter()
            pictures = net.infer(visual, audio)
            nets.append(time.perf_counter() - begun)
            compositor.composite(pictures, indices, format="jpeg")
            requests.append(time.perf_counter() - start)
    # The first request allocates its buffers and plans.
    return REQUEST / median(nets[1:]), REQUEST / median(requests[1:])


def resident_memory() -> int | None:
    """Return the resident bytes of this process; None if the system does not report them."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return None
    import resource

    return pages * resource.getpagesize()
