// Masks and composition in whole runs: every compositor and path gives the same run; what made the
// first viewer's picture flicker or lie (pipeline specification 7.3 and 12) does not happen here.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/pipeline.h"
#include "gpu_util.h"

#define TINY AG_FIXTURES "/tiny-canvas"
#define SIZE "160x90"
#define MAX_ARGS 24
#define MAX_FRAMES 160

// A run: base options, then those of `words`, separated by spaces.
struct run {
    struct ag_gpu *gpu;
    struct ag_config config;
    struct ag_pipeline *pipeline;
    char words[256];
    uint64_t bytes;
};

static void open_run(struct run *r, struct ag_gpu *gpu, const char *words)
{
    char *argv[MAX_ARGS] = { "x", "--headless", "--synthetic-size", SIZE, "--model", TINY,
                             "--backend", "cpu" };
    int argc = 8;
    *r = (struct run){ .gpu = gpu };
    strncpy(r->words, words, sizeof(r->words) - 1);
    char *rest = r->words;
    for (char *w; (w = strtok_r(rest, " ", &rest)) && argc < MAX_ARGS;) {
        argv[argc++] = w;
    }
    struct ag_error err = { 0 };
    if (!ag_config_parse_args(&r->config, argc, argv, &err)) {
        fail_msg("%s: %s", words, err.text);
    }
    r->pipeline = ag_pipeline_create(NULL, &r->config, gpu, &err);
    if (!r->pipeline) {
        fail_msg("%s: %s", words, err.text);
    }
}

static void close_run(struct run *r)
{
    ag_pipeline_destroy(&r->pipeline);
}

// Composes a frame, waits for it and returns its report.
static struct ag_frame_report compose(struct run *r)
{
    struct ag_error err = { 0 };
    struct ag_frame_report report = { 0 };
    enum ag_tick t = ag_pipeline_tick(r->pipeline, 5000000000, &err);
    if (t != AG_TICK_FRAME || !ag_pipeline_drain(r->pipeline, &err) ||
        !ag_pipeline_next_report(r->pipeline, &report)) {
        fail_msg("tick gave %d: %s", t, err.text);
    }
    return report;
}

enum panel { INPUT, MASK, OUTPUT };

static uint8_t *read_panel(struct run *r, enum panel panel)
{
    struct ag_pictures p = ag_pipeline_pictures(r->pipeline);
    const struct ag_buffer *panels[] = { p.input, p.mask, p.output };
    r->bytes = 4ull * p.width * p.height;
    uint8_t *rgba = ag_alloc(r->bytes);
    assert_true(ag_pipeline_read(r->pipeline, panels[panel], rgba, NULL));
    return rgba;
}

static uint64_t hash_panel(struct run *r, enum panel panel)
{
    uint8_t *rgba = read_panel(r, panel);
    uint64_t hash = ag_hash(AG_HASH_SEED, rgba, r->bytes);
    ag_free(rgba);
    return hash;
}

static void set_live(struct run *r, const struct ag_live *live)
{
    struct ag_error err = { 0 };
    if (!ag_pipeline_set_live(r->pipeline, live, &err)) {
        fail_msg("%s", err.text);
    }
}

// ---- one run, however it is composed -----------------------------------------------------------

struct trail {
    uint64_t mask, output;
    struct ag_plan_stats plan;
    double psnr;
};

// Modes change on the way.
static void follow(struct ag_gpu *gpu, const char *words, const char *how, struct trail *out,
                   uint32_t frames)
{
    char all[256];
    snprintf(all, sizeof(all), "%s %s", words, how);
    struct run r;
    open_run(&r, gpu, all);
    for (uint32_t i = 0; i < frames; i++) {
        struct ag_live live = ag_pipeline_get_live(r.pipeline);
        if (i == 3) {
            live.style = (live.style + 1) % (AG_STYLE_SCALE_ROWS + 1);
            live.palette = 1;
        } else if (i == 5) {
            live.geometry = (live.geometry + 1) % (AG_GEOMETRY_EFFECTIVE + 1);
        } else if (i == 7) {
            live.output = !live.output;
            ag_pipeline_force_keyframe(r.pipeline);
        }
        set_live(&r, &live);
        struct ag_frame_report report = compose(&r);
        out[i] = (struct trail){ .plan = report.plan, .psnr = report.psnr_db };
        out[i].plan.path = 0;
        out[i].mask = hash_panel(&r, MASK);
        out[i].output = hash_panel(&r, OUTPUT);
    }
    close_run(&r);
}

static void runs_are_the_same(void **state)
{
    static const char *const runs[] = {
        "--source synthetic-local-motion --mask-source patch-diff",
        "--source synthetic-pan --force-mask random-30% --keyframe-interval 4",
        "--source synthetic-pan --force-mask multiscale --cell-scale 1.4 --mask-style scale-rows",
        "--source synthetic-local-motion --max-tokens 5 --task-loss off",
        "--source synthetic-checker-pan --force-mask all-model-tokens --mask-style image-overlay",
        "--source synthetic-noise --force-mask empty",
    };
    static const char *const ways[] = { "--dispatch sparse", "--dispatch dense",
                                        "--compositor cpu" };
    enum { FRAMES = 10 };
    for (size_t i = 0; i < AG_COUNT(runs); i++) {
        static struct trail first[FRAMES], other[FRAMES];
        memset(first, 0, sizeof(first));
        follow(*state, runs[i], "--dispatch auto", first, FRAMES);
        for (size_t w = 0; w < AG_COUNT(ways); w++) {
            memset(other, 0, sizeof(other));
            follow(*state, runs[i], ways[w], other, FRAMES);
            for (uint32_t k = 0; k < FRAMES; k++) {
                if (memcmp(&first[k], &other[k], sizeof(first[k])) != 0) {
                    fail_msg("%s: frame %u differs with %s", runs[i], k, ways[w]);
                }
            }
        }
    }
}

// Which path a frame took comes back with its report; it can be changed while running.
static void paths_are_told(void **state)
{
    static const struct {
        const char *mask;
        enum ag_path path[3]; // auto, sparse, dense
    } cases[] = {
        { "--force-mask tiny-sparse", { AG_PATH_SPARSE, AG_PATH_SPARSE, AG_PATH_DENSE } },
        { "--force-mask full-frame", { AG_PATH_COPY, AG_PATH_SPARSE, AG_PATH_DENSE } },
        { "--force-mask all-model-tokens", { AG_PATH_COPY, AG_PATH_SPARSE, AG_PATH_DENSE } },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct run r;
        char words[128];
        snprintf(words, sizeof(words), "--source synthetic-noise %s", cases[i].mask);
        open_run(&r, *state, words);
        assert_int_equal(compose(&r).plan.path, AG_PATH_KEYFRAME);
        for (int d = AG_DISPATCH_AUTO; d <= AG_DISPATCH_DENSE; d++) {
            struct ag_live live = ag_pipeline_get_live(r.pipeline);
            live.dispatch = d;
            set_live(&r, &live);
            assert_int_equal(compose(&r).plan.path, cases[i].path[d]);
        }
        ag_pipeline_force_keyframe(r.pipeline);
        assert_int_equal(compose(&r).plan.path, AG_PATH_KEYFRAME);
        close_run(&r);
    }
}

// --no-psnr takes work away, not only numbers: one dispatch less (the canvas' sum), and the kernels
// are the variants without the error (test_compositor: the sum stays untouched).
static void no_psnr_is_less_work(void **state)
{
    uint64_t dispatches[2], outputs[2], masks[2];
    for (int off = 0; off < 2; off++) {
        struct run r;
        open_run(&r, *state, off ? "--source synthetic-pan --force-mask multiscale --no-psnr"
                                 : "--source synthetic-pan --force-mask multiscale");
        compose(&r);
        uint64_t before = ag_gpu_get_counters(r.gpu).dispatches;
        for (int i = 0; i < 5; i++) {
            struct ag_frame_report report = compose(&r);
            assert_int_equal(report.has_psnr, !off);
            assert_int_equal(report.has_model_psnr, !off);
        }
        dispatches[off] = ag_gpu_get_counters(r.gpu).dispatches - before;
        outputs[off] = hash_panel(&r, OUTPUT);
        masks[off] = hash_panel(&r, MASK);
        close_run(&r);
    }
    assert_int_equal(dispatches[0], dispatches[1] + 5);
    assert_true(outputs[0] == outputs[1] && masks[0] == masks[1]);
}

// Rectangles and row spans on request: the golden numbers of 13.2 from the report of a run.
static void spans_on_request(void **state)
{
    static const struct {
        const char *name, *geometry;
        uint32_t cells, kept, rects, spans, pixels;
    } goldens[] = {
        { "tiny-sparse", "native", 1, 1, 1, 6, 60 },
        { "multiscale", "native", 4, 4, 4, 259, 78053 },
        { "multiscale", "effective", 4, 4, 4, 107, 4976 },
        { "checkerboard-16", "deduplicated", 128, 128, 128, 2824, 117760 },
        { "dense-grid-64", "native", 4096, 4096, 64, 360, 640 * 360 },
        { "redundant-full-frame", "native", 1049, 1049, 55, 360, 640 * 360 },
        { "redundant-full-frame", "deduplicated", 1049, 4, 2, 360, 640 * 360 },
        { "redundant-full-frame", "effective", 1049, 784, 28, 360, 640 * 360 },
        { "all-model-tokens", "deduplicated", 265, 4, 2, 360, 640 * 360 },
    };
    for (size_t i = 0; i < AG_COUNT(goldens); i++) {
        struct run r;
        char words[200];
        snprintf(words, sizeof(words),
                 "--source synthetic-noise --synthetic-size 640x360 --force-mask %s "
                 "--mask-geometry %s",
                 goldens[i].name, goldens[i].geometry);
        open_run(&r, *state, words);
        compose(&r);
        struct ag_frame_report report = compose(&r);
        struct ag_plan_spans spans = ag_pipeline_spans(r.pipeline, &report);
        assert_int_equal(report.plan.selected, goldens[i].cells);
        assert_int_equal(report.plan.kept, goldens[i].kept);
        assert_int_equal(spans.rects, goldens[i].rects);
        assert_int_equal(spans.spans, goldens[i].spans);
        assert_int_equal(spans.pixels, goldens[i].pixels);
        assert_int_equal(report.plan.pixels, goldens[i].pixels);
        close_run(&r);
    }
}

// ---- flicker traps (7.3) -----------------------------------------------------------------------

// PSNR inf: a static source with an empty mask is identical to its input and says so, every frame;
// it is counted and never enters an average. (Trap: an inf in the EMA pinned it, then it jumped.)
static void static_source_is_identical(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-pulse --force-mask empty");
    struct ag_stats *stats = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    uint64_t first = 0;
    for (int i = 0; i < 6; i++) {
        struct ag_frame_report report = compose(&r);
        ag_stats_add(stats, &report);
        assert_true(isinf(report.psnr_db));
        assert_true(i == 0 ? isnan(report.gaze_ratio) : report.gaze_ratio == 0);
        uint64_t output = hash_panel(&r, OUTPUT);
        assert_true(i == 0 || output == first);
        first = output;
    }
    struct ag_stats_snapshot s;
    ag_stats_snapshot(stats, &s);
    assert_int_equal(s.psnr.infinite, 5); // the keyframe is no sample
    assert_int_equal(s.psnr.samples, 0);
    assert_true(isnan(s.psnr.ema));
    ag_stats_destroy(&stats);
    close_run(&r);
}

// PSNR inf again: a mask of 100 % on a frame that is no keyframe makes the output the input. That
// is inf because the error sum is zero, and the path says `copy`.
static void full_update_is_identical(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-noise --force-mask full-frame");
    compose(&r);
    for (int i = 0; i < 3; i++) {
        struct ag_frame_report report = compose(&r);
        assert_true(isinf(report.psnr_db) && !report.keyframe && report.gaze_ratio == 1);
        assert_int_equal(report.plan.path, AG_PATH_COPY);
        assert_true(hash_panel(&r, OUTPUT) == hash_panel(&r, INPUT));
    }
    close_run(&r);
}

// Gaze 100 %: all four cells of the 2x2 grid are 100 % native (and 4 of 196 cells effective); a
// keyframe is no gaze sample. The number is the area of the plan, nothing else.
static void gaze_is_the_area_of_the_plan(void **state)
{
    struct run r;
    open_run(&r, *state,
             "--source synthetic-noise --force-mask checkerboard-1 --keyframe-interval 3");
    struct ag_stats *stats = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    for (int i = 0; i < 9; i++) {
        struct ag_frame_report report = compose(&r);
        ag_stats_add(stats, &report);
        assert_int_equal(report.keyframe, i % 3 == 0);
        assert_int_equal(isnan(report.gaze_ratio), report.keyframe);
        assert_int_equal(report.plan.pixels, 160 * 90); // known on keyframes, too
    }
    struct ag_stats_snapshot s;
    ag_stats_snapshot(stats, &s);
    assert_int_equal(s.keyframes, 3);
    assert_int_equal(s.gaze_ratio.samples, 6);
    assert_int_equal(s.path_counts[AG_PATH_KEYFRAME], 3);
    assert_int_equal(s.path_counts[AG_PATH_COPY], 6);
    ag_stats_destroy(&stats);
    close_run(&r);
}

// Gaze 0 %: a render loop that is faster than the source compared a frame with itself. Here a tick
// without a new frame composes nothing and reports nothing.
static void no_frame_no_sample(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-noise --mask-source patch-diff");
    compose(&r);
    ag_pipeline_set_paused(r.pipeline, true);
    struct ag_error err = { 0 };
    struct ag_frame_report report;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ag_pipeline_tick(r.pipeline, 0, &err), AG_TICK_NONE);
    }
    assert_true(ag_pipeline_drain(r.pipeline, &err));
    assert_false(ag_pipeline_next_report(r.pipeline, &report));
    ag_pipeline_set_paused(r.pipeline, false);
    report = compose(&r);
    assert_true(report.gaze_ratio > 0.9); // against the frame before, not against itself
    struct ag_run_info info;
    ag_pipeline_info(r.pipeline, &info);
    assert_int_equal(info.duplicates, 0);
    close_run(&r);
}

// Periodic pulses: without an interval there is one keyframe, the first; synthetic sources repeat
// themselves every 48 and 112 frames, and nothing of ours happens then.
static void no_pulse_of_ours(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-pan --force-mask multiscale --no-psnr");
    for (uint32_t i = 0; i < MAX_FRAMES; i++) {
        struct ag_frame_report report = compose(&r);
        assert_int_equal(report.keyframe, i == 0);
        assert_int_equal(report.sequence, i);
        assert_int_equal(report.plan.path, i == 0 ? AG_PATH_KEYFRAME : AG_PATH_SPARSE);
    }
    close_run(&r);
}

// Keyframes come when they are due, also after the interval has been changed while running, and the
// first viewer's device path that never left its keyframe (12.4) is not ours.
static void keyframe_interval(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-noise --force-mask empty --keyframe-interval 4");
    for (int i = 0; i < 12; i++) {
        struct ag_frame_report report = compose(&r);
        assert_int_equal(report.keyframe, i % 4 == 0);
        assert_int_equal(hash_panel(&r, OUTPUT) == hash_panel(&r, INPUT), i % 4 == 0);
    }
    struct ag_live live = ag_pipeline_get_live(r.pipeline);
    live.keyframe_interval = 0;
    set_live(&r, &live);
    for (int i = 0; i < 9; i++) {
        assert_false(compose(&r).keyframe);
    }
    ag_pipeline_force_keyframe(r.pipeline);
    assert_true(compose(&r).keyframe);
    assert_false(compose(&r).keyframe);
    close_run(&r);
}

// Of frames in between there is none, and what is measured is the same.
static void psnr_interval(void **state)
{
    struct run every, some;
    open_run(&every, *state, "--source synthetic-noise --force-mask random-30%");
    open_run(&some, *state, "--source synthetic-noise --force-mask random-30% --psnr-interval 3");
    for (int i = 0; i < 10; i++) {
        struct ag_frame_report a = compose(&every), b = compose(&some);
        assert_true(a.has_psnr);
        assert_int_equal(b.has_psnr, i % 3 == 0);
        assert_true(!b.has_psnr || a.psnr_db == b.psnr_db);
        assert_int_equal(b.has_model_psnr, a.has_model_psnr && i % 3 == 0);
    }
    close_run(&every);
    close_run(&some);
}

// Alternating values, history rewind (12.3): two writers once took turns at the panels. Here one
// frame is composed once: the history changes only inside the plan, sequence and frame id rise by
// one, and there is one report a frame.
static void one_writer_of_the_history(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-noise --force-mask random-20%");
    uint8_t *before = NULL;
    for (uint32_t i = 0; i < 8; i++) {
        struct ag_frame_report report = compose(&r);
        uint8_t *input = read_panel(&r, INPUT), *output = read_panel(&r, OUTPUT);
        uint32_t fresh = 0, kept = 0;
        for (size_t p = 0; p < r.bytes && before; p += 4) {
            bool is_input = memcmp(output + p, input + p, 4) == 0;
            bool is_old = memcmp(output + p, before + p, 4) == 0;
            assert_true(is_input || is_old); // nothing older than the frame before
            fresh += is_input && !is_old;
            kept += is_old && !is_input;
        }
        if (before) { // of noise hardly a pixel is both
            assert_in_range(fresh, report.plan.pixels - 8, report.plan.pixels);
            assert_in_range(kept, 160 * 90 - report.plan.pixels - 8, 160 * 90 - report.plan.pixels);
        }
        assert_int_equal(report.sequence, i);
        assert_int_equal(report.frame_id, i + 1);
        struct ag_frame_report more;
        assert_false(ag_pipeline_next_report(r.pipeline, &more));
        ag_free(before);
        ag_free(input);
        before = output;
    }
    ag_free(before);
    close_run(&r);
}

// Gaze stuck near 45 % (12.11): a display threshold once stopped the model. Nothing about display
// or dispatch changes what the model selects: its whole budget, whatever that covers.
static void display_does_not_steer_the_model(void **state)
{
    static const char *const ways[] = { "--dispatch auto", "--dispatch dense", "--dispatch sparse",
                                        "--mask-style overlay --palette 1 --no-psnr" };
    uint64_t first = 0;
    for (size_t w = 0; w < AG_COUNT(ways); w++) {
        char words[160];
        snprintf(words, sizeof(words),
                 "--source synthetic-noise --task-loss off --max-tokens 16 %s", ways[w]);
        struct run r;
        open_run(&r, *state, words);
        uint64_t hash = AG_HASH_SEED;
        for (int i = 0; i < 4; i++) {
            struct ag_frame_report report = compose(&r);
            assert_true(report.has_gaze);
            assert_int_equal(report.gaze.valid, 16);
            hash = ag_hash(hash, report.gaze.ids, report.gaze.slots * sizeof(uint32_t));
        }
        assert_true(w == 0 || hash == first);
        first = hash;
        close_run(&r);
    }
}

// Texture churn (12.10): neither masks nor styles, palettes and paths make buffers or kernels anew.
static void nothing_is_made_anew(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-local-motion --mask-source patch-diff");
    enum { MODES = 24 }; // all of them once, then counted
    struct ag_gpu_counters before = { 0 };
    for (int i = 0; i < 2 * MODES; i++) {
        if (i == MODES) {
            before = ag_gpu_get_counters(r.gpu);
        }
        struct ag_live live = ag_pipeline_get_live(r.pipeline);
        live.style = i % (AG_STYLE_SCALE_ROWS + 1);
        live.dispatch = i % 3;
        live.palette = (uint32_t)i % 2;
        live.psnr = i / 4 % 2;
        set_live(&r, &live);
        compose(&r);
    }
    struct ag_gpu_counters after = ag_gpu_get_counters(r.gpu);
    assert_int_equal(after.allocations, before.allocations);
    assert_int_equal(after.pipelines, before.pipelines);
    assert_int_equal(after.submits, before.submits + MODES);
    close_run(&r);
}

// 12.5 and 12.15: the displayed work went unmeasured, or the time of its submission was told. Every
// frame's report has the device's own times of its plan and composition, and they are within the
// frame's.
static void displayed_work_is_measured(void **state)
{
    struct run r;
    open_run(&r, *state, "--source synthetic-pan --force-mask multiscale");
    if (ag_gpu_get_info(r.gpu)->timestamp_ns <= 0) {
        fail_msg("this device has no timestamps");
    }
    for (int i = 0; i < 4; i++) {
        struct ag_frame_report report = compose(&r);
        int64_t plan = report.gpu_ns[AG_STAGE_PLAN], composed = report.gpu_ns[AG_STAGE_COMPOSE];
        assert_true(plan > 0 && composed > 0);
        assert_true(plan + composed <= report.gpu_total_ns);
    }
    close_run(&r);
}

// 12.12: defaults depended on the entry point. There is one table, and these are its values.
static void defaults_have_one_place(void **state)
{
    (void)state;
    struct ag_config c;
    struct ag_error err = { 0 };
    assert_true(ag_config_parse_args(&c, 1, (char *[]){ "x" }, &err));
    assert_true(c.patch_diff_threshold == 0.15 && c.blend_alpha == 0.38);
    assert_int_equal(c.keyframe_interval, 0);
    assert_int_equal(c.geometry, AG_GEOMETRY_DEDUPLICATED);
    assert_int_equal(c.style, AG_STYLE_IMAGE_MASK_ONLY);
    assert_int_equal(c.output, AG_OUTPUT_INTERFRAME);
    assert_int_equal(c.dispatch, AG_DISPATCH_AUTO);
    assert_int_equal(c.compositor, AG_COMPOSITOR_VULKAN);
    assert_true(c.psnr && c.cell_scale == 1);
}

static int open_gpu(void **state)
{
    *state = test_gpu_open();
    return 0;
}

static int close_gpu(void **state)
{
    struct ag_gpu *gpu = *state;
    uint64_t messages = ag_gpu_get_counters(gpu).validation_messages;
    ag_gpu_destroy(&gpu);
    return messages != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_the_same),
        cmocka_unit_test(paths_are_told),
        cmocka_unit_test(no_psnr_is_less_work),
        cmocka_unit_test(spans_on_request),
        cmocka_unit_test(static_source_is_identical),
        cmocka_unit_test(full_update_is_identical),
        cmocka_unit_test(gaze_is_the_area_of_the_plan),
        cmocka_unit_test(no_frame_no_sample),
        cmocka_unit_test(no_pulse_of_ours),
        cmocka_unit_test(keyframe_interval),
        cmocka_unit_test(psnr_interval),
        cmocka_unit_test(one_writer_of_the_history),
        cmocka_unit_test(display_does_not_steer_the_model),
        cmocka_unit_test(nothing_is_made_anew),
        cmocka_unit_test(displayed_work_is_measured),
        cmocka_unit_test(defaults_have_one_place),
    };
    return cmocka_run_group_tests(tests, open_gpu, close_gpu);
}
