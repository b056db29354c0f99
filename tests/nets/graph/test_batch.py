"""A free batch, operator by operator: each place where exporters leave the old one."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support.nets import ints, save  # noqa: E402

from lipsync_fast.errors import ModelError  # noqa: E402
from lipsync_fast.nets.graph import make_batch_dynamic  # noqa: E402
from lipsync_fast.nets.net import Net  # noqa: E402

node, from_array = onnx.helper.make_node, onnx.numpy_helper.from_array
HALF = from_array(np.array([0.5], np.float32))


def f32(*shape):
    return np.random.default_rng(shape).normal(0, 0.5, shape).astype(np.float32)


# Name: nodes, shape of y without its batch, constants for a batch of b; x is (b, 4, 6, 6) and
# a, where it is used, (b, 8, 4).
KINDS = {
    "Tile of a constant": lambda b: (
        [node("Tile", ["c", "s"], ["t"]), node("Concat", ["x", "t"], ["y"], axis=1)],
        (8, 6, 6), {"c": f32(1, 4, 6, 6), "s": ints(b, 1, 1, 1)},
    ),
    "Tile of the sound": lambda b: (
        [node("Flatten", ["a"], ["f"]), node("MatMul", ["f", "w"], ["g"]),
         node("Reshape", ["g", "s"], ["r"]), node("Tile", ["r", "t"], ["w2"]),
         node("Mul", ["x", "w2"], ["y"])],
        (4, 6, 6), {"w": f32(32, 4), "s": ints(b, 4, 1, 1), "t": ints(1, 1, 6, 6)},
    ),
    "ConstantOfShape joined": lambda b: (
        [node("ConstantOfShape", ["s"], ["t"], value=HALF),
         node("Concat", ["x", "t"], ["y"], axis=1)],
        (8, 6, 6), {"s": ints(b, 4, 6, 6)},
    ),
    "ConstantOfShape added": lambda b: (
        [node("ConstantOfShape", ["s"], ["t"], value=HALF), node("Add", ["x", "t"], ["y"])],
        (4, 6, 6), {"s": ints(b, 4, 6, 6)},
    ),
    "Expand": lambda b: (
        [node("Expand", ["c", "s"], ["t"]), node("Concat", ["x", "t"], ["y"], axis=1)],
        (8, 6, 6), {"c": f32(1, 4, 1, 1), "s": ints(b, 4, 6, 6)},
    ),
    "Flatten and Gemm": lambda b: (
        [node("Flatten", ["a"], ["f"]), node("Gemm", ["f", "w", "c"], ["g"]),
         node("Reshape", ["g", "s"], ["r"]), node("Mul", ["x", "r"], ["y"])],
        (4, 6, 6), {"w": f32(32, 4), "c": f32(1, 4), "s": ints(b, 4, 1, 1)},
    ),
    "Reshape that keeps": lambda b: (
        [node("Reshape", ["a", "s"], ["f"]), node("MatMul", ["f", "w"], ["g"]),
         node("Reshape", ["g", "t"], ["r"]), node("Mul", ["x", "r"], ["y"])],
        (4, 6, 6), {"w": f32(32, 4), "s": ints(0, -1), "t": ints(0, 0, 1, 1)},
    ),
    "Reshape by a Constant": lambda b: (
        [node("Constant", [], ["s"], value=from_array(ints(b, 144))),
         node("Reshape", ["x", "s"], ["y"])],
        (144,), {},
    ),
    "batch and rows in one axis": lambda b: (
        [node("Reshape", ["x", "s"], ["r"]), node("MatMul", ["r", "w"], ["m"]),
         node("Reshape", ["m", "t"], ["y"])],
        (4, 6, 5), {"s": ints(b * 24, 6), "w": f32(6, 5), "t": ints(b, 4, 6, 5)},
    ),
    "pixel shuffle": lambda b: (
        [node("Reshape", ["x", "s"], ["r"]),
         node("Transpose", ["r"], ["p"], perm=[0, 1, 4, 2, 5, 3]),
         node("Reshape", ["p", "t"], ["y"])],
        (1, 12, 12), {"s": ints(b, 1, 2, 2, 6, 6), "t": ints(b, 1, 12, 12)},
    ),
    "group norm": lambda b: (
        [node("Reshape", ["x", "s"], ["r"]),
         node("InstanceNormalization", ["r", "w", "c"], ["n"]), node("Reshape", ["n", "t"], ["y"])],
        (4, 6, 6), {"s": ints(b, 2, -1), "w": f32(2), "c": f32(2), "t": ints(b, 4, 6, 6)},
    ),
    "Slice of every axis": lambda b: (
        [node("Slice", ["x", "s", "t"], ["y"])],
        (2, 3, 6), {"s": ints(0, 1, -3, 0), "t": ints(b, 3, 6, 6)},
    ),
    "Resize to sizes": lambda b: (
        [node("Resize", ["x", "", "", "s"], ["y"], mode="linear")],
        (4, 12, 12), {"s": ints(b, 4, 12, 12)},
    ),
    "Resize by scales": lambda b: (
        [node("Resize", ["x", "", "s"], ["y"], mode="nearest")],
        (4, 12, 12), {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
}  # fmt: skip
# Frames have their own numbers, so a batch of another size has others.
ONLY_OF_ONE = {
    "GridSample": lambda b: (
        [node("GridSample", ["x", "g"], ["y"])],
        (4, 6, 6), {"g": np.tanh(f32(b, 6, 6, 2))},
    ),
    "Where": lambda b: (
        [node("Where", ["m", "x", "c"], ["y"])],
        (4, 6, 6), {"m": f32(b, 1, 6, 6) > 0, "c": f32(1, 4, 6, 6)},
    ),
}  # fmt: skip


def made(path, kind, batch):
    nodes, shape, constants = (KINDS | ONLY_OF_ONE)[kind](batch)
    used = {name for n in nodes for name in n.input}
    inputs = [("x", [batch, 4, 6, 6]), ("a", [batch, 8, 4])]
    return save(
        path, nodes, [i for i in inputs if i[0] in used], [("y", [batch, *shape])],
        list(constants.items()),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "batch"), [(k, b) for b in (1, 3) for k in KINDS] + [(k, 1) for k in ONLY_OF_ONE]
)
def test_the_batch_is_freed_where_it_is_held(tmp_path, kind, batch):
    src, dst = made(tmp_path / "in.onnx", kind, batch), tmp_path / "out.onnx"
    make_batch_dynamic(src, dst)
    fixed, free = Net(src, providers=["cpu"]), Net(dst, providers=["cpu"])
    draw = np.random.default_rng(1)
    feeds = {
        name: draw.normal(0, 1, (6, *tensor.shape[1:])).astype(np.float32)
        for name, tensor in fixed.inputs.items()
    }
    wanted = np.concatenate(
        [
            fixed.run({n: v[i : i + batch] for n, v in feeds.items()})["y"]
            for i in range(0, 6, batch)
        ]
    )
    for size in (1, 2, 6):
        got = np.concatenate(
            [
                free.run({n: v[i : i + size] for n, v in feeds.items()})["y"]
                for i in range(0, 6, size)
            ]
        )
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert np.ptp(wanted, axis=0).max() > 0.1


REFUSED = {
    "Where": "node fails: Where 'Where_0'",
    "GridSample": "node fails: GridSample 'GridSample_0'",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_belongs_to_the_frames_of_one_batch_is_refused(tmp_path, kind):
    src = made(tmp_path / "in.onnx", kind, 3)
    with pytest.raises(ModelError, match=REFUSED[kind]):
        make_batch_dynamic(src, tmp_path / "out.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["in.onnx"]
