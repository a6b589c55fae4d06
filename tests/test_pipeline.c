// The whole chain, frame by frame, on whatever device there is (lavapipe in CI), validation on.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/cpu_model.h"
#include "autogaze/pipeline.h"
#include "gpu_util.h"

#define TINY AG_FIXTURES "/tiny-canvas"

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
    options((int)AG_COUNT(((char *[]){ "x", "--headless", __VA_ARGS__ })),                         \
            (char *[]){ "x", "--headless", __VA_ARGS__ })

static struct ag_pipeline *open_pipeline(struct ag_gpu *gpu, struct ag_config *c)
{
    struct ag_error err = { 0 };
    struct ag_pipeline *p = ag_pipeline_create(NULL, c, gpu, &err);
    if (!p) {
        fail_msg("%s", err.text);
    }
    return p;
}

static void tick(struct ag_pipeline *p)
{
    struct ag_error err = { 0 };
    enum ag_tick t = ag_pipeline_tick(p, 5000000000, &err);
    if (t != AG_TICK_FRAME) {
        fail_msg("tick gave %d: %s", t, err.text);
    }
}

struct run {
    uint64_t output, gaze;
    uint32_t frames;
};

static struct run lockstep(struct ag_gpu *gpu, struct ag_config *c, int frames)
{
    struct run r = { .gaze = AG_HASH_SEED };
    struct ag_pipeline *p = open_pipeline(gpu, c);
    struct ag_frame_report report;
    for (int i = 0; i < frames; i++) {
        tick(p);
    }
    assert_true(ag_pipeline_drain(p, NULL));
    while (ag_pipeline_next_report(p, &report)) {
        assert_int_equal(report.sequence, r.frames + (frames > 8 ? frames - 8 : 0));
        assert_int_equal(report.frame_id, report.sequence + 1);
        r.gaze = ag_hash(r.gaze, report.cells, report.n_cells * sizeof(uint32_t));
        r.frames++;
    }
    struct ag_pictures pic = ag_pipeline_pictures(p);
    size_t bytes = 4ull * pic.width * pic.height;
    uint8_t *pixels = ag_alloc(bytes);
    assert_true(ag_pipeline_read(p, pic.output, pixels, NULL));
    r.output = ag_hash(AG_HASH_SEED, pixels, bytes);
    ag_free(pixels);
    ag_pipeline_destroy(&p);
    return r;
}

static void lockstep_is_reproducible(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "320x180",
                                  "--model", TINY, "--backend", "cpu");
    struct run a = lockstep(gpu, c, 8), b = lockstep(gpu, c, 8);
    assert_int_equal(a.frames, 8);
    assert_true(a.output == b.output);
    assert_true(a.gaze == b.gaze);
    ag_free(c);
}

// M11: whole frame after the keyframe; afterwards exactly the emitted cells are copied. Also: every
// updated pixel of the output equals the input, PSNR agrees with the pictures.
static void canvas_follows_its_definition(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *c = OPTIONS("--source", "synthetic-local-motion", "--synthetic-size",
                                  "320x180", "--model", TINY, "--backend", "cpu", "--max-tokens", "6",
                                  "--task-loss", "off");
    struct ag_pipeline *p = open_pipeline(gpu, c);
    struct ag_model *model = ag_model_load(NULL, TINY, NULL);
    size_t n = 3ull * model->config.image_size * model->config.image_size;
    float *canvas = ag_alloc(n * 4), *input = ag_alloc(n * 4), *expected = ag_alloc(n * 4);
    for (int i = 0; i < 6; i++) {
        struct ag_frame_report r;
        tick(p);
        assert_true(ag_pipeline_drain(p, NULL));
        assert_true(ag_pipeline_next_report(p, &r));
        assert_true(ag_pipeline_read_canvas(p, canvas, input, NULL));
        assert_true(r.has_gaze);
        assert_true(r.gaze.valid == 6);
        assert_int_equal(r.keyframe, i == 0);
        if (i == 0) {
            memcpy(expected, input, n * 4);
        } else {
            ag_paint_ids(&model->config, input, r.gaze.ids, r.gaze.slots, expected);
        }
        assert_memory_equal(canvas, expected, n * 4);
        double mse = 0;
        for (size_t k = 0; k < n; k++) {
            double d = (canvas[k] - input[k]) * model->preprocess.std[k / (n / 3)] / 2;
            mse += d * d / (double)n;
        }
        double db = mse > 0 ? -10 * log10(mse) : INFINITY;
        assert_true(isinf(db) ? isinf(r.model_psnr_db) : fabs(db - r.model_psnr_db) < 0.01);
    }
    ag_free(canvas);
    ag_free(input);
    ag_free(expected);
    ag_model_destroy(&model);
    ag_pipeline_destroy(&p);
    ag_free(c);
}

// No allocation of ours and one submission (two with the CPU back end) a frame after warm-up.
static void steady_state_allocates_nothing(void **state)
{
    struct ag_gpu *gpu = *state;
    static const char *const masks[] = { "patch-diff", "autogaze" };
    for (size_t m = 0; m < AG_COUNT(masks); m++) {
        struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90",
                                      "--model", TINY, "--backend", "cpu", "--mask-source",
                                      (char *)masks[m]);
        struct ag_pipeline *p = open_pipeline(gpu, c);
        for (int i = 0; i < 4; i++) {
            tick(p);
        }
        uint64_t host = ag_alloc_count();
        struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
        for (int i = 0; i < 10; i++) {
            struct ag_frame_report r;
            tick(p);
            while (ag_pipeline_next_report(p, &r)) {
            }
        }
        struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
        assert_int_equal(ag_alloc_count() - host, 0);
        assert_int_equal(after.allocations - before.allocations, 0);
        assert_int_equal(after.submits - before.submits, m == 0 ? 10 : 20);
        assert_int_equal(after.idle_waits - before.idle_waits, 0);
        ag_pipeline_destroy(&p);
        ag_free(c);
    }
}

// The compute back end: one submission a frame, nothing waited for between upload and composition,
// and only the late results (a few kilobytes) come back; in both contexts, with repair, too.
static void one_submission_and_no_wait(void **state)
{
    struct ag_gpu *gpu = *state;
    static const char *const models[] = { TINY, AG_FIXTURES "/tiny" };
    static const char *const repair[] = { "off", "33" };
    for (int k = 0; k < 4; k++) {
        struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90",
                                      "--model", (char *)models[k / 2], "--backend", "vulkan",
                                      "--repair", (char *)repair[k % 2]);
        struct ag_pipeline *p = open_pipeline(gpu, c);
        struct ag_frame_report r;
        tick(p);
        for (int i = 0; i < 6; i++) {
            assert_true(ag_pipeline_drain(p, NULL));
            struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
            tick(p);
            struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
            assert_int_equal(after.submits - before.submits, 1);
            assert_int_equal(after.host_waits - before.host_waits, 0);
            assert_int_equal(after.idle_waits - before.idle_waits, 0);
            assert_true(after.bytes_read_back - before.bytes_read_back <= 4096);
        }
        assert_true(ag_pipeline_drain(p, NULL));
        while (ag_pipeline_next_report(p, &r)) {
            assert_true(r.has_gaze); // the model did run, rounds and all
            assert_true(r.gaze.rounds > 0);
        }
        ag_pipeline_destroy(&p);
        ag_free(c);
    }
}

// A frame longer than 50:1 gets no mask and a sentence, and the run goes on.
static void too_long_for_the_model(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "1020x20",
                                  "--model", TINY, "--backend", "cpu");
    struct ag_pipeline *p = open_pipeline(gpu, c);
    tick(p);
    tick(p);
    assert_true(ag_pipeline_drain(p, NULL));
    struct ag_frame_report r;
    assert_true(ag_pipeline_next_report(p, &r));
    assert_true(ag_pipeline_next_report(p, &r));
    assert_int_equal(r.n_cells, 0);
    assert_false(r.has_gaze);
    assert_non_null(strstr(ag_pipeline_notice(p), "50"));
    ag_pipeline_destroy(&p);
    ag_free(c);
}

// Switching the mask source and the geometry live: reports go on without a gap, the canvas still
// tells the truth about the history (patch-diff and forced masks paint it too).
static void live_switches(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "224x224",
                                  "--model", TINY, "--backend", "cpu");
    struct ag_pipeline *p = open_pipeline(gpu, c);
    uint64_t next = 0;
    for (int i = 0; i < 8; i++) {
        struct ag_live live = ag_pipeline_get_live(p);
        live.mask_source = i & 2 ? AG_MASK_PATCH_DIFF : AG_MASK_AUTOGAZE;
        live.geometry = i & 1;
        assert_true(ag_pipeline_set_live(p, &live, NULL));
        tick(p);
        struct ag_frame_report r;
        while (ag_pipeline_next_report(p, &r)) {
            assert_int_equal(r.sequence, next++);
            assert_string_equal(r.mask_source, r.sequence & 2 ? "patch-diff" : "autogaze");
            assert_int_equal(r.has_gaze, !(r.sequence & 2));
            assert_int_equal(r.keyframe, r.sequence == 0);
        }
    }
    assert_true(ag_pipeline_drain(p, NULL));
    struct ag_frame_report r;
    while (ag_pipeline_next_report(p, &r)) {
        assert_int_equal(r.sequence, next++);
    }
    assert_int_equal(next, 8);
    ag_pipeline_destroy(&p);
    ag_free(c);
}

// patch-diff compares with the frame before, whoever made its mask. Bits of `switched`: frames of
// another mask source.
static void list_patches(struct ag_gpu *gpu, unsigned switched, uint64_t hashes[8])
{
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90",
                                  "--mask-source", "patch-diff");
    struct ag_pipeline *p = open_pipeline(gpu, c);
    for (int i = 0; i < 8; i++) {
        struct ag_live live = ag_pipeline_get_live(p);
        live.mask_source = switched >> i & 1 ? AG_MASK_CANVAS_DIFF : AG_MASK_PATCH_DIFF;
        assert_true(ag_pipeline_set_live(p, &live, NULL));
        tick(p);
    }
    assert_true(ag_pipeline_drain(p, NULL));
    struct ag_frame_report r;
    while (ag_pipeline_next_report(p, &r)) {
        uint32_t bits[AG_MAX_CELLS / 32] = { 0 };
        for (uint32_t i = 0; i < r.n_cells; i++) {
            bits[r.cells[i] / 32] |= 1u << r.cells[i] % 32;
        }
        size_t bytes = AG_DIV_UP(r.layout.cells, 32) * sizeof(*bits);
        assert_true(r.cells_hash == ag_hash(AG_HASH_SEED, bits, bytes));
        hashes[r.sequence] = r.cells_hash;
    }
    ag_pipeline_destroy(&p);
    ag_free(c);
}

static void frame_before(void **state)
{
    static const unsigned switches[] = { 0x55, 0x13, 0x6e };
    uint64_t all[8], some[8];
    list_patches(*state, 0, all);
    assert_true(all[3] != all[4] && all[4] != all[5]);
    for (size_t s = 0; s < AG_COUNT(switches); s++) {
        list_patches(*state, switches[s], some);
        for (int i = 0; i < 8; i++) {
            assert_true(switches[s] >> i & 1 || some[i] == all[i]);
        }
    }
}

// A model that takes far longer than the source leaves: frames go on with the last mask, no frame
// enters the model twice or out of order, the age of a mask is that of its frame.
static void late_masks(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90",
                                  "--model", TINY, "--backend", "cpu", "--latency", "async",
                                  "--no-lockstep", "--source-fps", "60");
    c->test_job_delay_ms = 150;
    struct ag_pipeline *p = open_pipeline(gpu, c);
    uint64_t mask = 0, changes = 0, with_gaze = 0, reports = 0;
    int64_t captured[80] = { 0 };
    for (int i = 0; i < 60; i++) {
        struct ag_frame_report r;
        tick(p);
        while (ag_pipeline_next_report(p, &r)) {
            assert_int_equal(r.frame_id, ++reports);
            captured[r.frame_id] = r.capture_ns;
            assert_true(r.mask_frame_id < r.frame_id); // never its own: it has only just begun
            assert_true(r.mask_frame_id >= mask);
            if (r.mask_frame_id != mask) {
                assert_true(r.has_gaze);
                assert_int_equal(r.gaze.frame_id, r.mask_frame_id);
                changes++;
            }
            with_gaze += r.has_gaze;
            mask = r.mask_frame_id;
            if (mask) {
                assert_true(r.mask_age_ns == r.capture_ns - captured[mask]);
                assert_true(r.mask_age_ns > 0);
            }
        }
    }
    assert_true(changes >= 1 && changes < 40); // 60 frames in a second, a mask every 150 ms
    assert_int_equal(with_gaze, changes);
    struct ag_run_info info;
    ag_pipeline_info(p, &info);
    assert_string_equal(info.latency, "async");
    assert_int_equal(info.duplicates, 0);
    assert_int_equal(info.dropped, 0);
    ag_pipeline_destroy(&p);
    ag_free(c);
}

// The same with the compute back end: the job for a frame follows the frame on the queue, so its
// cells serve the next one, whose report also brings the ids.
static void late_masks_on_the_device(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "160x90",
                                  "--model", TINY, "--backend", "vulkan", "--latency", "async");
    struct ag_pipeline *p = open_pipeline(gpu, c);
    int64_t captured[16] = { 0 };
    for (uint64_t id = 1; id <= 8; id++) {
        struct ag_frame_report r;
        tick(p);
        assert_true(ag_pipeline_drain(p, NULL));
        assert_true(ag_pipeline_next_report(p, &r));
        assert_int_equal(r.frame_id, id);
        assert_int_equal(r.mask_frame_id, id - 1);
        captured[id] = r.capture_ns;
        assert_int_equal(r.has_gaze, id > 1);
        if (id > 1) {
            assert_int_equal(r.gaze.frame_id, id - 1);
            assert_true(r.mask_age_ns == r.capture_ns - captured[id - 1]);
        }
    }
    struct ag_run_info info;
    ag_pipeline_info(p, &info);
    assert_int_equal(info.duplicates, 0);
    ag_pipeline_destroy(&p);
    ag_free(c);
}

// Stages and waits of a frame explain its latency, also where frames overlap. A busy machine, which
// may stop a thread between two of them, can hide that and gets more tries; it cannot fake it.
static void latency_is_explained(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_config *configs[] = {
        OPTIONS("--source", "synthetic-pan", "--synthetic-size", "640x360", "--model", TINY,
                "--backend", "cpu"),
        OPTIONS("--source", "synthetic-pan", "--synthetic-size", "640x360", "--model", TINY,
                "--mask-source", "patch-diff"),
    };
    for (size_t i = 0; i < AG_COUNT(configs); i++) {
        struct ag_pipeline *p = open_pipeline(gpu, configs[i]);
        struct ag_frame_report r;
        double latency = 1, accounted = 0;
        for (int attempt = 0; attempt < 10 && accounted < 0.95 * latency; attempt++) {
            latency = accounted = 0;
            for (int k = 0; k < 24; k++) {
                tick(p);
                while (ag_pipeline_next_report(p, &r)) {
                    assert_true(r.done_ns <= ag_now_ns() && r.latency_ns > 0);
                    assert_in_range(r.in_flight, 1, 2);
                    latency += r.sequence ? (double)r.latency_ns : 0;
                    accounted += r.sequence ? (double)r.accounted_ns : 0;
                }
            }
            assert_true(accounted <= 1.05 * latency);
        }
        if (accounted < 0.95 * latency) {
            fail_msg("case %zu: %.3f of %.3f ms explained", i, accounted * 1e-6, latency * 1e-6);
        }
        ag_pipeline_destroy(&p);
        ag_free(configs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lockstep_is_reproducible),
        cmocka_unit_test(canvas_follows_its_definition),
        cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(one_submission_and_no_wait),
        cmocka_unit_test(too_long_for_the_model),
        cmocka_unit_test(live_switches),
        cmocka_unit_test(frame_before),
        cmocka_unit_test(late_masks),
        cmocka_unit_test(late_masks_on_the_device),
        cmocka_unit_test(latency_is_explained),
    };
    return cmocka_run_group_tests(tests, test_gpu_setup, test_gpu_teardown);
}
