// One clip through a back end: teacher forced by M8, and running free.
#include "verify_internal.h"

#include <math.h>
#include <string.h>

static uint32_t local_id(const struct run *r, const struct expected *e, uint32_t t, size_t slot)
{
    return (uint32_t)(e->ids[slot] - (e->local ? 0 : (int64_t)t * r->model->config.cells));
}

// ---- teacher forcing ---------------------------------------------------------------------------
// The rounds of the frame that starts at p->slot.
static void expect_rounds(struct play *p)
{
    const struct run *r = p->r;
    const struct ag_model_config *c = &r->model->config;
    uint32_t count = (uint32_t)p->e->counts[p->t];
    p->n_rounds = AG_DIV_UP(count, c->round);
    p->rounds = ag_realloc(p->rounds, p->n_rounds * sizeof(*p->rounds));
    for (uint32_t i = 0; i < count; i++) {
        struct ag_round *round = &p->rounds[i / c->round];
        uint32_t k = i % c->round;
        round->n = k + 1;
        round->picked[k] = UINT32_MAX;
        round->emitted[k] = local_id(r, p->e, p->t, p->slot + i);
        round->loss[k] = p->e->losses ? p->e->losses[p->slot + i] : NAN;
    }
}

static const void *traced(struct play *p, const char *name, enum ag_dtype dtype, uint32_t rank,
                          const uint32_t *shape, const struct ag_safetensors_entry **entry)
{
    char full[64];
    snprintf(full, sizeof(full), "forward%03u.%s", p->out->forwards, name);
    const void *data = ag_vectors_get(&p->r->vectors, p->e->prefix, full, dtype, rank, shape, entry,
                                      p->r->err);
    p->broken |= !data;
    return data;
}

// Pads dropped, the positions and the cache length must be those of the reference.
static void check_positions(struct play *p, const struct ag_forward_trace *trace)
{
    const struct ag_safetensors_entry *entry;
    const int64_t *positions = traced(p, "positions", AG_I64, AG_SHAPE(AG_ANY), &entry);
    const uint8_t *valid = positions ? traced(p, "valid", AG_U8, AG_SHAPE(entry->shape[0]), NULL)
                                     : NULL;
    if (!valid) {
        return;
    }
    bool afresh = p->r->model->config.context == AG_CONTEXT_CANVAS && trace->forward == 0;
    uint32_t n = 0;
    p->cached = afresh ? 0 : p->cached;
    for (uint32_t i = 0; i < entry->shape[0]; i++) {
        if (!valid[i]) {
            continue;
        }
        if (trace->positions && (n >= trace->n || trace->positions[n] != positions[i])) {
            ag_verify_complain(p->out, "forward %u: position of token %u differs",
                               p->out->forwards, n);
            return;
        }
        n++;
        p->cached++;
    }
    if (trace->positions && n != trace->n) {
        ag_verify_complain(p->out, "forward %u: %u tokens, expected %u", p->out->forwards,
                           trace->n, n);
    }
    if (trace->cached != UINT32_MAX && trace->cached != p->cached) {
        ag_verify_complain(p->out, "forward %u: %u tokens cached, expected %u", p->out->forwards,
                           trace->cached, p->cached);
    }
}

// Everything the file has on this forward. *reference gets its logits.
static void check_traced(struct play *p, const struct ag_forward_trace *trace,
                         struct ag_round *expected, const float **reference, float *logit_error)
{
    const struct ag_model_config *c = &p->r->model->config;
    const float *hidden = traced(p, "hidden", AG_F32, AG_SHAPE(c->width), NULL);
    const float *logits = traced(p, "logits", AG_F32, AG_SHAPE(c->round, c->vocab), NULL);
    const float *losses = traced(p, "losses", AG_F32, AG_SHAPE(c->round), NULL);
    const int64_t *picked = traced(p, "picked", AG_I64, AG_SHAPE(expected->n), NULL);
    const int64_t *emitted = traced(p, "emitted", AG_I64, AG_SHAPE(expected->n), NULL);
    if (p->broken) {
        return;
    }
    for (uint32_t i = 0; i < expected->n; i++) {
        expected->picked[i] = (uint32_t)AG_CLAMP(picked[i], 0, (int64_t)c->eos);
        if (emitted[i] != expected->emitted[i]) {
            p->broken = true;
            ag_verify_bad_file(p->r, p->e->prefix, "has traced rounds that do not fit its ids");
            return;
        }
    }
    ag_verify_measure(p->out, AG_VERIFY_HIDDEN, trace->hidden, hidden, c->width);
    *logit_error = ag_verify_measure(p->out, AG_VERIFY_LOGITS, trace->logits, logits,
                                     (size_t)c->round * c->vocab);
    ag_verify_measure(p->out, AG_VERIFY_LOSSES, trace->losses, losses, c->round);
    *reference = logits;
    check_positions(p, trace);
}

static void judge_round(struct play *p, const struct ag_verify_round *round, uint32_t before)
{
    char text[128];
    switch (ag_verify_judge(round, text, sizeof(text))) {
    case AG_VERIFY_SAME:
        break;
    case AG_VERIFY_NEAR_TIE:
        if (!p->out->near_ties++) {
            p->first_tie = p->t;
            snprintf(p->out->ids, sizeof(p->out->ids), "near tie: frame %u after %u slots: %s",
                     p->t, before, text);
        }
        break;
    case AG_VERIFY_DIFFERENT:
        ag_verify_complain(p->out, "frame %u after %u slots: %s", p->t, before, text);
        break;
    }
}

static void on_forward(void *user, const struct ag_forward_trace *trace)
{
    struct play *p = user;
    const struct run *r = p->r;
    const struct ag_model_config *c = &r->model->config;
    if (p->broken) {
        return;
    }
    if (trace->forward >= p->n_rounds) {
        ag_verify_complain(p->out, "frame %u has more than the expected %u rounds", p->t,
                           p->n_rounds);
        return;
    }
    struct ag_round *expected = &p->rounds[trace->forward];
    float absmax, bound = r->backend->bounds->stage[AG_VERIFY_LOGITS];
    ag_verify_difference(trace->logits, trace->logits, (size_t)c->round * c->vocab, &absmax);
    struct ag_verify_round round = {
        .config = c, .expected = expected, .reference = trace->logits,
        .logit_error = bound * absmax, .threshold = p->e->threshold,
    };
    uint32_t before = p->n_history;
    struct ag_round own;
    ag_select_round(c, trace->logits, trace->losses, p->e->budget, p->e->threshold,
                    trace->forward == 0, p->history, &p->n_history, &own);
    round.own = trace->round ? trace->round : &own;
    ag_verify_measure(p->out, AG_VERIFY_LOSSES, trace->losses, expected->loss, expected->n);
    if (p->e->traced) {
        check_traced(p, trace, expected, &round.reference, &round.logit_error);
    }
    judge_round(p, &round, before);
    memcpy(p->history + before, expected->emitted, expected->n * sizeof(*p->history));
    p->n_history = before + expected->n;
    p->out->forwards++;
}

static void on_vision(void *user, const float *tokens)
{
    struct play *p = user;
    const struct ag_model_config *c = &p->r->model->config;
    size_t n = (size_t)c->tokens * c->width;
    if (p->t < p->e->n_vision) {
        ag_verify_measure(p->out, AG_VERIFY_VISION, tokens, p->e->vision + p->t * n, n);
    }
}

// ---- running free ------------------------------------------------------------------------------
static void check_free(struct play *p, const struct ag_gaze *g)
{
    uint32_t count = (uint32_t)p->e->counts[p->t];
    for (uint32_t i = 0; i < AG_MIN(g->slots, count); i++) {
        uint32_t expected = local_id(p->r, p->e, p->t, p->slot + i);
        if (g->ids[i] != expected) {
            ag_verify_complain(p->out, "frame %u slot %u is %u, expected %u", p->t, i,
                               g->ids[i], expected);
            return;
        }
    }
    if (g->slots != count) {
        ag_verify_complain(p->out, "frame %u has %u slots, expected %u", p->t, g->slots, count);
    }
}

// ---- a clip ------------------------------------------------------------------------------------
static bool play_frame(struct play *p, void *stream, float *canvas, bool *canvas_known,
                       struct ag_gaze *g)
{
    struct run *r = p->r;
    const struct ag_model_config *c = &r->model->config;
    const float *input = p->inputs + p->t * input_size(c);
    struct ag_verify_frame frame = { .input = {
        .frame_id = p->t, .frame = input, .budget = p->e->budget, .threshold = p->e->threshold,
        .canvas = *canvas_known ? canvas : NULL,
        .previous = p->t ? input - input_size(c) : NULL, .previous_id = p->t - 1,
    } };
    struct ag_verify_taps taps = { .user = p, .vision = on_vision, .forward = on_forward };
    if (p->forced) {
        expect_rounds(p);
        p->n_history = 0;
        frame.forced = p->rounds;
        frame.n_forced = p->n_rounds;
    }
    if (!r->backend->run(r->handle, stream, &frame, g, p->forced ? &taps : NULL, r->err) ||
        p->broken) {
        return false;
    }
    if (p->forced && g->rounds != p->n_rounds) {
        ag_verify_complain(p->out, "frame %u has %u rounds, expected %u", p->t, g->rounds,
                           p->n_rounds);
    }
    if (!p->forced && p->e->counts) {
        check_free(p, g);
    }
    if (p->kept) {
        p->kept[p->t].slots = g->slots;
        memcpy(p->kept[p->t].ids, g->ids, g->slots * sizeof(*g->ids));
        memcpy(p->kept[p->t].losses, g->losses, g->slots * sizeof(*g->losses));
    }
    // The canvas is painted with what was fed back.
    for (uint32_t i = 0; p->forced && i < p->n_rounds; i++) {
        ag_paint_ids(c, input, p->rounds[i].emitted, p->rounds[i].n, canvas);
    }
    if (!p->forced) {
        ag_paint_ids(c, input, g->ids, g->slots, canvas);
    }
    *canvas_known = true;
    return true;
}

static void check_past(struct play *p, void *stream)
{
    const struct run *r = p->r;
    const struct ag_model_config *c = &r->model->config;
    size_t n = (size_t)c->trunk_depth * c->channels * (c->trunk_time - 1) * c->tokens;
    float *own = ag_alloc(n * sizeof(*own));
    r->backend->conv_past(r->handle, stream, own);
    ag_verify_measure(p->out, AG_VERIFY_PAST, own, p->e->past, n);
    ag_free(own);
}

bool ag_verify_play(struct play *p)
{
    struct run *r = p->r;
    const struct ag_model_config *c = &r->model->config;
    struct ag_stream_params params = {
        .context = c->context, .policy = AG_STREAM_UNBOUNDED, .horizon = p->e->frames,
        .max_budget = p->e->budget,
    };
    void *stream = r->backend->open(r->handle, &params, r->err);
    if (!stream) {
        return false;
    }
    struct ag_gaze g = { .ids = ag_alloc(c->cells * sizeof(uint32_t)),
                         .losses = ag_alloc(c->cells * sizeof(float)) };
    float *canvas = ag_alloc(input_size(c) * sizeof(*canvas));
    bool known = false, ok = true;
    p->history = ag_alloc((c->cells + c->round) * sizeof(*p->history));
    p->slot = 0;
    for (p->t = 0; ok && p->t < p->stop; p->t++) {
        ok = play_frame(p, stream, canvas, &known, &g);
        p->slot += p->e->counts ? (size_t)p->e->counts[p->t] : 0;
    }
    if (ok && p->forced && p->e->canvas) {
        ag_verify_measure(p->out, AG_VERIFY_CANVAS, canvas, p->e->canvas, input_size(c));
    }
    if (ok && p->e->past && r->backend->conv_past) {
        check_past(p, stream);
    }
    r->backend->close(r->handle, stream);
    ag_free(p->history);
    ag_free(p->rounds);
    ag_free(canvas);
    ag_free(g.losses);
    ag_free(g.ids);
    return ok;
}

bool ag_verify_clip(struct run *r, struct ag_verify_case *k, const struct expected *e,
                    const float *inputs)
{
    struct play forced = { .r = r, .out = k, .e = e, .inputs = inputs, .forced = true,
                           .stop = e->frames, .first_tie = e->frames };
    struct play free = { .r = r, .out = k, .e = e, .inputs = inputs };
    if (!ag_verify_play(&forced)) {
        return false;
    }
    free.stop = forced.first_tie;
    if (!ag_verify_play(&free)) {
        return false;
    }
    if (k->passed && !k->near_ties) {
        snprintf(k->ids, sizeof(k->ids), "identical");
    }
    return true;
}
