"""The CUDA driver and runtime through ctypes, without any CUDA package."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from numpy.typing import NDArray

from ..errors import ModelError

__all__ = [
    "DEVICE_GATE",
    "CudaDevice",
    "CudaRuntime",
    "cudnn_version",
    "devices",
    "driver_cuda_version",
    "driver_version",
    "load_runtime",
    "loads",
]

_WINDOWS = sys.platform == "win32"
_MAJORS = (13, 12)  # versions of the CUDA runtime that ONNX Runtime is built for, newest first
_DEVICE_TO_HOST = 2  # cudaMemcpyKind


@dataclass(frozen=True)
class CudaDevice:
    """A GPU as the driver describes it.

    Attributes
    ----------
    number : int
    name : str
    memory : int
        Bytes.
    """

    number: int
    name: str
    memory: int


def loads(*names: str) -> Any | None:
    """Return the first library that loads, or None."""
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _driver() -> Any | None:
    return loads("nvcuda.dll" if _WINDOWS else "libcuda.so.1")


def devices() -> list[CudaDevice]:
    """Return the GPUs that the driver knows; empty without a driver.

    Does not ask ONNX Runtime, which prints an error where there is no GPU.
    """
    driver, count = _driver(), ctypes.c_int(0)
    try:
        if driver is None or driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return []
        return [_device(driver, number) for number in range(count.value)]
    except AttributeError:  # another library of the same name
        return []


def _device(driver: Any, number: int) -> CudaDevice:
    handle, name, size = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    driver.cuDeviceGet(ctypes.byref(handle), number)
    driver.cuDeviceGetName(name, len(name), handle)
    driver.cuDeviceTotalMem_v2(ctypes.byref(size), handle)
    return CudaDevice(number, name.value.decode("utf-8", "replace"), size.value)


def driver_version() -> str | None:
    """Return the version of the kernel's driver, e.g. "580.65.06"; None without one."""
    library = loads("nvml.dll" if _WINDOWS else "libnvidia-ml.so.1")
    text = ctypes.create_string_buffer(96)
    try:
        if library is None or library.nvmlInit_v2():
            return None
        failed = library.nvmlSystemGetDriverVersion(text, len(text))
        library.nvmlShutdown()
    except AttributeError:
        return None
    return None if failed else text.value.decode("ascii", "replace")


def driver_cuda_version() -> str | None:
    """Return the newest CUDA that the driver runs, e.g. "13.0"; None without a driver."""
    driver, version = _driver(), ctypes.c_int(0)
    try:
        if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)):
            return None
    except AttributeError:
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def cudnn_version() -> str | None:
    """Return the version of the cuDNN that loads, e.g. "9.10.2"; None without one."""
    library = loads("cudnn64_9.dll" if _WINDOWS else "libcudnn.so.9")
    if library is None:
        return None
    library.cudnnGetVersion.restype = ctypes.c_size_t
    number = int(library.cudnnGetVersion())
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


# ---- the CUDA runtime ------------------------------------------------------------------------


class CudaRuntime:
    """Calls of libcudart that ONNX Runtime does not offer in Python; threads may share it."""

    def __init__(self, library: Any) -> None:
        self._library = library

    @property
    def version(self) -> str:
        """The runtime's version, e.g. "13.0"."""
        version = ctypes.c_int(0)
        self._library.cudaRuntimeGetVersion(ctypes.byref(version))
        return f"{version.value // 1000}.{version.value % 1000 // 10}"

    @property
    def pinning(self) -> tuple[int, int]:
        """Addresses of the C functions that register and release memory as pinned."""
        named = (self._library.cudaHostRegister, self._library.cudaHostUnregister)
        first, second = (ctypes.cast(call, ctypes.c_void_p).value or 0 for call in named)
        return first, second

    def wait(self) -> None:
        """Wait until copied inputs have arrived; graphs run on another stream."""
        self._check(self._library.cudaStreamSynchronize(None), "waiting for the device")

    def copy_to_host(self, address: int, out: NDArray[Any]) -> None:
        """Fill a contiguous array from device memory, and return once it is full."""
        size = ctypes.c_size_t(out.nbytes)
        source, target = ctypes.c_void_p(address), ctypes.c_void_p(out.ctypes.data)
        failed = self._library.cudaMemcpy(target, source, size, _DEVICE_TO_HOST)
        self._check(failed, "copying pictures from the device")

    def _check(self, code: int, what: str) -> None:
        if code:
            raise ModelError(f"{what} failed with CUDA error {code}; check the driver's log")


@cache
def load_runtime() -> CudaRuntime | None:
    """Return the CUDA runtime that `preload_dlls` has loaded into this process, or None."""
    names = [f"cudart64_{m}.dll" if _WINDOWS else f"libcudart.so.{m}" for m in _MAJORS]
    library = loads(*names)
    return None if library is None else CudaRuntime(library)


# ---- captures -------------------------------------------------------------------


class DeviceGate:
    """A lock that keeps captures of CUDA graphs apart from all other work on devices.

    Threads may share it. ONNX Runtime captures in the global mode: if any other thread of the
    process allocates or copies meanwhile, both the capture and that call fail.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = self._waiting = 0
        self._capturing = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Enter for work on a device; waits until no capture is under way."""
        with self._changed:
            # Let a waiting capture go first: steady work would keep it waiting for ever.
            self._changed.wait_for(lambda: not self._capturing and not self._waiting)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Enter for a capture; waits until all work has ended, and holds off new work."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._capturing and not self._working)
            self._waiting -= 1
            self._capturing = True
        try:
            yield
        finally:
            with self._changed:
                self._capturing = False
                self._changed.notify_all()


DEVICE_GATE = DeviceGate()
