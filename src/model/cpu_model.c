#include "autogaze/cpu_model.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu_arena.h"
#include "cpu_internal.h"

// ---- weights -----------------------------------------------------------------------------------
static void carve_packed(struct ag_arena *a, struct ag_packed *p, uint32_t in, uint32_t out)
{
    *p = (struct ag_packed){ .in = in, .out = out,
                             .data = ag_carve(a, ag_packed_size(in, out), sizeof(float)) };
}

static uint32_t taps_of(const struct ag_model_config *c)
{
    return c->trunk_time * c->trunk_space * c->trunk_space;
}

static void carve_weights(struct ag_cpu_model *m, struct ag_arena *a)
{
    const struct ag_model_config *c = &m->model->config;
    uint32_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    carve_packed(a, &m->patch, 3 * c->patch * c->patch, c->channels);
    for (uint32_t b = 0; b < c->trunk_depth; b++) {
        struct ag_packed local, *taps = ag_carve(a, taps_of(c), sizeof(*taps));
        m->trunk[b] = taps;
        for (uint32_t t = 0; t < taps_of(c); t++) {
            carve_packed(a, taps ? &taps[t] : &local, c->channels, c->channels);
        }
    }
    carve_packed(a, &m->out, c->channels, c->width);
    for (uint32_t l = 0; l < c->layers; l++) {
        carve_packed(a, &m->layer[l].qkv, c->width, q + 2 * kv);
        carve_packed(a, &m->layer[l].o, q, c->width);
        carve_packed(a, &m->layer[l].gate_up, c->width, 2 * c->mlp);
        carve_packed(a, &m->layer[l].down, c->mlp, c->width);
    }
    carve_packed(a, &m->heads, c->width, c->round * (c->vocab + 1));
}

static void pack_linear(struct ag_packed *p, uint32_t first, const float *w, uint32_t rows)
{
    ag_pack(p, first, w, rows, p->in, 1);
}

static void pack_weights(struct ag_cpu_model *m)
{
    const struct ag_model_config *c = &m->model->config;
    const struct ag_model_weights *w = &m->model->weights;
    uint32_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim, taps = taps_of(c);
    pack_linear(&m->patch, 0, w->patch, c->channels);
    for (uint32_t b = 0; b < c->trunk_depth; b++) {
        for (uint32_t t = 0; t < taps; t++) {
            ag_pack(&m->trunk[b][t], 0, w->trunk[b] + t, c->channels, (size_t)c->channels * taps,
                    taps);
        }
    }
    pack_linear(&m->out, 0, w->out, c->width);
    for (uint32_t l = 0; l < c->layers; l++) {
        const struct ag_decoder_layer_weights *from = &w->layer[l];
        struct ag_cpu_layer *to = &m->layer[l];
        pack_linear(&to->qkv, 0, from->q, q);
        pack_linear(&to->qkv, q, from->k, kv);
        pack_linear(&to->qkv, q + kv, from->v, kv);
        pack_linear(&to->o, 0, from->o, c->width);
        pack_linear(&to->gate_up, 0, from->gate, c->mlp);
        pack_linear(&to->gate_up, c->mlp, from->up, c->mlp);
        pack_linear(&to->down, 0, from->down, c->width);
    }
    pack_linear(&m->heads, 0, w->lm_head, c->round * c->vocab);
    pack_linear(&m->heads, c->round * c->vocab, w->loss_head, c->round);
}

static void share_weights(struct ag_cpu_model *m, const struct ag_cpu_model *from)
{
    m->patch = from->patch;
    memcpy(m->trunk, from->trunk, sizeof(m->trunk));
    m->out = from->out;
    memcpy(m->layer, from->layer, sizeof(m->layer));
    m->heads = from->heads;
}

// ---- activations -------------------------------------------------------------------------------
static void carve_activations(struct ag_cpu_model *m, struct ag_arena *a)
{
    const struct ag_model_config *c = &m->model->config;
    size_t inner = (size_t)c->heads * c->head_dim, tiles = AG_DIV_UP(m->max_rows, AG_TILE);
    size_t half = c->head_dim / 2, deepest = AG_MAX(3 * c->patch * c->patch, c->channels);
    deepest = AG_MAX(AG_MAX(deepest, c->width), AG_MAX(inner, c->mlp));
    size_t widest = AG_MAX(AG_MAX(c->channels, c->width), AG_MAX(m->layer[0].qkv.out, 2 * c->mlp));
    m->wide = AG_PANEL_UP(widest);
    m->inv_freq = ag_carve(a, half, sizeof(float));
    m->trunk_out = ag_carve(a, c->tokens * AG_PANEL_UP(c->channels), sizeof(float));
    m->tokens = ag_carve(a, (size_t)c->tokens * c->width, sizeof(float));
    m->x = ag_carve(a, (size_t)m->max_rows * c->width, sizeof(float));
    m->q = ag_carve(a, tiles * inner * AG_TILE, sizeof(float));
    m->context = ag_carve(a, tiles * inner * AG_TILE, sizeof(float));
    m->cosine = ag_carve(a, m->max_rows * half, sizeof(float));
    m->sine = ag_carve(a, m->max_rows * half, sizeof(float));
    m->positions = ag_carve(a, m->max_rows, sizeof(*m->positions));
    m->hidden = ag_carve(a, c->width, sizeof(float));
    m->logits = ag_carve(a, AG_PANEL_UP(m->heads.out), sizeof(float));
    for (uint32_t i = 0; i < ag_pool_workers(m->pool); i++) {
        m->scratch[i].tile = ag_carve(a, deepest * AG_TILE, sizeof(float));
        m->scratch[i].rows = ag_carve(a, m->wide * AG_TILE, sizeof(float));
    }
}

struct ag_cpu_model *ag_cpu_model_create(const struct ag_model *model,
                                         const struct ag_cpu_params *params, struct ag_error *err)
{
    (void)err; // memory ends the program, fewer threads are not an error
    struct ag_cpu_model *m = ag_alloc(sizeof(*m));
    m->model = model;
    m->kernels = ag_cpu_kernels_best();
    m->pool = ag_pool_create(params->threads);
    m->max_rows = model->config.tokens + model->config.round;
    struct ag_arena a = { 0 };
    for (int pass = 0; pass < 2; pass++) {
        if (params->weights_of) {
            share_weights(m, params->weights_of);
        } else {
            carve_weights(m, &a);
        }
        carve_activations(m, &a);
        a = pass ? a : ag_arena_take(a, &m->arena);
    }
    if (!params->weights_of) {
        pack_weights(m);
    }
    ag_rope_frequencies(&model->config, m->inv_freq);
    return m;
}

void ag_cpu_model_destroy(struct ag_cpu_model **model)
{
    struct ag_cpu_model *m = *model;
    if (!m) {
        return;
    }
    ag_pool_destroy(&m->pool);
    ag_free(m->score_arena);
    ag_free(m->arena);
    ag_free(m);
    *model = NULL;
}

// ---- a frame -----------------------------------------------------------------------------------
// Context `frames` (M3): each block keeps its last inputs in a ring of trunk_time slots.
static void see_frames(struct ag_cpu_stream *s, const float *frame)
{
    struct ag_cpu_model *m = s->m;
    const struct ag_model_config *c = &m->model->config;
    uint32_t n = c->trunk_time, now = s->in_chunk;
    for (uint32_t b = 0; b < c->trunk_depth; b++) {
        float **ring = &s->features[b * n];
        const float *taps[16];
        if (b == 0) {
            ag_cpu_features(m, frame, ring[now % n]);
        } else {
            ag_cpu_trunk_features(m, ring[now % n]);
        }
        for (uint32_t t = 0; t < n; t++) {
            bool known = now + t >= n - 1; // before the first frame: zeros
            taps[t] = known ? ring[(now + t - (n - 1)) % n] : NULL;
        }
        ag_cpu_trunk(m, b, taps);
    }
    ag_cpu_project(m);
}

// Context `canvas` (M11): previous frame, canvas, frame.
static void see_canvas(struct ag_cpu_stream *s, const struct ag_gaze_input *in)
{
    float **f = s->features;
    if (in->previous && !(s->has_previous && s->previous_id == in->previous_id)) {
        ag_cpu_features(s->m, in->previous, f[0]);
    }
    if (in->canvas) {
        ag_cpu_features(s->m, in->canvas, f[1]);
    }
    ag_cpu_features(s->m, in->frame, f[2]);
    ag_cpu_trunk(s->m, 0,
                 (const float *[]){ in->previous ? f[0] : NULL, in->canvas ? f[1] : NULL, f[2] });
    ag_cpu_project(s->m);
    float *seen = f[2];
    f[2] = f[0];
    f[0] = seen;
    s->has_previous = true;
    s->previous_id = in->frame_id;
}

static void embed(struct ag_cpu_model *m, uint32_t row, const uint32_t *ids, uint32_t n)
{
    uint32_t d = m->model->config.width;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(m->x + (size_t)(row + i) * d, m->model->weights.embed + (size_t)ids[i] * d,
               d * sizeof(float));
    }
}

static void set_positions(struct ag_cpu_model *m, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        m->positions[i] = first + i;
    }
}

static bool all_finite(const float *x, size_t n)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        ok &= isfinite(x[i]) != 0;
    }
    return ok;
}

static uint32_t keep_valid(const struct ag_model_config *c, const struct ag_round *round,
                           uint32_t *ids)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < round->n; i++) {
        if (round->emitted[i] != c->eos) {
            ids[n++] = round->emitted[i];
        }
    }
    return n;
}

// One frame's rounds.
struct rounds {
    struct ag_cpu_stream *s;
    const struct ag_gaze_input *in;
    const struct ag_gaze_hooks *hooks;
    struct ag_gaze *out;
    uint32_t base; // position behind the prefill
};

static void trace(const struct rounds *r, uint32_t n, uint32_t slots, const struct ag_round *round)
{
    const struct ag_cpu_model *m = r->s->m;
    const struct ag_model_config *c = &m->model->config;
    struct ag_forward_trace t = {
        .frame = (uint32_t)r->s->frames, .forward = r->out->rounds, .round_slot = slots, .n = n,
        .cached = ag_cpu_stream_cached(r->s), .positions = m->positions, .hidden = m->hidden,
        .logits = m->logits, .losses = m->logits + (size_t)c->round * c->vocab, .round = round,
    };
    r->hooks->forward(r->hooks->user, &t);
}

// Replaces what the round emitted.
static bool force(const struct rounds *r, uint32_t before, struct ag_round *round, bool ended)
{
    const struct ag_model_config *c = &r->s->m->model->config;
    r->hooks->force(r->hooks->user, r->out->rounds, round, &ended);
    assert(round->n <= c->round && before + round->n <= c->cells);
    memcpy(r->out->ids + before, round->emitted, round->n * sizeof(*round->emitted));
    r->out->slots = before + round->n;
    return ended;
}

// Selects from the forward that has just run over n rows. Leaves the valid ids in s->pending.
static bool select_round(const struct rounds *r, uint32_t n)
{
    struct ag_cpu_stream *s = r->s;
    struct ag_cpu_model *m = s->m;
    const struct ag_model_config *c = &m->model->config;
    struct ag_round round;
    uint32_t before = r->out->slots;
    bool ended = ag_select_round(c, m->logits, m->logits + (size_t)c->round * c->vocab,
                                 r->in->budget, r->in->threshold, r->out->rounds == 0, r->out->ids,
                                 &r->out->slots, &round);
    if (r->hooks && r->hooks->forward) {
        trace(r, n, before, &round);
    }
    if (r->hooks && r->hooks->force) {
        ended = force(r, before, &round, ended);
    }
    memcpy(r->out->losses + before, round.loss, round.n * sizeof(*round.loss));
    s->n_pending = keep_valid(c, &round, s->pending);
    r->out->valid += s->n_pending;
    r->out->rounds++;
    return ended || s->n_pending == 0;
}

// Decode forwards reuse the prefill's last positions and never advance them (M5.3).
static bool run_rounds(const struct rounds *r, uint32_t n, struct ag_gaze_times *times,
                       struct ag_error *err)
{
    struct ag_cpu_stream *s = r->s;
    struct ag_cpu_model *m = s->m;
    int64_t start = ag_now_ns();
    for (;;) {
        ag_cpu_forward(m, &s->cache, n);
        int64_t now = ag_now_ns();
        *(r->out->rounds ? &times->decode : &times->prefill) += now - start;
        start = now;
        if (!all_finite(m->logits, m->heads.out)) {
            return ag_fail_kind(err, AG_ERR_INPUT, "NONFINITE", "the model's logits of frame %llu "
                                "are not finite; is its input?",
                                (unsigned long long)r->in->frame_id);
        }
        if (select_round(r, n)) {
            times->decode += ag_now_ns() - start;
            return true;
        }
        n = s->n_pending;
        embed(m, 0, s->pending, n);
        set_positions(m, r->base - n, n);
        s->position += n;
    }
}

static bool check_input(const struct ag_cpu_stream *s, const struct ag_gaze_input *in,
                        struct ag_error *err)
{
    return (in->budget >= 1 && in->budget <= s->params.max_budget) ||
           ag_fail(err, AG_ERR_INPUT, "a budget of %u slots a frame, expected 1 to %u", in->budget,
                   s->params.max_budget);
}

bool ag_cpu_gaze(struct ag_cpu_stream *s, const struct ag_gaze_input *in, struct ag_gaze *out,
                 const struct ag_gaze_hooks *hooks, struct ag_gaze_times *times,
                 struct ag_error *err)
{
    struct ag_cpu_model *m = s->m;
    const struct ag_model_config *c = &m->model->config;
    struct ag_gaze_times local;
    times = times ? times : &local;
    *times = (struct ag_gaze_times){ 0 };
    out->frame_id = in->frame_id;
    out->slots = out->rounds = out->valid = 0;
    if (!check_input(s, in, err) || !ag_cpu_stream_begin_frame(s, &out->chunk_start, err)) {
        return false;
    }
    int64_t start = ag_now_ns();
    if (s->params.context == AG_CONTEXT_CANVAS) {
        see_canvas(s, in);
    } else {
        see_frames(s, in->frame);
    }
    times->vision = ag_now_ns() - start;
    if (hooks && hooks->vision) {
        hooks->vision(hooks->user, m->tokens);
    }
    // Prompt: the ids of the last round, which are not cached yet, then the frame's tokens.
    uint32_t n = s->n_pending + c->tokens;
    embed(m, 0, s->pending, s->n_pending);
    memcpy(m->x + (size_t)s->n_pending * c->width, m->tokens,
           (size_t)c->tokens * c->width * sizeof(float));
    set_positions(m, s->position, n);
    s->position += n;
    struct rounds r = { .s = s, .in = in, .hooks = hooks, .out = out, .base = s->position };
    if (!run_rounds(&r, n, times, err)) {
        ag_cpu_stream_reset(s);
        return false;
    }
    ag_cpu_stream_end_frame(s, out->valid);
    return true;
}

// ---- canvas ------------------------------------------------------------------------------------
// First pixel whose centre lies in cell `i` of `grid` or behind it.
static uint32_t cell_edge(uint32_t i, uint32_t side, uint32_t grid)
{
    uint64_t twice = 2ull * i * side; // centre x + 1/2 >= i * side / grid
    return twice > grid ? (uint32_t)AG_DIV_UP(twice - grid, 2ull * grid) : 0;
}

void ag_paint_ids(const struct ag_model_config *c, const float *frame, const uint32_t *ids,
                  uint32_t n, float *canvas)
{
    uint32_t side = c->image_size;
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] >= c->cells) {
            continue;
        }
        uint32_t scale, row, col;
        ag_cell_of_id(c, ids[i], &scale, &row, &col);
        uint32_t grid = c->scale_grid[scale];
        uint32_t x = cell_edge(col, side, grid), end = cell_edge(col + 1, side, grid);
        for (uint32_t y = cell_edge(row, side, grid); y < cell_edge(row + 1, side, grid); y++) {
            for (uint32_t plane = 0; plane < 3; plane++) {
                size_t at = ((size_t)plane * side + y) * side + x;
                memcpy(canvas + at, frame + at, (end - x) * sizeof(float));
            }
        }
    }
}
