"""The cases of the regression run: our work, and a calibrating peer of similar footprint.

Peers take no large block either: whether the C library keeps one or fetches it again each time is
decided once in a process, so their cost would differ between processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lipsync_fast import kernels
from lipsync_fast.audio.mel import mel_spectrogram
from lipsync_fast.bench.scenes import Scene, drifting_rects, photos, request_outputs, write_template
from lipsync_fast.compositing import Compositor
from lipsync_fast.memory._pool import BufferPool
from lipsync_fast.templates.template import Template

__all__ = ["CASES", "FRAMES", "Case", "Scenery", "write_templates"]

Work = Callable[[], object]
FRAMES = 12  # frames of the template on disk
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 75]
LOOPS = 3  # loops of the template in the warm-up of each work


@dataclass(frozen=True)
class Case:
    """Two works on one thread; ours borrows from `pool`, and `long` tells whether they take a
    millisecond or more."""

    ours: Work
    peer: Work
    pool: BufferPool | None = None
    long: bool = False

    def misses(self) -> int:
        return 0 if self.pool is None else self.pool.stats().misses

    def warm(self) -> None:
        for _ in range(LOOPS * FRAMES):
            self.ours()
        self.peer()


def write_templates(work: Path) -> None:
    """Write the template that the cases open, the same for every process."""
    stores = ("jpeg", "i420", "bgr24")
    write_template(work / "t", photos(FRAMES), drifting_rects(FRAMES), store=stores)


class Scenery:
    """Things that cases share, made at first use."""

    def __init__(self, work: Path) -> None:
        self.work = work
        cv2.setNumThreads(1)

    @cached_property
    def scene(self) -> Scene:
        """One photo-like 1080p frame in memory, and a peer's inputs for it."""
        return Scene.make("1080p", [next(photos(1))], drifting_rects(1))

    @cached_property
    def template(self) -> Template:
        return Template.open(self.work / "t")

    @cached_property
    def picture(self) -> np.ndarray:
        """The model's output as pixels: (320, 320, 3) uint8."""
        return np.ascontiguousarray((self.scene.outputs[0].transpose(1, 2, 0) * 255).astype("u1"))

    @cached_property
    def patch(self) -> np.ndarray:
        """Room for it resized to the mouth."""
        w, h = self.scene.inputs[0].rect[2:]
        return np.empty((h, w, 3), np.uint8)


def _patch(scenery: Scenery, output: np.ndarray | None = None) -> np.ndarray:
    """Read and compute as much as ours for a mouth: the model's floats, and a cubic resize."""
    (scenery.scene.outputs if output is None else output).sum()
    return cv2.resize(
        scenery.picture, scenery.patch.shape[1::-1], scenery.patch, interpolation=cv2.INTER_CUBIC
    )


# ---- frames --------------------------------------------------------------------------------


def _jpeg_frame(scenery: Scenery) -> Case:
    """A frame of a template in memory, beside a patch, its region's encoding and a copy."""
    scene, chosen = scenery.scene, np.array([0])
    compositor = Compositor(scene.template, threads=1)
    background = scene.template.jpeg(0)
    region, file = np.ascontiguousarray(background.region), background.file
    copy = np.empty_like(file)

    def ours() -> None:
        with compositor.composite(scene.outputs, chosen, format="jpeg"):
            pass

    def peer() -> None:
        _patch(scenery)
        cv2.imencode(".jpg", region, JPEG)
        np.copyto(copy, file)

    return Case(ours, peer, compositor.pool)


def _copied(scenery: Scenery, format: str) -> Case:
    """A frame in the caller's buffer, beside a patch and a copy into the same buffer: the place
    of a second buffer would differ from process to process."""
    scene, chosen = scenery.scene, np.array([0])
    compositor = Compositor(scene.template, threads=1)
    source = {"bgr24": scene.template.bgr24, "i420": scene.template.i420}[format](0)
    out = np.empty_like(source)
    buffers = [out]

    def ours() -> None:
        compositor.composite_into(buffers, scene.outputs, chosen, format=format)

    def peer() -> None:
        patch = _patch(scenery)
        if format == "i420":
            cv2.cvtColor(patch[:180, :180], cv2.COLOR_BGR2YUV_I420)
        np.copyto(out, source)

    return Case(ours, peer, compositor.pool)


def _request(scenery: Scenery, size: int) -> Case:
    """JPEG frames in loop order, beside as many patches, encodings of the region and copies."""
    template = scenery.template
    backgrounds = [template.jpeg(i) for i in range(FRAMES)]
    regions = [np.ascontiguousarray(background.region) for background in backgrounds]
    copies = [np.empty_like(backgrounds[i % FRAMES].file) for i in range(size)]
    compositor, outputs = Compositor(template, threads=1), request_outputs("synctalk328", size)
    at = 0

    def ours() -> None:
        nonlocal at
        chosen = template.indices(at, size)
        at += size
        with compositor.composite(outputs, chosen, format="jpeg"):
            pass

    def peer() -> None:
        for i in range(size):
            _patch(scenery, outputs[i])
            cv2.imencode(".jpg", regions[i % FRAMES], JPEG)
            np.copyto(copies[i], backgrounds[i % FRAMES].file)

    return Case(ours, peer, compositor.pool, long=True)


def _in_place(scenery: Scenery, format: str) -> Case:
    """Frames painted onto mapped backgrounds, beside a patch put onto as many pictures twice,
    since ours restores the pixels painted a loop ago."""
    scene, compositor = scenery.scene, Compositor(scenery.template, threads=1)
    w, h = scene.inputs[0].rect[2:]
    pictures = np.zeros((FRAMES, 1080, 1920, 3), np.uint8)[:, 500 : 500 + h, 800 : 800 + w]
    kept = pictures.copy()
    at = np.array([0])

    def ours() -> None:
        at[0] = (at[0] + 1) % FRAMES
        with compositor.composite(scene.outputs, at, format=format):
            pass

    def peer() -> None:
        at[0] = i = (at[0] + 1) % FRAMES
        np.copyto(pictures[i], kept[i])
        patch = _patch(scenery)
        np.copyto(pictures[i], patch)
        if format == "i420":
            cv2.cvtColor(patch[:180, :180], cv2.COLOR_BGR2YUV_I420)

    return Case(ours, peer, compositor.pool)


# ---- kernels -------------------------------------------------------------------------------

BLOCK = 64  # frames of sound at a time: they stay in the cache, like ours
OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
SIZE = (182, 182)


def _resize(scenery: Scenery, filter: str) -> Case:
    src, out = scenery.picture, np.empty((*SIZE, 3), np.uint8)
    plan = kernels.ResizePlan((320, 320), SIZE, filter)
    if filter in OPENCV:
        room, way = np.empty_like(out), OPENCV[filter]
        peer = partial(cv2.resize, src, SIZE, room, interpolation=way)
    else:
        peer = partial(Image.fromarray(src).resize, SIZE, Image.Resampling.LANCZOS)
    return Case(partial(plan.resize, src, out), peer)


def _convert(scenery: Scenery) -> Case:
    planes, out = scenery.scene.outputs[0], np.empty((320, 320, 3), np.uint8)
    scaled, pixels = np.empty_like(planes), np.empty(planes.shape, np.uint8)

    def peer() -> None:
        np.multiply(planes, np.float32(255), out=scaled)
        np.copyto(pixels, scaled, casting="unsafe")

    return Case(partial(kernels.convert, planes, out), peer)


def _mel(scenery: Scenery) -> Case:
    del scenery  # of sound only
    samples = np.random.default_rng(0).normal(0, 0.1, 10 * 16000).astype(np.float32)
    out = mel_spectrogram(samples)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 800)[::200]
    spectrum = np.fft.rfft(frames[:BLOCK])
    magnitude = np.abs(spectrum)

    def peer() -> None:
        for start in range(0, len(frames) - BLOCK + 1, BLOCK):
            np.fft.rfft(frames[start : start + BLOCK], out=spectrum)
            np.abs(spectrum, out=magnitude)

    return Case(partial(mel_spectrogram, samples, out=out), peer, long=True)


# Requests come first, so that 30 MB of a model's floats lie as in a process that has just begun.
CASES: dict[str, Callable[[Scenery], Case]] = {
    **{f"request of {n} jpeg": partial(_request, size=n) for n in (8, 25)},
    "frame jpeg": _jpeg_frame,
    **{f"copied {f}": partial(_copied, format=f) for f in ("bgr24", "i420")},
    **{f"in place {f}": partial(_in_place, format=f) for f in ("bgr24", "i420")},
    **{f"resize {f}": partial(_resize, filter=f) for f in (*OPENCV, "lanczos_aa")},
    "convert": _convert,
    "mel of 10 s": _mel,
}
