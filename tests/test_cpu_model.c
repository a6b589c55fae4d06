// Behaviour of the CPU back end that golden vectors do not show: stream policies, reset, threads,
// bad input, canvas painting. The decoder is checked once more against a second, naive one.
#include "model_util.h"

#include <math.h>

#include "../src/model/cpu_internal.h"

// ---- frames ------------------------------------------------------------------------------------
enum { FRAMES = 14 };

struct clip {
    struct ag_model *model;
    struct ag_cpu_model *cpu;
    float *frames; // [FRAMES][3][S][S], repeats the fixture's
    size_t size;
};

static struct clip open_clip(const char *dir, const char *vectors, uint32_t threads)
{
    struct ag_error err = { 0 };
    struct clip c = { .model = ag_model_load(NULL, dir, &err) };
    assert_non_null(c.model);
    struct ag_safetensors *file = ag_safetensors_open(vectors, &err);
    assert_non_null(file);
    const struct ag_safetensors_entry *e = ag_safetensors_find(file, "frames");
    assert_non_null(e);
    c.size = e->count / e->shape[0];
    c.frames = ag_alloc(FRAMES * c.size * sizeof(float));
    for (uint32_t t = 0; t < FRAMES; t++) {
        memcpy(c.frames + t * c.size,
               (const char *)e->data + t % e->shape[0] * c.size * sizeof(float),
               c.size * sizeof(float));
    }
    ag_safetensors_close(&file);
    c.cpu = ag_cpu_model_create(c.model, &(struct ag_cpu_params){ .threads = threads }, &err);
    assert_non_null(c.cpu);
    return c;
}

static struct clip open_fixture(const char *name)
{
    char dir[300], vectors[300];
    snprintf(dir, sizeof(dir), AG_FIXTURES "/%s", name);
    snprintf(vectors, sizeof(vectors), AG_FIXTURES "/%s/vectors.safetensors", name);
    return open_clip(dir, vectors, 1);
}

static void close_clip(struct clip *c)
{
    ag_cpu_model_destroy(&c->cpu);
    ag_model_destroy(&c->model);
    ag_free(c->frames);
}

static struct ag_cpu_stream *open_stream(const struct clip *c, enum ag_stream_policy policy,
                                         uint32_t horizon, uint32_t max_budget)
{
    struct ag_error err = { 0 };
    struct ag_stream_params p = { .context = c->model->config.context, .policy = policy,
                                  .horizon = horizon, .max_budget = max_budget };
    struct ag_cpu_stream *s = ag_cpu_stream_create(c->cpu, &p, &err);
    assert_non_null(s);
    return s;
}

// A frame's result, with a hash of all its logits.
struct result {
    struct ag_gaze gaze;
    uint32_t ids[300];
    float losses[300];
    uint64_t logits;
};

static void hash_forward(void *user, const struct ag_forward_trace *t)
{
    struct result *r = user;
    r->logits = ag_hash(r->logits, t->logits, 64 * sizeof(float));
    r->logits = ag_hash(r->logits, t->positions, t->n * sizeof(*t->positions));
}

static bool gaze(struct ag_cpu_stream *s, const struct ag_gaze_input *in, struct result *r,
                 struct ag_error *err)
{
    struct ag_gaze_hooks hooks = { .user = r, .forward = hash_forward };
    *r = (struct result){ .logits = AG_HASH_SEED };
    r->gaze = (struct ag_gaze){ .ids = r->ids, .losses = r->losses };
    return ag_cpu_gaze(s, in, &r->gaze, &hooks, NULL, err);
}

static struct result run(const struct clip *c, struct ag_cpu_stream *s, uint32_t t, uint32_t budget,
                         float threshold)
{
    struct ag_error err = { 0 };
    struct result r;
    struct ag_gaze_input in = { .frame_id = t, .frame = c->frames + t * c->size, .budget = budget,
                                .threshold = threshold };
    assert_true(gaze(s, &in, &r, &err));
    assert_int_equal(r.gaze.frame_id, t);
    return r;
}

static void assert_same(const struct result *a, const struct result *b)
{
    assert_int_equal(a->gaze.slots, b->gaze.slots);
    assert_int_equal(a->gaze.valid, b->gaze.valid);
    assert_int_equal(a->gaze.rounds, b->gaze.rounds);
    assert_memory_equal(a->ids, b->ids, a->gaze.slots * sizeof(a->ids[0]));
    assert_memory_equal(a->losses, b->losses, a->gaze.slots * sizeof(a->losses[0]));
    assert_true(a->logits == b->logits);
}

// ---- a second decoder, as naive as can be ------------------------------------------------------
// One query at a time over lists of keys and values that grow at the end and shrink in front.
struct naive {
    const struct ag_model *model;
    float *keys, *values; // [token][layer][kv][HD]
    uint32_t n, room;
    float hidden[64];
};

static void linear(const float *w, const float *x, uint32_t out, uint32_t in, float *y)
{
    for (uint32_t o = 0; o < out; o++) {
        double sum = 0;
        for (uint32_t i = 0; i < in; i++) {
            sum += (double)w[o * in + i] * (double)x[i];
        }
        y[o] = (float)sum;
    }
}

static void norm(const struct ag_model_config *c, const float *x, const float *w, float *y)
{
    double sum = 0;
    for (uint32_t i = 0; i < c->width; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    for (uint32_t i = 0; i < c->width; i++) {
        y[i] = (float)((double)x[i] / sqrt(sum / c->width + (double)c->rms_eps)) * w[i];
    }
}

static void turn(const struct ag_model_config *c, float *x, uint32_t heads, uint32_t position)
{
    float f[64];
    uint32_t half = c->head_dim / 2;
    ag_rope_frequencies(c, f);
    for (uint32_t h = 0; h < heads; h++, x += c->head_dim) {
        for (uint32_t d = 0; d < half; d++) {
            float angle = (float)position * f[d], p = x[d], q = x[d + half];
            x[d] = p * cosf(angle) - q * sinf(angle);
            x[d + half] = q * cosf(angle) + p * sinf(angle);
        }
    }
}

static void attend(const struct naive *m, uint32_t layer, const float *q, float *out)
{
    const struct ag_model_config *c = &m->model->config;
    uint32_t hd = c->head_dim, step = c->layers * c->kv_heads * hd;
    for (uint32_t h = 0; h < c->heads; h++) {
        uint32_t at = (layer * c->kv_heads + h / (c->heads / c->kv_heads)) * hd;
        double total = 0, sum[64] = { 0 };
        for (uint32_t j = 0; j < m->n; j++) {
            double dot = 0;
            for (uint32_t d = 0; d < hd; d++) {
                dot += (double)q[h * hd + d] * (double)m->keys[j * step + at + d];
            }
            double p = exp(dot / sqrt(hd)); // small models: no overflow
            total += p;
            for (uint32_t d = 0; d < hd; d++) {
                sum[d] += p * (double)m->values[j * step + at + d];
            }
        }
        for (uint32_t d = 0; d < hd; d++) {
            out[h * hd + d] = (float)(sum[d] / total);
        }
    }
}

static void feed(struct naive *m, const float *token, uint32_t position)
{
    const struct ag_model_config *c = &m->model->config;
    float x[64], y[64], q[128], context[128], gate[128], up[128];
    uint32_t inner = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    assert_true(m->n < m->room);
    memcpy(x, token, c->width * sizeof(float));
    m->n++;
    for (uint32_t l = 0; l < c->layers; l++) {
        const struct ag_decoder_layer_weights *w = &m->model->weights.layer[l];
        float *key = m->keys + ((size_t)(m->n - 1) * c->layers + l) * kv;
        norm(c, x, w->norm_attn, y);
        linear(w->q, y, inner, c->width, q);
        linear(w->k, y, kv, c->width, key);
        linear(w->v, y, kv, c->width, m->values + (key - m->keys));
        turn(c, q, c->heads, position);
        turn(c, key, c->kv_heads, position);
        attend(m, l, q, context);
        linear(w->o, context, c->width, inner, y);
        for (uint32_t i = 0; i < c->width; i++) {
            x[i] += y[i];
        }
        norm(c, x, w->norm_mlp, y);
        linear(w->gate, y, c->mlp, c->width, gate);
        linear(w->up, y, c->mlp, c->width, up);
        for (uint32_t i = 0; i < c->mlp; i++) {
            gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
        }
        linear(w->down, gate, c->width, c->mlp, y);
        for (uint32_t i = 0; i < c->width; i++) {
            x[i] += y[i];
        }
    }
    norm(c, x, m->model->weights.norm_final, m->hidden);
}

static void drop(struct naive *m, uint32_t n)
{
    const struct ag_model_config *c = &m->model->config;
    size_t step = (size_t)c->layers * c->kv_heads * c->head_dim;
    n = AG_MIN(n, m->n);
    memmove(m->keys, m->keys + n * step, (m->n - n) * step * sizeof(float));
    memmove(m->values, m->values + n * step, (m->n - n) * step * sizeof(float));
    m->n -= n;
}

// What the back end did in one frame.
struct seen {
    const struct ag_model_config *c;
    float tokens[64 * 64];
    uint32_t n_forwards;
    struct {
        float hidden[64];
        uint32_t n, cached, positions[128];
        struct ag_round round;
    } forward[64];
};

static void see_vision(void *user, const float *tokens)
{
    struct seen *s = user;
    memcpy(s->tokens, tokens, s->c->tokens * s->c->width * sizeof(float));
}

static void see_forward(void *user, const struct ag_forward_trace *t)
{
    struct seen *s = user;
    assert_true(s->n_forwards < 64 && t->n <= 128);
    assert_int_equal(t->forward, s->n_forwards);
    memcpy(s->forward[s->n_forwards].hidden, t->hidden, s->c->width * sizeof(float));
    memcpy(s->forward[s->n_forwards].positions, t->positions, t->n * sizeof(*t->positions));
    s->forward[s->n_forwards].n = t->n;
    s->forward[s->n_forwards].cached = t->cached;
    s->forward[s->n_forwards].round = *t->round;
    s->n_forwards++;
}

static void assert_hidden(const struct naive *m, const float *hidden)
{
    for (uint32_t i = 0; i < m->model->config.width; i++) {
        assert_true(fabsf(hidden[i] - m->hidden[i]) < 1e-4f);
    }
}

// Replays a whole clip by the words of M5.3 and M5.6.
static void compare_with_naive(const char *fixture, enum ag_stream_policy policy, uint32_t horizon,
                               uint32_t budget, float threshold)
{
    struct clip clip = open_fixture(fixture);
    const struct ag_model_config *c = &clip.model->config;
    struct ag_cpu_stream *s = open_stream(&clip, policy, horizon, budget);
    uint32_t per_frame = c->tokens + budget;
    struct naive m = { .model = clip.model, .room = (horizon + 1) * per_frame };
    size_t step = (size_t)c->layers * c->kv_heads * c->head_dim;
    m.keys = ag_alloc(m.room * step * sizeof(float));
    m.values = ag_alloc(m.room * step * sizeof(float));
    struct seen *seen = ag_alloc(sizeof(*seen));
    uint32_t position = 0, stored[FRAMES], first = 0, frames = 0;
    uint32_t pending[AG_MAX_ROUND], n_pending = 0;
    const float *embed = clip.model->weights.embed;
    for (uint32_t t = 0; t < FRAMES; t++) {
        struct ag_error err = { 0 };
        struct result r;
        *seen = (struct seen){ .c = c };
        struct ag_gaze_hooks hooks = { .user = seen, .vision = see_vision, .forward = see_forward };
        struct ag_gaze_input in = { .frame_id = t, .frame = clip.frames + t * clip.size,
                                    .budget = budget, .threshold = threshold };
        r.gaze = (struct ag_gaze){ .ids = r.ids, .losses = r.losses };
        assert_true(ag_cpu_gaze(s, &in, &r.gaze, &hooks, NULL, &err));

        if (policy == AG_STREAM_CHUNK && t % horizon == 0) {
            m.n = position = n_pending = 0;
        }
        for (; policy == AG_STREAM_SLIDE && frames - first >= horizon; first++) {
            drop(&m, stored[first]);
        }
        while (policy == AG_STREAM_SLIDE && m.n + per_frame > horizon * per_frame) {
            drop(&m, 1);
        }
        assert_true(m.n <= horizon * per_frame);
        assert_int_equal(r.gaze.chunk_start, position == 0);
        assert_int_equal(seen->forward[0].n, n_pending + c->tokens);
        for (uint32_t i = 0; i < seen->forward[0].n; i++) {
            assert_int_equal(seen->forward[0].positions[i], position);
            feed(&m, i < n_pending ? embed + pending[i] * c->width
                                   : seen->tokens + (i - n_pending) * c->width, position++);
        }
        uint32_t base = position, valid = 0;
        for (uint32_t f = 0; f < seen->n_forwards; f++) {
            const struct ag_round *round = &seen->forward[f].round;
            assert_hidden(&m, seen->forward[f].hidden);
            assert_int_equal(seen->forward[f].cached, m.n);
            n_pending = 0;
            for (uint32_t i = 0; i < round->n; i++) {
                if (round->emitted[i] != c->eos) {
                    pending[n_pending++] = round->emitted[i];
                }
            }
            valid += n_pending;
            if (f + 1 == seen->n_forwards) {
                break; // pending until the next frame's prefill
            }
            for (uint32_t i = 0; i < n_pending; i++) {
                assert_int_equal(seen->forward[f + 1].positions[i], base - c->round + i);
                feed(&m, embed + pending[i] * c->width, base - c->round + i);
                position++;
            }
        }
        assert_int_equal(r.gaze.valid, valid);
        assert_int_equal(r.gaze.rounds, seen->n_forwards);
        assert_int_equal(ag_cpu_stream_cached(s), m.n);
        stored[frames++] = c->tokens + valid;
    }
    ag_free(seen);
    ag_free(m.keys);
    ag_free(m.values);
    ag_cpu_stream_destroy(&s);
    close_clip(&clip);
}

static void test_unbounded(void **state)
{
    (void)state;
    compare_with_naive("tiny", AG_STREAM_UNBOUNDED, FRAMES, 15, AG_NO_THRESHOLD);
    compare_with_naive("variants/grouped", AG_STREAM_UNBOUNDED, FRAMES, 11, 0.0f);
}

static void test_chunk(void **state)
{
    (void)state;
    compare_with_naive("tiny", AG_STREAM_CHUNK, 3, 15, 0.0f);
    compare_with_naive("variants/odd", AG_STREAM_CHUNK, 5, 20, 0.0f);
}

static void test_slide(void **state)
{
    (void)state;
    static const uint32_t horizons[] = { 1, 2, 3, 5 };
    for (size_t i = 0; i < AG_COUNT(horizons); i++) {
        compare_with_naive("tiny", AG_STREAM_SLIDE, horizons[i], 15, 0.0f);
        compare_with_naive("tiny", AG_STREAM_SLIDE, horizons[i], 21, AG_NO_THRESHOLD);
        compare_with_naive("variants/odd", AG_STREAM_SLIDE, horizons[i], 11, -0.01f);
        compare_with_naive("variants/one-a-round", AG_STREAM_SLIDE, horizons[i], 6, 0.0f);
    }
}

// ---- policies ----------------------------------------------------------------------------------
static void test_chunk_forgets_everything(void **state)
{
    (void)state;
    struct clip c = open_fixture("variants/depth2");
    struct ag_cpu_stream *chunked = open_stream(&c, AG_STREAM_CHUNK, 3, 0);
    struct ag_cpu_stream *fresh = NULL;
    for (uint32_t t = 0; t < 8; t++) {
        if (t % 3 == 0) {
            ag_cpu_stream_destroy(&fresh);
            fresh = open_stream(&c, AG_STREAM_UNBOUNDED, 3, 0);
        }
        struct result a = run(&c, chunked, t, 15, 0.0f), b = run(&c, fresh, t, 15, 0.0f);
        assert_same(&a, &b);
        assert_int_equal(a.gaze.chunk_start, t % 3 == 0);
        assert_int_equal(ag_cpu_stream_cached(chunked), ag_cpu_stream_cached(fresh));
    }
    // reset in the middle of a chunk: as after creation
    ag_cpu_stream_reset(chunked);
    ag_cpu_stream_destroy(&fresh);
    fresh = open_stream(&c, AG_STREAM_CHUNK, 3, 0);
    struct result a = run(&c, chunked, 4, 15, 0.0f), b = run(&c, fresh, 4, 15, 0.0f);
    assert_same(&a, &b);
    assert_true(a.gaze.chunk_start);
    ag_cpu_stream_destroy(&fresh);
    ag_cpu_stream_destroy(&chunked);
    close_clip(&c);
}

static void test_slide_starts_like_unbounded(void **state)
{
    (void)state;
    struct clip c = open_fixture("tiny");
    struct ag_cpu_stream *slide = open_stream(&c, AG_STREAM_SLIDE, 4, 15);
    struct ag_cpu_stream *unbounded = open_stream(&c, AG_STREAM_UNBOUNDED, FRAMES, 15);
    bool differed = false;
    for (uint32_t t = 0; t < FRAMES; t++) {
        struct result a = run(&c, slide, t, 15, 0.0f), b = run(&c, unbounded, t, 15, 0.0f);
        if (t < 4) {
            assert_same(&a, &b);
        }
        differed |= a.logits != b.logits;
        assert_true(ag_cpu_stream_cached(slide) <= 4 * (c.model->config.tokens + 15));
        assert_int_equal(a.gaze.chunk_start, t == 0);
    }
    assert_true(differed);
    ag_cpu_stream_destroy(&slide);
    ag_cpu_stream_destroy(&unbounded);
    close_clip(&c);
}

static void test_unbounded_ends(void **state)
{
    (void)state;
    struct clip c = open_fixture("tiny");
    struct ag_error err = { 0 };
    struct ag_cpu_stream *s = open_stream(&c, AG_STREAM_UNBOUNDED, 2, 0);
    struct result first = run(&c, s, 0, 15, 0.0f), r;
    run(&c, s, 1, 15, 0.0f);
    struct ag_gaze_input in = { .frame = c.frames, .budget = 15, .threshold = 0.0f };
    assert_false(gaze(s, &in, &r, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_non_null(strstr(err.text, "2 frames"));
    ag_cpu_stream_reset(s);
    r = run(&c, s, 0, 15, 0.0f);
    assert_same(&r, &first);
    ag_cpu_stream_destroy(&s);
    close_clip(&c);
}

static void test_position_guard(void **state)
{
    (void)state;
    struct clip c = open_fixture("tiny");
    struct ag_cpu_stream *s = open_stream(&c, AG_STREAM_SLIDE, 3, 0);
    struct result first = run(&c, s, 0, 15, 0.0f);
    for (uint32_t t = 1; t < 5; t++) {
        run(&c, s, t, 15, 0.0f);
    }
    s->position = (1u << 22) - 20; // as after a day of live input
    struct result r = run(&c, s, 0, 15, 0.0f);
    assert_true(r.gaze.chunk_start);
    assert_same(&r, &first);
    ag_cpu_stream_destroy(&s);
    close_clip(&c);
}

// ---- threads, memory, bad input ----------------------------------------------------------------
static void test_threads_do_not_matter(void **state)
{
    (void)state;
    struct result one[2];
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct clip c = open_clip(AG_MODELS "/open-gaze", AG_FIXTURES "/open-gaze.safetensors",
                                  threads);
        struct ag_stream_params p = { .context = AG_CONTEXT_FRAMES, .horizon = 4 };
        struct ag_error err = { 0 };
        struct ag_cpu_stream *s = ag_cpu_stream_create(c.cpu, &p, &err);
        assert_non_null(s);
        for (uint32_t t = 0; t < 2; t++) {
            struct result r = run(&c, s, t, 55, AG_NO_THRESHOLD);
            assert_int_equal(r.gaze.slots, 55);
            if (threads == 1) {
                one[t] = r;
            }
            assert_same(&r, &one[t]);
        }
        ag_cpu_stream_destroy(&s);
        close_clip(&c);
    }
}

static void test_no_allocation_a_frame(void **state)
{
    (void)state;
    struct clip c = open_fixture("tiny");
    struct ag_cpu_stream *s = open_stream(&c, AG_STREAM_SLIDE, 2, 0);
    uint64_t before = ag_alloc_count();
    for (uint32_t t = 0; t < FRAMES; t++) {
        run(&c, s, t, 21, 0.0f);
    }
    assert_int_equal(ag_alloc_count(), before);
    ag_cpu_stream_destroy(&s);
    close_clip(&c);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct clip c = open_fixture("tiny");
    static const struct {
        struct ag_stream_params params;
        const char *words;
    } cases[] = {
        { { .policy = AG_STREAM_CHUNK, .horizon = 50000000 }, "MiB" },
        { { .policy = AG_STREAM_SLIDE, .horizon = UINT32_MAX }, "fewer frames" },
        { { .max_budget = 22 }, "21 cells" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_error err = { 0 };
        assert_null(ag_cpu_stream_create(c.cpu, &cases[i].params, &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
        assert_non_null(strstr(err.text, cases[i].words));
    }
    struct ag_cpu_stream *s = open_stream(&c, AG_STREAM_CHUNK, 0, 10);
    struct result first = run(&c, s, 0, 10, 0.0f), r;
    struct ag_gaze_input in = { .frame = c.frames, .threshold = 0.0f };
    static const uint32_t budgets[] = { 0, 11, UINT32_MAX };
    for (size_t i = 0; i < AG_COUNT(budgets); i++) {
        struct ag_error err = { 0 };
        in.budget = budgets[i];
        assert_false(gaze(s, &in, &r, &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
    }
    float *frame = ag_alloc(c.size * sizeof(*frame));
    frame[5] = NAN;
    in = (struct ag_gaze_input){ .frame_id = 7, .frame = frame, .budget = 10, .threshold = 0.0f };
    struct ag_error err = { 0 };
    assert_false(gaze(s, &in, &r, &err));
    assert_string_equal(err.kind, "NONFINITE");
    assert_non_null(strstr(err.text, "frame 7"));
    r = run(&c, s, 0, 10, 0.0f); // the stream has been reset
    assert_same(&r, &first);
    ag_free(frame);
    ag_cpu_stream_destroy(&s);
    close_clip(&c);

    c = open_fixture("variants/depth2");
    err = (struct ag_error){ 0 };
    assert_null(ag_cpu_stream_create(
        c.cpu, &(struct ag_stream_params){ .context = AG_CONTEXT_CANVAS }, &err));
    assert_string_equal(err.kind, "UNSUPPORTED");
    close_clip(&c);
}

// ---- canvas ------------------------------------------------------------------------------------
// `how` 0: as documented, 1: previous always recomputed, 2: a reset before every frame
static struct result run_canvas(const struct clip *c, struct ag_cpu_stream *s, uint32_t t,
                                float *canvas, int how)
{
    struct ag_error err = { 0 };
    struct result r;
    const float *frame = c->frames + t * c->size;
    struct ag_gaze_input in = {
        .frame_id = 100 + t, .frame = frame, .budget = 15, .threshold = 0.0f,
        .canvas = t ? canvas : NULL, .previous = t ? frame - c->size : NULL,
        .previous_id = how == 1 ? 5 : 99 + t,
    };
    if (how == 2) {
        ag_cpu_stream_reset(s);
    }
    assert_true(gaze(s, &in, &r, &err));
    assert_false(r.gaze.chunk_start);
    ag_paint_ids(&c->model->config, frame, r.ids, r.gaze.slots, canvas);
    return r;
}

static void test_canvas_previous(void **state)
{
    (void)state;
    struct clip c = open_fixture("tiny-canvas");
    struct result kept[6];
    for (int how = 0; how < 3; how++) {
        struct ag_cpu_stream *s = open_stream(&c, AG_STREAM_CHUNK, 0, 0);
        float *canvas = ag_alloc(c.size * sizeof(*canvas));
        for (uint32_t t = 0; t < 6; t++) {
            struct result r = run_canvas(&c, s, t, canvas, how);
            if (how == 0) {
                kept[t] = r;
            }
            assert_same(&r, &kept[t]);
        }
        ag_free(canvas);
        ag_cpu_stream_destroy(&s);
    }
    // An unknown previous frame is not the same as a known one.
    struct ag_cpu_stream *s = open_stream(&c, AG_STREAM_CHUNK, 0, 0);
    struct result a = run(&c, s, 0, 15, 0.0f), b;
    struct ag_error err = { 0 };
    struct ag_gaze_input in = { .frame_id = 0, .frame = c.frames, .budget = 15, .threshold = 0.0f,
                                .previous = c.frames };
    assert_true(gaze(s, &in, &b, &err));
    assert_true(a.logits != b.logits);
    ag_cpu_stream_destroy(&s);
    close_clip(&c);
}

static void test_paint(void **state)
{
    (void)state;
    struct ag_model_config c = {
        .image_size = 30, .n_scales = 3, .scale_grid = { 1, 4, 7 }, .scale_first = { 0, 1, 17 },
        .cells = 66, .eos = 66,
    };
    static float frame[3 * 900], canvas[3 * 900];
    for (uint32_t s = 0; s < c.n_scales; s++) { // the cells of a grid tile the picture
        uint32_t counts[900] = { 0 }, g = c.scale_grid[s];
        for (uint32_t cell = 0; cell < g * g; cell++) {
            uint32_t id = c.scale_first[s] + cell;
            for (uint32_t i = 0; i < AG_COUNT(frame); i++) {
                frame[i] = 1;
                canvas[i] = 0;
            }
            ag_paint_ids(&c, frame, &id, 1, canvas);
            for (uint32_t i = 0; i < 900; i++) {
                assert_true(canvas[i] == canvas[900 + i] && canvas[i] == canvas[1800 + i]);
                counts[i] += canvas[i] == 1;
                // painted iff the pixel's centre lies in the cell
                uint32_t col = (2 * (i % 30) + 1) * g / 60, row = (2 * (i / 30) + 1) * g / 60;
                assert_int_equal(canvas[i] == 1, row == cell / g && col == cell % g);
            }
        }
        for (uint32_t i = 0; i < 900; i++) {
            assert_int_equal(counts[i], 1);
        }
    }
    memset(canvas, 0, sizeof(canvas));
    ag_paint_ids(&c, frame, (uint32_t[]){ 66, 1000, UINT32_MAX }, 3, canvas); // skipped
    for (uint32_t i = 0; i < AG_COUNT(canvas); i++) {
        assert_true(canvas[i] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unbounded),
        cmocka_unit_test(test_chunk),
        cmocka_unit_test(test_slide),
        cmocka_unit_test(test_chunk_forgets_everything),
        cmocka_unit_test(test_slide_starts_like_unbounded),
        cmocka_unit_test(test_unbounded_ends),
        cmocka_unit_test(test_position_guard),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_no_allocation_a_frame),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_canvas_previous),
        cmocka_unit_test(test_paint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
