"""Speech-like sound: syllables of an invented language, for a demo without any file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAMPLE_RATE", "speech"]

SAMPLE_RATE = 16000
STEP = 80  # samples between two settings of the voice: 5 ms

# First three formants in Hz of a woman's vowels.
VOWELS = {
    "a": (850, 1400, 2850),
    "e": (600, 2150, 2950),
    "i": (350, 2650, 3250),
    "o": (520, 950, 2800),
    "u": (370, 880, 2700),
    "@": (560, 1650, 2850),
}
BANDWIDTHS = (80.0, 110.0, 160.0)


class Consonant(NamedTuple):
    """The sound of a consonant: seconds, voice level, formants, hiss level and its centre in Hz."""

    seconds: float
    voice: float
    formants: tuple[int, int, int]
    hiss: float = 0.0
    centre: float = 4500.0


CONSONANTS = {
    "m": Consonant(0.08, 0.22, (270, 1100, 2300)),
    "n": Consonant(0.07, 0.24, (280, 1600, 2600)),
    "b": Consonant(0.07, 0.02, (300, 900, 2400)),
    "d": Consonant(0.06, 0.02, (300, 1800, 2700)),
    "l": Consonant(0.06, 0.42, (380, 1300, 2800)),
    "w": Consonant(0.08, 0.30, (320, 700, 2300)),
    "y": Consonant(0.07, 0.36, (300, 2500, 3200)),
    "s": Consonant(0.11, 0.0, (400, 1700, 2700), 0.14, 6000.0),
    "f": Consonant(0.09, 0.0, (400, 1200, 2500), 0.06, 5000.0),
    "h": Consonant(0.05, 0.0, (560, 1650, 2850), 0.05, 1800.0),
}

# Words of (consonant, vowel) pairs; a capital vowel is stressed; '-' is a pause of 0.1 s.
TEXT = (
    "--hElO--mAyo nIme lAdo sEna----wI bAli ne fOma lu sIyo-----"
    "lOna mE sAbi do wAle----bIno yA sUme--"
)


def _settings() -> tuple[NDArray[np.float64], ...]:
    """Return voice, pitch lift, formants (n, 3) in Hz, hiss and its centre in Hz for each STEP."""
    rows: list[tuple[float, float, tuple[int, int, int], float, float]] = []
    resting = (VOWELS["@"], 4500.0)

    def hold(seconds: float, voice: float, lift: float, shape: tuple[int, int, int],
             hiss: float = 0.0, centre: float = resting[1]) -> None:  # fmt: skip
        steps = max(1, round(seconds * SAMPLE_RATE / STEP))
        rows.extend([(voice, lift, shape, hiss, centre)] * steps)

    for letter in TEXT:
        if letter == "-":
            hold(0.1, 0.0, 0.0, resting[0])
        elif letter == " ":
            hold(0.02, 0.12, 0.0, resting[0])
        elif letter in CONSONANTS:
            c = CONSONANTS[letter]
            hold(c.seconds, c.voice, 0.0, c.formants, c.hiss, c.centre)
        else:
            stressed = letter.isupper()
            hold(
                0.17 if stressed else 0.10,
                1.0 if stressed else 0.5,
                0.22 if stressed else 0.05,
                VOWELS[letter.lower()],
            )
    voice, lift, formants, hiss, centre = (np.array(column) for column in zip(*rows, strict=True))
    return voice, lift, formants.astype(np.float64), hiss, centre


def _smooth(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Average twice over a moving window along the first axis: speech organs have mass."""
    kernel = np.ones(steps) / steps
    kernel = np.convolve(kernel, kernel)
    columns = values.reshape(len(values), -1).T
    padded = [np.pad(column, len(kernel) // 2, "edge") for column in columns]
    return np.stack([np.convolve(p, kernel, "valid") for p in padded], -1).reshape(values.shape)


def _resonance(
    frequency: NDArray[np.float64], formants: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the gain (n,) of the vocal tract at one frequency a step.

    References
    ----------
    D. Klatt, "Software for a cascade/parallel formant synthesizer", 1980: resonators in series.
    """
    gain = np.ones_like(frequency)
    for i, bandwidth in enumerate(BANDWIDTHS):
        f = formants[:, i]
        gain /= np.hypot(1 - (frequency / f) ** 2, frequency * bandwidth / f**2)
    return gain


def speech() -> NDArray[np.float32]:
    """Make about eight seconds of speech-like sound with pauses.

    Returns
    -------
    (n,) float32
        Mono samples at 16 kHz within -0.5..0.5, fresh and the same in every run. Pauses are
        digital silence.
    """
    voice, lift, formants, hiss, centre = _settings()
    steps = len(voice)
    breath_group = np.cumsum(_smooth((voice < 0.05).astype(np.float64), 20) > 0.9) / steps
    voice, hiss = _smooth(voice, 5), _smooth(hiss, 4)
    formants, centre = _smooth(formants, 7), _smooth(centre, 3)
    time = np.arange(steps) * STEP / SAMPLE_RATE
    vibrato = 0.012 * np.sin(2 * np.pi * 5.1 * time) + 0.02 * np.sin(2 * np.pi * 0.7 * time)
    pitch = 186 * (1 + _smooth(lift, 14) - 0.1 * breath_group + vibrato)

    samples = steps * STEP
    at, knots = np.arange(samples), np.arange(steps) * STEP
    phase = np.cumsum(np.interp(at, knots, pitch)) * (2 * np.pi / SAMPLE_RATE)
    sound = np.zeros(samples)
    for harmonic in range(1, 27):
        frequency = harmonic * pitch
        # a glottal source falls by 12 dB an octave, radiation at the lips adds 6
        level = voice * _resonance(frequency, formants) / harmonic
        level *= np.clip((7400 - frequency) / 400, 0, 1)
        sound += np.interp(at, knots, level) * np.sin(harmonic * phase)
    # limited softly, so that close vowels are not much weaker than open ones
    sound = 0.5 * np.tanh(sound * (2.2 / np.abs(sound).max()))
    sound += _hiss(np.interp(at, knots, hiss), np.interp(at, knots, centre))
    limited: NDArray[np.float32] = np.clip(sound, -0.5, 0.5).astype(np.float32)
    return limited


def _hiss(level: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make noise of a level and a centre frequency for each sample."""
    size, hop = 256, 128
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)  # squares of neighbours add up to 1
    rng = np.random.default_rng(5)
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    out = np.zeros(len(level) + size)
    for start in range(0, len(level) - size, hop):
        peak = centre[start + hop]
        shape = np.exp(-(((frequency - peak) / (0.28 * peak)) ** 2))
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(size) * window) * shape)
        out[start : start + size] += noise * window
    return out[: len(level)] * level
