/* Private: the spectrum of several frames at once, whatever the vectors are made of.
 *
 * Before it includes this, a file says what a vector of LF_LANES doubles is, one frame a lane:
 *   vec, v_set1(double), v_add, v_sub, v_mul,
 *   v_gather(vec four[4], const double *const *frames): values 0..3 of each frame,
 *   v_scatter(double *const *frames, const vec four[4], int count): the way back, for `count`
 *   frames.
 * Every lane goes through the same operations in the same order, so a frame's bits do not depend
 * on the lanes beside it or on their number.
 *
 * The 800 real samples are 400 complex ones, even samples real and odd ones imaginary. Their
 * transform is four passes of Stockham's self-sorting kind, radix 4, 4, 5, 5 (decimation in
 * frequency); the last step separates the spectra of even and odd samples and joins them.
 *
 * Table, complex numbers exp(-2 pi i a / b) in order of use: a = j p, b = 400 for p < 100 and
 * j = 1..3; b = 100 for p < 25, j = 1..3; b = 25 for p < 5, j = 1..4; then a = k, b = 800 for
 * k = 1..200. */
#ifndef LF_SPECTRUM_H
#define LF_SPECTRUM_H

#include "rows.h"

enum { LF_SPECTRUM_HALF = LF_SPECTRUM_SAMPLES / 2 };

#if defined(LF_LANES)

typedef struct complex_vec {
    vec re, im;
} complex_vec;

static inline complex_vec c_add(complex_vec a, complex_vec b)
{
    return (complex_vec){v_add(a.re, b.re), v_add(a.im, b.im)};
}

static inline complex_vec c_sub(complex_vec a, complex_vec b)
{
    return (complex_vec){v_sub(a.re, b.re), v_sub(a.im, b.im)};
}

static inline complex_vec c_times(complex_vec a, const double *w)
{
    const vec re = v_set1(w[0]), im = v_set1(w[1]);
    return (complex_vec){v_sub(v_mul(a.re, re), v_mul(a.im, im)),
                         v_add(v_mul(a.re, im), v_mul(a.im, re))};
}

/* a - i b and a + i b */
static inline complex_vec c_sub_turned(complex_vec a, complex_vec b)
{
    return (complex_vec){v_add(a.re, b.im), v_sub(a.im, b.re)};
}

static inline complex_vec c_add_turned(complex_vec a, complex_vec b)
{
    return (complex_vec){v_sub(a.re, b.im), v_add(a.im, b.re)};
}

/* One pass: blocks of `parts` numbers, `run` apart, become four numbers beside each other. */
static inline const double *pass4(complex_vec *LF_RESTRICT y, const complex_vec *LF_RESTRICT x,
                                  int parts, int run, const double *w)
{
    for (int p = 0; p < parts; p++, w += 6) {
        for (int q = 0; q < run; q++) {
            const complex_vec *from = x + q + run * p;
            complex_vec *to = y + q + run * 4 * p;
            const complex_vec a = from[0], b = from[run * parts], c = from[2 * run * parts],
                              d = from[3 * run * parts];
            const complex_vec even = c_add(a, c), odd = c_add(b, d);
            const complex_vec left = c_sub(a, c), right = c_sub(b, d);
            to[0] = c_add(even, odd);
            to[run] = c_times(c_sub_turned(left, right), w);
            to[2 * run] = c_times(c_sub(even, odd), w + 2);
            to[3 * run] = c_times(c_add_turned(left, right), w + 4);
        }
    }
    return w;
}

/* The same of five; the last pass of all rotates nothing. */
static inline const double *pass5(complex_vec *LF_RESTRICT y, const complex_vec *LF_RESTRICT x,
                                  int parts, int run, const double *w)
{
    /* cosine and sine of 72 and 144 degrees */
    const vec cos1 = v_set1(0.30901699437494745), cos2 = v_set1(-0.8090169943749475);
    const vec sin1 = v_set1(0.9510565162951535), sin2 = v_set1(0.5877852522924731);
    for (int p = 0; p < parts; p++) {
        for (int q = 0; q < run; q++) {
            const complex_vec *from = x + q + run * p;
            complex_vec *to = y + q + run * 5 * p;
            const complex_vec a = from[0], b = from[run * parts], c = from[2 * run * parts],
                              d = from[3 * run * parts], e = from[4 * run * parts];
            const complex_vec be = c_add(b, e), cd = c_add(c, d);
            const complex_vec b_e = c_sub(b, e), c_d = c_sub(c, d);
            const complex_vec m1 = {v_add(a.re, v_add(v_mul(cos1, be.re), v_mul(cos2, cd.re))),
                                    v_add(a.im, v_add(v_mul(cos1, be.im), v_mul(cos2, cd.im)))};
            const complex_vec m2 = {v_add(a.re, v_add(v_mul(cos2, be.re), v_mul(cos1, cd.re))),
                                    v_add(a.im, v_add(v_mul(cos2, be.im), v_mul(cos1, cd.im)))};
            const complex_vec n1 = {v_add(v_mul(sin1, b_e.re), v_mul(sin2, c_d.re)),
                                    v_add(v_mul(sin1, b_e.im), v_mul(sin2, c_d.im))};
            const complex_vec n2 = {v_sub(v_mul(sin2, b_e.re), v_mul(sin1, c_d.re)),
                                    v_sub(v_mul(sin2, b_e.im), v_mul(sin1, c_d.im))};
            to[0] = c_add(a, c_add(be, cd));
            to[run] = c_sub_turned(m1, n1);
            to[2 * run] = c_sub_turned(m2, n2);
            to[3 * run] = c_add_turned(m2, n2);
            to[4 * run] = c_add_turned(m1, n1);
            if (parts > 1)
                for (int j = 1; j < 5; j++) to[j * run] = c_times(to[j * run], w + 2 * (j - 1));
        }
        if (parts > 1) w += 8;
    }
    return w;
}

/* Bins k and 400 - k of the real spectrum from those of the complex one. */
static inline void part(complex_vec *low, complex_vec *high, complex_vec a, complex_vec b,
                        const double *w)
{
    const vec half = v_set1(0.5);
    const complex_vec even = {v_mul(half, v_add(a.re, b.re)), v_mul(half, v_sub(a.im, b.im))};
    const complex_vec odd = {v_mul(half, v_add(a.im, b.im)), v_mul(half, v_sub(b.re, a.re))};
    const complex_vec turned = c_times(odd, w);
    *low = c_add(even, turned);
    high->re = v_sub(even.re, turned.re);
    high->im = v_sub(turned.im, even.im);
}

static inline void part_all(double *const *dst, int count, const complex_vec *z, const double *w)
{
    enum { HALF = LF_SPECTRUM_HALF };
    const vec zero = v_set1(0.0);
    double *to[LF_LANES] = {0};
    const vec ends[4] = {v_add(z[0].re, z[0].im), zero, v_sub(z[0].re, z[0].im), zero};
    double first[LF_LANES][4], *of_ends[LF_LANES];
    for (int l = 0; l < LF_LANES; l++) of_ends[l] = first[l];
    v_scatter(of_ends, ends, LF_LANES);
    for (int l = 0; l < count; l++) {
        dst[l][0] = first[l][0];
        dst[l][1] = 0.0;
        dst[l][2 * HALF] = first[l][2];
        dst[l][2 * HALF + 1] = 0.0;
    }
    /* two bins from either end at a time; both meet at 200 */
    for (int k = 1; k < HALF / 2; k += 2, w += 4) {
        complex_vec a, b, c, d;
        part(&a, &b, z[k], z[HALF - k], w);
        part(&c, &d, z[k + 1], z[HALF - k - 1], w + 2);
        const vec low[4] = {a.re, a.im, c.re, c.im};
        const vec high[4] = {d.re, d.im, b.re, b.im};
        for (int l = 0; l < count; l++) to[l] = dst[l] + 2 * k;
        v_scatter(to, low, count);
        for (int l = 0; l < count; l++) to[l] = dst[l] + 2 * (HALF - k - 1);
        v_scatter(to, high, count);
    }
}

/* `count` frames, 1 to LF_LANES; idle lanes repeat the last. */
static inline void spectra(double *dst, ptrdiff_t dst_stride, const double *src,
                           ptrdiff_t src_stride, int count, const double *table, void *scratch)
{
    complex_vec *x = scratch, *y = x + LF_SPECTRUM_HALF;
    const double *frames[LF_LANES];
    double *rows[LF_LANES];
    for (int l = 0; l < LF_LANES; l++) {
        const int lane = l < count ? l : count - 1;
        frames[l] = (const double *)((const char *)src + lane * src_stride);
        rows[l] = (double *)((char *)dst + lane * dst_stride);
    }
    for (int n = 0; n < LF_SPECTRUM_HALF; n += 2) {
        vec four[4];
        v_gather(four, frames);
        x[n] = (complex_vec){four[0], four[1]};
        x[n + 1] = (complex_vec){four[2], four[3]};
        for (int l = 0; l < LF_LANES; l++) frames[l] += 4;
    }
    table = pass4(y, x, 100, 1, table);
    table = pass4(x, y, 25, 4, table);
    table = pass5(y, x, 5, 16, table);
    table = pass5(x, y, 1, 80, table);
    part_all(rows, count, x, table);
}

/* All frames, LF_LANES at a time. */
static inline void all_spectra(double *dst, ptrdiff_t dst_stride, const double *src,
                               ptrdiff_t src_stride, int frames, const double *table,
                               void *scratch)
{
    for (int k = 0; k < frames; k += LF_LANES)
        spectra((double *)((char *)dst + k * dst_stride), dst_stride,
                (const double *)((const char *)src + k * src_stride), src_stride,
                frames - k < LF_LANES ? frames - k : LF_LANES, table, scratch);
}

#endif
#endif
