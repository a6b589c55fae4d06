// Reading golden-vector files: tensors by name with the expected type and shape, as aligned copies
// that live as long as the file.
#ifndef AUTOGAZE_BENCH_VERIFY_VECTORS_H
#define AUTOGAZE_BENCH_VERIFY_VECTORS_H

#include "autogaze/model.h"

#define AG_ANY UINT32_MAX // a size that is not prescribed

struct ag_vectors {
    const char *path;
    struct ag_safetensors *file;
    void **copies;
    uint32_t n_copies;
};

bool ag_vectors_open(struct ag_vectors *v, const char *path, struct ag_error *err);
void ag_vectors_close(struct ag_vectors *v);
// Whether PREFIX + NAME is there.
bool ag_vectors_has(const struct ag_vectors *v, const char *prefix, const char *name);
// NULL and *err if it is missing or of another type or shape. The copy is freed with the file.
const void *ag_vectors_get(struct ag_vectors *v, const char *prefix, const char *name,
                           enum ag_dtype dtype, uint32_t rank, const uint32_t *shape,
                           const struct ag_safetensors_entry **entry, struct ag_error *err);
#define AG_SHAPE(...) (uint32_t)AG_COUNT(((uint32_t[]){ __VA_ARGS__ })), (uint32_t[]){ __VA_ARGS__ }

#endif
