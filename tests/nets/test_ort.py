"""Providers, their options, and devices that run out of memory."""

import logging

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import WAV2LIP, inputs_for, relu, summed, summing_generator

from lipsync_fast.errors import DeviceMemoryError, InputError, ModelError
from lipsync_fast.nets import cuda, ort
from lipsync_fast.nets.generator import Generator
from lipsync_fast.nets.net import Net
from lipsync_fast.nets.options import DeviceOptions

GPU = cuda.CudaDevice(0, "a device", 8 << 30)


@pytest.fixture
def generator(tmp_path):
    return Generator(summing_generator(tmp_path / "net.onnx"))


@pytest.mark.parametrize("providers", [["cpu"], ["CPUExecutionProvider"], [("cpu", {})]])
def test_providers_by_name(tmp_path, providers):
    net = Net(relu(tmp_path / "net.onnx"), providers=providers, threads=1)
    assert net.provider == "CPUExecutionProvider"
    assert net.on_cpu


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"providers": ["abacus"]}, "provider abacus is not in the installed ONNX Runtime"),
        ({"providers": []}, "providers must be a list"),
        ({"providers": "cpu"}, "providers must be a list"),
        ({"threads": 0}, "threads must be a whole number, 1 or more, got 0"),
        ({"threads": 1.5}, "threads must be a whole number"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, says):
    with pytest.raises(InputError, match=says):
        Net(relu(tmp_path / "net.onnx"), **options)


class _Runtime:
    """Stands for an ONNX Runtime with CUDA built in, whose sessions run on `real`."""

    __version__ = "0"

    def __init__(self, real):
        import onnxruntime

        self.SessionOptions = onnxruntime.SessionOptions
        self.asked = []
        runtime = self

        class InferenceSession:
            def __init__(self, path, options, providers):
                runtime.asked.append([name for name, _ in providers])
                runtime.options = dict(providers)
                if real is None and len(providers) == 2:
                    raise RuntimeError("CUDA failure 35")
                self.providers = [real] if real in runtime.asked[-1] else ["CPUExecutionProvider"]

            def get_providers(self):
                return self.providers

            def disable_fallback(self):
                pass

        self.InferenceSession = InferenceSession

    def get_available_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def preload_dlls(self):
        print("libcublas.so: not found")


def open_on(runtime, *arguments, **options):
    """A session of another ONNX Runtime than the installed one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ort, "load_onnxruntime", lambda: runtime)
        return ort.open_session(*arguments, **options)


@pytest.mark.parametrize("device", [True, False])
@pytest.mark.parametrize("real", ["CUDAExecutionProvider", "CPUExecutionProvider", None])
def test_cuda_only_where_it_really_works(tmp_path, monkeypatch, caplog, capfd, device, real):
    monkeypatch.setattr(cuda, "devices", lambda: [GPU] if device else [])
    runtime = _Runtime(real)
    opened = open_on(runtime, tmp_path / "net.onnx", None, None)
    works = device and real == "CUDAExecutionProvider"
    assert opened.get_providers() == ["CUDAExecutionProvider" if works else "CPUExecutionProvider"]
    assert ("running on the CPU" in caplog.text) == (device and not works)
    assert ("CUDAExecutionProvider" in runtime.asked[0]) == device
    assert capfd.readouterr() == ("", "")


def test_cuda_alone_never_becomes_the_cpu(tmp_path):
    runtime = _Runtime("CPUExecutionProvider")
    with pytest.raises(ModelError, match="CUDAExecutionProvider does not work here"):
        open_on(runtime, tmp_path / "net.onnx", ["cuda"], None)
    opened = open_on(runtime, tmp_path / "net.onnx", ["cuda", "cpu"], None)
    assert opened.get_providers() == ["CPUExecutionProvider"]


def test_cuda_options(tmp_path, monkeypatch):
    """Given options keep the defaults that they do not set."""
    search = "cudnn_conv_algo_search"
    runtime = _Runtime("CUDAExecutionProvider")
    monkeypatch.setattr(cuda, "devices", lambda: [GPU])
    defaults = {
        "device_id": "0",
        search: "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }
    for providers, changed in (
        (None, {}),
        (["cuda"], {}),
        ([("cuda", {"device_id": 1})], {"device_id": 1}),
        ([("cuda", {search: "EXHAUSTIVE"})], {search: "EXHAUSTIVE"}),
    ):
        open_on(runtime, tmp_path / "net.onnx", providers, None)
        assert runtime.options["CUDAExecutionProvider"] == defaults | changed
    chosen = DeviceOptions(device=2, tf32=True, nhwc=True, memory_limit=1 << 30)
    open_on(runtime, tmp_path / "net.onnx", None, None, chosen, capture=True)
    assert runtime.options["CUDAExecutionProvider"] == defaults | {
        "device_id": "2",
        "use_tf32": "1",
        "prefer_nhwc": "1",
        "gpu_mem_limit": str(1 << 30),
        "enable_cuda_graph": "1",
    }
    assert runtime.options["CPUExecutionProvider"] == {}


def test_tensorrt_only_where_it_loads(tmp_path, monkeypatch, caplog):
    tensorrt, cuda = "TensorrtExecutionProvider", "CUDAExecutionProvider"
    runtime = _Runtime(cuda)
    everything = [tensorrt, *runtime.get_available_providers()]
    monkeypatch.setattr(runtime, "get_available_providers", lambda: everything, raising=False)
    monkeypatch.setattr(ort, "tensorrt_loads", lambda: False)
    with caplog.at_level(logging.INFO, "lipsync_fast"):
        open_on(runtime, tmp_path / "net.onnx", ["tensorrt", "cuda"], None)
    assert runtime.asked[-1] == [cuda]
    assert "TensorRT 10 is not installed" in caplog.text
    with pytest.raises(InputError, match=r"TensorRT 10 .* does not load here"):
        open_on(runtime, tmp_path / "net.onnx", ["tensorrt"], None)
    monkeypatch.setattr(ort, "tensorrt_loads", lambda: True)
    open_on(runtime, tmp_path / "net.onnx", ["tensorrt", "cuda"], None)
    assert runtime.asked[-1] == [tensorrt, cuda]
    assert runtime.options[tensorrt]["trt_engine_cache_enable"] == "1"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": -1}, "device must be a whole number, 0 or more"),
        ({"sizes": ()}, "sizes must be ascending"),
        ({"sizes": (4, 2)}, "sizes must be ascending"),
        ({"sizes": (0, 2)}, "sizes must be ascending"),
        ({"memory_limit": 0}, "memory_limit must be a whole number of bytes, 1 or more"),
        ({"device": 1.5}, "device must be a whole number, 0 or more, got 1.5"),
        ({"device": "cuda:1"}, "device must be a whole number, 0 or more, got 'cuda:1'"),
        ({"sizes": (1.5, 2)}, "sizes must be ascending"),
        ({"sizes": 8}, "sizes must be ascending numbers of frames, got 8"),
        (
            {"memory_limit": "4G"},
            "memory_limit must be a whole number of bytes",
        ),
    ],
)
def test_session_options_that_cannot_be(options, says):
    with pytest.raises(InputError, match=says):
        DeviceOptions(**options)


# ---- out of memory ------------------------------------------------------------------------


class _Cramped:
    """Wraps a session, as on a device where only runs of up to `room` frames fit."""

    SAYS = (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while "
        "running Conv node. Name:'c' Status Message: /onnxruntime_src/onnxruntime/core/framework/"
        "bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) "
        "Failed to allocate memory for requested buffer of size 939524096"
    )

    def __init__(self, session, room, says=SAYS):
        self._session, self.room, self.says, self.runs = session, room, says, []

    def __getattr__(self, name):
        return getattr(self._session, name)

    def io_binding(self):
        binding, cramped = self._session.io_binding(), self

        class Binding:
            def bind_input(self, name, device, number, dtype, shape, address):
                cramped.size = shape[0]
                binding.bind_input(name, device, number, dtype, shape, address)

            def bind_output(self, *arguments):
                binding.bind_output(*arguments)

        cramped.binding = binding
        return Binding()

    def run_with_iobinding(self, _, options):
        self.runs.append(self.size)
        if self.size > self.room:
            raise RuntimeError(self.says)
        self._session.run_with_iobinding(self.binding, options)


@pytest.mark.parametrize(
    "says", [_Cramped.SAYS, "CUDA failure 2: out of memory", "CUDNN_STATUS_ALLOC_FAILED"]
)
def test_a_net_lives_on_with_smaller_runs(generator, monkeypatch, caplog, says):
    session = _Cramped(generator._session, 1, says)
    monkeypatch.setattr(generator, "_session", session)
    visual, audio = inputs_for(WAV2LIP, 6)
    out = generator.infer(visual, audio)
    np.testing.assert_allclose(out, summed(visual, audio), atol=1e-6)
    assert session.runs == [4, 2, 1, 1, 1, 1, 1, 1]
    assert generator.micro_batch == 1
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 2
    assert "no memory for 4 frames at once" in said[0]
    assert said[0].endswith("from now on at most 2 at once")
    assert "onnxruntime_src" not in caplog.text
    session.runs.clear()
    generator.infer(visual, audio)
    assert session.runs == [1] * 6, "it must not try the large ones again"


@pytest.mark.parametrize("batch", ["N", 4])
def test_no_memory_for_one_frame_is_one_clear_error(tmp_path, monkeypatch, batch):
    net = Generator(summing_generator(tmp_path / "net.onnx", batch))
    monkeypatch.setattr(net, "_session", _Cramped(net._session, 0))
    count = "one frame" if batch == "N" else "4 frames at once"
    with pytest.raises(DeviceMemoryError, match=rf"net\.onnx: no memory for {count} \(") as caught:
        net.infer(*inputs_for(WAV2LIP, 2))
    assert isinstance(caught.value, MemoryError)
    assert "\n" not in str(caught.value)


def test_a_net_that_does_not_fit_on_the_device(tmp_path, monkeypatch):
    runtime = _Runtime("CPUExecutionProvider")

    def refuse(*arguments, **options):
        raise RuntimeError(_Cramped.SAYS)

    monkeypatch.setattr(runtime, "InferenceSession", refuse)
    with pytest.raises(DeviceMemoryError, match=r"net\.onnx: the device has too little memory"):
        open_on(runtime, tmp_path / "net.onnx", None, None)
