"""Replace the compositor of a service that has frames, rects and a net of its own.

python examples/own_compositor.py

finishes the same frames as LiveTalking's Wav2Lip does and as lipsync_fast does, compares them,
times both, and prints the table. It needs the extra `bench` (OpenCV).
"""

import time

import numpy as np

import lipsync_fast as lf
from lipsync_fast.bench.peers import PEERS, make_inputs
from lipsync_fast.bench.scenes import drifting_rects, photos

REQUEST = 8


# --8<-- [start:ours]
class FastCompositor:
    """What stands in place of copying the frame, resizing the mouth and pasting it."""

    def __init__(self, frames, coords, preset="wav2lip256"):
        # LiveTalking's coords are (y1, y2, x1, x2), ours (x, y, w, h).
        rects = [(x1, y1, x2 - x1, y2 - y1) for y1, y2, x1, x2 in coords]
        self.template = lf.Template.from_arrays(frames, rects, preset=preset)
        self.compositor = lf.Compositor(self.template)

    def finish(self, outputs, indices, format="bgr24"):
        """(N, 3, S, S) float32 as the net made it, and which frames: the finished frames."""
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
    fast = FastCompositor(frames, coords)

    with fast.finish(outputs, range(REQUEST)) as made:
        for frame, inputs in zip(made, theirs, strict=True):
            apart = np.abs(peer.composite(inputs).astype(int) - frame.array).max()
            assert apart <= 1, f"frame {frame.index} is {apart} levels off"

    ways = {
        f"{peer.title}, pixels": lambda: [peer.composite(inputs) for inputs in theirs],
        "lipsync_fast, pixels": lambda: fast.finish(outputs, range(REQUEST)),
        "lipsync_fast, I420": lambda: fast.finish(outputs, range(REQUEST), "i420"),
        "lipsync_fast, JPEG": lambda: fast.finish(outputs, range(REQUEST), "jpeg"),
    }
    taken = {name: [] for name in ways}
    for _ in range(rounds):  # in turn, so that all meet the same machine
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - start) * 1e3 / REQUEST)
    for name, times in taken.items():
        print(f"{name:32} {np.median(times):7.3f} ms a frame")
    return {name: float(np.median(times)) for name, times in taken.items()}


if __name__ == "__main__":
    main()
