"""What a generator hears for one frame: windows of mel columns, encoder rows or a driver's numbers.

References
----------
Wav2Lip, inference.py (the mel windows); SyncTalk_2D, utils.py and inference_328.py (the windows
of the encoder, the doubled first and last row, the zeros outside).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int
from ..errors import InputError
from ..timing import parse_fps
from .mel import BANDS, COLUMNS_PER_SECOND, SAMPLE_RATE, SILENT

__all__ = ["Driver", "Encoder", "Windows", "frame_count", "open_windows", "window_start"]

WINDOW_COLUMNS = 16
FEATURES = 512  # numbers that the audio encoder makes of one mel window
CONTEXT = 8  # encoder rows before a frame; as many follow, the frame's own counted there
ENCODER_RATE = 25  # encoder rows a second

Floats = NDArray[np.float32]
Encoder = Callable[[Floats], Floats]


class Driver(Protocol):
    """A rule from mel columns to the numbers that the generator hears for one frame.

    Its rows must depend on the columns alone, not on how they were cut.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame's numbers."""

    def push(self, columns: Floats) -> Floats:
        """Take the next (k, 80) columns and return the (n, *shape) frames that they settle."""

    def flush(self, frames: int) -> Floats:
        """End the sound and return what is left of `frames` frames in all."""


class Windows(Protocol):
    """Windows of one kind, made as the columns of a sound come."""

    shape: tuple[int, ...]

    def add(self, columns: Floats) -> None:
        """Take the next (k, 80) mel columns."""

    def end(self, frames: int) -> None:
        """End the sound, which has `frames` frames."""

    def settled(self) -> int:
        """Frames whose windows no later sample can change."""

    def write(self, frame: int, out: Floats) -> None:
        """Write the window of a frame into `out`; never ask for an earlier frame."""


def frame_count(samples: int, fps: Fraction | float | int | str) -> int:
    """Return how many video frames cover a sound: ceil(samples · fps / 16000), in integers.

    Parameters
    ----------
    samples : int
        Samples at 16 kHz.
    fps : Fraction, number or str
        Frames a second; see `parse_fps`.

    Raises
    ------
    InputError
        If `samples` is not a whole number from 0 on, or fps is bad.
    """
    rate = parse_fps(fps)
    samples = check_int("samples", samples, 0)
    return -(-samples * rate.numerator // (SAMPLE_RATE * rate.denominator))


def window_start(frame: int, rate: Fraction | int) -> int:
    """Return the first mel column of a frame's window: floor(80 · frame / rate), in integers."""
    return COLUMNS_PER_SECOND * frame * rate.denominator // rate.numerator


def windows_within(columns: int, rate: Fraction | int) -> int:
    """Return how many windows end within the first `columns` columns."""
    # floor(80 i / rate) + 16 <= columns  <=>  80 i / rate < columns - 15
    spare = columns - WINDOW_COLUMNS + 1
    return max(0, -(-spare * rate.numerator // (COLUMNS_PER_SECOND * rate.denominator)))


class RecentRows:
    """The last rows of a long sequence, numbered from its first row."""

    def __init__(self, width: int) -> None:
        self._memory = np.empty((256, width), np.float32)
        self._offset = 0  # number of the row at the start of the memory
        self.first = self.end = 0  # rows that are here, half-open

    def append(self, rows: Floats) -> None:
        used = self.end - self._offset
        if used + len(rows) > len(self._memory):
            kept = self.end - self.first
            old = self._memory
            if 2 * (kept + len(rows)) > len(old):
                self._memory = np.empty((2 * (kept + len(rows)), old.shape[1]), np.float32)
            self._memory[:kept] = old[used - kept : used]
            self._offset = self.first
            used = kept
        self._memory[used : used + len(rows)] = rows
        self.end += len(rows)

    def get(self, start: int, stop: int) -> Floats:
        """Return a view of rows [start, stop), valid until the next `append`."""
        assert self.first <= start <= stop <= self.end
        return self._memory[start - self._offset : stop - self._offset]

    def forget(self, before: int) -> None:
        """Release the rows before a number."""
        self.first = max(self.first, min(before, self.end))


class MelWindows:
    """Windows of 16 mel columns at any frame rate."""

    def __init__(self, rate: Fraction | int) -> None:
        self.shape: tuple[int, ...] = (1, BANDS, WINDOW_COLUMNS)
        self._rate = rate
        self._columns = RecentRows(BANDS)

    def add(self, columns: Floats) -> None:
        self._columns.append(columns)

    def end(self, frames: int) -> None:
        short = WINDOW_COLUMNS - self._columns.end
        if short > 0:
            self._columns.append(np.full((short, BANDS), SILENT, np.float32))

    @property
    def columns(self) -> int:
        """Columns received, those that pad a short sound included."""
        return self._columns.end

    def settled(self) -> int:
        return windows_within(self._columns.end, self._rate)

    def write(self, frame: int, out: Floats) -> None:
        """Write the window of a frame, (80, 16) values; see `Windows.write`."""
        last = self._columns.end - WINDOW_COLUMNS
        start = min(window_start(frame, self._rate), last)
        out.reshape(BANDS, WINDOW_COLUMNS)[...] = self._columns.get(start, start + WINDOW_COLUMNS).T
        self._columns.forget(start)


class EncoderWindows:
    """Windows of 16 encoder rows round a frame: "ave" features.

    The encoder's rows r[0] … r[n-1] make the list r[0], r[0], r[1], …, r[n-1], r[n-1], and frame
    i hears entries [i - 8, i + 8) of it, zeros outside. n follows from the number of columns M:
    floor(25 (M - 16) / 80) + 2, of which the last row's window is moved back to end at M.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.shape: tuple[int, ...] = (32, 16, 16)  # the (16, 512) entries in C order
        self._encoder = encoder
        self._windows = MelWindows(ENCODER_RATE)
        self._window = np.empty((1, 1, BANDS, WINDOW_COLUMNS), np.float32)
        self._rows = RecentRows(FEATURES)
        self._count: int | None = None  # n, once it is known

    def add(self, columns: Floats) -> None:
        self._windows.add(columns)

    def end(self, frames: int) -> None:
        self._windows.end(frames)
        spare = self._windows.columns - WINDOW_COLUMNS
        self._count = ENCODER_RATE * spare // COLUMNS_PER_SECOND + 2

    def settled(self) -> int:
        # The last entry that frame i hears is i + 7, which is row i + 6.
        return max(0, self._windows.settled() - CONTEXT + 2)

    def write(self, frame: int, out: Floats) -> None:
        """Write the (16, 512) entries of a frame; see `Windows.write`."""
        rows = out.reshape(2 * CONTEXT, FEATURES)
        first = frame - CONTEXT
        wanted = frame + CONTEXT - 1  # rows that the entries before i + 8 reach
        if self._count is not None:
            wanted = min(wanted, self._count)
        self._encode(wanted)
        # Entry e is row e - 1, but for the doubled first and last.
        stop = wanted + 1
        begin = max(first, 1)
        rows[: begin - first] = 0.0
        if begin < stop:
            rows[begin - first : stop - first] = self._rows.get(begin - 1, stop - 1)
        if first <= 0:
            rows[-first] = self._rows.get(0, 1)[0]
        if self._count is not None and stop - first < 2 * CONTEXT:
            if stop >= first:
                rows[stop - first] = self._rows.get(self._count - 1, self._count)[0]
            rows[max(stop - first + 1, 0) :] = 0.0
        self._rows.forget(min(first, wanted) - 1)

    def _encode(self, rows: int) -> None:
        """Run the encoder up to a number of rows, one window a call: same bits in any request."""
        while self._rows.end < rows:
            self._windows.write(self._rows.end, self._window)
            made = np.asarray(self._encoder(self._window))
            if made.shape != (1, FEATURES) or made.dtype != np.float32:
                raise InputError(
                    f"the audio encoder must return (1, {FEATURES}) float32 of one mel window, "
                    f"got shape {made.shape} of {made.dtype}"
                )
            self._rows.append(made)


class DriverWindows:
    """The numbers that a driver makes for each frame."""

    def __init__(self, driver: Driver) -> None:
        self.shape = tuple(driver.shape)
        self._driver = driver
        self._width = int(np.prod(self.shape))
        self._rows = RecentRows(self._width)

    def add(self, columns: Floats) -> None:
        self._keep(self._driver.push(columns))

    def end(self, frames: int) -> None:
        self._keep(self._driver.flush(frames))
        if self._rows.end != frames:
            raise InputError(
                f"the driver must make {frames} frames of this sound, got {self._rows.end}"
            )

    def _keep(self, rows: Floats) -> None:
        self._rows.append(rows.reshape(len(rows), self._width))

    def settled(self) -> int:
        return self._rows.end

    def write(self, frame: int, out: Floats) -> None:
        out.reshape(-1)[...] = self._rows.get(frame, frame + 1)[0]
        self._rows.forget(frame + 1)


def open_windows(
    features: str, fps: Fraction, encoder: Encoder | None, driver: Driver | None
) -> Windows:
    """Make the windows of one kind.

    Raises
    ------
    InputError
        Unknown features, a missing encoder or driver, or another rate than 25 for "ave".
    """
    if features == "mel":
        return MelWindows(fps)
    if features == "ave":
        if encoder is None:
            raise InputError(
                'features "ave" need an audio encoder, got none; name its ONNX file '
                "(--audio-encoder)"
            )
        if fps != ENCODER_RATE:
            raise InputError(
                f'features "ave" are made for {ENCODER_RATE} frames a second, got {fps}; '
                f"prepare the template at {ENCODER_RATE}"
            )
        return EncoderWindows(encoder)
    if features == "params":
        if driver is None:
            raise InputError('features "params" need a driver, got none; pass one')
        return DriverWindows(driver)
    raise InputError(f'features must be "mel", "ave" or "params", got {features!r}')
