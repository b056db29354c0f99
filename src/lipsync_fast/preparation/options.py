"""How faces are found and what they are used for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .faces.detector import FaceDetector
from .faces.mesh import FaceLandmarks
from .faces.smoothing import SMOOTHING

__all__ = ["FaceOptions"]

MASKS = ("source", "landmarks", "none")


@dataclass(frozen=True)
class FaceOptions:
    """How `prepare` finds faces, and what masks it makes.

    Attributes
    ----------
    detector : str, Path or FaceDetector, optional
        YuNet as .onnx. Finds the rects where none are given.
    landmarks : str, Path or FaceLandmarks, optional
        The 478-point face mesh as .onnx. Needed beside the detector where the preset's rect is
        a square from landmarks, and for masks from landmarks.
    smooth : {"steady", "reference", "none"}, optional
        How found rects are smoothed: without jitter and lag (None means this one), as the
        preset's own script does, or not at all.
    masks : {"source", "landmarks", "none"}
        "source": the masks or parsing maps of another system's folder, where it has some.
        "landmarks": the lower face of every frame, smoothed over time and softened; needs a
        detector and landmarks, and goes with found and with given rects. Where both a mask and
        the preset's edge have an alpha, the smaller one counts; a preset without an edge gets
        its feather.

    Raises
    ------
    InputError
        `smooth` or `masks` is another word, or masks from landmarks lack a model.
    """

    detector: str | Path | FaceDetector | None = None
    landmarks: str | Path | FaceLandmarks | None = None
    smooth: str | None = None
    masks: str = "source"

    def __post_init__(self) -> None:
        if self.masks not in MASKS:
            raise InputError(f"masks must be one of {', '.join(MASKS)}, got {self.masks!r}")
        if self.smooth is not None and self.smooth not in SMOOTHING:
            raise InputError(f"smooth must be one of {', '.join(SMOOTHING)}, got {self.smooth!r}")
        if self.landmark_masks and (self.detector is None or self.landmarks is None):
            raise InputError(
                "masks from landmarks need both a detector (YuNet as .onnx, --detector) and "
                "landmarks (the 478-point face mesh as .onnx, --landmarks)"
            )

    @property
    def landmark_masks(self) -> bool:
        """Whether masks come from landmarks."""
        return self.masks == "landmarks"
