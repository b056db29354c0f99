"""convert and to_planes: every ISA equals the NumPy twin, bit for bit."""

import numpy as np
import pytest
from tests.support import reference
from tests.support.guarded import LAYOUTS, WIDTHS

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError

RANGES = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
# Floats start and stay at multiples of 4 bytes: NumPy's own arrays do.
FLOAT_LAYOUTS = [
    {key: value if key == "flip" else 4 * value for key, value in layout.items()}
    for layout in LAYOUTS
]


def planes_of(guarded, height, width, interleaved, **layout):
    """A guarded (3, H, W) float32 array; interleaved: the rows of the planes take turns."""
    if interleaved:
        return guarded((height, 3, width), np.float32, **layout).transpose(1, 0, 2)
    return guarded((3, height, width), np.float32, **layout)


def random_planes(rng, shape, low=0.0, high=1.0):
    """Floats a little beyond low..high."""
    span = high - low
    return rng.uniform(low - 0.1 * span, high + 0.1 * span, shape).astype(np.float32)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("channels", [3, 4])
def test_convert_equals_twin(isa, guarded, rng, width, layout, channels):
    for low, high in RANGES:
        for rounding in ("truncate", "round"):
            for swap in (False, True):
                planar = planes_of(guarded, 3, width, swap, **FLOAT_LAYOUTS[layout])
                planar[...] = random_planes(rng, planar.shape, low, high)
                out = guarded((3, width, channels), **LAYOUTS[layout])
                asked = {"low": low, "high": high, "rounding": rounding, "swap": swap}
                assert kernels.convert(planar, out, **asked, isa=isa) is out
                want = reference.convert(planar, channels, **asked)
                np.testing.assert_array_equal(out, want, str(asked))


def test_convert_truncates_as_numpy(isa, rng):
    planar = rng.random((3, 50, 67), np.float32)
    planar[:, 0, :64] = (np.arange(192, dtype=np.float32) / np.float32(255)).reshape(3, 64)
    planar[0, 1, :2] = 0, 1
    want = (planar * 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(kernels.convert(planar, isa=isa), want)


def test_convert_is_the_script_of_nets_in_minus_one_to_one(isa, rng):
    planar = random_planes(rng, (3, 50, 67), -1, 1)
    unit = np.clip(planar / 2 + np.float32(0.5), 0, 1)
    want = (unit * 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(kernels.convert(planar, low=-1, high=1, isa=isa), want)


@pytest.mark.parametrize("rounding", ["truncate", "round"])
def test_convert_clamps_and_takes_nan_for_zero(isa, rounding):
    values = [np.nan, -np.nan, np.inf, -np.inf, 3e38, -3e38, -1e-9, -0.0, 1.0, 2.0]
    planar = np.zeros((3, 1, 16), np.float32)
    planar[:, 0, : len(values)] = values
    out = kernels.convert(planar, rounding=rounding, isa=isa)
    assert out[0, : len(values)].tolist() == [
        [v] * 3 for v in (0, 0, 255, 0, 255, 0, 0, 0, 255, 255)
    ]


def test_convert_rounds_ties_to_even(isa):
    planar = np.zeros((3, 1, 9), np.float32)
    planar[:, 0] = np.arange(9) + 0.5
    out = kernels.convert(planar, low=0, high=255, rounding="round", isa=isa)
    assert out[0, :, 1].tolist() == [0, 2, 2, 4, 4, 6, 6, 8, 8]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_to_planes_equals_twin(isa, guarded, rng, width, layout):
    for low, high in RANGES:
        for swap in (False, True):
            image = guarded((3, width, 3), **LAYOUTS[layout])
            image[...] = rng.integers(0, 256, image.shape)
            out = planes_of(guarded, 3, width, swap, **FLOAT_LAYOUTS[layout])
            assert kernels.to_planes(image, out, low=low, high=high, swap=swap, isa=isa) is out
            want = reference.to_planes(image, low, high, swap)
            np.testing.assert_array_equal(out.view(np.uint32), want.view(np.uint32))


def test_to_planes_has_the_bits_of_numpys_division(isa):
    image = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    unit = image.astype(np.float32).transpose(2, 0, 1) / 255
    np.testing.assert_array_equal(kernels.to_planes(image, isa=isa), unit)
    symmetric = (unit - np.float32(0.5)) / np.float32(0.5)
    np.testing.assert_array_equal(kernels.to_planes(image, low=-1, high=1, isa=isa), symmetric)


@pytest.mark.parametrize(
    "black",
    [
        (5, 5, 35, 30),
        (0, 0, 40, 33),
        (0, 20, 40, 33),
        (3, 0, 4, 33),
        (39, 32, 40, 33),
        (7, 7, 7, 20),
        (7, 9, 20, 9),
    ],
)
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_to_planes_blacks_out_a_box_of_a_view(isa, guarded, rng, black, low):
    crop = rng.integers(1, 256, (41, 48, 3), np.uint8)
    view = crop[4:37, 4:44]
    batch = guarded((2, 6, 33, 40), np.float32)
    before = batch[:, :3].copy()
    kernels.to_planes(view, batch[1, 3:], low=low, black=black, isa=isa)
    np.testing.assert_array_equal(batch[1, 3:], reference.to_planes(view, low, black=black))
    np.testing.assert_array_equal(batch[:, :3], before)


def test_there_and_back_is_the_identity(isa, rng):
    image = rng.integers(0, 256, (21, 35, 3), np.uint8)
    for low, high in RANGES:
        planes = kernels.to_planes(image, low=low, high=high, swap=True, isa=isa)
        back = kernels.convert(planes, low=low, high=high, rounding="round", swap=True, isa=isa)
        np.testing.assert_array_equal(back, image)


def overlapping():
    block = np.zeros(3 * 8 * 8 * 4, np.uint8)
    return block.view(np.float32).reshape(3, 8, 8), block[100 : 100 + 192].reshape(8, 8, 3)


PLANES = np.zeros((3, 8, 8), np.float32)
IMAGE = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        (([[1.0]],), LayoutError, "planar"),
        ((PLANES.astype(np.float64),), LayoutError, "planar must be float32"),
        ((PLANES.astype(">f4"),), LayoutError, "planar"),
        ((PLANES[:, :, ::2],), LayoutError, "planar"),
        ((PLANES[:2],), InputError, "planar"),
        ((PLANES[0],), InputError, "planar"),
        ((PLANES[:, :0],), InputError, "planar"),
        ((PLANES, IMAGE[:7]), InputError, "out"),
        ((PLANES, IMAGE[..., 0].copy()), InputError, "out"),
        ((PLANES, np.zeros((8, 8, 5), np.uint8)), InputError, "out"),
        ((PLANES, IMAGE.astype(np.int8)), LayoutError, "out must be uint8"),
        ((PLANES, np.zeros((8, 16, 3), np.uint8)[:, ::2]), LayoutError, "out"),
        ((PLANES, np.frombuffer(bytes(192), np.uint8).reshape(8, 8, 3)), InputError, "read-only"),
        (overlapping(), InputError, "overlap"),
    ],
)
def test_convert_refuses(arguments, error, word):
    with pytest.raises(error, match=word):
        kernels.convert(*arguments)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rounding": "up"}, "rounding"),
        ({"low": 1.0, "high": 1.0}, "low and high"),
        ({"low": 1.0, "high": -1.0}, "low and high"),
        ({"high": np.nan}, "low and high"),
        ({"high": np.inf}, "low and high"),
        ({"low": -3e38, "high": 3e38}, "low and high"),
        ({"isa": "sse9"}, "isa"),
    ],
)
def test_convert_refuses_options(options, word):
    with pytest.raises(InputError, match=word):
        kernels.convert(PLANES, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((None,), {}, LayoutError, "image"),
        ((IMAGE.astype(np.float32),), {}, LayoutError, "image must be uint8"),
        ((IMAGE[..., :2],), {}, InputError, "image"),
        ((IMAGE[..., 0].copy(),), {}, InputError, "image"),
        ((IMAGE[:, ::2],), {}, LayoutError, "image"),
        ((IMAGE[:0],), {}, InputError, "image"),
        ((IMAGE, PLANES[:, :7]), {}, InputError, "out"),
        ((IMAGE, PLANES.astype(np.float64)), {}, LayoutError, "out"),
        (overlapping()[::-1], {}, InputError, "overlap"),
        ((IMAGE,), {"black": (0, 0, 9, 8)}, InputError, "black"),
        ((IMAGE,), {"black": (-1, 0, 8, 8)}, InputError, "black"),
        ((IMAGE,), {"black": (5, 0, 4, 8)}, InputError, "black"),
        ((IMAGE,), {"black": (1, 2, 3)}, InputError, "black must be a box"),
        ((IMAGE,), {"black": 5}, InputError, "black must be a box"),
        ((IMAGE,), {"black": (0, 0, 1.5, 2)}, InputError, "black must be a box"),
        ((IMAGE,), {"low": "dark"}, InputError, "low and high must be finite"),
        ((IMAGE,), {"high": 10**400}, InputError, "low and high must be finite"),
        ((IMAGE,), {"high": -1.0}, InputError, "low and high"),
    ],
)
def test_to_planes_refuses(arguments, options, error, word):
    with pytest.raises(error, match=word):
        kernels.to_planes(*arguments, **options)
