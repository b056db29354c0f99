"""Stand-ins for a CUDA device: its runtime, a session on it, a generator that takes it for real."""

import ctypes
import threading

import onnxruntime as ort

from lipsync_fast.nets.devices import Device
from lipsync_fast.nets.resident import ResidentGenerator


class Copies:
    """Stands for the CUDA runtime: "device" memory is this process's."""

    def __init__(self):
        self.waits = self.copies = 0
        self._register = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint
        )(lambda address, size, flags: 0)
        self._release = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda address: 0)

    @property
    def pinning(self):
        both = self._register, self._release
        return tuple(ctypes.cast(f, ctypes.c_void_p).value for f in both)

    def wait(self):
        self.waits += 1

    def copy_to_host(self, address, out):
        self.copies += 1
        ctypes.memmove(out.ctypes.data, address, out.nbytes)


class Session:
    """A session that notes who runs it, with which graph, and on which memory."""

    def __init__(self, session, room=99):
        self._session, self.room = session, room
        self.runs, self.threads = [], set()

    def __getattr__(self, name):
        return getattr(self._session, name)

    def get_provider_options(self):
        return {"CUDAExecutionProvider": {"device_id": "0", "enable_cuda_graph": "1"}}

    def io_binding(self):
        return ort.IOBinding(self._session)

    def run_with_iobinding(self, binding, options):
        self.threads.add(threading.get_ident())
        graph = options.get_run_config_entry("gpu_graph_id")
        self._session.run_with_iobinding(binding, options)
        (shape,) = [value.shape() for value in binding.get_outputs()]
        if shape[0] > self.room:
            raise RuntimeError("CUDA failure 2: out of memory")
        self.runs.append((int(graph), shape[0]))


class OnDevice(ResidentGenerator):
    """A resident generator that takes itself to be on a device."""

    room = 99

    def _open(self, providers, threads):
        return Session(super()._open(["cpu"], 1), self.room)

    on_cpu = property(lambda self: False)
    device = property(lambda self: Device.of("cuda:0"))
    place = property(lambda self: ("cpu", 0))
