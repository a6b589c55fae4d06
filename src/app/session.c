#include "session.h"

#include <stdio.h>
#include <stdlib.h>

bool session_begin(struct session *s, const struct ag_log *log, const struct ag_config *config,
                   struct ag_gpu *gpu, struct ag_pipeline *pipeline, int64_t start_ns,
                   struct ag_error *err)
{
    *s = (struct session){
        .log = log,
        .config = config,
        .pipeline = pipeline,
        .start_ns = start_ns,
    };
    s->stats = ag_stats_create(&(struct ag_stats_params){
        .window = config->frames ? (uint32_t)AG_CLAMP(config->frames, 16, 100000) : 0,
        .ema_alpha = config->ema_alpha,
    });
    if (!takeaway_begin(&s->takeaway, log, config, gpu, pipeline, err)) {
        session_abandon(s);
        return false;
    }
    return true;
}

// Where the time before the first composed frame went: what the pipeline knows of itself, what came
// before it (the device, a window), and what is left (the screen, the frame itself).
static void note_startup(struct session *s, const struct ag_frame_report *first)
{
    struct ag_run_info info;
    ag_pipeline_info(s->pipeline, &info);
    s->startup_ns = first->done_ns - s->start_ns;
    const struct ag_phases *in = &info.startup;
    int64_t inside = 0;
    for (uint32_t i = 0; i < in->n; i++) {
        inside += in->phase[i].ns;
    }
    struct ag_phases *out = &s->startup;
    out->phase[out->n++] = (struct ag_phase){ "device", in->last_ns - inside - s->start_ns };
    for (uint32_t i = 0; i < in->n && out->n + 1 < AG_MAX_PHASES; i++) {
        out->phase[out->n++] = in->phase[i];
    }
    out->phase[out->n++] = (struct ag_phase){ "first_frame", first->done_ns - in->last_ns };
    for (uint32_t i = 0; i < out->n; i++) {
        ag_verbose(s->log, "start-up: %-12s %7.1f ms", out->phase[i].name,
                   (double)out->phase[i].ns * 1e-6);
    }
}

void session_collect(struct session *s)
{
    struct ag_frame_report r;
    while (ag_pipeline_next_report(s->pipeline, &r)) {
        if (!s->reported++) {
            note_startup(s, &r);
        }
        if (r.warmup || s->reported == 1) {
            struct ag_run_info info;
            ag_pipeline_info(s->pipeline, &info);
            s->before = info.counters;
            s->allocations_before = ag_alloc_count();
        }
        ag_screen_observe(s->screen, &r);
        ag_stats_add(s->stats, &r);
        takeaway_report(&s->takeaway, &r);
        s->last = r;
    }
    takeaway_poll(&s->takeaway);
}

bool session_done(const struct session *s, uint64_t composed)
{
    return s->config->frames &&
           composed >= (uint64_t)s->config->frames + (uint64_t)s->config->warmup_frames;
}

struct ag_screen_frame session_frame(struct session *s)
{
    return (struct ag_screen_frame){
        .pipeline = s->pipeline,
        .stats = s->stats,
        .input = { .now_ns = ag_now_ns(), .mouse_x = -1, .mouse_y = -1 },
    };
}

bool session_composed(struct session *s, struct ag_error *err)
{
    if (!s->screen) {
        return true;
    }
    struct ag_screen_frame frame = session_frame(s);
    return takeaway_frame(&s->takeaway, s->screen, &frame, err);
}

bool session_screenshot(struct session *s, const char *path, struct ag_error *err)
{
    struct ag_screen_frame frame = session_frame(s);
    return takeaway_screenshot(&s->takeaway, s->screen, &frame, path, err);
}

// The hash of the last output picture.
static bool hash_output(struct session *s, uint64_t *hash, struct ag_error *err)
{
    struct ag_pictures pic = ag_pipeline_pictures(s->pipeline);
    if (!pic.frame_id) {
        return true;
    }
    size_t size = (size_t)pic.width * pic.height * 4;
    uint8_t *pixels = ag_alloc(size);
    bool ok = ag_pipeline_read(s->pipeline, pic.output, pixels, err);
    if (ok) {
        *hash = ag_hash(AG_HASH_SEED, pixels, size);
    }
    ag_free(pixels);
    return ok;
}

static struct ag_gpu_counters difference(struct ag_gpu_counters a, struct ag_gpu_counters b)
{
    a.submits -= b.submits;
    a.host_waits -= b.host_waits;
    a.host_wait_ns -= b.host_wait_ns;
    a.idle_waits -= b.idle_waits;
    a.allocations -= b.allocations;
    a.pipelines -= b.pipelines;
    a.bytes_uploaded -= b.bytes_uploaded;
    a.bytes_read_back -= b.bytes_read_back;
    return a;
}

// Waits for what is in flight, and says what is known then.
static bool take_stock(struct session *s, struct ag_run_info *info,
                       struct ag_stats_snapshot *snapshot, struct ag_error *err)
{
    bool ok = ag_pipeline_drain(s->pipeline, err);
    session_collect(s);
    uint64_t allocations = ag_alloc_count() - s->allocations_before;
    ag_pipeline_info(s->pipeline, info);
    info->host_allocations = allocations;
    info->counters = difference(info->counters, s->before);
    if (s->reported) { // nothing was composed since: the last report's arrays are valid
        info->last_plan = s->last.plan;
        info->last_spans = ag_pipeline_spans(s->pipeline, &s->last);
    }
    info->startup_ns = s->startup_ns;
    info->startup = s->startup;
    ag_stats_snapshot(s->stats, snapshot);
    return hash_output(s, &info->output_hash, err) && ok;
}

bool session_summary(struct session *s, const char *path, struct ag_error *err)
{
    struct ag_run_info info;
    struct ag_stats_snapshot snapshot;
    return take_stock(s, &info, &snapshot, err) && ag_summary_write(path, &info, &snapshot, err);
}

bool session_finish(struct session *s, bool complete, struct ag_error *err)
{
    struct ag_run_info info;
    struct ag_stats_snapshot snapshot;
    bool ok = take_stock(s, &info, &snapshot, err);
    info.complete = complete;
    if (ok && s->config->screenshot) {
        ok = session_screenshot(s, s->config->screenshot, err);
    }
    ok = takeaway_finish(&s->takeaway, err) && ok;
    ag_summary_print(&info, &snapshot);
    if (s->config->perf_summary) {
        ok = ag_summary_write(s->config->perf_summary, &info, &snapshot, err) && ok;
    }
    session_abandon(s);
    return ok;
}

void session_abandon(struct session *s)
{
    takeaway_end(&s->takeaway);
    ag_stats_destroy(&s->stats);
}
