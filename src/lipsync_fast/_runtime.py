"""Opening ONNX Runtime sessions: which provider really works, and errors as one sentence."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import operator
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError, ModelError

__all__ = ["Provider", "Tensor", "open_session", "reason"]

_log = logging.getLogger("lipsync_fast")

Provider = str | tuple[str, Mapping[str, Any]]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# The default, EXHAUSTIVE, times every algorithm of every convolution for each new batch size.
_CUDA_DEFAULTS = {"cudnn_conv_algo_search": "HEURISTIC"}
_SHORT = {"cpu": CPU, "cuda": CUDA, "tensorrt": "TensorrtExecutionProvider"}

_DTYPES = {"float": "float32", "double": "float64", "string": "object"}


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
    runtime: Any, path: Path, providers: Sequence[Provider] | None, threads: int | None
) -> Any:
    """An InferenceSession on the first provider that really works.

    Parameters
    ----------
    runtime : module
        onnxruntime; only session.py imports it.
    path : Path
        An existing file.
    providers : sequence or None
        In order of preference; None for CUDA where it works, else the CPU.
    threads : int or None
        CPU threads of one run; None for the machine's cores.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    InputError, ModelError
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well, once is enough
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = _checked_threads(threads)
    # Spinning workers would take the cores from the compositor between two runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if providers is not None:
        wanted = _checked_providers(runtime, providers)
        if CUDA in (name for name, _ in wanted):
            _preload_cuda(runtime)
        session = _create(runtime, path, options, wanted)
        _require_one_of(path, session, wanted)
        return session
    if CUDA in runtime.get_available_providers() and _cuda_device_present():
        _preload_cuda(runtime)
        try:
            session = _create(runtime, path, options, [(CUDA, _CUDA_DEFAULTS), (CPU, {})])
        except ModelError as error:
            _log.debug("%s: %s", CUDA, error)
        else:
            if session.get_providers()[0] == CUDA:
                return session
        _log.warning(
            "a CUDA device is here but ONNX Runtime cannot use it; running on the CPU. "
            'Its libraries come with pip install "lipsync_fast[gpu]"'
        )
    return _create(runtime, path, options, [(CPU, {})])


def _create(
    runtime: Any, path: Path, options: Any, providers: list[tuple[str, dict[str, Any]]]
) -> Any:
    try:
        session = runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no narrower base
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
    return f"ONNX Runtime {version} cannot open it: {reason(error)}"


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


def reason(error: Exception) -> str:
    """The telling part of an ONNX Runtime message: one line, without its C++ places."""
    text = " ".join(str(error).split())
    for pattern, instead in _NOISE:
        text = re.sub(pattern, instead, text)
    text = text if len(text) <= 240 else text[:240] + "…"
    return text.rstrip(" .;") or type(error).__name__


def _checked_threads(threads: int | None) -> int:
    if threads is None:
        return 0  # ONNX Runtime's word for the machine's cores
    try:
        count = operator.index(threads)
    except TypeError:
        raise InputError(f"threads must be a whole number, got {threads!r}") from None
    if count < 1:
        raise InputError(f"threads must be 1 or more, got {count}")
    return count


def _checked_providers(
    runtime: Any, providers: Sequence[Provider]
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
        wanted.append((name, (_CUDA_DEFAULTS if name == CUDA else {}) | dict(options)))
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


def _cuda_device_present() -> bool:
    """Asks the driver itself: ONNX Runtime would print an error where there is none."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
        count = ctypes.c_int(0)
        return (
            driver.cuInit(0) == 0
            and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
            and count.value > 0
        )
    except (OSError, AttributeError):
        return False


def _preload_cuda(runtime: Any) -> None:
    """Loads CUDA's libraries from their Python packages; what is missing it only prints."""
    if hasattr(runtime, "preload_dlls"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(Exception):
            runtime.preload_dlls()
        if said.getvalue():
            _log.debug("preload_dlls: %s", said.getvalue().strip())
