# cython: language_level=3, freethreading_compatible=True
"""From spectra to mel columns."""
from lipsync_fast.kernels._arguments cimport Array, check, frames_like, result_of, rows_of

from ..errors import InputError, LayoutError


cdef lf_mel_bands bands_of(Array edges, Array weights, Py_ssize_t bins) except *:
    """Check the bands for spectra of `bins` values; the result points into both arrays."""
    cdef Py_ssize_t bands = edges.view.shape[0], b, total = 0
    cdef lf_mel_bands filters
    if not 1 <= bands <= LF_MEL_MAX_BANDS or edges.view.shape[1] != 2:
        raise InputError(
            f"edges must have shape (1 to {LF_MEL_MAX_BANDS} bands, 2), got {edges.shape}"
        )
    if edges.view.strides[1] != 4 or edges.view.strides[0] != 8:
        raise LayoutError("edges must be C-contiguous; pass numpy.ascontiguousarray(edges)")
    if weights.view.shape[0] and weights.view.strides[0] != 4:
        raise LayoutError("weights must be C-contiguous; pass numpy.ascontiguousarray(weights)")
    cdef const int32_t *edge = <const int32_t *> edges.view.buf
    for b in range(bands):
        if not 1 <= edge[2 * b] <= edge[2 * b + 1] <= bins - 1:
            raise InputError(
                f"edges must hold 1 <= first <= end <= {bins - 1}, "
                f"got {edge[2 * b]} and {edge[2 * b + 1]} in band {b}"
            )
        total += edge[2 * b + 1] - edge[2 * b]
    if weights.view.shape[0] != total:
        raise InputError(
            f"weights must hold {total} values, one for each bin of every band, "
            f"got {weights.shape[0]}"
        )
    filters.edges, filters.weights = edge, <const float *> weights.view.buf
    filters.count = <int> bands
    return filters


def mel(spectrum, edges, weights, *, out=None, isa=None):
    """Compute mel columns, in Wav2Lip's normalised decibels, from the spectra of frames.

    Applies the periodic Hann window in frequency, where it is a filter of three taps. Every
    frame gives the same bits alone or in any block, and on every ISA.

    Parameters
    ----------
    spectrum : (frames, bins, 2) float64, bins at most 1025; values of a frame packed
        Real and imaginary part of every bin of the frames, without a window, as in
        ``rfft(...).view(float64)``.
    edges : (bands, 2) int32, C-contiguous, bands at most 256
        First and end bin of every band, without the first and the last bin of the spectrum:
        ``1 <= first <= end <= bins - 1``.
    weights : (sum of end - first,) float32, C-contiguous
        The bands' weights, one band after the other.
    out : (frames, bands) float32, values of a frame packed, optional
        Where to write; must not overlap the inputs.
    isa : str, optional
        The row kernels to use, for tests and benchmarks.

    Returns
    -------
    (frames, bands) float32 in -4 .. 4
        ``out``, or a fresh array: clip(8 (S + 100) / 100 - 4, -4, 4) with
        S = 20 log10(max(1e-5, m)) - 20 and m the weighted sum of the band's magnitudes.

    Raises
    ------
    LayoutError
        Wrong dtype or layout.
    InputError
        Wrong shape or band edges, or an ``out`` that is read-only or overlaps an input.

    References
    ----------
    Level and clip: Wav2Lip, audio.py (``_amp_to_db``, ``_normalize``).
    """
    cdef Array source = Array(spectrum, "spectrum", "float64", 3)
    cdef Array band_edges = Array(edges, "edges", "int32", 2)
    cdef Array band_weights = Array(weights, "weights", "float32", 1)
    cdef Py_ssize_t frames = source.view.shape[0], bins = source.view.shape[1]
    cdef Py_ssize_t bands = band_edges.view.shape[0]
    if not 1 <= bins <= LF_MEL_MAX_BINS or source.view.shape[2] != 2:
        raise InputError(
            f"spectrum must have shape (frames, 1 to {LF_MEL_MAX_BINS} bins, 2), got {source.shape}"
        )
    if source.view.strides[1] != 16 or source.view.strides[2] != 8 or source.view.strides[0] % 8:
        raise LayoutError(
            "spectrum must be packed within a frame; pass numpy.ascontiguousarray(spectrum)"
        )
    cdef lf_mel_bands filters = bands_of(band_edges, band_weights, bins)
    cdef Array target = frames_like(
        out, (frames, bands), (source, band_edges, band_weights), "float32",
    )
    if frames == 0:
        return result_of(out, target)
    if frames > 0x7FFFFFFF:
        raise InputError(
            f"spectrum may hold 2147483647 frames at once, got {frames}; pass it in parts"
        )
    cdef const lf_rows *rows = rows_of(isa)
    cdef int status
    with nogil:
        status = lf_mel_f64(
            rows, <float *> target.view.buf, target.view.strides[0],
            <const double *> source.view.buf, source.view.strides[0], <int> bins, &filters,
            <int> frames,
        )
    check(status)
    return result_of(out, target)
