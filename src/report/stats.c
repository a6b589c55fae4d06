// Running statistics over measured frames: a consumer of frame reports, nothing else.
#include "autogaze/report.h"

#include <math.h>
#include <string.h>

#define HISTORY 512

struct ag_stats {
    struct ag_stats_params params;
    struct ag_timing *timing;
    struct ag_stats_snapshot s; // all but timing and costs, which are made on request
    struct ag_layout layout;
    struct ag_series *unaccounted;
    int64_t interval_sum_ns;
    uint64_t intervals;
    float interval_ms[HISTORY], gpu_ms[HISTORY];
    uint64_t history; // samples ever written
};

struct ag_stats *ag_stats_create(const struct ag_stats_params *params)
{
    struct ag_stats *s = ag_alloc(sizeof(*s));
    s->params = *params;
    s->timing = ag_timing_create(&(struct ag_timing_params){ .window = params->window });
    s->unaccounted = ag_series_create(params->window ? params->window : 256);
    ag_stats_reset(s);
    return s;
}

void ag_stats_destroy(struct ag_stats **ps)
{
    if (*ps) {
        ag_timing_destroy(&(*ps)->timing);
        ag_series_destroy(&(*ps)->unaccounted);
        ag_free(*ps);
        *ps = NULL;
    }
}

void ag_stats_reset(struct ag_stats *s)
{
    ag_timing_reset(s->timing);
    ag_series_reset(s->unaccounted);
    struct ag_average empty = { .last = NAN, .mean = NAN, .ema = NAN, .min = NAN };
    s->s = (struct ag_stats_snapshot){
        .gaze_ratio = empty, .psnr = empty, .model_psnr = empty, .tokens = empty, .rounds = empty,
        .mask_age_ms = empty, .bytes_uploaded = empty, .bytes_read_back = empty,
        .in_flight = empty,
        .repaired = empty,
        .gaze_hash = AG_HASH_SEED,
    };
    s->interval_sum_ns = 0;
    s->intervals = 0;
    s->history = 0;
}

// S7.1 and 7.2: +inf is shown and counted, but enters neither mean nor EMA; NaN is no sample.
static void average_add(struct ag_average *a, double v, double alpha)
{
    if (isnan(v)) {
        return;
    }
    a->last = v;
    if (isinf(v)) {
        a->infinite++;
        return;
    }
    a->samples++;
    if (a->samples == 1) {
        a->mean = a->ema = a->min = v;
        return;
    }
    a->mean += (v - a->mean) / (double)a->samples;
    a->ema += alpha * (v - a->ema);
    a->min = fmin(a->min, v);
}

static void add_times(struct ag_stats *s, const struct ag_frame_report *r)
{
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        if (r->cpu_ns[i] > 0) {
            ag_timing_add(s->timing, i, AG_CLOCK_CPU, r->cpu_ns[i]);
        }
        // The HUD is drawn a few times a second; other frames of a window get it for nothing.
        bool kept = i == AG_STAGE_HUD && r->gpu_ns[AG_STAGE_PRESENT] > 0;
        if (r->gpu_ns[i] > 0 || kept) {
            ag_timing_add(s->timing, i, AG_CLOCK_GPU, r->gpu_ns[i]);
        }
    }
    ag_timing_add_total(s->timing, AG_TOTAL_LATENCY, r->latency_ns);
    if (r->gpu_total_ns > 0) {
        ag_timing_add_total(s->timing, AG_TOTAL_GPU, r->gpu_total_ns);
    } else {
        ag_timing_drop(s->timing);
    }
    if (r->interval_ns > 0) {
        ag_timing_add_total(s->timing, AG_TOTAL_INTERVAL, r->interval_ns);
        s->interval_sum_ns += r->interval_ns;
        s->intervals++;
        s->interval_ms[s->history % HISTORY] = (float)(r->interval_ns * 1e-6);
        s->gpu_ms[s->history % HISTORY] = (float)(r->gpu_total_ns * 1e-6);
        s->history++;
    }
}

void ag_stats_add(struct ag_stats *s, const struct ag_frame_report *r)
{
    if (r->warmup) {
        return;
    }
    struct ag_stats_snapshot *o = &s->s;
    double alpha = s->params.ema_alpha;
    o->frames++;
    o->keyframes += r->keyframe;
    o->path_counts[r->plan.path % AG_PATH_COUNT]++;
    s->layout = r->layout;
    average_add(&o->gaze_ratio, r->gaze_ratio, alpha);
    if (r->has_psnr && !r->keyframe) {
        average_add(&o->psnr, r->psnr_db, alpha);
    }
    if (r->has_model_psnr && !r->keyframe) {
        average_add(&o->model_psnr, r->model_psnr_db, alpha);
    }
    // Tokens of a frame: what the model emitted, or the cells that another source selected.
    average_add(&o->tokens, r->has_gaze ? r->gaze.valid : r->plan.chosen, alpha);
    if (r->repair) {
        average_add(&o->repaired, r->plan.repaired, alpha);
        o->repair_limited += r->repair_limited;
    }
    if (r->has_gaze) {
        average_add(&o->rounds, r->gaze.rounds, alpha);
        o->chunk_starts += r->gaze.chunk_start;
        o->gaze_hash = ag_hash(o->gaze_hash, &r->sequence, sizeof(r->sequence));
        o->gaze_hash = ag_hash(o->gaze_hash, &r->gaze.slots, sizeof(r->gaze.slots));
        o->gaze_hash = ag_hash(o->gaze_hash, r->gaze.ids, r->gaze.slots * sizeof(uint32_t));
    } else {
        o->gaze_hash = ag_hash(o->gaze_hash, &r->sequence, sizeof(r->sequence));
        o->gaze_hash = ag_hash(o->gaze_hash, &r->cells_hash, sizeof(r->cells_hash));
    }
    if (r->mask_frame_id) {
        average_add(&o->mask_age_ms, r->mask_age_ns * 1e-6, alpha);
    }
    average_add(&o->bytes_uploaded, (double)r->bytes_uploaded, alpha);
    average_add(&o->bytes_read_back, (double)r->bytes_read_back, alpha);
    average_add(&o->in_flight, r->in_flight, alpha);
    o->in_flight_max = AG_MAX(o->in_flight_max, r->in_flight);
    if (r->accounted_ns > 0 && r->latency_ns > 0) {
        ag_series_add(s->unaccounted, 1 - (double)r->accounted_ns / (double)r->latency_ns);
    }
    add_times(s, r);
}

void ag_stats_snapshot(struct ag_stats *s, struct ag_stats_snapshot *out)
{
    *out = s->s;
    ag_timing_snapshot(s->timing, &out->timing);
    out->unaccounted = ag_series_stats(s->unaccounted);
    out->fps = s->interval_sum_ns > 0 ? s->intervals * 1e9 / s->interval_sum_ns : 0;
    if (out->tokens.samples) {
        out->cost_last = ag_cost_of(out->tokens.last, &s->layout);
        out->cost_ema = ag_cost_of(out->tokens.ema, &s->layout);
        out->cost_run = ag_cost_of(out->tokens.mean, &s->layout);
    }
}

uint32_t ag_stats_history(const struct ag_stats *s, float *interval_ms, float *gpu_ms, uint32_t n)
{
    uint64_t have = AG_MIN(s->history, HISTORY);
    n = (uint32_t)AG_MIN((uint64_t)n, have);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = (s->history - n + i) % HISTORY;
        interval_ms[i] = s->interval_ms[at];
        gpu_ms[i] = s->gpu_ms[at];
    }
    return n;
}
