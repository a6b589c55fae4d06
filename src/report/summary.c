// The summary of a run as JSON: docs/perf-summary.md describes every key.
#include "autogaze/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

// JSON knows neither infinity nor NaN: null.
static void number(cJSON *o, const char *key, double v)
{
    if (isfinite(v)) {
        cJSON_AddNumberToObject(o, key, v);
    } else {
        cJSON_AddNullToObject(o, key);
    }
}

static void hex(cJSON *o, const char *key, uint64_t v)
{
    char text[17];
    snprintf(text, sizeof(text), "%016" PRIx64, v);
    cJSON_AddStringToObject(o, key, text);
}

static void average(cJSON *o, const char *key, const struct ag_average *a)
{
    cJSON *j = cJSON_AddObjectToObject(o, key);
    number(j, "samples", (double)a->samples);
    number(j, "infinite_samples", (double)a->infinite);
    number(j, "mean", a->mean);
    number(j, "ema", a->ema);
    number(j, "min", a->min);
    number(j, "last", a->last);
    cJSON_AddBoolToObject(j, "last_infinite", isinf(a->last));
}

static void series(cJSON *o, const char *key, const struct ag_series_stats *s)
{
    if (!s->samples) {
        return;
    }
    cJSON *j = cJSON_AddObjectToObject(o, key);
    number(j, "samples", (double)s->samples);
    number(j, "window", s->window);
    number(j, "mean", s->mean);
    number(j, "p50", s->p50);
    number(j, "p95", s->p95);
    number(j, "p99", s->p99);
    number(j, "max", s->max);
}

// Shares of a frame's latency that its stages and waits explain: of n frames the p05 is the share
// that 95 % of them reach.
static void accounted(cJSON *o, const struct ag_series_stats *un)
{
    if (!un->samples) {
        cJSON_AddNullToObject(o, "accounted");
        return;
    }
    cJSON *j = cJSON_AddObjectToObject(o, "accounted");
    number(j, "samples", (double)un->samples);
    number(j, "mean", 1 - un->mean);
    number(j, "p50", 1 - un->p50);
    number(j, "p05", 1 - un->p95);
    number(j, "p01", 1 - un->p99);
    number(j, "min", 1 - un->max);
    number(j, "max", 1 - un->min);
}

static void timing(cJSON *root, const struct ag_stats_snapshot *snapshot)
{
    const struct ag_timing_snapshot *t = &snapshot->timing;
    cJSON *j = cJSON_AddObjectToObject(root, "timing_ms");
    static const char *const totals[] = { "latency", "interval", "gpu_total" };
    for (int i = 0; i < AG_TOTAL_COUNT; i++) {
        series(j, totals[i], &t->total[i]);
    }
    cJSON *stages = cJSON_AddObjectToObject(j, "stages");
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        if (t->stage[i][AG_CLOCK_CPU].samples || t->stage[i][AG_CLOCK_GPU].samples) {
            cJSON *s = cJSON_AddObjectToObject(stages, ag_stage_name(i));
            series(s, "gpu", &t->stage[i][AG_CLOCK_GPU]);
            series(s, "cpu", &t->stage[i][AG_CLOCK_CPU]);
        }
    }
    if (t->dominant_stage >= 0) {
        cJSON_AddStringToObject(j, "dominant_stage", ag_stage_name(t->dominant_stage));
        cJSON_AddStringToObject(j, "dominant_clock",
                                t->dominant_clock == AG_CLOCK_GPU ? "gpu" : "cpu");
    }
    number(j, "dropped_timestamps", (double)t->dropped_samples);
    accounted(j, &snapshot->unaccounted);
}

static void device(cJSON *root, const struct ag_gpu_info *g)
{
    cJSON *j = cJSON_AddObjectToObject(root, "device");
    cJSON_AddStringToObject(j, "name", g->name);
    cJSON_AddStringToObject(j, "vendor", g->vendor);
    cJSON_AddStringToObject(j, "type", g->type);
    cJSON_AddStringToObject(j, "driver", g->driver);
    cJSON_AddStringToObject(j, "driver_info", g->driver_info);
    cJSON_AddBoolToObject(j, "software", g->software);
    number(j, "timestamp_ns", g->timestamp_ns);
    cJSON_AddBoolToObject(j, "calibrated_timestamps", g->calibrated);
    char version[32];
    snprintf(version, sizeof(version), "%u.%u.%u", g->api_version >> 22 & 0x7f,
             g->api_version >> 12 & 0x3ff, g->api_version & 0xfff);
    cJSON_AddStringToObject(j, "vulkan", version);
}

static void source(cJSON *root, const struct ag_run_info *run)
{
    cJSON *j = cJSON_AddObjectToObject(root, "source");
    cJSON_AddStringToObject(j, "driver", run->source.driver ? run->source.driver : "");
    cJSON_AddStringToObject(j, "description", run->source.description);
    number(j, "width", run->width);
    number(j, "height", run->height);
    number(j, "produced", (double)run->produced);
    number(j, "dropped", (double)run->dropped);
}

static void mask(cJSON *root, const struct ag_run_info *run, const struct ag_stats_snapshot *s)
{
    cJSON *j = cJSON_AddObjectToObject(root, "mask");
    cJSON_AddStringToObject(j, "source", run->mask_source);
    cJSON_AddStringToObject(j, "model", run->model);
    cJSON_AddStringToObject(j, "context", run->context);
    cJSON_AddStringToObject(j, "backend", run->backend);
    cJSON_AddStringToObject(j, "precision", run->precision);
    cJSON_AddStringToObject(j, "latency", run->latency);
    number(j, "threshold", run->threshold);
    number(j, "quality_db", run->quality_db);
    number(j, "budget", run->budget);
    static const char *const modes[] = { "realtime", "tiled", "tiled-full" };
    cJSON_AddStringToObject(j, "mode", modes[run->mode]);
    number(j, "tiles", run->tiles);
    number(j, "tile_columns", run->tile_cols);
    number(j, "tile_rows", run->tile_rows);
    number(j, "tile_batch", run->tile_batch);
    number(j, "model_device_bytes", (double)run->model_bytes);
    average(j, "tokens", &s->tokens);
    average(j, "rounds", &s->rounds);
    average(j, "gaze_ratio", &s->gaze_ratio);
    average(j, "mask_age_ms", &s->mask_age_ms);
    if (!isnan(run->repair_db)) {
        number(j, "repair_db", run->repair_db);
        number(j, "repair_cells", run->repair_cells);
    }
    average(j, "repaired_cells", &s->repaired);
    number(j, "repair_limited_frames", (double)s->repair_limited);
    number(j, "chunk_starts", (double)s->chunk_starts);
    number(j, "stale_results", (double)run->stale_results);
    number(j, "duplicate_inferences", (double)run->duplicates);
    average(j, "in_flight", &s->in_flight);
    number(j, "in_flight_max", s->in_flight_max);
    number(j, "in_flight_limit", run->in_flight_limit);
    cJSON *last = cJSON_AddObjectToObject(j, "last");
    number(last, "cells", run->last_plan.selected);
    number(last, "kept", run->last_plan.kept);
    number(last, "rects", run->last_spans.rects);
    number(last, "row_spans", run->last_spans.spans);
    number(last, "pixels", run->last_plan.pixels);
}

static void cost(cJSON *root, const struct ag_stats_snapshot *s)
{
    cJSON *j = cJSON_AddObjectToObject(root, "cost");
    const struct ag_cost *c = &s->cost_run;
    number(j, "tokens_a_frame", c->tokens);
    number(j, "tokens_a_second", c->tokens * s->fps);
    number(j, "dense_tokens", c->dense);
    number(j, "finest_grid_tokens", c->finest);
    number(j, "reduction", c->reduction);
    number(j, "vit_b16_gflop_saved_a_frame", c->encoder_gflop_saved);
}

static void counters(cJSON *root, const struct ag_run_info *run, const struct ag_stats_snapshot *s)
{
    cJSON *j = cJSON_AddObjectToObject(root, "transfers");
    average(j, "bytes_uploaded_a_frame", &s->bytes_uploaded);
    average(j, "bytes_read_back_a_frame", &s->bytes_read_back);
    number(j, "submits", (double)run->counters.submits);
    number(j, "host_waits", (double)run->counters.host_waits);
    number(j, "host_wait_ms", run->counters.host_wait_ns * 1e-6);
    number(j, "allocations", (double)run->counters.allocations);
    number(j, "host_allocations", (double)run->host_allocations);
    number(j, "validation_messages", (double)run->counters.validation_messages);
    number(j, "device_bytes", (double)run->counters.device_bytes_used);
    j = cJSON_AddObjectToObject(root, "host_memory");
    number(j, "own_bytes_peak", (double)run->own_bytes);
    number(j, "resident_bytes_peak", (double)run->host_bytes);
    number(j, "driver_and_libraries_bytes",
           run->host_bytes > run->own_bytes ? (double)(run->host_bytes - run->own_bytes) : 0);
    j = cJSON_AddObjectToObject(root, "paths");
    for (uint32_t i = 0; i < AG_PATH_COUNT; i++) {
        number(j, ag_path_name(i), (double)s->path_counts[i]);
    }
}

static void build(cJSON *root)
{
    cJSON *j = cJSON_AddObjectToObject(root, "build");
    cJSON_AddStringToObject(j, "type", AG_BUILD_TYPE);
    cJSON_AddStringToObject(j, "compiler", AG_COMPILER);
    cJSON_AddStringToObject(j, "revision", ag_revision());
}

static void startup(cJSON *root, const struct ag_run_info *run)
{
    number(root, "startup_ms", (double)run->startup_ns * 1e-6);
    cJSON *j = cJSON_AddObjectToObject(root, "startup_phases_ms");
    for (uint32_t i = 0; i < run->startup.n; i++) {
        number(j, run->startup.phase[i].name, (double)run->startup.phase[i].ns * 1e-6);
    }
}

// Where the data of a frame are when one stage hands them to the next. "host" and "device" say
// where they stay, "x-to-y" that they cross the bus there.
static void residency(cJSON *root, const struct ag_run_info *run)
{
    bool cpu = strcmp(run->backend, "cpu") == 0;
    const struct {
        const char *hand_off, *where;
    } rows[] = {
        { "source_to_ring", run->generated ? "none" : "host" },
        { "ring_to_upload", run->generated ? "none" : "host-to-device" },
        { "upload_to_color", run->generated ? "none" : "device" },
        { "color_to_resize", "device" },
        { "resize_to_mask_source", cpu ? "device-to-host" : "device" },
        { "mask_source_to_plan", run->host_mask ? "host-to-device" : "device" },
        { "plan_to_compose", "device" },
        { "history", "device" },
        { "canvas", cpu ? "device-to-host" : "device" },
        { "compose_to_screen", "device" },
        { "statistics", "device-to-host-late" },
    };
    cJSON *j = cJSON_AddObjectToObject(root, "residency");
    for (size_t i = 0; i < AG_COUNT(rows); i++) {
        cJSON_AddStringToObject(j, rows[i].hand_off, rows[i].where);
    }
}

static void options(cJSON *root, const struct ag_config *config)
{
    cJSON *j = cJSON_AddObjectToObject(root, "options");
    const char *name;
    char value[512];
    for (int i = 0; ag_config_describe(config, i, &name, value, sizeof(value)); i++) {
        cJSON_AddStringToObject(j, name, value);
    }
    cJSON *files = cJSON_AddArrayToObject(j, "files");
    for (int i = 0; i < config->n_files; i++) {
        cJSON_AddItemToArray(files, cJSON_CreateString(config->files[i]));
    }
}

bool ag_summary_write(const char *path, const struct ag_run_info *run,
                      const struct ag_stats_snapshot *s, struct ag_error *err)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "schema", 2);
    cJSON_AddStringToObject(root, "app_version", ag_version());
    cJSON_AddStringToObject(root, "git_revision", ag_revision());
    cJSON_AddBoolToObject(root, "complete", run->complete);
    number(root, "frames", (double)s->frames);
    number(root, "warmup_frames", run->config->warmup_frames);
    number(root, "keyframes", (double)s->keyframes);
    number(root, "frames_a_second", s->fps);
    startup(root, run);
    build(root);
    device(root, &run->gpu);
    source(root, run);
    mask(root, run, s);
    average(root, "psnr_db", &s->psnr);
    average(root, "model_psnr_db", &s->model_psnr);
    cost(root, s);
    timing(root, s);
    counters(root, run, s);
    residency(root, run);
    hex(root, "output_hash", run->output_hash);
    hex(root, "gaze_hash", s->gaze_hash);
    options(root, run->config);

    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    struct ag_output *out = ag_output_open(path, err);
    if (!out) {
        free(text);
        return false;
    }
    ag_output_printf(out, "%s\n", text);
    free(text);
    return ag_output_commit(&out, err);
}
