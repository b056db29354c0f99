"""JPEG encoder, regions and index: Pillow's bytes, and no byte trusted or touched needlessly."""

import ctypes
import io
import re
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from tests.support.jpeg_tools import (
    MCU,
    GuardedPages,
    intervals,
    mcus_per_row,
    photo,
    pillow_jpeg,
    tables_of,
)

from lipsync_fast.errors import BusyError, InputError, LayoutError
from lipsync_fast.kernels import _jpeg

SUBSAMPLINGS = ["4:2:0", "4:2:2", "4:4:4", "4:0:0"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="guard pages are made with mprotect")


def channels_of(subsampling):
    return 1 if subsampling == "4:0:0" else 3


# ---- encoding ----------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (16, 16), (17, 33), (75, 130)])
def test_encode_equals_pillow(rng, subsampling, height, width):
    frame = photo(rng, height, width, channels_of(subsampling))
    for interval in (0, 1, 2, 3, 1000, 65535):
        for quality in (1, 30, 75, 95, 100):
            encoder = _jpeg.JpegEncoder(quality, subsampling, interval)
            want = pillow_jpeg(frame, quality, subsampling, interval)
            assert encoder.encode(frame) == want
            assert encoder.encode(frame) == want, "a warm encoder gave other bytes"


@pytest.mark.parametrize("format", ["bgr24", "rgb24", "bgra", "rgba"])
@pytest.mark.parametrize("layout", [{}, {"padding": 5}, {"padding": 7, "flip": True}])
def test_formats_and_strides(rng, guarded, format, layout):
    bgr = photo(rng, 37, 50)
    order = [0, 1, 2] if format[:3] == "bgr" else [2, 1, 0]
    frame = guarded((37, 50, len(format.removesuffix("24"))), **layout)
    frame[..., :3] = bgr[..., order]
    if frame.shape[2] == 4:
        frame[..., 3] = rng.integers(0, 256, (37, 50))
    encoder = _jpeg.JpegEncoder(80, "4:2:0", 2)
    assert encoder.encode(frame, format=format) == pillow_jpeg(bgr, 80, "4:2:0", 2)


def test_one_encoder_for_changing_sizes_and_formats(rng):
    encoder = _jpeg.JpegEncoder(75, "4:2:2", 1)
    for height, width in [(90, 40), (8, 8), (33, 200), (90, 40)]:
        frame = photo(rng, height, width)
        rgba = np.dstack([frame[..., ::-1], frame[..., :1]])
        want = pillow_jpeg(frame, 75, "4:2:2", 1)
        assert encoder.encode(frame) == encoder.encode(rgba, format="rgba") == want


@posix
def test_encode_keeps_within_its_memory(rng):
    frame = photo(rng, 35, 49)
    encoder = _jpeg.JpegEncoder(75, "4:2:0", 1)
    want = encoder.encode(frame)
    source, target = GuardedPages(frame.size), GuardedPages(len(want))
    for capacity in range(1, len(want)):
        out = target.hold(bytes(capacity))
        with pytest.raises(InputError, match="out is too small"):
            encoder.encode_into(out, source.image(frame))
    out = target.hold(bytes(len(want)))
    assert encoder.encode_into(out, source.image(frame)) == len(want)
    assert out.tobytes() == want


def test_encode_writes_nothing_behind_the_length(rng, guarded):
    out = guarded((8000,))
    out[:] = 7
    length = _jpeg.JpegEncoder().encode_into(out, photo(rng, 40, 40))
    assert 0 < length < 8000
    assert (out[length:] == 7).all()


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_bound_holds_the_worst_noise(rng, subsampling):
    shape = (96, 96) if subsampling == "4:0:0" else (96, 96, 3)
    bound = _jpeg.jpeg_bound(96, 96, subsampling)
    encoder = _jpeg.JpegEncoder(100, subsampling, 1)
    for noise in (rng.integers(0, 2, shape) * 255, rng.integers(0, 256, shape)):
        assert len(encoder.encode(noise.astype(np.uint8))) <= 0.85 * bound
    assert len(encoder.encode(np.zeros(shape, np.uint8)[:1, :1])) <= _jpeg.jpeg_bound(
        1, 1, subsampling
    )


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_bound_counts_the_mcus_that_are_begun(subsampling):
    cell_w, cell_h = MCU[subsampling]

    def bound(columns, rows):
        return _jpeg.jpeg_bound(columns * cell_w, rows * cell_h, subsampling)

    one = bound(2, 1) - bound(1, 1)
    for width, height in ((1, 1), (cell_w, cell_h), (5 * cell_w + 1, 3 * cell_h + 1)):
        mcus = -(-width // cell_w) * -(-height // cell_h)
        assert _jpeg.jpeg_bound(width, height, subsampling) == bound(1, 1) + (mcus - 1) * one


def test_encoder_refuses_bad_arguments(rng):
    with pytest.raises(InputError, match="quality must be a whole number, 1 to 100, got 0"):
        _jpeg.JpegEncoder(0)
    with pytest.raises(InputError, match=r"subsampling must be one of 4:2:0.*got '4:1:1'"):
        _jpeg.JpegEncoder(75, "4:1:1")
    with pytest.raises(
        InputError, match="restart_interval must be a whole number of MCUs, 0 to 65535"
    ):
        _jpeg.JpegEncoder(75, "4:2:0", 65536)
    encoder, frame = _jpeg.JpegEncoder(), photo(rng, 20, 20)
    with pytest.raises(InputError, match="use 4:0:0 for grey pictures"):
        encoder.encode(frame[..., 0].copy())
    with pytest.raises(InputError, match="use 4:0:0 for grey pictures"):
        _jpeg.JpegEncoder(75, "4:0:0").encode(frame)
    with pytest.raises(InputError, match="must have 4 channels for rgba"):
        encoder.encode(frame, format="rgba")
    with pytest.raises(InputError, match="format must be one of"):
        encoder.encode(frame, format="yuv")
    with pytest.raises(LayoutError, match="picture must be uint8"):
        encoder.encode(frame.astype(np.float32))
    with pytest.raises(InputError, match="out must be writable"):
        encoder.encode_into(b"x" * 10_000, frame)
    with pytest.raises(InputError, match="out must not overlap picture"):
        encoder.encode_into(frame.reshape(-1), frame)
    with pytest.raises(LayoutError, match="out must be contiguous"):
        encoder.encode_into(np.zeros(20_000, np.uint8)[::2], frame)
    with pytest.raises(
        InputError, match=r"the width of picture must be a whole number of pixels, 1 to 65500"
    ):
        encoder.encode(np.zeros((1, 65501, 3), np.uint8))


def test_an_encoder_refuses_a_second_thread(rng):
    encoder = _jpeg.JpegEncoder()
    frame, small = photo(rng, 1500, 1500), photo(rng, 8, 8)
    want, small_want = encoder.encode(frame), encoder.encode(small)
    results, stop = [], threading.Event()

    def work():
        while not stop.is_set():
            try:
                results.append(encoder.encode(frame) == want)
            except BusyError:
                results.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    refused = False
    for _ in range(100_000):
        try:
            assert encoder.encode(small) == small_want
        except BusyError as error:
            refused = "being used by another thread" in str(error)
            break
    stop.set()
    thread.join()
    assert refused
    assert all(results)
    assert encoder.encode(small) == small_want, "the encoder must be free again"


def test_the_library_is_named_and_stays_inside():
    assert re.fullmatch(r"libjpeg-turbo \d+\.\d+[\w.]*( \(bundled\))?", _jpeg.LIBRARY)
    module = ctypes.CDLL(_jpeg.__file__)
    assert hasattr(module, "PyInit__jpeg")
    assert not hasattr(module, "lf_jpeg_encode")
    if "bundled" in _jpeg.LIBRARY:
        assert not hasattr(module, "jpeg_start_compress")


# ---- regions -----------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_region_is_the_smallest_box_of_segments(rng, subsampling):
    for _ in range(300):
        width, height = (int(v) for v in rng.integers(1, 150, 2))
        interval = int(rng.choice(intervals(width, subsampling)))
        x, y = (int(v) for v in rng.integers(-60, 160, 2))
        w, h = (int(v) for v in rng.integers(0, 120, 2))
        cell_w, cell_h = MCU[subsampling][0] * interval, MCU[subsampling][1]
        hit = np.zeros((height, width), bool)
        hit[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
        want = np.zeros_like(hit)
        for row, column in {(r // cell_h, c // cell_w) for r, c in np.argwhere(hit)}:
            want[row * cell_h : (row + 1) * cell_h, column * cell_w : (column + 1) * cell_w] = True
        got = np.zeros_like(hit)
        rx, ry, rw, rh = _jpeg.jpeg_region(x, y, w, h, width, height, subsampling, interval)
        assert min(rx, ry) >= 0
        assert hit.any() or (rx, ry, rw, rh) == (0, 0, 0, 0)
        assert rx + rw <= width
        assert ry + rh <= height
        got[ry : ry + rh, rx : rx + rw] = True
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("value", ["75", 75.5, None, 2**40])
def test_numbers_that_are_no_whole_ones_are_refused(value):
    for make in (
        lambda: _jpeg.JpegEncoder(value),
        lambda: _jpeg.JpegEncoder(75, "4:2:0", value),
        lambda: _jpeg.jpeg_bound(value, 8),
        lambda: _jpeg.choose_restart_interval(value),
        lambda: _jpeg.choose_restart_interval(48, share=value),
        lambda: _jpeg.jpeg_region(value, 0, 9, 9, 32, 32, "4:2:0", 1),
        lambda: _jpeg.jpeg_region(0, 0, 9, 9, 32, 32, "4:2:0", value),
    ):
        with pytest.raises(InputError, match="must"):
            make()


def test_region_refuses_an_interval_that_wraps_rows():
    with pytest.raises(
        InputError, match=r"must divide the 120 MCUs of a row of 1920 pixels, got 7"
    ):
        _jpeg.jpeg_region(0, 0, 9, 9, 1920, 1080, "4:2:0", 7)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_chosen_interval_divides_the_row_and_is_short(subsampling):
    for width in (*range(1, 200), 854, 890, 1080, 1280, 1366, 1920, 2560, 3840, 65500):
        interval = _jpeg.choose_restart_interval(width, subsampling)
        assert mcus_per_row(width, subsampling) % interval == 0
        assert interval <= max(1, width // 32)


def test_chosen_interval_follows_the_cost():
    assert _jpeg.choose_restart_interval(1920) == 2
    assert _jpeg.choose_restart_interval(848) == 1, "53 MCUs: one, not the whole row"
    shares = [_jpeg.choose_restart_interval(1920, share=s) for s in (1, 1 / 6, 1 / 50, 1 / 10_000)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1, 120)


# ---- index -------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_segments_of_our_files_and_pillows(rng, subsampling):
    for height, width in [(1, 1), (40, 50), (100, 130)]:
        frame = photo(rng, height, width, channels_of(subsampling))
        for interval in intervals(width, subsampling):
            data = pillow_jpeg(frame, 75, subsampling, interval)
            header, offsets = _jpeg.jpeg_header(data), _jpeg.jpeg_segments(data)
            assert header[:4] == (width, height, subsampling, interval)
            assert header.segments == len(offsets) - 1
            assert (
                header.size
                == offsets[0]
                == data.index(b"\xff\xda") + 8 + 2 * channels_of(subsampling)
            )
            assert offsets[-1] == len(data)
            markers = [data[end - 2 : end] for end in offsets[1:]]
            assert markers[-1] == b"\xff\xd9"
            assert markers[:-1] == [bytes((0xFF, 0xD0 + k % 8)) for k in range(len(markers) - 1)]


def test_fill_bytes_before_markers_are_legal(rng):
    frame = photo(rng, 30, 60)
    data = _jpeg.JpegEncoder(75, "4:4:4", 2).encode(frame)
    filled = data.replace(b"\xff\xd3", b"\xff\xff\xff\xd3").replace(b"\xff\xc0", b"\xff\xff\xc0")
    assert len(filled) > len(data) + 3
    assert len(_jpeg.jpeg_segments(filled)) == len(_jpeg.jpeg_segments(data))
    np.testing.assert_array_equal(_jpeg.decode(filled), _jpeg.decode(data))


def save(frame, **options):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, **{"format": "JPEG", "restart_marker_blocks": 1, **options})
    return file.getvalue()


def patched(data, marker, at, value):
    """The file with one byte of the segment behind a marker changed."""
    place = data.index(bytes((0xFF, marker))) + 4 + at
    return data[:place] + bytes((value,)) + data[place + 1 :]


def test_foreign_files_are_refused_in_one_sentence(rng):
    frame = photo(rng, 40, 56)
    plain = save(frame)
    sof = plain.index(b"\xff\xc0")
    cases = {
        "is not a JPEG": [b"", b"\xff", b"\x89PNG\r\n\x1a\n", bytes(1000)],
        "ends within its header": [plain[:4], plain[:100], plain[: plain.index(b"\xff\xda") + 5]],
        "is progressive": [save(frame, progressive=True)],
        "has no restart interval": [save(frame, restart_marker_blocks=0)],
        "wrap from one row": [save(frame, restart_marker_blocks=3)],
        "must have 1 or 3 components": [
            save(np.zeros((9, 9, 4), np.uint8)[..., :3], keep_rgb=False)[: sof + 9]
            + b"\x04"
            + plain[sof + 10 :]
        ],
        "another size than 8 bits": [patched(plain, 0xC0, 0, 12)],
        "is arithmetic-coded": [plain.replace(b"\xff\xc0", b"\xff\xc9")],
        "is not baseline": [
            plain.replace(b"\xff\xc0", b"\xff\xc1"),
            plain.replace(b"\xff\xc0", b"\xff\xc3"),
        ],
        "subsampling other than": [patched(plain, 0xC0, 7, 0x41), patched(plain, 0xC0, 10, 0x12)],
        "width or height": [patched(patched(plain, 0xC0, 2, 0), 0xC0, 1, 0)],
        "16-bit quantisation": [patched(plain, 0xDB, 0, 0x10)],
        "broken quantisation": [patched(plain, 0xDB, 0, 5), patched(plain, 0xDB, 9, 0)],
        "broken Huffman": [patched(plain, 0xC4, 0, 2), patched(plain, 0xC4, 3, 200)],
        "lacks a table": [patched(plain, 0xC4, 0, 1), patched(plain, 0xDA, 1, 9)],
        "more than one scan": [patched(plain, 0xDA, 0, 1)],
        "before its frame header": [plain.replace(b"\xff\xc0", b"\xff\xe5")],
        "two frame headers": [plain[:sof] + plain[sof : sof + 19] + plain[sof:]],
        "between the segments": [plain[:sof] + b"abcdef" + plain[sof:]],
        "different quantisation": [
            plain[:sof]
            + b"\xff\xdb\x00\x43\x02"
            + bytes(range(1, 65))
            + patched(plain[sof:], 0xC0, 14, 2)
        ],
    }
    for problem, files in cases.items():
        for data in files:
            with pytest.raises(InputError, match=problem):
                _jpeg.jpeg_header(data)
            with pytest.raises(InputError, match="encode it with JpegEncoder"):
                _jpeg.jpeg_segments(data)


def test_each_table_that_a_scan_needs_is_missed(rng):
    data = save(photo(rng, 40, 56))
    tables = tables_of(data)
    assert len(tables) == 6, "two of quantisation, four of Huffman codes"
    for table in tables:
        with pytest.raises(InputError, match="lacks a table"):
            _jpeg.jpeg_header(data[: table.start] + data[table.stop :])


def test_damaged_scans_are_refused(rng):
    data = save(photo(rng, 40, 56))
    at = data.index(b"\xff\xd3")
    for problem, damaged in {
        "cut off": data[:-2],
        "has bytes after": data + b"\0",
        "out of order": data[:at] + b"\xff\xd4" + data[at + 2 :],
    }.items():
        with pytest.raises(InputError, match=problem):
            _jpeg.jpeg_segments(damaged)
    with pytest.raises(InputError, match=r"out of order|cut off"):
        _jpeg.jpeg_segments(data[:at] + data[at + 2 :])


@posix
def test_index_survives_every_truncation_and_random_damage(rng):
    """Each file ends at a guard page: reading past it would kill the process."""
    frame = photo(rng, 40, 56)
    pages = GuardedPages(20_000)
    files = [_jpeg.JpegEncoder(60, s, 1).encode(frame) for s in SUBSAMPLINGS[:3]]
    whole = _jpeg.jpeg_segments(files[0])
    refused = accepted = 0
    for data in files:
        for length in range(len(data)):
            with pytest.raises(InputError, match="the data must"):
                _jpeg.jpeg_segments(pages.hold(data[:length]))
        for _ in range(4000):
            damaged = np.frombuffer(data, np.uint8).copy()
            where = rng.integers(0, len(data) if rng.random() < 0.3 else 640, rng.integers(1, 6))
            damaged[where] = rng.choice([rng.integers(0, 256), 0xFF, 0xD0, 0xDA, 0])
            if rng.random() < 0.3:
                damaged = damaged[: rng.integers(1, len(damaged))]
            view = pages.hold(damaged)
            try:
                offsets = _jpeg.jpeg_segments(view)
            except InputError:
                refused += 1
                continue
            accepted += 1
            assert offsets[-1] == len(view)
            assert (np.diff(offsets.astype(np.int64)) >= 2).all()
    assert refused > 2000
    assert accepted > 500, "damage inside a segment's code bits is not the index's to find"
    np.testing.assert_array_equal(whole, _jpeg.jpeg_segments(files[0]))


# ---- decoding ----------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_decode_is_near_the_picture_and_pillows_decoder(rng, guarded, subsampling):
    frame = photo(rng, 45, 70, channels_of(subsampling))
    data = _jpeg.JpegEncoder(95, subsampling, 1).encode(frame)
    pillow = np.asarray(Image.open(io.BytesIO(data)))
    pillow = pillow[..., ::-1] if pillow.ndim == 3 else pillow
    out = guarded(frame.shape, padding=5, flip=True)
    assert _jpeg.decode(data, out) is out
    np.testing.assert_array_equal(out, _jpeg.decode(data))
    assert np.abs(out.astype(int) - pillow).max() <= 1
    assert np.abs(out.astype(int) - frame).mean() < 12


@posix
def test_decode_refuses_damage_without_reading_on(rng):
    data = _jpeg.JpegEncoder(75, "4:2:0", 1).encode(photo(rng, 40, 56))
    pages = GuardedPages(len(data))
    for length in range(0, len(data), 3):
        with pytest.raises(InputError, match="the data must"):
            _jpeg.decode(pages.hold(data[:length]))
    with pytest.raises(InputError, match=r"out must have shape \(40, 56, 3\), got"):
        _jpeg.decode(data, np.empty((40, 57, 3), np.uint8))
    for _ in range(500):
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[rng.integers(600, len(data), 3)] = rng.integers(0, 256, 3)
        try:
            assert _jpeg.decode(pages.hold(damaged)).shape == (40, 56, 3)
        except InputError as error:
            assert "the data must" in str(error)  # noqa: PT017
