/* jpeg: a stored background back to pixels. */
#include "jpeg/parts.h"

#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */

#include <jpeglib.h>
#include <jerror.h>

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

/* Below 0 is a warning: bytes that were not what they should be. */
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

lf_status lf_jpeg_decode(uint8_t *dst, ptrdiff_t dst_stride, int width, int height,
                         const uint8_t *data, size_t size)
{
    if (!dst || !data || size == 0 || width < 1 || height < 1) return LF_ERR_ARGUMENT;
    decoder d = {0};
    prepare(&d, data, size);
    if (setjmp(d.on_error)) {
        const int code = d.errors.msg_code;
        jpeg_destroy_decompress(&d.decompress);
        return code == JERR_OUT_OF_MEMORY ? LF_ERR_MEMORY : LF_ERR_DATA;
    }
    jpeg_create_decompress(&d.decompress);
    d.decompress.client_data = &d;
    d.decompress.src = &d.source;
    jpeg_read_header(&d.decompress, TRUE);
    if (d.decompress.image_width != (JDIMENSION)width ||
        d.decompress.image_height != (JDIMENSION)height)
        leave((j_common_ptr)&d.decompress);
    const int gray = d.decompress.num_components == 1;
    d.decompress.out_color_space = gray ? JCS_GRAYSCALE : JCS_EXT_BGR;
    jpeg_start_decompress(&d.decompress);
    while (d.decompress.output_scanline < d.decompress.output_height) {
        JSAMPROW row = dst + (ptrdiff_t)d.decompress.output_scanline * dst_stride;
        jpeg_read_scanlines(&d.decompress, &row, 1);
    }
    jpeg_finish_decompress(&d.decompress);
    jpeg_destroy_decompress(&d.decompress);
    return LF_OK;
}
