// A run without a window: every frame once, numbers at the end.
#include "session.h"

#include <stdio.h>

static void progress(const struct session *s, uint64_t composed, int64_t *next_ns)
{
    int64_t now = ag_now_ns();
    if (now < *next_ns) {
        return;
    }
    *next_ns = now + 2000000000;
    uint64_t total = (uint64_t)s->config->frames + (uint64_t)s->config->warmup_frames;
    if (s->config->frames) {
        ag_info(s->log, "frame %llu of %llu", (unsigned long long)composed,
                (unsigned long long)total);
    } else {
        ag_info(s->log, "frame %llu", (unsigned long long)composed);
    }
}

// What a window would draw, into a picture nobody sees.
static bool draw(struct session *s, struct ag_error *err)
{
    if (!s->screen || !s->config->headless_hud) {
        return true;
    }
    struct ag_hud_actions actions;
    struct ag_screen_frame frame = {
        .pipeline = s->pipeline,
        .stats = s->stats,
        .input = { .now_ns = ag_now_ns(), .mouse_x = -1, .mouse_y = -1 },
    };
    return ag_screen_draw(s->screen, &frame, &actions, err) != AG_PRESENTER_ERROR;
}

static bool run(struct session *s, bool *complete, struct ag_error *err)
{
    uint64_t composed = 0;
    int64_t next_ns = ag_now_ns() + 2000000000;
    while (!session_done(s, composed)) {
        if (app_interrupted()) {
            *complete = false;
            return true;
        }
        switch (ag_pipeline_tick(s->pipeline, 100000000, err)) {
        case AG_TICK_FRAME:
            composed++;
            if (!draw(s, err)) {
                *complete = false;
                return false;
            }
            break;
        case AG_TICK_NONE:
            break;
        case AG_TICK_END:
            return true;
        case AG_TICK_ERROR:
            *complete = false;
            return false;
        }
        session_collect(s);
        progress(s, composed, &next_ns);
    }
    return true;
}

// What --headless-hud and --screenshot-hud draw: a window nobody sees.
static bool open_screen(struct session *s, const struct ag_config *config, struct ag_gpu *gpu,
                        struct ag_error *err)
{
    bool wanted = config->headless_hud || (config->screenshot && config->screenshot_hud);
    if (!wanted) {
        return true;
    }
    struct ag_screen_params params = {
        .target = { .width = config->window_size.width, .height = config->window_size.height },
        .hud = { .page = config->hud, .scale = config->ui_scale },
    };
    s->screen = ag_screen_create(s->log, gpu, &params, err);
    return s->screen != NULL;
}

int app_run_headless(const struct ag_log *log, const struct ag_config *config, int64_t start_ns,
                     struct ag_error *err)
{
    struct session s = { 0 };
    bool complete = true, ok = false;
    struct ag_pipeline *pipeline = NULL;
    struct ag_gpu *gpu = ag_gpu_create(log,
                                       &(struct ag_gpu_params){
                                           .device = config->gpu,
                                           .require_hardware = config->require_hardware,
                                           .validation = config->validation,
                                           .cache_dir = app_cache_dir(),
                                       },
                                       err);
    if (!gpu) {
        return err->status;
    }
    pipeline = ag_pipeline_create(log, config, gpu, err);
    if (pipeline && session_begin(&s, log, config, pipeline, start_ns, err)) {
        ok = open_screen(&s, config, gpu, err) && run(&s, &complete, err);
        ok = session_finish(&s, complete, err) && ok;
    }
    ag_screen_destroy(&s.screen);
    ag_pipeline_destroy(&pipeline);
    if (ok && config->validation && ag_gpu_get_counters(gpu).validation_messages) {
        ok = ag_fail(err, AG_ERR_DEVICE, "the validation layers had %llu messages",
                     (unsigned long long)ag_gpu_get_counters(gpu).validation_messages);
    }
    ag_gpu_destroy(&gpu);
    return ok ? AG_OK : (int)err->status;
}
