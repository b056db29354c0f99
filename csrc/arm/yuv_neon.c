/* yuv rows for NEON (AArch64): 8 or 16 pixels a step, the tails by the scalar rows. */
#include <arm_neon.h>

#include "rows.h"

static inline int16x8_t widen(uint8x8_t bytes) { return vreinterpretq_s16_u16(vmovl_u8(bytes)); }

static inline int32x4_t add_weighted(int32x4_t sum, const int16x4_t *channel,
                                     const int16_t *weights)
{
    for (int c = 0; c < 3; c++) sum = vmlal_n_s16(sum, channel[c], weights[c]);
    return sum;
}

/* ---- luma ------------------------------------------------------------------------------- */

static inline uint8x8_t luma8(const uint8_t *src, const lf_yuv_weights *m)
{
    const uint8x8x3_t p = vld3_u8(src);
    int16x4_t low[3], high[3];
    for (int c = 0; c < 3; c++) {
        const int16x8_t wide = widen(p.val[c]);
        low[c] = vget_low_s16(wide);
        high[c] = vget_high_s16(wide);
    }
    const int32x4_t bias = vdupq_n_s32(m->luma_bias);
    const int32x4_t a = add_weighted(bias, low, m->luma), b = add_weighted(bias, high, m->luma);
    return vqmovun_s16(
        vcombine_s16(vshrn_n_s32(a, LF_YUV_LUMA_BITS), vshrn_n_s32(b, LF_YUV_LUMA_BITS)));
}

void lf_yuv_luma_u8x3_row_neon(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src, int width,
                               const lf_yuv_weights *m)
{
    int x = 0;
    for (; x + 8 <= width; x += 8) vst1_u8(y + x, luma8(src + 3 * (ptrdiff_t)x, m));
    lf_yuv_luma_u8x3_row_c(y + x, src + 3 * (ptrdiff_t)x, width - x, m);
}

void lf_yuv_blend_luma_u8x3_row_neon(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src,
                                     const uint8_t *LF_RESTRICT mask, int width,
                                     const lf_yuv_weights *m)
{
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8x8_t a = vld1_u8(mask + x), s = luma8(src + 3 * (ptrdiff_t)x, m);
        uint16x8_t t = vmlal_u8(vmull_u8(vld1_u8(y + x), vmvn_u8(a)), s, a); /* ~a is 255 - a */
        t = vaddq_u16(t, vdupq_n_u16(128));
        vst1_u8(y + x, vshrn_n_u16(vsraq_n_u16(t, t, 8), 8));
    }
    lf_yuv_blend_luma_u8x3_row_c(y + x, src + 3 * (ptrdiff_t)x, mask + x, width - x, m);
}

/* ---- chroma ----------------------------------------------------------------------------- */

/* 8 chroma values of the sums of 8 blocks. */
static inline uint8x8_t chroma8(const int16x4_t *low, const int16x4_t *high, const int16_t *weights)
{
    const int32x4_t bias = vdupq_n_s32(LF_YUV_CHROMA_BIAS);
    const int32x4_t a = add_weighted(bias, low, weights), b = add_weighted(bias, high, weights);
    return vqmovun_s16(
        vcombine_s16(vshrn_n_s32(a, LF_YUV_BITS + 2), vshrn_n_s32(b, LF_YUV_BITS + 2)));
}

void lf_yuv_chroma_u8x3_row_neon(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v, const uint8_t *top,
                                 const uint8_t *bottom, int width, const lf_yuv_weights *m)
{
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        const uint8x16x3_t p = vld3q_u8(top + 3 * (ptrdiff_t)x),
                           q = vld3q_u8(bottom + 3 * (ptrdiff_t)x);
        int16x4_t low[3], high[3];
        for (int c = 0; c < 3; c++) {
            const int16x8_t sum = vreinterpretq_s16_u16(vpadalq_u8(vpaddlq_u8(p.val[c]), q.val[c]));
            low[c] = vget_low_s16(sum);
            high[c] = vget_high_s16(sum);
        }
        vst1_u8(u + (x >> 1), chroma8(low, high, m->u));
        vst1_u8(v + (x >> 1), chroma8(low, high, m->v));
    }
    lf_yuv_chroma_u8x3_row_c(u + (x >> 1), v + (x >> 1), top + 3 * (ptrdiff_t)x,
                             bottom + 3 * (ptrdiff_t)x, width - x, m);
}

/* Alpha-weighted sums of one channel over 8 blocks: at most 4 * 255 * 255. */
static inline void weighted_sums(uint32x4_t *low, uint32x4_t *high, uint8x16_t p, uint8x16_t a,
                                 uint8x16_t q, uint8x16_t b)
{
    *low = vpaddlq_u16(vmull_u8(vget_low_u8(p), vget_low_u8(a)));
    *low = vpadalq_u16(*low, vmull_u8(vget_low_u8(q), vget_low_u8(b)));
    *high = vpaddlq_u16(vmull_u8(vget_high_u8(p), vget_high_u8(a)));
    *high = vpadalq_u16(*high, vmull_u8(vget_high_u8(q), vget_high_u8(b)));
}

/* 4 blocks: (weighted sums + kept) at the scale of 4 alphas, to 0..256 as 16 bits. */
static inline uint16x4_t blended4(const uint32x4_t *sum, const int16_t *weights, int16x4_t old,
                                  int16x4_t rest)
{
    int32x4_t t = vshlq_n_s32(vmull_s16(old, rest), LF_YUV_BITS);
    for (int c = 0; c < 3; c++) t = vmlaq_n_s32(t, vreinterpretq_s32_u32(sum[c]), weights[c]);
    t = vaddq_s32(t, vdupq_n_s32(LF_YUV_BLEND_BIAS));
    const uint16x4_t scaled = vshrn_n_u32(vreinterpretq_u32_s32(t), LF_YUV_BITS + 2);
    /* (scaled * 0x8081) >> 23 = floor(scaled / 255) below 65536 */
    return vshr_n_u16(vshrn_n_u32(vmull_n_u16(scaled, 0x8081), 16), 7);
}

void lf_yuv_blend_chroma_u8x3_row_neon(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v,
                                       const uint8_t *top, const uint8_t *bottom,
                                       const uint8_t *mask_top, const uint8_t *mask_bottom,
                                       int width, const lf_yuv_weights *m)
{
    uint8_t *const planes[2] = {u, v};
    const int16_t *const weights[2] = {m->u, m->v};
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        const uint8x16x3_t p = vld3q_u8(top + 3 * (ptrdiff_t)x),
                           q = vld3q_u8(bottom + 3 * (ptrdiff_t)x);
        const uint8x16_t a = vld1q_u8(mask_top + x), b = vld1q_u8(mask_bottom + x);
        uint32x4_t low[3], high[3];
        for (int c = 0; c < 3; c++) weighted_sums(&low[c], &high[c], p.val[c], a, q.val[c], b);
        const uint16x8_t alpha = vpadalq_u8(vpaddlq_u8(a), b);
        const int16x8_t rest = vreinterpretq_s16_u16(vsubq_u16(vdupq_n_u16(1020), alpha));
        for (int k = 0; k < 2; k++) {
            uint8_t *plane = planes[k] + (x >> 1);
            const int16x8_t old = vsubq_s16(widen(vld1_u8(plane)), vdupq_n_s16(128));
            const uint16x4_t first =
                blended4(low, weights[k], vget_low_s16(old), vget_low_s16(rest));
            const uint16x4_t last =
                blended4(high, weights[k], vget_high_s16(old), vget_high_s16(rest));
            vst1_u8(plane, vqmovn_u16(vcombine_u16(first, last)));
        }
    }
    lf_yuv_blend_chroma_u8x3_row_c(u + (x >> 1), v + (x >> 1), top + 3 * (ptrdiff_t)x,
                                   bottom + 3 * (ptrdiff_t)x, mask_top + x, mask_bottom + x,
                                   width - x, m);
}

/* ---- I420 to packed pixels -------------------------------------------------------------- */

static inline uint8x8_t shift_channel(int32x4_t low, int32x4_t high)
{
    return vqmovun_s16(vcombine_s16(vshrn_n_s32(low, LF_YUV_BITS), vshrn_n_s32(high, LF_YUV_BITS)));
}

/* 8 pixels from 8 luma values and 8 chroma values each, every one already twice. */
static inline uint8x8x3_t back8(uint8x8_t y, uint8x8_t first, uint8x8_t last, const lf_yuv_back *m)
{
    const int16x8_t luma = vsubq_s16(widen(y), vdupq_n_s16(m->offset));
    const int16x8_t f = vsubq_s16(widen(first), vdupq_n_s16(128));
    const int16x8_t l = vsubq_s16(widen(last), vdupq_n_s16(128));
    const int32x4_t half = vdupq_n_s32(1 << (LF_YUV_BITS - 1));
    const int32x4_t low = vmlal_n_s16(half, vget_low_s16(luma), m->gain);
    const int32x4_t high = vmlal_n_s16(half, vget_high_s16(luma), m->gain);
    const int16x4_t f0 = vget_low_s16(f), f1 = vget_high_s16(f), l0 = vget_low_s16(l),
                    l1 = vget_high_s16(l);
    const int32x4_t mixed0 = vmlal_n_s16(vmlal_n_s16(low, f0, m->c1_first), l0, m->c1_last);
    const int32x4_t mixed1 = vmlal_n_s16(vmlal_n_s16(high, f1, m->c1_first), l1, m->c1_last);
    uint8x8x3_t p;
    p.val[0] = shift_channel(vmlal_n_s16(low, f0, m->c0_first), vmlal_n_s16(high, f1, m->c0_first));
    p.val[1] = shift_channel(mixed0, mixed1);
    p.val[2] = shift_channel(vmlal_n_s16(low, l0, m->c2_last), vmlal_n_s16(high, l1, m->c2_last));
    return p;
}

typedef struct pixels16 {
    uint8x8x3_t half[2];
} pixels16;

static inline pixels16 back16(const uint8_t *y, const uint8_t *first, const uint8_t *last,
                              const lf_yuv_back *m)
{
    const uint8x8_t f = vld1_u8(first), l = vld1_u8(last);
    const uint8x8x2_t ff = vzip_u8(f, f), ll = vzip_u8(l, l);
    pixels16 p = {{back8(vld1_u8(y), ff.val[0], ll.val[0], m),
                   back8(vld1_u8(y + 8), ff.val[1], ll.val[1], m)}};
    return p;
}

void lf_yuv_i420_to_u8x3_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                                  const uint8_t *LF_RESTRICT first, const uint8_t *LF_RESTRICT last,
                                  int width, const lf_yuv_back *m)
{
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        const pixels16 p = back16(y + x, first + (x >> 1), last + (x >> 1), m);
        vst3_u8(dst + 3 * (ptrdiff_t)x, p.half[0]);
        vst3_u8(dst + 3 * (ptrdiff_t)x + 24, p.half[1]);
    }
    lf_yuv_i420_to_u8x3_row_c(dst + 3 * (ptrdiff_t)x, y + x, first + (x >> 1), last + (x >> 1),
                              width - x, m);
}

void lf_yuv_i420_to_u8x4_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                                  const uint8_t *LF_RESTRICT first, const uint8_t *LF_RESTRICT last,
                                  int width, const lf_yuv_back *m)
{
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        const pixels16 p = back16(y + x, first + (x >> 1), last + (x >> 1), m);
        for (int k = 0; k < 2; k++) {
            const uint8x8x3_t h = p.half[k];
            const uint8x8x4_t with_alpha = {{h.val[0], h.val[1], h.val[2], vdup_n_u8(255)}};
            vst4_u8(dst + 4 * (ptrdiff_t)x + 32 * k, with_alpha);
        }
    }
    lf_yuv_i420_to_u8x4_row_c(dst + 4 * (ptrdiff_t)x, y + x, first + (x >> 1), last + (x >> 1),
                              width - x, m);
}
