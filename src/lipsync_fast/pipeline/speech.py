"""From speech, or features made elsewhere, to feature windows, request by request."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import media
from ..audio import (
    SAMPLE_RATE,
    FeatureFile,
    FeatureSource,
    FeatureStream,
    LiteAvatarDriver,
    NoiseGate,
    SilenceFades,
    frame_count,
)
from ..audio.mel import check_samples
from ..errors import ArgumentTypeError, InputError
from ..memory._pool import BufferPool, default_pool
from ..nets.encoders import ROW_ENCODERS, AudioEncoder, RowEncoder
from ..presets import Preset
from ..timing import parse_fps
from .mouth import MouthOptions
from .stages import Stages

__all__ = [
    "Features",
    "Request",
    "Requests",
    "Speech",
    "SpeechFeatures",
    "expected_frames",
    "open_speech",
    "read_requests",
]

Speech = str | Path | NDArray[np.float32] | Iterable[NDArray[np.float32]]
Features = str | Path | NDArray[np.floating[Any]]
Floats = NDArray[np.float32]

_ENCODERS = {"hubert": "HuBERT", "wenet": "wenet's encoder"}
_END = np.zeros(0, np.float32)  # marks the end of the chunks; compared by identity


@dataclass(frozen=True)
class Request:
    """Feature windows and fades of the frames of one request.

    Attributes
    ----------
    start : int
        Number of the first frame.
    features : (N, *audio_shape) float32
        Pooled feature windows.
    alphas : (N,) uint8, optional
        Fade of each frame's mouth, 0 in silence; None if all frames show it.
    """

    start: int
    features: NDArray[np.float32]
    alphas: NDArray[np.uint8] | None = None


Requests = Generator[Request | None, None, None]


class SpeechFeatures:
    """One speech on its way to feature windows, through silence handling, encoder and driver.

    Push the sound as it comes, take the frames that are ready, flush at its end. If features are
    given, the sound only determines the number of frames; without sound, `flush` makes a frame
    for each of their rows. HuBERT and wenet hear all of the sound before the first frame, so
    nothing is ready before `flush`. Make a new one for each speech. One thread at a time.

    Parameters
    ----------
    preset : Preset
    fps : Fraction, number or str
        Video frames a second.
    encoder : AudioEncoder, HubertEncoder or WenetEncoder, optional
        Needed if the preset hears "ave", "hubert" or "wenet" and no features are given.
    features : path or array, optional
        Features made elsewhere; see `FeatureFile`.
    mouth : MouthOptions, optional
        Its `silence` and `neutral` are used.
    pool : BufferPool, optional
        Memory for the feature windows; by default `default_pool`.
    stages : Stages, optional
        Its clock `features` times each push, flush and take.

    Attributes
    ----------
    taken : int
        Number of frames taken, which is also the number of the next frame.
    rows : int or None
        Rows of the given features.

    Raises
    ------
    InputError
        This encoder cannot compute the preset's features from speech, or the given features do
        not fit the preset.
    FileMissingError, LayoutError
        As `FeatureFile` and `MouthOptions`.
    """

    def __init__(
        self,
        preset: Preset,
        fps: Fraction | float | int | str,
        encoder: AudioEncoder | RowEncoder | None = None,
        *,
        features: Features | None = None,
        mouth: MouthOptions | None = None,
        pool: BufferPool | None = None,
        stages: Stages | None = None,
    ) -> None:
        mouth = MouthOptions.of(mouth, preset)
        self._shape = preset.audio_shape
        self._pool = default_pool() if pool is None else pool
        self._stages = Stages() if stages is None else stages
        rate = parse_fps(fps)
        self._alphas = np.zeros(0, np.uint8)
        self._fades = _open_fades(preset, rate) if mouth.silence == "background" else None
        self._gate: NoiseGate | None = None
        self._listener: NoiseGate | SilenceFades | None = self._fades
        self._follows = False
        self._windows: FeatureSource
        self.rows: int | None = None
        if features is not None:  # they stay unchanged
            self._windows = given = FeatureFile(features, preset, rate)
            self.rows = given.rows
        elif preset.driven_by_rule:
            # A driver hears through a gate in any case; the fades follow what that one hears.
            self._follows = self._fades is not None
            gate = NoiseGate(self._follow if self._follows else None)
            self._listener = None if mouth.silence == "net" else gate
            self._windows = _open_windows(preset, rate, encoder, mouth, gate)
        else:
            self._windows = _open_windows(preset, rate, encoder, mouth)
            if mouth.silence == "closed":
                self._listener = self._gate = NoiseGate()
        self._has_sound = False

    @property
    def taken(self) -> int:
        """Number of frames taken, which is also the number of the next frame."""
        return self._windows.taken

    @property
    def ready(self) -> int:
        """Number of frames that can be taken now."""
        ready = self._windows.ready
        return ready if self._fades is None else min(ready, len(self._alphas))

    @property
    def silenced(self) -> float:
        """Share, 0 to 1, of the loud sound so far (25 dB below the loudest) taken for silence."""
        return 0.0 if self._listener is None else self._listener.silenced

    def _follow(self, told: list[int]) -> None:
        if self._fades is not None:
            self._alphas = np.concatenate([self._alphas, self._fades.follow(told)])

    def push(self, samples: Floats) -> int:
        """Push samples; return the number of frames that can be taken.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono, any n including 0

        Returns
        -------
        int
            `ready`.

        Raises
        ------
        LayoutError, InputError
            The samples have another dtype or shape, or are not finite; nothing has changed then.
            InputError also after `flush`.
        """
        check_samples(samples)
        with self._stages.features(0):
            self._windows.push(samples if self._gate is None else self._gate.push(samples))
            if self._fades is not None and not self._follows:
                self._alphas = np.concatenate([self._alphas, self._fades.push(samples)])
        self._has_sound = True
        return self.ready

    def flush(self) -> int:
        """End the sound; return the number of frames that can be taken.

        Returns
        -------
        int
            `ready`; together with the frames taken before, ceil(samples · fps / 16000).

        Raises
        ------
        InputError
            There were no samples, or too few for the encoder; or it was flushed before.
        ModelError
            The encoder fails on the sound.
        """
        with self._stages.features(0):
            if self._gate is not None:
                self._windows.push(self._gate.flush())
            ready = self._windows.flush()
            if not self._has_sound:
                self._fades = None  # features alone do not show silence
            if self._fades is not None:
                self._alphas = np.concatenate([self._alphas, self._fades.flush(self.taken + ready)])
        return self.ready

    def take(self, count: int) -> Request:
        """Take the next frames.

        Parameters
        ----------
        count : int
            Number of frames, at most `ready`.

        Returns
        -------
        Request
            Its features are pooled.

        Raises
        ------
        InputError
            Fewer frames are ready.
        ModelError
            The audio encoder fails on the sound.
        """
        if not 0 <= count <= self.ready:
            raise InputError(
                f"{count} frames were asked for and {self.ready} are ready; push more sound, "
                "or flush it, first"
            )
        start = self.taken
        features = self._pool.empty((count, *self._shape), "float32")
        with self._stages.features(count):
            self._windows.take(count, out=features)
        if self._fades is None:
            return Request(start, features)
        alphas, self._alphas = self._alphas[:count], self._alphas[count:]
        return Request(start, features, alphas)


class _WholeSpeech(FeatureSource):
    """Windows from an encoder that needs all of the sound before its first row."""

    def __init__(self, encoder: RowEncoder, preset: Preset, fps: Fraction) -> None:
        super().__init__(fps)
        self.shape = preset.audio_shape
        self._encoder, self._preset = encoder, preset
        self._heard: list[Floats] = []
        self._made: FeatureFile | None = None

    def _settled(self) -> int:
        return 0

    def _add(self, samples: Floats) -> None:
        self._heard.append(samples.copy())

    def _end(self) -> int:
        sound = np.concatenate([np.zeros(0, np.float32), *self._heard])
        self._heard.clear()
        self._made = FeatureFile(self._encoder.features(sound), self._preset, self.fps)
        self._made.push(sound)
        return self._made.flush()

    def _write(self, frame: int, out: Floats) -> None:
        assert self._made is not None  # frames are ready only after `_end`
        self._made.take(1, out[None])


def _open_windows(
    preset: Preset,
    fps: Fraction,
    encoder: AudioEncoder | RowEncoder | None,
    mouth: MouthOptions,
    gate: NoiseGate | None = None,
) -> FeatureSource:
    if preset.streams:
        return FeatureStream(
            preset.features,
            fps,
            encoder=encoder if isinstance(encoder, AudioEncoder) else None,
            driver=LiteAvatarDriver(fps, mouth.neutral) if preset.driven_by_rule else None,
            gate=gate,
        )
    kind = ROW_ENCODERS.get(preset.features)
    if kind is None or not isinstance(encoder, kind):
        raise InputError(_no_features(preset))
    return _WholeSpeech(encoder, preset, fps)


def _no_features(preset: Preset) -> str:
    how = "give their .npy file as features= (--features)"
    if preset.features in ROW_ENCODERS:
        model = _ENCODERS[preset.features]
        how += f", or {model} as an ONNX file as audio_encoder= (--audio-encoder)"
    return f"preset {preset.name} hears {preset.features} features: {how}"


def _open_fades(preset: Preset, fps: Fraction) -> SilenceFades:
    if preset.driven_by_rule:
        # A driver decides a frame from the sound up to 100 ms after its middle, which is (7 + 1)
        # steps of 12.5 ms: fades that look farther ahead would delay it. As they see less of the
        # coming voice, they have 2 frames instead of 4 before the driver opens the mouth.
        return SilenceFades(fps, ahead=7, attack=2)
    return SilenceFades(fps)


def open_speech(speech: Speech) -> Iterable[Floats]:
    """Open a speech as chunks of 16 kHz mono samples.

    Parameters
    ----------
    speech : path, (n,) float32 samples, or an iterable of such chunks
        A file is read in parts; an iterable is returned unchanged.

    Raises
    ------
    FileMissingError, MediaError, MissingExtraError
        The file cannot be read.
    ArgumentTypeError
        `speech` is none of these.
    LayoutError, InputError
        As `check_samples`.
    """
    if isinstance(speech, (str, Path)):
        return media.AudioSource(speech)
    if isinstance(speech, np.ndarray):
        check_samples(speech)  # all of it, before a frame is made of the beginning
        return [speech[i : i + SAMPLE_RATE] for i in range(0, max(len(speech), 1), SAMPLE_RATE)]
    if not isinstance(speech, Iterable):
        raise ArgumentTypeError(
            "the speech must be a path, an array of samples or an iterable of arrays, "
            f"got {type(speech).__name__}"
        )
    return speech


def expected_frames(speech: Speech | None, heard: SpeechFeatures, fps: Fraction) -> int | None:
    """Return the number of frames of a speech; None if it is unknown before the end."""
    if speech is None:
        return heard.rows
    if isinstance(speech, (str, Path)):
        duration = media.duration(speech)
        return None if duration is None else -(-duration * fps // 1)
    if isinstance(speech, np.ndarray):
        return frame_count(len(speech), fps)
    return None


def read_requests(
    heard: SpeechFeatures, chunks: Iterable[Floats], size: int, live: bool
) -> Requests:
    """Read a sound and take its frames, `size` at a time, as soon as they are ready.

    Parameters
    ----------
    heard : SpeechFeatures
        Fresh.
    chunks : iterable of (n,) float32
        Read in the caller's thread.
    size : int
        Frames of a request.
    live : bool
        Whether a chunk may take as long to arrive as its words take to say.

    Yields
    ------
    Request or None
        If `live`, None before each chunk is read.

    Raises
    ------
    Exception
        Any error of reading a chunk, after all frames heard completely.
    """
    sound = iter(chunks)
    while True:
        if live:
            yield None
        try:
            chunk = next(sound, _END)
            if chunk is _END:
                break
            heard.push(chunk)
        except Exception:
            if heard.ready:
                yield heard.take(heard.ready)
            raise
        while heard.ready >= size:
            yield heard.take(size)
    heard.flush()
    while heard.ready:
        yield heard.take(min(size, heard.ready))
