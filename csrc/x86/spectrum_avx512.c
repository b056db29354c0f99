/* spectrum rows for AVX-512: eight frames at a time. */
#include <immintrin.h>

#define LF_LANES 8
typedef __m512d vec;
#define v_set1 _mm512_set1_pd
#define v_add _mm512_add_pd
#define v_sub _mm512_sub_pd
#define v_mul _mm512_mul_pd

/* Four values of frames l and l + 4 in the halves of a register. */
static inline __m512d load_two(const double *low, const double *high)
{
    return _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(low)), _mm256_loadu_pd(high),
                              1);
}

/* Transposes the 4 x 4 values of each half. */
static inline void transpose_halves(__m512d r[4])
{
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const __m512i high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    const __m512d a = _mm512_unpacklo_pd(r[0], r[1]), b = _mm512_unpackhi_pd(r[0], r[1]);
    const __m512d c = _mm512_unpacklo_pd(r[2], r[3]), d = _mm512_unpackhi_pd(r[2], r[3]);
    r[0] = _mm512_permutex2var_pd(a, low, c);
    r[1] = _mm512_permutex2var_pd(b, low, d);
    r[2] = _mm512_permutex2var_pd(a, high, c);
    r[3] = _mm512_permutex2var_pd(b, high, d);
}

static inline void v_gather(vec four[4], const double *const *frames)
{
    for (int l = 0; l < 4; l++) four[l] = load_two(frames[l], frames[l + 4]);
    transpose_halves(four);
}

static inline void v_scatter(double *const *frames, const vec four[4], int count)
{
    __m512d rows[4] = {four[0], four[1], four[2], four[3]};
    transpose_halves(rows);
    for (int l = 0; l < 4 && l < count; l++)
        _mm256_storeu_pd(frames[l], _mm512_castpd512_pd256(rows[l]));
    for (int l = 4; l < count; l++)
        _mm256_storeu_pd(frames[l], _mm512_extractf64x4_pd(rows[l - 4], 1));
}

#include "spectrum.h"

void lf_spectrum_f64_rows_avx512(double *LF_RESTRICT dst, ptrdiff_t dst_stride, const double *src,
                                 ptrdiff_t src_stride, int frames, const double *table,
                                 void *scratch)
{
    all_spectra(dst, dst_stride, src, src_stride, frames, table, scratch);
}
