/* The spectrum with NEON rows and with scalar rows: equal bits, nothing written past the end. */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 9, ROUNDS = 130, CANARIES = 64, CANARY = 0xA5 };

static double next_random(void)
{
    static unsigned state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (double)(state >> 8) / (1 << 23) - 1.0;
}

int main(void)
{
    const lf_rows *rows[2] = { lf_rows_for(LF_ISA_C), lf_rows_for(LF_ISA_NEON) };
    static double table[LF_SPECTRUM_TABLE], frames[MOST * LF_SPECTRUM_SAMPLES];
    const size_t room = lf_spectrum_scratch_size();
    const lf_scratch scratch = { malloc(room), room };
    int compared = 0;
    if (!rows[0] || !rows[1] || !scratch.data) return 2;
    lf_spectrum_table(table);
    for (int round = 0; round < ROUNDS; round++)
        for (int count = 1; count <= MOST; count++, compared++) {
            const size_t size = (size_t)count * LF_SPECTRUM_BINS * 2 * sizeof(double);
            uint8_t *out[2];
            for (int i = 0; i < count * LF_SPECTRUM_SAMPLES; i++) frames[i] = next_random();
            for (int k = 0; k < 2; k++) {
                out[k] = malloc(size + CANARIES);
                if (!out[k]) return 2;
                memset(out[k], CANARY, size + CANARIES);
                if (lf_spectrum_f64(rows[k], (double *)out[k],
                                    LF_SPECTRUM_BINS * 2 * sizeof(double), frames,
                                    LF_SPECTRUM_SAMPLES * sizeof(double), count, table,
                                    &scratch) != LF_OK)
                    return 1;
            }
            if (memcmp(out[0], out[1], size + CANARIES)) {
                printf("%d frames: NEON and scalar differ\n", count);
                return 1;
            }
            for (int i = 0; i < CANARIES; i++)
                if (out[0][size + (size_t)i] != CANARY) return 1;
            free(out[0]);
            free(out[1]);
        }
    free(scratch.data);
    printf("%d calls compared\n", compared);
    return 0;
}
