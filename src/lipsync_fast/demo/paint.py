"""Soft drawing with Pillow: smooth outlines, blurred edges, layers with alpha."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

__all__ = ["Layer", "smooth_outline"]

Points = Sequence[tuple[float, float]]
Colour = tuple[int, int, int]


def smooth_outline(
    points: Points, closed: bool = True, steps: int = 12
) -> list[tuple[float, float]]:
    """Return the points of a smooth curve through the given ones.

    Parameters
    ----------
    points : sequence of (x, y)
        Corner points, in order.
    closed : bool
        Whether the curve returns to its first point.
    steps : int
        Points made for each one given.

    Returns
    -------
    list of (x, y)
        The curve.

    References
    ----------
    E. Catmull, R. Rom, "A class of local interpolating splines", 1974.
    """
    p = np.asarray(points, np.float64)
    if closed:
        p0, p1, p2, p3 = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    else:
        padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
        p0, p1, p2, p3 = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    flat = [(float(x), float(y)) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2)]
    return flat if closed else [*flat, (float(p[-1, 0]), float(p[-1, 1]))]


class Layer:
    """A transparent picture to draw on in its own units.

    Parameters
    ----------
    left, top, right, bottom : float
        The part of the drawing plane that the layer holds.
    scale : float
        Pixels of the layer for a unit.
    """

    def __init__(self, left: float, top: float, right: float, bottom: float, scale: float) -> None:
        self.left, self.top, self.scale = left, top, scale
        self.size = (round((right - left) * scale), round((bottom - top) * scale))
        self.image = Image.new("RGBA", self.size)

    def copy(self) -> Layer:
        """Return a copy to draw on independently."""
        other = Layer.__new__(Layer)
        other.left, other.top, other.scale, other.size = self.left, self.top, self.scale, self.size
        other.image = self.image.copy()
        return other

    def blank(self) -> Layer:
        """Return an empty layer of the same place and size, for a part with its own shading."""
        other = Layer.__new__(Layer)
        other.left, other.top, other.scale, other.size = self.left, self.top, self.scale, self.size
        other.image = Image.new("RGBA", self.size)
        return other

    def _pixels(self, points: Points) -> list[tuple[float, float]]:
        return [((x - self.left) * self.scale, (y - self.top) * self.scale) for x, y in points]

    def mask(self, points: Points, blur: float = 0.0) -> Image.Image:
        """Return the alpha of a filled outline whose edge is blurred by `blur` units."""
        mask = Image.new("L", self.size)
        ImageDraw.Draw(mask).polygon(self._pixels(points), fill=255)
        return self.blurred(mask, blur)

    def strokes(self, lines: Sequence[Points], width: float, blur: float = 0.0) -> Image.Image:
        """Return the alpha of lines of `width` units with round ends and bends."""
        mask = Image.new("L", self.size)
        draw, radius = ImageDraw.Draw(mask), width * self.scale / 2
        for line in lines:
            pixels = self._pixels(line)
            draw.line(pixels, fill=255, width=max(1, round(2 * radius)))
            for x, y in pixels:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        return self.blurred(mask, blur)

    def stroke(self, points: Points, width: float, blur: float = 0.0) -> Image.Image:
        """Return the alpha of one line; see `strokes`."""
        return self.strokes([points], width, blur)

    def ellipse(self, x: float, y: float, rx: float, ry: float, blur: float = 0.0) -> Image.Image:
        """Return the alpha of an ellipse round (x, y)."""
        mask = Image.new("L", self.size)
        (x0, y0), (x1, y1) = self._pixels([(x - rx, y - ry), (x + rx, y + ry)])
        ImageDraw.Draw(mask).ellipse((x0, y0, x1, y1), fill=255)
        return self.blurred(mask, blur)

    def blurred(self, mask: Image.Image, blur: float) -> Image.Image:
        """Return a mask blurred by a Gaussian of `blur` units."""
        return mask.filter(ImageFilter.GaussianBlur(blur * self.scale)) if blur else mask

    def fill(self, mask: Image.Image, colour: Colour, opacity: float = 1.0) -> None:
        """Paint a colour through a mask; the layer becomes opaque there."""
        paint = Image.new("RGBA", self.size, (*colour, 255))
        paint.putalpha(mask.point([round(v * opacity) for v in range(256)]))
        self.image.alpha_composite(paint)

    def tint(self, mask: Image.Image, colour: Colour, opacity: float = 1.0) -> None:
        """Paint a colour through a mask where the layer is opaque already."""
        alpha = self.image.getchannel("A")
        self.fill(mask, colour, opacity)
        self.image.putalpha(alpha)

    def shade(
        self, colour: Colour, blur: float, opacity: float, shift: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        """Tint the opaque part towards its edge, like a rounded body lit from the front.

        `shift` moves the light, in units.
        """
        dx, dy = (round(v * self.scale) for v in shift)
        edge = ImageChops.invert(ImageChops.offset(self.image.getchannel("A"), dx, dy))
        self.tint(self.blurred(edge, blur), colour, opacity)

    def add(self, part: Layer) -> None:
        """Put a part, drawn on a `blank` layer, on top."""
        self.image.alpha_composite(part.image)

    def reduced(self, factor: int) -> Image.Image:
        """Return the drawing as a picture `factor` times smaller, edges antialiased."""
        size = (self.size[0] // factor, self.size[1] // factor)
        return self.image.resize(size, Image.Resampling.BOX)


def grain(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """Draw sensor-like noise, the same for the three channels: (H, W, 1) float32."""
    return rng.normal(0.0, sigma, (*shape, 1)).astype(np.float32)
