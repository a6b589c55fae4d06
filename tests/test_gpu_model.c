// The whole model in compute shaders against the golden vectors and the CPU back end.
#include <math.h>
#include <stdio.h>

#include "gpu_util.h"

#include "autogaze/cpu_model.h"
#include "autogaze/gpu_model.h"

#define MAX_STREAMS 3

// ---- a model with its buffers ----------------------------------------------------------------

struct fixture {
    char dir[512];
    struct ag_model *model;
    struct ag_safetensors *vectors;
};

static void open_fixture(struct fixture *f, const char *dir, const char *vectors)
{
    struct ag_error err = { 0 };
    snprintf(f->dir, sizeof(f->dir), "%s", dir);
    f->model = ag_model_load(NULL, dir, &err);
    TEST_OK(f->model, err);
    f->vectors = ag_safetensors_open(vectors, &err);
    TEST_OK(f->vectors, err);
}

// A folder of fixtures/ with its vectors beside it.
static void open_small(struct fixture *f, const char *name)
{
    char dir[512], vectors[600];
    snprintf(dir, sizeof(dir), "%s/%s", AG_FIXTURES, name);
    snprintf(vectors, sizeof(vectors), "%s/vectors.safetensors", dir);
    open_fixture(f, dir, vectors);
}

static void close_fixture(struct fixture *f)
{
    ag_safetensors_close(&f->vectors);
    ag_model_destroy(&f->model);
}

// A tensor of the vectors; the caller frees it.
static void *tensor(const struct fixture *f, const char *name, size_t *count)
{
    const struct ag_safetensors_entry *e = ag_safetensors_find(f->vectors, name);
    if (!e) {
        fail_msg("%s has no tensor %s", f->dir, name);
    }
    void *data = ag_alloc(e->bytes + 1);
    memcpy(data, e->data, e->bytes);
    if (count) {
        *count = e->count;
    }
    return data;
}

static void *case_tensor(const struct fixture *f, const char *name, const char *part, size_t *count)
{
    char full[128];
    snprintf(full, sizeof(full), "%s.%s", name, part);
    return tensor(f, full, count);
}

struct bench {
    struct ag_gpu *gpu;
    const struct ag_model_config *c;
    struct ag_gpu_model *m;
    struct ag_buffer *input, *canvas, *previous, *forced, *readback;
    uint32_t streams, cells, picture; // floats of a picture
    uint64_t bytes;                   // of the result block
};

static void open_bench(struct bench *b, struct ag_gpu *gpu, const struct ag_model *model,
                       const struct ag_gpu_model_params *params)
{
    struct ag_error err = { 0 };
    *b = (struct bench){ .gpu = gpu, .c = &model->config, .cells = model->config.cells };
    b->streams = params->streams ? params->streams : 1;
    b->picture = 3 * model->config.image_size * model->config.image_size;
    b->m = ag_gpu_model_create(gpu, NULL, model, params, &err);
    TEST_OK(b->m, err);
    uint64_t size = (uint64_t)b->streams * b->picture * sizeof(float);
    b->input = test_gpu_buffer(gpu, NULL, size, "test/input");
    b->canvas = test_gpu_buffer(gpu, NULL, size, "test/canvas");
    b->previous = test_gpu_buffer(gpu, NULL, size, "test/previous");
    ag_gpu_model_results(b->m, &b->bytes);
    b->readback = ag_buffer_create(gpu, AG_MEM_READBACK, b->bytes, "test/readback", &err);
    TEST_OK(b->readback, err);
}

static void close_bench(struct bench *b)
{
    ag_buffer_destroy(b->gpu, &b->input);
    ag_buffer_destroy(b->gpu, &b->canvas);
    ag_buffer_destroy(b->gpu, &b->previous);
    ag_buffer_destroy(b->gpu, &b->forced);
    ag_buffer_destroy(b->gpu, &b->readback);
    ag_gpu_model_destroy(b->gpu, &b->m);
}

static void load(struct bench *b, struct ag_buffer *buffer, uint32_t stream, const float *picture)
{
    struct ag_error err = { 0 };
    uint64_t size = b->picture * sizeof(float);
    TEST_OK(ag_buffer_load(b->gpu, buffer, stream * size, picture, size, &err), err);
}

// Runs one frame; `mask`, if given, gets the planner's list of stream 0 and must agree.
static void run_job(struct bench *b, struct ag_gpu_gaze_job *job)
{
    struct ag_error err = { 0 };
    struct ag_mask mask;
    struct ag_cmd *cmd = ag_cmd_begin(b->gpu, job->frame_id, &err);
    TEST_OK(cmd, err);
    job->input = b->input;
    TEST_OK(ag_gpu_model_record(b->m, cmd, job, &mask, &err), err);
    uint64_t bytes;
    const struct ag_buffer *results = ag_gpu_model_results(b->m, &bytes);
    ag_cmd_copy(cmd, b->readback, 0, results, 0, bytes);
    ag_cmd_host_barrier(cmd);
    test_gpu_finish(b->gpu, cmd);
    ag_buffer_invalidate(b->gpu, b->readback);
    ag_gpu_model_note(b->m, b->readback->data);
    assert_int_equal(mask.frame_id, job->frame_id);
}

struct gaze {
    struct ag_gaze g;
    uint32_t ids[1024];
    float losses[1024];
};

static void decode(const struct bench *b, uint32_t stream, struct gaze *out)
{
    out->g = (struct ag_gaze){ .ids = out->ids, .losses = out->losses };
    assert_true(b->cells <= AG_COUNT(out->ids));
    ag_gpu_model_decode(b->m, b->readback->data, stream, &out->g);
}

// ---- golden vectors --------------------------------------------------------------------------

struct expected {
    int64_t *pos, *counts;
    uint8_t *padded;
    float *losses, *params;
    size_t frames;
};

static struct expected expect(const struct fixture *f, const char *name)
{
    struct expected e;
    e.pos = case_tensor(f, name, "gazing_pos", NULL);
    e.padded = case_tensor(f, name, "if_padded", NULL);
    e.counts = case_tensor(f, name, "counts", &e.frames);
    e.losses = case_tensor(f, name, "losses", NULL);
    e.params = case_tensor(f, name, "params", NULL);
    return e;
}

static void free_expected(struct expected *e)
{
    ag_free(e->pos);
    ag_free(e->padded);
    ag_free(e->counts);
    ag_free(e->losses);
    ag_free(e->params);
}

static void compare(const char *what, const float *found, const float *want, size_t n, float bound)
{
    float largest = 0, scale = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        float d = fabsf(found[i] - want[i]);
        at = d > largest || isnan(d) ? i : at;
        largest = isnan(d) ? INFINITY : AG_MAX(largest, d);
        scale = AG_MAX(scale, fabsf(want[i]));
    }
    if (!(largest <= bound * scale)) {
        fail_msg("%s: [%zu] is %g, expected %g; largest error %g of %g", what, at,
                 (double)found[at], (double)want[at], (double)largest, (double)scale);
    }
}

// Ids of one frame of a case; `at` is its first slot in the clip.
static void check_gaze(const char *what, const struct bench *b, const struct gaze *g,
                       const struct expected *e, size_t frame, size_t at, float loss_bound)
{
    if (g->g.slots != (uint32_t)e->counts[frame]) {
        fail_msg("%s, frame %zu: %u slots, expected %d", what, frame, g->g.slots,
                 (int)e->counts[frame]);
    }
    uint32_t valid = 0;
    for (uint32_t i = 0; i < g->g.slots; i++) {
        int64_t want = e->padded[at + i] ? b->c->eos : e->pos[at + i] - (int64_t)frame * b->cells;
        valid += !e->padded[at + i];
        if (g->ids[i] != (uint32_t)want || fabsf(g->losses[i] - e->losses[at + i]) > loss_bound) {
            fail_msg("%s, frame %zu, slot %u: id %u loss %g, expected %d and %g", what, frame, i,
                     g->ids[i], (double)g->losses[i], (int)want, (double)e->losses[at + i]);
        }
    }
    assert_int_equal(g->g.valid, valid);
}

// Taps of a traced case against the golden forwards.
static void check_forwards(const char *what, const struct fixture *f, struct bench *b,
                           uint32_t *forward, uint32_t rounds, float bound)
{
    const struct ag_model_config *c = b->c;
    size_t ids = (size_t)c->round * c->vocab;
    float *hidden = ag_alloc(c->width * sizeof(float)), *logits = ag_alloc(ids * sizeof(float));
    float losses[AG_MAX_ROUND];
    for (uint32_t r = 0; r < rounds; r++, (*forward)++) {
        struct ag_error err = { 0 };
        char name[64];
        TEST_OK(ag_gpu_model_read_forward(b->m, 0, r, hidden, logits, losses, &err), err);
        snprintf(name, sizeof(name), "traced.forward%03u", *forward);
        float *want_hidden = case_tensor(f, name, "hidden", NULL);
        float *want_logits = case_tensor(f, name, "logits", NULL);
        float *want_losses = case_tensor(f, name, "losses", NULL);
        char text[800];
        snprintf(text, sizeof(text), "%s %s", what, name);
        compare(text, hidden, want_hidden, c->width, bound);
        compare(text, logits, want_logits, ids, bound);
        compare(text, losses, want_losses, c->round, 4 * bound);
        ag_free(want_hidden);
        ag_free(want_logits);
        ag_free(want_losses);
    }
    ag_free(hidden);
    ag_free(logits);
}

static void check_vision(const char *what, struct bench *b, const float *want, float bound)
{
    struct ag_error err = { 0 };
    size_t n = (size_t)b->c->tokens * b->c->width;
    float *tokens = ag_alloc(n * sizeof(float));
    TEST_OK(ag_gpu_model_read_vision(b->m, 0, tokens, &err), err);
    compare(what, tokens, want, n, bound);
    ag_free(tokens);
}

struct bounds {
    float vision, forward, loss;
};
static const struct bounds f32_bounds = { 1e-5f, 5e-5f, 2e-4f };

// Runs a case through a model that is reset before, in either context.
static void run_case(struct fixture *f, struct bench *b, const char *name,
                     const struct bounds *bounds, bool forwards)
{
    struct expected e = expect(f, name);
    const struct ag_model_config *c = b->c;
    bool closed = c->context == AG_CONTEXT_CANVAS;
    char what[600];
    snprintf(what, sizeof(what), "%s %s", f->dir, name);
    size_t n_pictures, n_vision = 0, at = 0;
    float *frames = tensor(f, "frames", &n_pictures);
    float *vision = closed ? case_tensor(f, name, "vision", &n_vision)
                           : tensor(f, "vision", &n_vision);
    float *canvas = ag_alloc(b->picture * sizeof(float));
    uint32_t forward = 0;
    size_t vision_size = (size_t)c->tokens * c->width;
    ag_gpu_model_reset(b->m);
    struct gaze g;
    for (size_t t = 0; t < AG_MIN(e.frames, n_pictures / b->picture); t++) {
        const float *frame = frames + t * b->picture;
        struct ag_gpu_gaze_job job = {
            .frame_id = 100 + t, .budget = (uint32_t)e.params[0], .threshold = e.params[1],
        };
        load(b, b->input, 0, frame);
        if (closed && t > 0) {
            load(b, b->canvas, 0, canvas);
            job.canvas = b->canvas;
            job.previous = b->previous; // its content is not needed: features are kept
            job.previous_id = 100 + t - 1;
        }
        run_job(b, &job);
        decode(b, 0, &g);
        if ((t + 1) * vision_size <= n_vision) {
            check_vision(what, b, vision + t * vision_size, bounds->vision);
        }
        check_gaze(what, b, &g, &e, t, at, bounds->loss);
        assert_int_equal(g.g.frame_id, 100 + t);
        assert_int_equal(g.g.chunk_start, !closed && t == 0);
        if (forwards) {
            check_forwards(what, f, b, &forward, g.g.rounds, bounds->forward);
        }
        ag_paint_ids(c, frame, g.ids, g.g.slots, canvas);
        at += g.g.slots;
    }
    ag_free(frames);
    ag_free(vision);
    ag_free(canvas);
    free_expected(&e);
}

static void run_fixture(const char *name)
{
    static const char *const cases[] = { "full_budget", "budget", "budget_threshold", "rare_stop",
                                         "early_stop", "high_threshold", "one", "traced" };
    struct fixture f;
    open_small(&f, name);
    struct ag_gpu *gpu = test_gpu_open();
    struct bench b;
    struct ag_gpu_model_params params = { .trace = true };
    params.stream = (struct ag_stream_params){ .context = f.model->config.context,
                                               .policy = AG_STREAM_UNBOUNDED };
    open_bench(&b, gpu, f.model, &params);
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        char probe[64];
        snprintf(probe, sizeof(probe), "%s.counts", cases[i]);
        if (ag_safetensors_find(f.vectors, probe)) {
            run_case(&f, &b, cases[i], &f32_bounds, strcmp(cases[i], "traced") == 0);
        }
    }
    close_bench(&b);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

static void golden_tiny(void **state)
{
    (void)state;
    run_fixture("tiny");
}

static void golden_tiny_canvas(void **state)
{
    (void)state;
    run_fixture("tiny-canvas");
}

static void golden_variants(void **state)
{
    (void)state;
    static const char *const variants[] = { "grouped", "grouped-canvas", "depth2", "one-a-round",
                                            "odd", "odd-canvas", "still", "long-past" };
    for (size_t i = 0; i < AG_COUNT(variants); i++) {
        char name[64];
        snprintf(name, sizeof(name), "variants/%s", variants[i]);
        run_fixture(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_tiny),
        cmocka_unit_test(golden_tiny_canvas),
        cmocka_unit_test(golden_variants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
