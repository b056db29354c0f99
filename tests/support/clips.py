"""Synthetic clips made with PyAV, and PyAV's reading of them."""

from fractions import Fraction

import numpy as np


def i420_noise(rng, width, height):
    """(n,) uint8: smooth random planes, which codecs keep well."""
    cw, ch = (width + 1) // 2, (height + 1) // 2
    planes = []
    for w, h in ((width, height), (cw, ch), (cw, ch)):
        phase = rng.uniform(0, 6, 2)
        wave = np.sin(np.arange(w) / 9 + phase[0]) + np.sin(np.arange(h)[:, None] / 7 + phase[1])
        planes.append((126 + 50 * wave).astype(np.uint8).ravel())
    return np.concatenate(planes)


def write_clip(
    path,
    frames,
    *,
    pix_fmt="yuv420p",
    codec="ffv1",
    rate=Fraction(25),
    times=None,
    tags=(),
    rotation=None,
):
    """Write (H, W) or (H, W, C) arrays of `pix_fmt` as PyAV lays them out.

    `codec` is a name, or a name and options; `times` are (pts, time_base).
    """
    import av

    codec, options = (codec, {}) if isinstance(codec, str) else codec
    pts, time_base = times or (None, None)

    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        first = av.VideoFrame.from_ndarray(frames[0], pix_fmt)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, pix_fmt
        for name, value in dict(tags).items():
            setattr(stream.codec_context, name, value)
        if time_base is not None:
            stream.codec_context.time_base = stream.time_base = time_base
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, pix_fmt)
            frame.pts = i if pts is None else pts[i]
            frame.time_base = 1 / rate if time_base is None else time_base
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def decoded(path, fmt="yuv420p"):
    """Return all frames as arrays of `fmt`, with their times in seconds as Fractions."""
    import av

    with av.open(str(path)) as file:
        found = [(f.to_ndarray(format=fmt), f.pts * f.time_base) for f in file.decode(video=0)]
    return [f for f, _ in found], [t for _, t in found]
