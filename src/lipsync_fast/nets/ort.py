"""Opening ONNX Runtime sessions: which provider really works, and errors as one sentence."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from ..checks import check_int
from ..errors import DeviceMemoryError, InputError, ModelError
from ..files.cache import cache_folder
from . import cuda

__all__ = [
    "CPU",
    "CUDA",
    "TENSORRT",
    "DeviceOptions",
    "Provider",
    "Tensor",
    "open_session",
    "preload_cuda",
    "run_error",
    "short_message",
    "tensorrt_loads",
]

_log = logging.getLogger("lipsync_fast")

Provider = str | tuple[str, Mapping[str, Any]]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
_SHORT = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}

_DTYPES = {"float": "float32", "double": "float64", "string": "object"}


@dataclass(frozen=True)
class DeviceOptions:
    """How nets run on a CUDA device; the CPU takes no notice.

    Attributes
    ----------
    device : int
        Number of the device, as the driver counts.
    graphs : bool
        Let a resident net be captured as CUDA graphs, one a size: all its kernels start at
        once. Where a net cannot be captured it runs without.
    sizes : tuple of int
        Frames of a run, ascending; a net of free batch is tried at each as it is opened.
    tf32 : bool
        Let convolutions round float32 to 10 bits of mantissa: faster, and pictures may be off
        by a level. (``lipsync-fast model half`` makes nets that are faster still.)
    nhwc : bool
        Let convolutions have their channels last, which suits half precision.
    memory_limit : int, optional
        Bytes that ONNX Runtime may take of the device for each net; all of it by default.

    Raises
    ------
    InputError
        A number is out of its range.
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
        """Options of an ONNX Runtime provider; `capture` for CUDA graphs, where asked for."""
        if name not in (CUDA, TENSORRT):
            return {}
        options = {"device_id": str(self.device)}
        if name == TENSORRT:  # an engine takes minutes to build, for each range of shapes
            kept = str(cache_folder() / "tensorrt")
            options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": kept}
            return options | {"trt_timing_cache_enable": "1", "trt_timing_cache_path": kept}
        # EXHAUSTIVE, the default, times every algorithm of each convolution for each new batch.
        options["cudnn_conv_algo_search"] = "HEURISTIC"
        # The other strategy rounds what it takes up to powers of two.
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
    """An input or output of a net.

    Attributes
    ----------
    name : str
    shape : tuple of int, str or None
        Dynamic axes are names, or None where the model names none. Empty for a scalar and
        where the model does not say.
    dtype : str
        NumPy's name of the type, e.g. ``"float32"``.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str

    def __str__(self) -> str:
        axes = ",".join("?" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} ({axes}) {self.dtype}"

    @classmethod
    def of(cls, argument: Any) -> Tensor:
        """What an ONNX Runtime session says of one of its inputs or outputs."""
        match = re.fullmatch(r"tensor\((\w+)\)", argument.type)
        # What is no tensor (a sequence, a map) keeps its own text.
        dtype = _DTYPES.get(match[1], match[1]) if match else argument.type
        return cls(argument.name, tuple(argument.shape or ()), dtype)


def open_session(
    runtime: Any,
    path: Path,
    providers: Sequence[Provider] | None,
    threads: int | None,
    device: DeviceOptions | None = None,
    *,
    capture: bool = False,
) -> Any:
    """An InferenceSession on the first provider that really works.

    Parameters
    ----------
    runtime : module
        onnxruntime; only net.py imports it.
    path : Path
        An existing file.
    providers : sequence or None
        In order of preference; None for CUDA where it works, else the CPU. TensorRT is left
        out where its library does not load.
    threads : int or None
        CPU threads of one run; None for the machine's cores.
    device : DeviceOptions, optional
    capture : bool
        The caller keeps to what CUDA graphs need.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    InputError, ModelError, DeviceMemoryError
    """
    device = device or DeviceOptions()
    options = _options(runtime, threads)
    if providers is not None:
        wanted = _checked_providers(runtime, providers, device, capture)
        if any(name in (CUDA, TENSORRT) for name, _ in wanted):
            preload_cuda(runtime)
        session = _create(runtime, path, options, wanted)
        _require_one_of(path, session, wanted)
        return session
    if CUDA in runtime.get_available_providers() and cuda.devices():
        preload_cuda(runtime)
        try:
            wanted = [(CUDA, device.of_provider(CUDA, capture)), (CPU, {})]
            session = _create(runtime, path, options, wanted)
        except ModelError as error:
            _log.debug("%s: %s", CUDA, error)
            if capture and device.graphs:
                raise  # the caller tries again without
        else:
            if session.get_providers()[0] == CUDA:
                return session
        _log.warning(
            "a CUDA device is here but ONNX Runtime cannot use it; running on the CPU. "
            'Its libraries come with pip install "lipsync_fast[gpu]"'
        )
    return _create(runtime, path, options, [(CPU, {})])


def _options(runtime: Any, threads: int | None) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well, once is enough
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = (
        0 if threads is None else check_int("threads", threads, 1)  # 0: the machine's cores
    )
    # Spinning workers would take the cores from the compositor between two runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _create(
    runtime: Any, path: Path, options: Any, providers: list[tuple[str, dict[str, Any]]]
) -> Any:
    try:
        with cuda.DEVICE_GATE.shared():
            session = runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no narrower base
        if _is_out_of_memory(error):
            raise DeviceMemoryError(
                f"{path}: the device has no memory for it ({short_message(error)}); "
                "close what else runs there or choose another device"
            ) from error
        raise ModelError(f"{path}: {_load_failure(error, runtime.__version__)}") from error
    session.disable_fallback()  # a failing run is an error, not a slower net
    return session


def _load_failure(error: Exception, version: str) -> str:
    """Why a model was not opened, and what to do about it."""
    text = str(error)
    if "PROTOBUF" in text.upper():
        return "not an ONNX model, or cut short; check the file, fetch or export it again"
    if match := re.search(r"(opset|IR version):? (\d+)", text, re.IGNORECASE):
        return (
            f"{match[1].replace('O', 'o')} {match[2]} is too new for ONNX Runtime {version}; "
            "update onnxruntime or export the model with a lower opset"
        )
    return f"ONNX Runtime {version} cannot open it: {short_message(error)}"


_NOISE = (
    (r"\[ONNXRuntimeError\] : \d+ : \w+ : ", ""),
    (r"^Load model from .*? failed:", ""),
    (r"^Error in execution: ", ""),
    (
        r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ",
        r"\1 '\2': ",
    ),
    (
        r"/onnxruntime_src/\S+:\d+ .*?\((?:[^()]|\([^()]*\))*\)(?: const)? ",
        "",
    ),  # file:line, function
)


def short_message(error: Exception) -> str:
    """The telling part of an ONNX Runtime message: one line, without its C++ places."""
    text = " ".join(str(error).split())
    for pattern, instead in _NOISE:
        text = re.sub(pattern, instead, text)
    text = text if len(text) <= 240 else text[:240] + "…"
    return text.rstrip(" .;") or type(error).__name__


# How ONNX Runtime's arenas, CUDA, cuDNN, cuBLAS and C++ say it.
_OUT_OF_MEMORY = re.compile(
    r"failed to allocate memory|out of memory|available memory of \d+ is smaller than requested"
    r"|STATUS_ALLOC_FAILED|bad_alloc|bad allocation",
    re.IGNORECASE,
)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def run_error(path: Path, count: int, error: Exception) -> ModelError | DeviceMemoryError:
    """What to raise for a run of `count` frames that ended in an ONNX Runtime exception."""
    if _is_out_of_memory(error):
        frames = "one frame" if count == 1 else f"{count} frames at once"
        return DeviceMemoryError(f"{path}: no memory for {frames} ({short_message(error)})")
    return ModelError(f"{path}: failed on a batch of {count}: {short_message(error)}")


def _checked_providers(
    runtime: Any, providers: Sequence[Provider], device: DeviceOptions, capture: bool
) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(providers, str) or not providers:
        raise InputError(f"providers must be a list of one or more names, got {providers!r}")
    available = runtime.get_available_providers()
    wanted: list[tuple[str, dict[str, Any]]] = []
    for provider in providers:
        name, options = (provider, {}) if isinstance(provider, str) else provider
        name = _SHORT.get(name, name)
        if name not in available:
            raise InputError(
                f"provider {name} is not in the installed ONNX Runtime, which has "
                f"{', '.join(available)}; CUDA comes with pip install "
                '"lipsync_fast[gpu]" in place of "lipsync_fast[cpu]"'
            )
        if name == TENSORRT and not tensorrt_loads():
            _log.info("TensorRT 10 is not installed here; the next provider is taken")
            continue
        wanted.append((name, device.of_provider(name, capture) | dict(options)))
    if not wanted:
        raise InputError(
            'TensorRT 10 (libnvinfer) does not load here; pip install "tensorrt-cu13<11", or '
            "name another provider after it"
        )
    return wanted


def _require_one_of(path: Path, session: Any, wanted: list[tuple[str, dict[str, Any]]]) -> None:
    """ONNX Runtime adds the CPU by itself; asked for CUDA alone, that is a failure."""
    real = session.get_providers()[0]
    names = [name for name, _ in wanted]
    if real not in names:
        raise ModelError(
            f"{path}: {', '.join(names)} does not work here, only {real}; check the driver, "
            "or leave providers out to run on what there is"
        )


def tensorrt_loads() -> bool:
    """Whether the library is here that ONNX Runtime's TensorRT provider is built for."""
    return cuda.loads("nvinfer_10.dll", "libnvinfer.so.10") is not None


def preload_cuda(runtime: Any) -> None:
    """Load CUDA's libraries from their Python packages; what is missing it only prints."""
    if hasattr(runtime, "preload_dlls"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(Exception):
            runtime.preload_dlls()
        if said.getvalue():
            _log.debug("preload_dlls: %s", said.getvalue().strip())
