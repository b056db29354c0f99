/* mel rows for AVX2: four bins or bands at a time. Every step is one exact rounding, in the order
 * of the scalar row. */
#include <immintrin.h>

#include "mel.h"

/* Two bins of the windowed frame. */
static __m256d windowed(const double *bin)
{
    __m256d beside = _mm256_add_pd(_mm256_loadu_pd(bin - 2), _mm256_loadu_pd(bin + 2));
    return _mm256_sub_pd(_mm256_mul_pd(_mm256_loadu_pd(bin), _mm256_set1_pd(0.5)),
                         _mm256_mul_pd(beside, _mm256_set1_pd(0.25)));
}

static void magnitudes(double *LF_RESTRICT dst, const double *LF_RESTRICT spectrum, int bins)
{
    int i = 0;
    for (; i + 4 <= bins; i += 4) {
        __m256d a = windowed(spectrum + 2 * i);     /* r0 i0 r1 i1 */
        __m256d b = windowed(spectrum + 2 * i + 4); /* r2 i2 r3 i3 */
        __m256d sum = _mm256_hadd_pd(_mm256_mul_pd(a, a), _mm256_mul_pd(b, b)); /* 0 2 1 3 */
        _mm256_storeu_pd(dst + i, _mm256_sqrt_pd(_mm256_permute4x64_pd(sum, 0xD8)));
    }
    for (; i < bins; i++) dst[i] = magnitude_at(spectrum + 2 * i);
}

static double band_sum(const double *magnitude, const float *weights, int count)
{
    /* Eight words whose four from 4 - n on keep n lanes. */
    static const int32_t keep[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
    __m256d lanes = _mm256_setzero_pd();
    int i = 0;
    for (; i + 4 <= count; i += 4)
        lanes = _mm256_add_pd(lanes, _mm256_mul_pd(_mm256_loadu_pd(magnitude + i),
                                                   _mm256_cvtps_pd(_mm_loadu_ps(weights + i))));
    if (i < count) {
        __m128i words = _mm_loadu_si128((const __m128i *)(keep + 4 - (count - i)));
        __m256d m = _mm256_maskload_pd(magnitude + i, _mm256_cvtepi32_epi64(words));
        __m256d w = _mm256_cvtps_pd(_mm_maskload_ps(weights + i, words));
        lanes = _mm256_add_pd(lanes, _mm256_mul_pd(m, w));
    }
    __m128d pairs = _mm_hadd_pd(_mm256_castpd256_pd128(lanes), _mm256_extractf128_pd(lanes, 1));
    return _mm_cvtsd_f64(_mm_add_sd(pairs, _mm_unpackhi_pd(pairs, pairs)));
}

static __m128 levels(__m256d m)
{
    const __m256i bias = _mm256_set1_epi64x((int64_t)(LF_MEL_EXPONENT_BIAS << 52));
    /* 2^52 as bits: a small integer put into its mantissa is 2^52 plus that integer. */
    const __m256i magic = _mm256_set1_epi64x(INT64_C(0x4330000000000000));
    const __m256d one = _mm256_set1_pd(1.0);

    m = _mm256_max_pd(m, _mm256_set1_pd(LF_MEL_SILENT));
    m = _mm256_min_pd(m, _mm256_set1_pd(LF_MEL_LOUD));
    __m256i bits = _mm256_castpd_si256(m);
    __m256i step = _mm256_add_epi64(
        _mm256_sub_epi64(bits, _mm256_set1_epi64x((int64_t)LF_MEL_SQRT_HALF_BITS)), bias);
    __m256d exponent =
        _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(_mm256_srli_epi64(step, 52), magic)),
                      _mm256_set1_pd(0x1p52 + (double)LF_MEL_EXPONENT_BIAS));
    __m256i whole = _mm256_and_si256(step, _mm256_set1_epi64x((int64_t)LF_MEL_EXPONENT_MASK));
    m = _mm256_castsi256_pd(_mm256_sub_epi64(bits, _mm256_sub_epi64(whole, bias)));

    __m256d s = _mm256_div_pd(_mm256_sub_pd(m, one), _mm256_add_pd(m, one));
    __m256d s2 = _mm256_mul_pd(s, s);
    __m256d series = _mm256_set1_pd(LF_MEL_S11);
    series = _mm256_add_pd(_mm256_mul_pd(series, s2), _mm256_set1_pd(LF_MEL_S9));
    series = _mm256_add_pd(_mm256_mul_pd(series, s2), _mm256_set1_pd(LF_MEL_S7));
    series = _mm256_add_pd(_mm256_mul_pd(series, s2), _mm256_set1_pd(LF_MEL_S5));
    series = _mm256_add_pd(_mm256_mul_pd(series, s2), _mm256_set1_pd(LF_MEL_S3));
    series = _mm256_add_pd(_mm256_mul_pd(series, s2), _mm256_set1_pd(LF_MEL_S1));
    __m256d octaves = _mm256_add_pd(_mm256_mul_pd(exponent, _mm256_set1_pd(LF_MEL_OCTAVE)),
                                    _mm256_set1_pd(LF_MEL_OFFSET));
    __m256d level = _mm256_add_pd(_mm256_mul_pd(series, s), octaves);
    level = _mm256_max_pd(level, _mm256_set1_pd(-4.0));
    return _mm256_cvtpd_ps(_mm256_min_pd(level, _mm256_set1_pd(4.0)));
}

void lf_mel_f64_row_avx2(float *LF_RESTRICT dst, const double *LF_RESTRICT spectrum,
                         const lf_mel_bands *bands, int lowest, int highest)
{
    double magnitude[LF_MEL_MAX_BINS];
    double sums[LF_MEL_MAX_BANDS + 3];
    const float *weights = bands->weights;
    magnitudes(magnitude + lowest, spectrum + 2 * lowest, highest - lowest);
    for (int b = 0; b < bands->count; b++) {
        int first = bands->edges[2 * b], width = bands->edges[2 * b + 1] - first;
        sums[b] = band_sum(magnitude + first, weights, width);
        weights += width;
    }
    int b = 0;
    for (; b + 4 <= bands->count; b += 4)
        _mm_storeu_ps(dst + b, levels(_mm256_loadu_pd(sums + b)));
    if (b < bands->count) {
        float rest[4];
        for (int j = bands->count; j < b + 4; j++) sums[j] = 1.0;
        _mm_storeu_ps(rest, levels(_mm256_loadu_pd(sums + b)));
        for (int j = 0; b + j < bands->count; j++) dst[b + j] = rest[j];
    }
}
