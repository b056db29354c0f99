# cython: language_level=3, freethreading_compatible=True
"""Resizing pictures, with plans that are computed once for a pair of sizes."""
from functools import lru_cache
from operator import index

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdlib cimport free, malloc

from lipsync_fast.kernels._arguments cimport (
    Array,
    as_image,
    check,
    image_of,
    lf_box,
    lf_image,
    lf_rows,
    lf_scratch,
    out_like,
    result_of,
    rows_of,
)

from ..errors import InputError

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
        raise InputError(f"{name} must be (width, height) in whole pixels, got {size!r}") from None
    if not (1 <= width <= LF_RESIZE_SIDE and 1 <= height <= LF_RESIZE_SIDE):
        raise InputError(
            f"{name} must have sides of 1 to {LF_RESIZE_SIDE} pixels, got {width}x{height}"
        )
    return (width, height)


cdef tuple box_of(object part, tuple target, lf_box *box):
    try:
        x, y, width, height = map(index, part)
    except (TypeError, ValueError):
        raise InputError(f"part must be x, y, w, h in whole pixels, got {part!r}") from None
    inside = min(x, y) >= 0 and x + width <= target[0] and y + height <= target[1]
    if not inside or min(width, height) < 1:
        raise InputError(
            f"part must have an area inside the target {target[0]}x{target[1]}, got x, y, w, h = "
            f"{x}, {y}, {width}, {height}"
        )
    box.x0, box.y0, box.x1, box.y1 = x, y, x + width, y + height
    return (x, y, width, height)


cdef lf_resize_filter filter_of(object filter) except *:
    if not isinstance(filter, str) or filter not in _RESIZE_FILTERS:
        raise InputError(f"filter must be one of {', '.join(_RESIZE_FILTERS)}, got {filter!r}")
    return _RESIZE_FILTERS[filter]


cdef class Lock:
    """A mutex for this file: the stable ABI has none that modules could share."""
    cdef cython.pymutex mutex


cdef class ResizePlan:
    """Sampling positions and weights for one pair of sizes, computed once.

    For callers that resize many pictures between the same two sizes, from any number of
    threads: given `out`, a warm plan allocates nothing.

    Parameters
    ----------
    source, target : (width, height)
        Sizes in pixels, each side 1 to 32767.
    filter : str
        As in `resize`.
    part : (x, y, w, h), optional
        The part of the target that is made, inside it; the whole by default. Its pixels are the
        same as those of the whole.

    Attributes
    ----------
    source, target : tuple of int
    filter : str
    part : tuple of int or None
    size : tuple of int
        Of the pictures that are made: of the part, or of the target.

    Raises
    ------
    InputError
        A side out of range, an unknown filter, or a part that lies not inside the target.
    """

    def __cinit__(self, source, target, filter="bilinear", part=None):
        self.spare_lock = Lock()
        cdef lf_resize_filter code = filter_of(filter)
        self.source, self.target = sides_of(source, "source"), sides_of(target, "target")
        self.filter = filter
        cdef int src_width = self.source[0], src_height = self.source[1]
        cdef int dst_width = self.target[0], dst_height = self.target[1]
        cdef lf_box box
        cdef const lf_box *shown = NULL
        if part is not None:
            self.part = box_of(part, self.target, &box)
            shown = &box
        self.size = self.target if part is None else self.part[2:]
        cdef size_t size = lf_resize_plan_size(
            src_width, src_height, dst_width, dst_height, code, shown)
        self.plan = <lf_resize_plan *> PyMem_Malloc(size)
        if self.plan == NULL:
            raise MemoryError(f"no memory for {size} bytes of a resize plan")
        cdef int status
        with nogil:
            status = lf_resize_plan_init(
                self.plan, size, src_width, src_height, dst_width, dst_height, code, shown)
        check(status)

    def __dealloc__(self):
        PyMem_Free(self.plan)
        free(self.spare)

    cdef void *borrow_scratch(self, size_t size) except? NULL:
        """Return the idle scratch if it is large enough, otherwise a new one; NULL for size 0."""
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
            raise MemoryError(f"no memory for {size} bytes of scratch")
        return scratch

    cdef void return_scratch(self, void *scratch, size_t size) noexcept:
        """Keep the larger of this scratch and the idle one for the next call."""
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
            Of size `size` and with the channels of `src`; pixels of a row packed, rows may be
            apart.
        isa : str, optional
            The row kernels to use, for tests and benchmarks.

        Returns
        -------
        uint8 array
            `out`, or a fresh array.

        Raises
        ------
        LayoutError
            Wrong dtype or layout.
        InputError
            Wrong shape, a read-only `out`, or one that overlaps `src`.
        """
        cdef const lf_rows *rows = rows_of(isa)
        cdef Array source = image_of(src, "src")
        cdef int width = self.size[0], height = self.size[1]
        if source.width != self.source[0] or source.height != self.source[1]:
            raise InputError(
                f"src must have the plan's size {self.source[0]}x{self.source[1]} "
                f"(width x height), got shape {source.shape}"
            )
        cdef Array target = out_like(out, (height, width) + source.shape[2:], (source,))
        cdef lf_image to = as_image(target), pixels = as_image(source)
        cdef lf_scratch scratch
        scratch.size = lf_resize_scratch_size(self.plan, source.channels)
        scratch.data = self.borrow_scratch(scratch.size)
        cdef int status
        with nogil:
            status = lf_resize_u8(rows, &to, &pixels, self.plan, &scratch)
        self.return_scratch(scratch.data, scratch.size)
        check(status)
        return result_of(out, target)

    def __repr__(self):
        part = "" if self.part is None else f", part={self.part}"
        return f"ResizePlan({self.source}, {self.target}, {self.filter!r}{part})"


# Plans of the last pairs of sizes; lru_cache is safe under threads, with a GIL or without.
_plan_of = lru_cache(maxsize=32)(ResizePlan)


def resize(src, out=None, *, size=None, filter="bilinear", isa=None):
    """Resize a picture.

    Keeps the plans of the last 32 pairs of sizes; hold a `ResizePlan` if more are in use.

    Parameters
    ----------
    src : (H, W), (H, W, 3) or (H, W, 4) uint8
        Pixels of a row packed, rows may be apart; every channel is resized separately. Sides of
        1 to 32767 pixels.
    out : uint8 array, optional
        Where to write, with the channels of `src`; its size is the new size.
    size : (width, height), optional
        The new size; needed without `out`.
    filter : str
        Without antialiasing (the kernel is not widened when shrinking): ``"nearest"``,
        ``"bilinear"`` (byte for byte OpenCV's ``INTER_LINEAR``), ``"bicubic"`` (a = -0.75,
        within one level of ``INTER_CUBIC``), ``"bilinear_topleft"`` (pixel x of the result
        samples x * scale of the source, as in the first generation's frames). ``"area"``: the
        mean of the covered pixels, within one level of ``INTER_AREA``, and byte for byte equal
        to it if a side grows. Antialiased, byte for byte Pillow's ``Image.resize``:
        ``"bilinear_aa"``, ``"bicubic_aa"`` (a = -0.5), ``"lanczos_aa"``.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    uint8 array
        `out`, or a fresh array.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape, side, filter or size, a read-only `out`, or one that overlaps `src`.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", 1981. OpenCV,
    modules/imgproc/src/resize.cpp and Pillow, src/libImaging/Resample.c, for the sampling
    positions and the roundings.
    """
    filter_of(filter)  # check it before looking for a plan
    cdef Array source = image_of(src, "src")
    cdef Array target
    if out is not None:
        target = image_of(out, "out", True)
        if size is not None and sides_of(size, "size") != (target.width, target.height):
            raise InputError(
                f"size must be out's size {target.width}x{target.height}, got {size}; "
                "leave one of them out"
            )
        size = (target.width, target.height)
    elif size is None:
        raise InputError("resize needs size=(width, height) or out=, got neither")
    cdef tuple before = sides_of((source.width, source.height), "src")
    cdef tuple after = sides_of(size, "size" if out is None else "out")
    cdef ResizePlan plan = _plan_of(before, after, filter)
    return plan.resize(src, out, isa=isa)
