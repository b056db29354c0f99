# cython: language_level=3, freethreading_compatible=True
"""Frames of sound to their spectra."""
from lipsync_fast.kernels._arguments cimport Array, check, need_apart, rows_of

import numpy as np

from ..errors import InputError, LayoutError

# Written once, at import.
cdef double _table[LF_SPECTRUM_TABLE]
lf_spectrum_table(_table)

SCRATCH = (lf_spectrum_scratch_size() + 7) // 8


def spectrum(frames, *, out=None, scratch=None, isa=None):
    """Compute the discrete Fourier transform of frames of 800 real samples.

    Every frame gives the same bits alone or in any block, and on every ISA.

    Parameters
    ----------
    frames : (n, 800) float64, samples of a frame packed
        Frames may overlap, as those of a sliding window do.
    out : (n, 401, 2) float64, values of a frame packed, optional
    scratch : (SCRATCH,) float64, C-contiguous, optional
        Working memory, 0.1 MB; allocated and freed here by default.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (n, 401, 2) float64
        ``out``, or a fresh array: real and imaginary part of bins 0 to 400, as in
        ``rfft(frames).view(float64)``.

    Raises
    ------
    LayoutError
        An array of another dtype, or one whose values are not packed.
    InputError
        Shapes that do not fit, an ``out`` that cannot be written or overlaps the frames, scratch
        that is too small.

    References
    ----------
    W. T. Cochran et al., What is the fast Fourier transform?, Proceedings of the IEEE 55 (1967):
    the self-sorting passes, there named after T. G. Stockham.
    """
    cdef Array source = Array(frames, "frames", "float64", 2)
    cdef Py_ssize_t count = source.view.shape[0]
    if source.view.shape[1] != LF_SPECTRUM_SAMPLES:
        raise InputError(f"frames must have shape (n, {LF_SPECTRUM_SAMPLES}), got {source.shape}")
    if source.view.strides[1] != 8 or source.view.strides[0] % 8:
        raise LayoutError(
            "frames must be packed within a frame; pass numpy.ascontiguousarray(frames)"
        )
    if out is None:
        out = np.empty((count, LF_SPECTRUM_BINS, 2))
    cdef Array target = Array(out, "out", "float64", 3, True)
    cdef Py_ssize_t *extent = target.view.shape
    if extent[0] != count or extent[1] != LF_SPECTRUM_BINS or extent[2] != 2:
        raise InputError(
            f"out must have shape ({count}, {LF_SPECTRUM_BINS}, 2), got {target.shape}"
        )
    if target.view.strides[2] != 8 or target.view.strides[1] != 16 or target.view.strides[0] % 8:
        raise LayoutError(
            "out must be packed within a frame, got an array with gaps between its values"
        )
    if scratch is None:
        scratch = np.empty(SCRATCH)
    cdef Array room = Array(scratch, "scratch", "float64", 1, True)
    if room.view.shape[0] < SCRATCH or room.view.strides[0] != 8:
        raise InputError(f"scratch must hold {SCRATCH} packed values, got {room.shape}")
    if count == 0:
        return out
    need_apart(target, source)
    need_apart(room, source)
    need_apart(room, target)
    if count > 0x7FFFFFFF:
        raise InputError(f"frames may be 2147483647 at once, got {count}; pass them in parts")
    cdef const lf_rows *rows = rows_of(isa)
    cdef lf_scratch memory
    memory.data, memory.size = room.view.buf, room.view.len
    cdef int status
    with nogil:
        status = lf_spectrum_f64(
            rows, <double *> target.view.buf, target.view.strides[0],
            <const double *> source.view.buf, source.view.strides[0], <int> count, _table, &memory,
        )
    check(status)
    return out
