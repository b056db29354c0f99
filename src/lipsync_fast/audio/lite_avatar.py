"""Mel columns -> the 32 mouth parameters of a LiteAvatar generator, by rule, without a model.

The jaw follows the level of the voiced bands against the speaker's own slowly tracked peak;
lips are drawn wide or together where the spectrum leans to front or back vowels, against the
speaker's own mean. Every step is one column after the other in Python floats, so that frames
are bit for bit the same however the sound was cut.
"""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, LayoutError
from ..files.untrusted import load_npy
from ..timing import parse_fps
from .mel import BANDS, COLUMNS_PER_SECOND, SAMPLE_RATE, SILENT, slaney_bands

__all__ = ["NEUTRAL", "LiteAvatarDriver", "Neutral", "neutral_pose"]

Neutral = str | Path | ArrayLike

PARAMS = 32
# A parameter is how much of a mouth shape is shown, 1 being all of it: the sample person's closed
# mouth reaches 0.16, and this rule adds at most 0.42. No person's pose is ten times a shape.
_MOST = 10

NEUTRAL: tuple[float, ...] = (
    *(0.03052, 0.02963, 0.03288, 0.02568, 0.01039, 0.01431, -0.00225, 0.02497),
    *(0.15365, 0.14384, 0.00014, 0.00356, 0.08875, 0.00590, 0.03673, 0.03769),
    *(0.02972, 0.02993, 0.04707, 0.00348, 0.07299, 0.09274, 0.11536, 0.02538),
    *(0.09396, 0.08604, 0.11577, 0.10515, 0.01852, 0.02035, 0.04279, 0.04517),
)
"""The closed mouth of lite-avatar's sample person (HumanAIGC lite-avatar, MIT), to five places."""

_JAW, _PUCKER, _STRETCH_LEFT, _STRETCH_RIGHT = 5, 12, 24, 25
# Added to the neutral pose. The pose itself presses the lips together; the filmed mouth at rest
# is matched best (half the difference to the film) with these, and stays as closed.
_REST_JAW, _REST_STRETCH = 0.20, 0.20
# The lip gap grows with the square of the jaw beyond rest and reaches a tenth of the distance
# between the outer eye corners here; a little farther the model stains the cheeks.
_OPEN_JAW = 0.22
_FULL_PUCKER = 0.30
_WIDE_STRETCH = 0.20

_RANGE = 24.0  # dB below the speaker's peak at which the mouth is closed
_FIRST_PEAK = -20.0  # dB of full scale, mean square; where the tracked peak starts
_LOWEST_PEAK = -75.0  # dB; it never sinks below
_PEAK_RISE = 0.15  # of the way to a louder column, each column
_PEAK_FALL = 2.0 / COLUMNS_PER_SECOND  # dB a column, while someone speaks
_PEAK_DROP = 1.0  # dB a column, once nobody has spoken as loud for as many columns as these
_DROP_AFTER = 40  # columns, 0.5 s
_FIRST_NOISE = -50.0  # dB; where the tracked noise floor starts
_NOISE_RISE = 2.0 / COLUMNS_PER_SECOND  # dB a column, while the sound is louder than that
_NOISE_FALL = 0.1  # of the way to a quieter column, each column
_NOISE_MARGIN = 6.0  # dB above the noise floor up to which the mouth is closed
_MOST_MARGIN = 9.0  # dB below the peak; a held vowel is no noise, however steady
_ATTACK, _RELEASE = 0.5, 0.35  # of the way to a wider or narrower opening, each column
_SHAPE_EASE = 0.15  # of the way to another lip shape, each column
_TILT_MEAN = -12.0  # dB; the speaker's mean tilt before it is known
_TILT_LEARN = 1.0 / (4 * COLUMNS_PER_SECOND)  # of the way, each voiced column: four seconds
_TILT_SPAN = 12.0  # dB from the mean at which the lips have their full shape
_REACH = 4  # columns before and after that an opening is averaged over
_LAG = 1  # columns by which easing comes late, taken back when frames are sampled

_SMOOTH = [0.5 + 0.5 * math.cos(math.pi * k / (_REACH + 1)) for k in range(-_REACH, _REACH + 1)]
_SMOOTH = [weight / sum(_SMOOTH) for weight in _SMOOTH]


def _band_powers() -> tuple[list[float], list[float]]:
    """Centre in Hz of every mel band, and its power in the sound a squared mel magnitude.

    A band's weights sum to 1/20, so that 20 times its mel magnitude is the mean magnitude of
    its bins. Every bin lies in two bands, so half of them count, and twice for the mirrored
    half of the spectrum. By Parseval, squares over the 800 bins sum to 800 times the 300 (the
    sum of the squared window) times the mean square. Pre-emphasis is taken back at the centre.
    """
    centres, powers = [], []
    for first, end in slaney_bands()[0].tolist():
        hz = 10.0 * (first + end - 1)
        turn = 2.0 * math.pi * hz / SAMPLE_RATE
        emphasis = 1.0 - 2.0 * 0.97 * math.cos(turn) + 0.97 * 0.97
        centres.append(hz)
        powers.append(20.0**2 * 0.5 * (end - first) * 2.0 / (800.0 * 300.0) / emphasis)
    return centres, powers


_HZ, _POWERS = _band_powers()
_VOICED = [band for band, hz in enumerate(_HZ) if 120.0 <= hz <= 4000.0]
_POWER = [_POWERS[band] for band in _VOICED]
_BACK = [i for i, band in enumerate(_VOICED) if 300.0 <= _HZ[band] <= 900.0]
_FRONT = [i for i, band in enumerate(_VOICED) if 1500.0 <= _HZ[band] <= 3500.0]
# A mel value v is a magnitude of 12.5 (v + 4) - 80 dB; its square is exp(slope v + offset).
_LOG_SLOPE = 12.5 * math.log(10.0) / 10.0
_LOG_OFFSET = (12.5 * 4.0 - 80.0) * math.log(10.0) / 10.0
# Just above the level of digital silence, in dB.
_SILENT_LEVEL = 3.0 + 10.0 * math.log10(sum(_POWER) * math.exp(_LOG_SLOPE * SILENT + _LOG_OFFSET))


def neutral_pose(neutral: Neutral) -> NDArray[np.float64]:
    """Return a person's closed mouth, checked: (32,) float64, fresh.

    Parameters
    ----------
    neutral : str, Path or (32,) numbers
        A ``.npy`` file or the numbers themselves, from -10 to 10.

    Raises
    ------
    FileMissingError
        No such file.
    InputError
        Not a plain ``.npy`` file, another shape, or values that are not numbers from -10 to 10.
    """
    source = "neutral"
    if isinstance(neutral, (str, Path)):
        source = str(neutral)
        neutral = load_npy(neutral, "a neutral pose")
    try:
        pose = np.array(neutral, np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{source} must be {PARAMS} finite numbers, got none") from None
    if pose.shape != (PARAMS,):
        raise InputError(
            f"{source} must be {PARAMS} finite numbers, got an array of shape {pose.shape}"
        )
    wrong = np.flatnonzero(~(np.abs(pose) <= _MOST))
    if len(wrong):
        raise InputError(
            f"{source} must be {PARAMS} finite numbers from -{_MOST} to {_MOST}, "
            f"got {pose[wrong[0]]} at index {wrong[0]}"
        )
    return pose


class LiteAvatarDriver:
    """A rule from mel columns to LiteAvatar mouth parameters, one row for each video frame.

    Make a fresh one for each sound. One thread at a time.

    Parameters
    ----------
    fps : Fraction, number or str
        Video frames a second, any.
    neutral : str, Path or (32,) numbers, optional
        The person's closed mouth (``neutral_pose.npy`` of a LiteAvatar folder); that of
        lite-avatar's sample person by default.

    Raises
    ------
    InputError, FileMissingError
        As `neutral_pose`; or a bad fps.

    Notes
    -----
    Frame i shows the sound at its middle, (i + 1/2) / fps, and is settled by the column that
    begins 75 ms after that at the latest.
    """

    shape = (PARAMS,)

    def __init__(self, fps: Fraction | float | int | str, neutral: Neutral | None = None) -> None:
        self.fps = parse_fps(fps)
        self._neutral = neutral_pose(NEUTRAL if neutral is None else neutral)
        self._made = 0
        self._peak, self._noise = _FIRST_PEAK, _FIRST_NOISE
        self._soft = _DROP_AFTER  # columns of sound since one that opened the mouth
        self._levels: deque[float] = deque([-math.inf] * len(_SMOOTH), len(_SMOOTH))
        self._tilts: deque[float] = deque([_TILT_MEAN] * len(_SMOOTH), len(_SMOOTH))
        self._tilt_mean = _TILT_MEAN
        self._opening = self._shape = 0.0
        # Eased (opening, shape) of the last columns; the first of them has this number.
        self._eased: deque[tuple[float, float]] = deque()
        self._first = -_REACH

    def push(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next mel columns and return the frames that they settle.

        Parameters
        ----------
        columns : (k, 80) float32
            80 a second, as `MelStream` gives them.

        Returns
        -------
        (n, 32) float32, fresh; n may be 0

        Raises
        ------
        LayoutError, InputError
            Columns of another dtype or shape.
        """
        if not isinstance(columns, np.ndarray) or columns.dtype != np.float32:
            raise LayoutError("columns must be a float32 array of mel columns; convert them first")
        if columns.ndim != 2 or columns.shape[1] != BANDS:
            raise InputError(f"columns must have shape (k, {BANDS}), got {columns.shape}")
        frames = []
        for values in columns[:, _VOICED].tolist():
            self._hear(values)
            while (row := self._frame()) is not None:
                frames.append(row)
        return np.array(frames, np.float32).reshape(len(frames), PARAMS)

    def flush(self, frames: int) -> NDArray[np.float32]:
        """End the sound, silence following, and return what is left of `frames` frames in all."""
        rows = []
        silence = [SILENT] * len(_VOICED)
        while self._made < frames:
            row = self._frame()
            if row is None:
                self._hear(silence)
            else:
                rows.append(row)
        return np.array(rows, np.float32).reshape(len(rows), PARAMS)

    def _hear(self, values: list[float]) -> None:
        """Take one column's voiced bands and ease the mouth one column on."""
        power = [
            weight * math.exp(_LOG_SLOPE * value + _LOG_OFFSET)
            for weight, value in zip(_POWER, values, strict=True)
        ]
        level = 10.0 * math.log10(sum(power))
        back = sum(power[i] for i in _BACK)
        front = sum(power[i] for i in _FRONT)
        tilt = 10.0 * math.log10(front / back)
        self._track(level, tilt)
        self._levels.append(level)
        self._tilts.append(tilt)

        target = shape = 0.0
        span = self._peak - self._closed
        for weight, heard, leaning in zip(_SMOOTH, self._levels, self._tilts, strict=True):
            loud = min(max((heard - self._closed) / span, 0.0), 1.0)
            target += weight * loud
            shape += weight * loud * (leaning - self._tilt_mean)
        shape = min(max(shape / _TILT_SPAN, -1.0), 1.0)
        ease = _ATTACK if target > self._opening else _RELEASE
        self._opening += ease * (target - self._opening)
        self._shape += _SHAPE_EASE * (shape - self._shape)
        self._eased.append((self._opening, self._shape))

    @property
    def _closed(self) -> float:
        """Level in dB up to which the mouth stays closed."""
        noise = min(self._noise + _NOISE_MARGIN, self._peak - _MOST_MARGIN)
        return max(self._peak - _RANGE, noise)

    def _track(self, level: float, tilt: float) -> None:
        """Follow the speaker's peak level, the noise floor and the speaker's mean tilt."""
        if level <= _SILENT_LEVEL:
            return  # a gated pause, which tells neither noise nor voice
        if level < self._noise:
            self._noise += _NOISE_FALL * (level - self._noise)
        else:
            self._noise += _NOISE_RISE
        if level > self._closed:
            self._soft = 0
        else:
            self._soft += 1
        if level > self._peak:
            self._peak += _PEAK_RISE * (level - self._peak)
        elif self._soft > _DROP_AFTER:
            self._peak = max(self._peak - _PEAK_DROP, _LOWEST_PEAK)
        elif not self._soft:
            self._peak = max(self._peak - _PEAK_FALL, _LOWEST_PEAK)
        if level > self._peak - 0.5 * _RANGE:
            self._tilt_mean += _TILT_LEARN * (tilt - self._tilt_mean)

    def _frame(self) -> NDArray[np.float32] | None:
        """Return the next frame's parameters, or None while columns of it are missing."""
        # Middle of the frame in columns, plus the lag of easing, over the rate's numerator.
        rate = self.fps.numerator
        place = COLUMNS_PER_SECOND * (2 * self._made + 1) * self.fps.denominator + 2 * _LAG * rate
        column, rest = divmod(place, 2 * rate)
        part = rest / (2 * rate)
        while self._first < column:
            if not self._eased:
                return None
            self._eased.popleft()
            self._first += 1
        if len(self._eased) < 2:
            return None
        (opening, shape), (next_opening, next_shape) = self._eased[0], self._eased[1]
        opening += part * (next_opening - opening)
        shape += part * (next_shape - shape)
        self._made += 1

        row = self._neutral.copy()
        stretch = _REST_STRETCH + _WIDE_STRETCH * shape
        row[_JAW] += _REST_JAW + _OPEN_JAW * math.sqrt(opening)
        row[_PUCKER] += _FULL_PUCKER * max(-shape, 0.0)
        row[_STRETCH_LEFT] += stretch
        row[_STRETCH_RIGHT] += stretch
        return row.astype(np.float32)
