/* jpeg: decodes a stored background to pixels. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */

#include <jpeglib.h>
#include <jerror.h>

#include "image.h"
#include "jpeg/parts.h"

typedef struct decoder {
    struct jpeg_decompress_struct decompress;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    jmp_buf on_error;
} decoder;

static void leave(j_common_ptr common)
{
    longjmp(((decoder *)common->client_data)->on_error, 1);
}

static void stay_silent(j_common_ptr common)
{
    (void)common;
}

/* Levels below 0 are warnings: the bytes are damaged. */
static void leave_on_warning(j_common_ptr common, int level)
{
    if (level < 0) leave(common);
}

static void nothing_to_do(j_decompress_ptr decompress)
{
    (void)decompress;
}

static boolean refuse_more(j_decompress_ptr decompress)
{
    leave((j_common_ptr)decompress);
    return FALSE;
}

static void skip(j_decompress_ptr decompress, long count)
{
    struct jpeg_source_mgr *source = decompress->src;
    if (count <= 0) return;
    if ((unsigned long)count > source->bytes_in_buffer) leave((j_common_ptr)decompress);
    source->next_input_byte += count;
    source->bytes_in_buffer -= (size_t)count;
}

static void prepare(decoder *d, const uint8_t *data, size_t size)
{
    d->decompress.err = jpeg_std_error(&d->errors);
    d->decompress.client_data = d;
    d->errors.error_exit = leave;
    d->errors.output_message = stay_silent;
    d->errors.emit_message = leave_on_warning;
    d->source.init_source = nothing_to_do;
    d->source.fill_input_buffer = refuse_more;
    d->source.skip_input_data = skip;
    d->source.resync_to_restart = jpeg_resync_to_restart;
    d->source.term_source = nothing_to_do;
    d->source.next_input_byte = data;
    d->source.bytes_in_buffer = size;
}

lf_status lf_jpeg_decode(const lf_image *dst, const uint8_t *data, size_t size)
{
    if (!image_is_usable(dst) || !data || size == 0) return LF_ERR_ARGUMENT;
    decoder d = {0};
    struct jpeg_decompress_struct *decompress = &d.decompress;
    prepare(&d, data, size);
    if (setjmp(d.on_error)) {
        const int code = d.errors.msg_code;
        jpeg_destroy_decompress(&d.decompress);
        return code == JERR_OUT_OF_MEMORY ? LF_ERR_MEMORY : LF_ERR_DATA;
    }
    jpeg_create_decompress(decompress);
    decompress->client_data = &d;
    decompress->src = &d.source;
    jpeg_read_header(decompress, TRUE);
    const int is_grey = decompress->num_components == 1;
    if (decompress->image_width != (JDIMENSION)dst->width ||
        decompress->image_height != (JDIMENSION)dst->height || dst->channels != (is_grey ? 1 : 3))
        leave((j_common_ptr)decompress);
    decompress->out_color_space = is_grey ? JCS_GRAYSCALE : JCS_EXT_BGR;
    jpeg_start_decompress(decompress);
    while (decompress->output_scanline < decompress->output_height) {
        JSAMPROW row = image_row(dst, (int)decompress->output_scanline);
        jpeg_read_scanlines(decompress, &row, 1);
    }
    jpeg_finish_decompress(decompress);
    jpeg_destroy_decompress(decompress);
    return LF_OK;
}
