"""Leaving a speech early: it waits for nothing, and everything comes back."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Future

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
from tests.support.small_person import nothing_is_lent, open_pipeline, photos, speech
from tests.support.small_person import write_template as write

from lipsync_fast.nets.devices import Device

WAIT = 60  # seconds after which a test gives up


@pytest.fixture
def pipeline(tmp_path, rng):
    with open_pipeline(write(tmp_path / "anna", photos(rng)), tmp_path / "net.onnx") as opened:
        yield opened


class SlowModel:
    """Holds every request but the first ones in the model until `go` is set."""

    def __init__(self, pipeline, monkeypatch, quick=1):
        self.entered, self.go = threading.Event(), threading.Event()
        self.running, self.quick = 0, quick
        self.draw = pipeline.inference._draw
        monkeypatch.setattr(pipeline.inference, "_draw", self)

    def __call__(self, job):
        self.quick -= 1
        if self.quick < 0:
            self.running += 1
            self.entered.set()
            assert self.go.wait(WAIT)
            self.running -= 1
        return self.draw(job)


def by_close(frames):
    frames.close()


def by_break(frames):
    for _ in frames:
        break
    del frames


def by_error(frames):
    def fail(frames):
        for _ in frames:
            raise KeyError

    with pytest.raises(KeyError):
        fail(frames)


def by_collection(frames):
    ring = [frames]
    ring.append(ring)
    del frames, ring
    gc.collect()


def test_leaving_cancels_the_request_that_has_not_begun(pipeline, monkeypatch):
    submitted, submit = [], Device.submit

    def second_waits(device, call, *arguments):
        future = Future() if submitted else submit(device, call, *arguments)
        submitted.append(future)
        return future

    monkeypatch.setattr(Device, "submit", second_waits)
    frames = pipeline.frames(speech())
    next(frames).release()
    assert len(submitted) == 2
    assert pipeline.generator.device.load > 0
    frames.close()
    assert submitted[1].cancelled()
    assert pipeline.generator.device.load == 0


def test_a_request_is_let_go_as_soon_as_it_is_used(pipeline, monkeypatch):
    """Its features once it is submitted, its outputs once finished, its frames once yielded."""
    submitted, submit = 0, Device.submit

    def until_lent(most):
        end = time.monotonic() + WAIT  # a thread of the device lets go a moment later
        while pipeline.pool.stats().lent > most:
            assert time.monotonic() < end
            time.sleep(0.001)

    def third_waits(device, call, *arguments):
        nonlocal submitted
        submitted += 1
        if submitted < 3:
            return submit(device, call, *arguments)
        until_lent(2)  # outputs of the second, features of the third
        return Future()

    monkeypatch.setattr(Device, "submit", third_waits)
    frames = pipeline.frames(speech(), format="rgba", request=4)
    for _ in range(4):
        next(frames)
    assert submitted == 2
    next(frames)
    assert submitted == 3
    until_lent(4)  # frames of the second
    frames.close()
    until_lent(0)


@pytest.mark.parametrize("leave", [by_close, by_break, by_error, by_collection])
def test_leaving_does_not_wait_for_the_model(pipeline, monkeypatch, leave):
    model = SlowModel(pipeline, monkeypatch)
    device = pipeline.generator.device

    def speak():
        frames = pipeline.frames(speech())
        with next(frames):
            assert model.entered.wait(WAIT)
        leave(frames)

    speak()
    assert model.running == 1, "it waited until the model was done"
    assert device.load > 0
    model.go.set()
    assert nothing_is_lent(pipeline)
    assert device.load == 0
    assert len(list(pipeline.frames(speech()))) == 50


@pytest.mark.skipif(sys.platform == "win32", reason="signals interrupt no waiting thread there")
def test_ctrl_c_does_not_wait_for_the_model(pipeline, monkeypatch):
    model = SlowModel(pipeline, monkeypatch)
    frames = pipeline.frames(speech())

    def interrupt():
        assert model.entered.wait(WAIT)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(frames)
    assert model.running == 1, "it waited until the model was done"
    thread.join()
    model.go.set()
    assert nothing_is_lent(pipeline)
    assert next(frames, None) is None


def test_the_sound_is_read_in_the_callers_thread(pipeline):
    """So that no thread can be left waiting for it."""
    threads = set()

    def microphone():
        for chunk in np.split(speech(), 50):
            threads.add(threading.current_thread())
            yield chunk

    assert len(list(pipeline.frames(microphone()))) == 50
    assert threads == {threading.current_thread()}


def test_the_sound_is_let_go(pipeline):
    def microphone():
        while True:
            yield speech(0.5)

    sound = microphone()
    alive = weakref.ref(sound)
    frames = pipeline.frames(sound)
    del sound
    with next(frames):
        assert alive()
    frames.close()
    assert alive() is None
    assert nothing_is_lent(pipeline)


def test_ctrl_c_while_the_sound_is_read(pipeline):
    def microphone():
        yield speech(1.0)
        raise KeyboardInterrupt

    got = []
    with pytest.raises(KeyboardInterrupt):
        got.extend(frame.index for frame in pipeline.frames(microphone()))
    assert got == list(range(len(got)))
    assert nothing_is_lent(pipeline)


def test_frames_that_are_drawn_do_not_wait_for_more_sound(pipeline, monkeypatch):
    """Live speech: drawn frames come before the next chunk is waited for."""

    def submit(request):
        drawn = Future()
        drawn.set_result(pipeline.inference.run(request.features, request.start, request.alphas))
        return drawn

    monkeypatch.setattr(pipeline.inference, "submit", submit)
    got, shown = [], []

    def microphone():
        for chunk in np.split(speech(4.0), 20):
            shown.append(len(got))
            yield chunk

    for frame in pipeline.frames(microphone()):
        got.append(frame.index)
    heard = pipeline.listen()
    whole = [0]
    for chunk in np.split(speech(4.0), 20)[:-1]:
        whole.append(heard.push(chunk) // pipeline.request * pipeline.request)
    assert shown == whole


@pytest.mark.parametrize("started", [False, True])
def test_abandoned_speeches_hold_nothing(pipeline, started):
    for _ in range(20):
        frames = pipeline.frames(speech())
        if started:
            next(frames).release()
        del frames
    assert nothing_is_lent(pipeline)
    assert pipeline.generator.device.load == 0


# ---- a process that ends while its sound is waited for ------------------------------------------

CHILD = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from tests.support.small_person import open_pipeline, photos, speech, write_template

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
waits = threading.Event()

def microphone(pipe):
    yield speech()
    print("waiting", flush=True)
    waits.set()
    yield np.frombuffer(os.read(pipe, 4), np.float32)  # nobody ever speaks

def listen(pipeline):
    for frame in pipeline.frames(microphone(os.pipe()[0])):
        frame.release()

folder = write_template(Path("anna"), photos(np.random.default_rng(1)))
pipeline = open_pipeline(folder, Path("net.onnx"))
if sys.argv[1] == "exit":
    threading.Thread(target=listen, args=[pipeline], daemon=True).start()
    waits.wait()
    sys.exit(5)
try:
    listen(pipeline)
except KeyboardInterrupt:
    sys.exit(6)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals interrupt no read there")
@pytest.mark.parametrize(("how", "status"), [("interrupt", 6), ("exit", 5)])
def test_a_process_ends_while_its_sound_is_waited_for(tmp_path, how, status):
    paths = os.pathsep.join(filter(None, [*sys.path, os.getcwd()]))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, how],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    if how == "interrupt":
        child.send_signal(signal.SIGINT)
    try:
        assert child.wait(WAIT) == status
    finally:
        child.kill()
        child.communicate()
