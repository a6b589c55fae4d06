// What one video carries from frame to frame, and when it is forgotten (M5.6).
#include "cpu_internal.h"

#include <assert.h>
#include <string.h>

#include "cpu_arena.h"

#define UNBOUNDED_FRAMES 64
#define MAX_POSITION (1u << 22) // beyond, float32 angles are too coarse (M4.1)
#define MAX_BYTES ((uint64_t)8 << 30)

// Most tokens that a frame adds to the cache.
static uint32_t frame_tokens(const struct ag_cpu_stream *s)
{
    return s->m->model->config.tokens + s->params.max_budget;
}

static bool fill_defaults(struct ag_cpu_stream *s, struct ag_error *err)
{
    const struct ag_model_config *c = &s->m->model->config;
    struct ag_stream_params *p = &s->params;
    if (p->context == AG_CONTEXT_CANVAS && (c->trunk_depth != 1 || c->trunk_time != 3)) {
        return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED", "context canvas needs one trunk "
                            "block of 3 frames, model '%s' has %u of %u", s->m->model->name,
                            c->trunk_depth, c->trunk_time);
    }
    if (p->max_budget > c->cells) {
        return ag_fail(err, AG_ERR_INPUT, "a budget of %u is over the %u cells of model '%s'",
                       p->max_budget, c->cells, s->m->model->name);
    }
    p->max_budget = p->max_budget ? p->max_budget : c->cells;
    if (p->context == AG_CONTEXT_CANVAS) {
        p->horizon = 1;
    } else if (!p->horizon) {
        p->horizon = p->policy == AG_STREAM_UNBOUNDED ? UNBOUNDED_FRAMES : c->max_num_frames;
    }
    return true;
}

static bool size_cache(struct ag_cpu_stream *s, struct ag_error *err)
{
    const struct ag_model_config *c = &s->m->model->config;
    // A sliding window gets room for a few frames more, so that it is moved in memory once in a
    // while only, and for the part of a block before its begin.
    uint64_t spare = s->params.policy == AG_STREAM_SLIDE ? 3 : 0;
    uint64_t tokens = (s->params.horizon + spare) * frame_tokens(s) + AG_PANEL;
    tokens = AG_ALIGN_UP(tokens, AG_PANEL);
    uint64_t bytes = tokens * c->layers * c->kv_heads * (c->head_dim + AG_PANEL_UP(c->head_dim)) *
                     sizeof(float);
    if (tokens > 2 * (uint64_t)MAX_POSITION || bytes > MAX_BYTES) {
        return ag_fail(err, AG_ERR_INPUT, "a context of %u frames needs %llu MiB for keys and "
                       "values, at most %llu MiB are taken; use fewer frames a clip",
                       s->params.horizon, (unsigned long long)(bytes >> 20),
                       (unsigned long long)(MAX_BYTES >> 20));
    }
    s->cache.capacity = (uint32_t)tokens;
    return true;
}

static void carve(struct ag_cpu_stream *s, struct ag_arena *a)
{
    const struct ag_model_config *c = &s->m->model->config;
    size_t tokens = (size_t)s->cache.capacity * c->layers * c->kv_heads;
    s->cache.keys = ag_carve(a, tokens * c->head_dim, sizeof(float));
    s->cache.values = ag_carve(a, tokens * AG_PANEL_UP(c->head_dim), sizeof(float));
    for (uint32_t i = 0; i < c->trunk_depth * c->trunk_time; i++) {
        s->features[i] = ag_carve(a, ag_cpu_feature_size(c), sizeof(float));
    }
    s->entries = ag_carve(a, s->params.horizon, sizeof(*s->entries));
}

// Attention's scratch must hold the longest context of all streams.
static void grow_scores(struct ag_cpu_model *m, size_t capacity)
{
    if (capacity <= m->score_capacity) {
        return;
    }
    ag_free(m->score_arena);
    m->score_capacity = capacity;
    struct ag_arena a = { 0 };
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < ag_pool_workers(m->pool); i++) {
            m->scratch[i].scores = ag_carve(&a, capacity * AG_TILE, sizeof(float));
            m->scratch[i].probs = ag_carve(&a, capacity * AG_TILE, sizeof(float));
        }
        a = pass ? a : ag_arena_take(a, &m->score_arena);
    }
}

struct ag_cpu_stream *ag_cpu_stream_create(struct ag_cpu_model *m,
                                           const struct ag_stream_params *params,
                                           struct ag_error *err)
{
    struct ag_cpu_stream *s = ag_alloc(sizeof(*s));
    s->m = m;
    s->params = *params;
    if (!fill_defaults(s, err) || !size_cache(s, err)) {
        ag_cpu_stream_destroy(&s);
        return NULL;
    }
    struct ag_arena a = { 0 };
    carve(s, &a);
    a = ag_arena_take(a, &s->arena);
    carve(s, &a);
    grow_scores(m, s->cache.capacity);
    ag_cpu_stream_reset(s);
    return s;
}

void ag_cpu_stream_destroy(struct ag_cpu_stream **stream)
{
    struct ag_cpu_stream *s = *stream;
    if (!s) {
        return;
    }
    ag_free(s->arena);
    ag_free(s);
    *stream = NULL;
}

static void reset_context(struct ag_cpu_stream *s)
{
    s->in_chunk = 0;
    s->position = 0;
    s->n_pending = 0;
    s->cache.begin = s->cache.end = 0;
    s->first_entry = s->n_entries = 0;
}

void ag_cpu_stream_reset(struct ag_cpu_stream *s)
{
    reset_context(s);
    s->frames = 0;
    s->has_previous = false;
}

// Drops whole blocks in front of the window, so that `n` more tokens fit behind it.
static void make_room(struct ag_cpu_stream *s, uint32_t n)
{
    const struct ag_model_config *c = &s->m->model->config;
    struct ag_cpu_cache *cache = &s->cache;
    if (cache->end + n <= cache->capacity) {
        return;
    }
    size_t shift = cache->begin / AG_PANEL * AG_PANEL, width = AG_PANEL_UP(c->head_dim);
    size_t left = AG_PANEL_UP(cache->end) - shift;
    for (uint32_t l = 0; l < c->layers; l++) {
        for (uint32_t h = 0; h < c->kv_heads; h++) {
            float *keys = ag_cpu_keys(c, cache, l, h), *values = ag_cpu_values(c, cache, l, h);
            memmove(keys, keys + shift * c->head_dim, left * c->head_dim * sizeof(*keys));
            memmove(values, values + shift * width, left * width * sizeof(*values));
        }
    }
    cache->begin -= (uint32_t)shift;
    cache->end -= (uint32_t)shift;
    assert(cache->end + n <= cache->capacity);
}

static void drop_tokens(struct ag_cpu_stream *s, uint32_t n)
{
    s->cache.begin += AG_MIN(n, s->cache.end - s->cache.begin);
}

// The port's sliding window: whole frames leave (never more than what is cached), then as much as
// the bound demands. The second step matters for a horizon of one frame, where the last round of
// the dropped frame is still pending. Positions go on, pending ids and the trunk's past stay.
static void slide(struct ag_cpu_stream *s)
{
    while (s->n_entries >= s->params.horizon) {
        drop_tokens(s, s->entries[s->first_entry]);
        s->first_entry = (s->first_entry + 1) % s->params.horizon;
        s->n_entries--;
    }
    uint64_t bound = (uint64_t)(s->params.horizon - 1) * frame_tokens(s);
    uint32_t cached = s->cache.end - s->cache.begin;
    drop_tokens(s, cached > bound ? (uint32_t)(cached - bound) : 0);
    make_room(s, s->n_pending + frame_tokens(s));
}

bool ag_cpu_stream_begin_frame(struct ag_cpu_stream *s, bool *chunk_start, struct ag_error *err)
{
    *chunk_start = false;
    if (s->params.context == AG_CONTEXT_CANVAS) {
        s->cache.begin = s->cache.end = 0;
        s->position = 0;
        s->n_pending = 0;
        return true;
    }
    if (s->params.policy == AG_STREAM_UNBOUNDED && s->in_chunk >= s->params.horizon) {
        return ag_fail(err, AG_ERR_INPUT, "the stream has had its %u frames of one context; reset "
                       "it, allow more frames a clip or use another policy", s->params.horizon);
    }
    if ((s->params.policy == AG_STREAM_CHUNK && s->in_chunk >= s->params.horizon) ||
        s->position + frame_tokens(s) >= MAX_POSITION) {
        reset_context(s);
    }
    *chunk_start = s->in_chunk == 0;
    if (s->params.policy == AG_STREAM_SLIDE) {
        slide(s);
    }
    return true;
}

void ag_cpu_stream_end_frame(struct ag_cpu_stream *s, uint32_t valid)
{
    s->frames++;
    if (s->params.context == AG_CONTEXT_CANVAS) {
        return;
    }
    s->in_chunk++;
    if (s->params.policy == AG_STREAM_SLIDE) {
        assert(s->n_entries < s->params.horizon);
        s->entries[(s->first_entry + s->n_entries) % s->params.horizon] =
            s->m->model->config.tokens + valid;
        s->n_entries++;
    }
}

void ag_cpu_stream_conv_past(const struct ag_cpu_stream *s, float *out)
{
    const struct ag_model_config *c = &s->m->model->config;
    size_t stride = ag_cpu_feature_stride(c), cells = c->tokens;
    uint32_t past = c->trunk_time - 1;
    for (uint32_t b = 0; b < c->trunk_depth; b++) {
        for (uint32_t t = 0; t < past; t++) {
            // t 0 is the oldest: `past` frames before the next one
            bool known = s->in_chunk + t >= past;
            uint32_t slot = known ? (s->in_chunk + t - past) % c->trunk_time : 0;
            const float *f = s->features[b * c->trunk_time + slot] + ag_cpu_margin(c);
            for (uint32_t k = 0; k < c->channels; k++) {
                float *to = out + (((size_t)b * c->channels + k) * past + t) * cells;
                for (uint32_t i = 0; i < cells; i++) {
                    to[i] = known ? f[(i / c->grid * c->channels + k) * stride + i % c->grid] : 0;
                }
            }
        }
    }
}

uint32_t ag_cpu_stream_cached(const struct ag_cpu_stream *s)
{
    return s->cache.end - s->cache.begin;
}
