// A run without a window: every frame once, numbers at the end.
#include "playlist.h"
#include "session.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

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
    struct ag_screen_frame frame = session_frame(s);
    struct ag_hud_actions actions;
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
            if ((s->config->headless_hud && !draw(s, err)) || !session_composed(s, err)) {
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

// What screenshots, recordings and --headless-hud show: a window nobody sees.
static bool open_screen(struct session *s, const struct ag_config *config, struct ag_gpu *gpu,
                        struct ag_error *err)
{
    if (!config->screenshot && !config->record && !config->headless_hud) {
        return true;
    }
    struct ag_screen_params params = {
        .target = { .width = config->window_size.width, .height = config->window_size.height },
        .hud = { .page = config->hud, .scale = config->ui_scale },
        .layout = config->layout,
    };
    s->screen = ag_screen_create(s->log, gpu, &params, err);
    return s->screen != NULL;
}

static bool run_one(const struct ag_log *log, const struct ag_config *config, struct ag_gpu *gpu,
                    int64_t start_ns, struct ag_error *err)
{
    struct session s = { 0 };
    bool complete = true, ok = false;
    struct ag_pipeline *pipeline = ag_pipeline_create(log, config, gpu, err);
    if (pipeline && session_begin(&s, log, config, gpu, pipeline, start_ns, err)) {
        ok = open_screen(&s, config, gpu, err) && run(&s, &complete, err);
        ok = session_finish(&s, complete, err) && ok;
    }
    ag_screen_destroy(&s.screen);
    ag_pipeline_destroy(&pipeline);
    return ok;
}

// ---- several files ---------------------------------------------------------------------------

// "out/run.json" for "clips/a.mp4": "out/run-a.json"; `number` > 1 tells files of one name apart.
static char *derive(const char *output, const char *input, int number)
{
    if (!output) {
        return NULL;
    }
    const char *slash = strrchr(output, '/'), *name = slash ? slash + 1 : output;
    const char *dot = strrchr(name, '.');
    int head = (int)(dot && dot != name ? dot - output : (ptrdiff_t)strlen(output));
    const char *base = strrchr(input, '/');
    base = base ? base + 1 : input;
    const char *end = strrchr(base, '.');
    int stem = (int)(end && end != base ? end - base : (ptrdiff_t)strlen(base));
    char which[16] = "";
    if (number > 1) {
        snprintf(which, sizeof(which), "-%d", number);
    }
    size_t size = strlen(output) + strlen(input) + sizeof(which) + 2;
    char *out = ag_alloc(size);
    snprintf(out, size, "%.*s-%.*s%s%s", head, output, stem, base, which, output + head);
    return out;
}

// How many files up to number i would give the same names.
static int namesakes(const struct ag_config *c, int i)
{
    int n = 0;
    char *mine = derive("", c->files[i], 1);
    for (int k = 0; k <= i; k++) {
        char *other = derive("", c->files[k], 1);
        n += strcmp(mine, other) == 0;
        ag_free(other);
    }
    ag_free(mine);
    return n;
}

// Every file is a run of its own with results of its own; a file that fails does not keep the
// others from running. The first failure is in *err.
static bool run_all(const struct ag_log *log, const struct ag_config *config, struct ag_gpu *gpu,
                    int64_t start_ns, struct ag_error *err)
{
    bool all = true;
    for (int i = 0; i < config->n_files && !app_interrupted(); i++) {
        struct ag_config *one = ag_alloc(sizeof(*one));
        *one = *config;
        one->n_files = 1;
        one->files[0] = config->files[i];
        const char **outputs[] = { &one->screenshot, &one->perf_summary, &one->trace, &one->record,
                                   &one->export_gaze };
        char *names[AG_COUNT(outputs)];
        for (size_t k = 0; k < AG_COUNT(outputs); k++) {
            names[k] = derive(*outputs[k], config->files[i], namesakes(config, i));
            *outputs[k] = names[k];
        }
        struct ag_error failure = { 0 };
        printf("%s%s\n", i ? "\n" : "", config->files[i]);
        if (!run_one(log, one, gpu, i ? ag_now_ns() : start_ns, &failure)) {
            if (all) {
                *err = failure;
            } else {
                ag_log(log, AG_LOG_ERROR, "%s", failure.text);
            }
            all = false;
        }
        for (size_t k = 0; k < AG_COUNT(outputs); k++) {
            ag_free(names[k]);
        }
        ag_free(one);
    }
    return all;
}

int app_run_headless(const struct ag_log *log, const struct ag_config *config, int64_t start_ns,
                     struct ag_error *err)
{
    struct ag_gpu *gpu = ag_gpu_create(log,
                                       &(struct ag_gpu_params){
                                           .device = config->gpu,
                                           .require_hardware = config->require_hardware,
                                           .validation = config->validation,
                                           .cache_dir = ag_cache_dir(),
                                       },
                                       err);
    if (!gpu) {
        return err->status;
    }
    struct playlist list = { 0 };
    struct ag_config *all = ag_alloc(sizeof(*all));
    *all = *config;
    bool ok = playlist_add(&list, config->files, config->n_files, err) &&
              (list.n <= AG_MAX_FILES || ag_fail(err, AG_ERR_USAGE, "more than %d files",
                                                 AG_MAX_FILES));
    for (int i = 0; ok && i < list.n; i++) {
        all->files[i] = list.items[i];
        all->n_files = list.n;
    }
    ok = ok && (all->n_files > 1 ? run_all(log, all, gpu, start_ns, err)
                                 : run_one(log, all, gpu, start_ns, err));
    ag_free(all);
    playlist_clear(&list);
    if (ok && config->validation && ag_gpu_get_counters(gpu).validation_messages) {
        ok = ag_fail(err, AG_ERR_DEVICE, "the validation layers had %llu messages",
                     (unsigned long long)ag_gpu_get_counters(gpu).validation_messages);
    }
    ag_gpu_destroy(&gpu);
    return ok ? AG_OK : (int)err->status;
}
