/* Private: the inside of a resize plan, and the loop that feeds the row kernels.
 *
 * Two passes: every source row is resized horizontally into a row of int16 in a ring, and rows
 * of the ring are weighted into a row of the destination. Pillow takes the other order where the
 * height shrinks much more than the width; so do the antialiased filters, for its bytes. There are
 * three arithmetics, each the same in every ISA bit for bit (>> is the floor of the quotient):
 *
 *   linear  2 taps of 1/2048. h = (s0*a0 + s1*a1) >> 4, a byte becomes 128 units;
 *           out = (((h0*b0) >> 16) + ((h1*b1) >> 16) + 2) >> 2. This is OpenCV's.
 *   cubic   4 taps, of 1/16384 across and of -1/32768 down. h = (sum of s*a) >> 8, a byte
 *           becomes 64 units; t = (h*b + 2^14) >> 15; out = clamp((32 - sum of t) >> 6).
 *   taps    n taps of 1/2^22, kept as two int16: w = high * 2048 + low. h = (sum of s*w + round)
 *           >> shift, clamped to 0..top; out = clamp((sum of h*w + round) >> shift) with the
 *           quotient's ties up. Antialiased: top = 255, so h is a byte as in Pillow;
 *           area: top = 255 * 128.
 */
#ifndef LF_RESIZE_H
#define LF_RESIZE_H

#include "rows.h"

enum {
    LF_RESIZE_GROUP = 8, /* tables are padded to a multiple of this many pixels */
    LF_RESIZE_SLACK = 64 /* int16 that a row kernel may write or read past a row's end */
};

typedef enum lf_resize_kind {
    LF_RESIZE_COPY,
    LF_RESIZE_LINEAR,
    LF_RESIZE_CUBIC,
    LF_RESIZE_TAPS
} lf_resize_kind;

/* One direction's table, inside the plan; offsets are bytes from the plan's beginning, so that
 * a plan may be moved or mapped from a file. */
typedef struct lf_resize_table {
    uint64_t first, weights;
    int32_t src, dst, taps; /* dst: of the plan's part */
} lf_resize_table;

struct lf_resize_plan {
    uint64_t size; /* bytes of the whole plan */
    int32_t kind, filter;
    int32_t down_first; /* nonzero: columns are resized before rows; taps kind only */
    int32_t unused;     /* 0 */
    lf_resize_table across, down;
};

/* Gives the pixels of a row of the source. Rows are asked for once each, from the top down, not
 * necessarily all; a pointer must stay valid while LF_RESIZE_ROWS - 1 more are asked for. */
typedef const uint8_t *lf_resize_fetch(void *context, int y);

/* Resizes the rows that `fetch` gives. Their pixels have `src_channels` bytes, of which the first
 * dst->channels are resized: equal, or 4 and 3. The caller has checked the arguments; scratch is
 * of lf_resize_scratch_size(plan, src_channels) bytes. */
void lf_resize_run(const lf_rows *rows, const lf_image *dst, lf_resize_fetch *fetch, void *context,
                   int src_channels, const lf_resize_plan *plan, void *scratch);

#endif
