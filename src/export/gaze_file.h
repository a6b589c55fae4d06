// Named arrays into a .safetensors or .npz file, one after the other, without holding any of them
// in memory: each is produced by a function, element by element.
#ifndef AG_EXPORT_GAZE_FILE_H
#define AG_EXPORT_GAZE_FILE_H

#include "autogaze/base.h"

enum array_type { ARRAY_I64, ARRAY_F32, ARRAY_BOOL };
#define ARRAY_MAX_RANK 3

struct sink; // where the elements go

struct array {
    char name[64];
    enum array_type type;
    uint32_t rank;
    uint64_t shape[ARRAY_MAX_RANK];
    // Puts exactly the product of the shape; called more than once.
    void (*produce)(const void *owner, uint32_t index, struct sink *sink);
    uint32_t index;       // for produce
    const char *metadata; // constants: what safetensors says under __metadata__ instead; else NULL
};

void sink_i64(struct sink *sink, int64_t value);
void sink_f32(struct sink *sink, float value);
void sink_bool(struct sink *sink, bool value);

uint64_t array_bytes(const struct array *array);
// Arrays without `metadata` must come in the order I64, F32, BOOL: safetensors data is aligned so.
void write_safetensors(struct ag_output *out, const void *owner, const struct array *arrays,
                       uint32_t n);
// Sizes below 4 GiB. Members are called NAME.npy.
void write_npz(struct ag_output *out, const void *owner, const struct array *arrays, uint32_t n);

#endif
