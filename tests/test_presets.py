"""Presets: the rows agree with themselves, and models find theirs."""

import pytest

from lipsync_fast.errors import InputError, ModelError
from lipsync_fast.presets import LOOPS, PRESETS, find_preset, get_preset


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_row_is_consistent(preset):
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
    }
    assert find_preset(inputs) == preset


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
