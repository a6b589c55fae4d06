// The model's weights as the shaders want them: one buffer, regions aligned for binding. Matrices
// lie as [k/4][column][4], float32 or half; vectors are float32. The weight of an RMSNorm is
// multiplied into the matrix behind it.
#ifndef AG_MODEL_GPU_WEIGHTS_H
#define AG_MODEL_GPU_WEIGHTS_H

#include "gpu_shape.h"

// Most instances a weight has (layers, trunk blocks).
#define GPU_MAX_INSTANCES AG_MAX_LAYERS

struct gpu_weights {
    struct ag_buffer *buffer;
    struct ag_binding region[RES_COUNT][GPU_MAX_INSTANCES]; // resources from RES_FIRST_WEIGHT on
};
// AG_ERR_INPUT where a weight does not fit into half precision.
bool gpu_weights_create(struct ag_gpu *gpu, const struct gpu_shape *s,
                        const struct ag_model_weights *w, struct gpu_weights *out,
                        struct ag_error *err);
void gpu_weights_destroy(struct ag_gpu *gpu, struct gpu_weights *w);

#endif
