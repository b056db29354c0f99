/* jpeg: reads the header of a baseline JPEG and finds its segments, trusting no byte. */
#include <string.h>

#include "jpeg/parts.h"

/* Code lengths and symbols of the typical tables of Annex K.3, as they stand in a DHT segment:
 * DC luma, AC luma, DC chroma, AC chroma. */
static const uint8_t dc_luma[] = {0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
                                  0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t dc_chroma[] = {0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0,
                                    0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t ac_luma[] = {
    0,    2,    1,    3,    3,    2,    4,    3,    5,    5,    4,    4,    0,    0,    1,    0x7d,
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
};
static const uint8_t ac_chroma[] = {
    0,    2,    1,    2,    4,    4,    3,    4,    7,    5,    4,    4,    0,    1,    2,    0x77,
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
};
static const struct {
    const uint8_t *bytes;
    size_t size;
} standard_tables[2][2] = {{{dc_luma, sizeof dc_luma}, {dc_chroma, sizeof dc_chroma}},
                           {{ac_luma, sizeof ac_luma}, {ac_chroma, sizeof ac_chroma}}};

/* What the marker segments have said so far. */
typedef struct header {
    int components;          /* 0 before SOF0 */
    uint8_t ids[3];          /* of the components, in the frame's order */
    uint8_t quant_of[3];     /* table number of each component */
    uint8_t quant[4][64];
    int have_quant[4];
    int have_huffman[2][2];  /* [DC, AC][number] */
    int standard[2][2];      /* of those: whether they are Annex K's for luma (0) and chroma (1) */
} header;

static unsigned word(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static const char *read_quant(header *h, const uint8_t *p, size_t size)
{
    while (size > 0) {
        const unsigned number = p[0] & 15;
        if (p[0] >> 4) return "has 16-bit quantisation tables";
        if (number > 3 || size < 65) return "has a broken quantisation table";
        for (int k = 0; k < 64; k++)
            if (p[1 + k] == 0) return "has a broken quantisation table";
        memcpy(h->quant[number], p + 1, 64);
        h->have_quant[number] = 1;
        p += 65;
        size -= 65;
    }
    return NULL;
}

static const char *read_huffman(header *h, const uint8_t *p, size_t size)
{
    while (size > 0) {
        const unsigned kind = p[0] >> 4, number = p[0] & 15;
        if (kind > 1 || number > 1 || size < 17) return "has a broken Huffman table";
        size_t symbols = 0;
        for (int k = 1; k <= 16; k++) symbols += p[k];
        if (symbols > 256 || size < 17 + symbols) return "has a broken Huffman table";
        h->have_huffman[kind][number] = 1;
        h->standard[kind][number] =
            standard_tables[kind][number].size == 16 + symbols &&
            memcmp(p + 1, standard_tables[kind][number].bytes, 16 + symbols) == 0;
        p += 17 + symbols;
        size -= 17 + symbols;
    }
    return NULL;
}

static const char other_sampling[] = "has a subsampling other than 4:2:0, 4:2:2, 4:4:4";

static const char *read_frame(header *h, lf_jpeg_info *info, const uint8_t *p, size_t size)
{
    if (h->components) return "has two frame headers";
    if (size < 6 || (p[5] != 1 && p[5] != 3)) return "must have 1 or 3 components";
    if (size != 6 + 3u * p[5]) return "has a broken frame header";
    if (p[0] != 8) return "has samples of another size than 8 bits";
    h->components = p[5];
    info->height = (int)word(p + 1);
    info->width = (int)word(p + 3);
    if (info->width < 1 || info->height < 1 || info->width > LF_JPEG_MAX_SIDE ||
        info->height > LF_JPEG_MAX_SIDE)
        return "has a width or height outside 1..65500";
    for (int c = 0; c < h->components; c++) {
        const uint8_t *component = p + 6 + 3 * c;
        h->ids[c] = component[0];
        h->quant_of[c] = component[2];
        if (component[2] > 3) return "has a broken frame header";
        if (c > 0 && component[1] != 0x11) return other_sampling;
    }
    const unsigned luma = p[7];
    if (h->components == 1)
        info->sampling = LF_GRAY; /* one component: its factors change nothing */
    else if (luma == 0x22)
        info->sampling = LF_420;
    else if (luma == 0x21)
        info->sampling = LF_422;
    else if (luma == 0x11)
        info->sampling = LF_444;
    else
        return other_sampling;
    return NULL;
}

/* Also fills the rest of `info`, since SOS is the last segment of a header. */
static const char *read_scan(const header *h, lf_jpeg_info *info, const uint8_t *p, size_t size)
{
    const int n = h->components;
    if (!n) return "has a scan before its frame header";
    if (size != 4 + 2u * (unsigned)n || p[0] != n) return "has more than one scan";
    info->standard_huffman = 1;
    for (int c = 0; c < n; c++) {
        const unsigned dc = p[2 + 2 * c] >> 4, ac = p[2 + 2 * c] & 15, kind = c > 0;
        if (p[1 + 2 * c] != h->ids[c] || dc > 1 || ac > 1 || !h->have_huffman[0][dc] ||
            !h->have_huffman[1][ac] || !h->have_quant[h->quant_of[c]])
            return "lacks a table that its scan needs";
        if (dc != kind || ac != kind || !h->standard[0][dc] || !h->standard[1][ac])
            info->standard_huffman = 0;
    }
    const uint8_t *spectrum = p + 1 + 2 * n;
    if (spectrum[0] != 0 || spectrum[1] != 63 || spectrum[2] != 0)
        return "has a broken scan header";
    if (n == 3 && h->quant_of[1] != h->quant_of[2])
        return "has different quantisation tables for its two chroma components";
    memcpy(info->quant[0], h->quant[h->quant_of[0]], 64);
    memcpy(info->quant[1], h->quant[h->quant_of[n - 1]], 64);

    int mcu_width, mcu_height;
    lf_jpeg_mcu(info->sampling, &mcu_width, &mcu_height);
    info->mcus_per_row = (info->width + mcu_width - 1) / mcu_width;
    info->mcu_rows = (info->height + mcu_height - 1) / mcu_height;
    if (info->restart_interval == 0) return "has no restart interval";
    if (info->mcus_per_row % info->restart_interval)
        return "has restart intervals that wrap from one row of MCUs to the next";
    info->segments =
        (uint32_t)(info->mcus_per_row / info->restart_interval) * (uint32_t)info->mcu_rows;
    return NULL;
}

static const char *read_segment(header *h, lf_jpeg_info *info, int code, const uint8_t *p,
                                size_t size)
{
    switch (code) {
    case 0xC0:
        return read_frame(h, info, p, size);
    case 0xC2:
        return "is progressive, not baseline";
    case 0xC4:
        return read_huffman(h, p, size);
    case 0xDB:
        return read_quant(h, p, size);
    case 0xDD:
        if (size != 2) return "has a broken restart interval";
        info->restart_interval = (int)word(p);
        return NULL;
    case 0xFE:
        return NULL;
    default:
        if (code >= 0xE0 && code <= 0xEF) return NULL;
        if (code >= 0xC9 && code <= 0xCF) return "is arithmetic-coded, not baseline";
        return "is not baseline";
    }
}

static const char *read_header(const uint8_t *data, size_t size, lf_jpeg_info *info)
{
    header h;
    memset(&h, 0, sizeof h);
    memset(info, 0, sizeof *info);
    if (size < 4 || data[0] != 0xFF || data[1] != LF_JPEG_SOI) return "is not a JPEG";
    if (size > UINT32_MAX) return "is 4 GiB or longer";
    size_t at = 2;
    for (;;) {
        while (at < size && data[at] == 0xFF && at + 1 < size && data[at + 1] == 0xFF) at++;
        if (size - at < 4) return "ends within its header";
        if (data[at] != 0xFF) return "has bytes between the segments of its header";
        const int code = data[at + 1];
        const size_t length = word(data + at + 2);
        if (length < 2 || length > size - at - 2) return "ends within its header";
        const uint8_t *body = data + at + 4;
        at += 2 + length;
        if (code == 0xDA) {
            info->header_size = (uint32_t)at;
            return read_scan(&h, info, body, length - 2);
        }
        const char *problem = read_segment(&h, info, code, body, length - 2);
        if (problem) return problem;
    }
}

lf_status lf_jpeg_read_header(const uint8_t *data, size_t size, lf_jpeg_info *info)
{
    if (!data || !info) return LF_ERR_ARGUMENT;
    const char *problem = read_header(data, size, info);
    info->problem = problem;
    return problem ? LF_ERR_DATA : LF_OK;
}

const uint8_t *lf_jpeg_next_marker(const uint8_t *at, const uint8_t *end, int *code)
{
    while (at < end) {
        at = memchr(at, 0xFF, (size_t)(end - at));
        if (!at || end - at < 2) return NULL;
        *code = at[1];
        if (*code == 0)
            at += 2;
        else if (*code == 0xFF)
            at += 1;
        else
            return at + 2;
    }
    return NULL;
}

lf_status lf_jpeg_index(const uint8_t *data, size_t size, lf_jpeg_info *info, uint32_t *offsets,
                        size_t room)
{
    if (!offsets) return LF_ERR_ARGUMENT;
    const lf_status status = lf_jpeg_read_header(data, size, info);
    if (status != LF_OK) return status;
    if (room < (size_t)info->segments + 1) return LF_ERR_FULL;
    const uint8_t *at = data + info->header_size, *end = data + size;
    offsets[0] = info->header_size;
    for (uint32_t k = 0; k < info->segments; k++) {
        int code;
        at = lf_jpeg_next_marker(at, end, &code);
        if (!at) {
            info->problem = "is cut off";
            return LF_ERR_DATA;
        }
        if (code != (k + 1 < info->segments ? LF_JPEG_RST0 + (int)(k & 7) : LF_JPEG_EOI)) {
            info->problem = "has its restart markers out of order";
            return LF_ERR_DATA;
        }
        offsets[k + 1] = (uint32_t)(at - data);
    }
    if (at != end) {
        info->problem = "has bytes after its end marker";
        return LF_ERR_DATA;
    }
    return LF_OK;
}
