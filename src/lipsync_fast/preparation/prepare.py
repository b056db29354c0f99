"""From a filmed person, as a video or images, to a template folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_type
from ..errors import FileMissingError, InputError, MediaError
from ..presets import Preset, get_preset
from ..templates import Template, TemplateOptions, TemplateWriter
from ..templates.rects import clip_rects, visible_parts
from ..timing import Loop
from .faces.finder import FaceFinder
from .faces.outlines import outline_mask, steady_outlines
from .faces.smoothing import smooth_corners
from .foreign import Avatar, MaskOf, find_avatar
from .options import FaceOptions
from .rect_files import read_rects
from .report import PreparationReport, spans_of
from .sources import Source, open_source

__all__ = ["prepare"]

_log = logging.getLogger(__name__)

Rects = NDArray[np.int32]
Progress = Callable[[int, int | None], None]


def prepare(
    source: str | Path,
    path: str | Path,
    *,
    preset: str | Preset | None = None,
    rects: str | Path | Sequence[int] | ArrayLike | None = None,
    faces: FaceOptions | None = None,
    options: TemplateOptions | None = None,
    fps: Fraction | int | float | str | None = None,
    progress: Progress | None = None,
    report: Callable[[PreparationReport], None] | None = None,
) -> Template:
    """Make a template folder; memory does not grow with the length of the source.

    Nine parameters: what is read, what is made and how, and who is told.

    With a detector the source is read twice: once to find the face in every frame, once to
    write the backgrounds. The folder takes its name when it is complete; an error or an
    interrupt leaves nothing behind, and an older template of that name as it was.

    Parameters
    ----------
    source : str or Path
        A video, a folder of images in natural order, one image, or another system's folder,
        recognised by what it holds: a SyncTalk_2D or Ultralight data set, a LiveTalking or
        MuseTalk avatar, a package of the Go server for SyncTalk avatars. Its rects, masks and
        order of frames are used where none are given here; nothing in it changes.
    path : str or Path
        Folder to make.
    preset : str or Preset
        The generator's family; may be left out where another system's folder tells it. A
        preset with a feature rate has a video resampled to it.
    rects : optional
        Where the generated picture goes, as `read_rects` takes it: one rect for all frames, or
        one for every frame of the template. Used as they are, clipped to the frame.
    faces : FaceOptions, optional
        How faces are found where no rects are given, and which masks are made.
    options : TemplateOptions, optional
        What is stored, and how: formats, JPEG quality, loop, feather, label.
    fps : number or fraction, optional
        Frames a second of images, 25 by default, or those that a video is read at; it tells its
        own, but for some of a rate that varies.
    progress : callable, optional
        Called with the number of frames done and their total (None where unknown), both over
        all readings.
    report : callable, optional
        Called once, when the folder is complete, with what was found and decided.

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
        Rects do not fit the source, or arguments do not fit each other.
    ModelError
        The detector or the face mesh cannot be used.
    TemplateError
        The folder cannot be written.

    Examples
    --------
    >>> faces = lf.FaceOptions(detector="yunet.onnx", landmarks="face_mesh.onnx")
    >>> template = lf.prepare("woman.mp4", "anna", preset="synctalk328", faces=faces)
    """
    faces = FaceOptions() if faces is None else faces
    check_type("faces", faces, FaceOptions)
    options = TemplateOptions() if options is None else options
    check_type("options", options, TemplateOptions)
    given = None if preset is None else get_preset(preset)
    avatar = find_avatar(source, given, masks=faces.masks == "source")
    preset = _choose_preset(given, avatar, source)
    read = _read_given(preset, rects, faces, avatar)
    frames = open_source(Path(source), preset, fps, avatar)
    fixed = None if read is None else _clip_given(read, frames)
    searched = fixed is None or faces.landmark_masks
    counter = _Counter(progress, frames.estimate, 2 if searched else 1)
    said = PreparationReport(**frames.facts())
    with TemplateWriter(
        path, frames.video, preset=preset, options=_complete(options, preset, faces, avatar)
    ) as writer:
        mask_of = None if avatar is None else avatar.mask
        if searched:
            fixed, outlines = _search(frames, fixed, faces, preset, counter, said)
            if faces.landmark_masks:
                mask_of = _landmark_masks(outlines, fixed, frames)
        assert fixed is not None
        _write(writer, frames, fixed, mask_of, counter)
    template = Template.open(path)
    if report is not None:
        report(_complete_report(said, template, read))
    return template


# ---- what the arguments and the source decide ------------------------------------------------


def _choose_preset(given: Preset | None, avatar: Avatar | None, source: str | Path) -> Preset:
    if given is not None:
        return given
    if avatar is not None and avatar.preset is not None:
        return get_preset(avatar.preset)
    what = str(source) if avatar is None else f"{source} is {avatar.system}, which"
    raise InputError(f"{what} does not tell the generator's family: name its preset (--preset)")


def _complete(
    options: TemplateOptions, preset: Preset, faces: FaceOptions, avatar: Avatar | None
) -> TemplateOptions:
    """Fill in the avatar's loop, and the feather of masks from landmarks without an edge."""
    if avatar is not None:
        options = replace(options, loop=Loop.of(options.loop).over(avatar.loop))
    if faces.landmark_masks and options.feather is None and preset.edge is None:
        options = replace(options, feather="auto")
    return options


def _read_given(
    preset: Preset, rects: Any, faces: FaceOptions, avatar: Avatar | None
) -> NDArray[np.int64] | None:
    """Read the rects that are given or come with the avatar; None where they are to be found."""
    searched = rects is None and (avatar is None or faces.detector is not None)
    if faces.landmarks is not None and not searched and not faces.landmark_masks:
        raise InputError(
            "landmarks are for found rects and for masks: leave landmarks out, or ask for masks "
            "from them (masks='landmarks', --masks landmarks)"
        )
    if rects is not None:
        if faces.detector is not None and not faces.landmark_masks:
            raise InputError(
                "rects are either given or found: pass rects (--rect, --rects) or a detector "
                "(--detector), not both"
            )
        _check_unsmoothed(faces, "given rects")
        return read_rects(rects)
    if avatar is not None and avatar.rects is not None and (not searched or faces.landmark_masks):
        _check_unsmoothed(faces, f"rects of {avatar.system}")
        return avatar.rects
    if avatar is not None and not searched:
        raise FileMissingError(
            f"{avatar.system} needs {avatar.lacking}, which is missing; add it, or give rects "
            "or a detector"
        )
    _check_search(preset, faces)
    return None


def _check_unsmoothed(faces: FaceOptions, what: str) -> None:
    if faces.smooth not in (None, "none"):
        raise InputError(f"{what} are used as they are: leave out smooth={faces.smooth!r}")


def _check_search(preset: Preset, faces: FaceOptions) -> None:
    """Raise unless the preset's rects can be found with the models at hand."""
    if preset.rect_rule == "given":
        raise InputError(
            f"preset {preset.name} is for one rect of one video: give it as rects, for "
            "lite-avatar's sample 278,355,419,289"
        )
    if faces.detector is None:
        raise InputError(
            "give rects, as 'x,y,w,h' (--rect) or a file (--rects), or a detector that finds them "
            "(YuNet as .onnx, --detector)"
        )
    if preset.rect_rule == "square" and faces.landmarks is None:
        raise InputError(
            f"preset {preset.name} takes its rects from face landmarks: give landmarks (the "
            "478-point face mesh as .onnx, --landmarks) beside the detector, or rects (--rects)"
        )


def _clip_given(rects: NDArray[np.int64], frames: Source) -> Rects:
    """Clip rects to the frame; raise where they cannot fit, before any frame is read."""
    width, height = frames.video.size
    clipped = clip_rects(rects, len(rects), width, height)
    cut = int((clipped != rects).any(axis=1).sum())
    if cut:
        _log.warning(
            "%d of %d rects reach over the edge of the %d×%d frame and are clipped",
            cut, len(rects), width, height,
        )  # fmt: skip
    if frames.count is not None:
        _check_count(rects, frames, frames.count)
    return clipped


def _check_count(rects: NDArray[Any], frames: Source, count: int) -> None:
    if len(rects) not in (1, count):
        raise InputError(
            f"rects must be one, or one for each of the {count} frames of {frames.path} at "
            f"{frames.video.fps} frames a second, got {len(rects)}"
        )


# ---- the two readings ------------------------------------------------------------------------


def _search(
    frames: Source,
    given: Rects | None,
    faces: FaceOptions,
    preset: Preset,
    counter: _Counter,
    said: PreparationReport,
) -> tuple[Rects, NDArray[np.float64]]:
    """Find the face of every frame; return rects, the given ones if any, and its outlines."""
    assert faces.detector is not None
    square = preset.rect_rule == "square"
    mesh = faces.landmarks if square or faces.landmark_masks else None
    finder = FaceFinder(faces.detector, mesh, preset.rect_rule)
    pictures = (bgr24 for bgr24, _ in frames.pictures())
    corners, outlines = finder.find(pictures, counter.step, given)
    said.other_faces, said.place, said.cuts = finder.others, finder.place, finder.cuts
    count = len(corners)
    counter.restart(count)
    seen = int(np.isfinite(corners[:, 0]).sum())
    _log.info("%s: a face in %d of %d frames", frames.path, seen, count)
    if not seen:
        where = "" if given is None else " whose mouth lies in the given rects"
        raise MediaError(
            f"{frames.path} shows no face{where} in any of its {count} frames; use another "
            "source, or give rects (--rect or --rects)"
        )
    if given is not None:
        _check_count(given, frames, count)
        return np.resize(given, (count, 4)), outlines
    width, height = frames.video.size
    rects = smooth_corners(
        corners,
        faces.smooth or "steady",
        rule=preset.rect_rule,
        fps=frames.video.fps,
        width=width,
        height=height,
    )
    gone = said.beyond_border = seen - int((rects[:, 2] > 0).sum())
    if gone:
        _log.warning(
            "%s: in %d frames more than a third of the face lies outside of the picture; they "
            "count as frames without a face",
            frames.path, gone,
        )  # fmt: skip
    return rects, outlines


def _landmark_masks(outlines: NDArray[np.float64], rects: Rects, frames: Source) -> MaskOf:
    """Make masks from outlines for the frames that have a rect."""
    if not np.isfinite(outlines[rects[:, 2] > 0]).all(axis=(1, 2)).any():
        raise MediaError(
            f"{frames.path}: the face mesh finds no face in the rects of any frame; choose other "
            "masks (masks='none', --masks none)"
        )
    steady = steady_outlines(outlines, rects, frames.video.fps)
    return lambda index, rect, size: outline_mask(steady[index], rect)


def _write(
    writer: TemplateWriter, frames: Source, rects: Rects, mask_of: MaskOf | None, counter: _Counter
) -> None:
    count = 0
    parts = visible_parts(rects, *frames.video.size)
    for bgr24, i420 in frames.pictures():
        if len(rects) == 1 or count < len(rects):
            rect, part = (_as_rect(each[count % len(rects)]) for each in (rects, parts))
            mask = None
            if mask_of is not None and part[2]:
                mask = mask_of(count, part, frames.video.size)
            writer.add(rect, bgr24=bgr24, i420=i420, mask=mask)
            counter.step()
        # Beyond the last rect frames are only counted, for the message.
        count += 1
    _check_count(rects, frames, count)


def _complete_report(
    said: PreparationReport, template: Template, given: NDArray[np.int64] | None
) -> PreparationReport:
    said.frames, said.fps = template.count, template.fps
    said.width, said.height = template.video.size
    said.without_face = spans_of(template.rects[:, 2] == 0)
    said.over_border = int((template.whole_rects != template.rects).any(axis=1).sum())
    if given is not None:
        cut = (np.resize(given, template.rects.shape) != template.rects).any(axis=1)
        said.clipped = int(cut.sum())
    return said


def _as_rect(numbers: NDArray[np.int32]) -> tuple[int, int, int, int]:
    x, y, w, h = numbers.tolist()
    return x, y, w, h


class _Counter:
    """Count frames over one or two readings of the source."""

    def __init__(self, progress: Progress | None, estimate: int | None, readings: int) -> None:
        self._progress, self._readings = progress, readings
        self._done, self._total = 0, None if estimate is None else estimate * readings

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            if self._total is not None:
                self._total = max(self._total, self._done)
            self._progress(self._done, self._total)

    def restart(self, count: int) -> None:
        """Correct the total: the number of frames is certain after the first reading."""
        self._total = self._readings * count
