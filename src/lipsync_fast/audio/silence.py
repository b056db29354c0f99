"""Silence: fade the mouth, or the noise, where nobody speaks or sings.

`SilenceFades` says how much of the mouth each frame shows, `NoiseGate` takes noise and breath
out of the pauses. Both listen in steps of 12.5 ms, one after the other, so that their results are
bit for bit the same however the sound was cut; `VoiceDetector` tells what a step is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..timing import parse_fps
from .mel import COLUMNS_PER_SECOND, SAMPLE_RATE, check_samples
from .voice import HOLD, JUMP, SPEECH, STEP, VoiceDetector

__all__ = ["SILENCE", "NoiseGate", "SilenceFades"]

SILENCE = ("closed", "background", "net")
"""What is shown in silence; see `Pipeline`."""

STEPS_PER_SECOND = COLUMNS_PER_SECOND

# A sound that begins with speech opens the mouth at once, which nothing has announced.
_FIRST_RISE, _FIRST_STEP = 4, 64  # frames, and by how much their alphas rise at most
_FADING = 8  # steps, 0.1 s, in which the sound of a pause fades

Floats = NDArray[np.float32]


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
    sink: as many as `ahead` covers, at most `release`. Silence begins 0.2 s after the last step in
    which someone speaks.
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
        self._steps = _Steps()
        self._voice: VoiceDetector | None = None  # where fades only follow, none is needed
        self._heard = 0  # steps
        self._spoken = -HOLD - 1  # the last step of speech
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
        check_samples(samples)
        if self._voice is None:
            self._voice = VoiceDetector()
        told: list[int] = []
        for start in range(0, samples.size, SAMPLE_RATE):
            told += self._voice.hear(self._steps.push(samples[start : start + SAMPLE_RATE]))
        return self.follow(told)

    def follow(self, told: Sequence[int]) -> NDArray[np.uint8]:
        """Take the next steps as a `NoiseGate` has told them, in place of samples.

        Parameters
        ----------
        told : sequence of int
            What each step is; see `NoiseGate`.

        Returns
        -------
        (k,) uint8, fresh; k may be 0
        """
        alphas: list[int] = []
        for kind in told:
            self._hear(kind == SPEECH, alphas)
        return np.array(alphas, np.uint8)

    @property
    def silenced(self) -> float:
        """As that of `NoiseGate`; 0 for fades that follow one."""
        return 0.0 if self._voice is None else self._voice.silenced

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

    def _hear(self, speech: bool, alphas: list[int]) -> None:
        """Take one step and add the frames that it settles."""
        if speech:
            self._spoken = self._heard
        self._heard += 1
        rate = self.fps
        while True:
            middle = STEPS_PER_SECOND * (2 * self._made + 1) * rate.denominator
            place = middle // (2 * rate.numerator)
            if place + self._ahead >= self._heard:
                return
            if self._spoken >= place - HOLD:
                rise = self._rise if self._made >= _FIRST_RISE else min(self._rise, _FIRST_STEP)
                self._alpha = min(self._alpha + rise, 255)
            else:
                self._alpha = max(self._alpha - self._fall, 0)
            alphas.append(self._alpha)
            self._made += 1


class NoiseGate:
    """Turn pauses into digital silence: no noise, hum or breath for a model to follow.

    Someone who speaks is heard at once, also while it is not yet certain that it is speech; 0.2 s
    after the last step of speech the sound fades within 0.1 s. Where the pauses are digital silence
    already nothing changes. Make a fresh one for each sound. One thread at a time.

    Parameters
    ----------
    told : callable, optional
        Called with what the steps of a push are, before it returns: a list of numbers for
        `SilenceFades.follow`, so that a sound is listened to once.

    Notes
    -----
    Samples come back in whole steps of 200, which mel columns wait for anyway: features of
    the gated sound are ready no later.
    """

    def __init__(self, told: Callable[[list[int]], None] | None = None) -> None:
        self._steps, self._voice, self._told = _Steps(), VoiceDetector(), told
        self._since = HOLD + _FADING  # steps since the last one of speech
        self._gain = 0.0

    @property
    def silenced(self) -> float:
        """Share, 0 to 1, of the loud sound so far (25 dB below the loudest) that was silenced."""
        return self._voice.silenced

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
        told = self._voice.hear(steps)
        for step, kind in zip(steps, told, strict=True):
            self._since = 0 if kind == SPEECH else self._since + 1
            self._fade(step, kind == JUMP)
        if self._told is not None:
            self._told(told)
        return steps.reshape(-1)

    def flush(self) -> Floats:
        """End the sound and return what is left of it: (m,) float32, fresh, m < 200."""
        rest = self._steps.rest
        self._since += self._since > 0  # speech goes on to the end
        self._fade(rest, False)
        return rest

    def _fade(self, step: Floats, open: bool) -> None:
        """Lead one step, in place, from the gain before to its own; a rise comes at once."""
        gain = min(max(1.0 - (self._since - HOLD) / _FADING, 0.0), 1.0)
        if open:
            gain = 1.0
        if gain < self._gain:
            step *= np.linspace(self._gain, gain, step.size, dtype=np.float32)
        elif gain < 1.0:
            step *= np.float32(gain)
        self._gain = gain
