/* spectrum: the discrete Fourier transform of frames of 800 real samples. */
#include <math.h>

#include "rows.h"

/* Four lanes, which a compiler makes vectors of where the CPU has any. */
#define LF_LANES 4

typedef struct vec {
    double lane[LF_LANES];
} vec;

static inline vec v_set1(double value)
{
    return (vec){{value, value, value, value}};
}

static inline vec v_add(vec a, vec b)
{
    for (int l = 0; l < LF_LANES; l++) a.lane[l] += b.lane[l];
    return a;
}

static inline vec v_sub(vec a, vec b)
{
    for (int l = 0; l < LF_LANES; l++) a.lane[l] -= b.lane[l];
    return a;
}

static inline vec v_mul(vec a, vec b)
{
    for (int l = 0; l < LF_LANES; l++) a.lane[l] *= b.lane[l];
    return a;
}

static inline void v_gather(vec four[4], const double *const *frames)
{
    for (int i = 0; i < 4; i++)
        for (int l = 0; l < LF_LANES; l++) four[i].lane[l] = frames[l][i];
}

static inline void v_scatter(double *const *frames, const vec four[4], int count)
{
    for (int l = 0; l < count; l++)
        for (int i = 0; i < 4; i++) frames[l][i] = four[i].lane[l];
}

#include "spectrum.h"

void lf_spectrum_f64_rows_c(double *LF_RESTRICT dst, ptrdiff_t dst_stride, const double *src,
                            ptrdiff_t src_stride, int frames, const double *table, void *scratch)
{
    all_spectra(dst, dst_stride, src, src_stride, frames, table, scratch);
}

static double *put_turns(double *table, int parts, int most, int whole)
{
    for (int p = 0; p < parts; p++)
        for (int j = 1; j <= most; j++, table += 2) {
            const double angle = 6.283185307179586 * (j * p) / whole;
            table[0] = cos(angle);
            table[1] = -sin(angle);
        }
    return table;
}

void lf_spectrum_table(double *table)
{
    table = put_turns(table, 100, 3, 400);
    table = put_turns(table, 25, 3, 100);
    table = put_turns(table, 5, 4, 25);
    for (int k = 1; k <= LF_SPECTRUM_HALF / 2; k++, table += 2) {
        const double angle = 6.283185307179586 * k / LF_SPECTRUM_SAMPLES;
        table[0] = cos(angle);
        table[1] = -sin(angle);
    }
}

size_t lf_spectrum_scratch_size(void)
{
    enum { MOST_LANES = 8 };
    return 2 * LF_SPECTRUM_SAMPLES * MOST_LANES * sizeof(double) + 63;
}

lf_status lf_spectrum_f64(const lf_rows *rows, double *dst, ptrdiff_t dst_stride,
                          const double *src, ptrdiff_t src_stride, int frames,
                          const double *table, const lf_scratch *scratch)
{
    if (!rows || !dst || !src || !table || !scratch || !scratch->data || frames < 0)
        return LF_ERR_ARGUMENT;
    if (scratch->size < lf_spectrum_scratch_size()) return LF_ERR_SCRATCH;
    void *aligned = (void *)(((uintptr_t)scratch->data + 63) & ~(uintptr_t)63);
    rows->spectrum(dst, dst_stride, src, src_stride, frames, table, aligned);
    return LF_OK;
}
