/* jpeg: finds regions of whole segments, and joins a background's bytes with new segments. */
#include <string.h>

#include "jpeg/parts.h"

/* A block of 64 samples: black and white noise at quality 100 takes 124 bytes. */
enum { BLOCK_BYTES = 160, MCU_BYTES = 4, HEADER_BYTES = 1024 };

static int blocks_of_mcu(lf_sampling sampling)
{
    static const int blocks[] = {[LF_420] = 6, [LF_422] = 4, [LF_444] = 3, [LF_GRAY] = 1};
    return blocks[sampling];
}

static int size_is_usable(int width, int height, lf_sampling sampling)
{
    return width >= 1 && height >= 1 && width <= LF_JPEG_MAX_SIDE && height <= LF_JPEG_MAX_SIDE &&
           sampling >= LF_420 && sampling <= LF_GRAY;
}

size_t lf_jpeg_bound(int width, int height, lf_sampling sampling)
{
    if (!size_is_usable(width, height, sampling)) return 0;
    int w, h;
    lf_jpeg_mcu(sampling, &w, &h);
    const uint64_t mcus = (uint64_t)((width + w - 1) / w) * (uint64_t)((height + h - 1) / h);
    const uint64_t bytes =
        mcus * (uint64_t)(blocks_of_mcu(sampling) * BLOCK_BYTES + MCU_BYTES) + HEADER_BYTES;
    return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* How a picture falls into segments. */
typedef struct grid {
    int width, height;          /* of the picture, pixels */
    int cell_width, cell_height; /* of a segment, pixels */
    int columns, rows;          /* of segments */
} grid;

static int make_grid(grid *g, int width, int height, lf_sampling sampling, int restart_interval)
{
    if (!size_is_usable(width, height, sampling) || restart_interval < 1) return 0;
    int mcu_width, mcu_height;
    lf_jpeg_mcu(sampling, &mcu_width, &mcu_height);
    const int mcus = (width + mcu_width - 1) / mcu_width;
    if (mcus % restart_interval) return 0;
    g->width = width;
    g->height = height;
    g->cell_width = mcu_width * restart_interval;
    g->cell_height = mcu_height;
    g->columns = mcus / restart_interval;
    g->rows = (height + mcu_height - 1) / mcu_height;
    return 1;
}

static int at_most(int64_t value, int limit)
{
    return value < limit ? (int)value : limit;
}

static int round_up(int value, int step, int limit)
{
    return at_most(((int64_t)value + step - 1) / step * step, limit);
}

lf_status lf_jpeg_region(const lf_box *rect, int width, int height, lf_sampling sampling,
                         int restart_interval, lf_box *region)
{
    grid g;
    if (!rect || !region || !make_grid(&g, width, height, sampling, restart_interval))
        return LF_ERR_ARGUMENT;
    const int x0 = rect->x0 > 0 ? rect->x0 : 0, y0 = rect->y0 > 0 ? rect->y0 : 0;
    const int x1 = at_most(rect->x1, width), y1 = at_most(rect->y1, height);
    if (x0 >= x1 || y0 >= y1) {
        *region = (lf_box){0, 0, 0, 0};
        return LF_OK;
    }
    region->x0 = x0 / g.cell_width * g.cell_width;
    region->y0 = y0 / g.cell_height * g.cell_height;
    region->x1 = round_up(x1, g.cell_width, width);
    region->y1 = round_up(y1, g.cell_height, height);
    return LF_OK;
}

/* A region's new segments, taken from scratch row by row. */
typedef struct piece {
    int column, columns, row, rows; /* in segments of the picture */
    uint8_t *next, *end;            /* what is left of its bytes */
} piece;

/* Places a region on the grid; 0 unless it consists of whole segments inside the picture. */
static int place(piece *p, const grid *g, const lf_jpeg_region_pixels *r)
{
    const int width = r->image.width, height = r->image.height;
    if (r->x < 0 || r->y < 0 || width < 1 || height < 1 || width > g->width - r->x ||
        height > g->height - r->y)
        return 0;
    const int x1 = r->x + width, y1 = r->y + height;
    if (r->x % g->cell_width || r->y % g->cell_height || (x1 % g->cell_width && x1 != g->width) ||
        (y1 % g->cell_height && y1 != g->height))
        return 0;
    p->column = r->x / g->cell_width;
    p->row = r->y / g->cell_height;
    p->columns = (x1 + g->cell_width - 1) / g->cell_width - p->column;
    p->rows = (y1 + g->cell_height - 1) / g->cell_height - p->row;
    return 1;
}

/* Encodes every region into scratch; pieces come out sorted by column. */
static lf_status make_pieces(lf_jpeg *jpeg, const grid *g, const lf_jpeg_region_pixels *regions,
                             int count, piece *pieces, const lf_scratch *scratch)
{
    uint8_t *next = scratch ? scratch->data : NULL;
    size_t room = scratch ? scratch->size : 0;
    for (int i = 0; i < count; i++) {
        piece p;
        if (!place(&p, g, &regions[i])) return LF_ERR_ARGUMENT;
        size_t length, skip;
        const lf_status status = lf_jpeg_encode_segments(jpeg, next, room, &length, &skip,
                                                         &regions[i].image, regions[i].pixels);
        if (status != LF_OK) return status == LF_ERR_FULL ? LF_ERR_SCRATCH : status;
        p.next = next + skip;
        p.end = next + length;
        next += length;
        room -= length;
        int at = i;
        for (; at > 0 && pieces[at - 1].column > p.column; at--) pieces[at] = pieces[at - 1];
        pieces[at] = p;
    }
    return LF_OK;
}

/* The file being written. */
typedef struct output {
    uint8_t *next;
    size_t room;
} output;

static int put(output *out, const uint8_t *bytes, size_t size)
{
    if (size > out->room) return 0;
    memcpy(out->next, bytes, size);
    out->next += size;
    out->room -= size;
    return 1;
}

/* Gives the next `columns` segments of a piece the markers of the picture's segments from `first`
 * on, and writes them. */
static lf_status put_row(output *out, piece *p, uint32_t first, uint32_t last_of_picture)
{
    uint8_t *const begin = p->next;
    for (int c = 0; c < p->columns; c++) {
        int code;
        const uint8_t *behind = lf_jpeg_next_marker(p->next, p->end, &code);
        if (!behind) return LF_ERR_DATA; /* libjpeg writes one behind every segment */
        const uint32_t index = first + (uint32_t)c;
        p->next += behind - p->next;
        p->next[-1] =
            index == last_of_picture ? LF_JPEG_EOI : (uint8_t)(LF_JPEG_RST0 + (index & 7));
    }
    return put(out, begin, (size_t)(p->next - begin)) ? LF_OK : LF_ERR_FULL;
}

static lf_status join(output *out, const grid *g, const lf_jpeg_background *background,
                      piece *pieces, int count)
{
    const uint32_t segments = (uint32_t)g->columns * (uint32_t)g->rows;
    const uint32_t *offsets = background->offsets;
    if (background->segments != segments || offsets[segments] != background->size)
        return LF_ERR_DATA;
    size_t taken = 0; /* bytes of the background that are copied or replaced */
    for (int row = 0; row < g->rows; row++) {
        int free_from = 0; /* the first column of this row that no piece has taken */
        for (int i = 0; i < count; i++) {
            piece *p = &pieces[i];
            if (row < p->row || row >= p->row + p->rows) continue;
            if (p->column < free_from) return LF_ERR_ARGUMENT;
            free_from = p->column + p->columns;
            const uint32_t first = (uint32_t)row * (uint32_t)g->columns + (uint32_t)p->column;
            const uint32_t from = offsets[first], to = offsets[first + (uint32_t)p->columns];
            if (from < taken || to < from || to > background->size) return LF_ERR_DATA;
            if (!put(out, background->data + taken, from - taken)) return LF_ERR_FULL;
            const lf_status status = put_row(out, p, first, segments - 1);
            if (status != LF_OK) return status;
            taken = to;
        }
    }
    return put(out, background->data + taken, background->size - taken) ? LF_OK : LF_ERR_FULL;
}

lf_status lf_jpeg_splice(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                         const lf_jpeg_background *background,
                         const lf_jpeg_region_pixels *regions, int count,
                         const lf_scratch *scratch)
{
    grid g;
    piece pieces[LF_JPEG_MAX_REGIONS];
    if (!jpeg || !dst || !length || !background || !background->data || !background->offsets ||
        count < 0 || count > LF_JPEG_MAX_REGIONS || (count > 0 && !regions) ||
        !make_grid(&g, background->width, background->height, lf_jpeg_sampling(jpeg),
                   lf_jpeg_interval(jpeg)))
        return LF_ERR_ARGUMENT;
    lf_status status = make_pieces(jpeg, &g, regions, count, pieces, scratch);
    if (status != LF_OK) return status;
    output out = {dst, capacity};
    status = join(&out, &g, background, pieces, count);
    if (status == LF_OK) *length = capacity - out.room;
    return status;
}
