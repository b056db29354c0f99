"""One process, many conversations: live sound in, frames out, one model and one template for all.

python examples/batch_service.py anna/ --generator unet.onnx --audio-encoder ave.onnx a.wav b.wav

feeds each file as a separate conversation, in chunks of 40 ms like a microphone's.
"""

import argparse

import numpy as np

import lipsync_fast as lf
from lipsync_fast.media import load_audio

CHUNK = 640  # samples of 40 ms
REQUEST = 8  # most frames of one request


# --8<-- [start:conversation]
class Conversation:
    """A conversation's own sound and its own position in the template's loop."""

    def __init__(self, pipeline):
        self.heard = pipeline.listen()  # SpeechFeatures: audio encoder and silence are inside
        self.over = False

    def push(self, samples):
        """Push sound as it comes, (n,) float32 at 16 kHz; None at its end."""
        if samples is None:
            self.over = True
            self.heard.flush()
        else:
            self.heard.push(samples)


def serve(pipeline, conversations, deliver):
    """Serve one turn of the loop: one request for every conversation with frames due."""
    for name, conversation in conversations.items():
        count = min(conversation.heard.ready, REQUEST)
        if not count:
            continue
        due = conversation.heard.take(count)
        with pipeline.composite(
            due.features, due.start, format="jpeg", alphas=due.alphas
        ) as frames:
            for frame in frames:
                deliver(name, frame.index, frame.data)  # copy or send it now: it is lent
    done = [name for name, c in conversations.items() if c.over and not c.heard.ready]
    for name in done:
        del conversations[name]


# --8<-- [end:conversation]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", help="a folder that prepare made")
    parser.add_argument("speech", nargs="+", help="sound files, one for each conversation")
    parser.add_argument("--generator", required=True)
    parser.add_argument("--audio-encoder")
    options = parser.parse_args(arguments)

    sent = {}

    def deliver(name, index, data):
        assert index == sent.get(name, 0), "frames come in order"
        sent[name] = index + 1

    with lf.Pipeline.open(options.template, options.generator, options.audio_encoder) as pipeline:
        pipeline.pool.limit = 512 << 20  # raise PoolExhausted beyond it instead of swapping
        sounds = {path: load_audio(path) for path in options.speech}
        conversations = {path: Conversation(pipeline) for path in sounds}
        at = 0
        while conversations:
            for path, conversation in conversations.items():
                if not conversation.over:
                    chunk = sounds[path][at : at + CHUNK]
                    conversation.push(np.ascontiguousarray(chunk) if len(chunk) else None)
            serve(pipeline, conversations, deliver)
            at += CHUNK
        pool = pipeline.pool.stats()
        print(f"pool: {pool.peak / 1e6:.1f} MB at most, {pool.misses} misses")
    for path, frames in sent.items():
        print(f"{path}: {frames} frames")
    return sent


if __name__ == "__main__":
    main()
