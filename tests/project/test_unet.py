"""benchmarks/support/build_unet.py: a model of the contract's shape, the same in every build."""

import numpy as np
import pytest

from lipsync_fast.presets import find_preset

pytest.importorskip("onnx")
SMALL = {"side": 32, "channels": (8, 16, 32)}


@pytest.fixture(scope="module")
def script():
    return pytest.importorskip("benchmarks.support.build_unet", reason="benchmarks/ is not here")


def shapes(values):
    return {
        v.name: tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim)
        for v in values
    }


def test_the_full_net_has_the_contract_of_synctalk(script):
    graph = script.build().graph
    inputs = shapes(graph.input)
    assert inputs == {"input": ("N", 6, 320, 320), "audio": ("N", 32, 16, 16)}
    assert shapes(graph.output) == {"output": ("N", 3, 320, 320)}
    assert find_preset(inputs).name == "synctalk328"
    assert 9e6 < sum(np.prod(w.dims) for w in graph.initializer) < 12e6


def test_builds_are_equal_byte_for_byte(script):
    first = script.build(**SMALL).SerializeToString()
    assert script.build(**SMALL).SerializeToString() == first
    assert script.build(**SMALL, seed=1).SerializeToString() != first


@pytest.mark.parametrize("batch", [None, 1])
def test_the_net_hears_sees_and_stays_in_range(script, rng, batch):
    ort = pytest.importorskip("onnxruntime")
    model = script.build(**SMALL, batch=batch).SerializeToString()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    count = batch or 3
    picture = rng.random((count, 6, 32, 32), np.float32)
    audio = rng.standard_normal((count, 32, 16, 16), np.float32)
    (output,) = session.run(None, {"input": picture, "audio": audio})
    assert output.shape == (count, 3, 32, 32)
    assert 0 < output.min() < output.max() < 1
    assert output.std() > 0.02
    for name, other in (("input", 1 - picture), ("audio", -audio)):
        (changed,) = session.run(None, {"input": picture, "audio": audio} | {name: other})
        assert np.abs(changed - output).mean() > 1e-3


def test_sides_that_do_not_halve_are_refused(script):
    with pytest.raises(ValueError, match="multiple of 16"):
        script.build(side=324)
