/* lf_jpeg_splice with what its callers never hand it: every misfit has a code of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

enum { WIDTH = 96, HEIGHT = 64, SEGMENTS = 6 * 4 };

static uint8_t pixels[WIDTH * HEIGHT * 3], file[1 << 16], out[1 << 16], room[1 << 17];
static uint32_t offsets[SEGMENTS + 1];

static lf_jpeg_region_pixels region(int x, int y, int width, int height)
{
    return (lf_jpeg_region_pixels){x, y, {pixels, WIDTH * 3, width, height, 3}, LF_BGR24};
}

static lf_status splice(lf_jpeg *jpeg, const lf_jpeg_background *background,
                        const lf_jpeg_region_pixels *regions, int count)
{
    const lf_scratch scratch = {room, sizeof room};
    size_t length = 0;
    return lf_jpeg_splice(jpeg, out, sizeof out, &length, background, regions, count, &scratch);
}

static int failures;

static void expect(const char *what, lf_status got, lf_status wanted)
{
    if (got == wanted) return;
    printf("%s: %d, not %d\n", what, got, wanted);
    failures++;
}

int main(void)
{
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7 + i / 999);
    lf_jpeg *jpeg = lf_jpeg_create(75, LF_420, 1);
    const lf_image picture = {pixels, WIDTH * 3, WIDTH, HEIGHT, 3};
    size_t length = 0;
    lf_jpeg_info info;
    if (!jpeg || lf_jpeg_encode(jpeg, file, sizeof file, &length, &picture, LF_BGR24) != LF_OK ||
        lf_jpeg_index(file, length, &info, offsets, SEGMENTS + 1) != LF_OK)
        return 2;
    lf_jpeg_background background = {file, length, offsets, info.segments, WIDTH, HEIGHT};
    const lf_jpeg_region_pixels apart[] = {region(64, 16, 32, 32), region(0, 0, 32, 32)};
    expect("regions side by side", splice(jpeg, &background, apart, 2), LF_OK);
    const lf_jpeg_region_pixels same[] = {region(16, 16, 32, 32), region(16, 16, 32, 32)};
    expect("a region twice", splice(jpeg, &background, same, 2), LF_ERR_ARGUMENT);
    const lf_jpeg_region_pixels cross[] = {region(32, 0, 32, 48), region(16, 32, 32, 16)};
    expect("regions that overlap", splice(jpeg, &background, cross, 2), LF_ERR_ARGUMENT);
    const lf_jpeg_region_pixels one[] = {region(16, 16, 32, 32)};
    for (uint32_t segments = 0; segments < 2 * SEGMENTS; segments++) {
        background.segments = segments;
        /* As many offsets as it states, so that a tool sees any read beyond them. */
        uint32_t *few = malloc((segments + 1) * sizeof *few);
        if (!few) return 2;
        for (uint32_t k = 0; k <= segments; k++) few[k] = offsets[k < SEGMENTS ? k : SEGMENTS];
        background.offsets = few;
        expect("another number of segments", splice(jpeg, &background, one, 1),
               segments == SEGMENTS ? LF_OK : LF_ERR_DATA);
        free(few);
    }
    background.offsets = offsets;
    background.segments = SEGMENTS;
    background.size--;
    expect("a file cut short", splice(jpeg, &background, one, 1), LF_ERR_DATA);
    background.size++;
    lf_jpeg_destroy(jpeg);
    return failures != 0;
}
