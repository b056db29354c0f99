"""From many channels to one: the centre, or the usual downmix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Speakers in the order of the bits of a WAV's channel mask; FFmpeg's names.
_MASK_ORDER = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"),
    *("TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
# What channels without names are, where their number leaves no doubt (SMPTE's order).
_USUAL = {
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
# Of a downmix (ITU-R BS.775): what stands at the sides or behind is 3 dB softer, LFE is left out.
_SOFTER = ("BL", "BR", "BC", "SL", "SR", "SDL", "SDR")
_LEFT_OUT = ("LFE", "LFE2", "UNSD", "UNU")


def names_of_mask(mask: int, channels: int) -> tuple[str, ...]:
    """Return FFmpeg's names of the channels of a WAV; () where its mask does not name them all."""
    names = tuple(name for bit, name in enumerate(_MASK_ORDER) if mask >> bit & 1)
    return names if len(names) == channels else ()


def names_of_layout(layout: Any) -> tuple[str, ...]:
    """Return the names of the channels of an av.AudioLayout; () where they have none."""
    names = tuple(str(channel.name) for channel in layout.channels)
    return () if "NONE" in names else names


def take_names(codec: Any) -> tuple[str, ...]:
    """Return the names of the channels that an av.AudioCodecContext, not yet open, decodes.

    A layout of its own order is replaced by one without names: PyAV 18 frees what such a layout
    points to once for the layout and again for each decoded frame, which ends the process.
    """
    layout = codec.layout
    names = names_of_layout(layout)
    if " channels (" in layout.name:
        codec.layout = f"{layout.nb_channels} channels"
    return names


def downmix_weights(channels: int, names: Sequence[str] = ()) -> np.ndarray:
    """Return what each channel counts in the mix to one channel.

    Parameters
    ----------
    channels : int
    names : sequence of str
        FFmpeg's names of the channels, or none. Five to eight channels without names count as
        5.0, 5.1, 6.1 and 7.1.

    Returns
    -------
    (channels,) float32, sum 1
        The centre alone where there is one, since dialogue is there; else the usual downmix.
    """
    if not names:
        names = _USUAL.get(channels, ())
    weights = np.ones(channels, np.float32)
    for single in ("FC", "AMBI0"):  # of ambisonics the first channel hears all around
        if single in names:
            weights = np.array([name == single for name in names], np.float32)
            break
    else:
        for i, name in enumerate(names):
            if name in _LEFT_OUT:
                weights[i] = 0
            elif name in _SOFTER or name.startswith("T"):
                weights[i] = np.sqrt(0.5)
    if not weights.any():
        weights[:] = 1
    return np.asarray(weights / weights.sum())


def downmix(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mix (channels, n) float32 to (1, n); `block` itself where it has one channel."""
    if len(block) == 1:
        return block
    if (weights == weights[0]).all():
        return np.asarray(block.mean(axis=0, dtype=np.float32, keepdims=True))
    used = np.flatnonzero(weights)
    if len(used) == 1:
        return block[used]
    return np.asarray(weights[None, used] @ block[used], np.float32)
