/* lipsync_fast kernels: the whole contract. C11, no Python.
 *
 * Conventions of every plane function:
 *   - destination first, then sources: dst, dst_stride, src, src_stride, ..., width, height;
 *   - strides are bytes from one row to the next and may be negative; pixels in a row are packed;
 *   - u8x3 and u8x4 are packed 3 and 4 byte pixels, f32p3 three float planes;
 *   - a code of lf_status is returned, nothing is printed, allocated, locked or timed;
 *   - `rows` chooses the ISA (lf_rows_for); every ISA gives the same bytes as LF_ISA_C
 *     unless the function says otherwise;
 *   - scratch comes from the caller, its size from the function beside the kernel.
 */
#ifndef LF_KERNELS_H
#define LF_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lf_status {
    LF_OK = 0,
    LF_ERR_ARGUMENT = -1, /* NULL pointer, size or value out of the stated range */
    LF_ERR_SCRATCH = -2,  /* the scratch given is smaller than asked for */
    LF_ERR_FULL = -3,     /* the output does not fit the buffer given */
    LF_ERR_DATA = -4,     /* input bytes that are not what they claim to be */
    LF_ERR_MEMORY = -5    /* libjpeg got no memory for its own small parts */
} lf_status;

/* ---- dispatch (cpu.c) ---------------------------------------------------------------- */

typedef enum lf_isa { LF_ISA_C = 0, LF_ISA_AVX2 = 1, LF_ISA_NEON = 2, LF_ISA_AVX512 = 3 } lf_isa;

typedef struct lf_rows lf_rows; /* table of row kernels, constant; rows.h */

/* The table of an ISA, or NULL where this build or this CPU lacks it. */
const lf_rows *lf_rows_for(lf_isa isa);

/* ---- memory (memory.c): the only functions here that ask the system for memory ------------ */

#define LF_MEMORY_ALIGNMENT ((size_t)64)      /* of every block: a cache line, and any vector */
#define LF_MEMORY_LARGE ((size_t)2 << 20)     /* from this size on: aligned to it, huge pages advised */
#define LF_MEMORY_LARGE_STEP ((size_t)64 << 10) /* sizes of large blocks: whole pages of any Linux */

/* A block of `size` bytes, a multiple of LF_MEMORY_ALIGNMENT and, from LF_MEMORY_LARGE on, of
 * LF_MEMORY_LARGE_STEP. Large blocks have had every page touched once, so that later writes
 * fault no more. NULL: the system has no such memory, or the size breaks the rule. */
void *lf_memory_obtain(size_t size);

/* Gives back a block of lf_memory_obtain with the size it was asked for; NULL is fine. */
void lf_memory_release(void *block, size_t size);

/* ---- convert -------------------------------------------------------------------------- */

/* How a net's floats and a picture's bytes stand to each other. */
typedef struct lf_range {
    float low, high; /* the floats that stand for the bytes 0 and 255; low < high, both finite */
    int truncate;    /* to bytes: nonzero cuts the fraction off as the nets' own scripts do,
                        zero rounds to the nearest, ties to even; not used the other way */
    int swap;        /* nonzero: plane 0 is the third byte of a pixel and plane 2 the first */
} lf_range;

/* A half-open box in pixels: x0 <= x < x1, y0 <= y < y1. */
typedef struct lf_box {
    int x0, y0, x1, y1;
} lf_box;

/* Net output to picture: byte = (value - low) * (255 / (high - low)), clamped to 0..255, then
 * cut or rounded; NaN gives 0. Every step is one float operation, so for 0..1 the bytes are
 * those of (value * 255).astype(uint8) in NumPy float32, and for -1..1 those of
 * (value / 2 + 0.5) * 255.
 * src: three planes `src_plane_stride` bytes apart, rows `src_stride` bytes apart, aligned to 4.
 * The fourth byte of u8x4 becomes 255. dst and src must not overlap. */
lf_status lf_convert_f32p3_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                                const float *src, ptrdiff_t src_stride, ptrdiff_t src_plane_stride,
                                int width, int height, const lf_range *tone);
lf_status lf_convert_f32p3_u8x4(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                                const float *src, ptrdiff_t src_stride, ptrdiff_t src_plane_stride,
                                int width, int height, const lf_range *tone);

/* Picture to net input: value = byte / 255 * (high - low) + low, each step one float operation:
 * for 0..1 the very bits of float32 byte / 255, for -1..1 those of (byte / 255 - 0.5) / 0.5.
 * `black` (or NULL) is a box inside the picture that is stored as the value of byte 0.
 * dst: three planes as above, aligned to 4. dst and src must not overlap. */
lf_status lf_convert_u8x3_f32p3(const lf_rows *rows, float *dst, ptrdiff_t dst_stride,
                                ptrdiff_t dst_plane_stride, const uint8_t *src,
                                ptrdiff_t src_stride, int width, int height, const lf_range *tone,
                                const lf_box *black);

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

/* Bytes of a plan; 0 where a side is outside 1..LF_RESIZE_SIDE or the filter unknown. */
size_t lf_resize_plan_size(int src_width, int src_height, int dst_width, int dst_height,
                           lf_resize_filter filter);

/* Makes a plan in `size` bytes of the caller's memory; LF_ERR_FULL if they are too few. */
lf_status lf_resize_plan_init(lf_resize_plan *plan, size_t size, int src_width, int src_height,
                              int dst_width, int dst_height, lf_resize_filter filter);

/* Bytes of scratch that lf_resize_u8 needs, 0 for nearest and for channels other than 1, 3, 4. */
size_t lf_resize_scratch_size(const lf_resize_plan *plan, int channels);

/* Resizes src to dst, both of the plan's sizes and of `channels` bytes a pixel: 1, 3 or 4, each
 * resized by itself. dst, src and scratch must not overlap; scratch may be NULL for nearest. */
lf_status lf_resize_u8(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                       ptrdiff_t src_stride, int channels, const lf_resize_plan *plan,
                       void *scratch, size_t scratch_size);

/* ---- match ---------------------------------------------------------------------------- */

/* A plane for each byte of a pixel: what is added at pixel (x, y) of width x height ones is
 * level + across * u + down * v, with u = 2x - (width - 1) and v = 2y - (height - 1), the place
 * from the centre in half pixels. Measured, in levels of 255: */
typedef struct lf_match_planes {
    double level[3], across[3], down[3];
} lf_match_planes;

/* and to be applied, in 1/65536 of a level. */
#define LF_MATCH_BITS 16
typedef struct lf_match {
    int32_t level[3], across[3], down[3];
} lf_match;

/* Least squares planes of background - patch over the ring of pixels that are less than `ring`
 * from the border, ring >= 1; a ring that reaches the centre takes all pixels. Sums are exact. */
lf_status lf_match_measure_u8x3(lf_match_planes *planes, const uint8_t *patch,
                                ptrdiff_t patch_stride, const uint8_t *background,
                                ptrdiff_t background_stride, int width, int height, int ring);

/* The same of a net's output, as lf_convert_f32p3_u8x3 makes it a picture of view x view;
 * scratch: 3 bytes for each pixel of a row. */
lf_status lf_match_measure_f32p3(const lf_rows *rows, lf_match_planes *planes, const float *src,
                                 ptrdiff_t src_stride, ptrdiff_t src_plane_stride, int view,
                                 const lf_range *tone, const uint8_t *background,
                                 ptrdiff_t background_stride, int ring, void *scratch,
                                 size_t scratch_size);

/* Adds the planes to a picture of 3 or 4 channels, in place, each sum rounded to the nearest
 * (ties up) and clamped; a fourth byte stays. LF_ERR_ARGUMENT where a sum could leave 31 bits. */
lf_status lf_match_u8(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, int width,
                      int height, int channels, const lf_match *match);

/* ---- patch ---------------------------------------------------------------------------- */

/* A net's output to the pixels of its rect, in one pass: the bytes of lf_convert_f32p3_u8x3 into
 * the middle of the crop and lf_resize_u8 of the whole, without the picture between.
 * src: three planes of view x view floats as in lf_convert_f32p3_u8x3. crop: u8x3 of
 * view + 2 * border pixels a side; only the outer `border` pixels are read, none where border is
 * 0 and crop may be NULL. match (or NULL) moves the colours of the picture in the middle before
 * it is resized, as lf_match_u8 does. plan: from that side to dst's size. dst must not overlap
 * the rest. */
lf_status lf_patch_f32p3_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                              const float *src, ptrdiff_t src_stride, ptrdiff_t src_plane_stride,
                              int view, const lf_range *tone, const lf_match *match,
                              const uint8_t *crop, ptrdiff_t crop_stride, int border,
                              const lf_resize_plan *plan, void *scratch, size_t scratch_size);

/* The same of a picture that is bytes already, u8x3 of view x view. */
lf_status lf_patch_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                        const uint8_t *src, ptrdiff_t src_stride, int view, const lf_match *match,
                        const uint8_t *crop, ptrdiff_t crop_stride, int border,
                        const lf_resize_plan *plan, void *scratch, size_t scratch_size);

/* Bytes of scratch that both need. */
size_t lf_patch_scratch_size(const lf_resize_plan *plan);

/* ---- blend ---------------------------------------------------------------------------- */

/* Puts the patch `src` onto the background `dst`, in place, its top left pixel at (x, y); what
 * lies outside the background is cut off, x and y may be negative or beyond it.
 * Without a mask (NULL) the patch replaces the background. With one, of the patch's size, the
 * alpha a of a pixel mixes every byte: t = d*(255-a) + s*a + 128; d = (t + (t >> 8)) >> 8,
 * which is the rounded quotient by 255: a = 0 keeps d, a = 255 gives s.
 * Channels: dst_channels == src_channels (1, 3 or 4; the fourth byte is treated like the rest),
 * or 3 onto 4, where the background's fourth byte stays.
 * swap: nonzero exchanges the patch's first and third byte; only for a patch of 3 channels.
 * dst must not overlap src or mask. */
lf_status lf_blend_u8(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride, int dst_width,
                      int dst_height, int dst_channels, const uint8_t *src, ptrdiff_t src_stride,
                      int src_width, int src_height, int src_channels, const uint8_t *mask,
                      ptrdiff_t mask_stride, int x, int y, int swap);

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

/* An I420 picture: luma of every pixel, chroma of every 2x2 block. `width` and `height` count
 * luma, 1..LF_I420_MAX_SIDE; u and v have (width + 1) / 2 columns and (height + 1) / 2 rows.
 * For a region of a larger picture point at its first pixel, which must have even coordinates. */
#define LF_I420_MAX_SIDE (1 << 24)
typedef struct lf_i420 {
    uint8_t *y, *u, *v; /* only read where the picture is a source */
    ptrdiff_t y_stride, u_stride, v_stride;
    int width, height;
} lf_i420;

/* Packed pixels (bgr24; swap nonzero: rgb24) to I420. Chroma is the mean of its block's pixels,
 * at an odd right or lower edge the mean of those that exist. dst and src must not overlap. */
lf_status lf_yuv_u8x3_to_i420(const lf_rows *rows, const lf_i420 *dst, const uint8_t *src,
                              ptrdiff_t src_stride, lf_yuv_matrix matrix, int full_range, int swap);

/* I420 to packed pixels (bgr24, swap: rgb24): each pixel takes its block's chroma as it is.
 * u8x4: bgra or rgba, alpha 255. dst and src must not overlap. */
lf_status lf_yuv_i420_to_u8x3(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                              const lf_i420 *src, lf_yuv_matrix matrix, int full_range, int swap);
lf_status lf_yuv_i420_to_u8x4(const lf_rows *rows, uint8_t *dst, ptrdiff_t dst_stride,
                              const lf_i420 *src, lf_yuv_matrix matrix, int full_range, int swap);

/* Puts a patch of packed pixels (bgr24; swap: rgb24) onto an I420 picture, in place, its top left
 * pixel at luma pixel (x, y), any position; what lies outside the picture is cut off. `mask` (or
 * NULL: all 255) has the patch's size and holds the alpha a of each pixel.
 *   luma:   the patch's luma s, rounded; t = d*(255-a) + s*a + 128; d = (t + (t >> 8)) >> 8.
 *   chroma: only blocks that the patch touches. With the block's four alphas (0 outside the
 *           patch, an odd edge's pixels counted twice) and the patch pixels' exact chroma c:
 *           d = 128 + (sum(a) / 1020) * (sum(a c) / sum(a) - 128) + (1 - sum(a) / 1020) * (d - 128),
 *           rounded once: the chroma of the blended block where the background is flat.
 * Where all alphas of a block are 255 this gives the bytes of lf_yuv_u8x3_to_i420; where they are
 * 0 it changes nothing. dst must not overlap patch or mask. */
lf_status lf_yuv_blend_u8x3_i420(const lf_rows *rows, const lf_i420 *dst, const uint8_t *patch,
                                 ptrdiff_t patch_stride, const uint8_t *mask, ptrdiff_t mask_stride,
                                 int x, int y, int width, int height, lf_yuv_matrix matrix,
                                 int full_range, int swap);

/* ---- spectrum ------------------------------------------------------------------------- */

enum { LF_SPECTRUM_SAMPLES = 800, LF_SPECTRUM_BINS = 401, LF_SPECTRUM_TABLE = 1190 };

/* The discrete Fourier transform of frames of 800 real samples: bins 0 to 400, complex doubles
 * (real, imaginary), X[k] = sum of x[n] exp(-2 pi i k n / 800). Strides are bytes, multiples of
 * 8; frames of src may overlap each other, dst may overlap nothing.
 * table: what lf_spectrum_table wrote, LF_SPECTRUM_TABLE doubles. A frame gives the same bits
 * alone or among others and on every ISA; it may read no further than its samples. */
lf_status lf_spectrum_f64(const lf_rows *rows, double *dst, ptrdiff_t dst_stride,
                          const double *src, ptrdiff_t src_stride, int frames,
                          const double *table, void *scratch, size_t scratch_size);
void lf_spectrum_table(double *table);
size_t lf_spectrum_scratch_size(void);

/* ---- mel ------------------------------------------------------------------------------ */

/* The most bins and bands of a frame: its magnitudes and sums live on the stack. */
#define LF_MEL_MAX_BINS 1025
#define LF_MEL_MAX_BANDS 256

/* Mel columns of frames from their spectra: dst[k][b] = clip(8 (S + 100) / 100 - 4, -4, 4) with
 * S = 20 log10(max(1e-5, m)) - 20 dB and m = sum of weight x magnitude over the bins of band b.
 *
 * spectrum: one row of `bins` complex doubles (real, imaginary) a frame, of the frame as it is:
 * the periodic Hann window is applied here, as the three-tap filter that it is in frequency.
 * dst: one row of `bands` floats a frame. edges: first and end bin of every band, which have to
 * leave out the first and the last bin: 1 <= first <= end <= bins - 1. weights: the bands' weights
 * one after the other, end - first of each. Strides are bytes.
 * The sum of a band is taken in a fixed order (four lanes, then (0+1) + (2+3)), so that a frame
 * gives the same bits alone or in any block and on every ISA. A NaN bin makes its bands -4.
 */
lf_status lf_mel_f64(const lf_rows *rows, float *dst, ptrdiff_t dst_stride, const double *spectrum,
                     ptrdiff_t spectrum_stride, int bins, const int32_t *edges, const float *weights,
                     int bands, int frames);

/* ---- jpeg ----------------------------------------------------------------------------- */

/* Baseline JPEG with restart intervals: a header, then segments of R MCUs each, every one
 * byte-aligned, independent of the others and followed by a two byte marker: RST(k mod 8) behind
 * segment k, EOI behind the last. Offsets of n segments are n + 1 numbers: where segment k
 * starts (behind the marker before it), and the length of the file. So segments a..b-1 with
 * their markers are the bytes [offsets[a], offsets[b]). */

/* An MCU is 16x16 pixels at 4:2:0, 16x8 at 4:2:2, 8x8 at 4:4:4 and gray. */
typedef enum lf_sampling { LF_420 = 0, LF_422 = 1, LF_444 = 2, LF_GRAY = 3 } lf_sampling;

/* Order of the bytes of a pixel; the fourth byte is not looked at. */
typedef enum lf_pixels {
    LF_BGR24 = 0,
    LF_RGB24 = 1,
    LF_BGRA = 2,
    LF_RGBA = 3,
    LF_GRAY8 = 4
} lf_pixels;

enum { LF_JPEG_MAX_SIDE = 65500, LF_JPEG_MAX_REGIONS = 16, LF_JPEG_MAX_APP1 = 65533 };

/* What a JPEG's header says, or why it cannot be spliced. */
typedef struct lf_jpeg_info {
    int width, height;         /* pixels */
    lf_sampling sampling;
    int restart_interval;      /* R, in MCUs */
    int mcus_per_row, mcu_rows;
    uint32_t segments;         /* n = mcus_per_row / R * mcu_rows */
    uint32_t header_size;      /* bytes up to the first segment */
    int standard_huffman;      /* nonzero: the tables of Annex K, as lf_jpeg_create uses them */
    uint8_t quant[2][64];      /* divisors of luma and chroma in zigzag order, 1..255 */
    const char *problem;       /* with LF_ERR_DATA: what is wrong, to follow "the file ..." */
} lf_jpeg_info;

/* Name and version of the library that this was compiled with, and "(bundled)" where it is part
 * of this one. */
const char *lf_jpeg_library(void);

/* A compressor: warm after its first use, for one thread at a time. */
typedef struct lf_jpeg lf_jpeg;

/* quality 1..100 on libjpeg's scale; restart_interval 0..65535 MCUs, 0 for none.
 * NULL if a value is out of range or there is no memory. */
lf_jpeg *lf_jpeg_create(int quality, lf_sampling sampling, int restart_interval);

/* A compressor whose segments fit a background: its divisors, sampling and interval. NULL also
 * where its Huffman tables are not the standard ones. */
lf_jpeg *lf_jpeg_create_like(const lf_jpeg_info *info);
void lf_jpeg_destroy(lf_jpeg *jpeg);

/* Whole files (lf_jpeg_encode) carry an APP1 segment of these bytes, 1..LF_JPEG_MAX_APP1, directly
 * behind APP0, and are 4 + size bytes longer; NULL: none. The bytes are not copied. */
lf_status lf_jpeg_set_app1(lf_jpeg *jpeg, const uint8_t *app1, size_t size);

/* Nonzero if this compressor's segments can stand in the file that `info` describes. */
int lf_jpeg_fits(const lf_jpeg *jpeg, const lf_jpeg_info *info);

/* Width and height of an MCU in pixels. */
void lf_jpeg_mcu(lf_sampling sampling, int *width, int *height);

/* Bytes that hold a JPEG of this size with any restart interval, black and white noise at
 * quality 100 included; encoding checks the capacity all the same. 0 if a value is out of range. */
size_t lf_jpeg_bound(int width, int height, lf_sampling sampling);

/* A whole picture to a whole file, byte for byte what libjpeg's defaults give. Sides 1..65500.
 * LF_ERR_FULL if `capacity` is too small; nothing is written beyond it. */
lf_status lf_jpeg_encode(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                         const uint8_t *src, ptrdiff_t src_stride, lf_pixels pixels, int width,
                         int height);

/* Reads and checks a header, touching nothing behind it; restart intervals that wrap from a row
 * of MCUs to the next are refused. LF_ERR_DATA with info->problem set where it is not as above. */
lf_status lf_jpeg_read_header(const uint8_t *data, size_t size, lf_jpeg_info *info);

/* The same, and checks every marker of the file. `offsets` has room for `room` numbers;
 * LF_ERR_FULL if info->segments + 1 do not fit (nothing is written then). */
lf_status lf_jpeg_index(const uint8_t *data, size_t size, lf_jpeg_info *info, uint32_t *offsets,
                        size_t room);

/* The region round a rect: the smallest box of whole segments that holds it, cut off at the
 * picture's right and bottom edge. `rect` may reach over the edges; an empty intersection gives
 * an empty region (0, 0, 0, 0). restart_interval divides the MCUs of a row. */
lf_status lf_jpeg_region(const lf_box *rect, int width, int height, lf_sampling sampling,
                         int restart_interval, lf_box *region);

/* An encoded background, as lf_jpeg_index gave it. */
typedef struct lf_jpeg_background {
    const uint8_t *data;
    size_t size;
    const uint32_t *offsets;
    int width, height;
} lf_jpeg_background;

/* The new pixels of one region, without any outside it. */
typedef struct lf_jpeg_region_pixels {
    lf_box box; /* as lf_jpeg_region gives it */
    const uint8_t *src;
    ptrdiff_t src_stride;
    lf_pixels pixels;
} lf_jpeg_region_pixels;

/* A finished file: the background's header and segments, but for those of `count` (0 to
 * LF_JPEG_MAX_REGIONS) regions that do not overlap, which are encoded from their pixels. Byte for
 * byte what lf_jpeg_encode gives for the picture with the regions' pixels in it, if the
 * compressor fits the background.
 * scratch: lf_jpeg_bound of every region's size, summed up; LF_ERR_SCRATCH if that is too little.
 * capacity: the background's size and that sum are enough; LF_ERR_FULL if it is too little.
 * Offsets that do not ascend within the background's size give LF_ERR_DATA. */
lf_status lf_jpeg_splice(lf_jpeg *jpeg, uint8_t *dst, size_t capacity, size_t *length,
                         const lf_jpeg_background *background,
                         const lf_jpeg_region_pixels *regions, int count, uint8_t *scratch,
                         size_t scratch_size);

/* A file to bgr24 pixels, or to gray ones where it has one component. width and height are those
 * of its header, else LF_ERR_DATA; so for bytes that are damaged. */
lf_status lf_jpeg_decode(uint8_t *dst, ptrdiff_t dst_stride, int width, int height,
                         const uint8_t *data, size_t size);

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
    int width, height;    /* of a frame, in pixels */
    int channels;         /* of packed formats: 3 or 4 */
    size_t frame_bytes;   /* of packed formats and I420 */
    int view, border;     /* side of the net's square; pixels of the crop round it in the patch */
    int crop;             /* side of the stored crop, whose middle is what the net saw */
    lf_range tone;         /* of the net's output; patches are bgr24 */
    lf_yuv_matrix matrix; /* where I420 is read or written */
    int full_range;
} lf_canvas;

/* One background and where its mouth goes. Which pointers are needed follows from the format:
 * packed: pixels, or i420; I420: i420; JPEG: jpeg and what follows it. */
typedef struct lf_background {
    int x, y, width, height;    /* the rect, inside the frame; width 0: no face */
    const uint8_t *crop;        /* u8x3, rows packed; its border surrounds the net's output */
    const uint8_t *mask;        /* alpha over the rect, rows packed, or NULL */
    const lf_resize_plan *plan; /* crop to rect */
    const uint8_t *pixels;      /* bgr24 */
    ptrdiff_t stride;           /* bytes from one row of pixels to the next */
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

/* Finishes one frame: the mouth is put on the background and the result written to dst. Without
 * a mouth (NULL), at alpha 0 or without a face the background passes through, and the output is
 * not read. dst_stride: of packed formats. capacity: of dst, in bytes. in_place: nonzero where
 * dst, bgr24 or I420 with rows packed, is a copy of the background already, which may have been
 * painted on by an earlier call for the same background. *length: bytes written.
 * LF_ERR_FULL where a JPEG does not fit. */
lf_status lf_finish(const lf_canvas *canvas, const lf_background *background,
                    const lf_mouth *mouth, lf_worker *worker, uint8_t *dst, ptrdiff_t dst_stride,
                    size_t capacity, int in_place, size_t *length);

/* How the colours of a mouth differ from the background, over a ring inside the view as wide
 * as 1/32 of its side, at least 2 pixels; see lf_match_measure_f32p3. Needs the stored crop. */
lf_status lf_finish_measure(const lf_canvas *canvas, const lf_background *background,
                            const lf_mouth *mouth, lf_worker *worker, lf_match_planes *planes);

#ifdef __cplusplus
}
#endif

#endif
