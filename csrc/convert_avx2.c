/* convert rows for AVX2: eight pixels a step, the tail by the scalar row. */
#include "rows.h"

#include <immintrin.h>

/* Eight values to eight integers 0..255. max and min return their second operand where the
 * first is NaN, so NaN gives 0. */
static inline __m256i to_bytes8(const float *src, __m256 low, __m256 gain, int truncate)
{
    __m256 v = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(src), low), gain);
    v = _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return truncate ? _mm256_cvttps_epi32(v) : _mm256_cvtps_epi32(v);
}

/* Eight pixels as 32-bit words, first byte lowest, fourth byte 0. */
static inline __m256i to_pixels8(const float *c0, const float *c1, const float *c2, __m256 low,
                                 __m256 gain, int truncate)
{
    const __m256i first = to_bytes8(c0, low, gain, truncate);
    const __m256i second = _mm256_slli_epi32(to_bytes8(c1, low, gain, truncate), 8);
    const __m256i third = _mm256_slli_epi32(to_bytes8(c2, low, gain, truncate), 16);
    return _mm256_or_si256(_mm256_or_si256(first, second), third);
}

static inline void to_u8x3(uint8_t *dst, const float *c0, const float *c1, const float *c2,
                           int width, float low, float gain, int truncate)
{
    const __m256 lows = _mm256_set1_ps(low), gains = _mm256_set1_ps(gain);
    const __m256i drop_fourth = _mm256_setr_epi8(
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i close_gap = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        __m256i v = to_pixels8(c0 + x, c1 + x, c2 + x, lows, gains, truncate);
        v = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, drop_fourth), close_gap);
        uint8_t *d = dst + 3 * (ptrdiff_t)x;
        _mm_storeu_si128((__m128i *)d, _mm256_castsi256_si128(v));
        _mm_storel_epi64((__m128i *)(d + 16), _mm256_extracti128_si256(v, 1));
    }
    lf_convert_f32p3_u8x3_row_c(dst + 3 * (ptrdiff_t)x, c0 + x, c1 + x, c2 + x, width - x, low,
                                gain, truncate);
}

static inline void to_u8x4(uint8_t *dst, const float *c0, const float *c1, const float *c2,
                           int width, float low, float gain, int truncate)
{
    const __m256 lows = _mm256_set1_ps(low), gains = _mm256_set1_ps(gain);
    const __m256i opaque = _mm256_set1_epi32((int)0xff000000u);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const __m256i v = to_pixels8(c0 + x, c1 + x, c2 + x, lows, gains, truncate);
        _mm256_storeu_si256((__m256i *)(dst + 4 * (ptrdiff_t)x), _mm256_or_si256(v, opaque));
    }
    lf_convert_f32p3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, c0 + x, c1 + x, c2 + x, width - x, low,
                                gain, truncate);
}

/* The rounding is decided once a row: the compiler makes two loops of each. */

void lf_convert_f32p3_u8x3_row_avx2(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                    const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                    int width, float low, float gain, int truncate)
{
    if (truncate)
        to_u8x3(dst, c0, c1, c2, width, low, gain, 1);
    else
        to_u8x3(dst, c0, c1, c2, width, low, gain, 0);
}

void lf_convert_f32p3_u8x4_row_avx2(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                    const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                    int width, float low, float gain, int truncate)
{
    if (truncate)
        to_u8x4(dst, c0, c1, c2, width, low, gain, 1);
    else
        to_u8x4(dst, c0, c1, c2, width, low, gain, 0);
}

/* One channel of eight pixels to floats: `pick` moves its bytes into 32-bit words.
 * byte / 255 = byte * (1/256 + 1/65536) + byte * the rest of 1/255: the first product is exact,
 * and their rounded sum has the bits of the division for every byte 0..255. */
static inline __m256 from_bytes8(__m256i pixels, __m256i pick, __m256 span, __m256 low)
{
    const __m256 byte = _mm256_cvtepi32_ps(_mm256_shuffle_epi8(pixels, pick));
    const __m256 unit = _mm256_add_ps(_mm256_mul_ps(byte, _mm256_set1_ps(0x1.01p-8f)),
                                      _mm256_mul_ps(byte, _mm256_set1_ps(0x1.010102p-24f)));
    return _mm256_add_ps(_mm256_mul_ps(unit, span), low);
}

/* Indices of one channel's bytes: pixels 0..3 begin at byte 0 of the low lane, 4..7 at byte 4 of
 * the high one. */
static inline __m256i pick_channel(int c)
{
    const __m256i first = _mm256_setr_epi32(0, 3, 6, 9, 4, 7, 10, 13);
    return _mm256_or_si256(_mm256_add_epi32(first, _mm256_set1_epi32(c)),
                           _mm256_set1_epi32((int)0x80808000u));
}

void lf_convert_u8x3_f32p3_row_avx2(float *LF_RESTRICT c0, float *LF_RESTRICT c1,
                                    float *LF_RESTRICT c2, const uint8_t *LF_RESTRICT src,
                                    int width, float span, float low)
{
    const __m256 spans = _mm256_set1_ps(span), lows = _mm256_set1_ps(low);
    const __m256i pick0 = pick_channel(0), pick1 = pick_channel(1), pick2 = pick_channel(2);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8_t *s = src + 3 * (ptrdiff_t)x; /* 24 bytes: 0..15 and 8..23 */
        const __m256i v = _mm256_loadu2_m128i((const __m128i *)(s + 8), (const __m128i *)s);
        _mm256_storeu_ps(c0 + x, from_bytes8(v, pick0, spans, lows));
        _mm256_storeu_ps(c1 + x, from_bytes8(v, pick1, spans, lows));
        _mm256_storeu_ps(c2 + x, from_bytes8(v, pick2, spans, lows));
    }
    lf_convert_u8x3_f32p3_row_c(c0 + x, c1 + x, c2 + x, src + 3 * (ptrdiff_t)x, width - x, span,
                                low);
}
