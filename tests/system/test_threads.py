"""Many threads, many avatars, one pool: every frame equals the single-threaded one, to the byte."""

import itertools
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.support.jpeg_tools import photo
from tests.support.small_person import nothing_is_lent

import lipsync_fast
from lipsync_fast import BufferPool, Compositor, Template
from lipsync_fast.errors import InputError, PoolExhausted
from lipsync_fast.formats import VideoFormat
from lipsync_fast.pipeline.pipeline import Pipeline
from lipsync_fast.templates import TemplateOptions, TemplateWriter

FORMATS = ("jpeg", "i420", "bgr24", "rgba")
ALPHAS = (255, 90, 0)
COUNT = 5  # backgrounds of a template
THREADS = 8


def open_avatars(folder, rng):
    """Three persons of different sizes: one in memory, two on disk, one painted in place."""
    sizes = [(160, 96, "wav2lip96"), (208, 144, "wav2lip384"), (129, 117, "wav2lip96")]
    stores = [None, ("jpeg", "i420"), ("jpeg", "bgr24")]
    for k, ((width, height, preset), store) in enumerate(zip(sizes, stores, strict=True)):
        frames = [photo(rng, height, width) for _ in range(COUNT)]
        rects = [(20 + 3 * i, 15 + k, 60, 50) for i in range(COUNT - 1)] + [(0, 0, 0, 0)]
        if store is None:
            yield Template.from_arrays(frames, rects, preset=preset)
            continue
        video, options = VideoFormat(width, height), TemplateOptions(store=store)
        with TemplateWriter(folder / str(k), video, preset=preset, options=options) as writer:
            for frame, rect in zip(frames, rects, strict=True):
                writer.add(rect, bgr24=frame)
        yield Template.open(folder / str(k))


@pytest.fixture
def avatars(tmp_path, rng):
    return list(open_avatars(tmp_path, rng))


class Requests:
    """Requests of a few frames for any avatar and format, with the frames expected of them."""

    def __init__(self, avatars, rng):
        self.avatars = avatars
        self.outputs = [
            rng.random((COUNT, 3, a.preset.view, a.preset.view), np.float32) for a in avatars
        ]
        self.want = {}
        for k, avatar in enumerate(avatars):
            with Compositor(avatar, threads=1) as single:
                for format, alpha in itertools.product(FORMATS, ALPHAS):
                    made = single.composite(
                        self.outputs[k], range(COUNT), format=format, alphas=[alpha] * COUNT
                    )
                    self.want[k, format, alpha] = [frame.array.tobytes() for frame in made]

    def check(self, compositors, random):
        """Make a random request; return the number of correct frames."""
        k, format = random.randrange(len(self.avatars)), random.choice(FORMATS)
        indices = [random.randrange(COUNT) for _ in range(random.randrange(1, 6))]
        alphas = [random.choice(ALPHAS) for _ in indices]
        outputs = np.ascontiguousarray(self.outputs[k][indices])
        with compositors[k].composite(outputs, indices, format=format, alphas=alphas) as frames:
            for index, alpha, frame in zip(indices, alphas, frames, strict=True):
                place = (k, format, alpha, index)
                assert frame.array.tobytes() == self.want[place[:3]][index], place
        return len(indices)


def hammer(requests, compositors, total):
    """Make `total` requests on eight threads; return the number of correct frames."""
    right, errors = [], []

    def work(seed, count):
        chance = random.Random(seed)
        try:
            right.append(sum(requests.check(compositors, chance) for _ in range(count)))
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(seed, total // THREADS)) for seed in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(right)


@pytest.mark.parametrize(
    "total", [400, pytest.param(10_000, marks=pytest.mark.long)], ids=["short", "long"]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_no_frame_shows_another_avatar(avatars, rng, total, threads):
    requests = Requests(avatars, rng)
    pool = BufferPool()
    compositors = [Compositor(a, threads=threads, pool=pool) for a in avatars]
    assert hammer(requests, compositors, total) > total
    for compositor in compositors:
        compositor.close()
    del compositors
    assert pool.stats().lent == 0, "a buffer was not given back"


def test_requests_that_run_finish_when_it_closes(avatars, rng):
    requests = Requests(avatars, rng)
    for _ in range(20):
        compositors = [Compositor(a, threads=3) for a in avatars]
        outcomes = []

        def work(seed, compositors=compositors, outcomes=outcomes):
            chance = random.Random(seed)
            while True:
                try:
                    requests.check(compositors, chance)
                except Exception as error:
                    outcomes.append(error)  # noqa: B023 (bound by `except`)
                    return

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for compositor in compositors:
            compositor.close()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 4
        for error in outcomes:
            assert isinstance(error, InputError), error
            assert str(error) == "this compositor is closed; make another one"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_compositor_says_so(avatars, rng, threads):
    compositor = Compositor(avatars[0], threads=threads)
    compositor.close()
    compositor.close()
    with pytest.raises(InputError, match="closed; make another"):
        compositor.composite(np.zeros((1, 3, 96, 96), np.float32), [0])


def test_frames_outlive_their_compositor(avatars, rng):
    requests = Requests(avatars, rng)
    for k, avatar in enumerate(avatars):
        for format in FORMATS:
            compositor = Compositor(avatar)
            frames = compositor.composite(requests.outputs[k], range(COUNT), format=format)
            compositor.close()
            del compositor
            got = [frame.array.tobytes() for frame in frames]
            assert got == requests.want[k, format, 255]


def test_a_pipeline_closed_while_it_speaks_says_so(tmp_path, avatars):
    pytest.importorskip("onnxruntime")
    nets = pytest.importorskip("tests.support.nets")
    generator = nets.tiny_generator(tmp_path / "net.onnx", avatars[0].preset)
    samples = np.random.default_rng(1).normal(0, 0.1, 48_000).astype(np.float32)
    pipeline = Pipeline.open(avatars[0], generator, threads=2)
    want = [frame.array.tobytes() for frame in pipeline.frames(samples)]
    frames = pipeline.frames(samples)
    got = [next(frames).array.tobytes()]
    pipeline.close()
    with pytest.raises(InputError, match="this compositor is closed; make another one"):
        got.extend(frame.array.tobytes() for frame in frames)
    assert got == want[: pipeline.request], "the request that was finished is delivered"
    assert nothing_is_lent(pipeline)


# ---- the pool under contention -----------------------------------------------------------------


def test_a_pool_at_its_limit_never_lends_twice_nor_too_much():
    """Eight threads want twice the limit; each keeps its own bytes, or is refused."""
    limit = 64 << 10
    pool = BufferPool(limit=limit)
    wrong, refused, lent = [], [], []

    def work(seed):
        chance = random.Random(seed)
        for step in range(1500):
            try:
                mine = [pool.empty(chance.choice((1000, 5000, 9000))) for _ in range(3)]
            except PoolExhausted:
                refused.append(step)
                time.sleep(0)
                continue
            stamp = (seed * 31 + step) % 256
            for array in mine:
                array[...] = stamp
            time.sleep(0)
            stats = pool.stats()
            if not all((array == stamp).all() for array in mine):
                wrong.append((seed, step))
            if stats.bytes > limit or stats.lent_bytes > stats.bytes:
                wrong.append(stats)
            lent.append(stats.lent)
            mine.clear()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert max(lent) > 3, "the threads never met"
    assert refused, "the limit was never met"
    stats = pool.stats()
    assert stats.lent == stats.lent_bytes == 0
    assert stats.peak <= limit
    assert pool.trim() == stats.bytes


# ---- processes that fork -----------------------------------------------------------------------

AVATAR = """
    import multiprocessing, os, sys, warnings
    import numpy as np
    from lipsync_fast import Compositor, Template, default_pool

    def frames(compositor, outputs):
        made = compositor.composite(outputs, [0, 1, 2], format="jpeg")
        return [bytes(frame.data) for frame in made]

    def own(number):
        with Compositor(template, threads=2) as compositor:
            return number, frames(compositor, outputs)

    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (96, 160, 3), np.uint8) for _ in range(3)]
    template = Template.from_arrays(pictures, (20, 20, 60, 50), preset="wav2lip96")
    outputs = rng.random((3, 3, 96, 96), np.float32)
    warnings.simplefilter("ignore", DeprecationWarning)  # about forking with threads
"""

FORKS = {
    # Only the module was imported before.
    "a compositor of the child's own": """
    child = os.fork()
    if not child:
        os._exit(0 if own(1)[1] else 3)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))
    """,
    "a compositor of the child's own beside the parent's": """
    kept = default_pool().empty((100,), "uint8")
    want = own(0)[1]
    child = os.fork()
    if not child:
        again = default_pool().empty((100,), "uint8")
        os._exit(0 if own(1)[1] == want and again.ctypes.data != kept.ctypes.data else 3)
    _, status = os.waitpid(child, 0)
    assert own(2)[1] == want
    sys.exit(os.waitstatus_to_exitcode(status))
    """,
    # Its threads do not exist in the child.
    "the parent's compositor": """
    compositor = Compositor(template, threads=3)
    want = frames(compositor, outputs)
    child = os.fork()
    if not child:
        good = all(frames(compositor, outputs) == want for _ in range(3))
        compositor.close()
        os._exit(0 if good else 3)
    _, status = os.waitpid(child, 0)
    assert frames(compositor, outputs) == want
    sys.exit(os.waitstatus_to_exitcode(status))
    """,
    "a pool of processes": """
    want = own(0)[1]
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(own, range(12), chunksize=1)
    assert [number for number, _ in found] == list(range(12))
    assert all(made == want for _, made in found)
    """,
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("which", FORKS)
def test_a_forked_process_makes_the_same_frames(which):
    home = str(Path(lipsync_fast.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(AVATAR) + textwrap.dedent(FORKS[which])],
        env={**os.environ, "PYTHONPATH": home},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_pipeline_speaks_on(tmp_path, avatars):
    pytest.importorskip("onnxruntime")
    nets = pytest.importorskip("tests.support.nets")
    generator = nets.tiny_generator(tmp_path / "net.onnx", avatars[1].preset)
    samples = np.random.default_rng(1).normal(0, 0.1, 24_000).astype(np.float32)
    with Pipeline.open(avatars[1], generator, threads=3, providers=["cpu"]) as pipeline:
        want = [frame.array.tobytes() for frame in pipeline.frames(samples, format="i420")]
        child = os.fork()
        if child == 0:
            made = [frame.array.tobytes() for frame in pipeline.frames(samples, format="i420")]
            os._exit(0 if made == want else 3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [f.array.tobytes() for f in pipeline.frames(samples, format="i420")] == want
