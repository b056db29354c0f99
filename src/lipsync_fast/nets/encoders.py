"""Audio encoders as ONNX files: speech in, the generator's audio features out.

References
----------
Ultralight-Digital-Human, data_utils/hubert.py and data_utils/wenet_infer.py: the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio.fbank import BANDS, log_mel_energies
from ..audio.mel import check_samples
from ..errors import InputError, ModelError
from ..presets import shape_fits
from .net import Net, check_array, check_out
from .options import DeviceOptions, Provider, Tensor

__all__ = ["ROW_ENCODERS", "AudioEncoder", "HubertEncoder", "RowEncoder", "WenetEncoder"]

MEL_WINDOW = (1, 80, 16)  # input of the audio encoder: channel, mel bands, columns
FEATURES = 512  # numbers of its output

Floats = NDArray[np.float32]


class AudioEncoder(Net):
    """The model between mel spectrogram and generator, for presets with "ave" features.

    Runs on one window at a time, so that features do not depend on how the speech was cut.
    Threads may share an encoder. It can be called like a function.

    Parameters
    ----------
    path : str or Path
        The ONNX file.
    providers, threads, options : see `Net`

    Raises
    ------
    ModelError
        As `Net`; also if the model does not turn (1, 1, 80, 16) into 512 float32 numbers.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        options: DeviceOptions | None = None,
    ) -> None:
        super().__init__(path, providers=providers, threads=threads, options=options)
        tensors = (*self.inputs.values(), *self.outputs.values())
        if (
            len(self.inputs) != 1
            or not shape_fits(tensors[0].shape, (1, *MEL_WINDOW))
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
        """Compute the features of mel windows, one run each.

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


class HubertEncoder(Net):
    """HuBERT as an ONNX file: a whole speech in, rows of "hubert" features out.

    The input is normalised over the whole speech, so the encoder cannot stream.
    Threads may share an encoder.

    Parameters
    ----------
    path : str or Path
        The ONNX file: one float32 input (1, samples), 16 kHz, and the output
        (1, frames at 50 a second, 1024), as Hugging Face's HubertModel has them.
    **options
        `providers` and `threads`, as in `Net`.

    Raises
    ------
    ModelError
        As `Net`; also if the model has other inputs or outputs.
    """

    KERNEL, STRIDE = 400, 320  # samples that one of 50 frames a second hears, and the step
    PART = 1000  # frames of one run
    WIDTH = 1024

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(path, **options)
        tensors = (*self.inputs.values(), *self.outputs.values())
        shape = tensors[0].shape if tensors else ()
        if (
            len(self.inputs) != 1
            or len(shape) != 2
            or isinstance(shape[1], int)
            or tensors[0].dtype != "float32"
        ):
            raise self._foreign(tensors)
        self._input, self._output = tensors[0].name, next(iter(self.outputs))
        made = self._run_part(np.zeros(self.KERNEL + self.STRIDE, np.float32))
        if made.shape != (2, self.WIDTH) or made.dtype != np.float32:
            raise self._foreign(tensors)

    def _foreign(self, tensors: Any) -> ModelError:
        return ModelError(
            f"{self.path}: not a HuBERT: needs one float32 input (1, samples), samples free, and "
            f"the output (1, frames, {self.WIDTH}), got {', '.join(map(str, tensors))}"
        )

    def _run_part(self, samples: Floats) -> Floats:
        made: Floats = self.run({self._input: samples[None]})[self._output]
        return made[0] if made.ndim == 3 and len(made) == 1 else made

    def features(self, samples: Floats) -> Floats:
        """Compute the rows of a whole speech.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono

        Returns
        -------
        (T, 2, 1024) float32, fresh
            25 rows a second; T = (n − 80) // 640.

        Raises
        ------
        InputError
            The speech is shorter than 45 ms.
        """
        check_samples(samples)
        count = (len(samples) - self.KERNEL + self.STRIDE) // self.STRIDE // 2 * 2
        if count < 2:
            raise InputError(
                f"the speech must be {self.KERNEL + self.STRIDE} samples or longer for HuBERT, "
                f"got {len(samples)}"
            )
        # Like Wav2Vec2's feature extractor.
        wide = samples.astype(np.float64)
        normal = ((wide - wide.mean()) / np.sqrt(wide.var() + 1e-7)).astype(np.float32)
        made = np.empty((count, self.WIDTH), np.float32)
        for first in range(0, count, self.PART):
            last = min(first + self.PART, count)
            start, end = first * self.STRIDE, (first + self.PART) * self.STRIDE
            # A full part includes all samples of its last frame; the last part takes the rest.
            end = end + self.KERNEL - self.STRIDE if end <= len(normal) else len(normal)
            rows = self._run_part(normal[start:end])
            if len(rows) < last - first:
                raise ModelError(
                    f"{self.path}: needs to make {last - first} frames of {end - start} samples, "
                    f"made {len(rows)}"
                )
            made[first:last] = rows[: last - first]
        return made.reshape(-1, 2, self.WIDTH)


class WenetEncoder(Net):
    """Wenet's streaming encoder as an ONNX file: a whole speech in, rows of "wenet" features out.

    Every row hears 67 steps of 10 ms with empty caches, like the script that makes the training
    data. Threads may share an encoder.

    Parameters
    ----------
    path : str or Path
        The ONNX file, with the inputs ``chunk`` (1, 1, 67, 80) float32, ``offset`` (1,) int64,
        ``att_cache`` (3, 8, 16, 128) and ``cnn_cache`` (3, 1, 512, 14) float32, and the first
        output (1, 16, 512).
    **options
        `providers` and `threads`, as in `Net`.

    Raises
    ------
    ModelError
        As `Net`; also if the model has other inputs or outputs.
    """

    CHUNK, STEP = 67, 5  # in units of 10 ms: length that a row hears, and step between rows
    OFFSET = 100
    SHAPE = (16, 512)
    CACHES = (("att_cache", (3, 8, 16, 128)), ("cnn_cache", (3, 1, 512, 14)))
    # Samples of silence around the speech: a row hears as much before its frame as after it.
    BEFORE, AFTER = 32 * 160, 35 * 160

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(path, **options)
        needed = {"chunk", "offset", *dict(self.CACHES)}
        if set(self.inputs) != needed:
            raise self._foreign(f"inputs {', '.join(map(str, self.inputs.values()))}")
        self._state: dict[str, NDArray[Any]] = {
            "offset": np.full(1, self.OFFSET, np.int64),
            **{name: np.zeros(shape, np.float32) for name, shape in self.CACHES},
        }
        self._output = next(iter(self.outputs))
        try:
            made = self._row(np.zeros((self.CHUNK, BANDS), np.float32))
        except ModelError as error:
            raise self._foreign(f"a model that fails on these ({error})") from None
        if made.shape != self.SHAPE or made.dtype != np.float32:
            raise self._foreign(f"the output {self.outputs[self._output]}")

    def _foreign(self, got: str) -> ModelError:
        return ModelError(
            f"{self.path}: not wenet's encoder: needs the inputs chunk (1,1,67,80), offset (1), "
            "att_cache (3,8,16,128) and cnn_cache (3,1,512,14) and the output (1,16,512), "
            f"got {got}"
        )

    def _row(self, chunk: Floats) -> Floats:
        made: Floats = self.run({"chunk": chunk[None, None], **self._state})[self._output]
        return made[0] if made.ndim == 3 and len(made) == 1 else made

    def features(self, samples: Floats) -> Floats:
        """Compute the rows of a whole speech.

        Parameters
        ----------
        samples : (n,) float32, 16 kHz mono

        Returns
        -------
        (T, 16, 512) float32, fresh
            20 rows a second: one for each frame, or one more.

        Raises
        ------
        InputError
            The speech is empty.
        """
        check_samples(samples)
        if not len(samples):
            raise InputError("the speech must hold samples for wenet, got none")
        # Like the script: 16-bit numbers, truncated.
        whole = np.trunc(np.clip(samples * np.float32(32767), -32768, 32767))
        padded = np.concatenate(
            [np.zeros(self.BEFORE, np.float32), whole, np.zeros(self.AFTER, np.float32)]
        )
        energies = log_mel_energies(padded)
        count = 1 + max(0, -(-(len(energies) - self.CHUNK) // self.STEP))
        made = np.empty((count, *self.SHAPE), np.float32)
        chunk = np.zeros((self.CHUNK, BANDS), np.float32)
        for i in range(count):
            heard = energies[i * self.STEP : i * self.STEP + self.CHUNK]
            chunk[: len(heard)], chunk[len(heard) :] = heard, 0.0
            made[i] = self._row(chunk)
        return made


RowEncoder = HubertEncoder | WenetEncoder

# Encoders by the name of a preset's features.
ROW_ENCODERS: dict[str, type[HubertEncoder] | type[WenetEncoder]] = {
    "hubert": HubertEncoder,
    "wenet": WenetEncoder,
}
