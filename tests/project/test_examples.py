"""The examples run unchanged, and do what they say."""

import asyncio
import http.client
import importlib.util
import io
import itertools
import re
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.repository

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name):
    """An example as a module, not run."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_has_its_test_and_tells_how_to_run_it():
    text = Path(__file__).read_text("utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'example("{path.stem}")' in text, path.name
        assert f"python examples/{path.name}" in path.read_text("utf-8")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's person, 10 frames of her, and its models: (template, generator, encoder)."""
    pytest.importorskip("onnxruntime")
    from lipsync_fast import demo
    from lipsync_fast.formats import VideoFormat
    from lipsync_fast.templates import TemplateWriter

    folder = tmp_path_factory.mktemp("demo") / "anna"
    video = VideoFormat(demo.WIDTH, demo.HEIGHT)
    with TemplateWriter(folder, video, preset=demo.PRESET) as writer:
        shown = itertools.islice(zip(demo.draw_frames(), demo.mouth_rects(), strict=True), 10)
        for frame, rect in shown:
            writer.add(tuple(int(v) for v in rect), bgr24=frame)
    return folder, demo.GENERATOR, demo.AUDIO_ENCODER


@pytest.fixture
def speech(tmp_path):
    """Return a function that makes sound files of a number of samples."""
    import wave

    from lipsync_fast import demo

    def make(samples, name="speech.wav"):
        sound = np.resize(demo.speech(), samples)
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((sound * 32767).astype("<i2").tobytes())
        return str(tmp_path / name)

    return make


@pytest.fixture
def arguments(demo):
    folder, generator, encoder = demo
    return [str(folder), "--generator", str(generator), "--audio-encoder", str(encoder)]


def test_speak(tmp_path, arguments, speech, capsys):
    av = pytest.importorskip("av")
    template, *nets = arguments
    target = tmp_path / "out.mp4"
    example("speak").main([template, speech(16000), str(target), *nets])
    with av.open(str(target)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 25
        assert file.streams.audio[0].duration
    said = capsys.readouterr().out
    assert "25 of 25" in said
    assert re.search(r"^net +\d+\.\d+ ms a frame", said, re.MULTILINE)


def test_jpeg_server(demo, speech):
    import lipsync_fast as lf

    folder, generator, encoder = demo
    sound = speech(6000)  # 9.4 frames: 10
    with (
        lf.Pipeline.open(folder, generator, encoder) as pipeline,
        example("jpeg_server").make_server(pipeline, sound) as server,
    ):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert server.server_address[0] == "127.0.0.1"
            connection = http.client.HTTPConnection(*server.server_address, timeout=60)
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert answer.headers.get_content_type() == "multipart/x-mixed-replace"
            got = answer.read()
            connection.close()
        finally:
            server.shutdown()
            thread.join()
        wanted = [bytes(f.data) for f in pipeline.frames(sound, format="jpeg")]
    parts = re.split(rb"--frame(?:--)?\r\n", got)
    assert parts[0] == parts[-1] == b""
    assert [part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:-1]] == wanted
    assert len(wanted) == 10


def test_own_compositor(capsys):
    pytest.importorskip("cv2")
    found = example("own_compositor").main(rounds=1, width=640, height=360)
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in said] == list(found)
    assert {name.split(", ")[1] for name in found} == {"pixels", "I420", "JPEG"}


def test_spliced(tmp_path):
    module = example("spliced")
    background = module.main(tmp_path / "frames", count=5)
    paths = sorted((tmp_path / "frames").iterdir())
    assert [path.name for path in paths] == [f"{i:04d}.jpg" for i in range(5)]
    ground = np.asarray(Image.open(io.BytesIO(background.data)))
    x, y, *_ = module.GAUGE
    for i, path in enumerate(paths):
        whole = module.draw_dashboard()
        whole.paste(module.draw_gauge(i / 5), (x, y))
        file = io.BytesIO()
        interval = background.restart_interval
        whole.save(file, "JPEG", quality=85, subsampling=2, restart_marker_blocks=interval)
        assert path.read_bytes() == file.getvalue()
        assert (np.asarray(Image.open(path))[:, : x - 64] == ground[:, : x - 64]).all()


def test_batch_service(arguments, speech, capsys):
    template, *nets = arguments
    files = [speech(16000, "a.wav"), speech(9000, "b.wav"), speech(700, "c.wav")]
    sent = example("batch_service").main([template, *files, *nets])
    assert sent == dict(zip(files, (25, 15, 2), strict=True))
    assert "misses" in capsys.readouterr().out


def test_batch_service_makes_what_the_pipeline_makes(demo, speech, rng, tmp_path):
    """Also in a pause with noise, which would move the mouths of these models."""
    pytest.importorskip("onnx")
    from tests.support.nets import mixing_generator, tiny_encoder

    import lipsync_fast as lf
    from lipsync_fast.media import load_audio

    module = example("batch_service")
    generator = mixing_generator(tmp_path / "g.onnx", lf.PRESETS["synctalk328"])
    noise = rng.normal(0, 0.002, 12000).astype(np.float32)
    sound = np.concatenate([load_audio(speech(9000)), noise])
    with lf.Pipeline.open(demo[0], generator, tiny_encoder(tmp_path / "e.onnx")) as pipeline:
        conversation = module.Conversation(pipeline)
        conversation.push(sound[:5000])
        conversation.push(sound[5000:])
        conversation.push(None)
        waiting, made = {"one": conversation}, []
        while waiting:
            module.serve(pipeline, waiting, lambda *frame: made.append(bytes(frame[2])))
        assert made == [bytes(f.data) for f in pipeline.frames(sound, format="jpeg")]


def test_webrtc_frames(arguments, demo, speech):
    pytest.importorskip("av")
    import lipsync_fast as lf

    module = example("webrtc_track")
    template, *nets = arguments
    sound = speech(8000)
    assert module.main([template, sound, *nets]) == 13
    with lf.Pipeline.open(*demo) as pipeline:
        pairs = zip(
            module.video_frames(pipeline, sound),
            pipeline.frames(sound, format="i420"),
            strict=True,
        )
        for i, (picture, frame) in enumerate(pairs):
            assert (picture.width, picture.height) == (1920, 1080)
            assert picture.time == pytest.approx(i / 25)
            assert (picture.to_ndarray().reshape(-1) == frame.array).all()


def test_webrtc_frames_of_odd_sizes_are_rejected():
    odd = types.SimpleNamespace(template=types.SimpleNamespace(width=64, height=47))
    with pytest.raises(ValueError, match="encoders need an even width and height, got 64x47"):
        next(example("webrtc_track").video_frames(odd, "speech.wav"))


def test_webrtc_track_keeps_time_and_ends(demo, speech, monkeypatch):
    """With stand-ins for the two names of aiortc that the track uses."""
    pytest.importorskip("av")
    import lipsync_fast as lf

    class Track:
        stopped = False

        def stop(self):
            self.stopped = True

    class Ended(Exception):
        pass

    streams = types.SimpleNamespace(MediaStreamError=Ended)
    monkeypatch.setitem(sys.modules, "aiortc", types.SimpleNamespace(MediaStreamTrack=Track))
    monkeypatch.setitem(sys.modules, "aiortc.mediastreams", streams)

    async def watch(track):
        start = asyncio.get_running_loop().time()
        times = []
        while True:
            try:
                picture = await track.recv()
            except Ended:
                return times
            # 10 ms: an event loop's clock is coarser than a frame's time
            times.append(asyncio.get_running_loop().time() - start - picture.time > -0.01)

    with lf.Pipeline.open(*demo) as pipeline:
        track = example("webrtc_track").video_track(pipeline, speech(3000))
        assert track.kind == "video"
        assert asyncio.run(watch(track)) == [True] * 5
    assert track.stopped
