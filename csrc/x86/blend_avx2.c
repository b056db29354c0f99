/* blend rows for AVX2: sixteen bytes are mixed at a time as 16-bit numbers, which hold every
 * step of the rounding (at most 65407). The tails go to the scalar rows. */
#include <immintrin.h>
#include <string.h>

#include "rows.h"

static inline __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static inline void store16(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

static inline __m128i load4(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm_cvtsi32_si128(v);
}

static inline __m128i mix16(__m128i dst, __m128i src, __m128i alpha)
{
    const __m256i d = _mm256_cvtepu8_epi16(dst), s = _mm256_cvtepu8_epi16(src);
    const __m256i a = _mm256_cvtepu8_epi16(alpha);
    const __m256i rest = _mm256_sub_epi16(_mm256_set1_epi16(255), a);
    __m256i t = _mm256_add_epi16(_mm256_mullo_epi16(d, rest), _mm256_mullo_epi16(s, a));
    t = _mm256_add_epi16(t, _mm256_set1_epi16(128));
    t = _mm256_srli_epi16(_mm256_add_epi16(t, _mm256_srli_epi16(t, 8)), 8);
    return _mm_packus_epi16(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
}

void lf_blend_u8x1_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                            const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    int x = 0;
    for (; x + 16 <= width; x += 16)
        store16(dst + x, mix16(load16(dst + x), load16(src + x), load16(mask + x)));
    lf_blend_u8x1_row_c(dst + x, src + x, mask + x, width - x, swap);
}

/* Sixteen pixels of three bytes: first and third byte exchanged, across the three registers. */
static inline void swap48(__m128i v[3])
{
    const __m128i a = v[0], b = v[1], c = v[2];
    v[0] = _mm_or_si128(
        _mm_shuffle_epi8(a, _mm_setr_epi8(2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, -1)),
        _mm_shuffle_epi8(
            b, _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1)));
    v[1] = _mm_or_si128(
        _mm_shuffle_epi8(b, _mm_setr_epi8(0, -1, 4, 3, 2, 7, 6, 5, 10, 9, 8, 13, 12, 11, -1, 15)),
        _mm_or_si128(
            _mm_shuffle_epi8(
                a, _mm_setr_epi8(-1, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)),
            _mm_shuffle_epi8(
                c, _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1))));
    v[2] = _mm_or_si128(
        _mm_shuffle_epi8(c, _mm_setr_epi8(-1, 3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10, 15, 14, 13)),
        _mm_shuffle_epi8(
            b, _mm_setr_epi8(14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)));
}

void lf_blend_u8x3_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                            const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    /* each alpha of sixteen pixels, three times */
    const __m128i spread0 = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5);
    const __m128i spread1 = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
    const __m128i spread2 =
        _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        uint8_t *d = dst + 3 * (ptrdiff_t)x;
        const uint8_t *p = src + 3 * (ptrdiff_t)x;
        const __m128i a = load16(mask + x);
        __m128i s[3] = {load16(p), load16(p + 16), load16(p + 32)};
        if (swap) swap48(s);
        store16(d, mix16(load16(d), s[0], _mm_shuffle_epi8(a, spread0)));
        store16(d + 16, mix16(load16(d + 16), s[1], _mm_shuffle_epi8(a, spread1)));
        store16(d + 32, mix16(load16(d + 32), s[2], _mm_shuffle_epi8(a, spread2)));
    }
    lf_blend_u8x3_row_c(dst + 3 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, mask + x, width - x, swap);
}

void lf_blend_u8x4_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                            const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    const __m128i spread = _mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    int x = 0;
    for (; x + 4 <= width; x += 4) {
        uint8_t *d = dst + 4 * (ptrdiff_t)x;
        const __m128i a = _mm_shuffle_epi8(load4(mask + x), spread);
        store16(d, mix16(load16(d), load16(src + 4 * (ptrdiff_t)x), a));
    }
    lf_blend_u8x4_row_c(dst + 4 * (ptrdiff_t)x, src + 4 * (ptrdiff_t)x, mask + x, width - x, swap);
}

/* Four pixels of three bytes, spread to four bytes with a fourth of 0. */
static inline __m128i widen_pixels(int swap)
{
    return swap ? _mm_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1)
                : _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
}

/* Both of the following load sixteen source bytes for the twelve they use, so they leave the
 * last pixels of a row, whose load would reach past it, to the scalar row. */

void lf_blend_u8x3_u8x4_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                                 const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    const __m128i widen = widen_pixels(swap);
    /* alpha 0 on the fourth byte keeps the background's */
    const __m128i spread = _mm_setr_epi8(0, 0, 0, -1, 1, 1, 1, -1, 2, 2, 2, -1, 3, 3, 3, -1);
    int x = 0;
    for (; x + 6 <= width; x += 4) {
        uint8_t *d = dst + 4 * (ptrdiff_t)x;
        const __m128i s = _mm_shuffle_epi8(load16(src + 3 * (ptrdiff_t)x), widen);
        store16(d, mix16(load16(d), s, _mm_shuffle_epi8(load4(mask + x), spread)));
    }
    lf_blend_u8x3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, mask + x, width - x,
                             swap);
}

void lf_paste_u8x3_u8x4_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                                 int width, int swap)
{
    const __m128i widen = widen_pixels(swap), fourth = _mm_set1_epi32((int)0xff000000u);
    int x = 0;
    for (; x + 6 <= width; x += 4) {
        uint8_t *d = dst + 4 * (ptrdiff_t)x;
        const __m128i s = _mm_shuffle_epi8(load16(src + 3 * (ptrdiff_t)x), widen);
        store16(d, _mm_or_si128(s, _mm_and_si128(load16(d), fourth)));
    }
    lf_paste_u8x3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, width - x, swap);
}

void lf_swap_u8x3_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                           int swap)
{
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        uint8_t *d = dst + 3 * (ptrdiff_t)x;
        const uint8_t *p = src + 3 * (ptrdiff_t)x;
        __m128i v[3] = {load16(p), load16(p + 16), load16(p + 32)};
        swap48(v);
        store16(d, v[0]);
        store16(d + 16, v[1]);
        store16(d + 32, v[2]);
    }
    lf_swap_u8x3_row_c(dst + 3 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, width - x, swap);
}
