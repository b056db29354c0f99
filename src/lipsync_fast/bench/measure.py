"""The lines of the report: each stage timed on this machine, ours and the peers' in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..audio.mel import mel_spectrogram
from ..compositing import Compositor
from ..errors import MissingExtraError
from ..pipeline.pipeline import Pipeline
from ..templates.template import Template
from . import memory, need
from .clock import Timing, ratio, run_in_turn
from .encoders import ENCODERS
from .peers import PEERS, Inputs, finish, kernel_frame, make_inputs
from .scenes import request_outputs

__all__ = ["OURS", "Line", "measure_peers", "measure_pipeline"]

OURS = "lipsync_fast"

Work = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One way to do one stage.

    Attributes
    ----------
    stage, who : str
        The stage, and the system that does it.
    timing : Timing
        Of one frame (of one second of sound, for the mel).
    blocks : memory.Blocks or None
        Blocks taken by one call of `frames` frames; None if memray is not installed.
    frames : int
        Frames of one call.
    alone : bool
        Whether the calling thread did all the work, so that its processor time is the cost.
    """

    stage: str
    who: str
    timing: Timing
    blocks: memory.Blocks | None
    frames: int
    alone: bool = True

    @property
    def ours(self) -> bool:
        """Tell whether it is ours."""
        return self.who.startswith(OURS)

    @property
    def fps(self) -> float:
        """Return frames a second, at the median."""
        return 1e3 / self.timing.median_ms

    def times(self, other: Line) -> float:
        """Return how many times as long as `other` it takes.

        Compares processor time, which other programs disturb least, if both ran on one thread.
        """
        return ratio(self.timing, other.timing, cpu=self.alone and other.alone)

    @property
    def bytes(self) -> float | None:
        """Return the bytes allocated per frame."""
        return None if self.blocks is None else self.blocks.bytes / self.frames

    @property
    def large(self) -> float | None:
        """Return the blocks of 64 KiB and more per frame."""
        return None if self.blocks is None else self.blocks.large / self.frames


def _lines(
    stage: str, works: dict[str, Work], rounds: int, frames: int = 1, alone: bool = True
) -> Iterator[Line]:
    found = run_in_turn(works, rounds)
    for who, work in works.items():
        try:
            blocks = memory.blocks_of(work)
        except MissingExtraError:
            blocks = None
        each = Timing(found[who].wall / frames, found[who].cpu / frames)
        yield Line(stage, who, each, blocks, frames, alone)


# ---- beside the peers ----------------------------------------------------------------------


def measure_peers(template: Template, rounds: int) -> Iterator[Line]:
    """Measure finished frames of the first background with a face: one thread, all peers.

    Parameters
    ----------
    template : Template
        In any preset; each peer gets the same frame and rect with a model output of its own size.
    rounds : int
        Samples of each.

    Yields
    ------
    Line
        Ours first in each stage.

    Raises
    ------
    MissingExtraError
        The extra `bench` is not installed.
    """
    cv2 = need("cv2")
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        index = int(np.argmax(template.rects[:, 2] > 0))
        x, y, w, h = (int(v) for v in template.rects[index])
        background = np.ascontiguousarray(template.bgr24(index))
        inputs = {name: make_inputs(peer, background, (x, y, w, h)) for name, peer in PEERS.items()}
        _check(inputs)
        with Compositor(template, threads=1) as compositor:
            yield from _frames(compositor, index, inputs, rounds)
        yield from _kernels_alone(template, index, inputs, rounds)
    finally:
        cv2.setNumThreads(before)


def _check(inputs: dict[str, Inputs]) -> None:
    """Check that the twins finish the same frame as our kernels, within their tolerance."""
    for name, peer in PEERS.items():
        if peer.tolerance > 1:
            continue
        theirs = peer.composite(inputs[name]).astype(np.int16)
        apart = np.abs(theirs - kernel_frame(peer, inputs[name])).max()
        assert apart <= peer.tolerance, f"{peer.title}'s frame is {apart} levels from ours"


def _frames(
    compositor: Compositor, index: int, inputs: dict[str, Inputs], rounds: int
) -> Iterator[Line]:
    outputs = request_outputs(compositor.template.preset, 1)
    chosen = np.array([index])

    def ours(format: str) -> Work:
        def frame() -> None:
            compositor.composite(outputs, chosen, format=format)

        return frame

    def encoded(name: str, encoder: str) -> Work:
        return lambda: finish(PEERS[name], inputs[name], encoder)

    def packed(name: str) -> Work:
        return lambda: PEERS[name].composite(inputs[name])

    works: dict[str, Work] = {OURS: ours("jpeg")}
    works |= {f"SyncTalk_2D, {e}": encoded("synctalk2d", e) for e in ENCODERS if e != "png"}
    works |= {
        f"{peer.title}, {peer.encoder}": encoded(name, peer.encoder)
        for name, peer in PEERS.items()
        if name != "synctalk2d"
    }
    yield from _lines("encoded frame", works, rounds)

    out = [np.empty(compositor.canvas("bgr24").shape, np.uint8)]
    works = {}
    if compositor.canvas("bgr24").in_place is not None:
        works[f"{OURS}, in place"] = ours("bgr24")
    works[f"{OURS}, caller's buffer"] = lambda: compositor.composite_into(
        out, outputs, chosen, format="bgr24"
    )
    works |= {peer.title: packed(name) for name, peer in PEERS.items()}
    yield from _lines("packed frame", works, rounds)
    yield from _lines(
        "I420 frame",
        {OURS: ours("i420")} | {PEERS[n].title: _to_i420(inputs[n], n) for n in _BGR},
        rounds,
    )


_BGR = ("synctalk2d", "livetalking_wav2lip", "livetalking_ultralight")


def _to_i420(inputs: Inputs, name: str) -> Work:
    cv2 = need("cv2")
    return lambda: cv2.cvtColor(PEERS[name].composite(inputs), cv2.COLOR_BGR2YUV_I420)


def _kernels_alone(
    template: Template, index: int, inputs: dict[str, Inputs], rounds: int
) -> Iterator[Line]:
    preset = template.preset
    visual = np.empty(preset.visual_shape, np.float32)
    works: dict[str, Work] = {OURS: lambda: template.visual(index, out=visual)}
    for name, peer in PEERS.items():
        if peer.build_input is not None:
            works[peer.title] = partial(peer.build_input, [inputs[name]])
    yield from _lines("the model's input", works, rounds)

    synctalk = inputs["synctalk2d"]
    w, h = synctalk.rect[2:]
    plan = kernels.ResizePlan(synctalk.crop.shape[1::-1], (w, h), "bicubic")
    out = np.empty((h, w, 3), np.uint8)
    works = {
        OURS: lambda: kernels.patch(synctalk.output, plan, synctalk.crop, out),
        "OpenCV and NumPy": lambda: _opencv_patch(synctalk),
    }
    yield from _lines("model output to patch, cubic", works, rounds)

    yield from _lines("mel of 1 s", _mels(), rounds, frames=_SECONDS)


_SECONDS = 10  # of sound in one call


def _mels() -> dict[str, Work]:
    """Measure ours and, where librosa is installed, the steps of Wav2Lip's script."""
    samples = np.random.default_rng(0).normal(0, 0.1, _SECONDS * 16000).astype(np.float32)
    out = mel_spectrogram(samples)
    works: dict[str, Work] = {OURS: lambda: mel_spectrogram(samples, out=out)}
    try:
        librosa, lfilter = need("librosa"), need("scipy.signal").lfilter
    except MissingExtraError:
        return works
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)

    def wav2lip() -> NDArray[Any]:
        spectrum = librosa.stft(
            lfilter([1, -0.97], [1], samples), n_fft=800, hop_length=200, pad_mode="constant"
        )
        decibels = 20 * np.log10(np.maximum(1e-5, basis @ np.abs(spectrum))) - 20
        columns: NDArray[Any] = np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T
        return columns

    assert np.abs(wav2lip() - out).max() <= 1e-4, "librosa's mel differs"
    return works | {"Wav2Lip, librosa": wav2lip}


def _opencv_patch(inputs: Inputs) -> NDArray[Any]:
    cv2 = need("cv2")
    crop = inputs.crop.copy()
    side = inputs.output.shape[1]
    edge = (crop.shape[0] - side) // 2
    inner = slice(edge, edge + side)
    crop[inner, inner] = np.array(inputs.output.transpose(1, 2, 0) * 255, dtype=np.uint8)
    patch: NDArray[Any] = cv2.resize(crop, inputs.rect[2:], interpolation=cv2.INTER_CUBIC)
    return patch


# ---- the whole road ------------------------------------------------------------------------


def measure_pipeline(pipeline: Pipeline, rounds: int) -> Iterator[Line]:
    """Measure requests of 8 and 25, with the model and without, on the pipeline's threads.

    Yields
    ------
    Line
        Measured after three requests of each kind and one loop of the template.
    """
    template, preset = pipeline.template, pipeline.template.preset
    rng = np.random.default_rng(1)
    for format in ("jpeg", "i420"):
        for size in (8, 25):
            features = rng.normal(0, 1, (size, *preset.audio_shape)).astype(np.float32)
            outputs = request_outputs(preset, size)
            works = {
                f"{OURS}, requests of {size}, no model": _composite(pipeline, outputs, format),
                f"{OURS}, requests of {size}, model": _infer(pipeline, features, format),
            }
            for _ in range(2 * template.count // size + 3):
                works[f"{OURS}, requests of {size}, no model"]()
            for _ in range(3):
                works[f"{OURS}, requests of {size}, model"]()
            yield from _lines(f"whole road, {format}", works, rounds, frames=size, alone=False)


def _composite(pipeline: Pipeline, outputs: NDArray[np.float32], format: str) -> Work:
    at, size = [0], len(outputs)

    def request() -> None:
        chosen = pipeline.template.indices(at[0], size)
        at[0] += size
        pipeline.compositor.composite(outputs, chosen, format=format)

    return request


def _infer(pipeline: Pipeline, features: NDArray[np.float32], format: str) -> Work:
    at = [0]

    def request() -> None:
        with pipeline.composite(features, at[0], format=format):
            at[0] += len(features)

    return request
