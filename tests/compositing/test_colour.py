"""Colour match and fades: what they do to finished frames."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support import reference
from tests.support.drift import WOMAN, drifting, insets
from tests.support.person import as_bgr24

from lipsync_fast import kernels
from lipsync_fast.compositing import ColourSmoother, Compositor, seam_error
from lipsync_fast.errors import InputError
from lipsync_fast.presets import get_preset
from lipsync_fast.templates.crops import pack_crop
from lipsync_fast.templates.template import Template

FORMATS = ["bgr24", "rgba", "i420", "jpeg"]
RECTS = [(40, 30, 120, 110), (41, 32, 122, 110), (0, 0, 60, 50), (0, 0, 0, 0), (139, 80, 101, 100)]
SHIFT = np.array([14.0, -9.0, 5.0], np.float32)[:, None, None]


def picture(seed, height=180, width=240):
    """Draw smooth colours with a little grain, away from black and white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [120 + 45 * np.sin(x / (30 + 9 * c) + seed + c) * np.cos(y / 41 - c) for c in range(3)]
    return (np.stack(waves, axis=-1) + rng.integers(-3, 4, (height, width, 3))).astype(np.uint8)


def case(name):
    """Return a template of a preset, its true faces, and the same ones with SHIFT added."""
    frames = [picture(i) for i in range(len(RECTS))]
    template = Template.from_arrays(frames, RECTS, preset=name)
    preset = template.preset
    first = 3 * preset.visual.split("+").index("reference")
    planes = np.stack([pack_crop(crop, preset)[first : first + 3] for crop in template.crops])
    shift = SHIFT[::-1] if preset.rgb else SHIFT
    half = 0.5  # the conversion back cuts off fractions
    return template, planes, planes + (shift + half) / 255 * (preset.high - preset.low)


# ---- colour match ----------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["synctalk328", "wav2lip96", "liteavatar384"])
@pytest.mark.parametrize("format", FORMATS)
def test_wrong_colours_become_right(preset, format):
    template, right, wrong = case(preset)
    assert template.preset.name == preset
    indices = range(len(RECTS))
    with Compositor(template, threads=2) as plain:
        want = [f.array.astype(int) for f in plain.composite(right, indices)]
        shifted = [f.array.astype(int) for f in plain.composite(wrong, indices)]
    with Compositor(template, threads=2, colour_match=True) as matching:
        got = [f.array.astype(int) for f in matching.composite(wrong, indices)]
        others = matching.composite(wrong, indices, format=format)
        assert len(others) == len(RECTS)
        if format == "rgba":
            for frame, bgr in zip(others, got, strict=True):
                assert np.array_equal(frame.array[..., 2::-1], bgr)
    for i, (x, y, w, h) in enumerate(RECTS):
        if w == 0:
            assert np.array_equal(got[i], want[i])
            continue
        inside = np.s_[y + h // 4 : y + 3 * h // 4, x + w // 4 : x + 3 * w // 4]
        before = np.abs(shifted[i][inside] - want[i][inside]).mean()
        after = np.abs(got[i][inside] - want[i][inside]).mean()
        assert before > 6
        assert after < 1


@pytest.mark.parametrize("name", ["synctalk328", "wav2lip96"])
def test_colours_move_by_what_the_twin_measures(name):
    """One frame, without smoothing, against the twins: crop, convert, plane, resize."""
    template, _, wrong = case(name)
    preset, b = template.preset, template.preset.border
    with Compositor(template, colour_match=True) as compositor:
        got = compositor.composite(wrong[:1], [0])[0].array
    made = reference.convert(wrong[0])
    seen = template.crops[0][b : b + preset.view, b : b + preset.view]
    planes = reference.colour_planes(made, seen, max(preset.view // 32, 2))
    crop = template.crops[0].copy()
    crop[b : b + preset.view, b : b + preset.view] = reference.match_colour(made, planes)
    x, y, w, h = RECTS[0]
    want = reference.resize(crop, (w, h), preset.patch_filter)
    assert np.abs(got[y : y + h, x : x + w].astype(int) - want).max() <= 1


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("name", ["synctalk328", "wav2lip96", "liteavatar384"])
def test_colours_are_measured_in_a_ring_of_a_32nd(name, pictures):
    """What differs just inside the ring moves nothing; what differs in it moves all."""
    template, right, _ = case(name)
    preset = template.preset
    ring, half = max(preset.view // 32, 2), 0.5 / 255 * (preset.high - preset.low)
    level = 20 / 255 * (preset.high - preset.low)
    inside = np.s_[:, :, ring : preset.view - ring, ring : preset.view - ring]
    inner, outer = right + half, right + half + level
    inner[inside] += level
    outer[inside] -= level
    means = []
    with (
        Compositor(template) as plain,
        Compositor(template, colour_match=True) as matching,
    ):
        for outputs in (right + half, inner, outer):
            drawn = np.clip(outputs, preset.low, preset.high).astype(np.float32)[:1]
            if pictures:
                tone = {"low": preset.low, "high": preset.high, "swap": preset.rgb}
                drawn = kernels.convert(drawn[0], **tone)[None]
            x, y, w, h = RECTS[0]
            middle = np.s_[y + h // 4 : y + 3 * h // 4, x + w // 4 : x + 3 * w // 4]
            both = [c.composite(drawn, [0])[0].array[middle].mean() for c in (plain, matching)]
            means.append(both[1] - both[0])
    assert abs(means[0]) < 1
    assert abs(means[1]) < 1
    assert means[2] == pytest.approx(-20, abs=1)


def test_pictures_are_matched_like_planes():
    """Outputs as bgr24 pictures give the same frames as their float planes."""
    template, _, wrong = case("wav2lip96")
    pictures = np.stack([reference.convert(planes) for planes in wrong])
    indices = range(len(RECTS))
    with Compositor(template, threads=2, colour_match=True) as compositor:
        want = compositor.composite(wrong, indices)
        got = compositor.composite(pictures, indices)
        plain = Compositor(template).composite(pictures, indices)
        for a, b in zip(got, want, strict=True):
            assert np.array_equal(a.array, b.array)
        assert not np.array_equal(got[0].array, plain[0].array)


def test_the_smoother_does_not_depend_on_requests():
    template, _, wrong = case("wav2lip96")
    order = [0, 1, 2, 3, 4, 0, 1, 2]
    many = np.ascontiguousarray(wrong[order] * np.linspace(0.9, 1, len(order))[:, None, None, None])
    many = many.astype(np.float32)

    def frames(size, threads):
        smoother = ColourSmoother(25, template.preset.view)
        with Compositor(template, threads=threads, colour_match=True) as compositor:
            for i in range(0, len(order), size):
                part = slice(i, i + size)
                for f in compositor.composite(many[part], order[part], smoother=smoother):
                    yield f.array.tobytes()

    whole = list(frames(8, 1))
    assert list(frames(1, 1)) == whole
    assert list(frames(3, 3)) == whole


def test_the_smoother_follows_slowly_and_holds():
    smoother = ColourSmoother(25, 96)
    planes = np.zeros((12, 3, 3))
    planes[2:, 0] = 10
    planes[6] = np.nan
    moved = smoother.push(planes)[:, 0, 0] / 65536
    assert moved[:2].tolist() == [0, 0]
    gain = 1 - np.exp(-1 / 5)
    assert moved[2:5] == pytest.approx(10 * (1 - (1 - gain) ** np.arange(1, 4)), abs=1e-4)
    assert moved[6] == moved[5]
    assert (np.diff(moved[7:]) > 0).all()
    assert moved.max() < 10
    for time_constant in (-1, "slow", np.nan, np.inf):
        with pytest.raises(InputError, match="time_constant"):
            ColourSmoother(25, 96, time_constant=time_constant)
    for fps in (0, -25, "fast"):
        with pytest.raises(InputError, match="fps"):
            ColourSmoother(fps, 96)
    for view in (0, -4, 1.5, None):
        with pytest.raises(InputError, match="view must be a whole number of pixels"):
            ColourSmoother(25, view)


def test_the_smoother_is_not_led_away_by_a_hand():
    moved = ColourSmoother(25, 96).push(np.full((1, 3, 3), 200.0))[0] / 65536
    assert moved[0, 0] == 48
    assert moved[1, 0] * 96 == pytest.approx(24, abs=0.01)


# ---- feather and colour match together, on real frames ------------------------------------------


@pytest.mark.assets
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("preset", ["synctalk328", "wav2lip256", "edtalk256"])
def test_a_drifting_net_leaves_no_seam(woman, preset, format):
    plain, feathered = (
        Template.from_arrays(woman, WOMAN, preset=get_preset(preset).with_feather(feather))
        for feather in (None, "auto")
    )
    errors = {}
    for template in (plain, feathered):
        for match in (False, True):
            with Compositor(template, threads=2, colour_match=match) as compositor:
                frames = compositor.composite(drifting(template), range(3), format=format)
                pictures = [as_bgr24(frame, template) for frame in frames]
            errors[template is feathered, match] = np.mean(
                [insets(p, rect) for p, rect in zip(pictures, WOMAN, strict=True)], axis=0
            )
    with Compositor(plain) as compositor:  # what the format itself leaves, without a mouth
        frames = compositor.composite(drifting(plain), range(3), format=format, alphas=[0] * 3)
        pictures = [as_bgr24(frame, plain) for frame in frames]
    untouched = np.mean([insets(p, r) for p, r in zip(pictures, WOMAN, strict=True)], axis=0)
    shares = {how: (error / untouched).max() for how, error in errors.items()}
    # Half the chroma, or blocks of 8, hide a part of it.
    assert shares[False, False] > {"i420": 1.4, "jpeg": 1.05}.get(format, 3)
    assert shares[False, True] < 1.45
    assert errors[True, True][0] <= 1.15
    # edtalk256 shrinks its picture by a bicubic without antialiasing: grain, in any colours.
    assert shares[True, True] <= {"edtalk256": 1.25}.get(preset, 1.15)


@pytest.mark.assets
def test_the_real_net_leaves_no_seam(assets):
    """Voice, person and net of lite-avatar: a seam without its mask, none with a feather."""
    pytest.importorskip("av")
    pytest.importorskip("onnxruntime")
    from lipsync_fast.media import AudioSource, VideoReader
    from lipsync_fast.pipeline import MouthOptions, Pipeline

    reader = VideoReader(assets / "video" / "liteavatar_890x1920_30fps.mp4")
    form = {"width": reader.width, "height": reader.height}
    frames = [kernels.from_i420(p, **form) for p, _ in zip(reader, range(9), strict=False)]
    speech = next(iter(AudioSource(assets / "audio" / "jfk_16k.wav")))[8000:14400]
    rect, own = (278, 355, 419, 289), get_preset("liteavatar384")
    errors = {}
    for name, preset in {
        "hard": replace(own, name="hard", edge=None),
        "own": own,
        "feather": own.with_feather("auto"),
    }.items():
        template = Template.from_arrays(frames, rect, preset=preset, fps=30)
        net = assets / "models" / "liteavatar384.onnx"
        with Pipeline.open(template, net, mouth=MouthOptions(name == "feather")) as pipeline:
            shown = pipeline.frames(speech)
            errors[name] = np.mean([seam_error(f.array, rect) for f in shown])
    assert errors["hard"] > 1.5
    assert errors["own"] <= 1.15  # as its own script blends
    assert errors["feather"] <= 1.15


# ---- fades -----------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["wav2lip96", "wav2lip384"])
def test_alphas_mix_background_and_mouth(preset):
    template, _, wrong = case(preset)
    indices = range(len(RECTS))
    alphas = [255, 128, 1, 90, 0]
    with Compositor(template, threads=2) as compositor:
        full = [f.array.copy() for f in compositor.composite(wrong, indices)]
        faded = compositor.composite(wrong, indices, alphas=alphas)
        for i, frame in enumerate(faded):
            mixed = template.bgr24(i) * (1 - alphas[i] / 255) + full[i] * (alphas[i] / 255)
            assert np.abs(frame.array - mixed).max() <= 1.01, i
        for format in FORMATS:
            shown = compositor.composite(wrong, indices, format=format)
            hidden = compositor.composite(wrong, indices, format=format, alphas=[0] * len(RECTS))
            again = compositor.composite(wrong, [3] * len(RECTS), format=format)
            assert shown[0].array.tobytes() != hidden[0].array.tobytes()
            assert hidden[3].array.tobytes() == again[0].array.tobytes()
            if format == "i420":
                for i, frame in enumerate(hidden):
                    assert np.array_equal(frame.array, template.i420(i))


def test_an_output_at_alpha_0_is_not_read():
    template, _, wrong = case("wav2lip96")
    wrong[1] = np.nan
    with Compositor(template, colour_match=True) as compositor:
        frames = compositor.composite(wrong[:3], [0, 1, 2], alphas=[255, 0, 255])
        assert np.array_equal(frames[1].array, template.bgr24(1))


@pytest.mark.parametrize("alphas", [[1, 2], [0.5] * 5, [256] * 5, [-1] * 5])
def test_wrong_alphas_are_refused(alphas):
    template, _, wrong = case("wav2lip96")
    with Compositor(template) as compositor, pytest.raises(InputError, match="alphas"):
        compositor.composite(wrong, range(5), alphas=alphas)
