/* match rows for AVX2: two pixels of four bytes a register of 32-bit sums. */
#include <immintrin.h>

#include "rows.h"

void lf_match_u8x4_row_avx2(uint8_t *dst, int width, const int32_t start[3], const int32_t step[3])
{
    const __m128i first = _mm_setr_epi32(start[0], start[1], start[2], 0);
    const __m128i once = _mm_setr_epi32(step[0], step[1], step[2], 0);
    const __m256i twice = _mm256_broadcastsi128_si256(_mm_slli_epi32(once, 1));
    __m256i by = _mm256_setr_m128i(first, _mm_add_epi32(first, once));
    int x = 0;
    for (; x + 8 <= width; x += 8) {
        __m256i *at = (__m256i *)(dst + (ptrdiff_t)x * 4);
        const __m256i old = _mm256_loadu_si256(at);
        __m256i pair[4];
        for (int i = 0; i < 4; i++, by = _mm256_add_epi32(by, twice))
            pair[i] = _mm256_srai_epi32(by, LF_MATCH_BITS);
        /* packs works in halves: pixels 0 2 | 1 3 and 4 6 | 5 7, put in order as quarters */
        const __m256i low = _mm256_permute4x64_epi64(_mm256_packs_epi32(pair[0], pair[1]), 0xD8);
        const __m256i high = _mm256_permute4x64_epi64(_mm256_packs_epi32(pair[2], pair[3]), 0xD8);
        const __m256i a = _mm256_adds_epi16(
            _mm256_cvtepu8_epi16(_mm256_castsi256_si128(old)), low);
        const __m256i b = _mm256_adds_epi16(
            _mm256_cvtepu8_epi16(_mm256_extracti128_si256(old, 1)), high);
        _mm256_storeu_si256(at, _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8));
    }
    if (x < width) {
        int32_t rest[4];
        _mm_storeu_si128((__m128i *)rest, _mm256_castsi256_si128(by));
        lf_match_u8x4_row_c(dst + (ptrdiff_t)x * 4, width - x, rest, step);
    }
}
