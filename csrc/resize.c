/* resize: the plane function, and the scalar rows that define its arithmetic (resize.h). */
#include <string.h>

#include "image.h"
#include "resize.h"

/* ---- scalar rows --------------------------------------------------------------------------- */

static inline int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* Taps that lie in the source: a source of fewer pixels than the table has taps ends early. */
static inline int taps_inside(const lf_resize_axis *axis)
{
    return axis->src < axis->taps ? axis->src : axis->taps;
}

void lf_resize_linear_across_c(int16_t *const *dst, const uint8_t *const *src, int count,
                               const lf_resize_axis *axis)
{
    const int step = axis->src_channels, channels = axis->dst_channels;
    const int taps = taps_inside(axis);
    for (int r = 0; r < count; r++) {
        int16_t *d = dst[r];
        const int16_t *w = axis->weights;
        for (int x = 0; x < axis->dst; x++, d += channels, w += 2) {
            const uint8_t *s = src[r] + (ptrdiff_t)axis->first[x] * step;
            for (int c = 0; c < channels; c++) {
                int32_t sum = 0;
                for (int k = 0; k < taps; k++) sum += s[k * step + c] * w[k];
                d[c] = (int16_t)(sum >> 4);
            }
        }
    }
}

void lf_resize_cubic_across_c(int16_t *const *dst, const uint8_t *const *src, int count,
                              const lf_resize_axis *axis)
{
    const int step = axis->src_channels, channels = axis->dst_channels;
    const int taps = taps_inside(axis);
    for (int r = 0; r < count; r++) {
        int16_t *d = dst[r];
        const int16_t *w = axis->weights;
        for (int x = 0; x < axis->dst; x++, d += channels, w += 4) {
            const uint8_t *s = src[r] + (ptrdiff_t)axis->first[x] * step;
            for (int c = 0; c < channels; c++) {
                int32_t sum = 0;
                for (int k = 0; k < taps; k++) sum += s[k * step + c] * w[k];
                d[c] = (int16_t)(sum >> 8);
            }
        }
    }
}

/* The sums of the low halves may pass 2^31 where there are thousands of taps, the whole does
 * not: unsigned arithmetic gives its right bits. */
void lf_resize_taps_across_c(int16_t *const *dst, const uint8_t *const *src, int count,
                             const lf_resize_axis *axis)
{
    const int step = axis->src_channels, channels = axis->dst_channels;
    const int taps = taps_inside(axis);
    const uint32_t half = 1u << (axis->shift - 1);
    for (int r = 0; r < count; r++) {
        int16_t *d = dst[r];
        const int16_t *w = axis->weights;
        for (int x = 0; x < axis->dst; x++, d += channels, w += 2 * axis->taps) {
            const uint8_t *s = src[r] + (ptrdiff_t)axis->first[x] * step;
            for (int c = 0; c < channels; c++) {
                uint32_t sum = half;
                for (int k = 0; k < taps; k++) {
                    const int16_t *four = w + k / 4 * 8 + k % 4;
                    sum += s[(ptrdiff_t)k * step + c] * (uint32_t)(four[0] * 2048 + four[4]);
                }
                d[c] = (int16_t)clamp((int32_t)sum >> axis->shift, 0, axis->top);
            }
        }
    }
}

void lf_resize_linear_down_row_c(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                 const int16_t *weights, int taps, int shift, int count)
{
    const int16_t *s0 = src[0], *s1 = src[1];
    (void)taps, (void)shift;
    for (int i = 0; i < count; i++)
        dst[i] = (uint8_t)((((s0[i] * weights[0]) >> 16) + ((s1[i] * weights[1]) >> 16) + 2) >> 2);
}

void lf_resize_cubic_down_row_c(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                const int16_t *weights, int taps, int shift, int count)
{
    (void)taps, (void)shift;
    for (int i = 0; i < count; i++) {
        int32_t sum = 32;
        for (int k = 0; k < 4; k++) sum -= (src[k][i] * weights[k] + (1 << 14)) >> 15;
        dst[i] = (uint8_t)clamp(sum >> 6, 0, 255);
    }
}

void lf_resize_taps_down_row_c(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                               const int16_t *weights, int taps, int shift, int count)
{
    for (int i = 0; i < count; i++) {
        int64_t sum = (int64_t)1 << (shift - 1);
        for (int k = 0; k < taps; k++) {
            const int16_t *four = weights + k / 4 * 8 + k % 4;
            sum += (int64_t)src[k][i] * (four[0] * 2048 + four[4]);
        }
        dst[i] = (uint8_t)clamp((int)(sum >> shift), 0, 255);
    }
}

/* ---- nearest ------------------------------------------------------------------------------- */

static inline void copy_pixels(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                               const int32_t *first, int width, int src_channels, int dst_channels)
{
    for (int x = 0; x < width; x++, dst += dst_channels)
        for (int c = 0; c < dst_channels; c++)
            dst[c] = src[(ptrdiff_t)first[x] * src_channels + c];
}

static void run_copy(const lf_image *dst, lf_resize_fetch *fetch, void *context, int src_channels,
                     const lf_resize_plan *plan)
{
    const int32_t *columns = (const int32_t *)((const uint8_t *)plan + plan->across.first);
    const int32_t *lines = (const int32_t *)((const uint8_t *)plan + plan->down.first);
    const int width = plan->across.dst;
    for (int y = 0; y < plan->down.dst; y++) {
        uint8_t *d = image_row(dst, y);
        if (y > 0 && lines[y] == lines[y - 1]) {
            memcpy(d, d - dst->stride, (size_t)width * dst->channels);
            continue;
        }
        const uint8_t *s = fetch(context, lines[y]);
        if (src_channels == 1)
            copy_pixels(d, s, columns, width, 1, 1);
        else if (src_channels == 3)
            copy_pixels(d, s, columns, width, 3, 3);
        else if (dst->channels == 3)
            copy_pixels(d, s, columns, width, 4, 3);
        else
            copy_pixels(d, s, columns, width, 4, 4);
    }
}

/* ---- the loop over rows -------------------------------------------------------------------- */

/* Which source rows a destination row needs. */
typedef struct span {
    int begin, end;
} span;

static span rows_of(const lf_resize_table *down, const int32_t *first, int y)
{
    return (span){clamp(first[y], 0, down->src - 1),
                  clamp(first[y] + down->taps - 1, 0, down->src - 1) + 1};
}

/* How many rows from `next` on can be resized together: they are needed by `y` or soon after it,
 * without a gap. */
static int batch_of(const lf_resize_table *down, const int32_t *first, int y, int next)
{
    int end = rows_of(down, first, y).end;
    while (end - next < LF_RESIZE_ROWS && ++y < down->dst) {
        const span s = rows_of(down, first, y);
        if (s.begin > end) break;
        end = s.end;
    }
    return end - next < LF_RESIZE_ROWS ? end - next : LF_RESIZE_ROWS;
}

static size_t round_up(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

/* Scratch, in this order, each part at a cache line. */
typedef struct layout {
    size_t taken; /* pointers to the rows that one destination row is made of */
    size_t ring;  /* rows of int16, `pitch` bytes apart */
    size_t pitch;
    int ring_rows;
    size_t bytes, values; /* down first only: a row resized down, and then across */
    size_t end;
} layout;

static size_t row_pitch(int width, int channels)
{
    return round_up(((size_t)width * channels + LF_RESIZE_SLACK) * sizeof(int16_t), 64);
}

static layout layout_of(const lf_resize_plan *plan, int channels)
{
    const lf_resize_table *down = &plan->down;
    const int ahead = plan->down_first ? 0 : LF_RESIZE_ROWS - 1;
    layout l = {0};
    l.ring = round_up((size_t)down->taps * sizeof(int16_t *), 64);
    l.pitch = row_pitch(plan->down_first ? plan->across.src : plan->across.dst, channels);
    l.ring_rows = down->taps + ahead < down->src ? down->taps + ahead : down->src;
    l.bytes = l.ring + (size_t)l.ring_rows * l.pitch;
    l.values = l.bytes;
    if (plan->down_first) l.values += round_up((size_t)plan->across.src * channels, 64);
    l.end = l.values;
    if (plan->down_first) l.end += row_pitch(plan->across.dst, channels);
    return l;
}

size_t lf_resize_scratch_size(const lf_resize_plan *plan, int channels)
{
    if (!plan || (channels != 1 && channels != 3 && channels != 4)) return 0;
    return plan->kind == LF_RESIZE_COPY ? 0 : layout_of(plan, channels).end + 63;
}

static lf_resize_axis axis_of(const lf_resize_plan *plan, int src_channels, int dst_channels)
{
    const uint8_t *base = (const uint8_t *)plan;
    const lf_resize_table *t = &plan->across;
    lf_resize_axis axis = {
        .first = (const int32_t *)(base + t->first),
        .weights = (const int16_t *)(base + t->weights),
        .src = t->src,
        .dst = t->dst,
        .taps = t->taps,
        .src_channels = src_channels,
        .dst_channels = dst_channels,
    };
    const int is_area = plan->filter == LF_RESIZE_AREA;
    axis.shift = is_area ? 15 : 22;
    axis.top = is_area ? 255 * 128 : 255;
    /* a vector kernel loads 16 bytes where its last four taps begin, of one channel 4 bytes */
    const ptrdiff_t load = src_channels == 1 ? 4 : 16;
    const int last = t->taps > 4 ? t->taps - 4 : 0;
    axis.safe = t->dst;
    while (axis.safe > 0 && (ptrdiff_t)(axis.first[axis.safe - 1] + last) * src_channels + load >
                                (ptrdiff_t)t->src * src_channels)
        axis.safe--;
    return axis;
}

/* Shared by both loops over rows. */
typedef struct passes {
    lf_resize_across *across;
    lf_resize_down_row *down_row;
    lf_resize_axis axis;
    const lf_resize_table *down;
    const int32_t *first;
    const int16_t *weights;
    int weight_step; /* from a row's weights to the next's */
    int shift;
    layout at;
    uint8_t *scratch; /* aligned */
} passes;

static passes passes_of(const lf_rows *rows, int src_channels, int dst_channels,
                        const lf_resize_plan *plan, void *scratch)
{
    const uint8_t *base = (const uint8_t *)plan;
    passes p = {0};
    p.down = &plan->down;
    p.first = (const int32_t *)(base + plan->down.first);
    p.weights = (const int16_t *)(base + plan->down.weights);
    p.weight_step = plan->down.taps;
    p.axis = axis_of(plan, src_channels, dst_channels);
    p.at = layout_of(plan, src_channels);
    p.scratch = (uint8_t *)round_up((uintptr_t)scratch, 64);
    if (plan->kind == LF_RESIZE_LINEAR) {
        p.across = rows->resize_linear_across;
        p.down_row = rows->resize_linear_down;
    } else if (plan->kind == LF_RESIZE_CUBIC) {
        p.across = rows->resize_cubic_across;
        p.down_row = rows->resize_cubic_down;
    } else {
        p.across = rows->resize_taps_across;
        p.down_row = rows->resize_taps_down;
        p.weight_step *= 2;
        p.shift = plan->filter == LF_RESIZE_AREA ? 29 : 22;
    }
    return p;
}

static int16_t *ring_row(const passes *p, int row)
{
    return (int16_t *)(p->scratch + p->at.ring + (size_t)(row % p->at.ring_rows) * p->at.pitch);
}

/* Weights the ring's rows into destination row `y`, or into the row that will become it. */
static void weigh_down(const passes *p, uint8_t *dst, int y, int count)
{
    const int16_t **taken = (const int16_t **)(p->scratch + p->at.taken);
    for (int k = 0; k < p->down->taps; k++)
        taken[k] = ring_row(p, clamp(p->first[y] + k, 0, p->down->src - 1));
    p->down_row(dst, taken, p->weights + (ptrdiff_t)y * p->weight_step, p->down->taps, p->shift,
                count);
}

static void run_across_first(const passes *p, const lf_image *dst, lf_resize_fetch *fetch,
                             void *context)
{
    int next = 0; /* the first source row that is not in the ring yet */
    for (int y = 0; y < p->down->dst; y++) {
        const span need = rows_of(p->down, p->first, y);
        if (next < need.begin) next = need.begin;
        while (next < need.end) {
            const uint8_t *from[LF_RESIZE_ROWS];
            int16_t *to[LF_RESIZE_ROWS];
            const int batch = batch_of(p->down, p->first, y, next);
            for (int r = 0; r < batch; r++, next++) {
                from[r] = fetch(context, next);
                to[r] = ring_row(p, next);
            }
            p->across(to, from, batch, &p->axis);
        }
        weigh_down(p, image_row(dst, y), y, p->axis.dst * p->axis.dst_channels);
    }
}

static void widen(int16_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int count)
{
    for (int i = 0; i < count; i++) dst[i] = src[i];
}

static void narrow(uint8_t *LF_RESTRICT dst, const int16_t *LF_RESTRICT src, int count)
{
    for (int i = 0; i < count; i++) dst[i] = (uint8_t)src[i];
}

static void run_down_first(const passes *p, const lf_image *dst, lf_resize_fetch *fetch,
                           void *context)
{
    const int src_values = p->axis.src * p->axis.src_channels;
    uint8_t *bytes = p->scratch + p->at.bytes;
    int16_t *values = (int16_t *)(p->scratch + p->at.values);
    int next = 0;
    for (int y = 0; y < p->down->dst; y++) {
        const span need = rows_of(p->down, p->first, y);
        if (next < need.begin) next = need.begin;
        for (; next < need.end; next++)
            widen(ring_row(p, next), fetch(context, next), src_values);
        weigh_down(p, bytes, y, src_values);
        const uint8_t *from = bytes;
        p->across(&values, &from, 1, &p->axis);
        narrow(image_row(dst, y), values, p->axis.dst * p->axis.dst_channels);
    }
}

void lf_resize_run(const lf_rows *rows, const lf_image *dst, lf_resize_fetch *fetch, void *context,
                   int src_channels, const lf_resize_plan *plan, void *scratch)
{
    if (plan->kind == LF_RESIZE_COPY) {
        run_copy(dst, fetch, context, src_channels, plan);
        return;
    }
    const passes p = passes_of(rows, src_channels, dst->channels, plan, scratch);
    if (plan->down_first)
        run_down_first(&p, dst, fetch, context);
    else
        run_across_first(&p, dst, fetch, context);
}

/* ---- the plane function -------------------------------------------------------------------- */

static const uint8_t *fetch_row(void *context, int y)
{
    return image_row(*(const lf_image *const *)context, y);
}

lf_status lf_resize_u8(const lf_rows *rows, const lf_image *dst, const lf_image *src,
                       const lf_resize_plan *plan, const lf_scratch *scratch)
{
    if (!rows || !image_is_usable(dst) || !image_is_usable(src) || !plan || !scratch)
        return LF_ERR_ARGUMENT;
    const int channels = src->channels;
    if ((channels != 1 && channels != 3 && channels != 4) || dst->channels != channels ||
        src->width != plan->across.src || src->height != plan->down.src ||
        dst->width != plan->across.dst || dst->height != plan->down.dst)
        return LF_ERR_ARGUMENT;
    const size_t need = lf_resize_scratch_size(plan, channels);
    if (need && !scratch->data) return LF_ERR_ARGUMENT;
    if (scratch->size < need) return LF_ERR_SCRATCH;
    lf_resize_run(rows, dst, fetch_row, &src, channels, plan, scratch->data);
    return LF_OK;
}
