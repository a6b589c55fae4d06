// Files through the whole chain on the device: every container, sizes that change in the middle,
// steps and seeks, one file after another, masks at another size; bytes that cross the bus.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/pipeline.h"
#include "autogaze/preprocess_ref.h"
#include "gpu_util.h"

#define MS 1000000ll
#define FRAMES 50 // of clip.*, 40 ms each

static const char *media(const char *name)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof(path[0]), "%s/media/%s", AG_BINARY_DIR, name);
    return p;
}

static struct ag_pipeline *open_args(struct ag_gpu *gpu, int argc, const char **argv)
{
    static struct ag_config config;
    struct ag_error err = { 0 };
    struct ag_pipeline *p = NULL;
    if (ag_config_parse_args(&config, argc, (char **)(uintptr_t)argv, &err)) {
        p = ag_pipeline_create(NULL, &config, gpu, &err);
    }
    if (!p) {
        fail_msg("%s", err.text);
    }
    return p;
}
#define OPEN(gpu, ...)                                                                             \
    open_args(gpu,                                                                                 \
              (int)AG_COUNT(((const char *[]){ "x", "--headless", "--mask-source", "patch-diff",   \
                                               __VA_ARGS__ })),                                    \
              (const char *[]){ "x", "--headless", "--mask-source", "patch-diff", __VA_ARGS__ })

static enum ag_tick try_tick(struct ag_pipeline *p)
{
    struct ag_error err = { 0 };
    enum ag_tick t = ag_pipeline_tick(p, 10000 * MS, &err);
    if (t == AG_TICK_ERROR) {
        fail_msg("%s", err.text);
    }
    return t;
}

// The next frame's report, complete.
static struct ag_frame_report next(struct ag_pipeline *p)
{
    struct ag_frame_report r, last = { 0 };
    assert_int_equal(try_tick(p), AG_TICK_FRAME);
    assert_true(ag_pipeline_drain(p, NULL));
    while (ag_pipeline_next_report(p, &r)) {
        last = r;
    }
    return last;
}

static uint8_t *read_picture(struct ag_pipeline *p, const struct ag_buffer *picture)
{
    struct ag_pictures pic = ag_pipeline_pictures(p);
    uint8_t *rgba = ag_alloc(4ull * pic.width * pic.height);
    assert_true(ag_pipeline_read(p, picture, rgba, NULL));
    return rgba;
}

static uint64_t input_hash(struct ag_pipeline *p)
{
    struct ag_pictures pic = ag_pipeline_pictures(p);
    uint8_t *rgba = read_picture(p, pic.input);
    uint64_t hash = ag_hash(AG_HASH_SEED, rgba, 4ull * pic.width * pic.height);
    ag_free(rgba);
    return hash;
}

// ---- containers ---------------------------------------------------------------------------------

static void plays_every_container(void **state)
{
    struct ag_gpu *gpu = *state;
    static const struct {
        const char *file;
        uint32_t width, height, frames;
        uint64_t bytes; // of the planes; 0: 160x120 4:2:0
        int64_t step_ns;
    } files[] = {
        { "clip.mp4", 160, 120, FRAMES, 0, 40 * MS },  { "clip.mkv", 160, 120, FRAMES, 0, 40 * MS },
        { "clip.webm", 160, 120, FRAMES, 0, 40 * MS }, { "clip.avi", 160, 120, FRAMES, 0, 40 * MS },
        { "clip.y4m", 160, 120, FRAMES, 0, 40 * MS },  { "odd.mkv", 127, 95, 5, 0, 40 * MS },
        { "turned.mp4", 120, 160, FRAMES, 0, 40 * MS },
        { "pictures", 48, 32, 4, 4 * 48 * 32, 0 }, // a folder
    };
    for (size_t i = 0; i < AG_COUNT(files); i++) {
        struct ag_pipeline *p = OPEN(gpu, media(files[i].file));
        uint64_t id = 0, frames = 0;
        int64_t pts = -1;
        while (try_tick(p) == AG_TICK_FRAME) {
            struct ag_frame_report r;
            assert_true(ag_pipeline_drain(p, NULL));
            assert_true(ag_pipeline_next_report(p, &r));
            bool times = !files[i].step_ns || pts < 0 ||
                         llabs(r.pts_ns - pts - files[i].step_ns) <= 2 * MS;
            if (r.frame_id <= id || r.pts_ns <= pts || !times || r.width != files[i].width ||
                r.height != files[i].height) {
                fail_msg("%s: frame %llu of %ux%u at %lld ns", files[i].file,
                         (unsigned long long)r.frame_id, r.width, r.height, (long long)r.pts_ns);
            }
            // One upload of the planes (with their padding) and nothing else.
            uint64_t w = AG_ALIGN_UP(files[i].width, 4u);
            uint64_t c = AG_ALIGN_UP((files[i].width + 1) / 2, 4u);
            uint64_t luma = AG_ALIGN_UP(w * files[i].height, 256), h = (files[i].height + 1) / 2;
            uint64_t planes = luma + AG_ALIGN_UP(c * h, 256) + c * h;
            planes = files[i].bytes ? files[i].bytes : planes;
            if (strcmp(files[i].file, "turned.mp4") != 0) {
                assert_true(r.bytes_uploaded >= planes - 4 && r.bytes_uploaded <= planes);
            }
            id = r.frame_id;
            pts = r.pts_ns;
            frames++;
        }
        if (frames != files[i].frames) {
            fail_msg("%s: %llu frames", files[i].file, (unsigned long long)frames);
        }
        ag_pipeline_destroy(&p);
    }
}

// ---- steps and seeks ----------------------------------------------------------------------------

static void steps_are_exact(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_pipeline *p = OPEN(gpu, media("clip.mp4"));
    uint64_t hash[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
        assert_int_equal(next(p).pts_ns, i * 40 * MS);
        hash[i] = input_hash(p);
    }
    assert_int_equal(try_tick(p), AG_TICK_END);
    // Back from the end, one by one; the frame shown is the one with that timestamp.
    for (int i = FRAMES - 2; i >= FRAMES - 14; i--) {
        assert_true(ag_pipeline_step_back(p, NULL));
        assert_true(ag_pipeline_paused(p) && ag_pipeline_is_moving(p));
        struct ag_frame_report r = next(p);
        assert_false(ag_pipeline_is_moving(p));
        assert_int_equal(r.pts_ns, i * 40 * MS);
        assert_true(r.keyframe && r.discontinuity);
        assert_true(input_hash(p) == hash[i]);
        assert_int_equal(ag_pipeline_tick(p, 0, NULL), AG_TICK_NONE); // paused
    }
    ag_pipeline_step(p);
    struct ag_frame_report r = next(p);
    assert_int_equal(r.pts_ns, (FRAMES - 13) * 40 * MS);
    assert_false(r.keyframe);
    for (int i = 0; i < FRAMES; i += 7) {
        assert_true(ag_pipeline_seek(p, i * 40 * MS - (i > 0), NULL));
        assert_int_equal(next(p).pts_ns, i * 40 * MS);
        assert_true(input_hash(p) == hash[i]);
    }
    assert_true(ag_pipeline_seek(p, 0, NULL));
    next(p);
    assert_true(ag_pipeline_step_back(p, NULL)); // there is none before: it stays
    assert_int_equal(next(p).pts_ns, 0);
    ag_pipeline_destroy(&p);
}

// ---- sizes --------------------------------------------------------------------------------------

// Another size and another pixel format in the middle: nothing of before is shown.
static void changes_in_midstream(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_pipeline *p = OPEN(gpu, media("change.h264"));
    uint64_t id = 0;
    for (int i = 0; i < FRAMES + 10; i++) {
        struct ag_frame_report r = next(p);
        bool change = i == 0 || i == FRAMES || i == FRAMES + 5;
        assert_true(r.frame_id > id);
        id = r.frame_id;
        assert_int_equal(r.width, i < FRAMES ? 160 : 96);
        assert_int_equal(r.keyframe, change);
        if (change) { // the output is the input, the mask is empty
            struct ag_pictures pic = ag_pipeline_pictures(p);
            uint8_t *input = read_picture(p, pic.input), *output = read_picture(p, pic.output);
            assert_memory_equal(input, output, 4ull * pic.width * pic.height);
            assert_int_equal(r.plan.selected, 0);
            ag_free(input);
            ag_free(output);
        }
    }
    assert_int_equal(try_tick(p), AG_TICK_END);
    ag_pipeline_destroy(&p);
}

static void one_file_after_another(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_pipeline *p = OPEN(gpu, media("clip.mp4"));
    uint64_t id = 0;
    for (int i = 0; i < 5; i++) {
        id = next(p).frame_id;
    }
    struct ag_error err = { 0 };
    assert_false(ag_pipeline_open(p, media("sound.wav"), &err)); // the old one goes on
    assert_non_null(strstr(err.text, "no video"));
    struct ag_frame_report r = next(p);
    assert_int_equal(r.pts_ns, 200 * MS);
    assert_true(ag_pipeline_open(p, media("odd.mkv"), NULL));
    r = next(p);
    assert_true(r.frame_id > id && r.keyframe && r.pts_ns == 0);
    assert_int_equal(r.width, 127);
    id = r.frame_id;
    ag_pipeline_set_paused(p, true);
    assert_true(ag_pipeline_open(p, media("clip.mkv"), NULL)); // paused: its first frame is shown
    r = next(p);
    assert_true(r.frame_id > id && r.keyframe && r.pts_ns == 0 && r.width == 160);
    assert_int_equal(ag_pipeline_tick(p, 0, NULL), AG_TICK_NONE);
    ag_pipeline_destroy(&p);
}

// --inference-width: the picture is the exact resize of the source's, at either size of composition
// the mask is the same.
static void masks_at_another_size(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_pipeline *native = OPEN(gpu, media("clip.mp4"));
    struct ag_pipeline *small = OPEN(gpu, "--inference-width", "100", "--compose-size",
                                     "inference", media("clip.mp4"));
    struct ag_pipeline *both = OPEN(gpu, "--inference-width", "100", media("clip.mp4"));
    uint8_t expected[100 * 75 * 3];
    for (int i = 0; i < 4; i++) {
        struct ag_frame_report n = next(native), s = next(small), b = next(both);
        assert_int_equal(n.width, 160);
        assert_int_equal(s.width, 100);
        assert_int_equal(s.height, 75);
        assert_int_equal(b.width, 160);
        assert_int_equal(b.height, 120);
        struct ag_pictures np = ag_pipeline_pictures(native), sp = ag_pipeline_pictures(small);
        uint8_t *full = read_picture(native, np.input), *got = read_picture(small, sp.input);
        ag_ref_resize_u8(full, 160, 120, 4, expected, 100, 75);
        for (int k = 0; k < 100 * 75 * 4; k++) {
            int want = k % 4 == 3 ? 255 : expected[k / 4 * 3 + k % 4];
            if (got[k] != want) {
                fail_msg("frame %d, byte %d: %d, expected %d", i, k, got[k], want);
            }
        }
        uint8_t *shown = read_picture(both, ag_pipeline_pictures(both).input);
        assert_memory_equal(shown, full, 160 * 120 * 4);
        assert_int_equal(s.plan.selected, b.plan.selected);
        assert_int_equal(s.n_cells, b.n_cells);
        assert_memory_equal(s.cells, b.cells, s.n_cells * sizeof(uint32_t));
        assert_true(i == 0 || s.n_cells > 0);
        ag_free(full);
        ag_free(got);
        ag_free(shown);
    }
    ag_pipeline_destroy(&native);
    ag_pipeline_destroy(&small);
    ag_pipeline_destroy(&both);
}

// Pixels that are not square, a picture on its side, a size that stretches.
static void pictures_keep_their_shape(void **state)
{
    struct ag_gpu *gpu = *state;
    static const struct {
        const char *file, *width, *height;
        double shape; // of the picture on the screen
    } cases[] = {
        { "wide.mp4", "0", "0", 160.0 / 120 * 16 / 11 },
        { "turned.mp4", "0", "0", 120.0 / 160 },
        { "wide.mp4", "80", "0", 160.0 / 120 * 16 / 11 },
        { "clip.mp4", "90", "200", 160.0 / 120 },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_pipeline *p = OPEN(gpu, "--compose-size", "inference", "--inference-width",
                                     cases[i].width, "--inference-height", cases[i].height,
                                     media(cases[i].file));
        next(p);
        struct ag_pictures pic = ag_pipeline_pictures(p);
        double shape = (double)pic.width / pic.height * AG_MAX(pic.sar_num, 1) /
                       AG_MAX(pic.sar_den, 1);
        if (fabs(shape / cases[i].shape - 1) > 0.01) {
            fail_msg("%s: %ux%u, pixels %u:%u", cases[i].file, pic.width, pic.height, pic.sar_num,
                     pic.sar_den);
        }
        ag_pipeline_destroy(&p);
    }
}

static void large_still(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_pipeline *p = OPEN(gpu, "--no-psnr", media("large.jpg"));
    struct ag_frame_report r = next(p);
    assert_int_equal(r.width, 7680);
    assert_int_equal(r.height, 4320);
    struct ag_pictures pic = ag_pipeline_pictures(p);
    uint8_t *rgba = read_picture(p, pic.output);
    const uint8_t *last = rgba + 4ull * 7680 * 4320 - 4; // one colour, (32, 64, 96)
    assert_true(abs(rgba[0] - 32) < 4 && abs(rgba[2] - 96) < 4);
    assert_true(abs(last[0] - 32) < 4 && abs(last[2] - 96) < 4);
    ag_free(rgba);
    ag_pipeline_destroy(&p);
}

static int open_gpu(void **state)
{
    *state = test_gpu_open();
    return 0;
}

static int close_gpu(void **state)
{
    struct ag_gpu *gpu = *state;
    test_gpu_close(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plays_every_container), cmocka_unit_test(steps_are_exact),
        cmocka_unit_test(changes_in_midstream),  cmocka_unit_test(one_file_after_another),
        cmocka_unit_test(masks_at_another_size), cmocka_unit_test(pictures_keep_their_shape),
        cmocka_unit_test(large_still),
    };
    return cmocka_run_group_tests(tests, open_gpu, close_gpu);
}
