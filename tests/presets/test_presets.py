"""Presets: they are consistent, models find theirs, and users add their own."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lipsync_fast import ResizePlan
from lipsync_fast.errors import FileMissingError, InputError, ModelError, TemplateError
from lipsync_fast.preparation import prepare
from lipsync_fast.presets import PRESETS, find_preset, fit_preset, get_preset, load_preset
from lipsync_fast.presets.preset import FILTERS
from lipsync_fast.templates.template import Template
from lipsync_fast.timing import LOOPS


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_consistent(preset):
    assert preset.crop == preset.view + 2 * preset.border
    assert preset.visual_shape[0] == 3 * (1 + preset.visual.count("+"))
    assert preset.low < preset.high
    assert preset.loop in LOOPS
    if preset.black is not None:
        x0, y0, x1, y1 = preset.black
        assert 0 <= x0 < x1 <= preset.view
        assert 0 <= y0 < y1 <= preset.view
    assert ("masked" in preset.visual) == (preset.black is not None)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("batch", [1, "batch", None])
def test_model_finds_its_preset(preset, batch):
    inputs = {
        preset.image_input: (batch, *preset.visual_shape),
        preset.audio_input: (batch, *preset.audio_shape),
        **{name: (len(value),) for name, value in preset.constants},
    }
    assert find_preset(inputs) == preset


@pytest.mark.parametrize("preset", [None, "wav2lip96", PRESETS["wav2lip96"]])
def test_one_preset_may_be_named(preset):
    found = fit_preset({"target": (1, 6, 96, 96), "source": (1, 1, 80, 16)}, preset)
    assert found == replace(PRESETS["wav2lip96"], image_input="target", audio_input="source")
    with pytest.raises(
        ModelError, match=r"do not fit the preset synctalk328: .*; needed are synctalk328 "
    ):
        fit_preset({"input": (1, 6, "S", "S"), "audio": (1, 1, 80, 9)}, "synctalk328")
    with pytest.raises(InputError, match="preset must be one of"):
        fit_preset({}, "nobody")


def test_other_input_names_are_taken_over():
    found = find_preset({"target": (1, 6, 96, 96), "source": (1, 1, 80, 16)})
    assert found.name == "wav2lip96"
    assert (found.image_input, found.audio_input) == ("target", "source")


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"x": (1, 3, 224, 224)}, "fit no preset"),
        ({"input": (1, 6, 320, 320)}, "fit no preset"),
        ({"input": (1, 5, 320, 320), "audio": (1, 32, 16, 16)}, "fit no preset"),
        ({"input": (1, 6, 320, 300), "audio": (1, 32, 16, 16)}, "fit no preset"),
        ({}, "found none"),
        ({"a": (1, 6, "h", "w"), "b": (1, 1, 80, 16)}, "several presets"),
    ],
)
def test_unknown_model_is_refused_in_one_sentence(inputs, says):
    with pytest.raises(ModelError, match=says) as caught:
        find_preset(inputs)
    assert "\n" not in str(caught.value)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="wav2lip96"):
        get_preset("wav2lip97")
    with pytest.raises(InputError):
        get_preset(None)


def test_every_filter_is_the_resizers():
    for name in FILTERS:
        assert ResizePlan((8, 8), (4, 4), name).filter == name


# ---- a user's own ----------------------------------------------------------------------------

OWN = """
base = "wav2lip96"
name = "mine"
view = 128
crop = 136
black = [0, 40, 128, 128]
image_input = "face"
features = "file"
audio_shape = [4, 10]
feature_rate = 30
edge = "ramp"

[constants]
strength = 0.75
pose = [0, 1.5]
"""


def own(tmp_path, text=OWN):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return path


def test_a_toml_file_changes_what_it_names(tmp_path):
    preset = load_preset(own(tmp_path))
    assert preset == replace(
        PRESETS["wav2lip96"],
        name="mine",
        view=128,
        crop=136,
        black=(0, 40, 128, 128),
        image_input="face",
        features="file",
        audio_shape=(4, 10),
        feature_rate=30,
        edge="ramp",
        constants={"strength": 0.75, "pose": (0, 1.5)},
    )
    assert get_preset(own(tmp_path)) == get_preset(str(own(tmp_path))) == preset
    assert (preset.border, preset.constants[1]) == (4, ("pose", (0.0, 1.5)))
    hash(preset)


def test_a_toml_file_may_hold_every_field(tmp_path):
    for preset in PRESETS.values():
        fields = {**preset.to_mapping(), "name": f"my-{preset.name}"}
        constants = fields.pop("constants")
        lines = [f"{name} = {json.dumps(v)}" for name, v in fields.items() if v is not None]
        lines += ["[constants]", *(f"{name} = {list(v)}" for name, v in constants.items())]
        assert load_preset(own(tmp_path, "\n".join(lines))) == replace(
            preset, name=f"my-{preset.name}"
        )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "TOML"),
        ('base = "wav2lip96"', "needs a name"),
        ('base = "wav2lip97"\nname = "x"', "base must be one of synctalk328"),
        ('base = [1]\nname = "x"', "base must be one of"),
        ('name = "x"', "needs view, crop"),
        ('base = "wav2lip96"\nname = "wav2lip96"\nview = 128', r"view \(128\)"),
        ('base = "wav2lip96"\nname = "wav2lip96"\nstart = 3', "choose another name"),
        ('base = "wav2lip96"\nname = "a b"', "letters"),
        ('base = "wav2lip96"\nname = "x"\nmouth = 1', "no field mouth; its fields are name"),
        ('base = "wav2lip96"\nname = "x"\nview = "96"', "view must be"),
        ('base = "wav2lip96"\nname = "x"\nblack = [0, 0, 97, 96]', "black must be"),
        ('base = "wav2lip96"\nname = "x"\nblack = 3', "black must be"),
        ('base = "wav2lip96"\nname = "x"\nvisual = "reference"', "black must be None"),
        ('base = "edtalk256"\nname = "x"\nvisual = "masked+reference"', "black must be a rect"),
        ('base = "wav2lip96"\nname = "x"\ncrop = 99', "crop must be"),
        ('base = "wav2lip96"\nname = "x"\nlow = 1', "high must be"),
        ('base = "wav2lip96"\nname = "x"\nhigh = nan', "high must be"),
        ('base = "wav2lip96"\nname = "x"\ncrop_filter = "cubic"', "crop_filter must be one of"),
        ('base = "wav2lip96"\nname = "x"\nrgb = 1', "rgb must be"),
        ('base = "wav2lip96"\nname = "x"\nedge = "round"', "edge must be"),
        ('base = "wav2lip96"\nname = "x"\nfeather = "auto"', "feather must be one of rounded"),
        ('base = "wav2lip96"\nname = "x"\nfeather_width = 0.6', "feather_width must be"),
        ('base = "wav2lip96"\nname = "x"\nfeather_width = true', "feather_width must be"),
        ('base = "wav2lip96"\nname = "x"\nloop = "round"', "loop must be"),
        ('base = "wav2lip96"\nname = "x"\nstart = -1', "start must be"),
        ('base = "wav2lip96"\nname = "x"\nrect_rule = "oval"', "rect_rule must be"),
        ('base = "wav2lip96"\nname = "x"\nimage_input = ""', "names of the model's inputs"),
        ('base = "wav2lip96"\nname = "x"\nimage_input = "mel_spectrogram"', "different names"),
        ('base = "wav2lip96"\nname = "x"\naudio_shape = []', "audio_shape must be"),
        ('base = "wav2lip96"\nname = "x"\nfeatures = "ear"', "features must be one of ave"),
        ('base = "wav2lip96"\nname = "x"\nfeatures = "hubert"', "a multiple of rows of 2048"),
        ('base = "wav2lip96"\nname = "x"\nfeature_rate = 0', "feature_rate must be"),
        ('base = "wav2lip96"\nname = "x"\nconstants = 3', "constants must be"),
        ('base = "wav2lip96"\nname = "x"\nconstants = {w = "a"}', "constants must be"),
        ('base = "wav2lip96"\nname = "x"\nconstants = {w = nan}', "names and their finite numbers"),
        ('base = "wav2lip96"\nname = "x"\nconstants = {w = [1, -inf]}', "finite numbers"),
    ],
)
def test_a_wrong_toml_file_is_refused_in_one_sentence(tmp_path, text, says):
    with pytest.raises(InputError, match=says) as caught:
        get_preset(own(tmp_path, text))
    assert "own.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_toml_file():
    with pytest.raises(FileMissingError, match=r"none\.toml"):
        get_preset("none.toml")


@pytest.mark.parametrize("kind", ["toml", "python", "border", "feather"])
def test_a_template_keeps_a_users_preset(tmp_path, kind):
    preset = {
        "toml": lambda: own(tmp_path),
        "python": lambda: replace(PRESETS["edtalk256"], name="ours", constants={"weight": [0.25]}),
        "border": lambda: PRESETS["synctalk328"].with_border(0),
        "feather": lambda: PRESETS["synctalk328"].with_feather("ellipse"),
    }[kind]()
    images = tmp_path / "images"
    images.mkdir()
    from PIL import Image

    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(images / "0.png")
    prepare(images, tmp_path / "t", preset=preset, rects="5,5,40,40").close()
    if kind == "toml":
        preset = load_preset(preset)
        (tmp_path / "own.toml").unlink()
    with Template.open(tmp_path / "t") as template:
        assert template.preset == preset
    head = json.loads((tmp_path / "t" / "template.json").read_text())
    head["preset_row"]["view"] = 7
    (tmp_path / "t" / "template.json").write_text(json.dumps(head))
    with pytest.raises(TemplateError, match="view must be"):
        Template.open(tmp_path / "t")
    head.pop("preset_row")
    head["preset"] = str(own(tmp_path))
    (tmp_path / "t" / "template.json").write_text(json.dumps(head))
    with pytest.raises(TemplateError, match="its preset must be one of synctalk328"):
        Template.open(tmp_path / "t")
