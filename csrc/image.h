/* Private: checks of images and float planes, and where their rows lie. */
#ifndef LF_IMAGE_H
#define LF_IMAGE_H

#include "arguments.h"

static inline int image_is_usable(const lf_image *image)
{
    return image && image->data && image->width >= 1 && image->height >= 1;
}

static inline uint8_t *image_row(const lf_image *image, int y)
{
    return image->data + y * image->stride;
}

static inline int f32p3_is_usable(const lf_f32p3 *planes)
{
    return planes && planes->data && planes->width >= 1 && planes->height >= 1;
}

/* Row y of the planes that the first, second and third byte of a pixel stand for. */
static inline void f32p3_row(float *row[3], const lf_f32p3 *planes, int swap, int y)
{
    char *first = (char *)planes->data + y * planes->stride;
    row[swap ? 2 : 0] = (float *)first;
    row[1] = (float *)(first + planes->plane_stride);
    row[swap ? 0 : 2] = (float *)(first + 2 * planes->plane_stride);
}

#endif
