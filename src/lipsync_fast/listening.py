"""What the generator hears: a speech, or features made elsewhere, request by request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import media
from ._pool import BufferPool
from .audio import SAMPLE_RATE, FeatureStream, frame_count
from .drive import LiteAvatarDriver
from .errors import InputError
from .features import FeatureFile
from .presets import Preset
from .row_encoders import ROW_ENCODERS, RowEncoder
from .session import AudioEncoder
from .stages import Stages

__all__ = ["Features", "Heard", "Listening", "Speech"]

Speech = str | Path | NDArray[np.float32] | Iterable[NDArray[np.float32]]
Features = str | Path | NDArray[np.floating[Any]]

_ENCODERS = {"hubert": "HuBERT", "wenet": "wenet's encoder"}


@dataclass(frozen=True)
class Heard:
    """What is heard in the frames of one request.

    Attributes
    ----------
    start : int
        Number of the first frame.
    features : (N, *audio_shape) float32
        Pooled feature windows.
    """

    start: int
    features: NDArray[np.float32]


class Listening:
    """One speech on its way to feature windows; one thread at a time.

    Parameters
    ----------
    speech, features : see `Pipeline.frames`
    preset : Preset
    fps : Fraction
        Video frames a second.
    encoder : AudioEncoder, HubertEncoder or WenetEncoder, optional
    pool : BufferPool
    stages : Stages

    Raises
    ------
    InputError
        If there is nothing to hear, or the preset's features cannot be made from it.
    """

    def __init__(
        self,
        speech: Speech | None,
        features: Features | None,
        *,
        preset: Preset,
        fps: Fraction,
        encoder: AudioEncoder | RowEncoder | None,
        pool: BufferPool,
        stages: Stages,
    ) -> None:
        if speech is None and features is None:
            raise InputError("frames need a speech or features, got neither")
        self.preset, self.fps, self.encoder = preset, fps, encoder
        self.pool, self.stages = pool, stages
        self._speech = speech
        self._chunks: Iterable[NDArray[np.float32]] = () if speech is None else _chunks(speech)
        self._windows = self._open(features)

    def _open(self, features: Features | None) -> FeatureStream | FeatureFile:
        preset, fps, encoder = self.preset, self.fps, self.encoder
        if features is not None:
            return FeatureFile(features, preset, fps)
        if preset.features in ("mel", "ave", "params"):
            return FeatureStream(
                preset.features,
                fps,
                encoder=encoder if isinstance(encoder, AudioEncoder) else None,
                driver=LiteAvatarDriver(fps) if preset.features == "params" else None,
            )
        kind = ROW_ENCODERS.get(preset.features)
        if kind is None or not isinstance(encoder, kind):
            raise InputError(_no_features(preset))
        samples = np.concatenate([np.zeros(0, np.float32), *self._chunks])
        self._chunks = (samples,)
        with self.stages.features(0):
            rows = encoder.features(samples)
        return FeatureFile(rows, preset, fps)

    def expected(self) -> int | None:
        """Frames there will be, where that can be told before."""
        if self._speech is None:
            return self._windows.rows if isinstance(self._windows, FeatureFile) else None
        if isinstance(self._speech, (str, Path)):
            duration = media.duration(self._speech)
            return None if duration is None else -(-duration * self.fps // 1)
        if isinstance(self._speech, np.ndarray):
            return frame_count(len(self._speech), self.fps)
        return None

    def requests(self, size: int) -> Iterator[Heard]:
        """What is heard, `size` frames at a time and as soon as the sound allows it."""
        start = 0
        for chunk in self._chunks:
            with self.stages.features(0):
                ready = self._windows.push(chunk)
            while ready >= size:
                yield self._take(start, size)
                start += size
                ready -= size
        with self.stages.features(0):
            ready = self._windows.finish()
        while ready:
            count = min(size, ready)
            yield self._take(start, count)
            start += count
            ready -= count

    def _take(self, start: int, count: int) -> Heard:
        features = self.pool.empty((count, *self.preset.audio_shape), "float32")
        with self.stages.features(count):
            self._windows.take(count, out=features)
        return Heard(start, features)


def _chunks(speech: Speech) -> Iterable[NDArray[np.float32]]:
    """Speech as chunks of 16 kHz mono samples."""
    if isinstance(speech, (str, Path)):
        return media.AudioSource(speech)
    if isinstance(speech, np.ndarray):
        return [speech[i : i + SAMPLE_RATE] for i in range(0, max(len(speech), 1), SAMPLE_RATE)]
    return speech


def _no_features(preset: Preset) -> str:
    how = "give their .npy file as features= (--features)"
    if preset.features in ROW_ENCODERS:
        net = _ENCODERS[preset.features]
        how += f", or {net} as an ONNX file as audio_encoder= (--audio-encoder)"
    return f"preset {preset.name} hears {preset.features} features: {how}"
