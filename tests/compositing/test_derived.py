"""Backgrounds that a template does not store: made one by one, bounded, in nobody's way."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.support.jpeg_tools import photo

from lipsync_fast import BufferPool, JpegEncoder
from lipsync_fast.bench import memory
from lipsync_fast.compositing import Compositor
from lipsync_fast.compositing.canvas import Canvas, open_canvas
from lipsync_fast.compositing.compositor import MOST_QUALITIES
from lipsync_fast.errors import InputError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.kernels import i420_size
from lipsync_fast.kernels._jpeg import jpeg_bound
from lipsync_fast.provenance import XMP
from lipsync_fast.templates import JpegSettings, TemplateOptions, TemplateWriter
from lipsync_fast.templates.template import Template

WIDTH, HEIGHT, COUNT = 208, 144, 12
RECT = (50, 30, 70, 66)
PLANES = i420_size(WIDTH, HEIGHT)
WAIT = 60  # seconds; nobody waits that long unless something is wrong


@pytest.fixture
def frames(rng):
    return [photo(rng, HEIGHT, WIDTH) for _ in range(COUNT)]


@pytest.fixture
def template(frames):
    return Template.from_arrays(frames, RECT, preset="wav2lip96")


@pytest.fixture
def outputs(rng):
    return rng.random((COUNT, 3, 96, 96), np.float32)


@pytest.fixture
def made(monkeypatch):
    """The numbers of the backgrounds that were made, in order."""
    numbers, derive = [], Canvas.derive

    def note(canvas, index, pool):
        numbers.append(index)
        return derive(canvas, index, pool)

    monkeypatch.setattr(Canvas, "derive", note)
    return numbers


def stored(path, frames, store):
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=store)
    with TemplateWriter(path, video, preset="wav2lip96", options=options) as writer:
        for frame in frames:
            writer.add(RECT, bgr24=frame)
    return Template.open(path)


def bytes_of(compositor, outputs, indices, **options):
    with compositor.composite(outputs[: len(indices)], indices, **options) as lent:
        return [bytes(frame.data) for frame in lent]


# ---- one by one ------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["jpeg", "i420"])
def test_a_request_makes_the_backgrounds_that_it_needs(template, outputs, made, format):
    with Compositor(template, threads=2) as compositor:
        bytes_of(compositor, outputs, [3, 5, 3], format=format)
        assert sorted(made) == [3, 5]
        bytes_of(compositor, outputs, [5, 6], format=format)
        assert made[2:] == [6]


@pytest.mark.parametrize("store", [("jpeg",), ("i420",), ("bgr24",), ("jpeg", "i420")])
def test_what_is_stored_is_not_made(tmp_path, frames, outputs, made, store):
    with stored(tmp_path / "t", frames, store) as template:
        with Compositor(template, threads=2) as compositor:
            for format in store:
                bytes_of(compositor, outputs, range(COUNT), format=format)
                assert compositor.warm(format) == 0
            if store != ("jpeg",):
                bytes_of(compositor, outputs, range(COUNT), format="rgba")
        assert made == []


def test_a_jpegs_buffer_has_room_before_any_background_is_made(tmp_path, rng):
    """Of stored files it is the largest one's and the region's; of unmade ones any picture's."""
    noise = rng.integers(0, 2, (HEIGHT, WIDTH, 3), np.uint8) * 255
    outputs = rng.random((1, 3, 96, 96), np.float32)
    bound = jpeg_bound(WIDTH, HEIGHT, "4:2:0", XMP)
    with stored(tmp_path / "t", [noise], ("jpeg",)) as kept:
        for template, quality in ((kept, None), (kept, 100)):
            with Compositor(template) as compositor:
                shape = compositor.canvas("jpeg", quality).shape
                assert (shape < (bound,)) == (quality is None)
                room, options = np.empty(shape, np.uint8), {"format": "jpeg", "quality": quality}
                (length,) = compositor.composite_into([room], outputs, [0], **options)
                assert room[:length].tobytes() == bytes_of(compositor, outputs, [0], **options)[0]


@pytest.mark.parametrize("store", [("jpeg",), ("i420",), ("bgr24",)])
@pytest.mark.parametrize("format", ["jpeg", "i420", "bgr24", "rgba"])
def test_frames_do_not_depend_on_the_limit(tmp_path, frames, outputs, store, format):
    with stored(tmp_path / "t", frames, store) as template:
        with Compositor(template, threads=2) as compositor:
            want = bytes_of(compositor, outputs, range(COUNT), format=format)
        for limit in (0, 3 * PLANES):
            with Compositor(template, threads=2, background_limit=limit) as compositor:
                assert bytes_of(compositor, outputs, range(COUNT), format=format) == want
                for i in range(COUNT):
                    one = bytes_of(compositor, outputs[i:], [i], format=format)
                    assert one == want[i : i + 1]
                    assert compositor._derived.nbytes <= limit


@pytest.mark.parametrize(
    ("store", "buffers"), [("bgr24", 1), ("memory", 1), ("jpeg", 2), ("owned", 2)]
)
def test_what_a_background_is_made_from_lies_in_the_pool(tmp_path, frames, store, buffers):
    """The background, and the packed pixels where none are there to be looked at."""
    if store in ("owned", "memory"):
        copies = [frame.copy() for frame in frames]
        template = Template.from_arrays(copies, RECT, preset="wav2lip96", owned=store == "owned")
    else:
        template = stored(tmp_path / "t", frames, (store,))
    pool = BufferPool()
    with template:
        assert open_canvas(template, "i420").derive(0, pool) == PLANES
    assert pool.stats().misses == buffers


def test_the_least_recently_used_go(template, outputs, made):
    with Compositor(template, threads=1, background_limit=4 * PLANES) as compositor:
        for index in (0, 1, 2, 3, 0, 4, 0):
            bytes_of(compositor, outputs, [index], format="i420")
        assert made == [0, 1, 2, 3, 4]
        bytes_of(compositor, outputs, [1], format="i420")
        assert made[5:] == [1], "0 was used later than 1"
        compositor.background_limit = PLANES
        assert compositor._derived.nbytes == PLANES
        with pytest.raises(InputError, match="background_limit must be a whole number of bytes"):
            compositor.background_limit = -1


@pytest.mark.skipif(not hasattr(memory, "anonymous_bytes"), reason="counts by /proc")
def test_a_film_of_jpegs_does_not_unpack_into_memory(tmp_path, rng):
    """As I420 frames for an mp4: 120 of 0.35 MB each."""
    video, count = VideoFormat(640, 360), 120
    with TemplateWriter(
        tmp_path / "t", video, preset="wav2lip96", options=TemplateOptions(store=("jpeg",))
    ) as writer:
        for _ in range(count):
            writer.add(RECT, bgr24=np.full((360, 640, 3), rng.integers(0, 256, 3), np.uint8))
    outputs = rng.random((1, 3, 96, 96), np.float32)
    limit = 4 << 20
    with Template.open(tmp_path / "t") as template:
        with Compositor(template, threads=1, background_limit=limit) as compositor:
            for i in range(20):
                bytes_of(compositor, outputs, [i], format="i420")
            before = memory.anonymous_bytes()
            for i in range(count):
                bytes_of(compositor, outputs, [i], format="i420")
            assert memory.anonymous_bytes() - before < 4 << 20
        with Compositor(template) as compositor:
            assert compositor.background_limit < 1 << 30


# ---- qualities -------------------------------------------------------------------------------


def test_the_default_quality_does_not_depend_on_who_came_first(frames, template, outputs):
    with Compositor(template) as compositor:
        want = bytes_of(compositor, outputs, [0, 1], format="jpeg")
    with Compositor(template) as compositor:
        low = bytes_of(compositor, outputs, [0, 1], format="jpeg", quality=20)
        assert bytes_of(compositor, outputs, [0, 1], format="jpeg") == want != low
    assert template.jpeg_settings == JpegSettings().resolve(WIDTH)
    with Compositor(template) as compositor:
        pixels = [f.array for f in compositor.composite(outputs[:2], [0, 1])]
    interval = template.jpeg_settings.restart_interval
    for got, quality in ((want, 75), (low, 20)):
        encoder = JpegEncoder(quality, "4:2:0", interval, xmp=XMP)
        assert got == [encoder.encode(picture) for picture in pixels]


def test_another_quality_leaves_the_stored_backgrounds_in_place(tmp_path, frames, outputs):
    with stored(tmp_path / "t", frames, ("jpeg",)) as template:
        before = [template.jpeg(i).file.tobytes() for i in range(COUNT)]
        with Compositor(template) as compositor:
            bytes_of(compositor, outputs, range(COUNT), format="jpeg", quality=30)
        with Compositor(template) as compositor:
            shown = bytes_of(compositor, outputs, range(COUNT), format="jpeg", alphas=[0] * COUNT)
        assert shown == before
        assert [template.jpeg(i).file.tobytes() for i in range(COUNT)] == before
        assert template.jpeg(0, JpegSettings(30)).file.size < len(before[0])


def test_qualities_are_bounded(template, outputs):
    with Compositor(template, threads=2) as compositor:
        first = bytes_of(compositor, outputs, [0, 1], format="jpeg", quality=5)
        one = compositor._derived.nbytes
        for quality in range(6, 6 + 2 * MOST_QUALITIES):
            bytes_of(compositor, outputs, [0, 1], format="jpeg", quality=quality)
        bytes_of(compositor, outputs, [0, 1], format="i420")
        assert len(compositor._canvases) == MOST_QUALITIES + 1
        assert compositor._derived.nbytes < 2 * MOST_QUALITIES * one + 2 * PLANES
        gc.collect()
        alive = {key for key, _ in compositor._derived._entries}
        assert alive == set(compositor._canvases.values())
        assert bytes_of(compositor, outputs, [0, 1], format="jpeg", quality=5) == first
        stated = template.jpeg_settings.quality
        bytes_of(compositor, outputs, [0], format="jpeg")
        kept = len(compositor._canvases)
        bytes_of(compositor, outputs, [0], format="jpeg", quality=stated)
        assert len(compositor._canvases) == kept, "the default and the same quality are one"


# ---- threads ---------------------------------------------------------------------------------


def test_others_do_not_wait_for_a_new_quality(template, outputs, monkeypatch):
    """While a background of quality 30 is made, requests of others run, cold ones too."""
    begun, goes_on, derive = threading.Event(), threading.Event(), Canvas.derive

    def slow(canvas, index, pool):
        if canvas.settings is not None and canvas.settings.quality == 30:
            begun.set()
            assert goes_on.wait(WAIT)
        return derive(canvas, index, pool)

    monkeypatch.setattr(Canvas, "derive", slow)
    with Compositor(template, threads=1) as compositor, ThreadPoolExecutor(4) as executor:
        want = bytes_of(compositor, outputs, [0], format="jpeg", quality=60)
        waiting = executor.submit(bytes_of, compositor, outputs, [0], format="jpeg", quality=30)
        assert begun.wait(WAIT)
        others = [
            executor.submit(bytes_of, compositor, outputs, [0], format="jpeg", quality=60),
            executor.submit(bytes_of, compositor, outputs, [1], format="i420"),
            executor.submit(bytes_of, compositor, outputs, [1], format="jpeg", quality=61),
        ]
        try:
            assert others[0].result(WAIT) == want
            assert all(other.result(WAIT) for other in others)
            assert not waiting.done()
        finally:
            goes_on.set()
        assert waiting.result(WAIT)


def test_two_requests_make_a_background_once(template, outputs, monkeypatch):
    met, derive, made = threading.Barrier(2), Canvas.derive, []
    asked = threading.Event()

    def slow(canvas, index, pool):
        made.append(index)
        assert asked.wait(WAIT)
        return derive(canvas, index, pool)

    monkeypatch.setattr(Canvas, "derive", slow)
    with Compositor(template, threads=1) as compositor, ThreadPoolExecutor(2) as executor:

        def ask():
            met.wait(WAIT)
            return bytes_of(compositor, outputs, [4, 7], format="jpeg")

        both = [executor.submit(ask) for _ in range(2)]
        while sum(e.holders for e in list(compositor._derived._entries.values())) < 4:
            assert not any(one.done() for one in both)
        asked.set()
        assert both[0].result(WAIT) == both[1].result(WAIT)
        assert sorted(made) == [4, 7]
        assert all(e.holders == 0 for e in compositor._derived._entries.values())


def test_who_waits_for_a_background_that_fails_makes_it_itself(template, outputs, monkeypatch):
    derive, calls, waiting = Canvas.derive, [], threading.Event()

    def fails_once(canvas, index, pool):
        calls.append(index)
        if len(calls) == 1:
            assert waiting.wait(WAIT)
            raise MemoryError("full")
        return derive(canvas, index, pool)

    with Compositor(template, threads=1) as compositor, ThreadPoolExecutor(2) as executor:
        want = bytes_of(compositor, outputs, [2], format="jpeg")
    monkeypatch.setattr(Canvas, "derive", fails_once)
    with Compositor(template, threads=1) as compositor, ThreadPoolExecutor(2) as executor:
        both = [
            executor.submit(bytes_of, compositor, outputs, [2], format="jpeg") for _ in range(2)
        ]
        while sum(e.holders for e in list(compositor._derived._entries.values())) < 2:
            assert not any(one.done() for one in both)
        waiting.set()
        errors = [one.exception(WAIT) for one in both]
        assert sorted(type(e).__name__ for e in errors) == ["MemoryError", "NoneType"]
        assert [one.result() for one in both if one.exception() is None] == [want]
        assert calls == [2, 2]
        assert compositor._derived.kept(compositor.canvas("jpeg"))[0] == 1


def test_threads_share_what_is_made_and_thrown_away(template, outputs):
    """More requests than the limit has room for: none sees a background vanish."""
    with Compositor(template) as compositor:
        want = {
            format: bytes_of(compositor, outputs, range(COUNT), format=format)
            for format in ("jpeg", "i420")
        }
    with Compositor(template, threads=2, background_limit=2 * PLANES) as compositor:

        def work(seed):
            chance = np.random.default_rng(seed)
            for _ in range(60):
                format = ("jpeg", "i420")[chance.integers(2)]
                chosen = chance.integers(0, COUNT, 3).tolist()
                lent = compositor.composite(outputs[chosen], chosen, format=format)
                got = [bytes(frame.data) for frame in lent]
                assert got == [want[format][i] for i in chosen]
            return True

        with ThreadPoolExecutor(4) as executor:
            assert all(executor.map(work, range(4)))
        assert compositor._derived.nbytes <= 2 * PLANES


# ---- warm ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format", "quality"), [("jpeg", None), ("jpeg", 40), ("i420", None)])
def test_a_warm_compositor_makes_nothing_more(template, outputs, made, format, quality):
    pool = BufferPool()
    with Compositor(template, threads=2, pool=pool) as compositor:
        kept = compositor.warm(format, quality)
        assert sorted(made) == list(range(COUNT))
        assert kept == compositor._derived.nbytes > 0

        def turn():
            for first in range(0, COUNT, 4):
                part = range(first, first + 4)
                with compositor.composite(
                    outputs[:4], part, format=format, quality=quality
                ) as lent:
                    assert len(lent) == 4

        turn()
        assert memory.misses_of(pool, turn) == 0
        assert memory.traced_peak(turn) < memory.LARGE
        assert len(made) == COUNT
        assert compositor.warm(format, quality) == kept
        assert len(made) == COUNT


def test_a_film_that_is_too_large_to_keep_says_so(template):
    with Compositor(template, background_limit=5 * PLANES) as compositor:
        with pytest.raises(InputError, match="12 backgrounds as i420 take more than background_li"):
            compositor.warm("i420")
        assert compositor._derived.nbytes <= 5 * PLANES
    with pytest.raises(InputError, match="this compositor is closed"):
        compositor.warm("i420")


def test_a_compositor_outlives_its_closed_template(tmp_path, frames, outputs):
    with stored(tmp_path / "t", frames, ("jpeg",)) as template:
        compositor = Compositor(template)
        want = bytes_of(compositor, outputs, [0, 1], format="i420")
        compositor.background_limit = 0
    assert bytes_of(compositor, outputs, [0, 1], format="i420") == want
    compositor.close()
    assert compositor._derived.nbytes == 0
