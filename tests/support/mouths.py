"""Measures of a speech and of a mouth that follows it."""

import itertools
import math

import numpy as np

PAUSE = 25.0  # dB below the 95th percentile of the level


def levels(samples, frames, fps=30):
    """RMS of each frame's sound in dB."""
    edges = [frame * 16000 // fps for frame in range(frames + 1)]
    power = [
        np.mean(np.square(samples[a:b], dtype=np.float64)) for a, b in itertools.pairwise(edges)
    ]
    return 10 * np.log10(np.array(power) + 1e-10)


def best_correlation(level, mouth, reach=2):
    """Correlation of level and mouth at the best lag within `reach` frames."""
    size = len(level)
    return max(
        np.corrcoef(level[max(0, -d) : size - max(0, d)], mouth[max(0, d) : size + min(0, d)])[0, 1]
        for d in range(-reach, reach + 1)
    )


def paused_frames(level, fps=30):
    """Frames of the pauses, from 0.2 s after their start to 0.1 s before their end."""
    quiet = [*(level < np.percentile(level, 95) - PAUSE), False]
    chosen, start = [], None
    for frame, is_quiet in enumerate(quiet):
        if is_quiet and start is None:
            start = frame
        elif not is_quiet and start is not None:
            if frame - start > 0.4 * fps:
                chosen += range(start + math.ceil(0.2 * fps), frame - math.ceil(0.1 * fps))
            start = None
    return chosen
