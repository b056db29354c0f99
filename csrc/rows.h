/* Private: the row kernels' types, their names and the table that dispatch fills.
 *
 * A row kernel handles one row, checks nothing, reads unaligned and does its own tail. It takes
 * bare values, eight at most, rather than the structs of arguments.h: it is called for every row,
 * and they stay in registers.
 * It is named lf_<op>_<type>_row_<isa>. A new one is one LF_ROW below its type, one line in the
 * table at the end, and one line in each table of cpu.c; where an ISA has no version of its own,
 * its table names the scalar one.
 */
#ifndef LF_ROWS_H
#define LF_ROWS_H

#include "kernels.h"

#if defined(_MSC_VER)
#define LF_RESTRICT __restrict
#else
#define LF_RESTRICT restrict
#endif

/* Declares a row kernel for every ISA; what no file defines stands in no table of cpu.c. */
#define LF_ROW(type, name) type name##_c, name##_avx2, name##_avx512, name##_neon

/* ---- convert -------------------------------------------------------------------------- */

/* byte = clamp((value - low) * gain); c0, c1, c2 go to the first, second and third byte. */
typedef void lf_to_bytes_row(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                             const float *LF_RESTRICT c1, const float *LF_RESTRICT c2, int width,
                             float low, float gain, int truncate);
LF_ROW(lf_to_bytes_row, lf_convert_f32p3_u8x3_row);
LF_ROW(lf_to_bytes_row, lf_convert_f32p3_u8x4_row);

/* Nonzero where low and high are finite and low < high. */
int lf_range_is_usable(const lf_range *range);

/* value = byte / 255 * span + low; the first, second and third byte go to c0, c1, c2. */
typedef void lf_from_bytes_row(float *LF_RESTRICT c0, float *LF_RESTRICT c1,
                               float *LF_RESTRICT c2, const uint8_t *LF_RESTRICT src, int width,
                               float span, float low);
LF_ROW(lf_from_bytes_row, lf_convert_u8x3_f32p3_row);

/* ---- resize --------------------------------------------------------------------------- */

enum { LF_RESIZE_ROWS = 16 }; /* the most rows that one call resizes across */

/* The horizontal table; resize.h tells what the weights mean. */
typedef struct lf_resize_axis {
    const int32_t *first;   /* of each pixel: the source pixel of its first tap */
    const int16_t *weights; /* of each pixel: taps (taps kind: 2 * taps) weights */
    int src, dst, taps;     /* pixels of a row, pixels of a resized row, taps of a pixel */
    int src_channels;       /* bytes of a pixel; the first dst_channels of them are resized: */
    int dst_channels;       /* equal, or 4 and 3 */
    int shift, top;         /* taps kind only */
    int safe;               /* pixels whose vector loads stay inside the source row */
} lf_resize_axis;

/* Resizes `count` rows, 1 to LF_RESIZE_ROWS; may write LF_RESIZE_SLACK values past each. */
typedef void lf_resize_across(int16_t *const *dst, const uint8_t *const *src, int count,
                              const lf_resize_axis *axis);
LF_ROW(lf_resize_across, lf_resize_linear_across);
LF_ROW(lf_resize_across, lf_resize_cubic_across);
LF_ROW(lf_resize_across, lf_resize_taps_across);

/* Weights `taps` rows of `count` values into one of bytes; may read LF_RESIZE_SLACK values past
 * each. */
typedef void lf_resize_down_row(uint8_t *LF_RESTRICT dst, const int16_t *const *src,
                                const int16_t *weights, int taps, int shift, int count);
LF_ROW(lf_resize_down_row, lf_resize_linear_down_row);
LF_ROW(lf_resize_down_row, lf_resize_cubic_down_row);
LF_ROW(lf_resize_down_row, lf_resize_taps_down_row);

/* ---- blend ---------------------------------------------------------------------------- */

/* swap: nonzero exchanges the first and third byte of a three byte source pixel. */
typedef void lf_blend_row(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                          const uint8_t *LF_RESTRICT mask, int width, int swap);
LF_ROW(lf_blend_row, lf_blend_u8x1_row);
LF_ROW(lf_blend_row, lf_blend_u8x3_row);
LF_ROW(lf_blend_row, lf_blend_u8x4_row);
/* three byte source, four byte destination */
LF_ROW(lf_blend_row, lf_blend_u8x3_u8x4_row);

typedef void lf_paste_row(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                          int swap);
/* always exchanges */
LF_ROW(lf_paste_row, lf_swap_u8x3_row);
LF_ROW(lf_paste_row, lf_paste_u8x3_u8x4_row);

/* ---- match ---------------------------------------------------------------------------- */

/* byte c of pixel x += (start[c] + x * step[c]) >> LF_MATCH_BITS, clamped; c < 3. */
typedef void lf_match_row(uint8_t *dst, int width, const int32_t start[3], const int32_t step[3]);
LF_ROW(lf_match_row, lf_match_u8x3_row);
LF_ROW(lf_match_row, lf_match_u8x4_row);

/* Nonzero unless a sum of the planes could leave 31 bits in a picture of this size. */
int lf_match_fits(const lf_match *match, int width, int height);

/* Sets what a row kernel starts row y with, including half a level for the rounding. */
void lf_match_row_start(int32_t start[3], const lf_match *match, int width, int height, int y);

/* ---- yuv ------------------------------------------------------------------------------ */

enum {
    LF_YUV_LUMA_BITS = 15, /* fraction bits of the luma weights */
    LF_YUV_BITS = 13,      /* of the chroma weights and of all weights on the way back */
    /* 128 and a half, at the scale of four pixels' weighted sum, and of four alphas times that */
    LF_YUV_CHROMA_BIAS = (128 * 4 + 2) << LF_YUV_BITS,
    LF_YUV_BLEND_BIAS = (128 * 1020 + 510) << LF_YUV_BITS
};

/* Weights of a pixel's three bytes in memory order. */
typedef struct lf_yuv_weights {
    int16_t luma[3], u[3], v[3];
    int32_t luma_bias; /* black's luma and the rounding half, LF_YUV_LUMA_BITS up */
} lf_yuv_weights;

/* The way back: byte 0 = gain * luma + c0_first * first, byte 2 = gain * luma + c2_last * last,
 * byte 1 takes both; `first` is the chroma plane of the first byte's colour. */
typedef struct lf_yuv_back {
    int16_t gain, offset; /* offset: black's luma */
    int16_t c0_first, c1_first, c1_last, c2_last;
} lf_yuv_back;

typedef void lf_luma_row(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src, int width,
                         const lf_yuv_weights *m);
LF_ROW(lf_luma_row, lf_yuv_luma_u8x3_row);

typedef void lf_blend_luma_row(uint8_t *LF_RESTRICT y, const uint8_t *LF_RESTRICT src,
                               const uint8_t *LF_RESTRICT mask, int width, const lf_yuv_weights *m);
LF_ROW(lf_blend_luma_row, lf_yuv_blend_luma_u8x3_row);

/* Two rows of pixels, which may be the same row; at an odd width the last column counts twice. */
typedef void lf_chroma_row(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v, const uint8_t *top,
                           const uint8_t *bottom, int width, const lf_yuv_weights *m);
LF_ROW(lf_chroma_row, lf_yuv_chroma_u8x3_row);

typedef void lf_blend_chroma_row(uint8_t *LF_RESTRICT u, uint8_t *LF_RESTRICT v, const uint8_t *top,
                                 const uint8_t *bottom, const uint8_t *mask_top,
                                 const uint8_t *mask_bottom, int width, const lf_yuv_weights *m);
LF_ROW(lf_blend_chroma_row, lf_yuv_blend_chroma_u8x3_row);

typedef void lf_i420_to_packed_row(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT y,
                                   const uint8_t *LF_RESTRICT first,
                                   const uint8_t *LF_RESTRICT last, int width,
                                   const lf_yuv_back *m);
LF_ROW(lf_i420_to_packed_row, lf_yuv_i420_to_u8x3_row);
LF_ROW(lf_i420_to_packed_row, lf_yuv_i420_to_u8x4_row);

/* ---- spectrum ------------------------------------------------------------------------- */

/* Any number of frames; scratch is aligned to 64 bytes. */
typedef void lf_spectrum_rows(double *LF_RESTRICT dst, ptrdiff_t dst_stride, const double *src,
                              ptrdiff_t src_stride, int frames, const double *table,
                              void *scratch);
LF_ROW(lf_spectrum_rows, lf_spectrum_f64_rows);

/* ---- mel ------------------------------------------------------------------------------ */

/* One frame: complex bins (real, imaginary) -> bands->count levels. Some band hears the bins
 * lowest to highest, half-open; one more on each side exists. */
typedef void lf_mel_row(float *LF_RESTRICT dst, const double *LF_RESTRICT spectrum,
                        const lf_mel_bands *bands, int lowest, int highest);
LF_ROW(lf_mel_row, lf_mel_f64_row);

/* ---- the table ------------------------------------------------------------------------ */

struct lf_rows {
    lf_isa isa;
    /* convert */
    lf_to_bytes_row *convert_f32p3_u8x3;
    lf_to_bytes_row *convert_f32p3_u8x4;
    lf_from_bytes_row *convert_u8x3_f32p3;
    /* resize */
    lf_resize_across *resize_linear_across;
    lf_resize_across *resize_cubic_across;
    lf_resize_across *resize_taps_across;
    lf_resize_down_row *resize_linear_down;
    lf_resize_down_row *resize_cubic_down;
    lf_resize_down_row *resize_taps_down;
    /* blend */
    lf_blend_row *blend_u8x1;
    lf_blend_row *blend_u8x3;
    lf_blend_row *blend_u8x4;
    lf_blend_row *blend_u8x3_u8x4;
    lf_paste_row *swap_u8x3;
    lf_paste_row *paste_u8x3_u8x4;
    /* match */
    lf_match_row *match_u8x3;
    lf_match_row *match_u8x4;
    /* yuv */
    lf_luma_row *yuv_luma_u8x3;
    lf_blend_luma_row *yuv_blend_luma_u8x3;
    lf_chroma_row *yuv_chroma_u8x3;
    lf_blend_chroma_row *yuv_blend_chroma_u8x3;
    lf_i420_to_packed_row *yuv_i420_to_u8x3;
    lf_i420_to_packed_row *yuv_i420_to_u8x4;
    /* spectrum */
    lf_spectrum_rows *spectrum;
    /* mel */
    lf_mel_row *mel;
};

#endif
