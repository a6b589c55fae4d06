// Statistics of series and the snapshot of all stages.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/timing.h"

static void expect(double actual, double expected)
{
    assert_float_equal(actual, expected, 1e-9);
}

// Percentile p = element round((n-1)*p) of the sorted samples.
static void percentiles_are_elements(void **state)
{
    (void)state;
    struct ag_series *s = ag_series_create(256);
    assert_int_equal(ag_series_stats(s).samples, 0);
    for (int i = 0; i < 100; i++) { // 0..99 in a scattered order
        ag_series_add(s, i * 37 % 100);
    }
    struct ag_series_stats t = ag_series_stats(s);
    assert_int_equal(t.samples, 100);
    assert_int_equal(t.window, 100);
    expect(t.p50, 50); // round(49.5), halves away from zero
    expect(t.p95, 94); // round(94.05)
    expect(t.p99, 98); // round(98.01)
    expect(t.min, 0);
    expect(t.max, 99);
    expect(t.mean, 49.5);
    expect(t.last, 99 * 37 % 100);
    ag_series_destroy(&s);
    assert_null(s);
    ag_series_destroy(&s);
}

static void one_sample_is_every_percentile(void **state)
{
    (void)state;
    struct ag_series *s = ag_series_create(4);
    ag_series_add(s, -2.5);
    struct ag_series_stats t = ag_series_stats(s);
    expect(t.p50, -2.5);
    expect(t.p99, -2.5);
    expect(t.min, -2.5);
    expect(t.max, -2.5);
    ag_series_destroy(&s);
}

static void the_window_slides_and_extremes_stay(void **state)
{
    (void)state;
    struct ag_series *s = ag_series_create(3);
    const double values[] = { 1000, -7, 1, 3, 2 };
    for (size_t i = 0; i < AG_COUNT(values); i++) {
        ag_series_add(s, values[i]);
    }
    struct ag_series_stats t = ag_series_stats(s);
    assert_int_equal(t.samples, 5);
    assert_int_equal(t.window, 3);
    expect(t.p50, 2); // of 1 3 2
    expect(t.p99, 3);
    expect(t.max, 1000); // over all
    expect(t.min, -7);
    expect(t.mean, 999 / 5.0);
    expect(t.last, 2);
    ag_series_reset(s);
    assert_int_equal(ag_series_stats(s).samples, 0);
    ag_series_add(s, 5);
    expect(ag_series_stats(s).max, 5);
    expect(ag_series_stats(s).mean, 5);
    ag_series_destroy(&s);
}

static void statistics_do_not_allocate(void **state)
{
    (void)state;
    struct ag_timing *t = ag_timing_create(&(struct ag_timing_params){ 0 });
    static struct ag_timing_snapshot snapshot;
    uint64_t before = ag_alloc_count();
    for (int i = 0; i < 1000; i++) {
        ag_timing_add(t, AG_STAGE_RESIZE, AG_CLOCK_GPU, i);
    }
    ag_timing_snapshot(t, &snapshot);
    assert_int_equal(ag_alloc_count(), before);
    assert_int_equal(snapshot.stage[AG_STAGE_RESIZE][AG_CLOCK_GPU].window, 256);
    assert_int_equal(snapshot.stage[AG_STAGE_RESIZE][AG_CLOCK_GPU].samples, 1000);
    ag_timing_destroy(&t);
}

static void snapshots_are_in_milliseconds(void **state)
{
    (void)state;
    struct ag_timing *t = ag_timing_create(&(struct ag_timing_params){ .window = 8 });
    struct ag_timing_snapshot s;
    ag_timing_snapshot(t, &s);
    assert_int_equal(s.dominant_stage, -1);

    ag_timing_add(t, AG_STAGE_GENERATE, AG_CLOCK_GPU, 90000000); // these never dominate
    ag_timing_add(t, AG_STAGE_RING, AG_CLOCK_CPU, 90000000);
    ag_timing_add(t, AG_STAGE_SOURCE, AG_CLOCK_CPU, 90000000);
    ag_timing_add(t, AG_STAGE_RECORD, AG_CLOCK_CPU, 90000000);
    ag_timing_snapshot(t, &s);
    assert_int_equal(s.dominant_stage, -1);

    ag_timing_add(t, AG_STAGE_UPLOAD, AG_CLOCK_CPU, 1500000);
    ag_timing_add(t, AG_STAGE_DECODE, AG_CLOCK_GPU, 2500000);
    ag_timing_add(t, AG_STAGE_DECODE, AG_CLOCK_CPU, 500000);
    ag_timing_add_total(t, AG_TOTAL_LATENCY, 7000000);
    ag_timing_drop(t);
    ag_timing_snapshot(t, &s);
    assert_int_equal(s.dominant_stage, AG_STAGE_DECODE);
    assert_int_equal(s.dominant_clock, AG_CLOCK_GPU);
    expect(s.stage[AG_STAGE_DECODE][AG_CLOCK_GPU].p95, 2.5);
    expect(s.stage[AG_STAGE_DECODE][AG_CLOCK_CPU].p95, 0.5);
    expect(s.stage[AG_STAGE_UPLOAD][AG_CLOCK_CPU].last, 1.5);
    assert_int_equal(s.stage[AG_STAGE_UPLOAD][AG_CLOCK_GPU].samples, 0);
    expect(s.total[AG_TOTAL_LATENCY].mean, 7);
    assert_int_equal(s.total[AG_TOTAL_GPU].samples, 0);
    assert_int_equal(s.dropped_samples, 1);

    ag_timing_reset(t);
    ag_timing_snapshot(t, &s);
    assert_int_equal(s.dominant_stage, -1);
    assert_int_equal(s.dropped_samples, 0);
    assert_int_equal(s.total[AG_TOTAL_LATENCY].samples, 0);
    ag_timing_destroy(&t);
    assert_null(t);
}

static void no_timing_is_legal(void **state)
{
    (void)state;
    struct ag_timing *t = NULL;
    struct ag_timing_snapshot s;
    memset(&s, 0xff, sizeof(s));
    ag_timing_add(t, AG_STAGE_HUD, AG_CLOCK_CPU, 1);
    ag_timing_add_total(t, AG_TOTAL_GPU, 1);
    ag_timing_drop(t);
    ag_timing_reset(t);
    ag_timing_snapshot(t, &s);
    assert_int_equal(s.dominant_stage, -1);
    assert_int_equal(s.stage[AG_STAGE_HUD][AG_CLOCK_CPU].samples, 0);
    ag_timing_destroy(&t);
}

static void phases_follow_one_another(void **state)
{
    (void)state;
    struct ag_phases p = { .last_ns = ag_now_ns() };
    int64_t start = p.last_ns, sum = 0;
    for (int i = 0; i < AG_MAX_PHASES + 2; i++) {
        ag_phase_mark(&p, i ? "later" : "first");
        if (i < AG_MAX_PHASES) {
            sum += p.phase[i].ns;
            assert_true(start + sum == p.last_ns);
        }
    }
    assert_int_equal(p.n, AG_MAX_PHASES);
    assert_string_equal(p.phase[0].name, "first");
}

static void stages_have_distinct_names(void **state)
{
    (void)state;
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        assert_true(ag_stage_name(i)[0] && ag_stage_help(i)[0]);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(ag_stage_name(i), ag_stage_name(k));
        }
    }
    assert_string_equal(ag_stage_name(AG_STAGE_PREFILL), "prefill");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_elements),
        cmocka_unit_test(one_sample_is_every_percentile),
        cmocka_unit_test(the_window_slides_and_extremes_stay),
        cmocka_unit_test(statistics_do_not_allocate),
        cmocka_unit_test(snapshots_are_in_milliseconds),
        cmocka_unit_test(no_timing_is_legal),
        cmocka_unit_test(phases_follow_one_another),
        cmocka_unit_test(stages_have_distinct_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
