"""The model that draws the lower face, with visual inputs packed frame by frame.

A request is cut into micro-batches: on the CPU a U-Net's memory grows with the batch but its
speed does not, and on a device each new shape costs a search for the best convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import check_indices, check_type
from ..errors import InputError, ModelError
from ..memory._pool import BufferPool, default_pool
from ..presets import Preset, fit_preset, shape_fits
from ..templates.template import Template
from .graph.embed import BUILT_IN
from .micro_batches import padded
from .net import Net, check_array, check_out, has_fixed_shape
from .options import DeviceOptions, Provider, Tensor

__all__ = [
    "UNTIMED",
    "Clock",
    "Generator",
    "require_preset",
]

Floats = NDArray[np.float32]


class Clock(Protocol):
    """Times a request: `with clock.net(frames):`."""

    def visual(self, frames: int) -> AbstractContextManager[None]:
        """Time the packing of visual inputs."""

    def net(self, frames: int) -> AbstractContextManager[None]:
        """Time runs of the model."""


class _Untimed:
    def visual(self, frames: int) -> AbstractContextManager[None]:
        return nullcontext()

    net = visual


UNTIMED: Clock = _Untimed()


class Generator(Net):
    """The model that draws the lower face: visual inputs and feature windows in, pictures out.

    Threads may share a generator. Opened on a device, it runs once at every size.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    preset : str or Preset, optional
        The model's family; by default found from its input shapes.
    providers, threads, options : see `Net`
    constants : mapping of str to array, optional
        Values of further inputs that are the same for every frame and have no batch axis; by
        default the preset's own.
    pool : BufferPool, optional
        Memory for visual inputs, and for pictures if no `out` is given; by default
        `default_pool`.

    Attributes
    ----------
    preset : Preset
        With the model's own input names.
    batch : int or None
        The fixed batch size of the model; None if it takes any.
    sizes : MicroBatches
        How requests are cut.
    pool : None
        Resident generators have a pool of pinned memory here.

    Raises
    ------
    ModelError
        As `Net`; also if inputs or outputs match no preset, or are not float32.
    """

    pool: BufferPool | None = None

    def __init__(
        self,
        path: str | Path,
        preset: str | Preset | None = None,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        pool: BufferPool | None = None,
        options: DeviceOptions | None = None,
    ) -> None:
        if constants is not None:
            check_type("constants", constants, Mapping)
        if pool is not None:
            check_type("pool", pool, BufferPool)
        super().__init__(path, providers=providers, threads=threads, options=options)
        self._pool = default_pool() if pool is None else pool
        given = self._checked_constants(constants or {})
        shapes = {n: s for n, s in self.input_shapes.items() if n not in given}
        try:
            self.preset = fit_preset(shapes, preset)
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from None
        own = {n: v for n, v in self.preset.constants if n in shapes}
        self._constants = self._checked_constants(own) | given
        image = self.inputs[self.preset.image_input]
        audio = self.inputs[self.preset.audio_input]
        self._require_float32(image, audio)
        self.batch = self._fixed_batch(image, audio, *self.outputs.values())
        self.sizes = self._sizes(self.batch)
        self._output = self._find_output()
        if not self.on_cpu:
            self._warm_up()

    def _warm_up(self) -> None:
        """Run at every size, the largest first, because the first run of a shape is slow."""
        preset = self.preset
        for size in reversed(self.sizes.sizes):
            if size <= self.micro_batch:  # a larger one may have run out of memory
                visual = np.zeros((size, *preset.visual_shape), np.float32)
                self.infer(visual, np.zeros((size, *preset.audio_shape), np.float32))

    @property
    def micro_batch(self) -> int:
        """The most frames of one run; shrinks when memory is short."""
        return self.sizes.most

    def for_template(self, template: Template) -> Generator:
        """Return this generator, which packs the crops of any template of its preset.

        Raises
        ------
        InputError
            The template was prepared for another preset.
        """
        require_preset(self, template)
        return self

    def output(self, count: int) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of the array that `draw` fills with `count` frames."""
        return (count, 3, self.preset.view, self.preset.view), "float32"

    def draw(
        self,
        template: Template,
        indices: ArrayLike,
        features: Floats,
        out: NDArray[Any] | None = None,
        *,
        pool: BufferPool | None = None,
        clock: Clock = UNTIMED,
    ) -> NDArray[Any]:
        """Draw frames of a template, in micro-batches.

        Holds the visual inputs of at most one micro-batch at a time.

        Parameters
        ----------
        template : Template
            Of the generator's preset.
        indices : (N,) integers
            The template's frames whose crops the model sees, in any order.
        features : (N, *audio_shape) float32, C-contiguous
            Feature windows.
        out : (N, 3, S, S) float32, C-contiguous, optional
            Receives the pictures; must not overlap `features`.
        pool : BufferPool, optional
            Memory of the visual inputs, and of the pictures without `out`; the generator's own
            by default.
        clock : Clock, optional
            Times the packing of visual inputs and the runs of the model.

        Returns
        -------
        (N, 3, S, S) float32
            `out`, or a pooled array. Values are the model's own, in the preset's range.

        Raises
        ------
        LayoutError, InputError, ModelError, DeviceMemoryError
            As `infer`; InputError also for an index outside of the template, and for a template
            of another preset.
        """
        require_preset(self, template)
        preset = self.preset
        chosen = check_indices(indices, len(template.crops))
        count = len(chosen)
        check_array("features", features, (count, *preset.audio_shape))
        pool = self._pool if pool is None else pool
        if out is None:
            out = pool.empty(*self.output(count))
        else:
            check_out(out, *self.output(count), features=features)
        binding = self._session.io_binding()

        def draw(part: slice, size: int) -> None:
            frames = part.stop - part.start
            visual = pool.empty((size, *preset.visual_shape), "float32")
            with clock.visual(frames):
                for slot, index in enumerate(chosen[part].tolist()):
                    template.visual(index, out=visual[slot])
                visual[frames:] = visual[frames - 1]
            with clock.net(frames):
                self._infer_part(binding, visual, features[part], out[part], size, pool)

        self.sizes.run(count, draw)
        return out

    def infer(self, visual: Floats, audio: Floats, out: Floats | None = None) -> Floats:
        """Draw the pictures of a request, in micro-batches.

        Parameters
        ----------
        visual : (N, C, S, S) float32, C-contiguous
            Visual inputs, C and S as in `Preset.visual_shape`, values in the preset's range.
        audio : (N, *audio_shape) float32, C-contiguous
            Feature windows.
        out : (N, 3, S, S) float32, C-contiguous, optional
            Receives the pictures; must not overlap the inputs.

        Returns
        -------
        (N, 3, S, S) float32
            `out`, or a pooled array. Values are the model's own, in the preset's range.

        Raises
        ------
        LayoutError
            An array is not float32 or not C-contiguous.
        InputError
            A shape is wrong, `out` is read-only or overlaps an input.
        ModelError
            The model fails on the inputs.
        DeviceMemoryError
            There is no memory even for one frame. If there is too little for more, smaller
            micro-batches follow, with a log message.
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

        def infer(part: slice, size: int) -> None:
            self._infer_part(binding, visual[part], audio[part], out[part], size, self._pool)

        self.sizes.run(count, infer)
        return out

    def _infer_part(
        self,
        binding: Any,
        visual: Floats,
        audio: Floats,
        out: Floats,
        size: int,
        pool: BufferPool,
    ) -> None:
        count, target = len(out), out
        if count < size:
            target = pool.empty((size, *out.shape[1:]), "float32")
        visual, audio = padded(visual, size, pool), padded(audio, size, pool)
        feeds = {self.preset.image_input: visual, self.preset.audio_input: audio}
        self._run_bound(binding, feeds | self._constants, self._output, target)
        if target is not out:
            out[...] = target[:count]

    # ---- checks of the model --------------------------------------------------

    def _checked_constants(self, constants: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        checked = {}
        for name, value in constants.items():
            if name not in self.inputs:
                raise InputError(
                    f"{self.path}: constants name {name!r}, the model has {', '.join(self.inputs)}"
                )
            tensor = self.inputs[name]
            array = np.ascontiguousarray(np.array(value, tensor.dtype))
            if not shape_fits(tensor.shape, array.shape):
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
        """Return the size that all numeric first axes share, or None."""
        sizes = {t.shape[0] for t in tensors if t.shape and isinstance(t.shape[0], int)}
        if len(sizes) > 1:
            raise ModelError(
                f"{self.path}: the batch axes of its inputs and outputs disagree: "
                f"{', '.join(map(str, tensors))}"
            )
        return next(iter(sizes), None)

    def _find_output(self) -> str:
        """Return the first output of the preset's shape; run the model if shapes are free."""
        needed = (3, self.preset.view, self.preset.view)
        shapes = self.output_shapes
        found = [n for n, shape in shapes.items() if shape[1:] == needed]
        if not found and any(not has_fixed_shape(shape) for shape in shapes.values()):
            count = self.batch or 1
            zeros = {
                self.preset.image_input: np.zeros((count, *self.preset.visual_shape), np.float32),
                self.preset.audio_input: np.zeros((count, *self.preset.audio_shape), np.float32),
            }
            shapes = {n: a.shape for n, a in self.run(zeros | self._constants).items()}
            found = [n for n, shape in shapes.items() if shape == (count, *needed)]
        if not found:
            got = ", ".join(f"{n} {s}" for n, s in shapes.items())
            raise ModelError(
                f"{self.path}: {self.preset.name} needs an output of shape (N,{needed[0]},"
                f"{needed[1]},{needed[2]}), got {got}; "
                f"export it for pictures of {needed[2]}×{needed[1]}, or choose another preset"
            )
        self._require_float32(self.outputs[found[0]])
        return found[0]


class _OfPreset(Protocol):
    path: Path
    preset: Preset


def require_preset(generator: _OfPreset, template: Template) -> None:
    """Raise InputError unless the template was prepared for the generator's preset."""
    own, preset = generator.preset, template.preset
    if own is preset or all(getattr(own, name) == getattr(preset, name) for name in BUILT_IN):
        return
    kind = own.name if own.name != preset.name else f"{own.name} with other settings"
    raise InputError(
        f"the template was prepared for {preset.name}, the generator {generator.path} is "
        f"{kind}; prepare the template with that preset"
    )
