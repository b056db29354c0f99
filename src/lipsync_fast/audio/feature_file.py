"""Feature windows of rows that were made elsewhere, one row for each video frame.

References
----------
SyncTalk_2D and Ultralight-Digital-Human, inference scripts (rows from 8, or 4, frames before a
frame to as many from it on, zeros outside).
"""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, LayoutError
from ..files.untrusted import load_npy
from ..presets import ROW_SIZES, Preset, get_preset
from .feature_source import FeatureSource, Floats
from .windows import frame_count

__all__ = ["FeatureFile"]

_log = logging.getLogger(__name__)

_SCANNED_ROWS = 256  # rows checked at a time, so that a mapped file is never all in memory


class FeatureFile(FeatureSource):
    """Feature windows from a file of rows, one window for each video frame.

    Takes the place of a `FeatureStream`: the sound, if there is one, only says how many frames
    there are; without one `flush` makes a frame for each row. Frame i holds rows
    [i − n // 2, i − n // 2 + n), n to a window, zeros where there is no such row, all in C order.
    One thread at a time.

    Parameters
    ----------
    source : str, Path or (T, …) float array
        A plain ``.npy`` file, which is mapped, or an array; float16, float32 or float64, one
        row for each frame of the preset's feature rate: HuBERT (T, 2, 1024), wenet
        (T, 1, 16, 512), ``ave`` (T, 512) with both duplicates, or as long a row in any shape.
        For other presets a row of any size that a window is a multiple of.
    preset : str or Preset
    fps : number or fraction, optional
        Video frames a second; the preset's feature rate, else 25.

    Attributes
    ----------
    rows : int
    shape : tuple of int
        Shape of one window, `Preset.audio_shape`.
    samples : int
        Samples received.
    taken : int
        Frames handed out.

    Raises
    ------
    FileMissingError
        No such file.
    InputError
        Not a plain ``.npy`` file, rows of another size than the preset's, or not finite.
    LayoutError
        Not floats.
    """

    def __init__(
        self,
        source: str | Path | NDArray[np.floating[Any]],
        preset: str | Preset,
        fps: Fraction | float | int | str | None = None,
    ) -> None:
        preset = get_preset(preset)
        super().__init__(preset.feature_rate or 25 if fps is None else fps)
        self.shape = preset.audio_shape
        name = str(source) if isinstance(source, (str, Path)) else "features"
        array = load_npy(source, "features", "r") if isinstance(source, (str, Path)) else source
        self._rows = _check_rows(array, name, preset)
        self._name = name
        self._window = math.prod(self.shape) // self._rows.shape[1]
        self.rows = len(self._rows)
        self._with_sound = False

    def _settled(self) -> int:
        return frame_count(self.samples, self.fps)

    def _add(self, samples: Floats) -> None:
        self._with_sound = True

    def _end(self) -> int:
        if not self._with_sound:
            return self.rows
        if not self.samples:
            raise InputError("the sound must have at least one sample, got none")
        total = frame_count(self.samples, self.fps)
        if abs(total - self.rows) > self.fps:
            _log.warning(
                "%s holds %d rows for the %d frames of the speech: are they of this speech, "
                "and at %s a second?", self._name, self.rows, total, self.fps,
            )  # fmt: skip
        return total

    def _write(self, frame: int, out: Floats) -> None:
        window = out.reshape(self._window, self._rows.shape[1])
        first = frame - self._window // 2
        begin, end = max(first, 0), min(first + self._window, self.rows)
        if begin < end:
            window[: begin - first] = 0.0
            window[begin - first : end - first] = self._rows[begin:end]
            window[end - first :] = 0.0
        else:
            window[...] = 0.0


def _check_rows(array: Any, name: str, preset: Preset) -> NDArray[np.floating[Any]]:
    """Return the rows as (T, size), a view."""
    if not isinstance(array, np.ndarray) or array.dtype not in (np.float16, np.float32, np.float64):
        got = getattr(array, "dtype", type(array).__name__)
        raise LayoutError(f"{name} must hold float32 (or float16, float64), got {got}")
    window = math.prod(preset.audio_shape)
    row = math.prod(array.shape[1:])
    needed = ROW_SIZES.get(preset.features)
    if needed is None and preset.features != "file":
        needed = window  # mel windows and parameters come whole, one for each frame
    fits = array.ndim >= 2 and len(array) > 0 and row > 0
    fits = fits and (window % row == 0 if needed is None else row == needed)
    if not fits:
        text = f"a part of {window}" if needed is None else str(needed)
        raise InputError(
            f"{name} must hold a row of {text} numbers for each frame ({preset.name}, "
            f"{preset.features}), got shape {array.shape}"
        )
    rows: NDArray[np.floating[Any]] = array.reshape(len(array), row)
    for start in range(0, len(rows), _SCANNED_ROWS):
        finite = np.isfinite(rows[start : start + _SCANNED_ROWS]).all(axis=1)
        if not finite.all():
            raise InputError(
                f"{name}: row {start + int(np.argmin(finite))} holds numbers that are not finite"
            )
    return rows
