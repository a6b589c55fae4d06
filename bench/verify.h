// Golden vectors (fixtures/README.md) against a back end of the model: every case of a file,
// teacher forced by M8's rule and then running free. A library, so that tests call what people
// call.
//
// To add a back end: fill a struct ag_verify_backend and name it in cmd_verify.c.
#ifndef AUTOGAZE_BENCH_VERIFY_H
#define AUTOGAZE_BENCH_VERIFY_H

#include <stdio.h>

#include "autogaze/gpu_model.h"
#include "autogaze/cpu_model.h"

enum ag_verify_stage {
    AG_VERIFY_INPUT,  // model input made from u8 sources, absolute
    AG_VERIFY_VISION, // vision tokens, relative to the frame's largest
    AG_VERIFY_PAST,   // temporal past of the trunk, relative
    AG_VERIFY_HIDDEN, // last hidden state, relative
    AG_VERIFY_LOGITS, // relative
    AG_VERIFY_LOSSES, // absolute
    AG_VERIFY_CANVAS, // model canvas after the last frame, absolute
    AG_VERIFY_STAGES,
};

// M8's columns.
struct ag_verify_bounds {
    const char *name; // "f32"
    float stage[AG_VERIFY_STAGES];
};
extern const struct ag_verify_bounds ag_verify_f32, ag_verify_f16;

// "auto", "split", "resident"; NULL: auto.
bool ag_verify_parse_decode(const char *text, enum ag_gpu_decode *out, struct ag_error *err);

struct ag_verify_options {
    uint32_t threads; // CPU back end; 0: one a core
    const char *gpu;  // device back ends: which one; NULL: the best
    enum ag_gpu_decode decode; // device back ends: how rounds run
    const struct ag_log *log;
};

// One frame as a back end gets it.
struct ag_verify_frame {
    struct ag_gaze_input input;    // host memory
    const struct ag_round *forced; // n, emitted and loss of each round, fed back in place of the
    uint32_t n_forced;             // back end's own choice; NULL: runs free
};
// What a back end reports while or after a frame; `forward` in order. trace.round may be NULL where
// the back end does not select under forcing: verify then selects from its logits itself. positions
// may be NULL and cached UINT32_MAX where it cannot tell.
struct ag_verify_taps {
    void *user;
    void (*vision)(void *user, const float *tokens);
    void (*forward)(void *user, const struct ag_forward_trace *trace);
};

struct ag_verify_backend {
    const char *name; // of --backend
    const struct ag_verify_bounds *bounds;
    void *(*create)(const struct ag_model *model, const struct ag_verify_options *options,
                    struct ag_error *err);
    void (*destroy)(void *backend);
    void *(*open)(void *backend, const struct ag_stream_params *params, struct ag_error *err);
    void (*close)(void *backend, void *stream);
    // taps NULL: nobody listens
    bool (*run)(void *backend, void *stream, const struct ag_verify_frame *frame,
                struct ag_gaze *out, const struct ag_verify_taps *taps, struct ag_error *err);
    // [depth][C][trunk_time-1][grid][grid]; NULL where it cannot be read
    void (*conv_past)(void *backend, void *stream, float *out);
};
extern const struct ag_verify_backend ag_verify_cpu, ag_verify_vulkan, ag_verify_vulkan_f16,
    ag_verify_vulkan_tensor;

struct ag_verify_case {
    char name[32];
    uint32_t frames, forwards;
    float error[AG_VERIFY_STAGES]; // largest; negative where the file has nothing to compare
    uint32_t near_ties;            // rounds that differ from the reference by M8's near-tie rule
    char ids[192];                 // "identical", "-", the first near tie or the first difference
    bool passed;
};
struct ag_verify_report {
    struct ag_verify_case *cases;
    uint32_t n, failed;
};

// Checks every case of the file. False: the file or the back end cannot be used (*err). A case that
// differs is no error: see the report, which is the caller's (ag_verify_report_free) either way.
bool ag_verify_model(const struct ag_model *model, const char *vectors,
                     const struct ag_verify_backend *backend,
                     const struct ag_verify_options *options, struct ag_verify_report *report,
                     struct ag_error *err);
// The image pipeline's plain C twin: `resized` and `lut` to the bit, `model_input` to 1e-5.
bool ag_verify_preprocess(const char *vectors, struct ag_verify_report *report,
                          struct ag_error *err);
void ag_verify_report_free(struct ag_verify_report *report);
// A table: a line a case, each stage's largest error, the bounds below.
void ag_verify_print(FILE *out, const struct ag_verify_report *report,
                     const struct ag_verify_bounds *bounds);

// ---- parts, for tests --------------------------------------------------------------------------
// M8's near-tie rule for one round in the same state: compares what the back end selected with the
// reference. `reference` holds the reference's logits, or the back end's own where the file has
// none.
struct ag_verify_round {
    const struct ag_model_config *config;
    const struct ag_round *own, *expected; // expected->picked[i] = UINT32_MAX: not in the file
    const float *reference;                // [K][V]
    float logit_error;                     // largest difference of logits, or its bound
    float threshold;
};
enum ag_verify_verdict { AG_VERIFY_SAME, AG_VERIFY_NEAR_TIE, AG_VERIFY_DIFFERENT };
// Writes a sentence about the first difference.
enum ag_verify_verdict ag_verify_judge(const struct ag_verify_round *round, char *text,
                                       size_t size);

#endif
