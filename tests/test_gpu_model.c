// The whole model in compute shaders against the golden vectors and the CPU back end.
#include <math.h>
#include <stdio.h>

#include "gpu_util.h"

#include "autogaze/cpu_model.h"
#include "autogaze/gpu_model.h"
#include "interface/decode_state.h"
#include "interface/gaze_result.h"

#define MAX_STREAMS 5

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
static const struct bounds f16_bounds = { 2e-3f, 1e-2f, 2e-2f };

// Teacher forcing: the slots of one frame of a case, cut into rounds (decode_state.h).
static const struct ag_buffer *force(struct bench *b, const struct expected *e, size_t frame,
                                     size_t at, uint32_t max_rounds)
{
    struct ag_error err = { 0 };
    uint32_t k = b->c->round, slots = (uint32_t)e->counts[frame];
    uint32_t n = FORCED_WORDS(max_rounds, k), rounds = AG_DIV_UP(slots, k);
    uint32_t *words = ag_alloc(n * sizeof(*words));
    words[0] = rounds;
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t *row = words + 1 + i / k * (k + 1);
        row[0]++;
        row[1 + i % k] = e->padded[at + i]
                             ? b->c->eos
                             : (uint32_t)(e->pos[at + i] - (int64_t)frame * b->cells);
    }
    if (!b->forced) {
        b->forced = test_gpu_buffer(b->gpu, NULL, n * sizeof(*words), "test/forced");
    }
    TEST_OK(ag_buffer_load(b->gpu, b->forced, 0, words, n * sizeof(*words), &err), err);
    ag_free(words);
    return b->forced;
}

struct run_options {
    const struct bounds *bounds;
    bool forced;
    uint32_t max_rounds; // forwards a frame that the model has memory for
    size_t max_frames;
};

// Runs a case through a model that is reset before, in either context. A traced case is compared
// forward by forward.
static void run_case(const struct fixture *f, struct bench *b, const char *name,
                     const struct run_options *o)
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
    size_t n = AG_MIN(AG_MIN(e.frames, o->max_frames), n_pictures / b->picture);
    for (size_t t = 0; t < n; t++) {
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
        if (o->forced) {
            job.forced = force(b, &e, t, at, o->max_rounds);
        }
        run_job(b, &job);
        decode(b, 0, &g);
        if ((t + 1) * vision_size <= n_vision) {
            check_vision(what, b, vision + t * vision_size, o->bounds->vision);
        }
        check_gaze(what, b, &g, &e, t, at, o->bounds->loss);
        assert_int_equal(g.g.frame_id, 100 + t);
        assert_int_equal(g.g.chunk_start, !closed && t == 0);
        if (strcmp(name, "traced") == 0) {
            check_forwards(what, f, b, &forward, g.g.rounds, o->bounds->forward);
        }
        ag_paint_ids(c, frame, g.ids, g.g.slots, canvas);
        at += g.g.slots;
    }
    ag_free(frames);
    ag_free(vision);
    ag_free(canvas);
    free_expected(&e);
}

static struct ag_gpu_model_params params_for(const struct fixture *f)
{
    struct ag_gpu_model_params params = { .trace = true };
    params.stream = (struct ag_stream_params){ .context = f->model->config.context,
                                               .policy = AG_STREAM_UNBOUNDED };
    return params;
}

static bool has_case(const struct fixture *f, const char *name)
{
    char probe[64];
    snprintf(probe, sizeof(probe), "%s.counts", name);
    return ag_safetensors_find(f->vectors, probe) != NULL;
}

// The traced case in half precision, by plain arithmetic and by matrix units (or as if by them).
static void run_half(const struct fixture *f, struct ag_gpu *gpu,
                     const struct ag_gpu_model_params *of, const struct run_options *o)
{
    static const enum ag_precision precisions[] = { AG_PRECISION_F16, AG_PRECISION_TENSOR };
    for (size_t i = 0; i < AG_COUNT(precisions); i++) {
        struct ag_gpu_model_params params = *of;
        struct bench b;
        params.precision = precisions[i];
        open_bench(&b, gpu, f->model, &params);
        run_case(f, &b, "traced", o);
        close_bench(&b);
    }
}

// Free running in float32; the traced case forced, too, and forced in half precision.
static void run_fixture(const char *name)
{
    static const char *const cases[] = { "full_budget", "budget", "budget_threshold", "rare_stop",
                                         "early_stop", "high_threshold", "one", "traced" };
    struct fixture f;
    open_small(&f, name);
    struct ag_gpu *gpu = test_gpu_open();
    struct bench b;
    struct ag_gpu_model_params params = params_for(&f);
    open_bench(&b, gpu, f.model, &params);
    struct run_options o = { .bounds = &f32_bounds, .max_frames = SIZE_MAX };
    o.max_rounds = AG_DIV_UP(f.model->config.cells, f.model->config.round);
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        if (has_case(&f, cases[i])) {
            run_case(&f, &b, cases[i], &o);
        }
    }
    o.forced = true;
    run_case(&f, &b, "traced", &o);
    close_bench(&b);
    o.bounds = &f16_bounds;
    run_half(&f, gpu, &params, &o);
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

// Rounds in one kernel: other dimensions, free running, and a case in half precision, forced.
static void golden_resident(void **state)
{
    (void)state;
    static const char *const names[] = { "variants/grouped-canvas", "variants/odd" };
    static const char *const cases[] = { "full_budget", "budget_threshold", "traced" };
    for (size_t i = 0; i < AG_COUNT(names); i++) {
        struct fixture f;
        open_small(&f, names[i]);
        struct ag_gpu *gpu = test_gpu_open();
        struct bench b;
        struct ag_gpu_model_params params = params_for(&f);
        params.decode = AG_DECODE_RESIDENT;
        struct run_options o = { .bounds = &f32_bounds, .max_frames = 2 };
        o.max_rounds = AG_DIV_UP(f.model->config.cells, f.model->config.round);
        open_bench(&b, gpu, f.model, &params);
        for (size_t k = 0; k < AG_COUNT(cases); k++) {
            if (has_case(&f, cases[k])) {
                run_case(&f, &b, cases[k], &o);
            }
        }
        close_bench(&b);
        params.precision = AG_PRECISION_F16;
        o.bounds = &f16_bounds;
        o.forced = true;
        open_bench(&b, gpu, f.model, &params);
        run_case(&f, &b, "traced", &o);
        close_bench(&b);
        test_gpu_close(&gpu);
        close_fixture(&f);
    }
}

// The same by matrix units (emulated here), forced: near ties may turn. Small heads do not fit.
static void golden_resident_tensor(void **state)
{
    (void)state;
    static const char *const names[] = { "tiny", "tiny-canvas", "variants/one-a-round",
                                         "variants/long-past" };
    struct ag_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < AG_COUNT(names); i++) {
        struct fixture f;
        open_small(&f, names[i]);
        struct bench b;
        struct ag_gpu_model_params params = params_for(&f);
        params.decode = AG_DECODE_RESIDENT;
        params.precision = AG_PRECISION_TENSOR;
        struct run_options o = { .bounds = &f16_bounds, .max_frames = 2, .forced = true };
        o.max_rounds = AG_DIV_UP(f.model->config.cells, f.model->config.round);
        open_bench(&b, gpu, f.model, &params);
        run_case(&f, &b, "traced", &o);
        close_bench(&b);
        close_fixture(&f);
    }
    struct fixture odd; // heads of 10
    open_small(&odd, "variants/odd");
    struct ag_gpu_model_params params = params_for(&odd);
    params.decode = AG_DECODE_RESIDENT;
    params.precision = AG_PRECISION_TENSOR;
    struct ag_error err = { 0 };
    assert_null(ag_gpu_model_create(gpu, NULL, odd.model, &params, &err));
    assert_non_null(strstr(err.text, "does not fit"));
    close_fixture(&odd);
    test_gpu_close(&gpu);
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

// The real model, a short case in both precisions (half precision forced: a near tie may turn).
static void golden_open_gaze(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, AG_MODELS "/open-gaze", AG_FIXTURES "/open-gaze.safetensors");
    struct ag_gpu *gpu = test_gpu_open();
    struct bench b;
    struct ag_gpu_model_params params = params_for(&f);
    params.stream.max_budget = 30; // of the traced case
    struct run_options o = { .bounds = &f32_bounds, .max_frames = 2, .max_rounds = 3 };
    open_bench(&b, gpu, f.model, &params);
    run_case(&f, &b, "traced", &o);
    close_bench(&b);
    o.bounds = &f16_bounds;
    o.forced = true;
    run_half(&f, gpu, &params, &o);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

// ---- streams ---------------------------------------------------------------------------------

// Results must not depend on what runs beside a stream: all tiles at once against the golden ids of
// each (float32), and against each alone, bit for bit. Rotated, so that the order does not matter
// either.
static void streams_of(const char *name, enum ag_precision precision, enum ag_gpu_decode how,
                       uint32_t n, uint32_t max_frames)
{
    struct fixture f;
    open_small(&f, name);
    struct ag_gpu *gpu = test_gpu_open();
    const struct ag_model_config *c = &f.model->config;
    bool closed = c->context == AG_CONTEXT_CANVAS;
    const struct ag_safetensors_entry *tiles = ag_safetensors_find(f.vectors, "tiles.canvas_tiles");
    assert_non_null(tiles);
    uint32_t n_frames = tiles->shape[1], frames = AG_MIN(n_frames, max_frames);
    assert_true(tiles->shape[0] >= n);
    float *pictures = tensor(&f, "tiles.canvas_tiles", NULL);
    struct ag_gpu_model_params params = params_for(&f);
    params.trace = false;
    params.precision = precision;
    params.decode = how;
    params.streams = n;
    struct bench all, one[MAX_STREAMS];
    open_bench(&all, gpu, f.model, &params);
    params.streams = 1;
    struct expected e[MAX_STREAMS];
    size_t at[MAX_STREAMS] = { 0 };
    float *canvas = ag_alloc((size_t)n * all.picture * sizeof(float));
    for (uint32_t i = 0; i < n; i++) {
        char text[32];
        snprintf(text, sizeof(text), "tiles.%u", i);
        e[i] = expect(&f, text);
        open_bench(&one[i], gpu, f.model, &params);
    }
    size_t words = GAZE_RESULT_WORDS((size_t)c->cells);
    for (uint32_t t = 0; t < frames; t++) {
        struct ag_gpu_gaze_job job = {
            .frame_id = t, .budget = (uint32_t)e[0].params[0], .threshold = e[0].params[1],
            .previous_id = (uint64_t)t - 1,
        };
        for (uint32_t i = 0; i < n; i++) {
            const float *picture = pictures + ((size_t)i * n_frames + t) * all.picture;
            load(&all, all.input, (i + 1) % n, picture);
            load(&all, all.canvas, (i + 1) % n, canvas + i * all.picture);
            load(&one[i], one[i].input, 0, picture);
            load(&one[i], one[i].canvas, 0, canvas + i * all.picture);
        }
        job.canvas = closed && t > 0 ? all.canvas : NULL;
        job.previous = closed && t > 0 ? all.previous : NULL;
        run_job(&all, &job);
        for (uint32_t i = 0; i < n; i++) {
            struct gaze g;
            char what[600];
            snprintf(what, sizeof(what), "%s tile %u", f.dir, i);
            decode(&all, (i + 1) % n, &g);
            if (precision == AG_PRECISION_F32) { // else a near tie may turn
                check_gaze(what, &all, &g, &e[i], t, at[i], 2e-4f);
            }
            at[i] += g.g.slots;
            job.canvas = closed && t > 0 ? one[i].canvas : NULL;
            job.previous = closed && t > 0 ? one[i].previous : NULL;
            run_job(&one[i], &job);
            const uint32_t *own = (uint32_t *)all.readback->data + (i + 1) % n * words;
            const uint32_t *alone = one[i].readback->data;
            assert_memory_equal(own, alone, GAZE_RESULT_IDS * 4);
            own += GAZE_RESULT_IDS;
            alone += GAZE_RESULT_IDS;
            assert_memory_equal(own, alone, g.g.slots * 4);
            assert_memory_equal(own + c->cells, alone + c->cells, g.g.slots * 4);
            ag_paint_ids(c, pictures + ((size_t)i * n_frames + t) * all.picture, g.ids, g.g.slots,
                         canvas + i * all.picture);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        free_expected(&e[i]);
        close_bench(&one[i]);
    }
    close_bench(&all);
    ag_free(canvas);
    ag_free(pictures);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

static void streams(void **state)
{
    (void)state;
    streams_of("tiny", AG_PRECISION_F32, AG_DECODE_SPLIT, 3, UINT32_MAX);
    streams_of("tiny-canvas", AG_PRECISION_F32, AG_DECODE_SPLIT, 3, UINT32_MAX);
    streams_of("tiny", AG_PRECISION_TENSOR, AG_DECODE_SPLIT, 3, 3);
    streams_of("tiny-canvas", AG_PRECISION_TENSOR, AG_DECODE_SPLIT, 3, 3);
    // more than four streams work on all rows at once, one on half of them
    streams_of("tiny-canvas", AG_PRECISION_F32, AG_DECODE_RESIDENT, MAX_STREAMS, 2);
    streams_of("tiny-canvas", AG_PRECISION_TENSOR, AG_DECODE_RESIDENT, 3, 2);
}

// ---- endless streams, against the CPU back end -----------------------------------------------

struct cpu {
    struct ag_cpu_model *m;
    struct ag_cpu_stream *s;
};

static void compare_with_cpu(const struct fixture *f, struct ag_gpu *gpu,
                             const struct ag_stream_params *stream, uint32_t n_frames)
{
    struct ag_error err = { 0 };
    struct ag_gpu_model_params params = { .stream = *stream };
    struct bench b;
    open_bench(&b, gpu, f->model, &params);
    struct cpu cpu = { 0 };
    cpu.m = ag_cpu_model_create(f->model, &(struct ag_cpu_params){ .threads = 1 }, &err);
    TEST_OK(cpu.m, err);
    cpu.s = ag_cpu_stream_create(cpu.m, stream, &err);
    TEST_OK(cpu.s, err);
    size_t count;
    float *frames = tensor(f, "frames", &count);
    for (uint32_t t = 0; t < n_frames; t++) {
        const float *frame = frames + t * 7 % (count / b.picture) * b.picture;
        uint32_t budget = 1 + t * 5 % stream->max_budget;
        float threshold = t % 3 ? 0.05f : AG_NO_THRESHOLD;
        struct ag_gaze_input in = { .frame_id = t, .frame = frame, .budget = budget,
                                    .threshold = threshold };
        uint32_t ids[1024];
        float losses[1024];
        struct ag_gaze want = { .ids = ids, .losses = losses };
        TEST_OK(ag_cpu_gaze(cpu.s, &in, &want, NULL, NULL, &err), err);
        load(&b, b.input, 0, frame);
        struct ag_gpu_gaze_job job = { .frame_id = t, .budget = budget, .threshold = threshold };
        run_job(&b, &job);
        struct gaze g;
        decode(&b, 0, &g);
        assert_int_equal(g.g.slots, want.slots);
        assert_int_equal(g.g.rounds, want.rounds);
        assert_int_equal(g.g.valid, want.valid);
        assert_int_equal(g.g.chunk_start, want.chunk_start);
        assert_memory_equal(g.ids, ids, want.slots * sizeof(*ids));
        compare("losses", g.losses, losses, want.slots, 1e-3f);
        const uint32_t *block = b.readback->data;
        assert_int_equal(block[offsetof(struct gaze_result, cached) / 4],
                         ag_cpu_stream_cached(cpu.s));
    }
    ag_free(frames);
    ag_cpu_stream_destroy(&cpu.s);
    ag_cpu_model_destroy(&cpu.m);
    close_bench(&b);
}

static void policies(void **state)
{
    (void)state;
    struct fixture f;
    open_small(&f, "tiny");
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_stream_params p = { .policy = AG_STREAM_CHUNK, .horizon = 3, .max_budget = 15 };
    compare_with_cpu(&f, gpu, &p, 8);
    // long enough for the ring of RoPE rows to wrap
    p.policy = AG_STREAM_SLIDE;
    compare_with_cpu(&f, gpu, &p, 40);
    p.horizon = 1;
    compare_with_cpu(&f, gpu, &p, 6);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

// A sliding stream that never hears of its results cannot know its positions.
static void slide_needs_notes(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct fixture f;
    open_small(&f, "tiny");
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_gpu_model_params params = { .stream.policy = AG_STREAM_SLIDE };
    struct bench b;
    open_bench(&b, gpu, f.model, &params);
    bool ok = true;
    uint32_t frames = 0;
    for (; ok && frames < 64; frames++) {
        struct ag_mask mask;
        struct ag_gpu_gaze_job job = { .frame_id = frames, .input = b.input, .budget = 4,
                                       .threshold = AG_NO_THRESHOLD };
        struct ag_cmd *cmd = test_gpu_begin(gpu);
        ok = ag_gpu_model_record(b.m, cmd, &job, &mask, &err);
        test_gpu_finish(gpu, cmd);
    }
    assert_false(ok);
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_in_range(frames, AG_CMD_SLOTS + 1, 16);
    close_bench(&b);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

// ---- closed loop -----------------------------------------------------------------------------

// Features of the frame before, kept or made again from its picture: the same bits.
static void previous_recomputed(void **state)
{
    (void)state;
    struct fixture f;
    open_small(&f, "tiny-canvas");
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_gpu_model_params params = params_for(&f);
    struct bench b;
    open_bench(&b, gpu, f.model, &params);
    float *frames = tensor(&f, "frames", NULL);
    uint32_t *first = ag_alloc(b.bytes);
    for (uint32_t pass = 0; pass < 2; pass++) {
        ag_gpu_model_reset(b.m);
        struct ag_gpu_gaze_job job = { .budget = 15, .threshold = AG_NO_THRESHOLD };
        load(&b, b.input, 0, frames);
        run_job(&b, &job);
        if (pass == 1) { // another frame in between: what is kept is not what is asked for
            load(&b, b.input, 0, frames + 5 * b.picture);
            job.frame_id = 77;
            run_job(&b, &job);
        }
        load(&b, b.previous, 0, frames);
        load(&b, b.canvas, 0, frames + 2 * b.picture);
        load(&b, b.input, 0, frames + b.picture);
        job = (struct ag_gpu_gaze_job){ .frame_id = 1, .budget = 15, .threshold = AG_NO_THRESHOLD,
                                        .canvas = b.canvas, .previous = b.previous };
        run_job(&b, &job);
        uint32_t *block = b.readback->data;
        block[offsetof(struct gaze_result, record) / 4] = 0;
        if (pass == 0) {
            memcpy(first, block, b.bytes);
        }
        assert_memory_equal(block, first, b.bytes);
    }
    ag_free(first);
    ag_free(frames);
    close_bench(&b);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

// ---- bad input -------------------------------------------------------------------------------

// Not a number everywhere: the frame ends within its budget, the next one is right again.
static void not_a_number_in(enum ag_precision precision)
{
    struct fixture f;
    open_small(&f, "tiny-canvas");
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_gpu_model_params params = params_for(&f);
    params.precision = precision;
    struct bench b;
    open_bench(&b, gpu, f.model, &params);
    float *picture = ag_alloc(b.picture * sizeof(float));
    for (uint32_t i = 0; i < b.picture; i++) {
        picture[i] = i % 2 ? NAN : INFINITY;
    }
    struct ag_gpu_gaze_job job = { .budget = 15, .threshold = 0.1f };
    load(&b, b.input, 0, picture);
    run_job(&b, &job);
    struct gaze g;
    decode(&b, 0, &g);
    assert_in_range(g.g.slots, 1, 15);
    for (uint32_t i = 0; i < g.g.slots; i++) {
        assert_true(g.ids[i] <= b.c->eos);
        for (uint32_t j = 0; j < i; j++) {
            assert_true(g.ids[i] == b.c->eos || g.ids[i] != g.ids[j]);
        }
    }
    bool exact = precision == AG_PRECISION_F32;
    struct run_options o = { .bounds = exact ? &f32_bounds : &f16_bounds, .max_frames = 2,
                             .forced = !exact,
                             .max_rounds = AG_DIV_UP(b.c->cells, b.c->round) };
    run_case(&f, &b, exact ? "budget" : "traced", &o);
    ag_free(picture);
    close_bench(&b);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

static void not_a_number(void **state)
{
    (void)state;
    not_a_number_in(AG_PRECISION_F32);
    not_a_number_in(AG_PRECISION_TENSOR);
}

// Slots that like all ids the same take the lowest ones left, round after round, to the last.
static void equal_logits(void **state)
{
    (void)state;
    struct fixture f;
    open_small(&f, "tiny-canvas");
    const struct ag_model_config *c = &f.model->config;
    size_t rows = (size_t)c->round * c->vocab;
    float *heads = ag_alloc(rows * c->width * sizeof(float));
    for (size_t i = 0; i < rows * c->width; i++) {
        heads[i] = f.model->weights.lm_head[i % c->width];
    }
    f.model->weights.lm_head = heads;
    struct ag_gpu *gpu = test_gpu_open();
    for (int precision = AG_PRECISION_F32; precision <= AG_PRECISION_TENSOR; precision++) {
        struct ag_gpu_model_params params = params_for(&f);
        params.precision = (enum ag_precision)precision;
        params.decode = AG_DECODE_RESIDENT;
        struct bench b;
        open_bench(&b, gpu, f.model, &params);
        struct ag_gpu_gaze_job job = { .budget = c->cells, .threshold = NAN };
        run_job(&b, &job);
        struct gaze g;
        decode(&b, 0, &g);
        assert_int_equal(g.g.slots, c->cells);
        for (uint32_t i = 0; i < g.g.slots; i++) {
            assert_int_equal(g.ids[i], i);
        }
        close_bench(&b);
    }
    test_gpu_close(&gpu);
    ag_free(heads);
    close_fixture(&f);
}

static void clear_errors(void **state)
{
    (void)state;
    struct fixture f;
    open_small(&f, "tiny");
    struct ag_gpu *gpu = test_gpu_open();
    // no memory for it
    struct ag_error err = { 0 };
    struct ag_gpu_model_params params = { .streams = 1u << 20 };
    assert_null(ag_gpu_model_create(gpu, NULL, f.model, &params, &err));
    assert_int_equal(err.status, AG_ERR_DEVICE);
    assert_non_null(strstr(err.text, "bytes"));
    // a context that these weights cannot have
    struct fixture deep;
    open_small(&deep, "variants/depth2");
    err = (struct ag_error){ 0 };
    params = (struct ag_gpu_model_params){ .stream.context = AG_CONTEXT_CANVAS };
    assert_null(ag_gpu_model_create(gpu, NULL, deep.model, &params, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_string_equal(err.kind, "UNSUPPORTED");
    close_fixture(&deep);
    // too many slots, too many frames
    params = (struct ag_gpu_model_params){ 0 };
    params.stream = (struct ag_stream_params){ .policy = AG_STREAM_UNBOUNDED, .horizon = 1,
                                               .max_budget = 4 };
    struct bench b;
    open_bench(&b, gpu, f.model, &params);
    struct ag_mask mask;
    struct ag_gpu_gaze_job job = { .input = b.input, .budget = 5, .threshold = AG_NO_THRESHOLD };
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    err = (struct ag_error){ 0 };
    assert_false(ag_gpu_model_record(b.m, cmd, &job, &mask, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    job.budget = 4;
    err = (struct ag_error){ 0 };
    TEST_OK(ag_gpu_model_record(b.m, cmd, &job, &mask, &err), err);
    assert_false(ag_gpu_model_record(b.m, cmd, &job, &mask, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    test_gpu_finish(gpu, cmd);
    close_bench(&b);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

// ---- the frame path --------------------------------------------------------------------------

// A frame is one submission: nothing is waited for, read back, created or allocated while it is
// recorded. The planner's list agrees with the results.
static void frame_path(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct fixture f;
    open_small(&f, "tiny");
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_gpu_model_params params = { .stream.policy = AG_STREAM_SLIDE, .stream.horizon = 2 };
    struct bench b;
    open_bench(&b, gpu, f.model, &params);
    size_t count;
    float *frames = tensor(&f, "frames", &count);
    for (uint32_t t = 0; t < 5; t++) {
        load(&b, b.input, 0, frames + t * b.picture);
        struct ag_gpu_gaze_job job = { .frame_id = t, .input = b.input, .budget = 21,
                                       .threshold = 0.05f };
        struct ag_mask mask;
        struct ag_cmd *cmd = test_gpu_begin(gpu);
        struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
        uint64_t allocations = ag_alloc_count();
        TEST_OK(ag_gpu_model_record(b.m, cmd, &job, &mask, &err), err);
        struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
        assert_int_equal(ag_alloc_count(), allocations);
        assert_int_equal(after.host_waits, before.host_waits);
        assert_int_equal(after.submits, before.submits);
        assert_int_equal(after.allocations, before.allocations);
        assert_int_equal(after.pipelines, before.pipelines);
        assert_int_equal(after.bytes_read_back, before.bytes_read_back);
        ag_cmd_copy(cmd, b.readback, 0, ag_gpu_model_results(b.m, &b.bytes), 0, b.bytes);
        ag_cmd_host_barrier(cmd);
        test_gpu_finish(gpu, cmd);
        ag_buffer_invalidate(gpu, b.readback);
        ag_gpu_model_note(b.m, b.readback->data);
        struct gaze g;
        decode(&b, 0, &g);
        uint32_t cells[64], n;
        assert_true(mask.max_cells <= AG_COUNT(cells));
        TEST_OK(ag_buffer_read(gpu, (struct ag_buffer *)mask.count, mask.count_offset, &n, 4, &err),
                err);
        TEST_OK(ag_buffer_read(gpu, (struct ag_buffer *)mask.cells, mask.offset, cells,
                               mask.max_cells * 4, &err), err);
        assert_int_equal(n, g.g.slots);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(cells[i], g.ids[i] == b.c->eos ? AG_CELL_NONE : g.ids[i]);
        }
    }
    ag_free(frames);
    close_bench(&b);
    test_gpu_close(&gpu);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_tiny),
        cmocka_unit_test(golden_tiny_canvas),
        cmocka_unit_test(golden_resident),
        cmocka_unit_test(golden_resident_tensor),
        cmocka_unit_test(golden_variants),
        cmocka_unit_test(golden_open_gaze),
        cmocka_unit_test(streams),
        cmocka_unit_test(policies),
        cmocka_unit_test(slide_needs_notes),
        cmocka_unit_test(previous_recomputed),
        cmocka_unit_test(not_a_number),
        cmocka_unit_test(equal_logits),
        cmocka_unit_test(clear_errors),
        cmocka_unit_test(frame_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
