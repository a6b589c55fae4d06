// autogaze-bench model: GPU time of whole frames by stage, both contexts, all precisions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autogaze/gpu_model.h"

#include "bench.h"
#include "verify.h"

#define DEFAULT_FRAMES 200
#define WARM_UP_NS 1500000000 // clocks rise under load, slowly, and fall while kernels are made
#define TILES 45        // of 1080p
#define LONG_CONTEXT 16 // frames of context `frames`

struct lane {
    const char *name;
    enum ag_context context;
    enum ag_precision precision;
    uint32_t rounds;   // that a frame is given; 0: all of its budget
    bool stop;         // ... and stops after the first
    uint32_t streams;  // 0: one
};

static const struct lane lanes[] = {
    { "canvas f32, 1 round", AG_CONTEXT_CANVAS, AG_PRECISION_F32, 1, false },
    { "canvas f32, stopped", AG_CONTEXT_CANVAS, AG_PRECISION_F32, 0, true },
    { "canvas f32, all rounds", AG_CONTEXT_CANVAS, AG_PRECISION_F32, 0, false },
    { "canvas f16, 1 round", AG_CONTEXT_CANVAS, AG_PRECISION_F16, 1, false },
    { "canvas f16, stopped", AG_CONTEXT_CANVAS, AG_PRECISION_F16, 0, true },
    { "canvas f16, all rounds", AG_CONTEXT_CANVAS, AG_PRECISION_F16, 0, false },
    { "canvas tensor, 1 round", AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 1, false },
    { "canvas tensor, stopped", AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 0, true },
    { "canvas tensor, all rounds", AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 0, false },
    { "frames f32, 1 round", AG_CONTEXT_FRAMES, AG_PRECISION_F32, 1, false },
    { "frames f32, all rounds", AG_CONTEXT_FRAMES, AG_PRECISION_F32, 0, false },
    { "frames f16, 1 round", AG_CONTEXT_FRAMES, AG_PRECISION_F16, 1, false },
    { "frames f16, all rounds", AG_CONTEXT_FRAMES, AG_PRECISION_F16, 0, false },
    { "frames tensor, 1 round", AG_CONTEXT_FRAMES, AG_PRECISION_TENSOR, 1, false },
    { "frames tensor, all rounds", AG_CONTEXT_FRAMES, AG_PRECISION_TENSOR, 0, false },
    { "tiles f32, 1 round", AG_CONTEXT_CANVAS, AG_PRECISION_F32, 1, false, TILES },
    { "tiles f32, stopped", AG_CONTEXT_CANVAS, AG_PRECISION_F32, 0, true, TILES },
    { "tiles f32, all rounds", AG_CONTEXT_CANVAS, AG_PRECISION_F32, 0, false, TILES },
    { "tiles f16, 1 round", AG_CONTEXT_CANVAS, AG_PRECISION_F16, 1, false, TILES },
    { "tiles f16, all rounds", AG_CONTEXT_CANVAS, AG_PRECISION_F16, 0, false, TILES },
    { "tiles tensor, 1 round", AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 1, false, TILES },
    { "tiles tensor, all rounds", AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 0, false, TILES },
};

enum column { COLUMN_VISION, COLUMN_PREFILL, COLUMN_DECODE, COLUMN_TOTAL, COLUMN_COUNT };

struct job {
    struct ag_gpu *gpu;
    const struct ag_model *model;
    struct ag_gpu_model *m;
    struct ag_buffer *picture[2]; // input and canvas
    enum ag_gpu_decode decode;
    struct ag_series *series[COLUMN_COUNT];
    double record_us;             // host time to record and submit, mean
};

// A smooth picture with some texture; what it shows does not matter to the time.
static bool load_pictures(struct job *j, uint32_t streams, struct ag_error *err)
{
    uint32_t n = 3 * j->model->config.image_size * j->model->config.image_size, seed = 1;
    n *= streams;
    float *picture = ag_alloc(n * sizeof(*picture));
    bool ok = true;
    for (int i = 0; i < 2 && ok; i++) {
        for (uint32_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u;
            picture[k] = (float)(seed >> 8) * (1.0f / 8388608.0f) - 1.0f;
        }
        j->picture[i] = ag_buffer_create(j->gpu, AG_MEM_DEVICE, n * sizeof(*picture),
                                         "bench/picture", err);
        ok = j->picture[i] &&
             ag_buffer_load(j->gpu, j->picture[i], 0, picture, n * sizeof(*picture), err);
    }
    ag_free(picture);
    return ok;
}

static uint64_t run_frame(struct job *j, const struct lane *lane, uint64_t id, uint32_t budget,
                          struct ag_error *err)
{
    bool canvas = lane->context == AG_CONTEXT_CANVAS;
    struct ag_gpu_gaze_job job = {
        .frame_id = id, .input = j->picture[id % 2], .budget = budget,
        .canvas = canvas ? j->picture[1] : NULL, .previous = canvas ? j->picture[1 - id % 2] : NULL,
        .previous_id = id - 1, .threshold = lane->stop ? 1e30f : AG_NO_THRESHOLD,
    };
    struct ag_mask mask;
    int64_t start = ag_now_ns();
    struct ag_cmd *cmd = ag_cmd_begin(j->gpu, id, err);
    if (!cmd || !ag_gpu_model_record(j->m, cmd, &job, &mask, err)) {
        return 0;
    }
    uint64_t value = ag_cmd_submit(cmd, err);
    j->record_us += (double)(ag_now_ns() - start) * 1e-3;
    return value;
}

// The model's stages follow one another, so their sum is the frame.
static void collect(struct job *j, const struct lane *lane, uint64_t first)
{
    static const enum ag_stage stages[] = { AG_STAGE_VISION, AG_STAGE_PREFILL, AG_STAGE_DECODE };
    struct ag_gpu_times t;
    while (ag_gpu_poll_times(j->gpu, &t)) {
        // context `frames`: only frames that see the longest context count
        bool longest = lane->context == AG_CONTEXT_CANVAS ||
                       t.frame_id % LONG_CONTEXT == LONG_CONTEXT - 1;
        if (t.dropped || t.frame_id < first || !longest) {
            continue;
        }
        double total = 0;
        for (int i = 0; i < COLUMN_TOTAL; i++) {
            double us = (double)t.stage_ns[stages[i]] * 1e-3;
            ag_series_add(j->series[i], us);
            total += us;
        }
        ag_series_add(j->series[COLUMN_TOTAL], total);
    }
}

static bool run_lane(struct job *j, const struct lane *lane, uint32_t frames, struct ag_error *err)
{
    const struct ag_model_config *c = &j->model->config;
    uint32_t most = c->default_budget ? c->default_budget : c->cells;
    uint32_t streams = lane->streams ? lane->streams : 1;
    struct ag_gpu_model_params params = { .precision = lane->precision, .streams = streams,
                                          .decode = j->decode };
    params.stream = (struct ag_stream_params){ .context = lane->context, .max_budget = most,
                                               .policy = AG_STREAM_CHUNK,
                                               .horizon = LONG_CONTEXT };
    j->m = ag_gpu_model_create(j->gpu, NULL, j->model, &params, err);
    if (!j->m || !load_pictures(j, streams, err)) {
        return false;
    }
    uint32_t budget = lane->rounds ? AG_MIN(lane->rounds * c->round, most) : most;
    bool ok = true;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        ag_series_reset(j->series[i]);
    }
    int64_t start = ag_now_ns();
    uint64_t first = UINT64_MAX, end = UINT64_MAX;
    for (uint64_t i = 0; i < end && ok; i++) {
        // whole contexts, so that every one is measured as often
        if (first == UINT64_MAX && i % LONG_CONTEXT == 0 && ag_now_ns() - start > WARM_UP_NS) {
            first = i;
            end = first + AG_ALIGN_UP(frames, LONG_CONTEXT);
            j->record_us = 0;
        }
        uint64_t value = run_frame(j, lane, i, budget, err);
        ok = value && ag_gpu_wait(j->gpu, value, err);
        collect(j, lane, first);
    }
    j->record_us /= (double)(end - first);
    return ok;
}

static void print_lane(struct job *j, const struct lane *lane)
{
    printf("%-24s", lane->name);
    for (int i = 0; i < COLUMN_COUNT; i++) {
        struct ag_series_stats s = ag_series_stats(j->series[i]);
        printf(" %8.1f %8.1f", s.p50, s.p95);
    }
    printf(" %6u %9.1f %8.1f\n", ag_series_stats(j->series[COLUMN_TOTAL]).window, j->record_us,
           (double)ag_gpu_model_bytes(j->m) / 1048576.0);
}

static bool lane_fits(const struct lane *lane, const struct ag_model_config *c)
{
    return lane->context == AG_CONTEXT_FRAMES || (c->trunk_depth == 1 && c->trunk_time == 3);
}

static int run_lanes(struct job *j, const char *filter, uint32_t frames, struct ag_error *err)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(j->gpu);
    printf("%s, %s %s%s\nmodel %s; GPU microseconds a frame, p50 and p95; frames: %u frames of "
           "context; tiles: %u streams\n", info->name, info->driver, info->driver_info,
           info->software ? " (SOFTWARE device: times say nothing about hardware)" : "",
           j->model->name, LONG_CONTEXT, TILES);
    printf("%-24s %17s %17s %17s %17s %6s %9s %8s\n", "lane", "vision", "prefill", "decode",
           "total", "n", "record us", "MiB");
    bool ok = true;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        j->series[i] = ag_series_create(AG_ALIGN_UP(frames, LONG_CONTEXT));
    }
    for (size_t i = 0; i < AG_COUNT(lanes) && ok; i++) {
        bool wanted = !filter || strstr(lanes[i].name, filter);
        if (!wanted || !lane_fits(&lanes[i], &j->model->config)) {
            continue;
        }
        ok = run_lane(j, &lanes[i], frames, err);
        if (ok) {
            print_lane(j, &lanes[i]);
            fflush(stdout);
        }
        ag_gpu_model_destroy(j->gpu, &j->m);
        ag_buffer_destroy(j->gpu, &j->picture[0]);
        ag_buffer_destroy(j->gpu, &j->picture[1]);
    }
    for (int i = 0; i < COLUMN_COUNT; i++) {
        ag_series_destroy(&j->series[i]);
    }
    return ok ? AG_OK : (int)err->status;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    const char *device = NULL, *frames_text = NULL, *software = "refuse", *filter = NULL;
    const char *name = NULL, *decode = NULL;
    const struct ag_bench_option options[] = {
        { "gpu", &device }, { "frames", &frames_text }, { "software", &software },
        { "lane", &filter }, { "decode", &decode },
    };
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &name, err)) {
        return err->status;
    }
    char *end = "", dir[1024];
    unsigned long frames = frames_text ? strtoul(frames_text, &end, 10) : DEFAULT_FRAMES;
    if (*end || frames < 1 || frames > 100000) {
        ag_fail(err, AG_ERR_USAGE, "--frames is '%.40s', expected 1 to 100000", frames_text);
        return err->status;
    }
    if (!ag_model_find(name ? name : "open-gaze", dir, sizeof(dir), err)) {
        return err->status;
    }
    enum ag_gpu_decode how;
    if (!ag_verify_parse_decode(decode, &how, err)) {
        return err->status;
    }
    struct job j = { .decode = how, .model = ag_model_load(&log, dir, err) };
    struct ag_gpu_params params = { .device = device };
    params.require_hardware = strcmp(software, "allow") != 0;
    j.gpu = j.model ? ag_gpu_create(&log, &params, err) : NULL;
    int code = j.gpu ? run_lanes(&j, filter, (uint32_t)frames, err) : (int)err->status;
    if (j.gpu) {
        ag_gpu_destroy(&j.gpu);
    }
    struct ag_model *model = (struct ag_model *)j.model;
    ag_model_destroy(&model);
    return code;
}

const struct ag_bench_command ag_bench_model = {
    .name = "model",
    .usage = "[MODEL] [--gpu NAME] [--frames N] [--lane TEXT]\n      "
             "[--decode auto|split|resident] [--software allow]",
    .help = "GPU time of a frame's gaze by stage: both contexts and precisions, one round and all "
            "of them; tiles are 45 streams at once",
    .run = run,
};
