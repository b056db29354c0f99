/* convert: planar floats of a net <-> packed bytes of a picture. */
#include "rows.h"

#include <math.h>

/* The comparison is written so that NaN fails it and gives 0. */
static inline uint8_t to_byte(float value, float low, float gain, int truncate)
{
    float v = (value - low) * gain;
    v = v > 0.0f ? v : 0.0f;
    v = v < 255.0f ? v : 255.0f;
    return (uint8_t)(truncate ? v : rintf(v));
}

void lf_convert_f32p3_u8x3_row_c(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                 const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                 int width, float low, float gain, int truncate)
{
    for (int x = 0; x < width; x++, dst += 3) {
        dst[0] = to_byte(c0[x], low, gain, truncate);
        dst[1] = to_byte(c1[x], low, gain, truncate);
        dst[2] = to_byte(c2[x], low, gain, truncate);
    }
}

void lf_convert_f32p3_u8x4_row_c(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                                 const float *LF_RESTRICT c1, const float *LF_RESTRICT c2,
                                 int width, float low, float gain, int truncate)
{
    for (int x = 0; x < width; x++, dst += 4) {
        dst[0] = to_byte(c0[x], low, gain, truncate);
        dst[1] = to_byte(c1[x], low, gain, truncate);
        dst[2] = to_byte(c2[x], low, gain, truncate);
        dst[3] = 255;
    }
}

void lf_convert_u8x3_f32p3_row_c(float *LF_RESTRICT c0, float *LF_RESTRICT c1,
                                 float *LF_RESTRICT c2, const uint8_t *LF_RESTRICT src, int width,
                                 float span, float low)
{
    for (int x = 0; x < width; x++, src += 3) {
        c0[x] = (float)src[0] / 255.0f * span + low;
        c1[x] = (float)src[1] / 255.0f * span + low;
        c2[x] = (float)src[2] / 255.0f * span + low;
    }
}

int lf_tone_is_usable(const lf_range *tone)
{
    return tone && isfinite(tone->low) && isfinite(tone->high) && tone->low < tone->high &&
           isfinite(tone->high - tone->low);
}

static const float *float_row(const float *plane, ptrdiff_t bytes)
{
    return (const float *)((const char *)plane + bytes);
}

static lf_status planes_to_pixels(lf_to_bytes_row *row, int channels, uint8_t *dst,
                                  ptrdiff_t dst_stride, const float *src, ptrdiff_t src_stride,
                                  ptrdiff_t src_plane_stride, int width, int height,
                                  const lf_range *tone)
{
    if (!dst || !src || width < 1 || height < 1 || !lf_tone_is_usable(tone)) return LF_ERR_ARGUMENT;
    if (dst_stride == (ptrdiff_t)width * channels && src_stride == (ptrdiff_t)width * 4 &&
        width <= INT32_MAX / height) {
        width *= height; /* rows that lie end to end are one long row */
        height = 1;
    }
    const float *first = float_row(src, tone->swap ? 2 * src_plane_stride : 0);
    const float *second = float_row(src, src_plane_stride);
    const float *third = float_row(src, tone->swap ? 0 : 2 * src_plane_stride);
    const float gain = 255.0f / (tone->high - tone->low);
    for (int y = 0; y < height; y++) {
        const ptrdiff_t down = y * src_stride;
        row(dst + y * dst_stride, float_row(first, down), float_row(second, down),
            float_row(third, down), width, tone->low, gain, tone->truncate);
    }
    return LF_OK;
}

lf_status lf_convert_f32p3_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                                const float *src, ptrdiff_t src_stride, ptrdiff_t src_plane_stride,
                                int width, int height, const lf_range *tone)
{
    return planes_to_pixels(rows->convert_f32p3_u8x3, 3, dst, dst_stride, src, src_stride,
                            src_plane_stride, width, height, tone);
}

lf_status lf_convert_f32p3_u8x4(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                                const float *src, ptrdiff_t src_stride, ptrdiff_t src_plane_stride,
                                int width, int height, const lf_range *tone)
{
    return planes_to_pixels(rows->convert_f32p3_u8x4, 4, dst, dst_stride, src, src_stride,
                            src_plane_stride, width, height, tone);
}

static int box_is_inside(const lf_box *box, int width, int height)
{
    return box->x0 >= 0 && box->x0 <= box->x1 && box->x1 <= width && box->y0 >= 0 &&
           box->y0 <= box->y1 && box->y1 <= height;
}

static void fill(float *LF_RESTRICT dst, int width, float value)
{
    for (int x = 0; x < width; x++) dst[x] = value;
}

lf_status lf_convert_u8x3_f32p3(const lf_rows *rows, float *dst, ptrdiff_t dst_stride,
                                ptrdiff_t dst_plane_stride, const uint8_t *src,
                                ptrdiff_t src_stride, int width, int height, const lf_range *tone,
                                const lf_box *black)
{
    if (!dst || !src || width < 1 || height < 1 || !lf_tone_is_usable(tone)) return LF_ERR_ARGUMENT;
    if (black && !box_is_inside(black, width, height)) return LF_ERR_ARGUMENT;
    lf_from_bytes_row *row = rows->convert_u8x3_f32p3;
    const float low = tone->low, span = tone->high - tone->low;
    for (int y = 0; y < height; y++) {
        char *line = (char *)dst + y * dst_stride;
        float *first = (float *)(line + (tone->swap ? 2 * dst_plane_stride : 0));
        float *second = (float *)(line + dst_plane_stride);
        float *third = (float *)(line + (tone->swap ? 0 : 2 * dst_plane_stride));
        const uint8_t *pixels = src + y * src_stride;
        if (!black || y < black->y0 || y >= black->y1) {
            row(first, second, third, pixels, width, span, low);
            continue;
        }
        const int x0 = black->x0, x1 = black->x1;
        row(first, second, third, pixels, x0, span, low);
        fill(first + x0, x1 - x0, low);
        fill(second + x0, x1 - x0, low);
        fill(third + x0, x1 - x0, low);
        row(first + x1, second + x1, third + x1, pixels + 3 * (ptrdiff_t)x1, width - x1, span, low);
    }
    return LF_OK;
}
