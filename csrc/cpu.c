/* CPU features -> table of row kernels. The tables are constants; nothing here is mutable. */
#include "rows.h"

#if defined(LF_HAVE_AVX2)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

/* Words of CPUID leaf 7, which list the instructions there are, and XGETBV's word, which lists the
 * registers that the system saves; zeros where either cannot be asked. */
typedef struct cpu_words {
    unsigned ebx, ecx, saved;
} cpu_words;

static cpu_words ask_cpu(void)
{
    cpu_words cpu = {0, 0, 0};
#if defined(_MSC_VER)
    int r[4];
    __cpuid(r, 0);
    if (r[0] < 7) return cpu;
    __cpuid(r, 1);
    if (!(r[2] & (1 << 27))) return cpu; /* OSXSAVE */
    cpu.saved = (unsigned)_xgetbv(0);
    __cpuidex(r, 7, 0);
    cpu.ebx = (unsigned)r[1];
    cpu.ecx = (unsigned)r[2];
#else
    unsigned a, b, c, d, lo, hi;
    if (__get_cpuid_max(0, NULL) < 7) return cpu;
    __cpuid(1, a, b, c, d);
    if (!(c & (1u << 27))) return cpu; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    cpu.saved = lo;
    __cpuid_count(7, 0, a, b, c, d);
    cpu.ebx = b;
    cpu.ecx = c;
#endif
    return cpu;
}

static int all_set(unsigned word, unsigned bits)
{
    return (word & bits) == bits;
}

static int has_avx2(void)
{
    const cpu_words cpu = ask_cpu();
    return all_set(cpu.saved, 0x06 /* xmm, ymm */) && all_set(cpu.ebx, 1u << 5);
}

#if defined(LF_HAVE_AVX512)
/* F, DQ, BW, VL in ebx, VBMI and VNNI in ecx: Ice Lake, Zen 4 and later. */
static int has_avx512(void)
{
    const cpu_words cpu = ask_cpu();
    return all_set(cpu.saved, 0xe6 /* xmm, ymm, masks, zmm */) &&
           all_set(cpu.ebx, 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) &&
           all_set(cpu.ecx, 1u << 1 | 1u << 11);
}
#endif

/* Rows that both tables share: AVX-512 has its own only where that pays. */
#define LF_ROWS_OF_AVX2 \
    .convert_u8x3_f32p3 = lf_convert_u8x3_f32p3_row_avx2, \
    .resize_taps_across = lf_resize_taps_across_avx2, \
    .resize_taps_down = lf_resize_taps_down_row_avx2, \
    .blend_u8x1 = lf_blend_u8x1_row_avx2, \
    .blend_u8x3 = lf_blend_u8x3_row_avx2, \
    .blend_u8x4 = lf_blend_u8x4_row_avx2, \
    .blend_u8x3_u8x4 = lf_blend_u8x3_u8x4_row_avx2, \
    .swap_u8x3 = lf_swap_u8x3_row_avx2, \
    .paste_u8x3_u8x4 = lf_paste_u8x3_u8x4_row_avx2, \
    .match_u8x3 = lf_match_u8x3_row_c, \
    .match_u8x4 = lf_match_u8x4_row_avx2, \
    .yuv_luma_u8x3 = lf_yuv_luma_u8x3_row_avx2, \
    .yuv_blend_luma_u8x3 = lf_yuv_blend_luma_u8x3_row_avx2, \
    .yuv_chroma_u8x3 = lf_yuv_chroma_u8x3_row_avx2, \
    .yuv_blend_chroma_u8x3 = lf_yuv_blend_chroma_u8x3_row_avx2, \
    .yuv_i420_to_u8x3 = lf_yuv_i420_to_u8x3_row_avx2, \
    .yuv_i420_to_u8x4 = lf_yuv_i420_to_u8x4_row_avx2, \
    .mel = lf_mel_f64_row_avx2

static const lf_rows rows_avx2 = {
    .isa = LF_ISA_AVX2,
    .convert_f32p3_u8x3 = lf_convert_f32p3_u8x3_row_avx2,
    .convert_f32p3_u8x4 = lf_convert_f32p3_u8x4_row_avx2,
    .resize_linear_across = lf_resize_linear_across_avx2,
    .resize_cubic_across = lf_resize_cubic_across_avx2,
    .resize_linear_down = lf_resize_linear_down_row_avx2,
    .resize_cubic_down = lf_resize_cubic_down_row_avx2,
    .spectrum = lf_spectrum_f64_rows_avx2,
    LF_ROWS_OF_AVX2,
};

#if defined(LF_HAVE_AVX512)
static const lf_rows rows_avx512 = {
    .isa = LF_ISA_AVX512,
    .convert_f32p3_u8x3 = lf_convert_f32p3_u8x3_row_avx512,
    .convert_f32p3_u8x4 = lf_convert_f32p3_u8x4_row_avx512,
    .resize_linear_across = lf_resize_linear_across_avx512,
    .resize_cubic_across = lf_resize_cubic_across_avx512,
    .resize_linear_down = lf_resize_linear_down_row_avx512,
    .resize_cubic_down = lf_resize_cubic_down_row_avx512,
    .spectrum = lf_spectrum_f64_rows_avx512,
    LF_ROWS_OF_AVX2,
};
#endif
#endif

#if defined(LF_HAVE_NEON)
static const lf_rows rows_neon = {
    .isa = LF_ISA_NEON,
    /* convert */
    .convert_f32p3_u8x3 = lf_convert_f32p3_u8x3_row_neon,
    .convert_f32p3_u8x4 = lf_convert_f32p3_u8x4_row_neon,
    .convert_u8x3_f32p3 = lf_convert_u8x3_f32p3_row_neon,
    /* resize */
    .resize_linear_across = lf_resize_linear_across_neon,
    .resize_cubic_across = lf_resize_cubic_across_neon,
    .resize_taps_across = lf_resize_taps_across_neon,
    .resize_linear_down = lf_resize_linear_down_row_neon,
    .resize_cubic_down = lf_resize_cubic_down_row_neon,
    .resize_taps_down = lf_resize_taps_down_row_neon,
    /* blend */
    .blend_u8x1 = lf_blend_u8x1_row_neon,
    .blend_u8x3 = lf_blend_u8x3_row_neon,
    .blend_u8x4 = lf_blend_u8x4_row_neon,
    .blend_u8x3_u8x4 = lf_blend_u8x3_u8x4_row_neon,
    .swap_u8x3 = lf_swap_u8x3_row_neon,
    .paste_u8x3_u8x4 = lf_paste_u8x3_u8x4_row_neon,
    /* match */
    .match_u8x3 = lf_match_u8x3_row_c,
    .match_u8x4 = lf_match_u8x4_row_c,
    /* yuv */
    .yuv_luma_u8x3 = lf_yuv_luma_u8x3_row_neon,
    .yuv_blend_luma_u8x3 = lf_yuv_blend_luma_u8x3_row_neon,
    .yuv_chroma_u8x3 = lf_yuv_chroma_u8x3_row_neon,
    .yuv_blend_chroma_u8x3 = lf_yuv_blend_chroma_u8x3_row_neon,
    .yuv_i420_to_u8x3 = lf_yuv_i420_to_u8x3_row_neon,
    .yuv_i420_to_u8x4 = lf_yuv_i420_to_u8x4_row_neon,
    /* spectrum */
    .spectrum = lf_spectrum_f64_rows_neon,
    /* mel */
    .mel = lf_mel_f64_row_c,
};
#endif

static const lf_rows rows_c = {
    .isa = LF_ISA_C,
    /* convert */
    .convert_f32p3_u8x3 = lf_convert_f32p3_u8x3_row_c,
    .convert_f32p3_u8x4 = lf_convert_f32p3_u8x4_row_c,
    .convert_u8x3_f32p3 = lf_convert_u8x3_f32p3_row_c,
    /* resize */
    .resize_linear_across = lf_resize_linear_across_c,
    .resize_cubic_across = lf_resize_cubic_across_c,
    .resize_taps_across = lf_resize_taps_across_c,
    .resize_linear_down = lf_resize_linear_down_row_c,
    .resize_cubic_down = lf_resize_cubic_down_row_c,
    .resize_taps_down = lf_resize_taps_down_row_c,
    /* blend */
    .blend_u8x1 = lf_blend_u8x1_row_c,
    .blend_u8x3 = lf_blend_u8x3_row_c,
    .blend_u8x4 = lf_blend_u8x4_row_c,
    .blend_u8x3_u8x4 = lf_blend_u8x3_u8x4_row_c,
    .swap_u8x3 = lf_swap_u8x3_row_c,
    .paste_u8x3_u8x4 = lf_paste_u8x3_u8x4_row_c,
    /* match */
    .match_u8x3 = lf_match_u8x3_row_c,
    .match_u8x4 = lf_match_u8x4_row_c,
    /* yuv */
    .yuv_luma_u8x3 = lf_yuv_luma_u8x3_row_c,
    .yuv_blend_luma_u8x3 = lf_yuv_blend_luma_u8x3_row_c,
    .yuv_chroma_u8x3 = lf_yuv_chroma_u8x3_row_c,
    .yuv_blend_chroma_u8x3 = lf_yuv_blend_chroma_u8x3_row_c,
    .yuv_i420_to_u8x3 = lf_yuv_i420_to_u8x3_row_c,
    .yuv_i420_to_u8x4 = lf_yuv_i420_to_u8x4_row_c,
    /* spectrum */
    .spectrum = lf_spectrum_f64_rows_c,
    /* mel */
    .mel = lf_mel_f64_row_c,
};

const lf_rows *lf_rows_for(lf_isa isa)
{
    switch (isa) {
    case LF_ISA_C:
        return &rows_c;
#if defined(LF_HAVE_AVX2)
    case LF_ISA_AVX2:
        return has_avx2() ? &rows_avx2 : NULL;
#endif
#if defined(LF_HAVE_AVX512)
    case LF_ISA_AVX512:
        return has_avx512() ? &rows_avx512 : NULL;
#endif
#if defined(LF_HAVE_NEON)
    case LF_ISA_NEON:
        return &rows_neon;
#endif
    default:
        return NULL;
    }
}
