# ruff: noqa: F811 (fixtures of another file)
"""Pipes on the command line: sound in, a film out, and what cannot leave through one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("av")
from tests.cli.test_main import anna, fails, images, net, wave  # noqa: F401
from tests.support.clips import decoded

from lipsync_fast import media

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes are of POSIX")


def start(*arguments, **streams):
    command = [sys.executable, "-m", "lipsync_fast", *map(str, arguments)]
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}, **streams
    )


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
@pytest.mark.parametrize("speech", ["-", "/dev/stdin"])
def test_sound_from_standard_input_and_film_to_standard_output(
    tmp_path,
    anna,
    net,
    wave,
    speech,
    output,
):
    child = start(
        "render", anna, speech, output, "--generator", net, "--stats",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    film, said = child.communicate(wave.read_bytes(), timeout=120)
    assert child.returncode == 0
    assert b"25 frames" in said
    assert b"ms/frame" in said
    (tmp_path / "got.mp4").write_bytes(film)
    assert len(decoded(tmp_path / "got.mp4")[0]) == 25
    assert abs(len(media.load_audio(tmp_path / "got.mp4")) - 16000) <= 1024
    assert not (tmp_path / "-").exists()


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs a shell of <(…)")
def test_process_substitution(tmp_path, anna, net, wave):
    line = (
        f"{sys.executable} -m lipsync_fast render {anna} <(cat {wave}) "
        f">(cat > {tmp_path}/got.mp4; touch {tmp_path}/done) --generator {net} -q"
    )
    subprocess.run(["/bin/bash", "-c", line], check=True, timeout=120)
    for _ in range(600):
        if (tmp_path / "done").exists():
            break
        time.sleep(0.05)
    assert len(decoded(tmp_path / "got.mp4")[0]) == 25


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [(signal.SIGTERM, 143, b"asked to end"), (signal.SIGINT, 130, b"interrupted")],
)
@pytest.mark.parametrize("way", ["speech", "output"])
def test_who_is_asked_to_end_while_waiting(tmp_path, anna, net, wave, way, asked, status, says):
    os.mkfifo(tmp_path / "pipe")
    speech = tmp_path / "pipe" if way == "speech" else wave
    output = tmp_path / "pipe" if way == "output" else tmp_path / "out.mp4"
    child = start("render", anna, speech, output, "--generator", net, "--verbose")
    seen = b""
    while b": running on" not in seen:
        seen += child.stderr.read(1)
    time.sleep(0.3)
    child.send_signal(asked)
    rest = child.communicate(timeout=60)[1]
    assert child.returncode == status
    assert rest.endswith(b"lipsync-fast: " + says + b"\n")
    assert not list(tmp_path.glob("out*"))


def test_what_cannot_go_to_standard_output(tmp_path, images, net, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare = ("prepare", images, "-", "--preset", "wav2lip96", "--rect", "9,9,50,50", "-q")
    assert "template - stands for standard input or output" in fails(capsys, *prepare)
    assert not (tmp_path / "-").exists()


def test_a_film_through_a_pipe_is_prepared(tmp_path):
    from tests.media.test_pipes import feed
    from tests.support.clips import write_clip

    from lipsync_fast import prepare

    frames = [np.full((72, 64), 20 + i, np.uint8) for i in range(10)]
    film = write_clip(tmp_path / "film.mp4", frames, codec="libx264")
    pipe = feed(tmp_path / "pipe", film.read_bytes())
    with prepare(pipe, tmp_path / "t", preset="wav2lip96", rects="4,4,40,40") as template:
        assert template.count == 10
