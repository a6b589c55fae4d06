#include "session.h"

#include <stdio.h>
#include <stdlib.h>

bool session_begin(struct session *s, const struct ag_log *log, const struct ag_config *config,
                   struct ag_pipeline *pipeline, int64_t start_ns, struct ag_error *err)
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
    if (config->trace) {
        s->trace = ag_trace_open(config->trace, err);
        if (!s->trace) {
            session_abandon(s);
            return false;
        }
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
        }
        ag_screen_observe(s->screen, &r);
        ag_stats_add(s->stats, &r);
        ag_trace_add(s->trace, &r);
        s->last = r;
    }
}

bool session_done(const struct session *s, uint64_t composed)
{
    return s->config->frames &&
           composed >= (uint64_t)s->config->frames + (uint64_t)s->config->warmup_frames;
}

struct panels {
    uint32_t width, height;
    uint8_t *pixels[3];                  // input, mask, output
};

static void free_panels(struct panels *p)
{
    for (size_t i = 0; i < AG_COUNT(p->pixels); i++) {
        ag_free(p->pixels[i]);
    }
}

// Reads the last frame's pictures back; free them even after a failure.
static bool read_panels(struct session *s, struct panels *out, struct ag_error *err)
{
    struct ag_pictures pic = ag_pipeline_pictures(s->pipeline);
    const struct ag_buffer *panels[] = { pic.input, pic.mask, pic.output };
    *out = (struct panels){ .width = pic.width, .height = pic.height };
    if (!pic.frame_id) {
        return ag_fail(err, AG_ERR_INPUT, "no frame has been composed yet");
    }
    for (size_t i = 0; i < AG_COUNT(panels); i++) {
        out->pixels[i] = ag_alloc((size_t)pic.width * pic.height * 4);
        if (!ag_pipeline_read(s->pipeline, panels[i], out->pixels[i], err)) {
            return false;
        }
    }
    return true;
}

bool session_screenshot(struct session *s, const char *path, struct ag_error *err)
{
    if (s->config->screenshot_hud && s->screen) {
        struct ag_screen_frame frame = {
            .pipeline = s->pipeline,
            .stats = s->stats,
            .input = { .now_ns = ag_now_ns(), .mouse_x = -1, .mouse_y = -1 },
        };
        return ag_screen_write_png(s->screen, &frame, path, err);
    }
    struct panels p;
    bool ok = read_panels(s, &p, err) &&
              ag_screenshot_write(path, (const uint8_t *const *)p.pixels, AG_COUNT(p.pixels),
                                  p.width, p.height, err);
    free_panels(&p);
    return ok;
}

// The screenshot of the end, and the hash of the output picture.
static bool finish_pictures(struct session *s, uint64_t *hash, struct ag_error *err)
{
    bool wanted = s->config->screenshot != NULL;
    if (!ag_pipeline_pictures(s->pipeline).frame_id) {
        return !wanted || ag_fail(err, AG_ERR_INPUT, "no frame was composed: '%s' is not written",
                                  s->config->screenshot);
    }
    struct panels p;
    bool ok = read_panels(s, &p, err);
    if (ok) {
        *hash = ag_hash(AG_HASH_SEED, p.pixels[2], (size_t)p.width * p.height * 4);
    }
    free_panels(&p);
    return ok && (!wanted || session_screenshot(s, s->config->screenshot, err));
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

bool session_finish(struct session *s, bool complete, struct ag_error *err)
{
    struct ag_run_info info;
    struct ag_stats_snapshot snapshot;
    bool ok = ag_pipeline_drain(s->pipeline, err);
    session_collect(s);
    ag_pipeline_info(s->pipeline, &info);
    info.counters = difference(info.counters, s->before);
    if (s->reported) { // nothing was composed since: the last report's arrays are valid
        info.last_plan = s->last.plan;
        info.last_spans = ag_pipeline_spans(s->pipeline, &s->last);
    }
    info.startup_ns = s->startup_ns;
    info.startup = s->startup;
    info.complete = complete;
    ok = finish_pictures(s, &info.output_hash, err) && ok;
    ok = ag_trace_close(&s->trace, err) && ok;
    ag_stats_snapshot(s->stats, &snapshot);
    ag_summary_print(&info, &snapshot);
    if (s->config->perf_summary) {
        ok = ag_summary_write(s->config->perf_summary, &info, &snapshot, err) && ok;
    }
    session_abandon(s);
    return ok;
}

void session_abandon(struct session *s)
{
    ag_trace_close(&s->trace, NULL);
    ag_stats_destroy(&s->stats);
}

const char *app_cache_dir(void)
{
    static char dir[1024];
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base) {
        snprintf(dir, sizeof(dir), "%s/autogaze-viewer", base);
    } else if (home && *home) {
        snprintf(dir, sizeof(dir), "%s/.cache/autogaze-viewer", home);
    } else {
        return NULL;
    }
    return dir;
}
