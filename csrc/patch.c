/* patch: a model's output inside its crop's border, resized to the rect in one pass. */
#include <string.h>

#include "image.h"
#include "resize.h"

enum {
    /* Rows made at once: long enough for the hardware to see the planes as streams. */
    BURST = 16,
    SLOTS = BURST + LF_RESIZE_ROWS
};

/* The picture to resize, made some rows at a time as the resize asks for them: it never exists as
 * a whole. Its slots hold u8x4, as loads of four byte pixels never straddle the words that hold
 * them, unless it is u8x3 already and its colours stay. */
typedef struct patch_source {
    const lf_rows *rows;
    const lf_f32p3 *planes; /* or NULL where there is a */
    const lf_image *picture;
    const lf_range *range; /* of the planes */
    const lf_match *match; /* or NULL */
    const lf_image *crop;  /* or NULL where border is 0 */
    int view, border;
    int pixel;      /* bytes of a pixel in the slots */
    int made;       /* rows above this one have been made, or are not needed */
    uint8_t *slots; /* row y is in slot y % SLOTS */
    size_t pitch;   /* bytes from a slot to the next */
} patch_source;

/* u8x3 to a slot's pixels. A fourth byte is never used, so it takes the next pixel's first; the
 * last pixel has none behind it. */
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
    if (p->picture) {
        put_pixels(dst, image_row(p->picture, y), p->view, p->pixel);
    } else {
        const lf_range *range = p->range;
        float *c[3];
        f32p3_row(c, p->planes, range->swap, y);
        p->rows->convert_f32p3_u8x4(dst, c[0], c[1], c[2], p->view, range->low,
                                    255.0f / (range->high - range->low), range->truncate);
    }
    if (p->match) {
        const lf_match *m = p->match;
        const int32_t step[3] = {2 * m->across[0], 2 * m->across[1], 2 * m->across[2]};
        int32_t start[3];
        lf_match_row_start(start, m, p->view, p->view, y);
        p->rows->match_u8x4(dst, p->view, start, step);
    }
}

static void make_row(const patch_source *p, int y)
{
    const int side = p->view + 2 * p->border, inner = y - p->border;
    uint8_t *row = p->slots + (size_t)(y % SLOTS) * p->pitch;
    const uint8_t *crop = p->border ? image_row(p->crop, y) : NULL;
    if (inner < 0 || inner >= p->view) {
        put_pixels(row, crop, side, p->pixel);
        return;
    }
    if (p->border) {
        const ptrdiff_t right = (ptrdiff_t)(p->border + p->view);
        if (y + BURST < side) {
            expect(crop + BURST * p->crop->stride);
            expect(crop + BURST * p->crop->stride + right * 3);
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

/* `source` holds what the caller was given; the rest of it follows from the plan. */
static lf_status run(patch_source *source, const lf_image *dst, const lf_resize_plan *plan,
                     const lf_scratch *scratch)
{
    if (!source->rows || !image_is_usable(dst) || !plan || !scratch || !scratch->data)
        return LF_ERR_ARGUMENT;
    const lf_image *crop = source->crop;
    const int view = source->view, side = plan->across.src, border = (side - view) / 2;
    if (dst->channels != 3 || dst->width != plan->across.dst || dst->height != plan->down.dst ||
        plan->down.src != side || border < 0 || view + 2 * border != side ||
        (source->match && !lf_match_fits(source->match, view, view)))
        return LF_ERR_ARGUMENT;
    if (border && (!image_is_usable(crop) || crop->channels != 3 || crop->width != side ||
                   crop->height != side))
        return LF_ERR_ARGUMENT;
    if (scratch->size < lf_patch_scratch_size(plan)) return LF_ERR_SCRATCH;
    source->border = border;
    source->pixel = source->picture && !source->match ? 3 : 4;
    source->slots = scratch->data;
    source->pitch = slot_pitch(plan);
    lf_resize_run(source->rows, dst, patch_row, source, source->pixel, plan,
                  source->slots + SLOTS * source->pitch);
    return LF_OK;
}

lf_status lf_patch_f32p3_u8x3(const lf_rows *rows, const lf_image *dst, const lf_f32p3 *src,
                              const lf_range *range, const lf_match *match, const lf_image *crop,
                              const lf_resize_plan *plan, const lf_scratch *scratch)
{
    if (!f32p3_is_usable(src) || src->width != src->height || !lf_range_is_usable(range))
        return LF_ERR_ARGUMENT;
    patch_source source = {
        .rows = rows,
        .planes = src,
        .range = range,
        .match = match,
        .crop = crop,
        .view = src->width,
    };
    return run(&source, dst, plan, scratch);
}

lf_status lf_patch_u8x3(const lf_rows *rows, const lf_image *dst, const lf_image *src,
                        const lf_match *match, const lf_image *crop, const lf_resize_plan *plan,
                        const lf_scratch *scratch)
{
    if (!image_is_usable(src) || src->width != src->height || src->channels != 3)
        return LF_ERR_ARGUMENT;
    patch_source source = {
        .rows = rows,
        .picture = src,
        .match = match,
        .crop = crop,
        .view = src->width,
    };
    return run(&source, dst, plan, scratch);
}
