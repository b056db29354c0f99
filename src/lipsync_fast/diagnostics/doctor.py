"""Facts and measurements of this machine: whether the GPU is used, and how fast it draws."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import demo, kernels
from .._version import __version__
from ..errors import InputError, LipsyncError, ModelError
from ..memory._pool import BufferPool
from ..nets import cuda
from ..nets.net import Net
from ..nets.opening import AnyGenerator, open_generators
from ..nets.options import CPU, CUDA, TENSORRT, DeviceOptions
from ..nets.ort import load_onnxruntime, preload_cuda, tensorrt_loads
from ..presets import Preset, find_preset
from ..templates.template import Template

__all__ = ["examine", "request_bytes"]

REQUEST = 25  # frames of the request whose bytes are counted
SECONDS = 0.3  # least duration of a measurement
RUNS = 3  # least number of runs of a measurement

Facts = dict[str, Any]


def examine(
    generator: str | Path | None = None,
    template: str | Path | None = None,
    *,
    options: DeviceOptions | None = None,
) -> Facts:
    """Examine driver, libraries and providers, then run a model as a pipeline would.

    Parameters
    ----------
    generator : str or Path, optional
        An ONNX file; by default the demo's tiny model, whose speed says little about real ones.
    template : str or Path, optional
        A folder that `prepare` made, for its crops; by default they are random.
    options : DeviceOptions, optional

    Returns
    -------
    dict
        Fresh; ready for JSON, in display order. ``"gpu used"`` is reported by the session
        itself; ``"advice"`` says what to do if it is False, or if the template's crops could
        stay on the GPU but do not.

    Raises
    ------
    MissingExtraError, FileMissingError, TemplateError, ModelError, DeviceMemoryError
        ONNX Runtime is not installed, or the model or the template cannot be used.
    """
    options = options or DeviceOptions()
    onnxruntime = load_onnxruntime()
    facts = _installed(onnxruntime)
    facts["providers that load"] = _loading(onnxruntime, options)
    facts["cuDNN"] = cuda.cudnn_version()  # the providers have loaded it by now
    path = demo.GENERATOR if generator is None else generator
    with _template(path, template) as opened:
        if generator is None and opened.preset.name != demo.PRESET:
            raise InputError(
                f"{template} was prepared for {opened.preset.name}, and the built-in model is "
                f"{demo.PRESET}: give its generator as well (--generator)"
            )
        (net,) = open_generators(path, opened, options=options)
        preset = opened.preset
        facts["model"] = "the demo's, a drawing" if generator is None else str(path)
        facts["preset"] = preset.name
        facts["runs on"] = net.device.name
        facts["way"] = "resident" if net.output(1)[1] == "uint8" else "packed"
        facts["CUDA graphs at"] = list(getattr(net, "captured_sizes", ()))
        facts["copies of a request's pictures a second"] = _copies(net, preset)
        facts["bytes of a request of 25"] = {
            way: request_bytes(preset, REQUEST, resident=way == "resident")
            for way in ("packed", "resident")
        }
        facts["frames a second at"] = _speeds(net, opened)
    facts["gpu used"] = net.device.name != "cpu"
    facts["advice"] = _advice(facts)
    return facts


def request_bytes(preset: Preset, count: int, *, resident: bool) -> int:
    """Return the bytes that a request sends to the model and gets back.

    Parameters
    ----------
    preset : Preset
    count : int
        Frames.
    resident : bool
        Whether the model holds the crops: indices in and bytes out instead of float planes.

    Returns
    -------
    int
    """
    heard = 4 * int(np.prod(preset.audio_shape))
    picture = 3 * preset.view**2
    seen = 8 if resident else 4 * int(np.prod(preset.visual_shape))
    return count * (heard + seen + (picture if resident else 4 * picture))


# ---- installed software ----------------------------------------------------------------------


def _installed(onnxruntime: Any) -> Facts:
    preload_cuda(onnxruntime)
    loaded = cuda.load_runtime()
    return {
        "lipsync_fast": f"{__version__} ({kernels.ISA})",
        "ONNX Runtime": onnxruntime.__version__,
        "driver": cuda.driver_version(),
        "CUDA of the driver": cuda.driver_cuda_version(),
        "CUDA runtime": None if loaded is None else loaded.version,
        "TensorRT 10": "loads" if tensorrt_loads() else None,
        "devices": [f"{d.number}: {d.name}, {d.memory >> 20} MiB" for d in cuda.devices()],
        "providers built in": list(onnxruntime.get_available_providers()),
    }


def _loading(onnxruntime: Any, options: DeviceOptions) -> dict[str, str]:
    """Return, for each provider that models may run on, "yes" or why it does not load."""
    found = {}
    for name in (TENSORRT, CUDA, CPU):
        if name not in onnxruntime.get_available_providers():
            continue
        try:
            Net(demo.GENERATOR, providers=[name], options=options)
            found[name] = "yes"
        except LipsyncError as error:
            found[name] = str(error).removeprefix(f"{demo.GENERATOR}: ")
    return found


def _advice(facts: Facts) -> str:
    """Return in one sentence what keeps the model off the GPU; "" if all is well."""
    if facts["gpu used"]:
        if facts["way"] == "resident" or find_spec("onnx") is not None:
            return ""
        return (
            "the template's crops go to the GPU with every request; to keep them there, "
            'pip install "lipsync_fast[models]"'
        )
    if not facts["devices"]:
        return "no NVIDIA driver answers; install one, or give this container access to the GPU"
    if CUDA not in facts["providers built in"]:
        return (
            "this machine has a GPU, but ONNX Runtime is the CPU build; pip uninstall "
            'onnxruntime, then pip install "lipsync_fast[gpu]"'
        )
    return f"this machine has a GPU, but CUDA does not load: {facts['providers that load'][CUDA]}"


def _template(generator: str | Path, folder: str | Path | None) -> Template:
    """Return the given template, or one of random crops for the generator's preset."""
    if folder is not None:
        return Template.open(folder)
    net = Net(generator, providers=["cpu"])
    try:
        preset = find_preset(net.input_shapes)
    except ModelError as error:
        raise ModelError(f"{generator}: {error}") from None
    draw = np.random.default_rng(0)
    side = preset.crop
    frames = draw.integers(0, 256, (2 * REQUEST, side, side, 3), dtype=np.uint8)
    fps = preset.feature_rate or 25
    return Template.from_arrays(frames, (0, 0, side, side), preset=preset, fps=fps, crops=frames)


# ---- measurements ----------------------------------------------------------------------------


def _rate(work: Callable[[], object]) -> float:
    """Return the runs of `work` a second, from the faster half of several runs."""
    work()
    taken: list[float] = []
    while len(taken) < RUNS or sum(taken) < SECONDS:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1 / float(np.median(np.sort(taken)[: -(-len(taken) // 2)]))


def _copies(net: AnyGenerator, preset: Preset) -> dict[str, float]:
    """Return how many times a second the pictures of one request can be copied."""
    shape = (REQUEST, preset.view, preset.view, 3)
    out, there = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
    cuda_runtime = None if net.device.name == "cpu" else cuda.load_runtime()
    if cuda_runtime is None:
        return {"within memory": round(_rate(lambda: np.copyto(out, there)), 1)}
    value = load_onnxruntime().OrtValue.ortvalue_from_numpy(there, *net.place)
    address, pinned = value.data_ptr(), BufferPool(pin=cuda_runtime.pinning).empty(shape)
    works: dict[str, Callable[[], object]] = {
        "to the device": lambda: value.update_inplace(there),
        "from the device": lambda: cuda_runtime.copy_to_host(address, out),
        "from the device, pinned": lambda: cuda_runtime.copy_to_host(address, pinned),
    }
    return {name: round(_rate(work), 1) for name, work in works.items()}


def _speeds(net: AnyGenerator, template: Template) -> dict[str, float]:
    """Return the frames drawn a second at each size of run, without compositing."""
    preset, speeds = template.preset, {}
    faces = np.flatnonzero(template.rects[:, 2])
    for size in net.sizes.sizes:
        audio = np.random.default_rng(1).standard_normal((size, *preset.audio_shape), np.float32)
        indices = np.resize(faces, size)
        work = _bound(net.draw, template, indices, audio, net.draw(template, indices, audio))
        speeds[str(size)] = round(size * _rate(work), 1)
    return speeds


def _bound(work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: work(*arguments)
