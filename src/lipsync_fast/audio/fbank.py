"""Kaldi's log mel energies, which speech recognisers such as wenet hear.

References
----------
Kaldi, feat/feature-window.cc, feat/feature-fbank.cc and feat/mel-computations.cc (frames without
dither, offset, pre-emphasis, the window of Povey, triangles on the mel scale).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..errors import InputError
from .mel import check_samples

__all__ = ["BANDS", "log_mel_energies"]

SAMPLE_RATE = 16000
WINDOW, HOP, POINTS = 400, 160, 512  # samples: 25 ms, 10 ms, and the next power of two
BANDS = 80
LOWEST = 20.0  # Hz; the highest is half the sample rate
PRE_EMPHASIS = 0.97
FLOOR = float(np.finfo(np.float32).eps)
_PART = 1000  # frames that are in memory at once

# A Hann window, its ends included, to the power that its author gave it.
_SHAPE = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))) ** 0.85


def _triangles() -> NDArray[np.float64]:
    """Return the weights (bins, bands) of the bins below half the sample rate."""
    edges = np.linspace(_mel(LOWEST), _mel(SAMPLE_RATE / 2), BANDS + 2)
    bins = _mel(np.arange(POINTS // 2, dtype=np.float64) * (SAMPLE_RATE / POINTS))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    weights: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return weights


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


_WEIGHTS = _triangles()


def log_mel_energies(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return natural logarithms of the energy in 80 mel bands, 100 times a second.

    Parameters
    ----------
    samples : (n,) float32
        16 kHz mono, in units of 16-bit numbers; 400 or more.

    Returns
    -------
    (1 + (n - 400) // 160, 80) float32, fresh
        One for each frame that lies wholly in the samples.

    Raises
    ------
    LayoutError, InputError
        Samples of another dtype or shape, not finite, or fewer than 400.
    """
    check_samples(samples, full_scale=32768.0)
    if len(samples) < WINDOW:
        raise InputError(f"samples must be {WINDOW} or more, got {len(samples)}")
    frames = sliding_window_view(samples, WINDOW)[::HOP]
    energies = np.empty((len(frames), BANDS), np.float32)
    for first in range(0, len(frames), _PART):
        part = frames[first : first + _PART].astype(np.float64)
        part -= part.mean(axis=1, keepdims=True)
        emphasised = part.copy()
        emphasised[:, 1:] -= PRE_EMPHASIS * part[:, :-1]
        emphasised[:, 0] -= PRE_EMPHASIS * part[:, 0]
        spectrum = np.fft.rfft(emphasised * _SHAPE, POINTS)[:, : POINTS // 2]
        power = (spectrum.real**2 + spectrum.imag**2) @ _WEIGHTS
        energies[first : first + _PART] = np.log(np.maximum(power, FLOOR))
    return energies
