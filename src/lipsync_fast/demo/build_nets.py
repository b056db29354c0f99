"""Build the demo's two models: ``python -m lipsync_fast.demo.build_nets [folder]``.

They are written by hand, not trained: they fulfil the synctalk328 contract, so everything around
them works as with a trained model, but they can only open a mouth.

The audio encoder measures, in the middle of each mel window, how loud the voice is and
whether its sound is bright (spread lips) or dark (rounded lips). The generator finds the lips
in the reference picture by their colour, moves the picture's lower lip and jaw down and its
upper lip up by a smooth field that vanishes well inside the blacked-out box, and paints teeth
and tongue into the gap. In silence the picture does not change.

Needs the package ``onnx``; run it after every change to this file and commit the models.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .expressions import Graph, Value
from .person import CHEEK, CHIN_Y, MOUTH_HALF_WIDTH, MOUTH_Y, RECT_TOP, SMILE

if TYPE_CHECKING:
    import onnx

__all__ = ["build_audio_encoder", "build_generator", "main"]

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the view, half-open

VIEW, CROP, BORDER = 320, 328, 4
BLACK = (5, 5, 315, 310)  # the box that is black in the masked picture, half-open
UNIT = CROP / (2 * CHEEK)  # pixels of the view for a unit of the drawing

# Position of the drawn mouth in the view, in pixels; pixel i has its centre at i + 0.5.
MOUTH = (CHEEK * UNIT - BORDER, (MOUTH_Y - RECT_TOP) * UNIT - BORDER)
HALF_WIDTH, SMILE_DEPTH = MOUTH_HALF_WIDTH * UNIT, SMILE * UNIT
CHIN = (CHIN_Y - RECT_TOP) * UNIT - BORDER

MOVED = (36, 82, 284, 308)  # the box of the view in which pixels may move
PAINTED = (84, 84, 236, 190)  # the box in which pixels are painted
SEARCHED = (80, 70, 240, 170)  # the box in which the lips are searched

DROP, RISE = 34.0, 8.0  # pixels that the lower and upper lip move at the widest opening
JAW_SHARE = 0.6  # share of DROP that the chin moves


# ---- the audio encoder -----------------------------------------------------------------------

# One step of the mel scale is 12.5 dB: exp(AMPLITUDE * mel) is proportional to amplitude.
AMPLITUDE = 12.5 / 20 * np.log(10)
# Mel bands [begin, end): voice 240-2500 Hz, first formants, second formants, hiss.
BANDS = ((4, 50), (4, 22), (28, 55), (54, 80))
QUIET, LOUD = -1.3, 0.7  # voice level in mel units at which the mouth starts to open and is open


def build_audio_encoder() -> onnx.ModelProto:
    """Build the model from a mel window to features.

    ``mel_spectrogram`` (N, 1, 80, 16) -> ``audio_features`` (N, 512): the first is the opening
    0..1 and the second the spread of the lips -1..1, both 0 in silence; the others are 0.
    """
    g = Graph("drawn_audio_encoder", "Loudness and brightness of a voice; not trained.")
    mel = g.input("mel_spectrogram", (1, 80, 16))
    means = np.zeros((len(BANDS), 80))
    for row, (begin, end) in enumerate(BANDS):
        means[row, begin:end] = 1 / (end - begin)
    amplitude = g.constant(means) @ g.op("Exp", mel * AMPLITUDE)
    levels = g.op("Log", amplitude) / AMPLITUDE  # (N, 1, bands, 16) in mel units
    centre = np.zeros((16, 1))
    centre[5:11, 0] = np.array([1, 2, 3, 3, 2, 1]) / 12
    levels = levels @ centre
    voice, low, middle, hiss = (levels.part(2, i, i + 1) for i in range(len(BANDS)))

    vowel = g.op("Pow", ((voice - QUIET) / (LOUD - QUIET)).clip(), 0.8)
    # s and f: loud above 2.9 kHz; the teeth show, the jaw stays
    sibilant = ((hiss + 0.9) / 0.9).clip() * 0.22
    opening = g.op("Max", vowel, sibilant)
    spread = ((middle - low + 0.2) / 0.8).clip(-1.0, 1.0) * (opening * 4.0).clip()
    both = g.op("Concat", opening, spread, axis=3)  # (N, 1, 1, 2)
    features = g.op("Reshape", both @ np.eye(2, 512), np.array([0, 512], np.int64))
    return g.model(features, "audio_features", (512,))


# ---- the generator ---------------------------------------------------------------------------

# The rows of the 16 x 512 audio input round the frame's own moment: a row is centred 0.266 s
# before the frame plus 0.04 s for its index, and a mouth is a little ahead of its sound.
MOMENT = {6: 0.2, 7: 0.45, 8: 0.35}

# The lips are redder than the skin: red less green above this share of 255 is lip.
LIP_REDNESS = 74 / 255
# Weight (in full-red pixels) of the prior that the mouth is where it was drawn.
PRIOR = 8.0
# From the line between the drawn lips to the centroid of their redness, in pixels, and the slope
# of the redness for a level line: the light comes from one side.
LIPS_RIGHT, LIPS_BELOW, LIPS_SLOPE = 0.8, 1.75, 0.0093


def pixel_centres(box: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns (1, 1, 1, W) and rows (1, 1, H, 1) of a box of the view."""
    x = np.arange(box[0], box[2], dtype=np.float64) + 0.5
    y = np.arange(box[1], box[3], dtype=np.float64) + 0.5
    return x[None, None, None, :], y[None, None, :, None]


@dataclass(frozen=True)
class Mouth:
    """State of the mouth in a batch; each (N, 1, 1, 1).

    `x`, `y` and `slope` place the line between the lips in the view; `opening` is 0..1 and
    `spread` -1..1.
    """

    x: Value
    y: Value
    slope: Value
    opening: Value
    spread: Value

    @property
    def widening(self) -> Value:
        """The lips' gain in width over rest, as a share."""
        return self.spread * 0.11 - self.opening * 0.05


@dataclass(frozen=True)
class Lips:
    """Geometry of the lips over a box of the view.

    `u` (N, 1, 1, W) and `v` (N, 1, H, W) are pixels right of and below the line between the
    closed lips; `drop` and `rise` (N, 1, 1, W) how far the lower and upper lip moved.
    """

    u: Value
    v: Value
    drop: Value
    rise: Value


def build_generator() -> onnx.ModelProto:
    """Build the model that opens the mouth.

    ``input`` (N, 6, 320, 320) BGR 0..1 (reference, masked) and ``audio`` (N, 32, 16, 16) ->
    ``output`` (N, 3, 320, 320).
    """
    g = Graph("drawn_generator", "Opens the mouth of the demo's drawn person; not trained.")
    pictures = g.input("input", (6, VIEW, VIEW))
    audio = g.input("audio", (32, 16, 16))
    reference, masked = pictures.part(1, 0, 3), pictures.part(1, 3, 6)

    mouth = listen(g, audio, *find_lips(reference))
    # inside the black box only the reference shows the face; outside, the frame itself stays
    column, row = np.arange(VIEW).reshape(1, 1, 1, -1), np.arange(VIEW).reshape(1, 1, -1, 1)
    columns = g.constant((column >= BLACK[0]) & (column < BLACK[2]))
    inside = g.op("And", columns, (row >= BLACK[1]) & (row < BLACK[3]))
    face = g.op("Where", inside, reference, masked)

    still = reference.window(MOVED)
    moved = move_jaw(g, mouth, still)
    box = tuple(np.subtract(PAINTED, (MOVED[0], MOVED[1]) * 2).tolist())
    painted = paint_inside(g, mouth, moved.window(box))
    moved = moved + painted.padded(box, MOVED[2] - MOVED[0], MOVED[3] - MOVED[1])
    face = face + (moved - still).padded(MOVED, VIEW, VIEW)
    # callers truncate fractions of a level; adding half a level turns that into rounding
    return g.model((face + 0.5 / 255).clip(), "output", (3, VIEW, VIEW))


def find_lips(reference: Value) -> tuple[Value, Value, Value]:
    """Find centre and slope of the line between the lips by the redness of the picture."""
    x, y = pixel_centres(SEARCHED)
    area = reference.window(SEARCHED)
    red = (area.part(1, 2, 3) - area.part(1, 1, 2) - LIP_REDNESS).relu()
    weight = red.total(2, 3) + PRIOR
    right = (red * (x - MOUTH[0] - LIPS_RIGHT)).total(2, 3) / weight
    down = (red * (y - MOUTH[1] - LIPS_BELOW)).total(2, 3) / weight
    # least squares through the lips' pixels; the prior is a level mouth of the drawn width
    u = reference.graph.constant(x - MOUTH[0] - LIPS_RIGHT) - right
    v = reference.graph.constant(y - MOUTH[1] - LIPS_BELOW) - down
    spread = (red * u * u).total(2, 3) + PRIOR * HALF_WIDTH**2 / 3
    slope = (red * u * v).total(2, 3) / spread - LIPS_SLOPE
    return right + MOUTH[0], down + MOUTH[1], slope


def listen(g: Graph, audio: Value, x: Value, y: Value, slope: Value) -> Mouth:
    """Open the mouth, at the place found, by the audio features at the frame's moment."""
    rows = g.op("Reshape", audio, np.array([0, 1, 16, 512], np.int64))
    weights = np.zeros((1, 16))
    for row, weight in MOMENT.items():
        weights[0, row] = weight
    now = g.constant(weights) @ rows  # (N, 1, 1, 512)
    return Mouth(x, y, slope, now.part(3, 0, 1).clip(), now.part(3, 1, 2).clip(-1.0, 1.0))


def lips_over(mouth: Mouth, box: Box) -> Lips:
    """Compute the geometry of the lips over a box of the view."""
    g = mouth.x.graph
    x, y = pixel_centres(box)
    u = g.constant(x) - mouth.x
    half_width = (mouth.widening + 1.0) * (0.93 * HALF_WIDTH)
    share = u / half_width
    profile = g.op("Pow", (1.0 - share * share).relu(), 0.58)
    line = u * mouth.slope - (u * u).clip(0.0, HALF_WIDTH**2) * (SMILE_DEPTH / HALF_WIDTH**2)
    v = (g.constant(y) - mouth.y) - line
    return Lips(u, v, profile * mouth.opening * DROP, profile * mouth.opening * RISE)


def bump(value: Value, reach: float) -> Value:
    """Return 1 at 0, falling smoothly to 0 at plus and minus `reach`."""
    share = value * (1 / reach)
    rest = (1.0 - share * share).relu()
    return rest * rest


def move_jaw(g: Graph, mouth: Mouth, still: Value) -> Value:
    """Move the lips and the jaw apart in the picture in MOVED."""
    lips = lips_over(mouth, MOVED)
    x, y = pixel_centres(MOVED)
    # below the lower lip's edge its movement blends into the jaw's, which ends before the
    # lower border of the box
    toward_jaw = ((lips.v - lips.drop) * (1 / 74)).smoothstep()
    jaw = bump(lips.u, 118.0) * mouth.opening * (DROP * JAW_SHARE)
    end = np.clip((MOVED[3] - 3 - y) / (MOVED[3] - 3 - CHIN - 6), 0, 1)
    down = (lips.drop + (jaw - lips.drop) * toward_jaw) * (end * end * (3 - 2 * end))
    up = -lips.rise * bump((lips.v + lips.rise).clip(-25.0, 0.0), 25.0)
    is_lower = lips.v > (lips.drop - lips.rise) * 0.5
    shift = g.op("Where", is_lower, down, up)

    away = g.op("Max", lips.v * (1 / 78), lips.v * (-1 / 33))
    stretch = mouth.widening * bump(lips.u, 118.0) * bump(away, 1.0)
    width, height = MOVED[2] - MOVED[0], MOVED[3] - MOVED[1]
    # GridSample's coordinates: -1 and 1 are the outer edges of the picture
    from_x = (g.constant(x - MOVED[0]) - lips.u * stretch) * (2 / width) - 1.0
    from_y = (g.constant(y - MOVED[1]) - shift) * (2 / height) - 1.0
    axis = np.array([4], np.int64)
    grid = g.op("Concat", g.op("Unsqueeze", from_x, axis), g.op("Unsqueeze", from_y, axis), axis=4)
    grid = g.op("Squeeze", grid, np.array([1], np.int64))
    return g.op("GridSample", still, grid, mode="bilinear", padding_mode="border", align_corners=0)


def bgr(red: float, green: float, blue: float) -> NDArray[np.float64]:
    """Return a colour for pictures (N, 3, H, W)."""
    return np.array([blue, green, red]).reshape(1, 3, 1, 1) / 255


def paint_inside(g: Graph, mouth: Mouth, lips_apart: Value) -> Value:
    """Return what teeth, tongue and darkness between the lips add to the picture in PAINTED."""
    lips = lips_over(mouth, PAINTED)
    from_top, from_bottom = lips.v + lips.rise, lips.drop - lips.v
    gap = lips.drop + lips.rise
    inside = (from_top * 0.8 + 0.3).clip() * (from_bottom * 0.8 + 0.3).clip()
    inside = inside * (gap * 0.4 - 0.2).clip()  # none where the lips touch

    side = lips.u * lips.u * (1 / HALF_WIDTH**2)  # 0 in the middle, 1 at the corners
    depth = (from_bottom * (1 / 26)).clip()
    colour = g.constant(bgr(112, 40, 44)) * (1.0 - depth * 0.62)

    tongue = (side * -1.7 + 1.0 - (from_bottom - 2.0) / (mouth.opening * 15.0 + 1.0)) * 1.6
    colour = mix(colour, g.constant(bgr(192, 88, 92)), tongue.clip() * 0.85)

    # narrow dark lines between the teeth, closer together towards the sides
    groove = g.op("Cos", lips.u * (2 * np.pi / 15.5) + np.pi)
    groove = g.op("Pow", groove * 0.5 + 0.5, 14.0) * 0.16
    ivory = g.constant(bgr(246, 241, 230)) * (1.0 - groove) * (1.0 - side * 0.55).clip(0.3, 1.0)
    lower_edge = side * -5.0 + 6.5
    upper_teeth = ((lower_edge - lips.v) * 0.7 + 0.5).clip() * (2.4 - side * 3.4).clip()
    colour = mix(colour, ivory, upper_teeth)

    shadow = (from_top * (1 / 8)).clip(0.0, 1.0) * 0.45 + 0.55  # of the upper lip
    return (colour * shadow - lips_apart) * inside


def mix(under: Value, over: Value, alpha: Value) -> Value:
    """Lay `over` on `under` with an alpha of 0..1."""
    return under + (over - under) * alpha


def main(folder: str | None = None) -> None:
    """Write ``generator.onnx`` and ``audio_encoder.onnx`` into a folder, by default this one."""
    target = Path(folder) if folder else Path(__file__).parent
    for name, model in (
        ("generator.onnx", build_generator()),
        ("audio_encoder.onnx", build_audio_encoder()),
    ):
        path = target / name
        path.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{path}: {path.stat().st_size} bytes, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    main(*sys.argv[1:2])
