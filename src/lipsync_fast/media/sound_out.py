"""The AAC track of an mp4, encoded in step with the video."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ..checks import check_level
from ..errors import InputError, LayoutError
from .channels import downmix, downmix_weights
from .pyav import load_av
from .sound_in import open_sound, resampled

# What an AAC stream can state (ISO/IEC 14496-3, samplingFrequencyIndex).
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_OTHER_RATE = 48000
_AAC_FRAME = 1024
_MAX_BITS_PER_CHANNEL = 96_000

_log = logging.getLogger(__name__)


class SoundTrack:
    """The sound of a VideoWriter.

    Parameters
    ----------
    audio : str or PathLike or (n,) float32
        A file, or mono samples.
    rate : int
        Samples a second where `audio` is an array.
    """

    def __init__(self, audio: str | os.PathLike[str] | np.ndarray, rate: int) -> None:
        self._av = load_av("writing sound")
        blocks: Iterator[np.ndarray]
        if isinstance(audio, np.ndarray):
            if audio.ndim != 1 or audio.dtype != np.float32:
                raise LayoutError(
                    "audio must be float32 of one dimension; "
                    f"got {audio.dtype} of shape {audio.shape}"
                )
            check_level("audio", audio)
            if rate <= 0:
                raise InputError(f"audio_rate must be positive; got {rate}")
            channels, blocks = 1, _cut(audio)
        else:
            sound = open_sound(audio)
            rate, channels, blocks = sound.rate, sound.channels, sound.blocks(_log.info)
            if channels > 2:
                weights = downmix_weights(channels, sound.names)
                blocks = (downmix(block, weights) for block in blocks)
                channels = 1
        self._channels = channels
        self._rate = rate if rate in _AAC_RATES else _OTHER_RATE
        self._blocks = resampled(blocks, rate, self._rate)
        self._held: list[np.ndarray] = []
        self._held_samples = 0
        self._done = 0

    def start(self, container: Any) -> None:
        """Add the track to an av.OutputContainer."""
        self._container = container
        self._layout = "mono" if self._channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=self._rate, layout=self._layout)
        bits = min(_MAX_BITS_PER_CHANNEL, 4 * self._rate)
        self._stream.codec_context.bit_rate = bits * self._channels

    def feed(self, seconds: Fraction) -> None:
        """Encode whole AAC frames up to this time from the start."""
        until = int(seconds * self._rate)
        while self._done + _AAC_FRAME <= until:
            self._encode(_AAC_FRAME)

    def finish(self, seconds: Fraction) -> None:
        """Encode to exactly this time from the start and end the track."""
        self.feed(seconds)
        rest = int(seconds * self._rate) - self._done
        if rest:
            self._encode(rest)
        self._container.mux(self._stream.encode(None))

    def _encode(self, count: int) -> None:
        frame = self._av.AudioFrame.from_ndarray(self._take(count), "fltp", self._layout)
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._done
        self._done += count
        self._container.mux(self._stream.encode(frame))

    def _take(self, count: int) -> np.ndarray:
        """Return the next (channels, count) float32; silence after the sound's end."""
        while self._held_samples < count:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((self._channels, count), np.float32)
            self._held.append(block)
            self._held_samples += block.shape[1]
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held, axis=1)]
        (held,) = self._held
        self._held = [held[:, count:]]
        self._held_samples -= count
        return np.ascontiguousarray(held[:, :count])


def _cut(samples: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(samples), 1 << 16):
        yield samples[None, start : start + (1 << 16)]
