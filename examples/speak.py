"""Let a prepared person speak, and print progress and timings.

python examples/speak.py anna/ speech.wav out.mp4 --generator unet.onnx --audio-encoder ave.onnx
"""

import argparse
import logging

import lipsync_fast as lf


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", help="a folder that prepare made")
    parser.add_argument("speech", help="a sound file")
    parser.add_argument("output", help="an .mp4, or a folder for JPEG files")
    parser.add_argument("--generator", required=True)
    parser.add_argument("--audio-encoder")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # shows the chosen provider

    with lf.Pipeline.open(options.template, options.generator, options.audio_encoder) as pipeline:
        frames = pipeline.render(options.speech, options.output, progress=tell)
        print(f"\n{frames} frames at {pipeline.template.fps} a second in {options.output}")
        for name, stage in pipeline.stats().stages.items():
            print(f"{name:10} {stage.total_ms / max(stage.frames, 1):8.3f} ms a frame")


def tell(done, total):
    print(f"\r{done} of {total or '?'}", end="", flush=True)


if __name__ == "__main__":
    main()
