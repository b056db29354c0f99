/* The JPEG part of the kernels' contract (kernels.h): encoding, splicing and decoding.
 *
 * Baseline JPEG with restart intervals: a header, then segments of R MCUs each, every one
 * byte-aligned, independent of the others and followed by a two byte marker: RST(k mod 8) behind
 * segment k, EOI behind the last. Offsets of n segments are n + 1 numbers: where segment k
 * starts (behind the marker before it), and the length of the file. So segments a..b-1 with
 * their markers are the bytes [offsets[a], offsets[b]). */
#ifndef LF_JPEG_H
#define LF_JPEG_H

#include "arguments.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An MCU is 16x16 pixels at 4:2:0, 16x8 at 4:2:2, 8x8 at 4:4:4 and grey. */
typedef enum lf_sampling { LF_420 = 0, LF_422 = 1, LF_444 = 2, LF_GRAY = 3 } lf_sampling;

/* Order of the bytes of a pixel; the fourth byte is ignored. */
typedef enum lf_pixels {
    LF_BGR24 = 0,
    LF_RGB24 = 1,
    LF_BGRA = 2,
    LF_RGBA = 3,
    LF_GRAY8 = 4
} lf_pixels;

enum { LF_JPEG_MAX_SIDE = 65500, LF_JPEG_MAX_REGIONS = 16, LF_JPEG_MAX_APP1 = 65533 };

/* What a JPEG's header says, or why the file cannot be spliced. */
typedef struct lf_jpeg_info {
    int width, height; /* pixels */
    lf_sampling sampling;
    int restart_interval; /* R, in MCUs */
    int mcus_per_row, mcu_rows;
    uint32_t segments;    /* n = mcus_per_row / R * mcu_rows */
    uint32_t header_size; /* bytes up to the first segment */
    int standard_huffman; /* nonzero: the tables of Annex K, as lf_jpeg_create uses them */
    uint8_t quant[2][64]; /* divisors of luma and chroma in zigzag order, 1..255 */
    const char *problem;  /* with LF_ERR_DATA: what is wrong, to follow "the file ..." */
} lf_jpeg_info;

/* Returns the name and version of the library that this was compiled with, followed by
 * "(bundled)" where it is part of this one. */
const char *lf_jpeg_library(void);

/* ---- encoding (encode.c) -------------------------------------------------------------- */

/* A compressor: warm after its first use, for one thread at a time. */
typedef struct lf_jpeg lf_jpeg;

/* quality 1..100 on libjpeg's scale; restart_interval 0..65535 MCUs, 0 for none.
 * NULL if a value is out of range or there is no memory. */
lf_jpeg *lf_jpeg_create(int quality, lf_sampling sampling, int restart_interval);

/* Makes a compressor whose segments fit a background: its divisors, sampling and interval. NULL
 * also where its Huffman tables are not the standard ones. */
lf_jpeg *lf_jpeg_create_like(const lf_jpeg_info *info);
void lf_jpeg_destroy(lf_jpeg *jpeg);

/* Whole files (lf_jpeg_encode) carry an APP1 segment of these bytes, 1..LF_JPEG_MAX_APP1, directly
 * behind APP0, and are 4 + size bytes longer; NULL: none. The bytes are not copied. */
lf_status lf_jpeg_set_app1(lf_jpeg *jpeg, const uint8_t *app1, size_t size);

/* Nonzero if this compressor's segments can stand in the file that `info` describes. */
int lf_jpeg_fits(const lf_jpeg *jpeg, const lf_jpeg_info *info);

/* Width and height of an MCU in pixels. */
void lf_jpeg_mcu(lf_sampling sampling, int *width, int *height);

/* Encodes a whole picture to a whole file, byte for byte what libjpeg's defaults give. Sides
 * 1..65500. LF_ERR_FULL if `capacity` is too small; nothing is written beyond it. */
lf_status lf_jpeg_encode(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                         const lf_image *src, lf_pixels pixels);

/* ---- reading (index.c, decode.c) ------------------------------------------------------ */

/* Reads and checks a header, touching nothing behind it, and rejects restart intervals that wrap
 * from one row of MCUs to the next. LF_ERR_DATA, and info->problem set, where the file breaks
 * the rules above. */
lf_status lf_jpeg_read_header(const uint8_t *data, size_t size, lf_jpeg_info *info);

/* The same, and checks every marker of the file. `offsets` has room for `room` numbers;
 * LF_ERR_FULL if info->segments + 1 do not fit (nothing is written then). */
lf_status lf_jpeg_index(const uint8_t *data, size_t size, lf_jpeg_info *info, uint32_t *offsets,
                        size_t room);

/* Decodes a file to bgr24 pixels, or to grey ones where it has one component. LF_ERR_DATA where
 * dst has another size or other channels than the header says, and for damaged bytes. */
lf_status lf_jpeg_decode(const lf_image *dst, const uint8_t *data, size_t size);

/* ---- splicing (splice.c) -------------------------------------------------------------- */

/* Returns a number of bytes that holds a JPEG of this size with any restart interval, black and
 * white noise at quality 100 included; encoding checks the capacity all the same. 0 if a value is
 * out of range. */
size_t lf_jpeg_bound(int width, int height, lf_sampling sampling);

/* Finds the region round a rect: the smallest box of whole segments that holds it, cut off at the
 * picture's right and bottom edge. `rect` may reach over the edges; an empty intersection gives
 * an empty region (0, 0, 0, 0). restart_interval divides the MCUs of a row. */
lf_status lf_jpeg_region(const lf_box *rect, int width, int height, lf_sampling sampling,
                         int restart_interval, lf_box *region);

/* An encoded background, as lf_jpeg_index gave it. */
typedef struct lf_jpeg_background {
    const uint8_t *data;
    size_t size;
    const uint32_t *offsets; /* segments + 1 of them, no more are read */
    uint32_t segments;
    int width, height;
} lf_jpeg_background;

/* The new pixels of one region, and of nothing outside it. */
typedef struct lf_jpeg_region_pixels {
    int x, y; /* of the region's first pixel; with the image's size as lf_jpeg_region gives them */
    lf_image image;
    lf_pixels pixels;
} lf_jpeg_region_pixels;

/* Makes a finished file: the background's header and segments, except that those of `count` (0 to
 * LF_JPEG_MAX_REGIONS) regions, which must not overlap, are encoded from their pixels. Byte for
 * byte what lf_jpeg_encode gives for the picture with the regions' pixels in it, if the
 * compressor fits the background.
 * scratch: lf_jpeg_bound of every region's size, summed up; LF_ERR_SCRATCH if that is too little.
 * capacity: the background's size and that sum are enough; LF_ERR_FULL if it is too little.
 * Offsets that do not ascend within the background's size, or of another number of segments than
 * the picture has, give LF_ERR_DATA. */
lf_status lf_jpeg_splice(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                         const lf_jpeg_background *background,
                         const lf_jpeg_region_pixels *regions, int count,
                         const lf_scratch *scratch);

#ifdef __cplusplus
}
#endif

#endif
