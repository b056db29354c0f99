/* What the kernels return, and the values that travel together in their arguments. */
#ifndef LF_ARGUMENTS_H
#define LF_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

typedef enum lf_status {
    LF_OK = 0,
    LF_ERR_ARGUMENT = -1, /* NULL pointer, size or value out of the stated range */
    LF_ERR_SCRATCH = -2,  /* the scratch given is smaller than asked for */
    LF_ERR_FULL = -3,     /* the output does not fit the buffer given */
    LF_ERR_DATA = -4,     /* input bytes that are not what they claim to be */
    LF_ERR_MEMORY = -5    /* libjpeg got no memory for its own small parts */
} lf_status;

/* Packed pixels of 1, 3 or 4 bytes. `stride`: bytes from one row to the next, may be negative. */
typedef struct lf_image {
    uint8_t *data; /* only read where the image is a source */
    ptrdiff_t stride;
    int width, height, channels; /* pixels, pixels, bytes of a pixel */
} lf_image;

/* Three planes of floats, as models draw and see pictures; values in a row are packed. Strides
 * are bytes from one row, and from one plane, to the next; everything is aligned to 4. */
typedef struct lf_f32p3 {
    float *data; /* only read where the planes are a source */
    ptrdiff_t stride, plane_stride;
    int width, height;
} lf_f32p3;

/* An I420 picture: luma of every pixel, chroma of every 2x2 block. `width` and `height` count
 * luma, 1..LF_I420_MAX_SIDE; u and v have (width + 1) / 2 columns and (height + 1) / 2 rows.
 * For a region of a larger picture point at its first pixel, which must have even coordinates. */
#define LF_I420_MAX_SIDE (1 << 24)
typedef struct lf_i420 {
    uint8_t *y, *u, *v; /* only read where the picture is a source */
    ptrdiff_t y_stride, u_stride, v_stride;
    int width, height;
} lf_i420;

/* A half-open box in pixels: x0 <= x < x1, y0 <= y < y1. */
typedef struct lf_box {
    int x0, y0, x1, y1;
} lf_box;

/* Memory that a call may use as it likes and leaves undefined. */
typedef struct lf_scratch {
    void *data;
    size_t size; /* bytes */
} lf_scratch;

#endif
