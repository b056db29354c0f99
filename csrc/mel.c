/* mel: window, magnitude, sparse bands, decibels, clip. One row is one frame's spectrum. */
#include <string.h>

#include "mel.h"

static void magnitudes(double *LF_RESTRICT dst, const double *LF_RESTRICT spectrum, int bins)
{
    for (int i = 0; i < bins; i++) dst[i] = magnitude_at(spectrum + 2 * i);
}

static double band_sum(const double *magnitude, const float *weights, int count)
{
    double lane[4] = {0.0, 0.0, 0.0, 0.0};
    int i = 0;
    for (; i + 4 <= count; i += 4)
        for (int j = 0; j < 4; j++) lane[j] += magnitude[i + j] * (double)weights[i + j];
    for (int j = 0; i + j < count; j++) lane[j] += magnitude[i + j] * (double)weights[i + j];
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* The steps and their order are those of the SIMD rows, so the bits are the same whatever the C
 * library. */
static float level_of(double m)
{
    m = m > LF_MEL_SILENT ? m : LF_MEL_SILENT; /* a NaN becomes silent too */
    m = m < LF_MEL_LOUD ? m : LF_MEL_LOUD;

    uint64_t bits, step;
    memcpy(&bits, &m, sizeof bits);
    step = bits - LF_MEL_SQRT_HALF_BITS + (LF_MEL_EXPONENT_BIAS << 52);
    double exponent = (double)(step >> 52) - (double)LF_MEL_EXPONENT_BIAS;
    bits -= (step & LF_MEL_EXPONENT_MASK) - (LF_MEL_EXPONENT_BIAS << 52);
    memcpy(&m, &bits, sizeof m);

    double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double series = LF_MEL_S11;
    series = series * s2 + LF_MEL_S9;
    series = series * s2 + LF_MEL_S7;
    series = series * s2 + LF_MEL_S5;
    series = series * s2 + LF_MEL_S3;
    series = series * s2 + LF_MEL_S1;
    double level = series * s + (exponent * LF_MEL_OCTAVE + LF_MEL_OFFSET);
    level = level > -4.0 ? level : -4.0;
    return (float)(level < 4.0 ? level : 4.0);
}

void lf_mel_f64_row_c(float *LF_RESTRICT dst, const double *LF_RESTRICT spectrum,
                      const lf_mel_bands *bands, int lowest, int highest)
{
    double magnitude[LF_MEL_MAX_BINS];
    const float *weights = bands->weights;
    magnitudes(magnitude + lowest, spectrum + 2 * lowest, highest - lowest);
    for (int b = 0; b < bands->count; b++) {
        int first = bands->edges[2 * b], width = bands->edges[2 * b + 1] - first;
        dst[b] = level_of(band_sum(magnitude + first, weights, width));
        weights += width;
    }
}

lf_status lf_mel_f64(const lf_rows *rows, float *dst, ptrdiff_t dst_stride, const double *spectrum,
                     ptrdiff_t spectrum_stride, int bins, const lf_mel_bands *bands, int frames)
{
    if (!rows || !dst || !spectrum || !bands || !bands->edges || !bands->weights || bins < 1 ||
        bins > LF_MEL_MAX_BINS || bands->count < 1 || bands->count > LF_MEL_MAX_BANDS || frames < 0)
        return LF_ERR_ARGUMENT;
    int lowest = bins, highest = 0;
    for (int b = 0; b < bands->count; b++) {
        const int first = bands->edges[2 * b], end = bands->edges[2 * b + 1];
        if (first < 1 || first > end || end > bins - 1) return LF_ERR_ARGUMENT;
        if (first == end) continue;
        if (first < lowest) lowest = first;
        if (end > highest) highest = end;
    }
    if (lowest > highest) lowest = highest;

    for (int k = 0; k < frames; k++)
        rows->mel((float *)((char *)dst + k * dst_stride),
                  (const double *)((const char *)spectrum + k * spectrum_stride), bands, lowest,
                  highest);
    return LF_OK;
}
