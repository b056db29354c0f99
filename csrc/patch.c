/* patch: a net's output inside its crop's border, resized to the rect in one pass. */
#include "resize.h"

#include <string.h>

enum {
    /* Rows made at once: long enough for the hardware to see the planes as streams. */
    BURST = 16,
    SLOTS = BURST + LF_RESIZE_ROWS
};

/* The picture to resize, made some rows at a time as the resize asks for them: it never exists as
 * a whole. It is u8x4, as loads of four byte pixels never straddle the words that hold them, unless
 * it is u8x3 already and its colours stay. */
typedef struct patch_source {
    const lf_rows *rows;
    const char *planes[3];  /* of the first, second and third byte; NULL where there are */
    const uint8_t *picture; /* pixels */
    ptrdiff_t src_stride;
    const lf_range *tone;
    const lf_match *match; /* or NULL */
    const uint8_t *crop;
    ptrdiff_t crop_stride;
    int view, border, pixel; /* of the picture; bytes of a pixel in the slots */
    int made;       /* the rows above have been made, or are not needed */
    uint8_t *slots; /* row y is in slot y % SLOTS */
    size_t pitch;   /* bytes from a slot to the next */
} patch_source;

/* u8x3 to a slot's pixels. A fourth byte is never used, so it takes the
 * next pixel's first; the last pixel has none behind it. */
static inline void put_pixels(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                              int pixel)
{
    if (pixel == 3) {
        memcpy(dst, src, (size_t)width * 3);
        return;
    }
    for (; width > 1; width--, dst += 4, src += 3) memcpy(dst, src, 4);
    memcpy(dst, src, 3);
}

/* A border is a few bytes at either end of the crop's rows, which no hardware foresees. */
static inline void expect(const uint8_t *bytes)
{
#if defined(__GNUC__)
    __builtin_prefetch(bytes);
#else
    (void)bytes;
#endif
}

/* A row of the picture inside the border. */
static void make_inner(const patch_source *p, uint8_t *dst, int y)
{
    const ptrdiff_t down = y * p->src_stride;
    if (p->picture)
        put_pixels(dst, p->picture + down, p->view, p->pixel);
    else
        p->rows->convert_f32p3_u8x4(dst, (const float *)(p->planes[0] + down),
                                    (const float *)(p->planes[1] + down),
                                    (const float *)(p->planes[2] + down), p->view, p->tone->low,
                                    255.0f / (p->tone->high - p->tone->low), p->tone->truncate);
    if (p->match) {
        const lf_match *m = p->match;
        const int32_t step[3] = { 2 * m->across[0], 2 * m->across[1], 2 * m->across[2] };
        int32_t start[3];
        lf_match_row_start(start, m, p->view, p->view, y);
        p->rows->match_u8x4(dst, p->view, start, step);
    }
}

static void make_row(const patch_source *p, int y)
{
    const int side = p->view + 2 * p->border, inner = y - p->border;
    uint8_t *row = p->slots + (size_t)(y % SLOTS) * p->pitch;
    const uint8_t *crop = p->border ? p->crop + y * p->crop_stride : NULL;
    if (inner < 0 || inner >= p->view) {
        put_pixels(row, crop, side, p->pixel);
        return;
    }
    if (p->border) {
        const ptrdiff_t right = (ptrdiff_t)(p->border + p->view);
        if (y + BURST < side) {
            expect(crop + BURST * p->crop_stride);
            expect(crop + BURST * p->crop_stride + right * 3);
        }
        put_pixels(row, crop, p->border, p->pixel);
        put_pixels(row + right * p->pixel, crop + right * 3, p->border, p->pixel);
    }
    make_inner(p, row + (ptrdiff_t)p->border * p->pixel, inner);
}

static const uint8_t *patch_row(void *context, int y)
{
    patch_source *p = context;
    if (y >= p->made) {
        const int side = p->view + 2 * p->border;
        const int end = y + BURST < side ? y + BURST : side;
        for (int row = y; row < end; row++) make_row(p, row);
        p->made = end;
    }
    return p->slots + (size_t)(y % SLOTS) * p->pitch;
}

static size_t slot_pitch(const lf_resize_plan *plan)
{
    return ((size_t)plan->across.src * 4 + 63) / 64 * 64;
}

size_t lf_patch_scratch_size(const lf_resize_plan *plan)
{
    return plan ? SLOTS * slot_pitch(plan) + lf_resize_scratch_size(plan, 4) : 0;
}

static lf_status run(patch_source *source, uint8_t *dst, ptrdiff_t dst_stride,
                     const lf_resize_plan *plan, void *scratch, size_t scratch_size)
{
    const int view = source->view, border = source->border, side = view + 2 * border;
    if (!source->rows || !dst || !plan || !scratch || view < 1 || view > LF_RESIZE_SIDE ||
        border < 0 || border > LF_RESIZE_SIDE || (border && !source->crop) ||
        (source->match && !lf_match_fits(source->match, view, view)) ||
        plan->across.src != side || plan->down.src != side)
        return LF_ERR_ARGUMENT;
    if (scratch_size < lf_patch_scratch_size(plan)) return LF_ERR_SCRATCH;
    source->pixel = source->picture && !source->match ? 3 : 4;
    source->slots = scratch;
    source->pitch = slot_pitch(plan);
    lf_resize_run(source->rows, dst, dst_stride, patch_row, source, source->pixel, 3, plan,
                  source->slots + SLOTS * source->pitch);
    return LF_OK;
}

lf_status lf_patch_f32p3_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                              const float *src, ptrdiff_t src_stride, ptrdiff_t src_plane_stride,
                              int view, const lf_range *tone, const lf_match *match,
                              const uint8_t *crop, ptrdiff_t crop_stride, int border,
                              const lf_resize_plan *plan, void *scratch, size_t scratch_size)
{
    if (!src || !lf_tone_is_usable(tone)) return LF_ERR_ARGUMENT;
    const char *bytes = (const char *)src;
    const char *outer[2] = { bytes, bytes + 2 * src_plane_stride };
    const int swap = tone->swap != 0;
    patch_source source = {
        .rows = rows,
        .planes = { outer[swap], bytes + src_plane_stride, outer[!swap] },
        .src_stride = src_stride,
        .tone = tone,
        .match = match,
        .crop = crop,
        .crop_stride = crop_stride,
        .view = view,
        .border = border,
    };
    return run(&source, dst, dst_stride, plan, scratch, scratch_size);
}

lf_status lf_patch_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                        const uint8_t *src, ptrdiff_t src_stride, int view, const lf_match *match,
                        const uint8_t *crop, ptrdiff_t crop_stride, int border,
                        const lf_resize_plan *plan, void *scratch, size_t scratch_size)
{
    if (!src) return LF_ERR_ARGUMENT;
    patch_source source = {
        .rows = rows,
        .picture = src,
        .src_stride = src_stride,
        .match = match,
        .crop = crop,
        .crop_stride = crop_stride,
        .view = view,
        .border = border,
    };
    return run(&source, dst, dst_stride, plan, scratch, scratch_size);
}
