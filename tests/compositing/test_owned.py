"""Frames in memory that were given away: painted on, lent, and restored when they return."""

import pickle
import threading

import numpy as np
import pytest
from tests.support.jpeg_tools import photo

from lipsync_fast.compositing import Compositor
from lipsync_fast.errors import InputError, LayoutError
from lipsync_fast.templates.template import Template

WIDTH, HEIGHT, COUNT = 211, 143, 5
RECTS = [(50, 30, 70, 66), (0, 0, 33, 40), (150, 90, 90, 90), (0, 0, 0, 0), (51, 31, 71, 65)]
PRESETS = ["wav2lip96", "wav2lip384"]  # without a mask, and with one
OTHERS = ["rgb24", "bgra", "i420", "jpeg"]


@pytest.fixture
def film(rng):
    return [photo(rng, HEIGHT, WIDTH) for _ in range(COUNT)]


def person(film, preset="wav2lip96"):
    """A template over copies of the film that it owns, and these copies."""
    frames = [frame.copy() for frame in film]
    return Template.from_arrays(frames, RECTS, preset=preset, owned=True), frames


def made(film, outputs, preset="wav2lip96", format="bgr24"):
    template = Template.from_arrays(film, RECTS, preset=preset)
    with Compositor(template) as compositor:
        lent = compositor.composite(outputs, range(COUNT), format=format)
        return [frame.array.tobytes() for frame in lent]


def outputs_of(rng, preset="wav2lip96"):
    side = 384 if preset == "wav2lip384" else 96
    return rng.random((COUNT, 3, side, side), np.float32)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("preset", PRESETS)
def test_they_are_painted_on_and_restored(film, rng, preset, threads):
    template, frames = person(film, preset)
    outputs = outputs_of(rng, preset)
    want = made(film, outputs, preset)
    with Compositor(template, threads=threads) as compositor:
        for _ in range(3):
            with compositor.composite(outputs, range(COUNT)) as lent:
                for i, frame in enumerate(lent):
                    assert frame.array.tobytes() == want[i]
                    assert np.shares_memory(frame.array, frames[i])
                    assert not frame.array.flags.writeable
                assert not np.array_equal(frames[0], film[0])
                del frame
            for now, then in zip(frames, film, strict=True):
                assert np.array_equal(now, then)
        assert compositor.stats().in_place == 3 * COUNT
        assert compositor.pool.stats().misses == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_nobody_sees_the_mouth_of_another_frame(film, rng, preset):
    """While frames are lent: further holders, other formats, and the template's own pictures."""
    template, frames = person(film, preset)
    outputs = outputs_of(rng, preset)
    want = {format: made(film, 1 - outputs, preset, format) for format in ("bgr24", *OTHERS)}
    with Compositor(template, threads=2) as compositor:
        first = compositor.composite(outputs, range(COUNT))
        kept = [frame.array.tobytes() for frame in first]
        for format in want:
            lent = compositor.composite(1 - outputs, range(COUNT), format=format)
            assert [frame.array.tobytes() for frame in lent] == want[format], format
        for i, then in enumerate(film):
            assert np.array_equal(template.bgr24(i), then)
        room = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        assert template.bgr24(0, room) is room
        again = pickle.loads(pickle.dumps(template))
        assert np.array_equal(again.bgr24(0), film[0])
        assert [frame.array.tobytes() for frame in first] == kept
        first.release()
        assert np.array_equal(frames[0], film[0])
        hidden = compositor.composite(outputs, range(COUNT), alphas=[0] * COUNT)
        assert [frame.array.tobytes() for frame in hidden] == [f.tobytes() for f in film]


def test_a_view_keeps_a_frame_lent(film, rng):
    template, frames = person(film)
    with Compositor(template) as compositor:
        with compositor.composite(outputs_of(rng)[:1], [0]) as lent:
            mouth = lent[0].array[30:96, 50:120]
            before = mouth.copy()
        assert np.array_equal(mouth, before)
        del mouth
        assert np.array_equal(frames[0], film[0])


def test_compositors_of_one_person_take_turns(film, rng):
    template, frames = person(film)
    outputs = outputs_of(rng)
    want = [made(film, o) for o in (outputs, 1 - outputs)]
    compositors = [Compositor(template), Compositor(template.looped("still"))]
    lent = [
        compositor.composite(o, range(COUNT))
        for compositor, o in zip(compositors, (outputs, 1 - outputs), strict=True)
    ]
    for got, right in zip(lent, want, strict=True):
        assert [frame.array.tobytes() for frame in got] == right
    assert compositors[0].stats().in_place == COUNT
    assert compositors[1].stats().in_place == 0
    for frames_of_one in lent:
        frames_of_one.release()
    assert all(np.array_equal(a, b) for a, b in zip(frames, film, strict=True))


def test_threads_paint_on_the_same_frames(film, rng):
    template, frames = person(film, "wav2lip384")
    drawn = [outputs_of(rng, "wav2lip384") for _ in range(3)]
    want = {
        (k, format): made(film, o, "wav2lip384", format)
        for k, o in enumerate(drawn)
        for format in ("bgr24", "rgb24", "i420")
    }
    errors = []

    def work(k, compositor):
        for turn in range(60):
            format = ("bgr24", "bgr24", "rgb24", "i420")[(turn + k) % 4]
            lent = compositor.composite(drawn[k], range(COUNT), format=format)
            if [frame.array.tobytes() for frame in lent] != want[k, format]:
                errors.append((k, turn, format))

    with Compositor(template, threads=2, background_limit=0) as compositor:
        threads = [threading.Thread(target=work, args=(k, compositor)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert all(np.array_equal(a, b) for a, b in zip(frames, film, strict=True))


def test_frames_that_cannot_be_painted_on_are_refused(film):
    locked = film[1].copy()
    locked.flags.writeable = False
    block = np.zeros((HEIGHT, WIDTH + 5, 3), np.uint8)
    long = np.zeros((HEIGHT + 1, WIDTH, 3), np.uint8)
    for frames, error, says in [
        ([film[0], locked], InputError, "frame 1 must be writable .* leave owned out"),
        ([film[0], block[:, :WIDTH]], LayoutError, "frame 1 must be contiguous to be painted on"),
        ([film[0], film[1], film[0]], InputError, "frame 2 must not share memory with frame 0"),
        ([long[1:], long[:-1]], InputError, "frame 1 must not share memory with frame 0"),
    ]:
        with pytest.raises(error, match=says):
            Template.from_arrays(frames, RECTS[0], preset="wav2lip96", owned=True)
        Template.from_arrays(frames, RECTS[0], preset="wav2lip96")


def test_one_array_of_all_frames_can_be_owned(film, rng):
    block = np.stack(film)
    template = Template.from_arrays(block, RECTS, preset="wav2lip96", owned=True)
    outputs = outputs_of(rng)
    with Compositor(template) as compositor:
        lent = compositor.composite(outputs, range(COUNT))
        assert [frame.array.tobytes() for frame in lent] == made(film, outputs)
        assert all(np.shares_memory(frame.array, block) for frame in lent)
        del lent
    assert np.array_equal(block, np.stack(film))
