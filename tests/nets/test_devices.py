"""Devices of a process: one object each, its load, its threads, and the turns of generators."""

import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref

import pytest

from lipsync_fast.nets.devices import Device, least_busy

WAIT = 30  # seconds; no test waits for them unless it fails


class Fake:
    """A generator that says where it runs."""

    def __init__(self, name):
        self.device = Device.of(name)


def test_a_place_is_one_object():
    one = Device.of("cuda:40")
    assert one is Device.of("cuda:40")
    assert one is not Device.of("cuda:41")
    assert one.name == "cuda:40"
    assert pickle.loads(pickle.dumps(one)) is one


def test_load_is_that_of_all_blocks():
    device = Device.of("cuda:42")
    with device.busy(3), Device.of("cuda:42").busy(4):
        assert device.load == 7
    with pytest.raises(KeyError), device.busy(5):
        raise KeyError
    assert device.load == 0


def test_the_least_busy_device_is_chosen():
    one, two = Fake("cuda:43"), Fake("cuda:44")
    with one.device.busy(1):
        assert [least_busy([one, two]) for _ in range(3)] == [two] * 3
        with two.device.busy(2):
            assert least_busy([one, two]) is one


def test_equals_take_turns():
    three = [Fake(f"cuda:{n}") for n in (45, 46, 47)]
    assert [least_busy(three) for _ in range(6)] == three * 2
    same = [Fake("cuda:48"), Fake("cuda:48")]
    assert [least_busy(same) for _ in range(4)] == same * 2


def test_two_owners_of_two_devices_pick_different_ones():
    """Each has its own generators, but sees the other's frames under way."""
    anna, bert = [[Fake("cuda:49"), Fake("cuda:50")] for _ in range(2)]
    first = least_busy(anna)
    with first.device.busy(8):
        second = least_busy(bert)
        assert second.device is not first.device


def test_a_gpu_has_one_thread():
    device, inside = Device.of("cuda:51"), []

    def call():
        inside.append(threading.get_ident())
        return device.run(threading.get_ident)  # a call within a call

    futures = [device.submit(call) for _ in range(20)]
    found = {future.result(WAIT) for future in futures}
    assert found == set(inside)
    assert len(found) == 1
    assert threading.get_ident() not in found


def test_the_cpu_has_a_thread_a_core(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    device = Device("cpu")
    together = threading.Barrier(3)
    futures = [device.submit(together.wait, WAIT) for _ in range(6)]
    assert sorted(future.result(WAIT) for future in futures) == [0, 0, 1, 1, 2, 2]
    assert len(device._threads._threads) == 3
    device._threads.close()


def test_errors_come_back():
    future = Device.of("cuda:52").submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        future.result(WAIT)


def test_an_idle_thread_holds_nothing():
    class Picture:
        pass

    device = Device.of("cuda:53")
    given = Picture()
    gone = [weakref.ref(given)]

    def call(picture):
        made = Picture()
        gone.append(weakref.ref(made))
        return made

    device.submit(call, given).result(WAIT)
    device.submit(int).result(WAIT)  # its thread has let go of the call before
    del given
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_what_waits_can_be_cancelled():
    device, begun, end = Device.of("cuda:54"), threading.Event(), threading.Event()

    def call():
        begun.set()
        return end.wait(WAIT)

    first, second = device.submit(call), device.submit(int)
    assert begun.wait(WAIT)
    assert second.cancel()
    end.set()
    assert first.result(WAIT)


ENDS = """
import threading
from lipsync_fast.nets.devices import Device
device, begun, end = Device.of("cuda:0"), threading.Event(), threading.Event()
def call():
    begun.set()
    end.wait({wait})
    print("ran")
device.submit(call)
waiting = [device.submit(print, "late") for _ in range(3)]
waiting[-1].add_done_callback(lambda future: (print("cancelled", future.cancelled()), end.set()))
begun.wait({wait})
"""


def test_the_interpreter_ends_after_the_calls_under_way():
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(wait=WAIT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * WAIT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "cancelled True\nran\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_has_devices_of_its_own():
    code = """
import os
from lipsync_fast.nets.devices import Device, least_busy
device = Device.of("cpu")
device.submit(int).result(30)
with device.busy(5):
    child = os.fork()
    if child == 0:
        assert Device.of("cpu") is device
        assert device.load == 0
        assert device.submit(os.getpid).result(30) == os.getpid()
        with device.busy(2):
            assert device.load == 2
if child == 0:
    assert device.load == 0
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=2 * WAIT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_threads_share_the_count():
    device, rounds = Device.of("cuda:55"), 200

    def work():
        for frames in range(rounds):
            with device.busy(frames):
                assert device.load >= frames

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert device.load == 0


def test_generators_of_one_device_share_its_load(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from tests.support.nets import tiny_generator
    from tests.support.person import frames_of, template_of, windows_of

    from lipsync_fast.nets.generator import Generator
    from lipsync_fast.pipeline.pipeline import Pipeline
    from lipsync_fast.presets import get_preset

    preset = get_preset("wav2lip96")
    path, loads = tiny_generator(tmp_path / "net.onnx", preset), []
    shared = Generator(path, providers=["cpu"])
    shared.device = Device.of("cuda:56")
    real = shared.draw

    def draw(*arguments, **named):
        loads.append(shared.device.load)
        if len(loads) == 1:  # the other pipeline, while this one's request is under way
            frames_of(other, windows_of(preset, 2))
        return real(*arguments, **named)

    shared.draw = draw
    with (
        Pipeline(template_of(preset), shared) as one,
        Pipeline(template_of(preset), shared) as other,
    ):
        assert one.generator is other.generator is shared
        frames_of(one, windows_of(preset, 2))
    assert loads == [2, 4]
    assert shared.device.load == 0
