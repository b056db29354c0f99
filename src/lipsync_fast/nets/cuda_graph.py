"""A run of a model as a CUDA graph: all kernels start at once, on memory that stays in place.

ONNX Runtime ties a captured graph to the thread that captured it, captures during the third run
of an id, and then replays it on the same addresses. (onnxruntime,
core/providers/cuda/cuda_execution_provider.cc.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from . import ort
from .cuda import CudaRuntime

__all__ = ["PLAIN", "CudaGraph", "run_options"]

PLAIN = -1  # the graph id of a run that is not captured
RUNS_TO_CAPTURE = 3  # two that take memory, then the one that is captured
_ID = "gpu_graph_id"


def run_options(number: int) -> Any:
    """Return the options of a run that captures or replays graph `number`, or of a plain run."""
    options = ort.load_onnxruntime().RunOptions()
    options.add_run_config_entry(_ID, str(number))
    return options


class CudaGraph:
    """One size of a model, on fixed device memory; only for the thread that made it.

    Parameters
    ----------
    session : InferenceSession
    path : Path
        The model's file, for error messages.
    place : (str, int)
        Kind and number of the device, as ONNX Runtime names them.
    number : int
        Number of the graph, unique in the session.
    feeds : mapping of str to array
        Inputs that change, for their shapes.
    resident : mapping of str to OrtValue
        Inputs that stay.
    output : (str, array)
        Name of the output, and an array of its shape and dtype.
    cuda_runtime : CudaRuntime
    """

    def __init__(
        self,
        session: Any,
        path: Path,
        place: tuple[str, int],
        number: int,
        *,
        feeds: Mapping[str, NDArray[Any]],
        resident: Mapping[str, Any],
        output: tuple[str, NDArray[Any]],
        cuda_runtime: CudaRuntime,
    ) -> None:
        self._session, self._path, self._cuda_runtime = session, path, cuda_runtime
        values = ort.load_onnxruntime().OrtValue
        self._feeds = {
            fed: values.ortvalue_from_numpy(array, *place) for fed, array in feeds.items()
        }
        name, out = output
        self._out = values.ortvalue_from_shape_and_type(out.shape, out.dtype, *place)
        self._options = run_options(number)
        self._binding = session.io_binding()
        for fed, value in (*self._feeds.items(), *resident.items()):
            self._binding.bind_ortvalue_input(fed, value)
        self._binding.bind_ortvalue_output(name, self._out)

    def __call__(self, feeds: Mapping[str, NDArray[Any]], out: NDArray[Any]) -> None:
        """Run on other inputs of the same shapes; `out` receives the output.

        Raises
        ------
        ModelError, DeviceMemoryError
        """
        try:
            for name, array in feeds.items():
                self._feeds[name].update_inplace(array)
            self._cuda_runtime.wait()
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            raise ort.run_error(self._path, len(out), error) from error
        self._cuda_runtime.copy_to_host(self._out.data_ptr(), out)
