/* Private: the row kernels' types, their names and the table that dispatch fills.
 *
 * A row kernel handles one row, checks nothing, reads unaligned and does its own tail.
 * It is named lf_<op>_<type>_row_<isa>. A new one is one line in the table below, one line per
 * ISA in the list of its operation, and one line in each table of cpu.c; where an ISA has no
 * version of its own, its table names the scalar one.
 */
#ifndef LF_ROWS_H
#define LF_ROWS_H

#include "kernels.h"

#if defined(_MSC_VER)
#define LF_RESTRICT __restrict
#else
#define LF_RESTRICT restrict
#endif

/* ---- convert -------------------------------------------------------------------------- */

/* byte = clamp((value - low) * gain); c0, c1, c2 go to the first, second and third byte. */
typedef void lf_to_bytes_row(uint8_t *LF_RESTRICT dst, const float *LF_RESTRICT c0,
                             const float *LF_RESTRICT c1, const float *LF_RESTRICT c2, int width,
                             float low, float gain, int truncate);
lf_to_bytes_row lf_convert_f32p3_u8x3_row_c;
lf_to_bytes_row lf_convert_f32p3_u8x3_row_avx2;
lf_to_bytes_row lf_convert_f32p3_u8x3_row_neon;
lf_to_bytes_row lf_convert_f32p3_u8x4_row_c;
lf_to_bytes_row lf_convert_f32p3_u8x4_row_avx2;
lf_to_bytes_row lf_convert_f32p3_u8x4_row_neon;

/* value = byte / 255 * span + low; the first, second and third byte go to c0, c1, c2. */
typedef void lf_from_bytes_row(float *LF_RESTRICT c0, float *LF_RESTRICT c1,
                               float *LF_RESTRICT c2, const uint8_t *LF_RESTRICT src, int width,
                               float span, float low);
lf_from_bytes_row lf_convert_u8x3_f32p3_row_c;
lf_from_bytes_row lf_convert_u8x3_f32p3_row_avx2;
lf_from_bytes_row lf_convert_u8x3_f32p3_row_neon;

/* ---- resize --------------------------------------------------------------------------- */

/* ---- blend ---------------------------------------------------------------------------- */

/* swap: nonzero exchanges the first and third byte of a three byte source pixel. */
typedef void lf_blend_row(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src,
                          const uint8_t *LF_RESTRICT mask, int width, int swap);
lf_blend_row lf_blend_u8x1_row_c;
lf_blend_row lf_blend_u8x1_row_avx2;
lf_blend_row lf_blend_u8x1_row_neon;
lf_blend_row lf_blend_u8x3_row_c;
lf_blend_row lf_blend_u8x3_row_avx2;
lf_blend_row lf_blend_u8x3_row_neon;
lf_blend_row lf_blend_u8x4_row_c;
lf_blend_row lf_blend_u8x4_row_avx2;
lf_blend_row lf_blend_u8x4_row_neon;
/* three byte source, four byte destination */
lf_blend_row lf_blend_u8x3_u8x4_row_c;
lf_blend_row lf_blend_u8x3_u8x4_row_avx2;
lf_blend_row lf_blend_u8x3_u8x4_row_neon;

typedef void lf_paste_row(uint8_t *LF_RESTRICT dst, const uint8_t *LF_RESTRICT src, int width,
                          int swap);
/* always exchanges */
lf_paste_row lf_swap_u8x3_row_c;
lf_paste_row lf_swap_u8x3_row_avx2;
lf_paste_row lf_swap_u8x3_row_neon;
lf_paste_row lf_paste_u8x3_u8x4_row_c;
lf_paste_row lf_paste_u8x3_u8x4_row_avx2;
lf_paste_row lf_paste_u8x3_u8x4_row_neon;

/* ---- yuv ------------------------------------------------------------------------------ */

/* ---- mel ------------------------------------------------------------------------------ */

/* ---- the table ------------------------------------------------------------------------ */

struct lf_rows {
    lf_isa isa;
    /* convert */
    lf_to_bytes_row *convert_f32p3_u8x3;
    lf_to_bytes_row *convert_f32p3_u8x4;
    lf_from_bytes_row *convert_u8x3_f32p3;
    /* resize */
    /* blend */
    lf_blend_row *blend_u8x1;
    lf_blend_row *blend_u8x3;
    lf_blend_row *blend_u8x4;
    lf_blend_row *blend_u8x3_u8x4;
    lf_paste_row *swap_u8x3;
    lf_paste_row *paste_u8x3_u8x4;
    /* yuv */
    /* mel */
};

#endif
