"""What `prepare` found and decided, as facts and as sentences for a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PreparationReport", "spans_of"]

_NAMED = 3  # spans, cuts or files that a sentence names


@dataclass
class PreparationReport:
    """What `prepare` found in a source, and what it decided without being asked.

    Attributes
    ----------
    frames, width, height : int
    fps, source_fps : Fraction
        Of the template, and of the film that it was made from.
    without_face : list of (int, int)
        Spans of frames without a face, first and last.
    beyond_border : int
        Frames among them whose face lies outside of the picture by more than a third.
    over_border : int
        Frames whose face reaches over the border by less, and keeps its proportions.
    clipped : int
        Given rects that reach over the border; what lies inside is stretched.
    other_faces : int
        Frames that show another sure face beside the one that was taken.
    place : str or None
        Where that one is, beside others: "left", "middle" or "right" of the picture.
    cuts : list of int
        Frames at which the picture changes to another one, perhaps of another person.
    alpha : int
        Images whose transparency was dropped.
    left_out : list of str
        Files in the folder that are not images.
    """

    frames: int = 0
    width: int = 0
    height: int = 0
    fps: Fraction = Fraction(25)
    source_fps: Fraction = Fraction(25)
    without_face: list[tuple[int, int]] = field(default_factory=list)
    beyond_border: int = 0
    over_border: int = 0
    clipped: int = 0
    other_faces: int = 0
    place: str | None = None
    cuts: list[int] = field(default_factory=list)
    alpha: int = 0
    left_out: list[str] = field(default_factory=list)

    @property
    def faces(self) -> int:
        """Number of frames with a face."""
        return self.frames - sum(last - first + 1 for first, last in self.without_face)

    def to_mapping(self) -> dict[str, Any]:
        """Return the facts as plain data, ready for JSON: a fresh dict."""
        return {
            **asdict(self),
            "fps": str(self.fps),
            "source_fps": str(self.source_fps),
            "faces": self.faces,
            "notes": self.notes(),
        }

    def notes(self) -> list[str]:
        """Return one sentence for each thing that a person may want to change, with how."""
        notes = []
        missing = self.frames - self.faces
        if missing:
            notes.append(
                f"{missing} of {self.frames} frames show no face ({self._spans()}); there the "
                "picture passes through and the mouth does not move: cut them off, or give rects "
                "(--rects)"
            )
        if self.beyond_border:
            notes.append(
                f"in {self.beyond_border} of these more than a third of the face lies outside of "
                "the picture: film with more room, or cut them off"
            )
        if self.over_border:
            notes.append(
                f"in {self.over_border} frames the face reaches over the border of the picture and "
                "is completed by the border's pixels: look at them, or film with more room"
            )
        if self.clipped:
            notes.append(
                f"{self.clipped} given rects reach over the border and are clipped, which "
                "stretches the face: give rects inside the picture"
            )
        if self.cuts:
            named = ", ".join(self._when(i) for i in self.cuts[:_NAMED])
            more = f" and {len(self.cuts) - _NAMED} more" if len(self.cuts) > _NAMED else ""
            notes.append(
                f"the picture cuts to another one at {named}{more}: use one take of one person"
            )
        if self.other_faces:
            notes.append(
                f"{self.other_faces} frames show more than one face; the one at the {self.place} "
                "was taken, the larger and more lasting one: cut the film to the person meant, or "
                "give rects (--rects)"
            )
        return notes + self._changes()

    def _changes(self) -> list[str]:
        """Return what was changed in the pictures."""
        notes = []
        if self.fps != self.source_fps:
            notes.append(
                f"{_rate(self.source_fps)} frames a second became {_rate(self.fps)}, which the "
                "model needs: film at that rate for the smoothest motion"
            )
        if self.width % 2 or self.height % 2:
            notes.append(
                f"{self.width}×{self.height} has an odd side, which mp4 does not know: films "
                "repeat the last column or row; crop the source if that matters"
            )
        if self.alpha:
            notes.append(
                f"the transparency of {self.alpha} images was dropped: put them on a background"
            )
        if self.left_out:
            named = ", ".join(self.left_out[:_NAMED])
            more = len(self.left_out) - _NAMED
            notes.append(
                f"left out, since they are not images: {named}"
                + (f" and {more} more" if more > 0 else "")
                + "; convert them to PNG or JPEG if they belong to it"
            )
        return notes

    def _spans(self) -> str:
        named = [
            str(first) if first == last else f"{first} to {last}"
            for first, last in self.without_face[:_NAMED]
        ]
        more = len(self.without_face) - _NAMED
        return ", ".join(named) + (f" and {more} more spans" if more > 0 else "")

    def _when(self, frame: int) -> str:
        return f"frame {frame} ({float(frame / self.fps):.1f} s)"


def _rate(fps: Fraction) -> str:
    return f"{float(fps):.4g}"


def spans_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of true flags: first and last index of each."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
