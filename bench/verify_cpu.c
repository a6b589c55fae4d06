// The CPU back end under verification.
#include "verify.h"

#include <string.h>

static void *create(const struct ag_model *model, const struct ag_verify_options *options,
                    struct ag_error *err)
{
    return ag_cpu_model_create(model, &(struct ag_cpu_params){ .threads = options->threads }, err);
}

static void destroy(void *backend)
{
    struct ag_cpu_model *m = backend;
    ag_cpu_model_destroy(&m);
}

static void *open_stream(void *backend, const struct ag_stream_params *params,
                         struct ag_error *err)
{
    return ag_cpu_stream_create(backend, params, err);
}

static void close_stream(void *backend, void *stream)
{
    (void)backend;
    struct ag_cpu_stream *s = stream;
    ag_cpu_stream_destroy(&s);
}

struct listener {
    const struct ag_verify_frame *frame;
    const struct ag_verify_taps *taps;
};

static void pass_vision(void *user, const float *tokens)
{
    struct listener *l = user;
    l->taps->vision(l->taps->user, tokens);
}

static void pass_forward(void *user, const struct ag_forward_trace *trace)
{
    struct listener *l = user;
    l->taps->forward(l->taps->user, trace);
}

static void force(void *user, uint32_t forward, struct ag_round *round, bool *ended)
{
    struct listener *l = user;
    if (forward < l->frame->n_forced) {
        *round = l->frame->forced[forward];
    }
    *ended = forward + 1 >= l->frame->n_forced;
}

static bool run(void *backend, void *stream, const struct ag_verify_frame *frame,
                struct ag_gaze *out, const struct ag_verify_taps *taps, struct ag_error *err)
{
    (void)backend;
    struct listener l = { .frame = frame, .taps = taps };
    struct ag_gaze_hooks hooks = { .user = &l };
    if (taps) {
        hooks.vision = pass_vision;
        hooks.forward = pass_forward;
    }
    if (frame->forced) {
        hooks.force = force;
    }
    return ag_cpu_gaze(stream, &frame->input, out, &hooks, NULL, err);
}

static void conv_past(void *backend, void *stream, float *out)
{
    (void)backend;
    ag_cpu_stream_conv_past(stream, out);
}

const struct ag_verify_backend ag_verify_cpu = {
    .name = "cpu", .bounds = &ag_verify_f32, .create = create, .destroy = destroy,
    .open = open_stream, .close = close_stream, .run = run, .conv_past = conv_past,
};
