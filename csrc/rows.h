/* Private: the row kernels' types and the table that dispatch fills.
 * A row kernel handles one row, checks nothing, reads unaligned and does its own tail.
 */
#ifndef LF_ROWS_H
#define LF_ROWS_H

#include "kernels.h"

#if defined(_MSC_VER)
#define LF_RESTRICT __restrict
#else
#define LF_RESTRICT restrict
#endif

/* convert */
#define LF_ROWS_CONVERT

/* resize */
#define LF_ROWS_RESIZE

/* blend */
#define LF_ROWS_BLEND

/* yuv */
#define LF_ROWS_YUV

/* mel */
#define LF_ROWS_MEL

struct lf_rows {
    lf_isa isa;
    /* one line per row kernel, grouped by operation */
};

/* Each ISA fills the whole table: cpu.c starts from the scalar rows and replaces
 * what the stronger ISA has. */

#endif
