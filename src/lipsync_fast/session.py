"""ONNX Runtime on pooled arrays: the generator, the audio encoder, and any small net.

Inputs and outputs are bound by address to the caller's contiguous arrays, so that ONNX
Runtime reads and writes them in place and a warm call allocates no block of 64 KiB. A
request is cut into micro-batches: on the CPU a U-Net's memory grows with the batch and its
speed does not, and on CUDA each new shape costs a search for the best convolutions.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _runtime
from ._pool import BufferPool, default_pool
from ._runtime import Provider, Tensor
from .errors import FileMissingError, InputError, LayoutError, MissingExtraError, ModelError
from .presets import Preset, find_preset, get_preset

__all__ = ["AudioEncoder", "Generator", "Net", "Tensor"]

_log = logging.getLogger("lipsync_fast")

CPU_MICRO_BATCH = 4  # a 320 U-Net takes 0.5 GB at 1, 3 GB at 8, 9.6 GB at 25, at equal speed
GPU_MICRO_BATCH = 8  # the largest of the buckets 8, 4, 2, 1

MEL_WINDOW = (1, 80, 16)  # what the audio encoder hears: channel, mel bands, columns
FEATURES = 512  # numbers that it answers with

Floats = NDArray[np.float32]


class Net:
    """Any ONNX file, opened on the best provider that really works.

    Threads may share a net.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    providers : sequence, optional
        ONNX Runtime providers in order of preference: ``"cpu"``, ``"cuda"``, a full name such
        as ``"CUDAExecutionProvider"``, or a pair of name and options, e.g.
        ``("cuda", {"device_id": 1})``. By default CUDA where it works, else the CPU.
    threads : int, optional
        CPU threads of one run; the machine's cores by default.

    Attributes
    ----------
    path : Path
    provider : str
        The provider that was really taken, as ONNX Runtime names it; also logged at INFO.
    inputs, outputs : dict of str to Tensor
        In the model's order.

    Raises
    ------
    MissingExtraError
        ONNX Runtime is not installed.
    FileMissingError
        No such file.
    ModelError
        The file is no ONNX model, is damaged, or is too new for the installed ONNX Runtime; or
        a provider asked for does not work.
    InputError
        An unknown provider, or a number of threads below 1.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
    ) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileMissingError(f"{path}: no such file; give the path of an ONNX model")
        if self.path.is_dir():
            raise ModelError(f"{path}: is a folder; give the path of an ONNX model")
        self._session = _runtime.open_session(_load_onnxruntime(), self.path, providers, threads)
        self.provider: str = self._session.get_providers()[0]
        self.inputs = {t.name: t for t in map(Tensor.of, self._session.get_inputs())}
        self.outputs = {t.name: t for t in map(Tensor.of, self._session.get_outputs())}
        _log.info("%s: running on %s", self.path, self.provider)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path.name} on {self.provider}>"

    @property
    def on_cpu(self) -> bool:
        """Whether the net runs on the CPU."""
        return self.provider == "CPUExecutionProvider"

    @property
    def input_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Shape of each input; dynamic axes are names or None."""
        return {name: tensor.shape for name, tensor in self.inputs.items()}

    @property
    def output_shapes(self) -> dict[str, tuple[int | str | None, ...]]:
        """Shape of each output; dynamic axes are names or None."""
        return {name: tensor.shape for name, tensor in self.outputs.items()}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the net once on arrays; the simple way, which allocates its outputs.

        Parameters
        ----------
        feeds : mapping of str to array
            One array for each input of the net, of its shape and dtype.

        Returns
        -------
        dict of str to array
            Every output, fresh.

        Raises
        ------
        InputError
            Inputs are missing or unknown.
        ModelError
            The net refuses the arrays.
        """
        if feeds.keys() != self.inputs.keys():
            raise InputError(
                f"{self.path}: needs the inputs {', '.join(self.inputs)}, got {', '.join(feeds)}"
            )
        try:
            values = self._session.run(None, dict(feeds))
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            raise ModelError(f"{self.path}: {_runtime.reason(error)}") from error
        return dict(zip(self.outputs, values, strict=True))

    def value_on_device(self, array: NDArray[Any], device: str, number: int) -> Any:
        """A copy of an array in a device's memory, as ONNX Runtime binds it."""
        value = _load_onnxruntime().OrtValue
        return value.ortvalue_from_numpy(array, device, number)

    def _run_bound(
        self, binding: Any, feeds: Mapping[str, NDArray[Any]], output: str, out: NDArray[Any]
    ) -> None:
        """Run on the memory of contiguous arrays; `out` receives the one output asked for."""
        for name, array in feeds.items():
            assert array.flags.c_contiguous, "a bound input would be read in the wrong order"
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        assert out.flags.c_contiguous
        assert out.flags.writeable
        binding.bind_output(output, "cpu", 0, out.dtype, out.shape, out.ctypes.data)
        try:
            self._session.run_with_iobinding(binding)
            if not self.on_cpu:
                binding.synchronize_outputs()
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            raise ModelError(
                f"{self.path}: failed on a batch of {len(out)}: {_runtime.reason(error)}"
            ) from error


class Generator(Net):
    """The net that draws the lower face: feature windows and visual inputs in, pictures out.

    Threads may share a generator.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    preset : str or Preset, optional
        The model's family; found from its input shapes by default.
    providers, threads : see `Net`
    constants : mapping of str to array, optional
        Values of further inputs that are the same for every frame and have no batch axis;
        the preset's own by default.
    pool : BufferPool, optional
        Memory of the pictures where `infer` is given no `out`; `default_pool` by default.

    Attributes
    ----------
    preset : Preset
        With the model's own input names.
    batch : int or None
        The batch size that the model is fixed to; None where it takes any.

    Raises
    ------
    ModelError
        As `Net`; also if inputs or outputs fit no preset, or are not float32.
    """

    def __init__(
        self,
        path: str | Path,
        preset: str | Preset | None = None,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        pool: BufferPool | None = None,
    ) -> None:
        super().__init__(path, providers=providers, threads=threads)
        self._pool = default_pool() if pool is None else pool
        given = self._checked_constants(constants or {})
        shapes = {n: s for n, s in self.input_shapes.items() if n not in given}
        try:
            if preset is None:
                self.preset = find_preset(shapes)
            else:
                row = get_preset(preset)
                self.preset = find_preset(shapes, {row.name: row})
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from None
        own = {n: v for n, v in self.preset.constants if n in shapes}
        self._constants = self._checked_constants(own) | given
        image = self.inputs[self.preset.image_input]
        audio = self.inputs[self.preset.audio_input]
        self._require_float32(image, audio)
        self.batch = self._fixed_batch(image, audio, *self.outputs.values())
        self._output = self._find_output()

    @property
    def micro_batch(self) -> int:
        """Most frames that the net runs at once."""
        if self.batch is not None:
            return self.batch
        return CPU_MICRO_BATCH if self.on_cpu else GPU_MICRO_BATCH

    def infer(self, visual: Floats, audio: Floats, out: Floats | None = None) -> Floats:
        """Draw the pictures of a request, in micro-batches.

        Parameters
        ----------
        visual : (N, C, S, S) float32, C-contiguous
            Visual inputs, C and S as the preset says (see `Preset.visual_shape`), values in
            the preset's range.
        audio : (N, *audio_shape) float32, C-contiguous
            Feature windows.
        out : (N, 3, S, S) float32, C-contiguous, optional
            Receives the pictures; must not overlap the inputs.

        Returns
        -------
        (N, 3, S, S) float32
            `out`, or a pooled array. Values are the net's own, in the preset's range.

        Raises
        ------
        LayoutError
            An array is not float32 or not C-contiguous.
        InputError
            A shape is wrong, `out` is read-only or overlaps an input.
        ModelError
            The net fails on them.
        """
        preset = self.preset
        count = check_array("visual", visual, (None, *preset.visual_shape))
        check_array("audio", audio, (count, *preset.audio_shape))
        shape = (count, 3, preset.view, preset.view)
        if out is None:
            out = self._pool.empty(shape, "float32")
        else:
            check_out(out, shape, visual=visual, audio=audio)
        binding = self._session.io_binding()
        for part in self._micro_batches(count):
            self._infer_part(binding, visual[part], audio[part], out[part])
        return out

    def _micro_batches(self, count: int) -> Iterator[slice]:
        return micro_batches(count, self.micro_batch, not self.on_cpu and self.batch is None)

    def _infer_part(self, binding: Any, visual: Floats, audio: Floats, out: Floats) -> None:
        count = len(visual)
        target = out
        if self.batch is not None and count < self.batch:  # the last of a net of fixed batch
            visual = padded(visual, self.batch, self._pool)
            audio = padded(audio, self.batch, self._pool)
            target = self._pool.empty((self.batch, *out.shape[1:]), "float32")
        feeds = {self.preset.image_input: visual, self.preset.audio_input: audio}
        self._run_bound(binding, feeds | self._constants, self._output, target)
        if target is not out:
            out[...] = target[:count]

    # ---- what the model says of itself --------------------------------------------------

    def _checked_constants(self, constants: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        checked = {}
        for name, value in constants.items():
            if name not in self.inputs:
                raise InputError(
                    f"{self.path}: constants name {name!r}, the net has {', '.join(self.inputs)}"
                )
            tensor = self.inputs[name]
            array = np.ascontiguousarray(np.array(value, tensor.dtype))
            if not _fits(tensor.shape, array.shape):
                raise InputError(
                    f"{self.path}: constant must fit {tensor}, got shape {array.shape}"
                )
            checked[name] = array
        return checked

    def _require_float32(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            if tensor.dtype != "float32":
                raise ModelError(
                    f"{self.path}: {tensor.name} is {tensor.dtype}, needs float32; export "
                    "the model with float32 inputs and outputs (its weights may stay as they are)"
                )

    def _fixed_batch(self, *tensors: Tensor) -> int | None:
        """The one size of all first axes that are numbers, or None."""
        sizes = {t.shape[0] for t in tensors if t.shape and isinstance(t.shape[0], int)}
        if len(sizes) > 1:
            raise ModelError(
                f"{self.path}: the batch axes of its inputs and outputs disagree: "
                f"{', '.join(map(str, tensors))}"
            )
        return next(iter(sizes), None)

    def _find_output(self) -> str:
        """Name of the first output of the preset's shape; tries the net out where it is open."""
        needed = (3, self.preset.view, self.preset.view)
        shapes = self.output_shapes
        found = [n for n, shape in shapes.items() if shape[1:] == needed]
        if not found and any(not _known(shape) for shape in shapes.values()):
            count = self.batch or 1
            zeros = {
                self.preset.image_input: np.zeros((count, *self.preset.visual_shape), np.float32),
                self.preset.audio_input: np.zeros((count, *self.preset.audio_shape), np.float32),
            }
            shapes = {n: a.shape for n, a in self.run(zeros | self._constants).items()}
            found = [n for n, shape in shapes.items() if shape == (count, *needed)]
        if not found:
            raise ModelError(
                f"{self.path}: {self.preset.name} needs an output of shape (N,{needed[0]},"
                f"{needed[1]},{needed[2]}), got {', '.join(f'{n} {s}' for n, s in shapes.items())}"
            )
        self._require_float32(self.outputs[found[0]])
        return found[0]


class AudioEncoder(Net):
    """The net between mel and generator of the presets with "ave" features.

    It is always run on one window at a time, so that its features do not depend on how the
    speech was cut. Threads may share an encoder. It may be called like a function.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    providers, threads : see `Net`

    Raises
    ------
    ModelError
        As `Net`; also if the net does not make 512 float32 numbers of (1, 1, 80, 16).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__(path, providers=providers, threads=threads)
        tensors = (*self.inputs.values(), *self.outputs.values())
        if (
            len(self.inputs) != 1
            or not _fits(tensors[0].shape, (1, *MEL_WINDOW))
            or any(t.dtype != "float32" for t in tensors[:2])
        ):
            raise self._foreign(tensors)
        self._input = tensors[0].name
        zeros = np.zeros((1, *MEL_WINDOW), np.float32)
        self._output, answer = next(iter(self.run({self._input: zeros}).items()))
        if answer.shape[0] != 1 or answer.size != FEATURES:
            raise self._foreign(tensors)
        self._shape = answer.shape  # (1, 512), or with further axes of length 1

    def _foreign(self, tensors: Sequence[Tensor]) -> ModelError:
        return ModelError(
            f"{self.path}: not an audio encoder: needs one float32 input (N,1,80,16) with N free "
            f"or 1 and the float32 output (N,512), got {', '.join(map(str, tensors))}"
        )

    def infer(self, mel_windows: Floats, out: Floats | None = None) -> Floats:
        """Features of mel windows, one run each.

        Parameters
        ----------
        mel_windows : (N, 1, 80, 16) float32, C-contiguous
            Windows of 16 mel columns, band by band.
        out : (N, 512) float32, C-contiguous, optional

        Returns
        -------
        (N, 512) float32
            `out`, or fresh.

        Raises
        ------
        LayoutError, InputError, ModelError
            As `Generator.infer`.
        """
        count = check_array("mel_windows", mel_windows, (None, *MEL_WINDOW))
        if out is None:
            out = np.empty((count, FEATURES), np.float32)
        else:
            check_out(out, (count, FEATURES), mel_windows=mel_windows)
        binding = self._session.io_binding()
        for i in range(count):
            feeds = {self._input: mel_windows[i : i + 1]}
            self._run_bound(binding, feeds, self._output, out[i].reshape(self._shape))
        return out

    __call__ = infer


def micro_batches(count: int, most: int, few_shapes: bool) -> Iterator[slice]:
    """Cuts a request; into powers of two, where each new shape would cost a search."""
    first = 0
    while first < count:
        size = min(most, count - first)
        if few_shapes:
            size = 1 << (size.bit_length() - 1)
        yield slice(first, first + size)
        first += size


def padded(array: NDArray[Any], batch: int, pool: BufferPool) -> NDArray[Any]:
    """The rows of an array in a pooled one of `batch` rows.

    The last row is repeated: no net divides by the zeros of a blank frame.
    """
    full = pool.empty((batch, *array.shape[1:]), array.dtype)
    full[: len(array)] = array
    full[len(array) :] = array[-1]
    return full


def _load_onnxruntime() -> Any:
    # Its telemetry, on by default from 1.32 on, packs and sends events from a thread of its own
    # while requests run; it can only be turned off before the first import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime

        onnxruntime.InferenceSession  # noqa: B018  an uninstalled package may leave its folder
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            'running nets needs ONNX Runtime; pip install "lipsync_fast[cpu]", or '
            '"lipsync_fast[gpu]" for CUDA'
        ) from error
    return onnxruntime


def _known(shape: Sequence[object]) -> bool:
    """Whether all axes but the batch are numbers."""
    return len(shape) > 0 and all(isinstance(axis, int) for axis in shape[1:])


def _fits(shape: Sequence[object], needed: Sequence[int]) -> bool:
    return len(shape) == len(needed) and all(
        not isinstance(have, int) or have == need for have, need in zip(shape, needed, strict=True)
    )


def check_array(
    name: str, array: Any, shape: tuple[int | None, ...], dtype: DTypeLike = np.float32
) -> int:
    """Checks what a bound address cannot: dtype, shape, layout. Returns the length."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got, needed = getattr(array, "dtype", type(array).__name__), np.dtype(dtype)
        raise LayoutError(f"{name} must be an array of {needed}, got {got}; convert it first")
    if not _fits(("N", *shape[1:]) if shape[0] is None else shape, array.shape) or (
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
    """Checks an array that is to be written, and that it lies apart from what is read."""
    check_array("out", out, shape, dtype)
    if not out.flags.writeable:
        raise InputError("out must be writable, got a read-only array")
    for name, array in inputs.items():
        if np.may_share_memory(out, array):
            raise InputError(f"out must not overlap {name}; pass memory of its own")
