"""Show a speaking person in a browser: JPEG frames over HTTP, with Python's own server.

python examples/jpeg_server.py anna/ speech.wav --generator unet.onnx --audio-encoder ave.onnx

Then open the address that it prints. Only this machine can reach it.
"""

import argparse
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import lipsync_fast as lf

BOUNDARY = "frame"


def make_server(pipeline, speech, port=0):
    """Make a server of /, an endless picture for <img> that starts again for every visitor."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.end_headers()
            due = time.monotonic()
            try:
                for frame in pipeline.frames(speech, format="jpeg"):
                    with frame:  # its memory returns to the pool after sending
                        self.wfile.write(
                            f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                            f"Content-Length: {len(frame.data)}\r\n\r\n".encode()
                        )
                        self.wfile.write(frame.data)  # a memoryview: nothing is copied here
                        self.wfile.write(b"\r\n")
                    due += 1 / float(pipeline.template.fps)
                    time.sleep(max(0.0, due - time.monotonic()))
                self.wfile.write(f"--{BOUNDARY}--\r\n".encode())
            except ConnectionError:
                pass  # the visitor left

        def log_message(self, *words):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template", help="a folder that prepare made")
    parser.add_argument("speech", help="a sound file")
    parser.add_argument("--generator", required=True)
    parser.add_argument("--audio-encoder")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    with (
        lf.Pipeline.open(options.template, options.generator, options.audio_encoder) as pipeline,
        make_server(pipeline, options.speech, options.port) as server,
    ):
        print(f"http://127.0.0.1:{server.server_port}/")
        server.serve_forever()


if __name__ == "__main__":
    main()
