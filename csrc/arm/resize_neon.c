/* resize rows for NEON (AArch64; arithmetic: resize.h). Across, a step makes one pixel of three
 * or four channels: one 16 byte load, and a multiply-add of all channels for each tap; one
 * channel is left to the scalar rows. Down, a step makes 8 bytes. */
#include <arm_neon.h>
#include <string.h>

#include "resize.h"

/* ---- across -------------------------------------------------------------------------------- */

/* Four taps of a pixel, each as four channels, the fourth meaningless where there are three. */
typedef struct four_taps {
    int16x8_t first, last; /* taps 0 and 1, taps 2 and 3 */
} four_taps;

static inline four_taps load_taps(const uint8_t *src, int channels)
{
    static const uint8_t spread[16] = {0, 1, 2, 255, 3, 4, 5, 255, 6, 7, 8, 255, 9, 10, 11, 255};
    uint8x16_t v = vld1q_u8(src);
    if (channels == 3) v = vqtbl1q_u8(v, vld1q_u8(spread));
    return (four_taps){vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(v))),
                       vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(v)))};
}

static inline int32x4_t add_four(int32x4_t sum, four_taps t, int16x4_t weights)
{
    sum = vmlal_lane_s16(sum, vget_low_s16(t.first), weights, 0);
    sum = vmlal_lane_s16(sum, vget_high_s16(t.first), weights, 1);
    sum = vmlal_lane_s16(sum, vget_low_s16(t.last), weights, 2);
    return vmlal_lane_s16(sum, vget_high_s16(t.last), weights, 3);
}

static inline int16x4_t linear_pixel(const uint8_t *src, const int16_t *weights, int channels)
{
    const four_taps t = load_taps(src, channels);
    int32x4_t sum = vmull_n_s16(vget_low_s16(t.first), weights[0]);
    sum = vmlal_n_s16(sum, vget_high_s16(t.first), weights[1]);
    return vshrn_n_s32(sum, 4);
}

static inline int16x4_t cubic_pixel(const uint8_t *src, const int16_t *weights, int channels)
{
    const int32x4_t zero = vdupq_n_s32(0);
    return vshrn_n_s32(add_four(zero, load_taps(src, channels), vld1_s16(weights)), 8);
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

static inline int16x4_t taps_pixel(const uint8_t *row, const row_end *end, ptrdiff_t at,
                                   const int16_t *weights, const lf_resize_axis *axis,
                                   int channels)
{
    int32x4_t high = vdupq_n_s32(0), low = vdupq_n_s32(1 << (axis->shift - 1));
    for (int k = 0; k < axis->taps; k += 4, at += 4 * channels, weights += 8) {
        const four_taps t = load_taps(safe_at(row, end, at), channels);
        high = add_four(high, t, vld1_s16(weights));
        low = add_four(low, t, vld1_s16(weights + 4));
    }
    const int32x4_t sum = vaddq_s32(vshlq_n_s32(high, 11), low);
    const int16x4_t v = vqmovn_s32(vshlq_s32(sum, vdupq_n_s32(-axis->shift)));
    return vmin_s16(vmax_s16(v, vdup_n_s16(0)), vdup_n_s16((int16_t)axis->top));
}

/* Rows of one kind and number of channels. `from` and `to` are constants where this is called. */
static inline void across_row(int16_t *dst, const uint8_t *src, const lf_resize_axis *axis,
                              lf_resize_kind kind, int from, int to)
{
    const int step = kind == LF_RESIZE_TAPS ? 2 * axis->taps : axis->taps;
    const row_end end = end_of(src, (ptrdiff_t)axis->src * from);
    const int16_t *weights = axis->weights;
    for (int x = 0; x < axis->dst; x++, dst += to, weights += step) {
        const ptrdiff_t at = (ptrdiff_t)axis->first[x] * from;
        if (kind == LF_RESIZE_LINEAR)
            vst1_s16(dst, linear_pixel(safe_at(src, &end, at), weights, from));
        else if (kind == LF_RESIZE_CUBIC)
            vst1_s16(dst, cubic_pixel(safe_at(src, &end, at), weights, from));
        else
            vst1_s16(dst, taps_pixel(src, &end, at, weights, axis, from));
    }
}

static inline void across_rows(int16_t *const *dst, const uint8_t *const *src, int count,
                               const lf_resize_axis *axis, lf_resize_kind kind)
{
    for (int r = 0; r < count; r++) {
        if (axis->src_channels == 3)
            across_row(dst[r], src[r], axis, kind, 3, 3);
        else if (axis->dst_channels == 3)
            across_row(dst[r], src[r], axis, kind, 4, 3);
        else
            across_row(dst[r], src[r], axis, kind, 4, 4);
    }
}

void lf_resize_linear_across_neon(int16_t *const *dst, const uint8_t *const *src, int count,
                                  const lf_resize_axis *axis)
{
    if (axis->src_channels == 1)
        lf_resize_linear_across_c(dst, src, count, axis);
    else
        across_rows(dst, src, count, axis, LF_RESIZE_LINEAR);
}

void lf_resize_cubic_across_neon(int16_t *const *dst, const uint8_t *const *src, int count,
                                 const lf_resize_axis *axis)
{
    if (axis->src_channels == 1)
        lf_resize_cubic_across_c(dst, src, count, axis);
    else
        across_rows(dst, src, count, axis, LF_RESIZE_CUBIC);
}

void lf_resize_taps_across_neon(int16_t *const *dst, const uint8_t *const *src, int count,
                                const lf_resize_axis *axis)
{
    if (axis->src_channels == 1)
        lf_resize_taps_across_c(dst, src, count, axis);
    else
        across_rows(dst, src, count, axis, LF_RESIZE_TAPS);
}

/* ---- down ---------------------------------------------------------------------------------- */

static inline uint8x8_t linear8(const int16_t *const *src, const int16_t *weights, int i)
{
    /* the doubled product's high half, halved, is the product's high half */
    const int16x8_t a = vshrq_n_s16(vqdmulhq_n_s16(vld1q_s16(src[0] + i), weights[0]), 1);
    const int16x8_t b = vshrq_n_s16(vqdmulhq_n_s16(vld1q_s16(src[1] + i), weights[1]), 1);
    return vqmovun_s16(vshrq_n_s16(vaddq_s16(vaddq_s16(a, b), vdupq_n_s16(2)), 2));
}

static inline uint8x8_t cubic8(const int16_t *const *src, const int16_t *weights, int i)
{
    int16x8_t sum = vdupq_n_s16(32);
    for (int k = 0; k < 4; k++)
        sum = vsubq_s16(sum, vqrdmulhq_n_s16(vld1q_s16(src[k] + i), weights[k]));
    return vqmovun_s16(vshrq_n_s16(sum, 6));
}

/* Carries what the low sums have above 11 bits over to the high ones: 32 more rows of at most
 * 255 * 128 by low halves below 2048 then stay below 2^31. */
static inline void carry(int32x4_t *high, int32x4_t *low)
{
    *high = vaddq_s32(*high, vshrq_n_s32(*low, 11));
    *low = vandq_s32(*low, vdupq_n_s32(2047));
}

static inline uint8x8_t taps8(const int16_t *const *src, const int16_t *weights, int taps,
                              int shift, int i)
{
    int32x4_t high[2], low[2];
    high[0] = high[1] = vdupq_n_s32(1 << (shift - 12));
    low[0] = low[1] = vdupq_n_s32(0);
    for (int k = 0; k < taps; k++) {
        const int16_t *four = weights + k / 4 * 8 + k % 4;
        const int16x8_t v = vld1q_s16(src[k] + i);
        if (k && k % 32 == 0) {
            carry(&high[0], &low[0]);
            carry(&high[1], &low[1]);
        }
        high[0] = vmlal_n_s16(high[0], vget_low_s16(v), four[0]);
        high[1] = vmlal_n_s16(high[1], vget_high_s16(v), four[0]);
        low[0] = vmlal_n_s16(low[0], vget_low_s16(v), four[4]);
        low[1] = vmlal_n_s16(low[1], vget_high_s16(v), four[4]);
    }
    carry(&high[0], &low[0]);
    carry(&high[1], &low[1]);
    const int32x4_t places = vdupq_n_s32(11 - shift);
    return vqmovun_s16(vcombine_s16(vqmovn_s32(vshlq_s32(high[0], places)),
                                    vqmovn_s32(vshlq_s32(high[1], places))));
}

/* All bytes of a row, 8 at a time; the last 8 overlap those before, fewer go through a copy. */
#define LF_ROW_OF_8(dst, count, make)            \
    do {                                         \
        int i = 0;                               \
        for (; i + 8 <= (count); i += 8)         \
            vst1_u8((dst) + i, make);            \
        if (i < (count) && (count) >= 8) {       \
            i = (count) - 8;                     \
            vst1_u8((dst) + i, make);            \
        } else if (i < (count)) {                \
            uint8_t bytes[8];                    \
            vst1_u8(bytes, make);                \
            memcpy((dst), bytes, (size_t)count); \
        }                                        \
    } while (0)

void lf_resize_linear_down_row_neon(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                    const int16_t *weights, int taps, int shift, int count)
{
    (void)taps, (void)shift;
    LF_ROW_OF_8(dst, count, linear8(src, weights, i));
}

void lf_resize_cubic_down_row_neon(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                   const int16_t *weights, int taps, int shift, int count)
{
    (void)taps, (void)shift;
    LF_ROW_OF_8(dst, count, cubic8(src, weights, i));
}

void lf_resize_taps_down_row_neon(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                  const int16_t *weights, int taps, int shift, int count)
{
    LF_ROW_OF_8(dst, count, taps8(src, weights, taps, shift, i));
}
