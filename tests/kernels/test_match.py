"""match: planes are NumPy's least squares, moved bytes the twin's in every ISA."""

import numpy as np
import pytest
from tests.support import reference
from tests.support.guarded import LAYOUTS, WIDTHS

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError

SLOPED = np.array([[12.25, -7.5, 0.3], [0.11, -0.02, 0.4], [-0.3, 0.05, 0.0]])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("channels", [3, 4])
def test_match_equals_twin(isa, guarded, rng, width, layout, channels):
    patch = guarded((5, width, channels), **LAYOUTS[layout])
    patch[...] = rng.choice([0, 1, 3, 128, 250, 254, 255], patch.shape)
    want = reference.match_colour(patch, SLOPED)
    fresh = kernels.match_colour(patch, SLOPED, isa=isa)
    np.testing.assert_array_equal(fresh, want)
    assert kernels.match_colour(patch, SLOPED, patch, isa=isa) is patch
    np.testing.assert_array_equal(patch, want)


@pytest.mark.parametrize("level", [-255.0, -0.5, -0.49, 0.0, 0.49, 0.5, 255.0])
def test_levels_are_rounded_and_clamped(isa, level):
    patch = np.arange(256, dtype=np.uint8).repeat(4).reshape(16, 16, 4)
    planes = np.zeros((3, 3))
    planes[0] = level
    got = kernels.match_colour(patch, planes, isa=isa)
    want = np.clip(np.floor(patch[..., :3] + level + 0.5), 0, 255)
    np.testing.assert_array_equal(got[..., :3], want)
    np.testing.assert_array_equal(got[..., 3], patch[..., 3])


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 1), (16, 16), (17, 40), (183, 182)])
@pytest.mark.parametrize("ring", [1, 2, 8, 200])
def test_planes_are_least_squares(rng, size, ring):
    w, h = size
    patch, background = rng.integers(0, 256, (2, h, w, 3), np.uint8)
    got = kernels.colour_planes(patch, background, ring=ring)
    want = reference.colour_planes(patch, background, ring)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_rows_may_lie_apart(rng, guarded):
    patch, background = rng.integers(0, 256, (2, 20, 33, 3), np.uint8)
    want = kernels.colour_planes(patch, background, ring=3)
    for layout in LAYOUTS:
        p, b = (guarded(patch.shape, **layout) for _ in range(2))
        p[...], b[...] = patch, background
        np.testing.assert_array_equal(kernels.colour_planes(p, b, ring=3), want)


def test_a_shifted_picture_is_moved_back(rng):
    background = rng.integers(60, 190, (120, 90, 3)).astype(np.uint8)
    y, x = np.mgrid[:120, :90]
    shift = np.stack([0.1 * x - 9, 12 - 0.05 * y, 0.04 * (x + y) - 20], axis=-1)
    patch = np.rint(background + shift).astype(np.uint8)
    planes = kernels.colour_planes(patch, background, ring=6)
    back = kernels.match_colour(patch, planes).astype(int) - background
    assert np.abs(back).max() <= 1


@pytest.mark.parametrize("border", [0, 4])
def test_patch_moves_the_picture_in_the_middle(isa, rng, border):
    planar = rng.uniform(0, 1, (3, 40, 40)).astype(np.float32)
    side = 40 + 2 * border
    crop = rng.integers(0, 256, (side, side, 3), np.uint8)
    whole = crop.copy()
    middle = whole[border : border + 40, border : border + 40]
    middle[...] = reference.match_colour(reference.convert(planar), SLOPED)
    plan = kernels.ResizePlan((side, side), (31, 52), "bicubic")
    got = kernels.patch(planar, plan, crop, planes=SLOPED, isa=isa)
    np.testing.assert_array_equal(got, plan.resize(whole))


@pytest.mark.parametrize("ring", [20, 2**31 - 1, 10**10])
def test_a_ring_that_reaches_the_centre_takes_all_pixels(rng, ring):
    patch, background = rng.integers(0, 256, (2, 40, 37, 3), np.uint8)
    got = kernels.colour_planes(patch, background, ring=ring)
    want = reference.colour_planes(patch, background, 20)
    np.testing.assert_allclose(got, want, atol=1e-9)


def test_planes_reach_as_far_as_their_sums_fit(isa):
    """Level, slopes and half a level stay below 2**31, all in 1/65536 of a level."""
    patch = np.zeros((5, 31, 3), np.uint8)
    most = 2**31 - 1 - 2**15 - 1
    planes = np.outer([most % 32, most // 32, 0], np.ones(3)) / 65536  # 32 steps across
    moved = kernels.match_colour(patch, planes, isa=isa)
    assert (moved == reference.match_colour(patch, planes)).all()
    planes[0, 2] += 1 / 65536
    with pytest.raises(InputError, match="planes reach beyond what 31x5 pixels can hold"):
        kernels.match_colour(patch, planes, isa=isa)


@pytest.mark.parametrize("shape", [(1, 32767, 3), (32767, 1, 3)])
def test_the_longest_sides(isa, shape):
    patch = np.full(shape, 100, np.uint8)
    planes = kernels.colour_planes(patch, patch + np.uint8(7), ring=1)
    np.testing.assert_array_equal(planes, [[7, 7, 7], [0, 0, 0], [0, 0, 0]])
    assert (kernels.match_colour(patch, planes, isa=isa) == 107).all()
    longer = np.zeros((shape[0] + (shape[0] > 1), shape[1] + (shape[1] > 1), 3), np.uint8)
    for call in (lambda: kernels.colour_planes(longer, longer, ring=1),
                 lambda: kernels.match_colour(longer, planes, isa=isa)):  # fmt: skip
        with pytest.raises(InputError, match="at most 32767"):
            call()


PATCH = np.zeros((4, 5, 3), np.uint8)
HUGE = np.full((3, 3), 1000.0)


@pytest.mark.parametrize(
    ("call", "error", "word"),
    [
        (lambda: kernels.colour_planes(PATCH, PATCH[:3]), InputError, "background"),
        (lambda: kernels.colour_planes(PATCH, PATCH, ring=0), InputError, "ring"),
        (lambda: kernels.colour_planes(PATCH, PATCH, ring=1.5), InputError, "ring"),
        (lambda: kernels.match_colour(PATCH, "red"), InputError, "planes must be"),
        (lambda: kernels.colour_planes(PATCH[..., 0].copy(), PATCH), InputError, "patch"),
        (lambda: kernels.colour_planes(PATCH.astype(float), PATCH), LayoutError, "patch"),
        (lambda: kernels.match_colour(PATCH, SLOPED[:2]), InputError, "planes"),
        (lambda: kernels.match_colour(PATCH, SLOPED * np.nan), InputError, "planes"),
        (lambda: kernels.match_colour(np.zeros((99, 99, 3), "u1"), HUGE), InputError, "99x99"),
        (lambda: kernels.match_colour(PATCH[..., 0].copy(), SLOPED), InputError, "patch"),
        (lambda: kernels.match_colour(PATCH, SLOPED, PATCH[:, :4]), InputError, "out"),
        (lambda: kernels.match_colour(PATCH, SLOPED, isa="mmx"), InputError, "isa"),
    ],
)
def test_wrong_arguments_are_refused(call, error, word):
    with pytest.raises(error, match=word):
        call()


def test_out_must_lie_apart():
    picture = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(InputError, match="overlap patch"):
        kernels.match_colour(picture[:10], SLOPED, picture[5:15])
