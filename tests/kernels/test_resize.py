"""resize: every ISA equals the NumPy twin bit for bit; OpenCV and Pillow are the oracles."""

import ctypes
import mmap
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from tests.support import reference
from tests.support.guarded import LAYOUTS, WIDTHS

from lipsync_fast import kernels
from lipsync_fast.errors import InputError, LayoutError

cv2 = pytest.importorskip("cv2")

CV = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
PILLOW = {
    "bilinear_aa": Image.Resampling.BILINEAR,
    "bicubic_aa": Image.Resampling.BICUBIC,
    "lanczos_aa": Image.Resampling.LANCZOS,
}
FILTERS = [*CV, "bilinear_topleft", *PILLOW]
# (old size, new size) as (width, height)
SIZES = [
    ((320, 320), (182, 185)),
    ((328, 328), (182, 185)),
    ((182, 185), (328, 328)),
    ((97, 61), (96, 62)),
    ((64, 64), (32, 32)),
    ((63, 33), (21, 11)),
    ((33, 21), (99, 84)),
    ((40, 90), (38, 7)),
    ((90, 40), (7, 38)),
    ((31, 29), (31, 29)),
]
EXTREMES = [
    ((1, 1), (1, 1)),
    ((1, 1), (1000, 3)),
    ((1000, 2), (1, 1)),
    ((2, 1000), (1, 1)),
    ((1, 7), (9, 1)),
    ((3, 2), (1000, 700)),
    ((1000, 700), (3, 2)),
    ((2, 2), (5, 5)),
    ((4000, 5), (17, 3)),
    ((5, 4000), (3, 17)),
]


def shape_of(height, width, channels):
    return (height, width) if channels == 1 else (height, width, channels)


def photo_like(rng, width, height, channels):
    """Smooth colour, a hard edge, fine stripes and sensor noise."""
    y, x, c = np.mgrid[:height, :width, :channels].astype(np.float64)
    picture = 128 + 70 * np.sin(x / 23 + c) + 40 * np.cos(y / 17 - c)
    picture += np.where(x + y > (width + height) / 2, 45, 0) + 20 * np.sin(x * (1 + y / 90))
    picture += rng.normal(0, 3, picture.shape)
    return (
        np.clip(np.rint(picture), 0, 255)
        .astype(np.uint8)
        .reshape(shape_of(height, width, channels))
    )


def pillow_resize(image, size, resample):
    """Each channel by itself (Pillow would premultiply an alpha), each direction by itself:
    rows first or columns first as Pillow 13 does, so that older versions agree."""
    planes = image.reshape(*image.shape[:2], -1)
    height, width = image.shape[:2]
    down_first = size[1] < height and height - size[1] > 2 * (width - size[0])
    between = (width, size[1]) if down_first else (size[0], height)
    resized = [
        np.asarray(Image.fromarray(plane).resize(between, resample).resize(size, resample))
        for plane in np.ascontiguousarray(planes.transpose(2, 0, 1))
    ]
    return np.stack(resized, axis=-1).reshape(size[1], size[0], *image.shape[2:])


def levels_apart(a, b):
    return int(np.abs(a.astype(np.int16) - b).max())


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
@pytest.mark.parametrize("filter", FILTERS)
def test_resize_equals_twin_at_every_width(isa, guarded, rng, layout, filter):
    for channels in (1, 3, 4):
        for width in WIDTHS:
            for new_width in (1, 6, 17, 64, width):
                src = guarded(shape_of(7, width, channels), **LAYOUTS[layout])
                src[...] = rng.integers(0, 256, src.shape)
                out = guarded(shape_of(5, new_width, channels), **LAYOUTS[layout])
                assert kernels.resize(src, out, filter=filter, isa=isa) is out
                np.testing.assert_array_equal(out, reference.resize(src, (new_width, 5), filter))


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 9, 31])
@pytest.mark.parametrize("filter", FILTERS)
def test_resize_equals_twin_at_every_height(isa, rng, height, filter):
    for channels in (1, 3, 4):
        src = rng.integers(0, 256, shape_of(height, 19, channels), np.uint8)
        for new_height in (1, 2, 3, 4, 5, 6, 7, 13, 40, height):
            out = kernels.resize(src, size=(23, new_height), filter=filter, isa=isa)
            np.testing.assert_array_equal(out, reference.resize(src, (23, new_height), filter))


@pytest.mark.parametrize(("old", "new"), EXTREMES)
@pytest.mark.parametrize("filter", FILTERS)
def test_extreme_ratios_equal_twin(isa, guarded, rng, old, new, filter):
    for channels in (1, 3, 4):
        src = guarded(shape_of(old[1], old[0], channels))
        src[...] = rng.choice(np.array([0, 1, 128, 254, 255]), src.shape)
        out = guarded(shape_of(new[1], new[0], channels))
        kernels.resize(src, out, filter=filter, isa=isa)
        np.testing.assert_array_equal(out, reference.resize(src, new, filter))


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("filter", FILTERS)
def test_a_flat_picture_stays_flat(isa, value, filter):
    for (width, height), size in [*SIZES, *EXTREMES]:
        src = np.full((height, width, 3), value, np.uint8)
        assert (kernels.resize(src, size=size, filter=filter, isa=isa) == value).all(), size


@pytest.mark.parametrize("filter", FILTERS)
def test_the_same_size_is_a_copy(isa, rng, filter):
    for channels in (1, 3, 4):
        src = rng.integers(0, 256, shape_of(37, 53, channels), np.uint8)
        np.testing.assert_array_equal(
            kernels.resize(src, size=(53, 37), filter=filter, isa=isa), src
        )


@pytest.mark.parametrize(("old", "new"), [*SIZES, *EXTREMES])
@pytest.mark.parametrize("filter", CV)
@pytest.mark.parametrize("make", ["photo", "noise"])
def test_resize_equals_opencv(isa, rng, old, new, filter, make):
    exact = filter in ("nearest", "bilinear") or (
        filter == "area" and (new[0] > old[0] or new[1] > old[1])
    )
    for channels in (1, 3, 4):
        if make == "photo":
            src = photo_like(rng, *old, channels)
        else:
            src = rng.integers(0, 256, shape_of(old[1], old[0], channels), np.uint8)
        out = kernels.resize(src, size=new, filter=filter, isa=isa)
        want = cv2.resize(src, new, interpolation=CV[filter])
        if exact:
            np.testing.assert_array_equal(out, want)
        else:
            assert levels_apart(out, want) <= 1
            assert make == "noise" or (out != want).mean() < 0.1 or out.size < 100


@pytest.mark.parametrize(("old", "new"), [*SIZES, *EXTREMES])
@pytest.mark.parametrize("filter", PILLOW)
def test_resize_equals_pillow(isa, rng, old, new, filter):
    for channels in (1, 3, 4):
        for src in (
            photo_like(rng, *old, channels),
            rng.integers(0, 256, shape_of(old[1], old[0], channels), np.uint8),
        ):
            out = kernels.resize(src, size=new, filter=filter, isa=isa)
            np.testing.assert_array_equal(out, pillow_resize(src, new, PILLOW[filter]))


@pytest.mark.parametrize("filter", PILLOW)
def test_resize_equals_pillow_in_one_call(isa, rng, filter):
    src = photo_like(rng, 320, 320, 3)
    want = Image.fromarray(src).resize((182, 185), PILLOW[filter])
    np.testing.assert_array_equal(
        kernels.resize(src, size=(182, 185), filter=filter, isa=isa), want
    )


def test_random_sizes_equal_the_oracles(isa, rng):
    for _ in range(150):
        width, height, new_width, new_height = (int(v) for v in rng.integers(1, 90, 4))
        channels = int(rng.choice([1, 3, 4]))
        src = rng.integers(0, 256, shape_of(height, width, channels), np.uint8)
        new = (new_width, new_height)
        for filter, code in CV.items():
            out = kernels.resize(src, size=new, filter=filter, isa=isa)
            assert levels_apart(out, cv2.resize(src, new, interpolation=code)) <= (
                filter in ("bicubic", "area")
            )
        for filter, code in PILLOW.items():
            out = kernels.resize(src, size=new, filter=filter, isa=isa)
            np.testing.assert_array_equal(out, pillow_resize(src, new, code))


def test_topleft_samples_at_x_times_scale(isa):
    src = np.arange(0, 250, 10, np.uint8)[None].repeat(25, axis=0)
    out = kernels.resize(src, size=(50, 50), filter="bilinear_topleft", isa=isa)
    np.testing.assert_array_equal(out[0], np.minimum(np.arange(50) * 5, 240))
    np.testing.assert_array_equal(out, out[:1].repeat(50, axis=0))
    out = kernels.resize(src, size=(5, 5), filter="bilinear_topleft", isa=isa)
    np.testing.assert_array_equal(out[0], src[0, ::5])


def test_real_frames_equal_the_oracles(isa, assets):
    av = pytest.importorskip("av")
    for clip in ("woman_1080x1920_25fps.mp4", "liteavatar_890x1920_30fps.mp4"):
        with av.open(str(assets / "video" / clip)) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="bgr24")
        crop = frame[300:628, 250:578]
        for new in ((182, 185), (419, 289)):
            for filter, code in CV.items():
                out = kernels.resize(crop, size=new, filter=filter, isa=isa)
                apart = levels_apart(out, cv2.resize(crop, new, interpolation=code))
                assert apart <= (filter in ("bicubic", "area"))
            for filter, code in PILLOW.items():
                out = kernels.resize(crop, size=new, filter=filter, isa=isa)
                np.testing.assert_array_equal(out, pillow_resize(crop, new, code))


@pytest.mark.skipif(sys.platform != "linux", reason="the guard page is made with Linux's mprotect")
@pytest.mark.parametrize("filter", FILTERS)
def test_nothing_is_read_past_the_end(isa, rng, filter):
    """The source ends at a page that must not be read."""
    size = 1 << 16
    block = mmap.mmap(-1, size + mmap.PAGESIZE)
    whole = np.frombuffer(block, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    guard = ctypes.c_void_p(whole.ctypes.data + size)
    assert libc.mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    for channels in (1, 3, 4):
        for width, height in (
            (1, 1),
            (2, 3),
            (3, 1),
            (5, 4),
            (6, 2),
            (16, 16),
            (33, 17),
            (100, 30),
        ):
            shape = shape_of(height, width, channels)
            src = whole[size - int(np.prod(shape)) : size].reshape(shape)
            src[...] = rng.integers(0, 256, shape)
            for new in ((1, 1), (7, 5), (width, height), (3 * width + 1, 2 * height), (60, 11)):
                out = kernels.resize(src, size=new, filter=filter, isa=isa)
                np.testing.assert_array_equal(out, reference.resize(src, new, filter))


@pytest.mark.skipif(sys.platform != "linux", reason="the guard page is made with Linux's mprotect")
@pytest.mark.parametrize("filter", FILTERS)
def test_nothing_is_written_past_the_end(isa, rng, filter):
    """The result ends at a page that must not be written."""
    size = 1 << 16
    block = mmap.mmap(-1, size + mmap.PAGESIZE)
    whole = np.frombuffer(block, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    guard = ctypes.c_void_p(whole.ctypes.data + size)
    assert libc.mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    for channels in (1, 3, 4):
        src = rng.integers(0, 256, shape_of(19, 23, channels), np.uint8)
        for new in ((1, 1), (2, 3), (5, 5), (11, 7), (23, 19), (47, 30)):
            shape = shape_of(new[1], new[0], channels)
            out = whole[size - int(np.prod(shape)) : size].reshape(shape)
            kernels.resize(src, out, filter=filter, isa=isa)
            np.testing.assert_array_equal(out, reference.resize(src, new, filter))


@pytest.mark.parametrize("filter", FILTERS)
def test_the_longest_sides(isa, filter):
    long = np.arange(32767, dtype=np.uint8)[None].repeat(2, axis=0)
    for src, size in ((long, (3, 2)), (long.T.copy(), (2, 3)), (long[:, :3].copy(), (32767, 1))):
        out = kernels.resize(src, size=size, filter=filter, isa=isa)
        np.testing.assert_array_equal(out, reference.resize(src, size, filter))


def test_a_plan_does_what_resize_does(isa, rng):
    src = rng.integers(0, 256, (40, 50, 3), np.uint8)
    for filter in FILTERS:
        plan = kernels.ResizePlan((50, 40), (31, 27), filter)
        assert (plan.source, plan.target, plan.filter) == ((50, 40), (31, 27), filter)
        out = np.empty((27, 31, 3), np.uint8)
        assert plan.resize(src, out, isa=isa) is out
        np.testing.assert_array_equal(out, kernels.resize(src, size=(31, 27), filter=filter))
        np.testing.assert_array_equal(out[..., 1], plan.resize(src[..., 1].copy(), isa=isa))
    assert repr(plan) == "ResizePlan((50, 40), (31, 27), 'lanczos_aa')"


@pytest.mark.parametrize("filter", FILTERS)
def test_a_part_has_the_pixels_of_the_whole(isa, rng, filter):
    for target in ((31, 27), (50, 40), (97, 133), (9, 300), (64, 5)):
        width, height = target
        whole = kernels.ResizePlan((50, 40), target, filter)
        for part in (
            *((0, 0, width, height), (0, 0, width * 2 // 3, height), (width // 3, 0, 1, height)),
            *((0, height // 3, width, height - height // 3), (width - 2, height - 1, 2, 1)),
        ):
            plan = kernels.ResizePlan((50, 40), target, filter, part)
            x, y, w, h = plan.part
            for channels in (1, 3, 4):
                shape = (40, 50) if channels == 1 else (40, 50, channels)
                src = rng.integers(0, 256, shape, np.uint8)
                got = plan.resize(src, isa=isa)
                np.testing.assert_array_equal(got, whole.resize(src)[y : y + h, x : x + w])
    assert plan.size == (w, h)
    assert repr(plan).endswith(f"{filter!r}, part={part})")


@pytest.mark.parametrize(
    "part", [(0, 0, 0, 4), (-1, 0, 4, 4), (28, 0, 4, 4), (0, 24, 4, 4), (0, 0, 4), "abcd"]
)
def test_a_part_lies_inside_the_target(part):
    with pytest.raises(InputError, match="part must"):
        kernels.ResizePlan((50, 40), (31, 27), "bicubic", part)


def test_threads_share_a_plan(isa, rng):
    plan = kernels.ResizePlan((120, 110), (70, 60), "bicubic")
    pictures = rng.integers(0, 256, (8, 110, 120, 3), np.uint8)
    want = [plan.resize(picture) for picture in pictures]
    wrong = []

    def work(k):
        out = np.empty((60, 70, 3), np.uint8)
        for _ in range(60):
            plan.resize(pictures[k], out, isa=isa)
            if not np.array_equal(out, want[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_warm_call_allocates_no_block(isa):
    """Calls leave only small objects: no scratch, no plan, no picture."""
    tracemalloc = pytest.importorskip("tracemalloc")
    src, out = np.zeros((400, 400, 3), np.uint8), np.empty((300, 300, 3), np.uint8)
    for filter in FILTERS:
        kernels.resize(src, out, filter=filter, isa=isa)
        tracemalloc.start()
        try:
            for _ in range(3):
                kernels.resize(src, out, filter=filter, isa=isa)
            assert tracemalloc.get_traced_memory()[1] < 4096
        finally:
            tracemalloc.stop()


def test_read_only_input_and_views(isa, rng):
    frame = rng.integers(0, 256, (90, 100, 3), np.uint8)
    frame.flags.writeable = False
    view, canvas = frame[10:60, 20:70], np.zeros((80, 80, 3), np.uint8)
    kernels.resize(view, canvas[5:45, 6:36], filter="bicubic", isa=isa)
    np.testing.assert_array_equal(
        canvas[5:45, 6:36], reference.resize(np.ascontiguousarray(view), (30, 40), "bicubic")
    )
    canvas[5:45, 6:36] = 0
    assert (canvas == 0).all()


SRC = np.zeros((20, 30, 3), np.uint8)
FROZEN = np.frombuffer(bytes(300), np.uint8).reshape(10, 10, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((SRC,), {}, InputError, "size=.*or out="),
        (
            (SRC,),
            {"size": (0, 4)},
            InputError,
            "size must have sides of 1 to 32767 pixels, got 0x4",
        ),
        ((SRC,), {"size": (4, -1)}, InputError, "size must have sides"),
        ((SRC,), {"size": (32768, 4)}, InputError, "32767"),
        ((SRC,), {"size": (2**70, 4)}, InputError, "32767"),
        ((SRC,), {"size": 4}, InputError, "width, height"),
        ((SRC,), {"size": (4,)}, InputError, "width, height"),
        ((SRC,), {"size": (4.5, 3)}, InputError, "width, height"),
        ((SRC,), {"size": (4, 4), "filter": "cubic"}, InputError, "filter must be one of"),
        ((SRC,), {"size": (4, 4), "filter": 2}, InputError, "filter"),
        ((SRC,), {"size": (4, 4), "filter": ["area"]}, InputError, "filter"),
        ((SRC,), {"size": (4, 4), "isa": "mmx"}, InputError, "isa"),
        ((SRC.astype(np.float32),), {"size": (4, 4)}, LayoutError, "src must be uint8"),
        (([1, 2],), {"size": (4, 4)}, LayoutError, "src"),
        ((SRC[:, ::2],), {"size": (4, 4)}, LayoutError, "packed"),
        ((SRC[..., ::-1],), {"size": (4, 4)}, LayoutError, "packed"),
        ((SRC[..., :2],), {"size": (4, 4)}, InputError, "src"),
        ((SRC[:0],), {"size": (4, 4)}, InputError, "src"),
        ((np.zeros((1, 32768), np.uint8),), {"size": (4, 4)}, InputError, "src must have sides"),
        ((SRC, FROZEN), {}, InputError, "read-only"),
        ((SRC, np.zeros((4, 4), np.uint8)), {}, InputError, "out must have shape"),
        ((SRC, np.zeros((4, 4, 4), np.uint8)), {}, InputError, "out must have shape"),
        ((SRC, np.zeros((4, 4, 3), np.int8)), {}, LayoutError, "out must be uint8"),
        ((SRC, np.zeros((4, 8, 3), np.uint8)[:, ::2]), {}, LayoutError, "out"),
        ((SRC, np.zeros((4, 5, 3), np.uint8)), {"size": (4, 5)}, InputError, "size must be out's"),
        ((SRC, SRC[:10, :10]), {}, InputError, "overlap src"),
        ((SRC, SRC), {}, InputError, "overlap src"),
    ],
)
def test_resize_refuses(arguments, options, error, word):
    with pytest.raises(error, match=word):
        kernels.resize(*arguments, **options)


def test_a_plan_refuses():
    with pytest.raises(InputError, match="source must have sides"):
        kernels.ResizePlan((0, 5), (5, 5))
    with pytest.raises(InputError, match="target must have sides"):
        kernels.ResizePlan((5, 5), (5, 40000))
    with pytest.raises(InputError, match="filter"):
        kernels.ResizePlan((5, 5), (5, 5), "sharp")
    plan = kernels.ResizePlan((30, 20), (4, 5))
    with pytest.raises(InputError, match="plan's size 30x20"):
        plan.resize(SRC[:19])
    with pytest.raises(InputError, match="out must have shape"):
        plan.resize(SRC, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(InputError, match="overlap"):
        plan.resize(SRC, SRC[:5, :4])
