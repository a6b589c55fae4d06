// Sizes of the model on a device: dimensions, memory, tiles, and what each kernel is given. Shared
// by the back end, the kernel tests and `autogaze-bench kernels`; private to them.
//
// A *resource* is a buffer as kernels see it; kernel_resources names what is bound where. Rows of
// activations and weights are padded to whole vec4, pads are zero.
#ifndef AG_MODEL_GPU_SHAPE_H
#define AG_MODEL_GPU_SHAPE_H

#include "autogaze/gpu_model.h"
#include "interface/model_spec.h"

enum gpu_op {
    GPU_BEGIN, GPU_PATCH, GPU_FEATURES, GPU_TRUNK, GPU_RELU, GPU_PROJECT,
    GPU_VISION, GPU_VISION_PATCH, GPU_VISION_TRUNK, GPU_VISION_PROJECT,
    GPU_QKV, GPU_ATTENTION, GPU_ATTN_OUT, GPU_MLP_IN, GPU_MLP_OUT, GPU_TAIL, GPU_HEADS, GPU_SELECT,
    GPU_DECODE, GPU_WHOLE_PREFILL, GPU_MEET,
    GPU_OP_COUNT
};
// The same kernel with other tiles: for many rows, for the K rows of a decode round, for one row.
enum gpu_phase { GPU_PREFILL, GPU_ROUND, GPU_LAST, GPU_PHASE_COUNT };

enum gpu_resource {
    // device state
    RES_STATE, RES_SYNC, RES_ACTIVE, RES_ROUNDS, RES_FRAMES, RES_RESULTS, RES_CELLS, RES_COUNTS,
    // vision
    RES_INPUT, RES_CANVAS, RES_PREVIOUS, RES_PATCH_SUMS, RES_FEATURES, RES_TRUNK_SUMS, RES_TOKENS,
    RES_VISION_SYNC,
    // decoder
    RES_X, RES_Q, RES_K, RES_V, RES_ATTN_SUMS, RES_SOFTMAX, RES_MLP, RES_DOWN_SUMS,
    RES_DECODE_SUMS, RES_DECODE_SOFTMAX, RES_DECODE_PARTS, RES_SENT,
    RES_LOGITS, RES_HIDDEN, RES_ROPE, RES_FORCED,
    // weights
    RES_W_PATCH, RES_PATCH_NORM, RES_W_TRUNK, RES_TRUNK_BIAS, RES_W_PROJECT, RES_PROJECT_BIAS,
    RES_W_QKV, RES_W_ATTN_OUT, RES_W_MLP_IN, RES_W_MLP_OUT, RES_W_HEADS, RES_NORM_FINAL, RES_EMBED,
    RES_COUNT,
    RES_FIRST_WEIGHT = RES_W_PATCH
};

struct gpu_tile {              // see shaders/lib/gemm.glsl
    uint32_t rt, rv, ct, rn, kg, kc;
};
struct gpu_shape {
    struct ag_model_config c;
    bool half, trace, slide;
    bool tensor, emulated;     // products by matrix units (half, too), or as if by them
    bool matrix_direct;        // in the form of VK_KHR_cooperative_matrix
    bool lanes;                // a software device: products and attention by lanes of a vector
    uint32_t streams;
    uint32_t max_budget, max_rounds; // slots a frame, forwards a frame
    uint32_t horizon;                // frames
    uint32_t max_rows, capacity;     // of a forward, of the cache
    uint32_t rope_rows, rope_stride;
    uint32_t feature_slots, patch_splits, trunk_splits;
    uint32_t max_splits;             // pieces of the keys, for which there is memory
    uint32_t prefill_splits;         // what the prefill may use of them
    struct gpu_tile tile[GPU_OP_COUNT][GPU_PHASE_COUNT];
    uint32_t attn_rows[GPU_PHASE_COUNT], attn_keys[GPU_PHASE_COUNT];
    uint32_t attn_shares[GPU_PHASE_COUNT]; // matrix units: subgroups, 16 keys at once each
    uint32_t split_unit[2];    // of prefill and rounds: what pieces of the keys are multiples of
    // matrix units: output projection and MLP in one kernel, if it fits; MLP units of a part, parts
    bool fused;
    uint32_t tail_units, tail_parts;
    uint32_t vision_groups;    // matrix units: workgroups of the vision encoder in one kernel
    // the decode kernel: whether it fits; its keys at once, pieces of work; workgroups a stream
    bool resident;
    uint32_t decode_keys, units, out_columns, head_columns, window, decode_groups;
    // the prefill in one kernel: whether it fits; MLP units of a piece of work; workgroups a stream
    bool whole_prefill;
    uint32_t prefill_units, prefill_groups;
    uint32_t group[GPU_OP_COUNT][GPU_PHASE_COUNT]; // invocations
};

#define GPU_MAX_RESOURCES 19
struct gpu_kernel_info {
    const char *name;          // of the shader
    bool has_half;             // comes as "name.f16", too
    bool gemm;                 // has a tile
    bool has_tensor;           // comes as "name.tensor", "name.emulated", "name.lanes", too
    uint32_t n;
    uint8_t resource[GPU_MAX_RESOURCES];
};
extern const struct gpu_kernel_info gpu_kernel_info[GPU_OP_COUNT];

// Fails (AG_ERR_INPUT, UNSUPPORTED) where the shaders cannot run such a model on this device.
bool gpu_shape_init(struct gpu_shape *s, const struct ag_model_config *c,
                    const struct ag_gpu_model_params *params, const struct ag_gpu_info *info,
                    struct ag_error *err);
// Bytes of one instance of a resource: K, V and layer weights are one a layer, trunk weights one a
// block, logits and hidden one a forward.
uint64_t gpu_resource_bytes(const struct gpu_shape *s, enum gpu_resource resource);
const char *gpu_resource_name(enum gpu_resource resource); // "model/kv_k"
void gpu_constants(const struct gpu_shape *s, enum gpu_op op, enum gpu_phase phase,
                   uint32_t constants[SPEC_COUNT]);
struct ag_kernel *gpu_kernel_create(struct ag_gpu *gpu, const struct gpu_shape *s, enum gpu_op op,
                                    enum gpu_phase phase, struct ag_error *err);
// Workgroups for all rows the phase may have; n_images counts for patch and features. Attention
// gives those of one piece of the keys.
void gpu_groups(const struct gpu_shape *s, enum gpu_op op, enum gpu_phase phase, uint32_t n_images,
                uint32_t groups[3]);
// Pieces of work of a layer of the prefill in one kernel.
uint32_t gpu_prefill_tasks(const struct gpu_shape *s);
// Columns and depth in vec4 of a matrix op.
uint32_t gpu_columns(const struct gpu_shape *s, enum gpu_op op);
uint32_t gpu_depth4(const struct gpu_shape *s, enum gpu_op op);

static inline uint32_t gpu_pad4(uint32_t n)
{
    return AG_ALIGN_UP(n, 4u);
}

// Values of a row of features: matrix units take whole tiles.
static inline uint32_t gpu_feature_row(const struct gpu_shape *s)
{
    return s->tensor ? AG_ALIGN_UP(s->c.channels, 16u) : gpu_pad4(s->c.channels);
}

#endif
