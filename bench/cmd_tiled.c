// autogaze-bench tiled: all tiles of a frame in batches, on the device: time a frame by stage,
// tokens, memory, and what that is against as many single tiles.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autogaze/gpu_model.h"
#include "autogaze/preprocess_ref.h"
#include "autogaze/source.h"
#include "autogaze/tiles.h"

#include "bench.h"

#define DEFAULT_FRAMES 60
#define WARM_UP_NS 300000000 // clocks rise under load, slowly

struct lane {
    const char *name;
    uint32_t width, height;
};
static const struct lane lanes[] = {
    { "720p", 1280, 720 }, { "1080p", 1920, 1080 }, { "4k", 3840, 2160 },
};
static const uint32_t batches[] = { 1, 8, 32, 64, UINT32_MAX }; // the last: all at once

enum column { COLUMN_VISION, COLUMN_PREFILL, COLUMN_DECODE, COLUMN_TOTAL, COLUMN_COUNT };

struct job {
    struct ag_gpu *gpu;
    const struct ag_model *model;
    enum ag_precision precision;
    uint32_t frames, budget;
    uint32_t wrong;          // lanes whose ids are not those of single tiles
    float threshold;
    struct ag_gpu_model *m;
    uint32_t tiles, batch;
    struct ag_buffer *picture[2], *canvas, *readback;
    struct ag_series *series[COLUMN_COUNT];
    double tokens, rounds;   // a frame
    uint64_t hash, one_hash; // of all ids; of batch 1
    double one_ms;           // a single tile, p50 of batch 1 over the tiles
};

// Neighbouring frames of synthetic-local-motion, and as canvas a third: what a video is like.
static bool load_pictures(struct job *j, const struct lane *lane, struct ag_error *err)
{
    uint32_t side = j->model->config.image_size;
    size_t picture = (size_t)3 * side * side * sizeof(float);
    size_t bytes = picture * AG_ALIGN_UP(j->tiles, j->batch); // the last batch is filled up
    struct ag_tiling t;
    ag_tiling_make(AG_MODE_TILED, lane->width, lane->height, side, &t);
    uint8_t *rgba = ag_alloc((size_t)4 * lane->width * lane->height);
    float *tiles = ag_alloc(bytes);
    bool ok = true;
    for (uint32_t i = 0; i < 3 && ok; i++) {
        struct ag_buffer **b = i == 2 ? &j->canvas : &j->picture[i];
        ag_pattern_draw(AG_PATTERN_LOCAL_MOTION, 30 + i, lane->width, lane->height, rgba);
        ag_ref_tiles(&j->model->preprocess, rgba, lane->width, lane->height, t.cols, t.rows, false,
                     side, tiles);
        *b = ag_buffer_create(j->gpu, AG_MEM_DEVICE, bytes, "bench/tiles", err);
        ok = *b && ag_buffer_load(j->gpu, *b, 0, tiles, bytes, err);
    }
    ag_free(tiles);
    ag_free(rgba);
    return ok;
}

static uint64_t run_frame(struct job *j, uint64_t id, struct ag_error *err)
{
    uint64_t picture = 12ull * j->model->config.image_size * j->model->config.image_size, bytes;
    struct ag_cmd *cmd = ag_cmd_begin(j->gpu, id, err);
    if (!cmd) {
        return 0;
    }
    for (uint32_t first = 0; first < j->tiles; first += j->batch) {
        struct ag_gpu_gaze_job job = {
            .frame_id = id, .input = j->picture[id % 2], .input_offset = first * picture,
            .canvas = j->canvas, .canvas_offset = first * picture,
            .previous = j->picture[1 - id % 2], .previous_offset = first * picture,
            .previous_id = id - 1, .budget = j->budget, .threshold = j->threshold,
        };
        struct ag_mask mask;
        if (j->batch < j->tiles) {
            ag_gpu_model_reset(j->m); // what it saw last were other tiles
        }
        if (!ag_gpu_model_record(j->m, cmd, &job, &mask, err)) {
            ag_cmd_submit(cmd, NULL);
            return 0;
        }
        const struct ag_buffer *results = ag_gpu_model_results(j->m, &bytes);
        ag_cmd_copy(cmd, j->readback, first / j->batch * bytes, results, 0, bytes);
        ag_cmd_barrier(cmd);
    }
    ag_cmd_host_barrier(cmd);
    return ag_cmd_submit(cmd, err);
}

static void collect(struct job *j, uint64_t first)
{
    static const enum ag_stage stages[] = { AG_STAGE_VISION, AG_STAGE_PREFILL, AG_STAGE_DECODE };
    struct ag_gpu_times t;
    while (ag_gpu_poll_times(j->gpu, &t)) {
        if (t.dropped || t.frame_id < first) {
            continue;
        }
        for (int i = 0; i < COLUMN_TOTAL; i++) {
            ag_series_add(j->series[i], (double)t.stage_ns[stages[i]] * 1e-6);
        }
    }
}

// One frame more, with an id that does not depend on how long the warming up took.
static bool count_tokens(struct job *j, struct ag_error *err)
{
    uint64_t value = run_frame(j, (uint64_t)1 << 32, err);
    if (!value || !ag_gpu_wait(j->gpu, value, err)) {
        return false;
    }
    struct ag_gaze g = { .ids = ag_alloc(j->model->config.cells * 4),
                         .losses = ag_alloc(j->model->config.cells * 4) };
    uint64_t bytes;
    ag_gpu_model_results(j->m, &bytes);
    ag_buffer_invalidate(j->gpu, j->readback);
    j->tokens = j->rounds = 0;
    j->hash = AG_HASH_SEED;
    for (uint32_t t = 0; t < j->tiles; t++) {
        ag_gpu_model_decode(j->m, (const char *)j->readback->data + t / j->batch * bytes,
                            t % j->batch, &g);
        j->tokens += g.valid;
        j->hash = ag_hash(j->hash, g.ids, g.slots * sizeof(*g.ids));
        j->rounds = AG_MAX(j->rounds, (double)g.rounds);
    }
    ag_free(g.ids);
    ag_free(g.losses);
    return true;
}

// A frame from submission to the end of its work: what a video would wait for.
static bool measure(struct job *j, struct ag_error *err)
{
    int64_t start = ag_now_ns();
    uint64_t first = UINT64_MAX, end = UINT64_MAX;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        ag_series_reset(j->series[i]);
    }
    for (uint64_t i = 1; i < end; i++) {
        if (first == UINT64_MAX && i > 2 && ag_now_ns() - start > WARM_UP_NS) {
            first = i;
            end = i + j->frames;
        }
        int64_t begun = ag_now_ns();
        uint64_t value = run_frame(j, i, err);
        if (!value || !ag_gpu_wait(j->gpu, value, err)) {
            return false;
        }
        if (i >= first) {
            ag_series_add(j->series[COLUMN_TOTAL], (double)(ag_now_ns() - begun) * 1e-6);
        }
        collect(j, first);
    }
    return count_tokens(j, err);
}

static void print_lane(struct job *j, const struct lane *lane)
{
    struct ag_series_stats total = ag_series_stats(j->series[COLUMN_TOTAL]);
    printf("%-6s %5u %6u", lane->name, j->tiles, j->batch);
    for (int i = 0; i < COLUMN_TOTAL; i++) {
        struct ag_series_stats s = ag_series_stats(j->series[i]);
        if (s.window) {
            printf(" %8.2f", s.p50);
        } else {
            printf(" %8s", "-"); // too many stages in one submission for its timestamps
        }
    }
    printf(" %8.2f %8.2f %8.3f %7.1f %7.0f %6.0f %8.0f  %016llx%s\n", total.p50, total.p95,
           total.p50 / j->tiles, j->one_ms * j->tiles / total.p50, j->tokens, j->rounds,
           (double)ag_gpu_model_bytes(j->m) / 1048576.0, (unsigned long long)j->hash,
           j->hash == j->one_hash ? "" : " DIFFERS");
    fflush(stdout);
}

static void release(struct job *j)
{
    ag_gpu_model_destroy(j->gpu, &j->m);
    ag_buffer_destroy(j->gpu, &j->picture[0]);
    ag_buffer_destroy(j->gpu, &j->picture[1]);
    ag_buffer_destroy(j->gpu, &j->canvas);
    ag_buffer_destroy(j->gpu, &j->readback);
}

static bool run_batch(struct job *j, const struct lane *lane, uint32_t batch, struct ag_error *err)
{
    struct ag_gpu_model_params params = {
        .precision = j->precision, .streams = batch, .decode = AG_DECODE_SPLIT, // as in the viewer
    };
    params.stream = (struct ag_stream_params){ .context = AG_CONTEXT_CANVAS,
                                               .max_budget = j->budget };
    j->batch = batch;
    struct ag_error why = { 0 };
    j->m = ag_gpu_model_create(j->gpu, NULL, j->model, &params, &why);
    if (!j->m) {
        printf("%-6s %5u %6u  does not fit: %s\n", lane->name, j->tiles, batch, why.text);
        return why.status == AG_ERR_DEVICE || ag_fail(err, why.status, "%s", why.text);
    }
    uint64_t bytes;
    ag_gpu_model_results(j->m, &bytes);
    j->readback = ag_buffer_create(j->gpu, AG_MEM_READBACK,
                                   AG_DIV_UP(j->tiles, batch) * bytes, "bench/readback", err);
    bool ok = j->readback && load_pictures(j, lane, err) && measure(j, err);
    if (ok) {
        if (batch == 1) {
            j->one_hash = j->hash;
            j->one_ms = ag_series_stats(j->series[COLUMN_TOTAL]).p50 / j->tiles;
        }
        print_lane(j, lane);
        j->wrong += j->hash != j->one_hash;
    }
    release(j);
    return ok;
}

static int run_lanes(struct job *j, const char *filter, struct ag_error *err)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(j->gpu);
    printf("%s, %s %s%s\nmodel %s, context canvas, %s; milliseconds a frame, GPU stages p50, frame "
           "from submission to end p50 and p95;\nsynthetic-local-motion; 'x one' "
           "= as many tiles one after another / this\n", info->name, info->driver,
           info->driver_info,
           info->software ? " (SOFTWARE device: times say nothing about hardware)" : "",
           j->model->name, j->precision == AG_PRECISION_TENSOR ? "tensor"
           : j->precision == AG_PRECISION_F16 ? "f16" : "f32");
    printf("%-6s %5s %6s %8s %8s %8s %8s %8s %8s %7s %7s %6s %8s  %s\n", "lane", "tiles", "batch",
           "vision", "prefill", "decode", "frame", "p95", "a tile", "x one", "tokens", "rounds",
           "MiB", "hash of all ids");
    bool ok = true;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        j->series[i] = ag_series_create(j->frames);
    }
    for (size_t l = 0; l < AG_COUNT(lanes) && ok; l++) {
        if (filter && !strstr(lanes[l].name, filter)) {
            continue;
        }
        struct ag_tiling t;
        ag_tiling_make(AG_MODE_TILED, lanes[l].width, lanes[l].height,
                       j->model->config.image_size, &t);
        j->tiles = t.tiles;
        for (size_t b = 0; b < AG_COUNT(batches) && ok; b++) {
            if (batches[b] < t.tiles || batches[b] == UINT32_MAX) {
                ok = run_batch(j, &lanes[l], AG_MIN(batches[b], t.tiles), err);
            }
        }
    }
    for (int i = 0; i < COLUMN_COUNT; i++) {
        ag_series_destroy(&j->series[i]);
    }
    return !ok ? (int)err->status : j->wrong ? AG_ERR_USAGE : AG_OK;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    const char *device = NULL, *frames = NULL, *software = "refuse", *filter = NULL, *name = NULL;
    const char *precision = "f32", *rule = "model";
    const struct ag_bench_option options[] = {
        { "gpu", &device }, { "frames", &frames }, { "software", &software }, { "lane", &filter },
        { "precision", &precision }, { "threshold", &rule },
    };
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &name, err)) {
        return err->status;
    }
    char *end = "", dir[1024];
    struct job j = { .frames = DEFAULT_FRAMES };
    j.frames = frames ? (uint32_t)strtoul(frames, &end, 10) : j.frames;
    if (*end || j.frames < 1 || j.frames > 100000) {
        ag_fail(err, AG_ERR_USAGE, "--frames is '%.40s', expected 1 to 100000", frames);
        return err->status;
    }
    if (!ag_model_find(name ? name : "open-gaze", dir, sizeof(dir), err)) {
        return err->status;
    }
    struct ag_model *model = ag_model_load(&log, dir, err);
    if (!model) {
        return err->status;
    }
    j.model = model;
    j.precision = strcmp(precision, "tensor") == 0 ? AG_PRECISION_TENSOR
                  : strcmp(precision, "f16") == 0  ? AG_PRECISION_F16
                                                   : AG_PRECISION_F32;
    j.budget = model->config.default_budget ? model->config.default_budget : model->config.cells;
    j.threshold = strcmp(rule, "off") == 0 ? AG_NO_THRESHOLD : model->config.default_threshold;
    struct ag_gpu_params params = { .device = device };
    params.require_hardware = strcmp(software, "allow") != 0;
    j.gpu = ag_gpu_create(&log, &params, err);
    int code = j.gpu ? run_lanes(&j, filter, err) : (int)err->status;
    if (j.gpu) {
        ag_gpu_destroy(&j.gpu);
    }
    ag_model_destroy(&model);
    return code;
}

const struct ag_bench_command ag_bench_tiled = {
    .name = "tiled",
    .usage = "[MODEL] [--gpu NAME] [--frames N] [--lane TEXT] [--precision f16|tensor] [--threshold off] "
             "[--software allow]",
    .help = "gaze of all tiles of 720p, 1080p and 4K frames by batch: time by stage, tokens, "
            "memory, gain over single tiles",
    .run = run,
};
