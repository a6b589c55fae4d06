// Patch-diff: the C reference against the specification (sections 2.5 and 4), the GPU against the
// reference, bit for bit.
#include <math.h>

#include "gpu_util.h"
#include "planner_util.h"

static const float std_rgb[3] = { 0.229f, 0.224f, 0.225f };

static struct ag_patch_diff_setup diff_setup(uint32_t width, uint32_t height, uint32_t grid)
{
    return (struct ag_patch_diff_setup){
        width, height, grid, { std_rgb[0], std_rgb[1], std_rgb[2] }
    };
}

struct scene {
    enum ag_pattern pattern;
    uint32_t first, second; // frames
    uint32_t width, height;
    uint32_t cells[3];      // at thresholds 0, 0.15, 0.45
    uint32_t slack[3];      // scores that lie within 0.0005 of the threshold
    double max_score;
};

#define PAN AG_PATTERN_PAN
#define LOCAL AG_PATTERN_LOCAL_MOTION

static const struct scene scenes[] = {
    { PAN, 0, 1, 640, 360, { 196, 25, 2 }, { 0, 1, 0 }, .617 },
    { PAN, 0, 1, 1280, 720, { 196, 5, 2 }, { 0 }, .616 },
    { PAN, 0, 1, 1920, 1080, { 196, 4, 2 }, { 0 }, .590 },
    { PAN, 50, 51, 640, 360, { 196, 33, 7 }, { 0, 1, 0 }, .928 },
    { PAN, 50, 51, 1280, 720, { 196, 17, 9 }, { 0 }, .674 },
    { PAN, 50, 51, 1920, 1080, { 196, 17, 6 }, { 0, 0, 1 }, .527 },
    { LOCAL, 10, 11, 640, 360, { 6, 6, 4 }, { 0 }, 1.12 },
    { LOCAL, 10, 11, 1280, 720, { 6, 6, 4 }, { 0 }, .779 },
    { LOCAL, 10, 11, 1920, 1080, { 6, 6, 4 }, { 0 }, .923 },
    { LOCAL, 50, 51, 640, 360, { 0, 0, 0 }, { 0 }, 0 },
    { LOCAL, 50, 51, 1280, 720, { 9, 0, 0 }, { 0, 1, 0 }, .150 },
    { LOCAL, 50, 51, 1920, 1080, { 9, 0, 0 }, { 0 }, .132 },
    { LOCAL, 90, 91, 1280, 720, { 0, 0, 0 }, { 0 }, 0 },
    { LOCAL, 111, 112, 640, 360, { 12, 12, 12 }, { 0 }, 2.42 },
    { LOCAL, 111, 112, 1280, 720, { 12, 12, 12 }, { 0 }, 2.39 },
    { LOCAL, 111, 112, 1920, 1080, { 12, 12, 12 }, { 0 }, 2.45 },
    { AG_PATTERN_NOISE, 0, 1, 640, 360, { 196, 196, 196 }, { 0 }, 0 },
    { AG_PATTERN_CHECKER_PAN, 0, 1, 640, 360, { 196, 196, 196 }, { 0 }, 0 },
};

static const float thresholds[3] = { 0.0f, 0.15f, 0.45f };

static float greatest(const float *scores, uint32_t n)
{
    float max = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        max = fmaxf(max, scores[i]);
    }
    return max;
}

static void test_scenes(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(scenes); i++) {
        const struct scene *s = &scenes[i];
        struct ag_patch_diff_setup setup = diff_setup(s->width, s->height, 14);
        size_t bytes = (size_t)4 * s->width * s->height;
        uint8_t *first = ag_alloc(bytes), *second = ag_alloc(bytes);
        ag_pattern_draw(s->pattern, s->first, s->width, s->height, first);
        ag_pattern_draw(s->pattern, s->second, s->width, s->height, second);
        float scores[196];
        uint8_t selected[196];
        for (uint32_t t = 0; t < 3; t++) {
            uint32_t n = ag_ref_patch_diff(&setup, first, second, thresholds[t], scores, selected);
            assert_in_range(n + s->slack[t], s->cells[t], s->cells[t] + 2 * s->slack[t]);
        }
        double max = (double)greatest(scores, 196);
        if (s->pattern == PAN || s->pattern == LOCAL) {
            double unit = s->max_score >= 1 ? 0.01 : 0.001;
            assert_true(fabs(max - s->max_score) <= 0.51 * unit);
        } else {
            assert_in_range((uint32_t)(10 * max), 20, 35); // about 3.0; 2.0 to 2.2
        }
        ag_free(first);
        ag_free(second);
    }
}

static uint8_t *grey(uint32_t width, uint32_t height, uint8_t level)
{
    uint8_t *rgba = ag_alloc((size_t)4 * width * height);
    memset(rgba, level, (size_t)4 * width * height);
    return rgba;
}

// One changed quadrant selects one cell; one grey level on all channels is 0.034707; the threshold
// is strict; alpha does not count.
static void test_quadrant(void **state)
{
    (void)state;
    struct ag_patch_diff_setup setup = diff_setup(8, 6, 2);
    uint8_t *a = grey(8, 6, 100), *b = grey(8, 6, 100);
    for (uint32_t y = 3; y < 6; y++) {
        memset(b + 4 * (y * 8 + 4), 101, 16);
    }
    b[3] = 0; // alpha
    float scores[4];
    uint8_t selected[4];
    assert_int_equal(ag_ref_patch_diff(&setup, a, b, 0.0f, scores, selected), 1);
    assert_true(selected[3] && scores[0] == 0.0f && scores[1] == 0.0f && scores[2] == 0.0f);
    assert_true(fabsf(scores[3] - 0.034707f) < 1e-6f);
    assert_int_equal(ag_ref_patch_diff(&setup, a, b, scores[3], scores, selected), 0);
    ag_free(a);
    ag_free(b);
}

// 5x7 pixels in 3x3 cells: bins [0,2) [1,4) [3,5) and [0,3) [2,5) [4,7), neighbours share a line.
static void test_adaptive_bins(void **state)
{
    (void)state;
    struct ag_patch_diff_setup setup = diff_setup(5, 7, 3);
    uint8_t *a = grey(5, 7, 0), *b = grey(5, 7, 0);
    b[4 * (2 * 5 + 1) + 1] = 127; // green of pixel (1, 2): in four cells
    float scores[9];
    uint8_t selected[9];
    assert_int_equal(ag_ref_patch_diff(&setup, a, b, 0.0f, scores, selected), 4);
    static const double pixels[9] = { 6, 9, 0, 6, 9, 0, 0, 0, 0 };
    for (uint32_t i = 0; i < 9; i++) {
        double expected = pixels[i] > 0 ? 127 / (127.5 * 0.224) / (3 * pixels[i]) : 0;
        assert_true(fabs((double)scores[i] - expected) < 1e-6);
    }
    ag_free(a);
    ag_free(b);
}

// ---- GPU ---------------------------------------------------------------------------------------

struct result {
    uint32_t n;
    uint32_t *cells; // ag_alloc
    float *scores;
};

static void free_result(struct result *r)
{
    ag_free(r->cells);
    ag_free(r->scores);
}

static struct result run_diff(struct ag_gpu *gpu, struct ag_patch_diff *d,
                              const struct ag_patch_diff_setup *setup, const uint8_t *previous,
                              const uint8_t *next, float threshold)
{
    struct ag_error err = { 0 };
    TEST_OK(ag_patch_diff_configure(d, setup, &err), err);
    uint64_t bytes = 4ull * setup->width * setup->height;
    struct ag_buffer *a = test_gpu_buffer(gpu, previous, bytes, "previous");
    struct ag_buffer *b = test_gpu_buffer(gpu, next, bytes, "next");
    struct ag_mask mask;
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_patch_diff_record(d, cmd, previous ? a : NULL, b, threshold, &mask);
    test_gpu_finish(gpu, cmd);
    uint32_t cells = setup->grid * setup->grid;
    assert_int_equal(mask.max_cells, cells);
    struct result r = { .cells = ag_alloc(mask.offset + 4ull * cells),
                        .scores = ag_alloc(4ull * cells) };
    test_gpu_read(gpu, (struct ag_buffer *)mask.cells, r.cells, mask.offset + 4ull * cells);
    r.n = r.cells[mask.count_offset / 4];
    memmove(r.cells, (uint8_t *)r.cells + mask.offset, 4ull * cells);
    test_gpu_read(gpu, (struct ag_buffer *)ag_patch_diff_scores(d), r.scores, 4ull * cells);
    ag_buffer_destroy(gpu, &a);
    ag_buffer_destroy(gpu, &b);
    return r;
}

static void check_diff(struct ag_gpu *gpu, struct ag_patch_diff *d,
                       const struct ag_patch_diff_setup *setup, const uint8_t *previous,
                       const uint8_t *next, float threshold)
{
    uint32_t cells = setup->grid * setup->grid;
    float *scores = ag_alloc(cells * sizeof(*scores));
    uint8_t *selected = ag_alloc(cells);
    uint32_t n = ag_ref_patch_diff(setup, previous, next, threshold, scores, selected);
    struct result r = run_diff(gpu, d, setup, previous, next, threshold);
    assert_memory_equal(r.scores, scores, cells * sizeof(*scores));
    assert_int_equal(r.n, n);
    for (uint32_t i = 0, at = 0; i < cells; i++) {
        if (selected[i]) {
            assert_int_equal(r.cells[at++], i);
        }
    }
    free_result(&r);
    ag_free(scores);
    ag_free(selected);
}

static void open_diff(struct ag_gpu **gpu, struct ag_patch_diff **d)
{
    struct ag_error err = { 0 };
    *gpu = test_gpu_open();
    *d = ag_patch_diff_create(*gpu, &err);
    TEST_OK(*d, err);
}

static void close_diff(struct ag_gpu **gpu, struct ag_patch_diff **d)
{
    ag_patch_diff_destroy(*gpu, d);
    assert_null(*d);
    test_gpu_close(gpu);
}

static void test_gpu_scenes(void **state)
{
    (void)state;
    struct ag_gpu *gpu;
    struct ag_patch_diff *d;
    open_diff(&gpu, &d);
    for (size_t i = 0; i < AG_COUNT(scenes); i++) {
        const struct scene *s = &scenes[i];
        if (s->height > 720) {
            continue;
        }
        struct ag_patch_diff_setup setup = diff_setup(s->width, s->height, 14);
        size_t bytes = (size_t)4 * s->width * s->height;
        uint8_t *first = ag_alloc(bytes), *second = ag_alloc(bytes);
        ag_pattern_draw(s->pattern, s->first, s->width, s->height, first);
        ag_pattern_draw(s->pattern, s->second, s->width, s->height, second);
        check_diff(gpu, d, &setup, first, second, thresholds[1]);
        ag_free(first);
        ag_free(second);
    }
    close_diff(&gpu, &d);
}

// Grids finer than the picture, a single cell, a few cells an invocation.
static void test_gpu_random(void **state)
{
    (void)state;
    static const uint32_t cases[][3] = {
        { 7, 5, 14 },  { 1, 1, 255 },   { 64, 36, 14 }, { 5, 7, 3 },    { 33, 90, 255 },
        { 61, 37, 1 }, { 200, 150, 2 }, { 48, 48, 16 }, { 300, 20, 17 },
    };
    struct ag_gpu *gpu;
    struct ag_patch_diff *d;
    open_diff(&gpu, &d);
    struct test_random random = { 8 };
    for (uint32_t round = 0; round < 3 * AG_COUNT(cases); round++) {
        const uint32_t *c = cases[round % AG_COUNT(cases)];
        struct ag_patch_diff_setup setup = diff_setup(c[0], c[1], c[2]);
        uint8_t *a = test_random_frame(&random, c[0], c[1]);
        uint8_t *b = test_random_frame(&random, c[0], c[1]);
        check_diff(gpu, d, &setup, a, b, 0.5f + 1.3f * (float)(round / AG_COUNT(cases)));
        ag_free(a);
        ag_free(b);
    }
    close_diff(&gpu, &d);
}

// 17 million pixels from black to white in a single cell: sums beyond 32 bits.
static void test_gpu_large_cell(void **state)
{
    (void)state;
    struct ag_gpu *gpu;
    struct ag_patch_diff *d;
    open_diff(&gpu, &d);
    struct ag_patch_diff_setup setup = diff_setup(4096, 4120, 1);
    uint8_t *a = grey(4096, 4120, 0), *b = grey(4096, 4120, 255);
    b[4] = 254;
    assert_true(4096ull * 4120 * 255 - 1 > UINT32_MAX);
    check_diff(gpu, d, &setup, a, b, 1.0f);
    ag_free(a);
    ag_free(b);
    close_diff(&gpu, &d);
}

// No previous picture: nothing is selected, whatever the last record left behind.
static void test_gpu_first_frame(void **state)
{
    (void)state;
    struct ag_gpu *gpu;
    struct ag_patch_diff *d;
    open_diff(&gpu, &d);
    struct ag_patch_diff_setup setup = diff_setup(32, 32, 4);
    uint8_t *b = grey(32, 32, 255);
    struct result r = run_diff(gpu, d, &setup, NULL, b, 0.0f);
    assert_int_equal(r.n, 0);
    for (uint32_t i = 0; i < 16; i++) {
        assert_true(r.scores[i] == 0.0f);
    }
    free_result(&r);
    struct ag_layout layout;
    ag_patch_diff_layout(d, &layout);
    assert_int_equal(layout.cells, 16);
    assert_int_equal(layout.grid[0].colour, 1);

    struct ag_patch_diff_setup bad[4] = { setup, setup, setup, setup };
    bad[0].grid = 0;
    bad[1].grid = 256;
    bad[2].width = 0;
    bad[3].std[1] = 0.0f;
    for (size_t i = 0; i < AG_COUNT(bad); i++) {
        struct ag_error err = { 0 };
        assert_false(ag_patch_diff_configure(d, &bad[i], &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
    }
    ag_free(b);
    close_diff(&gpu, &d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenes),        cmocka_unit_test(test_quadrant),
        cmocka_unit_test(test_adaptive_bins), cmocka_unit_test(test_gpu_scenes),
        cmocka_unit_test(test_gpu_random),    cmocka_unit_test(test_gpu_large_cell),
        cmocka_unit_test(test_gpu_first_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
