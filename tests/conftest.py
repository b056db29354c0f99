"""Fixtures: the ISA, guarded arrays, the shared real inputs."""

import os
from pathlib import Path

import numpy as np
import pytest

from lipsync_fast import kernels

# As session.py does: some tests import ONNX Runtime before it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --long"))


ASSETS = Path(__file__).resolve().parents[2] / "shared" / "assets"


@pytest.fixture(params=kernels.available_isas())
def isa(request):
    """Name of an ISA; every test that takes it runs once per ISA of this machine."""
    return request.param


@pytest.fixture
def rng():
    """A random generator that is the same in every run."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Nets that are put round a template in memory are kept apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def assets():
    """Folder of the shared real inputs; skips the test where it is absent."""
    if not ASSETS.is_dir():
        pytest.skip("the shared real inputs (../shared/assets) are not here")
    return ASSETS


@pytest.fixture(scope="session")
def woman(assets):
    """Real frames: (3, 1920, 1080, 3) uint8, bgr24, of a woman talking."""
    av = pytest.importorskip("av")
    with av.open(str(assets / "video" / "woman_1080x1920_25fps.mp4")) as video:
        frames = [
            frame.to_ndarray(format="bgr24")
            for i, frame in zip(range(31), video.decode(video=0), strict=False)
            if i % 15 == 0
        ]
    return np.stack(frames)


@pytest.fixture(scope="session")
def still_woman(assets):
    """Real frames: (3, 1920, 890, 3) uint8, bgr24, of the person of the lite-avatar net."""
    av = pytest.importorskip("av")
    with av.open(str(assets / "video" / "liteavatar_890x1920_30fps.mp4")) as video:
        frames = [
            frame.to_ndarray(format="bgr24")
            for i, frame in zip(range(101), video.decode(video=0), strict=False)
            if i % 50 == 0
        ]
    return np.stack(frames)


class Guarded:
    """An array inside a larger block of canary bytes.

    Parameters
    ----------
    shape : (H, W[, C]) of the array
    dtype : its dtype
    padding : canary bytes between the rows
    offset : bytes by which the first pixel is moved off its alignment
    flip : rows stored bottom up (negative row stride)
    """

    CANARY = 0xA5
    MARGIN = 256

    def __init__(self, shape, dtype=np.uint8, *, padding=0, offset=0, flip=False):
        dtype = np.dtype(dtype)
        row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        pitch = row + padding
        self.block = np.full(2 * self.MARGIN + offset + pitch * shape[0], self.CANARY, np.uint8)
        inner = np.cumprod((dtype.itemsize, *shape[:0:-1]))[::-1][1:]
        start = self.MARGIN + offset + (pitch * (shape[0] - 1) if flip else 0)
        strides = (-pitch if flip else pitch, *(int(s) for s in inner))
        self.array = np.ndarray(shape, dtype, self.block, start, strides)

    def check(self):
        """Raise AssertionError if a byte outside the array was written."""
        mask = np.ones(self.block.shape, bool)
        view = np.ndarray(
            (*self.array.shape, self.array.itemsize),
            bool,
            mask,
            self.array.ctypes.data - self.block.ctypes.data,
            (*self.array.strides, 1),
        )
        view[...] = False
        assert (self.block[mask] == self.CANARY).all(), "a byte outside the array was written"


@pytest.fixture
def guarded():
    """Maker of Guarded arrays; all of them are checked when the test ends."""
    made = []

    def make(shape, dtype=np.uint8, **layout):
        made.append(Guarded(shape, dtype, **layout))
        return made[-1].array

    yield make
    for g in made:
        g.check()


LAYOUTS = [
    {},
    {"offset": 1},
    {"padding": 5},
    {"padding": 12, "flip": True},
]
WIDTHS = [*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65]
