"""A net's run as a CUDA graph: all its kernels start at once, on memory that stays where it is.

ONNX Runtime keeps a captured graph with the thread that captured it, captures in the third run
of an id, and then plays it back on the very addresses that were bound. (onnxruntime,
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


def run_options(runtime: Any, number: int) -> Any:
    """Options of a run that captures or plays back graph `number`, or of a plain one."""
    options = runtime.RunOptions()
    options.add_run_config_entry(_ID, str(number))
    return options


class CudaGraph:
    """One size of a net, over fixed device memory; only for the thread that made it.

    Parameters
    ----------
    runtime : module
        onnxruntime.
    session : InferenceSession
    path : Path
        Named in errors.
    place : (str, int)
        Kind and number of the device, as ONNX Runtime names them.
    number : int
        Of the graph; no other run of the session may have it.
    feeds : mapping of str to array
        Inputs that change; gives their shapes.
    resident : mapping of str to OrtValue
        Inputs that stay.
    output : str
    out : array
        Gives the output's shape.
    cuda : CudaRuntime
    """

    def __init__(
        self,
        runtime: Any,
        session: Any,
        path: Path,
        place: tuple[str, int],
        number: int,
        *,
        feeds: Mapping[str, NDArray[Any]],
        resident: Mapping[str, Any],
        output: str,
        out: NDArray[Any],
        cuda: CudaRuntime,
    ) -> None:
        self._session, self._path, self._cuda = session, path, cuda
        values = runtime.OrtValue
        self._feeds = {
            name: values.ortvalue_from_numpy(array, *place) for name, array in feeds.items()
        }
        self._out = values.ortvalue_from_shape_and_type(out.shape, out.dtype, *place)
        self._options = run_options(runtime, number)
        self._binding = session.io_binding()
        for name, value in (*self._feeds.items(), *resident.items()):
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_output(output, self._out)

    def __call__(self, feeds: Mapping[str, NDArray[Any]], out: NDArray[Any]) -> None:
        """Run on other inputs of the same shapes; `out` receives the output.

        Raises
        ------
        ModelError, DeviceMemoryError
        """
        try:
            for name, array in feeds.items():
                self._feeds[name].update_inplace(array)
            self._cuda.wait()
            self._session.run_with_iobinding(self._binding, self._options)
        except Exception as error:  # ONNX Runtime's exceptions share no narrower base
            raise ort.run_error(self._path, len(out), error) from error
        self._cuda.copy_to_host(self._out.data_ptr(), out)
