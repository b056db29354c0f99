/* resize rows for AVX2, down: a step makes 32 bytes (arithmetic: resize.h). */
#include <immintrin.h>
#include <string.h>

#include "resize.h"

static inline __m256i load16(const int16_t *row, int i)
{
    return _mm256_loadu_si256((const __m256i *)(row + i));
}

/* 32 bytes from two times 16 words. */
static inline __m256i to_bytes(__m256i low, __m256i high)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xd8);
}

static inline __m256i linear32(const int16_t *const *src, const int16_t *weights, int i)
{
    const __m256i w0 = _mm256_set1_epi16(weights[0]), w1 = _mm256_set1_epi16(weights[1]);
    const __m256i two = _mm256_set1_epi16(2);
    __m256i v[2];
    for (int k = 0; k < 2; k++) {
        const __m256i a = _mm256_mulhi_epi16(load16(src[0], i + 16 * k), w0);
        const __m256i b = _mm256_mulhi_epi16(load16(src[1], i + 16 * k), w1);
        v[k] = _mm256_srai_epi16(_mm256_add_epi16(_mm256_add_epi16(a, b), two), 2);
    }
    return to_bytes(v[0], v[1]);
}

static inline __m256i cubic32(const int16_t *const *src, const int16_t *weights, int i)
{
    __m256i v[2];
    for (int k = 0; k < 2; k++) {
        __m256i sum = _mm256_set1_epi16(32);
        for (int t = 0; t < 4; t++)
            sum = _mm256_sub_epi16(sum, _mm256_mulhrs_epi16(load16(src[t], i + 16 * k),
                                                            _mm256_set1_epi16(weights[t])));
        v[k] = _mm256_srai_epi16(sum, 6);
    }
    return to_bytes(v[0], v[1]);
}

/* Two weights as one number, for the multiply-add of two interleaved rows. */
static inline __m256i weight_pair(const int16_t *pair)
{
    int v;
    memcpy(&v, pair, 4);
    return _mm256_set1_epi32(v);
}

static inline void add_rows(__m256i *high, __m256i *low, const int16_t *r0, const int16_t *r1,
                            __m256i high_pair, __m256i low_pair)
{
    const __m256i a = load16(r0, 0), b = load16(r1, 0);
    const __m256i first = _mm256_unpacklo_epi16(a, b), second = _mm256_unpackhi_epi16(a, b);
    high[0] = _mm256_add_epi32(high[0], _mm256_madd_epi16(first, high_pair));
    high[1] = _mm256_add_epi32(high[1], _mm256_madd_epi16(second, high_pair));
    low[0] = _mm256_add_epi32(low[0], _mm256_madd_epi16(first, low_pair));
    low[1] = _mm256_add_epi32(low[1], _mm256_madd_epi16(second, low_pair));
}

/* Carries what the low sums have above 11 bits over to the high ones: 32 more rows of at most
 * 255 * 128 by low halves below 2048 then stay below 2^31. */
static inline void carry(__m256i *high, __m256i *low)
{
    for (int k = 0; k < 4; k++) {
        high[k] = _mm256_add_epi32(high[k], _mm256_srai_epi32(low[k], 11));
        low[k] = _mm256_and_si256(low[k], _mm256_set1_epi32(2047));
    }
}

static inline __m256i taps32(const int16_t *const *src, const int16_t *weights, int taps,
                             int shift, int i)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i half = _mm256_set1_epi32(1 << (shift - 12));
    __m256i high[4] = {half, half, half, half}, low[4] = {zero, zero, zero, zero};
    for (int k = 0; k < taps; k += 4, weights += 8) {
        if (k && k % 32 == 0) carry(high, low);
        for (int t = 0; t < 4; t += 2) {
            const __m256i hp = weight_pair(weights + t), lp = weight_pair(weights + 4 + t);
            const int16_t *r0 = src[k + t] + i, *r1 = src[k + t + 1] + i;
            add_rows(high, low, r0, r1, hp, lp);
            add_rows(high + 2, low + 2, r0 + 16, r1 + 16, hp, lp);
        }
    }
    const __m128i places = _mm_cvtsi32_si128(shift - 11);
    for (int k = 0; k < 4; k++)
        high[k] = _mm256_sra_epi32(_mm256_add_epi32(high[k], _mm256_srai_epi32(low[k], 11)),
                                   places);
    return to_bytes(_mm256_packs_epi32(high[0], high[1]), _mm256_packs_epi32(high[2], high[3]));
}

/* All bytes of a row, 32 at a time; the last 32 overlap those before, fewer go through a copy. */
#define LF_ROW_OF_32(dst, count, make)                               \
    do {                                                             \
        int i = 0;                                                   \
        for (; i + 32 <= (count); i += 32)                           \
            _mm256_storeu_si256((__m256i *)((dst) + i), make);       \
        if (i < (count) && (count) >= 32) {                          \
            i = (count) - 32;                                        \
            _mm256_storeu_si256((__m256i *)((dst) + i), make);       \
        } else if (i < (count)) {                                    \
            uint8_t bytes[32];                                       \
            _mm256_storeu_si256((__m256i *)bytes, make);             \
            memcpy((dst), bytes, (size_t)(count));                   \
        }                                                            \
    } while (0)

void lf_resize_linear_down_row_avx2(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                    const int16_t *weights, int taps, int shift, int count)
{
    (void)taps, (void)shift;
    LF_ROW_OF_32(dst, count, linear32(src, weights, i));
}

void lf_resize_cubic_down_row_avx2(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                   const int16_t *weights, int taps, int shift, int count)
{
    (void)taps, (void)shift;
    LF_ROW_OF_32(dst, count, cubic32(src, weights, i));
}

void lf_resize_taps_down_row_avx2(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                  const int16_t *weights, int taps, int shift, int count)
{
    LF_ROW_OF_32(dst, count, taps32(src, weights, taps, shift, i));
}
