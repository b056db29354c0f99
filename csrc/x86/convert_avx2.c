/* convert rows for AVX2: eight pixels a step, the tail by the scalar row. */
#include <immintrin.h>

#include "rows.h"

/* Eight values to eight integers of at most 255. min returns its second operand where either is
 * NaN; NaN and what is far below 0 convert to INT32_MIN, and the saturating packs that follow
 * make 0 of everything negative. */
static inline __m256i to_bytes8(const float *src, __m256 low, __m256 gain, int truncate,
                                int from_zero)
{
    __m256 v = _mm256_loadu_ps(src);
    if (!from_zero) v = _mm256_sub_ps(v, low);
    v = _mm256_min_ps(_mm256_set1_ps(255.0f), _mm256_mul_ps(v, gain));
    return truncate ? _mm256_cvttps_epi32(v) : _mm256_cvtps_epi32(v);
}

/* Four pixels a lane: their first bytes, second bytes, third bytes, and 255. */
static inline __m256i to_planes8(const float *c0, const float *c1, const float *c2, __m256 low,
                                 __m256 gain, int truncate, int from_zero)
{
    const __m256i first = to_bytes8(c0, low, gain, truncate, from_zero);
    const __m256i second = to_bytes8(c1, low, gain, truncate, from_zero);
    const __m256i third = to_bytes8(c2, low, gain, truncate, from_zero);
    return _mm256_packus_epi16(_mm256_packs_epi32(first, second),
                               _mm256_packs_epi32(third, _mm256_set1_epi32(255)));
}

/* Nine parameters, here and in to_u8x4: registers and constants once inlined. */
static inline void to_u8x3(uint8_t *dst, const float *c0, const float *c1, const float *c2,
                           int width, float low, float gain, int truncate, int from_zero)
{
    const __m256 lows = _mm256_set1_ps(low), gains = _mm256_set1_ps(gain);
    const __m256i interleave = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1));
    const __m256i close_gap = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        __m256i v = to_planes8(c0 + x, c1 + x, c2 + x, lows, gains, truncate, from_zero);
        v = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, interleave), close_gap);
        uint8_t *d = dst + 3 * (ptrdiff_t)x;
        _mm_storeu_si128((__m128i *)d, _mm256_castsi256_si128(v));
        _mm_storel_epi64((__m128i *)(d + 16), _mm256_extracti128_si256(v, 1));
    }
    lf_convert_f32p3_u8x3_row_c(dst + 3 * (ptrdiff_t)x, c0 + x, c1 + x, c2 + x, width - x, low,
                                gain, truncate);
}

static inline void to_u8x4(uint8_t *dst, const float *c0, const float *c1, const float *c2,
                           int width, float low, float gain, int truncate, int from_zero)
{
    const __m256 lows = _mm256_set1_ps(low), gains = _mm256_set1_ps(gain);
    const __m256i interleave = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const __m256i v = to_planes8(c0 + x, c1 + x, c2 + x, lows, gains, truncate, from_zero);
        _mm256_storeu_si256((__m256i *)(dst + 4 * (ptrdiff_t)x),
                            _mm256_shuffle_epi8(v, interleave));
    }
    lf_convert_f32p3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, c0 + x, c1 + x, c2 + x, width - x, low,
                                gain, truncate);
}

/* Rounding, and whether 0 is the low end (then there is nothing to subtract), are decided once a
 * row: the compiler makes three loops of each. */

void lf_convert_f32p3_u8x3_row_avx2(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                    const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                    int width, float low, float gain, int truncate)
{
    if (truncate && low == 0.0f)
        to_u8x3(dst, c0, c1, c2, width, low, gain, 1, 1);
    else if (truncate)
        to_u8x3(dst, c0, c1, c2, width, low, gain, 1, 0);
    else
        to_u8x3(dst, c0, c1, c2, width, low, gain, 0, 0);
}

void lf_convert_f32p3_u8x4_row_avx2(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                    const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                    int width, float low, float gain, int truncate)
{
    if (truncate && low == 0.0f)
        to_u8x4(dst, c0, c1, c2, width, low, gain, 1, 1);
    else if (truncate)
        to_u8x4(dst, c0, c1, c2, width, low, gain, 1, 0);
    else
        to_u8x4(dst, c0, c1, c2, width, low, gain, 0, 0);
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
