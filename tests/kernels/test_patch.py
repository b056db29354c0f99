"""patch: the bytes of convert into the crop's middle and resize of the whole, in every ISA."""

import sys

import numpy as np
import pytest
from tests.support import reference
from tests.support.guarded import LAYOUTS
from tests.support.jpeg_tools import GuardedPages

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError

FILTERS = ["nearest", "bilinear", "bicubic", "area", "bilinear_aa", "lanczos_aa"]


def expected(planar, crop, border, size, filter, **tone):
    """The twins, one after the other."""
    picture = reference.convert(planar, **tone)
    if border:
        whole = crop.copy()
        whole[border:-border, border:-border] = picture
        picture = whole
    return reference.resize(picture, size, filter)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_patch_equals_the_two_steps(isa, guarded, rng, filter, layout):
    for view, border, size in (
        (1, 0, (1, 1)),
        (1, 1, (5, 2)),
        (7, 0, (3, 9)),
        (8, 4, (16, 16)),
        (13, 2, (9, 40)),
        (33, 4, (23, 21)),
        (64, 1, (9, 70)),
        (40, 3, (46, 46)),
        (90, 20, (7, 5)),
    ):
        side = view + 2 * border
        planar = rng.uniform(-0.1, 1.1, (3, view, view)).astype(np.float32)
        crop = guarded((side, side, 3), **LAYOUTS[layout])
        crop[...] = rng.integers(0, 256, crop.shape)
        out = guarded((size[1], size[0], 3), **LAYOUTS[layout])
        plan = kernels.ResizePlan((side, side), size, filter)
        assert kernels.patch(planar, plan, crop, out, isa=isa) is out
        np.testing.assert_array_equal(out, expected(planar, crop, border, size, filter))


@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("rounding", ["truncate", "round"])
@pytest.mark.parametrize("swap", [False, True])
def test_patch_takes_every_tone(isa, rng, low, rounding, swap):
    planar = rng.uniform(low - 0.1, 1.1, (3, 40, 40)).astype(np.float32)
    planar[:, 3, 4:7] = np.nan, np.inf, -np.inf
    crop = rng.integers(0, 256, (48, 48, 3), np.uint8)
    tone = {"low": low, "rounding": rounding, "swap": swap}
    plan = kernels.ResizePlan((48, 48), (31, 35), "bicubic")
    got = kernels.patch(planar, plan, crop, isa=isa, **tone)
    np.testing.assert_array_equal(got, expected(planar, crop, 4, (31, 35), "bicubic", **tone))


def test_patch_of_the_real_size(isa, rng):
    planar = rng.random((3, 320, 320), np.float32)
    crop = rng.integers(0, 256, (328, 328, 3), np.uint8)
    plan = kernels.ResizePlan((328, 328), (182, 185), "bicubic")
    got = kernels.patch(planar, plan, crop, isa=isa)
    np.testing.assert_array_equal(got, expected(planar, crop, 4, (182, 185), "bicubic"))


@pytest.mark.parametrize(
    ("side", "border", "size", "filter"),
    [
        (256, 0, (60, 61), "bicubic"), (328, 4, (79, 78), "bicubic"), (328, 4, (80, 79), "bicubic"),
        (256, 0, (120, 119), "bilinear"), (256, 3, (120, 123), "bilinear"),
    ],
)  # fmt: skip
def test_rows_are_kept_until_they_are_used(isa, rng, side, border, size, filter):
    """Shrunk so far that rows are skipped, and bursts of rows begin anywhere among them."""
    view = side - 2 * border
    planar = rng.random((3, view, view), np.float32)
    crop = rng.integers(0, 256, (side, side, 3), np.uint8)
    plan = kernels.ResizePlan((side, side), size, filter)
    got = kernels.patch(planar, plan, crop if border else None, isa=isa)
    np.testing.assert_array_equal(got, expected(planar, crop, border, size, filter))


def test_only_the_border_of_the_crop_counts(isa, rng):
    planar = rng.random((3, 20, 20), np.float32)
    crop = rng.integers(0, 256, (26, 26, 3), np.uint8)
    plan = kernels.ResizePlan((26, 26), (26, 26), "bilinear")
    first = kernels.patch(planar, plan, crop, isa=isa)
    crop[3:-3, 3:-3] = rng.integers(0, 256, (20, 20, 3))
    np.testing.assert_array_equal(kernels.patch(planar, plan, crop, isa=isa), first)
    crop[2, 0] += 1
    assert (kernels.patch(planar, plan, crop, isa=isa) != first).sum() == 3


def test_planes_may_lie_apart(isa, rng):
    block = rng.random((5, 60, 50), np.float32)
    planar = block[::2, 10:40, 5:35][:, ::-1]
    plan = kernels.ResizePlan((30, 30), (17, 19), "area")
    got = kernels.patch(planar, plan, isa=isa)
    np.testing.assert_array_equal(got, expected(planar, None, 0, (17, 19), "area"))


@pytest.mark.skipif(sys.platform == "win32", reason="guard pages are made with mprotect")
@pytest.mark.parametrize("planes", [None, np.full((3, 3), 0.5)])
def test_patch_keeps_within_its_memory(isa, rng, planes):
    """Everything ends at a guard page: a read or a write behind it would kill the process."""
    for view, border, size in (
        (1, 0, (1, 1)),
        (16, 1, (7, 9)),
        (29, 2, (40, 3)),
        (48, 8, (64, 70)),
    ):
        side = view + 2 * border
        planar = rng.random((3, view, view), np.float32)
        crop = rng.integers(0, 256, (side, side, 3), np.uint8)
        plan = kernels.ResizePlan((side, side), size, "bicubic")
        want = kernels.patch(planar, plan, crop, planes=planes, isa=isa)
        held = [GuardedPages(array.nbytes).image(array) for array in (crop, want)]
        values = GuardedPages(planar.nbytes).hold(planar.tobytes()).view(np.float32)
        held[1][...] = 0
        kernels.patch(values.reshape(planar.shape), plan, *held, planes=planes, isa=isa)
        np.testing.assert_array_equal(held[1], want)


PLANAR = np.zeros((3, 20, 20), np.float32)
CROP = np.zeros((28, 28, 3), np.uint8)
PLAN = kernels.ResizePlan((28, 28), (9, 8))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((PLANAR, PLAN), {}, InputError, "crop must be given"),
        ((PLANAR, None, CROP), {}, TypeError, "plan"),
        ((PLANAR[:, :19], PLAN, CROP), {}, InputError, "square"),
        ((PLANAR[:, 1:, 1:], PLAN, CROP), {}, InputError, "border"),
        ((np.zeros((3, 30, 30), np.float32), PLAN, CROP), {}, InputError, "border"),
        ((PLANAR, kernels.ResizePlan((28, 30), (9, 8)), CROP), {}, InputError, "square"),
        ((PLANAR.astype(np.float64), PLAN, CROP), {}, LayoutError, "planar must be float32"),
        ((PLANAR, PLAN, CROP[:-1]), {}, InputError, "crop must have shape"),
        ((PLANAR, PLAN, CROP[..., :1].copy()), {}, InputError, "crop must have shape"),
        ((PLANAR, PLAN, CROP[:, ::-1]), {}, LayoutError, "crop"),
        ((PLANAR, PLAN, CROP, CROP[:8, :9]), {}, InputError, "overlap crop"),
        ((PLANAR, PLAN, CROP, np.zeros((9, 8, 3), np.uint8)), {}, InputError, "out must have"),
        ((PLANAR, PLAN, CROP, np.zeros((8, 9, 4), np.uint8)), {}, InputError, "out must have"),
        ((PLANAR, PLAN, CROP), {"rounding": "up"}, InputError, "rounding"),
        ((PLANAR, PLAN, CROP), {"low": 1.0}, InputError, "low"),
        ((PLANAR, PLAN, CROP), {"isa": "mmx"}, InputError, "isa"),
        ((PLANAR, PLAN, CROP), {"planes": np.full((3, 3), 1e4)}, InputError, "finite levels"),
    ],
)
def test_patch_refuses(arguments, options, error, word):
    with pytest.raises(error, match=word):
        kernels.patch(*arguments, **options)


def test_patch_refuses_planes_that_no_picture_holds():
    planar = np.zeros((3, 200, 200), np.float32)
    plan = kernels.ResizePlan((200, 200), (9, 8))
    with pytest.raises(InputError, match="planes reach beyond what 200x200"):
        kernels.patch(planar, plan, planes=np.full((3, 3), 1000.0))


def test_patch_refuses_to_write_into_its_planes():
    memory = np.zeros(4 * 3 * 20 * 20, np.uint8)
    planar = memory.view(np.float32).reshape(3, 20, 20)
    with pytest.raises(InputError, match="overlap planar"):
        kernels.patch(planar, PLAN, CROP, memory[: 8 * 9 * 3].reshape(8, 9, 3))
