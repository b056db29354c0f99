# cython: language_level=3, freethreading_compatible=True, auto_pickle=False
"""Backgrounds of a template as C structures, and the loop that finishes frames on them."""
cimport cython
from cpython.buffer cimport PyBuffer_FillInfo, PyBuffer_IsContiguous
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from libc.stdint cimport int64_t, uint32_t

from lipsync_fast.kernels._arguments cimport (
    LF_ERR_DATA,
    LF_ERR_FULL,
    LF_OK,
    check,
    image_of,
    rows_of,
)
from lipsync_fast.kernels._jpeg cimport (
    lf_jpeg_bound,
    lf_jpeg_create,
    lf_jpeg_destroy,
    lf_jpeg_fits,
    lf_jpeg_info,
    lf_jpeg_read_header,
    sampling_of,
)
from lipsync_fast.kernels._patch cimport lf_patch_scratch_size
from lipsync_fast.kernels._yuv cimport space_of

import numpy as np

from ..errors import ArgumentTypeError, InputError, LayoutError
from ..formats import PACKED_CHANNELS as _PACKED_CHANNELS
from ..kernels._yuv import i420_size

_FORMATS = {
    "bgr24": LF_FORMAT_BGR24, "rgb24": LF_FORMAT_RGB24, "bgra": LF_FORMAT_BGRA,
    "rgba": LF_FORMAT_RGBA, "i420": LF_FORMAT_I420, "jpeg": LF_FORMAT_JPEG,
}


cdef class Backgrounds:
    """All backgrounds of a template in one output format.

    Filled once, by one thread, before the first `Worker`; then read-only and shared. It
    points into the arrays that it was given and keeps their buffers exported.

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
        self.held, self.plans = [], {}
        self.patch_filter, self.side = preset.patch_filter, preset.view + 2 * preset.patch_border
        memset(&self.limits, 0, sizeof(lf_worker_limits))
        cdef lf_canvas *canvas = &self.canvas
        canvas.format, canvas.channels = _FORMATS[format], _PACKED_CHANNELS.get(format, 0)
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

    cdef const uint8_t *hold(self, object array, str name, Py_ssize_t size) except NULL:
        """Return a pointer to the bytes of a C-contiguous uint8 array that stays exported."""
        cdef Array held = Array(array, name, "uint8", 0)
        if held.view.len != size or not array.flags.c_contiguous:
            raise InputError(f"{name} must be {size} contiguous bytes, got shape {held.shape}")
        self.held.append(held)
        return <const uint8_t *> held.view.buf

    def set_mouth(self, Py_ssize_t index, rect, crop, mask, whole=None):
        """Set the mouth's rect (x, y, w, h), stored crop, and alpha over the rect or None.

        `whole` is the rect of the whole crop where only a part of it lies inside the frame.
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
        item.crop = self.hold(crop, "crop", <Py_ssize_t> self.canvas.crop * self.canvas.crop * 3)
        item.mask = NULL
        if mask is not None:
            item.mask = self.hold(mask, "mask", <Py_ssize_t> item.width * item.height)
        self.limits.mask = max(self.limits.mask, <size_t> item.width * item.height)
        self.limits.patch = 3 * self.limits.mask
        self.limits.resize = max(self.limits.resize, lf_patch_scratch_size(plan.plan))

    cdef ResizePlan plan(self, rect, whole):
        """Return the plan of a rect's place in the whole one; equal sizes and places share one."""
        x, y, width, height = (int(side) for side in rect)
        left, top, *size = (int(side) for side in whole)
        key = (x - left, y - top, width, height, *size)
        if key not in self.plans:
            part = None if size == [width, height] else key[:4]
            self.plans[key] = ResizePlan((self.side, self.side), size, self.patch_filter, part)
        return self.plans[key]

    def set_bgr24(self, Py_ssize_t index, frame):
        """Give a background as (H, W, 3) uint8, bgr24."""
        cdef Array image = image_of(frame, "frame")
        if (image.width != self.canvas.width or image.height != self.canvas.height
                or image.channels != 3):
            raise InputError(
                f"frame {index} must be {self.canvas.width}x{self.canvas.height} bgr24, "
                f"got shape {image.shape}"
            )
        cdef lf_background *item = self.at(index)
        item.pixels, item.stride = <const uint8_t *> image.view.buf, image.stride
        self.held.append(image)

    def set_i420(self, Py_ssize_t index, planes):
        """Give a background as flat I420 planes, uint8."""
        cdef Py_ssize_t size = i420_size(self.canvas.width, self.canvas.height)
        self.at(index).i420 = self.hold(planes, "i420", size)

    def use_jpeg(self, int quality, str subsampling, int restart_interval):
        """Set how the backgrounds were encoded; frames are encoded alike."""
        self.quality, self.restart_interval = quality, restart_interval
        self.sampling = sampling_of(subsampling)
        lf_jpeg_destroy(self.pattern)
        self.pattern = lf_jpeg_create(quality, self.sampling, restart_interval)
        if self.pattern == NULL:
            raise MemoryError("no memory for a JPEG encoder")

    def set_jpeg(self, Py_ssize_t index, file, segments, box, region):
        """Give a background as JPEG: file, uint32 segment offsets, region's box and pixels."""
        cdef lf_background *item = self.at(index)
        if self.pattern == NULL:
            raise InputError("use_jpeg must be called before set_jpeg")
        cdef Array offsets = Array(segments, "segments", "uint32", 1)
        x, y, w, h = box
        item.jpeg.data = self.hold(file, "file", file.size)
        item.jpeg.size, item.jpeg.offsets = file.size, <const uint32_t *> offsets.view.buf
        item.jpeg.width, item.jpeg.height = self.canvas.width, self.canvas.height
        self.held.append(offsets)
        cdef lf_jpeg_info info
        if (
            lf_jpeg_read_header(item.jpeg.data, item.jpeg.size, &info) != LF_OK
            or (info.width, info.height) != (self.canvas.width, self.canvas.height)
            or not lf_jpeg_fits(self.pattern, &info)
            or <size_t> offsets.view.shape[0] != <size_t> info.segments + 1
        ):
            raise InputError(
                f"background {index} must be a JPEG of {self.canvas.width}x{self.canvas.height} "
                f"of quality {self.quality} with {self.restart_interval} MCUs a segment; "
                "prepare the template again"
            )
        if w == 0:
            return
        item.box.x0, item.box.y0, item.box.x1, item.box.y1 = x, y, x + w, y + h
        item.region = self.hold(region, "region", <Py_ssize_t> w * h * 3)
        self.limits.region = max(self.limits.region, <size_t> w * h * 3)
        self.limits.splice = max(self.limits.splice, lf_jpeg_bound(w, h, self.sampling))


cdef class Worker:
    """Scratch of one thread for one `Backgrounds`; not to be shared while in use."""

    def __cinit__(self, Backgrounds backgrounds not None, isa=None):
        cdef size_t size = lf_worker_size(&backgrounds.limits)
        block = np.empty(size + 64, np.uint8)
        block.fill(0)  # so that no request touches a page for the first time
        cdef Array memory = Array(block, "scratch", "uint8", 1, True)
        self.memory = memory
        self.backgrounds = backgrounds
        if backgrounds.canvas.format == LF_FORMAT_JPEG:
            self.encoder = lf_jpeg_create(
                backgrounds.quality, backgrounds.sampling, backgrounds.restart_interval)
            if self.encoder == NULL:
                raise MemoryError("no memory for a JPEG encoder")
        cdef size_t start = (<size_t> memory.view.buf + 63) & ~<size_t> 63
        lf_worker_init(&self.worker, &backgrounds.limits, rows_of(isa), self.encoder,
                       <void *> start)

    def __dealloc__(self):
        lf_jpeg_destroy(self.encoder)


cdef class Targets:
    """Buffers of one request, checked and held while frames are written to them.

    Attributes
    ----------
    lengths : (N,) int64
        Bytes written to each buffer.
    """

    def __cinit__(self, Backgrounds backgrounds not None, list buffers):
        self.count, self.backgrounds = len(buffers), backgrounds
        self.items = <lf_target *> calloc(max(self.count, 1), sizeof(lf_target))
        if self.items == NULL:
            raise MemoryError(f"no memory for {self.count} targets")
        self.held = [self.take(backgrounds, i, buffer) for i, buffer in enumerate(buffers)]

    def __dealloc__(self):
        free(self.items)

    cdef object take(self, Backgrounds backgrounds, Py_ssize_t index, object buffer):
        cdef lf_canvas *canvas = &backgrounds.canvas
        cdef lf_target *item = &self.items[index]
        cdef str name = f"out[{index}]"
        cdef Array array
        cdef InPlaceFrame painted
        if isinstance(buffer, InPlaceFrame):
            painted = buffer
            if painted.owner is None or painted.owner.backgrounds is not backgrounds:
                raise InputError(f"{name} must be a frame borrowed from the same backgrounds")
            item.data, item.capacity, item.in_place = painted.data, canvas.frame_bytes, True
            item.stride = canvas.width * canvas.channels
            return painted
        if canvas.channels:
            array = image_of(buffer, name, True)
            if (array.width != canvas.width or array.height != canvas.height
                    or array.channels != canvas.channels):
                raise InputError(
                    f"{name} must have shape ({canvas.height}, {canvas.width}, {canvas.channels}), "
                    f"got {array.shape}"
                )
            item.stride = array.stride
        else:
            array = Array(buffer, name, "uint8", 0, True)
            if not PyBuffer_IsContiguous(&array.view, b"C"):
                raise LayoutError(f"{name} must be C-contiguous, got strides {array.strides}")
            if canvas.format == LF_FORMAT_I420 and <size_t> array.view.len != canvas.frame_bytes:
                raise InputError(
                    f"{name} must have {canvas.frame_bytes} bytes, got {array.view.len}"
                )
        item.data, item.capacity = <uint8_t *> array.view.buf, array.view.len
        return array

    @property
    def lengths(self):
        return np.array([self.items[i].length for i in range(self.count)], np.int64)


cdef class Lock:
    """A mutex of this file's own: the stable ABI has none that modules could share."""
    cdef cython.pymutex mutex


@cython.no_gc_clear  # its lock is needed until the last of its frames has died
cdef class InPlace:
    """Backgrounds that are painted on and lent as frames, without a copy.

    Threads may share it. A background has one holder at a time, until the last view of the
    frame dies. When it is finished again, the bytes that the last holder painted are restored
    unless the next one replaces them.

    Parameters
    ----------
    backgrounds : Backgrounds
        Of format bgr24 or i420, pointing at the same pictures, which stay as they are.
    frames : (n, ...) uint8, C-contiguous, writable
        Private copies of the backgrounds, such as a copy-on-write mapping.

    Attributes
    ----------
    lent, refused : int
        Frames given out, and times that a background already had a holder.
    """

    def __cinit__(self, Backgrounds backgrounds not None, frames):
        cdef Array held = Array(frames, "frames", "uint8", 0, True)
        if not frames.flags.c_contiguous or len(frames) != backgrounds.count:
            raise InputError(
                f"frames must be {backgrounds.count} contiguous pictures, got {held.shape}"
            )
        self.frame_bytes = held.view.len // backgrounds.count
        if <size_t> self.frame_bytes != backgrounds.canvas.frame_bytes:
            raise InputError(f"frames must have {backgrounds.canvas.frame_bytes} bytes each")
        self.backgrounds, self.frames, self.shape = backgrounds, held, frames.shape[1:]
        self.lock = Lock()
        self.busy = <unsigned char *> calloc(backgrounds.count, 1)
        if self.busy == NULL:
            raise MemoryError(f"no memory for {backgrounds.count} flags")

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

    def borrow(self, Py_ssize_t index):
        """Return the background to finish as a frame, or None while another holder has it."""
        self.backgrounds.at(index)
        if not self.take(index):
            return None
        cdef InPlaceFrame painted = InPlaceFrame.__new__(InPlaceFrame)
        painted.owner, painted.index = self, index
        painted.data = <uint8_t *> self.frames.view.buf + index * self.frame_bytes
        return painted


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
        PyBuffer_FillInfo(buffer, self, self.data, self.owner.frame_bytes, 1, flags)

    def __releasebuffer__(self, Py_buffer *buffer):
        pass

    def __dealloc__(self):
        if self.owner is not None:
            self.owner.give_back(self.index)


cdef class Outputs:
    """A generator's outputs for a request, held for the length of one call."""
    cdef Array array
    cdef const float *planes      # or NULL, if the outputs are pictures
    cdef const uint8_t *pictures
    cdef size_t size              # values of one

    def __cinit__(self, Backgrounds backgrounds not None, outputs):
        cdef bint made = outputs.dtype == np.uint8
        self.array = Array(outputs, "outputs", "uint8" if made else "float32", 4)
        self.planes, self.pictures = NULL, NULL
        if made:
            self.pictures = <const uint8_t *> self.array.view.buf
        else:
            self.planes = <const float *> self.array.view.buf
        self.size = 3 * <size_t> backgrounds.canvas.view * backgrounds.canvas.view

    cdef inline void put(self, lf_mouth *mouth, Py_ssize_t i) noexcept nogil:
        mouth.output, mouth.picture = NULL, NULL
        if self.planes != NULL:
            mouth.output = self.planes + i * self.size
        else:
            mouth.picture = self.pictures + i * self.size


def measure(Worker worker not None, outputs, indices, alphas, planes, Py_ssize_t first,
            Py_ssize_t last):
    """Measure how the colours of frames ``first … last − 1`` differ from their backgrounds.

    Parameters
    ----------
    worker, outputs, indices, alphas, first, last
        As in `finish`.
    planes : (N, 3, 3) float64, C-contiguous
        Where to write, as `colour_planes` gives it; NaN for a frame without a mouth.
    """
    cdef Backgrounds backgrounds = worker.backgrounds
    cdef Outputs drawn = Outputs(backgrounds, outputs)
    cdef Array chosen = Array(indices, "indices", "int64", 1)
    cdef Array fades = Array(alphas, "alphas", "uint8", 1)
    cdef Array target = Array(planes, "planes", "float64", 3, True)
    cdef const int64_t *index = <const int64_t *> chosen.view.buf
    cdef const uint8_t *alpha = <const uint8_t *> fades.view.buf
    cdef lf_match_planes *plane = <lf_match_planes *> target.view.buf
    cdef lf_mouth mouth
    cdef int status = LF_OK
    cdef Py_ssize_t i
    if not 0 <= first <= last <= min(chosen.view.shape[0], drawn.array.view.shape[0],
                                     fades.view.shape[0], target.view.shape[0]):
        raise IndexError(f"frames {first} to {last} of {chosen.view.shape[0]}")
    planes[first:last] = np.nan
    with nogil:
        for i in range(first, last):
            if alpha[i] == 0 or backgrounds.items[index[i]].width == 0:
                continue
            drawn.put(&mouth, i)
            status = lf_finish_measure(&backgrounds.canvas, &backgrounds.items[index[i]], &mouth,
                                       &worker.worker, &plane[i])
            if status != LF_OK:
                break
    check(status)


def finish(Worker worker not None, outputs, indices, Targets targets not None,
           Py_ssize_t first, Py_ssize_t last, alphas, matches=None):
    """Finish frames ``first … last − 1`` of a request, without the GIL.

    Parameters
    ----------
    worker : Worker
        This thread's scratch.
    outputs : (N, 3, S, S) float32 or (N, S, S, 3) uint8, C-contiguous
        The generator's outputs: planes, or bgr24 pictures.
    indices : (N,) int64
        Backgrounds, each below the count.
    targets : Targets
        Where to write; threads may fill different frames of one.
    first, last : int
        Half-open run of frames.
    alphas : (N,) uint8
        Of each frame's whole mouth, on top of its mask; 0 leaves the output unread.
    matches : (N, 3, 3) int32, C-contiguous, optional
        Planes that move the colours, in 1/65536 of a level: level, across, down of the channels.

    Raises
    ------
    InputError
        If a JPEG does not fit its buffer.
    """
    cdef Backgrounds backgrounds = worker.backgrounds
    cdef Outputs drawn = Outputs(backgrounds, outputs)
    cdef Array chosen = Array(indices, "indices", "int64", 1)
    cdef Array fades = Array(alphas, "alphas", "uint8", 1)
    cdef Array planes = None if matches is None else Array(matches, "matches", "int32", 3)
    cdef const lf_match *match = NULL
    if planes is not None:
        match = <const lf_match *> planes.view.buf
    cdef const int64_t *index = <const int64_t *> chosen.view.buf
    cdef const uint8_t *alpha = <const uint8_t *> fades.view.buf
    cdef lf_mouth mouth
    cdef lf_target *item
    cdef int status = LF_OK
    cdef Py_ssize_t i = first
    mouth.match = NULL
    cdef Py_ssize_t count = min(
        chosen.view.shape[0], drawn.array.view.shape[0], fades.view.shape[0])
    if targets.backgrounds is not backgrounds:
        raise InputError("targets must be made for the backgrounds of the worker")
    if planes is not None:
        count = min(count, planes.view.shape[0])
    if not 0 <= first <= last <= min(count, targets.count):
        raise IndexError(f"frames {first} to {last} of {targets.count}")
    with nogil:
        while i < last and status == LF_OK:
            item = &targets.items[i]
            drawn.put(&mouth, i)
            mouth.alpha = alpha[i]
            if match != NULL:
                mouth.match = match + i
            status = lf_finish(&backgrounds.canvas, &backgrounds.items[index[i]], &mouth,
                               &worker.worker, item)
            i += 1
    if status == LF_ERR_FULL:
        raise InputError(
            f"out[{i - 1}] is too small for its JPEG, it has "
            f"{targets.items[i - 1].capacity} bytes; jpeg_bound tells how many always suffice"
        )
    if status == LF_ERR_DATA:
        raise InputError(
            f"background {index[i - 1]} must be a JPEG whose segments ascend within its file, but "
            "does not; prepare the template again"
        )
    check(status)
