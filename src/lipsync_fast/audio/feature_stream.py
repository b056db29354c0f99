"""Speech samples -> feature windows, one for each video frame, whole or as a stream.

A feature window is what the generator hears for one frame: 16 mel columns ("mel"), 16 rows of
audio encoder features ("ave") or mouth parameters from a driver ("params"). Windows depend on
the samples alone, never on how they were cut into chunks.

References
----------
Wav2Lip, inference.py (the mel windows); SyncTalk_2D, utils.py and inference_328.py (the windows
of the encoder, the doubled first and last row, the zeros outside).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import check_int
from ..errors import InputError, LayoutError
from ..timing import parse_fps
from .mel import (
    BANDS,
    COLUMNS_PER_SECOND,
    HOP,
    SAMPLE_RATE,
    SILENT,
    MelStream,
    Pad,
    check_out,
    check_samples,
    mel_columns,
    mel_spectrogram,
)

__all__ = [
    "HOP",
    "SAMPLE_RATE",
    "Driver",
    "FeatureStream",
    "MelStream",
    "feature_windows",
    "frame_count",
    "mel_columns",
    "mel_spectrogram",
    "window_start",
]

WINDOW_COLUMNS = 16
FEATURES = 512  # numbers that the audio encoder makes of one mel window
CONTEXT = 8  # encoder rows before a frame; as many follow, the frame's own counted there
ENCODER_RATE = 25  # encoder rows a second

_CHUNK = 4 * SAMPLE_RATE  # samples of a long chunk that are turned into columns at a time

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

    def finish(self, frames: int) -> Floats:
        """End the sound and return what is left of `frames` frames in all."""


def frame_count(samples: int, fps: Fraction | float | int | str) -> int:
    """Number of video frames that cover a sound: ceil(samples · fps / 16000), in integers.

    Parameters
    ----------
    samples : int
        Samples at 16 kHz.
    fps : Fraction, number or str
        Frames a second; see `parse_fps`.

    Raises
    ------
    InputError
        If `samples` is no whole number from 0 on, or fps is bad.
    """
    rate = parse_fps(fps)
    samples = check_int("samples", samples, 0)
    return -(-samples * rate.numerator // (SAMPLE_RATE * rate.denominator))


def window_start(frame: int, rate: Fraction | int) -> int:
    """First mel column of a frame's window: floor(80 · frame / rate), in integers."""
    return COLUMNS_PER_SECOND * frame * rate.denominator // rate.numerator


def _windows_within(columns: int, rate: Fraction | int) -> int:
    """Number of windows that end within the first `columns` columns."""
    # floor(80 i / rate) + 16 <= columns  <=>  80 i / rate < columns - 15
    spare = columns - WINDOW_COLUMNS + 1
    return max(0, -(-spare * rate.numerator // (COLUMNS_PER_SECOND * rate.denominator)))


class _Rows:
    """Rows of floats of which only the last ones are kept; numbered from the first one ever."""

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
        """A view of rows [start, stop), good until the next `append`."""
        assert self.first <= start <= stop <= self.end
        return self._memory[start - self._offset : stop - self._offset]

    def forget(self, before: int) -> None:
        """Let go of the rows before a number."""
        self.first = max(self.first, min(before, self.end))


class _MelWindows:
    """Windows of 16 mel columns at any frame rate."""

    def __init__(self, rate: Fraction | int) -> None:
        self.shape: tuple[int, ...] = (1, BANDS, WINDOW_COLUMNS)
        self._rate = rate
        self._columns = _Rows(BANDS)

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
        """Frames whose windows no later sample can change."""
        return _windows_within(self._columns.end, self._rate)

    def write(self, frame: int, out: Floats) -> None:
        """Write the window of a frame into out, (80, 16) values; never ask for an earlier one."""
        last = self._columns.end - WINDOW_COLUMNS
        start = min(window_start(frame, self._rate), last)
        out.reshape(BANDS, WINDOW_COLUMNS)[...] = self._columns.get(start, start + WINDOW_COLUMNS).T
        self._columns.forget(start)


class _EncoderWindows:
    """Windows of 16 encoder rows round a frame: "ave" features.

    The encoder's rows r[0] … r[n-1] make the list r[0], r[0], r[1], …, r[n-1], r[n-1], and frame
    i hears entries [i - 8, i + 8) of it, zeros outside. n follows from the number of columns M:
    floor(25 (M - 16) / 80) + 2, of which the last row's window is moved back to end at M.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.shape: tuple[int, ...] = (32, 16, 16)  # the (16, 512) entries in C order
        self._encoder = encoder
        self._windows = _MelWindows(ENCODER_RATE)
        self._window = np.empty((1, 1, BANDS, WINDOW_COLUMNS), np.float32)
        self._rows = _Rows(FEATURES)
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
        """Write the (16, 512) entries of a frame into out; never ask for an earlier frame."""
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


class _DriverWindows:
    """What a driver says for each frame."""

    def __init__(self, driver: Driver) -> None:
        self.shape = tuple(driver.shape)
        self._driver = driver
        self._width = int(np.prod(self.shape))
        self._rows = _Rows(self._width)

    def add(self, columns: Floats) -> None:
        self._keep(self._driver.push(columns))

    def end(self, frames: int) -> None:
        self._keep(self._driver.finish(frames))
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


class FeatureStream:
    """Feature windows of a sound that arrives in chunks, one window for each video frame.

    The windows are bit for bit those of the sound in one piece, on one audio encoder and
    provider. Only what frames not yet taken need is kept. One thread at a time.

    Parameters
    ----------
    features : {"mel", "ave", "params"}
        What the preset's generator hears.
    fps : Fraction, number or str
        Video frames a second; 25 for "ave", any for the others. 30000/1001 stays exact.
    encoder : callable, needed by "ave"
        (1, 1, 80, 16) float32 mel window to (1, 512) float32; called for one window at a time,
        from `take`. The window is reused: a callable that keeps it must copy it.
    driver : Driver, needed by "params"
        Rule from mel columns to each frame's numbers, fresh for each sound.
    pad : {"constant", "reflect"}
        As for `MelStream`.

    Attributes
    ----------
    shape : tuple of int
        Shape of one window: (1, 80, 16), (32, 16, 16) or the driver's.
    samples : int
        Samples received.
    taken : int
        Frames handed out.

    Raises
    ------
    InputError
        Unknown features, a missing encoder or driver, or another rate than 25 for "ave".
    """

    def __init__(
        self,
        features: str,
        fps: Fraction | float | int | str,
        *,
        encoder: Encoder | None = None,
        driver: Driver | None = None,
        pad: Pad = "constant",
    ) -> None:
        self.fps = parse_fps(fps)
        self._mel = MelStream(pad)
        self._windows = _windows_of(features, self.fps, encoder, driver)
        self.shape = self._windows.shape
        self.taken = 0
        self._total: int | None = None

    @property
    def samples(self) -> int:
        """Samples received."""
        return self._mel.samples

    @property
    def ready(self) -> int:
        """Frames that can be taken now."""
        settled = self._windows.settled() if self._total is None else self._total
        return settled - self.taken

    def push(self, samples: Floats) -> int:
        """Take the next samples.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono, any n including 0

        Returns
        -------
        int
            Frames that can be taken now.

        Raises
        ------
        LayoutError, InputError
            As `MelStream.push`; the stream is left as it was.
        """
        check_samples(samples)
        for start in range(0, max(samples.size, 1), _CHUNK):
            self._windows.add(self._mel.push(samples[start : start + _CHUNK]))
        return self.ready

    def finish(self) -> int:
        """End the sound.

        Returns
        -------
        int
            Frames that can be taken now; with those taken before ceil(samples · fps / 16000).

        Raises
        ------
        InputError
            No samples, or finished before.
        """
        self._windows.add(self._mel.flush())
        self._total = frame_count(self.samples, self.fps)
        self._windows.end(self._total)
        return self.ready

    def take(self, count: int, out: Floats | None = None) -> Floats:
        """Write the next feature windows.

        Parameters
        ----------
        count : int
            Frames wanted, at most `ready`.
        out : (count, *shape) float32, C-contiguous, optional
            Pooled memory, for one.

        Returns
        -------
        (count, *shape) float32
            ``out``, or a fresh array.

        Raises
        ------
        InputError
            More frames than are ready, or an ``out`` of another shape.
        LayoutError
            An ``out`` of another dtype, or not C-contiguous.
        """
        if not 0 <= count <= self.ready:
            raise InputError(
                f"{count} frames were asked for and {self.ready} are ready; push more sound first"
            )
        shape = (count, *self.shape)
        target = np.empty(shape, np.float32) if out is None else check_out(out, shape)
        if not target.flags.c_contiguous:
            raise LayoutError("out must be C-contiguous, got a strided view; pass a packed array")
        for k in range(count):
            self._windows.write(self.taken, target[k])
            self.taken += 1
        return target


def _windows_of(
    features: str, fps: Fraction, encoder: Encoder | None, driver: Driver | None
) -> Any:
    """The maker of one kind of windows, or the sentence that says what it lacks."""
    if features == "mel":
        return _MelWindows(fps)
    if features == "ave":
        if encoder is None:
            raise InputError('features "ave" need an audio encoder, got none; name its ONNX file')
        if fps != ENCODER_RATE:
            raise InputError(
                f'features "ave" are made for {ENCODER_RATE} frames a second, got {fps}; '
                f"prepare the template at {ENCODER_RATE}"
            )
        return _EncoderWindows(encoder)
    if features == "params":
        if driver is None:
            raise InputError('features "params" need a driver, got none; pass one')
        return _DriverWindows(driver)
    raise InputError(f'features must be "mel", "ave" or "params", got {features!r}')


def feature_windows(
    samples: Floats,
    features: str,
    fps: Fraction | float | int | str,
    *,
    encoder: Encoder | None = None,
    driver: Driver | None = None,
    pad: Pad = "constant",
    out: Floats | None = None,
) -> Floats:
    """Feature windows of a whole sound.

    Parameters
    ----------
    samples : (n,) float32, 16 kHz mono, n >= 1
    features, fps, encoder, driver, pad : see `FeatureStream`
    out : (frames, *shape) float32, C-contiguous, optional

    Returns
    -------
    (frames, *shape) float32
        ``out``, or a fresh array; frames = ceil(n · fps / 16000).

    Raises
    ------
    LayoutError, InputError
        As `FeatureStream` and its methods.
    """
    stream = FeatureStream(features, fps, encoder=encoder, driver=driver, pad=pad)
    stream.push(samples)
    return stream.take(stream.finish(), out)
