"""Fuzz targets: whole folders with one changed file."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lipsync_fast import Compositor, Template
from lipsync_fast.formats import VideoFormat
from lipsync_fast.preparation.foreign import find_avatar
from lipsync_fast.templates import TemplateOptions, TemplateWriter
from lipsync_fast.templates.layout import CROPS, HEAD

from .targets import (
    Coords,
    Features,
    Jpeg,
    Kernels,
    Presets,
    Rects,
    Requests,
    Splice,
    Target,
    Wav,
    temporary_folder,
)


class TemplateFolder(Target):
    """A template with one changed file is rejected on opening, or finishes frames."""

    name = "template"
    words = (b"null", b"1e999999999", b'"bt709"', b"[" * 3000, b"{}", b"\x93NUMPY", b"(2,", b"i4")

    def __init__(self) -> None:
        self.accepted = self.refused = 0
        self.scratch = temporary_folder()
        self.source, self.copy = (Path(self.scratch.name) / name for name in ("source", "copy"))
        rng = np.random.default_rng(1)
        video, options = VideoFormat(48, 40), TemplateOptions(store=("jpeg", "i420", "bgr24"))
        with TemplateWriter(self.source, video, preset="wav2lip384", options=options) as writer:
            for i in range(2):
                frame = rng.integers(0, 256, (40, 48, 3), np.uint8)
                writer.add((4 + i, 6, 24, 20), bgr24=frame)
        shutil.copytree(self.source, self.copy)
        self.names = sorted(p.name for p in self.source.iterdir() if p.name != CROPS)
        self.corpus = [
            bytes([i]) + (self.source / name).read_bytes() for i, name in enumerate(self.names)
        ]
        self.outputs = np.zeros((2, 3, 384, 384), np.float32)

    def check(self, data: bytes) -> None:
        name = self.names[(data[0] if data else 0) % len(self.names)]
        for changed in (name, HEAD):
            if changed == HEAD and name == changed:
                continue
            original = (self.source / changed).read_bytes()
            (self.copy / changed).write_bytes(original)
        (self.copy / name).write_bytes(data[1:])
        if name != HEAD:  # otherwise only the size would be checked
            head = json.loads((self.source / HEAD).read_text())
            head["files"][name] = len(data) - 1
            (self.copy / HEAD).write_text(json.dumps(head))
        try:
            self._use()
        finally:
            for changed in (name, HEAD):
                (self.copy / changed).write_bytes((self.source / changed).read_bytes())

    def _use(self) -> None:
        template = Template.open(self.copy, load=True)
        template.indices(0, 3)
        with Compositor(template, threads=1) as compositor:
            for format in ("jpeg", "i420", "bgr24"):
                if template.count == 2 and template.preset.view == 384:
                    compositor.composite(self.outputs, [0, 1], format=format)


class AvatarFolder(Target):
    """Another system's folder is rejected, or gives rects and masks that fit its frames."""

    name = "avatar"
    words = (b"null", b"[" * 3000, b"{}", b'"fps"', b"1e999", b"IHDR", b"IDAT", b"PLTE", b"tRNS")

    def __init__(self) -> None:
        self.accepted = self.refused = 0
        self.scratch = temporary_folder()
        self.root = Path(self.scratch.name)
        boxes = [(8, 6, 40, 38), (9, 6, 41, 38)]
        self._make_dataset(self.root / "dataset")
        self._make_package(self.root / "package", boxes)
        self._make_package(self.root / "cached", boxes)
        cache = {str(i): {"rect": box} for i, box in enumerate(boxes)}
        (self.root / "cached" / "crop_rects.json").unlink()
        self._write(self.root / "cached/cache/crop_rectangles.json", json.dumps(cache).encode())
        for name in ("live", "muse"):
            self._make_avatar(self.root / name, boxes)
        self._write(self.root / "muse/mask_coords.pkl", pickle.dumps([(4, 4, 44, 40)] * 2))
        for i in range(2):
            self._picture(self.root / f"muse/mask/{i}.png", (40, 36), "L")
        changed = [p for p in sorted(self.root.rglob("*.*")) if "0" in p.stem or p.suffix in TEXTS]
        self.names = [p for p in changed if p.is_file()]
        self.corpus = [bytes([i]) + path.read_bytes() for i, path in enumerate(self.names)]

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _picture(self, path: Path, size: tuple[int, int] = (48, 40), mode: str = "RGB") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0], 3)[: 3 if mode == "RGB" else 2]
        pixels = np.random.default_rng(len(str(path))).choice([0, 255], shape).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=60)

    def _make_dataset(self, root: Path) -> None:
        points = (Path(__file__).parent / "corpus/rects/points.lms").read_bytes()
        for i in range(2):
            self._picture(root / f"full_body_img/{i}.jpg")
            self._picture(root / f"parsing/{i}.png")
            self._write(root / f"landmarks/{i}.lms", points)

    def _make_package(self, root: Path, boxes: list[tuple[int, int, int, int]]) -> None:
        for i in range(2):
            self._picture(root / f"frames/{i:04d}.png")
        self._write(root / "crop_rects.json", json.dumps(boxes).encode())
        info = {"fps": 25, "videos": {"full_body": {"fps": 25.0}}}
        self._write(root / "package_info.json", json.dumps(info).encode())

    def _make_avatar(self, root: Path, boxes: list[tuple[int, int, int, int]]) -> None:
        for i in range(2):
            self._picture(root / f"full_imgs/{i:08d}.png")
            self._picture(root / f"face_imgs/{i:08d}.png", (96, 96))
        self._write(root / "coords.pkl", pickle.dumps(boxes))

    def check(self, data: bytes) -> None:
        path = self.names[(data[0] if data else 0) % len(self.names)]
        original = path.read_bytes()
        path.write_bytes(data[1:])
        try:
            self._use(self.root / path.relative_to(self.root).parts[0])
        finally:
            path.write_bytes(original)

    def _use(self, folder: Path) -> None:
        avatar = find_avatar(folder)
        assert avatar is not None
        assert avatar.rects is not None or avatar.lacking
        if avatar.mask is not None:
            mask = avatar.mask(0, (10, 8, 20, 24), (48, 40))
            assert mask.shape == (24, 20)
            assert mask.dtype == np.uint8


TEXTS = (".json", ".pkl", ".lms")

TARGETS: dict[str, Callable[[], Target]] = {
    kind.name: kind
    for kind in (
        *(Jpeg, Splice, Wav, Rects, Presets, Coords, Features, Kernels, Requests),
        *(TemplateFolder, AvatarFolder),
    )
}
