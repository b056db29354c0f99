/* blend rows for NEON (AArch64): eight pixels a step, the tails by the scalar rows. */
#include <arm_neon.h>

#include "rows.h"

static inline uint8x8_t mix8(uint8x8_t d, uint8x8_t s, uint8x8_t a)
{
    uint16x8_t t = vmlal_u8(vmull_u8(d, vmvn_u8(a)), s, a); /* ~a is 255 - a */
    t = vaddq_u16(t, vdupq_n_u16(128));
    return vshrn_n_u16(vsraq_n_u16(t, t, 8), 8);
}

void lf_blend_u8x1_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                            const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    int x = 0;
    for (; x + 8 <= width; x += 8)
        vst1_u8(dst + x, mix8(vld1_u8(dst + x), vld1_u8(src + x), vld1_u8(mask + x)));
    lf_blend_u8x1_row_c(dst + x, src + x, mask + x, width - x, swap);
}

void lf_blend_u8x3_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                            const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    const int first = swap ? 2 : 0;
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        uint8x8x3_t d = vld3_u8(dst + 3 * (ptrdiff_t)x);
        const uint8x8x3_t s = vld3_u8(src + 3 * (ptrdiff_t)x);
        const uint8x8_t a = vld1_u8(mask + x);
        d.val[0] = mix8(d.val[0], s.val[first], a);
        d.val[1] = mix8(d.val[1], s.val[1], a);
        d.val[2] = mix8(d.val[2], s.val[2 - first], a);
        vst3_u8(dst + 3 * (ptrdiff_t)x, d);
    }
    lf_blend_u8x3_row_c(dst + 3 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, mask + x, width - x, swap);
}

void lf_blend_u8x4_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                            const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        uint8x8x4_t d = vld4_u8(dst + 4 * (ptrdiff_t)x);
        const uint8x8x4_t s = vld4_u8(src + 4 * (ptrdiff_t)x);
        const uint8x8_t a = vld1_u8(mask + x);
        for (int c = 0; c < 4; c++) d.val[c] = mix8(d.val[c], s.val[c], a);
        vst4_u8(dst + 4 * (ptrdiff_t)x, d);
    }
    lf_blend_u8x4_row_c(dst + 4 * (ptrdiff_t)x, src + 4 * (ptrdiff_t)x, mask + x, width - x, swap);
}

void lf_blend_u8x3_u8x4_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                                 const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    const int first = swap ? 2 : 0;
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        uint8x8x4_t d = vld4_u8(dst + 4 * (ptrdiff_t)x);
        const uint8x8x3_t s = vld3_u8(src + 3 * (ptrdiff_t)x);
        const uint8x8_t a = vld1_u8(mask + x);
        d.val[0] = mix8(d.val[0], s.val[first], a);
        d.val[1] = mix8(d.val[1], s.val[1], a);
        d.val[2] = mix8(d.val[2], s.val[2 - first], a);
        vst4_u8(dst + 4 * (ptrdiff_t)x, d);
    }
    lf_blend_u8x3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, mask + x, width - x,
                             swap);
}

void lf_paste_u8x3_u8x4_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                                 int width, int swap)
{
    const int first = swap ? 2 : 0;
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        uint8x8x4_t d = vld4_u8(dst + 4 * (ptrdiff_t)x);
        const uint8x8x3_t s = vld3_u8(src + 3 * (ptrdiff_t)x);
        d.val[0] = s.val[first];
        d.val[1] = s.val[1];
        d.val[2] = s.val[2 - first];
        vst4_u8(dst + 4 * (ptrdiff_t)x, d);
    }
    lf_paste_u8x3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, width - x, swap);
}

void lf_swap_u8x3_row_neon(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                           int swap)
{
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8x8x3_t s = vld3_u8(src + 3 * (ptrdiff_t)x);
        const uint8x8x3_t d = {{s.val[2], s.val[1], s.val[0]}};
        vst3_u8(dst + 3 * (ptrdiff_t)x, d);
    }
    lf_swap_u8x3_row_c(dst + 3 * (ptrdiff_t)x, src + 3 * (ptrdiff_t)x, width - x, swap);
}
