/* Private: what the files of jpeg share with each other. */
#ifndef LF_JPEG_PARTS_H
#define LF_JPEG_PARTS_H

#include "jpeg/jpeg.h"

/* Encodes the segments of a region: a header of *header_size bytes, to be thrown away, then the
 * segments, their markers counted from 0 and EOI behind the last. */
lf_status lf_jpeg_encode_segments(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                                  size_t *header_size, const lf_image *src, lf_pixels pixels);

lf_sampling lf_jpeg_sampling(const lf_jpeg *jpeg);
int lf_jpeg_interval(const lf_jpeg *jpeg);

/* Returns what follows the next two byte marker at or behind `at`, or NULL where the bytes end
 * before one. *code: its second byte. Stuffed zeros and fill bytes are skipped. */
const uint8_t *lf_jpeg_next_marker(const uint8_t *at, const uint8_t *end, int *code);

enum { LF_JPEG_SOI = 0xD8, LF_JPEG_EOI = 0xD9, LF_JPEG_RST0 = 0xD0 };

#endif
