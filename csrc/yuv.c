/* yuv: packed 8-bit pixels <-> I420, and a patch blended into I420 planes.
 * Plane functions and the scalar rows, which are the specification. */
#include "image.h"
#include "rows.h"

/* Integer matrices, in source order blue, green, red. With the luma weights kr, kb of the
 * standard (BT.601: 0.299, 0.114; BT.709: 0.2126, 0.0722), ranges 219 and 224 of 255 if
 * limited, LF_YUV_LUMA_BITS and LF_YUV_BITS fraction bits: every weight is rounded to the nearest
 * except green's, which makes up the sum, so that grey has chroma 128 exactly. */
typedef struct matrix_row {
    int16_t luma[3], u[3], v[3]; /* weights of b, g, r */
    int16_t offset;              /* luma of black */
    int16_t gain;                /* the way back: of luma in every colour, */
    int16_t r_v, g_u, g_v, b_u;  /* of v in red, u in green, v in green, u in blue */
} matrix_row;

static const matrix_row matrices[2][2] = { /* limited, full range */
    [LF_BT601] = {
        {.luma = {3208, 16520, 8414},
         .u = {3598, -2384, -1214},
         .v = {-585, -3013, 3598},
         .offset = 16,
         .gain = 9539,
         .r_v = 13075,
         .g_u = -3209,
         .g_v = -6660,
         .b_u = 16525},
        {.luma = {3736, 19234, 9798},
         .u = {4096, -2714, -1382},
         .v = {-666, -3430, 4096},
         .offset = 0,
         .gain = 8192,
         .r_v = 11485,
         .g_u = -2819,
         .g_v = -5850,
         .b_u = 14516},
    },
    [LF_BT709] = {
        {.luma = {2032, 20127, 5983},
         .u = {3598, -2774, -824},
         .v = {-330, -3268, 3598},
         .offset = 16,
         .gain = 9539,
         .r_v = 14686,
         .g_u = -1747,
         .g_v = -4366,
         .b_u = 17305},
        {.luma = {2366, 23436, 6966},
         .u = {4096, -3157, -939},
         .v = {-376, -3720, 4096},
         .offset = 0,
         .gain = 8192,
         .r_v = 12901,
         .g_u = -1535,
         .g_v = -3835,
         .b_u = 15201},
    },
};

/* ---- scalar rows ------------------------------------------------------------------------ */

static inline int weigh(const int16_t *weights, const uint8_t *p)
{
    return weights[0] * p[0] + weights[1] * p[1] + weights[2] * p[2];
}

static inline uint8_t luma_of(const uint8_t *p, const lf_yuv_weights *m)
{
    return (uint8_t)((weigh(m->luma, p) + m->luma_bias) >> LF_YUV_LUMA_BITS);
}

void lf_yuv_luma_u8x3_row_c(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src, int width,
                            const lf_yuv_weights *m)
{
    for (int i = 0; i < width; i++) y[i] = luma_of(src + 3 * i, m);
}

void lf_yuv_blend_luma_u8x3_row_c(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src,
                                  const uint8_t *LF_RESTRICT mask, int width,
                                  const lf_yuv_weights *m)
{
    for (int i = 0; i < width; i++) {
        unsigned a = mask[i];
        unsigned t = y[i] * (255 - a) + luma_of(src + 3 * i, m) * a + 128;
        y[i] = (uint8_t)((t + (t >> 8)) >> 8);
    }
}

/* (s / 2^LF_YUV_BITS) / 4 + 128, rounded; s is the weighted sum of four pixels. */
static inline uint8_t chroma_of(int s)
{
    int t = (s + LF_YUV_CHROMA_BIAS) >> (LF_YUV_BITS + 2);
    return (uint8_t)(t > 255 ? 255 : t);
}

void lf_yuv_chroma_u8x3_row_c(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v, const uint8_t *top,
                              const uint8_t *bottom, int width, const lf_yuv_weights *m)
{
    for (int i = 0; i < width; i += 2) {
        ptrdiff_t left = 3 * (ptrdiff_t)i, right = i + 1 < width ? left + 3 : left;
        int su = weigh(m->u, top + left) + weigh(m->u, top + right) + weigh(m->u, bottom + left)
                 + weigh(m->u, bottom + right);
        int sv = weigh(m->v, top + left) + weigh(m->v, top + right) + weigh(m->v, bottom + left)
                 + weigh(m->v, bottom + right);
        u[i >> 1] = chroma_of(su);
        v[i >> 1] = chroma_of(sv);
    }
}

/* The one rounding of a blended chroma value: floor(x / 2^k / 255) = floor(x / (2^k * 255)), so
 * alphas of 255 give chroma_of() bit for bit. s is the alpha-weighted sum; alpha the sum of the
 * four alphas. No step leaves 0 .. 2^31 - 1: both parts are at most 128 * 1020 * 2^LF_YUV_BITS. */
static inline uint8_t blend_chroma(uint8_t old, int s, int alpha)
{
    int t = s + (old - 128) * (1020 - alpha) * (1 << LF_YUV_BITS) + LF_YUV_BLEND_BIAS;
    t = (t >> (LF_YUV_BITS + 2)) / 255;
    return (uint8_t)(t > 255 ? 255 : t);
}

void lf_yuv_blend_chroma_u8x3_row_c(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v,
                                    const uint8_t *top, const uint8_t *bottom,
                                    const uint8_t *mask_top, const uint8_t *mask_bottom, int width,
                                    const lf_yuv_weights *m)
{
    for (int i = 0; i < width; i += 2) {
        int j = i + 1 < width ? i + 1 : i;
        const uint8_t *p[4] = {top + 3 * i, top + 3 * j, bottom + 3 * i, bottom + 3 * j};
        int a[4] = {mask_top[i], mask_top[j], mask_bottom[i], mask_bottom[j]};
        int su = 0, sv = 0, alpha = 0;
        for (int k = 0; k < 4; k++) {
            su += a[k] * weigh(m->u, p[k]);
            sv += a[k] * weigh(m->v, p[k]);
            alpha += a[k];
        }
        u[i >> 1] = blend_chroma(u[i >> 1], su, alpha);
        v[i >> 1] = blend_chroma(v[i >> 1], sv, alpha);
    }
}

static inline uint8_t clamp_u8(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static inline void pixel_of(uint8_t *dst, int luma, int first, int last, const lf_yuv_back *m)
{
    int base = (luma - m->offset) * m->gain + (1 << (LF_YUV_BITS - 1));
    dst[0] = clamp_u8((base + first * m->c0_first) >> LF_YUV_BITS);
    dst[1] = clamp_u8((base + first * m->c1_first + last * m->c1_last) >> LF_YUV_BITS);
    dst[2] = clamp_u8((base + last * m->c2_last) >> LF_YUV_BITS);
}

void lf_yuv_i420_to_u8x3_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                               const uint8_t *LF_RESTRICT first, const uint8_t *LF_RESTRICT last,
                               int width, const lf_yuv_back *m)
{
    for (int i = 0; i < width; i++)
        pixel_of(dst + 3 * i, y[i], first[i >> 1] - 128, last[i >> 1] - 128, m);
}

void lf_yuv_i420_to_u8x4_row_c(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                               const uint8_t *LF_RESTRICT first, const uint8_t *LF_RESTRICT last,
                               int width, const lf_yuv_back *m)
{
    for (int i = 0; i < width; i++) {
        pixel_of(dst + 4 * i, y[i], first[i >> 1] - 128, last[i >> 1] - 128, m);
        dst[4 * i + 3] = 255;
    }
}

/* ---- plane functions -------------------------------------------------------------------- */

static const matrix_row *find_matrix(const lf_yuv_space *space)
{
    if (!space || (space->matrix != LF_BT601 && space->matrix != LF_BT709)) return NULL;
    return &matrices[space->matrix][space->full_range != 0];
}

static lf_yuv_weights weights_of(const matrix_row *r, int swap)
{
    lf_yuv_weights m = {.luma_bias =
                            (r->offset << LF_YUV_LUMA_BITS) + (1 << (LF_YUV_LUMA_BITS - 1))};
    for (int i = 0; i < 3; i++) {
        int k = swap ? 2 - i : i;
        m.luma[i] = r->luma[k];
        m.u[i] = r->u[k];
        m.v[i] = r->v[k];
    }
    return m;
}

static int has_planes(const lf_i420 *p)
{
    return p && p->y && p->u && p->v && p->width >= 1 && p->height >= 1
           && p->width <= LF_I420_MAX_SIDE && p->height <= LF_I420_MAX_SIDE;
}

static inline uint8_t *row_at(uint8_t *plane, ptrdiff_t stride, int row)
{
    return plane + row * stride;
}

lf_status lf_yuv_u8x3_to_i420(const lf_rows *rows, const lf_i420 *dst, const lf_image *src,
                              const lf_yuv_space *space, int swap)
{
    const matrix_row *r = find_matrix(space);
    if (!rows || !has_planes(dst) || !image_is_usable(src) || !r || src->channels != 3 ||
        src->width != dst->width || src->height != dst->height)
        return LF_ERR_ARGUMENT;
    const lf_yuv_weights m = weights_of(r, swap);
    for (int row = 0; row < dst->height; row += 2) {
        const uint8_t *top = image_row(src, row);
        const uint8_t *bottom = row + 1 < dst->height ? image_row(src, row + 1) : top;
        rows->yuv_luma_u8x3(row_at(dst->y, dst->y_stride, row), top, dst->width, &m);
        if (bottom != top)
            rows->yuv_luma_u8x3(row_at(dst->y, dst->y_stride, row + 1), bottom, dst->width, &m);
        rows->yuv_chroma_u8x3(row_at(dst->u, dst->u_stride, row >> 1),
                              row_at(dst->v, dst->v_stride, row >> 1), top, bottom, dst->width, &m);
    }
    return LF_OK;
}

lf_status lf_yuv_i420_to_u8(const lf_rows *rows, const lf_image *dst, const lf_i420 *src,
                            const lf_yuv_space *space, int swap)
{
    const matrix_row *r = find_matrix(space);
    if (!rows || !image_is_usable(dst) || !has_planes(src) || !r ||
        (dst->channels != 3 && dst->channels != 4) || dst->width != src->width ||
        dst->height != src->height)
        return LF_ERR_ARGUMENT;
    /* The row kernel knows a first and a last colour channel; swapping them swaps blue and red. */
    lf_yuv_back m = {r->gain, r->offset, r->b_u, r->g_u, r->g_v, r->r_v};
    if (swap) m = (lf_yuv_back){r->gain, r->offset, r->r_v, r->g_v, r->g_u, r->b_u};
    lf_i420_to_packed_row *convert =
        dst->channels == 3 ? rows->yuv_i420_to_u8x3 : rows->yuv_i420_to_u8x4;
    for (int row = 0; row < src->height; row++) {
        const uint8_t *u = row_at(src->u, src->u_stride, row >> 1),
                      *v = row_at(src->v, src->v_stride, row >> 1);
        convert(image_row(dst, row), row_at(src->y, src->y_stride, row), swap ? v : u,
                swap ? u : v, src->width, &m);
    }
    return LF_OK;
}

/* A patch clipped to the frame: columns x0 .. x1 and rows y0 .. y1 of the frame (half-open). */
typedef struct clipped {
    const uint8_t *pixels, *mask; /* of (x0, y0); mask may be NULL */
    ptrdiff_t stride, mask_stride;
    int x0, y0, x1, y1;
} clipped;

/* Chroma of one 2x2 block of which the patch covers a part: alpha 0 outside the patch; where the
 * frame ends in the block, its last column or row counts twice. */
static void blend_block(const lf_i420 *dst, const clipped *p, int cx, int cy,
                        const lf_yuv_weights *m)
{
    int su = 0, sv = 0, alpha = 0;
    for (int j = 0; j < 2; j++) {
        int row = 2 * cy + j < dst->height ? 2 * cy + j : 2 * cy;
        if (row < p->y0 || row >= p->y1) continue;
        const uint8_t *pixels = p->pixels + (row - p->y0) * p->stride;
        const uint8_t *mask = p->mask ? p->mask + (row - p->y0) * p->mask_stride : NULL;
        for (int i = 0; i < 2; i++) {
            int column = 2 * cx + i < dst->width ? 2 * cx + i : 2 * cx;
            if (column < p->x0 || column >= p->x1) continue;
            const uint8_t *pixel = pixels + 3 * (ptrdiff_t)(column - p->x0);
            int a = mask ? mask[column - p->x0] : 255;
            su += a * weigh(m->u, pixel);
            sv += a * weigh(m->v, pixel);
            alpha += a;
        }
    }
    uint8_t *u = row_at(dst->u, dst->u_stride, cy) + cx;
    uint8_t *v = row_at(dst->v, dst->v_stride, cy) + cx;
    *u = blend_chroma(*u, su, alpha);
    *v = blend_chroma(*v, sv, alpha);
}

/* One row of chroma; blocks inside the patch go through the row kernels, those at its edges one by
 * one. */
static void blend_chroma_row(const lf_rows *rows, const lf_i420 *dst, const clipped *p, int cy,
                             const lf_yuv_weights *m)
{
    int top = 2 * cy, bottom = top + 1 < dst->height ? top + 1 : top;
    int c0 = p->x0 >> 1, c1 = (p->x1 + 1) >> 1; /* blocks that the patch touches */
    int in0 = (p->x0 + 1) >> 1;                 /* blocks that it covers */
    int in1 = p->x1 == dst->width ? c1 : p->x1 >> 1;
    if (top < p->y0 || bottom >= p->y1 || in1 <= in0) in0 = in1 = c1;
    for (int cx = c0; cx < in0; cx++) blend_block(dst, p, cx, cy, m);
    if (in1 > in0) {
        uint8_t *u = row_at(dst->u, dst->u_stride, cy) + in0,
                *v = row_at(dst->v, dst->v_stride, cy) + in0;
        int skip = 2 * in0 - p->x0, width = p->x1 - 2 * in0;
        if (width > 2 * (in1 - in0)) width = 2 * (in1 - in0);
        const uint8_t *first = p->pixels + (top - p->y0) * p->stride + 3 * (ptrdiff_t)skip;
        const uint8_t *second = first + (bottom - top) * p->stride;
        if (p->mask) {
            const uint8_t *mask = p->mask + (top - p->y0) * p->mask_stride + skip;
            rows->yuv_blend_chroma_u8x3(u, v, first, second, mask,
                                        mask + (bottom - top) * p->mask_stride, width, m);
        } else {
            rows->yuv_chroma_u8x3(u, v, first, second, width, m);
        }
    }
    for (int cx = in1; cx < c1; cx++) blend_block(dst, p, cx, cy, m);
}

static int patch_is_usable(const lf_image *patch, const lf_image *mask)
{
    if (!image_is_usable(patch) || patch->channels != 3 || patch->width > LF_I420_MAX_SIDE ||
        patch->height > LF_I420_MAX_SIDE)
        return 0;
    return !mask || (image_is_usable(mask) && mask->channels == 1 &&
                     mask->width == patch->width && mask->height == patch->height);
}

/* The part of the patch at (x, y) that lies on the frame; both overlap. */
static clipped clip(const lf_i420 *dst, const lf_image *patch, const lf_image *mask, int x, int y)
{
    clipped p = {.stride = patch->stride, .x0 = x > 0 ? x : 0, .y0 = y > 0 ? y : 0};
    p.x1 = x + patch->width < dst->width ? x + patch->width : dst->width;
    p.y1 = y + patch->height < dst->height ? y + patch->height : dst->height;
    p.pixels = image_row(patch, p.y0 - y) + 3 * (ptrdiff_t)(p.x0 - x);
    if (mask) {
        p.mask = image_row(mask, p.y0 - y) + (p.x0 - x);
        p.mask_stride = mask->stride;
    }
    return p;
}

lf_status lf_yuv_blend_u8x3_i420(const lf_rows *rows, const lf_i420 *dst, const lf_image *patch,
                                 const lf_image *mask, int x, int y, const lf_yuv_space *space,
                                 int swap)
{
    const matrix_row *r = find_matrix(space);
    if (!rows || !has_planes(dst) || !patch_is_usable(patch, mask) || !r) return LF_ERR_ARGUMENT;
    if (x >= dst->width || y >= dst->height || x <= -patch->width || y <= -patch->height)
        return LF_OK;
    const lf_yuv_weights m = weights_of(r, swap);
    const clipped p = clip(dst, patch, mask, x, y);
    for (int row = p.y0; row < p.y1; row++) {
        uint8_t *luma = row_at(dst->y, dst->y_stride, row) + p.x0;
        const uint8_t *src = p.pixels + (row - p.y0) * p.stride;
        if (mask)
            rows->yuv_blend_luma_u8x3(luma, src, p.mask + (row - p.y0) * p.mask_stride,
                                      p.x1 - p.x0, &m);
        else
            rows->yuv_luma_u8x3(luma, src, p.x1 - p.x0, &m);
    }
    for (int cy = p.y0 >> 1; cy <= (p.y1 - 1) >> 1; cy++) blend_chroma_row(rows, dst, &p, cy, &m);
    return LF_OK;
}
