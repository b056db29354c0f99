"""Measure how visible the border of a mouth is, with and without masks and colour matching.

    python -m benchmarks.studies.seams                      the table, some minutes
    python -m benchmarks.studies.seams --pictures FOLDER    and enlarged faces side by side, as PNG

Three cases on the clips in ../shared/assets: the trained lite-avatar model with a voice, and a
model that returns its reference in wrong colours (up to 16 levels, sloped, flickering by 40 %
twice a second) on the talking woman, for a square and for a face box. The seam error is
`seam_error` of the frame's rect, mean and largest over the frames; "inside" is the largest one of
the 20 rects within it, as a share of the untouched background's, which reveals a border that has
only moved; "colours" is the difference of the mouth from the film, in levels, for models that
should have returned the film.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

import lipsync_fast as lf
from benchmarks.support.scenery import ASSETS
from lipsync_fast.media import load_audio
from lipsync_fast.timing import Loop

FRAMES, INSIDE = 40, 20
NETS = {
    "detector": ASSETS / "models" / "yunet_n_dynamic.onnx",
    "landmarks": ASSETS / "models" / "face_landmarks_478.onnx",
}
WAYS = {  # name: mask, colour match
    "the film itself": ("film", False),
    "as the reference": ("own", False),
    "colour match": ("own", True),
    "feather": ("feather", False),
    "feather, colour match": ("feather", True),
    "landmarks, colour match": ("landmarks", True),
}


@dataclass
class Case:
    """Neighbouring frames of a prepared film, and a model's pictures for them."""

    title: str
    frames: list[np.ndarray]
    rects: np.ndarray
    preset: lf.Preset
    masks: list[np.ndarray]
    fps: int
    real: bool = False

    @classmethod
    def make(cls, title: str, film: str, preset: str, folder: Path, **options: object) -> Case:
        faces = lf.FaceOptions(**NETS, masks="landmarks")
        store = lf.TemplateOptions(store=("i420",))
        with lf.prepare(
            ASSETS / "video" / film, folder / preset, preset=preset, faces=faces, options=store,
            **options,
        ) as t:  # fmt: skip
            frames = [t.bgr24(i) for i in range(FRAMES)]
            masks = [t.mask(i).copy() for i in range(FRAMES)]
            row = lf.PRESETS[preset]
            return cls(title, frames, t.rects[:FRAMES], row, masks, int(t.fps), bool(options))

    def template(self, mask: str) -> lf.Template:
        """Return the frames as a template in memory, in their own order."""
        preset = {
            "own": self.preset,
            "feather": self.preset.with_feather("auto"),
            "landmarks": self.preset,
            "none": replace(self.preset, name="hard", edge=None),
        }[mask]
        return lf.Template.from_arrays(
            self.frames,
            self.rects,
            preset=preset,
            fps=self.fps,
            loop=Loop("once", 0),
            masks=self.masks if mask == "landmarks" else None,
        )

    def shown(self, mask: str, match: bool) -> Iterator[np.ndarray]:
        """Finished frames, bgr24."""
        if mask == "film":
            yield from self.frames
            return
        template = self.template(mask)
        if self.real:
            speech = load_audio(ASSETS / "audio" / "jfk_16k.wav")[: FRAMES * 16000 // self.fps]
            net = ASSETS / "models" / "liteavatar384.onnx"
            mouth = lf.MouthOptions(colour_match=match, silence="net")
            with lf.Pipeline.open(template, net, mouth=mouth) as pipeline:
                yield from (frame.array for frame in pipeline.frames(speech))
            return
        smoother = lf.ColourSmoother(self.fps, self.preset.view)
        with lf.Compositor(template, colour_match=match) as compositor:
            for i in range(FRAMES):
                outputs = drifting(template, i)[None]
                yield compositor.composite(outputs, [i], smoother=smoother)[0].array


def drifting(template: lf.Template, index: int) -> np.ndarray:
    """Return the reference in wrong colours: (3, S, S) float32."""
    preset = template.preset
    first = 3 * preset.visual.split("+").index("reference")
    v, u = np.mgrid[-1 : 1 : 1j * preset.view, -1 : 1 : 1j * preset.view]
    levels = np.stack([10 + 4 * u + 2 * v, -8 + 3 * u - 4 * v, 6 - 5 * u + 3 * v])
    gain = 1 + 0.4 * np.sin(4 * np.pi * index / float(template.fps))
    made = template.visual(index)[first : first + 3] + (levels * gain + 0.5) / 255
    return np.clip(made, preset.low, preset.high).astype(np.float32)


def insets(frame: np.ndarray, rect: np.ndarray) -> list[float]:
    """Return the seam errors of a rect and of the rects within it, pixel by pixel."""
    x, y, w, h = (int(v) for v in rect)
    around = [(x + k, y + k, w - 2 * k, h - 2 * k) for k in range(INSIDE + 1)]
    return [lf.seam_error(frame, r) for r in around]


def measure(case: Case, mask: str, match: bool) -> tuple[str, np.ndarray]:
    """Return the table's cells for one way, and the face of a frame in the middle."""
    errors, untouched, off, face = [], [], [], None
    for i, frame in enumerate(case.shown(mask, match)):
        rect, background = case.rects[i], case.frames[i]
        x, y, w, h = (int(v) for v in rect)
        errors.append(insets(frame, rect))
        untouched.append(insets(background, rect))
        apart = frame[y : y + h, x : x + w].astype(int) - background[y : y + h, x : x + w]
        off.append(np.abs(apart[h // 4 : -h // 4, w // 4 : -w // 4]).mean())
        if i == FRAMES // 2:
            m = w // 4
            face = frame[max(y - m, 0) : y + h + m, max(x - m, 0) : x + w + m, ::-1].copy()
    at_rect = np.array(errors)[:, 0]
    inside = (np.mean(errors, axis=0) / np.mean(untouched, axis=0)).max()
    colours = "" if case.real else f"{np.mean(off):.1f}"
    cells = f"{at_rect.mean():.2f} | {at_rect.max():.2f} | {inside:.2f} | {colours}"
    assert face is not None
    return cells, face


def enlarged(faces: list[np.ndarray]) -> Image.Image:
    """Join pictures side by side, twice as large."""
    whole = Image.fromarray(np.concatenate(faces, axis=1))
    return whole.resize((2 * whole.width, 2 * whole.height), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", metavar="FOLDER", type=Path)
    options = parser.parse_args()
    if not ASSETS.is_dir():
        parser.error("the clips are missing; put them into ../shared/assets")
    lite, woman = "liteavatar_890x1920_30fps.mp4", "woman_1080x1920_25fps.mp4"
    print("| case | way | seam error | largest | inside | colours |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lipsync_fast-seams-") as temporary:
        for arguments, given in (
            (("trained net", lite, "liteavatar384"), {"rects": "278,355,419,289"}),
            (("drifting net, square", woman, "synctalk328"), {}),
            (("drifting net, box", woman, "wav2lip256"), {}),
        ):
            case = Case.make(*arguments, Path(temporary), **given)
            hard = {"pasted without its mask": ("none", False)} if case.real else {}
            faces = []
            for name, (mask, match) in {**hard, **WAYS}.items():
                cells, face = measure(case, mask, match)
                faces.append(face)
                print(f"| {case.title} | {name} | {cells} |", flush=True)
            if options.pictures is not None:
                options.pictures.mkdir(parents=True, exist_ok=True)
                enlarged(faces).save(options.pictures / f"seams-{case.preset.name}.png")


if __name__ == "__main__":
    main()
