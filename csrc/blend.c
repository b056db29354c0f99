/* blend: a patch onto a background, as it is or through an 8-bit alpha mask. */
#include <string.h>

#include "image.h"
#include "rows.h"

/* The rounded quotient by 255 of the weighted sum: exact for every byte d, s and a. */
static inline uint8_t mix(uint8_t d, uint8_t s, uint8_t a)
{
    const unsigned t = d * (255u - a) + s * (unsigned)a + 128u;
    return (uint8_t)((t + (t >> 8)) >> 8);
}

void lf_blend_u8x1_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                         const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    (void)swap;
    for (int x = 0; x < width; x++) dst[x] = mix(dst[x], src[x], mask[x]);
}

void lf_blend_u8x3_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                         const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    const int first = swap ? 2 : 0;
    for (int x = 0; x < width; x++, dst += 3, src += 3) {
        dst[0] = mix(dst[0], src[first], mask[x]);
        dst[1] = mix(dst[1], src[1], mask[x]);
        dst[2] = mix(dst[2], src[2 - first], mask[x]);
    }
}

void lf_blend_u8x4_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                         const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    (void)swap;
    for (int x = 0; x < width; x++, dst += 4, src += 4)
        for (int c = 0; c < 4; c++) dst[c] = mix(dst[c], src[c], mask[x]);
}

void lf_blend_u8x3_u8x4_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                              const uint8_t *LF_RESTRICT mask, int width, int swap)
{
    const int first = swap ? 2 : 0;
    for (int x = 0; x < width; x++, dst += 4, src += 3) {
        dst[0] = mix(dst[0], src[first], mask[x]);
        dst[1] = mix(dst[1], src[1], mask[x]);
        dst[2] = mix(dst[2], src[2 - first], mask[x]);
    }
}

void lf_swap_u8x3_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                        int swap)
{
    (void)swap;
    for (int x = 0; x < width; x++, dst += 3, src += 3) {
        dst[0] = src[2];
        dst[1] = src[1];
        dst[2] = src[0];
    }
}

void lf_paste_u8x3_u8x4_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                              int swap)
{
    const int first = swap ? 2 : 0;
    for (int x = 0; x < width; x++, dst += 4, src += 3) {
        dst[0] = src[first];
        dst[1] = src[1];
        dst[2] = src[2 - first];
    }
}

static lf_blend_row *blend_row_of(const lf_rows *rows, int dst_channels, int src_channels)
{
    if (src_channels == 3 && dst_channels == 4) return rows->blend_u8x3_u8x4;
    if (src_channels != dst_channels) return NULL;
    switch (src_channels) {
    case 1:
        return rows->blend_u8x1;
    case 3:
        return rows->blend_u8x3;
    case 4:
        return rows->blend_u8x4;
    default:
        return NULL;
    }
}

/* NULL where the bytes of a row can be copied as they are. */
static lf_paste_row *paste_row_of(const lf_rows *rows, int dst_channels, int src_channels, int swap)
{
    if (dst_channels == src_channels) return swap ? rows->swap_u8x3 : NULL;
    return rows->paste_u8x3_u8x4;
}

/* The half-open run of a patch's `size` pixels that lies on a background of `limit` pixels when
 * the patch begins at `at`. */
static void clip(int at, int size, int limit, int *begin, int *end)
{
    const int64_t left = -(int64_t)at, room = (int64_t)limit - at;
    *begin = left > 0 ? (left < size ? (int)left : size) : 0;
    *end = room < size ? (room > 0 ? (int)room : 0) : size;
}

lf_status lf_blend_u8(const lf_rows *rows, const lf_image *dst, const lf_image *src,
                      const lf_image *mask, int x, int y, int swap)
{
    if (!rows || !image_is_usable(dst) || !image_is_usable(src)) return LF_ERR_ARGUMENT;
    if (mask && (!image_is_usable(mask) || mask->channels != 1 || mask->width != src->width ||
                 mask->height != src->height))
        return LF_ERR_ARGUMENT;
    lf_blend_row *blend = blend_row_of(rows, dst->channels, src->channels);
    if (!blend || (swap && src->channels != 3)) return LF_ERR_ARGUMENT;
    lf_paste_row *paste = paste_row_of(rows, dst->channels, src->channels, swap);

    int left, right, top, bottom;
    clip(x, src->width, dst->width, &left, &right);
    clip(y, src->height, dst->height, &top, &bottom);
    const int width = right - left;
    if (width <= 0) return LF_OK;
    for (int row = top; row < bottom; row++) {
        uint8_t *d = image_row(dst, y + row) + (ptrdiff_t)(x + left) * dst->channels;
        const uint8_t *s = image_row(src, row) + (ptrdiff_t)left * src->channels;
        if (mask)
            blend(d, s, image_row(mask, row) + left, width, swap);
        else if (paste)
            paste(d, s, width, swap);
        else
            memcpy(d, s, (size_t)width * (size_t)src->channels);
    }
    return LF_OK;
}
