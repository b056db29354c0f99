"""Many speeches: no more threads than the devices own, and every frame as it is alone."""

import os
import threading

import pytest

pytest.importorskip("onnxruntime")
from tests.support.small_person import nothing_is_lent, open_pipeline, photos, speech
from tests.support.small_person import write_template as write


@pytest.fixture
def pipeline(tmp_path, rng):
    with open_pipeline(write(tmp_path / "anna", photos(rng)), tmp_path / "net.onnx") as opened:
        yield opened


class Threads:
    """The threads that came since this was made, callers apart."""

    def __init__(self):
        self.before, self.callers = set(threading.enumerate()), set()
        self.seen = set()

    def look(self):
        self.seen |= set(threading.enumerate()) - self.before - self.callers

    def only_the_devices_own(self):
        names = {thread.name for thread in self.seen}
        own = {name for name in names if name.startswith(("lipsync-cpu", "lipsync-compositor"))}
        most = (os.cpu_count() or 1) + 8  # of the device, and of the compositor
        return names == own and len(self.seen) <= most


def frames_of(pipeline, seconds, threads):
    made = []
    for frame in pipeline.frames(speech(seconds), format="i420"):
        threads.look()
        with frame:
            made.append(frame.array.tobytes())
    return made


def test_one_after_the_other(pipeline):
    threads = Threads()
    want = frames_of(pipeline, 0.5, threads)
    for _ in range(49):
        assert frames_of(pipeline, 0.5, threads) == want
    assert threads.seen, "the device has threads"
    assert threads.only_the_devices_own()
    assert nothing_is_lent(pipeline)


def test_side_by_side(pipeline):
    threads = Threads()
    want = frames_of(pipeline, 1.0, threads)
    wrong = []

    def speak():
        if frames_of(pipeline, 1.0, threads) != want:
            wrong.append(threading.current_thread().name)

    callers = [threading.Thread(target=speak) for _ in range(20)]
    threads.callers.update(callers)
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert threads.only_the_devices_own()
    assert nothing_is_lent(pipeline)
    assert pipeline.generator.device.load == 0
