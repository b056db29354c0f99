"""ONNX models on the first provider that really works, their arrays bound by address.

Inputs and outputs are the caller's contiguous arrays, so that ONNX Runtime reads and writes
them in place and a warm call allocates no block of 64 KiB.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..checks import check_type
from ..errors import FileMissingError, InputError, LayoutError, ModelError
from ..presets import shape_fits
from . import ort
from .cuda import DEVICE_GATE
from .devices import Device
from .file_kinds import advice_for
from .micro_batches import CPU_SIZES, MicroBatches
from .options import CPU, DeviceOptions, Provider, Tensor

__all__ = [
    "Net",
    "check_array",
    "check_model_file",
    "check_out",
    "has_fixed_shape",
    "shape_fits",
]

_log = logging.getLogger(__name__)


class Net:
    """An ONNX model, opened on the best provider that really works.

    Threads may share a model.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    providers : sequence, optional
        ONNX Runtime providers in order of preference: ``"cpu"``, ``"cuda"``, a full name such
        as ``"CUDAExecutionProvider"``, or a pair of name and options, e.g.
        ``("cuda", {"device_id": 1})``. By default CUDA where it works, else the CPU.
    threads : int, optional
        CPU threads of one run; by default the machine's cores.
    options : DeviceOptions, optional
        How it runs on a device.

    Attributes
    ----------
    path : Path
    provider : str
        The provider in use, as ONNX Runtime names it; also logged at INFO.
    inputs, outputs : dict of str to Tensor
        In the model's order.
    options : DeviceOptions
    device : Device
        Where it runs. TensorRT and CUDA run on the same devices: ``"cuda:0"``.

    Raises
    ------
    MissingExtraError
        ONNX Runtime is not installed.
    FileMissingError
        The file does not exist.
    ModelError
        The file is not an ONNX model, is damaged, or is too new for the installed ONNX Runtime; or
        a requested provider does not work.
    DeviceMemoryError
        The device has too little memory for the model.
    InputError
        A provider is unknown, or `threads` is below 1.
    ArgumentTypeError
        An argument has the wrong type.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        options: DeviceOptions | None = None,
    ) -> None:
        check_type("path of a model", path, str, Path)
        if options is not None:
            check_type("options", options, DeviceOptions)
        if providers is not None:
            check_type("providers", providers, Sequence)
        self.path = check_model_file(path)
        self.options = options or DeviceOptions()
        self._session = self._open(providers, threads)
        self.provider: str = self._session.get_providers()[0]
        self.inputs = {t.name: t for t in map(Tensor.of, self._session.get_inputs())}
        self.outputs = {t.name: t for t in map(Tensor.of, self._session.get_outputs())}
        _log.info("%s: running on %s", self.path, self.provider)

    def _open(self, providers: Sequence[Provider] | None, threads: int | None) -> Any:
        return ort.open_session(self.path, providers, threads, self.options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path.name} on {self.provider}>"

    @property
    def on_cpu(self) -> bool:
        """Tell whether the model runs on the CPU."""
        return self.provider == CPU

    @cached_property
    def device(self) -> Device:
        if self.on_cpu:
            return Device.of("cpu")
        options = self._session.get_provider_options().get(self.provider, {})
        kind = self.provider.removesuffix("ExecutionProvider").lower()
        kind = "cuda" if kind == "tensorrt" else kind
        return Device.of(f"{kind}:{options.get('device_id', self.options.device)}")

    @property
    def place(self) -> tuple[str, int]:
        """Kind and number of the memory it runs in, as ONNX Runtime names them."""
        return ("cpu", 0) if self.on_cpu else ("cuda", int(self.device.name.rpartition(":")[2]))

    @property
    def input_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Shape of each input; dynamic axes are names or None."""
        return {name: tensor.shape for name, tensor in self.inputs.items()}

    @property
    def output_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Shape of each output; dynamic axes are names or None."""
        return {name: tensor.shape for name, tensor in self.outputs.items()}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model once on arrays, and allocate its outputs.

        Parameters
        ----------
        feeds : mapping of str to array
            One array for each input of the model, of its shape and dtype.

        Returns
        -------
        dict of str to array
            Every output, fresh.

        Raises
        ------
        InputError
            Inputs are missing or unknown.
        ModelError
            The model refuses the arrays.
        DeviceMemoryError
            There is too little memory for the run.
        """
        if feeds.keys() != self.inputs.keys():
            raise InputError(
                f"{self.path}: needs the inputs {', '.join(self.inputs)}, got {', '.join(feeds)}"
            )
        try:
            with self._apart():
                values = self._session.run(None, dict(feeds))
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            failed = ort.run_error(self.path, 1, error)
            if isinstance(failed, ModelError):
                failed = ModelError(f"{self.path}: {ort.short_message(error)}")
            raise failed from error
        return dict(zip(self.outputs, values, strict=True))

    def _apart(self) -> AbstractContextManager[None]:
        """Return a context for work on a device, which waits until captures of graphs end."""
        return nullcontext() if self.on_cpu else DEVICE_GATE.shared()

    def _sizes(self, batch: int | None) -> MicroBatches:
        """Return the sizes of runs for a model with this batch axis on this device."""
        if batch is not None:
            return MicroBatches([batch])
        return MicroBatches(CPU_SIZES if self.on_cpu else self.options.sizes)

    def _run_bound(
        self,
        binding: Any,
        feeds: Mapping[str, NDArray[Any]],
        output: str,
        out: NDArray[Any],
        run_options: Any = None,
    ) -> None:
        """Run on the memory of contiguous arrays; `out` receives the one requested output."""
        for name, array in feeds.items():
            assert array.flags.c_contiguous, "a bound input would be read in the wrong order"
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        assert out.flags.c_contiguous
        assert out.flags.writeable
        binding.bind_output(output, "cpu", 0, out.dtype, out.shape, out.ctypes.data)
        try:
            with self._apart():
                self._session.run_with_iobinding(binding, run_options)
                if not self.on_cpu:
                    binding.synchronize_outputs()
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            raise ort.run_error(self.path, len(out), error) from error


def check_model_file(path: str | Path) -> Path:
    """Return the path of a model if it is a plain file.

    Raises
    ------
    FileMissingError
        There is no such file.
    ModelError
        It is a folder, or a pipe, for which ONNX Runtime would wait without an end; or it may
        not be read.
    """
    found = Path(path)
    if not found.exists():
        raise FileMissingError(f"{path}: no such file; give the path of an ONNX model")
    if found.is_dir():
        raise ModelError(f"{path}: is a folder; give the path of an ONNX model")
    if not found.is_file():
        raise ModelError(f"{path}: not an ONNX model: {advice_for(found)}")
    if not os.access(found, os.R_OK):
        raise ModelError(f"{path}: cannot be read: Permission denied")
    return found


def has_fixed_shape(shape: Sequence[object]) -> bool:
    """Tell whether all axes except the batch are numbers."""
    return len(shape) > 0 and all(isinstance(axis, int) for axis in shape[1:])


def check_array(
    name: str, array: Any, shape: tuple[int | None, ...], dtype: DTypeLike = np.float32
) -> int:
    """Check dtype, shape and layout, which a bound address does not show; return the length."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got, needed = getattr(array, "dtype", type(array).__name__), np.dtype(dtype)
        raise LayoutError(f"{name} must be an array of {needed}, got {got}; convert it first")
    if not shape_fits(("N", *shape[1:]) if shape[0] is None else shape, array.shape) or (
        array.ndim != len(shape)
    ):
        text = ",".join("N" if axis is None else str(axis) for axis in shape)
        raise InputError(f"{name} must have shape ({text}), got {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise LayoutError(
            f"{name} must be C-contiguous, got strides {array.strides}; "
            "pass numpy.ascontiguousarray of it"
        )
    return len(array)


def check_out(
    out: Any, shape: tuple[int, ...], dtype: DTypeLike = np.float32, **inputs: NDArray[Any]
) -> None:
    """Check an array to be written, and that it does not overlap the inputs."""
    check_array("out", out, shape, dtype)
    if not out.flags.writeable:
        raise InputError("out must be writable, got a read-only array")
    for name, array in inputs.items():
        if np.may_share_memory(out, array):
            raise InputError(f"out must not overlap {name}; pass another array")
