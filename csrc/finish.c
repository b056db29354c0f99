/* finish: one frame from a model's output to its finished form. The patch is made, then put on the
 * background as packed pixels, I420 or JPEG. */
#include <string.h>

#include "image.h"
#include "kernels.h"

static size_t rounded(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t lf_worker_size(const lf_worker_limits *limits)
{
    return rounded(limits->patch) + rounded(limits->mask) + rounded(limits->region) +
           rounded(limits->splice) + rounded(limits->resize);
}

void lf_worker_init(lf_worker *worker, const lf_worker_limits *limits, const lf_rows *rows,
                    lf_jpeg *encoder, void *memory)
{
    uint8_t *at = memory;
    worker->rows = rows;
    worker->encoder = encoder;
    worker->limits = *limits;
    worker->patch = at;
    at += rounded(limits->patch);
    worker->mask = at;
    at += rounded(limits->mask);
    worker->region = at;
    at += rounded(limits->region);
    worker->splice = at;
    at += rounded(limits->splice);
    worker->resize = at;
}

/* One frame to finish. */
typedef struct job {
    const lf_canvas *canvas;
    const lf_background *background;
    const lf_mouth *mouth; /* NULL: the background passes through */
    const lf_worker *worker;
} job;

/* ---- the patch ------------------------------------------------------------------------ */

static lf_f32p3 output_of(const lf_canvas *canvas, const lf_mouth *mouth)
{
    const ptrdiff_t row = (ptrdiff_t)canvas->view * 4;
    return (lf_f32p3){(float *)mouth->output, row, row * canvas->view, canvas->view, canvas->view};
}

static lf_image packed(const uint8_t *pixels, int width, int height, int channels)
{
    return (lf_image){(uint8_t *)pixels, (ptrdiff_t)width * channels, width, height, channels};
}

/* Makes the model's square inside the stored crop's border, resized to the rect, as bgr24. */
static lf_status make_patch(const job *j, const lf_image *dst)
{
    const lf_canvas *canvas = j->canvas;
    const lf_mouth *mouth = j->mouth;
    const lf_image crop = packed(j->background->crop, canvas->crop, canvas->crop, 3);
    const lf_scratch scratch = {j->worker->resize, j->worker->limits.resize};
    if (mouth->picture) {
        const lf_image picture = packed(mouth->picture, canvas->view, canvas->view, 3);
        return lf_patch_u8x3(j->worker->rows, dst, &picture, mouth->match, &crop,
                             j->background->plan, &scratch);
    }
    const lf_f32p3 output = output_of(canvas, mouth);
    return lf_patch_f32p3_u8x3(j->worker->rows, dst, &output, &canvas->range, mouth->match, &crop,
                               j->background->plan, &scratch);
}

/* Makes the same in the worker's memory, rows packed. */
static lf_status make_apart(const job *j, lf_image *patch)
{
    const lf_background *background = j->background;
    const size_t bytes = (size_t)background->width * (size_t)background->height * 3;
    if (bytes > j->worker->limits.patch) return LF_ERR_SCRATCH;
    *patch = packed(j->worker->patch, background->width, background->height, 3);
    return make_patch(j, patch);
}

/* Finds the alpha of each pixel of the rect; 0 where the patch replaces the background. */
static int find_mask(const job *j, lf_image *mask)
{
    const lf_background *background = j->background;
    const size_t count = (size_t)background->width * (size_t)background->height;
    const unsigned alpha = (unsigned)j->mouth->alpha;
    uint8_t *mixed = j->worker->mask;
    *mask = packed(mixed, background->width, background->height, 1);
    if (alpha >= 255) {
        mask->data = (uint8_t *)background->mask;
    } else if (!background->mask) {
        memset(mixed, (int)alpha, count);
    } else {
        for (size_t i = 0; i < count; i++) {
            const unsigned t = background->mask[i] * alpha + 128;
            mixed[i] = (uint8_t)((t + (t >> 8)) >> 8);
        }
    }
    return mask->data ? 1 : 0;
}

/* Puts the patch onto packed pixels whose pixel (0, 0) is the frame's (left, top). Where nothing is
 * mixed and the channels agree it is made right there. */
static lf_status put_patch(const job *j, const lf_image *dst, int left, int top, int swap)
{
    const lf_background *background = j->background;
    const int x = background->x - left, y = background->y - top;
    lf_image patch, mask;
    const int mixed = find_mask(j, &mask);
    if (!mixed && dst->channels == 3 && !swap) {
        patch = (lf_image){image_row(dst, y) + (ptrdiff_t)x * 3, dst->stride, background->width,
                           background->height, 3};
        return make_patch(j, &patch);
    }
    const lf_status status = make_apart(j, &patch);
    if (status != LF_OK) return status;
    return lf_blend_u8(j->worker->rows, dst, &patch, mixed ? &mask : NULL, x, y, swap);
}

/* ---- I420 ----------------------------------------------------------------------------- */

/* The planes of a flat I420 picture. */
static lf_i420 flat_i420(const uint8_t *flat, int width, int height)
{
    const ptrdiff_t half = (width + 1) / 2;
    lf_i420 planes;
    planes.y = (uint8_t *)flat;
    planes.u = planes.y + (ptrdiff_t)width * height;
    planes.v = planes.u + half * ((height + 1) / 2);
    planes.y_stride = width;
    planes.u_stride = planes.v_stride = half;
    planes.width = width;
    planes.height = height;
    return planes;
}

static void copy_rows(uint8_t *dst, const uint8_t *src, ptrdiff_t stride, ptrdiff_t bytes, int rows)
{
    for (int y = 0; y < rows; y++) memcpy(dst + y * stride, src + y * stride, (size_t)bytes);
}

/* Copies the rect's bytes of the background back to a frame that an earlier finish painted in
 * place, except where the patch is about to replace every one of them: unmixed, and in I420 with
 * whole blocks of chroma. */
static void restore(const job *j, uint8_t *dst)
{
    const lf_canvas *canvas = j->canvas;
    const lf_background *background = j->background;
    const int x = background->x, y = background->y;
    const int width = background->width, height = background->height;
    const int whole_blocks = !((x | y | width | height) & 1);
    const int replaced = j->mouth && !background->mask && j->mouth->alpha >= 255;
    if (width == 0 || (replaced && (canvas->format != LF_FORMAT_I420 || whole_blocks))) return;
    if (canvas->format == LF_FORMAT_I420) {
        const lf_i420 from = flat_i420(background->i420, canvas->width, canvas->height);
        const lf_i420 to = flat_i420(dst, canvas->width, canvas->height);
        const ptrdiff_t luma = (ptrdiff_t)y * from.y_stride + x;
        const ptrdiff_t chroma = (ptrdiff_t)(y / 2) * from.u_stride + x / 2;
        const int columns = (x + width + 1) / 2 - x / 2, rows = (y + height + 1) / 2 - y / 2;
        copy_rows(to.y + luma, from.y + luma, from.y_stride, width, height);
        copy_rows(to.u + chroma, from.u + chroma, from.u_stride, columns, rows);
        copy_rows(to.v + chroma, from.v + chroma, from.v_stride, columns, rows);
        return;
    }
    const ptrdiff_t first = y * background->stride + (ptrdiff_t)x * 3, row = (ptrdiff_t)width * 3;
    if (background->under) {
        for (int i = 0; i < height; i++)
            memcpy(dst + first + i * background->stride, background->under + i * row, (size_t)row);
    } else {
        copy_rows(dst + first, background->pixels + first, background->stride, row, height);
    }
}

static lf_status finish_i420(const job *j, const lf_target *target)
{
    const lf_canvas *canvas = j->canvas;
    const lf_i420 planes = flat_i420(target->data, canvas->width, canvas->height);
    lf_image patch, mask;
    if (!target->in_place) memcpy(target->data, j->background->i420, canvas->frame_bytes);
    if (!j->mouth) return LF_OK;
    const lf_status status = make_apart(j, &patch);
    if (status != LF_OK) return status;
    return lf_yuv_blend_u8x3_i420(j->worker->rows, &planes, &patch,
                                  find_mask(j, &mask) ? &mask : NULL, j->background->x,
                                  j->background->y, &canvas->space, 0);
}

/* ---- packed pixels -------------------------------------------------------------------- */

/* Copies a bgr24 picture as the canvas's packed pixels. */
static lf_status copy_pixels(const job *j, const lf_image *dst, int swap)
{
    const lf_background *background = j->background;
    const size_t row = (size_t)dst->width * (size_t)dst->channels;
    if (dst->channels == 3 && !swap && dst->stride == background->stride &&
        dst->stride == (ptrdiff_t)row) {
        memcpy(dst->data, background->pixels, row * (size_t)dst->height);
        return LF_OK;
    }
    for (int y = 0; y < dst->height; y++) {
        const lf_image to = {image_row(dst, y), dst->stride, dst->width, 1, dst->channels};
        const lf_image from = {(uint8_t *)background->pixels + y * background->stride,
                               background->stride, dst->width, 1, 3};
        if (dst->channels == 4) memset(to.data, 255, row); /* the paste leaves alpha alone */
        const lf_status status = lf_blend_u8(j->worker->rows, &to, &from, NULL, 0, 0, swap);
        if (status != LF_OK) return status;
    }
    return LF_OK;
}

/* Copies the background. Where others paint on it the rect is taken from its own pixels. */
static lf_status copy_packed(const job *j, const lf_image *dst, int swap)
{
    const lf_background *background = j->background;
    const lf_status status = copy_pixels(j, dst, swap);
    if (status != LF_OK || !background->under || background->width == 0) return status;
    const lf_image own = packed(background->under, background->width, background->height, 3);
    return lf_blend_u8(j->worker->rows, dst, &own, NULL, background->x, background->y, swap);
}

static lf_status finish_packed(const job *j, const lf_target *target)
{
    const lf_canvas *canvas = j->canvas;
    const int swap = canvas->format == LF_FORMAT_RGB24 || canvas->format == LF_FORMAT_RGBA;
    const lf_image dst = {target->data, target->stride, canvas->width, canvas->height,
                          canvas->channels};
    lf_status status = LF_OK;
    if (target->in_place) {
        /* dst is the background itself */
    } else if (j->background->pixels) {
        status = copy_packed(j, &dst, swap);
    } else {
        const lf_i420 planes = flat_i420(j->background->i420, canvas->width, canvas->height);
        status = lf_yuv_i420_to_u8(j->worker->rows, &dst, &planes, &canvas->space, swap);
    }
    if (status != LF_OK || !j->mouth) return status;
    return put_patch(j, &dst, 0, 0, swap);
}

/* ---- JPEG ----------------------------------------------------------------------------- */

/* Copies the region's stored pixels, without those that an unmixed patch covers. */
static void copy_region(const job *j, uint8_t *dst)
{
    const lf_background *background = j->background;
    const int mixed = background->mask || j->mouth->alpha < 255;
    const lf_box *box = &background->box;
    const size_t row = (size_t)(box->x1 - box->x0) * 3;
    const size_t left = (size_t)(background->x - box->x0) * 3;
    const size_t right = left + (size_t)background->width * 3;
    const uint8_t *src = background->region;
    for (int y = box->y0; y < box->y1; y++, src += row, dst += row) {
        if (mixed || y < background->y || y >= background->y + background->height) {
            memcpy(dst, src, row);
        } else {
            memcpy(dst, src, left);
            memcpy(dst + right, src + right, row - right);
        }
    }
}

/* Encodes the region's stored pixels with the patch on them and splices them into the
 * background. */
static lf_status finish_jpeg(const job *j, lf_target *target)
{
    const lf_jpeg_background *jpeg = &j->background->jpeg;
    const lf_box *box = &j->background->box;
    const lf_worker *worker = j->worker;
    const int width = box->x1 - box->x0, height = box->y1 - box->y0;
    if (!j->mouth) {
        if (jpeg->size > target->capacity) return LF_ERR_FULL;
        memcpy(target->data, jpeg->data, jpeg->size);
        target->length = jpeg->size;
        return LF_OK;
    }
    if ((size_t)width * (size_t)height * 3 > worker->limits.region) return LF_ERR_SCRATCH;
    copy_region(j, worker->region);
    const lf_jpeg_region_pixels region = {box->x0, box->y0,
                                          packed(worker->region, width, height, 3), LF_BGR24};
    const lf_scratch scratch = {worker->splice, worker->limits.splice};
    const lf_status status = put_patch(j, &region.image, box->x0, box->y0, 0);
    if (status != LF_OK) return status;
    return lf_jpeg_splice(worker->encoder, target->data, target->capacity, &target->length, jpeg,
                          &region, 1, &scratch);
}

/* ---- every format --------------------------------------------------------------------- */

/* Whether a background has what frames of the canvas's format are made from. */
static int is_filled(const lf_canvas *canvas, const lf_background *background)
{
    if (canvas->format == LF_FORMAT_JPEG)
        return background->jpeg.data && background->jpeg.offsets &&
               (background->width == 0 || background->region);
    return background->i420 || (canvas->format != LF_FORMAT_I420 && background->pixels);
}

lf_status lf_finish(const lf_canvas *canvas, const lf_background *background,
                    const lf_mouth *mouth, const lf_worker *worker, lf_target *target)
{
    if (background->width == 0 || (mouth && mouth->alpha <= 0)) mouth = NULL;
    if (mouth && (size_t)background->width * (size_t)background->height > worker->limits.mask)
        return LF_ERR_SCRATCH;
    if (!is_filled(canvas, background)) return LF_ERR_ARGUMENT;
    const job j = {canvas, background, mouth, worker};
    if (target->in_place) restore(&j, target->data);
    if (canvas->format == LF_FORMAT_JPEG) return finish_jpeg(&j, target);
    target->length = canvas->frame_bytes;
    return canvas->format == LF_FORMAT_I420 ? finish_i420(&j, target) : finish_packed(&j, target);
}

lf_status lf_finish_measure(const lf_canvas *canvas, const lf_background *background,
                            const lf_mouth *mouth, const lf_worker *worker,
                            lf_match_planes *planes)
{
    const int view = canvas->view, border = (canvas->crop - view) / 2;
    const int ring = view / 32 > 2 ? view / 32 : 2;
    if (!background->crop || border < 0) return LF_ERR_ARGUMENT;
    const lf_image crop = packed(background->crop, canvas->crop, canvas->crop, 3);
    const lf_image seen = {image_row(&crop, border) + (ptrdiff_t)border * 3, crop.stride, view,
                           view, 3};
    if (mouth->picture) {
        const lf_image picture = packed(mouth->picture, view, view, 3);
        return lf_match_measure_u8x3(planes, &picture, &seen, ring);
    }
    const lf_f32p3 output = output_of(canvas, mouth);
    const lf_scratch scratch = {worker->resize, worker->limits.resize};
    return lf_match_measure_f32p3(worker->rows, planes, &output, &canvas->range, &seen, ring,
                                  &scratch);
}
