"""Send the frames of a speech as a WebRTC video track: I420 goes to the encoder unchanged.

python examples/webrtc_track.py anna/ speech.wav --generator unet.onnx --audio-encoder ave.onnx

counts the frames that a track would send. In a service, give `video_track(...)` to aiortc:

    peer_connection.addTrack(video_track(pipeline, "speech.wav"))
"""

import argparse
import asyncio
import fractions

import av

import lipsync_fast as lf


# --8<-- [start:frames]
def video_frames(pipeline, speech):
    """Yield the `av.VideoFrame`s of a speech, in order, with their timestamps."""
    template = pipeline.template
    if template.width % 2 or template.height % 2:
        raise ValueError(
            f"encoders need an even width and height, got {template.width}x{template.height}"
        )
    for frame in pipeline.frames(speech, format="i420"):
        with frame:
            planes = frame.array.reshape(template.height * 3 // 2, template.width)
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")  # the only copy
        picture.pts = frame.index
        picture.time_base = fractions.Fraction(1) / template.fps
        yield picture


# --8<-- [end:frames]


# --8<-- [start:track]
def video_track(pipeline, speech):
    """Make a track for `RTCPeerConnection.addTrack`; it ends with the speech."""
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError

    class SpeechTrack(MediaStreamTrack):
        kind = "video"

        def __init__(self):
            super().__init__()
            self._frames = video_frames(pipeline, speech)
            self._started = None

        async def recv(self):
            # Make the frames on a thread, so that the event loop stays free.
            picture = await asyncio.to_thread(next, self._frames, None)
            if picture is None:
                self.stop()
                raise MediaStreamError
            now = asyncio.get_running_loop().time()
            self._started = now if self._started is None else self._started
            await asyncio.sleep(max(0.0, self._started + picture.time - now))
            return picture

    return SpeechTrack()


# --8<-- [end:track]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", help="a folder that prepare made")
    parser.add_argument("speech", help="a sound file")
    parser.add_argument("--generator", required=True)
    parser.add_argument("--audio-encoder")
    options = parser.parse_args(arguments)
    with lf.Pipeline.open(options.template, options.generator, options.audio_encoder) as pipeline:
        count = sum(1 for _ in video_frames(pipeline, options.speech))
    print(f"{count} frames")
    return count


if __name__ == "__main__":
    main()
