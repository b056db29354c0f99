"""Encode, index, splice and decode JPEGs of many shapes, for valgrind."""

import numpy as np

from lipsync_fast import JpegEncoder, SplicedJpeg
from lipsync_fast.kernels import _jpeg
from lipsync_fast.provenance import XMP

rng = np.random.default_rng(5)
spliced = 0
for height, width, channels in [(1, 1, 3), (17, 33, 3), (40, 64, 4), (50, 75, 1), (96, 160, 3)]:
    frame = rng.integers(0, 256, (height, width, channels)[: 2 if channels == 1 else 3], np.uint8)
    for subsampling in ["4:0:0"] if channels == 1 else ["4:2:0", "4:2:2", "4:4:4"]:
        data = JpegEncoder(75, subsampling, 1, xmp=XMP).encode(frame)
        assert _jpeg.jpeg_segments(data)[-1] == len(data)
        assert _jpeg.decode(data).shape[:2] == (height, width)
        for cut in range(0, len(data), 37):
            try:
                _jpeg.jpeg_segments(data[:cut])
            except ValueError:
                continue
            raise AssertionError(f"{cut} of {len(data)} bytes were accepted as a whole file")
        background = SplicedJpeg(frame, 75, subsampling)
        for x, y in [(0, 0), (-3, 2), (width - 2, height - 1), (5, 7), (width, height)]:
            patch = frame[: height // 2 + 1, : width // 2 + 1]
            mask = np.full(patch.shape[:2], 128, np.uint8)
            got = background.splice(patch, x, y, mask=mask)
            assert _jpeg.jpeg_segments(got)[-1] == len(got)
            spliced += 1
print(f"{spliced} frames spliced")
