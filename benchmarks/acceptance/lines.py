"""Lines of the acceptance run: each function measures one and yields its rows."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import simplejpeg
import threadpoolctl
from PIL import Image

from benchmarks.acceptance.parts import Row, Session, factor, gain, times
from benchmarks.acceptance.requests import requests, resident, steady, tail, template, threads
from benchmarks.support import scenery
from lipsync_fast import kernels
from lipsync_fast.audio import mel
from lipsync_fast.bench.clock import Timing, ratio, run_in_turn
from lipsync_fast.bench.peers import PEERS
from lipsync_fast.bench.scenes import LIVETALKING, SYNCTALK, Scene, request_outputs
from lipsync_fast.compositing import Compositor
from lipsync_fast.kernels import _jpeg
from lipsync_fast.provenance import XMP
from lipsync_fast.templates.template import Template

QUALITY = 75
ENCODE = {
    "cv2": lambda frame: cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1],
    "simplejpeg": lambda frame: simplejpeg.encode_jpeg(frame, QUALITY, "BGR", "420"),
}


# ---- JPEG --------------------------------------------------------------------------------


def check_frames(scene: Scene, compositor: Compositor) -> None:
    """Assert that our pixels equal the peer's, and our JPEG Pillow's of our pixels."""
    settings = scene.template.jpeg_settings
    for i, inputs in enumerate(scene.inputs):
        one = scene.outputs[i : i + 1]
        (frame,) = compositor.composite(one, [i], format="bgr24")
        (spliced,) = compositor.composite(one, [i], format="jpeg")
        twin = PEERS[SYNCTALK].composite(inputs)
        assert np.abs(frame.array.astype(np.int16) - twin).max() <= PEERS[SYNCTALK].tolerance
        file = io.BytesIO()
        Image.fromarray(frame.array[..., ::-1]).save(
            file,
            "JPEG",
            quality=QUALITY,
            subsampling=settings.subsampling,
            restart_marker_blocks=settings.restart_interval,
            xmp=XMP,
        )
        assert file.getvalue() == spliced.array.tobytes()


def hot_jpeg(session: Session, scene: Scene) -> dict[str, Timing]:
    """Time one frame again and again, then the next one of the scene.

    The floor runs in separate rounds with ours: the peers' pictures would evict data of both from
    the cache, and more of ours than of the floor's.
    """
    compositor = Compositor(scene.template, threads=1)
    check_frames(scene, compositor)
    s = scene.template.jpeg_settings
    encoder = _jpeg.JpegEncoder(s.quality, s.subsampling, s.restart_interval)
    peer = PEERS[SYNCTALK].composite
    found: dict[str, Timing] = {}
    for i, inputs in enumerate(scene.inputs):
        one, index = scene.outputs[i : i + 1], np.array([i])
        background = scene.template.jpeg(i)
        file, region = background.file, np.ascontiguousarray(background.region)
        whole = np.empty_like(file)
        room = np.empty(_jpeg.jpeg_bound(region.shape[1], region.shape[0]), np.uint8)

        def ours(one=one, index=index):
            with compositor.composite(one, index, format="jpeg"):
                pass

        def floor(region=region, whole=whole, file=file, room=room):
            encoder.encode_into(room, region)
            np.copyto(whole, file)

        peers = {n: lambda i=inputs, encode=e: encode(peer(i)) for n, e in ENCODE.items()}
        timings = run_in_turn({"ours beside floor": ours, "floor": floor}, session.rounds(20))
        timings |= run_in_turn({"ours": ours} | peers, session.rounds(20))
        for name, timing in timings.items():
            found[name] = found[name].joined(timing) if name in found else timing
    compositor.close()
    return found


def best_peer(found: dict[str, Timing]) -> tuple[str, Timing]:
    name = min(ENCODE, key=lambda n: found[n].cpu_ms)
    return name, found[name]


def jpeg_row(session: Session, scene: Scene, reach: float | None) -> Row:
    found = hot_jpeg(session, scene)
    name, peer = best_peer(found)
    return Row(
        f"JPEG frame vs SyncTalk_2D + {name}, {scene.name}",
        "reported" if reach is None else f"≥ {reach}×",
        f"{factor(peer, found['ours'])}; {times(ours=found['ours'], peer=peer)}",
        None if reach is None else gain(peer, found["ours"]) >= reach,
    )


def jpeg(session: Session) -> Iterator[Row]:
    found = hot_jpeg(session, session.synthetic)
    name, peer = best_peer(found)
    ours, beside, floor = found["ours"], found["ours beside floor"], found["floor"]
    yield Row(
        f"JPEG frame vs SyncTalk_2D + {name}, {session.synthetic.name}",
        "≥ 22× (aim 30×)",
        f"{factor(peer, ours)}; {times(ours=ours, peer=peer)}",
        gain(peer, ours) >= 22,
    )
    yield Row(
        "JPEG frame vs its region's encoding + the bytes copied",
        "≤ 1.7×",
        f"{ratio(beside, floor):.2f}× ({ratio(beside, floor, cpu=True):.2f}×); "
        f"{times(ours=beside, floor=floor)}",
        gain(beside, floor) <= 1.7,
    )


def real(session: Session) -> Iterator[Row]:
    for scene, reach in scenery.real_scenes():
        yield jpeg_row(session, scene, reach)


def cold(session: Session) -> Iterator[Row]:
    """Time 500 backgrounds in turn, so that no part of a frame is in the cache at its turn."""
    with (
        Template.open(session.long_template) as template,
        Compositor(template, threads=1) as compositor,
    ):
        outputs = request_outputs("synctalk328", 25)
        inputs = scenery.cold_inputs(template)
        at = {"ours": 0, "peer": 0}
        peer = PEERS[SYNCTALK].composite

        def ours():
            first = at["ours"]
            at["ours"] = (first + 25) % 500
            with compositor.composite(outputs, np.arange(first, first + 25), format="jpeg"):
                pass

        def theirs(encode):
            for _ in range(5):
                at["peer"] = (at["peer"] + 1) % len(inputs)
                encode(peer(inputs[at["peer"]]))

        for _ in range(20):
            ours()
        works = {"ours": ours} | {
            name: lambda encode=encode: theirs(encode) for name, encode in ENCODE.items()
        }
        found = run_in_turn(works, session.rounds(60), calls=1)
    found = {
        n: Timing(t.wall / (25 if n == "ours" else 5), t.cpu / (25 if n == "ours" else 5))
        for n, t in found.items()
    }
    name, best = best_peer(found)
    yield Row(
        f"the same cold: 500 backgrounds in turn, in requests of 25, vs {name}",
        "≥ 18×",
        f"{factor(best, found['ours'])}; {times(ours=found['ours'], peer=best)}",
        gain(best, found["ours"]) >= 18,
    )


# ---- packed and I420 -----------------------------------------------------------------------


def packed(session: Session) -> Iterator[Row]:
    """Time frames in place, on a template that stores bgr24, and in the caller's buffer."""
    scene, peers = session.synthetic, {}
    for name in (SYNCTALK, LIVETALKING):
        inputs = scenery.synthetic(name).inputs[0]
        peers[name] = lambda inputs=inputs, name=name: PEERS[name].composite(inputs)
    with (
        Template.open(session.packed_template) as template,
        Compositor(template, threads=1) as compositor,
    ):
        one = scene.outputs[:1]
        indices = [np.array([i]) for i in range(template.count)]
        at = {"in place": 0}

        def in_place():
            at["in place"] = (at["in place"] + 1) % len(indices)
            with compositor.composite(one, indices[at["in place"]], format="bgr24"):
                pass

        for _ in range(2 * len(indices)):
            in_place()
        out = np.empty((1, template.height, template.width, 3), np.uint8)
        background = np.array(template.bgr24(0))
        works = {
            "in place": in_place,
            "out": lambda: compositor.composite_into(out, one, indices[0], format="bgr24"),
            "copy": lambda: np.copyto(out[0], background),
            **peers,
        }
        found = run_in_turn(works, session.rounds(150))
        stats = compositor.stats()
        assert stats.in_place > stats.frames // 10
    ours = found["in place"]
    for name, least in ((SYNCTALK, 8), (LIVETALKING, 6)):
        yield Row(
            f"packed frame in place, cubic, vs {PEERS[name].title}'s composite",
            f"≥ {least}×",
            f"{factor(found[name], ours)}; {times(ours=ours, peer=found[name])}",
            gain(found[name], ours) >= least,
        )
    out_time, copied = found["out"], found["copy"]
    beyond = float(np.median(out_time.wall - copied.wall)) * 1e3
    beyond_cpu = float(np.median(out_time.cpu - copied.cpu)) * 1e3
    yield Row(
        "packed frame with out=, vs SyncTalk_2D's composite",
        "≥ 2×",
        f"{factor(found[SYNCTALK], out_time)}; {times(ours=out_time)}",
        gain(found[SYNCTALK], out_time) >= 2,
    )
    yield Row(
        "packed frame with out=, beyond a frame copy",
        "≤ 0.25 ms",
        f"{beyond:.3f} ms ({beyond_cpu:.3f} ms); {times(copy=copied)}",
        beyond_cpu <= 0.25,
    )


def i420(session: Session) -> Iterator[Row]:
    scene = session.synthetic
    inputs = scene.inputs[0]
    with (
        Template.open(session.long_template) as template,
        Compositor(template, threads=1) as compositor,
    ):
        one = scene.outputs[:1]
        indices = [np.array([i]) for i in range(24)]
        at = {"i": 0}

        def in_place():
            at["i"] = (at["i"] + 1) % len(indices)
            with compositor.composite(one, indices[at["i"]], format="i420"):
                pass

        for _ in range(2 * len(indices)):
            in_place()
        out = np.empty((1, *compositor.canvas("i420").shape), np.uint8)
        works = {
            "in place": in_place,
            "out": lambda: compositor.composite_into(out, one, indices[0], format="i420"),
            "peer": lambda: cv2.cvtColor(PEERS[SYNCTALK].composite(inputs), cv2.COLOR_BGR2YUV_I420),
        }
        found = run_in_turn(works, session.rounds(150))
    ours, peer = found["in place"], found["peer"]
    yield Row(
        "I420 frame in place, vs composite + cvtColor",
        "≥ 10×",
        f"{factor(peer, ours)}; {times(ours=ours, peer=peer)}",
        gain(peer, ours) >= 10,
    )
    yield Row(
        "I420 frame with out=, vs the same",
        "reported",
        f"{factor(peer, found['out'])}; {times(ours=found['out'])}",
    )


# ---- resize and mel ------------------------------------------------------------------------

OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
PILLOW = {
    "bilinear_aa": Image.Resampling.BILINEAR,
    "bicubic_aa": Image.Resampling.BICUBIC,
    "lanczos_aa": Image.Resampling.LANCZOS,
}


def resize(session: Session) -> Iterator[Row]:
    size = (182, 182)
    planes = session.synthetic.outputs[0].transpose(1, 2, 0)
    src = np.ascontiguousarray(planes * 255, np.uint8)
    image, out, room = Image.fromarray(src), np.empty((182, 182, 3), np.uint8), None
    room = np.empty_like(out)
    for name in (*OPENCV, *PILLOW):
        plan = kernels.ResizePlan((320, 320), size, name)
        ours = lambda plan=plan: plan.resize(src, out)  # noqa: E731
        if name in OPENCV:
            peer = lambda name=name: cv2.resize(src, size, room, interpolation=OPENCV[name])  # noqa: E731
            want, least, title = peer(), 1.5, "OpenCV"
        else:
            peer = lambda name=name: image.resize(size, PILLOW[name])  # noqa: E731
            want, least, title = np.asarray(peer()), 5, "Pillow"
        ours()
        assert np.abs(out.astype(np.int16) - want).max() <= 1
        found = run_in_turn({"ours": ours, "peer": peer}, session.rounds(100))
        yield Row(
            f"resize 320→182 u8×3 {name}, vs {title}",
            f"≥ {least}×",
            f"{factor(found['peer'], found['ours'])}; {times(**found)}",
            gain(found["peer"], found["ours"]) >= least,
        )


def mel_of_speech(session: Session) -> Iterator[Row]:
    import librosa
    from scipy import signal

    speech = scenery.speech(60)
    basis = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600)

    def peer(dtype):
        emphasised = signal.lfilter([1, -0.97], [1], speech).astype(dtype, copy=False)
        spectrum = librosa.stft(emphasised, n_fft=800, hop_length=200, pad_mode="constant")
        decibels = 20 * np.log10(np.maximum(1e-5, basis @ np.abs(spectrum))) - 20
        return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T

    out = mel.mel_spectrogram(speech)
    assert np.abs(out - peer(np.float64)).max() <= 1e-4
    works = {
        "ours": lambda: mel.mel_spectrogram(speech, out=out),
        "librosa": lambda: peer(np.float64),
        "librosa32": lambda: peer(np.float32),
    }
    with threadpoolctl.threadpool_limits(1):
        found = run_in_turn(works, session.rounds(15), calls=1)
    name = min(("librosa", "librosa32"), key=lambda n: found[n].cpu_ms)
    yield Row(
        "mel of 60 s speech vs librosa" + (" in float32" if name == "librosa32" else ""),
        "≥ 2×",
        f"{factor(found[name], found['ours'])}; {times(ours=found['ours'], peer=found[name])}; "
        f"float64 {factor(found['librosa'], found['ours'])}",
        gain(found[name], found["ours"]) >= 2,
    )


Line = Callable[[Session], Iterator[Row]]
LINES: dict[str, Line] = {
    "jpeg": jpeg,
    "real": real,
    "cold": cold,
    "packed": packed,
    "i420": i420,
    "resize": resize,
    "mel": mel_of_speech,
    "requests": requests,
    "resident": resident,
    "threads": threads,
    "tail": tail,
    "template": template,
    "steady": steady,
}
