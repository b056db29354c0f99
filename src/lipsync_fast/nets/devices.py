"""The devices of this process: the load of each, and the threads that work for it."""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ..memory.once import OneShot

__all__ = ["Device", "least_busy"]


class _Threads:
    """Daemon threads that run calls in order of submission, started when needed.

    Not an executor of `concurrent.futures`: those finish all queued calls before the
    interpreter may end.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Future[Any], OneShot]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, work: OneShot) -> Future[Any]:
        future: Future[Any] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError(f"{self._name}: the interpreter is ending")
            self._waiting.append((future, work))
            if self._idle < len(self._waiting) and len(self._threads) < self._most:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            else:
                self._changed.notify()
        return future

    def holds_this_thread(self) -> bool:
        return threading.current_thread() in self._threads

    def close(self) -> None:
        """Cancel the calls that have not started, and wait for those under way."""
        with self._changed:
            self._closed = True
            waiting = [future for future, _ in self._waiting]
            self._waiting.clear()
            self._changed.notify_all()
        for future in waiting:
            future.cancel()
            future.set_running_or_notify_cancel()
        # ONNX Runtime aborts the process if its call returns to an interpreter that is gone.
        for thread in self._threads:
            thread.join()

    def _next(self) -> tuple[Future[Any], OneShot] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._idle -= 1
            return self._waiting.popleft() if self._waiting else None

    def _work(self) -> None:
        while (following := self._next()) is not None:
            future, work = following
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del following, future, work  # an idle thread must not keep a result's pictures alive


class Device:
    """A place where models run: the CPU or one GPU, one object each in a process.

    Get it from `Device.of`. Threads may share a device. After a fork, the child has the same
    devices with new threads and nothing under way.

    Attributes
    ----------
    name : str
        ``"cpu"``, ``"cuda:0"``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._reset()

    @staticmethod
    def of(name: str) -> Device:
        """Return the device of this name, always the same object.

        Parameters
        ----------
        name : str
            ``"cpu"``, or a kind and a number: ``"cuda:0"``.
        """
        with _registry.lock:
            if name not in _registry.devices:
                _registry.devices[name] = Device(name)
            return _registry.devices[name]

    def __repr__(self) -> str:
        return f"<Device {self.name}, {self.load} frames under way>"

    def __reduce__(self) -> tuple[Callable[[str], Device], tuple[str]]:
        return Device.of, (self.name,)

    @property
    def load(self) -> int:
        """Number of frames under way on the device in this whole process."""
        return self._loads.frames

    @contextmanager
    def busy(self, frames: int) -> Iterator[None]:
        """Count frames as under way until the block ends."""
        loads = self._loads
        with loads.lock:
            loads.frames += frames
        try:
            yield
        finally:
            if loads is self._loads:  # otherwise this is a forked child, which counts anew
                with loads.lock:
                    loads.frames -= frames

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a call on a thread of the device.

        A GPU has one thread, the CPU has one for each core; calls start in order of submission.
        When the interpreter ends, calls that have not started are cancelled.

        Parameters
        ----------
        call : callable
        arguments
            Its arguments; released as soon as the result is known.

        Returns
        -------
        Future
        """
        return self._threads.submit(OneShot(call, *arguments))

    def run(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run a call on a thread of the device and return its result.

        On a thread of the device, the call runs at once, so that calls may be nested.
        """
        if self._threads.holds_this_thread():
            return call(*arguments)
        return self.submit(call, *arguments).result()

    def _reset(self) -> None:
        cores = os.cpu_count() or 1
        self._loads = _Loads()
        self._threads = _Threads(f"lipsync-{self.name}", cores if self.name == "cpu" else 1)


class _Loads:
    __slots__ = ("frames", "lock")

    def __init__(self) -> None:
        self.frames, self.lock = 0, threading.Lock()


class _Registry:
    """The devices of the process, and which generator's turn it is."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.reset()

    def reset(self) -> None:
        """Start anew after a fork, in which locks that other threads held stay locked."""
        self.lock, self.turn = threading.Lock(), threading.Lock()
        self.turns = itertools.count(1)
        self.last: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        for device in self.devices.values():
            device._reset()

    def close(self) -> None:
        with self.lock:
            devices = list(self.devices.values())
        for device in devices:
            device._threads.close()


_registry = _Registry()
atexit.register(_registry.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.reset)


class _Placed(Protocol):
    @property
    def device(self) -> Device: ...


Placed = TypeVar("Placed", bound=_Placed)


def least_busy(generators: Sequence[Placed]) -> Placed:
    """Return the generator whose device has the fewest frames under way.

    Devices of equal load, and generators of one device, take turns.

    Parameters
    ----------
    generators : sequence of generators
        At least one.
    """
    with _registry.turn:
        last = _registry.last
        chosen = min(
            generators,
            key=lambda g: (g.device.load, last.get(g.device, 0), last.get(g, 0)),
        )
        last[chosen.device] = last[chosen] = next(_registry.turns)
        return chosen
