"""Faults from outside: templates that vanish, models and speech that fail.

Each ends in one clear error or a defined picture, and whatever worked before works afterwards.
"""

import os
import shutil
import signal
import subprocess
import sys
import wave

import numpy as np
import pytest
from tests.support.small_person import (
    COUNT,
    FORMATS,
    OUTPUTS,
    PRESET,
    finished,
    nothing_is_lent,
    open_pipeline,
    photos,
    speech,
    write_template,
)

from lipsync_fast import BufferPool, Compositor, Template
from lipsync_fast.errors import (
    InputError,
    LayoutError,
    MediaError,
    ModelError,
    PoolExhausted,
    TemplateError,
)
from lipsync_fast.pipeline.pipeline import Pipeline


@pytest.fixture
def folder(tmp_path, rng):
    return write_template(tmp_path / "anna", photos(rng))


@pytest.fixture
def pipeline(folder, tmp_path):
    with open_pipeline(folder, tmp_path / "net.onnx") as opened:
        yield opened


# ---- templates that change while in use --------------------------------------------------------


@pytest.mark.parametrize("warm", [True, False], ids=["after use", "before use"])
def test_a_deleted_template_serves_on(folder, warm):
    with Compositor(Template.open(folder, load=True)) as loaded:
        want = finished(loaded)
    with Compositor(Template.open(folder), threads=2) as compositor:
        if warm:
            assert finished(compositor) == want
        shutil.rmtree(folder)
        for _ in range(3):
            assert finished(compositor) == want


@pytest.mark.parametrize("warm", [True, False], ids=["after use", "before use"])
def test_a_template_prepared_anew_changes_nothing_for_who_has_it_open(folder, rng, warm):
    """No pixel of the new person under the old one's name."""
    with Compositor(Template.open(folder)) as compositor:
        want = finished(compositor) if warm else None
        others = photos(rng)
        old = Template.open(folder, load=True)
        write_template(folder, others, rect=(10, 20, 80, 70))
        with Compositor(old) as loaded:
            want = want or finished(loaded)
        assert finished(compositor) == want
    with Compositor(Template.open(folder)) as compositor:
        new = finished(compositor)
    for format in FORMATS:
        assert all(a != b for a, b in zip(new[format], want[format], strict=True))


def parts_of(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_truncated_file_is_named(folder):
    for name in parts_of(folder):
        path = folder / name
        whole = path.read_bytes()
        for size in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:size])
            if name == "template.json" and size == len(whole) - 1:
                continue  # the last line's end
            with pytest.raises(TemplateError, match=name) as caught:
                Template.open(folder)
            assert "prepare the template again" in str(caught.value)
        path.write_bytes(whole)
    assert Template.open(folder).count == COUNT


def test_a_loaded_template_does_not_need_its_files(folder):
    with Compositor(Template.open(folder)) as mapped:
        want = finished(mapped)
    with Compositor(Template.open(folder, load=True)) as compositor:
        for name in parts_of(folder):
            os.truncate(folder / name, 0)
        assert finished(compositor) == want


TRUNCATED = """
import os, sys
import numpy as np
from lipsync_fast import Compositor, Template

template = Template.open(sys.argv[1], load=sys.argv[2] == "load")
for name in os.listdir(sys.argv[1]):
    os.truncate(os.path.join(sys.argv[1], name), 0)
with Compositor(template) as compositor:
    compositor.composite(np.zeros((1, 3, 96, 96), np.float32), [0], format="jpeg")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse, or read zeros")
@pytest.mark.parametrize(("how", "status"), [("map", -signal.SIGBUS), ("load", 0)])
def test_truncating_a_mapped_template_is_fatal_as_documented(folder, how, status):
    assert "kills the process" in Template.__doc__
    done = subprocess.run(
        [sys.executable, "-c", TRUNCATED, str(folder), how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
        timeout=60,
    )
    assert done.returncode == status


# ---- models that fail ----------------------------------------------------------------------------


@pytest.mark.parametrize("colour_match", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_a_mouth_that_is_not_a_number_is_black(folder, format, colour_match):
    template = Template.open(folder, load=True)
    black = np.zeros_like(OUTPUTS)
    for value in (np.nan, -np.inf):
        broken = np.full_like(OUTPUTS, value)
        with Compositor(template, colour_match=colour_match) as compositor:
            with compositor.composite(black, range(COUNT), format=format) as lent:
                want = [bytes(frame.data) for frame in lent]
            with compositor.composite(broken, range(COUNT), format=format) as lent:
                assert [bytes(frame.data) for frame in lent] == want
    half = OUTPUTS.copy()
    half[:, :, ::2, ::3] = np.nan
    with Compositor(template) as compositor:
        compositor.composite(OUTPUTS, range(COUNT), format=format)  # the only ones looked at
        with compositor.composite(half, range(COUNT), format=format) as lent:
            got = [bytes(frame.data) for frame in lent]
        with compositor.composite(np.nan_to_num(half), range(COUNT), format=format) as lent:
            assert [bytes(frame.data) for frame in lent] == got


@pytest.mark.parametrize("format", ["jpeg", "i420", "bgr24"])
def test_a_net_that_draws_no_numbers_makes_black_mouths(folder, tmp_path, format):
    """In either form of the model's pictures."""
    pytest.importorskip("onnxruntime")
    nets = pytest.importorskip("tests.support.nets")
    from onnx import helper

    image, audio = PRESET.image_input, PRESET.audio_input
    slots = ["first", "last", "channel"]
    nodes = [
        helper.make_node("Slice", [image, *slots], ["seen"]),
        helper.make_node("ReduceMax", [audio], ["loudest"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["seen", "none"], ["black"]),
        helper.make_node("Sub", ["black", "one"], ["negative"]),
        helper.make_node("Sqrt", ["negative"], ["nothing"]),
        helper.make_node("Mul", ["loudest", "none"], ["zero"]),
        helper.make_node("Add", ["nothing", "zero"], ["output"]),
    ]
    constants = [
        *(("first", nets.ints(3)), ("last", nets.ints(6)), ("channel", nets.ints(1))),
        *(("none", np.float32(0)), ("one", np.float32(1))),
    ]
    inputs = [(image, ("n", *PRESET.visual_shape)), (audio, ("n", *PRESET.audio_shape))]
    outputs = [("output", ("n", 3, 96, 96))]
    broken = nets.save(tmp_path / "nan.onnx", nodes, inputs, outputs, constants)
    nodes[4] = helper.make_node("Clip", ["negative", "none", "one"], ["nothing"])
    black = nets.save(tmp_path / "black.onnx", nodes, inputs, outputs, constants)
    made = []
    for net in (broken, black):
        with Pipeline.open(folder, net, providers=["cpu"]) as pipeline:
            made.append([bytes(f.data) for f in pipeline.frames(speech(0.4), format=format)])
    assert len(made[0]) == 10
    assert made[0] == made[1]


@pytest.fixture
def failing_net(tmp_path):
    """The tiny generator, which fails on loud features."""
    nets = pytest.importorskip("tests.support.nets")
    from onnx import helper

    image, audio = PRESET.image_input, PRESET.audio_input
    nodes = [
        helper.make_node("Slice", [image, "first", "last", "channel"], ["seen"]),
        helper.make_node("ReduceMax", [audio], ["loudest"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Greater", ["loudest", "limit"], ["is_loud"]),
        helper.make_node("Cast", ["is_loud"], ["row"], to=7),
        helper.make_node("Gather", ["one", "row"], ["gain"], axis=0),  # of one row: 1 is too far
        helper.make_node("Mul", ["seen", "gain"], ["output"]),
    ]
    constants = [
        *(("first", nets.ints(3)), ("last", nets.ints(6)), ("channel", nets.ints(1))),
        *(("limit", np.float32(1.0)), ("one", np.ones(1, np.float32))),
    ]
    return nets.save(
        tmp_path / "failing.onnx",
        nodes,
        [(image, ("n", *PRESET.visual_shape)), (audio, ("n", *PRESET.audio_shape))],
        [("output", ("n", 3, 96, 96))],
        constants,
    )


def loud_from(second, seconds=4.0):
    samples = np.zeros(int(16000 * seconds), np.float32)
    at = int(16000 * second)
    samples[at:] = np.random.default_rng(1).normal(0, 0.3, len(samples) - at)
    return samples


def test_a_net_that_raises_is_one_error_after_the_frames_before(folder, failing_net, tmp_path):
    pytest.importorskip("onnxruntime")
    with Pipeline.open(folder, failing_net) as pipeline:
        want = [bytes(frame.data) for frame in pipeline.frames(np.zeros(64000, np.float32))]
        got = []
        with pytest.raises(ModelError, match=r"failing\.onnx: failed on a batch of") as caught:
            got.extend(bytes(f.data) for f in pipeline.frames(loud_from(2.0), request=5))
        assert "\n" not in str(caught.value)
        del caught
        # A window hears 16 columns of 1/80 s: 5 frames; requests are of 5 as well.
        assert 40 <= len(got) <= 50
        assert got == want[: len(got)]
        with pytest.raises(ModelError):
            pipeline.render(loud_from(2.0), tmp_path / "stills")
        assert not list(tmp_path.glob("stills*"))
        assert nothing_is_lent(pipeline)
        assert [bytes(f.data) for f in pipeline.frames(np.zeros(64000, np.float32))] == want


def test_a_pool_that_is_too_small_is_one_error(folder, pipeline):
    pool = BufferPool(limit=200_000)
    with Pipeline(Template.open(folder), pipeline.generator, pool=pool) as small:
        with pytest.raises(PoolExhausted, match="raise the limit or release arrays"):
            list(small.frames(speech()))
        assert nothing_is_lent(small)
        pool.limit = 64 << 20
        assert len(list(small.frames(speech()))) == 50


# ---- speech that stops -------------------------------------------------------------------------


class LineLost(Exception):
    pass


def test_speech_that_ends_early_is_a_shorter_speech(pipeline):
    whole = speech(2.0)
    pieces = np.array_split(whole, 23)[:11]
    want = [bytes(frame.data) for frame in pipeline.frames(np.concatenate(pieces))]
    assert [bytes(frame.data) for frame in pipeline.frames(iter(pieces))] == want


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (LineLost, LineLost),
        (np.zeros(100, np.int16), LayoutError),
        (np.full(100, np.nan, np.float32), InputError),
    ],
    ids=["raises", "integers", "not finite"],
)
def test_speech_that_breaks_off(pipeline, tmp_path, bad, error):
    """Every frame heard completely before the break is delivered, then the error itself."""
    whole = speech(2.0)

    def broken():
        yield from np.array_split(whole, 20)
        if bad is LineLost:
            raise bad
        yield bad

    want = [bytes(frame.data) for frame in pipeline.frames(whole)]
    got = []
    with pytest.raises(error):
        got.extend(bytes(frame.data) for frame in pipeline.frames(broken()))
    assert len(got) >= len(want) - 12  # a window reaches beyond its frame, and so does silence
    assert len(got) % pipeline.request, "the last request is not full: it is delivered too"
    assert got == want[: len(got)]
    with pytest.raises(error):
        pipeline.render(broken(), tmp_path / "stills")
    assert not list(tmp_path.glob("stills*"))
    assert nothing_is_lent(pipeline)
    assert [bytes(frame.data) for frame in pipeline.frames(whole)] == want


def test_no_speech_at_all(pipeline, tmp_path):
    for nothing in ([], [np.zeros(0, np.float32)], iter(())):
        with pytest.raises(InputError, match="sample"):
            pipeline.render(nothing, tmp_path / "stills")
    assert not list(tmp_path.glob("stills*"))


@pytest.mark.parametrize("name", ["stills", "out.mp4"])
def test_a_sound_file_that_is_cut_while_it_is_read(pipeline, tmp_path, name):
    if name.endswith("mp4"):
        pytest.importorskip("av")
    sound = tmp_path / "speech.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((speech(20.0) * 32767).astype("<i2").tobytes())

    def cut(done, total):
        if done == 50:
            os.truncate(sound, 16000 * 2 * 6)

    with pytest.raises(MediaError, match=r"speech\.wav became shorter while it was read"):
        pipeline.render(sound, tmp_path / name, progress=cut)
    assert not list(tmp_path.glob(f"{name}*"))
    assert nothing_is_lent(pipeline)
