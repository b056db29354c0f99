/* resize: sampling positions and weights of every filter, as tables of integers. */
#include <math.h>
#include <string.h>

#include "resize.h"

#define LF_PI 3.14159265358979323846

/* How one direction is sampled. */
typedef struct axis {
    int src, dst;
    int from, count; /* the destination pixels in the table: from ... from + count - 1 */
    lf_resize_kind kind;
    lf_resize_filter filter;
    int taps; /* of the table: 1, 2, 4 or a multiple of 4 */
} axis;

static size_t round_up(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

/* ---- nearest, linear, cubic: OpenCV's sampling, in its own precision - ---------------------- */

/* Source pixels per destination pixel, as OpenCV rounds it: the inverse of the inverse. */
static double opencv_scale(const axis *a)
{
    return 1.0 / ((double)a->dst / a->src);
}

static int nearest_source(const axis *a, int d)
{
    const int s = (int)floor(d * opencv_scale(a));
    return s < a->src - 1 ? s : a->src - 1;
}

/* The source pixel at or before the sampling point; the rest of the way to the next one. */
static int sampling_point(const axis *a, int d, float *fraction)
{
    const double scale = opencv_scale(a);
    if (a->filter == LF_RESIZE_AREA) { /* enlarging: a pixel's share of the boxes it covers */
        const int s = (int)floor(d * scale);
        const float f = (float)((d + 1) - (s + 1) * ((double)a->dst / a->src));
        *fraction = f <= 0.0f ? 0.0f : f - floorf(f);
        return s;
    }
    const double centre = a->filter == LF_RESIZE_BILINEAR_TOPLEFT ? 0.0 : 0.5;
    const float at = (float)((d + centre) * scale - centre);
    const float whole = floorf(at);
    *fraction = at - whole;
    return (int)whole;
}

static int16_t in_units(float weight, float unit)
{
    return (int16_t)rintf(weight * unit);
}

/* Cubic convolution with a = -0.75 (Keys 1981), evaluated in float as OpenCV does. */
static void cubic_weights(float x, float unit, int16_t weights[4])
{
    const float a = -0.75f, y = x + 1.0f, z = 1.0f - x;
    const float w0 = ((a * y - 5.0f * a) * y + 8.0f * a) * y - 4.0f * a;
    const float w1 = ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f;
    const float w2 = ((a + 2.0f) * z - (a + 3.0f)) * z * z + 1.0f;
    weights[0] = in_units(w0, unit);
    weights[1] = in_units(w1, unit);
    weights[2] = in_units(w2, unit);
    weights[3] = in_units(1.0f - w0 - w1 - w2, unit);
}

/* Returns the first tap's pixel, which may lie outside the source. cubic_unit: what the weight 1
 * is stored as; linear weights are always 2048ths. */
static int short_weights(const axis *a, int d, float cubic_unit, int16_t weights[4])
{
    float fraction;
    const int s = sampling_point(a, d, &fraction);
    if (a->kind == LF_RESIZE_CUBIC) {
        cubic_weights(fraction, cubic_unit, weights);
        return s - 1;
    }
    weights[0] = in_units(1.0f - fraction, 2048.0f);
    weights[1] = in_units(fraction, 2048.0f);
    return s;
}

/* ---- antialiased: Pillow's sampling (Resample.c, precompute_coeffs) ------------------------ */

static double sinc(double x)
{
    return x == 0.0 ? 1.0 : sin(x * LF_PI) / (x * LF_PI);
}

static double kernel_at(lf_resize_filter filter, double x)
{
    x = fabs(x);
    switch (filter) {
    case LF_RESIZE_BILINEAR_AA:
        return x < 1.0 ? 1.0 - x : 0.0;
    case LF_RESIZE_BICUBIC_AA: { /* a = -0.5 */
        const double a = -0.5;
        if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
        if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
        return 0.0;
    }
    default:
        return x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
    }
}

static double kernel_support(lf_resize_filter filter)
{
    return filter == LF_RESIZE_BILINEAR_AA ? 1.0 : filter == LF_RESIZE_BICUBIC_AA ? 2.0 : 3.0;
}

/* ---- n taps: window and weights in 1/2^22 -------------------------------------------------- */

typedef struct window {
    int first, count;
    double centre, stretch; /* antialiased only: in source pixels; source pixels per kernel unit */
    double sum;             /* antialiased only: of the kernel's values */
} window;

/* The source pixels that destination pixel `d` is made of. */
static window window_of(const axis *a, int d)
{
    window w = {0};
    if (a->filter == LF_RESIZE_AREA) {
        w.first = (int)((int64_t)d * a->src / a->dst);
        w.count = (int)(((int64_t)(d + 1) * a->src + a->dst - 1) / a->dst) - w.first;
        return w;
    }
    const double scale = (double)a->src / a->dst;
    w.stretch = scale < 1.0 ? 1.0 : scale;
    w.centre = (d + 0.5) * scale;
    const double support = kernel_support(a->filter) * w.stretch;
    const int begin = (int)(w.centre - support + 0.5), end = (int)(w.centre + support + 0.5);
    w.first = begin < 0 ? 0 : begin;
    w.count = (end > a->src ? a->src : end) - w.first;
    return w;
}

static double kernel_value(const axis *a, const window *w, int k)
{
    return kernel_at(a->filter, (k + w->first - w->centre + 0.5) * (1.0 / w->stretch));
}

/* The share of the box of `d` that pixel first + k covers, as the difference of two rounded running
 * sums, so that all weights of a box sum to 2^22. */
static int32_t area_weight(const axis *a, const window *w, int d, int k)
{
    const int64_t begin = (int64_t)d * a->src, end = begin + a->src;
    int64_t from = (int64_t)(w->first + k) * a->dst, to = from + a->dst;
    from = (from < begin ? begin : from) - begin;
    to = (to > end ? end : to) - begin;
    const int64_t from_part = ((from << 22) + a->src / 2) / a->src;
    const int64_t to_part = ((to << 22) + a->src / 2) / a->src;
    return (int32_t)(to_part - from_part);
}

static int32_t tap_weight(const axis *a, const window *w, int d, int k)
{
    if (a->filter == LF_RESIZE_AREA) return area_weight(a, w, d, k);
    double value = kernel_value(a, w, k);
    if (w->sum != 0.0) value /= w->sum;
    value *= 4194304.0;
    return (int32_t)(value < 0.0 ? value - 0.5 : value + 0.5);
}

/* Taps of the widest window, in fours, no more than the source has in fours. */
static int count_taps(const axis *a)
{
    int most = 1;
    for (int d = 0; d < a->dst; d++) {
        const int count = window_of(a, d).count;
        if (count > most) most = count;
    }
    return (most + 3) / 4 * 4;
}

/* ---- tables -------------------------------------------------------------------------------- */

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* The first pixel of a table entry whose taps, `wanted` being the first, all lie in the source
 * (0 where it has fewer pixels than the table has taps). */
static int32_t first_inside(const axis *a, int wanted)
{
    return clamp(wanted, 0, a->src > a->taps ? a->src - a->taps : 0);
}

/* Across, taps beyond an edge are folded into the edge's pixel, so that no kernel has to know of
 * edges. */
static void fill_short_across(const axis *a, int32_t *first, int16_t *weights)
{
    for (int d = 0; d < a->count; d++, weights += a->taps) {
        int16_t free_weights[4];
        const int wanted = short_weights(a, a->from + d, 16384.0f, free_weights);
        first[d] = first_inside(a, wanted);
        for (int k = 0; k < a->taps; k++)
            weights[clamp(wanted + k, 0, a->src - 1) - first[d]] += free_weights[k];
    }
}

/* Down, rows beyond an edge are the edge's row; `first` may lie outside the source. The cubic
 * weights are stored negated, so that 1 fits an int16. */
static void fill_short_down(const axis *a, int32_t *first, int16_t *weights)
{
    for (int d = 0; d < a->count; d++, weights += a->taps) {
        int16_t four[4];
        first[d] = short_weights(a, a->from + d, -32768.0f, four);
        memcpy(weights, four, (size_t)a->taps * sizeof *four);
    }
}

/* Each four taps are four high halves and four low ones. */
static void fill_taps(const axis *a, int32_t *first, int16_t *weights)
{
    for (int d = 0; d < a->count; d++, weights += 2 * a->taps) {
        window w = window_of(a, a->from + d);
        if (a->filter != LF_RESIZE_AREA)
            for (int k = 0; k < w.count; k++) w.sum += kernel_value(a, &w, k);
        first[d] = first_inside(a, w.first);
        for (int k = 0; k < w.count; k++) {
            const int32_t weight = tap_weight(a, &w, a->from + d, k);
            const int at = w.first + k - first[d];
            int16_t *four = weights + at / 4 * 8 + at % 4;
            four[4] = (int16_t)(weight & 2047);
            four[0] = (int16_t)((weight - four[4]) / 2048);
        }
    }
}

static size_t padded_count(const axis *a)
{
    return round_up((size_t)a->count, LF_RESIZE_GROUP);
}

static size_t first_size(const axis *a)
{
    return padded_count(a) * sizeof(int32_t);
}

static size_t weights_size(const axis *a)
{
    if (a->kind == LF_RESIZE_COPY) return 0;
    return padded_count(a) * sizeof(int16_t) * a->taps * (a->kind == LF_RESIZE_TAPS ? 2 : 1);
}

/* Pixels that pad the table sample where the last one does, with weight 0. */
static void fill_axis(const axis *a, int is_across, int32_t *first, int16_t *weights)
{
    memset(weights, 0, weights_size(a));
    if (a->kind == LF_RESIZE_COPY)
        for (int d = 0; d < a->count; d++) first[d] = nearest_source(a, a->from + d);
    else if (a->kind == LF_RESIZE_TAPS)
        fill_taps(a, first, weights);
    else if (is_across)
        fill_short_across(a, first, weights);
    else
        fill_short_down(a, first, weights);
    for (size_t d = (size_t)a->count; d < padded_count(a); d++) first[d] = first[a->count - 1];
}

/* ---- the plan ------------------------------------------------------------------------------ */

static lf_resize_kind kind_of(lf_resize_filter filter, int shrinks)
{
    switch (filter) {
    case LF_RESIZE_NEAREST:
        return LF_RESIZE_COPY;
    case LF_RESIZE_BILINEAR:
    case LF_RESIZE_BILINEAR_TOPLEFT:
        return LF_RESIZE_LINEAR;
    case LF_RESIZE_BICUBIC:
        return LF_RESIZE_CUBIC;
    case LF_RESIZE_AREA:
        return shrinks ? LF_RESIZE_TAPS : LF_RESIZE_LINEAR;
    default:
        return LF_RESIZE_TAPS;
    }
}

static axis axis_of(int src, int dst, int from, int end, lf_resize_kind kind,
                    lf_resize_filter filter)
{
    axis a = {src, dst, from, end - from, kind, filter, 1};
    if (kind == LF_RESIZE_LINEAR) a.taps = 2;
    if (kind == LF_RESIZE_CUBIC) a.taps = 4;
    if (kind == LF_RESIZE_TAPS) a.taps = count_taps(&a);
    return a;
}

static int side_is_usable(int side)
{
    return side >= 1 && side <= LF_RESIZE_SIDE;
}

static int part_is_usable(const lf_box *part, int width, int height)
{
    return part->x0 >= 0 && part->y0 >= 0 && part->x0 < part->x1 && part->y0 < part->y1 &&
           part->x1 <= width && part->y1 <= height;
}

/* What a plan is made of. */
typedef struct order {
    int src_width, src_height, dst_width, dst_height;
    lf_resize_filter filter;
    lf_box part;
} order;

static order order_of(int src_width, int src_height, int dst_width, int dst_height,
                      lf_resize_filter filter, const lf_box *part)
{
    const lf_box whole = {0, 0, dst_width, dst_height};
    return (order){src_width, src_height, dst_width, dst_height, filter, part ? *part : whole};
}

/* Lays the tables out behind the header; returns the plan's size, 0 where arguments are bad. */
static size_t lay_out(lf_resize_plan *plan, axis *across, axis *down, const order *o)
{
    const int src_width = o->src_width, src_height = o->src_height;
    const int dst_width = o->dst_width, dst_height = o->dst_height;
    const lf_resize_filter filter = o->filter;
    const lf_box *part = &o->part;
    if (!side_is_usable(src_width) || !side_is_usable(src_height) || !side_is_usable(dst_width) ||
        !side_is_usable(dst_height) || (int)filter < 0 || filter > LF_RESIZE_LANCZOS_AA ||
        !part_is_usable(part, dst_width, dst_height))
        return 0;
    const lf_resize_kind kind =
        kind_of(filter, dst_width <= src_width && dst_height <= src_height);
    *across = axis_of(src_width, dst_width, part->x0, part->x1, kind, filter);
    *down = axis_of(src_height, dst_height, part->y0, part->y1, kind, filter);
    size_t at = round_up(sizeof *plan, 64);
    plan->across = (lf_resize_table){at, at + round_up(first_size(across), 64), src_width,
                                     across->count, across->taps};
    at = plan->across.weights + round_up(weights_size(across), 64);
    plan->down = (lf_resize_table){at, at + round_up(first_size(down), 64), src_height,
                                   down->count, down->taps};
    plan->size = plan->down.weights + round_up(weights_size(down), 64);
    plan->kind = kind;
    plan->filter = filter;
    /* the bytes depend on the order, so this is Pillow's rule (since its version 13) */
    plan->down_first = kind == LF_RESIZE_TAPS && filter != LF_RESIZE_AREA &&
                       dst_height < src_height &&
                       src_height - dst_height > 2 * (src_width - dst_width);
    plan->unused = 0;
    return plan->size;
}

size_t lf_resize_plan_size(int src_width, int src_height, int dst_width, int dst_height,
                           lf_resize_filter filter, const lf_box *part)
{
    const order o = order_of(src_width, src_height, dst_width, dst_height, filter, part);
    lf_resize_plan header;
    axis across, down;
    return lay_out(&header, &across, &down, &o);
}

lf_status lf_resize_plan_init(lf_resize_plan *plan, size_t size, int src_width, int src_height,
                              int dst_width, int dst_height, lf_resize_filter filter,
                              const lf_box *part)
{
    const order o = order_of(src_width, src_height, dst_width, dst_height, filter, part);
    lf_resize_plan header;
    axis across, down;
    memset(&header, 0, sizeof header);
    const size_t need = lay_out(&header, &across, &down, &o);
    if (!plan || (uintptr_t)plan % 8 || need == 0) return LF_ERR_ARGUMENT;
    if (size < need) return LF_ERR_FULL;
    uint8_t *base = (uint8_t *)plan;
    *plan = header;
    fill_axis(&across, 1, (int32_t *)(base + header.across.first),
              (int16_t *)(base + header.across.weights));
    fill_axis(&down, 0, (int32_t *)(base + header.down.first),
              (int16_t *)(base + header.down.weights));
    return LF_OK;
}
