/* The yuv functions with NEON rows and with scalar rows, on the same random planes: equal bytes.
 * Every buffer is a block of its own, of just the size needed, and ends in canaries. */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANARIES = 64, CANARY = 0xA5, WIDEST = 70, ROUNDS = 30 };

static unsigned next_random(void)
{
    static unsigned state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state >> 4;
}

/* Two equal random blocks: one for each ISA. extremes: half of the bytes are 0 or 255. */
static void make_twins(uint8_t *twin[2], size_t size, int extremes)
{
    for (int k = 0; k < 2; k++) {
        twin[k] = malloc(size + CANARIES);
        if (!twin[k]) exit(2);
        memset(twin[k] + size, CANARY, CANARIES);
    }
    for (size_t i = 0; i < size; i++) {
        unsigned value = next_random();
        twin[0][i] = (uint8_t)(extremes && value & 256 ? (value & 512 ? 255 : 0) : value);
    }
    memcpy(twin[1], twin[0], size);
}

static void need_equal(uint8_t *twin[2], size_t size, const char *what, int width, int height)
{
    for (int i = 0; i < CANARIES; i++)
        if (twin[0][size + i] != CANARY || twin[1][size + i] != CANARY) {
            printf("%s %dx%d: a byte past the end was written\n", what, width, height);
            exit(1);
        }
    if (memcmp(twin[0], twin[1], size)) {
        printf("%s %dx%d: NEON and scalar differ\n", what, width, height);
        exit(1);
    }
}

static void compare(const lf_rows *const rows[2], int width, int height, int round)
{
    const lf_yuv_space space = {round & 1, round >> 1 & 1};
    const int swap = round >> 2 & 1;
    const int x = (int)(next_random() % 5) - 2, y = (int)(next_random() % 5) - 2;
    const int half_width = (width + 1) / 2, half_height = (height + 1) / 2;
    const size_t luma = (size_t)width * height, chroma = (size_t)half_width * half_height;
    uint8_t *planes[3][2], *pixels[2], *mask[2], *out3[2], *out4[2];
    for (int p = 0; p < 3; p++) make_twins(planes[p], p ? chroma : luma, round % 3);
    make_twins(pixels, 3 * luma, round % 3);
    make_twins(mask, luma, 1);
    make_twins(out3, 3 * luma, 0);
    make_twins(out4, 4 * luma, 0);
    for (int k = 0; k < 2; k++) {
        const lf_i420 picture = {planes[0][k], planes[1][k], planes[2][k], width,
                                 half_width,   half_width,   width,        height};
        const lf_image to3 = {out3[k], 3 * width, width, height, 3};
        const lf_image to4 = {out4[k], 4 * width, width, height, 4};
        const lf_image patch = {pixels[k], 3 * width, width, height, 3};
        const lf_image alpha = {mask[k], width, width, height, 1};
        int status = lf_yuv_i420_to_u8(rows[k], &to3, &picture, &space, swap);
        status |= lf_yuv_i420_to_u8(rows[k], &to4, &picture, &space, swap);
        status |= lf_yuv_blend_u8x3_i420(rows[k], &picture, &patch, round % 4 ? &alpha : NULL, x, y,
                                         &space, swap);
        if (status != LF_OK) exit(2);
    }
    need_equal(out3, 3 * luma, "i420 to u8x3", width, height);
    need_equal(out4, 4 * luma, "i420 to u8x4", width, height);
    for (int p = 0; p < 3; p++) need_equal(planes[p], p ? chroma : luma, "blend", width, height);
    for (int k = 0; k < 2; k++) {
        const lf_i420 picture = {planes[0][k], planes[1][k], planes[2][k], width,
                                 half_width,   half_width,   width,        height};
        const lf_image from = {pixels[k], 3 * width, width, height, 3};
        if (lf_yuv_u8x3_to_i420(rows[k], &picture, &from, &space, swap)) exit(2);
    }
    for (int p = 0; p < 3; p++) need_equal(planes[p], p ? chroma : luma, "to i420", width, height);
    uint8_t **const all[] = {planes[0], planes[1], planes[2], pixels, mask, out3, out4};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int k = 0; k < 2; k++) free(all[i][k]);
}

int main(void)
{
    const lf_rows *const rows[2] = {lf_rows_for(LF_ISA_C), lf_rows_for(LF_ISA_NEON)};
    if (!rows[1]) return 2;
    int cases = 0;
    for (int width = 1; width <= WIDEST; width++)
        for (int round = 0; round < ROUNDS; round++, cases++)
            compare(rows, width, 1 + (int)(next_random() % 6), round);
    printf("%d cases\n", cases);
    return 0;
}
