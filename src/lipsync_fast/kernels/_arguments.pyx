# cython: language_level=3, freethreading_compatible=True
"""Parts that the kernels' Python faces share: row kernels by name, checked arrays, codes from C.

The faces take arrays through the buffer protocol, write into ``out`` if it is given, and may
be called from several threads at once as long as no two calls write to the same memory. ``isa``
names the row kernels to use ("c", "avx2", "avx512", "neon"); it is for tests and benchmarks. The
default is the best ISA of this machine.
"""
import os

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock,
    PyThread_release_lock,
)

import numpy as np

from ..checks import check_int
from ..errors import BusyError, InputError, KernelBug, LayoutError


# ---- dispatch --------------------------------------------------------------------------

_ISA_CODES = {"c": LF_ISA_C, "avx2": LF_ISA_AVX2, "avx512": LF_ISA_AVX512, "neon": LF_ISA_NEON}


def available_isas():
    """Return the names of the ISAs that this build and this CPU have, weakest first.

    Returns
    -------
    tuple of str
        ``("c",)``, ``("c", "avx2")``, ``("c", "avx2", "avx512")`` or ``("c", "neon")``.
    """
    return tuple(name for name, code in _ISA_CODES.items() if lf_rows_for(code) != NULL)


def _choose_isa():
    have = available_isas()
    asked = os.environ.get("LIPSYNC_FAST_ISA", "")
    if not asked:
        return have[-1]
    if asked not in _ISA_CODES:
        raise InputError(
            f"LIPSYNC_FAST_ISA must be one of {', '.join(_ISA_CODES)}, got {asked!r}; "
            "unset it to use the best"
        )
    if asked not in have:
        raise InputError(
            f"LIPSYNC_FAST_ISA={asked} is not available here; this machine has {', '.join(have)}"
        )
    return asked


ISA = _choose_isa()
cdef const lf_rows *_best = lf_rows_for(_ISA_CODES[ISA])


cdef const lf_rows *rows_of(object isa) except NULL:
    if isa is None:
        return _best
    cdef const lf_rows *rows = NULL
    if isinstance(isa, str) and isa in _ISA_CODES:
        rows = lf_rows_for(_ISA_CODES[isa])
    if rows == NULL:
        raise InputError(f"isa must be one of {', '.join(available_isas())}, got {isa!r}")
    return rows


cdef int check(int status) except -1:
    """Raise KernelBug for a code other than LF_OK: the arguments have passed our own checks."""
    if status != LF_OK:
        raise KernelBug(
            f"a kernel returned code {status} for arguments that passed every check; report this"
        )
    return 0


cdef int place_of(object value, str name) except? -1:
    """Return a position in pixels, any int32: pixels outside a picture are cut off."""
    return check_int(name, value, -2**31, 2**31 - 1, "pixels")


# ---- arrays ----------------------------------------------------------------------------

# The buffer protocol's names of the dtypes that kernels take, looked up once.
cdef dict _FORMATS = {
    name: np.dtype(name).char.encode()
    for name in ("uint8", "int16", "int32", "int64", "uint32", "float32", "float64")
}


cdef class Array:
    """A caller's array for the duration of one call: its buffer, released when this dies."""

    def __cinit__(self, array, str name, str dtype, int ndim, bint writable=False):
        """`dtype` names the required NumPy dtype, `ndim` the number of axes, 0 for any."""
        self.name = name
        cdef int flags = PyBUF_FORMAT | PyBUF_STRIDES
        try:
            PyObject_GetBuffer(array, &self.view, flags)
        except (BufferError, TypeError, ValueError):
            raise LayoutError(
                f"{name} must be an array of {dtype}, got {type(array).__name__}"
            ) from None
        self.held = True
        if writable and self.view.readonly:
            raise InputError(f"{name} must be writable, got a read-only array; pass a copy")
        if self.view.format == NULL or <bytes> self.view.format != <bytes> _FORMATS[dtype]:
            raise LayoutError(
                f"{name} must be {dtype}, aligned and in native byte order, "
                f"got {getattr(array, 'dtype', 'another type')}; convert it first"
            )
        if ndim and self.view.ndim != ndim:
            raise InputError(f"{name} must have {ndim} axes, got shape {self.shape}")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    @property
    def shape(self):
        return tuple([self.view.shape[i] for i in range(self.view.ndim)])

    @property
    def strides(self):
        return tuple([self.view.strides[i] for i in range(self.view.ndim)])


cdef int set_size(Array array, Py_ssize_t height, Py_ssize_t width) except -1:
    if not (1 <= height <= 0x7FFFFFFF and 1 <= width <= 0x7FFFFFFF):
        raise InputError(
            f"{array.name} must have 1 to 2**31 - 1 pixels a side, got shape {array.shape}"
        )
    array.height, array.width = height, width
    return 0


cdef Array image_of(object array, str name, bint writable=False):
    """Check an image: (H, W) or (H, W, 1, 3 or 4) uint8, pixels of a row packed, rows anywhere."""
    cdef Array image = Array(array, name, "uint8", 0, writable)
    cdef Py_buffer *view = &image.view
    if view.ndim not in (2, 3) or (view.ndim == 3 and view.shape[2] not in (1, 3, 4)):
        raise InputError(
            f"{name} must have shape (H, W) or (H, W, C) with C of 1, 3 or 4, "
            f"got shape {image.shape}"
        )
    set_size(image, view.shape[0], view.shape[1])
    image.channels = view.shape[2] if view.ndim == 3 else 1
    image.stride = view.strides[0]
    if ((image.width > 1 and view.strides[1] != image.channels)
            or (image.channels > 1 and view.strides[2] != 1)):
        raise LayoutError(
            f"{name} must have the pixels of a row packed, got strides {image.strides}; "
            "pass a copy"
        )
    return image


cdef Array mask_of(object mask, Array image):
    """Check the (h, w) uint8 alphas of an image; return None if there is no mask."""
    if mask is None:
        return None
    cdef Array alpha = image_of(mask, "mask")
    if alpha.channels != 1 or alpha.height != image.height or alpha.width != image.width:
        raise InputError(
            f"mask must have shape ({image.height}, {image.width}), got shape {alpha.shape}"
        )
    return alpha


cdef Array bytes_of(object data, str name, bint writable=False):
    """Check a flat buffer of bytes."""
    cdef Array flat = Array(data, name, "uint8", 1, writable)
    if flat.view.shape[0] > 1 and flat.view.strides[0] != 1:
        raise LayoutError(f"{name} must be contiguous, got strides {flat.strides}; pass a copy")
    return flat


cdef Array planes_of(object array, str name, bint writable=False):
    """Check float planes: (3, H, W) float32, values of a row packed, rows and planes anywhere."""
    cdef Array planes = Array(array, name, "float32", 3, writable)
    cdef Py_buffer *view = &planes.view
    if view.shape[0] != 3:
        raise InputError(f"{name} must have shape (3, H, W), got shape {planes.shape}")
    set_size(planes, view.shape[1], view.shape[2])
    planes.plane_stride, planes.stride = view.strides[0], view.strides[1]
    if ((planes.width > 1 and view.strides[2] != 4) or <size_t> view.buf % 4
            or view.strides[0] % 4 or view.strides[1] % 4):
        raise LayoutError(
            f"{name} must have the values of a row packed and aligned to 4 bytes, "
            f"got strides {planes.strides}; pass a copy"
        )
    return planes


cdef void extent_of(Array array, size_t *begin, size_t *end) noexcept:
    """Set the addresses [begin, end) that enclose the whole array."""
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
    """Raise InputError if an output's memory overlaps an input's."""
    cdef size_t out_begin, out_end, begin, end
    extent_of(out, &out_begin, &out_end)
    extent_of(source, &begin, &end)
    if out_begin < end and begin < out_end:
        raise InputError(f"{out.name} must not overlap {source.name}; pass another array or a copy")
    return 0


cdef bint in_place(Array out, Array source) except -1:
    """Tell whether an output is the input itself; raise InputError for any other overlap."""
    if out.view.buf == source.view.buf and out.stride == source.stride:
        return True
    need_apart(out, source)
    return False


cdef Array out_like(
    object out, tuple shape, tuple inputs, int other_channels=0, str dtype="uint8",
):
    """Return the image, or float32 planes, to write: `out`, checked, or a fresh one of `shape`.

    `other_channels` is a second number of channels that `out` may have. It must not overlap
    `inputs`, which may include None.
    """
    if out is None:
        out = np.empty(shape, dtype)
    cdef bint planar = dtype != "uint8"
    cdef Array target = planes_of(out, "out", True) if planar else image_of(out, "out", True)
    cdef int first = 1 if planar else 0
    cdef int channels = shape[2] if len(shape) == 3 and not planar else 1
    if (target.height != shape[first] or target.width != shape[first + 1]
            or (not planar and target.channels not in (channels, other_channels))):
        wanted = str(shape)
        if other_channels:
            wanted = f"({shape[0]}, {shape[1]}, {channels} or {other_channels})"
        raise InputError(f"out must have shape {wanted}, got shape {target.shape}")
    cdef Array source
    for source in inputs:
        if source is not None:
            need_apart(target, source)
    return target


cdef Array frames_like(object out, tuple shape, tuple inputs, str dtype):
    """Return the frames of sound to write: `out`, checked, or a fresh array of `shape`.

    Values of a frame are packed, frames anywhere. It must not overlap `inputs`.
    """
    if out is None:
        out = np.empty(shape, dtype)
    cdef Array target = Array(out, "out", dtype, len(shape), True)
    if target.shape != shape:
        raise InputError(f"out must have shape {shape}, got {target.shape}")
    cdef Py_ssize_t step = target.view.itemsize
    cdef bint packed = target.view.strides[0] % step == 0
    cdef int axis
    for axis in range(target.view.ndim - 1, 0, -1):
        packed = packed and target.view.strides[axis] == step
        step *= target.view.shape[axis]
    if not packed:
        raise LayoutError(
            "out must be packed within a frame, got an array with gaps between its values"
        )
    cdef Array source
    for source in inputs:
        if target.view.len and source.view.len:
            need_apart(target, source)
    return target


cdef object result_of(object out, Array target):
    """Return the result of a face: the given `out`, or the fresh array."""
    return <object> target.view.obj if out is None else out


# ---- one thread at a time --------------------------------------------------------------

cdef class ExclusiveUse:
    """A lock on an object's scratch that never waits: a second thread gets BusyError."""

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError("no memory for a lock")

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef int take(self) except -1:
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            raise BusyError("this object is being used by another thread; make one for each thread")
        return 0

    cdef void give(self) noexcept:
        PyThread_release_lock(self.lock)
