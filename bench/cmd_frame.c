// autogaze-bench frame: whole frames through the pipeline that the viewer ticks, lock-step, from a
// source on the device and from host memory.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autogaze/pipeline.h"
#include "autogaze/source.h"

#include "lane.h"

#define CHECKED 6 // frames that are composed twice before the clock runs

static const struct frame_case {
    const char *name;
    const char *options[12]; // "@FILE" is the still picture
} cases[] = {
    { "local-motion autogaze", { "--source", "synthetic-local-motion" } },
    { "pan autogaze", { "--source", "synthetic-pan" } },
    { "pan autogaze 50 tokens", { "--source", "synthetic-pan", "--max-tokens", "50", "--task-loss",
                                  "off" } },
    { "pan autogaze frames", { "--source", "synthetic-pan", "--temporal-context", "frames" } },
    { "pan patch-diff", { "--source", "synthetic-pan", "--mask-source", "patch-diff" } },
    { "pan patch-diff repair", { "--source", "synthetic-pan", "--mask-source", "patch-diff",
                                 "--repair", "33" } },
    { "pan canvas-diff", { "--source", "synthetic-pan", "--mask-source", "canvas-diff" } },
    { "pan autogaze repair", { "--source", "synthetic-pan", "--repair", "33" } },
    { "pan redundant-full-frame", { "--source", "synthetic-pan", "--force-mask",
                                    "redundant-full-frame" } },
    { "end to end still autogaze", { "--source", "image", "@FILE" } },
    { "end to end still patch-diff", { "--source", "image", "@FILE", "--mask-source",
                                       "patch-diff" } },
};
static const char *const frame_sizes[] = { "1280x720", "1920x1080" };

struct frame_run {
    struct lanes l;
    const char *model;
    char still[64];          // of the size at hand; empty: none
};

static bool write_still(struct frame_run *r, uint32_t width, uint32_t height, struct ag_error *err)
{
    snprintf(r->still, sizeof(r->still), "/tmp/autogaze-bench-XXXXXX.ppm");
    int fd = mkstemps(r->still, 4);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!f) {
        return ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s'", r->still);
    }
    uint8_t *rgba = ag_alloc(4ull * width * height);
    ag_pattern_draw(AG_PATTERN_LOCAL_MOTION, 11, width, height, rgba);
    fprintf(f, "P6 %u %u 255\n", width, height);
    for (size_t i = 0; i < (size_t)width * height; i++) {
        fwrite(rgba + 4 * i, 3, 1, f);
    }
    ag_free(rgba);
    bool ok = !ferror(f);
    ok = fclose(f) == 0 && ok;
    return ok || ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s'", r->still);
}

static struct ag_pipeline *open_case(struct frame_run *r, const struct frame_case *c,
                                     const char *size, struct ag_config *config,
                                     struct ag_error *err)
{
    char *argv[32] = { "autogaze-bench", "--headless", "--quiet", "--model", (char *)r->model };
    int n = 5;
    bool file = false;
    for (size_t i = 0; i < AG_COUNT(c->options) && c->options[i]; i++) {
        bool is_file = strcmp(c->options[i], "@FILE") == 0;
        argv[n++] = is_file ? r->still : (char *)c->options[i];
        file = file || is_file;
    }
    if (!file) {
        argv[n++] = "--synthetic-size";
        argv[n++] = (char *)size;
    }
    bool ok = ag_config_parse_args(config, n, argv, err);
    return ok ? ag_pipeline_create(NULL, config, r->l.gpu, err) : NULL;
}

static bool tick(struct ag_pipeline *p, struct ag_error *err)
{
    enum ag_tick t = ag_pipeline_tick(p, -1, err);
    return t == AG_TICK_FRAME ||
           (t != AG_TICK_ERROR && ag_fail(err, AG_ERR_INPUT, "the source ended too early"));
}

struct outcome {
    uint64_t hash;
    double psnr, expected; // as reported for the last frame, and of its pictures
};

// The first frames of a pipeline: what they made.
static bool compose(struct ag_pipeline *p, struct outcome *out, struct ag_error *err)
{
    struct ag_frame_report report = { 0 };
    *out = (struct outcome){ .hash = AG_HASH_SEED };
    for (int i = 0; i < CHECKED; i++) {
        if (!tick(p, err) || !ag_pipeline_drain(p, err)) {
            return false;
        }
        while (ag_pipeline_next_report(p, &report)) {
            out->hash = ag_hash(out->hash, report.cells, report.n_cells * sizeof(uint32_t));
            out->psnr = report.psnr_db;
        }
    }
    struct ag_pictures pic = ag_pipeline_pictures(p);
    size_t bytes = 4ull * pic.width * pic.height;
    uint8_t *input = ag_alloc(bytes), *output = ag_alloc(bytes);
    bool ok = ag_pipeline_read(p, pic.input, input, err) &&
              ag_pipeline_read(p, pic.output, output, err);
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        int d = i % 4 == 3 ? 0 : input[i] - output[i];
        sum += (uint64_t)(d * d);
    }
    out->hash = ag_hash(out->hash, output, bytes);
    out->expected = sum ? 10 * log10(255.0 * 255.0 * 3 * pic.width * pic.height / (double)sum)
                        : INFINITY;
    ag_free(input);
    ag_free(output);
    return ok;
}

static bool same(double a, double b)
{
    return (isinf(a) && isinf(b)) || fabs(a - b) < 1e-6;
}

static bool time_frames(struct frame_run *r, struct ag_pipeline *p, struct lane_result *interval,
                        struct lane_result *device, struct ag_error *err)
{
    struct ag_series *intervals = ag_series_create(r->l.repeats);
    struct ag_series *gpu = ag_series_create(r->l.repeats);
    struct ag_frame_report report;
    const uint32_t warm_up = 8;
    double bytes = 0, cpu = 0;
    bool ok = true;
    for (uint32_t i = 0; i < r->l.repeats + warm_up && ok; i++) {
        cpu = i == warm_up ? lanes_cpu_us() : cpu;
        ok = tick(p, err);
        while (ok && ag_pipeline_next_report(p, &report)) {
            if (i >= warm_up) {
                ag_series_add(intervals, (double)report.interval_ns * 1e-3);
                ag_series_add(gpu, (double)report.gpu_total_ns * 1e-3);
                bytes = (double)(report.bytes_uploaded + report.bytes_read_back);
            }
        }
    }
    interval->cpu_us = device->cpu_us = (lanes_cpu_us() - cpu) / r->l.repeats;
    interval->us = ag_series_stats(intervals);
    device->us = ag_series_stats(gpu);
    interval->bytes = device->bytes = bytes;
    ag_series_destroy(&intervals);
    ag_series_destroy(&gpu);
    return ok;
}

static bool run_case(struct frame_run *r, const struct frame_case *c, const char *size,
                     struct ag_error *err)
{
    char interval_name[96], device_name[96];
    snprintf(interval_name, sizeof(interval_name), "%s %s, interval", c->name, size);
    snprintf(device_name, sizeof(device_name), "%s %s, device", c->name, size);
    if (!lanes_wanted(&r->l, interval_name) && !lanes_wanted(&r->l, device_name)) {
        return true;
    }
    struct ag_config *config = ag_alloc(sizeof(*config));
    struct outcome first = { 0 }, second = { 0 };
    struct ag_pipeline *p = open_case(r, c, size, config, err);
    bool ok = p && compose(p, &first, err);
    ag_pipeline_destroy(&p);
    p = ok ? open_case(r, c, size, config, err) : NULL;
    ok = p && compose(p, &second, err);
    struct lane_result interval = { .name = interval_name, .hash = first.hash };
    interval.wrong = first.hash != second.hash          ? "two runs, two pictures"
                     : !same(first.psnr, first.expected) ? "PSNR is not that of the pictures"
                                                         : NULL;
    struct lane_result device = interval;
    device.name = device_name;
    ok = ok && time_frames(r, p, &interval, &device, err);
    if (ok) {
        lanes_print(&r->l, &interval);
        lanes_print(&r->l, &device);
    }
    ag_pipeline_destroy(&p);
    ag_free(config);
    return ok;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    struct frame_run r = { .model = "open-gaze" };
    const struct ag_bench_option options[] = { { "model", &r.model } };
    bool ok = lanes_open(&r.l, "whole frames, lock-step, sync", argc, argv, options, 1, err);
    for (size_t s = 0; s < AG_COUNT(frame_sizes) && ok; s++) {
        unsigned width = 0, height = 0;
        sscanf(frame_sizes[s], "%ux%u", &width, &height);
        ok = write_still(&r, width, height, err);
        for (size_t c = 0; c < AG_COUNT(cases) && ok; c++) {
            ok = run_case(&r, &cases[c], frame_sizes[s], err);
        }
        unlink(r.still);
    }
    return lanes_close(&r.l, err);
}

const struct ag_bench_command ag_bench_frame = {
    .name = "frame",
    .usage = "[NAME] [--model NAME] [--gpu NAME] [--repeats N] [--format text|csv|json] "
             "[--software allow]",
    .help = "whole frames through the viewer's pipeline, composed twice alike, then timed",
    .run = run,
};
