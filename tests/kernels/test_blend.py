"""blend: every ISA equals the NumPy twin, bit for bit, and touches nothing else."""

import numpy as np
import pytest
from tests.support import reference
from tests.support.guarded import LAYOUTS, WIDTHS

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError

# (patch channels, background channels); 1 is a plane of shape (H, W)
PAIRS = [(1, 1), (3, 3), (4, 4), (3, 4)]
EDGES = np.array([0, 1, 254, 255], np.uint8)


def shape_of(height, width, channels):
    return (height, width) if channels == 1 else (height, width, channels)


def random_mask(rng, shape):
    """Random alphas in which the four values at the ends are as frequent as all others."""
    mask = rng.integers(0, 256, shape, np.uint8)
    return np.where(rng.random(shape) < 0.5, rng.choice(EDGES, shape), mask).astype(np.uint8)


def test_the_twins_rounding_is_the_rounded_quotient():
    s, a = np.meshgrid(np.arange(256), np.arange(256))
    for d in range(256):
        exact = (2 * (d * (255 - a) + s * a) + 255) // 510
        np.testing.assert_array_equal(reference.mix(np.full_like(s, d), s, a), exact)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize(("patch_channels", "channels"), PAIRS)
def test_blend_equals_twin(isa, guarded, rng, width, layout, patch_channels, channels):
    for swap in (False, True) if patch_channels == 3 else (False,):
        for masked in (True, False):
            patch = guarded(shape_of(3, width, patch_channels), **LAYOUTS[layout])
            background = guarded(shape_of(3, width, channels), **LAYOUTS[layout])
            patch[...] = rng.integers(0, 256, patch.shape)
            background[...] = rng.integers(0, 256, background.shape)
            mask = None
            if masked:
                mask = guarded((3, width), **LAYOUTS[layout])
                mask[...] = random_mask(rng, mask.shape)
            want = reference.blend(patch, background, mask, swap=swap)
            got = kernels.blend(patch, background, mask, background, swap=swap, isa=isa)
            assert got is background
            np.testing.assert_array_equal(background, want)


@pytest.mark.parametrize(("patch_channels", "channels"), PAIRS)
@pytest.mark.parametrize("masked", [False, True])
def test_blend_cuts_off_at_every_border(isa, guarded, rng, patch_channels, channels, masked):
    patch = rng.integers(0, 256, shape_of(20, 37, patch_channels), np.uint8)
    mask = random_mask(rng, (20, 37)) if masked else None
    picture = rng.integers(0, 256, shape_of(30, 41, channels), np.uint8)
    for y in (-21, -20, -19, -1, 0, 5, 10, 11, 29, 30, 2**31 - 1, -(2**31)):
        for x in (-38, -37, -36, -1, 0, 2, 4, 5, 40, 41, 2**31 - 1, -(2**31)):
            background = guarded(picture.shape)
            background[...] = picture
            kernels.blend(patch, background, mask, background, x=x, y=y, isa=isa)
            np.testing.assert_array_equal(
                background, reference.blend(patch, picture, mask, x, y), f"at {x}, {y}"
            )


def test_a_patch_larger_than_the_background(isa, rng):
    patch = rng.integers(0, 256, (50, 60, 3), np.uint8)
    out = kernels.blend(patch, np.zeros((20, 30, 4), np.uint8), x=-10, y=-20, isa=isa)
    np.testing.assert_array_equal(out[..., :3], patch[20:40, 10:40])
    assert (out[..., 3] == 0).all()


@pytest.mark.parametrize("alpha", EDGES.tolist())
def test_masks_of_one_alpha(isa, rng, alpha):
    patch, background = rng.integers(0, 256, (2, 16, 40, 3), np.uint8)
    out = kernels.blend(patch, background, np.full((16, 40), alpha, np.uint8), isa=isa)
    if alpha in (0, 255):
        np.testing.assert_array_equal(out, patch if alpha else background)
    exact = (background * (255.0 - alpha) + patch * float(alpha)) / 255
    np.testing.assert_array_equal(out, np.floor(exact + 0.5))


def test_out_is_fresh_given_or_the_background(isa, rng):
    patch = rng.integers(0, 256, (8, 9, 3), np.uint8)
    background = rng.integers(0, 256, (12, 14, 3), np.uint8)
    before, want = background.copy(), reference.blend(patch, background, None, 3, 2)
    fresh = kernels.blend(patch, background, x=3, y=2, isa=isa)
    given = np.zeros((12, 20, 3), np.uint8)[:, 3:17]
    assert kernels.blend(patch, background, out=given, x=3, y=2, isa=isa) is given
    np.testing.assert_array_equal(fresh, want)
    np.testing.assert_array_equal(given, want)
    np.testing.assert_array_equal(background, before)
    same_memory = background[:]
    kernels.blend(patch, background, out=same_memory, x=3, y=2, isa=isa)
    np.testing.assert_array_equal(background, want)


def test_read_only_inputs_are_fine(isa):
    patch, background = np.ones((4, 4, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    patch.flags.writeable = background.flags.writeable = False
    assert kernels.blend(patch, background, isa=isa).sum() == 48


PATCH = np.zeros((4, 5, 3), np.uint8)
BACKGROUND = np.zeros((20, 20, 3), np.uint8)
FROZEN = np.frombuffer(bytes(1200), np.uint8).reshape(20, 20, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        (("patch", BACKGROUND), {}, LayoutError, "patch"),
        ((PATCH.astype(np.float32), BACKGROUND), {}, LayoutError, "patch must be uint8"),
        ((PATCH[:, ::2], BACKGROUND), {}, LayoutError, "patch"),
        ((PATCH[..., ::-1], BACKGROUND), {}, LayoutError, "patch"),
        ((PATCH[:0], BACKGROUND), {}, InputError, "patch"),
        ((PATCH[..., :2], BACKGROUND), {}, InputError, "patch"),
        ((PATCH[..., 0].copy(), BACKGROUND), {}, InputError, "channels"),
        ((np.zeros((4, 5, 4), np.uint8), BACKGROUND), {}, InputError, "channels"),
        ((PATCH, BACKGROUND.astype(np.int16)), {}, LayoutError, "background"),
        ((PATCH, BACKGROUND, PATCH), {}, InputError, "mask"),
        ((PATCH, BACKGROUND, np.zeros((4, 4), np.uint8)), {}, InputError, "mask"),
        ((PATCH, BACKGROUND, np.zeros((4, 5), np.float32)), {}, LayoutError, "mask must be uint8"),
        ((PATCH, BACKGROUND, np.zeros((4, 5), bool)), {}, LayoutError, "mask must be uint8"),
        ((PATCH, BACKGROUND, None, FROZEN), {}, InputError, "read-only"),
        ((PATCH, BACKGROUND, None, BACKGROUND[:19]), {}, InputError, "out"),
        ((PATCH[..., 0], BACKGROUND[..., :1]), {}, LayoutError, "patch"),
        ((PATCH, BACKGROUND), {"x": 1.5}, InputError, "x must be a whole number"),
        ((PATCH, BACKGROUND), {"y": 2**31}, InputError, "y must be a whole number"),
        (
            (np.zeros((4, 5), np.uint8), np.zeros((9, 9), np.uint8)),
            {"swap": True},
            InputError,
            "swap",
        ),
        ((PATCH, BACKGROUND), {"isa": "mmx"}, InputError, "isa"),
        ((PATCH, BACKGROUND), {"isa": ["c"]}, InputError, "isa"),
    ],
)
def test_blend_refuses(arguments, options, error, word):
    with pytest.raises(error, match=word):
        kernels.blend(*arguments, **options)


def test_blend_refuses_overlap():
    picture = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(InputError, match="overlap patch"):
        kernels.blend(picture[:4, :5], picture, out=picture)
    with pytest.raises(InputError, match="overlap background"):
        kernels.blend(PATCH, picture[:10], out=picture[5:15])
    with pytest.raises(InputError, match="overlap background"):
        kernels.blend(PATCH, picture[::2], out=picture[:10])
    plane = np.zeros((20, 20), np.uint8)
    with pytest.raises(InputError, match="overlap mask"):
        kernels.blend(plane[:4, :5].copy(), plane, plane[:4, :5], plane)
