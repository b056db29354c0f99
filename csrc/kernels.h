/* lipsync_fast kernels: the whole contract. C11, no Python.
 *
 * Conventions of every plane function:
 *   - `rows` first (it chooses the ISA, see lf_rows_for), then the destination, then the sources;
 *   - images, planes and scratch are structs of arguments.h, passed by const pointer; a function
 *     writes only to what is called dst or planes, and to scratch;
 *   - u8, u8x3 and u8x4 are packed pixels of 1, 3 and 4 bytes, f32p3 three float planes;
 *   - it returns a code of lf_status and never prints, allocates, locks or reads a clock;
 *   - every ISA gives the same bytes as LF_ISA_C unless the function says otherwise;
 *   - scratch comes from the caller, its size from the function beside the kernel.
 */
#ifndef LF_KERNELS_H
#define LF_KERNELS_H

#include "jpeg/jpeg.h"
#include "arguments.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- dispatch (cpu.c) ----------------------------------------------------------------- */

typedef enum lf_isa { LF_ISA_C = 0, LF_ISA_AVX2 = 1, LF_ISA_NEON = 2, LF_ISA_AVX512 = 3 } lf_isa;

typedef struct lf_rows lf_rows; /* table of row kernels, constant; rows.h */

/* The table of an ISA, or NULL where this build or this CPU lacks it. */
const lf_rows *lf_rows_for(lf_isa isa);

/* ---- memory (memory.c): the only functions here that ask the system for memory -------- */

#define LF_MEMORY_ALIGNMENT ((size_t)64) /* of every block: a cache line, and any vector */
#define LF_MEMORY_LARGE ((size_t)2 << 20) /* blocks from this size on are aligned to it */
#define LF_MEMORY_LARGE_STEP ((size_t)64 << 10) /* their sizes: whole pages of any Linux */

/* Returns a block of `size` bytes, a multiple of LF_MEMORY_ALIGNMENT and, from LF_MEMORY_LARGE
 * on, of LF_MEMORY_LARGE_STEP. Large blocks lie on huge pages where the system has them, and
 * every page has been touched once, so that later writes do not fault. NULL: the system has no
 * such memory, or the size breaks the rule. */
void *lf_memory_obtain(size_t size);

/* Gives back a block of lf_memory_obtain, with the size it was asked for; NULL is fine. */
void lf_memory_release(void *block, size_t size);

/* ---- convert -------------------------------------------------------------------------- */

/* How a model's floats and a picture's bytes correspond. */
typedef struct lf_range {
    float low, high; /* the floats that stand for the bytes 0 and 255; low < high, both finite */
    int truncate;    /* to bytes: nonzero cuts the fraction off, as the models' own scripts do;
                        zero rounds to the nearest, ties to even. Unused the other way */
    int swap;        /* nonzero: plane 0 is the third byte of a pixel and plane 2 the first */
} lf_range;

/* Converts a model's output to a picture of 3 or 4 channels and the same size:
 * byte = (value - low) * (255 / (high - low)), clamped to 0..255, then cut or rounded; NaN
 * gives 0. Every step is one float operation, so for 0..1 the bytes are those of
 * (value * 255).astype(uint8) in NumPy float32, and for -1..1 those of (value / 2 + 0.5) * 255.
 * A fourth byte becomes 255. dst and src must not overlap. */
lf_status lf_convert_f32p3_u8(const lf_rows *rows, const lf_image *dst, const lf_f32p3 *src,
                              const lf_range *range);

/* Converts a picture of 3 channels to a model's input of the same size:
 * value = byte / 255 * (high - low) + low, each step one float operation: for 0..1 the very bits
 * of float32 byte / 255, for -1..1 those of (byte / 255 - 0.5) / 0.5. Pixels of `black`, a box
 * inside the picture or NULL, become the value of byte 0. dst and src must not overlap. */
lf_status lf_convert_u8x3_f32p3(const lf_rows *rows, const lf_f32p3 *dst, const lf_image *src,
                                const lf_range *range, const lf_box *black);

/* ---- resize --------------------------------------------------------------------------- */

#define LF_RESIZE_SIDE 32767 /* the largest width or height, in pixels */

typedef enum lf_resize_filter {
    /* equal sampling, as OpenCV's: the kernel does not widen when shrinking */
    LF_RESIZE_NEAREST = 0,  /* the bytes of INTER_NEAREST */
    LF_RESIZE_BILINEAR = 1, /* pixel centres on pixel centres; the bytes of INTER_LINEAR */
    LF_RESIZE_BICUBIC = 2,  /* a = -0.75; within one level of INTER_CUBIC */
    LF_RESIZE_AREA = 3,     /* mean of the covered pixels, within one level of INTER_AREA; where
                               one side or both grow, the bytes of INTER_AREA, which is a
                               bilinear that blends only where boxes meet */
    LF_RESIZE_BILINEAR_TOPLEFT = 4, /* bilinear with pixel corners on pixel corners: x * scale */
    /* antialiased: the kernel is as wide as a destination pixel; Pillow's bytes */
    LF_RESIZE_BILINEAR_AA = 5,
    LF_RESIZE_BICUBIC_AA = 6, /* a = -0.5 */
    LF_RESIZE_LANCZOS_AA = 7  /* three lobes */
} lf_resize_filter;

/* Sampling positions and weights for one pair of sizes. Immutable once made, so threads may
 * share it; without pointers, so it may be copied or moved; aligned to 8. */
typedef struct lf_resize_plan lf_resize_plan;

/* Returns the bytes of a plan; 0 where a side is outside 1..LF_RESIZE_SIDE, the filter unknown, or
 * the part empty or not inside the destination. With a part, only that box of the destination is
 * made, the same pixels as of the whole; NULL: the whole. */
size_t lf_resize_plan_size(int src_width, int src_height, int dst_width, int dst_height,
                           lf_resize_filter filter, const lf_box *part);

/* Makes a plan in `size` bytes of the caller's memory; LF_ERR_FULL if they are too few. */
lf_status lf_resize_plan_init(lf_resize_plan *plan, size_t size, int src_width, int src_height,
                              int dst_width, int dst_height, lf_resize_filter filter,
                              const lf_box *part);

/* Returns the bytes of scratch that lf_resize_u8 needs: 0 for nearest, and for channels other
 * than 1, 3 and 4. */
size_t lf_resize_scratch_size(const lf_resize_plan *plan, int channels);

/* Resizes src to dst, both of the plan's sizes (dst: of its part) and of 1, 3 or 4 channels, each
 * resized by itself.
 * dst, src and scratch must not overlap; scratch->data may be NULL for nearest. */
lf_status lf_resize_u8(const lf_rows *rows, const lf_image *dst, const lf_image *src,
                       const lf_resize_plan *plan, const lf_scratch *scratch);

/* ---- match ---------------------------------------------------------------------------- */

/* A plane for each byte of a pixel: level + across * u + down * v is added at pixel (x, y) of
 * width x height, where u = 2x - (width - 1) and v = 2y - (height - 1) are the distances from
 * the centre in half pixels. As measured, in levels of 255: */
typedef struct lf_match_planes {
    double level[3], across[3], down[3];
} lf_match_planes;

/* and as applied, in 1/65536 of a level. */
#define LF_MATCH_BITS 16
typedef struct lf_match {
    int32_t level[3], across[3], down[3];
} lf_match;

/* Fits planes to background - patch by least squares over the ring of pixels that are less than
 * `ring` from the border, ring >= 1; a ring that reaches the centre takes all pixels. Both images
 * have 3 channels and one size. Sums are exact. */
lf_status lf_match_measure_u8x3(lf_match_planes *planes, const lf_image *patch,
                                const lf_image *background, int ring);

/* The same for a model's square output, as lf_convert_f32p3_u8 turns it into a picture.
 * scratch: 3 bytes for each pixel of a row. */
lf_status lf_match_measure_f32p3(const lf_rows *rows, lf_match_planes *planes, const lf_f32p3 *src,
                                 const lf_range *range, const lf_image *background, int ring,
                                 const lf_scratch *scratch);

/* Adds the planes to an image of 3 or 4 channels, in place, each sum rounded to the nearest (ties
 * up) and clamped; a fourth byte stays. LF_ERR_ARGUMENT where a sum could leave 31 bits. */
lf_status lf_match_u8(const lf_rows *rows, const lf_image *dst, const lf_match *match);

/* ---- patch ---------------------------------------------------------------------------- */

/* Turns a model's square output into the pixels of its rect, in one pass: the bytes of
 * lf_convert_f32p3_u8 into the middle of the crop and of lf_resize_u8 of the whole, without the
 * picture between. The plan goes from the crop's square to dst's size, so the crop's border has
 * (plan's side - src->width) / 2 pixels; only the border of `crop` is read, and where there is
 * none, crop may be NULL. match (or NULL) moves the colours of the picture in the middle before
 * it is resized, as lf_match_u8 does. dst and crop have 3 channels; dst must not overlap the
 * rest. scratch: lf_patch_scratch_size bytes. */
lf_status lf_patch_f32p3_u8x3(const lf_rows *rows, const lf_image *dst, const lf_f32p3 *src,
                              const lf_range *range, const lf_match *match, const lf_image *crop,
                              const lf_resize_plan *plan, const lf_scratch *scratch);

/* The same for a picture that is bytes already, of 3 channels. */
lf_status lf_patch_u8x3(const lf_rows *rows, const lf_image *dst, const lf_image *src,
                        const lf_match *match, const lf_image *crop, const lf_resize_plan *plan,
                        const lf_scratch *scratch);

size_t lf_patch_scratch_size(const lf_resize_plan *plan);

/* ---- blend ---------------------------------------------------------------------------- */

/* Puts the patch `src` onto the background `dst`, in place, its top left pixel at (x, y); what
 * lies outside the background is cut off, x and y may be negative or beyond it.
 * Without a mask (NULL) the patch replaces the background. With one, of the patch's size and of
 * one channel, the alpha a of a pixel mixes every byte: t = d*(255-a) + s*a + 128;
 * d = (t + (t >> 8)) >> 8, which is the rounded quotient by 255: a = 0 keeps d, a = 255 gives s.
 * Channels: equal (1, 3 or 4; the fourth byte is treated like the rest), or a patch of 3 on a
 * background of 4, whose fourth byte stays.
 * swap: nonzero exchanges the patch's first and third byte; only for a patch of 3 channels.
 * dst must not overlap src or mask. */
lf_status lf_blend_u8(const lf_rows *rows, const lf_image *dst, const lf_image *src,
                      const lf_image *mask, int x, int y, int swap);

/* ---- yuv ------------------------------------------------------------------------------ */

/* Y'CbCr in 8 bits, from the luma weights kr and kb of the standard (BT.601: 0.299, 0.114;
 * BT.709: 0.2126, 0.0722):
 *   Y = kr R + (1 - kr - kb) G + kb B,  Cb = (B - Y) / (2 - 2 kb),  Cr = (R - Y) / (2 - 2 kr);
 *   full range:    Y, Cb + 128, Cr + 128;
 *   limited range: 219/255 Y + 16, 224/255 Cb + 128, 224/255 Cr + 128.
 * Everything is integer arithmetic, rounded once to the nearest (ties up) and clamped, with
 * weights of 15 fraction bits for luma and 13 for chroma and for the way back: every result is
 * within 0.6 of the exact value. Grey has chroma 128 exactly. */
typedef enum lf_yuv_matrix { LF_BT601 = 0, LF_BT709 = 1 } lf_yuv_matrix;

typedef struct lf_yuv_space {
    lf_yuv_matrix matrix;
    int full_range; /* nonzero: full, zero: limited */
} lf_yuv_space;

/* Converts packed pixels (bgr24; swap nonzero: rgb24) to I420 of the same size. Chroma is the
 * mean of its block's pixels, at an odd right or lower edge of those that exist. dst and src
 * must not overlap. */
lf_status lf_yuv_u8x3_to_i420(const lf_rows *rows, const lf_i420 *dst, const lf_image *src,
                              const lf_yuv_space *space, int swap);

/* Converts I420 to packed pixels of the same size, bgr24 or bgra with alpha 255 (swap nonzero:
 * rgb24 or rgba): each pixel takes its block's chroma as it is. dst and src must not overlap. */
lf_status lf_yuv_i420_to_u8(const lf_rows *rows, const lf_image *dst, const lf_i420 *src,
                            const lf_yuv_space *space, int swap);

/* Puts a patch of packed pixels (bgr24; swap: rgb24) onto an I420 picture, in place, its top left
 * pixel at luma pixel (x, y), any position; what lies outside the picture is cut off. `mask` (or
 * NULL: all 255) has the patch's size and one channel, the alpha a of each pixel.
 *   luma:   the patch's luma s, rounded; t = d*(255-a) + s*a + 128; d = (t + (t >> 8)) >> 8.
 *   chroma: only blocks that the patch touches. A is the sum of the block's four alphas (0 outside
 *           the patch, an odd edge's pixels counted twice), C the alpha-weighted mean of the patch
 *           pixels' exact chroma: d = 128 + A/1020 * (C - 128) + (1 - A/1020) * (d - 128),
 *           rounded once: the chroma of the blended block where the background is flat.
 * Where all alphas of a block are 255 this gives the bytes of lf_yuv_u8x3_to_i420; where they are
 * 0 it changes nothing. dst must not overlap patch or mask. */
lf_status lf_yuv_blend_u8x3_i420(const lf_rows *rows, const lf_i420 *dst, const lf_image *patch,
                                 const lf_image *mask, int x, int y, const lf_yuv_space *space,
                                 int swap);

/* ---- spectrum ------------------------------------------------------------------------- */

enum { LF_SPECTRUM_SAMPLES = 800, LF_SPECTRUM_BINS = 401, LF_SPECTRUM_TABLE = 1190 };

/* The discrete Fourier transform of frames of 800 real samples: bins 0 to 400, complex doubles
 * (real, imaginary), X[k] = sum of x[n] exp(-2 pi i k n / 800). Strides are bytes, multiples of
 * 8; frames of src may overlap each other, dst may overlap nothing.
 * table: what lf_spectrum_table wrote, LF_SPECTRUM_TABLE doubles. A frame gives the same bits
 * alone or among others and on every ISA; nothing beyond its samples is read. */
lf_status lf_spectrum_f64(const lf_rows *rows, double *dst, ptrdiff_t dst_stride,
                          const double *src, ptrdiff_t src_stride, int frames,
                          const double *table, const lf_scratch *scratch);
void lf_spectrum_table(double *table);
size_t lf_spectrum_scratch_size(void);

/* ---- mel ------------------------------------------------------------------------------ */

/* The most bins and bands of a frame: its magnitudes and sums live on the stack. */
#define LF_MEL_MAX_BINS 1025
#define LF_MEL_MAX_BANDS 256

/* A sparse filter bank. The bands leave out the first and the last of a frame's bins:
 * 1 <= first <= end <= bins - 1. */
typedef struct lf_mel_bands {
    const int32_t *edges; /* first and end bin of every band */
    const float *weights; /* end - first of every band, one band after the other */
    int count;            /* of the bands */
} lf_mel_bands;

/* Mel columns of frames from their spectra: dst[k][b] = clip(8 (S + 100) / 100 - 4, -4, 4) with
 * S = 20 log10(max(1e-5, m)) - 20 dB and m = sum of weight x magnitude over the bins of band b.
 *
 * spectrum: one row of `bins` complex doubles (real, imaginary) a frame, of the frame as it is:
 * the periodic Hann window is applied here, as the three-tap filter that it is in frequency.
 * dst: one row of bands->count floats a frame. Strides are bytes.
 * The sum of a band is taken in a fixed order (four lanes, then (0+1) + (2+3)), so that a frame
 * gives the same bits alone or in any block and on every ISA. A NaN bin makes its bands -4. */
lf_status lf_mel_f64(const lf_rows *rows, float *dst, ptrdiff_t dst_stride, const double *spectrum,
                     ptrdiff_t spectrum_stride, int bins, const lf_mel_bands *bands, int frames);

/* ---- finish --------------------------------------------------------------------------- */

typedef enum lf_format {
    LF_FORMAT_BGR24 = 0,
    LF_FORMAT_RGB24 = 1,
    LF_FORMAT_BGRA = 2,
    LF_FORMAT_RGBA = 3,
    LF_FORMAT_I420 = 4, /* the three planes one after the other, rows packed */
    LF_FORMAT_JPEG = 5
} lf_format;

/* What all frames of a template in one output format share. */
typedef struct lf_canvas {
    lf_format format;
    int width, height;  /* of a frame, in pixels */
    int channels;       /* of packed formats: 3 or 4 */
    size_t frame_bytes; /* of packed formats and I420 */
    int view;           /* side of the model's square */
    int crop;           /* side of the stored crop; the model saw the view in its middle */
    lf_range range;     /* of the model's output; patches are bgr24 */
    lf_yuv_space space; /* where I420 is read or written */
} lf_canvas;

/* One background and where its mouth goes. Which pointers are needed follows from the format:
 * packed: pixels, or i420; I420: i420; JPEG: jpeg and what follows it. */
typedef struct lf_background {
    int x, y, width, height;    /* the rect, inside the frame; width 0: no face */
    const uint8_t *crop;        /* u8x3, rows packed; its border surrounds the model's output */
    const uint8_t *mask;        /* alpha over the rect, rows packed, or NULL */
    const lf_resize_plan *plan; /* from the view, or from the whole crop, to the rect: that part
                                   of the face's rect which lies inside the frame */
    const uint8_t *pixels;      /* bgr24 */
    ptrdiff_t stride;           /* bytes from one row of pixels to the next */
    const uint8_t *under;       /* the rect's own bgr24 pixels, rows packed, where others paint on
                                   `pixels`; else NULL */
    const uint8_t *i420;        /* flat planes */
    lf_jpeg_background jpeg;    /* the encoded background */
    lf_box box;                 /* the region round the rect, as lf_jpeg_region gives it */
    const uint8_t *region;      /* its bgr24 pixels, rows packed */
} lf_background;

/* What is put on a background. */
typedef struct lf_mouth {
    const float *output;    /* three packed planes of view x view floats, or NULL: */
    const uint8_t *picture; /* the same as bgr24, rows packed */
    const lf_match *match;  /* moves its colours, or NULL */
    int alpha;              /* 0..255 over the whole rect, on top of the background's mask */
} lf_mouth;

/* Bytes of a worker's parts that depend on the template: the largest of all backgrounds. */
typedef struct lf_worker_limits {
    size_t patch, mask, region, splice, resize;
} lf_worker_limits;

/* Scratch of one thread. */
typedef struct lf_worker {
    const lf_rows *rows;
    lf_jpeg *encoder; /* only for JPEG */
    lf_worker_limits limits;
    uint8_t *patch, *mask, *region, *splice, *resize;
} lf_worker;

/* Memory that a worker needs, and the worker over such memory, 64-byte aligned. */
size_t lf_worker_size(const lf_worker_limits *limits);
void lf_worker_init(lf_worker *worker, const lf_worker_limits *limits, const lf_rows *rows,
                    lf_jpeg *encoder, void *memory);

/* Where one frame is written. */
typedef struct lf_target {
    uint8_t *data;
    ptrdiff_t stride; /* bytes from one row to the next, of packed formats */
    size_t capacity;  /* bytes at data */
    int in_place;     /* nonzero: data, bgr24 or I420 with rows packed, is a copy of the background
                         already, which an earlier call for the same background may have painted */
    size_t length;    /* bytes written, set by lf_finish */
} lf_target;

/* Finishes one frame: puts the mouth on the background and writes the result to the target.
 * Without a mouth (NULL), at alpha 0 or without a face the background passes through and the
 * model's output is not read. LF_ERR_FULL where a JPEG does not fit. */
lf_status lf_finish(const lf_canvas *canvas, const lf_background *background,
                    const lf_mouth *mouth, const lf_worker *worker, lf_target *target);

/* Measures how the colours of a mouth differ from the background, over a ring inside the view as
 * wide as 1/32 of its side, at least 2 pixels; see lf_match_measure_f32p3. Needs the stored
 * crop. */
lf_status lf_finish_measure(const lf_canvas *canvas, const lf_background *background,
                            const lf_mouth *mouth, const lf_worker *worker,
                            lf_match_planes *planes);

#ifdef __cplusplus
}
#endif

#endif
