"""A filmed person, as a video or images, made into a template folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FileMissingError, InputError, MediaError
from ..presets import Preset, get_preset
from ..templates import JpegSettings, Template, TemplateOptions, TemplateWriter
from ..templates.rects import clip_rects
from ..timing import Loop
from .faces.detector import FaceDetector
from .faces.finder import FaceFinder
from .faces.mesh import FaceLandmarks
from .faces.outlines import outline_mask, steady_outlines
from .faces.smoothing import SMOOTHING, smooth_corners
from .foreign import Avatar, MaskOf, find_avatar
from .rect_files import read_rects
from .sources import Source, open_source

__all__ = ["prepare"]

_log = logging.getLogger(__name__)

MASKS = ("source", "landmarks", "none")

Progress = Callable[[int, int | None], None]


def prepare(
    source: str | Path,
    path: str | Path,
    *,
    preset: str | Preset | None = None,
    rects: str | Path | Sequence[int] | ArrayLike | None = None,
    detector: str | Path | FaceDetector | None = None,
    landmarks: str | Path | FaceLandmarks | None = None,
    smooth: str | None = None,
    masks: str = "source",
    feather: str | None = None,
    store: tuple[str, ...] = ("jpeg", "i420"),
    quality: int = 75,
    loop: str | None = None,
    start: int | None = None,
    fps: Fraction | int | float | str | None = None,
    label: bool = True,
    progress: Progress | None = None,
) -> Template:
    """Make a template folder; memory does not grow with the length of the source.

    With a detector the source is read twice: first all faces are found, then the backgrounds
    are written. The folder takes its name when it is complete; an error or an interrupt
    leaves nothing behind, and an older template of that name as it was.

    Parameters
    ----------
    source : str or Path
        A video, a folder of images in natural order, one image, or a folder of another system,
        which is told by what is in it: a SyncTalk_2D or Ultralight data set, a LiveTalking or
        MuseTalk avatar, a package of the Go server. Its rects, masks and order of frames are
        taken over where none are given here; nothing in it is changed.
    path : str or Path
        Folder to make.
    preset : str or Preset
        The generator's family; may be left out where another system's folder tells it. One
        with a feature rate has a video resampled to it.
    rects : optional
        Where the generated picture goes, as `read_rects` takes it: one rect for all frames or
        one a frame (of the template). Used as they are, clipped to the frame.
    detector : str, Path or FaceDetector, optional
        Finds the rects instead.
    landmarks : str, Path or FaceLandmarks, optional
        Needed beside the detector where the preset's rect is a square from landmarks, and for
        masks from landmarks.
    smooth : {"steady", "reference", "none"}, optional
        How found rects are smoothed: without jitter and lag (the default), as the preset's
        own script does, or not at all.
    masks : {"source", "landmarks", "none"}
        "source", the default: the masks or parsing maps of another system's folder, where it
        has some. "landmarks": the lower face of every frame, smoothed over time and softened;
        needs a detector and landmarks, beside which rects may be given. Where both a mask and
        the preset's edge have an alpha, the smaller one counts; masks from landmarks get the
        preset's feather where it has no edge.
    feather : {"auto", "rounded", "ellipse"}, optional
        How the patch fades into the background, in the preset's edge's stead; see
        `Preset.with_feather`. No feather, the default, leaves the reference's pixels.
    store : tuple of {"jpeg", "i420", "bgr24"}
        Formats in which backgrounds are kept.
    quality : int
        Of the JPEG backgrounds, 1 to 100.
    loop, start : optional
        Override the preset's; see `Template`.
    fps : number or fraction, optional
        Frames a second of images, 25 by default. A video tells its own.
    label : bool
        False leaves out the mark of generated media; see `labels`.
    progress : callable, optional
        Called with the frames done and their total (None where unknown), over all readings.

    Returns
    -------
    Template
        The new folder, opened.

    Raises
    ------
    FileMissingError
        A file does not exist.
    MediaError
        The source cannot be read, or shows no face at all.
    InputError
        Rects that do not fit the source, or arguments that do not fit each other.
    ModelError
        The detector or the face mesh cannot be used.
    TemplateError
        The folder cannot be written.
    """
    folder = Path(source)
    if masks not in MASKS:
        raise InputError(f"masks must be one of {', '.join(MASKS)}, got {masks!r}")
    avatar = find_avatar(
        folder, None if preset is None else get_preset(preset), masks=masks == "source"
    )
    order = Loop(loop, start)
    if avatar is not None:
        order = order.over(avatar.loop)
    options = TemplateOptions(store, JpegSettings(quality), order, feather, label)
    row = _choose_preset(preset, avatar, folder).with_feather(feather)
    if masks == "landmarks" and row.edge is None:
        row = row.with_feather("auto")
    given = _check_ways(row, rects, detector, landmarks, smooth, avatar, masks)
    frames = open_source(folder, row, fps, avatar)
    if given is not None:
        _check_given(given, frames)
    passes = 2 if given is None or masks == "landmarks" else 1
    report = _Report(progress, frames.estimate, passes)
    with TemplateWriter(path, frames.video, preset=row, options=options) as writer:
        mask_of = None if avatar is None else avatar.mask
        if given is None or masks == "landmarks":
            mesh = landmarks if masks == "landmarks" or row.rect_rule == "square" else None
            assert detector is not None
            finder = FaceFinder(detector, mesh, row.rect_rule)
            given, outlines = _search(finder, frames, given, smooth or "steady", row, report)
            if masks == "landmarks":
                mask_of = _landmark_masks(outlines, given, frames)
        _write(writer, frames, given, mask_of, report)
    return Template.open(path)


def _choose_preset(preset: str | Preset | None, avatar: Avatar | None, source: Path) -> Preset:
    if preset is not None:
        return get_preset(preset)
    if avatar is not None and avatar.preset is not None:
        return get_preset(avatar.preset)
    what = str(source) if avatar is None else f"{source} is {avatar.system}, which"
    raise InputError(f"{what} does not tell the generator's family: name its preset (--preset)")


def _check_ways(
    preset: Preset,
    rects: Any,
    detector: Any,
    landmarks: Any,
    smooth: str | None,
    avatar: Avatar | None,
    masks: str,
) -> NDArray[Any] | None:
    """The given rects, read; None where the detector is to find them."""
    by_landmarks = masks == "landmarks"
    if by_landmarks and (detector is None or landmarks is None):
        raise InputError(
            "masks from landmarks need both a detector (YuNet as .onnx) and landmarks "
            "(the 478-point face mesh as .onnx)"
        )
    found = rects is None and (avatar is None or detector is not None)
    if landmarks is not None and not by_landmarks and not found:
        raise InputError(
            "landmarks are for rects that are found and for masks: leave them out, or ask for "
            "masks from landmarks"
        )
    if smooth is not None and smooth not in SMOOTHING:
        raise InputError(f"smooth must be one of {', '.join(SMOOTHING)}, got {smooth!r}")
    if rects is not None:
        if detector is not None and not by_landmarks:
            raise InputError("rects are given or found: pass rects or a detector, not both")
        if smooth not in (None, "none"):
            raise InputError(f"given rects are used as they are: leave out smooth={smooth!r}")
        return read_rects(rects)
    if avatar is not None and (detector is None or (by_landmarks and avatar.rects is not None)):
        if avatar.rects is None:
            raise FileMissingError(
                f"{avatar.system} needs {avatar.lacking}, which is missing; add it, or give rects "
                "or a detector"
            )
        if smooth not in (None, "none"):
            raise InputError(f"its rects are used as they are: leave out smooth={smooth!r}")
        return avatar.rects
    if preset.rect_rule == "given":
        raise InputError(
            f"the nets of preset {preset.name} know one rect of one video: give it as rects, "
            "for lite-avatar's sample 278,355,419,289"
        )
    if detector is None:
        raise InputError(
            "give rects, as 'x,y,w,h' or a file, or a detector (YuNet as .onnx) that finds them"
        )
    if preset.rect_rule == "square" and landmarks is None:
        raise InputError(
            f"preset {preset.name} takes its rects from face landmarks: give landmarks "
            "(the 478-point face mesh as .onnx) beside the detector, or rects"
        )
    return None


def _check_given(rects: NDArray[np.int64], frames: Source) -> None:
    """Refuse rects that cannot fit, before any frame is read."""
    clipped = clip_rects(rects, len(rects), frames.video.width, frames.video.height)
    cut = int((clipped != rects).any(axis=1).sum())
    if cut:
        _log.warning(
            "%d of %d rects reach over the edge of the %d×%d frame and are clipped",
            cut, len(rects), frames.video.width, frames.video.height,
        )  # fmt: skip
    if frames.count is not None and len(rects) not in (1, frames.count):
        raise _other_count(rects, frames, frames.count)


def _other_count(rects: NDArray[Any], frames: Source, count: int) -> InputError:
    return InputError(
        f"rects must be one, or one for each of the {count} frames of {frames.path} at "
        f"{frames.video.fps} frames a second, got {len(rects)}"
    )


def _search(
    finder: FaceFinder,
    frames: Source,
    given: NDArray[Any] | None,
    smooth: str,
    preset: Preset,
    report: _Report,
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Rects of all frames, the given ones where there are some, and outlines as found."""
    pictures = (bgr24 for bgr24, _ in frames.pictures())
    corners, outlines = finder.find(pictures, report.step, given)
    count = len(corners)
    report.restart(count)
    seen = int(np.isfinite(corners[:, 0]).sum())
    _log.info("%s: a face in %d of %d frames", frames.path, seen, count)
    if not seen:
        where = "" if given is None else " whose mouth lies in the given rects"
        raise MediaError(
            f"{frames.path} shows no face{where} in any of its {count} frames; use another "
            "source, or give rects"
        )
    if given is None:
        rects = smooth_corners(
            corners,
            smooth,
            rule=preset.rect_rule,
            fps=frames.video.fps,
            width=frames.video.width,
            height=frames.video.height,
        )
        return rects, outlines
    if len(given) not in (1, count):
        raise _other_count(given, frames, count)
    return np.resize(given, (count, 4)), outlines


def _landmark_masks(outlines: NDArray[np.float64], rects: NDArray[Any], frames: Source) -> MaskOf:
    """Masks from the outlines that were found, for the frames that have a rect."""
    shown = clip_rects(rects, len(rects), frames.video.width, frames.video.height)
    if not np.isfinite(outlines[shown[:, 2] > 0]).all(axis=(1, 2)).any():
        raise MediaError(
            f"{frames.path}: the face mesh finds no face in the rects of any frame; leave out "
            "the masks from landmarks"
        )
    steady = steady_outlines(outlines, shown, frames.video.fps)
    return lambda index, rect, size: outline_mask(steady[index], rect)


def _write(
    writer: TemplateWriter,
    frames: Source,
    rects: NDArray[Any],
    mask_of: MaskOf | None,
    report: _Report,
) -> None:
    clipped = clip_rects(rects, len(rects), *frames.video.size)
    count = 0
    for bgr24, i420 in frames.pictures():
        if len(rects) == 1 or count < len(rects):
            x, y, w, h = (int(v) for v in clipped[count % len(rects)])
            mask = None
            if mask_of is not None and w:
                mask = mask_of(count, (x, y, w, h), frames.video.size)
            writer.add((x, y, w, h), bgr24=bgr24, i420=i420, mask=mask)
            report.step()
        # Beyond the last rect frames are only counted, for the message.
        count += 1
    if len(rects) not in (1, count):
        raise _other_count(rects, frames, count)


# ---- progress ---------------------------------------------------------------------------------


class _Report:
    """Counts frames over one or two readings of the source."""

    def __init__(self, progress: Progress | None, estimate: int | None, passes: int) -> None:
        self._progress, self._passes = progress, passes
        self._done, self._total = 0, None if estimate is None else estimate * passes

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            if self._total is not None:
                self._total = max(self._total, self._done)
            self._progress(self._done, self._total)

    def restart(self, count: int) -> None:
        """The number of frames is certain after the first reading."""
        self._total = self._passes * count
