"""A drawn person: 1080p frames with gentle head motion and blinks, and the mouth rects.

Everything is drawn in *units* round the point between the eyes, y downwards; one unit is
`SCALE` pixels of the frame. The mouth is closed in every frame; the generator opens it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .paint import Layer, grain, smooth_outline

__all__ = ["COUNT", "FPS", "HEIGHT", "WIDTH", "draw_frames", "mouth_rects"]

WIDTH, HEIGHT, FPS, COUNT = 1920, 1080, 25, 100
SCALE = 1.1
HOME = (960.0, 420.0)  # the point between the eyes in a frame at rest, in pixels
OVERSAMPLING = 2

# Landmarks in units, by the rect rule of the synctalk preset: the cheeks at the left and right,
# and a quarter of the outer eye distance (144) below the eyes; then a square.
CHEEK, RECT_TOP = 115.0, 34.5
MOUTH_Y, MOUTH_HALF_WIDTH, SMILE, CHIN_Y = 121.0, 43.0, 4.0, 188.0

SKIN, SKIN_SHADE, SKIN_LIGHT = (236, 192, 166), (176, 118, 96), (252, 222, 200)
SKIN_DARK = (140, 92, 76)
LIP, LIP_DARK, LIP_LIGHT = (200, 98, 98), (122, 44, 50), (232, 150, 146)
HAIR, HAIR_DARK, HAIR_LIGHT = (74, 50, 42), (42, 28, 26), (128, 90, 70)
KNIT, KNIT_DARK, KNIT_LIGHT = (44, 94, 112), (22, 54, 70), (84, 140, 156)


@dataclass(frozen=True)
class Pose:
    """Position of the head in one frame.

    Attributes
    ----------
    x, y : float
        The point between the eyes, in pixels of the frame.
    roll : float
        Rotation in radians, clockwise.
    lids : int
        Index into `LID_STEPS`.
    """

    x: float
    y: float
    roll: float
    lids: int


LID_STEPS = (1.0, 0.55, 0.08)  # how far the eyes are open
BLINK = (1, 2, 2, 1)  # indices into LID_STEPS, frame by frame
BLINK_STARTS = (0.22, 0.71)  # as a share of the frames


def pose_of(index: int, count: int) -> Pose:
    """Return the pose of frame `index`; motion stops at both ends, so that a pingpong is smooth."""
    phase = math.pi * index / max(count - 1, 1)
    x = HOME[0] + 7.0 * math.cos(2 * phase) + 4.0 * math.cos(3 * phase)
    y = HOME[1] + 3.0 * math.cos(4 * phase) - 2.0 * math.cos(5 * phase)
    roll = math.radians(1.1 * math.cos(2 * phase + 0.0) - 0.6 * math.cos(5 * phase))
    lids = 0
    for start in BLINK_STARTS:
        step = index - round(start * count)
        if 0 <= step < len(BLINK):
            lids = BLINK[step]
    return Pose(x, y, roll, lids)


def mouth_rects(count: int = COUNT) -> NDArray[np.int32]:
    """Return the rects of the drawn frames, by the synctalk preset's rule.

    Parameters
    ----------
    count : int
        Number of frames.

    Returns
    -------
    (count, 4) int32
        x, y, w, h in pixels, a fresh array.
    """
    rects = np.empty((count, 4), np.int32)
    side = round(2 * CHEEK * SCALE)
    for i in range(count):
        pose = pose_of(i, count)
        # the cheeks' and the nose's landmarks turn with the head
        x = pose.x - math.sin(pose.roll) * RECT_TOP * SCALE
        y = pose.y + math.cos(pose.roll) * RECT_TOP * SCALE
        rects[i] = round(x - side / 2), round(y), side, side
    return rects


def draw_frames(count: int = COUNT) -> Iterator[NDArray[np.uint8]]:
    """Draw the person, one frame after the other.

    Parameters
    ----------
    count : int
        Number of frames; the motion is spread over them and loops as a pingpong.

    Yields
    ------
    (1080, 1920, 3) uint8, bgr24
        A fresh array, the same in every run.
    """
    scene, body, heads = _scene(), _body(), _heads()
    for i in range(count):
        pose = pose_of(i, count)
        frame = scene.copy()
        _put(frame, body, Pose(HOME[0] + 0.3 * (pose.x - HOME[0]), HOME[1], 0.0, 0), BODY_CORNER)
        _put(frame, heads[pose.lids], pose, HEAD_CORNER)
        yield np.array(frame)


def _bgr(image: Image.Image) -> Image.Image:
    """Exchange the first and third channel: frames are bgr24."""
    red, green, blue, *alpha = image.split()
    return Image.merge(image.mode, (blue, green, red, *alpha))


def _put(frame: Image.Image, layer: Image.Image, pose: Pose, corner: tuple[float, float]) -> None:
    """Composite a layer, turned and moved by fractions of a pixel, onto the frame.

    `corner` is the layer's top left in units.
    """
    left = math.floor(pose.x + corner[0] * SCALE)
    top = math.floor(pose.y + corner[1] * SCALE)
    c, s = math.cos(pose.roll), math.sin(pose.roll)
    # a pixel (u, v) of the placed picture shows the layer at R^-1 ((u, v) + (left, top) - pose)
    # minus the corner; pixel centres are at halves on both sides, as in Pillow
    x0, y0 = left - pose.x, top - pose.y
    inverse = (
        c, s, c * x0 + s * y0 - corner[0] * SCALE,
        -s, c, -s * x0 + c * y0 - corner[1] * SCALE,
    )  # fmt: skip
    # not bicubic: its overshoot at the edge of the alpha would leave a bright rim
    placed = layer.transform(layer.size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
    frame.paste(placed, (left, top), placed)


# ---- the scene -------------------------------------------------------------------------------


@functools.cache
def _scene() -> Image.Image:
    """Draw a room out of focus: wall, window, shelf and plant."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    glow = np.exp(-(((x - 420) / 900) ** 2 + ((y - 260) / 700) ** 2))[..., None]
    wall = np.array([150, 146, 138], np.float32) + glow * np.array([66, 60, 46], np.float32)
    wall -= (y / HEIGHT)[..., None] * 26
    room = Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(room)
    for column in range(2):  # a window
        for row in range(2):
            left, top = 150 + column * 190, 70 + row * 250
            draw.rectangle((left, top, left + 170, top + 230), fill=(232, 238, 236))
    draw.rectangle((130, 570, 530, 590), fill=(196, 184, 164))
    for shelf in (250, 480, 710):  # a shelf with books
        draw.rectangle((1330, shelf, 1840, shelf + 16), fill=(118, 88, 64))
        left = 1350
        while left < 1780:
            width, height = int(rng.integers(18, 44)), int(rng.integers(90, 170))
            shade = tuple(int(v) for v in rng.integers(70, 190, 3))
            draw.rectangle((left, shelf - height, left + width, shelf), fill=shade)
            left += width + int(rng.integers(2, 26))
    for leaf in range(26):  # a plant
        angle, length = 0.6 + leaf * 0.075, 150 + 60 * math.sin(leaf * 2.4)
        tip = (300 - length * 1.5 * math.cos(angle), 820 - length * 1.7 * math.sin(angle))
        green = (70 + leaf % 5 * 9, 112 + leaf % 4 * 14, 70)
        draw.line((300, 840, *tip), fill=green, width=26)
    draw.polygon(((215, 830), (385, 830), (360, 1010), (240, 1010)), fill=(178, 118, 88))
    room = room.filter(ImageFilter.GaussianBlur(11))
    noisy = np.asarray(room, np.float32) + grain(rng, (HEIGHT, WIDTH), 1.6)
    return _bgr(Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)))


# ---- the body --------------------------------------------------------------------------------

BODY_CORNER = (-420.0, 90.0)


@functools.cache
def _body() -> Image.Image:
    """Draw neck, shoulders and pullover; the lower edge lies below the frame."""
    layer = Layer(*BODY_CORNER, 420, 640, SCALE * OVERSAMPLING)
    neck = layer.blank()
    neck_outline = [
        (-60, 92), (60, 92), (60, 190), (72, 246), (120, 290), (0, 330), (-120, 290), (-72, 246),
        (-60, 190),
    ]  # fmt: skip
    neck.fill(neck.mask(smooth_outline(neck_outline)), SKIN)
    neck.shade(SKIN_SHADE, 16, 0.8)
    neck.tint(neck.ellipse(6, 170, 90, 44, 15), SKIN_DARK, 0.8)
    bones = [
        smooth_outline([(side * 16, 272), (side * 50, 264), (side * 96, 270)], False)
        for side in (-1, 1)
    ]
    neck.tint(neck.strokes(bones, 5, 4), SKIN_SHADE, 0.35)
    layer.add(neck)

    knit = layer.blank()
    knit_outline = [
        (-92, 262), (-60, 292), (0, 308), (60, 292), (92, 262), (150, 284), (250, 318), (322, 372),
        (362, 470), (392, 660), (0, 700), (-392, 660), (-362, 470), (-322, 372), (-250, 318),
        (-150, 284),
    ]  # fmt: skip
    knit.fill(knit.mask(smooth_outline(knit_outline)), KNIT)
    knit.shade(KNIT_DARK, 34, 0.8, (-8, -10))
    knit.tint(knit.ellipse(-170, 400, 120, 80, 46), KNIT_LIGHT, 0.5)
    folds = [
        smooth_outline([(side * 246, 430), (side * 262, 520), (side * 254, 660)], False)
        for side in (-1, 1)
    ]
    knit.tint(knit.strokes(folds, 7, 6), KNIT_DARK, 0.7)
    layer.add(knit)
    collar = smooth_outline([(-94, 258), (-62, 290), (0, 306), (62, 290), (94, 258)], closed=False)
    layer.fill(layer.stroke(collar, 24, 0.5), KNIT_DARK, 0.9)
    layer.fill(layer.stroke(collar, 19, 0.5), KNIT)
    layer.fill(layer.stroke([(x, y - 4) for x, y in collar], 5, 3), KNIT_LIGHT, 0.55)
    return _bgr(layer.reduced(OVERSAMPLING))


# ---- the head --------------------------------------------------------------------------------

HEAD_CORNER = (-190.0, -240.0)

FACE = [
    (0, -158), (58, -150), (98, -112), (112, -50), (114, 10), (108, 66), (92, 120), (62, 164),
    (26, 186), (0, CHIN_Y), (-26, 186), (-62, 164), (-92, 120), (-108, 66), (-114, 10), (-112, -50),
    (-98, -112), (-58, -150),
]  # fmt: skip


@functools.cache
def _heads() -> tuple[Image.Image, ...]:
    """Draw the head once for each of LID_STEPS."""
    base = Layer(*HEAD_CORNER, 190, 240, SCALE * OVERSAMPLING)
    _draw_back_hair(base)
    face = _face(base)
    _draw_nose(face)
    _draw_mouth(face)
    fringe = _fringe(base)
    heads = []
    for openness in LID_STEPS:
        awake, layer = face.copy(), base.copy()
        for side in (-1, 1):
            _draw_eye(awake, side, openness)
        awake.tint(awake.mask([(x, y + 10) for x, y in smooth_outline(FRINGE)], 7), SKIN_SHADE, 0.5)
        layer.add(awake)
        layer.add(fringe)
        heads.append(_bgr(layer.reduced(OVERSAMPLING)))
    return tuple(heads)


def _draw_back_hair(layer: Layer) -> None:
    """Draw the hair behind the face and beside the neck."""
    back = layer.blank()
    outline = [
        (0, -214), (76, -200), (126, -146), (142, -60), (146, 40), (144, 120), (126, 158),
        (92, 160), (70, 140), (-70, 140), (-92, 160), (-126, 158), (-144, 120), (-146, 40),
        (-142, -60), (-126, -146), (-76, -200),
    ]  # fmt: skip
    back.fill(back.mask(smooth_outline(outline)), HAIR_DARK)
    back.shade((20, 14, 14), 16, 0.6)
    layer.add(back)


def _face(layer: Layer) -> Layer:
    """Draw the shaded face on a layer of its own."""
    face = layer.blank()
    face.fill(face.mask(smooth_outline(FACE)), SKIN)
    face.shade(SKIN_SHADE, 20, 0.66, (-7, -9))
    face.tint(face.ellipse(-34, -96, 54, 30, 22), SKIN_LIGHT, 0.75)
    for side in (-1, 1):
        face.tint(face.ellipse(side * 66, 62, 30, 22, 16), (232, 146, 128), 0.38)
        face.tint(face.ellipse(side * 62, 40, 28, 12, 10), SKIN_LIGHT, 0.5)
    face.tint(face.ellipse(-4, 166, 26, 11, 9), SKIN_LIGHT, 0.6)
    face.tint(face.ellipse(0, 149, 28, 6, 6), SKIN_SHADE, 0.42)
    return face


def _draw_nose(layer: Layer) -> None:
    layer.tint(layer.stroke([(-5, 2), (-4, 56)], 12, 7), SKIN_LIGHT, 0.7)
    layer.tint(layer.stroke([(15, 6), (18, 52)], 9, 7), SKIN_SHADE, 0.4)
    layer.tint(layer.ellipse(-3, 66, 12, 10, 6), SKIN_LIGHT, 0.75)
    layer.tint(layer.ellipse(0, 84, 22, 4.5, 4), SKIN_SHADE, 0.75)
    for side in (-1, 1):
        wing = smooth_outline(
            [(side * 19, 62), (side * 25, 71), (side * 23, 80), (side * 14, 82)], False
        )
        layer.tint(layer.stroke(wing, 3, 2.2), SKIN_SHADE, 0.75)
        layer.tint(layer.ellipse(side * 11, 82, 6, 3, 1.4), (126, 72, 60), 0.85)
    layer.tint(layer.stroke([(-6, 92), (-6, 104)], 4, 3), SKIN_SHADE, 0.25)
    layer.tint(layer.stroke([(6, 92), (6, 104)], 4, 3), SKIN_LIGHT, 0.35)


def mouth_line(x: float) -> float:
    """Return the y in units of the line between the closed lips: a faint smile."""
    return MOUTH_Y - SMILE * (x / MOUTH_HALF_WIDTH) ** 2


def _draw_mouth(layer: Layer) -> None:
    """Draw closed lips."""
    w = MOUTH_HALF_WIDTH
    line = [(x, mouth_line(x)) for x in np.linspace(-w, w, 33).tolist()]
    bow = [(25, -8.5), (9, -14), (0, -11.5), (-9, -14), (-25, -8.5)]
    upper = smooth_outline([line[-1], *[(x, MOUTH_Y + y) for x, y in bow], line[0]], False)
    belly = [(-30, 8.5), (-13, 16), (0, 17.5), (13, 16), (30, 8.5)]
    lower = smooth_outline([line[0], *[(x, MOUTH_Y + y) for x, y in belly], line[-1]], False)
    layer.tint(layer.ellipse(0, MOUTH_Y + 4, w + 3, 20, 8), SKIN_SHADE, 0.22)

    lip = layer.blank()
    lip.fill(lip.mask([*lower, *line[::-1]], 0.7), LIP)
    lip.shade(LIP_DARK, 5, 0.45, (0, -2))
    lip.tint(lip.ellipse(-6, MOUTH_Y + 8.5, 17, 3.6, 2.6), LIP_LIGHT, 0.85)
    layer.add(lip)
    lip = layer.blank()
    lip.fill(lip.mask([*upper, *line], 0.7), (184, 84, 86))
    lip.shade(LIP_DARK, 4, 0.35, (0, -1))
    layer.add(lip)
    layer.tint(layer.stroke(line, 2.4, 0.7), LIP_DARK, 0.95)
    for x, y in (line[0], line[-1]):
        layer.tint(layer.ellipse(x * 1.02, y, 3.2, 2.4, 1.8), LIP_DARK, 0.45)


def _draw_eye(face: Layer, side: int, openness: float) -> None:
    """Draw one eye, open (`openness` 1) to shut (0); only the upper lid moves."""
    x, bottom = side * 50.0, 9.0
    inner, outer = x - side * 23, x + side * 24
    shut, awake = (4.0, 9.0, 11.0, 8.5, 1.0), (4.0, -12.0, -17.0, -14.0, 0.0)
    columns = (inner, x - side * 12, x, x + side * 13, outer)
    upper = [(c, a + (b - a) * openness) for c, a, b in zip(columns, shut, awake, strict=True)]
    lower = [(x + side * 12, bottom - 2), (x - side * 4, bottom), (x - side * 14, bottom - 2)]
    lashes = smooth_outline(upper, False)
    face.tint(face.ellipse(x, -6, 32, 22, 9), SKIN_SHADE, 0.34)
    eye = face.blank()
    eye.fill(eye.mask(smooth_outline([*upper, *lower]), 0.4), (244, 240, 236))
    eye.tint(eye.ellipse(x, -4, 14.5, 14.5, 0.5), (60, 84, 82))
    eye.tint(eye.ellipse(x, -4, 12, 12, 2.2), (104, 142, 128))
    eye.tint(eye.ellipse(x, -4, 6.4, 6.4, 0.6), (20, 20, 24))
    eye.tint(eye.ellipse(x - 5, -9.5, 3.4, 3.4, 0.5), (255, 255, 255))
    eye.tint(eye.stroke([(px, py + 3) for px, py in lashes], 7, 2.4), (96, 70, 66), 0.5)
    face.add(eye)
    face.fill(face.stroke(lashes, 4.4, 0.6), (58, 36, 34), 0.95)
    lift = 12 - 3 * openness
    crease = [(px, py - lift) for px, py in smooth_outline(upper[1:-1], False)]
    face.tint(face.stroke(crease, 2.2, 1.2), SKIN_SHADE, 0.7)
    lower_lid = smooth_outline([(inner, 5), *lower[::-1], (outer, 1)], False)
    face.tint(face.stroke(lower_lid, 1.8, 0.8), SKIN_SHADE, 0.8)
    brow = [
        (x - side * 28, -36), (x - side * 8, -46), (x + side * 18, -45), (x + side * 36, -33),
        (x + side * 16, -39), (x - side * 8, -39), (x - side * 27, -29),
    ]  # fmt: skip
    face.tint(face.mask(smooth_outline(brow), 1.0), HAIR, 0.92)


FRINGE = [
    (-44, -150), (-10, -138), (44, -112), (92, -82), (112, -40), (114, 20), (106, 80), (108, 128),
    (118, 156), (136, 140), (148, 90), (148, 20), (143, -50), (130, -146), (78, -202), (0, -216),
    (-78, -202), (-130, -146), (-143, -50), (-148, 20), (-148, 90), (-136, 140), (-118, 156),
    (-108, 128), (-106, 80), (-114, 20), (-113, -44), (-100, -92), (-70, -128),
]  # fmt: skip


def _fringe(layer: Layer) -> Layer:
    """Draw the hair in front, parted at the left and hanging down on both sides of the face."""
    hair = layer.blank()
    hair.fill(hair.mask(smooth_outline(FRINGE), 0.5), HAIR)
    hair.shade(HAIR_DARK, 12, 0.8)
    rng = np.random.default_rng(11)
    strands: dict[bool, list[list[tuple[float, float]]]] = {False: [], True: []}
    for _ in range(70):
        side = 1 if rng.random() < 0.6 else -1
        reach = rng.uniform(0.2, 1.0)
        points = [
            (-40 + side * 6 * reach, -206 + 54 * (1 - reach)),
            (-40 + (side + 0.55) * (45 + 45 * reach), -182 + 64 * (1 - reach)),
            (side * (114 + 22 * reach), -60 - 30 * reach),
            (side * (114 + 26 * reach), 40.0),
            (side * (112 + 22 * reach), rng.uniform(90, 150)),
        ]
        strands[bool(rng.random() < 0.5)].append(smooth_outline(points, False))
    hair.tint(hair.strokes(strands[True], 1.8, 1.2), HAIR_LIGHT, 0.4)
    hair.tint(hair.strokes(strands[False], 1.8, 1.2), HAIR_DARK, 0.5)
    sheen = [
        smooth_outline([(-116, -116), (-94, -158), (-62, -180)], False),
        smooth_outline([(10, -184), (66, -170), (108, -122)], False),
    ]
    hair.tint(hair.strokes(sheen, 13, 10), HAIR_LIGHT, 0.6)
    return hair
