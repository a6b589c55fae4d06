// The whole model in plain C: what people without a GPU run, and the oracle of the shaders.
// Thread-safety: one thread at a time a stream; streams of one ag_cpu_model are independent, but
// share its worker threads, so calls on different streams must not overlap.
#ifndef AUTOGAZE_CPU_MODEL_H
#define AUTOGAZE_CPU_MODEL_H

#include "autogaze/model.h"

struct ag_cpu_model;
struct ag_cpu_params {
    uint32_t threads; // 0: one a core
    const struct ag_cpu_model *weights_of; // uses the packed weights of that one, which must
                                           // outlive it; NULL: packs its own
};
// How many threads that makes: one a core this process may use, or `wanted`.
uint32_t ag_cpu_threads(uint32_t wanted);
// Packs the weights; `model` must outlive it.
struct ag_cpu_model *ag_cpu_model_create(const struct ag_model *model,
                                         const struct ag_cpu_params *params, struct ag_error *err);
void ag_cpu_model_destroy(struct ag_cpu_model **m);

// What one video carries from frame to frame (M5.3, M11). Memory for the horizon is taken at
// creation; AG_ERR_INPUT with needed bytes if it is absurd.
struct ag_cpu_stream;
struct ag_stream_params {
    enum ag_context context;
    enum ag_stream_policy policy; // context `frames` only
    uint32_t horizon;             // frames; 0: the config's max_num_frames (UNBOUNDED: 64)
    uint32_t max_budget;          // slots a frame at most; 0: cells
};
struct ag_cpu_stream *ag_cpu_stream_create(struct ag_cpu_model *m,
                                           const struct ag_stream_params *params,
                                           struct ag_error *err);
void ag_cpu_stream_destroy(struct ag_cpu_stream **s);
// Forgets everything (seek, source change): as after creation.
void ag_cpu_stream_reset(struct ag_cpu_stream *s);

struct ag_gaze_input {
    uint64_t frame_id;
    const float *frame;    // [3][S][S] model input
    // Context `canvas` only, NULL = unknown (zeros in feature space):
    const float *canvas;   // [3][S][S] as composed so far
    const float *previous; // [3][S][S] model input of the frame composed before this one. Its
                           // features are recomputed unless this stream has just seen that frame:
    uint64_t previous_id;  // frame id of `previous`
    uint32_t budget;       // M: slots at most, 1..max_budget
    float threshold;       // AG_NO_THRESHOLD: off
};
// Observers of verify and tests, all optional.
struct ag_gaze_hooks {
    void *user;
    void (*forward)(void *user, const struct ag_forward_trace *trace);
    void (*vision)(void *user, const float *tokens /*[P][D]*/);
    // Teacher forcing: replaces what the round emitted before it is fed back (M8).
    void (*force)(void *user, uint32_t forward, struct ag_round *round, bool *ended);
};
struct ag_gaze_times { // nanoseconds
    int64_t vision, prefill, decode;
};
// Runs one frame and advances the stream. out->ids and out->losses must hold `cells` entries.
// Errors (AG_ERR_INPUT): a budget out of range, an UNBOUNDED stream past its horizon (both leave
// the stream as it was), logits that are not finite (NONFINITE; the stream is reset).
bool ag_cpu_gaze(struct ag_cpu_stream *s, const struct ag_gaze_input *in, struct ag_gaze *out,
                 const struct ag_gaze_hooks *hooks, struct ag_gaze_times *times,
                 struct ag_error *err);

// State for checks: the temporal past [depth][C][trunk_time-1][grid][grid] of context `frames`
// (written to `out`), and the number of cached tokens.
void ag_cpu_stream_conv_past(const struct ag_cpu_stream *s, float *out);
uint32_t ag_cpu_stream_cached(const struct ag_cpu_stream *s);

// Plain C twin of the canvas painting of M11 step 4: copies the cells `ids` (< cells, others are
// skipped) of `frame` into `canvas`, both [3][S][S].
void ag_paint_ids(const struct ag_model_config *c, const float *frame, const uint32_t *ids,
                  uint32_t n, float *canvas);

#endif
