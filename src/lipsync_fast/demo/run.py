"""The demo as a pipeline: the drawn person as a template, with the tiny models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from ..formats import VideoFormat
from ..pipeline.pipeline import Pipeline, Progress
from ..templates import TemplateOptions, TemplateWriter
from . import AUDIO_ENCODER, COUNT, FPS, GENERATOR, HEIGHT, PRESET, WIDTH
from .person import draw_frames, mouth_rects

__all__ = ["open_pipeline", "write_template"]


def write_template(
    path: str | Path, progress: Progress | None = None, *, label: bool = True
) -> None:
    """Draw the person into a template folder, like the one that `prepare` makes from a video.

    Parameters
    ----------
    path : str or Path
        The folder to make.
    progress : callable, optional
        Called with the frames drawn and the frames to draw.
    label : bool
        See `TemplateOptions`.
    """
    video = VideoFormat(WIDTH, HEIGHT, Fraction(FPS))
    options = TemplateOptions(label=label)
    with TemplateWriter(path, video, preset=PRESET, options=options) as writer:
        for i, (frame, rect) in enumerate(zip(draw_frames(), mouth_rects(), strict=True)):
            x, y, w, h = (int(v) for v in rect)
            writer.add((x, y, w, h), bgr24=frame)
            if progress:
                progress(i + 1, COUNT)


@contextmanager
def open_pipeline(progress: Progress | None = None, *, label: bool = True) -> Iterator[Pipeline]:
    """Open the demo's pipeline on a template in a temporary folder, removed on leaving.

    Parameters
    ----------
    progress : callable, optional
        Called while the person is drawn; see `write_template`.
    label : bool
        See `TemplateOptions`.
    """
    with tempfile.TemporaryDirectory(prefix="lipsync_fast-demo-") as folder:
        template = Path(folder) / "template"
        write_template(template, progress, label=label)
        with Pipeline.open(template, GENERATOR, AUDIO_ENCODER) as pipeline:
            yield pipeline
