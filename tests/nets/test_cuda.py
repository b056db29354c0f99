"""The CUDA driver and runtime, on stand-ins for their libraries."""

import ctypes
import threading
import time

import numpy as np
import pytest

from lipsync_fast.errors import ModelError
from lipsync_fast.nets import cuda


def fill(pointer, value):
    pointer._obj.value = value
    return 0


class Driver:
    """Two devices, a driver for CUDA 13.0."""

    def __init__(self, code=0):
        self.code = code

    def cuInit(self, flags):
        return self.code

    def cuDeviceGetCount(self, count):
        return fill(count, 2)

    def cuDeviceGet(self, handle, number):
        return fill(handle, 40 + number)

    def cuDeviceGetName(self, text, size, handle):
        text.value = f"Device {handle.value}".encode()
        return 0

    def cuDeviceTotalMem_v2(self, size, handle):
        return fill(size, 80 << 30)

    def cuDriverGetVersion(self, version):
        return fill(version, 13010)


class Runtime:
    """Copies within this process's memory."""

    def __init__(self):
        self.waited = 0

    def cudaRuntimeGetVersion(self, version):
        return fill(version, 13000)

    def cudaStreamSynchronize(self, stream):
        self.waited += 1
        return 0

    def cudaMemcpy(self, target, source, size, kind):
        assert kind == 2
        ctypes.memmove(target, source, size.value)
        return 0


def test_devices(monkeypatch):
    monkeypatch.setattr(cuda, "loads", lambda *names: Driver())
    assert cuda.devices() == [
        cuda.CudaDevice(0, "Device 40", 80 << 30),
        cuda.CudaDevice(1, "Device 41", 80 << 30),
    ]
    assert cuda.driver_cuda_version() == "13.1"


@pytest.mark.parametrize("library", [None, object(), Driver(code=100)])
def test_no_driver_no_devices(monkeypatch, library):
    """Also if a library of the same name lacks its functions, or refuses."""
    monkeypatch.setattr(cuda, "loads", lambda *names: library)
    assert cuda.devices() == []
    if not isinstance(library, Driver):
        assert cuda.driver_cuda_version() is None
        assert cuda.driver_version() is None


def test_the_drivers_own_version(monkeypatch):
    class Management:
        def nvmlInit_v2(self):
            return 0

        def nvmlSystemGetDriverVersion(self, text, size):
            text.value = b"580.65.06"
            return 0

        def nvmlShutdown(self):
            return 0

    monkeypatch.setattr(cuda, "loads", lambda *names: Management())
    assert cuda.driver_version() == "580.65.06"


def test_cudnn(monkeypatch):
    class Cudnn:
        class cudnnGetVersion:
            restype = None

            def __new__(cls):
                return 91002

    monkeypatch.setattr(cuda, "loads", lambda *names: Cudnn())
    assert cuda.cudnn_version() == "9.10.2"
    monkeypatch.setattr(cuda, "loads", lambda *names: None)
    assert cuda.cudnn_version() is None


def test_libraries_that_are_not_here():
    assert cuda.loads("libno_such_library_at_all.so.9") is None


def test_the_runtime(rng):
    library = Runtime()
    runtime = cuda.CudaRuntime(library)
    assert runtime.version == "13.0"
    source, out = rng.integers(0, 256, 5000, np.uint8), np.zeros(5000, np.uint8)
    runtime.copy_to_host(source.ctypes.data, out)
    assert (out == source).all()
    runtime.wait()
    assert library.waited == 1
    library.cudaMemcpy = lambda *arguments: 700
    with pytest.raises(ModelError, match=r"copying pictures .* CUDA error 700"):
        runtime.copy_to_host(source.ctypes.data, out)


def test_the_pinning_functions_are_those_of_the_library():
    class Library:
        kinds = ctypes.c_int, ctypes.c_void_p
        cudaHostRegister = ctypes.CFUNCTYPE(*kinds)(lambda address: 0)
        cudaHostUnregister = ctypes.CFUNCTYPE(*kinds)(lambda address: 0)

    first, second = cuda.CudaRuntime(Library).pinning
    assert first == ctypes.cast(Library.cudaHostRegister, ctypes.c_void_p).value
    assert second == ctypes.cast(Library.cudaHostUnregister, ctypes.c_void_p).value


# ---- captures -------------------------------------------------------------------------------


def test_captures_are_alone():
    captures, inside, wrong = cuda.DeviceGate(), [], []
    lock = threading.Lock()

    def act(mine, keep):
        with keep():
            with lock:
                inside.append(mine)
                if "capture" in inside and len(inside) > 1:
                    wrong.append(list(inside))
            time.sleep(0.0002)
            with lock:
                inside.remove(mine)

    def work():
        for _ in range(100):
            act("work", captures.shared)

    def capture():
        for _ in range(30):
            act("capture", captures.exclusive)

    threads = [threading.Thread(target=t) for t in (work, work, work, capture, capture)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert not inside


def test_work_runs_side_by_side():
    captures, both = cuda.DeviceGate(), threading.Barrier(2, timeout=30)

    def work():
        with captures.shared():
            both.wait()  # passed only if the other one is inside as well

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken


def test_a_failed_capture_lets_work_go_on():
    captures = cuda.DeviceGate()
    with pytest.raises(ModelError), captures.exclusive():
        raise ModelError("no")
    with captures.shared():
        pass
