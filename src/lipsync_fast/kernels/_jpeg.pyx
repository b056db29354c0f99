# cython: language_level=3, freethreading_compatible=True
"""JPEG in segments: an encoder into the caller's memory, regions, and the index of a file."""
from libc.stdint cimport int64_t

from lipsync_fast.kernels._arguments cimport (
    LF_ERR_DATA, LF_ERR_FULL, Array, ExclusiveUse, as_image, bytes_of, check, image_of, lf_image,
    need_apart, out_like, place_of, result_of,
)

from collections import namedtuple
from numbers import Real

import numpy as np

from ..checks import check_int
from ..errors import ArgumentTypeError, InputError
from ..formats import DEFAULT_PACKED, PACKED_CHANNELS

__all__ = [
    "LIBRARY",
    "JpegEncoder", "JpegHeader", "choose_restart_interval", "decode", "jpeg_bound",
    "jpeg_header", "jpeg_region", "jpeg_segments",
]

# Name and version of the JPEG library in use, such as "libjpeg-turbo 3.1.2 (bundled)".
LIBRARY = lf_jpeg_library().decode()

_SAMPLINGS = {"4:2:0": LF_420, "4:2:2": LF_422, "4:4:4": LF_444, "4:0:0": LF_GRAY}
_SAMPLING_NAMES = {code: name for name, code in _SAMPLINGS.items()}
_PIXELS = {
    "bgr24": LF_BGR24, "rgb24": LF_RGB24, "bgra": LF_BGRA, "rgba": LF_RGBA, "gray": LF_GRAY8,
}


# ---- arguments ---------------------------------------------------------------------------

cdef lf_sampling sampling_of(object subsampling) except *:
    """Return the C code of a subsampling's name."""
    if not isinstance(subsampling, str) or subsampling not in _SAMPLINGS:
        raise InputError(f"subsampling must be one of {', '.join(_SAMPLINGS)}, got {subsampling!r}")
    return _SAMPLINGS[subsampling]


cdef object sampling_name(lf_sampling sampling):
    return _SAMPLING_NAMES[sampling]


cdef int check_side(object value, str name) except -1:
    return check_int(name, value, 1, LF_JPEG_MAX_SIDE, "pixels")


cdef int check_picture(Array image) except -1:
    check_side(image.width, f"the width of {image.name}")
    check_side(image.height, f"the height of {image.name}")
    return 0


cdef lf_pixels pixels_of(Array image, object format) except *:
    """Return the C code of a picture's pixel format; by its channels if `format` is None."""
    if format is None:
        return _PIXELS[DEFAULT_PACKED[image.channels]]
    if not isinstance(format, str) or format not in _PIXELS:
        raise InputError(f"format must be one of {', '.join(_PIXELS)}, got {format!r}")
    if PACKED_CHANNELS[format] != image.channels:
        raise InputError(
            f"{image.name} must have {PACKED_CHANNELS[format]} channels for {format}, "
            f"got shape {image.shape}"
        )
    return _PIXELS[format]


cdef int check_kind(Array image, lf_sampling sampling) except -1:
    if (image.channels == 1) != (sampling == LF_GRAY):
        raise InputError(
            f"{image.name} of {image.channels} channels does not go with subsampling "
            f"{_SAMPLING_NAMES[sampling]}; use 4:0:0 for grey pictures and only for them"
        )
    return 0


cdef int interval_for(object interval, int width, lf_sampling sampling) except -1:
    """Check a restart interval: it must divide the MCUs of a row of `width` pixels."""
    cdef int mcu_width, mcu_height
    lf_jpeg_mcu(sampling, &mcu_width, &mcu_height)
    cdef int mcus = (width + mcu_width - 1) // mcu_width
    interval = check_int("restart_interval", interval, 1, unit="MCUs")
    if interval > mcus or mcus % interval:
        raise InputError(
            f"restart_interval must divide the {mcus} MCUs of a row of {width} pixels, got "
            f"{interval}; choose_restart_interval() gives a good one"
        )
    return interval


cdef int check_full(int status, Array out, str enough) except -1:
    if status == LF_ERR_FULL:
        raise InputError(
            f"out is too small for this JPEG, got {out.view.len} bytes; {enough} always suffice"
        )
    if status == LF_ERR_MEMORY:
        raise MemoryError("libjpeg got no memory")
    return check(status)


# ---- sizes and positions -------------------------------------------------------------------

_XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"


def jpeg_bound(width, height, subsampling="4:2:0", xmp=None):
    """Return the bytes that suffice for any JPEG of a size, at any quality and restart interval.

    Parameters
    ----------
    width, height : int
        Pixels, 1 to 65500.
    subsampling : {"4:2:0", "4:2:2", "4:4:4", "4:0:0"}
    xmp : bytes, optional
        As in `JpegEncoder`.

    Returns
    -------
    int

    Raises
    ------
    InputError
        Size or subsampling out of range.
    """
    extra = 4 + len(_XMP_NAMESPACE) + len(xmp) if xmp else 0
    width, height = check_side(width, "width"), check_side(height, "height")
    return extra + lf_jpeg_bound(width, height, sampling_of(subsampling))


def jpeg_region(x, y, w, h, width, height, subsampling, restart_interval):
    """Return the region round a rect: the smallest box of whole segments that contains it.

    Parameters
    ----------
    x, y, w, h : int
        The rect in pixels; parts outside the picture are cut off.
    width, height : int
        Size of the picture in pixels.
    subsampling : {"4:2:0", "4:2:2", "4:4:4", "4:0:0"}
    restart_interval : int
        MCUs of a segment; divides the MCUs of a row.

    Returns
    -------
    tuple of int
        x, y, w, h in pixels, inside the picture; all 0 if the rect is empty or outside.

    Raises
    ------
    InputError
        A value out of range.
    """
    cdef lf_sampling sampling = sampling_of(subsampling)
    width, height = check_side(width, "width"), check_side(height, "height")
    restart_interval = interval_for(restart_interval, width, sampling)
    x, y, w, h = place_of(x, "x"), place_of(y, "y"), place_of(w, "w"), place_of(h, "h")
    cdef lf_box rect, region
    rect.x0, rect.y0 = min(max(x, 0), width), min(max(y, 0), height)
    rect.x1, rect.y1 = min(max(x + w, 0), width), min(max(y + h, 0), height)
    check(lf_jpeg_region(&rect, width, height, sampling, restart_interval, &region))
    return region.x0, region.y0, region.x1 - region.x0, region.y1 - region.y0


# Blocks of an MCU.
_BLOCKS = {LF_420: 6, LF_422: 4, LF_444: 3, LF_GRAY: 1}
# Costs behind the choice of a restart interval, measured at 1080p, quality 75: encoding a block
# of 64 samples takes 85 ns on one core; one more segment makes every file 3.5 bytes longer (marker,
# padding, an undifferenced DC); copying and sending a byte takes about 1 ns (10 Gbit/s).
_BLOCK_NS = 85.0
_SEGMENT_NS = 3.5 * 1.0


def choose_restart_interval(width, subsampling="4:2:0", share=1 / 6):
    """Return the restart interval of least cost for finished frames of a width.

    A segment is R MCUs wide, so a region is R MCUs wider than its rect on average: a short
    interval saves encoding. A long one saves markers, 3.5 bytes for each segment in every frame.
    Chooses the divisor of the MCUs of a row with the least sum: 2 at 1920 pixels and 4:2:0. If
    a row has a prime number of MCUs, the interval is 1: segments of one MCU lengthen a file by
    about 6 % compared with 2, but whole rows would make every region as wide as the picture.

    Parameters
    ----------
    width : int
        Width of the pictures in pixels.
    subsampling : {"4:2:0", "4:2:2", "4:4:4", "4:0:0"}
    share : float
        Height of the changing part, as a share of the picture's height.

    Returns
    -------
    int
        MCUs of a segment.

    Raises
    ------
    InputError
        A value out of range.
    """
    cdef lf_sampling sampling = sampling_of(subsampling)
    cdef int mcu_width, mcu_height
    width = check_side(width, "width")
    if not isinstance(share, Real) or not 0 < share <= 1:
        raise InputError(f"share must be a number above 0 and at most 1, got {share!r}")
    lf_jpeg_mcu(sampling, &mcu_width, &mcu_height)
    mcus = (width + mcu_width - 1) // mcu_width
    blocks = _BLOCKS[sampling]
    divisors = [r for r in range(1, mcus + 1) if mcus % r == 0]
    return min(divisors, key=lambda r: r * share * blocks * _BLOCK_NS + mcus / r * _SEGMENT_NS)


# ---- reading -------------------------------------------------------------------------------

JpegHeader = namedtuple(
    "JpegHeader", ["width", "height", "subsampling", "restart_interval", "segments", "size"]
)
JpegHeader.__doc__ = """The header of a spliceable JPEG.

Attributes
----------
width, height : int
    Pixels.
subsampling : str
restart_interval : int
    MCUs of a segment.
segments : int
    Number of segments in the file.
size : int
    Bytes of the header, which is the offset of the first segment.
"""


cdef int check_file(int status, const lf_jpeg_info *info) except -1:
    if status == LF_ERR_DATA:
        raise InputError(
            "the data must be a complete baseline JPEG with restart intervals that fit its rows, "
            f"but it {info.problem.decode()}; encode it with JpegEncoder"
        )
    return check(status)


def jpeg_header(data):
    """Read and check the header of a JPEG that segments can be spliced into.

    Parameters
    ----------
    data : bytes or (n,) uint8
        The file or its beginning; nothing after the header is read.

    Returns
    -------
    JpegHeader

    Raises
    ------
    InputError
        The file is cut off, not baseline, or has no restart intervals that fit its rows.
    """
    cdef Array file = bytes_of(data, "data")
    cdef lf_jpeg_info info
    check_file(lf_jpeg_read_header(<const uint8_t *> file.view.buf, file.view.len, &info), &info)
    return JpegHeader(
        info.width, info.height, _SAMPLING_NAMES[info.sampling], info.restart_interval,
        info.segments, info.header_size,
    )


def jpeg_segments(data):
    """Find the segments of a JPEG and check all of its markers.

    Parameters
    ----------
    data : bytes or (n,) uint8
        The whole file.

    Returns
    -------
    (segments + 1,) uint32, fresh
        Offset of each segment in bytes, and the length of the file. The two bytes before each
        later entry are the marker at the end of a segment.

    Raises
    ------
    InputError
        The file is cut off, not baseline, or has no restart intervals that fit its rows.
    """
    cdef Array file = bytes_of(data, "data")
    cdef const uint8_t *begin = <const uint8_t *> file.view.buf
    cdef lf_jpeg_info info
    check_file(lf_jpeg_read_header(begin, file.view.len, &info), &info)
    if info.segments > <size_t> file.view.len // 2:
        raise InputError(
            f"the data must hold {info.segments} segments, but it is cut off at "
            f"{file.view.len} bytes"
        )
    offsets = np.empty(info.segments + 1, np.uint32)
    cdef uint32_t[::1] room = offsets
    cdef int status
    with nogil:
        status = lf_jpeg_index(begin, file.view.len, &info, &room[0], room.shape[0])
    check_file(status, &info)
    return offsets


def decode(data, out=None):
    """Decode a JPEG that segments can be spliced into.

    Parameters
    ----------
    data : bytes or (n,) uint8
        The whole file.
    out : (H, W, 3) or (H, W) uint8, optional
        Where to write; (H, W) for a grey file.

    Returns
    -------
    (H, W, 3) uint8 bgr24, or (H, W) uint8 for a grey file
        `out`, or a fresh array.

    Raises
    ------
    InputError
        As for `jpeg_header`; also if the file is damaged or `out` has another shape.
    """
    cdef Array file = bytes_of(data, "data")
    cdef const uint8_t *begin = <const uint8_t *> file.view.buf
    cdef lf_jpeg_info info
    check_file(lf_jpeg_read_header(begin, file.view.len, &info), &info)
    # Every block takes at least two bits: allocate nothing for pixels that the file cannot hold.
    cdef int64_t blocks = <int64_t> info.mcus_per_row * info.mcu_rows * _BLOCKS[info.sampling]
    if blocks > 4 * <int64_t> file.view.len:
        raise InputError(
            f"the data must hold {info.width}x{info.height} pixels, but it is cut off at "
            f"{file.view.len} bytes"
        )
    cdef tuple shape = (info.height, info.width, 3)[:2 if info.sampling == LF_GRAY else 3]
    cdef Array dst = out_like(out, shape, (file,))
    cdef lf_image pixels = as_image(dst)
    cdef int status
    with nogil:
        status = lf_jpeg_decode(&pixels, begin, file.view.len)
    if status == LF_ERR_DATA:
        raise InputError(
            "the data must be a complete JPEG, but its segments are damaged; encode it again"
        )
    if status == LF_ERR_MEMORY:
        raise MemoryError("libjpeg got no memory")
    check(status)
    return result_of(out, dst)


# ---- encoder -------------------------------------------------------------------------------

cdef class JpegEncoder:
    """Encodes whole pictures into the caller's memory; allocates nothing after the first.

    An encoder is for one thread at a time: a call while another runs raises BusyError. The
    GIL is released while it encodes. The bytes equal those of Pillow's ``save(quality=,
    subsampling=, restart_marker_blocks=)``.

    Parameters
    ----------
    quality : int
        1 to 100, libjpeg's scale.
    subsampling : {"4:2:0", "4:2:2", "4:4:4", "4:0:0"}
        The last is for grey pictures.
    restart_interval : int
        MCUs of a segment, 0 to 65535; 0 writes no restart markers.
    xmp : bytes, optional
        An XMP packet of up to 65504 bytes, which every file carries after APP0, like Pillow's
        ``save(xmp=)``; `provenance.XMP` marks generated pictures.

    Raises
    ------
    InputError
        A value out of range.
    """

    def __cinit__(self, quality=75, subsampling="4:2:0", restart_interval=0, *, xmp=None):
        self.sampling = sampling_of(subsampling)
        self.quality = check_int("quality", quality, 1, 100)
        self.restart_interval = check_int("restart_interval", restart_interval, 0, 65535, "MCUs")
        self.in_use = ExclusiveUse()
        self.jpeg = lf_jpeg_create(self.quality, self.sampling, self.restart_interval)
        if self.jpeg == NULL:
            raise MemoryError("libjpeg got no memory")
        if not xmp:
            return
        if not isinstance(xmp, bytes):
            raise ArgumentTypeError(
                f"xmp must be bytes, got {type(xmp).__name__}; encode it as UTF-8"
            )
        self.app1 = _XMP_NAMESPACE + xmp
        if len(self.app1) > LF_JPEG_MAX_APP1:
            raise InputError(
                f"xmp must have at most {LF_JPEG_MAX_APP1 - len(_XMP_NAMESPACE)} bytes, "
                f"got {len(xmp)}"
            )
        cdef const char *app1 = self.app1
        check(lf_jpeg_set_app1(self.jpeg, <const uint8_t *> app1, len(self.app1)))

    def __dealloc__(self):
        lf_jpeg_destroy(self.jpeg)

    @property
    def subsampling(self):
        """Name of the subsampling."""
        return _SAMPLING_NAMES[self.sampling]

    @property
    def xmp(self):
        """The XMP packet of every file, or None."""
        return None if self.app1 is None else self.app1[len(_XMP_NAMESPACE):]

    def encode(self, picture, *, format=None):
        """Encode a picture.

        Parameters
        ----------
        picture : (H, W, 3), (H, W, 4) or (H, W) uint8
            Pixels of a row packed, rows may be apart; sides of 1 to 65500 pixels.
        format : {"bgr24", "rgb24", "bgra", "rgba", "gray"}, optional
            Order of the channels; by default bgr24, bgra or gray by their number. A fourth is
            ignored.

        Returns
        -------
        bytes
            The file.

        Raises
        ------
        LayoutError
            Wrong dtype or layout.
        InputError
            Wrong shape, size or format.
        BusyError
            Another thread is using this encoder.
        """
        cdef Array src = image_of(picture, "picture")
        cdef lf_pixels pixels = self.pixels_for(src, format)
        room = np.empty(jpeg_bound(src.width, src.height, self.subsampling, self.xmp), np.uint8)
        return room[:self.write(bytes_of(room, "room", True), src, pixels)].tobytes()

    def encode_into(self, out, picture, *, format=None):
        """Encode a picture into the caller's memory.

        Parameters
        ----------
        out : (n,) uint8
            Where to write; `jpeg_bound` bytes (with the encoder's `xmp`) always suffice.
        picture, format
            As in `encode`.

        Returns
        -------
        int
            The length of the file in bytes, from the start of `out`.

        Raises
        ------
        LayoutError, InputError, BusyError
            As `encode`; InputError also if `out` is read-only, too small or part of `picture`.
        """
        cdef Array src = image_of(picture, "picture")
        cdef lf_pixels pixels = self.pixels_for(src, format)
        cdef Array dst = bytes_of(out, "out", True)
        need_apart(dst, src)
        return self.write(dst, src, pixels)

    cdef lf_pixels pixels_for(self, Array picture, object format) except *:
        """Check a picture; return the C code of its pixels."""
        check_picture(picture)
        check_kind(picture, self.sampling)
        return pixels_of(picture, format)

    cdef size_t write(self, Array dst, Array src, lf_pixels pixels) except 0:
        cdef lf_image picture = as_image(src)
        cdef size_t length = 0
        cdef int status
        self.in_use.take()
        with nogil:
            status = lf_jpeg_encode(
                self.jpeg, <uint8_t *> dst.view.buf, dst.view.len, &length, &picture, pixels)
        self.in_use.give()
        check_full(status, dst, "jpeg_bound() bytes")
        return length
