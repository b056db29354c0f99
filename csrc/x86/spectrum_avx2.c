/* spectrum rows for AVX2: four frames at a time. */
#include <immintrin.h>

#define LF_LANES 4
typedef __m256d vec;
#define v_set1 _mm256_set1_pd
#define v_add _mm256_add_pd
#define v_sub _mm256_sub_pd
#define v_mul _mm256_mul_pd

static inline void transpose(__m256d r[4])
{
    const __m256d a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    const __m256d c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

static inline void v_gather(vec four[4], const double *const *frames)
{
    for (int l = 0; l < 4; l++) four[l] = _mm256_loadu_pd(frames[l]);
    transpose(four);
}

static inline void v_scatter(double *const *frames, const vec four[4], int count)
{
    __m256d rows[4] = {four[0], four[1], four[2], four[3]};
    transpose(rows);
    for (int l = 0; l < count; l++) _mm256_storeu_pd(frames[l], rows[l]);
}

#include "spectrum.h"

void lf_spectrum_f64_rows_avx2(double *LF_RESTRICT dst, ptrdiff_t dst_stride, const double *src,
                               ptrdiff_t src_stride, int frames, const double *table,
                               void *scratch)
{
    all_spectra(dst, dst_stride, src, src_stride, frames, table, scratch);
}
