"""Replace the compositor of a service with its own frames, rects and model.

python examples/own_compositor.py

finishes the same frames like LiveTalking's Wav2Lip and with lipsync_fast, compares them, times
both on one thread, and prints the table. It needs the extra `bench` (OpenCV).
"""

from functools import partial

import cv2
import numpy as np

import lipsync_fast as lf
from lipsync_fast.bench.clock import run_in_turn
from lipsync_fast.bench.peers import PEERS, finish, make_inputs
from lipsync_fast.bench.scenes import drifting_rects, photos

REQUEST = 8


# --8<-- [start:ours]
class FastCompositor:
    """Replaces copying the frame, resizing the mouth and pasting it."""

    def __init__(self, frames, coords, preset="wav2lip256", threads=None):
        # LiveTalking's coords are (y1, y2, x1, x2), ours (x, y, w, h).
        rects = [(x1, y1, x2 - x1, y2 - y1) for y1, y2, x1, x2 in coords]
        self.template = lf.Template.from_arrays(frames, rects, preset=preset)
        self.compositor = lf.Compositor(self.template, threads=threads)

    def finish(self, outputs, indices, format="bgr24"):
        """Finish frames from the model's output, (N, 3, S, S) float32, and their indices."""
        return self.compositor.composite(outputs, indices, format=format)


# --8<-- [end:ours]


def main(rounds=20, width=1920, height=1080):
    frames = list(photos(REQUEST, width, height))
    coords = [(y, y + h, x, x + w) for x, y, w, h in drifting_rects(REQUEST, width, height)]
    peer = PEERS["livetalking_wav2lip"]
    theirs = [
        make_inputs(peer, frame, (x1, y1, x2 - x1, y2 - y1), seed=i)
        for i, (frame, (y1, y2, x1, x2)) in enumerate(zip(frames, coords, strict=True))
    ]
    outputs = np.stack([inputs.output for inputs in theirs])
    fast = FastCompositor(frames, coords, threads=1)
    cv2.setNumThreads(1)

    with fast.finish(outputs, range(REQUEST)) as made:
        for frame, inputs in zip(made, theirs, strict=True):
            apart = np.abs(peer.composite(inputs).astype(int) - frame.array).max()
            assert apart <= 1, f"frame {frame.index} is {apart} levels off"

    def i420(inputs):
        return cv2.cvtColor(peer.composite(inputs), cv2.COLOR_BGR2YUV_I420)

    ways = {
        "pixels": (peer.composite, "bgr24"),
        "I420": (i420, "i420"),
        "JPEG": (partial(finish, peer), "jpeg"),
    }
    works = {}
    for name, (way, format) in ways.items():
        works[f"{peer.title}, {name}"] = lambda way=way: [way(inputs) for inputs in theirs]
        works[f"lipsync_fast, {name}"] = partial(fast.finish, outputs, range(REQUEST), format)
    found = run_in_turn(works, rounds)
    for name, timing in found.items():
        print(f"{name:30} {timing.median_ms / REQUEST:7.3f} ms a frame")
    return found


if __name__ == "__main__":
    main()
