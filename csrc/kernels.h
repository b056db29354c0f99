/* lipsync_fast kernels: the whole contract. C11, no Python.
 *
 * Conventions of every plane function:
 *   - destination first, then sources: dst, dst_stride, src, src_stride, ..., width, height;
 *   - strides are bytes from one row to the next and may be negative; pixels in a row are packed;
 *   - u8x3 and u8x4 are packed 3 and 4 byte pixels, f32p3 three float planes;
 *   - a code of lf_status is returned, nothing is printed, allocated, locked or timed;
 *   - `rows` chooses the ISA (lf_rows_for); every ISA gives the same bytes as LF_ISA_C
 *     unless the function says otherwise;
 *   - scratch comes from the caller, its size from the function beside the kernel.
 */
#ifndef LF_KERNELS_H
#define LF_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lf_status {
    LF_OK = 0,
    LF_ERR_ARGUMENT = -1, /* NULL pointer, size or value out of the stated range */
    LF_ERR_SCRATCH = -2,  /* the scratch given is smaller than asked for */
    LF_ERR_FULL = -3,     /* the output does not fit the buffer given */
    LF_ERR_DATA = -4      /* input bytes that are not what they claim to be */
} lf_status;

/* ---- dispatch (cpu.c) ---------------------------------------------------------------- */

typedef enum lf_isa { LF_ISA_C = 0, LF_ISA_AVX2 = 1, LF_ISA_NEON = 2 } lf_isa;

typedef struct lf_rows lf_rows; /* table of row kernels, constant; rows.h */

/* The table of an ISA, or NULL where this build or this CPU lacks it. */
const lf_rows *lf_rows_for(lf_isa isa);

/* ---- convert -------------------------------------------------------------------------- */

/* ---- resize --------------------------------------------------------------------------- */

/* ---- blend ---------------------------------------------------------------------------- */

/* ---- yuv ------------------------------------------------------------------------------ */

/* ---- mel ------------------------------------------------------------------------------ */

/* ---- jpeg ----------------------------------------------------------------------------- */

#ifdef __cplusplus
}
#endif

#endif
