"""Scenes to measure: frames with mouths, as our template and as the peers' inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..formats import VideoFormat
from ..presets import Preset, get_preset
from ..templates import Template, TemplateOptions, TemplateWriter
from ..templates.rects import clip_rects
from .peers import PEERS, Inputs, make_inputs
from .pictures import net_output, photo

__all__ = ["Scene", "drifting_rects", "photos", "request_outputs", "write_template"]

Image = NDArray[np.uint8]
Rect = tuple[int, int, int, int]

SYNCTALK, LIVETALKING = "synctalk2d", "livetalking_wav2lip"
PRESET_OF = {SYNCTALK: "synctalk328", LIVETALKING: "wav2lip256"}

_PHOTOS = 4  # photos drawn; all others are these, rolled sideways


@cache
def _photo(width: int, height: int, seed: int) -> Image:
    return photo(width, height, seed=seed)


def photos(count: int, width: int = 1920, height: int = 1080) -> Iterator[Image]:
    """Yield photo-like frames, all different: four are drawn, the others are rolled sideways."""
    for i in range(count):
        yield np.roll(_photo(width, height, i % _PHOTOS), 16 * (i // _PHOTOS), axis=1)


def drifting_rects(count: int, width: int = 1920, height: int = 1080) -> NDArray[np.int32]:
    """Return mouth rects like a calm speaker's at 1080p: 173 to 189 pixels, drifting.

    Returns
    -------
    (count, 4) int32, fresh
        x, y, w, h inside the frame; the size scales with the frame's height.
    """
    at, scale = np.arange(count), height / 1080
    side = 181 * scale + 8 * scale * np.sin(at / 31)
    x = width / 2 - side / 2 + 40 * scale * np.sin(at / 47)
    y = height * 0.55 - side / 2 + 15 * scale * np.sin(at / 19)
    rects = np.trunc(np.stack([x, y, side, side + 3 * np.sin(at / 23)], 1))
    return clip_rects(rects.astype(np.int32), count, width, height)


def write_template(
    path: str | Path,
    frames: Iterable[Image],
    rects: ArrayLike,
    *,
    preset: str | Preset = "synctalk328",
    store: tuple[str, ...] = ("jpeg", "i420"),
) -> None:
    """Write frames with given rects as a template folder.

    Parameters
    ----------
    path : str or Path
    frames : iterable of (H, W, 3) uint8, bgr24
        One for each rect.
    rects : (n, 4) integers
    preset : see `TemplateWriter`
    store : see `TemplateOptions`
    """
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    video, options = VideoFormat(width, height), TemplateOptions(store=store)
    with TemplateWriter(path, video, preset=preset, options=options) as writer:
        for frame, rect in zip(itertools.chain([first], frames), np.asarray(rects), strict=True):
            x, y, w, h = (int(v) for v in rect)
            writer.add((x, y, w, h), bgr24=frame)


def request_outputs(preset: str | Preset, count: int, *, distinct: int = 25) -> NDArray[np.float32]:
    """Draw a request's outputs: (count, 3, S, S) float32, fresh; at most `distinct` differ."""
    preset = get_preset(preset)
    drawn = [net_output(preset.view, seed=i) for i in range(min(count, distinct))]
    outputs = np.stack([drawn[i % len(drawn)] for i in range(count)])
    return np.ascontiguousarray(outputs * (preset.high - preset.low) + preset.low, np.float32)


@dataclass(frozen=True)
class Scene:
    """A few frames with mouths: our template, and the inputs of one peer's twin.

    Attributes
    ----------
    name : str
    template : Template
        In memory; its preset has the peer's size and filter.
    inputs : list of Inputs
        One for each frame.
    outputs : (n, 3, S, S) float32
        The same model outputs, for our compositor.
    """

    name: str
    template: Template
    inputs: list[Inputs]
    outputs: NDArray[np.float32]

    @classmethod
    def make(
        cls, name: str, frames: Sequence[Image], rects: ArrayLike, peer: str = SYNCTALK
    ) -> Scene:
        """Make our template and a peer's inputs from bgr24 frames with a rect each."""
        height, width = frames[0].shape[:2]
        inputs = []
        for i, rect in enumerate(clip_rects(rects, len(frames), width, height)):
            x, y, w, h = (int(v) for v in rect)
            inputs.append(make_inputs(PEERS[peer], frames[i], (x, y, w, h), seed=i))
        template = Template.from_arrays(
            frames, rects, preset=PRESET_OF[peer], crops=np.stack([i.crop for i in inputs])
        )
        return cls(name, template, inputs, np.stack([i.output for i in inputs]))
