// The AutoGaze model: files, configuration, and the vocabulary both back ends share.
//
//   frame [3,S,S] -> vision encoder -> P vision tokens -> autoregressive decoder, K ids a round
//                 -> gaze ids of the frame (cells of several grids), selection order
//
// Nothing here is tied to the official sizes: every dimension comes from config.json.
// The CPU back end is in cpu_model.h, the compute shaders in gpu_model.h.
// Thread-safety: a loaded struct ag_model is immutable and may be shared.
#ifndef AUTOGAZE_MODEL_H
#define AUTOGAZE_MODEL_H

#include <math.h>

#include "autogaze/base.h"
#include "autogaze/log.h"

#define AG_MAX_SCALES 8
#define AG_MAX_ROUND 32     // K at most
#define AG_NO_THRESHOLD NAN // task-loss threshold: off

// What the trunk's taps see and what the decoder remembers.
enum ag_context {
    AG_CONTEXT_FRAMES, // upstream: frames t-2, t-1, t; the decoder keeps a cache over frames
    AG_CONTEXT_CANVAS, // closed loop: previous frame, canvas, frame; the decoder starts afresh
};

// What happens to context `frames` when a video goes on for ever.
enum ag_stream_policy {
    AG_STREAM_CHUNK,     // full reset every `horizon` frames (files)
    AG_STREAM_SLIDE,     // the oldest frames leave the cache, positions go on (live input)
    AG_STREAM_UNBOUNDED, // upstream streaming: up to `horizon` frames, then an error
};

enum ag_loss_unit { AG_LOSS_UNKNOWN, AG_LOSS_RMSE }; // RMSE: threshold = 10^(-dB/20)

struct ag_model_config {
    uint32_t image_size;                 // S: 224
    uint32_t patch, grid, tokens;        // 16; S/patch = 14; P = grid*grid = 196
    uint32_t n_scales;                   // 4, ascending
    uint32_t scale[AG_MAX_SCALES];       // 32 64 112 224
    uint32_t scale_grid[AG_MAX_SCALES];  // 2 4 7 14
    uint32_t scale_first[AG_MAX_SCALES]; // id of the first cell: 0 4 20 69
    uint32_t cells, eos, vocab;          // NS = 265, EOS = NS, V = NS+1
    uint32_t channels;                   // C: vision width 192
    uint32_t trunk_depth, trunk_time, trunk_space; // 1, 3, 3
    uint32_t width, layers, heads, kv_heads, head_dim, mlp; // D = 192, 4, 6, 6, 32, 384
    uint32_t round;                      // K: 10 slots a decoder forward
    float layer_norm_eps, rms_eps;       // 1e-5
    double rope_theta, rope_factor, rope_low, rope_high, rope_original; // factor 0: plain RoPE
    enum ag_context context;
    enum ag_loss_unit loss_unit;
    uint32_t max_num_frames;             // 16: chunk length
    uint32_t default_budget;             // 198; 0: the config gives none
    float default_threshold;             // 0.7; AG_NO_THRESHOLD: none
};

struct ag_preprocess_config {            // preprocessor_config.json, M1.2
    bool exact_size;                     // false: shortest edge = width
    uint32_t width, height;              // 224
    double rescale_factor;               // 1/127.5
    bool rescale, offset, normalize;
    float mean[3], std[3];
};

// One tensor of a safetensors file, converted to float32.
struct ag_tensor {
    char name[128];
    uint32_t rank, shape[5];
    size_t count;
    float *data;
};

struct ag_decoder_layer_weights {        // linear weights are [out][in]
    const float *norm_attn;              // [D]
    const float *q, *k, *v;              // [heads*HD][D], [kv_heads*HD][D] x2
    const float *o;                      // [D][heads*HD]
    const float *norm_mlp;               // [D]
    const float *gate, *up, *down;       // [F][D] x2, [D][F]
};
#define AG_MAX_LAYERS 32
#define AG_MAX_DEPTH 8
struct ag_model_weights {
    const float *patch, *patch_bias;     // [C][3][p][p], [C]
    const float *norm, *norm_bias;       // LayerNorm [C]
    const float *trunk[AG_MAX_DEPTH], *trunk_bias[AG_MAX_DEPTH]; // [C][C][t][y][x], t 0 = oldest
    const float *out, *out_bias;         // [D][C], [D]
    const float *pos_embed;              // [P][D]
    const float *embed;                  // [V][D]
    struct ag_decoder_layer_weights layer[AG_MAX_LAYERS];
    const float *norm_final;             // [D]
    const float *lm_head;                // [K*V][D], row slot*V + id
    const float *loss_head;              // [K][D]
};

struct ag_model {
    char name[64];                       // last part of the folder's name: "open-gaze"
    char dir[1024];
    struct ag_model_config config;
    struct ag_preprocess_config preprocess;
    struct ag_model_weights weights;
    uint64_t parameters;
    // private: owner of the tensors
    struct ag_tensor *tensors;
    uint32_t n_tensors;
};

// Loads and validates config.json, preprocessor_config.json and model.safetensors of a folder by
// the rules of M1. Errors (AG_ERR_INPUT) carry a kind and name file, key path or tensor, what was
// found and what was expected.
struct ag_model *ag_model_load(const struct ag_log *log, const char *dir, struct ag_error *err);
void ag_model_destroy(struct ag_model **model);

// ---- the parts, for tests and fuzzing ----
bool ag_config_parse(const char *file, const char *json, struct ag_model_config *out,
                     const struct ag_log *log, struct ag_error *err);
bool ag_preprocess_config_parse(const char *file, const char *json,
                                struct ag_preprocess_config *out, struct ag_error *err);
// Any safetensors file, all dtypes of M1.3 and U8, I64 (vectors): a read-only view.
struct ag_safetensors;
enum ag_dtype { AG_F32, AG_F16, AG_BF16, AG_U8, AG_I32, AG_I64 };
struct ag_safetensors_entry {
    const char *name;
    enum ag_dtype dtype;
    uint32_t rank, shape[5];
    size_t count, bytes;
    const void *data;                    // may be unaligned
};
struct ag_safetensors *ag_safetensors_open(const char *path, struct ag_error *err);
void ag_safetensors_close(struct ag_safetensors **file);
const struct ag_safetensors_entry *ag_safetensors_find(const struct ag_safetensors *f,
                                                       const char *name);
uint32_t ag_safetensors_count(const struct ag_safetensors *f);
const struct ag_safetensors_entry *ag_safetensors_at(const struct ag_safetensors *f, uint32_t i);
float ag_half_to_float(uint16_t h);
uint16_t ag_float_to_half(float f);      // round to nearest even

// ---- finding models (--model, --list-models) ----
// `name`: "open-gaze" (source tree's or installed models/), "nvidia" ($AUTOGAZE_MODEL_DIR, else the
// newest snapshot of models--nvidia--AutoGaze in the Hugging Face cache), or a directory. Fills
// `dir`. The error says where it looked and what to do.
bool ag_model_find(const char *name, char *dir, size_t size, struct ag_error *err);
struct ag_model_listing {
    char name[64], dir[1024];
    bool found, usable;
    char note[768];                      // what it is or why it cannot be used
};
int ag_model_list(struct ag_model_listing *out, int max);

// ---- shared arithmetic -----------------------------------------------------------------------
// Slot budget from a gazing ratio, M5.1: max(1, trunc(ratio * cells)) in float32.
uint32_t ag_budget_from_ratio(float ratio, uint32_t cells);
float ag_threshold_from_db(double db);   // 10^(-dB/20)
double ag_db_from_threshold(float threshold);
// Inverse RoPE frequencies [head_dim/2], M4.1.
void ag_rope_frequencies(const struct ag_model_config *c, float *inv_freq);
// cos/sin rows [n][head_dim/2] for integer positions (float32 product, cosf/sinf).
void ag_rope_rows(const float *inv_freq, uint32_t half, const uint32_t *positions, uint32_t n,
                  float *cos_rows, float *sin_rows);
// Scale index, row and column of an id (< cells).
void ag_cell_of_id(const struct ag_model_config *c, uint32_t id, uint32_t *scale, uint32_t *row,
                   uint32_t *col);

// One selection round, M5.2. `history`: ids emitted for this frame so far (pads as EOS), extended
// in place. Returns true if the frame ends with this round.
struct ag_round {
    uint32_t n;                          // slots appended
    uint32_t picked[AG_MAX_ROUND];       // argmax ids before padding
    uint32_t emitted[AG_MAX_ROUND];      // EOS where padded
    float loss[AG_MAX_ROUND];
};
bool ag_select_round(const struct ag_model_config *c, const float *logits /*[K][V]*/,
                     const float *losses /*[K]*/, uint32_t budget, float threshold, bool first,
                     uint32_t *history, uint32_t *n_history, struct ag_round *out);

// ---- what a frame's gaze is ------------------------------------------------------------------
struct ag_gaze {                         // one frame of one stream; arrays are the caller's
    uint64_t frame_id;
    uint32_t slots, rounds;              // slots include pads
    uint32_t valid;                      // slots that are not pads
    bool chunk_start;                    // context `frames` starts afresh with this frame (the
                                         // stream's first one too); never in context `canvas`
    uint32_t *ids;                       // [cells], EOS = pad, selection order
    float *losses;                       // [cells]
};

// One decoder forward as the golden vectors record it.
struct ag_forward_trace {
    uint32_t frame, forward, round_slot; // slots emitted before this forward
    uint32_t n, cached;                  // queries; cache length after it (pads dropped)
    const uint32_t *positions;           // [n]
    const float *hidden, *logits, *losses; // [D], [K][V], [K] of the last query
    const struct ag_round *round;
};

#endif
