/* resize rows for AVX2, across (arithmetic: resize.h). A step makes four pixels of up to four
 * rows, so that weights are unpacked once; four taps of a pixel are one 16 byte load and two
 * shuffles into pairs for the multiply-add, two pixels a register. */
#include <immintrin.h>
#include <string.h>

#include "resize.h"

/* ---- loads --------------------------------------------------------------------------------- */

static inline __m256i load_pair(const void *low, const void *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)),
                                   _mm_loadu_si128(high), 1);
}

/* Shuffle of four pixels of 16 bytes into (tap, next tap) of each channel as int16 pairs;
 * `tap` is 0 or 2. A missing fourth channel becomes 0. */
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
    row_end end = {{0}, size > 16 ? size - 16 : 0, size};
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
    return (four_weights){_mm256_shuffle_epi8(v, even), _mm256_shuffle_epi8(v, odd), v, v};
}

static inline four_weights cubic_weights(const int16_t *w)
{
    const __m256i v = _mm256_loadu_si256((const __m256i *)w);
    return (four_weights){_mm256_shuffle_epi32(v, 0x00), _mm256_shuffle_epi32(v, 0xaa),
                          _mm256_shuffle_epi32(v, 0x55), _mm256_shuffle_epi32(v, 0xff)};
}

static inline __m256i weigh_pair(const uint8_t *low, const uint8_t *high, __m256i w01, __m256i w23,
                                 __m256i pick01, __m256i pick23, int cubic)
{
    const __m256i pixels = load_pair(low, high);
    const __m256i sum = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pick01), w01);
    if (!cubic) return _mm256_srai_epi32(sum, 4);
    const __m256i rest = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pick23), w23);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, rest), 8);
}

/* Four pixels as int16 of four channels each, the last missing where channels is 3. */
static inline void store_four(int16_t *dst, __m256i v, int channels)
{
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
                                const lf_resize_axis *axis, int from, int to, int cubic)
{
    const __m256i pick01 = pick_taps(from, 0), pick23 = pick_taps(from, 2);
    const int safe = safe_groups(axis, 4), all = all_groups(axis, 4);
    const int taps = cubic ? 4 : 2;
    const int32_t *first = axis->first;
    for (int g = 0; g < safe; g++) {
        const int16_t *weights = axis->weights + (ptrdiff_t)g * 4 * taps;
        const four_weights w = cubic ? cubic_weights(weights) : linear_weights(weights);
        const ptrdiff_t a = (ptrdiff_t)first[4 * g] * from;
        const ptrdiff_t b = (ptrdiff_t)first[4 * g + 1] * from;
        const ptrdiff_t c = (ptrdiff_t)first[4 * g + 2] * from;
        const ptrdiff_t d = (ptrdiff_t)first[4 * g + 3] * from;
        for (int r = 0; r < count; r++) {
            const uint8_t *s = src[r];
            const __m256i even =
                weigh_pair(s + a, s + c, w.even01, w.even23, pick01, pick23, cubic);
            const __m256i odd = weigh_pair(s + b, s + d, w.odd01, w.odd23, pick01, pick23, cubic);
            store_four(dst[r] + (ptrdiff_t)g * 4 * to, _mm256_packs_epi32(even, odd),
                       to);
        }
    }
    for (int r = 0; r < count && safe < all; r++) {
        const row_end end = end_of(src[r], (ptrdiff_t)axis->src * from);
        for (int g = safe; g < all; g++) {
            const int16_t *weights = axis->weights + (ptrdiff_t)g * 4 * taps;
            const four_weights w = cubic ? cubic_weights(weights) : linear_weights(weights);
            const uint8_t *s[4];
            for (int k = 0; k < 4; k++)
                s[k] = safe_at(src[r], &end, (ptrdiff_t)first[4 * g + k] * from);
            const __m256i even =
                weigh_pair(s[0], s[2], w.even01, w.even23, pick01, pick23, cubic);
            const __m256i odd = weigh_pair(s[1], s[3], w.odd01, w.odd23, pick01, pick23, cubic);
            store_four(dst[r] + (ptrdiff_t)g * 4 * to, _mm256_packs_epi32(even, odd),
                       to);
        }
    }
}

/* ---- across: many taps, three and four channels -------------------------------------------- */

/* Sums of two pixels in one row, the high and the low halves of the weights apart. */
typedef struct two_sums {
    __m256i high, low;
} two_sums;

static inline two_sums start_sums(const lf_resize_axis *axis)
{
    return (two_sums){_mm256_setzero_si256(), _mm256_set1_epi32(1 << (axis->shift - 1))};
}

/* Four taps of two pixels. */
typedef struct tap_weights {
    __m256i high01, high23, low01, low23;
} tap_weights;

static inline tap_weights unpack_taps(const int16_t *first, const int16_t *second)
{
    const __m256i v = load_pair(first, second);
    return (tap_weights){_mm256_shuffle_epi32(v, 0x00), _mm256_shuffle_epi32(v, 0x55),
                         _mm256_shuffle_epi32(v, 0xaa), _mm256_shuffle_epi32(v, 0xff)};
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

static inline __m256i finish_sums(two_sums sums, const lf_resize_axis *axis)
{
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(sums.high, 11), sums.low);
    return _mm256_sra_epi32(sum, _mm_cvtsi32_si128(axis->shift));
}

static inline __m256i pack_clamped(__m256i even, __m256i odd, const lf_resize_axis *axis)
{
    const __m256i v = _mm256_max_epi16(_mm256_packs_epi32(even, odd), _mm256_setzero_si256());
    return _mm256_min_epi16(v, _mm256_set1_epi16((int16_t)axis->top));
}

/* The pixels x and x + 2 of each row. `rows` is a constant where this is called, so that their
 * sums stay in registers. */
static inline void taps_pair(__m256i *sums_of_rows, const uint8_t *const *src, int rows, int x,
                             const lf_resize_axis *axis, int from)
{
    const __m256i pick01 = pick_taps(from, 0), pick23 = pick_taps(from, 2);
    const int16_t *w0 = axis->weights + (ptrdiff_t)x * 2 * axis->taps, *w2 = w0 + 4 * axis->taps;
    ptrdiff_t a = (ptrdiff_t)axis->first[x] * from;
    ptrdiff_t b = (ptrdiff_t)axis->first[x + 2] * from;
    const two_sums start = start_sums(axis);
    two_sums sums[4] = {start, start, start, start};
    for (int k = 0; k < axis->taps; k += 4, a += 4 * from, b += 4 * from) {
        const tap_weights w = unpack_taps(w0 + 2 * k, w2 + 2 * k);
        for (int r = 0; r < rows; r++)
            sums[r] = add_taps(sums[r], load_pair(src[r] + a, src[r] + b), &w, pick01, pick23);
    }
    for (int r = 0; r < rows; r++) sums_of_rows[r] = finish_sums(sums[r], axis);
}

static inline void taps_four(int16_t *const *dst, const uint8_t *const *src, int rows, int x,
                             const lf_resize_axis *axis, int from, int to)
{
    __m256i even[4], odd[4];
    taps_pair(even, src, rows, x, axis, from);
    taps_pair(odd, src, rows, x + 1, axis, from);
    for (int r = 0; r < rows; r++)
        store_four(dst[r] + (ptrdiff_t)x * to, pack_clamped(even[r], odd[r], axis),
                   to);
}

/* taps_pair in one row; the last four taps may lie at the row's end. */
static inline __m256i taps_pair_at_end(const uint8_t *src, const row_end *end, int x,
                                       const lf_resize_axis *axis, int from)
{
    const __m256i pick01 = pick_taps(from, 0), pick23 = pick_taps(from, 2);
    const int16_t *w0 = axis->weights + (ptrdiff_t)x * 2 * axis->taps, *w2 = w0 + 4 * axis->taps;
    ptrdiff_t a = (ptrdiff_t)axis->first[x] * from;
    ptrdiff_t b = (ptrdiff_t)axis->first[x + 2] * from;
    two_sums sums = start_sums(axis);
    for (int k = 0; k < axis->taps; k += 4, a += 4 * from, b += 4 * from) {
        const tap_weights w = unpack_taps(w0 + 2 * k, w2 + 2 * k);
        const __m256i pixels = load_pair(safe_at(src, end, a), safe_at(src, end, b));
        sums = add_taps(sums, pixels, &w, pick01, pick23);
    }
    return finish_sums(sums, axis);
}

static inline void taps_across(int16_t *const *dst, const uint8_t *const *src, int count,
                               const lf_resize_axis *axis, int from, int to)
{
    const int safe = 4 * safe_groups(axis, 4), all = 4 * all_groups(axis, 4);
    int row = 0;
    for (; row + 4 <= count; row += 4)
        for (int x = 0; x < safe; x += 4) taps_four(dst + row, src + row, 4, x, axis, from, to);
    for (; row < count; row++)
        for (int x = 0; x < safe; x += 4) taps_four(dst + row, src + row, 1, x, axis, from, to);
    for (int r = 0; r < count && safe < all; r++) {
        const row_end end = end_of(src[r], (ptrdiff_t)axis->src * from);
        for (int x = safe; x < all; x += 4) {
            const __m256i even = taps_pair_at_end(src[r], &end, x, axis, from);
            const __m256i odd = taps_pair_at_end(src[r], &end, x + 1, axis, from);
            store_four(dst[r] + (ptrdiff_t)x * to, pack_clamped(even, odd, axis), to);
        }
    }
}

/* ---- across: one channel ------------------------------------------------------------------- */

/* Four bytes from `at` on, 0 past the row's end. */
static inline int load_four(const uint8_t *row, ptrdiff_t size, ptrdiff_t at, int checked)
{
    int v = 0;
    if (!checked || at + 4 <= size)
        memcpy(&v, row + at, 4);
    else
        memcpy(&v, row + at, (size_t)(size - at));
    return v;
}

/* Four taps from tap `tap` on of four pixels. */
static inline __m128i load_pixels(const uint8_t *row, const lf_resize_axis *axis, int x, int tap,
                                  int checked)
{
    const int32_t *first = axis->first + x;
    return _mm_setr_epi32(load_four(row, axis->src, (ptrdiff_t)first[0] + tap, checked),
                          load_four(row, axis->src, (ptrdiff_t)first[1] + tap, checked),
                          load_four(row, axis->src, (ptrdiff_t)first[2] + tap, checked),
                          load_four(row, axis->src, (ptrdiff_t)first[3] + tap, checked));
}

static inline void linear_u8x1(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis,
                               int begin, int end, int checked)
{
    const __m256i pick = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1));
    for (int x = begin; x < end; x += 8) {
        const __m128i low = load_pixels(src, axis, x, 0, checked);
        const __m128i high = load_pixels(src, axis, x + 4, 0, checked);
        const __m256i pixels = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        const __m256i w = _mm256_loadu_si256((const __m256i *)(axis->weights + 2 * x));
        __m256i v = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, pick), w);
        v = _mm256_srai_epi32(v, 4);
        v = _mm256_permute4x64_epi64(_mm256_packs_epi32(v, v), 0x08);
        _mm_storeu_si128((__m128i *)(dst + x), _mm256_castsi256_si128(v));
    }
}

static inline void cubic_u8x1(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis,
                              int begin, int end, int checked)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
    for (int x = begin; x < end; x += 8) {
        const __m256i *w = (const __m256i *)(axis->weights + 4 * (ptrdiff_t)x);
        const __m256i low = _mm256_cvtepu8_epi16(load_pixels(src, axis, x, 0, checked));
        const __m256i high = _mm256_cvtepu8_epi16(load_pixels(src, axis, x + 4, 0, checked));
        __m256i v = _mm256_hadd_epi32(_mm256_madd_epi16(low, _mm256_loadu_si256(w)),
                                      _mm256_madd_epi16(high, _mm256_loadu_si256(w + 1)));
        v = _mm256_srai_epi32(v, 8); /* pixels 0 1 4 5 and 2 3 6 7 */
        v = _mm256_permutevar8x32_epi32(_mm256_packs_epi32(v, v), order);
        _mm_storeu_si128((__m128i *)(dst + x), _mm256_castsi256_si128(v));
    }
}

static inline void taps_u8x1(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis,
                             int begin, int end, int checked)
{
    const ptrdiff_t step = 2 * axis->taps;
    for (int x = begin; x < end; x += 4) {
        const int16_t *w = axis->weights + x * step;
        __m256i high = _mm256_setzero_si256(), low = high;
        for (int k = 0; k < axis->taps; k += 4, w += 8) {
            const __m256i pixels = _mm256_cvtepu8_epi16(load_pixels(src, axis, x, k, checked));
            const __m256i even = load_pair(w, w + 2 * step);
            const __m256i odd = load_pair(w + step, w + 3 * step);
            high = _mm256_add_epi32(
                high, _mm256_madd_epi16(pixels, _mm256_unpacklo_epi64(even, odd)));
            low = _mm256_add_epi32(
                low, _mm256_madd_epi16(pixels, _mm256_unpackhi_epi64(even, odd)));
        }
        two_sums sums = start_sums(axis); /* pixels 0 1 and 2 3 first in their halves */
        sums.high = _mm256_hadd_epi32(high, high);
        sums.low = _mm256_add_epi32(sums.low, _mm256_hadd_epi32(low, low));
        __m256i v = finish_sums(sums, axis);
        v = pack_clamped(v, v, axis);
        _mm_storeu_si128((__m128i *)(dst + x),
                         _mm_unpacklo_epi32(_mm256_castsi256_si128(v),
                                            _mm256_extracti128_si256(v, 1)));
    }
}

/* ---- across: the rows ---------------------------------------------------------------------- */

/* Channels, and whether all four rows are there, are decided once a call: the compiler makes a
 * loop of each. */
static inline void short_rows(int16_t *const *dst, const uint8_t *const *src, int count,
                              const lf_resize_axis *axis, int from, int to, int cubic)
{
    if (count == 4)
        short_across(dst, src, 4, axis, from, to, cubic);
    else
        for (int r = 0; r < count; r++) short_across(dst + r, src + r, 1, axis, from, to, cubic);
}

void lf_resize_linear_across_avx2(int16_t *const *dst, const uint8_t *const *src, int count,
                                  const lf_resize_axis *axis)
{
    if (axis->src_channels == 3)
        short_rows(dst, src, count, axis, 3, 3, 0);
    else if (axis->dst_channels == 3)
        short_rows(dst, src, count, axis, 4, 3, 0);
    else if (axis->src_channels == 4)
        short_rows(dst, src, count, axis, 4, 4, 0);
    else
        for (int r = 0; r < count; r++) {
            const int safe = axis->safe / 8 * 8;
            linear_u8x1(dst[r], src[r], axis, 0, safe, 0);
            linear_u8x1(dst[r], src[r], axis, safe, axis->dst, 1);
        }
}

void lf_resize_cubic_across_avx2(int16_t *const *dst, const uint8_t *const *src, int count,
                                 const lf_resize_axis *axis)
{
    if (axis->src_channels == 3)
        short_rows(dst, src, count, axis, 3, 3, 1);
    else if (axis->dst_channels == 3)
        short_rows(dst, src, count, axis, 4, 3, 1);
    else if (axis->src_channels == 4)
        short_rows(dst, src, count, axis, 4, 4, 1);
    else
        for (int r = 0; r < count; r++) {
            const int safe = axis->safe / 8 * 8;
            cubic_u8x1(dst[r], src[r], axis, 0, safe, 0);
            cubic_u8x1(dst[r], src[r], axis, safe, axis->dst, 1);
        }
}

void lf_resize_taps_across_avx2(int16_t *const *dst, const uint8_t *const *src, int count,
                                const lf_resize_axis *axis)
{
    if (axis->src_channels == 3)
        taps_across(dst, src, count, axis, 3, 3);
    else if (axis->dst_channels == 3)
        taps_across(dst, src, count, axis, 4, 3);
    else if (axis->src_channels == 4)
        taps_across(dst, src, count, axis, 4, 4);
    else
        for (int r = 0; r < count; r++) {
            const int safe = axis->safe / 8 * 8;
            taps_u8x1(dst[r], src[r], axis, 0, safe, 0);
            taps_u8x1(dst[r], src[r], axis, safe, axis->dst, 1);
        }
}
