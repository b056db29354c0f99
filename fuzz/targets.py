"""Fuzz targets: readers of single files, and the argument space of the kernels."""

from __future__ import annotations

import io
import pickle
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lipsync_fast import FeatureFile, SplicedJpeg
from lipsync_fast.errors import LipsyncError
from lipsync_fast.files.plain_pickle import load_plain
from lipsync_fast.kernels import _jpeg
from lipsync_fast.media.wav import WavFile
from lipsync_fast.preparation.foreign import read_boxes
from lipsync_fast.preparation.rect_files import read_rects
from lipsync_fast.presets import load_preset

from .kernels import call_kernel
from .requests import request

CORPUS = Path(__file__).parent / "corpus"


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder in memory, if the system has one."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


class Target:
    """A function of bytes that may raise only its documented errors.

    Attributes
    ----------
    corpus : sequence of bytes
        Inputs that the others are made from.
    words : sequence of bytes
        Pieces of the format that mutation inserts.
    accepted, refused : int
        Inputs that were accepted, and those that ended in one clear error.
    """

    name = ""
    words: Sequence[bytes] = ()
    refusals: tuple[type[Exception], ...] = (LipsyncError,)
    scratch: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self) -> None:
        folder = CORPUS / self.name
        self.corpus: list[bytes] = [file.read_bytes() for file in sorted(folder.glob("*"))]
        self.accepted = self.refused = 0

    def run(self, data: bytes) -> None:
        try:
            self.check(data)
        except self.refusals as error:
            if not str(error):
                raise AssertionError("an error needs a sentence") from error
            self.refused += 1
        else:
            self.accepted += 1

    def check(self, data: bytes) -> None:
        raise NotImplementedError

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.scratch is not None:
            self.scratch.cleanup()


class Jpeg(Target):
    """Header, index and decoder: accepted offsets lie in the file and ascend."""

    name = "jpeg"
    words = tuple(bytes((0xFF, code)) for code in (0xC0, 0xC4, 0xD0, 0xD7, 0xD9, 0xDA, 0xDB, 0xDD))

    def check(self, data: bytes) -> None:
        header = _jpeg.jpeg_header(data)
        offsets = _jpeg.jpeg_segments(data).astype(np.int64)
        assert len(offsets) == header.segments + 1
        assert offsets[0] == header.size
        assert offsets[-1] == len(data)
        assert (np.diff(offsets) >= 2).all()
        if header.width * header.height <= 1 << 16:
            picture = _jpeg.decode(data)
            assert picture.shape[:2] == (header.height, header.width)


class Splice(Target):
    """A patch on a foreign file, at any place: the result can be indexed again."""

    name = "splice"
    words = Jpeg.words

    def __init__(self) -> None:
        super().__init__()
        self.corpus = [file.read_bytes() for file in sorted((CORPUS / "jpeg").glob("*"))]
        self.patches = [np.full((9, 7, 3)[:dims], 90, np.uint8) for dims in (3, 2)]

    def check(self, data: bytes) -> None:
        rng = random.Random(len(data))
        header = _jpeg.jpeg_header(data)
        segments = None
        if rng.random() < 0.5:
            segments = _jpeg.jpeg_segments(data)
            segments[rng.randrange(len(segments))] ^= rng.choice((0, 0, 1, 3, 2**31))
        background = SplicedJpeg(data, segments=segments)
        patch = self.patches[header.subsampling == "4:0:0"]
        x, y = (rng.choice((0, 3, -4, side - 3, 2**31 - 1)) for side in header[:2])
        got = background.splice(patch, x, y)
        if segments is None:
            assert _jpeg.jpeg_segments(got)[-1] == len(got)


class FileTarget(Target):
    """A reader of paths: the input is written to a file in memory, or on disk."""

    suffixes: Sequence[str] = ()

    def __init__(self) -> None:
        super().__init__()
        self.scratch = temporary_folder()
        self.folder = Path(self.scratch.name)

    def write(self, data: bytes) -> Path:
        path = self.folder / f"input{self.suffixes[len(data) % len(self.suffixes)]}"
        path.write_bytes(data)
        return path


class Wav(FileTarget):
    """Every block is float32 of the stated channels; together they are the stated samples."""

    name = "wav"
    suffixes = (".wav",)
    words = (b"RIFF", b"RF64", b"WAVE", b"ds64", b"fmt ", b"data", b"LIST", b"\x03\0", b"\xfe\xff")

    def check(self, data: bytes) -> None:
        path = self.write(data)
        if not WavFile.accepts(path):
            raise LipsyncError("no WAV")
        wav = WavFile(path)
        with np.errstate(all="ignore"):  # floats of any value are samples
            count = sum(self._length(wav, block) for block in wav.blocks())
        assert count == wav.samples <= len(data)

    @staticmethod
    def _length(wav: WavFile, block: np.ndarray) -> int:
        assert block.dtype == np.float32
        assert block.shape[0] == wav.channels
        return int(block.shape[1])


class Rects(FileTarget):
    """Rects of every kind of file are whole and have an area."""

    name = "rects"
    suffixes = (".lms", ".json", ".csv", ".npy")
    words = (
        *(b"[", b"]", b",", b"[" * 3000, b"x,y,w,h\n", b"\x93NUMPY", b'"', b"1e5", b"null"),
        *(b"1" + b"0" * 400, b"1" + b"0" * 5000, b"4" * 131_073, b"1e400"),
    )

    def __init__(self) -> None:
        super().__init__()
        files = sorted((CORPUS / self.name).glob("*"))
        # The kind is the first byte of an input, so that mutation mostly keeps it.
        self.corpus = [
            bytes([self.suffixes.index(file.suffix)]) + file.read_bytes() for file in files
        ]

    def check(self, data: bytes) -> None:
        kind = self.suffixes[data[0] % len(self.suffixes)] if data else ".lms"
        for name in ("input", "crop_rects"):
            path = self.folder / f"{name}{kind}"
            path.write_bytes(data[1:])
            rects = read_rects(path)
            assert rects.dtype == np.int64
            assert (np.abs(rects[:, :2]) < 2**32).all()
            if len(rects) == 1:
                assert (rects[:, 2:] > 0).all()


class Presets(FileTarget):
    """A user's preset: fields of a TOML file, checked before any model is opened."""

    name = "preset"
    suffixes = (".toml",)
    words = (
        *(b"=", b"[", b"[" * 3000, b"name", b"view", b"crop", b"inf", b"nan", b"true", b"'''"),
        *(b"a." * 20_000, b"1" + b"0" * 400, b"1" + b"0" * 5000, b"9," * 20_000),
    )

    def check(self, data: bytes) -> None:
        preset = load_preset(self.write(data))
        assert 0 < preset.view <= preset.crop


class Coords(FileTarget):
    """A pickle gives numbers, arrays and lists of them, none larger than the file."""

    name = "coords"
    suffixes = (".pkl",)
    words = (
        *(b"(", b")", b"]", b"\x85", b"\x86", b"\x87", b"t", b"l", b"a", b"e", b"0", b"."),
        *(b"h\0", b"q\0", b"\x94", b"R", b"b", b"\x81", b"K\1", b"\x8a\x08", b"\x80\x05"),
        *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"c_codecs\nencode\n", b"cnumpy\nndarray\n"),
        *(b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\nscalar\n", b"\x8c\x02i8", b"\x8c\x02O8"),
        # one list twice in another, and so on; a number of 255 bytes
        *(b"".join(bytes([104, i, 104, i, 134, 148]) for i in range(24)), b"\x93"),
        b"\x8a\xff" + b"\x7f" * 255,
    )

    def __init__(self) -> None:
        super().__init__()
        rows = [(30, 180, 40, 190), (31, 181, 41, 191)]
        arrays = [np.array(row, kind) for row, kind in zip(rows, ("i8", "f4"), strict=True)]
        values = (rows, [list(map(np.int64, row)) for row in rows], np.array(rows), arrays)
        self.corpus = [pickle.dumps(value, n) for value in values for n in (0, 2, 4, 5)]

    def check(self, data: bytes) -> None:
        path = self.write(data)
        value = load_plain(path)
        self._check_plain(value, len(data), set())
        rects = read_boxes(path)
        assert rects.dtype == np.int64
        assert rects.shape == (len(value), 4)

    def _check_plain(self, value: object, size: int, seen: set[int]) -> None:
        if isinstance(value, list):
            assert len(value) <= size
            for item in value if id(value) not in seen else ():
                seen.add(id(value))
                self._check_plain(item, size, seen)
        elif isinstance(value, np.ndarray):
            assert value.nbytes <= size
            assert value.dtype.kind in "iufb"
        else:
            assert isinstance(value, (int, float))


class Features(FileTarget):
    """Rows of features become windows of the preset's shape, all finite."""

    name = "features"
    suffixes = (".npy",)
    words = (b"\x93NUMPY", b"'<f4'", b"'<f2'", b"'>f8'", b"'|O'", b"(2, 512)", b"True", b"(" * 200)
    presets = ("synctalk328", "wav2lip96", "ultralight168-hubert", "synctalk328-wenet")

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        shapes = ((3, 512), (2, 1, 80, 16), (2, 2, 1024), (2, 1, 16, 512))
        self.corpus = []
        for i, shape in enumerate(shapes):
            for kind in ("float32", "float16"):
                file = io.BytesIO()
                np.save(file, rng.normal(0, 1, shape).astype(kind))
                # The preset is the first byte of an input, so that mutation mostly keeps it.
                self.corpus.append(bytes([i]) + file.getvalue())

    def check(self, data: bytes) -> None:
        path = self.write(data[1:])
        rows = FeatureFile(path, self.presets[data[0] % 4 if data else 0])
        if len(data) % 2:
            rows.push(np.zeros(1500, np.float32))
        with np.errstate(all="ignore"):  # float64 beyond float32 becomes infinite
            windows = rows.take(min(rows.flush(), 4))
        assert windows.shape[1:] == rows.shape


class Kernels(Target):
    """Arrays of any shape, dtype, stride and value: the right bytes, TypeError or ValueError."""

    name = "kernels"
    refusals = (TypeError, ValueError)

    def __init__(self) -> None:
        self.accepted = self.refused = 0
        self.corpus = [b"0123456789abcdef"]

    def check(self, data: bytes) -> None:
        call_kernel(random.Random(data))


class Requests(Target):
    """Whole requests for any template: the same bytes twice, and no paint outside the rect."""

    name = "requests"
    refusals = (LipsyncError, TypeError, ValueError)

    def __init__(self) -> None:
        self.accepted = self.refused = 0
        self.corpus = [b"0123456789abcdef"]

    def check(self, data: bytes) -> None:
        request(random.Random(data))
