"""Finished frames, against OpenCV twins of the reference scripts."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lipsync_fast import JpegEncoder, kernels
from lipsync_fast.compositing import ColourSmoother, Compositor
from lipsync_fast.errors import ArgumentTypeError, InputError, LayoutError
from lipsync_fast.presets import get_preset
from lipsync_fast.provenance import XMP
from lipsync_fast.templates.masks import edge_mask
from lipsync_fast.templates.template import Template

cv2 = pytest.importorskip("cv2")

PRESETS = [
    "synctalk328",
    "ultralight168-hubert",
    "wav2lip96",
    "wav2lip256",
    "wav2lip384",
    "edtalk256",
    "liteavatar384",
]
RECTS = [(300, 150, 182, 185), (0, 0, 97, 60), (520, 300, 120, 60), (3, 5, 1, 1), (0, 0, 0, 0)]
FILTERS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def picture(seed, height=360, width=640):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + rng.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)


def net_output(seed, preset, count):
    side = preset.view
    planes = [picture(seed + i, side // 20 * 20 + 20, side // 20 * 20 + 20) for i in range(count)]
    unit = np.stack([p[:side, :side].transpose(2, 0, 1) for p in planes]).astype(np.float32) / 255
    return np.ascontiguousarray(unit * (preset.high - preset.low) + preset.low, np.float32)


def reference(frame, rect, output, preset):
    """Finish a frame as the reference scripts do, with OpenCV and NumPy."""
    x, y, w, h = rect
    out = frame.copy()
    if w == 0:
        return out
    area = frame[y : y + h, x : x + w]
    unit = (output - preset.low) / (preset.high - preset.low)
    made = (np.clip(unit, 0, 1) * np.float32(255)).astype(np.uint8).transpose(1, 2, 0)
    if preset.rgb:
        made = made[..., ::-1]
    b = preset.border
    if b:
        crop = cv2.resize(area, (preset.crop,) * 2, interpolation=FILTERS[preset.crop_filter])
        crop[b:-b, b:-b] = made
        made = crop
    patch = cv2.resize(
        np.ascontiguousarray(made), (w, h), interpolation=FILTERS[preset.patch_filter]
    )
    mask = edge_mask(preset.edge, w, h)
    if mask is not None:
        alpha = mask[..., None] / 255
        patch = (area * (1 - alpha) + patch * alpha).astype(np.uint8)
    out[y : y + h, x : x + w] = patch
    return out


@pytest.fixture(scope="module", params=PRESETS)
def case(request):
    frames = [picture(100 + i) for i in range(len(RECTS))]
    template = Template.from_arrays(frames, RECTS, preset=request.param)
    outputs = net_output(7, template.preset, len(RECTS))
    expected = [
        reference(f, r, o, template.preset) for f, r, o in zip(frames, RECTS, outputs, strict=True)
    ]
    return template, outputs, expected


@pytest.mark.parametrize("threads", [1, 3])
def test_bgr24_is_the_references(case, threads):
    template, outputs, expected = case
    with Compositor(template, threads=threads) as compositor:
        frames = compositor.composite(outputs, range(len(RECTS)), start=40)
        for i, (frame, want) in enumerate(zip(frames, expected, strict=True)):
            assert (frame.index, frame.template_index) == (40 + i, i)
            difference = np.abs(frame.array.astype(int) - want)
            assert difference.max() <= 1
            x, y, w, h = RECTS[i]
            difference[y : y + h, x : x + w] = 0
            assert difference.max() == 0


def test_all_formats_show_the_same_picture(case):
    template, outputs, _ = case
    with Compositor(template, threads=2) as compositor:

        def arrays(format, **options):
            frames = compositor.composite(outputs, range(len(RECTS)), format=format, **options)
            return [frame.array for frame in frames]

        bgr = arrays("bgr24")
        for got, want in zip(arrays("rgb24"), bgr, strict=True):
            assert np.array_equal(got[..., ::-1], want)
        for got, want in zip(arrays("bgra"), bgr, strict=True):
            assert np.array_equal(got[..., :3], want)
            assert (got[..., 3] == 255).all()
        for got, want in zip(arrays("rgba"), bgr, strict=True):
            assert np.array_equal(got[..., 2::-1], want)
            assert (got[..., 3] == 255).all()
        for i, (got, want) in enumerate(zip(arrays("i420"), bgr, strict=True)):
            luma = 360 * 640
            whole = kernels.to_i420(want)
            assert np.abs(got[:luma].astype(int) - whole[:luma]).max() <= 1, i


@pytest.mark.parametrize("colour_match", [False, True])
def test_pictures_give_what_their_planes_give(case, colour_match):
    template, outputs, _ = case
    preset = template.preset
    pictures = np.stack(
        [kernels.convert(o, low=preset.low, high=preset.high, swap=preset.rgb) for o in outputs]
    )
    indices = range(len(RECTS))
    with Compositor(template, threads=2, colour_match=colour_match) as compositor:
        for format in ("bgr24", "i420", "jpeg"):
            want = compositor.composite(outputs, indices, format=format)
            got = compositor.composite(pictures, indices, format=format)
            for one, other in zip(got, want, strict=True):
                assert np.array_equal(one.array, other.array)


@pytest.mark.parametrize("alpha", [1, 128, 254])
def test_a_fading_mouth_lies_on_its_own_background(case, alpha):
    """Each request here runs on the worker of the one before, whose mouths must not show."""
    template, outputs, _ = case
    count = len(RECTS)
    with Compositor(template, threads=1) as compositor:
        shown, hidden = (
            [f.array.astype(int) for f in compositor.composite(outputs, range(count), alphas=a)]
            for a in ([255] * count, [0] * count)
        )
        faded = [f.array for f in compositor.composite(outputs, range(count), alphas=[alpha] * 5)]
        for got, over, under in zip(faded, shown, hidden, strict=True):
            exact = under + (over - under) * (alpha / 255)
            assert np.abs(got - exact).max() <= 1.51  # of the mask times alpha, too, is rounded
        s = template.jpeg_settings
        encoder = JpegEncoder(s.quality, s.subsampling, s.restart_interval, xmp=XMP)
        for _ in range(2):
            for got, want in zip(
                compositor.composite(outputs, range(count), format="jpeg", alphas=[alpha] * 5),
                faded,
                strict=True,
            ):
                assert bytes(got.data) == encoder.encode(want)
            compositor.composite(1 - outputs, range(count), format="jpeg")


def test_jpeg_is_pillows_of_the_bgr24_frame(case):
    from io import BytesIO

    from PIL import Image

    template, outputs, _ = case
    with Compositor(template) as compositor:
        bgr = compositor.composite(outputs, range(len(RECTS)))
        jpeg = compositor.composite(outputs, range(len(RECTS)), format="jpeg", quality=80)
        interval = compositor.canvas("jpeg", 80).template.jpeg_settings.restart_interval
        for frame, want in zip(jpeg, bgr, strict=True):
            file = BytesIO()
            options = {"quality": 80, "subsampling": "4:2:0", "restart_marker_blocks": interval}
            Image.fromarray(want.array[..., ::-1]).save(file, "JPEG", xmp=XMP, **options)
            assert bytes(frame.data) == file.getvalue()


def test_first_generation_pastes_the_view_over_the_whole_rect():
    frame = picture(3)
    template = Template.from_arrays(
        [frame], RECTS[0], preset=get_preset("synctalk328").with_border(0)
    )
    output = net_output(5, template.preset, 1)
    with Compositor(template) as compositor:
        got = compositor.composite(output, [0])[0].array
    x, y, w, h = RECTS[0]
    made = (output[0] * np.float32(255)).astype(np.uint8).transpose(1, 2, 0)
    want = kernels.resize(np.ascontiguousarray(made), size=(w, h), filter="bilinear_topleft")
    assert np.array_equal(got[y : y + h, x : x + w], want)


@pytest.mark.parametrize("format", ["bgr24", "rgba", "i420", "jpeg"])
def test_callers_buffers_are_filled(format):
    template = Template.from_arrays([picture(1), picture(2)], RECTS[0], preset="wav2lip96")
    outputs = net_output(9, template.preset, 3)
    indices = [1, 0, 1]
    with Compositor(template, threads=2) as compositor:
        lent = compositor.composite(outputs, indices, format=format)
        shape = compositor.canvas(format).shape
        buffers = [np.full(shape, 7, np.uint8) for _ in indices]
        lengths = compositor.composite_into(buffers, outputs, indices, format=format)
        for frame, buffer, length in zip(lent, buffers, lengths, strict=True):
            assert length == frame.array.nbytes
            assert bytes(buffer.reshape(-1)[:length]) == bytes(frame.data)


def test_rows_of_a_callers_buffer_may_be_apart():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = net_output(9, template.preset, 1)
    wide = np.full((360, 700, 3), 9, np.uint8)
    with Compositor(template) as compositor:
        compositor.composite_into([wide[:, :640]], outputs, [0])
        assert np.array_equal(wide[:, :640], compositor.composite(outputs, [0])[0].array)
    assert (wide[:, 640:] == 9).all()


def test_rows_of_background_and_buffer_may_be_the_same_bytes_apart():
    """Copied as one block, the gaps between the rows would be copied, too."""
    wide = np.full((2, 360, 700, 3), 9, np.uint8)
    wide[0, :, :640] = picture(1)
    packed, apart = (
        Template.from_arrays([frame], RECTS[0], preset="wav2lip96")
        for frame in (picture(1), wide[0, :, :640])
    )
    wide[0, :, 640:] = 77
    outputs = net_output(9, packed.preset, 1)
    with Compositor(packed) as one, Compositor(apart) as other:
        other.composite_into([wide[1, :, :640]], outputs, [0])
        assert np.array_equal(wide[1, :, :640], one.composite(outputs, [0])[0].array)
    assert (wide[1, :, 640:] == 9).all()


def test_a_mask_that_fades_is_rounded_once_more(rng):
    """The alpha of a pixel is its mask's times the mouth's, to the nearest."""
    width, height = 64, 48
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    x, y, w, h = 7, 5, 50, 40
    mask = rng.integers(0, 256, (h, w), np.uint8)
    mask[0, 0] = mask[-1, -1] = 255
    template = Template.from_arrays([frame], (x, y, w, h), preset="wav2lip96", masks=[mask])
    output = rng.random((1, 3, 96, 96), np.float32)
    patch = kernels.resize(kernels.convert(output[0]), size=(w, h))
    with Compositor(template, threads=1) as compositor:
        for alpha in (1, 2, 77, 127, 128, 200, 253, 254):
            alphas = np.floor(mask * (alpha / 255) + 0.5).astype(np.uint8)
            want = kernels.blend(patch, frame, alphas, x=x, y=y)
            got = compositor.composite(output, [0], alphas=[alpha])[0].array
            np.testing.assert_array_equal(got, want)


def test_jpeg_that_does_not_fit_says_so():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = net_output(9, template.preset, 1)
    with Compositor(template) as compositor:
        room = np.full(2000, 7, np.uint8)
        with pytest.raises(InputError, match="too small"):
            compositor.composite_into([room[:1000]], outputs, [0], format="jpeg")
        assert (room[1000:] == 7).all()
        assert len(compositor.composite(outputs, [0], format="jpeg")) == 1


def test_threads_share_a_compositor(case):
    template, outputs, _ = case
    everything = np.arange(len(RECTS))
    with Compositor(template, threads=2) as compositor, ThreadPoolExecutor(4) as executor:
        want = [bytes(f.data) for f in compositor.composite(outputs, everything, format="jpeg")]

        def request(_):
            frames = compositor.composite(outputs, everything, format="jpeg")
            return [bytes(frame.data) for frame in frames]

        assert all(got == want for got in executor.map(request, range(40)))


def test_frames_return_their_memory():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = net_output(9, template.preset, 4)
    with Compositor(template) as compositor:
        with compositor.composite(outputs, [0] * 4) as frames:
            assert compositor.pool.stats().lent == 4
            kept = frames[1].data
        assert compositor.pool.stats().lent == 1
        assert len(kept) == 360 * 640 * 3
        del kept
        assert compositor.pool.stats().lent == 0


def test_a_released_frame_holds_and_allocates_nothing():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = net_output(9, template.preset, 2)
    with Compositor(template) as compositor:
        frames = compositor.composite(outputs, [0, 0], format="i420")
        one, other = frames
        frames.release()
        assert compositor.pool.stats().lent == 0
        assert one.array is other.array, "no array of its own"
        assert (len(one.data), one.array.nbytes) == (0, 0)
        one.release()


def test_frames_are_a_sequence():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    with Compositor(template) as compositor:
        frames = compositor.composite(net_output(9, template.preset, 3), [0] * 3, start=5)
        assert [frame.index for frame in frames[1:]] == [6, 7]
        assert frames[-1] is list(frames)[2]
        assert len(compositor.composite(np.zeros((0, 3, 96, 96), np.float32), [])) == 0


def test_nan_in_a_net_output_is_black():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = np.full((1, 3, 96, 96), np.nan, np.float32)
    with Compositor(template) as compositor:
        compositor.composite(np.full_like(outputs, 0.5), [0])  # the only ones looked at
        x, y, w, h = RECTS[0]
        frame = compositor.composite(outputs, [0])[0].array
    assert (frame[y : y + h, x : x + w] == 0).all()


@pytest.mark.parametrize(
    ("outputs", "indices", "error", "says"),
    [
        (np.zeros((1, 3, 96, 96)), [0], LayoutError, "float32"),
        (np.zeros((1, 3, 96, 95), np.float32), [0], InputError, r"\(1, 3, 96, 96\)"),
        (np.zeros((1, 3, 96, 96), np.float32), [1], InputError, "0 to 0"),
        (np.zeros((1, 3, 96, 96), np.float32), [-1], InputError, "0 to 0"),
        (np.zeros((1, 3, 96, 96), np.float32), [0.0], InputError, "integer"),
        (np.zeros((2, 3, 96, 192), np.float32)[..., ::2], [0, 0], LayoutError, "contiguous"),
        ([[0.0]], [0], LayoutError, "list"),
        (np.zeros((1, 3, 96, 96), np.float32), [[0], [0, 0]], InputError, "indices must be rows"),
    ],
)
def test_bad_requests(outputs, indices, error, says):
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    with Compositor(template) as compositor, pytest.raises(error, match=says):
        compositor.composite(outputs, indices)


def test_arguments_of_another_type_are_named():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    for wrong in (None, "tpl"):
        with pytest.raises(
            ArgumentTypeError, match=r"template must be of type Template, .*\.open opens"
        ):
            Compositor(wrong)
    with pytest.raises(ArgumentTypeError, match="pool must be of type BufferPool, got int"):
        Compositor(template, pool=5)
    outputs = np.zeros((1, 3, 96, 96), np.float32)
    with (
        Compositor(template) as compositor,
        pytest.raises(ArgumentTypeError, match="smoother must be of type ColourSmoother, got int"),
    ):
        compositor.composite(outputs, [0], smoother=5)


@pytest.mark.parametrize("format", ["bgr24", "bgra", "i420", "jpeg"])
def test_buffers_that_are_no_arrays(rng, format):
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = rng.random((1, 3, 96, 96), np.float32)
    with Compositor(template) as compositor:
        shape = compositor.canvas(format).shape
        with compositor.composite(outputs, [0], format=format) as frames:
            want = frames[0].array.tobytes()
        room = bytearray(int(np.prod(shape)))
        views = [memoryview(room).cast("B", shape)]
        if len(shape) == 1:
            views += [room, memoryview(room)]
        for view in views:
            room[:] = bytes(len(room))
            (length,) = compositor.composite_into([view], outputs, [0], format=format)
            assert room[:length] == want


def test_refused_buffers_leave_the_smoother_as_it_was():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = np.stack([np.full((3, 96, 96), level, np.float32) for level in (0.2, 0.8)])
    frames = []
    with Compositor(template, colour_match=True) as compositor:
        for refused in (False, True):
            smoother = ColourSmoother(25, 96)
            if refused:
                with pytest.raises(InputError, match="1 buffers"):
                    compositor.composite_into([], outputs[1:], [0], smoother=smoother)
            frames.append(compositor.composite(outputs[:1], [0], smoother=smoother)[0].array)
    assert np.array_equal(*frames)


def test_bad_buffers_and_formats():
    template = Template.from_arrays([picture(1)], RECTS[0], preset="wav2lip96")
    outputs = np.zeros((1, 3, 96, 96), np.float32)
    frame = np.zeros((360, 640, 3), np.uint8)
    locked = frame.copy()
    locked.flags.writeable = False
    with Compositor(template) as compositor:
        for out, says in [
            ([], "1 buffers"),
            ([frame[:100]], "shape"),
            ([locked], "read-only"),
        ]:
            with pytest.raises(InputError, match=says):
                compositor.composite_into(out, outputs, [0])
        with pytest.raises(
            ArgumentTypeError, match=r"out must be a sequence of arrays, .* got int"
        ):
            compositor.composite_into(5, outputs, [0])
        with pytest.raises(
            ArgumentTypeError, match=r"out must be a sequence of arrays, .* got ndarray"
        ):
            compositor.composite_into(np.zeros((), np.uint8), outputs, [0])
        for format in ("bgr24", "i420", "jpeg"):
            for wrong in (frame.astype(np.float32), None, 5, "room"):
                with pytest.raises(LayoutError, match=r"out\[0\] must be .*uint8"):
                    compositor.composite_into([wrong], outputs, [0], format=format)
            with pytest.raises(InputError, match=r"out\[0\] must be writable"):
                compositor.composite_into([bytes(frame.size)], outputs, [0], format=format)
        for format in ("i420", "jpeg"):
            with pytest.raises(LayoutError, match=r"out\[0\] must be C-contiguous"):
                compositor.composite_into([frame[::2]], outputs, [0], format=format)
        with pytest.raises(InputError, match=r"out\[0\] must have shape"):
            compositor.composite_into([bytearray(frame.size)], outputs, [0])
        with pytest.raises(InputError, match="yuyv"):
            compositor.composite(outputs, [0], format="yuyv")
        with pytest.raises(ArgumentTypeError, match="format must be of type str, got list"):
            compositor.composite(outputs, [0], format=["jpeg"])
        with pytest.raises(InputError, match="quality is for format 'jpeg' only"):
            compositor.composite(outputs, [0], quality=80)
        for quality in (0, 101, 75.5, [75], "high"):
            with pytest.raises(InputError, match="quality must be a whole number, 1 to 100"):
                compositor.composite(outputs, [0], format="jpeg", quality=quality)
        for start in (-1, 1.5):
            with pytest.raises(InputError, match="start must be a whole number of frames"):
                compositor.composite(outputs, [0], start=start)
    for threads in (0, 1.5, 10**20):
        with pytest.raises(InputError, match="threads"):
            Compositor(template, threads=threads)
