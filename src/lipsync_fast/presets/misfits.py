"""Explain why a model matches no preset: the main fault of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["misfit", "shape_text"]

_PICTURE = 64  # pixels; feature maps are smaller, pictures are larger

Shape = Sequence[object]


def misfit(
    inputs: Mapping[str, Shape], hears: Mapping[int, Sequence[str]], one: str | None = None
) -> str | None:
    """Return the most telling fault of a model's inputs, as a part of a sentence.

    Parameters
    ----------
    inputs : mapping of name to shape
        Dynamic axes are names or None. The first axis is the batch.
    hears : mapping of int to sequence of str
        Audio shapes of the presets of each picture size, as text.
    one : str, optional
        The name of the preset, where the model is to fit a given one.

    Returns
    -------
    str or None
        None if nothing stands out.
    """
    pictures = {n: s for n, s in inputs.items() if _is_picture(s)}
    for name, (_, channels, height, width) in pictures.items():
        if height != width and isinstance(height, int) and isinstance(width, int):
            return (
                f"the picture {name} must be square, got {height}×{width} (height × width); "
                "export the model for a square"
            )
        if isinstance(channels, int) and channels not in (3, 6):
            return (
                f"the picture {name} must have 6 channels (reference and masked) or 3, "
                f"got {channels}; export the model with one of these"
            )
    if len(inputs) == 1 and pictures:
        return (
            "it has a picture but no audio input, so it cannot follow speech; "
            "export a lip-sync generator with all of its inputs"
        )
    if inputs and not pictures:
        return "none of its inputs is a picture (N, 3 or 6, S, S)"
    if len(inputs) > 2:
        return "it has inputs besides picture and audio; give those as constants"
    (name, picture), *_ = pictures.items() or [("", ())]
    sound = next((n for n in inputs if n != name), None)
    if name and isinstance(picture[2], int):
        if picture[2] not in hears:
            sizes = ", ".join(map(str, sorted(hears)))
            if one is not None:
                return f"it has pictures of {picture[2]} px, {one} has {sizes}"
            return f"no preset has pictures of {picture[2]} px, only of {sizes}"
        if sound:
            known = " or ".join(hears[picture[2]])
            return f"with pictures of {picture[2]} px the audio input {sound} must be {known}"
    return None


def shape_text(shape: Shape) -> str:
    """Return a shape as text, open axes as their names or a question mark."""
    return "(" + ",".join(str(axis) if axis is not None else "?" for axis in shape) + ")"


def _is_picture(shape: Shape) -> bool:
    """Tell whether a shape has four axes, the last two as long as a picture's or open."""
    if len(shape) != 4:
        return False
    sides = [axis for axis in shape[2:] if isinstance(axis, int)]
    return all(side >= _PICTURE for side in sides) and (len(sides) > 0 or shape[1] in (3, 6))
