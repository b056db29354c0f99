"""SplicedJpeg: byte for byte the full encode of the composited frame, for any patches."""

import io
import itertools
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from tests.support import reference
from tests.support.jpeg_tools import (
    MCU,
    GuardedPages,
    intervals,
    photo,
    pillow_jpeg,
    tables_of,
)

from lipsync_fast.errors import ArgumentTypeError, BusyError, InputError, LayoutError
from lipsync_fast.kernels import _jpeg
from lipsync_fast.kernels._splice import SplicedJpeg

SUBSAMPLINGS = ["4:2:0", "4:2:2", "4:4:4", "4:0:0"]
QUALITIES = [30, 50, 75, 90, 95]


def channels_of(subsampling):
    return 1 if subsampling == "4:0:0" else 3


def paste(frame, patch, x, y, mask=None):
    """The frame with the patch on it, cut off at its edges."""
    return reference.blend(patch, frame, mask, x=x, y=y)


def random_case(rng, subsampling):
    """A background of any size, often not a multiple of an MCU, its interval and its quality."""
    height, width = (int(v) for v in rng.integers(1, 170, 2))
    frame = photo(rng, height, width, channels_of(subsampling))
    return frame, int(rng.choice(QUALITIES)), int(rng.choice(intervals(width, subsampling)))


def random_patch(rng, frame):
    height, width = (int(v) for v in rng.integers(1, 90, 2))
    patch = photo(rng, height, width, frame.shape[2] if frame.ndim == 3 else 1)
    x = int(rng.integers(-width - 2, frame.shape[1] + 3))
    y = int(rng.integers(-height - 2, frame.shape[0] + 3))
    return patch, x, y


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_random_splices_equal_pillows_full_encode(rng, subsampling):
    for _ in range(100):
        frame, quality, interval = random_case(rng, subsampling)
        spliced = SplicedJpeg(frame, quality, subsampling, interval)
        assert spliced.data.tobytes() == pillow_jpeg(frame, quality, subsampling, interval)
        out = np.zeros(spliced.bound(90, 90), np.uint8)
        for _ in range(3):
            patch, x, y = random_patch(rng, frame)
            want = pillow_jpeg(paste(frame, patch, x, y), quality, subsampling, interval)
            length = spliced.splice_into(out, patch, x, y)
            assert out[:length].tobytes() == want


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("height", "width"), [(128, 192), (121, 190)])
def test_rects_at_every_corner_and_edge(rng, subsampling, height, width):
    frame = photo(rng, height, width, channels_of(subsampling))
    for interval, size in itertools.product(
        intervals(width, subsampling), [(40, 50), (16, 16), (1, 1)]
    ):
        spliced = SplicedJpeg(frame, 75, subsampling, interval)
        patch = photo(rng, *size, channels_of(subsampling))
        h, w = size
        for x, y in itertools.product(
            (-w // 2, 0, 70, width - w, width - w // 2), (-h // 2, 0, 48, height - h)
        ):
            want = pillow_jpeg(paste(frame, patch, x, y), 75, subsampling, interval)
            assert spliced.splice(patch, x, y) == want


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_several_patches_also_overlapping(rng, subsampling):
    for count in (0, 1, 2, 3, 5, 16):
        for _ in range(12):
            frame, quality, interval = random_case(rng, subsampling)
            spliced = SplicedJpeg(frame, quality, subsampling, interval)
            want, patches = frame, []
            for _ in range(count):
                patch, x, y = random_patch(rng, frame)
                mask = (
                    rng.integers(0, 256, patch.shape[:2], np.uint8) if rng.random() < 0.4 else None
                )
                want = paste(want, patch, x, y, mask)
                patches.append((patch, x, y, mask) if mask is not None else (patch, x, y))
            assert spliced.splice_all(patches) == pillow_jpeg(want, quality, subsampling, interval)


def test_small_patches_side_by_side_share_rows(rng):
    """Several regions in one row of segments, given right to left."""
    frame = photo(rng, 64, 320)
    spliced = SplicedJpeg(frame, 75, "4:2:0", 1)
    patches = [(photo(rng, 12, 10), x, y) for x, y in ((290, 20), (200, 5), (90, 30), (3, 17))]
    want = frame
    for patch in patches:
        want = paste(want, *patch)
    assert spliced.splice_all(patches) == pillow_jpeg(want, 75, "4:2:0", 1)


@pytest.mark.parametrize("format", ["rgb24", "bgra", "rgba"])
def test_formats_and_strides(rng, guarded, format):
    bgr, patch = photo(rng, 90, 100), photo(rng, 30, 40)
    order = [0, 1, 2] if format[:3] == "bgr" else [2, 1, 0]
    channels = len(format.removesuffix("24"))
    frame = guarded((90, 100, channels), padding=3, flip=True)
    part = guarded((30, 40, channels), padding=6, flip=True)
    frame[..., :3], part[..., :3] = bgr[..., order], patch[..., order]
    spliced = SplicedJpeg(frame, 60, "4:2:2", 7, format=format)
    want = pillow_jpeg(paste(bgr, patch, 21, 35), 60, "4:2:2", 7)
    assert spliced.splice(part, 21, 35) == want


def test_a_patch_that_fills_its_region_is_taken_where_it_lies(rng, guarded):
    frame, picture = photo(rng, 96, 160), photo(rng, 96, 160)
    spliced = SplicedJpeg(frame, 75, "4:2:0", 2)
    x, y, w, h = spliced.region(40, 20, 30, 40)
    assert (x, y, w, h) == (32, 16, 64, 48)
    for layout in ({}, {"padding": 5}, {"flip": True}):
        patch = guarded((h, w, 3), **layout)
        patch[...] = picture[y : y + h, x : x + w]
        want = pillow_jpeg(paste(frame, patch, x, y), 75, "4:2:0", 2)
        assert spliced.splice(patch, x, y) == want
    want = pillow_jpeg(picture, 75, "4:2:0", 2)
    assert spliced.splice(picture, 0, 0) == want
    larger = np.pad(picture, ((20, 30), (10, 40), (0, 0)))
    assert spliced.splice(larger, -10, -20) == want


@pytest.mark.skipif(sys.platform == "win32", reason="guard pages are made with mprotect")
def test_splice_keeps_within_its_memory(rng):
    frame, patch = photo(rng, 60, 90), photo(rng, 33, 29)
    spliced = SplicedJpeg(frame, 75, "4:4:4", 3)
    want = pillow_jpeg(paste(frame, patch, 61, 27), 75, "4:4:4", 3)
    source, target = GuardedPages(patch.size), GuardedPages(len(want))
    for capacity in range(1, len(want)):
        with pytest.raises(InputError, match="out is too small"):
            spliced.splice_into(target.hold(bytes(capacity)), source.image(patch), 61, 27)
    out = target.hold(bytes(len(want)))
    assert spliced.splice_into(out, source.image(patch), 61, 27) == len(want)
    assert out.tobytes() == want


def test_bound_is_enough_for_noise_at_quality_100(rng):
    noise = (rng.integers(0, 2, (100, 100, 3)) * 255).astype(np.uint8)
    for subsampling, interval in (("4:4:4", 1), ("4:2:0", 7)):
        spliced = SplicedJpeg(np.zeros_like(noise), 100, subsampling, interval)
        for w, h, x, y in ((100, 100, 0, 0), (20, 30, 15, 15), (1, 1, 99, 99)):
            out = np.empty(spliced.bound(w, h), np.uint8)
            assert spliced.splice_into(out, noise[:h, :w], x, y) <= len(out)


# ---- a file as background ------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_a_file_keeps_its_own_bytes_round_the_regions(rng, subsampling):
    frame = photo(rng, 70, 130, channels_of(subsampling))
    interval = intervals(130, subsampling)[1]
    data = pillow_jpeg(frame, 62, subsampling, interval)
    spliced = SplicedJpeg(data)
    assert (spliced.width, spliced.height) == (130, 70)
    assert (spliced.subsampling, spliced.restart_interval) == (subsampling, interval)
    assert spliced.splice_all(()) == data
    patch = photo(rng, 30, 30, channels_of(subsampling))
    composited = paste(_jpeg.decode(data), patch, 50, 11)
    x, y, w, h = spliced.region(50, 11, 30, 30)
    full = SplicedJpeg(composited, 62, subsampling, interval)
    got = spliced.splice(patch, 50, 11)
    ours, theirs, whole = (_jpeg.jpeg_segments(d) for d in (got, data, full.data))
    cell_w, cell_h = MCU[subsampling][0] * interval, MCU[subsampling][1]
    columns = -(-130 // cell_w)
    for k in range(len(ours) - 1):
        column, row = k % columns * cell_w, k // columns * cell_h
        new = x <= column < x + w and y <= row < y + h
        origin, at = (full.data.tobytes(), whole) if new else (data, theirs)
        assert got[ours[k] : ours[k + 1]] == origin[at[k] : at[k + 1]]


def test_stored_segments_spare_the_search_and_wrong_ones_are_refused(rng):
    frame, patch = photo(rng, 64, 96), photo(rng, 20, 20)
    data = pillow_jpeg(frame, 75, "4:2:0", 2)
    segments = _jpeg.jpeg_segments(data)
    want = SplicedJpeg(data).splice(patch, 40, 30)
    assert SplicedJpeg(data, segments=segments).splice(patch, 40, 30) == want
    with pytest.raises(InputError, match=r"segments must have shape \(13,\), got \(12,\)"):
        SplicedJpeg(data, segments=segments[:-1])
    survived = 0
    for _ in range(2000):
        wrong = segments.copy()
        wrong[rng.integers(0, len(wrong), 3)] = rng.choice(
            [0, 1, 2**32 - 1, len(data), len(data) + 1, rng.integers(0, len(data))]
        )
        spliced = SplicedJpeg(data, segments=wrong)
        try:
            spliced.splice(patch, 40, 30)
        except InputError as error:
            assert "segments must ascend within the file" in str(error)  # noqa: PT017
        else:
            survived += 1
    assert survived < 1500


def test_segments_must_end_with_the_file(rng):
    """Also where the patch lies far from the end, and the last offset is not needed."""
    data = pillow_jpeg(photo(rng, 64, 96), 75, "4:2:0", 2)
    segments, patch = _jpeg.jpeg_segments(data), photo(rng, 16, 16)
    for last in (-1, 1, -7):
        wrong = segments.copy()
        wrong[-1] = len(data) + last
        with pytest.raises(InputError, match="segments must ascend within the file"):
            SplicedJpeg(data, segments=wrong).splice(patch, 0, 0)


def test_patches_that_only_meet_once_joined(rng):
    """The first meets neither of the others, but the box that holds both."""
    frame = photo(rng, 160, 160)
    small, tall, wide = photo(rng, 16, 16), photo(rng, 128, 16), photo(rng, 16, 128)
    patches = [(small, 80, 48), (tall, 16, 16), (wide, 16, 128)]
    for order in (patches, patches[::-1], [patches[1], patches[0], patches[2]]):
        want = frame
        for patch, x, y in order:
            want = paste(want, patch, x, y)
        got = SplicedJpeg(frame, 75, "4:2:0", 1).splice_all(order)
        assert got == pillow_jpeg(want, 75, "4:2:0", 1)


def test_bad_arguments(rng):
    frame = photo(rng, 40, 48)
    spliced = SplicedJpeg(frame)
    data = spliced.data.tobytes()
    with pytest.raises(InputError, match="must not be given with a file"):
        SplicedJpeg(data, quality=75)
    with pytest.raises(InputError, match="segments must not be given with a picture"):
        SplicedJpeg(frame, segments=_jpeg.jpeg_segments(data))
    with pytest.raises(InputError, match="is cut off"):
        SplicedJpeg(data[:-1])
    with pytest.raises(InputError, match="is not a JPEG"):
        SplicedJpeg(b"")
    with pytest.raises(LayoutError, match="must be an array of uint8, got NoneType"):
        SplicedJpeg(None)
    with pytest.raises(InputError, match="restart_interval must divide the 3 MCUs"):
        SplicedJpeg(frame, restart_interval=2)
    with pytest.raises(InputError, match="quality must be a whole number, 1 to 100"):
        SplicedJpeg(frame, quality=101)
    with pytest.raises(InputError, match="patch must have the background's 3 channels"):
        spliced.splice(frame[..., 0].copy(), 0, 0)
    with pytest.raises(InputError, match=r"mask must have shape \(40, 48\)"):
        spliced.splice(frame, 0, 0, mask=np.zeros((40, 47), np.uint8))
    with pytest.raises(InputError, match="at most 16 a frame, got 17"):
        spliced.splice_all([(frame, 0, 0)] * 17)
    with pytest.raises(InputError, match="got 2 values"):
        spliced.splice_all([(frame, 0)])
    for patches in (5, [5]):
        with pytest.raises(ArgumentTypeError, match=r"\(patch, x, y\).*, got int"):
            spliced.splice_all(patches)
    for segments in ("all", [-1], [1.5, "x"]):
        with pytest.raises(InputError, match="segments must be the result of jpeg_segments"):
            SplicedJpeg(data, segments=segments)
    for place in (2**31, 2**40, 1.9, "left", None):
        with pytest.raises(InputError, match="x must be a whole number of pixels"):
            spliced.splice(frame, place, 0)
        with pytest.raises(InputError, match="y must be a whole number of pixels"):
            spliced.region(0, place, 8, 8)
    own = np.frombuffer(bytearray(data), np.uint8)
    with pytest.raises(InputError, match="out must not overlap background"):
        SplicedJpeg(own).splice_into(own, frame, 0, 0)
    assert not spliced.data.flags.writeable
    assert spliced.splice(frame, 2**31 - 1, -(2**31)) == data


def test_bound_is_of_whole_numbers(rng):
    spliced = SplicedJpeg(photo(rng, 40, 48))
    for wrong in ((1.5, 1), (1, -1), (5, 5, -1), (5, 5, 17), (5, 5, 1.5), ("5", 5)):
        with pytest.raises(InputError, match="must be a whole number of"):
            spliced.bound(*wrong)
    assert spliced.bound(5, 5, 0) == len(spliced.data) < spliced.bound(5, 5)
    assert spliced.bound(2**31 - 1, 2**31 - 1) == spliced.bound(48, 40)


def test_optimised_tables_are_refused(rng):
    file = io.BytesIO()
    Image.fromarray(photo(rng, 32, 32)).save(file, "JPEG", optimize=True, restart_marker_blocks=1)
    assert len(_jpeg.jpeg_segments(file.getvalue())) == 5
    with pytest.raises(InputError, match="must have the standard Huffman tables"):
        SplicedJpeg(file.getvalue())


def test_tables_of_the_standard_size_with_other_codes_are_refused(rng):
    """The last two symbols of each table in turn change places: their codes are as long."""
    data = SplicedJpeg(photo(rng, 32, 32)).data.tobytes()
    assert SplicedJpeg(data).data.tobytes() == data
    tables = [t for t in tables_of(data) if data[t.start + 1] == 0xC4]
    assert len(tables) == 4
    for table in tables:
        first, last = data[table.stop - 2 : table.stop]
        other = data[: table.stop - 2] + bytes((last, first)) + data[table.stop :]
        with pytest.raises(InputError, match="must have the standard Huffman tables"):
            SplicedJpeg(other)


# ---- threads and memory --------------------------------------------------------------------


def test_a_second_thread_is_refused_and_one_each_is_right(rng):
    frame, patch = photo(rng, 400, 640), photo(rng, 200, 300)
    shared = SplicedJpeg(frame)
    want = shared.splice(patch, 33, 44)
    outcomes = []

    def hammer(spliced, times):
        for _ in range(times):
            try:
                outcomes.append(spliced.splice(patch, 33, 44) == want)
            except BusyError as error:
                outcomes.append(str(error))

    for _ in range(20):
        threads = [threading.Thread(target=hammer, args=(shared, 50)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if any(o is not True for o in outcomes):
            break
    assert False not in outcomes
    refusals = {o for o in outcomes if o is not True}
    assert refusals == {"this object is being used by another thread; make one for each thread"}
    outcomes.clear()
    own = [SplicedJpeg(frame) for _ in range(4)]
    threads = [threading.Thread(target=hammer, args=(s, 20)) for s in own]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 80


def test_steady_state_allocates_nothing_large(rng, tmp_path):
    memray = pytest.importorskip("memray")
    frame = photo(rng, 270, 480)
    spliced, encoder = SplicedJpeg(frame, 75), _jpeg.JpegEncoder(75, "4:2:0", 2)
    patch = photo(rng, 182, 185)
    out = np.empty(spliced.bound(185, 182), np.uint8)
    whole = np.empty(_jpeg.jpeg_bound(480, 270), np.uint8)

    def work():
        for x in range(0, 300, 7):
            spliced.splice_into(out, patch, x, 50)
        encoder.encode_into(whole, frame)

    work()
    record = tmp_path / "record.bin"
    with memray.Tracker(record):
        work()
    with memray.FileReader(record) as reader:
        large = [r.size for r in reader.get_allocation_records() if r.size >= 65536]
    assert large == []
