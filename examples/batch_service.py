"""One process, many conversations: live sound in, frames out, one net and one template for all.

python examples/batch_service.py anna/ --generator unet.onnx --audio-encoder ave.onnx a.wav b.wav

feeds each file as a conversation of its own, in chunks of 40 ms as a microphone would.
"""

import argparse

import numpy as np

import lipsync_fast as lf
from lipsync_fast.media import load_audio

CHUNK = 640  # samples of 40 ms
REQUEST = 8  # frames of one request at most


# --8<-- [start:session]
class Session:
    """A conversation: its own sound and its own place in the template's loop, nothing else."""

    def __init__(self, pipeline):
        preset, fps = pipeline.template.preset, pipeline.template.fps
        self.heard = lf.FeatureStream(preset.features, fps, encoder=pipeline.audio_encoder)
        self.hush = lf.NoiseGate()  # no noise or breath in pauses
        self.shown = 0
        self.over = False

    def push(self, samples):
        """Sound as it comes, (n,) float32 at 16 kHz; None when it is over."""
        if samples is None:
            self.over = True
            self.heard.push(self.gate.finish())
            self.heard.finish()
        else:
            self.heard.push(self.gate.push(samples))


def serve(pipeline, sessions, deliver):
    """One turn of the loop: every session that has frames due gets one request."""
    for name, session in sessions.items():
        count = min(session.heard.ready, REQUEST)
        if not count:
            continue
        windows = session.heard.take(count)
        with pipeline.composite(windows, start=session.shown, format="jpeg") as frames:
            for frame in frames:
                deliver(name, frame.index, frame.data)  # copy or send it now: it is lent
        session.shown += count
    done = [name for name, s in sessions.items() if s.over and not s.heard.ready]
    for name in done:
        del sessions[name]


# --8<-- [end:session]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", help="a folder that prepare made")
    parser.add_argument("speech", nargs="+", help="sound files, a conversation each")
    parser.add_argument("--generator", required=True)
    parser.add_argument("--audio-encoder")
    options = parser.parse_args(arguments)

    sent = {}

    def deliver(name, index, data):
        assert index == sent.get(name, 0), "frames come in order"
        sent[name] = index + 1

    with lf.Pipeline.open(options.template, options.generator, options.audio_encoder) as pipeline:
        pipeline.pool.limit = 512 << 20  # what goes beyond raises PoolExhausted, never swaps
        sounds = {path: load_audio(path) for path in options.speech}
        sessions = {path: Session(pipeline) for path in sounds}
        at = 0
        while sessions:
            for path, session in sessions.items():
                if not session.over:
                    chunk = sounds[path][at : at + CHUNK]
                    session.push(np.ascontiguousarray(chunk) if len(chunk) else None)
            serve(pipeline, sessions, deliver)
            at += CHUNK
        pool = pipeline.pool.stats()
        print(f"pool: {pool.peak / 1e6:.1f} MB at most, {pool.misses} misses")
    for path, frames in sent.items():
        print(f"{path}: {frames} frames")
    return sent


if __name__ == "__main__":
    main()
