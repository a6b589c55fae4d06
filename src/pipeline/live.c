// Settings that change while running, and the facts that HUD and summary show.
#include "priv.h"

#include <math.h>
#include <stdio.h>
#include <sys/resource.h>

struct ag_live ag_pipeline_get_live(const struct ag_pipeline *p)
{
    return p->live;
}

bool ag_pipeline_set_live(struct ag_pipeline *p, const struct ag_live *live, struct ag_error *err)
{
    if (p->has_forced && live->mask_source != p->live.mask_source) {
        return ag_fail(err, AG_ERR_USAGE, "the mask is forced to '%s': start without --force-mask",
                       p->config.force_mask);
    }
    if (!isnan(live->repair_db) && p->config.cell_scale < 1) {
        return ag_fail(err, AG_ERR_USAGE, "cells of --cell-scale %g cannot repair: they do not "
                       "fill their places", p->config.cell_scale);
    }
    if (live->mask_source != p->live.mask_source || live->geometry != p->live.geometry ||
        isnan(live->repair_db) != isnan(p->live.repair_db) || live->output != p->live.output ||
        live->mode != p->live.mode) {
        p->reconfigure = true; // the layout of cells changes
    }
    bool changed = live->output != p->live.output || live->mask_source != p->live.mask_source;
    bool blend = live->output == AG_OUTPUT_FULL_BLEND;
    if (changed && blend && live->mask_source == AG_MASK_CANVAS_DIFF) {
        snprintf(p->notice, sizeof(p->notice), "full-blend keeps no history that canvas-diff could "
                                               "compare with: its masks are empty");
    }
    if (live->output != p->live.output) {
        p->force_keyframe = true; // full-blend leaves no history behind
    }
    if (live->mask_source != p->live.mask_source) {
        inference_reset(p); // context `frames` has missed frames meanwhile; a canvas has not
    }
    p->live = *live;
    return true;
}

void ag_pipeline_force_keyframe(struct ag_pipeline *p)
{
    p->force_keyframe = true;
}

void ag_pipeline_reset_context(struct ag_pipeline *p)
{
    p->reset_context = true;
}

void ag_pipeline_set_paused(struct ag_pipeline *p, bool paused)
{
    p->paused = paused;
    p->moving = p->moving && paused;
    ag_ring_set_paused(p->ring, paused);
}

bool ag_pipeline_paused(const struct ag_pipeline *p)
{
    return p->paused;
}

void ag_pipeline_step(struct ag_pipeline *p)
{
    if (p->paused && !p->moving) {
        ag_ring_step(p->ring);
        p->moving = true;
    }
}

bool ag_pipeline_seek(struct ag_pipeline *p, int64_t pts_ns, struct ag_error *err)
{
    if (!p->source.seekable) {
        return ag_fail(err, AG_ERR_INPUT, "this source cannot seek");
    }
    ag_ring_seek(p->ring, AG_MAX(pts_ns, 0));
    p->moving = true;
    return true;
}

const struct ag_model_config *ag_pipeline_model(const struct ag_pipeline *p)
{
    bool model = p->live.mask_source == AG_MASK_AUTOGAZE && !p->has_forced;
    return model ? &p->model->config : NULL;
}

bool ag_pipeline_lockstep(const struct ag_pipeline *p)
{
    return p->lockstep;
}

bool ag_pipeline_step_back(struct ag_pipeline *p, struct ag_error *err)
{
    int64_t pts_ns = ag_pipeline_pictures(p).pts_ns;
    if (!p->source.seekable || pts_ns < 0) {
        return ag_fail(err, AG_ERR_INPUT, "this source cannot step backwards");
    }
    ag_pipeline_set_paused(p, true);
    if (p->composed) {
        ag_ring_seek_before(p->ring, pts_ns);
        p->moving = true;
    }
    return true;
}

bool ag_pipeline_is_moving(const struct ag_pipeline *p)
{
    return p->moving;
}

void ag_pipeline_set_rate(struct ag_pipeline *p, double rate)
{
    p->config.rate = AG_CLAMP(rate, 0.01, 100);
    ag_ring_set_rate(p->ring, p->config.rate);
}

void ag_pipeline_set_loop(struct ag_pipeline *p, bool loop)
{
    p->config.loop = loop ? AG_YES : AG_NO;
    ag_ring_set_loop(p->ring, loop);
}

double ag_pipeline_get_rate(const struct ag_pipeline *p)
{
    return p->config.rate > 0 ? p->config.rate : 1;
}

const char *ag_pipeline_notice(const struct ag_pipeline *p)
{
    return p->notice;
}

// ---- quality ---------------------------------------------------------------------------------
struct ag_quality ag_pipeline_quality(const struct ag_pipeline *p)
{
    if (p->live.mask_source == AG_MASK_PATCH_DIFF) {
        return (struct ag_quality){ .value = p->live.patch_threshold, .min = 0, .max = 2, .step = 0.01 };
    }
    if (p->live.mask_source == AG_MASK_CANVAS_DIFF) {
        return (struct ag_quality){
            .db = true, .value = p->live.canvas_diff_db, .min = 15, .max = 60, .step = 1
        };
    }
    bool off = isnan(p->live.threshold);
    if (p->model->config.loss_unit == AG_LOSS_RMSE) {
        double db = off ? 60 : ag_db_from_threshold(p->live.threshold);
        return (struct ag_quality){ .db = true, .value = db, .min = 15, .max = 60, .step = 1, .off = off };
    }
    double value = off ? 0 : p->live.threshold;
    return (struct ag_quality){ .value = value, .min = 0, .max = 2, .step = 0.01, .off = off };
}

bool ag_pipeline_set_quality(struct ag_pipeline *p, double value, struct ag_error *err)
{
    struct ag_quality q = ag_pipeline_quality(p);
    if (!isfinite(value)) {
        return ag_fail(err, AG_ERR_USAGE, "quality must be a number");
    }
    value = AG_CLAMP(value, q.min, q.max);
    if (p->live.mask_source == AG_MASK_PATCH_DIFF) {
        p->live.patch_threshold = (float)value;
    } else if (p->live.mask_source == AG_MASK_CANVAS_DIFF) {
        p->live.canvas_diff_db = (float)value;
    } else {
        p->live.threshold = q.db ? ag_threshold_from_db(value) : (float)value;
    }
    return true;
}

// ---- facts -----------------------------------------------------------------------------------
void ag_pipeline_info(struct ag_pipeline *p, struct ag_run_info *out)
{
    struct ag_ring_stats ring = ag_ring_get_stats(p->ring);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    bool model = p->live.mask_source == AG_MASK_AUTOGAZE && !p->has_forced;
    bool rmse = p->model->config.loss_unit == AG_LOSS_RMSE;
    *out = (struct ag_run_info){
        .config = &p->config,
        .gpu = *ag_gpu_get_info(p->gpu),
        .source = ring.source,
        .threshold = p->live.threshold,
        .quality_db = rmse && !isnan(p->live.threshold) ? ag_db_from_threshold(p->live.threshold) : NAN,
        .budget = inference_budget(p),
        .width = p->width,
        .height = p->height,
        .mode = p->tiling.mode,
        .tiles = p->tiling.tiles,
        .tile_cols = p->tiling.cols,
        .tile_rows = p->tiling.rows,
        .tile_batch = p->gpu_gaze ? gpu_gaze_batch(p->gpu_gaze) :
                      AG_MIN(ag_cpu_threads((uint32_t)p->config.cpu_threads), p->tiling.tiles),
        .model_bytes = p->gpu_gaze ? gpu_gaze_bytes(p->gpu_gaze) : 0,
        .produced = ring.produced,
        .dropped = p->dropped_before + ring.dropped,
        .duplicates = p->duplicates,
        .in_flight_limit = FRAMES_IN_FLIGHT,
        .startup = p->startup,
        .own_bytes = ag_alloc_peak(),
        .generated = p->generated,
        .host_mask = p->has_forced || (model && p->on_cpu),
        .counters = ag_gpu_get_counters(p->gpu),
        .host_bytes = (uint64_t)usage.ru_maxrss * 1024,
    };
    snprintf(out->model, sizeof(out->model), "%s", p->model->name);
    snprintf(out->context, sizeof(out->context), "%s",
             !model ? "none" : p->context == AG_CONTEXT_CANVAS ? "canvas" : "frames");
    snprintf(out->backend, sizeof(out->backend), "%s", !model ? "vulkan" : p->on_cpu ? "cpu" : "vulkan");
    snprintf(out->precision, sizeof(out->precision), "%s",
             p->on_cpu                              ? "f32"
             : p->precision == AG_PRECISION_TENSOR ? "tensor"
             : p->precision == AG_PRECISION_F16    ? "f16"
                                                   : "f32");
    snprintf(out->latency, sizeof(out->latency), "%s", model && p->async ? "async" : "sync");
    out->stale_results = p->stale_results;
    if (model) {
        snprintf(out->mask_source, sizeof(out->mask_source), "autogaze (%.36s)", p->model->name);
    } else if (p->has_forced) {
        snprintf(out->mask_source, sizeof(out->mask_source), "forced %.40s", p->config.force_mask);
    } else {
        bool canvas = p->live.mask_source == AG_MASK_CANVAS_DIFF;
        snprintf(out->mask_source, sizeof(out->mask_source), canvas ? "canvas-diff" : "patch-diff");
        if (canvas) {
            out->quality_db = p->live.canvas_diff_db;
        }
    }
    out->repair_db = p->live.repair_db;
    out->repair_cells = p->live.repair_cells;
}
