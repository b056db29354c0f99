"""Opening ONNX Runtime sessions: which provider really works, and errors as one sentence."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checks import check_int
from ..errors import DeviceMemoryError, InputError, MissingExtraError, ModelError
from . import cuda
from .file_kinds import advice_for
from .options import CPU, CUDA, TENSORRT, DeviceOptions, Provider

__all__ = [
    "load_onnxruntime",
    "open_session",
    "preload_cuda",
    "run_error",
    "short_message",
    "tensorrt_loads",
]

_log = logging.getLogger(__name__)

_SHORT = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}


def load_onnxruntime() -> Any:
    """Import ONNX Runtime, or raise MissingExtraError with the extra that brings it."""
    # From 1.32 on, its telemetry sends events from another thread while requests run; it can
    # only be turned off before the first import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        onnxruntime.InferenceSession  # noqa: B018  an uninstalled package may leave its folder
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            'running models needs ONNX Runtime; pip install "lipsync_fast[cpu]", or '
            '"lipsync_fast[gpu]" for CUDA'
        ) from error
    return onnxruntime


def open_session(
    path: Path,
    providers: Sequence[Provider] | None,
    threads: int | None,
    device: DeviceOptions | None = None,
    *,
    capture: bool = False,
) -> Any:
    """Open an InferenceSession on the first provider that really works.

    Parameters
    ----------
    path : Path
        An existing file.
    providers : sequence or None
        In order of preference; None for CUDA if it works, else the CPU. TensorRT is skipped
        if its library does not load.
    threads : int or None
        CPU threads of one run; None for the machine's cores.
    device : DeviceOptions, optional
    capture : bool
        Allow CUDA graphs, whose rules the caller keeps.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    InputError, ModelError, DeviceMemoryError
    """
    onnxruntime = load_onnxruntime()
    device = device or DeviceOptions()
    options = _options(onnxruntime, threads)
    if providers is not None:
        wanted = _checked_providers(onnxruntime, providers, device, capture)
        if any(name in (CUDA, TENSORRT) for name, _ in wanted):
            preload_cuda(onnxruntime)
        session = _create(onnxruntime, path, options, wanted)
        _require_one_of(path, session, wanted)
        return session
    if CUDA in onnxruntime.get_available_providers() and cuda.devices():
        preload_cuda(onnxruntime)
        try:
            wanted = [(CUDA, device.of_provider(CUDA, capture)), (CPU, {})]
            session = _create(onnxruntime, path, options, wanted)
        except ModelError as error:
            _log.debug("%s: %s", CUDA, error)
            if capture and device.graphs:
                raise  # the caller tries again without
        else:
            if session.get_providers()[0] == CUDA:
                return session
        _log.warning(
            "ONNX Runtime cannot use the CUDA device of this machine; running on the CPU. "
            'Install its libraries with pip install "lipsync_fast[gpu]"'
        )
    return _create(onnxruntime, path, options, [(CPU, {})])


def _options(onnxruntime: Any, threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, no need to log them too
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = (
        0 if threads is None else check_int("threads", threads, 1)  # 0: the machine's cores
    )
    # Spinning workers would take the cores from the compositor between two runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _create(
    onnxruntime: Any, path: Path, options: Any, providers: list[tuple[str, dict[str, Any]]]
) -> Any:
    try:
        with cuda.DEVICE_GATE.shared():
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no narrower base
        if _is_out_of_memory(error):
            raise DeviceMemoryError(
                f"{path}: the device has too little memory ({short_message(error)}); "
                "close other programs on it or choose another device"
            ) from error
        raise ModelError(
            f"{path}: {_load_failure(path, error, onnxruntime.__version__)}"
        ) from error
    session.disable_fallback()  # a failing run is an error, not a slower model
    return session


def _load_failure(path: Path, error: Exception, version: str) -> str:
    """Return why a model was not opened, and what to do about it."""
    text = str(error)
    if (advice := advice_for(path)) is not None:
        return f"not an ONNX model: {advice}"
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
    """Return the useful part of an ONNX Runtime message: one line, without C++ file names."""
    text = " ".join(str(error).split())
    for pattern, instead in _NOISE:
        text = re.sub(pattern, instead, text)
    text = text if len(text) <= 240 else text[:240] + "…"
    return text.rstrip(" .;") or type(error).__name__


# The words of ONNX Runtime's arenas, CUDA, cuDNN, cuBLAS and C++.
_OUT_OF_MEMORY = re.compile(
    r"failed to allocate memory|out of memory|available memory of \d+ is smaller than requested"
    r"|STATUS_ALLOC_FAILED|bad_alloc|bad allocation",
    re.IGNORECASE,
)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def run_error(path: Path, count: int, error: Exception) -> ModelError | DeviceMemoryError:
    """Return the error to raise for a run of `count` frames that ended in `error`."""
    if _is_out_of_memory(error):
        frames = "one frame" if count == 1 else f"{count} frames at once"
        return DeviceMemoryError(f"{path}: no memory for {frames} ({short_message(error)})")
    return ModelError(f"{path}: failed on a batch of {count}: {short_message(error)}")


def _checked_providers(
    onnxruntime: Any, providers: Sequence[Provider], device: DeviceOptions, capture: bool
) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(providers, str) or not providers:
        raise InputError(f"providers must be a list of one or more names, got {providers!r}")
    available = onnxruntime.get_available_providers()
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
            _log.info("TensorRT 10 is not installed; using the next provider")
            continue
        wanted.append((name, device.of_provider(name, capture) | dict(options)))
    if not wanted:
        raise InputError(
            'TensorRT 10 (libnvinfer) does not load here; pip install "tensorrt-cu13<11", or '
            "name another provider after it"
        )
    return wanted


def _require_one_of(path: Path, session: Any, wanted: list[tuple[str, dict[str, Any]]]) -> None:
    """Raise ModelError if only the CPU works, which ONNX Runtime adds unasked."""
    real = session.get_providers()[0]
    names = [name for name, _ in wanted]
    if real not in names:
        raise ModelError(
            f"{path}: {', '.join(names)} does not work here, only {real}; check the driver, "
            "or leave providers out to use what works"
        )


def tensorrt_loads() -> bool:
    """Tell whether the library of ONNX Runtime's TensorRT provider loads."""
    return cuda.loads("nvinfer_10.dll", "libnvinfer.so.10") is not None


def preload_cuda(onnxruntime: Any) -> None:
    """Load CUDA's libraries from their Python packages; log those that are missing."""
    if hasattr(onnxruntime, "preload_dlls"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(Exception):
            onnxruntime.preload_dlls()
        if said.getvalue():
            _log.debug("preload_dlls: %s", said.getvalue().strip())
