// The model in compute shaders: a frame's whole autoregressive loop in one submission.
//
// Nothing is decided or read on the host between the first kernel and the last: the stop is a flag
// on the device: rounds after it are not run. Positions, cache lengths, pending
// ids and the round counter live in a device state block a stream. Every buffer has a stream
// dimension (tiles are streams); realtime mode is the case of one.
// Thread-safety: render thread.
#ifndef AUTOGAZE_GPU_MODEL_H
#define AUTOGAZE_GPU_MODEL_H

#include "autogaze/cpu_model.h" // struct ag_stream_params
#include "autogaze/gpu.h"
#include "autogaze/planner.h"   // struct ag_mask

enum ag_precision {
    AG_PRECISION_F32, // reference rung: float32 everywhere
    AG_PRECISION_F16, // half-precision weights and KV cache, float32 accumulation (M8)
    AG_PRECISION_TENSOR, // the same, and matrix products by the device's matrix units: their inputs
                      // rounded to half precision, float32 accumulation. Without such units
                      // (ag_gpu_info.cooperative_matrix) they are emulated, slowly: for tests
};

// How the rounds behind the prefill run. The results are the same within M8's tolerances.
enum ag_gpu_decode {
    AG_DECODE_AUTO,     // RESIDENT where its workgroups can meet (tested at creation), else SPLIT
    AG_DECODE_SPLIT,    // dispatches a round; those behind the stop are dispatches of zero groups
    AG_DECODE_RESIDENT, // one kernel for all rounds; a single workgroup a stream where they cannot;
                        // with matrix units vision and prefill are one kernel each, too
};

struct ag_gpu_model;
struct ag_gpu_model_params {
    struct ag_stream_params stream; // context, policy, horizon, max_budget
    uint32_t streams;               // 0: 1
    enum ag_precision precision;
    enum ag_gpu_decode decode;
    bool trace;                     // keep hidden, logits and losses of every forward (verify)
};
// Uploads weights, takes all memory, makes all pipelines. AG_ERR_DEVICE with needed and available
// bytes when the cache does not fit.
struct ag_gpu_model *ag_gpu_model_create(struct ag_gpu *gpu, const struct ag_log *log,
                                         const struct ag_model *model,
                                         const struct ag_gpu_model_params *params,
                                         struct ag_error *err);
void ag_gpu_model_destroy(struct ag_gpu *gpu, struct ag_gpu_model **m);
// Forgets the streams' past with the next record.
void ag_gpu_model_reset(struct ag_gpu_model *m);
uint64_t ag_gpu_model_bytes(const struct ag_gpu_model *m); // device memory, KV included

struct ag_gpu_gaze_job {
    uint64_t frame_id;
    const struct ag_buffer *input;    // [streams][3][S][S] float32 at input_offset
    uint64_t input_offset;            // offsets: multiples of 256
    // Context `canvas`; NULL = unknown:
    const struct ag_buffer *canvas;   // [streams][3][S][S]
    uint64_t canvas_offset;
    const struct ag_buffer *previous; // model input of the frame composed before this one. Its
    uint64_t previous_offset;         // features are recomputed only if previous_id is not the
    uint64_t previous_id;             // frame that was recorded last
    uint32_t budget;                  // slots a frame at most
    float threshold;                  // AG_NO_THRESHOLD: off
    // Teacher forcing for tests: what each round emits is replaced by these ids before it is fed
    // back (layout: FORCED_WORDS in shaders/interface/decode_state.h). NULL: free running.
    const struct ag_buffer *forced;
};
// Records the frame [stages VISION, PREFILL, DECODE]. out: the cell list for the planner (pads as
// AG_CELL_NONE). The results block for late reading is ag_gpu_model_results.
bool ag_gpu_model_record(struct ag_gpu_model *m, struct ag_cmd *cmd,
                         const struct ag_gpu_gaze_job *job, struct ag_mask *out,
                         struct ag_error *err);

// Device block of the last recorded frame, per stream: struct gaze_result header, ids, losses
// (shaders/interface/gaze_result.h). The pipeline copies it to READBACK memory in the same
// submission and decodes it late.
const struct ag_buffer *ag_gpu_model_results(const struct ag_gpu_model *m, uint64_t *bytes);
// Decodes a stream's part of a copied block. out->ids and out->losses hold `cells` entries.
void ag_gpu_model_decode(const struct ag_gpu_model *m, const void *block, uint32_t stream,
                         struct ag_gaze *out);
// Context `frames`, policy SLIDE: what came back late, so that the host can extend the RoPE rows
// ahead of the stream (positions are only known on the device). Call with every decoded block.
void ag_gpu_model_note(struct ag_gpu_model *m, const void *block);

// Taps for verify (params.trace): per forward f of a stream: hidden [D], logits [K][V], losses [K],
// all float32, and the vision tokens [P][D]; read after the submission is done (waits).
bool ag_gpu_model_read_forward(struct ag_gpu_model *m, uint32_t stream, uint32_t forward,
                               float *hidden, float *logits, float *losses, struct ag_error *err);
bool ag_gpu_model_read_vision(struct ag_gpu_model *m, uint32_t stream, float *tokens,
                              struct ag_error *err);
// Context `frames`: the trunk's temporal past after the last frame, [depth][C][trunk_time-1][P]
// (waits; needs no trace).
bool ag_gpu_model_read_past(struct ag_gpu_model *m, uint32_t stream, float *past,
                            struct ag_error *err);

#endif
