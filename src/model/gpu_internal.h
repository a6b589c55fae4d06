// The inside of struct ag_gpu_model, for src/model/gpu_*.c.
#ifndef AG_MODEL_GPU_INTERNAL_H
#define AG_MODEL_GPU_INTERNAL_H

#include "gpu_weights.h"
#include "interface/gaze_result.h"
#include "interface/model_args.h"

#define MAX_POSITION (1u << 22) // beyond, float32 angles are too coarse (M4.1)
#define MASK_SLOTS 2            // cell lists, so that the one in use survives the next record

// RoPE rows on the device (gpu_rope.c).
struct gpu_rope {
    float *inv_freq;             // [head_dim/2]
    uint32_t *positions;         // scratch [rows]
    float *cosine, *sine;        // scratch [rows][head_dim/2]
    uint32_t rows;               // most rows made at once
    // policy SLIDE: positions of each table are known late, so rows are made ahead of them
    struct ag_buffer *staging;   // [AG_CMD_SLOTS][tables][rows]
    uint32_t tables;
    uint32_t *known;             // [tables] position behind the last frame that came back
    uint32_t *made;              // [tables] first position without a row
    uint32_t noted;              // frames known, in records
};

struct ag_gpu_model {
    struct ag_gpu *gpu;
    const struct ag_log *log;
    struct gpu_shape shape;
    bool canvas;
    bool resident;                            // decode rounds run in one kernel
    bool whole, whole_prefill;                // so do the vision encoder and the prefill
    enum ag_stream_policy policy;
    struct gpu_weights weights;
    struct ag_buffer *buffer[RES_COUNT];      // instances after one another
    uint64_t stride[RES_COUNT];               // bytes from one instance to the next
    struct ag_buffer *none;                   // stands in for what is not there
    struct ag_kernel *kernel[GPU_OP_COUNT][GPU_PHASE_COUNT];
    struct gpu_rope rope;
    uint64_t bytes;

    uint32_t records;        // frames recorded since creation
    uint32_t in_chunk;       // frames since the last reset of the context
    uint32_t chunk_record;   // `records` at the last reset
    bool reset;              // wanted with the next record
    bool has_features;       // context canvas: features of `feature_id` are in `feature_slot`
    uint64_t feature_id;
    uint32_t feature_slot;
};

bool gpu_rope_create(struct ag_gpu_model *m, struct ag_error *err);
void gpu_rope_destroy(struct ag_gpu_model *m);
// Bytes of host-visible memory it takes.
uint64_t gpu_rope_staging_bytes(const struct gpu_shape *s);
// SLIDE: nothing is known but that the stream starts anew.
void gpu_rope_reset(struct ag_gpu_model *m);
// SLIDE: highest position that a frame recorded now may reach.
uint32_t gpu_rope_bound(const struct ag_gpu_model *m);
// SLIDE: makes the rows that the coming frame may need and records their copies. AG_ERR_INPUT when
// too many frames are out of which nothing came back.
bool gpu_rope_extend(struct ag_gpu_model *m, struct ag_cmd *cmd, struct ag_error *err);

#endif
