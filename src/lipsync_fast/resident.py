"""A generator that the template lives in: frame indices and audio in, bytes out.

The packed way sends six float planes to the net for each frame and gets three back: 92 MB
for 25 frames of 320 × 320. The crops never change, so they stay where the net runs, and the
net hands out bytes: 8.5 MB.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import graph
from ._pool import BufferPool, default_pool
from ._runtime import Provider
from .errors import InputError, LayoutError, LipsyncError, MissingExtraError, ModelError
from .graph.resident import AUDIO, CROPS, FRAMES, PICTURES
from .presets import Preset, get_preset
from .session import (
    CPU_MICRO_BATCH,
    GPU_MICRO_BATCH,
    Net,
    check_array,
    check_out,
    micro_batches,
    padded,
)

__all__ = ["ResidentGenerator", "try_resident"]

_log = logging.getLogger("lipsync_fast")


class ResidentGenerator(Net):
    """The net that draws the lower face, with the template's crops inside.

    Threads may share it.

    Parameters
    ----------
    path : str or Path
        The user's ONNX file, as for `Generator`.
    crops : (n, C, C, 3) uint8, bgr24, C-contiguous
        The template's; on the CPU they are read where they lie, on a device a copy is made.
    preset : str or Preset
        The template's.
    providers, threads : see `Net`
    constants : mapping of str to array, optional
        Values of further inputs that are the same for every frame and have no batch axis;
        the preset's own by default.
    pool : BufferPool, optional
        Memory of the pictures where `infer_indices` is given no `out`.
    cache : str or Path, optional
        Folder for the changed net, see `graph.cached_resident`; the user's cache folder by
        default. Where it cannot be written, the net is changed anew at each opening.

    Attributes
    ----------
    preset : Preset
    batch : int or None
        The batch size that the model is fixed to; None where it takes any.

    Raises
    ------
    MissingExtraError, FileMissingError, ModelError
        As `graph.make_resident`.
    InputError, LayoutError
        The crops are not those of the preset.
    """

    def __init__(
        self,
        path: str | Path,
        crops: NDArray[np.uint8],
        preset: str | Preset,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        pool: BufferPool | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.preset = get_preset(preset)
        _check_crops(crops, self.preset)
        try:
            kept = graph.cached_resident(path, self.preset, cache)
            super().__init__(kept, providers=providers, threads=threads)
        except LipsyncError:
            raise
        except OSError as error:
            _log.debug("%s: not kept for the next time: %s", path, error)
            with tempfile.TemporaryDirectory(prefix="lipsync_fast-") as folder:
                kept = graph.cached_resident(path, self.preset, folder)
                super().__init__(kept, providers=providers, threads=threads)
        self.path = Path(path)
        self._pool = default_pool() if pool is None else pool
        self._crops = crops
        self._on_device = None if self.on_cpu else self._copy_to_device(crops)
        self._constants = self._checked_constants(constants or {})
        size = self.inputs[FRAMES].shape[0]
        self.batch = size if isinstance(size, int) else None

    @property
    def micro_batch(self) -> int:
        """Most frames that the net runs at once."""
        if self.batch is not None:
            return self.batch
        return CPU_MICRO_BATCH if self.on_cpu else GPU_MICRO_BATCH

    def infer_indices(
        self,
        indices: ArrayLike,
        audio: NDArray[np.float32],
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw the pictures of a request, in micro-batches.

        Parameters
        ----------
        indices : (N,) integers
            The template's frames whose crops the net sees.
        audio : (N, *audio_shape) float32, C-contiguous
            Feature windows.
        out : (N, S, S, 3) uint8, C-contiguous, optional
            Receives the pictures; must not overlap `audio`.

        Returns
        -------
        (N, S, S, 3) uint8, bgr24, rows packed
            `out`, or a pooled array: what `convert` makes of the generator's output.

        Raises
        ------
        LayoutError, InputError, ModelError
            As `Generator.infer`; InputError also for an index outside of the template.
        """
        chosen = self._checked_indices(indices)
        count, side = len(chosen), self.preset.view
        check_array("audio", audio, (count, *self.preset.audio_shape))
        shape = (count, side, side, 3)
        if out is None:
            out = self._pool.empty(shape, "uint8")
        else:
            check_out(out, shape, np.uint8, audio=audio)
        binding = self._session.io_binding()
        if self._on_device is not None:
            binding.bind_ortvalue_input(CROPS, self._on_device)
        few_shapes = not self.on_cpu and self.batch is None
        for part in micro_batches(count, self.micro_batch, few_shapes):
            self._infer_part(binding, chosen[part], audio[part], out[part])
        return out

    __call__ = infer_indices

    def _infer_part(
        self,
        binding: Any,
        chosen: NDArray[np.int64],
        audio: NDArray[np.float32],
        out: NDArray[np.uint8],
    ) -> None:
        target, count = out, len(chosen)
        if self.batch is not None and count < self.batch:  # the last of a net of fixed batch
            chosen = padded(chosen, self.batch, self._pool)
            audio = padded(audio, self.batch, self._pool)
            target = self._pool.empty((self.batch, *out.shape[1:]), "uint8")
        feeds: dict[str, NDArray[Any]] = {FRAMES: chosen, AUDIO: audio}
        if self._on_device is None:
            feeds[CROPS] = self._crops
        self._run_bound(binding, feeds | self._constants, PICTURES, target)
        if target is not out:
            out[...] = target[:count]

    # ---- checks ------------------------------------------------------------------------

    def _checked_indices(self, indices: ArrayLike) -> NDArray[np.int64]:
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and chosen.size):
            raise InputError(
                f"indices must be one integer a frame, got {chosen.dtype} {chosen.shape}"
            )
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self._crops):
            raise InputError(
                f"indices must be 0 to {len(self._crops) - 1}, got {chosen.min()} to {chosen.max()}"
            )
        return np.ascontiguousarray(chosen, np.int64)

    def _checked_constants(self, given: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        needed = [n for n in self.inputs if n not in (FRAMES, CROPS, AUDIO)]
        own = {name: value for name, value in self.preset.constants if name in needed}
        given = own | dict(given)
        if set(given) != set(needed):
            raise InputError(
                f"{self.path}: constants must be given for {', '.join(needed) or 'nothing'}, "
                f"got {', '.join(given) or 'nothing'}"
            )
        return {
            name: np.ascontiguousarray(np.array(value, self.inputs[name].dtype))
            for name, value in given.items()
        }

    def _copy_to_device(self, crops: NDArray[np.uint8]) -> Any:
        options = self._session.get_provider_options().get(self.provider, {})
        device = int(options.get("device_id", 0))
        return self.value_on_device(crops, "cuda", device)


def _check_crops(crops: Any, preset: Preset) -> None:
    needed = f"(n, {preset.crop}, {preset.crop}, 3) uint8 for {preset.name}"
    if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8:
        got = getattr(crops, "dtype", type(crops).__name__)
        raise LayoutError(f"crops must be {needed}, got {got}")
    if crops.shape[1:] != (preset.crop, preset.crop, 3) or not len(crops):
        raise InputError(f"crops must be {needed}, got {crops.shape}")
    if not crops.flags.c_contiguous:
        raise LayoutError("crops must be C-contiguous; pass numpy.ascontiguousarray of them")


def try_resident(
    path: str | Path, crops: NDArray[np.uint8], preset: str | Preset, **options: Any
) -> ResidentGenerator | None:
    """A `ResidentGenerator`, or None, and a sentence at INFO, where the net does not allow it.

    Parameters
    ----------
    path, crops, preset, options : see `ResidentGenerator`
    """
    try:
        return ResidentGenerator(path, crops, preset, **options)
    except (ModelError, MissingExtraError) as error:
        _log.info("pictures are packed frame by frame, not taken from the template: %s", error)
        return None
