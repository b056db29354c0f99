"""Fixtures: the ISA, guarded arrays, the shared real inputs."""

import os
from pathlib import Path

import numpy as np
import pytest

from lipsync_fast import kernels
from tests.support.guarded import Guarded

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


@pytest.fixture
def copies(monkeypatch):
    """A stand-in for the CUDA runtime, which "device" memory is copied by."""
    from lipsync_fast.nets import cuda
    from tests.support.on_device import Copies

    made = Copies()
    monkeypatch.setattr(cuda, "load_runtime", lambda: made)
    return made
