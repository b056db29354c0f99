/* Blocks of memory for the buffer pool: aligned, large ones on huge pages and touched once. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* MAP_ANONYMOUS, MADV_HUGEPAGE */
#endif
#include "kernels.h"

#include <stdlib.h>

#if defined(_WIN32)
#include <malloc.h>
#elif defined(__linux__)
#include <sys/mman.h>
#endif

#if !defined(__linux__)
static size_t lf_memory_alignment(size_t size)
{
    return size < LF_MEMORY_LARGE ? LF_MEMORY_ALIGNMENT : LF_MEMORY_LARGE;
}
#endif

/* One write a page: the kernel hands out zero pages at the first touch, better here than on the
 * frame path. 4096 is the smallest page of the systems we know; smaller steps are only slower. */
static void lf_memory_touch(uint8_t *block, size_t size)
{
    for (size_t i = 0; i < size; i += 4096) ((volatile uint8_t *)block)[i] = 0;
}

#if defined(__linux__)
/* A mapping starts at any page, so one alignment more is mapped and both ends are given back. */
static void *lf_memory_map(size_t size)
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
    madvise(start + head, size, MADV_HUGEPAGE); /* advice: a kernel without huge pages serves small ones */
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
        block = lf_memory_map(size);
    } else {
        block = aligned_alloc(LF_MEMORY_ALIGNMENT, size);
    }
#elif defined(_WIN32)
    block = _aligned_malloc(size, lf_memory_alignment(size));
#else
    if (posix_memalign(&block, lf_memory_alignment(size), size)) block = NULL;
#endif
    if (block && size >= LF_MEMORY_LARGE) lf_memory_touch(block, size);
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
