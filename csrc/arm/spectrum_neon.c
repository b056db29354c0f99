/* spectrum rows for NEON: two frames at a time. */
#include <arm_neon.h>

#define LF_LANES 2
typedef float64x2_t vec;
#define v_set1 vdupq_n_f64
#define v_add vaddq_f64
#define v_sub vsubq_f64
#define v_mul vmulq_f64

static inline void v_gather(vec four[4], const double *const *frames)
{
    for (int i = 0; i < 2; i++) {
        const vec a = vld1q_f64(frames[0] + 2 * i), b = vld1q_f64(frames[1] + 2 * i);
        four[2 * i] = vzip1q_f64(a, b);
        four[2 * i + 1] = vzip2q_f64(a, b);
    }
}

static inline void v_scatter(double *const *frames, const vec four[4], int count)
{
    for (int i = 0; i < 2; i++) {
        vst1q_f64(frames[0] + 2 * i, vzip1q_f64(four[2 * i], four[2 * i + 1]));
        if (count > 1)
            vst1q_f64(frames[1] + 2 * i, vzip2q_f64(four[2 * i], four[2 * i + 1]));
    }
}

#include "spectrum.h"

void lf_spectrum_f64_rows_neon(double *LF_RESTRICT dst, ptrdiff_t dst_stride, const double *src,
                               ptrdiff_t src_stride, int frames, const double *table,
                               void *scratch)
{
    all_spectra(dst, dst_stride, src, src_stride, frames, table, scratch);
}
