/* CPU features -> table of row kernels. The tables are constants; nothing here is mutable. */
#include "rows.h"

#if defined(LF_HAVE_AVX2)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

/* AVX2 needs the CPU's word (CPUID leaf 7) and the system's (XGETBV: it saves the ymm state). */
static int lf_cpu_has_avx2(void)
{
#if defined(_MSC_VER)
    int r[4];
    __cpuid(r, 0);
    if (r[0] < 7) return 0;
    __cpuid(r, 1);
    if (!(r[2] & (1 << 27))) return 0; /* OSXSAVE */
    if ((_xgetbv(0) & 6) != 6) return 0;
    __cpuidex(r, 7, 0);
    return (r[1] >> 5) & 1;
#else
    unsigned a, b, c, d, lo, hi;
    if (__get_cpuid_max(0, NULL) < 7) return 0;
    __cpuid(1, a, b, c, d);
    if (!(c & (1u << 27))) return 0; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    if ((lo & 6) != 6) return 0;
    __cpuid_count(7, 0, a, b, c, d);
    return (int)((b >> 5) & 1);
#endif
}

static const lf_rows lf_rows_avx2 = {
    .isa = LF_ISA_AVX2,
    /* convert */
    .convert_f32p3_u8x3 = lf_convert_f32p3_u8x3_row_avx2,
    .convert_f32p3_u8x4 = lf_convert_f32p3_u8x4_row_avx2,
    .convert_u8x3_f32p3 = lf_convert_u8x3_f32p3_row_avx2,
    /* resize */
    .resize_linear_across = lf_resize_linear_across_avx2,
    .resize_cubic_across = lf_resize_cubic_across_avx2,
    .resize_taps_across = lf_resize_taps_across_avx2,
    .resize_linear_down = lf_resize_linear_down_row_avx2,
    .resize_cubic_down = lf_resize_cubic_down_row_avx2,
    .resize_taps_down = lf_resize_taps_down_row_avx2,
    /* blend */
    .blend_u8x1 = lf_blend_u8x1_row_avx2,
    .blend_u8x3 = lf_blend_u8x3_row_avx2,
    .blend_u8x4 = lf_blend_u8x4_row_avx2,
    .blend_u8x3_u8x4 = lf_blend_u8x3_u8x4_row_avx2,
    .swap_u8x3 = lf_swap_u8x3_row_avx2,
    .paste_u8x3_u8x4 = lf_paste_u8x3_u8x4_row_avx2,
    /* match */
    .match_u8x3 = lf_match_u8x3_row_c,
    .match_u8x4 = lf_match_u8x4_row_avx2,
    /* yuv */
    .yuv_luma_u8x3 = lf_yuv_luma_u8x3_row_avx2,
    .yuv_blend_luma_u8x3 = lf_yuv_blend_luma_u8x3_row_avx2,
    .yuv_chroma_u8x3 = lf_yuv_chroma_u8x3_row_avx2,
    .yuv_blend_chroma_u8x3 = lf_yuv_blend_chroma_u8x3_row_avx2,
    .yuv_i420_to_u8x3 = lf_yuv_i420_to_u8x3_row_avx2,
    .yuv_i420_to_u8x4 = lf_yuv_i420_to_u8x4_row_avx2,
    /* mel */
    .mel = lf_mel_f64_row_avx2,
};
#endif

#if defined(LF_HAVE_NEON)
static const lf_rows lf_rows_neon = {
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
    /* mel */
    .mel = lf_mel_f64_row_c,
};
#endif

static const lf_rows lf_rows_c = {
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
    /* mel */
    .mel = lf_mel_f64_row_c,
};

const lf_rows *lf_rows_for(lf_isa isa)
{
    switch (isa) {
    case LF_ISA_C:
        return &lf_rows_c;
#if defined(LF_HAVE_AVX2)
    case LF_ISA_AVX2:
        return lf_cpu_has_avx2() ? &lf_rows_avx2 : NULL;
#endif
#if defined(LF_HAVE_NEON)
    case LF_ISA_NEON:
        return &lf_rows_neon;
#endif
    default:
        return NULL;
    }
}
