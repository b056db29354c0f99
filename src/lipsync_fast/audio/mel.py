"""Speech samples -> mel columns, whole or as a stream, with the same bits.

The mel is that of Wav2Lip (also the front end of the ``ave`` audio encoder): 16 kHz mono,
pre-emphasis, a centred STFT of 800 samples every 200, 80 Slaney bands, decibels. All is computed
in float64 frame by frame, so that a column never depends on where a chunk was cut.

References
----------
Wav2Lip, audio.py and hparams.py (the mel); M. Slaney, Auditory Toolbox, Interval Research
Technical Report 1998-010 (the bands, as in librosa.filters.mel).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from .. import kernels
from ..checks import LOUDEST, check_level
from ..errors import InputError, LayoutError

__all__ = [
    "BANDS",
    "COLUMNS_PER_SECOND",
    "HOP",
    "SAMPLE_RATE",
    "SILENT",
    "MelStream",
    "check_out",
    "check_samples",
    "mel_columns",
    "mel_spectrogram",
    "slaney_bands",
]

SAMPLE_RATE = 16000
HOP = 200
BANDS = 80
COLUMNS_PER_SECOND = SAMPLE_RATE // HOP
SILENT = -4.0  # every band of a silent column; also of the columns that pad a short sound

_WINDOW = 800
_HALF = _WINDOW // 2
_BINS = _WINDOW // 2 + 1
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_LOG_STEP = math.log(6.4) / 27.0  # 27 mels lead from 1 kHz to 6.4 kHz
_PRE_EMPHASIS = 0.97
_BLOCK = 64  # frames of one call: enough to hide its cost, few enough for the cache

Pad = Literal["constant", "reflect"]


# ---- bands -----------------------------------------------------------------------------


def _slaney_mel(hz: float) -> float:
    """Return the Slaney mel of a frequency: linear (200/3 Hz a mel) to 1 kHz, logarithmic above."""
    return hz * 3.0 / 200.0 if hz < 1000.0 else 15.0 + math.log(hz / 1000.0) / _LOG_STEP


def _slaney_hz(mel: float) -> float:
    """Return the frequency of a Slaney mel; see `_slaney_mel`."""
    return mel * 200.0 / 3.0 if mel < 15.0 else 1000.0 * math.exp((mel - 15.0) * _LOG_STEP)


def slaney_bands() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the mel filter bank as sparse bands: triangles of equal area, 55 to 7600 Hz.

    Returns
    -------
    edges : (80, 2) int32, fresh
        First and end bin of every band; a bin is 20 Hz.
    weights : (sum of end - first,) float32, fresh
        The bands' weights, one band after the other.

    References
    ----------
    M. Slaney, Auditory Toolbox, Interval Research Technical Report 1998-010: the scale, and
    the peak height 2 / (high - low) that gives every band the same area.
    """
    scale = np.linspace(_slaney_mel(_LOWEST_HZ), _slaney_mel(_HIGHEST_HZ), BANDS + 2)
    corners = [_slaney_hz(mel) for mel in scale.tolist()]
    bins = np.arange(_BINS) * (SAMPLE_RATE / _WINDOW)
    edges = np.zeros((BANDS, 2), np.int32)
    weights = []
    for band in range(BANDS):
        low, peak, high = corners[band : band + 3]
        rise = (bins - low) / (peak - low)
        fall = (high - bins) / (high - peak)
        triangle = np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (high - low))
        inside = np.flatnonzero(triangle)
        edges[band] = inside[0], inside[-1] + 1
        weights.append(triangle[inside])
    return edges, np.concatenate(weights).astype(np.float32)


_EDGES, _WEIGHTS = slaney_bands()


# ---- checks ----------------------------------------------------------------------------


def check_samples(samples: Any, full_scale: float = 1.0) -> NDArray[np.float32]:
    """Return the samples as they are, if they are finite float32 with one axis.

    Parameters
    ----------
    samples : (n,) float32, 16 kHz mono; any stride, n may be 0
    full_scale : float
        The loudest sample there can be: 1.0, or 32768 for units of 16-bit numbers.

    Raises
    ------
    LayoutError
        Not an array of float32.
    InputError
        More than one axis, a sample that is NaN or infinite, or samples on the scale of 16 bits.
    """
    if not isinstance(samples, np.ndarray) or samples.dtype != np.float32:
        got = samples.dtype if isinstance(samples, np.ndarray) else type(samples).__name__
        hint = "divide by 32768 and convert" if got == np.int16 else "convert"
        raise LayoutError(
            "samples must be a float32 array of 16 kHz mono sound, "
            f"got {got}; {hint} with astype('float32')"
        )
    if samples.ndim != 1:
        raise InputError(
            f"samples must be mono with one axis, got shape {samples.shape}; "
            "average the channels first"
        )
    # min and max carry a NaN through and, unlike isfinite, need no array of their own.
    low, high = (samples.min(), samples.max()) if samples.size else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise InputError(
            f"samples must be finite, got {samples[bad]} at sample {bad}; repair the sound first"
        )
    if max(-low, high) > LOUDEST * full_scale:
        check_level("samples", samples, full_scale)
    return samples


def check_out(out: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return `out` if it is a writable float32 array of this shape.

    Raises
    ------
    LayoutError
        Not an array of float32.
    InputError
        Another shape, or read-only.
    """
    if not isinstance(out, np.ndarray) or out.dtype != np.float32:
        got = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise LayoutError(f"out must be a float32 array, got {got}")
    if out.shape != shape:
        raise InputError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise InputError("out must be writable, got a read-only array; pass a copy")
    return out


# ---- columns ---------------------------------------------------------------------------


def mel_columns(samples: int) -> int:
    """Return the number of mel columns of a sound: 1 + samples // 200, 0 without samples."""
    return 1 + samples // HOP if samples > 0 else 0


class MelStream:
    """Mel columns of a sound that arrives in chunks, equal to `mel_spectrogram` bit for bit.

    Parameters
    ----------
    pad : {"constant", "reflect"}
        What stands before the first and after the last sample: zeros, or the (pre-emphasised)
        sound mirrored, which older Wav2Lip checkpoints were trained with.

    Attributes
    ----------
    samples, columns : int
        Samples received and columns given out so far.

    Raises
    ------
    InputError
        Another `pad`.

    Notes
    -----
    Column k is centred on sample 200 k and needs 400 samples after that: a chunk gives the
    columns up to 25 ms before its end, `flush` the rest. Memory does not grow with time. One
    thread at a time.
    """

    def __init__(self, pad: Pad = "constant") -> None:
        if pad not in ("constant", "reflect"):
            raise InputError(f'pad must be "constant" or "reflect", got {pad!r}')
        self.samples = self.columns = 0
        self._reflect = pad == "reflect"
        self._flushed = False
        self._last = 0.0
        # Pre-emphasised sound from the next column's first sample on. It begins with the
        # 400 samples before the sound: zeros, or a reflection of its start.
        self._buffer = np.zeros(_WINDOW + HOP * (_BLOCK - 1))
        self._filled = _HALF
        self._unmirrored = self._reflect
        stride = self._buffer.strides[0]
        self._frames = as_strided(
            self._buffer, (_BLOCK, _WINDOW), (HOP * stride, stride), writeable=False
        )
        self._spectra = np.empty((_BLOCK, _BINS, 2))
        self._scratch = np.empty(kernels.SPECTRUM_SCRATCH)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples and return the columns that they complete.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono, any n including 0

        Returns
        -------
        (k, 80) float32, fresh; k may be 0

        Raises
        ------
        LayoutError, InputError
            As `check_samples`, the stream being left as it was; InputError after `flush`.
        """
        if self._flushed:
            raise InputError(
                "the sound of this MelStream has ended; make a new one for the next sound"
            )
        samples = check_samples(samples)
        complete = max(0, (self.samples + samples.size - _HALF) // HOP + 1)
        out = np.empty((max(0, complete - self.columns), BANDS), np.float32)
        return out[: self._run(samples, out)]

    def flush(self) -> NDArray[np.float32]:
        """End the sound and return its last columns.

        Returns
        -------
        (k, 80) float32, fresh
            With all that `push` gave they are 1 + samples // 200 columns.

        Raises
        ------
        InputError
            The stream got no samples, or was flushed before.
        """
        if self._flushed:
            raise InputError("the sound of this MelStream has ended; flush it only once")
        if self.samples == 0:
            raise InputError("the sound must have at least one sample, got none")
        self._flushed = True
        tail = np.zeros(_HALF)
        if self._reflect:
            if self._unmirrored:
                self._mirror_start()
            # At least the last 600 samples are here, more than a reflection shows.
            sound = self._buffer[self._filled - min(self.samples, self._filled) : self._filled]
            tail = sound[_mirror(np.arange(sound.size, sound.size + _HALF), sound.size)]
        out = np.empty((mel_columns(self.samples) - self.columns, BANDS), np.float32)
        written = 0
        # In two parts: up to 799 samples wait in the buffer, which is sure to hold 200 more.
        for part in (tail[:HOP], tail[HOP:]):
            self._buffer[self._filled : self._filled + HOP] = part
            self._filled += HOP
            written += self._emit(out[written:])
        return out

    def _run(self, samples: NDArray[np.float32], out: NDArray[np.float32]) -> int:
        """Take checked samples, write the columns they complete into out; return how many."""
        self.samples += samples.size
        start = written = 0
        while start < samples.size:
            chunk = samples[start : start + self._buffer.size - self._filled]
            self._append(chunk)
            written += self._emit(out[written:])
            start += chunk.size
        return written

    def _append(self, chunk: NDArray[np.float32]) -> None:
        """Pre-emphasise a chunk onto the buffer: y[n] = x[n] - 0.97 x[n-1]."""
        target = self._buffer[self._filled : self._filled + chunk.size]
        target[0] = self._last
        target[1:] = chunk[:-1]
        target *= -_PRE_EMPHASIS
        target += chunk
        self._last = float(chunk[-1])
        self._filled += chunk.size
        # The 400 samples before the sound mirror its second to 401st.
        if self._unmirrored and self._filled > 2 * _HALF:
            self._mirror_start()

    def _mirror_start(self) -> None:
        """Fill the 400 samples before the sound with its reflection."""
        sound = self._buffer[_HALF : self._filled]
        self._buffer[:_HALF] = sound[_mirror(np.arange(-_HALF, 0), sound.size)]
        self._unmirrored = False

    def _emit(self, out: NDArray[np.float32]) -> int:
        """Write the columns whose samples are all in the buffer; return how many."""
        if self._unmirrored or self._filled < _WINDOW:
            return 0
        count = (self._filled - _WINDOW) // HOP + 1
        # Not windowed: the mel kernel does that, cheaper, in the spectrum.
        spectra = self._spectra[:count]
        kernels.spectrum(self._frames[:count], out=spectra, scratch=self._scratch)
        kernels.mel(spectra, _EDGES, _WEIGHTS, out=out[:count])
        used = count * HOP
        self._buffer[: self._filled - used] = self._buffer[used : self._filled]
        self._filled -= used
        self.columns += count
        return count


def _mirror(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect places outside a sound of `size` samples into it, without doubling its ends."""
    period = max(2 * size - 2, 1)
    folded = np.abs(index) % period
    return np.minimum(folded, period - folded) if size > 1 else folded


def mel_spectrogram(
    samples: NDArray[np.float32], pad: Pad = "constant", *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the mel columns of a whole sound, 80 a second.

    Parameters
    ----------
    samples : (n,) float32, 16 kHz mono, n >= 1
    pad : {"constant", "reflect"}
        What stands before and after the sound; see `MelStream`.
    out : (1 + n // 200, 80) float32, optional
        Bands of a column packed, columns anywhere.

    Returns
    -------
    (1 + n // 200, 80) float32 in -4 .. 4
        ``out``, or a fresh array. Row k is centred on sample 200 k.

    Raises
    ------
    LayoutError
        Samples or ``out`` of another dtype.
    InputError
        No samples, more than one axis, NaN or infinite samples, an ``out`` of another shape.

    Examples
    --------
    >>> mel_spectrogram(np.zeros(16000, np.float32)).shape
    (81, 80)
    """
    stream = MelStream(pad)
    size = check_samples(samples).size
    if size == 0:
        raise InputError("samples must hold at least one sample, got none")
    shape = (mel_columns(size), BANDS)
    columns = np.empty(shape, np.float32) if out is None else check_out(out, shape)
    written = stream._run(samples, columns)
    columns[written:] = stream.flush()
    return columns
