"""Savings from storing, for each template frame, the part of a model that sees only its picture.

    python -m benchmarks.studies.picture_half              # the U-Net of build_unet.py
    python -m benchmarks.studies.picture_half unet.onnx

Prints the tensors that the rest of the model reads from that half, their bytes a frame, and the
processor time of the whole model and of the rest, on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from benchmarks.support.build_unet import build

ROUNDS = 12


def crossing(graph: onnx.GraphProto, picture: str, sound: str) -> list[str]:
    """Return tensors that depend only on the picture and are read by nodes that hear the sound."""
    heard, seen, found = {sound}, {picture}, set()
    for node in graph.node:
        if heard.intersection(node.input):
            heard.update(node.output)
            found.update(seen.intersection(node.input))
        elif seen.intersection(node.input):
            seen.update(node.output)
    return sorted(found - {picture})


def shapes_of(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shape of each tensor for one frame, with free axes as 1."""
    graph = model.graph
    return {
        value.name: [axis.dim_value or 1 for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }


def processor_ms(works: dict[str, tuple[Path, dict[str, np.ndarray]]]) -> dict[str, float]:
    """Return the median processor time of a run of each, in turn, in milliseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for name, (path, _) in works.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS + 2):
        for name, (_, feeds) in works.items():
            start = time.process_time()
            sessions[name].run(None, feeds)
            taken[name].append(1e3 * (time.process_time() - start))
    return {name: float(np.median(values[2:])) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("net", nargs="?", help="an ONNX file whose inputs are picture and sound")
    given = parser.parse_args().net
    model = onnx.load(given) if given else build()
    inferred = onnx.shape_inference.infer_shapes(model)
    picture, sound = (value.name for value in model.graph.input[:2])
    shapes, read = shapes_of(inferred), crossing(model.graph, picture, sound)
    output = model.graph.output[0].name
    draw = np.random.default_rng(0)
    feeds = {name: draw.random(shapes[name], np.float32) for name in (picture, sound, *read)}
    with tempfile.TemporaryDirectory() as folder:
        whole, rest = Path(folder, "whole.onnx"), Path(folder, "rest.onnx")
        onnx.save(model, whole)
        onnx.save(Extractor(inferred).extract_model([*read, sound], [output]), rest)
        took = processor_ms({
            "whole": (whole, {name: feeds[name] for name in (picture, sound)}),
            "rest": (rest, {name: feeds[name] for name in (*read, sound)}),
        })  # fmt: skip
    for name in read:
        print(f"{name}: {'×'.join(map(str, shapes[name][1:]))}")
    size = sum(feeds[name].nbytes for name in read)
    print(f"{size / 1e6:.1f} MB a frame, {(2 << 30) // size} frames in 2 GiB")
    saved = 1 - took["rest"] / took["whole"]
    print(f"whole {took['whole']:.0f} ms, rest {took['rest']:.0f} ms: {100 * saved:.0f} % saved")


if __name__ == "__main__":
    main()
