#include "autogaze/base.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t calls, bytes, peak;

static void add_bytes(size_t n)
{
    uint64_t now = atomic_fetch_add_explicit(&bytes, n, memory_order_relaxed) + n;
    uint64_t most = atomic_load_explicit(&peak, memory_order_relaxed);
    while (now > most && !atomic_compare_exchange_weak_explicit(&peak, &most, now,
                                                                memory_order_relaxed,
                                                                memory_order_relaxed)) {
    }
}

static void drop_bytes(void *p)
{
    atomic_fetch_sub_explicit(&bytes, malloc_usable_size(p), memory_order_relaxed);
}

static void *checked(void *p, size_t size)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (!p) {
        fprintf(stderr, "autogaze-viewer: out of memory (%zu bytes)\n", size);
        abort();
    }
    add_bytes(malloc_usable_size(p));
    return p;
}

void *ag_alloc(size_t size)
{
    return checked(calloc(1, size ? size : 1), size);
}

void *ag_realloc(void *p, size_t size)
{
    drop_bytes(p);
    return checked(realloc(p, size ? size : 1), size);
}

char *ag_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(ag_alloc(n), s, n);
}

char *ag_asprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *s = ag_alloc((size_t)n + 1);
    va_start(args, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, args);
    va_end(args);
    return s;
}

void ag_free(void *p)
{
    drop_bytes(p);
    free(p);
}

uint64_t ag_alloc_count(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

uint64_t ag_alloc_bytes(void)
{
    return atomic_load_explicit(&bytes, memory_order_relaxed);
}

uint64_t ag_alloc_peak(void)
{
    return atomic_load_explicit(&peak, memory_order_relaxed);
}

bool ag_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
