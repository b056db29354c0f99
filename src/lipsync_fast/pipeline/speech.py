"""What the generator hears: a speech, or features made elsewhere, request by request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import media
from ..audio import SAMPLE_RATE, FeatureStream, frame_count
from ..audio.feature_file import FeatureFile
from ..audio.lite_avatar import LiteAvatarDriver
from ..audio.mel import check_samples
from ..audio.silence import NoiseGate, SilenceFades
from ..errors import ArgumentTypeError, InputError
from ..memory._pool import BufferPool
from ..nets.encoders import ROW_ENCODERS, AudioEncoder, RowEncoder
from ..presets import Preset
from .stages import Stages

__all__ = ["Features", "Request", "Speech", "SpeechFeatures"]

Speech = str | Path | NDArray[np.float32] | Iterable[NDArray[np.float32]]
Features = str | Path | NDArray[np.floating[Any]]

_ENCODERS = {"hubert": "HuBERT", "wenet": "wenet's encoder"}


@dataclass(frozen=True)
class Request:
    """What is heard in the frames of one request.

    Attributes
    ----------
    start : int
        Number of the first frame.
    features : (N, *audio_shape) float32
        Pooled feature windows.
    alphas : (N,) uint8, optional
        Fade of each frame's mouth, 0 in silence; None where all show it.
    """

    start: int
    features: NDArray[np.float32]
    alphas: NDArray[np.uint8] | None = None


class SpeechFeatures:
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
    silence : {"closed", "background", "net"}
        See `Pipeline`. Features that come without a speech know no silence.
    neutral : (32,) float64, optional
        See `LiteAvatarDriver`.

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
        silence: str = "net",
        neutral: NDArray[np.float64] | None = None,
    ) -> None:
        if speech is None and features is None:
            raise InputError("frames need a speech or features, got neither")
        self.preset, self.fps, self.encoder = preset, fps, encoder
        self.pool, self.stages = pool, stages
        self._speech, self._neutral = speech, neutral
        self._chunks: Iterable[NDArray[np.float32]] = () if speech is None else _chunks(speech)
        # A driver hears for itself what is noise, and feature files are what they are.
        hushed = silence == "closed" and features is None and preset.features != "params"
        self._hush = NoiseGate() if hushed else None
        self._windows = self._open(features)
        self._fades: SilenceFades | None = None
        if silence == "background" and speech is not None:
            by_rule = preset.features == "params"
            self._fades = SilenceFades(fps, ahead=7, attack=2) if by_rule else SilenceFades(fps)
        self._alphas = np.zeros(0, np.uint8)

    def _open(self, features: Features | None) -> FeatureStream | FeatureFile:
        preset, fps, encoder = self.preset, self.fps, self.encoder
        if features is not None:
            return FeatureFile(features, preset, fps)
        if preset.features in ("mel", "ave", "params"):
            params = preset.features == "params"
            return FeatureStream(
                preset.features,
                fps,
                encoder=encoder if isinstance(encoder, AudioEncoder) else None,
                driver=LiteAvatarDriver(fps, self._neutral) if params else None,
            )
        kind = ROW_ENCODERS.get(preset.features)
        if kind is None or not isinstance(encoder, kind):
            raise InputError(_no_features(preset))
        samples = np.concatenate([np.zeros(0, np.float32), *map(check_samples, self._chunks)])
        self._chunks = (samples,)
        with self.stages.features(0):
            heard = samples
            if self._hush is not None:
                heard = np.concatenate([self._hush.push(samples), self._hush.flush()])
                self._hush = None
            rows = encoder.features(heard)
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

    def requests(self, size: int) -> Iterator[Request]:
        """What is heard, `size` frames at a time and as soon as the sound allows it.

        Where the sound breaks off with an error, the frames of which all was heard come first.
        """
        start = ready = 0
        hearing = self._hear()
        while True:
            try:
                told = next(hearing, None)
            except Exception:
                if ready:
                    yield self._take(start, ready)
                raise
            if told is None:
                break
            ready = told
            while ready >= size:
                yield self._take(start, size)
                start += size
                ready -= size
        with self.stages.features(0):
            ready = self._finish(start)
        while ready:
            count = min(size, ready)
            yield self._take(start, count)
            start += count
            ready -= count

    def _hear(self) -> Iterator[int]:
        """After each chunk, the frames of which all is known and that were not taken."""
        for chunk in self._chunks:
            with self.stages.features(0):
                ready = self._push(chunk)
            yield ready

    def _push(self, chunk: NDArray[np.float32]) -> int:
        """Hear the next samples; the frames of which all is known."""
        ready = self._windows.push(chunk if self._hush is None else self._hush.push(chunk))
        if self._fades is None:
            return ready
        self._alphas = np.concatenate([self._alphas, self._fades.push(chunk)])
        return min(ready, len(self._alphas))

    def _finish(self, taken: int) -> int:
        """End the sound after `taken` frames; the frames that are left."""
        if self._hush is not None:
            self._windows.push(self._hush.flush())
        ready = self._windows.flush()
        if self._fades is not None:
            self._alphas = np.concatenate([self._alphas, self._fades.flush(taken + ready)])
        return ready

    def _take(self, start: int, count: int) -> Request:
        features = self.pool.empty((count, *self.preset.audio_shape), "float32")
        with self.stages.features(count):
            self._windows.take(count, out=features)
        if self._fades is None:
            return Request(start, features)
        alphas, self._alphas = self._alphas[:count], self._alphas[count:]
        return Request(start, features, alphas)


def _chunks(speech: Speech) -> Iterable[NDArray[np.float32]]:
    """Speech as chunks of 16 kHz mono samples."""
    if isinstance(speech, (str, Path)):
        return media.AudioSource(speech)
    if isinstance(speech, np.ndarray):
        return [speech[i : i + SAMPLE_RATE] for i in range(0, max(len(speech), 1), SAMPLE_RATE)]
    if not isinstance(speech, Iterable):
        raise ArgumentTypeError(
            "the speech must be a path, an array of samples or an iterable of such, "
            f"got {type(speech).__name__}"
        )
    return speech


def _no_features(preset: Preset) -> str:
    how = "give their .npy file as features= (--features)"
    if preset.features in ROW_ENCODERS:
        net = _ENCODERS[preset.features]
        how += f", or {net} as an ONNX file as audio_encoder= (--audio-encoder)"
    return f"preset {preset.name} hears {preset.features} features: {how}"
