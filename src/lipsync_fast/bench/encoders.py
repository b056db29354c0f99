"""Encoders that users of other systems have: whole frames to JPEG or PNG files."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import MediaError
from . import need

__all__ = ["ENCODERS"]

Image = NDArray[np.uint8]


def _opencv_file(suffix: str, frame: Image, options: list[int]) -> bytes:
    cv2 = need("cv2")
    if frame.shape[2] == 4:
        frame = cv2.cvtColor(frame, cv2.COLOR_RGBA2BGR)
    done, data = cv2.imencode(suffix, frame, options)
    if not done:
        raise MediaError(f"OpenCV could not encode a frame of {frame.shape} as {suffix}")
    encoded: bytes = data.tobytes()
    return encoded


def _encode_cv2(frame: Image, quality: int) -> bytes:
    return _opencv_file(".jpg", frame, [need("cv2").IMWRITE_JPEG_QUALITY, quality])


def _encode_simplejpeg(frame: Image, quality: int) -> bytes:
    encoded: bytes = need("simplejpeg").encode_jpeg(
        np.ascontiguousarray(frame),
        quality=quality,
        colorspace="RGBA" if frame.shape[2] == 4 else "BGR",
        colorsubsampling="420",
    )
    return encoded


def _encode_pillow(frame: Image, quality: int) -> bytes:
    from PIL import Image as pillow

    height, width, channels = frame.shape
    order = "RGBX" if channels == 4 else "BGR"
    pixels = np.ascontiguousarray(frame)
    file = io.BytesIO()
    picture = pillow.frombuffer("RGB", (width, height), pixels, "raw", order, 0, 1)
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _encode_png(frame: Image, quality: int) -> bytes:
    del quality  # lossless
    return _opencv_file(".png", frame, [])


ENCODERS: dict[str, Callable[[Image, int], bytes]] = {
    "cv2": _encode_cv2,
    "simplejpeg": _encode_simplejpeg,
    "pillow": _encode_pillow,
    "png": _encode_png,
}
"""(frame, quality) -> bytes; JPEG is baseline 4:2:0. Frames of four channels are RGBA."""
