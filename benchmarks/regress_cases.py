"""The cases of regress.py: a work of ours, and a calibrating peer of alike work and footprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lipsync_fast import _kernels
from lipsync_fast._pool import BufferPool
from lipsync_fast.bench.scenes import (
    Scene,
    drifting_rects,
    photos,
    request_outputs,
    write_template,
)
from lipsync_fast.compositor import Compositor
from lipsync_fast.mel import mel_spectrogram
from lipsync_fast.template import Template

Work = Callable[[], object]
FRAMES = 12  # of the template on disk


@dataclass(frozen=True)
class Case:
    """Both works are warm: they have been called, over a whole loop of the template."""

    name: str
    ours: Work
    peer: Work
    pool: BufferPool | None = None

    def misses(self) -> int:
        return 0 if self.pool is None else self.pool.stats().misses


def _checked(case: Case, loops: int = 3) -> Case:
    for _ in range(loops * FRAMES):
        case.ours()
    case.peer()
    return case


def make_cases(work: Path) -> list[Case]:
    """All cases, warm; templates are written into `work`, which has to stay."""
    cv2.setNumThreads(1)
    scene = Scene.make("1080p", [next(photos(1))], drifting_rects(1))
    write_template(
        work / "t", photos(FRAMES), drifting_rects(FRAMES), store=("jpeg", "i420", "bgr24")
    )
    template = Template.open(work / "t")
    cases = [*_frame_cases(scene), *_request_cases(template), *_in_place_cases(template, scene)]
    cases += [*_resize_cases(scene), _convert_case(scene), _mel_case()]
    return [_checked(case) for case in cases]


def _patch(scene: Scene) -> np.ndarray:
    """The mouth as OpenCV makes it: what every calibrating frame starts with."""
    inputs = scene.inputs[0]
    picture = (inputs.output.transpose(1, 2, 0) * 255).astype(np.uint8)
    return cv2.resize(picture, inputs.rect[2:], interpolation=cv2.INTER_CUBIC)


def _frame_cases(scene: Scene) -> list[Case]:
    compositor = Compositor(scene.template, threads=1)
    chosen, quality = np.array([0]), [cv2.IMWRITE_JPEG_QUALITY, 75]
    jpeg = scene.template.jpeg()
    region, file = np.ascontiguousarray(jpeg.region(0)), jpeg.files[0]
    whole, frame = np.empty_like(file), np.empty_like(scene.template.bgr24(0))
    planes = scene.template.i420(0)
    same = np.empty_like(planes)

    def lease(format: str) -> Work:
        def finish() -> None:
            with compositor.composite(scene.outputs, chosen, format=format):
                pass

        return finish

    def jpeg_peer() -> None:
        _patch(scene)
        cv2.imencode(".jpg", region, quality)
        np.copyto(whole, file)

    def packed_peer() -> None:
        _patch(scene)
        np.copyto(frame, scene.template.bgr24(0))

    def i420_peer() -> None:
        cv2.cvtColor(_patch(scene)[:180, :180], cv2.COLOR_BGR2YUV_I420)
        np.copyto(same, planes)

    peers = {"jpeg": jpeg_peer, "bgr24": packed_peer, "i420": i420_peer}
    return [Case(f"frame {f}", lease(f), peer, compositor.pool) for f, peer in peers.items()]


def _request_cases(template: Template) -> list[Case]:
    """Requests of 8 and 25 through the loop, beside as many encodings of the region."""
    jpeg, cases = template.jpeg(), []
    regions = [np.ascontiguousarray(jpeg.region(i)) for i in range(FRAMES)]
    for size in (8, 25):
        compositor = Compositor(template, threads=1)
        outputs, at = request_outputs("synctalk328", size), [0]

        def ours(compositor=compositor, outputs=outputs, at=at, size=size) -> None:
            chosen = template.indices(at[0], size)
            at[0] += size
            with compositor.composite(outputs, chosen, format="jpeg"):
                pass

        def peer(outputs=outputs, size=size) -> None:
            for i in range(size):
                (outputs[i] * np.float32(255)).astype(np.uint8)
                cv2.imencode(".jpg", regions[i % FRAMES])

        cases.append(Case(f"request of {size} jpeg", ours, peer, compositor.pool))
    return cases


def _in_place_cases(template: Template, scene: Scene) -> list[Case]:
    cases = []
    for format in ("bgr24", "i420"):
        compositor, at = Compositor(template, threads=1), [0]
        part = np.empty((182, 182, 3), np.uint8)

        def ours(compositor=compositor, at=at, format=format) -> None:
            at[0] = (at[0] + 1) % FRAMES
            with compositor.composite(scene.outputs, np.array(at), format=format):
                pass

        def peer(format=format, part=part) -> None:
            patch = _patch(scene)[:182, :182]
            if format == "i420":
                cv2.cvtColor(patch[:180, :180], cv2.COLOR_BGR2YUV_I420)
            else:
                np.copyto(part[: len(patch), : patch.shape[1]], patch)

        cases.append(Case(f"in place {format}", ours, peer, compositor.pool))
    return cases


def _resize_cases(scene: Scene) -> list[Case]:
    src = np.ascontiguousarray((scene.outputs[0].transpose(1, 2, 0) * 255).astype(np.uint8))
    size, out, room = (182, 182), np.empty((182, 182, 3), np.uint8), np.empty((182, 182, 3), "u1")
    opencv = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
    cases = []
    for name, way in opencv.items():
        plan = _kernels.ResizePlan((320, 320), size, name)
        cases.append(
            Case(
                f"resize {name}",
                lambda plan=plan: plan.resize(src, out),
                lambda way=way: cv2.resize(src, size, room, interpolation=way),
            )
        )
    plan, image = _kernels.ResizePlan((320, 320), size, "lanczos_aa"), Image.fromarray(src)
    cases.append(
        Case(
            "resize lanczos_aa",
            lambda: plan.resize(src, out),
            lambda: image.resize(size, Image.Resampling.LANCZOS),
        )
    )
    return cases


def _convert_case(scene: Scene) -> Case:
    planes, out = scene.outputs[0], np.empty((320, 320, 3), np.uint8)
    return Case(
        "convert",
        lambda: _kernels.convert(planes, out),
        lambda: (planes * np.float32(255)).astype(np.uint8),
    )


def _mel_case() -> Case:
    samples = np.random.default_rng(0).normal(0, 0.1, 10 * 16000).astype(np.float32)
    out = mel_spectrogram(samples)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 800)[::200]
    return Case(
        "mel of 10 s",
        lambda: mel_spectrogram(samples, out=out),
        lambda: np.abs(np.fft.rfft(frames)),
    )
