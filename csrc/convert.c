/* convert: planar floats of a model <-> packed bytes of a picture. */
#include <math.h>

#include "image.h"
#include "rows.h"

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

int lf_range_is_usable(const lf_range *range)
{
    return range && isfinite(range->low) && isfinite(range->high) && range->low < range->high &&
           isfinite(range->high - range->low);
}

lf_status lf_convert_f32p3_u8(const lf_rows *rows, const lf_image *dst, const lf_f32p3 *src,
                              const lf_range *range)
{
    if (!rows || !image_is_usable(dst) || !f32p3_is_usable(src) || !lf_range_is_usable(range) ||
        (dst->channels != 3 && dst->channels != 4) || dst->width != src->width ||
        dst->height != src->height)
        return LF_ERR_ARGUMENT;
    lf_to_bytes_row *convert =
        dst->channels == 3 ? rows->convert_f32p3_u8x3 : rows->convert_f32p3_u8x4;
    int width = dst->width, height = dst->height;
    if (dst->stride == (ptrdiff_t)width * dst->channels && src->stride == (ptrdiff_t)width * 4 &&
        width <= INT32_MAX / height) {
        width *= height; /* rows that lie end to end are one long row */
        height = 1;
    }
    const float gain = 255.0f / (range->high - range->low);
    for (int y = 0; y < height; y++) {
        float *c[3];
        f32p3_row(c, src, range->swap, y);
        convert(image_row(dst, y), c[0], c[1], c[2], width, range->low, gain, range->truncate);
    }
    return LF_OK;
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

lf_status lf_convert_u8x3_f32p3(const lf_rows *rows, const lf_f32p3 *dst, const lf_image *src,
                                const lf_range *range, const lf_box *black)
{
    if (!rows || !f32p3_is_usable(dst) || !image_is_usable(src) || !lf_range_is_usable(range) ||
        src->channels != 3 || src->width != dst->width || src->height != dst->height ||
        (black && !box_is_inside(black, src->width, src->height)))
        return LF_ERR_ARGUMENT;
    lf_from_bytes_row *convert = rows->convert_u8x3_f32p3;
    const int width = src->width;
    const float low = range->low, span = range->high - range->low;
    for (int y = 0; y < src->height; y++) {
        const uint8_t *pixels = image_row(src, y);
        float *c[3];
        f32p3_row(c, dst, range->swap, y);
        if (!black || y < black->y0 || y >= black->y1) {
            convert(c[0], c[1], c[2], pixels, width, span, low);
            continue;
        }
        const int x0 = black->x0, x1 = black->x1;
        convert(c[0], c[1], c[2], pixels, x0, span, low);
        for (int k = 0; k < 3; k++) fill(c[k] + x0, x1 - x0, low);
        convert(c[0] + x1, c[1] + x1, c[2] + x1, pixels + 3 * (ptrdiff_t)x1, width - x1, span, low);
    }
    return LF_OK;
}
