/* Blocks of memory for the buffer pool: aligned, large ones on huge pages and touched once. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* MAP_ANONYMOUS, MADV_HUGEPAGE */
#endif
#include <stdlib.h>

#if defined(_WIN32)
#include <malloc.h>
#elif defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels.h"

#if !defined(__linux__)
static size_t alignment_of(size_t size)
{
    return size < LF_MEMORY_LARGE ? LF_MEMORY_ALIGNMENT : LF_MEMORY_LARGE;
}
#endif

/* Writes once to every page: the system hands out zero pages at the first touch, better here than
 * on the frame path. 4096 is the smallest page of the systems we know; a larger page is merely
 * touched more than once. */
static void touch(uint8_t *block, size_t size)
{
    for (size_t i = 0; i < size; i += 4096) ((volatile uint8_t *)block)[i] = 0;
}

#if defined(__linux__)
/* Maps one alignment more than asked for, as a mapping may start at any page, and gives back both
 * ends. */
static void *map_aligned(size_t size)
{
    if (size > SIZE_MAX - LF_MEMORY_LARGE) return NULL;
    size_t span = size + LF_MEMORY_LARGE;
    uint8_t *start = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    size_t head = (size_t)(-(uintptr_t)start & (LF_MEMORY_LARGE - 1));
    size_t tail = span - head - size;
    if (head) munmap(start, head);
    if (tail) munmap(start + head + size, tail);
#if defined(MADV_HUGEPAGE)
    /* advice only: a system without huge pages serves small ones */
    madvise(start + head, size, MADV_HUGEPAGE);
#endif
    return start + head;
}
#endif

void *lf_memory_obtain(size_t size)
{
    void *block = NULL;
    if (size == 0 || size % LF_MEMORY_ALIGNMENT) return NULL;
#if defined(__linux__)
    if (size >= LF_MEMORY_LARGE) {
        if (size % LF_MEMORY_LARGE_STEP) return NULL;
        block = map_aligned(size);
    } else {
        block = aligned_alloc(LF_MEMORY_ALIGNMENT, size);
    }
#elif defined(_WIN32)
    block = _aligned_malloc(size, alignment_of(size));
#else
    if (posix_memalign(&block, alignment_of(size), size)) block = NULL;
#endif
    if (block && size >= LF_MEMORY_LARGE) touch(block, size);
    return block;
}

void lf_memory_release(void *block, size_t size)
{
    if (!block) return;
#if defined(__linux__)
    if (size >= LF_MEMORY_LARGE)
        munmap(block, size);
    else
        free(block);
#elif defined(_WIN32)
    (void)size;
    _aligned_free(block);
#else
    (void)size;
    free(block);
#endif
}
