"""Ten files other than generators: each is rejected in one clear sentence."""

import numpy as np
import pytest

from lipsync_fast.cli import main as cli
from lipsync_fast.errors import ModelError
from lipsync_fast.presets import PRESETS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.support import nets  # noqa: E402

from lipsync_fast.nets.generator import Generator  # noqa: E402

helper, FLOAT, HALF = onnx.helper, nets.FLOAT, nets.HALF
PICTURE, AUDIO = ("input", (1, 6, 320, 320)), ("audio", (1, 32, 16, 16))


def save(path, inputs, output=("output", (1, 3, 320, 320)), *, kind=FLOAT, opset=17):
    """A model whose output is constant: only its declared inputs and outputs matter here."""
    nodes = [helper.make_node("ReduceMax", [n], [f"{n}_max"], keepdims=0) for n, _ in inputs]
    nodes.append(helper.make_node("Sum", [f"{n}_max" for n, _ in inputs], ["level"]))
    nodes.append(helper.make_node("Expand", ["level", "shape"], [output[0]]))
    kinds = {name: kind for name, _ in (*inputs, output)}
    shape = [("shape", np.array(output[1], np.int64))]
    versions = (opset, 9)
    return nets.save(
        path, nodes, inputs, [output], shape, kinds=kinds, versions=versions, checked=False
    )


def text_file(path):
    path.write_text("The quick brown fox jumps over the lazy dog.\n" * 9)


def truncated(path):
    save(path, [PICTURE, AUDIO])
    path.write_bytes(path.read_bytes()[:-60])


WRONG = {
    "text file": (text_file, "not an ONNX model: it is a text file; fetch the .onnx file itself"),
    "truncated": (truncated, "not an ONNX model, or cut short"),
    "image classifier": (
        lambda p: save(p, [("pixels", (1, 3, 224, 224))], ("scores", (1, 1000))),
        "found pixels (1,3,224,224); it has a picture but no audio input",
    ),
    "swapped inputs": (
        lambda p: save(p, [("audio", PICTURE[1]), ("input", AUDIO[1])]),
        "its inputs are swapped: input has the shape of synctalk328's audio and audio",
    ),
    "missing audio": (
        lambda p: save(p, [PICTURE]),
        "found input (1,6,320,320); it has a picture but no audio input, so it cannot follow",
    ),
    "float16 inputs": (
        lambda p: save(p, [PICTURE, AUDIO], kind=HALF),
        "input is float16, needs float32; export the model with float32 inputs and outputs",
    ),
    "5 channels": (
        lambda p: save(p, [("input", (1, 5, 320, 320)), AUDIO]),
        "the picture input must have 6 channels (reference and masked) or 3, got 5; export",
    ),
    "non-square": (
        lambda p: save(p, [("input", (1, 6, 320, 256)), AUDIO]),
        "the picture input must be square, got 320×256 (height × width); export",
    ),
    "dynamic height": (
        lambda p: save(
            p,
            [("video_frames", (1, 6, "height", 96)), ("mel_spectrogram", (1, 1, 80, 16))],
            ("predicted_frames", (1, 3, 288, 96)),
        ),
        "needs an output of shape (N,3,96,96), got predicted_frames (1, 3, 288, 96); "
        "export it for pictures of 96×96, or choose another preset",
    ),
    "opset too new": (
        lambda p: save(p, [PICTURE, AUDIO], opset=99),
        "opset 99 is too new for ONNX Runtime",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_gives_one_clear_sentence(tmp_path, capfd, name):
    make, says = WRONG[name]
    path = tmp_path / "net.onnx"
    make(path)
    with pytest.raises(ModelError) as caught:
        Generator(path)
    text = str(caught.value)
    assert says in text
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text.removeprefix(str(path))) < 300
    assert not any(word in text for word in ("Traceback", "Error", "onnxruntime_src", ".cc"))
    assert capfd.readouterr() == ("", ""), "nothing but the sentence"


def test_the_command_line_says_it_too(tmp_path, capfd):
    truncated(tmp_path / "net.onnx")
    assert cli.main(["inspect", str(tmp_path / "net.onnx")]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("lipsync-fast: ")
    assert err.count("\n") == 1


def test_open_sizes_that_fit_several_presets(tmp_path):
    side = ("N", 6, "height", "width")
    path = save(
        tmp_path / "net.onnx", [("video_frames", side), ("mel_spectrogram", (1, 1, 80, 16))]
    )
    with pytest.raises(ModelError, match=r"fit several presets \(.*wav2lip96.*\); name one"):
        Generator(path)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([("input", (1, 6, 128, 128)), AUDIO], "no preset has pictures of 128 px, only of 96, "),
        (
            [PICTURE, ("audio", (1, 7, 16, 16))],
            "with pictures of 320 px the audio input audio must be (N,32,16,16)",
        ),
        ([("a", (1, 7)), ("b", (1, 8))], "none of its inputs is a picture (N, 3 or 6, S, S)"),
        ([PICTURE, AUDIO, ("weight", (1,))], "it has inputs besides picture and audio"),
    ],
)
def test_what_else_can_be_wrong(tmp_path, inputs, says):
    with pytest.raises(ModelError) as caught:
        Generator(save(tmp_path / "net.onnx", inputs))
    assert says in str(caught.value)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_the_right_nets_are_not_refused(tmp_path, preset):
    inputs = [
        (preset.audio_input, (1, *preset.audio_shape)),
        (preset.image_input, (1, *preset.visual_shape)),
    ]
    path = save(tmp_path / "net.onnx", inputs, ("output", (1, 3, preset.view, preset.view)))
    assert Generator(path).preset.visual_shape == preset.visual_shape
