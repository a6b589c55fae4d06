// autogaze-bench cpu-model: the model on the CPU back end, a frame at a time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autogaze/cpu_model.h"

#include "lane.h"

#define LONG_CONTEXT 16
#define CHECKED 2u // frames compared with a single thread before the clock runs

static const struct cpu_lane {
    const char *name;
    enum ag_context context;
    uint32_t rounds;         // 0: the whole budget
} cpu_lanes[] = {
    { "canvas, 1 round", AG_CONTEXT_CANVAS, 1 },
    { "canvas, whole budget", AG_CONTEXT_CANVAS, 0 },
    { "16 frames, 1 round", AG_CONTEXT_FRAMES, 1 },
    { "16 frames, whole budget", AG_CONTEXT_FRAMES, 0 },
};

struct cpu_run {
    struct lanes l;
    const struct ag_model *model;
    struct ag_cpu_model *threads, *single;
    float *picture[3];       // two inputs and a canvas
    struct ag_gaze gaze, other;
};

static void draw(struct cpu_run *r)
{
    size_t n = 3ull * r->model->config.image_size * r->model->config.image_size;
    uint32_t seed = 1;
    for (int p = 0; p < 3; p++) {
        r->picture[p] = ag_alloc(n * sizeof(float));
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            r->picture[p][i] = (float)(seed >> 8) * (1.0f / 8388608.0f) - 1.0f;
        }
    }
}

static struct ag_cpu_stream *open_stream(struct ag_cpu_model *m, const struct cpu_lane *lane,
                                         struct ag_error *err)
{
    struct ag_stream_params params = { .context = lane->context, .policy = AG_STREAM_CHUNK,
                                       .horizon = LONG_CONTEXT };
    return ag_cpu_stream_create(m, &params, err);
}

static bool run_frame(struct cpu_run *r, const struct cpu_lane *lane, struct ag_cpu_stream *s,
                      uint64_t id, struct ag_gaze *out, struct ag_error *err)
{
    const struct ag_model_config *c = &r->model->config;
    uint32_t most = c->default_budget ? c->default_budget : c->cells;
    bool canvas = lane->context == AG_CONTEXT_CANVAS;
    struct ag_gaze_input in = {
        .frame_id = id,
        .frame = r->picture[id % 2],
        .canvas = canvas ? r->picture[2] : NULL,
        .previous = canvas ? r->picture[1 - id % 2] : NULL,
        .previous_id = id - 1,
        .budget = lane->rounds ? AG_MIN(lane->rounds * c->round, most) : most,
        .threshold = AG_NO_THRESHOLD,
    };
    return ag_cpu_gaze(s, &in, out, NULL, NULL, err);
}

// The same ids whatever the number of threads.
static bool check(struct cpu_run *r, const struct cpu_lane *lane, struct lane_result *out,
                  struct ag_error *err)
{
    struct ag_cpu_stream *a = open_stream(r->threads, lane, err);
    struct ag_cpu_stream *b = a ? open_stream(r->single, lane, err) : NULL;
    bool ok = b != NULL;
    out->hash = AG_HASH_SEED;
    for (uint64_t id = 1; id <= CHECKED && ok; id++) {
        ok = run_frame(r, lane, a, id, &r->gaze, err) && run_frame(r, lane, b, id, &r->other, err);
        size_t bytes = r->gaze.slots * sizeof(uint32_t);
        if (ok && (r->gaze.slots != r->other.slots || memcmp(r->gaze.ids, r->other.ids, bytes))) {
            out->wrong = "other ids with one thread";
        }
        out->hash = ag_hash(out->hash, r->gaze.ids, ok ? bytes : 0);
    }
    ag_cpu_stream_destroy(&a);
    ag_cpu_stream_destroy(&b);
    return ok;
}

static bool time_lane(struct cpu_run *r, const struct cpu_lane *lane, struct lane_result *out,
                      struct ag_error *err)
{
    struct ag_cpu_stream *s = open_stream(r->threads, lane, err);
    struct ag_series *series = ag_series_create(r->l.repeats);
    bool ok = s != NULL, frames = lane->context == AG_CONTEXT_FRAMES;
    double cpu = 0;
    uint32_t measured = 0;
    // context `frames`: only frames that see the longest context count
    for (uint64_t id = 1; ok && measured < r->l.repeats; id++) {
        bool counts = id > LONG_CONTEXT && (!frames || id % LONG_CONTEXT == 0);
        int64_t start = ag_now_ns();
        double before = lanes_cpu_us();
        ok = run_frame(r, lane, s, id, &r->gaze, err);
        if (counts) {
            ag_series_add(series, (double)(ag_now_ns() - start) * 1e-3);
            cpu += lanes_cpu_us() - before;
            measured++;
        }
    }
    out->us = ag_series_stats(series);
    out->cpu_us = cpu / r->l.repeats;
    ag_series_destroy(&series);
    ag_cpu_stream_destroy(&s);
    return ok;
}

static bool run_lane(struct cpu_run *r, const struct cpu_lane *lane, struct ag_error *err)
{
    const struct ag_model_config *c = &r->model->config;
    bool fits = lane->context == AG_CONTEXT_FRAMES || (c->trunk_depth == 1 && c->trunk_time == 3);
    char name[96];
    struct lane_result out = { .name = name };
    snprintf(name, sizeof(name), "%s", lane->name);
    if (!fits || !lanes_wanted(&r->l, name)) {
        return true;
    }
    if (!check(r, lane, &out, err) || !time_lane(r, lane, &out, err)) {
        return false;
    }
    snprintf(name, sizeof(name), "%s (%u tokens)", lane->name, r->gaze.slots);
    lanes_print(&r->l, &out);
    return true;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    struct cpu_run r = { 0 };
    const char *name = "open-gaze", *threads = "0";
    char dir[1024], *end;
    const struct ag_bench_option options[] = { { "model", &name }, { "threads", &threads } };
    char title[64] = "the model on the CPU back end, random input";
    if (!lanes_open_host(&r.l, title, argc, argv, options, 2, err)) {
        return err->status;
    }
    unsigned long n = strtoul(threads, &end, 10);
    if (*end || !*threads || n > 256) {
        ag_fail(err, AG_ERR_USAGE, "--threads is '%.20s', expected 0 to 256", threads);
        return err->status;
    }
    struct ag_model *model =
        ag_model_find(name, dir, sizeof(dir), err) ? ag_model_load(NULL, dir, err) : NULL;
    r.model = model;
    struct ag_cpu_params many = { .threads = (uint32_t)n }, one = { .threads = 1 };
    r.threads = model ? ag_cpu_model_create(model, &many, err) : NULL;
    r.single = r.threads ? ag_cpu_model_create(model, &one, err) : NULL;
    bool ok = r.single != NULL;
    if (ok) {
        draw(&r);
        for (int i = 0; i < 2; i++) {
            struct ag_gaze *g = i ? &r.other : &r.gaze;
            g->ids = ag_alloc(model->config.cells * sizeof(uint32_t));
            g->losses = ag_alloc(model->config.cells * sizeof(float));
        }
    }
    for (size_t i = 0; i < AG_COUNT(cpu_lanes) && ok; i++) {
        ok = run_lane(&r, &cpu_lanes[i], err);
    }
    for (int i = 0; i < 3; i++) {
        ag_free(r.picture[i]);
    }
    ag_free(r.gaze.ids);
    ag_free(r.gaze.losses);
    ag_free(r.other.ids);
    ag_free(r.other.losses);
    ag_cpu_model_destroy(&r.single);
    ag_cpu_model_destroy(&r.threads);
    ag_model_destroy(&model);
    return lanes_close(&r.l, err);
}

const struct ag_bench_command ag_bench_cpu_model = {
    .name = "cpu-model",
    .usage = "[NAME] [--model NAME] [--threads N] [--repeats N] [--format text|csv|json]",
    .help = "the model on the CPU back end: both contexts, one round and the whole budget",
    .run = run,
};
