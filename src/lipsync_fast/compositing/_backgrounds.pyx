# cython: language_level=3, freethreading_compatible=True, auto_pickle=False
"""Backgrounds of a template as C structures, and those that are frames themselves, in place."""
cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from lipsync_fast.kernels._arguments cimport LF_OK, check, image_of
from lipsync_fast.kernels._jpeg cimport (
    lf_jpeg_bound,
    lf_jpeg_create,
    lf_jpeg_destroy,
    lf_jpeg_fits,
    lf_jpeg_info,
    lf_jpeg_read_header,
    lf_jpeg_region,
    sampling_of,
)
from lipsync_fast.kernels._patch cimport lf_patch_scratch_size
from lipsync_fast.kernels._yuv cimport space_of

import numpy as np

from ..errors import ArgumentTypeError, InputError, LayoutError
from ..formats import PACKED_CHANNELS
from ..kernels._yuv import i420_size

_FORMATS = {
    "bgr24": LF_FORMAT_BGR24, "rgb24": LF_FORMAT_RGB24, "bgra": LF_FORMAT_BGRA,
    "rgba": LF_FORMAT_RGBA, "i420": LF_FORMAT_I420, "jpeg": LF_FORMAT_JPEG,
}


@cython.no_gc_clear  # the arrays it points into are read until the last frame in place dies
cdef class Backgrounds:
    """All backgrounds of a template in one output format.

    `use_jpeg`, for JPEG, then `set_mouth` of every background come before the first `Worker`, in
    one thread. Pictures may be set and cleared at any time, each while nobody finishes a frame on
    it. The object points into the given arrays and keeps their buffers exported.

    Parameters
    ----------
    count : int
        Number of backgrounds.
    video : VideoFormat
        Size and colour of the frames.
    format : str
        One of `FRAME_FORMATS`.
    preset : Preset
        Geometry of the mouth, and the range of the generator's output.
    """

    def __cinit__(self, Py_ssize_t count, video, str format, preset):
        self.items = <lf_background *> calloc(count, sizeof(lf_background))
        if self.items == NULL:
            raise MemoryError(f"no memory for {count} backgrounds")
        self.count = count
        self.mouths, self.plans = [], {}
        self.pictures = [None] * count
        self.patch_filter, self.side = preset.patch_filter, preset.view + 2 * preset.patch_border
        memset(&self.limits, 0, sizeof(lf_worker_limits))
        cdef lf_canvas *canvas = &self.canvas
        canvas.format, canvas.channels = _FORMATS[format], PACKED_CHANNELS.get(format, 0)
        canvas.width, canvas.height = video.width, video.height
        canvas.frame_bytes = <size_t> canvas.width * canvas.height * canvas.channels
        if format == "i420":
            canvas.frame_bytes = i420_size(canvas.width, canvas.height)
        canvas.view, canvas.crop = preset.view, preset.crop
        canvas.range.low, canvas.range.high = preset.low, preset.high
        canvas.range.truncate, canvas.range.swap = True, preset.rgb
        canvas.space = space_of(video.matrix, video.full_range)

    def __dealloc__(self):
        free(self.items)
        lf_jpeg_destroy(self.pattern)

    cdef lf_background *at(self, Py_ssize_t index) except NULL:
        if not 0 <= index < self.count:
            raise IndexError(f"background {index} of {self.count}")
        return &self.items[index]

    def use_jpeg(self, int quality, str subsampling, int restart_interval):
        """Set the encoding of the backgrounds, which frames share."""
        self.quality, self.restart_interval = quality, restart_interval
        self.sampling = sampling_of(subsampling)
        lf_jpeg_destroy(self.pattern)
        self.pattern = lf_jpeg_create(quality, self.sampling, restart_interval)
        if self.pattern == NULL:
            raise MemoryError("no memory for a JPEG encoder")

    # ---- mouths ------------------------------------------------------------------------

    def set_mouth(self, Py_ssize_t index, rect, crop, mask, whole=None):
        """Set the mouth's rect (x, y, w, h), stored crop, and alpha over the rect or None.

        `whole` is the rect of the whole crop if only a part of it lies inside the frame.
        """
        cdef lf_background *item = self.at(index)
        item.x, item.y, item.width, item.height = rect
        if item.width == 0:
            return
        if (item.x < 0 or item.y < 0 or item.width < 0 or item.height <= 0
                or item.x + item.width > self.canvas.width
                or item.y + item.height > self.canvas.height):
            raise InputError(f"rect {index} must lie inside the frame, got {tuple(rect)}")
        cdef ResizePlan plan = self.plan(rect, rect if whole is None else whole)
        item.plan = plan.plan
        cdef Array held = flat_bytes(
            crop, "crop", <Py_ssize_t> self.canvas.crop * self.canvas.crop * 3)
        item.crop = <const uint8_t *> held.view.buf
        self.mouths.append(held)
        item.mask = NULL
        if mask is not None:
            held = flat_bytes(mask, "mask", <Py_ssize_t> item.width * item.height)
            item.mask = <const uint8_t *> held.view.buf
            self.mouths.append(held)
        self.limits.mask = max(self.limits.mask, <size_t> item.width * item.height)
        self.limits.patch = 3 * self.limits.mask
        self.limits.resize = max(self.limits.resize, lf_patch_scratch_size(plan.plan))
        if self.canvas.format == LF_FORMAT_JPEG:
            self.set_box(item)

    cdef ResizePlan plan(self, rect, whole):
        """Return the plan of a rect's place in the whole one; equal sizes and places share one."""
        x, y, width, height = (int(side) for side in rect)
        left, top, *size = (int(side) for side in whole)
        key = (x - left, y - top, width, height, *size)
        if key not in self.plans:
            part = None if size == [width, height] else key[:4]
            self.plans[key] = ResizePlan((self.side, self.side), size, self.patch_filter, part)
        return self.plans[key]

    cdef int set_box(self, lf_background *item) except -1:
        """Find the region round the rect, and the bytes that encoding it takes."""
        cdef lf_box rect
        if self.pattern == NULL:
            raise InputError("use_jpeg must be called before set_mouth")
        rect.x0, rect.y0 = item.x, item.y
        rect.x1, rect.y1 = item.x + item.width, item.y + item.height
        check(lf_jpeg_region(&rect, self.canvas.width, self.canvas.height, self.sampling,
                             self.restart_interval, &item.box))
        cdef int w = item.box.x1 - item.box.x0, h = item.box.y1 - item.box.y0
        self.limits.region = max(self.limits.region, <size_t> w * h * 3)
        self.limits.splice = max(self.limits.splice, lf_jpeg_bound(w, h, self.sampling))
        return 0

    @property
    def most_spliced(self):
        """The most bytes that a JPEG's new segments take."""
        return self.limits.splice

    # ---- pictures ----------------------------------------------------------------------

    def set_bgr24(self, Py_ssize_t index, frame, under=None):
        """Set a background from (H, W, 3) uint8, bgr24.

        `under` holds the rect's own pixels, (h, w, 3), if `frame` may have been painted on.
        """
        cdef lf_background *item = self.at(index)
        cdef Array image = image_of(frame, "frame"), own = None
        if (image.width != self.canvas.width or image.height != self.canvas.height
                or image.channels != 3):
            raise InputError(
                f"frame {index} must be {self.canvas.width}x{self.canvas.height} bgr24, "
                f"got shape {image.shape}"
            )
        item.under = NULL
        if under is not None:
            own = flat_bytes(under, "under", <Py_ssize_t> item.width * item.height * 3)
            item.under = <const uint8_t *> own.view.buf
        item.pixels, item.stride = <const uint8_t *> image.view.buf, image.stride
        self.pictures[index] = image, own

    def set_i420(self, Py_ssize_t index, planes):
        """Set a background from flat I420 planes, uint8."""
        cdef lf_background *item = self.at(index)
        cdef Array flat = flat_bytes(
            planes, "planes", i420_size(self.canvas.width, self.canvas.height))
        item.i420 = <const uint8_t *> flat.view.buf
        self.pictures[index] = flat

    def set_jpeg(self, Py_ssize_t index, file, segments, region):
        """Set a background from a JPEG: file, uint32 offsets of its segments, region's pixels."""
        cdef lf_background *item = self.at(index)
        if self.pattern == NULL:
            raise InputError("use_jpeg must be called before set_jpeg")
        cdef Array offsets = Array(segments, "segments", "uint32", 1)
        cdef Array data = flat_bytes(file, "file", -1), pixels
        cdef lf_jpeg_info info
        cdef Py_ssize_t w = item.box.x1 - item.box.x0, h = item.box.y1 - item.box.y0
        if offsets.view.shape[0] > 1 and offsets.view.strides[0] != sizeof(uint32_t):
            raise LayoutError(f"segments must be contiguous, got strides {offsets.strides}")
        if (
            lf_jpeg_read_header(<const uint8_t *> data.view.buf, data.view.len, &info) != LF_OK
            or (info.width, info.height) != (self.canvas.width, self.canvas.height)
            or not lf_jpeg_fits(self.pattern, &info)
            or <size_t> offsets.view.shape[0] != <size_t> info.segments + 1
        ):
            raise InputError(
                f"background {index} must be a JPEG of {self.canvas.width}x{self.canvas.height} "
                f"of quality {self.quality} with {self.restart_interval} MCUs a segment; "
                "prepare the template again"
            )
        pixels = flat_bytes(region, "region", w * h * 3)
        item.jpeg.data, item.jpeg.size = <const uint8_t *> data.view.buf, data.view.len
        item.jpeg.offsets = <const uint32_t *> offsets.view.buf
        item.jpeg.segments = info.segments
        item.jpeg.width, item.jpeg.height = self.canvas.width, self.canvas.height
        item.region = <const uint8_t *> pixels.view.buf
        self.pictures[index] = data, offsets, pixels

    def clear(self, Py_ssize_t index):
        """Forget a background's picture; it must be set before it is finished on again."""
        cdef lf_background *item = self.at(index)
        item.pixels = item.under = item.i420 = item.region = NULL
        memset(&item.jpeg, 0, sizeof(item.jpeg))
        self.pictures[index] = None


cdef Array flat_bytes(object array, str name, Py_ssize_t size):
    """Check a C-contiguous uint8 array of `size` bytes, or of any size if that is -1."""
    cdef Array held = Array(array, name, "uint8", 0)
    if not array.flags.c_contiguous or (size >= 0 and held.view.len != size):
        needed = f"{size} contiguous bytes" if size >= 0 else "contiguous"
        raise InputError(f"{name} must be {needed}, got shape {held.shape}")
    return held


# ---- backgrounds that become frames ------------------------------------------------------

cdef class Lock:
    """A mutex for this file: the stable ABI has none that modules could share."""
    cdef cython.pymutex mutex


@cython.no_gc_clear
cdef class Holders:
    """The holders of backgrounds that are painted in place: at most one frame each.

    Threads may share it. All that paint on the same memory must share it.
    """

    def __cinit__(self, Py_ssize_t count):
        self.lock, self.count = Lock(), count
        self.busy = <unsigned char *> calloc(count, 1)
        if self.busy == NULL:
            raise MemoryError(f"no memory for {count} flags")

    def __dealloc__(self):
        free(self.busy)

    cdef bint take(self, Py_ssize_t index) noexcept:
        cdef bint mine
        cdef Lock lock = self.lock
        with nogil, lock.mutex:
            mine = not self.busy[index]
            self.busy[index] = True
            self.lent += mine
            self.refused += not mine
        return mine

    cdef void give_back(self, Py_ssize_t index) noexcept:
        cdef Lock lock = self.lock
        with nogil, lock.mutex:
            self.busy[index] = False


@cython.no_gc_clear
cdef class InPlace:
    """Backgrounds that are painted in place and lent as frames, without a copy.

    Threads may share it. A background has one holder at a time, until the last view of the
    frame dies. If the backgrounds have pixels `under` the rect, these are then put back;
    otherwise finishing the background again restores the bytes that the last holder painted,
    unless the next frame replaces them.

    Parameters
    ----------
    backgrounds : Backgrounds
        Of format bgr24 or i420, pointing to the same pictures, which do not change; or to
        `frames` themselves, with the pixels under the rects.
    frames : sequence of (...) uint8, C-contiguous, writable
        Private copies of the backgrounds, such as a copy-on-write mapping.
    holders : Holders, optional
        Shared by all that paint on the same frames; its own by default.

    Attributes
    ----------
    lent, refused : int
        Number of lent frames, and of times that a background already had a holder.
    """

    def __cinit__(self, Backgrounds backgrounds not None, frames, Holders holders=None):
        if len(frames) != backgrounds.count:
            raise InputError(
                f"frames must be {backgrounds.count} contiguous pictures, got {len(frames)}"
            )
        cdef Array held
        self.frames, self.shape = [], frames[0].shape
        for frame in frames:
            held = Array(frame, "frames", "uint8", 0, True)
            if not frame.flags.c_contiguous:
                raise InputError(f"frames must be contiguous pictures, got shape {held.shape}")
            if <size_t> held.view.len != backgrounds.canvas.frame_bytes:
                raise InputError(f"frames must have {backgrounds.canvas.frame_bytes} bytes each")
            self.frames.append(held)
        self.backgrounds = backgrounds
        self.holders = Holders(backgrounds.count) if holders is None else holders
        if self.holders.count != backgrounds.count:
            raise InputError(f"holders must be made for {backgrounds.count} backgrounds")

    @property
    def lent(self):
        return self.holders.lent

    @property
    def refused(self):
        return self.holders.refused

    def borrow(self, Py_ssize_t index):
        """Return the background as a frame to finish, or None while another holder has it."""
        self.backgrounds.at(index)
        if not self.holders.take(index):
            return None
        cdef InPlaceFrame painted = InPlaceFrame.__new__(InPlaceFrame)
        cdef Array frame = self.frames[index]
        painted.owner, painted.index, painted.data = self, index, <uint8_t *> frame.view.buf
        return painted

    cdef void restore(self, Py_ssize_t index) noexcept:
        """Put back the pixels under the rect, if they are known."""
        cdef const lf_background *item = &self.backgrounds.items[index]
        if item.under == NULL:
            return
        cdef Array frame = self.frames[index]
        cdef size_t row = <size_t> item.width * 3
        cdef uint8_t *to = <uint8_t *> frame.view.buf
        cdef int y
        to += item.y * item.stride + <ptrdiff_t> item.x * 3
        with nogil:
            for y in range(item.height):
                memcpy(to + y * item.stride, item.under + y * row, row)


cdef class InPlaceFrame:
    """One holder of a background that is painted in place."""

    def __init__(self):
        raise ArgumentTypeError("frames in place are made by InPlace.borrow")

    def array(self):
        """Return the frame: a read-only view that keeps the background held."""
        if self.owner is None:
            raise ArgumentTypeError("this frame was not made by InPlace.borrow")
        return np.ndarray(self.owner.shape, np.uint8, self)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.owner is None:
            raise BufferError("this frame was not made by InPlace.borrow")
        PyBuffer_FillInfo(
            buffer, self, self.data, self.owner.backgrounds.canvas.frame_bytes, 1, flags)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        if self.owner is not None:
            self.owner.restore(self.index)
            self.owner.holders.give_back(self.index)
