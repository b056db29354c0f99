"""A request's frames shared by threads: whoever fails, all have ended and the error is raised."""

import threading

import numpy as np
import pytest
from tests.support.jpeg_tools import photo

from lipsync_fast.compositing import Compositor, _finish
from lipsync_fast.compositing.threads import Threads
from lipsync_fast.errors import InputError
from lipsync_fast.templates.template import Template

WAIT = 60  # seconds; nobody waits that long unless something is wrong


@pytest.fixture
def compositor(rng):
    template = Template.from_arrays([photo(rng, 96, 128)], (20, 20, 50, 48), preset="wav2lip96")
    with Compositor(template, threads=3) as made:
        yield made


@pytest.fixture
def outputs(rng):
    return rng.random((6, 3, 96, 96), np.float32)


@pytest.mark.parametrize("small", range(6))
def test_an_error_of_any_frame_is_raised(compositor, outputs, small):
    """Of the caller's own run (the first frames) and of the others."""
    out = [np.empty(1 << 16, np.uint8) for _ in range(6)]
    out[small] = out[small][:1000]
    with pytest.raises(InputError, match=rf"out\[{small}\] is too small for its JPEG"):
        compositor.composite_into(out, outputs, [0] * 6, format="jpeg")
    assert compositor.stats().frames == 0
    out[small] = np.empty(1 << 16, np.uint8)
    compositor.composite_into(out, outputs, [0] * 6, format="jpeg")


def test_nothing_is_written_once_an_error_is_raised(compositor, outputs, monkeypatch):
    """The caller's own run fails at once, while another one has only begun."""
    failed, ended, finish = threading.Event(), [], _finish.finish

    def slow(worker, drawn, indices, targets, first, last, *rest):
        if first == 0:
            failed.set()
            raise InputError("no room")
        assert failed.wait(WAIT)
        threading.Event().wait(0.05)
        finish(worker, drawn, indices, targets, first, last, *rest)
        ended.append(first)

    monkeypatch.setattr(_finish, "finish", slow)
    with pytest.raises(InputError, match="no room"):
        compositor.composite(outputs, [0] * 6)
    assert sorted(ended) == [2, 4]
    monkeypatch.undo()
    assert compositor.pool.stats().lent == 0
    assert len(compositor.composite(outputs, [0] * 6)) == 6


def test_the_own_error_comes_before_others():
    team = Threads(3)
    try:

        def fail(first, last):
            raise ValueError(f"from {first}")

        with pytest.raises(ValueError, match="from 0"):
            team.share(9, fail)
        done = []
        team.share(9, lambda first, last: done.extend(range(first, last)))
        assert sorted(done) == list(range(9))
    finally:
        team.close()
    team.share(2, lambda first, last: done.append(first))  # by the caller alone
    assert done[9:] == [0, 1]
