// The closed loop (M11): whatever touches the picture, the model's canvas stays what the model
// would see of the history on screen. And repair, which touches it: a frame has the quality that
// was asked for, or says why not.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/pipeline.h"
#include "autogaze/preprocess_ref.h"
#include "gpu_util.h"

#define MODEL AG_MODELS "/open-gaze"
#define SMALL_MODEL AG_FIXTURES "/tiny-canvas"
#define MAX_SIDE 224

static struct ag_config *options(int argc, char **argv)
{
    struct ag_config *c = ag_alloc(sizeof(*c));
    struct ag_error err = { 0 };
    if (!ag_config_parse_args(c, argc, argv, &err)) {
        fail_msg("%s", err.text);
    }
    return c;
}
#define OPTIONS(...)                                                                               \
    options((int)AG_COUNT(((char *[]){ "x", "--headless", "--backend", "cpu", __VA_ARGS__ })),     \
            (char *[]){ "x", "--headless", "--backend", "cpu", __VA_ARGS__ })

struct loop {
    struct ag_pipeline *p;
    struct ag_config *config;
    struct ag_model *model;          // whose canvas it is
    bool edge[MAX_SIDE];             // canvas columns (rows) near a border of a cell since the canvas
                                     // was whole: pixels grow there, and filters reach across
    struct ag_frame_report report;   // of the last frame
    uint32_t compared, stale;        // canvas pixels; of those, unlike the frame's own
};

static void load(struct loop *l, const char *dir)
{
    struct ag_error err = { 0 };
    ag_model_destroy(&l->model);
    l->model = ag_model_load(NULL, dir, &err);
    TEST_OK(l->model, err);
    memset(l->edge, 0, sizeof(l->edge)); // a new model's canvas is made from the history
}

static void start(struct loop *l, struct ag_gpu *gpu, struct ag_config *config)
{
    struct ag_error err = { 0 };
    *l = (struct loop){ .config = config };
    l->p = ag_pipeline_create(NULL, config, gpu, &err);
    TEST_OK(l->p, err);
    load(l, config->model);
}

static void stop(struct loop *l)
{
    ag_pipeline_destroy(&l->p);
    ag_model_destroy(&l->model);
    ag_free(l->config);
}

static void mark_edges(struct loop *l)
{
    uint32_t side = l->model->config.image_size;
    uint32_t margin = side >= 224 ? 4 : 3;
    const struct ag_layout *layout = &l->report.layout;
    for (uint32_t g = 0; g < layout->n_grids; g++) {
        for (uint32_t i = 1; i < layout->grid[g].cols; i++) {
            double at = (double)i * side / layout->grid[g].cols;
            for (uint32_t x = 0; x < side; x++) {
                l->edge[x] = l->edge[x] || fabs(x + 0.5 - at) < margin;
            }
        }
    }
}

// Composes a frame.
static void frame(struct loop *l)
{
    struct ag_error err = { 0 };
    if (ag_pipeline_tick(l->p, 5000000000, &err) != AG_TICK_FRAME) {
        fail_msg("no frame: %s", err.text);
    }
    TEST_OK(ag_pipeline_drain(l->p, &err), err);
    while (ag_pipeline_next_report(l->p, &l->report)) {
    }
    if (l->report.keyframe) {
        memset(l->edge, 0, sizeof(l->edge));
    } else {
        mark_edges(l);
    }
}

// The canvas against the history's model input.
static void compare(struct loop *l)
{
    uint32_t side = l->model->config.image_size;
    size_t n = 3 * (size_t)side * side;
    struct ag_pictures pic = ag_pipeline_pictures(l->p);
    uint8_t *history = ag_alloc(4ull * pic.width * pic.height);
    float *canvas = ag_alloc(n * 4), *input = ag_alloc(n * 4), *seen = ag_alloc(n * 4);
    assert_true(ag_pipeline_read(l->p, pic.output, history, NULL));
    assert_true(ag_pipeline_read_canvas(l->p, canvas, input, NULL));
    ag_ref_preprocess(&l->model->preprocess, history, pic.width, pic.height, 4, side, seen);
    for (size_t i = 0; i < n; i++) {
        if (l->edge[i % side] || l->edge[i / side % side]) {
            continue;
        }
        if (fabsf(canvas[i] - seen[i]) > 1e-4f) {
            fail_msg("frame %llu: canvas %g, history %g at %zu,%zu",
                     (unsigned long long)l->report.frame_id, (double)canvas[i], (double)seen[i],
                     i % side, i / side % side);
        }
        l->compared++;
        l->stale += canvas[i] != input[i];
    }
    ag_free(history);
    ag_free(canvas);
    ag_free(input);
    ag_free(seen);
}

static void frames(struct loop *l, int n)
{
    for (int i = 0; i < n; i++) {
        frame(l);
        compare(l);
    }
}

static void set(struct loop *l, const struct ag_live *live)
{
    struct ag_error err = { 0 };
    TEST_OK(ag_pipeline_set_live(l->p, live, &err), err);
}

// The screen has the target, or the limit was reached and the frame says so; cells of the report
// are those chosen and those repaired.
static void check_promise(struct loop *l, double db, uint32_t limit)
{
    const struct ag_frame_report *r = &l->report;
    if (r->keyframe) {
        assert_true(!r->repair && !r->repair_limited && isinf(r->psnr_db));
        return;
    }
    assert_true(r->repair);
    assert_true(r->plan.repaired <= limit);
    assert_int_equal(r->repair_limited && r->plan.repaired < limit, 0);
    assert_true(r->psnr_db >= db || r->repair_limited);
    assert_int_equal(r->plan.chosen + r->plan.repaired, r->n_cells);
    for (uint32_t i = 0; i < r->plan.repaired; i++) {
        bool listed = false;
        for (uint32_t k = 0; k < r->n_cells; k++) {
            listed = listed || r->cells[k] == r->repaired[i];
        }
        assert_true(listed);
    }
}

// ---- everything that a person can do -----------------------------------------------------------

static void everything_live(void **state)
{
    struct loop l;
    start(&l, *state, OPTIONS("--source", "synthetic-pan", "--synthetic-size", "448x252", "--model",
                              MODEL, "--quality-db", "22"));
    frames(&l, 3);
    struct ag_live live = ag_pipeline_get_live(l.p);
    live.repair_db = 33;
    live.repair_cells = 12;
    set(&l, &live);
    frames(&l, 3);
    assert_true(l.report.repair && l.report.plan.repaired > 0);
    for (int g = 0; g < 3; g++) {
        live.geometry = (live.geometry + 1) % 3;
        set(&l, &live);
        frames(&l, 2);
    }
    for (int m = 0; m < AG_MASK_COUNT; m++) { // patch-diff, canvas-diff, the model again
        live.mask_source = (live.mask_source + 1) % AG_MASK_COUNT;
        set(&l, &live);
        frames(&l, 3);
        assert_false(l.report.keyframe);
    }
    live.repair_db = NAN;
    live.style = AG_STYLE_SCALE_ROWS;
    set(&l, &live);
    frames(&l, 2);
    assert_false(l.report.repair);
    ag_pipeline_force_keyframe(l.p);
    frames(&l, 1);
    assert_true(l.report.keyframe);
    frames(&l, 2);
    ag_pipeline_reset_context(l.p);
    frames(&l, 2);
    assert_true(ag_pipeline_set_quality(l.p, 30, NULL));
    frames(&l, 1);
    live = ag_pipeline_get_live(l.p);
    live.output = AG_OUTPUT_FULL_BLEND; // keeps no history: nothing to compare
    set(&l, &live);
    frame(&l);
    frame(&l);
    live.output = AG_OUTPUT_INTERFRAME;
    set(&l, &live);
    frames(&l, 1);
    assert_true(l.report.keyframe);
    frames(&l, 2);
    assert_true(ag_pipeline_seek(l.p, 20000000000, NULL));
    do { // what the source had ready comes first
        frames(&l, 1);
    } while (!l.report.discontinuity);
    assert_true(l.report.keyframe);
    frames(&l, 2);
    assert_true(l.compared > 500000 && l.stale > 50000); // not just fresh cells
    stop(&l);
}

// Another model: the history stays, its canvas is what the history looks like to it. A model that
// cannot be used changes nothing.
static void another_model(void **state)
{
    struct loop l;
    struct ag_error err = { 0 };
    start(&l, *state, OPTIONS("--source", "synthetic-pan", "--synthetic-size", "448x252", "--model",
                              MODEL));
    frames(&l, 3);
    assert_false(ag_pipeline_set_model(l.p, AG_FIXTURES "/none", &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    frames(&l, 2);
    assert_true(l.report.has_gaze && !l.report.keyframe);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? MODEL : SMALL_MODEL;
        err = (struct ag_error){ 0 };
        TEST_OK(ag_pipeline_set_model(l.p, name, &err), err);
        load(&l, name);
        uint32_t compared = l.compared;
        frames(&l, 1);
        assert_true(l.report.has_gaze && !l.report.keyframe);
        assert_int_equal(l.report.layout.cells, i ? 265 : 21);
        frames(&l, 3);
        assert_true(l.compared - compared > 400);
    }
    struct ag_run_info info;
    ag_pipeline_info(l.p, &info);
    assert_string_equal(info.model, "open-gaze");
    assert_string_equal(info.config->model, MODEL);
    stop(&l);
}

// The same while late masks are on their way, on both back ends: nothing of the old model serves a
// frame of the new one.
static void another_model_late(void **state)
{
    static const char *const backends[] = { "vulkan", "cpu" };
    static const char *const models[] = { AG_FIXTURES "/variants/odd-canvas", AG_FIXTURES "/tiny",
                                          SMALL_MODEL };
    for (size_t b = 0; b < AG_COUNT(backends); b++) {
        struct loop l;
        start(&l, *state, OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90",
                                  "--model", SMALL_MODEL, "--backend", (char *)backends[b],
                                  "--latency", "async", "--repair", "33"));
        for (size_t m = 0; m < 6; m++) {
            struct ag_error err = { 0 };
            assert_int_equal(ag_pipeline_tick(l.p, 5000000000, &err), AG_TICK_FRAME);
            assert_int_equal(ag_pipeline_tick(l.p, 5000000000, &err), AG_TICK_FRAME);
            TEST_OK(ag_pipeline_set_model(l.p, models[m % 3], &err), err);
            load(&l, models[m % 3]);
            uint64_t first = ag_pipeline_pictures(l.p).frame_id + 1, served = 0;
            for (int i = 0; i < 3 || (!served && i < 500); i++) {
                frame(&l);
                assert_true(l.report.mask_frame_id == 0 || l.report.mask_frame_id >= first);
                assert_int_equal(l.report.layout.cells, l.model->config.cells + AG_MAX_REPAIRED);
                check_promise(&l, 33, 24);
                served += l.report.has_gaze;
            }
            assert_true(served > 0);
        }
        stop(&l);
    }
}

static void forced_masks(void **state)
{
    static const char *const cases[] = { "random-20%", "overlap", "checkerboard-16", "multiscale",
                                         "empty", "redundant-full-frame" };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct loop l;
        start(&l, *state, OPTIONS("--source", "synthetic-pan", "--synthetic-size", "252x448",
                                  "--model", MODEL, "--force-mask", (char *)cases[i], "--repair",
                                  i % 2 ? "off" : "20", "--keyframe-interval", "5"));
        frames(&l, 7);
        assert_true(l.report.repair == (i % 2 == 0));
        stop(&l);
    }
}

// Masks that are late, and repaired.
static void late_masks(void **state)
{
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "448x252",
                                  "--model", MODEL, "--latency", "async", "--repair", "30");
    c->test_job_delay_ms = 40;
    struct loop l;
    start(&l, *state, c);
    uint64_t mask = 0;
    for (int i = 0; i < 12 || (!mask && i < 200); i++) {
        frames(&l, 1);
        mask = l.report.mask_frame_id;
    }
    assert_true(mask && mask < l.report.frame_id);
    stop(&l);
}

// ---- what repair promises ----------------------------------------------------------------------

static void quality_is_kept(void **state)
{
    static const struct {
        const char *source, *size, *mask, *mode, *limit;
        bool limited, unlimited; // whether some frame must reach the limit, must not
    } cases[] = {
        { "synthetic-pan", "320x180", "patch-diff", "realtime", "24", true, false },
        { "synthetic-pan", "320x180", "patch-diff", "realtime", "196", false, true },
        { "synthetic-local-motion", "61x37", "patch-diff", "realtime", "196", false, true },
        { "synthetic-noise", "180x320", "canvas-diff", "realtime", "24", false, true },
        { "synthetic-pan", "640x360", "autogaze", "realtime", "196", false, true },
        { "synthetic-pan", "320x180", "autogaze", "realtime", "0", true, false },
        { "synthetic-pan", "7x5", "autogaze", "realtime", "196", false, true },
        { "synthetic-pan", "150x100", "autogaze", "tiled", "196", false, true },
        { "synthetic-pan", "150x100", "autogaze", "tiled-full", "196", false, true },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct loop l;
        start(&l, *state, OPTIONS("--source", (char *)cases[i].source, "--synthetic-size",
                                  (char *)cases[i].size, "--model", SMALL_MODEL, "--mask-source",
                                  (char *)cases[i].mask, "--mode",
                                  (char *)cases[i].mode, "--repair", "33", "--repair-cells",
                                  (char *)cases[i].limit, "--patch-diff-threshold", "0.4",
                                  "--max-tokens", "3"));
        uint32_t limited = 0, repaired = 0;
        for (int k = 0; k < 8; k++) {
            frame(&l);
            check_promise(&l, 33, (uint32_t)l.config->repair_cells);
            limited += l.report.repair_limited;
            repaired += l.report.plan.repaired;
        }
        assert_true(!cases[i].limited || limited > 0);
        assert_true(!cases[i].unlimited || limited == 0);
        assert_true(repaired > 0 || l.config->repair_cells == 0 ||
                    l.config->mask_source == AG_MASK_CANVAS_DIFF);
        stop(&l);
    }
}

// Where repair cannot keep its promise it does nothing, says why, and works again afterwards.
static void nothing_to_repair(void **state)
{
    struct loop l;
    start(&l, *state, OPTIONS("--source", "synthetic-pan", "--synthetic-size", "320x180", "--model",
                              SMALL_MODEL, "--mask-source", "patch-diff", "--patch-diff-grid", "20",
                              "--repair", "33", "--repair-cells", "196"));
    frame(&l);
    frame(&l);
    check_promise(&l, 33, 196);
    assert_int_equal(l.report.layout.cells, 400 + 196);
    struct ag_live live = ag_pipeline_get_live(l.p);
    live.geometry = AG_GEOMETRY_EFFECTIVE;
    set(&l, &live);
    frame(&l);
    assert_false(l.report.repair);
    assert_int_equal(l.report.layout.cells, 400);
    assert_non_null(strstr(ag_pipeline_notice(l.p), "effective"));
    live.geometry = AG_GEOMETRY_NATIVE;
    live.output = AG_OUTPUT_FULL_BLEND;
    set(&l, &live);
    frame(&l);
    assert_false(l.report.repair);
    assert_non_null(strstr(ag_pipeline_notice(l.p), "full-blend"));
    live.output = AG_OUTPUT_INTERFRAME;
    set(&l, &live);
    frame(&l); // a keyframe
    frame(&l);
    check_promise(&l, 33, 196);
    stop(&l);
}

// canvas-diff alone meets its own target in every frame, and chooses nothing where nothing differs.
static void canvas_diff_meets_its_target(void **state)
{
    struct loop l;
    start(&l, *state, OPTIONS("--source", "synthetic-local-motion", "--synthetic-size", "320x180",
                              "--model", SMALL_MODEL, "--mask-source", "canvas-diff",
                              "--quality-db", "28"));
    for (int k = 0; k < 12; k++) {
        frame(&l);
        assert_true(l.report.psnr_db >= 28);
        assert_int_equal(l.report.plan.chosen, l.report.n_cells);
        assert_string_equal(l.report.mask_source, "canvas-diff");
        if (k == 5) { // the slider: nothing is good enough
            struct ag_quality q = ag_pipeline_quality(l.p);
            assert_true(q.db && q.value == 28);
            assert_true(ag_pipeline_set_quality(l.p, 60, NULL));
        }
        assert_true(k < 6 || l.report.psnr_db >= 60);
    }
    ag_pipeline_set_paused(l.p, true);
    stop(&l);
}

// Repair costs nothing when it is off, a fixed number of dispatches when it is on, no wait ever.
static void no_wait_no_copy(void **state)
{
    struct ag_gpu *gpu = *state;
    static const char *const repair[] = { "off", "33" };
    for (int on = 0; on < 2; on++) {
        struct loop l;
        start(&l, gpu, OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90", "--model",
                               SMALL_MODEL, "--mask-source", "canvas-diff", "--repair",
                               (char *)repair[on]));
        frame(&l);
        frame(&l);
        uint64_t host = ag_alloc_count();
        struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
        assert_int_equal(ag_pipeline_tick(l.p, 5000000000, NULL), AG_TICK_FRAME);
        struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
        assert_int_equal(after.submits - before.submits, 1);
        assert_int_equal(after.host_waits - before.host_waits, 0);
        assert_int_equal(ag_alloc_count() - host, 0);
        assert_int_equal(after.allocations - before.allocations, 0);
        assert_true(after.bytes_read_back - before.bytes_read_back <= (on ? 2048 : 512));
        stop(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_live),
        cmocka_unit_test(another_model),
        cmocka_unit_test(another_model_late),
        cmocka_unit_test(forced_masks),
        cmocka_unit_test(late_masks),
        cmocka_unit_test(quality_is_kept),
        cmocka_unit_test(nothing_to_repair),
        cmocka_unit_test(canvas_diff_meets_its_target),
        cmocka_unit_test(no_wait_no_copy),
    };
    return cmocka_run_group_tests(tests, test_gpu_setup, test_gpu_teardown);
}
