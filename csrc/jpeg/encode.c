/* jpeg: a warm libjpeg-turbo compressor that writes into the caller's buffer. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "image.h"
#include "jpeg/parts.h"

#ifndef JCS_EXTENSIONS
#error "jpeglib.h must be libjpeg-turbo's (it lacks JCS_EXTENSIONS)"
#endif

#define TEXT_OF(macro) TEXT(macro)
#define TEXT(words) #words

const char *lf_jpeg_library(void)
{
#ifdef LF_JPEG_BUNDLED
    return "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION) " (bundled)";
#else
    return "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION);
#endif
}

/* Natural index (row * 8 + column) of the k-th coefficient in zigzag order. */
static const uint8_t zigzag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

/* Row pointers handed to libjpeg at once: all rows of most regions. */
enum { ROWS_AT_ONCE = 512 };

struct lf_jpeg {
    struct jpeg_compress_struct compress;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf on_error;
    lf_status status; /* why on_error was taken */
    size_t capacity;  /* of the caller's buffer */
    int full;         /* nonzero once that is full and bytes go to `spill` */
    uint8_t spill[16];
    const uint8_t *app1; /* what a whole file carries behind APP0, or NULL */
    unsigned app1_size;
    lf_sampling sampling;
    JSAMPROW rows[ROWS_AT_ONCE];
};

static void leave(j_common_ptr common)
{
    lf_jpeg *jpeg = (lf_jpeg *)common->client_data;
    if (common->err->msg_code == JERR_OUT_OF_MEMORY) jpeg->status = LF_ERR_MEMORY;
    longjmp(jpeg->on_error, 1);
}

static void stay_silent(j_common_ptr common)
{
    (void)common;
}

static void stay_silent_at(j_common_ptr common, int level)
{
    (void)common;
    (void)level;
}

static void ready(j_compress_ptr compress)
{
    (void)compress; /* the buffer was set before libjpeg was called */
}

/* libjpeg calls this as soon as no byte is free, whether or not another is to come. So that a file
 * may fill its buffer exactly, the first call only takes note. */
static boolean refuse_more(j_compress_ptr compress)
{
    lf_jpeg *jpeg = (lf_jpeg *)compress->client_data;
    if (jpeg->full) {
        jpeg->status = LF_ERR_FULL;
        longjmp(jpeg->on_error, 1);
    }
    jpeg->full = 1;
    jpeg->destination.next_output_byte = jpeg->spill;
    jpeg->destination.free_in_buffer = sizeof jpeg->spill;
    return TRUE;
}

/* Bytes written so far; more than the capacity if there was no room for all. */
static size_t written(const lf_jpeg *jpeg)
{
    const size_t all = jpeg->capacity + (jpeg->full ? sizeof jpeg->spill : 0);
    return all - jpeg->destination.free_in_buffer;
}

static void set_sampling(struct jpeg_compress_struct *compress, lf_sampling sampling)
{
    if (sampling == LF_GRAY) return;
    jpeg_component_info *luma = &compress->comp_info[0];
    luma->h_samp_factor = sampling == LF_444 ? 1 : 2;
    luma->v_samp_factor = sampling == LF_420 ? 2 : 1;
}

/* Sets every table and parameter that stays the same from picture to picture. */
static lf_status set_up(lf_jpeg *jpeg, int quality, const uint8_t (*quant)[64],
                        lf_sampling sampling, int restart_interval)
{
    struct jpeg_compress_struct *compress = &jpeg->compress;
    jpeg->status = LF_ERR_ARGUMENT;
    if (setjmp(jpeg->on_error)) return jpeg->status;
    jpeg_create_compress(compress);
    compress->client_data = jpeg;
    compress->dest = &jpeg->destination;
    compress->in_color_space = sampling == LF_GRAY ? JCS_GRAYSCALE : JCS_EXT_BGR;
    compress->input_components = sampling == LF_GRAY ? 1 : 3;
    jpeg_set_defaults(compress);
    if (quant) {
        unsigned natural[64];
        for (int t = 0; t < 2; t++) {
            for (int k = 0; k < 64; k++) natural[zigzag[k]] = quant[t][k];
            jpeg_add_quant_table(compress, t, natural, 100, TRUE);
        }
    } else {
        jpeg_set_quality(compress, quality, TRUE);
    }
    set_sampling(compress, sampling);
    compress->restart_interval = (unsigned)restart_interval;
    return LF_OK;
}

static lf_jpeg *create(int quality, const uint8_t (*quant)[64], lf_sampling sampling,
                       int restart_interval)
{
    if (sampling < LF_420 || sampling > LF_GRAY) return NULL;
    if (restart_interval < 0 || restart_interval > 65535) return NULL;
    lf_jpeg *jpeg = calloc(1, sizeof *jpeg);
    if (!jpeg) return NULL;
    jpeg->sampling = sampling;
    jpeg->compress.err = jpeg_std_error(&jpeg->errors);
    jpeg->compress.client_data = jpeg;
    jpeg->errors.error_exit = leave;
    jpeg->errors.output_message = stay_silent;
    jpeg->errors.emit_message = stay_silent_at;
    jpeg->destination.init_destination = ready;
    jpeg->destination.empty_output_buffer = refuse_more;
    jpeg->destination.term_destination = ready;
    if (set_up(jpeg, quality, quant, sampling, restart_interval) != LF_OK) {
        lf_jpeg_destroy(jpeg);
        return NULL;
    }
    return jpeg;
}

lf_jpeg *lf_jpeg_create(int quality, lf_sampling sampling, int restart_interval)
{
    if (quality < 1 || quality > 100) return NULL;
    return create(quality, NULL, sampling, restart_interval);
}

lf_jpeg *lf_jpeg_create_like(const lf_jpeg_info *info)
{
    if (!info || !info->standard_huffman) return NULL;
    return create(0, info->quant, info->sampling, info->restart_interval);
}

lf_status lf_jpeg_set_app1(lf_jpeg *jpeg, const uint8_t *app1, size_t size)
{
    if (!jpeg || (app1 && (size < 1 || size > LF_JPEG_MAX_APP1))) return LF_ERR_ARGUMENT;
    jpeg->app1 = app1;
    jpeg->app1_size = app1 ? (unsigned)size : 0;
    return LF_OK;
}

void lf_jpeg_destroy(lf_jpeg *jpeg)
{
    if (!jpeg) return;
    jpeg_destroy_compress(&jpeg->compress);
    free(jpeg);
}

int lf_jpeg_fits(const lf_jpeg *jpeg, const lf_jpeg_info *info)
{
    if (!info->standard_huffman || info->sampling != jpeg->sampling) return 0;
    if ((unsigned)info->restart_interval != jpeg->compress.restart_interval) return 0;
    const int tables = info->sampling == LF_GRAY ? 1 : 2;
    for (int t = 0; t < tables; t++)
        for (int k = 0; k < 64; k++)
            if (jpeg->compress.quant_tbl_ptrs[t]->quantval[zigzag[k]] != info->quant[t][k])
                return 0;
    return 1;
}

/* Finds the colour space of libjpeg; 0 where the picture's channels, its kind and the
 * compressor's do not fit. */
static int find_space(const lf_jpeg *jpeg, int channels, lf_pixels pixels, J_COLOR_SPACE *space)
{
    static const struct {
        J_COLOR_SPACE space;
        int channels;
    } kinds[] = {
        [LF_BGR24] = {JCS_EXT_BGR, 3},   [LF_RGB24] = {JCS_EXT_RGB, 3},
        [LF_BGRA] = {JCS_EXT_BGRX, 4},   [LF_RGBA] = {JCS_EXT_RGBX, 4},
        [LF_GRAY8] = {JCS_GRAYSCALE, 1},
    };
    if ((int)pixels < LF_BGR24 || pixels > LF_GRAY8 || channels != kinds[pixels].channels) return 0;
    if ((pixels == LF_GRAY8) != (jpeg->sampling == LF_GRAY)) return 0;
    *space = kinds[pixels].space;
    return 1;
}

static void feed(lf_jpeg *jpeg, const lf_image *src)
{
    for (int y = 0; y < src->height; y += ROWS_AT_ONCE) {
        const int count = src->height - y < ROWS_AT_ONCE ? src->height - y : ROWS_AT_ONCE;
        for (int i = 0; i < count; i++) jpeg->rows[i] = image_row(src, y + i);
        jpeg_write_scanlines(&jpeg->compress, jpeg->rows, (JDIMENSION)count);
    }
}

/* Runs the compressor, which is set for the picture; libjpeg reports errors through on_error. */
static lf_status run(lf_jpeg *jpeg, const lf_image *src, size_t *header_size)
{
    struct jpeg_compress_struct *compress = &jpeg->compress;
    jpeg->status = LF_ERR_ARGUMENT;
    if (setjmp(jpeg->on_error)) {
        jpeg_abort_compress(&jpeg->compress);
        return jpeg->status;
    }
    jpeg_suppress_tables(compress, header_size ? TRUE : FALSE);
    jpeg_start_compress(compress, FALSE);
    if (header_size) {
        jpeg_write_scanlines(compress, jpeg->rows, 0); /* no row: writes the header alone */
        *header_size = written(jpeg);
    } else if (jpeg->app1) {
        jpeg_write_marker(compress, JPEG_APP0 + 1, jpeg->app1, jpeg->app1_size);
    }
    feed(jpeg, src);
    jpeg_finish_compress(compress);
    return LF_OK;
}

/* `header_size` NULL: a whole file. Otherwise as few header bytes as libjpeg can do with, and
 * where the first segment starts. */
static lf_status encode(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                        size_t *header_size, const lf_image *src, lf_pixels pixels)
{
    J_COLOR_SPACE space;
    if (!jpeg || !dst || !length || !image_is_usable(src) || src->width > LF_JPEG_MAX_SIDE ||
        src->height > LF_JPEG_MAX_SIDE || !find_space(jpeg, src->channels, pixels, &space))
        return LF_ERR_ARGUMENT;
    if (capacity == 0) return LF_ERR_FULL;
    jpeg->destination.next_output_byte = dst;
    jpeg->destination.free_in_buffer = jpeg->capacity = capacity;
    jpeg->full = 0;
    jpeg->compress.in_color_space = space;
    jpeg->compress.input_components = src->channels;
    jpeg->compress.image_width = (JDIMENSION)src->width;
    jpeg->compress.image_height = (JDIMENSION)src->height;
    const lf_status status = run(jpeg, src, header_size);
    if (status != LF_OK) return status;
    *length = written(jpeg);
    return *length <= capacity ? LF_OK : LF_ERR_FULL;
}

lf_status lf_jpeg_encode(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                         const lf_image *src, lf_pixels pixels)
{
    return encode(jpeg, dst, capacity, length, NULL, src, pixels);
}

lf_status lf_jpeg_encode_segments(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                                  size_t *header_size, const lf_image *src, lf_pixels pixels)
{
    return encode(jpeg, dst, capacity, length, header_size, src, pixels);
}

void lf_jpeg_mcu(lf_sampling sampling, int *width, int *height)
{
    *width = sampling == LF_420 || sampling == LF_422 ? 16 : 8;
    *height = sampling == LF_420 ? 16 : 8;
}

lf_sampling lf_jpeg_sampling(const lf_jpeg *jpeg)
{
    return jpeg->sampling;
}

int lf_jpeg_interval(const lf_jpeg *jpeg)
{
    return (int)jpeg->compress.restart_interval;
}
