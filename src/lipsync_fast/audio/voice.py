"""Tell speech and singing from noise, breath and hum, step by step of 12.5 ms.

Four signs are put together. The *level* of a step beside the noise floor, the least level of the
last seconds, and beside the peak, the greatest: where they lie far apart, only what stands out
can be speech. *Silero's detector*, where it is installed, hears speech in noise, at any level, but
not long notes. *Voicing*, the periodicity of the band that formants lie in, hears held vowels and
singing, and no hum. Without Silero's detector a sound speaks where its level stands out, and where
no level does because floor and peak lie close, where it is voiced.

Every step is heard in arrays of one shape, one after the other, so that what is told of it is the
same however the sound was cut.

References
----------
R. Martin, Noise power spectral density estimation based on optimal smoothing and minimum
statistics, IEEE Transactions on Speech and Audio Processing 9 (2001): the floor as a minimum of
smoothed power. P. Boersma, Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound, Proceedings of the Institute of Phonetic Sciences 17
(1993): the autocorrelation of a window divided by that of the window function.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from .mel import COLUMNS_PER_SECOND, HOP, SAMPLE_RATE
from .silero import CHUNK, Silero, open_silero

__all__ = ["HOLD", "JUMP", "SPEECH", "STEP", "VoiceDetector"]

STEP = HOP  # samples
HOLD = 16  # steps, 0.2 s, that speech lasts beyond its last step: gaps in and between words

SILENCE, JUMP, SPEECH = range(3)
"""What a step is; a JUMP is loud all at once, and the next steps tell whether it is SPEECH."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# ---- level: dB of full scale, mean square --------------------------------------------------------
_LEVEL_POLE = 0.95  # of the high-pass, 130 Hz: an offset, rumble and hum count little
_SMOOTHED = 4  # steps over which the power is averaged
_DIGITAL = 3e-10  # mean square, -95 dB; no microphone is that quiet
_LOWEST = -95.0  # dB; the floor that digital silence stands for
_FLOOR_MEMORY = 200  # steps, 2.5 s, whose least level is the noise floor
_PEAK_MEMORY = 240  # steps, 3 s, whose greatest level is the peak
_MARGIN = 8.0  # dB above the floor up to which nothing stands out
_RANGE = 30.0  # dB below the peak up to which nothing stands out
_AUDIBLE = -85.0  # dB up to which nothing is heard
_TELLING = 30.0  # dB from floor to peak, from which on speech must stand out
_PROMINENT = 15.0  # dB above the floor from which on a loud sound is speech, whatever it is
_PROMINENT_RANGE = 20.0  # dB below the loudest up to which a sound is loud
_FIRST_LOUDEST, _LEAST_LOUDEST = -20.0, -35.0  # dB; where the loudest starts and ends to fall
_LOUDEST_FALL = 1.0 / COLUMNS_PER_SECOND  # dB a step
_BOTTOM = -120  # dB; the lowest level that is counted
_LOUD_RANGE = 25  # dB below the loudest step up to which a step counts as loud
_TELLING_ALONE = 20.0  # the same without a detector, which is right more often than voicing

# ---- detector ------------------------------------------------------------------------------------
_HEARD_POLE = 0.98  # of the high-pass, 50 Hz: hum without its lowest tones sounds like a voice
_PROBABLE = 0.08  # probability from which on someone speaks
_PROBABLE_FIRST = 0.3  # the same in the first chunks of a sound
_FIRST_CHUNKS = 4
_HEARD_RANGE = 40.0  # dB below the peak up to which nothing is heard
_HEARD_LEVEL = -20.0  # dB; the loudest chunk of the last seconds is brought there
_MOST_GAIN = 70.0  # dB
_CHUNK_MEMORY = 60  # chunks, 1.9 s
_JUMP = 4.0  # dB above the floor from which on a level jumps, where it tells nothing else
_RISING_STILL = 1.0  # dB a step that make a jump last
_TRIED_FALL = 0.5 / COLUMNS_PER_SECOND  # dB a step
_NEVER = -math.inf
_JUMP_RANGE = 34.0  # dB below the peak up to which a jump may be speech
_JUMP_STEPS = 4  # steps for which a jump may be speech: as long as the detector needs

# ---- voicing -------------------------------------------------------------------------------------
_WINDOW = 1024  # samples, 64 ms
_SPECTRUM = 2 * _WINDOW
_PERIODS = slice(32, 230)  # samples: 500 to 70 Hz
_VOICED = 0.55  # autocorrelation from which on a sound is voiced
_VOICED_STEPS = 3  # in a row; noise is voiced now and then
_CLEARLY_VOICED = 0.7  # the same where one step is enough
_MAINS = np.array([265, 266, 267, 268, 318, 319, 320, 321, 322])  # samples: of 60 and 50 Hz
_LAGS = 323  # samples, more than all of these
_BAND = slice(400 * _SPECTRUM // SAMPLE_RATE, 3400 * _SPECTRUM // SAMPLE_RATE + 1)  # bins
_FIRST_BIN = 60 * _SPECTRUM // SAMPLE_RATE + 1  # below it lies what is no sound
_MAINS_LEAD = 0.1  # by which a hum repeats itself better with the mains than with any voice
_BAND_SHARE = 10**-1.2  # of the power that lies in the band; less is hum


def _hann() -> tuple[Doubles, Doubles]:
    """Return a Hann window, and by what its autocorrelation falls short of 1 at each lag."""
    window = np.hanning(_WINDOW + 2)[1:-1]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(window, _SPECTRUM)) ** 2)
    return window, correlation[0] / correlation[:_LAGS]


_HANN, _GAIN = _hann()
_PERIODS_GAIN, _MAINS_GAIN = _GAIN[_PERIODS], _GAIN[_MAINS]


def _power(sound: Doubles) -> float:
    return float(np.square(sound).sum()) / len(sound)


def _decibels(power: float) -> float:
    return 10.0 * math.log10(power + 1e-12)


class _HighPass:
    """A filter of one pole and a zero at 0 Hz: y[n] = x[n] - x[n - 1] + pole y[n - 1]."""

    def __init__(self, pole: float) -> None:
        self._pole, self._last = pole, 0.0
        self._rising, self._falling = pole ** -np.arange(STEP), pole ** np.arange(STEP)

    def hear(self, change: Doubles) -> Doubles:
        """Return the next (200,) samples, fresh, from the differences of neighbours."""
        high: Doubles = self._falling * (
            np.add.accumulate(change * self._rising) + self._pole * self._last
        )
        self._last = float(high[-1])
        return high


class _Levels:
    """Level of each step, with the noise floor and the peak of the last seconds, in dB."""

    def __init__(self) -> None:
        self._high = _HighPass(_LEVEL_POLE)
        self._powers: deque[float] = deque(maxlen=_SMOOTHED)
        self._floors: deque[float] = deque(maxlen=_FLOOR_MEMORY)
        self._peaks: deque[float] = deque(maxlen=_PEAK_MEMORY)
        self.level = self.floor = self.peak = _LOWEST
        self.loudest = _FIRST_LOUDEST

    def hear(self, change: Doubles) -> None:
        """Take the next step as differences of neighbours: (200,)."""
        step = self._high.hear(change)
        self._powers.append(_power(step))
        level = _decibels(sum(self._powers) / len(self._powers))
        quiet = min(self._powers) <= _DIGITAL
        if len(self._powers) < _SMOOTHED:
            # Less than a period of hum has been heard, whose level would seem to jump.
            self.level = self.floor = self.peak = level
            return
        self._floors.append(max(level, _LOWEST) if quiet else level)
        self._peaks.append(level)
        self.level, self.floor, self.peak = level, min(self._floors), max(self._peaks)
        self.loudest = max(level, self.loudest - _LOUDEST_FALL, _LEAST_LOUDEST)

    @property
    def range(self) -> float:
        return self.peak - self.floor

    @property
    def is_prominent(self) -> bool:
        """Whether the step is so loud that it is speech, whatever it is: whispers, odd voices."""
        return self.level > max(self.floor + _PROMINENT, self.loudest - _PROMINENT_RANGE, _AUDIBLE)

    def above(self, margin: float, range: float = _RANGE) -> bool:
        """Tell whether the step stands out from the floor and is not far below the peak."""
        return self.level > max(self.floor + margin, self.peak - range, _AUDIBLE)


class _Tally:
    """How much of a sound was loud, and how much of that counted as silence."""

    def __init__(self) -> None:
        self._all, self._silent = [0] * -_BOTTOM, [0] * -_BOTTOM  # steps of each level
        self._since = HOLD

    def add(self, level: float, speech: bool) -> None:
        self._since = 0 if speech else self._since + 1
        place = min(max(int(level) - _BOTTOM, 0), -_BOTTOM - 1)
        self._all[place] += 1
        self._silent[place] += self._since > HOLD

    @property
    def silenced(self) -> float:
        heard = [place for place, steps in enumerate(self._all) if steps]
        if not heard or heard[-1] < _AUDIBLE - _BOTTOM:
            return 0.0
        loud = slice(max(heard[-1] - _LOUD_RANGE, 0), None)
        return sum(self._silent[loud]) / sum(self._all[loud])


class _Detector:
    """Silero's detector on steps: the probability of speech in the last whole chunk."""

    def __init__(self, silero: Silero) -> None:
        self._silero, self._high = silero, _HighPass(_HEARD_POLE)
        self._sound = np.zeros(CHUNK + STEP)
        self._size = 0
        self._levels: deque[float] = deque(maxlen=_CHUNK_MEMORY)
        self.probability = 0.0

    def hear(self, change: Doubles) -> None:
        """Take the next step as differences of neighbours: (200,)."""
        self._sound[self._size : self._size + STEP] = self._high.hear(change)
        self._size += STEP
        if self._size < CHUNK:
            return
        chunk = self._sound[:CHUNK]
        self._levels.append(_decibels(_power(chunk)))
        gain = 10.0 ** (min(_HEARD_LEVEL - max(self._levels), _MOST_GAIN) / 20.0)
        probability = self._silero.hear(np.clip(chunk * gain, -1.0, 1.0))
        # The detector needs some sound before it hears as well as it does later.
        known = len(self._levels) > _FIRST_CHUNKS or probability > _PROBABLE_FIRST
        self.probability = probability if known else 0.0
        self._size -= CHUNK
        self._sound[: self._size] = self._sound[CHUNK : CHUNK + self._size]


def _voicing(sound: Doubles) -> float:
    """Return how well a sound of 64 ms repeats itself as a voice does, 70 to 500 times a second.

    Returns
    -------
    float
        Up to 1; 0 where it is hum, which lies below the formants or repeats itself with the mains.
    """
    spectrum = np.fft.rfft((sound - sound.sum() / _WINDOW) * _HANN, _SPECTRUM)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    if not float(power[_BAND].sum()) > _BAND_SHARE * float(power[_FIRST_BIN:].sum()):
        return 0.0
    band = np.zeros(_SPECTRUM // 2 + 1)
    band[_BAND] = power[_BAND]
    correlation = np.fft.irfft(band)
    first = float(correlation[0])
    best = float((correlation[_PERIODS] * _PERIODS_GAIN).max()) / first
    hum = float((correlation[_MAINS] * _MAINS_GAIN).max()) / first > best + _MAINS_LEAD
    return 0.0 if hum else best


class VoiceDetector:
    """Tell for each step of a sound whether someone speaks or sings in it."""

    def __init__(self) -> None:
        silero = open_silero()
        self._detector = None if silero is None else _Detector(silero)
        self._levels, self._tally = _Levels(), _Tally()
        self._sound = np.zeros(_WINDOW)  # the last samples
        self._voiced_steps = 0  # in a row
        self._trial = 0  # steps for which a jump has been tried
        self._rise = _LOWEST  # dB; the level to which it has risen
        self._tried = _NEVER  # dB; the level of the last jump that was nothing

    def hear(self, steps: Floats) -> list[int]:
        """Tell for each of the next (n, 200) steps whether it is SILENCE, a JUMP or SPEECH."""
        told = []
        for step in steps:
            kind = self._tell(step)
            self._tally.add(self._levels.level, kind == SPEECH)
            told.append(kind)
        return told

    @property
    def silenced(self) -> float:
        """Share of the loud sound so far that counted as silence; see `NoiseGate`."""
        return self._tally.silenced

    def _tell(self, samples: Floats) -> int:
        self._take(samples)
        levels, detector = self._levels, self._detector
        stands_out = levels.above(_MARGIN)
        if detector is None:
            if levels.range >= _TELLING_ALONE:
                return SPEECH if stands_out else SILENCE
            return SPEECH if self._speaks_long() else SILENCE
        told = levels.range >= _TELLING
        if stands_out or not told:
            heard = (
                detector.probability > _PROBABLE and levels.level > levels.peak - _HEARD_RANGE
            ) or levels.is_prominent
            if heard:
                self._voiced_steps = _VOICED_STEPS
            if heard or self._speaks_long():
                self._tried, self._trial = _NEVER, 0
                return SPEECH
        return self._try(levels.above(_MARGIN, _JUMP_RANGE) if told else levels.above(_JUMP))

    def _take(self, samples: Floats) -> None:
        sound = self._sound
        sound[:-STEP] = sound[STEP:]
        sound[-STEP:] = samples
        change = sound[-STEP:] - sound[-STEP - 1 : -1]
        self._levels.hear(change)
        if self._detector is not None:
            self._detector.hear(change)

    def _speaks_long(self) -> bool:
        voicing = _voicing(self._sound) if self._levels.above(-1.0) else 0.0
        if voicing < _VOICED:
            self._voiced_steps = 0
        elif voicing > _CLEARLY_VOICED:
            self._voiced_steps = _VOICED_STEPS
        else:
            self._voiced_steps += 1
        return self._voiced_steps >= _VOICED_STEPS

    def _try(self, jumped: bool) -> int:
        """Until the detector knows better, a jump of level may be the first sound of a word."""
        level = self._levels.level
        self._tried -= _TRIED_FALL
        if not jumped or level <= self._tried + _JUMP:
            self._trial = 0
            return SILENCE
        if self._trial == 0 or level > self._rise + _RISING_STILL:
            self._trial, self._rise = 0, level
        self._trial += 1
        if self._trial <= _JUMP_STEPS:
            return JUMP
        self._tried, self._trial = level, 0
        return SILENCE
