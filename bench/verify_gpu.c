// The compute shaders under verification, float32 and half precision.
#include "verify.h"

#include <math.h>
#include <string.h>

#include "autogaze/gpu_model.h"
#include "interface/decode_state.h"
#include "interface/gaze_result.h"

// One model serves all cases: making pipelines takes longer than running them.
#define MIN_HORIZON 64

struct device {
    struct ag_gpu *gpu;
    const struct ag_log *log;
    const struct ag_model *model;
    enum ag_precision precision;
    enum ag_gpu_decode decode;
    struct ag_gpu_model *m;
    uint32_t horizon; // of m
    struct ag_buffer *input, *canvas, *previous, *forced, *readback;
    uint32_t *forced_words;
    float *tokens, *hidden, *logits; // taps
    float losses[AG_MAX_ROUND];
};

static size_t picture_bytes(const struct device *d)
{
    return 3 * (size_t)d->model->config.image_size * d->model->config.image_size * sizeof(float);
}

static uint32_t max_rounds(const struct device *d)
{
    return AG_DIV_UP(d->model->config.cells, d->model->config.round);
}

static size_t forced_bytes(const struct device *d)
{
    return FORCED_WORDS(max_rounds(d), d->model->config.round) * sizeof(uint32_t);
}

static void destroy(void *backend)
{
    struct device *d = backend;
    if (d->gpu) {
        struct ag_buffer **buffers[] = { &d->input, &d->canvas, &d->previous, &d->forced,
                                         &d->readback };
        for (size_t i = 0; i < AG_COUNT(buffers); i++) {
            ag_buffer_destroy(d->gpu, buffers[i]);
        }
        ag_gpu_model_destroy(d->gpu, &d->m);
        ag_gpu_destroy(&d->gpu);
    }
    ag_free(d->forced_words);
    ag_free(d->tokens);
    ag_free(d->hidden);
    ag_free(d->logits);
    ag_free(d);
}

static struct device *create(const struct ag_model *model, const struct ag_verify_options *options,
                             enum ag_precision precision, struct ag_error *err)
{
    const struct ag_model_config *c = &model->config;
    struct device *d = ag_alloc(sizeof(*d));
    d->model = model;
    d->log = options->log;
    d->precision = precision;
    d->decode = options->decode;
    d->forced_words = ag_alloc(forced_bytes(d));
    d->tokens = ag_alloc((size_t)c->tokens * c->width * sizeof(float));
    d->hidden = ag_alloc(c->width * sizeof(float));
    d->logits = ag_alloc((size_t)c->round * c->vocab * sizeof(float));
    d->gpu = ag_gpu_create(options->log, &(struct ag_gpu_params){ .device = options->gpu }, err);
    bool ok = d->gpu != NULL;
    const struct { struct ag_buffer **buffer; size_t bytes; const char *name; } buffers[] = {
        { &d->input, picture_bytes(d), "verify/input" },
        { &d->canvas, picture_bytes(d), "verify/canvas" },
        { &d->previous, picture_bytes(d), "verify/previous" },
        { &d->forced, forced_bytes(d), "verify/forced" },
    };
    for (size_t i = 0; i < AG_COUNT(buffers) && ok; i++) {
        *buffers[i].buffer = ag_buffer_create(d->gpu, AG_MEM_DEVICE, buffers[i].bytes,
                                              buffers[i].name, err);
        ok = *buffers[i].buffer != NULL;
    }
    if (!ok) {
        destroy(d);
        return NULL;
    }
    return d;
}

bool ag_verify_parse_decode(const char *text, enum ag_gpu_decode *out, struct ag_error *err)
{
    static const char *const names[] = { "auto", "split", "resident" };
    for (uint32_t i = 0; i < AG_COUNT(names); i++) {
        if (strcmp(text ? text : "auto", names[i]) == 0) {
            *out = (enum ag_gpu_decode)i;
            return true;
        }
    }
    return ag_fail(err, AG_ERR_USAGE, "--decode is '%.40s', expected auto, split or resident",
                   text);
}

static void *create_f32(const struct ag_model *model, const struct ag_verify_options *options,
                        struct ag_error *err)
{
    return create(model, options, AG_PRECISION_F32, err);
}

static void *create_f16(const struct ag_model *model, const struct ag_verify_options *options,
                        struct ag_error *err)
{
    return create(model, options, AG_PRECISION_F16, err);
}

static void *create_tensor(const struct ag_model *model, const struct ag_verify_options *options,
                           struct ag_error *err)
{
    return create(model, options, AG_PRECISION_TENSOR, err);
}

static void *open_stream(void *backend, const struct ag_stream_params *params,
                         struct ag_error *err)
{
    struct device *d = backend;
    if (d->m && params->horizon <= d->horizon) {
        ag_gpu_model_reset(d->m);
        return d->m;
    }
    ag_gpu_model_destroy(d->gpu, &d->m);
    ag_buffer_destroy(d->gpu, &d->readback);
    d->horizon = AG_MAX(params->horizon, MIN_HORIZON);
    struct ag_gpu_model_params p = { .stream = *params, .precision = d->precision, .trace = true };
    p.decode = d->decode;
    p.stream.horizon = d->horizon;
    p.stream.max_budget = 0;
    d->m = ag_gpu_model_create(d->gpu, d->log, d->model, &p, err);
    if (d->m) {
        uint64_t bytes;
        ag_gpu_model_results(d->m, &bytes);
        d->readback = ag_buffer_create(d->gpu, AG_MEM_READBACK, bytes, "verify/readback", err);
    }
    return d->readback ? d->m : NULL;
}

static void close_stream(void *backend, void *stream)
{
    (void)backend;
    (void)stream; // kept for the next case
}

static bool load(struct device *d, struct ag_buffer *buffer, const float *picture,
                 struct ag_error *err)
{
    return !picture || ag_buffer_load(d->gpu, buffer, 0, picture, picture_bytes(d), err);
}

static bool load_forced(struct device *d, const struct ag_verify_frame *frame, struct ag_error *err)
{
    uint32_t k = d->model->config.round, n = AG_MIN(frame->n_forced, max_rounds(d));
    d->forced_words[0] = n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *row = d->forced_words + 1 + i * (k + 1);
        row[0] = frame->forced[i].n;
        memcpy(row + 1, frame->forced[i].emitted, frame->forced[i].n * sizeof(*row));
    }
    return ag_buffer_load(d->gpu, d->forced, 0, d->forced_words, forced_bytes(d), err);
}

// One submission, then the result block.
static bool run_job(struct device *d, const struct ag_gpu_gaze_job *job, struct ag_error *err)
{
    struct ag_cmd *cmd = ag_cmd_begin(d->gpu, job->frame_id, err);
    if (!cmd) {
        return false;
    }
    struct ag_mask mask;
    bool ok = ag_gpu_model_record(d->m, cmd, job, &mask, err);
    if (ok) {
        uint64_t bytes;
        const struct ag_buffer *results = ag_gpu_model_results(d->m, &bytes);
        ag_cmd_copy(cmd, d->readback, 0, results, 0, bytes);
        ag_cmd_host_barrier(cmd);
    }
    uint64_t value = ag_cmd_submit(cmd, err);
    if (!ok || !value || !ag_gpu_wait(d->gpu, value, err)) {
        return false;
    }
    ag_buffer_invalidate(d->gpu, d->readback);
    return true;
}

static bool listen(struct device *d, const struct ag_gaze *g, const struct ag_verify_taps *taps,
                   struct ag_error *err)
{
    if (!ag_gpu_model_read_vision(d->m, 0, d->tokens, err)) {
        return false;
    }
    taps->vision(taps->user, d->tokens);
    struct gaze_result result;
    memcpy(&result, d->readback->data, sizeof(result));
    for (uint32_t f = 0; f < g->rounds; f++) {
        if (!ag_gpu_model_read_forward(d->m, 0, f, d->hidden, d->logits, d->losses, err)) {
            return false;
        }
        bool last = f + 1 == g->rounds;
        struct ag_forward_trace trace = {
            .forward = f, .round_slot = f * d->model->config.round,
            .cached = last ? result.cached : UINT32_MAX, .hidden = d->hidden,
            .logits = d->logits, .losses = d->losses,
        };
        taps->forward(taps->user, &trace);
    }
    return true;
}

static bool run(void *backend, void *stream, const struct ag_verify_frame *frame,
                struct ag_gaze *out, const struct ag_verify_taps *taps, struct ag_error *err)
{
    (void)stream;
    struct device *d = backend;
    const struct ag_gaze_input *in = &frame->input;
    if (!load(d, d->input, in->frame, err) || !load(d, d->canvas, in->canvas, err) ||
        !load(d, d->previous, in->previous, err) ||
        (frame->forced && !load_forced(d, frame, err))) {
        return false;
    }
    bool closed = d->model->config.context == AG_CONTEXT_CANVAS;
    struct ag_gpu_gaze_job job = {
        .frame_id = in->frame_id, .input = d->input,
        .canvas = closed && in->canvas ? d->canvas : NULL,
        .previous = closed && in->previous ? d->previous : NULL,
        .previous_id = in->previous_id, .budget = in->budget, .threshold = in->threshold,
        .forced = frame->forced ? d->forced : NULL,
    };
    if (!run_job(d, &job, err)) {
        return false;
    }
    ag_gpu_model_decode(d->m, d->readback->data, 0, out);
    return !taps || listen(d, out, taps, err);
}

static void conv_past(void *backend, void *stream, float *out)
{
    (void)stream;
    struct device *d = backend;
    const struct ag_model_config *c = &d->model->config;
    size_t n = (size_t)c->trunk_depth * c->channels * (c->trunk_time - 1) * c->tokens;
    if (!ag_gpu_model_read_past(d->m, 0, out, NULL)) {
        for (size_t i = 0; i < n; i++) {
            out[i] = NAN; // shows as a difference
        }
    }
}

const struct ag_verify_backend ag_verify_vulkan = {
    .name = "vulkan", .bounds = &ag_verify_f32, .create = create_f32, .destroy = destroy,
    .open = open_stream, .close = close_stream, .run = run, .conv_past = conv_past,
};
const struct ag_verify_backend ag_verify_vulkan_f16 = {
    .name = "vulkan-f16", .bounds = &ag_verify_f16, .create = create_f16, .destroy = destroy,
    .open = open_stream, .close = close_stream, .run = run, .conv_past = conv_past,
};
const struct ag_verify_backend ag_verify_vulkan_tensor = {
    .name = "vulkan-tensor", .bounds = &ag_verify_f16, .create = create_tensor, .destroy = destroy,
    .open = open_stream, .close = close_stream, .run = run, .conv_past = conv_past,
};
