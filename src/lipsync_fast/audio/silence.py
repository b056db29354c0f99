"""Silence: tell speech from pauses by energy alone, and fade the mouth, or the noise, in pauses.

`SilenceFades` says how much of the mouth each frame shows, `NoiseGate` takes noise and breath
out of the pauses. Both listen in steps of 12.5 ms, one after the other, so that their results are
bit for bit the same however the sound was cut. A step is speech where its level stands out from
the noise floor, which is the least level of the last seconds, and from the speaker's peak: steady
noise of any level counts as silence, even where the sound begins with it.

References
----------
R. Martin, Noise power spectral density estimation based on optimal smoothing and minimum
statistics, IEEE Transactions on Speech and Audio Processing 9 (2001): the floor as a minimum of
smoothed power.
"""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..timing import parse_fps
from .mel import COLUMNS_PER_SECOND, HOP, SAMPLE_RATE, check_samples

__all__ = ["SILENCE", "NoiseGate", "SilenceFades"]

SILENCE = ("closed", "background", "net")
"""What is shown in silence; see `Pipeline`."""

STEPS_PER_SECOND = COLUMNS_PER_SECOND
STEP = HOP  # samples

_PRE_EMPHASIS = 0.97  # as in the mel: hum counts little, consonants count
_SMOOTHED = 4  # steps over which the power is averaged
_DIGITAL = 3e-10  # mean square, -95 dB of full scale; no microphone is that quiet
_UNHEARD = -58.0  # dB; the noise floor that digital silence, cut in or synthesised, stands for
_MEMORY = 200  # steps, 2.5 s, whose least level is the noise floor
_MARGIN = 8.0  # dB above the noise floor up to which there is silence
_RANGE = 32.0  # dB below the speaker's peak up to which there is silence
_FIRST_PEAK = -40.0  # dB; where the tracked peak starts
_LOWEST_PEAK = -45.0  # dB; it never sinks below
_PEAK_RISE = 0.15  # of the way to a louder step, each step
_PEAK_FALL = 1.0 / STEPS_PER_SECOND  # dB a step, while someone speaks
_HOLD = 16  # steps, 0.2 s, that speech lasts beyond its last loud step: gaps in and between words
_FADING = 8  # steps, 0.1 s, in which the sound of a pause fades

Floats = NDArray[np.float32]


class _VoiceDetector:
    """Tell for each step of a sound whether someone speaks in it."""

    def __init__(self) -> None:
        self._last = 0.0
        self._powers: deque[float] = deque(maxlen=_SMOOTHED)
        self._levels: deque[float] = deque(maxlen=_MEMORY)
        self._peak = _FIRST_PEAK

    def hear(self, steps: Floats) -> list[bool]:
        """Tell whether each of the next (n, 200) steps is loud enough for speech."""
        sound = np.empty(steps.size + 1)
        sound[0] = self._last
        sound[1:] = steps.reshape(-1)
        self._last = float(sound[-1])
        high = (sound[1:] - _PRE_EMPHASIS * sound[:-1]).reshape(steps.shape)
        return [self._is_loud(float(np.square(step).sum()) / STEP) for step in high]

    def _is_loud(self, power: float) -> bool:
        self._powers.append(power)
        level = 10.0 * math.log10(sum(self._powers) / len(self._powers) + 1e-12)
        self._levels.append(level if min(self._powers) > _DIGITAL else _UNHEARD)
        silent = max(min(self._levels) + _MARGIN, self._peak - _RANGE)
        if level > self._peak:
            self._peak += _PEAK_RISE * (level - self._peak)
        elif level > silent:
            self._peak = max(self._peak - _PEAK_FALL, _LOWEST_PEAK)
        return level > silent


class _Steps:
    """Cut a sound that arrives in chunks into whole steps."""

    def __init__(self) -> None:
        self.rest = np.zeros(0, np.float32)
        self.samples = 0

    def push(self, samples: Floats) -> Floats:
        """Return the steps that the next samples complete: (n, 200), fresh; n may be 0."""
        check_samples(samples)
        self.samples += samples.size
        sound = np.concatenate([self.rest, samples])
        whole = sound.size // STEP * STEP
        self.rest = sound[whole:].copy()
        return sound[:whole].reshape(-1, STEP)


class SilenceFades:
    """How much of the mouth each frame of a sound shows, as alphas for the compositor.

    255 while someone speaks, 0 in silence, where the model need not run; in between it eases in
    and out, so that nothing jumps. The first frame rises from 0 and the last ones sink towards
    it, so that a speech can stand between stretches of film. Make a fresh one for each sound. One
    thread at a time.

    Parameters
    ----------
    fps : Fraction, number or str
        Video frames a second, any.
    ahead : int
        Steps of 12.5 ms to wait for after a frame's middle, so that the mouth is there when the
        voice begins. They cost no time where the features wait as long: mel windows wait for 12
        steps (from 12.5 frames a second on), `LiteAvatarDriver` for 7.
    attack, release : int
        Frames in which the mouth appears and disappears. With 7 steps ahead an attack of 2 is over
        before `LiteAvatarDriver` opens the mouth.

    Raises
    ------
    InputError
        A bad fps, or numbers that are too small.

    Notes
    -----
    Frame i is settled with the sound up to (ahead + 1) / 80 seconds after its middle,
    (i + 1/2) / fps. At the end of the sound only the frames that are not settled then can still
    sink: as many as `ahead` covers, at most `release`. Silence begins 0.2 s after the last loud
    step.
    """

    def __init__(
        self,
        fps: Fraction | float | int | str,
        *,
        ahead: int = 12,
        attack: int = 4,
        release: int = 6,
    ) -> None:
        self.fps = parse_fps(fps)
        if ahead < 0 or attack < 1 or release < 1:
            raise InputError(
                "ahead must be 0 or more steps, attack and release 1 or more frames, "
                f"got {ahead}, {attack}, {release}"
            )
        self._ahead = ahead
        self._rise, self._fall = -(-255 // attack), -(-255 // release)
        # Frames that are certainly not settled before the end of the sound is known.
        rate = self.fps
        covered = (STEPS_PER_SECOND // 2 * rate.denominator + ahead * rate.numerator) // (
            STEPS_PER_SECOND * rate.denominator
        )
        self._sinking = min(release, covered)
        self._steps, self._voice = _Steps(), _VoiceDetector()
        self._heard = 0  # steps
        self._loud = -_HOLD - 1  # the last loud step
        self._alpha = self._made = 0

    def push(self, samples: Floats) -> NDArray[np.uint8]:
        """Take the next samples and return the frames that they settle.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono, any n including 0

        Returns
        -------
        (k,) uint8, fresh; k may be 0

        Raises
        ------
        LayoutError, InputError
            Samples of another dtype or shape, or not finite.
        """
        alphas: list[int] = []
        check_samples(samples)
        for start in range(0, samples.size, SAMPLE_RATE):
            for loud in self._voice.hear(self._steps.push(samples[start : start + SAMPLE_RATE])):
                self._hear(loud, alphas)
        return np.array(alphas, np.uint8)

    def flush(self, frames: int) -> NDArray[np.uint8]:
        """End the sound, silence following, and return what is left of `frames` frames in all.

        Parameters
        ----------
        frames : int
            As `frame_count` of the samples tells.

        Returns
        -------
        (k,) uint8, fresh
        """
        alphas: list[int] = []
        done = self._made
        while self._made < frames:
            self._hear(False, alphas)
        alphas = alphas[: frames - done]
        for left in range(1, min(self._sinking, len(alphas)) + 1):
            alphas[-left] = min(alphas[-left], 255 * left // (self._sinking + 1))
        return np.array(alphas, np.uint8)

    def _hear(self, loud: bool, alphas: list[int]) -> None:
        """Take one step and add the frames that it settles."""
        if loud:
            self._loud = self._heard
        self._heard += 1
        rate = self.fps
        while True:
            middle = STEPS_PER_SECOND * (2 * self._made + 1) * rate.denominator
            place = middle // (2 * rate.numerator)
            if place + self._ahead >= self._heard:
                return
            if self._loud >= place - _HOLD:
                self._alpha = min(self._alpha + self._rise, 255)
            else:
                self._alpha = max(self._alpha - self._fall, 0)
            alphas.append(self._alpha)
            self._made += 1


class NoiseGate:
    """Turn pauses into digital silence: no noise, hum or breath for a model to follow.

    Someone who speaks is heard from the first loud step on; 0.2 s after the last one the sound
    fades within 0.1 s. Where the pauses are digital silence already nothing changes. Make a fresh
    one for each sound. One thread at a time.

    Notes
    -----
    Samples come back in whole steps of 200, which mel columns wait for anyway: features of
    the gated sound are ready no later.
    """

    def __init__(self) -> None:
        self._steps, self._voice = _Steps(), _VoiceDetector()
        self._since = _HOLD + _FADING  # steps since the last loud one
        self._gain = 0.0

    def push(self, samples: Floats) -> Floats:
        """Take the next samples and return those whose part in the speech is known.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono, any n including 0

        Returns
        -------
        (m,) float32, fresh; m is a multiple of 200 and may be 0

        Raises
        ------
        LayoutError, InputError
            Samples of another dtype or shape, or not finite.
        """
        steps = self._steps.push(samples)
        for step, loud in zip(steps, self._voice.hear(steps), strict=True):
            self._fade(step, loud)
        return steps.reshape(-1)

    def flush(self) -> Floats:
        """End the sound and return what is left of it: (m,) float32, fresh, m < 200."""
        rest = self._steps.rest
        self._fade(rest, self._since == 0)
        return rest

    def _fade(self, step: Floats, loud: bool) -> None:
        """Lead one step, in place, from the gain before to its own; a rise comes at once."""
        self._since = 0 if loud else self._since + 1
        gain = min(max(1.0 - (self._since - _HOLD) / _FADING, 0.0), 1.0)
        if gain < self._gain:
            step *= np.linspace(self._gain, gain, step.size, dtype=np.float32)
        elif gain < 1.0:
            step *= np.float32(gain)
        self._gain = gain
