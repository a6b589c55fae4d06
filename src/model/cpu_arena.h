// Aligned arrays carved out of one allocation: run the same carving twice, first to count (base is
// NULL), then to place.
#ifndef AUTOGAZE_MODEL_CPU_ARENA_H
#define AUTOGAZE_MODEL_CPU_ARENA_H

#include "autogaze/base.h"

#define AG_ARENA_ALIGN 64

struct ag_arena {
    char *base; // aligned
    size_t used;
};

// Sizes are bounded by the config's limits, so that the sums cannot overflow.
static inline void *ag_carve(struct ag_arena *a, size_t count, size_t size)
{
    size_t at = a->used;
    a->used += AG_ALIGN_UP(count * size, (size_t)AG_ARENA_ALIGN);
    return a->base ? a->base + at : NULL;
}

// Takes what was counted. *memory is what ag_free wants.
static inline struct ag_arena ag_arena_take(struct ag_arena counted, void **memory)
{
    char *p = ag_alloc(counted.used + AG_ARENA_ALIGN);
    *memory = p;
    return (struct ag_arena){ .base = p + (AG_ARENA_ALIGN - (uintptr_t)p % AG_ARENA_ALIGN) };
}

#endif
