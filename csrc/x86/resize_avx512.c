/* resize rows for AVX-512 with VBMI and VNNI (arithmetic: resize.h). Across, a step makes the 15
 * values of five pixels of three channels, or the 16 of four pixels of four: one load holds all
 * their taps, and one byte permutation a pair of taps brings them to their weights. Down, a step
 * makes 64 bytes.
 * Many taps, one channel and steep shrinking are left to the AVX2 rows. */
#include <immintrin.h>

#include "resize.h"

/* ---- across -------------------------------------------------------------------------------- */

/* Pixels of a step; their taps must lie within one load of 64 bytes. */
static inline int pixels_of_step(int to)
{
    return to == 3 ? 5 : 4;
}

static int fits(const lf_resize_axis *axis, int taps)
{
    if (axis->src_channels == 1) return 0;
    const int64_t between = pixels_of_step(axis->dst_channels) - 1;
    const int64_t span = (between * axis->src + axis->dst - 1) / axis->dst + 1 + taps;
    return span * axis->src_channels <= 64;
}

/* The pixel of the step, and the channel, that each of the 16 values belongs to; with three
 * channels the last value belongs to none. */
static inline __m512i pixel_of_value(int to)
{
    return to == 3 ? _mm512_setr_epi32(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4)
                   : _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
}

static inline __m512i channel_of_value(int to)
{
    return to == 3 ? _mm512_setr_epi32(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0)
                   : _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
}

static inline __m512i twice(__m512i low16)
{
    return _mm512_or_si512(low16, _mm512_slli_epi32(low16, 16));
}

/* Values that all rows of a step share. */
typedef struct step {
    __m512i pick01, pick23; /* bytes of the load: a pair of taps of each value, as int16 */
    __m512i w01, w23;
    __mmask64 inside; /* bytes of the load that the row has */
    ptrdiff_t at;     /* where it begins */
} step;

static inline step step_at(const lf_resize_axis *axis, int x, int from, int to, int cubic)
{
    const int left = axis->dst - x, pixels = pixels_of_step(to), taps = cubic ? 4 : 2;
    const int count = left < pixels ? left : pixels;
    const __m512i pixel = pixel_of_value(to);
    const ptrdiff_t at = (ptrdiff_t)axis->first[x] * from;
    const ptrdiff_t rest = (ptrdiff_t)axis->src * from - at;
    step s;
    s.at = at;
    s.inside = rest >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << rest) - 1;

    const __m512i first = _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1), axis->first + x);
    const __m512i place = _mm512_mullo_epi16(
        _mm512_sub_epi32(first, _mm512_set1_epi32(axis->first[x])), _mm512_set1_epi32(from));
    const __m512i byte =
        _mm512_add_epi32(_mm512_permutexvar_epi32(pixel, place), channel_of_value(to));
    s.pick01 = _mm512_add_epi16(twice(byte), _mm512_set1_epi32(from << 16));
    s.pick23 = _mm512_add_epi16(s.pick01, _mm512_set1_epi16((int16_t)(2 * from)));

    const __mmask16 present = (__mmask16)((1u << (count * taps / 2)) - 1);
    const __m512i w =
        _mm512_maskz_loadu_epi32(present, axis->weights + (ptrdiff_t)x * taps);
    const __m512i pair = cubic ? _mm512_slli_epi32(pixel, 1) : pixel;
    s.w01 = _mm512_permutexvar_epi32(pair, w);
    s.w23 = _mm512_permutexvar_epi32(_mm512_add_epi32(pair, _mm512_set1_epi32(1)), w);
    return s;
}

/* The step's values as int32, of which the low halves are the result. */
static inline __m512i weigh(const step *s, const uint8_t *row, int cubic)
{
    const __mmask64 low_bytes = 0x5555555555555555u;
    const __m512i bytes = _mm512_maskz_loadu_epi8(s->inside, row + s->at);
    __m512i sum = _mm512_madd_epi16(
        _mm512_maskz_permutexvar_epi8(low_bytes, s->pick01, bytes), s->w01);
    if (!cubic) return _mm512_srai_epi32(sum, 4);
    sum = _mm512_dpwssd_epi32(sum, _mm512_maskz_permutexvar_epi8(low_bytes, s->pick23, bytes),
                              s->w23);
    return _mm512_srai_epi32(sum, 8);
}

/* The low halves of two steps' values, one behind the other: 30 or 32 int16. */
static inline __m512i join_order(int to)
{
    /* not _mm512_set_epi16, which GCC 8 lacks */
    static const int16_t three[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                      22, 24, 26, 28, 32, 34, 36, 38, 40, 42, 44,
                                      46, 48, 50, 52, 54, 56, 58, 60, 0,  0};
    static const int16_t four[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                     22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42,
                                     44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
    return _mm512_loadu_si512(to == 3 ? three : four);
}

/* Two steps at a time. Writes at most 31 values past a row's last. */
static inline void across(int16_t *const *dst, const uint8_t *const *src, int count,
                          const lf_resize_axis *axis, int from, int to, int cubic)
{
    const __m512i order = join_order(to);
    const int pixels = pixels_of_step(to);
    for (int x = 0; x < axis->dst; x += 2 * pixels) {
        const step a = step_at(axis, x, from, to, cubic);
        const int more = x + pixels < axis->dst;
        const step b = more ? step_at(axis, x + pixels, from, to, cubic) : a;
        for (int r = 0; r < count; r++) {
            const __m512i first = weigh(&a, src[r], cubic), second = weigh(&b, src[r], cubic);
            _mm512_storeu_si512(dst[r] + (ptrdiff_t)x * to,
                                _mm512_permutex2var_epi16(first, order, second));
        }
    }
}

void lf_resize_linear_across_avx512(int16_t *const *dst, const uint8_t *const *src, int count,
                                    const lf_resize_axis *axis)
{
    if (!fits(axis, 2))
        lf_resize_linear_across_avx2(dst, src, count, axis);
    else if (axis->src_channels == 3)
        across(dst, src, count, axis, 3, 3, 0);
    else if (axis->dst_channels == 3)
        across(dst, src, count, axis, 4, 3, 0);
    else
        across(dst, src, count, axis, 4, 4, 0);
}

void lf_resize_cubic_across_avx512(int16_t *const *dst, const uint8_t *const *src, int count,
                                   const lf_resize_axis *axis)
{
    if (!fits(axis, 4))
        lf_resize_cubic_across_avx2(dst, src, count, axis);
    else if (axis->src_channels == 3)
        across(dst, src, count, axis, 3, 3, 1);
    else if (axis->dst_channels == 3)
        across(dst, src, count, axis, 4, 3, 1);
    else
        across(dst, src, count, axis, 4, 4, 1);
}

/* ---- down ---------------------------------------------------------------------------------- */

static inline __m512i load32(const int16_t *row, int i)
{
    return _mm512_loadu_si512(row + i);
}

/* 64 bytes from two times 32 words; at the row's end fewer are stored. */
static inline void store64(uint8_t *dst, __m512i low, __m512i high, int count)
{
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const __m512i bytes = _mm512_permutexvar_epi64(order, _mm512_packus_epi16(low, high));
    if (count >= 64)
        _mm512_storeu_si512(dst, bytes);
    else
        _mm512_mask_storeu_epi8(dst, ((__mmask64)1 << count) - 1, bytes);
}

static inline __m512i linear32(const int16_t *const *src, __m512i w0, __m512i w1, int i)
{
    const __m512i a = _mm512_mulhi_epi16(load32(src[0], i), w0);
    const __m512i b = _mm512_mulhi_epi16(load32(src[1], i), w1);
    return _mm512_srai_epi16(_mm512_add_epi16(_mm512_add_epi16(a, b), _mm512_set1_epi16(2)), 2);
}

void lf_resize_linear_down_row_avx512(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                      const int16_t *weights, int taps, int shift, int count)
{
    const __m512i w0 = _mm512_set1_epi16(weights[0]), w1 = _mm512_set1_epi16(weights[1]);
    (void)taps, (void)shift;
    for (int i = 0; i < count; i += 64)
        store64(dst + i, linear32(src, w0, w1, i), linear32(src, w0, w1, i + 32), count - i);
}

static inline __m512i cubic32(const int16_t *const *src, const __m512i *w, int i)
{
    __m512i sum = _mm512_set1_epi16(32);
    for (int t = 0; t < 4; t++)
        sum = _mm512_sub_epi16(sum, _mm512_mulhrs_epi16(load32(src[t], i), w[t]));
    return _mm512_srai_epi16(sum, 6);
}

void lf_resize_cubic_down_row_avx512(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                     const int16_t *weights, int taps, int shift, int count)
{
    __m512i w[4];
    (void)taps, (void)shift;
    for (int t = 0; t < 4; t++) w[t] = _mm512_set1_epi16(weights[t]);
    for (int i = 0; i < count; i += 64)
        store64(dst + i, cubic32(src, w, i), cubic32(src, w, i + 32), count - i);
}
