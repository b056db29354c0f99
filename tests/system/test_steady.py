"""Steady state: a warm request takes no memory from the system.

The warm-up is three runs of each shape and one loop of the template, as DESIGN says; what is
measured is a request's whole road, from feature windows through a net to finished frames.
"""

import sys

import numpy as np
import pytest

from lipsync_fast.bench import memory
from lipsync_fast.compositing import ColourSmoother
from lipsync_fast.formats import VideoFormat
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.resident import ResidentGenerator
from lipsync_fast.pipeline import MouthOptions, Pipeline
from lipsync_fast.presets import get_preset
from lipsync_fast.templates import TemplateOptions, TemplateWriter

pytest.importorskip("onnxruntime")
nets = pytest.importorskip("tests.support.nets")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts by /proc and getrusage")

WIDTH, HEIGHT, COUNT = 640, 360, 30
PRESET = get_preset("synctalk328")
FORMATS = ["jpeg", "bgr24", "i420"]
SIZES = [8, 25]
REQUESTS = 4


def frame(i):
    rng = np.random.default_rng(i)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = 120 + 60 * np.sin(x / 37 + i) + 40 * np.cos(y / 23)
    return (smooth[..., None] + rng.integers(-6, 7, (HEIGHT, WIDTH, 3))).astype(np.uint8)


WAYS = ["jpeg and i420", "bgr24, colour match", "jpeg and i420, packed"]


@pytest.fixture(scope="module", params=WAYS)
def pipeline(request, tmp_path_factory):
    """A template on disk with mouths of changing size, the tiny model, warm in every format."""
    folder = tmp_path_factory.mktemp("steady")
    stored, *also = request.param.split(", ")
    store = tuple(stored.split(" and "))
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=store)
    with TemplateWriter(folder / "t", video, preset=PRESET, options=options) as writer:
        for i in range(COUNT):
            writer.add((200 + i, 100, 173 + i % 16, 175 + i % 14), bgr24=frame(i))
    net = nets.tiny_generator(folder / "net.onnx", PRESET)
    encoder = nets.tiny_encoder(folder / "encoder.onnx")
    packed, match = ("packed" in also), ("colour match" in also)
    with Pipeline.open(
        folder / "t",
        Generator(net, PRESET, providers=["cpu"]) if packed else net,
        encoder,
        threads=2,
        providers=None if packed else ["cpu"],
        mouth=MouthOptions(colour_match=match),
    ) as opened:
        assert isinstance(opened.generator, Generator if packed else ResidentGenerator)
        yield opened


class Road:
    """Requests of one size and format, one after the other through the loop."""

    def __init__(self, pipeline, format, size):
        self.pipeline, self.format, self.size = pipeline, format, size
        rng = np.random.default_rng(1)
        self.features = rng.normal(0, 1, (size, *PRESET.audio_shape)).astype(np.float32)
        self.at = 0
        self.smoother = ColourSmoother(25, PRESET.view)
        loop = 2 * (COUNT - 1)
        assert set(PRESET.default_loop.indices(0, loop, COUNT)) == set(range(COUNT))
        for _ in range(max(3, -(-loop // size))):
            self.request()

    def request(self):
        with self.pipeline.composite(
            self.features, self.at, format=self.format, smoother=self.smoother
        ) as frames:
            assert len(frames) == self.size
        self.at += self.size

    def requests(self):
        for _ in range(REQUESTS):
            self.request()


@pytest.fixture(
    scope="module", params=[(f, n) for f in FORMATS for n in SIZES], ids=lambda p: f"{p[0]}-{p[1]}"
)
def road(request, pipeline):
    return Road(pipeline, *request.param)


def test_the_pool_misses_nothing(road):
    assert memory.misses_of(road.pipeline.pool, road.requests) == 0


def test_no_large_block_is_allocated(road):
    pytest.importorskip("memray")
    blocks = memory.blocks_of(road.requests)
    assert blocks.count > 0, "nothing was recorded"
    assert blocks.large == 0, f"{blocks.large} blocks, {blocks.large_bytes} bytes in all"


def test_python_holds_little(road):
    assert memory.traced_peak(road.requests) < memory.LARGE


def test_pages_are_not_supplied_again(road):
    assert memory.faults_of(road.requests) < REQUESTS * road.size


def test_resident_memory_stays(road):
    before = memory.anonymous_bytes()
    for _ in range(3):
        road.requests()
    assert memory.anonymous_bytes() - before < 1 << 20


def test_the_counters_count():
    """Every counter notices what it counts."""
    pytest.importorskip("memray")

    def wasteful():
        assert np.ones(1 << 20, np.uint8)[::4096].sum()

    blocks = memory.blocks_of(wasteful)
    assert blocks.large >= 1
    assert blocks.large_bytes >= 1 << 20
    assert memory.traced_peak(wasteful) >= 1 << 20
    assert memory.faults_of(lambda: np.ones(64 << 20, np.uint8)) > 8
