// What the parts of the CPU back end share. Data flow of a frame:
//
//   image -> features -> trunk -> tokens        cpu_vision.c
//   rows of x -> layers -> hidden, logits       cpu_decoder.c
//   stream state, rounds, hooks                 cpu_model.c, cpu_stream.c
//
// Letters: S image side, g grid, P = g*g tokens, C channels, D width, H heads, KV key/value heads,
// HD head width, F inner width, K ids a round, V vocabulary. "p" behind a letter: rounded up to
// AG_PANEL.
#ifndef AUTOGAZE_MODEL_CPU_INTERNAL_H
#define AUTOGAZE_MODEL_CPU_INTERNAL_H

#include "autogaze/cpu_model.h"

#include "cpu_kernels.h"
#include "cpu_pool.h"

#define AG_PANEL_UP(x) AG_ALIGN_UP((size_t)(x), AG_PANEL)

struct ag_cpu_layer {
    struct ag_packed qkv;     // D -> (H + 2 KV) * HD
    struct ag_packed o;       // H * HD -> D
    struct ag_packed gate_up; // D -> 2 F
    struct ag_packed down;    // F -> D
};

// Memory of one worker.
struct ag_cpu_scratch {
    float *tile;   // [widest input][AG_TILE]
    float *rows;   // [AG_TILE][wide]
    float *scores; // [AG_TILE][score_capacity]
    float *probs;  // [score_capacity][AG_TILE]
};

struct ag_cpu_model {
    const struct ag_model *model;
    const struct ag_cpu_kernels *kernels;
    struct ag_pool *pool;
    void *arena, *score_arena;
    // weights
    struct ag_packed patch;                // 3 * p * p -> C
    struct ag_packed *trunk[AG_MAX_DEPTH]; // [taps], t slowest: C -> C
    struct ag_packed out;                  // C -> D
    struct ag_cpu_layer layer[AG_MAX_LAYERS];
    struct ag_packed heads;                // D -> K * V logits, then K losses
    float *inv_freq;                       // [HD/2]
    // a frame's activations, used by one stream at a time
    uint32_t max_rows;                     // P + K
    float *trunk_out;                      // [P][Cp] before ReLU
    float *tokens;                         // [P][D]
    float *x;                              // [max_rows][D] residual stream
    float *q;                              // [tiles][H][HD][AG_TILE], rotated
    float *context;                        // [tiles][H][HD][AG_TILE], attention's output
    float *cosine, *sine;                  // [max_rows][HD/2]
    uint32_t *positions;                   // [max_rows]
    float *hidden;                         // [D]
    float *logits;                         // [K][V], losses [K] behind them
    struct ag_cpu_scratch scratch[AG_MAX_WORKERS];
    size_t wide;                           // floats a row of scratch->rows
    size_t score_capacity;
};

// Features of one time step: [g][C][g + 2 * margin], margins zero, so that a row of cells seen
// through any tap of the trunk is a tile with stride g + 2 * margin.
static inline uint32_t ag_cpu_margin(const struct ag_model_config *c)
{
    return c->trunk_space / 2;
}
static inline size_t ag_cpu_feature_stride(const struct ag_model_config *c)
{
    return c->grid + 2 * ag_cpu_margin(c);
}
static inline size_t ag_cpu_feature_size(const struct ag_model_config *c)
{
    return c->grid * c->channels * ag_cpu_feature_stride(c);
}

// LayerNorm(patch convolution) of an image [3][S][S].
void ag_cpu_features(struct ag_cpu_model *m, const float *image, float *features);
// One trunk block at one time step, into m->trunk_out; taps[trunk_time], oldest first, NULL: zeros.
void ag_cpu_trunk(struct ag_cpu_model *m, uint32_t block, const float *const *taps);
// ReLU(m->trunk_out) as the next block's features.
void ag_cpu_trunk_features(struct ag_cpu_model *m, float *features);
// m->trunk_out -> m->tokens.
void ag_cpu_project(struct ag_cpu_model *m);

// Keys and values of the tokens begin..end-1. Keys lie in blocks of AG_PANEL tokens
// [layer][kv head][block][HD][AG_PANEL], values [layer][kv head][token][HDp]: both are the right
// side of a matmul as they are.
struct ag_cpu_cache {
    float *keys, *values;
    uint32_t begin, end, capacity; // capacity is a multiple of AG_PANEL
};
static inline float *ag_cpu_keys(const struct ag_model_config *c, const struct ag_cpu_cache *cache,
                                 uint32_t layer, uint32_t head)
{
    return cache->keys + ((size_t)layer * c->kv_heads + head) * cache->capacity * c->head_dim;
}
static inline float *ag_cpu_values(const struct ag_model_config *c,
                                   const struct ag_cpu_cache *cache, uint32_t layer, uint32_t head)
{
    return cache->values +
           ((size_t)layer * c->kv_heads + head) * cache->capacity * AG_PANEL_UP(c->head_dim);
}

// Runs the n rows of m->x at m->positions through the decoder, appends them to the cache, and
// leaves m->hidden and m->logits of the last row.
void ag_cpu_forward(struct ag_cpu_model *m, struct ag_cpu_cache *cache, uint32_t n);

// ---- stream ----------------------------------------------------------------------------------
struct ag_cpu_stream {
    struct ag_cpu_model *m;
    struct ag_stream_params params; // defaults filled in
    void *arena;
    struct ag_cpu_cache cache;
    float *features[AG_MAX_DEPTH * 16]; // [depth][trunk_time]; canvas: previous, canvas, frame
    uint64_t frames;     // since creation or reset
    // context `frames`
    uint32_t in_chunk;   // frames since the context was last reset
    uint32_t position;   // of the next token
    uint32_t pending[AG_MAX_ROUND], n_pending; // valid ids of the last round, not cached yet
    uint32_t *entries;   // [horizon] ring: tokens of each frame in the cache (SLIDE)
    uint32_t first_entry, n_entries;
    // context `canvas`
    bool has_previous;   // features[0] are of frame `previous_id`
    uint64_t previous_id;
};

// Before a frame: applies the policy. *chunk_start: the context starts with this frame.
bool ag_cpu_stream_begin_frame(struct ag_cpu_stream *s, bool *chunk_start, struct ag_error *err);
// After a frame with so many valid ids.
void ag_cpu_stream_end_frame(struct ag_cpu_stream *s, uint32_t valid);

#endif
