/* Resize and patch with NEON rows and with scalar rows, on the same random pictures: equal bytes.
 * A source ends where a page begins that may not be read; a result ends in canaries. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CANARIES = 64, CANARY = 0xA5, LARGEST = 1 << 16, GUARD = 1 << 16 };

static unsigned next_random(void)
{
    static unsigned state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state >> 4;
}

/* The end of LARGEST bytes before a forbidden page. */
static uint8_t *make_guarded(void)
{
    uint8_t *block = mmap(NULL, LARGEST + GUARD, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || mprotect(block + LARGEST, GUARD, PROT_NONE)) exit(2);
    return block + LARGEST;
}

static void need_equal(uint8_t *const out[2], size_t size, const char *what, const int *sizes)
{
    for (int i = 0; i < CANARIES; i++)
        if (out[0][size + i] != CANARY || out[1][size + i] != CANARY) {
            printf("%s: a byte past the end was written\n", what);
            exit(1);
        }
    if (memcmp(out[0], out[1], size)) {
        printf("%s %dx%d to %dx%d: NEON and scalar differ\n", what, sizes[0], sizes[1], sizes[2],
               sizes[3]);
        exit(1);
    }
}

static lf_resize_plan *make_plan(const int *s, lf_resize_filter filter)
{
    const size_t size = lf_resize_plan_size(s[0], s[1], s[2], s[3], filter, NULL);
    lf_resize_plan *plan = malloc(size);
    if (!plan || lf_resize_plan_init(plan, size, s[0], s[1], s[2], s[3], filter, NULL)) exit(2);
    return plan;
}

static void compare_resize(const lf_rows *const rows[2], uint8_t *end, const int *s, int channels,
                           lf_resize_filter filter)
{
    lf_resize_plan *plan = make_plan(s, filter);
    const size_t scratch_size = lf_resize_scratch_size(plan, channels);
    const size_t src_size = (size_t)s[0] * s[1] * channels, size = (size_t)s[2] * s[3] * channels;
    uint8_t *out[2], *src = end - src_size;
    const lf_scratch scratch = {malloc(scratch_size + 1), scratch_size};
    const lf_image from = {src, (ptrdiff_t)s[0] * channels, s[0], s[1], channels};
    for (size_t i = 0; i < src_size; i++) {
        const unsigned value = next_random();
        src[i] = (uint8_t)(value & 256 ? (value & 512 ? 255 : 0) : value);
    }
    for (int k = 0; k < 2; k++) {
        out[k] = malloc(size + CANARIES);
        memset(out[k], CANARY, size + CANARIES);
        const lf_image to = {out[k], (ptrdiff_t)s[2] * channels, s[2], s[3], channels};
        if (lf_resize_u8(rows[k], &to, &from, plan, &scratch)) exit(2);
    }
    need_equal(out, size, "resize", s);
    free(out[0]), free(out[1]), free(scratch.data), free(plan);
}

static void compare_patch(const lf_rows *const rows[2], uint8_t *end, int view, int border,
                          lf_resize_filter filter)
{
    const int side = view + 2 * border, s[4] = {side, side, 1 + side / 2, 3 + side / 3};
    const lf_range range = {-1, 1, 1, view & 1};
    lf_resize_plan *plan = make_plan(s, filter);
    const size_t scratch_size = lf_patch_scratch_size(plan), size = (size_t)s[2] * s[3] * 3;
    const size_t values = (size_t)view * view * 3;
    uint8_t *crop = malloc((size_t)side * side * 3), *out[2];
    float *planes = (float *)(void *)(end - values * sizeof(float));
    const lf_f32p3 src = {planes, view * 4, (ptrdiff_t)view * view * 4, view, view};
    const lf_image around = {crop, side * 3, side, side, 3};
    const lf_scratch scratch = {malloc(scratch_size), scratch_size};
    for (size_t i = 0; i < values; i++) planes[i] = (float)(next_random() % 4096) / 1900.0f - 1.1f;
    for (int i = 0; i < side * side * 3; i++) crop[i] = (uint8_t)next_random();
    for (int k = 0; k < 2; k++) {
        out[k] = malloc(size + CANARIES);
        memset(out[k], CANARY, size + CANARIES);
        const lf_image to = {out[k], (ptrdiff_t)s[2] * 3, s[2], s[3], 3};
        if (lf_patch_f32p3_u8x3(rows[k], &to, &src, &range, NULL, border ? &around : NULL, plan,
                                &scratch))
            exit(2);
    }
    need_equal(out, size, "patch", s);
    free(out[0]), free(out[1]), free(scratch.data), free(crop), free(plan);
}

int main(void)
{
    const lf_rows *const rows[2] = {lf_rows_for(LF_ISA_C), lf_rows_for(LF_ISA_NEON)};
    if (!rows[1]) return 2;
    uint8_t *end = make_guarded();
    int cases = 0;
    for (int round = 0; round < 120; round++)
        for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1)
            for (int filter = 0; filter <= LF_RESIZE_LANCZOS_AA; filter++, cases++) {
                const int wide = round % 10 == 0 ? 500 : 70; /* now and then many taps */
                const int s[4] = {1 + (int)(next_random() % (unsigned)wide),
                                  1 + (int)(next_random() % 30),
                                  1 + (int)(next_random() % 70), 1 + (int)(next_random() % 30)};
                const int upright[4] = {s[1], s[0], s[3], s[2]};
                compare_resize(rows, end, round & 1 ? s : upright, channels, filter);
            }
    for (int view = 1; view <= 40; view++)
        for (int filter = 0; filter <= LF_RESIZE_LANCZOS_AA; filter++, cases++)
            compare_patch(rows, end, view, view % 5, filter);
    printf("%d cases\n", cases);
    return 0;
}
