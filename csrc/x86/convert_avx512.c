/* convert rows for AVX-512 with VBMI: sixteen pixels a step, the tail under a mask. */
#include <immintrin.h>

#include "rows.h"

/* Sixteen values to integers of 0..255. max returns its second operand where either is NaN. */
static inline __m512i to_bytes16(const float *src, __mmask16 inside, __m512 low, __m512 gain,
                                 int truncate, int from_zero)
{
    __m512 v = _mm512_maskz_loadu_ps(inside, src);
    if (!from_zero) v = _mm512_sub_ps(v, low);
    v = _mm512_max_ps(_mm512_mul_ps(v, gain), _mm512_setzero_ps());
    v = _mm512_min_ps(v, _mm512_set1_ps(255.0f));
    return truncate ? _mm512_cvttps_epi32(v) : _mm512_cvtps_epi32(v);
}

/* Ten parameters: registers and constants once inlined. */
static inline void to_pixels(uint8_t *dst, const float *c0, const float *c1, const float *c2,
                             int width, float low, float gain, int truncate, int from_zero,
                             int channels)
{
    const __m512 lows = _mm512_set1_ps(low), gains = _mm512_set1_ps(gain);
    const __m512i opaque = _mm512_set1_epi32((int)0xff000000u);
    /* the first three bytes of every four */
    const __m512i close_gaps = _mm512_setr_epi32(
        0x04020100, 0x09080605, 0x0e0d0c0a, 0x14121110, 0x19181615, 0x1e1d1c1a, 0x24222120,
        0x29282625, 0x2e2d2c2a, 0x34323130, 0x39383635, 0x3e3d3c3a, 0, 0, 0, 0);
    for (int x = 0; x < width; x += 16) {
        const int count = width - x < 16 ? width - x : 16;
        const __mmask16 inside = (__mmask16)((1u << count) - 1);
        const __m512i first = to_bytes16(c0 + x, inside, lows, gains, truncate, from_zero);
        const __m512i second = to_bytes16(c1 + x, inside, lows, gains, truncate, from_zero);
        const __m512i third = to_bytes16(c2 + x, inside, lows, gains, truncate, from_zero);
        const __m512i two = _mm512_or_si512(first, _mm512_slli_epi32(second, 8));
        const __m512i other = _mm512_or_si512(_mm512_slli_epi32(third, 16), opaque);
        const __m512i pixels = _mm512_or_si512(two, other);
        if (channels == 4)
            _mm512_mask_storeu_epi32(dst + 4 * (ptrdiff_t)x, inside, pixels);
        else
            _mm512_mask_storeu_epi8(dst + 3 * (ptrdiff_t)x, ((__mmask64)1 << (3 * count)) - 1,
                                    _mm512_permutexvar_epi8(close_gaps, pixels));
    }
}

/* Rounding, and whether 0 is the low end, are decided once a row, as in the AVX2 rows. */

void lf_convert_f32p3_u8x3_row_avx512(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                      const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                      int width, float low, float gain, int truncate)
{
    if (truncate && low == 0.0f)
        to_pixels(dst, c0, c1, c2, width, low, gain, 1, 1, 3);
    else if (truncate)
        to_pixels(dst, c0, c1, c2, width, low, gain, 1, 0, 3);
    else
        to_pixels(dst, c0, c1, c2, width, low, gain, 0, 0, 3);
}

void lf_convert_f32p3_u8x4_row_avx512(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                      const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                      int width, float low, float gain, int truncate)
{
    if (truncate && low == 0.0f)
        to_pixels(dst, c0, c1, c2, width, low, gain, 1, 1, 4);
    else if (truncate)
        to_pixels(dst, c0, c1, c2, width, low, gain, 1, 0, 4);
    else
        to_pixels(dst, c0, c1, c2, width, low, gain, 0, 0, 4);
}
