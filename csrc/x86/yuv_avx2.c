/* yuv rows for AVX2: the arithmetic of yuv.c, equal bit for bit.
 *
 * Pixels are taken in units of 8 (24 bytes), four units to a block of 32. A row that does not end
 * with a whole block gets one more, which overlaps the one before; where the row is both read and
 * written, that block is computed first and stored last, so that it reads old values too. */
#include <immintrin.h>
#include <string.h>

#include "rows.h"

enum { UNIT = 8, BLOCK = 32 };

/* 8 packed pixels: pixels 0-3 are bytes 0..11 of the lower lane, pixels 4-7 are bytes 4..15 of
 * the upper. */
static inline __m256i load_unit(const uint8_t *p)
{
    __m128i low = _mm_loadu_si128((const __m128i *)p),
            high = _mm_loadu_si128((const __m128i *)(p + 8));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* Weights of one sum as int16: (w0, w1) beside (w2, 0). */
typedef struct weight_pair {
    __m256i first, last;
} weight_pair;

static inline weight_pair pair_weights(const int16_t *w)
{
    weight_pair p = {_mm256_set1_epi32((int)((uint16_t)w[0] | (uint32_t)(uint16_t)w[1] << 16)),
                     _mm256_set1_epi32((uint16_t)w[2])};
    return p;
}

/* Weighted sum of each of 8 pixels as int32, in order. */
static inline __m256i weigh_unit(__m256i unit, const weight_pair *w)
{
    const __m256i first =
        _mm256_setr_epi8(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1, 4, -1, 5, -1, 7,
                         -1, 8, -1, 10, -1, 11, -1, 13, -1, 14, -1);
    const __m256i last =
        _mm256_setr_epi8(2, -1, -1, -1, 5, -1, -1, -1, 8, -1, -1, -1, 11, -1, -1, -1, 6, -1, -1, -1,
                         9, -1, -1, -1, 12, -1, -1, -1, 15, -1, -1, -1);
    return _mm256_add_epi32(_mm256_madd_epi16(_mm256_shuffle_epi8(unit, first), w->first),
                            _mm256_madd_epi16(_mm256_shuffle_epi8(unit, last), w->last));
}

/* 4 x 8 int32 of 0..255 (more saturates) -> 32 bytes in order. */
static inline __m256i pack_block(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* ---- luma ------------------------------------------------------------------------------- */

static inline __m256i luma_block(const uint8_t *src, const weight_pair *w, __m256i bias)
{
    __m256i unit[4];
    for (int k = 0; k < 4; k++) {
        __m256i sum = weigh_unit(load_unit(src + 24 * k), w);
        unit[k] = _mm256_srai_epi32(_mm256_add_epi32(sum, bias), LF_YUV_LUMA_BITS);
    }
    return pack_block(unit[0], unit[1], unit[2], unit[3]);
}

void lf_yuv_luma_u8x3_row_avx2(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src, int width,
                               const lf_yuv_weights *m)
{
    const weight_pair w = pair_weights(m->luma);
    const __m256i bias = _mm256_set1_epi32(m->luma_bias);
    if (width < BLOCK) {
        int i = 0;
        for (; i + UNIT <= width; i += UNIT) {
            __m256i sum = _mm256_add_epi32(weigh_unit(load_unit(src + 3 * i), &w), bias);
            sum = _mm256_srai_epi32(sum, LF_YUV_LUMA_BITS);
            _mm_storel_epi64((__m128i *)(y + i),
                             _mm256_castsi256_si128(pack_block(sum, sum, sum, sum)));
        }
        lf_yuv_luma_u8x3_row_c(y + i, src + 3 * i, width - i, m);
        return;
    }
    for (int i = 0;; i += BLOCK) {
        if (i > width - BLOCK) i = width - BLOCK;
        _mm256_storeu_si256((__m256i *)(y + i), luma_block(src + 3 * i, &w, bias));
        if (i == width - BLOCK) return;
    }
}

/* d + (s - d) * a / 255 with the one rounding, 16 lanes of 16 bits. */
static inline __m256i blend_lanes(__m256i d, __m256i s, __m256i a)
{
    __m256i t = _mm256_mullo_epi16(d, _mm256_sub_epi16(_mm256_set1_epi16(255), a));
    t = _mm256_add_epi16(_mm256_add_epi16(t, _mm256_mullo_epi16(s, a)), _mm256_set1_epi16(128));
    return _mm256_srli_epi16(_mm256_add_epi16(t, _mm256_srli_epi16(t, 8)), 8);
}

static inline __m256i blend_bytes(__m256i d, __m256i s, __m256i a)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i low = blend_lanes(_mm256_unpacklo_epi8(d, zero), _mm256_unpacklo_epi8(s, zero),
                              _mm256_unpacklo_epi8(a, zero));
    __m256i high = blend_lanes(_mm256_unpackhi_epi8(d, zero), _mm256_unpackhi_epi8(s, zero),
                               _mm256_unpackhi_epi8(a, zero));
    return _mm256_packus_epi16(low, high);
}

static inline int all_equal(__m256i bytes, int value)
{
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8((char)value))) == -1;
}

static inline __m256i blended_luma_block(const uint8_t *y, const uint8_t *src, const uint8_t *mask,
                                         const weight_pair *w, __m256i bias)
{
    __m256i old = _mm256_loadu_si256((const __m256i *)y),
            a = _mm256_loadu_si256((const __m256i *)mask);
    if (_mm256_testz_si256(a, a)) return old;
    __m256i luma = luma_block(src, w, bias);
    return all_equal(a, 255) ? luma : blend_bytes(old, luma, a);
}

void lf_yuv_blend_luma_u8x3_row_avx2(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src,
                                     const uint8_t *LF_RESTRICT mask, int width,
                                     const lf_yuv_weights *m)
{
    if (width < BLOCK) {
        uint8_t luma[BLOCK];
        lf_yuv_luma_u8x3_row_avx2(luma, src, width, m);
        for (int i = 0; i < width; i++) {
            unsigned a = mask[i], t = y[i] * (255 - a) + luma[i] * a + 128;
            y[i] = (uint8_t)((t + (t >> 8)) >> 8);
        }
        return;
    }
    const weight_pair w = pair_weights(m->luma);
    const __m256i bias = _mm256_set1_epi32(m->luma_bias);
    const int last = width - BLOCK;
    __m256i end = blended_luma_block(y + last, src + 3 * last, mask + last, &w, bias);
    for (int i = 0; i < last; i += BLOCK)
        _mm256_storeu_si256((__m256i *)(y + i),
                            blended_luma_block(y + i, src + 3 * i, mask + i, &w, bias));
    _mm256_storeu_si256((__m256i *)(y + last), end);
}

/* ---- chroma ----------------------------------------------------------------------------- */

/* Chroma of 2 x 8 pixels as int32: lanes (u0 u1 v0 v1) and (u2 u3 v2 v3). */
typedef struct chroma_weights {
    __m256i u, v;           /* w0 w1 w2 0 for the 2x2 sums */
    weight_pair u_of, v_of; /* for pixels one by one */
} chroma_weights;

static inline chroma_weights chroma_weights_of(const lf_yuv_weights *m)
{
    const int16_t *u = m->u, *v = m->v;
    chroma_weights w = {_mm256_setr_epi16(u[0], u[1], u[2], 0, u[0], u[1], u[2], 0, u[0], u[1],
                                          u[2], 0, u[0], u[1], u[2], 0),
                        _mm256_setr_epi16(v[0], v[1], v[2], 0, v[0], v[1], v[2], 0, v[0], v[1],
                                          v[2], 0, v[0], v[1], v[2], 0),
                        pair_weights(u), pair_weights(v)};
    return w;
}

/* Sums of horizontal pairs, int16: (c0 c1 c2 0) of pairs 0 1 | 2 3. */
static inline __m256i pair_sums(__m256i unit)
{
    const __m256i order = _mm256_setr_epi8(0, 3, 1, 4, 2, 5, -1, -1, 6, 9, 7, 10, 8, 11, -1, -1, 4,
                                           7, 5, 8, 6, 9, -1, -1, 10, 13, 11, 14, 12, 15, -1, -1);
    return _mm256_maddubs_epi16(_mm256_shuffle_epi8(unit, order), _mm256_set1_epi8(1));
}

static inline __m256i chroma_unit(const uint8_t *top, const uint8_t *bottom,
                                  const chroma_weights *w)
{
    __m256i sums = _mm256_add_epi16(pair_sums(load_unit(top)), pair_sums(load_unit(bottom)));
    __m256i uv = _mm256_hadd_epi32(_mm256_madd_epi16(sums, w->u), _mm256_madd_epi16(sums, w->v));
    return _mm256_srai_epi32(_mm256_add_epi32(uv, _mm256_set1_epi32(LF_YUV_CHROMA_BIAS)),
                             LF_YUV_BITS + 2);
}

typedef struct chroma_block {
    __m128i u, v; /* 16 values each */
} chroma_block;

static inline chroma_block pack_chroma(const __m256i *unit)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0,
                                           1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(unit[0], unit[1]),
                                        _mm256_packs_epi32(unit[2], unit[3]));
    bytes = _mm256_shuffle_epi8(bytes, order);
    __m128i even = _mm256_castsi256_si128(bytes), odd = _mm256_extracti128_si256(bytes, 1);
    chroma_block block = {_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd)};
    return block;
}

static inline chroma_block convert_chroma_block(const uint8_t *top, const uint8_t *bottom,
                                                const chroma_weights *w)
{
    __m256i unit[4];
    for (int k = 0; k < 4; k++) unit[k] = chroma_unit(top + 24 * k, bottom + 24 * k, w);
    return pack_chroma(unit);
}

/* One unit: 4 values each. */
static inline void store_chroma_unit(uint8_t *u, uint8_t *v, __m256i unit)
{
    const __m256i units[4] = {unit, unit, unit, unit};
    chroma_block block = pack_chroma(units);
    int32_t first = _mm_cvtsi128_si32(block.u), second = _mm_cvtsi128_si32(block.v);
    memcpy(u, &first, 4);
    memcpy(v, &second, 4);
}

static inline void store_chroma(uint8_t *u, uint8_t *v, chroma_block block)
{
    _mm_storeu_si128((__m128i *)u, block.u);
    _mm_storeu_si128((__m128i *)v, block.v);
}

void lf_yuv_chroma_u8x3_row_avx2(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v, const uint8_t *top,
                                 const uint8_t *bottom, int width, const lf_yuv_weights *m)
{
    const chroma_weights w = chroma_weights_of(m);
    const int even = width & ~1, last = even - BLOCK;
    int i = 0;
    if (last >= 0) {
        for (;; i += BLOCK) {
            if (i > last) i = last;
            store_chroma(u + (i >> 1), v + (i >> 1),
                         convert_chroma_block(top + 3 * i, bottom + 3 * i, &w));
            if (i == last) break;
        }
        i = even;
    }
    for (; i + UNIT <= even; i += UNIT)
        store_chroma_unit(u + (i >> 1), v + (i >> 1), chroma_unit(top + 3 * i, bottom + 3 * i, &w));
    lf_yuv_chroma_u8x3_row_c(u + (i >> 1), v + (i >> 1), top + 3 * i, bottom + 3 * i, width - i, m);
}

static inline __m128i load_4(const uint8_t *p)
{
    int32_t bytes;
    memcpy(&bytes, p, 4);
    return _mm_cvtsi32_si128(bytes);
}

/* 8 alphas as int32. */
static inline __m256i load_alphas(const uint8_t *mask)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)mask));
}

/* As chroma_unit, blended with the old values: 4 bytes each at u and v. */
static inline __m256i blended_chroma_unit(const uint8_t *u, const uint8_t *v, const uint8_t *top,
                                          const uint8_t *bottom, const uint8_t *mask_top,
                                          const uint8_t *mask_bottom, const chroma_weights *w)
{
    __m256i p = load_unit(top), q = load_unit(bottom), a = load_alphas(mask_top),
            b = load_alphas(mask_bottom);
    __m256i su = _mm256_add_epi32(_mm256_mullo_epi32(weigh_unit(p, &w->u_of), a),
                                  _mm256_mullo_epi32(weigh_unit(q, &w->u_of), b));
    __m256i sv = _mm256_add_epi32(_mm256_mullo_epi32(weigh_unit(p, &w->v_of), a),
                                  _mm256_mullo_epi32(weigh_unit(q, &w->v_of), b));
    __m256i sum = _mm256_hadd_epi32(su, sv), alpha = _mm256_add_epi32(a, b);
    alpha = _mm256_hadd_epi32(alpha, alpha);
    __m128i both = _mm_unpacklo_epi16(load_4(u), load_4(v)); /* u0u1 v0v1 u2u3 v2v3 */
    __m256i old = _mm256_sub_epi32(_mm256_cvtepu8_epi32(both), _mm256_set1_epi32(128));
    /* 1020 - alpha fits 16 bits, so madd is a 32-bit product here: the high halves give 0. */
    __m256i kept = _mm256_madd_epi16(old, _mm256_sub_epi32(_mm256_set1_epi32(1020), alpha));
    sum = _mm256_add_epi32(sum, _mm256_slli_epi32(kept, LF_YUV_BITS));
    sum = _mm256_srli_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(LF_YUV_BLEND_BIAS)),
                            LF_YUV_BITS + 2);
    /* sum < 65536: (sum * 0x8081) >> 23 = floor(sum / 255) */
    return _mm256_srli_epi32(_mm256_mulhi_epu16(sum, _mm256_set1_epi32(0x8081)), 7);
}

static inline chroma_block blended_chroma_block(const uint8_t *u, const uint8_t *v,
                                                const uint8_t *top, const uint8_t *bottom,
                                                const uint8_t *mask_top, const uint8_t *mask_bottom,
                                                const chroma_weights *w)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)mask_top),
            b = _mm256_loadu_si256((const __m256i *)mask_bottom);
    __m256i any = _mm256_or_si256(a, b), unit[4];
    if (_mm256_testz_si256(any, any)) {
        chroma_block old = {_mm_loadu_si128((const __m128i *)u),
                            _mm_loadu_si128((const __m128i *)v)};
        return old;
    }
    if (all_equal(_mm256_and_si256(a, b), 255)) return convert_chroma_block(top, bottom, w);
    for (int k = 0; k < 4; k++)
        unit[k] = blended_chroma_unit(u + 4 * k, v + 4 * k, top + 24 * k, bottom + 24 * k,
                                      mask_top + 8 * k, mask_bottom + 8 * k, w);
    return pack_chroma(unit);
}

void lf_yuv_blend_chroma_u8x3_row_avx2(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v,
                                       const uint8_t *top, const uint8_t *bottom,
                                       const uint8_t *mask_top, const uint8_t *mask_bottom,
                                       int width, const lf_yuv_weights *m)
{
    const chroma_weights w = chroma_weights_of(m);
    const int even = width & ~1, last = even - BLOCK;
    int i = 0;
    if (last >= 0) {
        chroma_block end =
            blended_chroma_block(u + (last >> 1), v + (last >> 1), top + 3 * last,
                                 bottom + 3 * last, mask_top + last, mask_bottom + last, &w);
        for (; i < last; i += BLOCK)
            store_chroma(u + (i >> 1), v + (i >> 1),
                         blended_chroma_block(u + (i >> 1), v + (i >> 1), top + 3 * i,
                                              bottom + 3 * i, mask_top + i, mask_bottom + i, &w));
        store_chroma(u + (last >> 1), v + (last >> 1), end);
        i = even;
    }
    for (; i + UNIT <= even; i += UNIT)
        store_chroma_unit(u + (i >> 1), v + (i >> 1),
                          blended_chroma_unit(u + (i >> 1), v + (i >> 1), top + 3 * i,
                                              bottom + 3 * i, mask_top + i, mask_bottom + i, &w));
    lf_yuv_blend_chroma_u8x3_row_c(u + (i >> 1), v + (i >> 1), top + 3 * i, bottom + 3 * i,
                                   mask_top + i, mask_bottom + i, width - i, m);
}

/* ---- I420 to packed pixels ---------------------------------------------------------------- */

enum { PIXELS = 16 };

static inline __m256i two_weights(int even, int odd)
{
    return _mm256_set1_epi32((int)((uint16_t)even | (uint32_t)(uint16_t)odd << 16));
}

typedef struct back_weights {
    __m256i offset, c0, c1_first, c1_last, c2;
} back_weights;

static inline back_weights back_weights_of(const lf_yuv_back *m)
{
    back_weights w = {_mm256_set1_epi16(m->offset), two_weights(m->gain, m->c0_first),
                      two_weights(m->gain, m->c1_first),
                      two_weights(m->c1_last, 1 << (LF_YUV_BITS - 1)),
                      two_weights(m->gain, m->c2_last)};
    return w;
}

/* 8 chroma values, each twice, as int16 around 0. */
static inline __m256i load_chroma(const uint8_t *p)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    return _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(bytes, bytes)),
                            _mm256_set1_epi16(128));
}

static inline __m256i shift_channel(__m256i low, __m256i high, __m256i add_low, __m256i add_high)
{
    low = _mm256_srai_epi32(_mm256_add_epi32(low, add_low), LF_YUV_BITS);
    high = _mm256_srai_epi32(_mm256_add_epi32(high, add_high), LF_YUV_BITS);
    return _mm256_packs_epi32(low, high);
}

/* 16 pixels of 4 bytes, four per part, in order; the fourth byte is 255. */
typedef struct packed_pixels {
    __m128i part[4];
} packed_pixels;

static inline packed_pixels back_block(const uint8_t *y, const uint8_t *first, const uint8_t *last,
                                       const back_weights *w)
{
    const __m256i one = _mm256_set1_epi16(1), half = _mm256_set1_epi32(1 << (LF_YUV_BITS - 1));
    __m256i luma =
        _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)y)), w->offset);
    __m256i f = load_chroma(first), l = load_chroma(last);
    __m256i with_first = _mm256_unpacklo_epi16(luma, f),
            with_first_high = _mm256_unpackhi_epi16(luma, f);
    __m256i with_last = _mm256_unpacklo_epi16(luma, l),
            with_last_high = _mm256_unpackhi_epi16(luma, l);
    __m256i last_one = _mm256_unpacklo_epi16(l, one), last_one_high = _mm256_unpackhi_epi16(l, one);
    __m256i c0 = shift_channel(_mm256_madd_epi16(with_first, w->c0),
                               _mm256_madd_epi16(with_first_high, w->c0), half, half);
    __m256i c1 = shift_channel(
        _mm256_madd_epi16(with_first, w->c1_first), _mm256_madd_epi16(with_first_high, w->c1_first),
        _mm256_madd_epi16(last_one, w->c1_last), _mm256_madd_epi16(last_one_high, w->c1_last));
    __m256i c2 = shift_channel(_mm256_madd_epi16(with_last, w->c2),
                               _mm256_madd_epi16(with_last_high, w->c2), half, half);
    __m256i c01 = _mm256_packus_epi16(c0, c1),
            c2a = _mm256_packus_epi16(c2, _mm256_set1_epi16(255));
    c01 = _mm256_unpacklo_epi8(c01, _mm256_srli_si256(c01, 8));
    c2a = _mm256_unpacklo_epi8(c2a, _mm256_srli_si256(c2a, 8));
    __m256i low = _mm256_unpacklo_epi16(c01, c2a), high = _mm256_unpackhi_epi16(c01, c2a);
    packed_pixels p = {{_mm256_castsi256_si128(low), _mm256_castsi256_si128(high),
                        _mm256_extracti128_si256(low, 1), _mm256_extracti128_si256(high, 1)}};
    return p;
}

static inline void store_u8x3(uint8_t *dst, packed_pixels p)
{
    const __m128i drop = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    __m128i a = _mm_shuffle_epi8(p.part[0], drop), b = _mm_shuffle_epi8(p.part[1], drop);
    __m128i c = _mm_shuffle_epi8(p.part[2], drop), d = _mm_shuffle_epi8(p.part[3], drop);
    _mm_storeu_si128((__m128i *)dst, _mm_or_si128(a, _mm_slli_si128(b, 12)));
    _mm_storeu_si128((__m128i *)(dst + 16),
                     _mm_or_si128(_mm_srli_si128(b, 4), _mm_slli_si128(c, 8)));
    _mm_storeu_si128((__m128i *)(dst + 32),
                     _mm_or_si128(_mm_srli_si128(c, 8), _mm_slli_si128(d, 4)));
}

static inline void store_u8x4(uint8_t *dst, packed_pixels p)
{
    for (int k = 0; k < 4; k++) _mm_storeu_si128((__m128i *)(dst + 16 * k), p.part[k]);
}

/* Blocks start at even pixels, so that a chroma value's two pixels stay together. */
void lf_yuv_i420_to_u8x3_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                                  const uint8_t *LF_RESTRICT first, const uint8_t *LF_RESTRICT last,
                                  int width, const lf_yuv_back *m)
{
    const back_weights w = back_weights_of(m);
    const int end = (width & ~1) - PIXELS;
    int i = 0;
    for (; end >= 0; i += PIXELS) {
        if (i > end) i = end;
        store_u8x3(dst + 3 * i, back_block(y + i, first + (i >> 1), last + (i >> 1), &w));
        if (i == end) {
            i += PIXELS;
            break;
        }
    }
    lf_yuv_i420_to_u8x3_row_c(dst + 3 * i, y + i, first + (i >> 1), last + (i >> 1), width - i, m);
}

void lf_yuv_i420_to_u8x4_row_avx2(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                                  const uint8_t *LF_RESTRICT first, const uint8_t *LF_RESTRICT last,
                                  int width, const lf_yuv_back *m)
{
    const back_weights w = back_weights_of(m);
    const int end = (width & ~1) - PIXELS;
    int i = 0;
    for (; end >= 0; i += PIXELS) {
        if (i > end) i = end;
        store_u8x4(dst + 4 * i, back_block(y + i, first + (i >> 1), last + (i >> 1), &w));
        if (i == end) {
            i += PIXELS;
            break;
        }
    }
    lf_yuv_i420_to_u8x4_row_c(dst + 4 * i, y + i, first + (i >> 1), last + (i >> 1), width - i, m);
}
