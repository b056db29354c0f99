/* match: how the colours of a patch differ from its background along the border, as a plane for
 * each channel, and the patch moved by it. */
#include "rows.h"

enum { HALF = 1 << (LF_MATCH_BITS - 1) };

static inline uint8_t moved(uint8_t value, int32_t by)
{
    const int32_t v = value + (by >> LF_MATCH_BITS);
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void lf_match_u8x3_row_c(uint8_t *dst, int width, const int32_t start[3], const int32_t step[3])
{
    int32_t by[3] = { start[0], start[1], start[2] };
    for (int x = 0; x < width; x++, dst += 3)
        for (int c = 0; c < 3; c++) {
            dst[c] = moved(dst[c], by[c]);
            by[c] += step[c];
        }
}

void lf_match_u8x4_row_c(uint8_t *dst, int width, const int32_t start[3], const int32_t step[3])
{
    int32_t by[3] = { start[0], start[1], start[2] };
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

lf_status lf_match_u8(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, int width,
                      int height, int channels, const lf_match *match)
{
    if (!rows || !dst || !match || (channels != 3 && channels != 4)) return LF_ERR_ARGUMENT;
    if (width < 1 || height < 1 || width > LF_RESIZE_SIDE || height > LF_RESIZE_SIDE ||
        !lf_match_fits(match, width, height))
        return LF_ERR_ARGUMENT;
    lf_match_row *row = channels == 3 ? rows->match_u8x3 : rows->match_u8x4;
    const int32_t step[3] = { 2 * match->across[0], 2 * match->across[1], 2 * match->across[2] };
    for (int y = 0; y < height; y++) {
        int32_t start[3];
        lf_match_row_start(start, match, width, height, y);
        row(dst + y * dst_stride, width, start, step);
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
    int64_t d[3] = { 0, 0, 0 };
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

/* The ring is symmetric, so the sums of u, v and uv are 0 and least squares need no elimination. */
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

lf_status lf_match_measure_u8x3(lf_match_planes *planes, const uint8_t *patch,
                                ptrdiff_t patch_stride, const uint8_t *background,
                                ptrdiff_t background_stride, int width, int height, int ring)
{
    if (!planes || !patch || !background || width < 1 || height < 1 || ring < 1 ||
        width > LF_RESIZE_SIDE || height > LF_RESIZE_SIDE)
        return LF_ERR_ARGUMENT;
    ring_sums sums = { 0 };
    for (int y = 0; y < height; y++) {
        const uint8_t *p = patch + y * patch_stride, *b = background + y * background_stride;
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

lf_status lf_match_measure_f32p3(const lf_rows *rows, lf_match_planes *planes, const float *src,
                                 ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int view,
                                 const lf_range *tone, const uint8_t *background,
                                 ptrdiff_t background_stride, int ring, void *scratch,
                                 size_t scratch_size)
{
    if (!rows || !planes || !src || !background || !scratch || view < 1 ||
        view > LF_RESIZE_SIDE || ring < 1 || !lf_tone_is_usable(tone))
        return LF_ERR_ARGUMENT;
    if (scratch_size < (size_t)view * 3) return LF_ERR_SCRATCH;
    const char *bytes = (const char *)src;
    const char *outer[2] = { bytes, bytes + 2 * src_plane_stride };
    const int swap = tone->swap != 0;
    const char *c[3] = { outer[swap], bytes + src_plane_stride, outer[!swap] };
    const float gain = 255.0f / (tone->high - tone->low);
    uint8_t *made = scratch;
    ring_sums sums = { 0 };
    for (int y = 0; y < view; y++) {
        const int whole = is_whole_row(y, view, view, ring), v = 2 * y - (view - 1);
        const int count = whole ? view : ring;
        for (int part = 0; part < 2 - whole; part++) {
            const int x = part ? view - ring : 0;
            const ptrdiff_t from = y * src_stride + (ptrdiff_t)x * (ptrdiff_t)sizeof(float);
            rows->convert_f32p3_u8x3(made, (const float *)(c[0] + from),
                                     (const float *)(c[1] + from), (const float *)(c[2] + from),
                                     count, tone->low, gain, tone->truncate);
            add_pixels(&sums, made, background + y * background_stride + (ptrdiff_t)x * 3, count,
                       2 * x - (view - 1), v);
        }
    }
    solve(planes, &sums);
    return LF_OK;
}
