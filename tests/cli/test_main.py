"""The command line: exit statuses, one line for bad input, no traceback."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("av")
from PIL import Image
from tests.support.nets import tiny_encoder, tiny_generator

from lipsync_fast.cli.main import main
from lipsync_fast.formats import VideoFormat
from lipsync_fast.presets import get_preset
from lipsync_fast.templates import TemplateWriter
from lipsync_fast.templates.template import Template
from lipsync_fast.timing import Loop


def fails(capsys, *arguments):
    """The one line that a command says when its input is bad."""
    assert main([str(a) for a in arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith("lipsync-fast: ")
    return said[0]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(5):
        pixels = np.clip(rng.normal(120, 20, (120, 160, 3)) + i, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def wave(tmp_path):
    import wave

    samples = (np.random.default_rng(2).normal(0, 3000, 16000)).astype("<i2")
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    return tmp_path / "speech.wav"


def test_prepare_inspect_render(tmp_path, images, wave, capsys):
    preset = get_preset("synctalk328")
    generator = tiny_generator(tmp_path / "g.onnx", preset)
    encoder = tiny_encoder(tmp_path / "e.onnx")
    template = tmp_path / "anna"
    prepare = ["prepare", images, template, "--preset", "synctalk328", "--rect", "30,20,80,80"]
    assert main([str(a) for a in prepare]) == 0
    assert main(["inspect", str(template), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["frames"] == facts["frames with a face"] == 5
    assert main(["inspect", str(generator), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["preset"] == "synctalk328"
    nets = ["--generator", generator, "--audio-encoder", encoder]
    render = ["render", template, wave, tmp_path / "out.mp4", *nets]
    assert main([str(a) for a in render]) == 0
    assert "25 frames" in capsys.readouterr().err
    assert (tmp_path / "out.mp4").stat().st_size > 1000
    render = ["render", template, wave, tmp_path / "out", *nets, "--quality", "60", "-q"]
    assert main([str(a) for a in render]) == 0
    assert capsys.readouterr().err == ""
    assert len(list((tmp_path / "out").iterdir())) == 25


def test_silence_order_and_neutral_pose(tmp_path, images, wave, capsys):
    net = str(tiny_generator(tmp_path / "g.onnx", get_preset("liteavatar384")))
    anna, out = str(tmp_path / "anna"), tmp_path / "out"
    np.save(tmp_path / "pose.npy", np.zeros(32))
    prepare = ["prepare", str(images), anna, "--preset", "liteavatar384", "--rect", "30,20,80,80"]
    assert main([*prepare, "--loop", "forward", "--start", "2", "-q"]) == 0
    with Template.open(anna) as template:
        assert template.loop == Loop("forward", 2)
        files = [template.jpeg(i).file for i in range(template.count)]
        held = [np.asarray(Image.open(io.BytesIO(bytes(file)))) for file in files]
    render = ["render", anna, str(wave), str(out), "--generator", net, "-q"]
    options = ["--silence", "background", "--loop", "still", "--start", "1"]
    assert main([*render, *options, "--neutral", str(tmp_path / "pose.npy")]) == 0
    files = sorted(out.iterdir())
    assert len(files) == 25
    # The sound is steady noise, which is silence: all frames are the one that is held.
    assert all(np.array_equal(np.asarray(Image.open(f)), held[1]) for f in files)
    assert main([*render[:3], str(tmp_path / "net"), *render[4:], "--silence", "net"]) == 0
    assert (tmp_path / "net" / files[0].name).read_bytes() != files[0].read_bytes()
    loud = [*render[:3], str(tmp_path / "told"), *render[4:-1]]
    assert main(loud) == 0
    assert "--silence net" in capsys.readouterr().err
    assert main([*loud[:3], str(tmp_path / "untold"), *loud[4:], "--silence", "net"]) == 0
    assert "--silence" not in capsys.readouterr().err
    render[3] = str(tmp_path / "never")
    assert "no such file" in fails(capsys, *render, "--neutral", tmp_path / "no.npy")
    assert "start" in fails(capsys, *render, "--start", "-1")
    assert "to hold" in fails(capsys, *render, "--loop", "still", "--start", "5")


def test_bad_input_is_one_line(tmp_path, images, wave, capsys):
    template, text = tmp_path / "t", tmp_path / "text.onnx"
    text.write_text("not a net")
    prepare = ("prepare", images, template, "--preset", "wav2lip96")
    assert "rect" in fails(capsys, *prepare, "--quiet")
    assert "area" in fails(capsys, *prepare, "--rect", "500,500,20,20", "--quiet")
    assert "rect" in fails(capsys, *prepare, "--rect", "1,2,3", "--quiet")
    assert "store" in fails(capsys, *prepare, "--rect", "9,9,50,50", "--store", "gif", "-q")
    assert "not both" in fails(capsys, *prepare, "--rect", "9,9,50,50", "--rects", "no.json", "-q")
    assert not template.exists()
    assert "no such" in fails(
        capsys, "prepare", tmp_path / "no.mp4", template, "--preset", "wav2lip96", "-q",
        "--rect", "9,9,50,50",
    )  # fmt: skip
    assert main([str(a) for a in (*prepare, "--rect", "9,9,50,50", "-q")]) == 0
    render = ("render", template, wave, tmp_path / "out.mp4", "-q", "--generator")
    assert "no.onnx" in fails(capsys, *render, tmp_path / "no.onnx")
    assert "text.onnx" in fails(capsys, *render, text)
    good = tiny_generator(tmp_path / "g.onnx", get_preset("wav2lip96"))
    wrong = tiny_generator(tmp_path / "w.onnx", get_preset("synctalk328"))
    assert "wav2lip96" in fails(capsys, *render, wrong)
    render = ("render", template, tmp_path / "no.wav", tmp_path / "out.mp4", "-q")
    assert "no.wav" in fails(capsys, *render, "--generator", good)
    render = ("render", template, text, tmp_path / "out.mp4", "-q")
    assert "text.onnx" in fails(capsys, *render, "--generator", good)
    render = ("render", template, wave, tmp_path / "no" / "out.mp4", "-q")
    assert "out.mp4" in fails(capsys, *render, "--generator", good)
    render = ("render", template, "-", tmp_path / "out.mp4", "-q")
    assert "standard input" in fails(capsys, *render, "--generator", good)
    assert "nothing" in fails(capsys, "inspect", tmp_path / "nothing")
    assert "text.onnx" in fails(capsys, "inspect", text)


def test_usage_errors_exit_with_two():
    for arguments in ([], ["dance"], ["render", "only-one"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_help_teaches(capsys):
    for arguments in (["--help"], ["render", "--help"], ["prepare", "--help"], ["demo", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    assert "--generator" in capsys.readouterr().out


def test_module_runs_and_names_its_isa():
    command = [sys.executable, "-m", "lipsync_fast", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lipsync_fast 0.")
    assert "(" in done.stdout


# ---- what users do beside -----------------------------------------------------------------------


@pytest.fixture
def anna(tmp_path, images, capsys):
    prepare = ["prepare", images, tmp_path / "anna", "--preset", "wav2lip96"]
    assert main([*map(str, prepare), "--rect", "30,20,80,80", "-q"]) == 0
    return tmp_path / "anna"


@pytest.fixture
def net(tmp_path):
    return tiny_generator(tmp_path / "g.onnx", get_preset("wav2lip96"))


def test_demo_speaks_the_users_sound(tmp_path, wave, capsys, monkeypatch):
    from lipsync_fast.demo import run
    from lipsync_fast.provenance import JPEG_SEGMENT

    count = 6
    frames, rects = run.draw_frames(), run.mouth_rects()[:count]
    drawn = [frame for frame, _ in zip(frames, range(count), strict=False)]
    monkeypatch.setattr(run, "draw_frames", lambda: iter(drawn))
    monkeypatch.setattr(run, "mouth_rects", lambda: rects)
    for name, more in (("marked", []), ("plain", ["--no-label"])):
        assert main(["demo", str(tmp_path / name), "--audio", str(wave), *more]) == 0
        said = capsys.readouterr().err
        assert f"{name}: 25 frames, 1.00 s" in said
        files = sorted((tmp_path / name).iterdir())
        assert len(files) == 25
        assert {JPEG_SEGMENT in file.read_bytes() for file in files} == {name == "marked"}
    assert not list(tmp_path.glob("*.part"))


def test_what_cannot_be_written_or_heard_is_refused_before_the_work(tmp_path, capsys, monkeypatch):
    from lipsync_fast.bench import report
    from lipsync_fast.demo import run

    def worked(*_, **__):
        raise AssertionError("it was worked")

    monkeypatch.setattr(report, "measure_peers", worked)
    monkeypatch.setattr(run, "draw_frames", worked)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    for name in ("none/x.html", "full", "full/", ".html", "x.pdf", "."):
        fails(capsys, "bench", tmp_path / name if name != "." else name, "-q")
    for name in ("none/x.mp4", "full", "x.avi", "none/x", "full/mine"):
        fails(capsys, "demo", tmp_path / name, "-q")
    for name in (".", "/", "out.mp4/", ".mp4"):
        fails(capsys, "demo", name, "-q")
    out = tmp_path / "out.mp4"
    assert "no such file" in fails(capsys, "demo", out, "--audio", tmp_path / "none.wav", "-q")
    assert "is a folder" in fails(capsys, "demo", out, "--audio", tmp_path, "-q")
    assert not out.exists()


def test_empty_names_are_no_paths(tmp_path, anna, net, wave, capsys):
    out = tmp_path / "out.mp4"
    render = ("render", anna, wave, out, "--generator")
    for name, arguments in (
        ("--generator", (*render, "")),
        ("output", ("render", anna, wave, "", "--generator", net)),
        ("--audio", ("demo", out, "--audio", "")),
        ("--audio-encoder", (*render, net, "--audio-encoder", "")),
        ("--provider", (*render, net, "--provider", "")),
        ("template", ("prepare", wave, "", "--preset", "wav2lip96")),
        ("OUT.onnx", ("model", "half", net, "")),
        ("--template", ("model", "half", net, out, "--template", "")),
    ):
        assert f": {name} is empty" in fails(capsys, *arguments, "-q")
    assert not out.exists()


def test_names_that_are_none(tmp_path, anna, net, wave, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.mp4").write_bytes(b"an earlier file")
    before = sorted(p.name for p in tmp_path.iterdir())
    for name in (".", "..", "/", ".mp4", "out.mp4/"):
        fails(capsys, "render", anna, wave, name, "--generator", net, "-q")
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    prepare = ("prepare", tmp_path / "images", ".", "--preset", "wav2lip96", "--rect", "9,9,50,50")
    assert "is the current folder" in fails(capsys, *prepare, "-q")
    (tmp_path / "new").rmdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert (tmp_path / "out.mp4").read_bytes() == b"an earlier file"


def test_inspect_reads_well(anna, net, capsys):
    assert main(["inspect", str(anna)]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split("  ", 1) for line in lines)
    assert facts["frames"].strip() == "5"
    assert len({len(line) - len(line.split("  ", 1)[1].lstrip()) for line in lines}) == 1
    assert main(["inspect", str(net), "--template", str(anna)]) == 0
    assert "wav2lip96" in capsys.readouterr().out


def test_stats_tell_where_the_time_went(tmp_path, anna, net, wave, capsys):
    render = ["render", anna, wave, tmp_path / "out", "--generator", net, "--stats", "-q"]
    assert main([str(a) for a in render]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    for stage in ("features", "net", "finish", "write"):
        frames, total, each, p50, p99 = map(float, rows[stage])
        assert frames == 25
        assert 0 < each < total
        assert 0 < p50 <= p99
    assert rows["pool:"][1:4] == ["hits,", rows["pool:"][2], "misses,"]
    assert lines[-1].startswith("frames: 25, ")


def test_an_interrupt_leaves_nothing(tmp_path, anna, net, wave, capsys, monkeypatch):
    from lipsync_fast import media

    write = media.JpegFolder.write

    def interrupted(folder, data):
        if folder.frames == 10:
            raise KeyboardInterrupt
        write(folder, data)

    monkeypatch.setattr(media.JpegFolder, "write", interrupted)
    render = ["render", anna, wave, tmp_path / "out", "--generator", net, "-q"]
    assert main([str(a) for a in render]) == 130
    assert capsys.readouterr().err == "lipsync-fast: interrupted\n"
    assert not list(tmp_path.glob("out*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("command", ["prepare", "render"])
def test_who_is_asked_to_end_leaves_nothing(tmp_path, anna, net, images, wave, command):
    # The request comes while the third frame is written.
    patched = (
        "import os, signal, sys\n"
        "from lipsync_fast import media\n"
        "from lipsync_fast.cli import main\n"
        "from lipsync_fast.templates import TemplateWriter\n"
        "owner, name = {'prepare': (TemplateWriter, 'add'),\n"
        "               'render': (media.JpegFolder, 'write')}[sys.argv[1]]\n"
        "whole, calls = getattr(owner, name), []\n"
        "def asked(*arguments, **named):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return whole(*arguments, **named)\n"
        "setattr(owner, name, asked)\n"
        "sys.exit(main.main())\n"
    )
    out = tmp_path / "made" / "out"
    out.parent.mkdir()
    arguments = {
        "prepare": ("prepare", images, out, "--preset", "wav2lip96", "--rect", "9,9,50,50"),
        "render": ("render", anna, wave, out, "--generator", net),
    }[command]
    done = subprocess.run(
        [sys.executable, "-c", patched, *map(str, arguments), "-q"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (143, "lipsync-fast: asked to end\n")
    assert not list(out.parent.iterdir())


def test_a_progress_bar_needs_tqdm_and_says_so(tmp_path, anna, net, wave, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    render = ("render", anna, wave, tmp_path / "out", "--generator", net)
    assert main([*map(str, render)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("lipsync-fast: the progress bar needs tqdm: ")
    assert said.endswith("or pass --quiet")
    assert main([*map(str, render), "--quiet"]) == 0


@pytest.mark.parametrize("terminal", [False, True])
def test_an_error_before_the_first_frame_leaves_no_bar(
    tmp_path, anna, net, capsys, monkeypatch, terminal
):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: terminal, raising=False)
    render = ["render", anna, tmp_path / "no.wav", tmp_path / "out", "--generator", net]
    assert main([*map(str, render)]) == 2
    said = capsys.readouterr().err
    assert ("render on cpu: 0 frames" in said) == terminal  # until then
    assert said.rpartition("\r")[2].startswith("lipsync-fast: speech: no such file: ")


def run_module(*arguments, **options):
    command = [sys.executable, "-m", "lipsync_fast", *map(str, arguments)]
    # As a shell starts it: what is printed is buffered.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, env=plain, **options)


def test_output_that_nobody_reads_is_no_error(anna):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody:
        done = run_module("inspect", anna, stdout=nobody, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_output_on_a_full_disk_is_one_line(anna):
    with open("/dev/full", "w") as full:
        done = run_module("inspect", anna, stdout=full, check=False)
    assert done.returncode == 2
    assert done.stderr == "lipsync-fast: [Errno 28] No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes them")
@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams_lose_what_is_said_and_nothing_else(tmp_path, anna, net, wave, streams):
    if "full" in streams and not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    out = tmp_path / "out.mp4"
    render = [sys.executable, "-m", "lipsync_fast", "render", anna, wave, out, "--generator", net]
    for command in (render, [*render[:3], "inspect", anna]):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {streams}', "sh", *map(str, command)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert out.stat().st_size > 1000
    assert [p.name for p in tmp_path.glob("out*")] == ["out.mp4"]
    missing = [*render[:3], "inspect", str(tmp_path / "none")]
    assert subprocess.run(["sh", "-c", f'exec "$@" {streams}', "sh", *missing]).returncode == 2


def test_nets_are_tried_with_a_templates_faces(tmp_path, anna, net, capsys):
    pytest.importorskip("onnx")
    half = tmp_path / "half.onnx"
    assert main(["model", "half", str(net), str(half), "--template", str(anna)]) == 0
    assert "half.onnx: float16 inside" in capsys.readouterr().err
    faceless = tmp_path / "faceless"
    with TemplateWriter(faceless, VideoFormat(160, 120), preset="wav2lip96") as writer:
        writer.add((0, 0, 0, 0), bgr24=np.zeros((120, 160, 3), np.uint8))
    said = fails(capsys, "model", "half", net, tmp_path / "no.onnx", "--template", faceless)
    assert "no frame with a face" in said
    assert not (tmp_path / "no.onnx").exists()
