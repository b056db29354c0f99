"""Speech samples -> feature windows, one for each video frame, whole or as a stream.

A feature window is what the generator hears for one frame: 16 mel columns ("mel"), 16 rows of
audio encoder features ("ave") or mouth parameters from a driver ("params"). Windows depend on
the samples alone, never on how they were cut into chunks.
"""

from __future__ import annotations

from fractions import Fraction

from .feature_source import FeatureSource, Floats
from .mel import SAMPLE_RATE, MelStream, Pad
from .silence import NoiseGate
from .windows import Driver, Encoder, frame_count, open_windows

__all__ = ["FeatureStream", "feature_windows"]

_CHUNK = 4 * SAMPLE_RATE  # samples of a long chunk that are turned into columns at a time


class FeatureStream(FeatureSource):
    """Feature windows of a sound that arrives in chunks, one window for each video frame.

    The windows are bit for bit those of the sound in one piece, on one audio encoder and
    provider. It keeps only samples and rows that frames not yet taken need. One thread at a time.

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
    gate : NoiseGate, optional
        A fresh one that takes noise out of the pauses first; a driver always hears through one.

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
        gate: NoiseGate | None = None,
    ) -> None:
        super().__init__(fps)
        self._gate = NoiseGate() if gate is None and driver is not None else gate
        self._mel = MelStream(pad)
        self._windows = open_windows(features, self.fps, encoder, driver)
        self.shape = self._windows.shape

    def _settled(self) -> int:
        return self._windows.settled()

    def _add(self, samples: Floats) -> None:
        for start in range(0, max(samples.size, 1), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            self._windows.add(
                self._mel.push(chunk if self._gate is None else self._gate.push(chunk))
            )

    def _end(self) -> int:
        if self._gate is not None:
            self._windows.add(self._mel.push(self._gate.flush()))
        self._windows.add(self._mel.flush())
        total = frame_count(self.samples, self.fps)
        self._windows.end(total)
        return total

    def _write(self, frame: int, out: Floats) -> None:
        self._windows.write(frame, out)


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
    """Return the feature windows of a whole sound.

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
    return stream.take(stream.flush(), out)
