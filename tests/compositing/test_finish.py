"""Canvases: frames painted in place on copy-on-write backgrounds, and what they share."""

import threading

import numpy as np
import pytest

from lipsync_fast import kernels
from lipsync_fast.compositing import Compositor, _backgrounds, _finish
from lipsync_fast.compositing import compositor as compositor_module
from lipsync_fast.compositing.canvas import open_canvas
from lipsync_fast.errors import InputError, LayoutError
from lipsync_fast.formats import VideoFormat
from lipsync_fast.templates import TemplateOptions, TemplateWriter
from lipsync_fast.templates.rects import clip_rects
from lipsync_fast.templates.template import Template

WIDTH, HEIGHT, COUNT = 322, 183, 4
RECTS = [(100, 61, 97, 91), (0, 0, 60, 60), (301, 160, 60, 60), (0, 0, 0, 0)]
FORMATS = ["bgr24", "i420"]


@pytest.fixture(params=["wav2lip96", "wav2lip384"])  # without a mask, and with one
def template(request, tmp_path, rng):
    ramp = np.linspace(20, 200, WIDTH)[None, :, None] + np.linspace(0, 50, HEIGHT)[:, None, None]
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=("bgr24", "i420"))
    with TemplateWriter(tmp_path / "t", video, preset=request.param, options=options) as writer:
        for rect in clip_rects(RECTS, COUNT, WIDTH, HEIGHT):
            noise = rng.normal(0, 3, (HEIGHT, WIDTH, 3))
            writer.add(rect, bgr24=np.clip(ramp + noise, 0, 255).astype(np.uint8))
    with Template.open(tmp_path / "t") as opened:
        yield opened


@pytest.fixture
def outputs(template, rng):
    side = template.preset.view
    return rng.random((COUNT, 3, side, side), dtype=np.float32)


def written(compositor, template, outputs, indices, format):
    """The same frames, written whole into buffers of our own."""
    shape = compositor.canvas(format).shape
    buffers = [np.empty(shape, np.uint8) for _ in indices]
    compositor.composite_into(buffers, outputs, indices, format=format)
    return buffers


@pytest.mark.parametrize("format", FORMATS)
def test_painted_frames_equal_written_ones(template, outputs, format):
    with Compositor(template, threads=2) as compositor:
        want = written(compositor, template, outputs, range(COUNT), format)
        private = compositor.canvas(format).in_place
        for turn in range(3):
            compositor.composite(1 - outputs, range(COUNT), format=format)  # other mouths before
            with compositor.composite(outputs, range(COUNT), format=format) as frames:
                for frame, expected in zip(frames, want, strict=True):
                    assert np.array_equal(frame.array, expected)
                    assert not frame.array.flags.writeable
            assert private.lent == 2 * COUNT * (turn + 1)
        assert compositor.stats().in_place == 6 * COUNT
        assert compositor.stats().copied == COUNT
        assert compositor.pool.stats().misses == 0


@pytest.mark.parametrize("format", FORMATS)
def test_two_holders_never_see_each_others_mouth(template, outputs, format):
    with Compositor(template) as compositor:
        one, other = outputs[:1], 1 - outputs[:1]
        want = written(compositor, template, one, [0], format)[0]
        want_other = written(compositor, template, other, [0], format)[0]
        first = compositor.composite(one, [0], format=format)
        second = compositor.composite(other, [0], format=format)
        assert np.array_equal(first[0].array, want)
        assert np.array_equal(second[0].array, want_other)
        assert compositor.canvas(format).in_place.refused == 1
        first[0].release()
        assert np.array_equal(second[0].array, want_other)
        third = compositor.composite(one, [0], format=format)
        assert np.array_equal(third[0].array, want)
        assert np.array_equal(second[0].array, want_other)


def test_the_same_background_twice_in_a_request(template, outputs):
    with Compositor(template) as compositor:
        want = written(compositor, template, outputs[:3], [0, 0, 0], "bgr24")
        frames = compositor.composite(outputs[:3], [0, 0, 0])
        for frame, expected in zip(frames, want, strict=True):
            assert np.array_equal(frame.array, expected)


def test_a_view_of_a_frame_keeps_its_background_held(template, outputs):
    with Compositor(template) as compositor:
        frames = compositor.composite(outputs[:1], [0])
        mouth = frames[0].array[61:152, 100:197]
        before = mouth.copy()
        frames[0].release()
        del frames
        place = compositor.canvas("bgr24").in_place
        assert place.borrow(0) is None
        assert np.array_equal(mouth, before)
        del mouth
        assert place.borrow(0) is not None


def test_threads_share_backgrounds(template, outputs):
    errors = []
    with Compositor(template) as compositor:
        want = written(compositor, template, outputs, range(COUNT), "bgr24")
        other = written(compositor, template, 1 - outputs, range(COUNT), "bgr24")

        def work(values, expected):
            for _ in range(100):
                for frame, right in zip(
                    compositor.composite(values, range(COUNT)), expected, strict=True
                ):
                    if not np.array_equal(frame.array, right):
                        errors.append(frame.index)

        threads = [
            threading.Thread(target=work, args=args)
            for args in ((outputs, want), (1 - outputs, other), (outputs, want))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors


def test_buffers_for_repeated_backgrounds_are_reserved_once(
    tmp_path, template, outputs, monkeypatch
):
    """A request at the turn of the loop shows a background twice: the second is a copy."""
    counts, most_repeats = [], compositor_module._most_repeats

    def noted(template, count):
        counts.append(count)
        return most_repeats(template, count)

    monkeypatch.setattr(compositor_module, "_most_repeats", noted)
    with Template.open(tmp_path / "t", loop="pingpong") as there_and_back:
        with Compositor(there_and_back, threads=1) as compositor:
            compositor.composite(outputs[:3], [0, 1, 2]).release()
            turn = there_and_back.indices(COUNT - 2, 3)
            assert len(set(turn.tolist())) == 2
            before = compositor.pool.stats().misses
            compositor.composite(outputs[:3], turn).release()
            assert compositor.pool.stats().misses == before
            compositor.composite(outputs[:2], [0, 1]).release()
        assert counts == [3, 2]


def test_workers_are_used_again(template, outputs):
    with Compositor(template, threads=2) as compositor:
        canvas = compositor.canvas("rgba")
        before = set(canvas.workers)
        assert len(before) == 2
        for _ in range(3):
            compositor.composite(outputs, range(COUNT), format="rgba").release()
            assert set(canvas.workers) == before
    assert canvas.workers == []


def test_templates_in_memory_are_never_painted_on(template, outputs):
    frames = [template.bgr24(i).copy() for i in range(COUNT)]
    kept = [f.copy() for f in frames]
    memory = Template.from_arrays(frames, template.rects, preset=template.preset)
    with Compositor(memory) as compositor:
        lent = compositor.composite(outputs, range(COUNT))
        assert compositor.stats().in_place == 0
        assert all(np.array_equal(a, b) for a, b in zip(frames, kept, strict=True))
        assert lent[0].array.flags.writeable


@pytest.mark.parametrize("template", ["wav2lip96"], indirect=True)
def test_packed_frames_of_a_template_that_stores_only_i420(tmp_path, template, outputs):
    video, options = VideoFormat(WIDTH, HEIGHT), TemplateOptions(store=("i420",))
    with TemplateWriter(tmp_path / "i", video, preset="wav2lip96", options=options) as writer:
        for i, rect in enumerate(template.rects):
            writer.add(rect, i420=template.i420(i), crop=template.crops[i])
    with Template.open(tmp_path / "i") as other, Compositor(other) as compositor:
        for format in ("bgr24", "rgba"):
            got = compositor.composite(outputs, range(COUNT), format=format)[0].array
            background = kernels.from_i420(template.i420(0), width=WIDTH, height=HEIGHT)
            want = background.copy()
            patch = kernels.resize(kernels.convert(outputs[0]), size=(97, 91))
            kernels.blend(patch, want, out=want, x=100, y=61)
            if format == "rgba":
                assert np.array_equal(got[..., 2::-1], want)
                assert (got[..., 3] == 255).all()
            else:
                assert np.array_equal(got, want)


def test_unknown_formats(template):
    with pytest.raises(InputError, match="format"):
        open_canvas(template, "nv21")
    with pytest.raises(InputError, match="quality"):
        open_canvas(template, "i420", 80)


def test_parts_of_other_backgrounds_are_refused(template, outputs):
    canvas, other = open_canvas(template, "bgr24"), open_canvas(template, "i420")
    unmade = _backgrounds.InPlaceFrame.__new__(_backgrounds.InPlaceFrame)
    foreign = other.in_place.borrow(0)
    for frame in (unmade, foreign):
        with pytest.raises(InputError, match=r"out\[0\] must be a frame borrowed from the same"):
            _finish.Targets(canvas.backgrounds, [frame])
    worker = _finish.Worker(canvas.backgrounds)
    targets = _finish.Targets(other.backgrounds, [foreign])
    alphas = np.full(1, 255, np.uint8)
    with pytest.raises(InputError, match="targets must be made for the backgrounds of the worker"):
        _finish.finish(worker, outputs[:1], np.zeros(1, np.int64), targets, 0, 1, alphas)


def jpeg_backgrounds(template):
    """Backgrounds as JPEG of which the mouth of the first is set, and the first as JPEG."""
    backgrounds = _backgrounds.Backgrounds(1, template.video, "jpeg", template.preset)
    s = template.jpeg_settings
    backgrounds.use_jpeg(s.quality, s.subsampling, s.restart_interval)
    backgrounds.set_mouth(0, template.rects[0], template.crops[0], template.mask(0))
    return backgrounds, template.jpeg(0)


def test_a_jpeg_background_is_checked_before_it_is_used(template):
    backgrounds, jpeg = jpeg_backgrounds(template)
    with pytest.raises(InputError, match="background 0 must be a JPEG of 322x183"):
        backgrounds.set_jpeg(0, jpeg.file, jpeg.segments[:-1], jpeg.region)
    with pytest.raises(LayoutError, match="segments must be contiguous, got strides"):
        backgrounds.set_jpeg(0, jpeg.file, np.repeat(jpeg.segments, 2)[::2], jpeg.region)
    for region in (jpeg.region[1:], jpeg.region[:, ::-1]):
        with pytest.raises(InputError, match="region must be"):
            backgrounds.set_jpeg(0, jpeg.file, jpeg.segments, region)
    backgrounds.set_jpeg(0, jpeg.file, jpeg.segments, jpeg.region)
    bare = _backgrounds.Backgrounds(1, template.video, "jpeg", template.preset)
    with pytest.raises(InputError, match="use_jpeg must be called before set_mouth"):
        bare.set_mouth(0, template.rects[0], template.crops[0], None)
    with pytest.raises(InputError, match="use_jpeg must be called before set_jpeg"):
        bare.set_jpeg(0, jpeg.file, jpeg.segments, jpeg.region)


@pytest.mark.parametrize("format", ["bgr24", "rgba"])
def test_mask_times_alpha_is_rounded_as_written(format):
    """White on black shows the product itself: (t + (t >> 8)) >> 8 of mask * alpha + 128."""
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    frame = np.zeros((20, 24, 3), np.uint8)
    template = Template.from_arrays([frame], [(3, 2, 16, 16)], preset="wav2lip96", masks=[mask])
    white = np.ones((1, 3, 96, 96), np.float32)
    with Compositor(template) as compositor:
        for alpha in range(1, 256):
            (made,) = compositor.composite(white, [0], format=format, alphas=[alpha])
            t = mask.astype(int) * alpha + 128
            product = (t + (t >> 8)) >> 8
            for channel in range(3):
                assert np.array_equal(made.array[2:18, 3:19, channel], product), alpha
