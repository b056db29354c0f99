"""yuv: every ISA equals the NumPy twin; exact arithmetic, swscale and OpenCV hold both."""

import itertools

import numpy as np
import pytest
from tests.support import reference
from tests.support.guarded import LAYOUTS, WIDTHS

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError

COLOURS = list(itertools.product(("bt601", "bt709"), (False, True)))
EDGES = np.array([0, 1, 254, 255], np.uint8)


def chroma_shape(height, width):
    return (height + 1) // 2, (width + 1) // 2


def random_mask(rng, shape):
    """Alphas in which runs of 0 and of 255 and the values at the ends are frequent."""
    mask = rng.integers(0, 256, shape, np.uint8)
    mask = np.where(rng.random(shape) < 0.4, rng.choice(EDGES, shape), mask).astype(np.uint8)
    for value in (0, 255):
        left = rng.integers(0, shape[1])
        mask[:, left : left + rng.integers(0, 80)] = value
    return mask


def random_planes(rng, height, width):
    """A random picture as three planes."""
    size = kernels.i420_size(width, height)
    return kernels.i420_planes(rng.integers(0, 256, size, np.uint8), width, height)


def guarded_planes(guarded, height, width, **layout):
    return guarded((height, width), **layout), *(
        guarded(chroma_shape(height, width), **layout) for _ in range(2)
    )


def assert_planes_equal(got, want, note=""):
    for name, g, w in zip("yuv", got, want, strict=True):
        np.testing.assert_array_equal(g, w, f"plane {name} {note}")


def exact_planes(image, matrix, full_range):
    """y, u, v in float64, unrounded and unclamped, chroma as the mean of the block."""
    weights, offsets = reference.yuv_matrix(matrix, full_range)
    yuv = image.astype(np.float64) @ weights.T + offsets
    chroma = reference.block_sum(yuv[..., 1:]) / 4
    return yuv[..., 0], chroma[..., 0], chroma[..., 1]


# ---- against the twin -------------------------------------------------------------------


@pytest.mark.parametrize("width", [*WIDTHS, 127, 182])
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_to_i420_equals_twin(isa, guarded, rng, width, layout):
    for (matrix, full), swap, height in itertools.product(COLOURS, (False, True), (1, 2, 5)):
        image = guarded((height, width, 3), **LAYOUTS[layout])
        image[...] = rng.integers(0, 256, image.shape)
        out = guarded_planes(guarded, height, width, **LAYOUTS[layout])
        options = {"matrix": matrix, "full_range": full, "swap": swap}
        assert kernels.to_i420(image, out, **options, isa=isa) is out
        assert_planes_equal(out, reference.to_i420(image, **options))


@pytest.mark.parametrize("width", [*WIDTHS, 127, 182])
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("channels", [3, 4])
def test_from_i420_equals_twin(isa, guarded, rng, width, layout, channels):
    for (matrix, full), swap, height in itertools.product(COLOURS, (False, True), (1, 2, 5)):
        planes = guarded_planes(guarded, height, width, **LAYOUTS[layout])
        for plane in planes:
            plane[...] = rng.integers(0, 256, plane.shape)
        out = guarded((height, width, channels), **LAYOUTS[layout])
        options = {"matrix": matrix, "full_range": full, "swap": swap}
        assert kernels.from_i420(planes, out, **options, isa=isa) is out
        np.testing.assert_array_equal(out, reference.from_i420(planes, channels, **options))


@pytest.mark.parametrize("width", [*WIDTHS, 127, 182])
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("masked", [False, True])
def test_blend_i420_equals_twin(isa, guarded, rng, width, layout, masked):
    for (matrix, full), swap in itertools.product(COLOURS, (False, True)):
        for x, y in ((0, 0), (1, 1), (2, 3), (7, 4)):
            patch = guarded((5, width, 3), **LAYOUTS[layout])
            patch[...] = rng.integers(0, 256, patch.shape)
            planes = guarded_planes(guarded, 11, width + 9, **LAYOUTS[layout])
            for plane in planes:
                plane[...] = rng.integers(0, 256, plane.shape)
            mask = None
            if masked:
                mask = guarded((5, width), **LAYOUTS[layout])
                mask[...] = random_mask(rng, mask.shape)
            options = {"x": x, "y": y, "matrix": matrix, "full_range": full, "swap": swap}
            want = reference.blend_i420(patch, planes, mask, **options)
            assert kernels.blend_i420(patch, planes, mask, **options, isa=isa) is planes
            assert_planes_equal(planes, want, f"at {x}, {y}")


@pytest.mark.parametrize(("height", "width"), [(30, 48), (29, 47), (1, 1), (2, 1), (1, 9)])
@pytest.mark.parametrize("masked", [False, True])
def test_blend_i420_is_cut_off_at_every_border(isa, guarded, rng, height, width, masked):
    picture = random_planes(rng, height, width)
    for h, w in ((1, 1), (2, 2), (3, 1), (12, 35), (40, 60)):
        patch = rng.integers(0, 256, (h, w, 3), np.uint8)
        mask = random_mask(rng, (h, w)) if masked else None
        for y in (-h, 1 - h, -1, 0, 1, height - h, height - 1, height, 2**31 - 1, -(2**31)):
            for x in (-w, 1 - w, -1, 0, 1, width - w, width - 1, width, 2**31 - 1, -(2**31)):
                planes = guarded_planes(guarded, height, width)
                for plane, source in zip(planes, picture, strict=True):
                    plane[...] = source
                kernels.blend_i420(patch, planes, mask, x=x, y=y, isa=isa)
                want = reference.blend_i420(patch, picture, mask, x, y)
                assert_planes_equal(planes, want, f"{w}x{h} at {x}, {y}")


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_blends_of_extreme_colours_equal_the_twin(isa, matrix, full):
    """The largest sums that the 32-bit arithmetic meets: pure colours, chroma at its ends."""
    colours = np.array(list(itertools.product((0, 255), repeat=3)), np.uint8)
    patch = np.repeat(np.repeat(colours[None], 16, 1), 4, 0)
    for alpha, background in itertools.product((0, 1, 128, 254, 255), (0, 1, 128, 255)):
        mask = np.full(patch.shape[:2], alpha, np.uint8)
        mask[::3, ::5] = 255 - alpha
        planes = tuple(np.full_like(p, background) for p in reference.to_i420(patch))
        want = reference.blend_i420(patch, planes, mask, matrix=matrix, full_range=full)
        kernels.blend_i420(patch, planes, mask, matrix=matrix, full_range=full, isa=isa)
        assert_planes_equal(planes, want, f"alpha {alpha} on {background}")


# ---- against exact arithmetic -------------------------------------------------------------


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_to_i420_is_the_rounded_exact_value(isa, rng, matrix, full):
    image = rng.integers(0, 256, (301, 403, 3), np.uint8)
    image[:40] = rng.choice(np.array([0, 255], np.uint8), (40, 403, 3))
    got = kernels.i420_planes(
        kernels.to_i420(image, matrix=matrix, full_range=full, isa=isa), 403, 301
    )
    for g, exact in zip(got, exact_planes(image, matrix, full), strict=True):
        assert np.abs(g - np.clip(exact, 0, 255)).max() <= 0.6


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_from_i420_is_the_rounded_exact_value(isa, rng, matrix, full):
    planes = random_planes(rng, 201, 303)
    weights, offsets = reference.yuv_matrix(matrix, full)
    wide = [np.repeat(np.repeat(p, 2, 0), 2, 1)[:201, :303] for p in planes[1:]]
    exact = (np.stack([planes[0], *wide], -1) - offsets) @ np.linalg.inv(weights).T
    got = kernels.from_i420(planes, matrix=matrix, full_range=full, isa=isa)
    assert np.abs(got - np.clip(exact, 0, 255)).max() <= 0.6


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_grey_has_no_colour_and_comes_back(isa, matrix, full):
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2).repeat(4, 1)
    y, u, v = kernels.i420_planes(
        kernels.to_i420(grey, matrix=matrix, full_range=full, isa=isa), 4, 256
    )
    assert (u == 128).all()
    assert (v == 128).all()
    assert (y[0, 0], y[255, 0]) == ((0, 255) if full else (16, 235))
    back = kernels.from_i420((y, u, v), matrix=matrix, full_range=full, isa=isa)
    assert np.abs(back.astype(int) - grey).max() <= (0 if full else 1)


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
@pytest.mark.parametrize(("x", "y"), [(0, 0), (4, 6), (5, 7), (-3, 2), (30, -1)])
def test_blend_i420_equals_composite_then_convert(isa, rng, matrix, full, x, y):
    """On a flat background: within a level of blending in RGB, then converting, both exact."""
    for _ in range(8):
        background = np.empty((41, 57, 3), np.uint8)
        background[...] = rng.integers(0, 256, 3)
        # The flat colour after I420's rounding, so that only the blend is compared.
        planes = reference.to_i420(background, matrix, full)
        weights, offsets = reference.yuv_matrix(matrix, full)
        flat = (np.array([p[0, 0] for p in planes]) - offsets) @ np.linalg.inv(weights).T
        patch = rng.integers(0, 256, (22, 31, 3), np.uint8)
        mask = random_mask(rng, (22, 31))
        alpha = reference.blend(mask, np.zeros((41, 57), np.uint8), None, x, y)[..., None] / 255
        over = reference.blend(patch, np.zeros_like(background), None, x, y)
        want = exact_planes(flat * (1 - alpha) + over * alpha, matrix, full)
        kernels.blend_i420(patch, planes, mask, x=x, y=y, matrix=matrix, full_range=full, isa=isa)
        for got, exact in zip(planes, want, strict=True):
            assert np.abs(got.astype(int) - np.rint(np.clip(exact, 0, 255))).max() <= 1


@pytest.mark.parametrize("masked", [False, True])
def test_blend_i420_without_transparency_is_to_i420(isa, rng, masked):
    frame = rng.integers(0, 256, (37, 81, 3), np.uint8)
    planes = random_planes(rng, 37, 81)
    mask = np.full((37, 81), 255, np.uint8) if masked else None
    kernels.blend_i420(frame, planes, mask, isa=isa)
    assert_planes_equal(planes, reference.to_i420(frame))


# ---- against other programs ---------------------------------------------------------------


@pytest.fixture(scope="module")
def photo():
    """A smooth coloured picture with texture, to test the rounding of chroma."""
    yy, xx = np.mgrid[0:144, 0:256]
    waves = [np.sin(xx / 23 + k) * 70 + np.cos(yy / 17 - k) * 50 for k in range(3)]
    noise = np.random.default_rng(4).normal(0, 6, (144, 256, 3))
    return np.clip(np.stack(waves, -1) + 128 + noise, 0, 255).astype(np.uint8)


def swscale(frame, fmt, matrix, full):
    """Convert by swscale with accurate rounding; matrix and range are the YUV side's.

    To YUV, AREA makes chroma the mean of its block; from YUV, POINT with full chroma
    interpolation asked for makes each pixel take the chroma of its block.
    """
    av = pytest.importorskip("av")
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    space = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}[matrix]
    yuv_range = ColorRange.JPEG if full else ColorRange.MPEG
    ranges = (ColorRange.JPEG, yuv_range) if "yuv" in fmt else (yuv_range, ColorRange.JPEG)
    to_yuv = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    to_rgb = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return av.video.reformatter.VideoReformatter().reformat(
        frame,
        format=fmt,
        src_colorspace=space,
        dst_colorspace=space,
        interpolation=to_yuv if "yuv" in fmt else to_rgb,
        src_color_range=ranges[0],
        dst_color_range=ranges[1],
    )


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_to_i420_is_within_a_level_of_swscale(isa, photo, matrix, full):
    av = pytest.importorskip("av")
    frame = av.VideoFrame.from_ndarray(photo, "bgr24")
    want = swscale(frame, "yuv420p", matrix, full).to_ndarray()
    got = kernels.to_i420(photo, matrix=matrix, full_range=full, isa=isa)
    assert np.abs(got.reshape(want.shape).astype(int) - want).max() <= 1


@pytest.mark.parametrize(("matrix", "full"), COLOURS)
def test_from_i420_is_within_a_level_of_swscale(isa, photo, matrix, full):
    av = pytest.importorskip("av")
    picture = kernels.to_i420(photo, matrix=matrix, full_range=full, isa=isa)
    frame = av.VideoFrame.from_ndarray(picture.reshape(-1, photo.shape[1]), "yuv420p")
    want = swscale(frame, "bgr24", matrix, full).to_ndarray()
    got = kernels.from_i420(picture, width=256, height=144, matrix=matrix, full_range=full, isa=isa)
    assert np.abs(got.astype(int) - want).max() <= 1


@pytest.mark.parametrize("swap", [False, True])
def test_from_i420_is_within_a_level_of_opencv(isa, photo, swap):
    cv2 = pytest.importorskip("cv2")
    picture = kernels.to_i420(photo, isa=isa).reshape(-1, photo.shape[1])
    want = cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420 if swap else cv2.COLOR_YUV2BGR_I420)
    got = kernels.from_i420(picture, width=256, height=144, swap=swap, isa=isa)
    assert np.abs(got.astype(int) - want).max() <= 1


# ---- pictures and arguments -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "size"), [(4, 2, 12), (1, 1, 3), (5, 3, 27), (2, 3, 10)]
)
def test_planes_share_the_buffer(width, height, size):
    assert kernels.i420_size(width, height) == size
    buffer = np.arange(size, dtype=np.uint8)
    planes = kernels.i420_planes(buffer, width, height)
    assert planes[0].shape == (height, width)
    assert planes[1].shape == planes[2].shape == chroma_shape(height, width)
    np.testing.assert_array_equal(np.concatenate([p.ravel() for p in planes]), buffer)
    assert all(np.shares_memory(p, buffer) for p in planes)


def test_a_picture_is_a_buffer_or_planes(isa, rng):
    image = rng.integers(0, 256, (6, 8, 3), np.uint8)
    flat = kernels.to_i420(image, isa=isa)
    given, rows = np.zeros(72, np.uint8), np.zeros((9, 8), np.uint8)
    assert kernels.to_i420(image, given, isa=isa) is given
    assert kernels.to_i420(image, rows, isa=isa) is rows
    np.testing.assert_array_equal(given, flat)
    np.testing.assert_array_equal(rows.ravel(), flat)
    planes = kernels.i420_planes(flat, 8, 6)
    back = kernels.from_i420(planes, isa=isa)
    np.testing.assert_array_equal(kernels.from_i420(flat, width=8, height=6, isa=isa), back)
    np.testing.assert_array_equal(kernels.from_i420(rows, np.zeros_like(back), isa=isa), back)
    assert kernels.blend_i420(image, rows, width=8, height=6, isa=isa) is rows
    np.testing.assert_array_equal(rows.ravel(), flat)


def test_regions_at_even_places_equal_the_whole(isa, rng):
    image = rng.integers(0, 256, (20, 70, 3), np.uint8)
    want = reference.to_i420(image)
    planes = random_planes(rng, 20, 70)
    region = planes[0][4:15, 6:53], planes[1][2:8, 3:27], planes[2][2:8, 3:27]
    kernels.to_i420(image[4:15, 6:53], region, isa=isa)
    np.testing.assert_array_equal(region[0], want[0][4:15, 6:53])
    np.testing.assert_array_equal(region[1][:5, :23], want[1][2:7, 3:26])
    np.testing.assert_array_equal(
        kernels.from_i420(region, isa=isa), reference.from_i420(planes)[4:15, 6:53]
    )


def bad_calls():
    image, flat = np.zeros((4, 6, 3), np.uint8), np.zeros(36, np.uint8)
    y, u, v = kernels.i420_planes(flat, 6, 4)
    size = {"width": 6, "height": 4}
    fixed = np.zeros(36, np.uint8)
    fixed.flags.writeable = False
    shared, gaps = np.zeros(108, np.uint8), np.zeros((4, 6, 6), np.uint8)[..., :3]
    to, back, blend = kernels.to_i420, kernels.from_i420, kernels.blend_i420
    return {
        "unknown matrix": (InputError, "matrix", lambda: to(image, matrix="bt2020")),
        "grey image": (InputError, "image", lambda: to(image.reshape(12, 6))),
        "float image": (LayoutError, "image", lambda: to(image.astype(float))),
        "image with gaps": (LayoutError, "image", lambda: to(gaps)),
        "out too small": (InputError, "buffer", lambda: to(image, flat[:-1])),
        "out with gaps": (LayoutError, "buffer", lambda: to(image, np.zeros(72, np.uint8)[::2])),
        "read-only out": (InputError, "writable", lambda: to(image, fixed)),
        "out over image": (
            InputError,
            "overlap",
            lambda: to(shared[:72].reshape(4, 6, 3), shared[71:107]),
        ),
        "two planes": (InputError, "three planes", lambda: back((y, u))),
        "chroma of luma's size": (InputError, r"picture\[1\]", lambda: back((y, y, v))),
        "chroma too wide": (InputError, r"picture\[2\]", lambda: back((y, u, v.reshape(3, 2)))),
        "buffer of unknown size": (InputError, "width and height", lambda: back(flat)),
        "size against planes": (InputError, "width and height", lambda: back((y, u, v), width=8)),
        "no width": (InputError, "width must be", lambda: back(flat, width=0, height=4)),
        "part of a pixel": (InputError, "height must be", lambda: back(flat, width=6, height=4.0)),
        "beyond C": (InputError, "width must be", lambda: back(flat, width=2**31, height=2**33)),
        "place beyond C": (InputError, "x must be", lambda: blend(image, flat, x=2**31, **size)),
        "matrix in a list": (InputError, "matrix", lambda: to(image, matrix=["bt601"])),
        "out of another size": (
            InputError,
            "out",
            lambda: back((y, u, v), np.zeros((4, 5, 3), np.uint8), **size),
        ),
        "grey out": (InputError, "out", lambda: back(flat, np.zeros((4, 6), np.uint8))),
        "mask of another size": (
            InputError,
            "mask",
            lambda: blend(image, flat, np.zeros((4, 5), np.uint8), **size),
        ),
        "patch with alpha": (
            InputError,
            "patch",
            lambda: blend(np.zeros((4, 6, 4), np.uint8), flat, **size),
        ),
        "read-only picture": (InputError, "writable", lambda: blend(image, fixed, **size)),
        "mask inside the picture": (InputError, "overlap", lambda: blend(image, flat, y, **size)),
        "unknown isa": (InputError, "isa", lambda: to(image, isa="mmx")),
    }


@pytest.mark.parametrize("case", bad_calls())
def test_bad_arguments_are_named(case):
    error, words, call = bad_calls()[case]
    with pytest.raises(error, match=words):
        call()
