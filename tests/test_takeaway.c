// What a run writes beside its numbers says the same: gaze file and trace of one pipeline, read back
// and compared id by id.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "../src/app/takeaway.h"
#include "gpu_util.h"

#define FRAMES 24

static struct ag_config *options(int argc, char **argv)
{
    struct ag_config *c = ag_alloc(sizeof(*c));
    struct ag_error err = { 0 };
    if (!ag_config_parse_args(c, argc, argv, &err)) {
        fail_msg("%s", err.text);
    }
    return c;
}

static void run(struct ag_gpu *gpu, const struct ag_config *c, struct ag_model_config *model)
{
    struct takeaway t;
    struct ag_frame_report r;
    struct ag_error err = { 0 };
    struct ag_pipeline *p = ag_pipeline_create(NULL, c, gpu, &err);
    TEST_OK(p, err);
    TEST_OK(takeaway_begin(&t, NULL, c, gpu, p, &err), err);
    *model = *ag_pipeline_model(p);
    for (int i = 0; i < FRAMES; i++) {
        TEST_OK(ag_pipeline_tick(p, 5000000000, &err) == AG_TICK_FRAME, err);
        while (ag_pipeline_next_report(p, &r)) {
            takeaway_report(&t, &r);
        }
    }
    assert_true(ag_pipeline_drain(p, NULL));
    while (ag_pipeline_next_report(p, &r)) {
        takeaway_report(&t, &r);
    }
    TEST_OK(takeaway_finish(&t, &err), err);
    takeaway_end(&t);
    ag_pipeline_destroy(&p);
}

static const void *tensor(const struct ag_safetensors *f, const char *name, size_t bytes)
{
    const struct ag_safetensors_entry *e = ag_safetensors_find(f, name);
    assert_non_null(e);
    assert_int_equal(e->bytes, bytes);
    return e->data;
}

static int item(const cJSON *row, const char *key, int i)
{
    const cJSON *v = cJSON_GetArrayItem(cJSON_GetObjectItem(row, key), i);
    assert_non_null(v);
    return v->valueint;
}

// A frame of the trace against slots [at, at + slots) of the file and its masks.
static void compare(const struct ag_safetensors *f, const struct ag_model_config *model,
                    const cJSON *row, int64_t t, size_t at, size_t slots, size_t all)
{
    const int64_t *pos = tensor(f, "gazing_pos", 8 * all);
    const uint8_t *padded = tensor(f, "if_padded_gazing", all);
    const cJSON *ids = cJSON_GetObjectItem(row, "ids");
    assert_int_equal(cJSON_GetArraySize(ids), slots);
    uint32_t cells = 0, marked = 0;
    for (size_t i = 0; i < slots; i++) {
        int id = item(row, "ids", (int)i);
        assert_int_equal(pos[at + i], id + (int64_t)model->cells * t);
        assert_int_equal(padded[at + i], id >= (int)model->cells);
        cells += id < (int)model->cells;
    }
    for (uint32_t s = 0; s < model->n_scales; s++) {
        char name[64];
        uint32_t n = model->scale_grid[s] * model->scale_grid[s];
        snprintf(name, sizeof(name), "gazing_mask_%u", model->scale[s]);
        const float *mask = tensor(f, name, 4ull * FRAMES * n);
        for (uint32_t i = 0; i < n; i++) {
            bool chosen = false;
            for (size_t k = 0; k < slots; k++) {
                chosen |= item(row, "ids", (int)k) == (int)(model->scale_first[s] + i);
            }
            assert_true(mask[(size_t)t * n + i] == (chosen ? 1.0f : 0.0f));
            marked += chosen;
        }
    }
    assert_int_equal(marked, cells); // the model never chooses a cell twice
}

static void gaze_file_equals_trace(void **state)
{
    char dir[] = "/tmp/autogaze-takeaway-XXXXXX", trace[64], gaze[64], command[64], line[65536];
    struct ag_model_config model;
    struct ag_error err = { 0 };
    assert_non_null(mkdtemp(dir));
    snprintf(trace, sizeof(trace), "%s/t.jsonl", dir);
    snprintf(gaze, sizeof(gaze), "%s/g.safetensors", dir);
    char *args[] = { "x", "--headless", "--source", "synthetic-local-motion", "--synthetic-size",
                     "320x180", "--model", AG_MODELS "/open-gaze", "--trace", trace,
                     "--export-gaze", gaze };
    struct ag_config *c = options(AG_COUNT(args), args);
    run(*state, c, &model);

    struct ag_safetensors *f = ag_safetensors_open(gaze, &err);
    TEST_OK(f, err);
    const int64_t *frames = tensor(f, "frame_id", 8 * FRAMES);
    const int64_t *counts = tensor(f, "num_gazing_each_frame", 8 * FRAMES);
    size_t at = 0, all = 0;
    for (int t = 0; t < FRAMES; t++) {
        all += (size_t)counts[t];
    }
    assert_true(all > FRAMES);
    FILE *rows = fopen(trace, "r");
    for (int t = 0; t < FRAMES; t++) {
        assert_non_null(fgets(line, sizeof(line), rows));
        cJSON *row = cJSON_Parse(line);
        assert_non_null(row);
        assert_int_equal(cJSON_GetObjectItem(row, "frame")->valueint, frames[t]);
        compare(f, &model, row, t, at, (size_t)counts[t], all);
        at += (size_t)counts[t];
        cJSON_Delete(row);
    }
    assert_null(fgets(line, sizeof(line), rows));
    fclose(rows);
    ag_safetensors_close(&f);
    ag_free(c);
    snprintf(command, sizeof(command), "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
}

static const uint32_t *capture(struct ag_gpu *gpu, struct ag_screen *screen,
                               const struct ag_screen_frame *frame, struct ag_buffer *to)
{
    struct ag_error err = { 0 };
    uint64_t value = ag_screen_capture(screen, frame, false, to, &err);
    TEST_OK(value && ag_gpu_wait(gpu, value, &err), err);
    ag_buffer_invalidate(gpu, to);
    return to->data;
}

// Without HUD a picture taken home is what is on the device, byte for byte.
static void pictures_are_exact(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_error err = { 0 };
    char *args[] = { "x", "--headless", "--source", "synthetic-pan", "--synthetic-size", "127x95",
                     "--mask-source", "patch-diff" };
    struct ag_config *c = options(AG_COUNT(args), args);
    struct ag_pipeline *p = ag_pipeline_create(NULL, c, gpu, &err);
    TEST_OK(p, err);
    struct ag_stats *stats = ag_stats_create(&(struct ag_stats_params){ 0 });
    struct ag_screen *screen =
        ag_screen_create(NULL, gpu, &(struct ag_screen_params){ { .width = 64, .height = 64 } },
                         &err);
    TEST_OK(screen, err);
    struct ag_screen_frame frame = { .pipeline = p, .stats = stats };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ag_pipeline_tick(p, 5000000000, &err), AG_TICK_FRAME);
    }
    struct ag_pictures pic = ag_pipeline_pictures(p);
    const struct ag_buffer *buffers[] = { pic.input, pic.mask, pic.output };
    uint32_t *want[3], width, height;
    for (int i = 0; i < 3; i++) {
        want[i] = ag_alloc(4ull * 127 * 95);
        TEST_OK(ag_pipeline_read(p, buffers[i], (uint8_t *)want[i], &err), err);
    }
    struct ag_buffer *to = ag_buffer_create(gpu, AG_MEM_READBACK, 4 * 127 * 95 * 4, "to", &err);
    TEST_OK(to, err);
    static const struct {
        enum ag_view_layout layout;
        uint32_t columns, rows, n;
        int shows[4];
    } cases[] = {
        { AG_VIEW_PANELS, 3, 1, 3, { 0, 1, 2 } }, { AG_VIEW_INPUT, 1, 1, 1, { 0 } },
        { AG_VIEW_MASK, 1, 1, 1, { 1 } },         { AG_VIEW_OUTPUT, 1, 1, 1, { 2 } },
        { AG_VIEW_GRID, 2, 2, 3, { 0, 1, 2 } },
    };
    for (size_t k = 0; k < AG_COUNT(cases); k++) {
        ag_screen_set_layout(screen, cases[k].layout);
        ag_screen_capture_size(screen, &frame, false, &width, &height);
        assert_int_equal(width, 127 * cases[k].columns);
        assert_int_equal(height, 95 * cases[k].rows);
        const uint32_t *got = capture(gpu, screen, &frame, to);
        for (uint32_t i = 0; i < cases[k].n; i++) {
            uint32_t left = i % cases[k].columns * 127, top = i / cases[k].columns * 95;
            for (uint32_t y = 0; y < 95; y++) {
                for (uint32_t x = 0; x < 127; x++) {
                    uint32_t a = got[(top + y) * width + left + x];
                    uint32_t b = want[cases[k].shows[i]][y * 127 + x];
                    if ((a ^ b) & 0xffffff) {
                        fail_msg("layout %zu, picture %u, %u, %u: %08x, expected %08x", k, i, x, y,
                                 a, b);
                    }
                }
            }
        }
    }
    // A wipe: input, the line, output.
    ag_screen_set_layout(screen, AG_VIEW_WIPE);
    const uint32_t *wipe = capture(gpu, screen, &frame, to);
    for (uint32_t y = 0; y < 95; y++) {
        for (uint32_t x = 0; x < 127; x++) {
            uint32_t a = wipe[y * 127 + x], b = want[x < 64 ? 0 : 2][y * 127 + x];
            bool line = x >= 63 && x < 65;
            if (line ? (a & 0xffffff) != 0x40d6ff : (a ^ b) & 0xffffff) {
                fail_msg("wipe %u, %u: %08x, expected %08x", x, y, a, b);
            }
        }
    }
    for (int i = 0; i < 3; i++) {
        ag_free(want[i]);
    }
    ag_buffer_destroy(gpu, &to);
    ag_screen_destroy(&screen);
    ag_stats_destroy(&stats);
    ag_pipeline_destroy(&p);
    ag_free(c);
}

static int setup(void **state)
{
    *state = test_gpu_open();
    return 0;
}

static int teardown(void **state)
{
    struct ag_gpu *gpu = *state;
    test_gpu_close(&gpu); // fails on validation messages
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gaze_file_equals_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(pictures_are_exact, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
