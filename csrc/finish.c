/* One frame from a net's output to its finished form: the patch is made, then put on the
 * background as packed pixels, I420 or JPEG. */
#include <string.h>

#include "kernels.h"

static size_t lf_rounded(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t lf_worker_size(const lf_worker_limits *limits)
{
    return lf_rounded(limits->patch) + lf_rounded(limits->mask) + lf_rounded(limits->region) +
           lf_rounded(limits->splice) + lf_rounded(limits->resize);
}

void lf_worker_init(lf_worker *worker, const lf_worker_limits *limits, const lf_rows *rows,
                    lf_jpeg *encoder, void *memory)
{
    uint8_t *at = memory;
    worker->rows = rows;
    worker->encoder = encoder;
    worker->limits = *limits;
    worker->patch = at;
    at += lf_rounded(limits->patch);
    worker->mask = at;
    at += lf_rounded(limits->mask);
    worker->region = at;
    at += lf_rounded(limits->region);
    worker->splice = at;
    at += lf_rounded(limits->splice);
    worker->resize = at;
}

/* The net's square inside the stored crop's border, resized to the rect, as bgr24 at dst. */
static lf_status lf_make_patch(const lf_canvas *canvas, const lf_background *background,
                               const lf_mouth *mouth, const lf_worker *worker, uint8_t *dst,
                               ptrdiff_t dst_stride)
{
    const ptrdiff_t row = (ptrdiff_t)canvas->view * 4;
    const ptrdiff_t crop_stride = (ptrdiff_t)canvas->crop * 3;
    if (mouth->picture != NULL)
        return lf_patch_u8x3(worker->rows, dst, dst_stride, mouth->picture,
                             (ptrdiff_t)canvas->view * 3, canvas->view, mouth->match,
                             background->crop, crop_stride, canvas->border, background->plan,
                             worker->resize, worker->limits.resize);
    return lf_patch_f32p3_u8x3(worker->rows, dst, dst_stride, mouth->output, row,
                               row * canvas->view, canvas->view, &canvas->tone, mouth->match,
                               background->crop, crop_stride, canvas->border, background->plan,
                               worker->resize, worker->limits.resize);
}

/* The same into worker->patch, rows packed. */
static lf_status lf_make_apart(const lf_canvas *canvas, const lf_background *background,
                               const lf_mouth *mouth, const lf_worker *worker)
{
    const size_t bytes = (size_t)background->width * (size_t)background->height * 3;
    if (bytes > worker->limits.patch) return LF_ERR_SCRATCH;
    return lf_make_patch(canvas, background, mouth, worker, worker->patch,
                         (ptrdiff_t)background->width * 3);
}

/* The alpha of each pixel of the rect, or NULL where the patch replaces the background. */
static const uint8_t *lf_mask_of(const lf_background *background, const lf_mouth *mouth,
                                 const lf_worker *worker)
{
    const size_t count = (size_t)background->width * (size_t)background->height;
    const unsigned alpha = (unsigned)mouth->alpha;
    if (alpha >= 255) return background->mask;
    if (background->mask == NULL) {
        memset(worker->mask, (int)alpha, count);
    } else {
        for (size_t i = 0; i < count; i++) {
            const unsigned t = background->mask[i] * alpha + 128;
            worker->mask[i] = (uint8_t)((t + (t >> 8)) >> 8);
        }
    }
    return worker->mask;
}

/* The patch onto packed pixels whose pixel (0, 0) is the frame's (left, top). Where nothing is
 * mixed and the channels agree it is made right there. */
static lf_status lf_put_patch(const lf_canvas *canvas, const lf_background *background,
                              const lf_mouth *mouth, const lf_worker *worker, uint8_t *dst,
                              ptrdiff_t dst_stride, int width, int height, int channels, int left,
                              int top, int swap)
{
    const int x = background->x - left, y = background->y - top;
    const uint8_t *mask = lf_mask_of(background, mouth, worker);
    lf_status status;
    if (mask == NULL && channels == 3 && !swap)
        return lf_make_patch(canvas, background, mouth, worker,
                             dst + y * dst_stride + (ptrdiff_t)x * 3, dst_stride);
    status = lf_make_apart(canvas, background, mouth, worker);
    if (status != LF_OK) return status;
    return lf_blend_u8(worker->rows, dst, dst_stride, width, height, channels, worker->patch,
                       (ptrdiff_t)background->width * 3, background->width, background->height, 3,
                       mask, background->width, x, y, swap);
}

/* The planes of a flat I420 picture. */
static lf_i420 lf_flat_i420(const uint8_t *flat, int width, int height)
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

static void lf_copy_rows(uint8_t *dst, const uint8_t *src, ptrdiff_t stride, ptrdiff_t bytes,
                         int rows)
{
    for (int y = 0; y < rows; y++) memcpy(dst + y * stride, src + y * stride, (size_t)bytes);
}

/* Copies the rect's bytes of the background back to a frame that an earlier finish painted in
 * place, but where the patch is about to replace every one of them: unmixed, and in I420 with
 * whole blocks of chroma. */
static void lf_restore(const lf_canvas *canvas, const lf_background *background,
                       const lf_mouth *mouth, uint8_t *dst)
{
    const int x = background->x, y = background->y;
    const int width = background->width, height = background->height;
    const int whole_blocks = !((x | y | width | height) & 1);
    const int replaced = mouth != NULL && background->mask == NULL && mouth->alpha >= 255;
    if (width == 0 || (replaced && (canvas->format != LF_FORMAT_I420 || whole_blocks))) return;
    if (canvas->format == LF_FORMAT_I420) {
        const lf_i420 from = lf_flat_i420(background->i420, canvas->width, canvas->height);
        const lf_i420 to = lf_flat_i420(dst, canvas->width, canvas->height);
        const ptrdiff_t luma = (ptrdiff_t)y * from.y_stride + x;
        const ptrdiff_t chroma = (ptrdiff_t)(y / 2) * from.u_stride + x / 2;
        const int columns = (x + width + 1) / 2 - x / 2, rows = (y + height + 1) / 2 - y / 2;
        lf_copy_rows(to.y + luma, from.y + luma, from.y_stride, width, height);
        lf_copy_rows(to.u + chroma, from.u + chroma, from.u_stride, columns, rows);
        lf_copy_rows(to.v + chroma, from.v + chroma, from.v_stride, columns, rows);
    } else {
        const ptrdiff_t first = y * background->stride + (ptrdiff_t)x * 3;
        lf_copy_rows(dst + first, background->pixels + first, background->stride,
                     (ptrdiff_t)width * 3, height);
    }
}

static lf_status lf_finish_i420(const lf_canvas *canvas, const lf_background *background,
                                const lf_mouth *mouth, const lf_worker *worker, int in_place,
                                uint8_t *dst)
{
    lf_i420 planes = lf_flat_i420(dst, canvas->width, canvas->height);
    lf_status status;
    if (!in_place) memcpy(dst, background->i420, canvas->frame_bytes);
    if (mouth == NULL) return LF_OK;
    status = lf_make_apart(canvas, background, mouth, worker);
    if (status != LF_OK) return status;
    return lf_yuv_blend_u8x3_i420(worker->rows, &planes, worker->patch,
                                  (ptrdiff_t)background->width * 3,
                                  lf_mask_of(background, mouth, worker), background->width,
                                  background->x, background->y, background->width,
                                  background->height, canvas->matrix, canvas->full_range, 0);
}

/* Copies a bgr24 background as the canvas's packed pixels. */
static lf_status lf_copy_packed(const lf_canvas *canvas, const lf_background *background,
                                const lf_worker *worker, uint8_t *dst, ptrdiff_t dst_stride)
{
    const int swap = canvas->format == LF_FORMAT_RGB24 || canvas->format == LF_FORMAT_RGBA;
    const size_t row = (size_t)canvas->width * (size_t)canvas->channels;
    if (canvas->format == LF_FORMAT_BGR24 && dst_stride == background->stride &&
        dst_stride == (ptrdiff_t)row) {
        memcpy(dst, background->pixels, row * (size_t)canvas->height);
        return LF_OK;
    }
    for (int y = 0; y < canvas->height; y++) {
        uint8_t *to = dst + y * dst_stride;
        lf_status status;
        if (canvas->channels == 4) memset(to, 255, row); /* the paste leaves alpha alone */
        status = lf_blend_u8(worker->rows, to, dst_stride, canvas->width, 1, canvas->channels,
                             background->pixels + y * background->stride, background->stride,
                             canvas->width, 1, 3, NULL, 0, 0, 0, swap);
        if (status != LF_OK) return status;
    }
    return LF_OK;
}

static lf_status lf_finish_packed(const lf_canvas *canvas, const lf_background *background,
                                  const lf_mouth *mouth, const lf_worker *worker, int in_place,
                                  uint8_t *dst, ptrdiff_t dst_stride)
{
    const int swap = canvas->format == LF_FORMAT_RGB24 || canvas->format == LF_FORMAT_RGBA;
    lf_status status = LF_OK;
    if (in_place) {
        /* dst is the background itself */
    } else if (background->pixels != NULL) {
        status = lf_copy_packed(canvas, background, worker, dst, dst_stride);
    } else {
        lf_i420 planes = lf_flat_i420(background->i420, canvas->width, canvas->height);
        status = canvas->channels == 4
                     ? lf_yuv_i420_to_u8x4(worker->rows, dst, dst_stride, &planes, canvas->matrix,
                                           canvas->full_range, swap)
                     : lf_yuv_i420_to_u8x3(worker->rows, dst, dst_stride, &planes, canvas->matrix,
                                           canvas->full_range, swap);
    }
    if (status != LF_OK || mouth == NULL) return status;
    return lf_put_patch(canvas, background, mouth, worker, dst, dst_stride, canvas->width,
                        canvas->height, canvas->channels, 0, 0, swap);
}

/* The region's stored pixels, without those that an unmixed patch covers. */
static void lf_copy_region(const lf_background *background, const lf_mouth *mouth, uint8_t *dst)
{
    const int mixed = background->mask != NULL || mouth->alpha < 255;
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

/* The region's stored pixels with the patch on them, encoded and spliced into the background. */
static lf_status lf_finish_jpeg(const lf_canvas *canvas, const lf_background *background,
                                const lf_mouth *mouth, const lf_worker *worker, uint8_t *dst,
                                size_t capacity, size_t *length)
{
    const lf_box *box = &background->box;
    const int width = box->x1 - box->x0, height = box->y1 - box->y0;
    const size_t bytes = (size_t)width * (size_t)height * 3;
    lf_jpeg_region_pixels region;
    lf_status status;

    if (mouth == NULL) {
        if (background->jpeg.size > capacity) return LF_ERR_FULL;
        memcpy(dst, background->jpeg.data, background->jpeg.size);
        *length = background->jpeg.size;
        return LF_OK;
    }
    if (bytes > worker->limits.region) return LF_ERR_SCRATCH;
    lf_copy_region(background, mouth, worker->region);
    status = lf_put_patch(canvas, background, mouth, worker, worker->region,
                          (ptrdiff_t)width * 3, width, height, 3, box->x0, box->y0, 0);
    if (status != LF_OK) return status;
    region.box = *box;
    region.src = worker->region;
    region.src_stride = (ptrdiff_t)width * 3;
    region.pixels = LF_BGR24;
    return lf_jpeg_splice(worker->encoder, dst, capacity, length, &background->jpeg, &region, 1,
                          worker->splice, worker->limits.splice);
}

lf_status lf_finish(const lf_canvas *canvas, const lf_background *background,
                    const lf_mouth *mouth, lf_worker *worker, uint8_t *dst, ptrdiff_t dst_stride,
                    size_t capacity, int in_place, size_t *length)
{
    if (background->width == 0 || (mouth != NULL && mouth->alpha <= 0)) mouth = NULL;
    if (mouth != NULL &&
        (size_t)background->width * (size_t)background->height > worker->limits.mask)
        return LF_ERR_SCRATCH;
    if (in_place) lf_restore(canvas, background, mouth, dst);
    if (canvas->format == LF_FORMAT_JPEG)
        return lf_finish_jpeg(canvas, background, mouth, worker, dst, capacity, length);
    *length = canvas->frame_bytes;
    if (canvas->format == LF_FORMAT_I420)
        return lf_finish_i420(canvas, background, mouth, worker, in_place, dst);
    return lf_finish_packed(canvas, background, mouth, worker, in_place, dst, dst_stride);
}

lf_status lf_finish_measure(const lf_canvas *canvas, const lf_background *background,
                            const lf_mouth *mouth, lf_worker *worker, lf_match_planes *planes)
{
    const int view = canvas->view, border = (canvas->crop - view) / 2;
    const int ring = view / 32 > 2 ? view / 32 : 2;
    const ptrdiff_t row = (ptrdiff_t)view * 4;
    const ptrdiff_t crop_stride = (ptrdiff_t)canvas->crop * 3;
    if (background->crop == NULL || border < 0) return LF_ERR_ARGUMENT;
    const uint8_t *seen = background->crop + border * crop_stride + (ptrdiff_t)border * 3;
    if (mouth->picture != NULL)
        return lf_match_measure_u8x3(planes, mouth->picture, (ptrdiff_t)view * 3, seen,
                                     crop_stride, view, view, ring);
    return lf_match_measure_f32p3(worker->rows, planes, mouth->output, row, row * view, view,
                                  &canvas->tone, seen, crop_stride, ring, worker->resize,
                                  worker->limits.resize);
}
