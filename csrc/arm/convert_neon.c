/* convert rows for NEON (AArch64): eight pixels a step, the tail by the scalar row. */
#include <arm_neon.h>

#include "rows.h"

/* maxnm returns the number where the other operand is NaN, so NaN gives 0. */
static inline uint32x4_t to_bytes4(const float *src, float32x4_t low, float32x4_t gain,
                                   int truncate)
{
    float32x4_t v = vmulq_f32(vsubq_f32(vld1q_f32(src), low), gain);
    v = vminnmq_f32(vmaxnmq_f32(v, vdupq_n_f32(0.0f)), vdupq_n_f32(255.0f));
    return truncate ? vcvtq_u32_f32(v) : vcvtnq_u32_f32(v);
}

static inline uint8x8_t to_bytes8(const float *src, float32x4_t low, float32x4_t gain, int truncate)
{
    const uint16x4_t a = vmovn_u32(to_bytes4(src, low, gain, truncate));
    const uint16x4_t b = vmovn_u32(to_bytes4(src + 4, low, gain, truncate));
    return vmovn_u16(vcombine_u16(a, b));
}

void lf_convert_f32p3_u8x3_row_neon(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                    const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                    int width, float low, float gain, int truncate)
{
    const float32x4_t lows = vdupq_n_f32(low), gains = vdupq_n_f32(gain);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8x8x3_t v = {{to_bytes8(c0 + x, lows, gains, truncate),
                                to_bytes8(c1 + x, lows, gains, truncate),
                                to_bytes8(c2 + x, lows, gains, truncate)}};
        vst3_u8(dst + 3 * (ptrdiff_t)x, v);
    }
    lf_convert_f32p3_u8x3_row_c(dst + 3 * (ptrdiff_t)x, c0 + x, c1 + x, c2 + x, width - x, low,
                                gain, truncate);
}

void lf_convert_f32p3_u8x4_row_neon(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                    const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                    int width, float low, float gain, int truncate)
{
    const float32x4_t lows = vdupq_n_f32(low), gains = vdupq_n_f32(gain);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8x8x4_t v = {{to_bytes8(c0 + x, lows, gains, truncate),
                                to_bytes8(c1 + x, lows, gains, truncate),
                                to_bytes8(c2 + x, lows, gains, truncate), vdup_n_u8(255)}};
        vst4_u8(dst + 4 * (ptrdiff_t)x, v);
    }
    lf_convert_f32p3_u8x4_row_c(dst + 4 * (ptrdiff_t)x, c0 + x, c1 + x, c2 + x, width - x, low,
                                gain, truncate);
}

static inline void from_bytes8(float *dst, uint8x8_t bytes, float32x4_t span, float32x4_t low)
{
    const uint16x8_t wide = vmovl_u8(bytes);
    const float32x4_t full = vdupq_n_f32(255.0f);
    const float32x4_t a = vdivq_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))), full);
    const float32x4_t b = vdivq_f32(vcvtq_f32_u32(vmovl_u16(vget_high_u16(wide))), full);
    vst1q_f32(dst, vaddq_f32(vmulq_f32(a, span), low));
    vst1q_f32(dst + 4, vaddq_f32(vmulq_f32(b, span), low));
}

void lf_convert_u8x3_f32p3_row_neon(float *LF_RESTRICT c0, float *LF_RESTRICT c1,
                                    float *LF_RESTRICT c2, const uint8_t *LF_RESTRICT src,
                                    int width, float span, float low)
{
    const float32x4_t spans = vdupq_n_f32(span), lows = vdupq_n_f32(low);
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        const uint8x8x3_t v = vld3_u8(src + 3 * (ptrdiff_t)x);
        from_bytes8(c0 + x, v.val[0], spans, lows);
        from_bytes8(c1 + x, v.val[1], spans, lows);
        from_bytes8(c2 + x, v.val[2], spans, lows);
    }
    lf_convert_u8x3_f32p3_row_c(c0 + x, c1 + x, c2 + x, src + 3 * (ptrdiff_t)x, width - x, span,
                                low);
}
