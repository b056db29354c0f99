# cython: language_level=3, freethreading_compatible=True, auto_pickle=False
"""The loop that finishes frames on backgrounds, and what it needs: scratch and targets."""
from cpython.buffer cimport PyBuffer_IsContiguous
from libc.stdlib cimport calloc, free
from libc.stdint cimport int64_t

from lipsync_fast.compositing._backgrounds cimport (
    LF_FORMAT_I420, LF_FORMAT_JPEG, InPlaceFrame,
)
from lipsync_fast.kernels._arguments cimport (
    LF_ERR_DATA, LF_ERR_FULL, LF_OK, check, extent_of, image_of, rows_of,
)
from lipsync_fast.kernels._jpeg cimport lf_jpeg_create, lf_jpeg_destroy

from bisect import bisect_right
from operator import itemgetter

import numpy as np

from ..errors import InputError, LayoutError

_begin = itemgetter(0)


cdef class Worker:
    """Scratch for one thread and one `Backgrounds`; not to be shared while in use."""

    def __cinit__(self, Backgrounds backgrounds not None, isa=None):
        cdef size_t size = lf_worker_size(&backgrounds.limits)
        block = np.empty(size + 64, np.uint8)
        block.fill(0)  # touch all pages now, not in a request
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


cdef object as_array(Array array):
    return np.asarray(<object> array.view.obj)


cdef bint share_memory(one, other):
    """Whether two arrays share a byte; where that is too hard to tell, whether they may."""
    try:
        return np.shares_memory(one, other, max_work=1_000_000)
    except np.exceptions.TooHardError:
        return True


cdef class Spans:
    """Memory that frames must not be written to, found by its address.

    Parameters
    ----------
    arrays : sequence of ndarray
    """
    cdef list arrays  # begin, end, array
    cdef list begins  # of the extents, joined where they meet
    cdef list ends

    def __init__(self, arrays):
        cdef size_t begin, end
        cdef Array held
        self.arrays, self.begins, self.ends = [], [], []
        for array in arrays:
            held = Array(array, "array", array.dtype.name, 0)
            extent_of(held, &begin, &end)
            self.arrays.append((begin, end, array))
        self.arrays.sort(key=_begin)
        for begin, end, _ in self.arrays:
            if self.ends and begin <= <size_t> self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.begins.append(begin)
                self.ends.append(end)

    cdef bint meets(self, size_t begin, size_t end):
        """Whether an extent reaches into that of any array."""
        after = bisect_right(self.begins, begin)
        if after and <size_t> self.ends[after - 1] > begin:
            return True
        return after < len(self.begins) and <size_t> self.begins[after] < end

    cdef bint shares(self, Array array):
        """Whether an array shares a byte with any of these."""
        cdef size_t begin, end
        extent_of(array, &begin, &end)
        own = as_array(array)
        return any([
            first < end and begin < last and share_memory(own, other)
            for first, last, other in self.arrays
        ])


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

    def need_apart(self, outputs, Spans template not None):
        """Reject buffers that reach into each other, into `outputs` or into a template's arrays.

        Rows of one may lie between those of another.
        """
        cdef size_t begin, end, last_end = 0
        cdef Py_ssize_t i
        cdef Array array
        spans = []
        for i, array in enumerate(self.held):
            extent_of(array, &begin, &end)
            spans.append((begin, end, i))
        spans.sort()
        drawn = Spans([outputs])
        for begin, end, i in spans:
            array = self.held[i]
            if drawn.meets(begin, end) and drawn.shares(array):
                raise InputError(f"out[{i}] must not overlap outputs; pass other memory")
            if template.meets(begin, end) and template.shares(array):
                raise InputError(
                    f"out[{i}] must not overlap the template's own pictures; pass other memory")
            if begin < last_end:
                self.need_apart_from_all(i, spans)
            if end > last_end:
                last_end = end

    cdef int need_apart_from_all(self, Py_ssize_t index, list spans) except -1:
        """Compare one buffer whose extent meets another's with each of those that it meets."""
        cdef Array array = self.held[index], other
        cdef size_t begin, end
        extent_of(array, &begin, &end)
        for other_begin, other_end, i in spans:
            if i == index or other_begin >= end or begin >= other_end:
                continue
            other = self.held[i]
            if share_memory(as_array(array), as_array(other)):
                first, second = sorted((i, index))
                raise InputError(
                    f"out[{second}] must not overlap out[{first}]; pass a buffer for each frame")
        return 0

    @property
    def in_place(self):
        """Number of the backgrounds that become frames."""
        return sum([self.items[i].in_place for i in range(self.count)])

    @property
    def lengths(self):
        return np.array([self.items[i].length for i in range(self.count)], np.int64)


cdef class Outputs:
    """A generator's outputs for a request, held for the duration of one call."""
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
        if (not PyBuffer_IsContiguous(&self.array.view, b"C")
                or <size_t> self.array.view.len
                != self.array.view.shape[0] * self.size * self.array.view.itemsize):
            raise InputError(
                f"outputs must be contiguous, of {self.size} values a frame, "
                f"got shape {self.array.shape}"
            )

    cdef inline void put(self, lf_mouth *mouth, Py_ssize_t i) noexcept nogil:
        mouth.output, mouth.picture = NULL, NULL
        if self.planes != NULL:
            mouth.output = self.planes + i * self.size
        else:
            mouth.picture = self.pictures + i * self.size


cdef Array row_of(object array, str name, str dtype, Py_ssize_t each, bint writable=False):
    """A C-contiguous array of `each` values a frame."""
    cdef Array held = Array(array, name, dtype, 0, writable)
    cdef Py_buffer *view = &held.view
    if (view.ndim < 1 or not PyBuffer_IsContiguous(view, b"C")
            or view.len != view.shape[0] * each * view.itemsize):
        raise InputError(
            f"{name} must be contiguous, {each} a frame, got shape {held.shape} and "
            f"strides {held.strides}"
        )
    return held


cdef int check_run(
    Array chosen, Py_ssize_t first, Py_ssize_t last, Py_ssize_t frames, Backgrounds backgrounds
) except -1:
    """Raise IndexError unless a run lies within the frames, and its backgrounds exist."""
    cdef const int64_t *index = <const int64_t *> chosen.view.buf
    cdef Py_ssize_t i
    if not 0 <= first <= last <= min(frames, chosen.view.shape[0]):
        raise IndexError(f"frames {first} to {last} of {min(frames, chosen.view.shape[0])}")
    for i in range(first, last):
        if not 0 <= index[i] < backgrounds.count:
            raise IndexError(f"background {index[i]} of {backgrounds.count}")
    return 0


def measure(Worker worker not None, outputs, indices, alphas, planes, Py_ssize_t first,
            Py_ssize_t last):
    """Measure how the colours of frames ``first … last − 1`` differ from their backgrounds.

    Parameters
    ----------
    worker, outputs, indices, alphas, first, last
        As in `finish`.
    planes : (N, 3, 3) float64, C-contiguous
        Where to write, in the form of `colour_planes`; NaN for a frame without a mouth.
    """
    cdef Backgrounds backgrounds = worker.backgrounds
    cdef Outputs drawn = Outputs(backgrounds, outputs)
    cdef Array chosen = row_of(indices, "indices", "int64", 1)
    cdef Array fades = row_of(alphas, "alphas", "uint8", 1)
    cdef Array target = row_of(planes, "planes", "float64", 9, True)
    cdef const int64_t *index = <const int64_t *> chosen.view.buf
    cdef const uint8_t *alpha = <const uint8_t *> fades.view.buf
    cdef lf_match_planes *plane = <lf_match_planes *> target.view.buf
    cdef lf_mouth mouth
    cdef int status = LF_OK
    cdef Py_ssize_t i
    check_run(chosen, first, last, min(
        drawn.array.view.shape[0], fades.view.shape[0], target.view.shape[0]), backgrounds)
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
        Where to write; threads may fill different frames.
    first, last : int
        Half-open run of frames.
    alphas : (N,) uint8
        Fade of each frame's mouth, on top of its mask; for 0 the output is not read.
    matches : (N, 3, 3) int32, C-contiguous, optional
        Planes that match the colours, in 1/65536 of a level: level, across, down, by channel.

    Raises
    ------
    InputError
        A JPEG does not fit its buffer.
    """
    cdef Backgrounds backgrounds = worker.backgrounds
    cdef Outputs drawn = Outputs(backgrounds, outputs)
    cdef Array chosen = row_of(indices, "indices", "int64", 1)
    cdef Array fades = row_of(alphas, "alphas", "uint8", 1)
    cdef Array planes = None if matches is None else row_of(matches, "matches", "int32", 9)
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
        targets.count, drawn.array.view.shape[0], fades.view.shape[0])
    if targets.backgrounds is not backgrounds:
        raise InputError("targets must be made for the backgrounds of the worker")
    if planes is not None:
        count = min(count, planes.view.shape[0])
    check_run(chosen, first, last, count, backgrounds)
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
            f"{targets.items[i - 1].capacity} bytes; jpeg_bound returns how many always suffice"
        )
    if status == LF_ERR_DATA:
        raise InputError(
            f"background {index[i - 1]} must be a JPEG whose segments ascend within its file, but "
            "does not; prepare the template again"
        )
    check(status)
