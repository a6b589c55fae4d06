// Running statistics and reports: S7's rules about infinite samples, keyframes and percentiles.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "autogaze/crossover.h"
#include "autogaze/report.h"

static const struct ag_layout model_layout = {
    .n_grids = 4,
    .grid = { { 2, 2, 0, 0 }, { 4, 4, 4, 1 }, { 7, 7, 20, 2 }, { 14, 14, 69, 3 } },
    .cells = 265,
};

static struct ag_frame_report frame(uint64_t sequence, double psnr)
{
    return (struct ag_frame_report){
        .frame_id = sequence + 1, .sequence = sequence, .width = 100, .height = 50,
        .mask_source = "test", .layout = model_layout, .gaze_ratio = 0.5, .has_psnr = true,
        .psnr_db = psnr, .latency_ns = 2000000, .interval_ns = sequence ? 10000000 : 0,
        .gpu_total_ns = 1000000, .plan = { .selected = 4, .path = 2 },
    };
}

static void infinite_samples(void **state)
{
    (void)state;
    struct ag_stats *s = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    const double psnr[] = { INFINITY, 30, 40, INFINITY };
    for (size_t i = 0; i < AG_COUNT(psnr); i++) {
        struct ag_frame_report r = frame(i, psnr[i]);
        ag_stats_add(s, &r);
    }
    struct ag_stats_snapshot snap;
    ag_stats_snapshot(s, &snap);
    assert_int_equal(snap.psnr.samples, 2);
    assert_int_equal(snap.psnr.infinite, 2);
    assert_true(isinf(snap.psnr.last));
    assert_true(fabs(snap.psnr.mean - 35) < 1e-9);
    assert_true(fabs(snap.psnr.ema - 31.5) < 1e-9);
    assert_true(fabs(snap.psnr.min - 30) < 1e-9);
    assert_true(fabs(snap.fps - 100) < 1e-6);
    ag_stats_destroy(&s);
}

// EMA: the first sample sets it, then 0.85 old + 0.15 new.
static void ema(void **state)
{
    (void)state;
    struct ag_stats *s = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    struct ag_frame_report r = frame(0, 30);
    r.gaze_ratio = 1;
    ag_stats_add(s, &r);
    r.gaze_ratio = 0;
    ag_stats_add(s, &r);
    struct ag_stats_snapshot snap;
    ag_stats_snapshot(s, &snap);
    assert_true(fabs(snap.gaze_ratio.ema - 0.85) < 1e-12);
    ag_stats_destroy(&s);
}

static void keyframes_and_warmup(void **state)
{
    (void)state;
    struct ag_stats *s = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    struct ag_frame_report key = frame(0, INFINITY);
    key.keyframe = true;
    key.gaze_ratio = NAN;
    ag_stats_add(s, &key);
    struct ag_frame_report warm = frame(1, 10);
    warm.warmup = true;
    ag_stats_add(s, &warm);
    struct ag_stats_snapshot snap;
    ag_stats_snapshot(s, &snap);
    assert_int_equal(snap.frames, 1);
    assert_int_equal(snap.keyframes, 1);
    assert_int_equal(snap.gaze_ratio.samples, 0);
    assert_int_equal(snap.psnr.samples + snap.psnr.infinite, 0);
    ag_stats_destroy(&s);
}

// A HUD that is drawn now and then is not the dearest stage of every frame.
static void hud_is_drawn_now_and_then(void **state)
{
    (void)state;
    struct ag_stats *s = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    for (uint64_t i = 0; i < 40; i++) {
        struct ag_frame_report r = frame(i, 30);
        r.gpu_ns[AG_STAGE_PRESENT] = 100000;
        r.gpu_ns[AG_STAGE_HUD] = i == 7 ? 900000 : 0;
        ag_stats_add(s, &r);
    }
    struct ag_stats_snapshot snap;
    ag_stats_snapshot(s, &snap);
    const struct ag_series_stats *hud = &snap.timing.stage[AG_STAGE_HUD][AG_CLOCK_GPU];
    assert_int_equal(hud->samples, 40);
    assert_true(hud->p95 == 0);
    assert_true(fabs(hud->max - 0.9) < 1e-9);
    assert_int_equal(snap.timing.dominant_stage, AG_STAGE_PRESENT);
    ag_stats_destroy(&s);
}

static void costs(void **state)
{
    (void)state;
    struct ag_cost c = ag_cost_of(19.6, &model_layout);
    assert_int_equal(c.dense, 265);
    assert_int_equal(c.finest, 196);
    assert_true(fabs(c.reduction - 10) < 1e-9);
    // ViT-B/16 at 196 tokens: 33.3 GFLOP in its linear layers, 1.4 in attention.
    assert_true(fabs(ag_vit_gflop(196) - 34.7) < 0.1);
    assert_true(c.encoder_gflop_saved > 31 && c.encoder_gflop_saved < 32);
}

static char *contents(const char *path)
{
    void *data;
    size_t size;
    assert_true(ag_read_file(path, 1 << 20, &data, &size, NULL));
    return data;
}

static void trace_rows(void **state)
{
    (void)state;
    char path[] = "/tmp/ag-report-XXXXXX";
    int fd = mkstemp(path);
    close(fd);
    struct ag_trace *t = ag_trace_open(path, NULL);
    struct ag_frame_report r = frame(3, INFINITY);
    uint32_t ids[] = { 0, 265, 69 }, cells[] = { 0, 69 };
    float losses[] = { 0.5f, NAN, 0.25f };
    r.has_gaze = true;
    r.gaze = (struct ag_gaze){ .slots = 3, .rounds = 1, .valid = 2, .ids = ids, .losses = losses };
    r.cells = cells;
    r.n_cells = 2;
    ag_trace_add(t, &r);
    char *before = contents(path);
    assert_string_equal(before, ""); // nothing half-written under the file's own name
    ag_free(before);
    assert_true(ag_trace_close(&t, NULL));
    char *text = contents(path);
    assert_non_null(strstr(text, "\"ids\":[0,265,69]"));
    assert_non_null(strstr(text, "\"losses\":[0.5,null,0.25]"));
    assert_non_null(strstr(text, "{\"id\":0,\"grid\":2,\"rect\":[0,0,50,25]}"));
    assert_non_null(strstr(text, "{\"id\":69,\"grid\":14,\"rect\":[0,0,8,4]}"));
    assert_non_null(strstr(text, "\"psnr_db\":null,\"psnr_infinite\":true"));
    ag_free(text);
    unlink(path);
}

// 1 - accounted/latency, a frame: the p95 of it is what 95 % of the frames stay under.
static void accounted_share(void **state)
{
    (void)state;
    struct ag_stats *s = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    for (uint64_t i = 0; i < 21; i++) {
        struct ag_frame_report r = frame(i, 30);
        r.accounted_ns = i == 20 ? 0 : 2000000 - 10000 * (int64_t)i; // the last: no GPU times
        r.in_flight = 1 + i % 2;
        ag_stats_add(s, &r);
    }
    struct ag_stats_snapshot snap;
    ag_stats_snapshot(s, &snap);
    assert_int_equal(snap.unaccounted.samples, 20);
    assert_true(fabs(snap.unaccounted.min) < 1e-12);
    assert_true(fabs(snap.unaccounted.max - 0.095) < 1e-12);
    assert_true(fabs(snap.unaccounted.p95 - 0.09) < 1e-12);
    assert_int_equal(snap.in_flight_max, 2);
    ag_stats_reset(s);
    ag_stats_snapshot(s, &snap);
    assert_int_equal(snap.unaccounted.samples + snap.in_flight_max, 0);
    ag_stats_destroy(&s);
}

// Every group of the summary is there and says what it was told.
static void summary_groups(void **state)
{
    (void)state;
    char path[] = "/tmp/ag-report-XXXXXX";
    close(mkstemp(path));
    struct ag_config *config = ag_alloc(sizeof(*config));
    struct ag_run_info run = {
        .config = config, .backend = "cpu", .mask_source = "test", .startup_ns = 5000000,
        .startup = { .n = 1, .phase = { { "device", 4000000 } } }, .own_bytes = 1000,
        .host_bytes = 5000, .host_mask = true, .generated = true, .dropped = 7,
    };
    struct ag_stats *s = ag_stats_create(&(struct ag_stats_params){ .ema_alpha = 0.15 });
    struct ag_frame_report r = frame(0, 30);
    r.accounted_ns = 1950000;
    r.cpu_ns[AG_STAGE_RECORD] = 1500000;
    r.gpu_ns[AG_STAGE_COMPOSE] = 450000;
    ag_stats_add(s, &r);
    struct ag_stats_snapshot snap;
    ag_stats_snapshot(s, &snap);
    assert_true(ag_summary_write(path, &run, &snap, NULL));
    char *text = contents(path);
    const char *const expected[] = {
        "\"startup_ms\":\t5,", "\"startup_phases_ms\"", "\"device\":\t4", "\"accounted\"",
        "\"p05\":\t0.975", "\"dominant_stage\":\t\"compose\"", "\"source_to_ring\":\t\"none\"",
        "\"mask_source_to_plan\":\t\"host-to-device\"", "\"own_bytes_peak\":\t1000",
        "\"driver_and_libraries_bytes\":\t4000", "\"dropped\":\t7", "\"build\"", "\"dense\":\t1",
    };
    for (size_t i = 0; i < AG_COUNT(expected); i++) {
        if (!strstr(text, expected[i])) {
            fail_msg("the summary does not say %s", expected[i]);
        }
    }
    ag_free(text);
    ag_stats_destroy(&s);
    ag_free(config);
    unlink(path);
}

static void unwritable(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    assert_null(ag_trace_open("/proc/nothing/trace.jsonl", &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    uint8_t pixel[4] = { 1, 2, 3, 4 };
    err = (struct ag_error){ 0 };
    assert_false(ag_screenshot_write("/tmp", (const uint8_t *const[]){ pixel }, 1, 1, 1, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "directory"));
    err = (struct ag_error){ 0 };
    assert_false(ag_screenshot_write("/dev/full", (const uint8_t *const[]){ pixel }, 1, 1, 1, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
}

static void check_default(const char *path, const struct ag_gpu_info *gpu, uint32_t width,
                          const char *words)
{
    struct ag_error err = { 0 };
    struct ag_crossover c;
    assert_false(ag_crossover_read(path, gpu, width, 1080, &c, &err));
    assert_true(c.psnr == AG_CROSSOVER_DEFAULT && c.no_psnr == AG_CROSSOVER_DEFAULT);
    assert_non_null(strstr(err.text, words));
}

// Written and read again; anything that is not of this device, driver and size gives the default.
static void crossover(void **state)
{
    (void)state;
    const struct ag_gpu_info gpu = { .name = "some \"GPU\"", .driver = "d", .driver_info = "1.2" };
    struct ag_crossover_row rows[] = {
        { 1280, 720, true, "one-rect", 1, 0.1, 0.11, 10, 11, 10, 11, 5, 6 },
        { 1280, 720, true, "one-rect", 1, 0.4, 0.41, 10.6, 11, 10, 11, 5, 6 },
        { 1280, 720, true, "row-bands", 1, 0.3, 0.31, 10.6, 11, 10, 11, 5, 6 },
        { 1280, 720, false, "one-rect", 1, 0.2, 0.2, 10.4, 11, 10, 11, 5, 6 },
        { 1920, 1080, true, "one-rect", 1, 0.0, 0.01, 30, 11, 10, 11, 5, 6 },
    };
    const uint32_t n = AG_COUNT(rows);
    assert_true(ag_crossover_of(rows, n, 1280, 720, true) == 0.31); // the lowest of all shapes
    assert_true(ag_crossover_of(rows, n, 1280, 720, false) == 1.0);
    assert_true(ag_crossover_of(rows, n, 64, 36, true) == 1.0);

    char dir[] = "/tmp/autogaze-crossover-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/cache/crossover.json", dir);
    struct ag_error err = { 0 };
    check_default(path, &gpu, 1920, "cannot open");
    assert_true(ag_crossover_write(path, &gpu, rows, n, &err));
    struct ag_crossover c;
    assert_true(ag_crossover_read(path, &gpu, 1280, 720, &c, &err));
    assert_true(c.psnr == 0.31 && c.no_psnr == 1.0);
    assert_true(ag_crossover_read(path, &gpu, 1920, 1080, &c, &err));
    assert_true(c.psnr == 0.01 && c.no_psnr == 1.0);
    check_default(path, &gpu, 1918, "nothing about 1918x1080");
    struct ag_gpu_info other = gpu;
    snprintf(other.driver_info, sizeof(other.driver_info), "1.3");
    check_default(path, &other, 1920, "another device or driver");

    static const char *const damaged[] = {
        "", "{", "[]", "{\"schema\": 2}",
        "{\"schema\": 1, \"device\": \"some \\\"GPU\\\"\", \"driver\": \"d\", \"driver_info\": "
        "\"1.2\", \"sizes\": [{\"width\": 1920, \"height\": 1080, \"sparse_below\": {\"psnr\": 7, "
        "\"no_psnr\": 0}}]}",
    };
    for (size_t i = 0; i < AG_COUNT(damaged); i++) {
        FILE *f = fopen(path, "w");
        fputs(damaged[i], f);
        fclose(f);
        check_default(path, &gpu, 1920, path);
    }
    unlink(path);
    snprintf(path, sizeof(path), "%s/cache", dir);
    rmdir(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crossover),
        cmocka_unit_test(infinite_samples), cmocka_unit_test(ema),
        cmocka_unit_test(keyframes_and_warmup), cmocka_unit_test(costs),
        cmocka_unit_test(hud_is_drawn_now_and_then),
        cmocka_unit_test(trace_rows), cmocka_unit_test(unwritable),
        cmocka_unit_test(accounted_share), cmocka_unit_test(summary_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
