// autogaze-bench hud: what the HUD costs a frame. One run that draws every frame offscreen and turns
// the page every few frames, so that all pages see the same device, clocks and neighbours.
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

#include "autogaze/screen.h"

#define BLOCK 25             // frames before the page turns
#define SETTLE 3             // of them not counted: text and triangles are made anew
#define FRAMES 400           // of each page

struct page {
    double busy_ms;          // processor time of all threads a frame, summed over rounds
    struct ag_series *interval, *hud_gpu, *hud_cpu, *present_gpu, *total_gpu;
};

struct bench {
    struct ag_gpu *gpu;
    struct ag_pipeline *pipeline;
    struct ag_stats *stats;
    struct ag_screen *screen;
    struct page pages[AG_HUD_COUNT];
    double rounds;           // that count
    uint8_t page_of[64];     // by frame id; COUNT: not counted
};

static const char *const names[AG_HUD_COUNT] = { "off", "compact", "stages", "gaze" };

static void collect(struct bench *b)
{
    struct ag_frame_report r;
    while (ag_pipeline_next_report(b->pipeline, &r)) {
        ag_screen_observe(b->screen, &r);
        ag_stats_add(b->stats, &r);
        uint8_t page = b->page_of[r.frame_id % AG_COUNT(b->page_of)];
        if (page < AG_HUD_COUNT) {
            struct page *p = &b->pages[page];
            ag_series_add(p->hud_gpu, (double)r.gpu_ns[AG_STAGE_HUD] * 1e-6);
            ag_series_add(p->hud_cpu, (double)r.cpu_ns[AG_STAGE_HUD] * 1e-6);
            ag_series_add(p->present_gpu, (double)r.gpu_ns[AG_STAGE_PRESENT] * 1e-6);
            ag_series_add(p->total_gpu, (double)r.gpu_total_ns * 1e-6);
            ag_series_add(p->interval, (double)r.interval_ns * 1e-6);
        }
    }
}

// false: the source has ended or failed.
static bool frame(struct bench *b, struct ag_error *err)
{
    enum ag_tick tick;
    do {
        tick = ag_pipeline_tick(b->pipeline, 100000000, err);
    } while (tick == AG_TICK_NONE);
    if (tick != AG_TICK_FRAME) {
        return false;
    }
    struct ag_hud_actions actions;
    struct ag_screen_frame f = {
        .pipeline = b->pipeline,
        .stats = b->stats,
        .input = { .now_ns = ag_now_ns(), .mouse_x = -1, .mouse_y = -1 },
    };
    return ag_screen_draw(b->screen, &f, &actions, err) == AG_PRESENTER_READY;
}

static double busy_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-3;
}

// Everything is done: what follows is this page's alone.
static bool settle(struct bench *b, struct ag_error *err)
{
    bool ok = ag_pipeline_drain(b->pipeline, err);
    collect(b);
    return ok;
}

static bool measure(struct bench *b, uint32_t frames, struct ag_error *err)
{
    uint32_t blocks = (1 + AG_DIV_UP(frames, BLOCK - SETTLE - 1)) * AG_HUD_COUNT;
    b->rounds = blocks / AG_HUD_COUNT - 1;
    memset(b->page_of, AG_HUD_COUNT, sizeof(b->page_of));
    for (uint32_t i = 0; i < blocks; i++) {
        // Every other round backwards: what drifts in one direction hits all alike.
        uint32_t turn = i % AG_HUD_COUNT;
        uint32_t page = i / AG_HUD_COUNT % 2 ? AG_HUD_COUNT - 1 - turn : turn;
        ag_hud_set_page(ag_screen_hud(b->screen), page);
        double busy = 0;
        for (uint32_t k = 0; k < BLOCK; k++) {
            if (k == SETTLE) {
                if (!settle(b, err)) {
                    return false;
                }
                busy = busy_ms();
            }
            if (!frame(b, err)) {
                return err->status == AG_OK &&
                       ag_fail(err, AG_ERR_INPUT, "the source ended after %u of %u frames",
                               i * BLOCK + k, blocks * BLOCK);
            }
            uint64_t id = ag_pipeline_pictures(b->pipeline).frame_id;
            // The first round warms up, the first frame after a pause has no interval of its own.
            bool counts = i >= AG_HUD_COUNT && k > SETTLE;
            b->page_of[id % AG_COUNT(b->page_of)] = (uint8_t)(counts ? page : AG_HUD_COUNT);
            collect(b);
        }
        if (!settle(b, err)) {
            return false;
        }
        b->pages[page].busy_ms += i >= AG_HUD_COUNT ? (busy_ms() - busy) / (BLOCK - SETTLE) : 0;
    }
    return true;
}

static void print(const struct bench *b, const struct ag_config *c)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(b->gpu);
    struct ag_run_info run;
    ag_pipeline_info(b->pipeline, &run);
    printf("%s, %s %s%s\n%ux%u, window %ux%u, mask source %s on %s, milliseconds\n\n", info->name,
           info->driver, info->driver_info,
           info->software ? " (SOFTWARE device: times say nothing about hardware)" : "", run.width,
           run.height, c->window_size.width, c->window_size.height, run.mask_source, run.backend);
    printf("page      frames  frame p50      p95  GPU p50  hud GPU  hud CPU  present GPU  "
           "processor  against off\n");
    double busy_off = 0, off = ag_series_stats(b->pages[AG_HUD_OFF].interval).p50;
    for (int i = 0; i < AG_HUD_COUNT; i++) {
        const struct page *p = &b->pages[i];
        struct ag_series_stats t = ag_series_stats(p->interval);
        double busy = p->busy_ms / b->rounds;
        busy_off = i == AG_HUD_OFF ? busy : busy_off;
        printf("%-8s  %6llu  %9.3f %8.3f %8.3f %8.3f %8.3f  %11.3f  %9.3f  frame %+.3f ms %+.1f %%, "
               "processor %+.1f %%\n", names[i],
               (unsigned long long)t.samples, t.p50, t.p95, ag_series_stats(p->total_gpu).p50,
               ag_series_stats(p->hud_gpu).p50, ag_series_stats(p->hud_cpu).p50,
               ag_series_stats(p->present_gpu).p50, busy, t.p50 - off, 100 * (t.p50 / off - 1),
               100 * (busy / busy_off - 1));
    }
}

static bool run_with(const struct ag_log *log, const struct ag_config *c, struct ag_error *err)
{
    struct bench b = { 0 };
    struct ag_gpu_params gpu = {
        .device = c->gpu, .require_hardware = c->require_hardware, .validation = c->validation
    };
    struct ag_screen_params screen = {
        .target = { .width = c->window_size.width, .height = c->window_size.height },
        .hud = { .scale = c->ui_scale },
        .layout = c->layout,
    };
    uint32_t frames = c->frames ? (uint32_t)c->frames : FRAMES;
    for (int i = 0; i < AG_HUD_COUNT; i++) {
        b.pages[i] = (struct page){ 0, ag_series_create(100000), ag_series_create(100000),
                                    ag_series_create(100000), ag_series_create(100000),
                                    ag_series_create(100000) };
    }
    b.stats = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = c->ema_alpha });
    b.gpu = ag_gpu_create(log, &gpu, err);
    b.pipeline = b.gpu ? ag_pipeline_create(log, c, b.gpu, err) : NULL;
    b.screen = b.pipeline ? ag_screen_create(log, b.gpu, &screen, err) : NULL;
    bool ok = b.screen && measure(&b, frames, err);
    if (ok) {
        print(&b, c);
    }
    ag_screen_destroy(&b.screen);
    ag_pipeline_destroy(&b.pipeline);
    ag_gpu_destroy(&b.gpu);
    ag_stats_destroy(&b.stats);
    for (int i = 0; i < AG_HUD_COUNT; i++) {
        struct page *p = &b.pages[i];
        ag_series_destroy(&p->interval);
        ag_series_destroy(&p->hud_gpu);
        ag_series_destroy(&p->hud_cpu);
        ag_series_destroy(&p->present_gpu);
        ag_series_destroy(&p->total_gpu);
    }
    return ok;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    struct ag_config *c = ag_alloc(sizeof(*c));
    bool ok = ag_config_parse_args(c, argc, argv, err);
    if (ok) {
        c->headless = true; // every frame once, nothing waits for a clock
        c->loop = AG_YES;
        ok = run_with(&log, c, err);
    }
    ag_free(c);
    return ok ? AG_OK : (int)err->status;
}

const struct ag_bench_command ag_bench_hud = {
    .name = "hud",
    .usage = "[--frames N] [options and FILE of autogaze-viewer]",
    .help = "what each HUD page costs a frame: every frame is drawn offscreen (--window-size), the "
            "page turns all the time (N frames of each, 400)",
    .run = run,
};
