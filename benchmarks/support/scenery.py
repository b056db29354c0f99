"""Templates, clips and speech for the measurements; as a script, it serves a template."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from lipsync_fast import kernels
from lipsync_fast.bench.peers import PEERS, Inputs, make_inputs
from lipsync_fast.bench.scenes import SYNCTALK, Scene, drifting_rects, photos, write_template
from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import FileMissingError, TemplateError
from lipsync_fast.preparation.rect_files import read_rects
from lipsync_fast.templates.template import Template

ASSETS = Path(__file__).resolve().parents[3] / "shared" / "assets"
FRAMES = 523
REAL_FRAMES = 6


def mouth_rects(count: int = FRAMES, width: int = 1920, height: int = 1080) -> np.ndarray:
    """Return the 523 real rects of 173 to 189 px, centred; drawn ones if the clip is missing."""
    path = ASSETS / "geometry" / "crop_rects_523.json"
    if not path.exists():
        return drifting_rects(count, width, height)
    rects = read_rects(path)[np.arange(count) % FRAMES].copy()
    centre = rects[:, :2] + rects[:, 2:] // 2
    rects[:, :2] += np.array([width // 2, height // 2]) - centre.mean(0).astype(rects.dtype)
    return rects


def _made(folder: Path, make) -> Path:
    """Return the template of an earlier run if this version can open it, else a new one."""
    try:
        Template.open(folder).close()
    except (FileMissingError, TemplateError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        make(folder)
    return folder


def long_template(work: Path) -> Path:
    """523 photo-like 1080p frames, as JPEG and I420."""
    return _made(
        work / "long", lambda folder: write_template(folder, photos(FRAMES), mouth_rects())
    )


def packed_template(work: Path) -> Path:
    """50 frames, as bgr24."""
    return _made(
        work / "packed",
        lambda folder: write_template(folder, photos(50), mouth_rects(50), store=("bgr24",)),
    )


def steady_template(work: Path) -> Path:
    """60 frames that store every format."""
    store = ("jpeg", "i420", "bgr24")
    return _made(
        work / "steady",
        lambda folder: write_template(folder, photos(60), mouth_rects(60), store=store),
    )


@cache
def synthetic(peer: str = SYNCTALK) -> Scene:
    """The photo-like frame with six of the real rects."""
    rects = mouth_rects()[:: FRAMES // 6][:6]
    return Scene.make("photo-like frame", [next(photos(1))] * len(rects), rects, peer)


def cold_inputs(template: Template) -> list[Inputs]:
    """Return the first 48 frames as a peer's inputs: 300 MB of pixels, more than any cache."""
    rects = template.rects
    return [
        make_inputs(PEERS[SYNCTALK], frame, tuple(int(v) for v in rects[i]), seed=i % 25)
        for i, frame in enumerate(photos(48))
    ]


def _clip(name: str) -> list[np.ndarray]:
    """Some frames of a shared clip, bgr24."""
    from lipsync_fast.media import VideoReader

    reader = VideoReader(ASSETS / "video" / name)
    pictures = itertools.islice(reader, 0, None, 20)
    return [
        kernels.from_i420(
            np.concatenate([np.ravel(p) for p in picture]) if isinstance(picture, tuple)
            else np.ravel(picture),
            width=reader.width,
            height=reader.height,
            matrix=reader.matrix,
            full_range=reader.full_range,
        )
        for picture in itertools.islice(pictures, REAL_FRAMES)
    ]  # fmt: skip


def _found_rects(frames: list[np.ndarray]) -> np.ndarray:
    """Find lower-face squares by detector and landmarks, like `prepare`."""
    from lipsync_fast.preparation.faces.detector import FaceDetector
    from lipsync_fast.preparation.faces.mesh import FaceLandmarks
    from lipsync_fast.preparation.faces.smoothing import rects_of_corners
    from lipsync_fast.preparation.faces.tracking import mesh_corners

    detector = FaceDetector(ASSETS / "models" / "yunet_n_dynamic.onnx")
    landmarks = FaceLandmarks(ASSETS / "models" / "face_landmarks_478.onnx")
    corners = [mesh_corners(landmarks.locate(f, detector.detect(f)[0])) for f in frames]
    height, width = frames[0].shape[:2]
    return rects_of_corners(np.array(corners), width, height)


def _around(rects: np.ndarray, scale: float, frame: np.ndarray) -> np.ndarray:
    """Return rects of another size with the same centres, inside the frame."""
    size = np.trunc(rects[:, 2:] * scale).astype(np.int64)
    height, width = frame.shape[:2]
    corner = rects[:, :2] + rects[:, 2:] // 2 - size // 2
    return np.concatenate([np.clip(corner, 0, [width, height] - size), size], axis=1)


def real_scenes() -> Iterator[tuple[Scene, float | None]]:
    """Yield frames of both clips: rects of 173–189 px at the mouth (with a goal), true, × 1.5."""
    if not ASSETS.is_dir():
        return
    for name, title in (
        ("liteavatar_890x1920_30fps.mp4", "lite-avatar clip"),
        ("woman_1080x1920_25fps.mp4", "woman clip"),
    ):
        frames = _clip(name)
        given = name.startswith("lite")
        true = np.array([(278, 355, 419, 289)] * len(frames)) if given else _found_rects(frames)
        mouths = mouth_rects()[:: FRAMES // REAL_FRAMES][: len(frames)].copy()
        mouths[:, :2] = true[:, :2] + true[:, 2:] // 2 - mouths[:, 2:] // 2
        yield Scene.make(f"{title}, mouths of 173–189 px", frames, mouths), 14
        for scale, note in ((1.0, "true rects"), (1.5, "true rects × 1.5")):
            rects = _around(true, scale, frames[0])
            size = "×".join(str(int(v)) for v in rects[0, 2:])
            yield Scene.make(f"{title}, {note} ({size})", frames, rects), None


def speech(seconds: int) -> np.ndarray:
    """Return real speech if available, else synthesised, repeated: float32 at 16 kHz."""
    path = ASSETS / "audio" / "librivox_16k.wav"
    if path.exists():
        from lipsync_fast.media import load_audio

        samples = load_audio(path)
    else:
        from lipsync_fast import demo

        samples = demo.speech()
    return np.resize(samples, seconds * 16000).astype(np.float32)


def private_bytes() -> int:
    """Return this process's anonymous resident memory, including painted pages of maps."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon")


def _serve(folder: str, format: str) -> None:
    """Serve all frames once; print the milliseconds to the first one and the private bytes."""
    outputs = np.full((25, 3, 320, 320), 0.5, np.float32)
    start = time.perf_counter()
    with Template.open(folder) as template, Compositor(template, threads=1) as compositor:
        compositor.composite(outputs[:1], [0], format=format)
        first = time.perf_counter() - start
        for at in range(0, template.count, 25):
            chosen = np.arange(at, min(at + 25, template.count))
            with compositor.composite(outputs[: len(chosen)], chosen, format=format):
                pass
        print(f"{first * 1e3:.1f} {private_bytes()}")


if __name__ == "__main__":
    _, command, *arguments = sys.argv
    assert command == "serve", f"the only command is serve, got {command}"
    _serve(*arguments)
