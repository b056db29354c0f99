"""Soak test: requests like a service's, for as long as you like; memory must not grow.

    python tools/soak.py                    an hour
    python tools/soak.py --minutes 1        a short one

The demo's person and models, in one process: three live conversations, each of which hears speech
in tenths of a second at a speaker's pace and takes JPEG, I420 or packed frames, pauses and speaks
again; and bursts, requests of 25 frames in any format as fast as possible.
First all of them run at once and without pace, over the template's whole loop and in requests of
every size, and the pool lends everything that may ever be held at the same moment, as in a service
that knows its peak. From then on memory is sampled. The exit status is 1 if one sample of the
process's own pages differs from the first ten by more than 1 %, or one of resident memory is more
than 1 % above them. (The system may reclaim pages of files, so resident memory may shrink on a
shared machine.) Linux.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lipsync_fast import Pipeline, default_pool
from lipsync_fast.bench.memory import anonymous_bytes
from lipsync_fast.demo import COUNT, speech
from lipsync_fast.demo.run import open_pipeline

FORMATS = ("jpeg", "i420", "bgr24")
RATE, CHUNK = 16000, 1600  # samples a second, and samples of one chunk
SPEECHES = (3.0, 12.0)  # shortest and longest speech, seconds
PAUSE, BETWEEN_BURSTS = 2.0, 6.0  # seconds at most
BURST = 25
REFERENCE = 10  # first samples, with which the others are compared
ALLOWED = 0.01


class Service:
    """One pipeline and its simultaneous users."""

    def __init__(self, pipeline: Pipeline, seed: int) -> None:
        self.pipeline, self.seed = pipeline, seed
        self.sound = speech().astype(np.float32)
        self.stop = threading.Event()
        self.requests = self.frames = self.bytes = 0
        self.errors: list[BaseException] = []
        self._lock = threading.Lock()

    def count(self, requests: int, frames: int, size: int) -> None:
        with self._lock:
            self.requests += requests
            self.frames += frames
            self.bytes += size

    def speaker(self, seconds: float, start: int, paced: bool) -> Iterator[np.ndarray]:
        """Yield a part of the sound, over and over, in chunks like a microphone's."""
        due = time.monotonic()
        for first in range(start, start + int(seconds * RATE), CHUNK):
            due += CHUNK / RATE
            if paced and self.stop.wait(max(due - time.monotonic(), 0)):
                return
            yield np.take(self.sound, range(first, first + CHUNK), mode="wrap")

    def speak(self, format: str, seconds: float, start: int, paced: bool) -> None:
        frames = size = 0
        for frame in self.pipeline.frames(self.speaker(seconds, start, paced), format=format):
            with frame:
                frames += 1
                size += len(frame.data)
        self.count(-(-frames // self.pipeline.request), frames, size)

    def converse(self, format: str, chance: random.Random) -> None:
        while not self.stop.wait(chance.uniform(0, PAUSE)):
            start = chance.randrange(len(self.sound))
            self.speak(format, chance.uniform(*SPEECHES), start, paced=True)

    def burst(self, format: str, start: int) -> None:
        shape = self.pipeline.template.preset.audio_shape
        features = np.random.default_rng(start).normal(0, 1, (BURST, *shape)).astype(np.float32)
        with self.pipeline.composite(features, start, format=format) as frames:
            self.count(1, BURST, sum(len(frame.data) for frame in frames))

    def bursts(self, chance: random.Random) -> None:
        while not self.stop.wait(chance.uniform(0, BETWEEN_BURSTS)):
            for _ in range(chance.randrange(1, 4)):
                self.burst(chance.choice(FORMATS), chance.randrange(100_000))

    def warm_up(self) -> None:
        """Run all users at once over the whole loop, in requests of every size."""
        self.reserve()
        loop = 2 * COUNT

        def bursts() -> None:
            for start in range(0, loop, BURST):
                for format in FORMATS:
                    self.burst(format, start)

        def speaks(format: str, frames: int) -> Callable[[], None]:
            return lambda: self.speak(format, frames / 25, 0, paced=False)

        for last in range(1, self.pipeline.request + 1):
            frames = loop - loop % self.pipeline.request + last
            self.run([*(speaks(format, frames) for format in FORMATS), bursts])

    def reserve(self) -> None:
        """Take everything that users may hold at the same moment, since that depends on chance."""
        pipe, preset = self.pipeline, self.pipeline.template.preset
        held = []
        for size in (*range(1, pipe.request + 1), BURST):
            users = 1 if size == BURST else len(FORMATS)
            for _ in range(2 * users):  # one request is finished while the next one is drawn
                held.append(pipe.pool.empty((size, 3, preset.view, preset.view), "float32"))
                held.append(pipe.pool.empty((size, *preset.audio_shape), "float32"))
            most = pipe.generator.sizes.most
            for _ in range(users if size > most else users + 1):
                few = min(size, most)
                held.append(default_pool().empty((few, *preset.visual_shape), "float32"))
        for format in FORMATS:
            shape = pipe.compositor.canvas(format).shape
            held += [pipe.pool.empty(shape) for _ in range(2 * pipe.request + BURST)]

    def run(self, work: list[Callable[[], None]]) -> None:
        for thread in self.start(work):
            thread.join()
        if self.errors:
            raise self.errors[0]

    def start(self, work: list[Callable[[], None]]) -> list[threading.Thread]:
        def guarded(part: Callable[[], None]) -> None:
            try:
                part()
            except BaseException as error:
                self.errors.append(error)
                self.stop.set()

        threads = [threading.Thread(target=guarded, args=(part,)) for part in work]
        for thread in threads:
            thread.start()
        return threads

    def live(self) -> list[threading.Thread]:
        """Start the conversations and the bursts, which run until `stop`."""
        chances = [random.Random(f"{self.seed} {i}") for i in range(len(FORMATS) + 1)]

        def lives(format: str, chance: random.Random) -> Callable[[], None]:
            return lambda: self.converse(format, chance)

        conversations = (lives(f, c) for f, c in zip(FORMATS, chances, strict=False))
        return self.start([*conversations, lambda: self.bursts(chances[-1])])


def resident_bytes() -> int:
    """Return this process's resident memory, including mapped files."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def watch(service: Service, seconds: float) -> tuple[list[int], list[int]]:
    """Sample the process's own pages and resident memory, and print them every minute."""
    begin = time.monotonic()
    step = max(min(5.0, seconds / 60), 0.5)
    own: list[int] = []
    resident: list[int] = []
    told = 0
    print("minute  resident MB  anonymous MB  pool MB  requests   frames", flush=True)
    while (passed := time.monotonic() - begin) < seconds and not service.stop.is_set():
        own.append(anonymous_bytes())
        resident.append(resident_bytes())
        if passed >= 60 * told:
            told += 1
            held = service.pipeline.pool.stats().bytes
            print(
                f"{passed / 60:6.1f}  {resident[-1] / 1e6:11.2f}  {own[-1] / 1e6:12.2f}  "
                f"{held / 1e6:7.2f}  {service.requests:8}  {service.frames:7}",
                flush=True,
            )
        service.stop.wait(step)
    return own, resident


def moves(samples: list[int]) -> tuple[float, float]:
    """Return how far memory fell and rose from its first value, as shares of it."""
    reference = statistics.median(samples[:REFERENCE])
    return min(samples) / reference - 1, max(samples) / reference - 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/soak.py", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with open_pipeline() as pipeline:
        service = Service(pipeline, options.seed)
        service.warm_up()
        threads = service.live()
        try:
            own, resident = watch(service, options.minutes * 60)
        finally:
            service.stop.set()
            for thread in threads:
                thread.join()
        lent = pipeline.pool.stats().lent
    if service.errors:
        raise service.errors[0]
    (low, high), (least, most) = moves(own), moves(resident)
    print(
        f"soak: {options.minutes:g} minutes, {service.requests} requests, {service.frames} frames, "
        f"{service.bytes / 1e9:.1f} GB made; own pages {own[0] / 1e6:.1f} MB, {low:+.2%} to "
        f"{high:+.2%}; resident {resident[0] / 1e6:.1f} MB, {least:+.2%} to {most:+.2%}; "
        f"{lent} buffers still lent"
    )
    return int(lent > 0 or max(high, -low, most) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
