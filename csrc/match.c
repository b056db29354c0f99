/* match: measures how the colours of a patch differ from its background along the border, as a
 * plane for each channel, and moves the patch by it. */
#include "image.h"
#include "rows.h"

enum { HALF = 1 << (LF_MATCH_BITS - 1) };

static inline uint8_t moved(uint8_t value, int32_t by)
{
    const int32_t v = value + (by >> LF_MATCH_BITS);
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void lf_match_u8x3_row_c(uint8_t *dst, int width, const int32_t start[3], const int32_t step[3])
{
    int32_t by[3] = {start[0], start[1], start[2]};
    for (int x = 0; x < width; x++, dst += 3)
        for (int c = 0; c < 3; c++) {
            dst[c] = moved(dst[c], by[c]);
            by[c] += step[c];
        }
}

void lf_match_u8x4_row_c(uint8_t *dst, int width, const int32_t start[3], const int32_t step[3])
{
    int32_t by[3] = {start[0], start[1], start[2]};
    for (int x = 0; x < width; x++, dst += 4)
        for (int c = 0; c < 3; c++) {
            dst[c] = moved(dst[c], by[c]);
            by[c] += step[c];
        }
}

static int64_t magnitude(int32_t value)
{
    return value < 0 ? -(int64_t)value : value;
}

int lf_match_fits(const lf_match *match, int width, int height)
{
    for (int c = 0; c < 3; c++)
        if (magnitude(match->level[c]) + magnitude(match->across[c]) * (width + 1) +
                magnitude(match->down[c]) * height >=
            INT32_MAX - HALF)
            return 0;
    return 1;
}

void lf_match_row_start(int32_t start[3], const lf_match *match, int width, int height, int y)
{
    for (int c = 0; c < 3; c++)
        start[c] = match->level[c] - match->across[c] * (width - 1) +
                   match->down[c] * (2 * y - (height - 1)) + HALF;
}

lf_status lf_match_u8(const lf_rows *rows, const lf_image *dst, const lf_match *match)
{
    if (!rows || !image_is_usable(dst) || !match || (dst->channels != 3 && dst->channels != 4) ||
        dst->width > LF_RESIZE_SIDE || dst->height > LF_RESIZE_SIDE ||
        !lf_match_fits(match, dst->width, dst->height))
        return LF_ERR_ARGUMENT;
    lf_match_row *move = dst->channels == 3 ? rows->match_u8x3 : rows->match_u8x4;
    const int32_t step[3] = {2 * match->across[0], 2 * match->across[1], 2 * match->across[2]};
    for (int y = 0; y < dst->height; y++) {
        int32_t start[3];
        lf_match_row_start(start, match, dst->width, dst->height, y);
        move(image_row(dst, y), dst->width, start, step);
    }
    return LF_OK;
}

/* Sums over the ring of d = background - patch and of d times the place, from the centre in half
 * pixels: u = 2x - (width - 1) across, v likewise down. */
typedef struct ring_sums {
    int64_t d[3], du[3], dv[3];
    int64_t count, uu, vv;
} ring_sums;

static void add_pixels(ring_sums *sums, const uint8_t *patch, const uint8_t *background, int count,
                       int u, int v)
{
    int64_t d[3] = {0, 0, 0};
    for (int x = 0; x < count; x++, u += 2, patch += 3, background += 3) {
        sums->uu += (int64_t)u * u;
        for (int c = 0; c < 3; c++) {
            const int by = background[c] - patch[c];
            d[c] += by;
            sums->du[c] += (int64_t)by * u;
        }
    }
    for (int c = 0; c < 3; c++) {
        sums->d[c] += d[c];
        sums->dv[c] += d[c] * v;
    }
    sums->vv += (int64_t)v * v * count;
    sums->count += count;
}

/* The ring is symmetric, so the sums of u, v and uv are 0 and the planes follow without
 * elimination. */
static void solve(lf_match_planes *planes, const ring_sums *sums)
{
    for (int c = 0; c < 3; c++) {
        planes->level[c] = (double)sums->d[c] / (double)sums->count;
        planes->across[c] = sums->uu ? (double)sums->du[c] / (double)sums->uu : 0.0;
        planes->down[c] = sums->vv ? (double)sums->dv[c] / (double)sums->vv : 0.0;
    }
}

/* Whether a row lies in the ring's top or bottom part, or the ring leaves nothing out. */
static int is_whole_row(int y, int width, int height, int ring)
{
    return y < ring || y >= height - ring || 2 * ring >= width;
}

lf_status lf_match_measure_u8x3(lf_match_planes *planes, const lf_image *patch,
                                const lf_image *background, int ring)
{
    if (!planes || !image_is_usable(patch) || !image_is_usable(background) || ring < 1 ||
        patch->channels != 3 || background->channels != 3 || patch->width != background->width ||
        patch->height != background->height || patch->width > LF_RESIZE_SIDE ||
        patch->height > LF_RESIZE_SIDE)
        return LF_ERR_ARGUMENT;
    const int width = patch->width, height = patch->height;
    ring_sums sums = {0};
    for (int y = 0; y < height; y++) {
        const uint8_t *p = image_row(patch, y), *b = image_row(background, y);
        const int v = 2 * y - (height - 1);
        if (is_whole_row(y, width, height, ring)) {
            add_pixels(&sums, p, b, width, 1 - width, v);
        } else {
            const ptrdiff_t right = (ptrdiff_t)(width - ring) * 3;
            add_pixels(&sums, p, b, ring, 1 - width, v);
            add_pixels(&sums, p + right, b + right, ring, width + 1 - 2 * ring, v);
        }
    }
    solve(planes, &sums);
    return LF_OK;
}

lf_status lf_match_measure_f32p3(const lf_rows *rows, lf_match_planes *planes, const lf_f32p3 *src,
                                 const lf_range *range, const lf_image *background, int ring,
                                 const lf_scratch *scratch)
{
    if (!rows || !planes || !f32p3_is_usable(src) || !lf_range_is_usable(range) ||
        !image_is_usable(background) || ring < 1 || !scratch || !scratch->data ||
        src->width != src->height || src->width > LF_RESIZE_SIDE || background->channels != 3 ||
        background->width != src->width || background->height != src->height)
        return LF_ERR_ARGUMENT;
    const int view = src->width;
    if (scratch->size < (size_t)view * 3) return LF_ERR_SCRATCH;
    const float gain = 255.0f / (range->high - range->low);
    uint8_t *made = scratch->data;
    ring_sums sums = {0};
    for (int y = 0; y < view; y++) {
        const int whole = is_whole_row(y, view, view, ring), v = 2 * y - (view - 1);
        const int count = whole ? view : ring;
        float *c[3];
        f32p3_row(c, src, range->swap, y);
        for (int part = 0; part < 2 - whole; part++) {
            const int x = part ? view - ring : 0;
            rows->convert_f32p3_u8x3(made, c[0] + x, c[1] + x, c[2] + x, count, range->low, gain,
                                     range->truncate);
            add_pixels(&sums, made, image_row(background, y) + (ptrdiff_t)x * 3, count,
                       2 * x - (view - 1), v);
        }
    }
    solve(planes, &sums);
    return LF_OK;
}
