/* Private: what the mel rows of every ISA compute.
 *
 * The window is the periodic Hann, 1/2 - 1/2 cos(2 pi n / N). A cosine of one period moves half
 * of a spectrum one bin up and half one bin down, so the windowed frame's bin is
 * X[i] / 2 - (X[i-1] + X[i+1]) / 4. In doubles this costs 1e-16 of the loudest bin.
 *
 * 8 (20 log10(m) - 20 + 100) / 100 - 4 = 1.6 log10(m) + 2.4, clipped to -4 .. 4, which m = 1e-4
 * and m = 10 reach (so the formula's own floor at m = 1e-5 never shows). With m = 2^e z,
 * sqrt(1/2) <= z < sqrt(2) and s = (z - 1) / (z + 1), log z = 2 (s + s^3 / 3 + s^5 / 5 + ...);
 * |s| < 0.1716, so the terms left out from s^13 on are below 2e-11, a ten-thousandth of a float's
 * step.
 */
#ifndef LF_MEL_H
#define LF_MEL_H

#include <math.h>

#include "rows.h"

/* Magnitude of a bin after its frame is windowed; the bins on both sides are read too. */
static inline double magnitude_at(const double *bin)
{
    double re = 0.5 * bin[0] - 0.25 * (bin[-2] + bin[2]);
    double im = 0.5 * bin[1] - 0.25 * (bin[-1] + bin[3]);
    return sqrt(re * re + im * im);
}

#define LF_MEL_SILENT 1e-4
#define LF_MEL_LOUD 10.0
#define LF_MEL_OFFSET 2.4
#define LF_MEL_OCTAVE 0.48164799306236994 /* 1.6 log10(2) */

/* 3.2 / (n ln 10), the factor of s^n */
#define LF_MEL_S1 1.3897423420904058
#define LF_MEL_S3 0.4632474473634686
#define LF_MEL_S5 0.2779484684180812
#define LF_MEL_S7 0.1985346202986294
#define LF_MEL_S9 0.15441581578782287
#define LF_MEL_S11 0.12634021291730962

/* The exponent is taken relative to sqrt(1/2), biased so that it stays positive. */
#define LF_MEL_SQRT_HALF_BITS UINT64_C(0x3FE6A09E667F3BCD)
#define LF_MEL_EXPONENT_BIAS UINT64_C(1024)
#define LF_MEL_EXPONENT_MASK UINT64_C(0xFFF0000000000000)

#endif
