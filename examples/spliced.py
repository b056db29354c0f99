"""JPEG frames of a picture in which only a part changes: the gauge of a dashboard, no person.

python examples/spliced.py frames/

writes frames of 1920 x 1080 in which a needle moves, encoding only the region round the gauge.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import lipsync_fast as lf

SIZE, GAUGE = (1920, 1080), (1380, 200, 400, 400)  # x, y, w, h


def draw_dashboard():
    picture = Image.new("RGB", SIZE, (24, 28, 36))
    pen = ImageDraw.Draw(picture)
    for column in range(6):
        heights = np.random.default_rng(column).integers(100, 700, 12)
        for bar, height in enumerate(heights):
            x = 60 + 200 * column + 15 * bar
            pen.rectangle((x, 1000 - height, x + 9, 1000), (60, 90 + 25 * column, 170))
    return picture


def draw_gauge(value):
    gauge = Image.new("RGB", GAUGE[2:], (24, 28, 36))
    pen = ImageDraw.Draw(gauge)
    pen.arc((20, 20, 380, 380), 180, 360, (220, 220, 220), 8)
    angle = np.pi * (1 - value)
    tip = (200 + 160 * np.cos(angle), 200 - 160 * np.sin(angle))
    pen.line((200, 200, *tip), (240, 90, 60), 10)
    return gauge


def main(folder, count=25):
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    # --8<-- [start:splice]
    background = lf.SplicedJpeg(np.asarray(draw_dashboard()), quality=85, format="rgb24")
    x, y, w, h = GAUGE
    room = np.empty(background.bound(w, h), np.uint8)  # reused for every frame
    for i in range(count):
        length = background.splice_into(room, np.asarray(draw_gauge(i / count)), x, y)
        (target / f"{i:04d}.jpg").write_bytes(room[:length])
    # --8<-- [end:splice]
    region = background.region(x, y, w, h)
    print(f"{count} frames in {target}; encoded: {region} of {SIZE[0]} x {SIZE[1]} pixels")
    return background


if __name__ == "__main__":
    main(*sys.argv[1:])
