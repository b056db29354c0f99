"""Mistakes of newcomers: one sentence that names the option and what to do, and nothing left."""

import json
import os
import pickle
import shlex
import sys
import wave
import zipfile

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("av")
from PIL import Image
from tests.support.nets import save, tiny_encoder, tiny_generator

from lipsync_fast.cli.main import main
from lipsync_fast.presets import get_preset

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

LONG = "x" * 300
MODEL = "--generator g.onnx"
WAV2LIP = "prepare images new --preset wav2lip96"
RECT = "--rect 30,20,80,80"
RENDER = "render anna s.wav out.mp4"
SYNCTALK = "render anna328 s.wav out.mp4 --generator g328.onnx"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with what newcomers have, right things and wrong ones."""
    desk = tmp_path_factory.mktemp("desk")
    draw = np.random.default_rng(1)
    for name in ("images", "empty folder"):
        (desk / name).mkdir()
    for i in range(3):
        pixels = draw.normal(120, 20, (120, 160, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(desk / "images" / f"{i}.png")
    Image.fromarray(pixels).save(desk / "face.jpg")
    with wave.open(str(desk / "s.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(draw.normal(0, 3000, 8000).astype("<i2").tobytes())
    tiny_generator(desk / "g.onnx", get_preset("wav2lip96"))
    tiny_generator(desk / "g328.onnx", get_preset("synctalk328"))
    tiny_encoder(desk / "e.onnx")
    write_others(desk)
    for name, preset in (("anna", "wav2lip96"), ("anna328", "synctalk328")):
        prepare = ["prepare", desk / "images", desk / name, "--preset", preset]
        assert main([*map(str, prepare), *RECT.split(), "-q"]) == 0
    render = ["render", desk / "anna", desk / "s.wav", desk / "film.mp4"]
    assert main([*map(str, render), "--generator", str(desk / "g.onnx"), "-q"]) == 0
    return desk


def write_others(desk):
    for name in ("empty.onnx", "empty.wav"):
        (desk / name).touch()
    (desk / "text.txt").write_text("hello world\n" * 20)
    (desk / "lfs.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (desk / "page.onnx").write_text("<!DOCTYPE html>\n<html><body>404</body></html>")
    (desk / "cut.onnx").write_bytes((desk / "g.onnx").read_bytes()[:-60])
    (desk / "m.gguf").write_bytes(b"GGUF\3" + bytes(99))
    (desk / "old.pth").write_bytes(pickle.dumps({"epoch": 1}, protocol=2))
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(4)
    (desk / "w.safetensors").write_bytes(weights)
    for name, inside in (
        ("unet.pt", ("unet/data.pkl", "unet/version")),
        ("script.pt", ("s/data.pkl", "s/code/__torch__.py", "s/constants.pkl")),
        ("models.zip", ("models/g.onnx",)),
    ):
        with zipfile.ZipFile(desk / name, "w") as archive:
            for entry in inside:
                archive.writestr(entry, "x")
    np.save(desk / "rows.npy", np.zeros((25, 1024), np.float32))
    np.save(desk / "pose.npy", np.zeros(7))
    (desk / "damaged.json").write_text('{"a":')
    (desk / "mine.toml").write_text("view = 96")


def contents(desk):
    """All files and folders with their sizes and times."""
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in desk.rglob("*")}


def blunder(desk, capsys, monkeypatch, arguments):
    """What is said, one line without its beginning; nothing on the desk has changed."""
    monkeypatch.chdir(desk)
    before = contents(desk)
    assert main(shlex.split(arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lipsync-fast: ")
    assert said.err.count("\n") == 1, "one sentence"
    assert "Traceback" not in said.err
    assert contents(desk) == before
    return said.err.removeprefix("lipsync-fast: ").rstrip("\n")


# Arguments, how the sentence starts, and what else is in it.
MISTAKES = {
    # swapped, missing and wrong kinds in each place
    f"render nope s.wav out.mp4 {MODEL}": ("template nope: no such", "lipsync-fast prepare"),
    f"render s.wav anna out.mp4 {MODEL}": ("template s.wav is a file", "that prepare made"),
    f"render images s.wav out.mp4 {MODEL}": ("template images has no template.json", "prepare"),
    f"render 'empty folder' s.wav out.mp4 {MODEL}": ("template empty folder has no", "prepare"),
    f"render film.mp4 s.wav out.mp4 {MODEL}": ("template film.mp4 is a file", "prepare made"),
    f"render anna nope.wav out.mp4 {MODEL}": ("speech: no such file: nope.wav", ""),
    f"render anna images out.mp4 {MODEL}": ("speech images is a folder; name a file", ""),
    f"render anna empty.wav out.mp4 {MODEL}": ("speech empty.wav is empty (0 bytes)", "again"),
    f"render anna text.txt out.mp4 {MODEL}": ("speech text.txt is damaged, or not a media", ""),
    f"render anna face.jpg out.mp4 {MODEL}": ("speech face.jpg has no sound in it", ""),
    f"render - s.wav out.mp4 {MODEL}": ("template - stands for standard input", "./-"),
    f"render anna {LONG} out.mp4 {MODEL}": (f"speech {LONG}: File name too long", ""),
    f"render {LONG} s.wav out.mp4 {MODEL}": (f"template {LONG}: File name too long", ""),
    # outputs
    f"render anna s.wav out.avi {MODEL}": ("output out.avi must be an .mp4, or a folder", ".avi"),
    f"render anna s.wav out.png {MODEL}": ("output out.png must be an .mp4, or a folder", ".png"),
    f"render anna s.wav s.wav {MODEL}": ("speech or output s.wav must be an .mp4, or a", ".wav"),
    f"render anna film.mp4 film.mp4 {MODEL}": ("speech or output film.mp4 is the speech", "lost"),
    f"render anna s.wav images {MODEL}": ("output images already contains files", "name a new"),
    f"render anna s.wav no/out.mp4 {MODEL}": ("output no/out.mp4 cannot be", "make that"),
    f"render anna s.wav {LONG}.mp4 {MODEL}": (f"output {LONG}.mp4 cannot be", "too long"),
    f"render anna s.wav {LONG} {MODEL}": ("output /", "File name too long"),
    f"render anna s.wav . {MODEL}": ("output . is the current folder", "name another"),
    # models
    f"{RENDER} --generator nope.onnx": ("--generator nope.onnx: no such file", "ONNX model"),
    f"{RENDER} --generator images": ("--generator images: is a folder", "ONNX model"),
    f"{RENDER} --generator empty.onnx": ("--generator empty.onnx: not an", "(0 bytes); fetch"),
    f"{RENDER} --generator text.txt": ("--generator text.txt: not an ONNX", "is a text file"),
    f"{RENDER} --generator film.mp4": ("--generator film.mp4: not an ONNX", "a film (MP4"),
    f"{RENDER} --generator face.jpg": ("--generator face.jpg: not an ONNX", "a picture (JPEG)"),
    f"{RENDER} --generator s.wav": ("--generator or speech s.wav: not an ONNX", "(WAV)"),
    f"{RENDER} --generator unet.pt": ("--generator unet.pt: not an", "checkpoint; load it into"),
    f"{RENDER} --generator old.pth": ("--generator old.pth: not an", "a PyTorch checkpoint; load"),
    f"{RENDER} --generator script.pt": ("--generator script.pt: not an", "torch.onnx.export"),
    f"{RENDER} --generator w.safetensors": ("--generator w.safetensors: not", "onnx.export"),
    f"{RENDER} --generator m.gguf": ("--generator m.gguf: not an ONNX", "a GGUF file"),
    f"{RENDER} --generator models.zip": ("--generator models.zip: not an", "unpack it"),
    f"{RENDER} --generator lfs.onnx": ("--generator lfs.onnx: not an", "run git lfs pull"),
    f"{RENDER} --generator page.onnx": ("--generator page.onnx: not an", "a web page"),
    f"{RENDER} --generator rows.npy": ("--generator rows.npy: not an ONNX", "a NumPy array"),
    f"{RENDER} --generator cut.onnx": ("--generator cut.onnx: not an ONNX", "or cut short"),
    f"{RENDER} --generator e.onnx": ("--generator e.onnx: the generator's inputs", "a picture"),
    f"{RENDER} --generator g328.onnx": ("--generator: the template was", "for wav2lip96"),
    f"{RENDER} --generator -": ("--generator - stands for standard input", "./-"),
    f"{RENDER} --generator ''": ("--generator is empty; give it a value", ""),
    SYNCTALK: ('features "ave" need an audio encoder', "(--audio-encoder)"),
    f"{SYNCTALK} --audio-encoder no.onnx": ("--audio-encoder no.onnx: no such file", ""),
    f"{SYNCTALK} --audio-encoder g.onnx": ("--audio-encoder g.onnx: not an audio encoder", "got"),
    f"{SYNCTALK} --audio-encoder unet.pt": ("--audio-encoder unet.pt: not an", "onnx.export"),
    f"{SYNCTALK} --features no.npy": ("--features no.npy: no such file with features", ""),
    f"{SYNCTALK} --features rows.npy": ("--features rows.npy must hold a row of 512", "1024"),
    f"{SYNCTALK} --features images": ("--features images cannot be read as a plain .npy", ""),
    f"{RENDER} {MODEL} --neutral pose.npy": (
        "--neutral must be left out: it is for presets that",
        "",
    ),
    # numbers and words
    f"{RENDER} {MODEL} --quality 50": ("--quality applies to JPEG files only", "leave it out"),
    f"render anna s.wav out {MODEL} --quality 101": ("--quality must be a whole number, 1 to", ""),
    f"{RENDER} {MODEL} --threads 0": ("--threads must be a whole number, 1 to 256, got 0", ""),
    f"{RENDER} {MODEL} --request 0": ("--request must be a whole number of frames, 1 or", ""),
    f"{RENDER} {MODEL} --border 3": ("--border must be 0 for wav2lip96, got 3", ""),
    f"{RENDER} {MODEL} --start -3": ("--start must be a whole number of frames, 0 to", ""),
    f"{RENDER} {MODEL} --provider gpu": ("--provider gpu is not in the installed", "pip install"),
    f"{RENDER} {MODEL} --device -1": ("--device must be a whole number, 0 or more", ""),
    f"{RENDER} {MODEL} --device 0 --device 0": ("--device: devices must be different", ""),
    # preparing
    WAV2LIP: ("give rects, as 'x,y,w,h' (--rect) or a file (--rects)", "--detector"),
    f"{WAV2LIP} --detector no.onnx": ("--detector no.onnx: no such file", "ONNX model"),
    f"{WAV2LIP} --detector g.onnx": ("--detector g.onnx: not the YuNet detector", "got output"),
    f"{WAV2LIP} --detector unet.pt": ("--detector unet.pt: not an ONNX model", "onnx.export"),
    f"{WAV2LIP} {RECT} --detector g.onnx": ("rects are either given or found", "(--detector)"),
    f"{WAV2LIP} {RECT} --smooth steady": ("--smooth: given rects are used as they are", "leave"),
    f"{WAV2LIP} {RECT} --rects no.csv": ("rects can be given once only", "--rect or --rects"),
    f"{WAV2LIP} {RECT} --masks landmarks": ("--masks from landmarks need both", "--landmarks"),
    f"{WAV2LIP} --rect 1,2,3": ("--rect: a rect must be four integers", "got '1,2,3'"),
    f"{WAV2LIP} --rect 500,500,10,10": ("--rect: rect 0 must have an area inside", "160×120"),
    f"{WAV2LIP} --rect -50,-50,9,9": ("--rect: rect 0 must have an area inside", "160×120"),
    f"{WAV2LIP} --rect 0,0,0,0": ("--rect: the rect must have a width", "at least 1 pixel"),
    f"{WAV2LIP} --rects no.json": ("--rects no.json: no such file with rects", ""),
    f"{WAV2LIP} --rects damaged.json": ("--rects damaged.json, line 1: not valid JSON", ""),
    f"{WAV2LIP} --rects s.wav": ("--rects must be 'x,y,w,h', a .json, .csv, .npy", "got 's.wav'"),
    f"{WAV2LIP} {RECT} --store gif": ("--store must name some of jpeg, i420, bgr24", "'gif'"),
    f"{WAV2LIP} {RECT} --quality 0": ("--quality must be a whole number, 1 to 100", "got 0"),
    f"prepare images new {RECT}": (
        "source images does not tell the generator's family",
        "--preset",
    ),
    f"prepare images new {RECT} --preset wavlip": ("--preset must be one of", "got 'wavlip'"),
    f"prepare images new {RECT} --preset no.toml": ("--preset no.toml: no such file", "name a"),
    f"prepare images new {RECT} --preset mine.toml": ("--preset mine.toml: a preset needs", "name"),
    f"prepare no.mp4 new {RECT} --preset wav2lip96": ("source: no such file: no.mp4", ""),
    f"prepare 'empty folder' new {RECT} --preset wav2lip96": ("source empty folder must hold", ""),
    f"prepare s.wav new {RECT} --preset wav2lip96": ("source s.wav has no video in it", ""),
    f"prepare text.txt new {RECT} --preset wav2lip96": ("source text.txt is damaged, or", ""),
    f"prepare anna new {RECT} --preset wav2lip96": ("source anna is a template already", "film"),
    f"prepare images s.wav {RECT} --preset wav2lip96": ("template s.wav cannot be", "a folder"),
    f"prepare images images {RECT} --preset wav2lip96": ("source or template images is a", "new"),
    f"prepare images - {RECT} --preset wav2lip96": ("template - stands for standard", "./-"),
    # the other commands
    "inspect nope": ("nope: no such file or folder", ""),
    "inspect -": ("path - stands for standard input", "./-"),
    "inspect images": ("images has no template.json", "prepare made"),
    "inspect unet.pt": ("unet.pt: not an ONNX model: it is a PyTorch checkpoint", "onnx.export"),
    "inspect anna --preset wav2lip96": (
        "anna is a folder",
        "(--template, --preset) apply to a model",
    ),
    "inspect g.onnx --template images": ("--template images has no template.json", "prepare"),
    "inspect g.onnx --template anna328": ("g.onnx: the generator's inputs do not fit the", "320"),
    "inspect g.onnx --preset synctalk328": ("--preset: g.onnx: the generator's inputs do", "320"),
    "bench report.pdf": ("report.pdf must end in .html, .png; got .pdf", ""),
    "bench -": ("output - stands for standard input or", ""),
    "bench b.html --template s.wav": ("--template s.wav is a file", "prepare made"),
    "bench b.html --generator nope": ("--generator nope: no such file", ""),
    f"bench b.html {MODEL}": ("--generator g.onnx is wav2lip96, and", "(--template)"),
    "bench b.html --audio-encoder e.onnx": (
        "audio_encoder (--audio-encoder) is for",
        "--generator",
    ),
    "bench b.html --threads 0": ("--threads must be a whole number, 1 to 256, got 0", ""),
    "bench b.html --rounds 0": ("--rounds must be a whole number, 1 or more, got 0", ""),
    "demo d.webm": ("d.webm must be an .mp4, or a folder for JPEG files", ".webm"),
    "demo d.mp4 --audio no.wav": ("--audio: no such file: no.wav", ""),
    "demo d.mp4 --audio text.txt": ("--audio text.txt is damaged, or not a media file", ""),
    "demo film.mp4 --audio film.mp4": ("--audio film.mp4 is the speech itself", "lost"),
    "doctor --generator nope": ("--generator nope: no such file", ""),
    "doctor --generator unet.pt": ("--generator unet.pt: not an ONNX model", "onnx.export"),
    "doctor --template anna": ("--template anna was prepared for wav2lip96", "(--generator)"),
    "doctor --device -1": ("--device must be a whole number, 0 or more", ""),
    "model batch nope.onnx o.onnx": ("IN.onnx nope.onnx: no such file", ""),
    "model batch unet.pt o.onnx": ("IN.onnx unet.pt: not an ONNX model", "onnx.export"),
    "model half g.onnx no/o.onnx": (
        "OUT.onnx no/o.onnx cannot be written",
        "make that folder first",
    ),
    "model half g.onnx images": ("OUT.onnx images cannot be written: it is a folder", ""),
    "model half g.onnx -": ("OUT.onnx - stands for standard input or", ""),
    "model half g.onnx o.onnx --template no": ("--template no: no such template folder", ""),
    "model half g.onnx o.onnx --template anna328": ("IN.onnx g.onnx: the generator's", "320"),
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=lambda a: a.replace(LONG, "LONG"))
def test_each_is_one_sentence(desk, capsys, monkeypatch, arguments):
    starts, holds = MISTAKES[arguments]
    said = blunder(desk, capsys, monkeypatch, arguments)
    assert said.startswith(starts)
    assert holds in said


@pytest.mark.parametrize(
    ("missing", "arguments", "says"),
    [
        ("onnxruntime", f"{RENDER} {MODEL}", 'pip install "lipsync_fast[cpu]"'),
        ("av", f"{RENDER} {MODEL}", '"lipsync_fast[video]"'),
        ("av", f"prepare film.mp4 new {RECT} --preset wav2lip96", '"lipsync_fast[video]"'),
        ("tqdm", f"{RENDER} {MODEL}", '"lipsync_fast[cli]"'),
        ("matplotlib", "bench b.html", '"lipsync_fast[bench]"'),
        ("onnx", "model half g.onnx o.onnx", '"lipsync_fast[models]"'),
    ],
)
def test_an_extra_that_is_not_installed(desk, capsys, monkeypatch, missing, arguments, says):
    monkeypatch.setitem(sys.modules, missing, None)
    assert says in blunder(desk, capsys, monkeypatch, arguments)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["render", "anna"], ["cache", "clean"]])
def test_usage(desk, capsys, arguments):
    before = contents(desk)
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err.splitlines()[-1].startswith("lipsync-fast")
    assert contents(desk) == before


@posix
@pytest.mark.parametrize(
    ("arguments", "starts"),
    [
        (f"{RENDER} --generator p", "--generator p: not an ONNX model: it is a pipe"),
        (f"{SYNCTALK} --audio-encoder p", "--audio-encoder p: not an ONNX model: it is a pipe"),
        (f"{SYNCTALK} --features p", "--features p cannot be read as a plain .npy array"),
        (f"{WAV2LIP} --detector p", "--detector p: not an ONNX model: it is a pipe"),
        (f"prepare images new {RECT} --preset p.toml", "--preset p.toml cannot be read"),
        (f"{WAV2LIP} --rects p.json", "--rects p.json"),
        ("inspect p", "p: not an ONNX model: it is a pipe or a device"),
        ("doctor --generator p", "--generator p: not an ONNX model: it is a pipe"),
        ("model half p o.onnx", "IN.onnx p: not an ONNX model: it is a pipe"),
        ("model half g.onnx p", "OUT.onnx p cannot be written: it is a device or a pipe"),
    ],
)
def test_pipes_are_not_waited_for(desk, capsys, monkeypatch, arguments, starts):
    pipes = [desk / name for name in ("p", "p.toml", "p.json")]
    for pipe in pipes:
        os.mkfifo(pipe)
    try:
        assert blunder(desk, capsys, monkeypatch, arguments).startswith(starts)
    finally:
        for pipe in pipes:
            pipe.unlink()


# ---- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["take 1", "take.1", "v1.2.3", "2024.05.01", "çéŁ…", "-out", "a=b"]
)
def test_folders_of_any_name(desk, tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    prepare = ["prepare", str(desk / "images"), "--preset", "wav2lip96", *RECT.split(), "-q"]
    assert main([*prepare, "--", f"anna {name}"]) == 0
    render = ["render", "-q", "--generator", str(desk / "g.onnx"), "--"]
    assert main([*render, f"anna {name}", str(desk / "s.wav"), name]) == 0
    assert len(list((tmp_path / name).iterdir())) == 13
    assert main(["inspect", f"anna {name}"]) == 0
    assert f"anna {name}" in capsys.readouterr().out.splitlines()[0]


def test_an_empty_folder_may_be_there_whatever_its_name(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips.mov").mkdir()
    render = ["render", str(desk / "anna"), str(desk / "s.wav"), "clips.mov", "-q"]
    assert main([*render, "--generator", str(desk / "g.onnx")]) == 0
    assert len(list((tmp_path / "clips.mov").iterdir())) == 13


# ---- models whose sizes are open ---------------------------------------------------------------


def open_net(path, output=("N", 3, "h", "w")):
    """A generator that says of no axis how long it is."""
    from onnx import helper

    nodes = [
        helper.make_node("Slice", ["video_frames", "three", "six", "one"], ["reference"]),
        helper.make_node("ReduceMean", ["mel_spectrogram"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Add", ["reference", "mean"], ["predicted_frames"]),
    ]
    constants = [(name, np.array([n])) for name, n in (("three", 3), ("six", 6), ("one", 1))]
    inputs = [
        ("video_frames", ("N", "c", "h", "w")),
        ("mel_spectrogram", ("N", "channel", "bands", "columns")),
    ]
    return save(path, nodes, inputs, [("predicted_frames", output)], constants)


def test_a_template_knows_what_a_model_of_open_sizes_is(desk, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = str(open_net(tmp_path / "net.onnx"))
    anna, speech = str(desk / "anna"), str(desk / "s.wav")
    assert main(["render", anna, speech, "out", "--generator", net, "-q"]) == 0
    assert main(["inspect", net, "--template", anna]) == 0
    assert main(["inspect", net, "--preset", "wav2lip96"]) == 0
    capsys.readouterr()
    assert main(["doctor", "--generator", net]) == 2
    said = capsys.readouterr().err
    assert "sizes fit several presets" in said
    assert "give a template of it (--template)" in said
    # What is wrong beside its sizes is not taken for them.
    wrong = str(open_net(tmp_path / "wrong.onnx", ("N", 4, 33, 33)))
    assert main(["render", anna, speech, "no", "--generator", wrong, "-q"]) == 2
    said = capsys.readouterr().err
    assert "--generator" in said
    assert "several presets" not in said
