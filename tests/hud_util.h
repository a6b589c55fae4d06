// A made-up run for tests of the HUD: every number known, gaze of open-gaze's four grids.
#ifndef AUTOGAZE_TESTS_HUD_UTIL_H
#define AUTOGAZE_TESTS_HUD_UTIL_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autogaze/hud.h"

#define TEST_SLOTS 90

struct test_hud_data {
    struct ag_hud_data data;
    struct ag_stats_snapshot stats;
    struct ag_run_info run;
    struct ag_frame_report report;
    uint32_t ids[TEST_SLOTS], cells[TEST_SLOTS];
    float losses[TEST_SLOTS], interval_ms[AG_HUD_HISTORY], gpu_ms[AG_HUD_HISTORY];
};

static inline void test_hud_run(struct test_hud_data *t)
{
    t->run = (struct ag_run_info){
        .gpu = { .name = "llvmpipe (LLVM 15.0.6, 256 bits)", .type = "software",
                 .software = true },
        .source = { .driver = "video",
                    .description = "clip.mp4: h264 1280x720 yuv420p 29.97 fps 60.0 s" },
        .model = "open-gaze", .context = "canvas", .backend = "cpu", .precision = "f32",
        .latency = "sync", .mask_source = "autogaze", .threshold = 0.0316, .quality_db = 30,
        .budget = 198, .width = 1280, .height = 720, .dropped = 3,
    };
}

static inline void test_hud_stats(struct test_hud_data *t)
{
    struct ag_stats_snapshot *s = &t->stats;
    s->frames = 100;
    s->gaze_ratio = (struct ag_average){ 100, 0, 0.1257, 0.15, 0.1402, 0.01 };
    s->psnr = (struct ag_average){ 100, 0, 34.21, 33, 33.94, 30 };
    s->model_psnr = (struct ag_average){ 100, 1, INFINITY, 31, 31.52, 29 };
    s->tokens = (struct ag_average){ 100, 0, 42, 45, 45.2, 10 };
    s->rounds = (struct ag_average){ 100, 0, 5, 5, 5, 1 };
    s->mask_age_ms = (struct ag_average){ 100, 0, 33.3, 33, 33, 33 };
    s->cost_last = (struct ag_cost){ 42, 265, 196, 4.7, 13.2 };
    s->cost_ema = s->cost_run = s->cost_last;
    struct ag_timing_snapshot *time = &s->timing;
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        double ms = 0.05 + 0.37 * i * (i % 3);
        struct ag_series_stats stage = {
            .samples = 100, .window = 100, .p50 = ms, .p95 = 2.5 * ms
        };
        if (i > AG_STAGE_GENERATE && i < AG_STAGE_EXPORT) {
            time->stage[i][AG_CLOCK_GPU] = stage;
        }
        if (i != AG_STAGE_EXPORT) {
            stage.p50 *= 0.4;
            time->stage[i][AG_CLOCK_CPU] = stage;
        }
    }
    time->dominant_stage = AG_STAGE_COMPOSE;
    time->dominant_clock = AG_CLOCK_GPU;
    for (int i = 0; i < AG_TOTAL_COUNT; i++) {
        time->total[i] = (struct ag_series_stats){
            .samples = 100, .window = 100, .p50 = 12.34 + i, .p95 = 18.7 + i, .p99 = 25.1 + i
        };
    }
}

static inline void test_hud_gaze(struct test_hud_data *t)
{
    static const uint32_t sides[] = { 2, 4, 7, 14 };
    struct ag_frame_report *r = &t->report;
    *r = (struct ag_frame_report){
        .frame_id = 372, .width = 1280, .height = 720, .mask_source = "autogaze",
        .has_gaze = true, .gaze_ratio = 0.1257,
    };
    uint32_t first = 0;
    for (uint32_t g = 0; g < 4; g++) {
        r->layout.grid[g] = (struct ag_grid){ sides[g], sides[g], first, g };
        first += sides[g] * sides[g];
    }
    r->layout.n_grids = 4;
    r->layout.cells = first;
    for (uint32_t i = 0; i < TEST_SLOTS; i++) {
        t->ids[i] = i == 49 || i == 59 ? 265 : (i * 97 + 5) % 265;
        t->losses[i] = 0.18f * expf(-(float)i / 40) + 0.01f;
        t->cells[i] = (i * 97 + 5) % 265;
    }
    r->cells = t->cells;
    r->n_cells = TEST_SLOTS;
    r->plan.per_grid[0] = 1;
    r->plan.per_grid[1] = 5;
    r->plan.per_grid[2] = 17;
    r->plan.per_grid[3] = 67;
    r->gaze = (struct ag_gaze){
        .frame_id = 372, .slots = TEST_SLOTS, .rounds = 9, .valid = TEST_SLOTS - 2,
        .ids = t->ids, .losses = t->losses,
    };
}

static inline void test_hud_fill(struct test_hud_data *t)
{
    *t = (struct test_hud_data){ 0 };
    test_hud_run(t);
    test_hud_stats(t);
    test_hud_gaze(t);
    for (uint32_t i = 0; i < AG_HUD_HISTORY; i++) {
        t->interval_ms[i] = 33.3f + 3 * sinf((float)i * 0.7f) + (i % 50 == 0 ? 14 : 0);
        t->gpu_ms[i] = 12 + 2 * sinf((float)i * 0.11f);
    }
    t->data = (struct ag_hud_data){
        .stats = &t->stats, .run = &t->run, .report = &t->report, .interval_ms = t->interval_ms,
        .gpu_ms = t->gpu_ms, .n_history = AG_HUD_HISTORY, .render_fps = 30.0, .mask_fps = 12.5,
        .has_quality = true, .quality_db = true, .quality = 30, .quality_min = 10,
        .quality_max = 60, .quality_step = 1, .can_switch_source = true,
        .style = "image-mask-only", .geometry = "deduplicated", .output = "interframe",
        .frame_id = 372, .position_ns = 12345000000, .duration_ns = 60000000000,
    };
}

static const struct ag_hud_key test_hud_keys[] = {
    { "Esc", "leave fullscreen, then quit" }, { "Space", "pause" }, { ".", "one frame" },
    { "S", "mask source" }, { "G", "mask geometry" }, { "M", "mask style" },
    { "V", "output mode" }, { "K", "force a keyframe" }, { "C", "reset the model's context" },
    { "H", "next HUD page" }, { "F", "fullscreen" }, { "[ ]", "quality down, up" },
    { "P", "screenshot" }, { "Left Right", "seek 5 s" }, { "Down Up", "seek 60 s" },
    { "?", "this help" },
};

#endif
