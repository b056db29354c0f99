# cython: language_level=3, freethreading_compatible=True
"""From frames of sound to their spectra."""
from lipsync_fast.kernels._arguments cimport (
    Array,
    check,
    frames_like,
    need_apart,
    result_of,
    rows_of,
)

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
        Frames may overlap, like those of a sliding window.
    out : (n, 401, 2) float64, values of a frame packed, optional
        Where to write; must not overlap `frames`.
    scratch : (SCRATCH,) float64, C-contiguous, optional
        Working memory, 0.1 MB; by default allocated for the call.
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
        Wrong dtype or layout.
    InputError
        Wrong shape, an ``out`` that is read-only or overlaps `frames`, or too small a scratch.

    References
    ----------
    W. T. Cochran et al., What is the fast Fourier transform?, Proceedings of the IEEE 55 (1967),
    for the self-sorting passes, which it names after T. G. Stockham.
    """
    cdef Array source = Array(frames, "frames", "float64", 2)
    cdef Py_ssize_t count = source.view.shape[0]
    if source.view.shape[1] != LF_SPECTRUM_SAMPLES:
        raise InputError(f"frames must have shape (n, {LF_SPECTRUM_SAMPLES}), got {source.shape}")
    if source.view.strides[1] != 8 or source.view.strides[0] % 8:
        raise LayoutError(
            "frames must be packed within a frame; pass numpy.ascontiguousarray(frames)"
        )
    cdef Array target = frames_like(out, (count, LF_SPECTRUM_BINS, 2), (source,), "float64")
    if scratch is None:
        scratch = np.empty(SCRATCH)
    cdef Array room = Array(scratch, "scratch", "float64", 1, True)
    if room.view.shape[0] < SCRATCH or room.view.strides[0] != 8:
        raise InputError(f"scratch must hold {SCRATCH} packed values, got {room.shape}")
    if count == 0:
        return result_of(out, target)
    need_apart(room, source)
    need_apart(room, target)
    if count > 0x7FFFFFFF:
        raise InputError(
            f"frames must be at most 2147483647 at once, got {count}; pass them in parts"
        )
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
    return result_of(out, target)
