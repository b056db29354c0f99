/* resize rows for AVX2 (arithmetic: resize.h). Across, a step makes four pixels (two with many
 * taps) of up to four rows, so that weights are unpacked once; a pixel's taps are one 16 byte
 * load and a shuffle into pairs for the multiply-add. Down, a step makes 32 bytes. */
#include "resize.h"

#include <immintrin.h>
#include <string.h>

/* ---- loads --------------------------------------------------------------------------------- */

static inline __m256i load_pair(const void *low, const void *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)),
                                   _mm_loadu_si128(high), 1);
}

/* Shuffle of four pixels of 16 bytes into (tap, next tap) of each channel as int16 pairs;
 * `tap` is 0 or 2. A fourth channel that is not there becomes 0. */
static inline __m256i pick_taps(int channels, int tap)
{
    const __m128i three = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -99, -1, -99, -1);
    const __m128i four = _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
    /* added to every even byte: -99 stays negative, which gives 0 */
    const __m128i pick = _mm_add_epi8(channels == 3 ? three : four,
                                      _mm_set1_epi16((int16_t)(tap * channels)));
    return _mm256_broadcastsi128_si256(pick);
}

/* The end of a row, where 16 byte loads would run past it, with zeros behind. */
typedef struct row_end {
    uint8_t bytes[32];
    ptrdiff_t begin, size; /* the row's byte at bytes[0]; bytes of the row */
} row_end;

static inline row_end end_of(const uint8_t *row, ptrdiff_t size)
{
    row_end end = { { 0 }, size > 16 ? size - 16 : 0, size };
    memcpy(end.bytes, row + end.begin, (size_t)(size - end.begin));
    return end;
}

static inline const uint8_t *safe_at(const uint8_t *row, const row_end *end, ptrdiff_t at)
{
    return at + 16 <= end->size ? row + at : end->bytes + (at - end->begin);
}

/* Groups of `step` pixels all of whose loads stay inside the row; all groups there are. */
static inline int safe_groups(const lf_resize_axis *axis, int step)
{
    return axis->safe == axis->dst ? (axis->dst + step - 1) / step : axis->safe / step;
}

static inline int all_groups(const lf_resize_axis *axis, int step)
{
    return (axis->dst + step - 1) / step;
}

/* ---- across: linear and cubic, three and four channels ------------------------------------- */

/* The weights of four pixels: of the first and third, of the second and fourth; of taps 0 and 1,
 * of taps 2 and 3 (cubic). */
typedef struct four_weights {
    __m256i even01, odd01, even23, odd23;
} four_weights;

static inline four_weights linear_weights(const int16_t *w)
{
    const __m256i v = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)w));
    const __m256i even = _mm256_setr_epi64x(0x0302010003020100, 0x0302010003020100,
                                            0x0b0a09080b0a0908, 0x0b0a09080b0a0908);
    const __m256i odd = _mm256_add_epi8(even, _mm256_set1_epi8(4));
    return (four_weights){ _mm256_shuffle_epi8(v, even), _mm256_shuffle_epi8(v, odd), v, v };
}

static inline four_weights cubic_weights(const int16_t *w)
{
    const __m256i v = _mm256_loadu_si256((const __m256i *)w);
    return (four_weights){ _mm256_shuffle_epi32(v, 0x00), _mm256_shuffle_epi32(v, 0xaa),
                           _mm256_shuffle_epi32(v, 0x55), _mm256_shuffle_epi32(v, 0xff) };
}

static inline __m256i weigh_pair(const uint8_t *low, const uint8_t *high, __m256i w01, __m256i w23,
                                 __m256i pick01, __m256i pick23, int cubic)
{
    const __m256i pixels = load_pair(low, high);
    const __m256i sum = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pick01), w01);
    if (!cubic) return _mm256_srai_epi32(sum, 4);
    const __m256i rest = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pick23), w23);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, rest), 5);
}

/* Four pixels, `low` the first and third's sums, `high` the second and fourth's. */
static inline void store_four(int16_t *dst, __m256i low, __m256i high, int channels)
{
    __m256i v = _mm256_packs_epi32(low, high);
    if (channels == 4) {
        _mm256_storeu_si256((__m256i *)dst, v);
        return;
    }
    const __m256i close_gap = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1));
    v = _mm256_shuffle_epi8(v, close_gap);
    _mm_storeu_si128((__m128i *)dst, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)(dst + 6), _mm256_extracti128_si256(v, 1));
}

static inline void short_across(int16_t *const *dst, const uint8_t *const *src, int count,
                                const lf_resize_axis *axis, int channels, int cubic)
{
    const __m256i pick01 = pick_taps(channels, 0), pick23 = pick_taps(channels, 2);
    const int safe = safe_groups(axis, 4), all = all_groups(axis, 4);
    const int taps = cubic ? 4 : 2;
    const int32_t *first = axis->first;
    for (int g = 0; g < safe; g++) {
        const int16_t *weights = axis->weights + (ptrdiff_t)g * 4 * taps;
        const four_weights w = cubic ? cubic_weights(weights) : linear_weights(weights);
        const ptrdiff_t a = (ptrdiff_t)first[4 * g] * channels;
        const ptrdiff_t b = (ptrdiff_t)first[4 * g + 1] * channels;
        const ptrdiff_t c = (ptrdiff_t)first[4 * g + 2] * channels;
        const ptrdiff_t d = (ptrdiff_t)first[4 * g + 3] * channels;
        for (int r = 0; r < count; r++) {
            const uint8_t *s = src[r];
            const __m256i even =
                weigh_pair(s + a, s + c, w.even01, w.even23, pick01, pick23, cubic);
            const __m256i odd = weigh_pair(s + b, s + d, w.odd01, w.odd23, pick01, pick23, cubic);
            store_four(dst[r] + (ptrdiff_t)g * 4 * channels, even, odd, channels);
        }
    }
    for (int r = 0; r < count && safe < all; r++) {
        const row_end end = end_of(src[r], (ptrdiff_t)axis->src * channels);
        for (int g = safe; g < all; g++) {
            const int16_t *weights = axis->weights + (ptrdiff_t)g * 4 * taps;
            const four_weights w = cubic ? cubic_weights(weights) : linear_weights(weights);
            const uint8_t *s[4];
            for (int k = 0; k < 4; k++)
                s[k] = safe_at(src[r], &end, (ptrdiff_t)first[4 * g + k] * channels);
            const __m256i even =
                weigh_pair(s[0], s[2], w.even01, w.even23, pick01, pick23, cubic);
            const __m256i odd = weigh_pair(s[1], s[3], w.odd01, w.odd23, pick01, pick23, cubic);
            store_four(dst[r] + (ptrdiff_t)g * 4 * channels, even, odd, channels);
        }
    }
}

/* ---- across: many taps, three and four channels -------------------------------------------- */

/* Sums of two pixels in one row, the high and the low halves of the weights apart. */
typedef struct two_sums {
    __m256i high, low;
} two_sums;

/* Four taps of two pixels. */
typedef struct tap_weights {
    __m256i high01, high23, low01, low23;
} tap_weights;

static inline tap_weights unpack_taps(const int16_t *first, const int16_t *second)
{
    const __m256i v = load_pair(first, second);
    return (tap_weights){ _mm256_shuffle_epi32(v, 0x00), _mm256_shuffle_epi32(v, 0x55),
                          _mm256_shuffle_epi32(v, 0xaa), _mm256_shuffle_epi32(v, 0xff) };
}

static inline two_sums add_taps(two_sums sums, __m256i pixels, const tap_weights *w,
                                __m256i pick01, __m256i pick23)
{
    const __m256i a = _mm256_shuffle_epi8(pixels, pick01);
    const __m256i b = _mm256_shuffle_epi8(pixels, pick23);
    sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(a, w->high01));
    sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(b, w->high23));
    sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(a, w->low01));
    sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(b, w->low23));
    return sums;
}

static inline __m256i finish_sums(__m256i high, __m256i low, const lf_resize_axis *axis)
{
    const __m256i half = _mm256_set1_epi32(1 << (axis->shift - 1));
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 11), _mm256_add_epi32(low, half));
    __m256i v = _mm256_sra_epi32(sum, _mm_cvtsi32_si128(axis->shift));
    v = _mm256_packs_epi32(v, v);
    v = _mm256_max_epi16(v, _mm256_setzero_si256());
    return _mm256_min_epi16(v, _mm256_set1_epi16((int16_t)axis->top));
}

static inline void store_two(int16_t *dst, two_sums sums, const lf_resize_axis *axis, int channels)
{
    const __m256i v = finish_sums(sums.high, sums.low, axis);
    _mm_storel_epi64((__m128i *)dst, _mm256_castsi256_si128(v));
    _mm_storel_epi64((__m128i *)(dst + channels), _mm256_extracti128_si256(v, 1));
}

/* `rows` is a constant where this is called: the sums of up to four rows stay in registers. */
static inline void taps_pair(int16_t *const *dst, const uint8_t *const *src, int rows, int x,
                             const lf_resize_axis *axis, int channels)
{
    const __m256i pick01 = pick_taps(channels, 0), pick23 = pick_taps(channels, 2);
    const __m256i zero = _mm256_setzero_si256();
    const int16_t *w0 = axis->weights + (ptrdiff_t)x * 2 * axis->taps, *w1 = w0 + 2 * axis->taps;
    ptrdiff_t a = (ptrdiff_t)axis->first[x] * channels;
    ptrdiff_t b = (ptrdiff_t)axis->first[x + 1] * channels;
    two_sums sums[4] = { { zero, zero }, { zero, zero }, { zero, zero }, { zero, zero } };
    for (int k = 0; k < axis->taps; k += 4, a += 4 * channels, b += 4 * channels) {
        const tap_weights w = unpack_taps(w0 + 2 * k, w1 + 2 * k);
        for (int r = 0; r < rows; r++)
            sums[r] = add_taps(sums[r], load_pair(src[r] + a, src[r] + b), &w, pick01, pick23);
    }
    for (int r = 0; r < rows; r++)
        store_two(dst[r] + (ptrdiff_t)x * channels, sums[r], axis, channels);
}

/* As above in one row; the last four taps may lie at the row's end. */
static inline void taps_pair_at_end(int16_t *dst, const uint8_t *src, const row_end *end, int x,
                                    const lf_resize_axis *axis, int channels)
{
    const __m256i pick01 = pick_taps(channels, 0), pick23 = pick_taps(channels, 2);
    const int16_t *w0 = axis->weights + (ptrdiff_t)x * 2 * axis->taps, *w1 = w0 + 2 * axis->taps;
    ptrdiff_t a = (ptrdiff_t)axis->first[x] * channels;
    ptrdiff_t b = (ptrdiff_t)axis->first[x + 1] * channels;
    two_sums sums = { _mm256_setzero_si256(), _mm256_setzero_si256() };
    for (int k = 0; k < axis->taps; k += 4, a += 4 * channels, b += 4 * channels) {
        const tap_weights w = unpack_taps(w0 + 2 * k, w1 + 2 * k);
        const __m256i pixels = load_pair(safe_at(src, end, a), safe_at(src, end, b));
        sums = add_taps(sums, pixels, &w, pick01, pick23);
    }
    store_two(dst + (ptrdiff_t)x * channels, sums, axis, channels);
}

static inline void taps_across(int16_t *const *dst, const uint8_t *const *src, int count,
                               const lf_resize_axis *axis, int channels)
{
    const int safe = 2 * safe_groups(axis, 2), all = 2 * all_groups(axis, 2);
    if (count == 4)
        for (int x = 0; x < safe; x += 2) taps_pair(dst, src, 4, x, axis, channels);
    else
        for (int r = 0; r < count; r++)
            for (int x = 0; x < safe; x += 2) taps_pair(dst + r, src + r, 1, x, axis, channels);
    for (int r = 0; r < count && safe < all; r++) {
        const row_end end = end_of(src[r], (ptrdiff_t)axis->src * channels);
        for (int x = safe; x < all; x += 2)
            taps_pair_at_end(dst[r], src[r], &end, x, axis, channels);
    }
}

/* ---- across: one channel ------------------------------------------------------------------- */

/* Four bytes from `at` on; what lies past the row's end is 0. */
static inline int load_four(const uint8_t *row, ptrdiff_t size, ptrdiff_t at)
{
    int v = 0;
    if (at + 4 <= size)
        memcpy(&v, row + at, 4);
    else
        memcpy(&v, row + at, (size_t)(size - at));
    return v;
}

/* Four taps from tap `tap` on of four pixels. */
static inline __m128i load_pixels(const uint8_t *row, const lf_resize_axis *axis, int x, int tap)
{
    const int32_t *first = axis->first + x;
    return _mm_setr_epi32(load_four(row, axis->src, first[0] + tap),
                          load_four(row, axis->src, first[1] + tap),
                          load_four(row, axis->src, first[2] + tap),
                          load_four(row, axis->src, first[3] + tap));
}

static inline void linear_u8x1(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis)
{
    const __m256i pick = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1));
    for (int x = 0; x < axis->dst; x += 8) {
        const __m256i pixels = _mm256_set_m128i(load_pixels(src, axis, x + 4, 0),
                                                load_pixels(src, axis, x, 0));
        const __m256i w = _mm256_loadu_si256((const __m256i *)(axis->weights + 2 * x));
        __m256i v = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pick), w);
        v = _mm256_srai_epi32(v, 4);
        v = _mm256_permute4x64_epi64(_mm256_packs_epi32(v, v), 0x08);
        _mm_storeu_si128((__m128i *)(dst + x), _mm256_castsi256_si128(v));
    }
}

static inline void cubic_u8x1(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
    for (int x = 0; x < axis->dst; x += 8) {
        const __m256i *w = (const __m256i *)(axis->weights + 4 * (ptrdiff_t)x);
        const __m256i low = _mm256_cvtepu8_epi16(load_pixels(src, axis, x, 0));
        const __m256i high = _mm256_cvtepu8_epi16(load_pixels(src, axis, x + 4, 0));
        __m256i v = _mm256_hadd_epi32(_mm256_madd_epi16(low, _mm256_loadu_si256(w)),
                                      _mm256_madd_epi16(high, _mm256_loadu_si256(w + 1)));
        v = _mm256_srai_epi32(v, 5); /* pixels 0 1 4 5 and 2 3 6 7 */
        v = _mm256_permutevar8x32_epi32(_mm256_packs_epi32(v, v), order);
        _mm_storeu_si128((__m128i *)(dst + x), _mm256_castsi256_si128(v));
    }
}

static inline void taps_u8x1(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis)
{
    const ptrdiff_t step = 2 * axis->taps;
    for (int x = 0; x < axis->dst; x += 4) {
        const int16_t *w = axis->weights + x * step;
        __m256i high = _mm256_setzero_si256(), low = high;
        for (int k = 0; k < axis->taps; k += 4, w += 8) {
            const __m256i pixels = _mm256_cvtepu8_epi16(load_pixels(src, axis, x, k));
            const __m256i even = load_pair(w, w + 2 * step), odd = load_pair(w + step, w + 3 * step);
            high = _mm256_add_epi32(
                high, _mm256_madd_epi16(pixels, _mm256_unpacklo_epi64(even, odd)));
            low = _mm256_add_epi32(
                low, _mm256_madd_epi16(pixels, _mm256_unpackhi_epi64(even, odd)));
        }
        const __m256i v = finish_sums(_mm256_hadd_epi32(high, high), _mm256_hadd_epi32(low, low),
                                      axis); /* pixels 0 1 and 2 3 first in their halves */
        _mm_storeu_si128((__m128i *)(dst + x),
                         _mm_unpacklo_epi32(_mm256_castsi256_si128(v),
                                            _mm256_extracti128_si256(v, 1)));
    }
}

/* ---- across: the rows ---------------------------------------------------------------------- */

/* Channels, and whether all four rows are there, are decided once a call: the compiler makes a
 * loop of each. */
static inline void short_rows(int16_t *const *dst, const uint8_t *const *src, int count,
                              const lf_resize_axis *axis, int channels, int cubic)
{
    if (count == 4)
        short_across(dst, src, 4, axis, channels, cubic);
    else
        for (int r = 0; r < count; r++) short_across(dst + r, src + r, 1, axis, channels, cubic);
}

void lf_resize_linear_across_avx2(int16_t *const *dst, const uint8_t *const *src, int count,
                                  const lf_resize_axis *axis)
{
    if (axis->channels == 3)
        short_rows(dst, src, count, axis, 3, 0);
    else if (axis->channels == 4)
        short_rows(dst, src, count, axis, 4, 0);
    else
        for (int r = 0; r < count; r++) linear_u8x1(dst[r], src[r], axis);
}

void lf_resize_cubic_across_avx2(int16_t *const *dst, const uint8_t *const *src, int count,
                                 const lf_resize_axis *axis)
{
    if (axis->channels == 3)
        short_rows(dst, src, count, axis, 3, 1);
    else if (axis->channels == 4)
        short_rows(dst, src, count, axis, 4, 1);
    else
        for (int r = 0; r < count; r++) cubic_u8x1(dst[r], src[r], axis);
}

void lf_resize_taps_across_avx2(int16_t *const *dst, const uint8_t *const *src, int count,
                                const lf_resize_axis *axis)
{
    if (axis->channels == 3)
        taps_across(dst, src, count, axis, 3);
    else if (axis->channels == 4)
        taps_across(dst, src, count, axis, 4);
    else
        for (int r = 0; r < count; r++) taps_u8x1(dst[r], src[r], axis);
}

/* ---- down ---------------------------------------------------------------------------------- */

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

/* Moves what the low sums have above 11 bits to the high ones: 32 more rows of at most 255 * 128
 * by low halves below 2048 then stay below 2^31. */
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
    __m256i high[4] = { zero, zero, zero, zero }, low[4] = { zero, zero, zero, zero };
    for (int k = 0; k < taps; k += 4, weights += 8) {
        if (k && k % 32 == 0) carry(high, low);
        for (int half = 0; half < 2; half++) {
            const __m256i hp = weight_pair(weights + 2 * half);
            const __m256i lp = weight_pair(weights + 4 + 2 * half);
            const int16_t *r0 = src[k + 2 * half] + i, *r1 = src[k + 2 * half + 1] + i;
            add_rows(high, low, r0, r1, hp, lp);
            add_rows(high + 2, low + 2, r0 + 16, r1 + 16, hp, lp);
        }
    }
    carry(high, low);
    const __m256i round = _mm256_set1_epi32(1 << (shift - 12));
    const __m128i places = _mm_cvtsi32_si128(shift - 11);
    for (int k = 0; k < 4; k++)
        high[k] = _mm256_sra_epi32(_mm256_add_epi32(high[k], round), places);
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
