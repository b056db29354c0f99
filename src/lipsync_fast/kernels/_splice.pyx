# cython: language_level=3, freethreading_compatible=True
"""JPEG frames without encoding the whole: only regions of a background are encoded again.

A baseline JPEG with restart intervals is a sequence of independent segments. If only part of a
picture changes, only the segments round that part are encoded; all others are copied.
"""
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc

from lipsync_fast.kernels._arguments cimport (
    LF_ERR_DATA, LF_OK, Array, ExclusiveUse, as_image, bytes_of, check, image_of, lf_box, lf_image,
    lf_rows, lf_scratch, need_apart, place_of, rows_of,
)
from lipsync_fast.kernels._blend cimport lf_blend_u8
from lipsync_fast.kernels._jpeg cimport (
    LF_JPEG_MAX_REGIONS, check_file, check_full, check_picture, interval_for, lf_jpeg,
    lf_jpeg_background, lf_jpeg_bound, lf_jpeg_create_like, lf_jpeg_destroy, lf_jpeg_info,
    lf_jpeg_read_header, lf_jpeg_region, lf_jpeg_region_pixels, lf_jpeg_splice, lf_pixels,
    lf_sampling, pixels_of, sampling_name, sampling_of,
)

import numpy as np

from ._jpeg import JpegEncoder, choose_restart_interval, decode, jpeg_region, jpeg_segments
from ..checks import check_int
from ..errors import ArgumentTypeError, InputError

__all__ = ["SplicedJpeg"]

cdef struct lf_patch:
    lf_image image
    lf_image mask  # its data are NULL if there is none
    int x          # position in the background, may be outside
    int y
    lf_box box     # the part inside


# ---- boxes ---------------------------------------------------------------------------------

cdef int clip(int64_t at, int limit) noexcept nogil:
    return <int> min(max(at, 0), limit)


cdef bint overlap(const lf_box *a, const lf_box *b) noexcept nogil:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


cdef bint covers(const lf_box *a, const lf_box *b) noexcept nogil:
    return a.x0 <= b.x0 and b.x1 <= a.x1 and a.y0 <= b.y0 and b.y1 <= a.y1


cdef const lf_patch *only_cover(
    const lf_box *region, const lf_patch *given, int count
) noexcept nogil:
    """Return the patch that fills the region exactly and alone; NULL if there is none."""
    cdef const lf_patch *found = NULL
    cdef int k
    for k in range(count):
        if overlap(region, &given[k].box):
            if found != NULL or given[k].mask.data != NULL or not covers(&given[k].box, region):
                return NULL
            found = &given[k]
    return found


cdef lf_image part_of(const lf_image *image, const lf_box *box, int x, int y) noexcept nogil:
    """Return the pixels of a box, from an image whose first pixel is (x, y)."""
    cdef lf_image part = image[0]
    part.data += (box.y0 - y) * image.stride + <ptrdiff_t> (box.x0 - x) * image.channels
    part.width, part.height = box.x1 - box.x0, box.y1 - box.y0
    return part


cdef int merge(lf_box *boxes, int count) noexcept nogil:
    """Join overlapping boxes until none overlap; return how many are left."""
    cdef int i = 0, j
    cdef bint joined
    while i < count:
        joined = False
        for j in range(i + 1, count):
            if overlap(&boxes[i], &boxes[j]):
                boxes[i].x0 = min(boxes[i].x0, boxes[j].x0)
                boxes[i].y0 = min(boxes[i].y0, boxes[j].y0)
                boxes[i].x1 = max(boxes[i].x1, boxes[j].x1)
                boxes[i].y1 = max(boxes[i].y1, boxes[j].y1)
                count -= 1
                boxes[j] = boxes[count]
                joined = True
                break
        i = 0 if joined else i + 1
    return count


# ---- the class -----------------------------------------------------------------------------

cdef class SplicedJpeg:
    """A background as JPEG, and frames in which only patches differ from it.

    A frame costs the encoding of the patches' regions and one copy of all other bytes. Its
    bytes equal those of `JpegEncoder` for the whole composited picture. An object is for one
    thread at a time: a call while another runs raises BusyError. The GIL is released.

    Parameters
    ----------
    background : (H, W, 3), (H, W, 4) or (H, W) uint8, or bytes
        The picture; kept, not copied, so it must not change afterwards. Bytes or a flat uint8
        array are a JPEG with restart intervals and the standard Huffman tables, as from
        `JpegEncoder`; the file then determines the three arguments below, and pixels of a
        region that no patch covers are decoded from it.
    quality : int, optional
        1 to 100, libjpeg's scale; 75 by default.
    subsampling : {"4:2:0", "4:2:2", "4:4:4", "4:0:0"}, optional
        4:2:0 by default, 4:0:0 for a grey picture.
    restart_interval : int, optional
        MCUs of a segment, a divisor of the MCUs of a row; `choose_restart_interval` by default.
    format : {"bgr24", "rgb24", "bgra", "rgba", "gray"}, optional
        Order of the channels of a picture and its patches; by default bgr24, bgra or gray by
        their number. Patches for a file are bgr24 or gray.
    segments : (n,) uint32, optional
        With a file: the result of `jpeg_segments` for it, if known.

    Attributes
    ----------
    width, height : int
        Pixels.
    subsampling : str
    restart_interval : int
        MCUs of a segment.
    data : (n,) uint8, read-only
        The background's file.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        A value out of range, or a file that cannot be spliced.
    """
    cdef lf_jpeg *jpeg
    cdef lf_jpeg_background file
    cdef lf_sampling sampling
    cdef lf_pixels pixels
    cdef Array image
    cdef Array encoded
    cdef object offsets
    cdef uint8_t *scratch
    cdef size_t scratch_size
    cdef ExclusiveUse in_use
    cdef readonly object data
    cdef readonly int restart_interval

    def __cinit__(
        self, background, quality=None, subsampling=None, restart_interval=None, *, format=None,
        segments=None,
    ):
        self.in_use = ExclusiveUse()
        if np.ndim(background) < 2:
            if not (quality is None and subsampling is None and restart_interval is None):
                raise InputError(
                    "quality, subsampling and restart_interval must not be given with a file, "
                    "which has its own"
                )
            if segments is None:
                segments = jpeg_segments(background)
            picture = decode(background)
            self.data = np.frombuffer(background, np.uint8)
        else:
            if segments is not None:
                raise InputError("segments must not be given with a picture; leave them out")
            picture = background
            self.data = _encode(picture, quality, subsampling, restart_interval, format)
            segments = jpeg_segments(self.data)
        self.data.flags.writeable = False
        self.image = image_of(picture, "background")
        self.pixels = pixels_of(self.image, format)
        self.encoded = bytes_of(self.data, "background")
        self.open_file(segments)

    def __dealloc__(self):
        lf_jpeg_destroy(self.jpeg)
        free(self.scratch)

    cdef int open_file(self, segments) except -1:
        """Check the header and make the compressor whose segments fit it."""
        cdef lf_jpeg_info info
        self.file.data = <const uint8_t *> self.encoded.view.buf
        self.file.size = self.encoded.view.len
        check_file(lf_jpeg_read_header(self.file.data, self.file.size, &info), &info)
        if not info.standard_huffman:
            raise InputError(
                "background must have the standard Huffman tables, got others; "
                "encode it with JpegEncoder"
            )
        try:
            self.offsets = np.array(segments, np.uint32)
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                "segments must be the result of jpeg_segments for the file; "
                "leave them out to have them found"
            ) from None
        if self.offsets.shape != (info.segments + 1,):
            raise InputError(
                f"segments must have shape ({info.segments + 1},), got {self.offsets.shape}"
            )
        cdef uint32_t[::1] offsets = self.offsets
        self.file.offsets, self.file.segments = &offsets[0], info.segments
        self.file.width, self.file.height = info.width, info.height
        self.sampling, self.restart_interval = info.sampling, info.restart_interval
        self.jpeg = lf_jpeg_create_like(&info)
        if self.jpeg == NULL:
            raise MemoryError("libjpeg got no memory")
        return 0

    @property
    def width(self):
        """Width of the picture in pixels."""
        return self.file.width

    @property
    def height(self):
        """Height of the picture in pixels."""
        return self.file.height

    @property
    def subsampling(self):
        """Name of the subsampling."""
        return sampling_name(self.sampling)

    def region(self, x, y, w, h):
        """Return the region that a patch causes to be encoded: x, y, w, h in pixels.

        A patch that fills it exactly, without a mask, is encoded in place.
        """
        return jpeg_region(
            x, y, w, h, self.width, self.height, self.subsampling, self.restart_interval)

    def bound(self, w, h, count=1):
        """Return the bytes that hold any frame with `count` patches of w × h pixels, anywhere.

        Raises
        ------
        InputError
            A value is not an integer or negative, or the count is above 16.
        """
        cdef int64_t region_w = check_int("w", w, 0, 2**31 - 1, "pixels")
        cdef int64_t region_h = check_int("h", h, 0, 2**31 - 1, "pixels")
        region_w = min(region_w + 32 * self.restart_interval, self.file.width)
        region_h = min(region_h + 32, self.file.height)
        cdef size_t each = lf_jpeg_bound(<int> region_w, <int> region_h, self.sampling)
        return self.file.size + check_int("count", count, 0, LF_JPEG_MAX_REGIONS, "patches") * each

    def splice(self, patch, x, y, *, mask=None):
        """Make the JPEG of the background with one patch on it.

        Parameters
        ----------
        patch : (h, w, C) or (h, w) uint8
            Pixels in the background's format; pixels of a row packed, rows may be apart.
        x, y : int
            Position of the patch's first pixel; pixels outside the background are cut off.
        mask : (h, w) uint8, optional
            Alpha of each patch pixel, as in `blend`.

        Returns
        -------
        bytes
            The file.

        Raises
        ------
        LayoutError
            Wrong dtype or layout.
        InputError
            Wrong shape or position.
        BusyError
            Another thread is using this object.
        """
        return self.splice_all(((patch, x, y, mask),))

    def splice_into(self, out, patch, x, y, *, mask=None):
        """Make the JPEG of the background with one patch on it, in the caller's memory.

        Parameters
        ----------
        out : (n,) uint8
            Where to write; ``bound(w, h)`` bytes always suffice.
        patch, x, y, mask
            As in `splice`.

        Returns
        -------
        int
            The length of the file in bytes, from the start of `out`.

        Raises
        ------
        LayoutError, InputError, BusyError
            As `splice`; InputError also if `out` is read-only, too small or part of the
            background.
        """
        return self.splice_all_into(out, ((patch, x, y, mask),))

    def splice_all(self, patches):
        """Make the JPEG of the background with several patches on it, the first lowest.

        Parameters
        ----------
        patches : sequence of (patch, x, y) or (patch, x, y, mask)
            0 to 16 of them, each as for `splice`; they may overlap.

        Returns
        -------
        bytes
            The file.

        Raises
        ------
        ArgumentTypeError
            `patches` or one of them is not a sequence.
        LayoutError, InputError, BusyError
            As `splice`.
        """
        made, length = self.make(patches, None)
        return made[:length].tobytes()

    def splice_all_into(self, out, patches):
        """Make the JPEG of the background with several patches, in the caller's memory.

        Parameters
        ----------
        out : (n,) uint8
            Where to write; ``bound(w, h, count)`` bytes always suffice.
        patches
            As in `splice_all`.

        Returns
        -------
        int
            The length of the file in bytes, from the start of `out`.

        Raises
        ------
        ArgumentTypeError, LayoutError, InputError, BusyError
            As `splice_all` and `splice_into`.
        """
        bytes_of(out, "out", True)
        return self.make(patches, out)[1]

    cdef tuple make(self, patches, out):
        """Make a frame; return `out`, or a fresh buffer if it is None, and the file's length."""
        cdef lf_patch given[LF_JPEG_MAX_REGIONS]
        if not hasattr(patches, "__len__"):
            raise ArgumentTypeError(
                "patches must be a sequence of (patch, x, y) or (patch, x, y, mask), "
                f"got {type(patches).__name__}"
            )
        cdef Py_ssize_t count = len(patches)
        if count > LF_JPEG_MAX_REGIONS:
            raise InputError(f"patches must be at most {LF_JPEG_MAX_REGIONS} a frame, got {count}")
        arrays = [self.take_patch(patches[i], &given[i]) for i in range(count)]
        self.in_use.take()
        try:
            return self.finish(given, count, out, arrays)
        finally:
            self.in_use.give()

    cdef tuple take_patch(self, item, lf_patch *patch):
        """Check one patch; return the arrays that must live while it is used."""
        if not isinstance(item, (list, tuple)):
            raise ArgumentTypeError(
                "a patch must be given as (patch, x, y) or (patch, x, y, mask), "
                f"got {type(item).__name__}"
            )
        if len(item) not in (3, 4):
            raise InputError(
                "a patch must be given as (patch, x, y) or (patch, x, y, mask), "
                f"got {len(item)} values"
            )
        cdef Array pixels = image_of(item[0], "patch"), alpha
        cdef int x = place_of(item[1], "x"), y = place_of(item[2], "y")
        if pixels.channels != self.image.channels:
            raise InputError(
                f"patch must have the background's {self.image.channels} channels, "
                f"got shape {pixels.shape}"
            )
        patch.image, patch.mask.data = as_image(pixels), NULL
        patch.x, patch.y = x, y
        patch.box.x0, patch.box.y0 = clip(x, self.file.width), clip(y, self.file.height)
        patch.box.x1 = clip(<int64_t> x + pixels.width, self.file.width)
        patch.box.y1 = clip(<int64_t> y + pixels.height, self.file.height)
        if len(item) == 3 or item[3] is None:
            return (pixels,)
        alpha = image_of(item[3], "mask")
        if alpha.channels != 1 or alpha.height != pixels.height or alpha.width != pixels.width:
            raise InputError(
                f"mask must have shape ({pixels.height}, {pixels.width}), got shape {alpha.shape}"
            )
        patch.mask = as_image(alpha)
        return pixels, alpha

    cdef tuple finish(self, lf_patch *given, int count, object out, list arrays):
        """Encode and splice; `arrays` keeps alive what `given` points to."""
        cdef lf_box boxes[LF_JPEG_MAX_REGIONS]
        cdef int regions = 0, i, width, height
        for i in range(count):
            check(lf_jpeg_region(
                &given[i].box, self.file.width, self.file.height, self.sampling,
                self.restart_interval, &boxes[regions]))
            regions += boxes[regions].x1 > 0
        regions = merge(boxes, regions)
        cdef size_t encoded = 0, pixels = 0
        for i in range(regions):
            width, height = boxes[i].x1 - boxes[i].x0, boxes[i].y1 - boxes[i].y0
            encoded += lf_jpeg_bound(width, height, self.sampling)
            pixels += <size_t> width * height * self.image.channels
        self.grow(encoded + pixels)
        if out is None:
            out = np.empty(self.file.size + encoded, np.uint8)
        cdef Array dst = bytes_of(out, "out", True)
        need_apart(dst, self.encoded)
        cdef lf_jpeg_region_pixels parts[LF_JPEG_MAX_REGIONS]
        cdef const lf_rows *rows = rows_of(None)
        cdef lf_scratch scratch
        scratch.data, scratch.size = self.scratch, encoded
        cdef size_t length = 0
        cdef int status
        with nogil:
            status = self.compose(rows, given, count, boxes, regions, self.scratch + encoded, parts)
            if status == LF_OK:
                status = lf_jpeg_splice(
                    self.jpeg, <uint8_t *> dst.view.buf, dst.view.len, &length, &self.file, parts,
                    regions, &scratch)
        if status == LF_ERR_DATA:
            raise InputError(
                "segments must ascend within the file, but these do not; "
                "leave them out to have them found"
            )
        check_full(status, dst, "bound() bytes")
        return out, length

    cdef int grow(self, size_t size) except -1:
        if size <= self.scratch_size:
            return 0
        free(self.scratch)
        self.scratch_size = 0
        self.scratch = <uint8_t *> malloc(size)
        if self.scratch == NULL:
            raise MemoryError(f"no memory for {size} bytes of scratch")
        self.scratch_size = size
        return 0

    cdef int compose(
        self, const lf_rows *rows, const lf_patch *given, int count, const lf_box *boxes,
        int regions, uint8_t *room, lf_jpeg_region_pixels *parts,
    ) noexcept nogil:
        """Fill the pixels of every region: the background, then the patches in turn."""
        cdef int i, k, status
        cdef lf_image whole = as_image(self.image)
        cdef lf_image ground
        cdef const lf_image *mask
        cdef const lf_patch *p
        for i in range(regions):
            parts[i].x, parts[i].y, parts[i].pixels = boxes[i].x0, boxes[i].y0, self.pixels
            p = only_cover(&boxes[i], given, count)
            if p != NULL:
                parts[i].image = part_of(&p.image, &boxes[i], p.x, p.y)
                continue
            ground = part_of(&whole, &boxes[i], 0, 0)
            parts[i].image = ground
            parts[i].image.data = room
            parts[i].image.stride = <ptrdiff_t> ground.width * ground.channels
            status = lf_blend_u8(rows, &parts[i].image, &ground, NULL, 0, 0, 0)
            for k in range(count):
                p = &given[k]
                mask = NULL
                if p.mask.data != NULL:
                    mask = &p.mask
                if status == LF_OK and overlap(&boxes[i], &p.box):
                    status = lf_blend_u8(
                        rows, &parts[i].image, &p.image, mask, p.x - boxes[i].x0,
                        p.y - boxes[i].y0, 0)
            if status != LF_OK:
                return status
            room += ground.height * parts[i].image.stride
        return LF_OK


cdef object _encode(picture, quality, subsampling, restart_interval, format):
    """Encode the background as a JPEG with restart intervals: (n,) uint8, fresh."""
    cdef Array image = image_of(picture, "background")
    check_picture(image)
    if subsampling is None:
        subsampling = "4:0:0" if image.channels == 1 else "4:2:0"
    if restart_interval is None:
        restart_interval = choose_restart_interval(image.width, subsampling)
    interval_for(restart_interval, image.width, sampling_of(subsampling))
    encoder = JpegEncoder(75 if quality is None else quality, subsampling, restart_interval)
    return np.frombuffer(encoder.encode(picture, format=format), np.uint8)
