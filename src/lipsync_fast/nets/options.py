"""Providers and device options for opening a model, and its input and output tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from ..checks import check_int
from ..errors import InputError
from ..files.cache import cache_folder

__all__ = [
    "CPU",
    "CUDA",
    "TENSORRT",
    "DeviceOptions",
    "Provider",
    "Tensor",
]

Provider = str | tuple[str, Mapping[str, Any]]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

_DTYPES = {"float": "float32", "double": "float64", "string": "object"}


@dataclass(frozen=True)
class DeviceOptions:
    """How models run on a CUDA device; ignored on the CPU.

    Attributes
    ----------
    device : int
        Number of the device, as the driver counts them.
    graphs : bool
        Capture a resident model as CUDA graphs, one for each size: all its kernels start at
        once. A model that cannot be captured runs without them.
    sizes : tuple of int
        Frames of a run, ascending; when opened, a model with a free batch axis runs once at each.
    tf32 : bool
        Let convolutions round float32 to 10 bits of mantissa: faster, but pictures may be off
        by one level. (``lipsync-fast model half`` makes models that are faster still.)
    nhwc : bool
        Run convolutions with channels last, which suits half precision.
    memory_limit : int, optional
        Bytes of the device's memory that ONNX Runtime may take for each model; by default all.

    Raises
    ------
    InputError
        A number is out of range.
    """

    device: int = 0
    graphs: bool = True
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 25, 32)
    tf32: bool = False
    nhwc: bool = False
    memory_limit: int | None = None

    def __post_init__(self) -> None:
        check_int("device", self.device, 0)
        sizes = self.sizes if isinstance(self.sizes, (tuple, list)) else ()
        whole = all(isinstance(n, Integral) and int(n) >= 1 for n in sizes)
        if not sizes or not whole or list(sizes) != sorted(set(sizes)):
            raise InputError(f"sizes must be ascending numbers of frames, got {self.sizes!r}")
        if self.memory_limit is not None:
            check_int("memory_limit", self.memory_limit, 1, unit="bytes")

    def of_provider(self, name: str, capture: bool) -> dict[str, str]:
        """Return the options of an ONNX Runtime provider; `capture` allows CUDA graphs."""
        if name not in (CUDA, TENSORRT):
            return {}
        options = {"device_id": str(self.device)}
        if name == TENSORRT:  # an engine takes minutes to build for each range of shapes
            kept = str(cache_folder() / "tensorrt")
            options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": kept}
            return options | {"trt_timing_cache_enable": "1", "trt_timing_cache_path": kept}
        # EXHAUSTIVE, the default, times every algorithm of each convolution for each new batch.
        options["cudnn_conv_algo_search"] = "HEURISTIC"
        # The other strategy rounds allocations up to powers of two.
        options["arena_extend_strategy"] = "kSameAsRequested"
        options["use_tf32"] = str(int(self.tf32))
        if self.nhwc:
            options["prefer_nhwc"] = "1"
        if self.memory_limit is not None:
            options["gpu_mem_limit"] = str(self.memory_limit)
        if capture and self.graphs:
            options["enable_cuda_graph"] = "1"
        return options


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes
    ----------
    name : str
    shape : tuple of int, str or None
        Dynamic axes are names, or None if the model does not name them. Empty for scalars and
        unknown shapes.
    dtype : str
        NumPy's name for the type, e.g. ``"float32"``.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str

    def __str__(self) -> str:
        axes = ",".join("?" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} ({axes}) {self.dtype}"

    @classmethod
    def of(cls, argument: Any) -> Tensor:
        """Describe an input or output of an ONNX Runtime session."""
        match = re.fullmatch(r"tensor\((\w+)\)", argument.type)
        # Sequences and maps keep ONNX Runtime's own text.
        dtype = _DTYPES.get(match[1], match[1]) if match else argument.type
        return cls(argument.name, tuple(argument.shape or ()), dtype)
