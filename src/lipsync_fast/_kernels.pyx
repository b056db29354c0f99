# cython: language_level=3, freethreading_compatible=True
"""The kernels as Python functions: check buffers, drop the GIL, call C, raise.

Every function takes arrays through the buffer protocol, writes into ``out`` where it is
given, and may be called from several threads at once as long as no two calls write to
the same memory. ``isa`` names the row kernels to use ("c", "avx2", "neon"); it is for
tests and benchmarks, the default is the best that this machine has.
"""
import os

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)

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
        """`dtype` is the name of the NumPy dtype needed, `ndim` the number of axes."""
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
            raise TypeError(f"{name} must be {dtype}, got {getattr(array, 'dtype', 'another type')}; convert it first")
        if self.view.ndim != ndim:
            raise ValueError(f"{name} must have {ndim} axes, got shape {self.shape}")

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    @property
    def shape(self):
        return tuple(self.view.shape[i] for i in range(self.view.ndim))
