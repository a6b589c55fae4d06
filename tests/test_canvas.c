// The model's canvas: painted by the plan as the definition says, error sum, on the GPU against the
// plain C reference, and the reference against plain rules.
#include <math.h>

#include "gpu_util.h"
#include "planner_util.h"

#define MAX_TILES 6

static const float std_rgb[3] = { 0.229f, 0.224f, 0.225f };

static struct ag_canvas_setup canvas_setup(const struct ag_planner_setup *setup, uint32_t side)
{
    struct ag_canvas_setup out = { .side = side, .layout = setup->layout,
                                   .geometry = setup->geometry, .cell_scale = setup->cell_scale,
                                   .rescale_factor = 1.0 / 127.5 };
    memcpy(out.std, std_rgb, sizeof(std_rgb));
    return out;
}

static float *random_planes(struct test_random *random, uint32_t side)
{
    size_t n = (size_t)3 * MAX_TILES * side * side;
    float *planes = ag_alloc(n * sizeof(*planes));
    for (size_t i = 0; i < n; i++) {
        planes[i] = (float)test_random_below(random, 4000) / 1000.0f - 2.0f;
    }
    return planes;
}

// Cells of the model's own grids, 112, 56, 32 and 16 pixels square at side 224 (M11 step 4).
static void test_own_grids(void **state)
{
    (void)state;
    struct ag_planner_setup setup = { .width = 999, .height = 555,
                                      .geometry = AG_GEOMETRY_NATIVE, .cell_scale = 1.0f };
    uint32_t sides[] = { 2, 4, 7, 14 };
    assert_true(ag_layout_from_sides(sides, 4, &setup.layout));
    struct ag_canvas_setup canvas = canvas_setup(&setup, 224);
    struct test_random random = { 9 };
    size_t plane = 224 * 224;
    float *input = random_planes(&random, 224), *painted = random_planes(&random, 224);
    float *expected = ag_alloc(3 * plane * sizeof(*expected));
    for (uint32_t cell = 0; cell < 265; cell += 7) {
        memcpy(expected, painted, 3 * plane * sizeof(*expected));
        struct ag_cell at = ag_layout_cell(&setup.layout, cell);
        uint32_t size = 224 / sides[at.grid];
        for (uint32_t c = 0; c < 3; c++) {
            for (uint32_t y = at.row * size; y < (at.row + 1) * size; y++) {
                size_t first = c * plane + y * 224 + at.column * size;
                memcpy(expected + first, input + first, size * sizeof(*expected));
            }
        }
        struct ag_ref_plan plan;
        ag_ref_plan(&setup, &cell, 1, &plan);
        ag_ref_paint(&canvas, &plan, false, input, painted);
        assert_memory_equal(painted, expected, 3 * plane * sizeof(*expected));
        ag_ref_plan_free(&plan);
    }
    ag_free(input);
    ag_free(painted);
    ag_free(expected);
}

struct stages {
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    struct ag_canvas *canvas;
};

static void open_stages(struct stages *s)
{
    struct ag_error err = { 0 };
    s->gpu = test_gpu_open();
    s->planner = ag_planner_create(s->gpu, &err);
    TEST_OK(s->planner, err);
    s->canvas = ag_canvas_create(s->gpu, &err);
    TEST_OK(s->canvas, err);
}

static void close_stages(struct stages *s)
{
    ag_canvas_destroy(s->gpu, &s->canvas);
    ag_planner_destroy(s->gpu, &s->planner);
    test_gpu_close(&s->gpu);
}

#define INPUT_PAD 5
#define CANVAS_PAD 64
#define STATS_PAD 3

static struct ag_buffer *planes_buffer(struct stages *s, const float *planes, uint32_t side,
                                       uint32_t pad, const char *name)
{
    uint64_t bytes = 12ull * MAX_TILES * side * side;
    uint8_t *all = ag_alloc(bytes + 4ull * pad);
    memcpy(all + 4ull * pad, planes, bytes);
    struct ag_buffer *b = test_gpu_buffer(s->gpu, all, bytes + 4ull * pad, name);
    ag_free(all);
    return b;
}

// `canvas` in and out. Returns the error. Painting without it paints the same.
static float run_canvas(struct stages *s, const struct test_plan_case *c,
                        struct ag_canvas_setup setup, bool keyframe, const float *input,
                        float *canvas)
{
    struct ag_error err = { 0 };
    uint32_t side = setup.side;
    TEST_OK(ag_planner_configure(s->planner, &c->setup, &err), err);
    TEST_OK(ag_canvas_configure(s->canvas, &setup, &err), err);
    uint32_t words[257] = { c->n };
    memcpy(words + 1, c->cells, c->n * sizeof(*words));
    struct ag_buffer *list = test_gpu_buffer(s->gpu, words, sizeof(words), "list");
    struct ag_buffer *in = planes_buffer(s, input, side, INPUT_PAD, "input");
    struct ag_buffer *out = planes_buffer(s, canvas, side, CANVAS_PAD, "canvas");
    struct ag_buffer *bare = planes_buffer(s, canvas, side, CANVAS_PAD, "bare canvas");
    struct ag_buffer *stats = test_gpu_buffer(s->gpu, NULL, 64, "stats");
    struct ag_mask mask = { .cells = list, .offset = 4, .count = list, .max_cells = 256 };
    struct ag_plan plan;
    struct ag_cmd *cmd = test_gpu_begin(s->gpu);
    ag_planner_record(s->planner, cmd, &mask, keyframe, &plan);
    ag_cmd_barrier(cmd);
    ag_canvas_record(s->canvas, cmd, &plan, in, 4 * INPUT_PAD, out, 4 * CANVAS_PAD, stats,
                     4 * STATS_PAD);
    ag_cmd_barrier(cmd);
    ag_canvas_record(s->canvas, cmd, &plan, in, 4 * INPUT_PAD, bare, 4 * CANVAS_PAD, NULL, 0);
    test_gpu_finish(s->gpu, cmd);
    float errors[16];
    uint64_t bytes = 12ull * MAX_TILES * side * side;
    uint8_t *all = ag_alloc(bytes + 4 * CANVAS_PAD), *same = ag_alloc(bytes + 4 * CANVAS_PAD);
    test_gpu_read(s->gpu, bare, same, bytes + 4 * CANVAS_PAD);
    test_gpu_read(s->gpu, stats, errors, sizeof(errors));
    test_gpu_read(s->gpu, out, all, bytes + 4 * CANVAS_PAD);
    memcpy(canvas, all + 4 * CANVAS_PAD, bytes);
    assert_memory_equal(all, same, bytes + 4 * CANVAS_PAD);
    ag_free(same);
    ag_free(all);
    ag_buffer_destroy(s->gpu, &bare);
    ag_buffer_destroy(s->gpu, &list);
    ag_buffer_destroy(s->gpu, &in);
    ag_buffer_destroy(s->gpu, &out);
    ag_buffer_destroy(s->gpu, &stats);
    return errors[STATS_PAD];
}

static double expected_error(const float *input, const float *canvas, uint32_t side,
                             uint32_t tiles)
{
    size_t plane = (size_t)side * side;
    double sum = 0;
    for (size_t i = 0; i < 3 * tiles * plane; i++) {
        double d = ((double)canvas[i] - (double)input[i]) * (double)std_rgb[i / plane % 3] / 2;
        sum += d * d;
    }
    return sum;
}

static void test_random(void **state)
{
    (void)state;
    static const uint32_t sides[] = { 56, 224, 37, 1 };
    struct stages s;
    open_stages(&s);
    struct test_random random = { 4 };
    for (uint32_t round = 0; round < 120; round++) {
        struct test_plan_case c;
        test_plan_random(&random, &c);
        uint32_t side = sides[round < 8 ? round % 4 : 2 * test_random_below(&random, 2)];
        bool keyframe = test_random_below(&random, 8) == 0;
        float *input = random_planes(&random, side), *canvas = random_planes(&random, side);
        size_t bytes = (size_t)12 * MAX_TILES * side * side;
        float *expected = ag_alloc(bytes);
        struct ag_canvas_setup setup = canvas_setup(&c.setup, side);
        if (round % 3 == 2) {
            setup.cols = 1 + test_random_below(&random, 3);
            setup.rows = 1 + test_random_below(&random, 2);
            if (round % 2) { // padding right and below
                setup.span_width = setup.cols * side - test_random_below(&random, side);
                setup.span_height = setup.rows * side - test_random_below(&random, side);
            }
        }
        memcpy(expected, canvas, bytes);
        struct ag_ref_plan plan;
        ag_ref_plan(&c.setup, c.cells, c.n, &plan);
        ag_ref_paint(&setup, &plan, keyframe, input, expected);

        float error = run_canvas(&s, &c, setup, keyframe, input, canvas);
        assert_memory_equal(canvas, expected, bytes); // of the tiles behind the last, too
        uint32_t tiles = AG_MAX(setup.cols, 1u) * AG_MAX(setup.rows, 1u);
        double sum = expected_error(input, expected, side, tiles);
        assert_true(fabs((double)error - sum) <= 1e-5 * sum);
        assert_true(!keyframe || error == 0.0f);
        ag_ref_plan_free(&plan);
        ag_free(input);
        ag_free(canvas);
        ag_free(expected);
    }
    close_stages(&s);
}

// The error is the same float on every run, and the MSE has the unit it should have: a canvas that
// is one grey level of 8 bits off gives 20 log10(255) dB.
static void test_error(void **state)
{
    (void)state;
    struct stages s;
    open_stages(&s);
    struct test_random random = { 3 };
    struct test_plan_case c = { .setup = { .width = 64, .height = 36, .cell_scale = 1.0f } };
    uint32_t sides[] = { 2, 4, 7, 14 };
    assert_true(ag_layout_from_sides(sides, 4, &c.setup.layout));
    float *input = random_planes(&random, 224), *canvas = random_planes(&random, 224);
    struct ag_canvas_setup own = canvas_setup(&c.setup, 224);
    float first = run_canvas(&s, &c, own, false, input, canvas);
    for (uint32_t i = 0; i < 3; i++) {
        float again = run_canvas(&s, &c, own, false, input, canvas);
        assert_memory_equal(&again, &first, sizeof(first));
    }
    size_t plane = 224 * 224;
    for (size_t i = 0; i < 3 * plane; i++) {
        canvas[i] = input[i] + 1.0f / 127.5f / std_rgb[i / plane];
    }
    double mse = (double)run_canvas(&s, &c, own, false, input, canvas) / (double)(3 * plane);
    assert_true(fabs(-10 * log10(mse) - 20 * log10(255)) < 1e-3);
    ag_free(input);
    ag_free(canvas);

    struct ag_error err = { 0 };
    struct ag_canvas_setup bad = canvas_setup(&c.setup, 0);
    assert_false(ag_canvas_configure(s.canvas, &bad, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    close_stages(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_grids),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
