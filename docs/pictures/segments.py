"""Draws segments.svg: a finished frame as its JPEG file sees it, in the file's own numbers.

python docs/pictures/segments.py docs/pictures/segments.svg
"""

import base64
import io
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

import lipsync_fast as lf
from lipsync_fast import demo
from lipsync_fast.kernels import _jpeg

SCALE = 2  # frame pixels to a pixel of the drawing
WIDTH, HEIGHT = demo.WIDTH // SCALE, demo.HEIGHT // SCALE
NEW, OLD, LINE, RECT = "#e8590c", "#4c8dbf", "#ffffff", "#ffd43b"
BAR_TOP, BAR = HEIGHT + 64, 44


def box(x, y, w, h, **style):
    style = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{w:.2f}" height="{h:.2f}"{style}/>'


def text(x, y, words, **style):
    style = {"font_size": 17, "fill": "#7a828a", **style}
    style = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x}" y="{y}"{style}>{words}</text>'


def picture(frame):
    """The frame, small, inside the drawing."""
    file = io.BytesIO()
    Image.fromarray(frame[..., ::-1]).resize((WIDTH, HEIGHT)).save(file, "JPEG", quality=70)
    data = base64.b64encode(file.getvalue()).decode()
    place = f'width="{WIDTH}" height="{HEIGHT}"'
    return f'<image {place} href="data:image/jpeg;base64,{data}"/>'


def draw():
    (frame,) = islice(demo.draw_frames(), 1)
    x, y, w, h = (int(v) for v in demo.mouth_rects()[0])
    jpeg = lf.SplicedJpeg(np.ascontiguousarray(frame), quality=75, format="bgr24")
    left, top, wide, high = jpeg.region(x, y, w, h)
    across = 16 * jpeg.restart_interval  # pixels of a segment at 4:2:0
    columns = demo.WIDTH // across
    offsets = _jpeg.jpeg_segments(jpeg.data).astype(np.int64)
    where = np.arange(len(offsets) - 1)
    column, row = where % columns * across, where // columns * 16
    new = (left <= column) & (column < left + wide) & (top <= row) & (row < top + high)

    parts = [picture(frame)]
    lines = [f"M{x / SCALE:g} 0v{HEIGHT}" for x in range(across, demo.WIDTH, across)]
    lines += [f"M0 {y / SCALE:g}h{WIDTH}" for y in range(16, demo.HEIGHT, 16)]
    parts.append(f'<path d="{"".join(lines)}" stroke="{LINE}" stroke-opacity="0.35"/>')
    for i in where[new]:
        place = column[i] / SCALE, row[i] / SCALE, across / SCALE, 16 / SCALE
        parts.append(box(*place, fill=NEW, fill_opacity=0.55, stroke=LINE))
    mouth = (v / SCALE for v in (x, y, w, h))
    parts.append(box(*mouth, fill="none", stroke=RECT, stroke_width=2.5))

    total = len(jpeg.data)
    parts.append(text(0, BAR_TOP - 34, "The same frame as a file, from its first byte to its last"))
    parts.append(box(0, BAR_TOP, WIDTH, BAR, fill=OLD))
    for i in where[new]:
        begin, end = offsets[i] * WIDTH / total, offsets[i + 1] * WIDTH / total
        parts.append(box(begin, BAR_TOP, end - begin, BAR, fill=NEW))
    share = (offsets[1:] - offsets[:-1])[new].sum() / total
    words = [
        f'<tspan fill="{OLD}">■</tspan> {np.count_nonzero(~new)} segments copied',
        f'<tspan fill="{NEW}">■</tspan> {np.count_nonzero(new)} segments encoded anew, '
        f"{100 * share:.1f} % of {total:,} bytes",
        f'<tspan fill="{RECT}">□</tspan> the rect',
    ]
    gap = "&#160;&#160;&#160;&#160;"
    parts.append(text(0, BAR_TOP - 10, gap.join(words)))
    size = f'viewBox="0 0 {WIDTH} {BAR_TOP + BAR}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
    return "\n".join([head, *parts, "</svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), "utf-8")
