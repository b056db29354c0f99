# cython: language_level=3, freethreading_compatible=True
"""The kernels as Python functions: check buffers, drop the GIL, call C, raise.

Every function takes arrays through the buffer protocol, writes into ``out`` where it is
given, and may be called from several threads at once as long as no two calls write to
the same memory. ``isa`` names the row kernels to use ("c", "avx2", "neon"); it is for
tests and benchmarks, the default is the best that this machine has.
"""
import os
from functools import lru_cache
from operator import index

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport isfinite
from libc.stdlib cimport free, malloc

import numpy as np


# ---- dispatch --------------------------------------------------------------------------

_ISA_CODES = {"c": LF_ISA_C, "avx2": LF_ISA_AVX2, "neon": LF_ISA_NEON}


def available_isas():
    """Names of the ISAs that this build and this CPU have, weakest first.

    Returns
    -------
    tuple of str
        ``("c",)``, ``("c", "avx2")`` or ``("c", "neon")``.
    """
    return tuple(name for name, code in _ISA_CODES.items() if lf_rows_for(code) != NULL)


def _choose_isa():
    have = available_isas()
    asked = os.environ.get("LIPSYNC_FAST_ISA", "")
    if not asked:
        return have[-1]
    if asked not in _ISA_CODES:
        raise ValueError(
            f"LIPSYNC_FAST_ISA must be one of {', '.join(_ISA_CODES)}, got {asked!r}; unset it to use the best"
        )
    if asked not in have:
        raise ValueError(f"LIPSYNC_FAST_ISA={asked} is not available here; this machine has {', '.join(have)}")
    return asked


ISA = _choose_isa()
cdef const lf_rows *_best = lf_rows_for(_ISA_CODES[ISA])


cdef const lf_rows *rows_of(object isa) except NULL:
    if isa is None:
        return _best
    cdef const lf_rows *rows = NULL
    if isa in _ISA_CODES:
        rows = lf_rows_for(_ISA_CODES[isa])
    if rows == NULL:
        raise ValueError(f"isa must be one of {', '.join(available_isas())}, got {isa!r}")
    return rows


cdef int check(int status) except -1:
    """The one door from a C code to an exception: what gets here passed our own checks."""
    if status != LF_OK:
        raise RuntimeError(f"a kernel returned code {status} after its arguments were checked; please report this")
    return 0


# ---- arrays ----------------------------------------------------------------------------

cdef class Array:
    """A caller's array for the length of one call: buffer taken here, given back on death."""

    def __cinit__(self, array, str name, str dtype, int ndim, bint writable=False):
        """`dtype` is the name of the NumPy dtype needed, `ndim` the number of axes, 0 for any."""
        self.name = name
        cdef int flags = PyBUF_FORMAT | PyBUF_STRIDES
        try:
            PyObject_GetBuffer(array, &self.view, flags)
        except (BufferError, TypeError, ValueError):
            raise TypeError(f"{name} must be an array of {dtype}, got {type(array).__name__}") from None
        self.held = True
        if writable and self.view.readonly:
            raise ValueError(f"{name} must be writable, got a read-only array; pass a copy")
        if self.view.format == NULL or (<bytes> self.view.format).decode() != np.dtype(dtype).char:
            raise TypeError(
                f"{name} must be {dtype}, aligned and in native byte order, "
                f"got {getattr(array, 'dtype', 'another type')}; convert it first"
            )
        if ndim and self.view.ndim != ndim:
            raise ValueError(f"{name} must have {ndim} axes, got shape {self.shape}")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    @property
    def shape(self):
        return tuple(self.view.shape[i] for i in range(self.view.ndim))

    @property
    def strides(self):
        return tuple(self.view.strides[i] for i in range(self.view.ndim))


cdef int set_size(Array array, Py_ssize_t height, Py_ssize_t width) except -1:
    if not (1 <= height <= 0x7FFFFFFF and 1 <= width <= 0x7FFFFFFF):
        raise ValueError(f"{array.name} must have 1 to 2**31 - 1 pixels a side, got shape {array.shape}")
    array.height, array.width = height, width
    return 0


cdef Array image_of(object array, str name, bint writable=False):
    """An image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8, pixels in a row packed, rows anywhere."""
    cdef Array image = Array(array, name, "uint8", 0, writable)
    cdef Py_buffer *view = &image.view
    if view.ndim not in (2, 3) or (view.ndim == 3 and view.shape[2] not in (1, 3, 4)):
        raise ValueError(f"{name} must have shape (H, W) or (H, W, C) with C of 1, 3 or 4, got shape {image.shape}")
    set_size(image, view.shape[0], view.shape[1])
    image.channels = view.shape[2] if view.ndim == 3 else 1
    image.stride = view.strides[0]
    if (image.width > 1 and view.strides[1] != image.channels) or (image.channels > 1 and view.strides[2] != 1):
        raise TypeError(f"{name} must have the pixels of a row packed, got strides {image.strides}; pass a copy")
    return image


cdef Array planes_of(object array, str name, bint writable=False):
    """Float planes: (3, H, W) float32, values of a row packed, rows and planes anywhere."""
    cdef Array planes = Array(array, name, "float32", 3, writable)
    cdef Py_buffer *view = &planes.view
    if view.shape[0] != 3:
        raise ValueError(f"{name} must have shape (3, H, W), got shape {planes.shape}")
    set_size(planes, view.shape[1], view.shape[2])
    planes.plane_stride, planes.stride = view.strides[0], view.strides[1]
    if (planes.width > 1 and view.strides[2] != 4) or <size_t> view.buf % 4 or view.strides[0] % 4 or view.strides[1] % 4:
        raise TypeError(
            f"{name} must have the values of a row packed and aligned to 4 bytes, got strides {planes.strides}; pass a copy"
        )
    return planes


cdef void extent_of(Array array, size_t *begin, size_t *end) noexcept:
    """The addresses [begin, end) between which all of the array lies."""
    cdef int axis
    cdef ptrdiff_t span
    begin[0] = <size_t> array.view.buf
    end[0] = begin[0] + array.view.itemsize
    for axis in range(array.view.ndim):
        span = (array.view.shape[axis] - 1) * array.view.strides[axis]
        if span < 0:
            begin[0] += span
        else:
            end[0] += span


cdef int need_apart(Array out, Array source) except -1:
    """Refuse an output whose memory reaches into an input's."""
    cdef size_t out_begin, out_end, begin, end
    extent_of(out, &out_begin, &out_end)
    extent_of(source, &begin, &end)
    if out_begin < end and begin < out_end:
        raise ValueError(f"{out.name} must not overlap {source.name}; pass other memory or a copy")
    return 0


# ---- convert ---------------------------------------------------------------------------

cdef lf_tone tone_of(object low, object high, str rounding, bint swap) except *:
    cdef lf_tone tone
    if rounding not in ("truncate", "round"):
        raise ValueError(f"rounding must be 'truncate' or 'round', got {rounding!r}")
    tone.low, tone.high = low, high
    tone.truncate, tone.swap = rounding == "truncate", swap
    if not (isfinite(tone.low) and isfinite(tone.high) and isfinite(tone.high - tone.low) and tone.low < tone.high):
        raise ValueError(f"low and high must be finite with low < high, got {low} and {high}")
    return tone


def convert(planar, out=None, *, low=0.0, high=1.0, rounding="truncate", swap=False, isa=None):
    """Turn a net's planar floats into packed bytes.

    ``byte = (value - low) * (255 / (high - low))``, clamped to 0..255; NaN gives 0. In the
    range 0..1 these are the bytes of ``(value * 255).astype(uint8)``.

    Parameters
    ----------
    planar : (3, H, W) float32
        One picture; values of a row packed, rows and planes may be apart.
    out : (H, W, 3) or (H, W, 4) uint8, optional
        Where to write; pixels of a row packed, rows may be apart. A fourth byte becomes 255.
    low, high : float
        The values that stand for the bytes 0 and 255: 0 and 1, or -1 and 1.
    rounding : {"truncate", "round"}
        Cut the fraction off, as the nets' own scripts do, or round to the nearest, ties to even.
    swap : bool
        Exchange the first and third channel: RGB planes to bgr24 pixels or the reverse.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (H, W, 3) or (H, W, 4) uint8
        `out`, or a fresh array of three channels.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape, range or rounding, a read-only `out`, or one that overlaps `planar`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_tone tone = tone_of(low, high, rounding, swap)
    cdef Array src = planes_of(planar, "planar")
    if out is None:
        out = np.empty((src.height, src.width, 3), np.uint8)
    cdef Array dst = image_of(out, "out", True)
    if dst.height != src.height or dst.width != src.width or dst.channels not in (3, 4):
        raise ValueError(f"out must have shape ({src.height}, {src.width}, 3 or 4), got shape {dst.shape}")
    need_apart(dst, src)
    cdef int status
    with nogil:
        if dst.channels == 3:
            status = lf_convert_f32p3_u8x3(
                rows, <uint8_t *> dst.view.buf, dst.stride, <const float *> src.view.buf,
                src.stride, src.plane_stride, src.width, src.height, &tone)
        else:
            status = lf_convert_f32p3_u8x4(
                rows, <uint8_t *> dst.view.buf, dst.stride, <const float *> src.view.buf,
                src.stride, src.plane_stride, src.width, src.height, &tone)
    check(status)
    return out


def to_planes(image, out=None, *, low=0.0, high=1.0, swap=False, black=None, isa=None):
    """Turn packed bytes into the planar floats that a net sees.

    ``value = byte / 255 * (high - low) + low``, each step one float32 operation: in the range
    0..1 the bits of ``byte / 255``, in -1..1 those of ``(byte / 255 - 0.5) / 0.5``.

    Parameters
    ----------
    image : (H, W, 3) uint8
        A picture or a view into a larger one; pixels of a row packed, rows may be apart.
    out : (3, H, W) float32, optional
        Where to write, such as three planes of a net's input; values of a row packed.
    low, high : float
        The values that stand for the bytes 0 and 255: 0 and 1, or -1 and 1.
    swap : bool
        Exchange the first and third channel: bgr24 pixels to RGB planes or the reverse.
    black : (x0, y0, x1, y1), optional
        Half-open box in pixels, inside the image, that is stored as the value of byte 0.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (3, H, W) float32
        `out`, or a fresh array.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape, range or box, a read-only `out`, or one that overlaps `image`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_tone tone = tone_of(low, high, "truncate", swap)
    cdef Array src = image_of(image, "image")
    if src.channels != 3:
        raise ValueError(f"image must have shape (H, W, 3), got shape {src.shape}")
    cdef lf_box box
    if black is not None:
        x0, y0, x1, y1 = map(index, black)
        if not (0 <= x0 <= x1 <= src.width and 0 <= y0 <= y1 <= src.height):
            raise ValueError(f"black must be a box (x0, y0, x1, y1) inside {src.width}x{src.height}, got {black}")
        box.x0, box.y0, box.x1, box.y1 = x0, y0, x1, y1
    cdef const lf_box *box_or_null = NULL if black is None else &box
    if out is None:
        out = np.empty((3, src.height, src.width), np.float32)
    cdef Array dst = planes_of(out, "out", True)
    if dst.height != src.height or dst.width != src.width:
        raise ValueError(f"out must have shape (3, {src.height}, {src.width}), got shape {dst.shape}")
    need_apart(dst, src)
    cdef int status
    with nogil:
        status = lf_convert_u8x3_f32p3(
            rows, <float *> dst.view.buf, dst.stride, dst.plane_stride,
            <const uint8_t *> src.view.buf, src.stride, src.width, src.height, &tone, box_or_null)
    check(status)
    return out


# ---- resize ----------------------------------------------------------------------------

_RESIZE_FILTERS = {
    "nearest": LF_RESIZE_NEAREST,
    "bilinear": LF_RESIZE_BILINEAR,
    "bicubic": LF_RESIZE_BICUBIC,
    "area": LF_RESIZE_AREA,
    "bilinear_topleft": LF_RESIZE_BILINEAR_TOPLEFT,
    "bilinear_aa": LF_RESIZE_BILINEAR_AA,
    "bicubic_aa": LF_RESIZE_BICUBIC_AA,
    "lanczos_aa": LF_RESIZE_LANCZOS_AA,
}


cdef tuple sides_of(object size, str name):
    try:
        width, height = map(index, size)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be (width, height) in whole pixels, got {size!r}") from None
    if not (1 <= width <= LF_RESIZE_SIDE and 1 <= height <= LF_RESIZE_SIDE):
        raise ValueError(f"{name} must have sides of 1 to {LF_RESIZE_SIDE} pixels, got {width}x{height}")
    return (width, height)


cdef class Lock:
    """A mutex of this file's own: the stable ABI has none that modules could share."""
    cdef cython.pymutex mutex


cdef class ResizePlan:
    """Sampling positions and weights for one pair of sizes, computed once.

    For callers that resize many pictures between the same two sizes, from any number of
    threads: a warm plan allocates nothing when it is given `out`.

    Parameters
    ----------
    source, target : (width, height)
        Sizes in pixels, each side 1 to 32767.
    filter : str
        As in `resize`.

    Attributes
    ----------
    source, target : tuple of int
    filter : str

    Raises
    ------
    ValueError
        A side out of range or an unknown filter.
    """

    def __cinit__(self, source, target, str filter="bilinear"):
        self.spare_lock = Lock()
        self.source, self.target, self.filter = sides_of(source, "source"), sides_of(target, "target"), filter
        if filter not in _RESIZE_FILTERS:
            raise ValueError(f"filter must be one of {', '.join(_RESIZE_FILTERS)}, got {filter!r}")
        cdef lf_resize_filter code = _RESIZE_FILTERS[filter]
        cdef int src_width = self.source[0], src_height = self.source[1]
        cdef int dst_width = self.target[0], dst_height = self.target[1]
        cdef size_t size = lf_resize_plan_size(src_width, src_height, dst_width, dst_height, code)
        self.plan = <lf_resize_plan *> PyMem_Malloc(size)
        if self.plan == NULL:
            raise MemoryError(f"a resize plan needs {size} bytes, the system has none")
        cdef int status
        with nogil:
            status = lf_resize_plan_init(self.plan, size, src_width, src_height, dst_width, dst_height, code)
        check(status)

    def __dealloc__(self):
        PyMem_Free(self.plan)
        free(self.spare)

    cdef void *borrow_scratch(self, size_t size) except? NULL:
        """The idle scratch, if it is large enough, else a new one; NULL for size 0."""
        cdef void *scratch = NULL
        cdef Lock lock = self.spare_lock
        if size == 0:
            return NULL
        with lock.mutex:
            if self.spare_size >= size:
                scratch, self.spare, self.spare_size = self.spare, NULL, 0
        if scratch == NULL:
            scratch = malloc(size)
        if scratch == NULL:
            raise MemoryError(f"resize needs {size} bytes of scratch, the system has none")
        return scratch

    cdef void return_scratch(self, void *scratch, size_t size) noexcept:
        """Keeps the larger of this scratch and the idle one for the next call."""
        cdef Lock lock = self.spare_lock
        with lock.mutex:
            if size > self.spare_size:
                self.spare, scratch = scratch, self.spare
                self.spare_size = size
        free(scratch)

    def resize(self, src, out=None, *, isa=None):
        """Resize a picture of the plan's source size.

        Parameters
        ----------
        src : (H, W), (H, W, 3) or (H, W, 4) uint8
            Of size `source`; pixels of a row packed, rows may be apart.
        out : uint8 array, optional
            Of size `target` and with the channels of `src`; pixels of a row packed, rows may be
            apart.
        isa : str, optional
            The row kernels to use, for tests and benchmarks.

        Returns
        -------
        uint8 array
            `out`, or a fresh array.

        Raises
        ------
        TypeError
            Wrong dtype or layout.
        ValueError
            Wrong shape, a read-only `out`, or one that overlaps `src`.
        """
        cdef const lf_rows *rows = rows_of(isa)
        cdef Array source = image_of(src, "src")
        cdef int width = self.target[0], height = self.target[1]
        if source.width != self.source[0] or source.height != self.source[1]:
            raise ValueError(
                f"src must have the plan's size {self.source[0]}x{self.source[1]} "
                f"(width x height), got shape {source.shape}"
            )
        if out is None:
            out = np.empty((height, width) + source.shape[2:], np.uint8)
        cdef Array target = image_of(out, "out", True)
        if target.width != width or target.height != height or target.channels != source.channels:
            raise ValueError(
                f"out must have shape {(height, width) + source.shape[2:]}, got shape {target.shape}"
            )
        need_apart(target, source)
        cdef size_t size = lf_resize_scratch_size(self.plan, source.channels)
        cdef void *scratch = self.borrow_scratch(size)
        cdef int status
        with nogil:
            status = lf_resize_u8(
                rows, <uint8_t *> target.view.buf, target.stride, <const uint8_t *> source.view.buf,
                source.stride, source.channels, self.plan, scratch, size)
        self.return_scratch(scratch, size)
        check(status)
        return out

    def __repr__(self):
        return f"ResizePlan({self.source}, {self.target}, {self.filter!r})"


# Plans of the last pairs of sizes; lru_cache is safe under threads, with a GIL or without.
_plan_of = lru_cache(maxsize=32)(ResizePlan)


def resize(src, out=None, *, size=None, str filter="bilinear", isa=None):
    """Resize a picture.

    The plans of the last 32 pairs of sizes are kept; hold a `ResizePlan` where more are in use.

    Parameters
    ----------
    src : (H, W), (H, W, 3) or (H, W, 4) uint8
        Pixels of a row packed, rows may be apart; every channel is resized by itself. Sides of 1
        to 32767 pixels.
    out : uint8 array, optional
        Where to write, with the channels of `src`; its size is the new size.
    size : (width, height), optional
        The new size; needed without `out`.
    filter : str
        Equal sampling, the kernel not widened when shrinking: ``"nearest"``, ``"bilinear"``
        (byte for byte OpenCV's ``INTER_LINEAR``), ``"bicubic"`` (a = -0.75, within one level of
        ``INTER_CUBIC``), ``"bilinear_topleft"`` (pixel x of the result samples x * scale of the
        source, as the first generation's frames did). ``"area"``: the mean of the covered
        pixels, within one level of ``INTER_AREA``, and where a side grows byte for byte equal
        to it. Antialiased, byte for byte Pillow's ``Image.resize``: ``"bilinear_aa"``,
        ``"bicubic_aa"`` (a = -0.5), ``"lanczos_aa"``.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    uint8 array
        `out`, or a fresh array.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape, side, filter or size, a read-only `out`, or one that overlaps `src`.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", 1981. OpenCV,
    modules/imgproc/src/resize.cpp and Pillow, src/libImaging/Resample.c, for the sampling
    positions and the roundings.
    """
    cdef Array source = image_of(src, "src")
    cdef Array target
    if out is not None:
        target = image_of(out, "out", True)
        if size is not None and sides_of(size, "size") != (target.width, target.height):
            raise ValueError(f"size must be out's size {target.width}x{target.height}, got {size}; leave one of them away")
        size = (target.width, target.height)
    elif size is None:
        raise ValueError("resize needs size=(width, height) or out=, got neither")
    cdef tuple before = sides_of((source.width, source.height), "src")
    cdef tuple after = sides_of(size, "size" if out is None else "out")
    cdef ResizePlan plan = _plan_of(before, after, filter)
    return plan.resize(src, out, isa=isa)


# ---- match -----------------------------------------------------------------------------

def colour_planes(patch, background, *, int ring=8):
    """Measure how the colours of a patch differ from its background along the border.

    A plane for each channel, fitted by least squares to background − patch over the ring of
    pixels less than `ring` from the border: what low frequencies the patch lacks.

    Parameters
    ----------
    patch, background : (h, w, 3) uint8
        Of one shape and channel order; pixels of a row packed, rows may be apart.
    ring : int
        Width of the ring in pixels, 1 or more; one that reaches the centre takes all pixels.

    Returns
    -------
    (3, 3) float64, fresh
        Rows: level at the centre; slope across and slope down, per half pixel. Columns: the
        channels. In levels of 255. :func:`match_colour` takes it.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong or different shapes, or a ring below 1.
    """
    cdef Array made = image_of(patch, "patch")
    cdef Array base = image_of(background, "background")
    if made.channels != 3 or made.width > LF_RESIZE_SIDE or made.height > LF_RESIZE_SIDE:
        raise ValueError(f"patch must have shape (h, w, 3), at most {LF_RESIZE_SIDE} a side, got shape {made.shape}")
    if made.shape != base.shape:
        raise ValueError(f"background must have patch's shape {made.shape}, got shape {base.shape}")
    if ring < 1:
        raise ValueError(f"ring must be 1 pixel or more, got {ring}")
    planes = np.empty((3, 3), np.float64)
    cdef Array target = Array(planes, "planes", "float64", 2, True)
    cdef int status
    with nogil:
        status = lf_match_measure_u8x3(
            <lf_match_planes *> target.view.buf, <const uint8_t *> made.view.buf, made.stride,
            <const uint8_t *> base.view.buf, base.stride, made.width, made.height, ring)
    check(status)
    return planes


cdef lf_match match_of(object planes) except *:
    """Planes of `colour_planes` as the kernels' whole numbers."""
    cdef lf_match match
    exact = np.asarray(planes, np.float64)
    if exact.shape != (3, 3) or not (np.abs(exact) < 1024).all():
        raise ValueError(f"planes must be (3, 3) finite levels as colour_planes gives them, got {exact.tolist()}")
    for c, (level, across, down) in enumerate(np.rint(exact * (1 << LF_MATCH_BITS)).astype(np.int32).T.tolist()):
        match.level[c], match.across[c], match.down[c] = level, across, down
    return match


def match_colour(patch, planes, out=None, *, isa=None):
    """Add planes of `colour_planes` to a patch: each byte rounded to the nearest and clamped.

    Parameters
    ----------
    patch : (h, w, 3) or (h, w, 4) uint8
        Pixels of a row packed, rows may be apart; a fourth channel stays.
    planes : (3, 3) float64
        Rows: level at the centre, slope across, slope down; columns: the channels. Kept to
        1/65536 of a level.
    out : array like `patch`, optional
        Where to write; ``out=patch`` works in place.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    array like `patch`
        `out`, or a fresh array.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape, planes out of range, a read-only `out`, or one that overlaps `patch`
        without being it.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_match match = match_of(planes)
    cdef Array src = image_of(patch, "patch")
    if src.channels == 1:
        raise ValueError(f"patch must have shape (h, w, 3) or (h, w, 4), got shape {src.shape}")
    if src.width > LF_RESIZE_SIDE or src.height > LF_RESIZE_SIDE:
        raise ValueError(f"patch must have at most {LF_RESIZE_SIDE} pixels a side, got shape {src.shape}")
    if out is None:
        out = np.empty(src.shape, np.uint8)
    cdef Array dst = image_of(out, "out", True)
    if dst.shape != src.shape:
        raise ValueError(f"out must have patch's shape {src.shape}, got shape {dst.shape}")
    cdef bint in_place = dst.view.buf == src.view.buf and dst.stride == src.stride
    if not in_place:
        need_apart(dst, src)
    cdef int status = LF_OK
    with nogil:
        if not in_place:
            status = lf_blend_u8(
                rows, <uint8_t *> dst.view.buf, dst.stride, dst.width, dst.height, dst.channels,
                <const uint8_t *> src.view.buf, src.stride, src.width, src.height, src.channels,
                NULL, 0, 0, 0, 0)
        if status == LF_OK:
            status = lf_match_u8(
                rows, <uint8_t *> dst.view.buf, dst.stride, dst.width, dst.height, dst.channels,
                &match)
    if status == LF_ERR_ARGUMENT:
        raise ValueError(f"planes reach beyond what {dst.width}x{dst.height} pixels can hold: {planes}")
    check(status)
    return out


# ---- patch -----------------------------------------------------------------------------

def patch(
    planar, ResizePlan plan not None, crop=None, out=None, *, low=0.0, high=1.0,
    rounding="truncate", swap=False, planes=None, isa=None,
):
    """Turn a net's output into the pixels of its rect, in one pass.

    The bytes of `convert` into the middle of the crop and `resize` of the whole, without the
    picture between.

    Parameters
    ----------
    planar : (3, S, S) float32
        The net's output; values of a row packed, rows and planes may be apart.
    plan : ResizePlan
        From the crop's size (C, C) to the rect's; (C - S) / 2 is the border in pixels.
    crop : (C, C, 3) uint8, optional
        The stored crop, of which only the border is read; not needed where C is S.
    out : (h, w, 3) uint8, optional
        Where to write; pixels of a row packed, rows may be apart.
    low, high, rounding, swap
        As in `convert`.
    planes : (3, 3) float64, optional
        Move the colours of the picture in the middle, as `match_colour` does.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (h, w, 3) uint8
        `out`, or a fresh array.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape, range or rounding, a read-only `out`, or one that overlaps an input.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_tone tone = tone_of(low, high, rounding, swap)
    cdef Array src = planes_of(planar, "planar")
    cdef int width = plan.source[0], height = plan.source[1]
    cdef int border = (width - src.width) // 2
    cdef Array edge = None
    if width != height or src.width != src.height or src.width + 2 * border != width or border < 0:
        raise ValueError(
            f"planar must be a square with an equal border on all sides of the plan's {width}x{height}, "
            f"got shape {src.shape}"
        )
    if border:
        if crop is None:
            raise ValueError(f"crop must be given for a border of {border} pixels, got None")
        edge = image_of(crop, "crop")
        if edge.width != width or edge.height != height or edge.channels != 3:
            raise ValueError(f"crop must have shape ({height}, {width}, 3), got shape {edge.shape}")
    if out is None:
        out = np.empty((plan.target[1], plan.target[0], 3), np.uint8)
    cdef Array dst = image_of(out, "out", True)
    if (dst.width, dst.height) != plan.target or dst.channels != 3:
        raise ValueError(f"out must have shape ({plan.target[1]}, {plan.target[0]}, 3), got shape {dst.shape}")
    need_apart(dst, src)
    if edge is not None:
        need_apart(dst, edge)
    cdef const uint8_t *edge_pixels = NULL if edge is None else <uint8_t *> edge.view.buf
    cdef ptrdiff_t edge_stride = 0 if edge is None else edge.stride
    cdef lf_match match
    cdef const lf_match *moved = NULL
    if planes is not None:
        match = match_of(planes)
        moved = &match
    cdef size_t size = lf_patch_scratch_size(plan.plan)
    cdef void *scratch = plan.borrow_scratch(size)
    cdef int status
    with nogil:
        status = lf_patch_f32p3_u8x3(
            rows, <uint8_t *> dst.view.buf, dst.stride, <const float *> src.view.buf, src.stride,
            src.plane_stride, src.width, &tone, moved, edge_pixels, edge_stride, border, plan.plan,
            scratch, size)
    plan.return_scratch(scratch, size)
    check(status)
    return out


# ---- blend -----------------------------------------------------------------------------

def blend(patch, background, mask=None, out=None, *, x=0, y=0, bint swap=False, isa=None):
    """Put a patch onto a background, as it is or through an alpha mask.

    The patch's top left pixel lands at (x, y); what lies outside the background is cut off.
    Alpha mixes as ``t = d*(255-a) + s*a + 128; (t + (t >> 8)) >> 8``, the rounded quotient by
    255: 0 keeps the background, 255 gives the patch.

    Parameters
    ----------
    patch : (h, w), (h, w, 3) or (h, w, 4) uint8
        Pixels of a row packed, rows may be apart; as all images here.
    background : (H, W), (H, W, 3) or (H, W, 4) uint8
        As many channels as the patch, all mixed alike; or four to the patch's three, and then
        its fourth channel stays.
    mask : (h, w) uint8, optional
        Alpha of each patch pixel. Without it the patch replaces the background.
    out : array like `background`, optional
        Where to write; ``out=background`` works in place and touches only the patch's pixels.
    x, y : int
        Place of the patch in pixels; may be negative or beyond the background.
    swap : bool
        Exchange the first and third channel of a patch of three: bgr24 onto rgb24 or rgba.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    array like `background`
        `out`, or a fresh array.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape, a read-only `out`, or one that overlaps an input without being `background`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef int left = index(x)
    cdef int top = index(y)
    cdef Array src = image_of(patch, "patch")
    cdef Array base = image_of(background, "background")
    cdef Array alpha = None
    if src.channels != base.channels and not (src.channels == 3 and base.channels == 4):
        raise ValueError(f"patch must have background's channels, or 3 onto 4; got {src.channels} onto {base.channels}")
    if swap and src.channels != 3:
        raise ValueError(f"swap needs a patch of 3 channels, got {src.channels}")
    if mask is not None:
        alpha = image_of(mask, "mask")
        if alpha.channels != 1 or alpha.height != src.height or alpha.width != src.width:
            raise ValueError(f"mask must have shape ({src.height}, {src.width}), got shape {alpha.shape}")
    if out is None:
        out = np.empty(base.shape, np.uint8)
    cdef Array dst = image_of(out, "out", True)
    if dst.shape != base.shape:
        raise ValueError(f"out must have background's shape {base.shape}, got shape {dst.shape}")
    cdef bint in_place = dst.view.buf == base.view.buf and dst.stride == base.stride
    if not in_place:
        need_apart(dst, base)
    need_apart(dst, src)
    if alpha is not None:
        need_apart(dst, alpha)
    cdef const uint8_t *alphas = NULL if alpha is None else <uint8_t *> alpha.view.buf
    cdef ptrdiff_t alpha_stride = 0 if alpha is None else alpha.stride
    cdef int status = LF_OK
    with nogil:
        if not in_place:
            status = lf_blend_u8(
                rows, <uint8_t *> dst.view.buf, dst.stride, dst.width, dst.height, dst.channels,
                <const uint8_t *> base.view.buf, base.stride, base.width, base.height,
                base.channels, NULL, 0, 0, 0, 0)
        if status == LF_OK:
            status = lf_blend_u8(
                rows, <uint8_t *> dst.view.buf, dst.stride, dst.width, dst.height, dst.channels,
                <const uint8_t *> src.view.buf, src.stride, src.width, src.height, src.channels,
                alphas, alpha_stride, left, top, swap)
    check(status)
    return out


# ---- yuv -------------------------------------------------------------------------------

_MATRICES = {"bt601": LF_BT601, "bt709": LF_BT709}


cdef lf_yuv_matrix matrix_of(object matrix) except *:
    if matrix not in _MATRICES:
        raise ValueError(f"matrix must be 'bt601' or 'bt709', got {matrix!r}")
    return _MATRICES[matrix]


cdef class Planes:
    """A caller's I420 picture for the length of one call: its three planes and their geometry."""


cdef Planes i420_of(object picture, str name, object width, object height, bint writable=False):
    """An I420 picture, given as planes (y, u, v) or as one buffer, whose size must then be known.

    Planes: (H, W) and twice ((H+1)//2, (W+1)//2) uint8, pixels in a row packed, rows anywhere.
    """
    cdef Planes checked = Planes()
    if isinstance(picture, (tuple, list)):
        if len(picture) != 3:
            raise ValueError(f"{name} must be three planes (y, u, v), got {len(picture)}")
    elif width is None or height is None:
        raise ValueError(f"{name} is one buffer, so width and height are needed; or pass planes (y, u, v)")
    else:
        picture = i420_planes(picture, width, height)
    checked.y = image_of(picture[0], f"{name}[0]", writable)
    checked.u = image_of(picture[1], f"{name}[1]", writable)
    checked.v = image_of(picture[2], f"{name}[2]", writable)
    cdef Array y = checked.y
    cdef Array chroma
    if y.channels != 1 or y.width > LF_I420_MAX_SIDE or y.height > LF_I420_MAX_SIDE:
        raise ValueError(f"{y.name} must have shape (H, W), at most {LF_I420_MAX_SIDE} a side, got shape {y.shape}")
    for chroma in (checked.u, checked.v):
        if chroma.channels != 1 or chroma.height != (y.height + 1) // 2 or chroma.width != (y.width + 1) // 2:
            raise ValueError(
                f"{chroma.name} must have shape ({(y.height + 1) // 2}, {(y.width + 1) // 2}) "
                f"beside luma of {y.shape}, got shape {chroma.shape}")
    checked.i420.y, checked.i420.y_stride = <uint8_t *> y.view.buf, y.stride
    checked.i420.u, checked.i420.u_stride = <uint8_t *> checked.u.view.buf, checked.u.stride
    checked.i420.v, checked.i420.v_stride = <uint8_t *> checked.v.view.buf, checked.v.stride
    checked.i420.width, checked.i420.height = y.width, y.height
    if (width is not None and width != y.width) or (height is not None and height != y.height):
        raise ValueError(f"{y.name} must have shape ({height}, {width}) as width and height say, got shape {y.shape}")
    return checked


def i420_size(int width, int height):
    """Count the bytes of a contiguous I420 picture.

    Parameters
    ----------
    width, height : int
        Luma pixels, 1 or more; odd sizes too.

    Returns
    -------
    int
        ``W*H + 2*ceil(W/2)*ceil(H/2)``; for even sizes ``W*H*3/2``.

    Raises
    ------
    ValueError
        A side below 1 or above 2**24.
    """
    if not (1 <= width <= LF_I420_MAX_SIDE and 1 <= height <= LF_I420_MAX_SIDE):
        raise ValueError(f"width and height must be 1 to {LF_I420_MAX_SIDE}, got {width}x{height}")
    return <int64_t> width * height + 2 * <int64_t> ((width + 1) // 2) * ((height + 1) // 2)


def i420_planes(buffer, width, height):
    """View a contiguous I420 picture as its three planes.

    Parameters
    ----------
    buffer : uint8 array of ``i420_size(width, height)`` elements, C-contiguous
        Luma, then U, then V, each row by row. Any shape: flat, or (H*3/2, W) where the sides
        are even, as OpenCV and PyAV have it.
    width, height : int
        Luma pixels; odd sizes too.

    Returns
    -------
    tuple of three uint8 arrays
        Views (H, W), (ceil(H/2), ceil(W/2)), (ceil(H/2), ceil(W/2)); read-only if `buffer` is.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong size.
    """
    size = i420_size(width, height)
    flat = np.asarray(buffer)
    if flat.dtype != np.uint8:
        raise TypeError(f"buffer must be uint8, got {flat.dtype}; convert it first")
    if flat.size != size:
        raise ValueError(f"buffer must have {size} bytes for {width}x{height}, got shape {flat.shape}")
    if not flat.flags.c_contiguous:
        raise TypeError(f"buffer must be C-contiguous, got strides {flat.strides}; pass a copy")
    flat = flat.reshape(-1)
    rows, columns = (height + 1) // 2, (width + 1) // 2
    luma, u = width * height, width * height + rows * columns
    return (
        flat[:luma].reshape(height, width),
        flat[luma:u].reshape(rows, columns),
        flat[u:].reshape(rows, columns),
    )


def to_i420(image, out=None, *, matrix="bt601", bint full_range=False, bint swap=False, isa=None):
    """Convert packed pixels to I420.

    Chroma is the mean of its 2x2 pixels; at an odd right or lower edge, of those that exist.
    Every value is rounded once, in integers, and within 0.6 of the exact one.

    Parameters
    ----------
    image : (H, W, 3) uint8, bgr24
        Pixels of a row packed, rows may be apart. For a region of a larger picture pass views
        that begin at even coordinates.
    out : buffer or (y, u, v), optional
        Where to write: a C-contiguous uint8 array of ``i420_size(W, H)`` elements, or planes
        (H, W), (ceil(H/2), ceil(W/2)) and the same, rows may be apart.
    matrix : {"bt601", "bt709"}
        The weights of the colours.
    full_range : bool
        Values 0..255; otherwise 16..235 for luma and 16..240 for chroma.
    swap : bool
        `image` is rgb24.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    uint8 array or tuple of three
        `out`, or a fresh flat buffer; :func:`i420_planes` views its planes.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape or matrix, a read-only `out`, or one that overlaps `image`.

    References
    ----------
    ITU-R BT.601-7 and BT.709-6, section "signal format".
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_yuv_matrix code = matrix_of(matrix)
    cdef Array src = image_of(image, "image")
    if src.channels != 3:
        raise ValueError(f"image must have shape (H, W, 3), got shape {src.shape}")
    if out is None:
        out = np.empty(i420_size(src.width, src.height), np.uint8)
    cdef Planes dst = i420_of(out, "out", src.width, src.height, True)
    need_apart(dst.y, src)
    need_apart(dst.u, src)
    need_apart(dst.v, src)
    cdef int status
    with nogil:
        status = lf_yuv_u8x3_to_i420(
            rows, &dst.i420, <const uint8_t *> src.view.buf, src.stride, code, full_range, swap)
    check(status)
    return out


def from_i420(picture, out=None, *, width=None, height=None, matrix="bt601", bint full_range=False,
              bint swap=False, isa=None):
    """Convert I420 to packed pixels.

    Every pixel takes the chroma of its 2x2 block as it is (nearest, as swscale does by
    default), so that a flat block comes back as it was.

    Parameters
    ----------
    picture : buffer or (y, u, v)
        A C-contiguous uint8 array as :func:`to_i420` makes it, or planes (H, W),
        (ceil(H/2), ceil(W/2)) and the same, uint8; pixels of a row packed, rows may be apart.
        For a region pass views of the planes that begin at even luma coordinates.
    out : (H, W, 3) or (H, W, 4) uint8, optional
        Where to write. A fourth byte becomes 255.
    width, height : int
        Luma pixels; needed where `picture` is one buffer and `out` is not given.
    matrix, full_range
        As in :func:`to_i420`.
    swap : bool
        Write rgb24 or rgba, not bgr24 or bgra.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (H, W, 3) or (H, W, 4) uint8
        `out`, or a fresh array of three channels.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape or matrix, a read-only `out`, or one that overlaps `picture`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_yuv_matrix code = matrix_of(matrix)
    cdef Array dst = None
    if out is not None:
        dst = image_of(out, "out", True)
        width = dst.width if width is None else width
        height = dst.height if height is None else height
    cdef Planes src = i420_of(picture, "picture", width, height)
    if out is None:
        out = np.empty((src.i420.height, src.i420.width, 3), np.uint8)
        dst = image_of(out, "out", True)
    if dst.height != src.i420.height or dst.width != src.i420.width or dst.channels not in (3, 4):
        raise ValueError(f"out must have shape ({src.i420.height}, {src.i420.width}, 3 or 4), got shape {dst.shape}")
    need_apart(dst, src.y)
    need_apart(dst, src.u)
    need_apart(dst, src.v)
    cdef int status
    with nogil:
        if dst.channels == 3:
            status = lf_yuv_i420_to_u8x3(
                rows, <uint8_t *> dst.view.buf, dst.stride, &src.i420, code, full_range, swap)
        else:
            status = lf_yuv_i420_to_u8x4(
                rows, <uint8_t *> dst.view.buf, dst.stride, &src.i420, code, full_range, swap)
    check(status)
    return out


def blend_i420(patch, picture, mask=None, *, int x=0, int y=0, width=None, height=None,
               matrix="bt601", bint full_range=False, bint swap=False, isa=None):
    """Put a patch of packed pixels onto an I420 picture, in place.

    Only pixels under the patch and chroma blocks that it touches change. Luma blends pixel by
    pixel. A chroma block blends with the mean of its four alphas (0 outside the patch) and the
    alpha-weighted mean of the patch's chroma, rounded once: what compositing in RGB and
    converting gives where the background's block is flat, within a level. Blocks under alpha 255
    get the bytes of :func:`to_i420`, blocks under alpha 0 keep theirs.

    Parameters
    ----------
    patch : (h, w, 3) uint8, bgr24
        Pixels of a row packed, rows may be apart.
    picture : buffer or (y, u, v)
        The background, as in :func:`from_i420`, writable.
    mask : (h, w) uint8, optional
        Alpha of each patch pixel; without it 255 everywhere.
    x, y : int
        Place of the patch's top left pixel in luma pixels: any parity, may be negative or
        beyond the picture; what lies outside is cut off.
    width, height : int
        Luma pixels of `picture`; needed where it is one buffer.
    matrix, full_range
        Of the picture, as in :func:`to_i420`.
    swap : bool
        `patch` is rgb24.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    uint8 array or tuple of three
        `picture`.

    Raises
    ------
    TypeError
        Wrong dtype or layout.
    ValueError
        Wrong shape or matrix, a read-only `picture`, or one that overlaps `patch` or `mask`.
    """
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_yuv_matrix code = matrix_of(matrix)
    cdef Array src = image_of(patch, "patch")
    cdef Planes dst = i420_of(picture, "picture", width, height, True)
    cdef Array alpha = None
    cdef Array plane
    if src.channels != 3 or src.width > LF_I420_MAX_SIDE or src.height > LF_I420_MAX_SIDE:
        raise ValueError(f"patch must have shape (h, w, 3), at most {LF_I420_MAX_SIDE} a side, got shape {src.shape}")
    if mask is not None:
        alpha = image_of(mask, "mask")
        if alpha.channels != 1 or alpha.height != src.height or alpha.width != src.width:
            raise ValueError(f"mask must have shape ({src.height}, {src.width}), got shape {alpha.shape}")
    for plane in (dst.y, dst.u, dst.v):
        need_apart(plane, src)
        if alpha is not None:
            need_apart(plane, alpha)
    cdef const uint8_t *alphas = NULL if alpha is None else <uint8_t *> alpha.view.buf
    cdef ptrdiff_t alpha_stride = 0 if alpha is None else alpha.stride
    cdef int status
    with nogil:
        status = lf_yuv_blend_u8x3_i420(
            rows, &dst.i420, <const uint8_t *> src.view.buf, src.stride, alphas, alpha_stride,
            x, y, src.width, src.height, code, full_range, swap)
    check(status)
    return picture


# ---- mel -------------------------------------------------------------------------------

def mel(spectrum, edges, weights, *, out=None, isa=None):
    """Mel columns, in Wav2Lip's normalised decibels, of frames from their spectra.

    The periodic Hann window is applied here, as the three-tap filter that it is in frequency.
    Every frame gives the same bits alone or in any block, and on every ISA.

    Parameters
    ----------
    spectrum : (frames, bins, 2) float64, bins at most 1025; values of a frame packed
        Real and imaginary part of every bin of the frames as they are, not windowed, as in
        ``rfft(...).view(float64)``.
    edges : (bands, 2) int32, C-contiguous, bands at most 256
        First and end bin of every band, which leave out the first and the last bin:
        ``1 <= first <= end <= bins - 1``.
    weights : (sum of end - first,) float32, C-contiguous
        The bands' weights, one band after the other.
    out : (frames, bands) float32, values of a frame packed, optional

    Returns
    -------
    (frames, bands) float32 in -4 .. 4
        ``out``, or a fresh array: clip(8 (S + 100) / 100 - 4, -4, 4) with
        S = 20 log10(max(1e-5, m)) - 20 and m the weighted sum of the band's magnitudes.

    Raises
    ------
    TypeError
        An array of another dtype, or one whose values are not packed.
    ValueError
        Shapes or band edges that do not fit together, or an ``out`` that cannot be written.

    References
    ----------
    Level and clip: Wav2Lip, audio.py (``_amp_to_db``, ``_normalize``).
    """
    cdef Array source = Array(spectrum, "spectrum", "float64", 3)
    cdef Array band_edges = Array(edges, "edges", "int32", 2)
    cdef Array band_weights = Array(weights, "weights", "float32", 1)
    cdef Py_ssize_t frames = source.view.shape[0], bins = source.view.shape[1]
    cdef Py_ssize_t bands = band_edges.view.shape[0], b, total = 0
    if not 1 <= bins <= LF_MEL_MAX_BINS or source.view.shape[2] != 2:
        raise ValueError(f"spectrum must have shape (frames, 1 to {LF_MEL_MAX_BINS} bins, 2), got {source.shape}")
    if not 1 <= bands <= LF_MEL_MAX_BANDS or band_edges.view.shape[1] != 2:
        raise ValueError(f"edges must have shape (1 to {LF_MEL_MAX_BANDS} bands, 2), got {band_edges.shape}")
    if source.view.strides[1] != 16 or source.view.strides[2] != 8 or source.view.strides[0] % 8:
        raise TypeError("spectrum must be packed within a frame; pass numpy.ascontiguousarray(spectrum)")
    if band_edges.view.strides[1] != 4 or band_edges.view.strides[0] != 8:
        raise TypeError("edges must be C-contiguous; pass numpy.ascontiguousarray(edges)")
    if band_weights.view.shape[0] and band_weights.view.strides[0] != 4:
        raise TypeError("weights must be C-contiguous; pass numpy.ascontiguousarray(weights)")
    cdef const int32_t *edge = <const int32_t *> band_edges.view.buf
    for b in range(bands):
        if not 1 <= edge[2 * b] <= edge[2 * b + 1] <= bins - 1:
            raise ValueError(
                f"edges must hold 1 <= first <= end <= {bins - 1}, got {edge[2 * b]} and {edge[2 * b + 1]} in band {b}"
            )
        total += edge[2 * b + 1] - edge[2 * b]
    if band_weights.view.shape[0] != total:
        raise ValueError(f"weights must hold {total} values, one a bin of every band, got {band_weights.shape[0]}")
    if out is None:
        out = np.empty((frames, bands), np.float32)
    cdef Array target = Array(out, "out", "float32", 2, True)
    if target.view.shape[0] != frames or target.view.shape[1] != bands:
        raise ValueError(f"out must have shape ({frames}, {bands}), got {target.shape}")
    if target.view.strides[1] != 4 or target.view.strides[0] % 4:
        raise TypeError("out must be packed within a frame, got an array with gaps between its values")
    if frames == 0:
        return out
    need_apart(target, source)
    need_apart(target, band_edges)
    if total:
        need_apart(target, band_weights)
    if frames > 0x7FFFFFFF:
        raise ValueError(f"spectrum may hold 2147483647 frames at once, got {frames}; pass it in parts")
    cdef const lf_rows *rows = rows_of(isa)
    cdef int status
    with nogil:
        status = lf_mel_f64(
            rows, <float *> target.view.buf, target.view.strides[0], <const double *> source.view.buf,
            source.view.strides[0], <int> bins, edge, <const float *> band_weights.view.buf, <int> bands, <int> frames,
        )
    check(status)
    return out
