// Canvas-diff and repair: the C twin against its definition, the GPU against the twin bit for bit,
// and what they are for: no cell beyond the target is left, or the list says so.
#include <math.h>

#include "gpu_util.h"
#include "planner_util.h"

#define CELLS AG_ERROR_CELLS

struct device {
    struct ag_gpu *gpu;
    struct ag_cell_errors *errors;
    struct ag_planner *planner;
};

static int open_device(void **state)
{
    struct device *d = ag_alloc(sizeof(*d));
    struct ag_error err = { 0 };
    d->gpu = test_gpu_open();
    d->errors = ag_cell_errors_create(d->gpu, &err);
    TEST_OK(d->errors, err);
    d->planner = ag_planner_create(d->gpu, &err);
    TEST_OK(d->planner, err);
    *state = d;
    return 0;
}

static int close_device(void **state)
{
    struct device *d = *state;
    ag_planner_destroy(d->gpu, &d->planner);
    ag_cell_errors_destroy(d->gpu, &d->errors);
    test_gpu_close(&d->gpu);
    ag_free(d);
    return 0;
}

static uint8_t *grey(uint32_t width, uint32_t height, uint8_t level)
{
    uint8_t *rgba = ag_alloc((size_t)4 * width * height);
    memset(rgba, level, (size_t)4 * width * height);
    return rgba;
}

// ---- the twin ----------------------------------------------------------------------------------

// Every pixel of an odd picture, alone, is the error of one cell, and of one whose rectangle (what
// an update would copy) holds it.
static void test_partition(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = { { 1, 1 }, { 7, 5 }, { 14, 14 }, { 15, 27 }, { 61, 37 } };
    struct ag_layout layout;
    ag_layout_from_sides(&(uint32_t){ AG_ERROR_GRID }, 1, &layout);
    for (size_t s = 0; s < AG_COUNT(sizes); s++) {
        uint32_t w = sizes[s][0], h = sizes[s][1];
        struct ag_cell_errors_setup setup = { .width = w, .height = h };
        uint8_t *a = grey(w, h, 10), *b = grey(w, h, 10);
        for (uint32_t i = 0; i < w * h; i++) {
            uint64_t errors[CELLS];
            uint32_t cells[CELLS];
            b[4 * i + 1] = 13;
            b[4 * i + 3] = 0; // alpha does not count
            assert_int_equal(ag_ref_worst_cells(&setup, a, b, NULL, 120, CELLS, errors, cells), 1);
            assert_int_equal(errors[cells[0]], 9);
            struct ag_rect r = ag_cell_rect(&layout, cells[0], w, h, 1);
            assert_true(r.x0 <= i % w && i % w < r.x1 && r.y0 <= i / w && i / w < r.y1);
            b[4 * i + 1] = b[4 * i + 3] = 10;
        }
        ag_free(a);
        ag_free(b);
    }
}

// Worst first, equal ones by number, strictly beyond the target, covered pixels left out.
static void test_order(void **state)
{
    (void)state;
    struct ag_cell_errors_setup setup = { .width = 14, .height = 14 };
    uint8_t *a = grey(14, 14, 100), *b = grey(14, 14, 100), covered[196] = { 0 };
    static const uint8_t level[] = { 110, 140, 90, 140, 60, 101 };
    for (uint32_t i = 0; i < AG_COUNT(level); i++) {
        b[4 * (20 * i + 3)] = level[i];
    }
    uint64_t errors[CELLS];
    uint32_t cells[CELLS];
    assert_int_equal(ag_ref_worst_cells(&setup, a, b, NULL, 120, 4, errors, cells), 6);
    static const uint32_t expected[] = { 23, 63, 83, 3 };
    assert_memory_equal(cells, expected, sizeof(expected));
    assert_int_equal(errors[23], 1600);
    covered[63] = 1;
    assert_int_equal(ag_ref_worst_cells(&setup, a, b, covered, 120, CELLS, errors, cells), 5);
    assert_int_equal(errors[63], 0);

    float db = 27.3f;
    uint32_t allowed = ag_error_target(db) / 4096; // a cell has one pixel
    uint32_t root = (uint32_t)floor(sqrt(allowed));
    uint8_t *c = grey(14, 14, 100);
    c[0] = (uint8_t)(100 + root);
    assert_int_equal(ag_ref_worst_cells(&setup, a, c, NULL, db, CELLS, errors, cells), 0);
    c[0]++;
    assert_int_equal(ag_ref_worst_cells(&setup, a, c, NULL, db, CELLS, errors, cells), 1);
    assert_int_equal(ag_error_target(0), 3u * 65025 * 4096);
    assert_int_equal(ag_error_target(NAN), 0);
    ag_free(a);
    ag_free(b);
    ag_free(c);
}

static void test_layout(void **state)
{
    (void)state;
    static const uint32_t with[] = { 2, 4, 7, 14 }, without[] = { 4, 28 };
    struct ag_layout in, out;
    uint32_t first;
    ag_layout_from_sides(with, 4, &in);
    assert_true(ag_repair_layout(&in, &out, &first));
    assert_int_equal(first, 69);
    assert_memory_equal(&in, &out, sizeof(in));
    ag_layout_from_sides(without, 2, &in);
    assert_true(ag_repair_layout(&in, &out, &first));
    assert_int_equal(first, 800);
    assert_int_equal(out.n_grids, 3);
    assert_int_equal(out.cells, 996);
    ag_layout_from_sides((const uint32_t[]){ 255 }, 1, &in);
    assert_false(ag_repair_layout(&in, &out, &first) && out.cells > AG_MAX_CELLS);
}

// ---- the GPU -----------------------------------------------------------------------------------

struct list {
    struct ag_repair_header header;
    uint32_t *cells; // ag_alloc
};

static struct list read_list(struct device *d, const struct ag_mask *mask)
{
    uint64_t bytes = mask->offset + 4ull * mask->max_cells;
    uint8_t *data = ag_alloc(bytes);
    test_gpu_read(d->gpu, (struct ag_buffer *)mask->cells, data, bytes);
    struct list l;
    memcpy(&l.header, data, sizeof(l.header));
    assert_int_equal(mask->offset, AG_REPAIR_CELLS_AT);
    memmove(data, data + AG_REPAIR_CELLS_AT, 4ull * mask->max_cells);
    l.cells = (uint32_t *)data;
    return l;
}

static void check_canvas_diff(struct device *d, uint32_t width, uint32_t height, const uint8_t *a,
                              const uint8_t *b, float db)
{
    struct ag_error err = { 0 };
    struct ag_cell_errors_setup setup = { .width = width, .height = height };
    TEST_OK(ag_cell_errors_configure(d->errors, &setup, &err), err);
    uint64_t bytes = 4ull * width * height, errors[CELLS];
    uint32_t cells[CELLS];
    struct ag_buffer *history = test_gpu_buffer(d->gpu, a, bytes, "history");
    struct ag_buffer *input = test_gpu_buffer(d->gpu, b, bytes, "input");
    struct ag_mask mask;
    struct ag_cmd *cmd = test_gpu_begin(d->gpu);
    ag_canvas_diff_record(d->errors, cmd, history, input, db, &mask);
    test_gpu_finish(d->gpu, cmd);
    struct list l = read_list(d, &mask);
    uint32_t n = ag_ref_worst_cells(&setup, a, b, NULL, db, CELLS, errors, cells);
    assert_int_equal(l.header.listed, n);
    assert_int_equal(l.header.added, n);
    assert_int_equal(l.header.beyond, n);
    assert_int_equal(l.header.chosen, 0);
    assert_memory_equal(l.cells, cells, n * sizeof(*cells));
    ag_free(l.cells);
    ag_buffer_destroy(d->gpu, &history);
    ag_buffer_destroy(d->gpu, &input);
}

static void test_gpu_canvas_diff(void **state)
{
    static const uint32_t sizes[][2] = { { 1, 1 },   { 7, 5 },    { 14, 14 }, { 64, 36 },
                                         { 36, 64 }, { 129, 71 }, { 1, 600 }, { 640, 360 } };
    struct test_random random = { 11 };
    for (uint32_t round = 0; round < 3 * AG_COUNT(sizes); round++) {
        const uint32_t *s = sizes[round % AG_COUNT(sizes)];
        uint8_t *a = test_random_frame(&random, s[0], s[1]);
        uint8_t *b = test_random_frame(&random, s[0], s[1]);
        static const float targets[] = { 120, 7.75f, 8.5f }; // all of them, about half, few
        check_canvas_diff(*state, s[0], s[1], a, b, targets[round / AG_COUNT(sizes)]);
        ag_free(a);
        ag_free(b);
    }
}

// Sums beyond 32 bits, all equal but two of them that differ by one level of one channel.
static void test_gpu_large_cells(void **state)
{
    uint32_t side = 14 * 160;
    uint8_t *a = grey(side, side, 0), *b = grey(side, side, 255);
    assert_true(160ull * 160 * 3 * 65025 > UINT32_MAX);
    b[4 * (200 * side + 900)] = 254;
    b[4 * (900 * side + 200) + 2] = 254;
    check_canvas_diff(*state, side, side, a, b, 30);
    check_canvas_diff(*state, side, side, a, b, 0); // as far as it can be is just within 0 dB
    ag_free(a);
    ag_free(b);
}

static void test_gpu_first_frame(void **state)
{
    struct device *d = *state;
    uint8_t *a = grey(32, 32, 0), *b = grey(32, 32, 255);
    check_canvas_diff(d, 32, 32, a, b, 30); // leaves a full list behind
    struct ag_buffer *input = test_gpu_buffer(d->gpu, b, 4096, "input");
    struct ag_mask mask;
    struct ag_cmd *cmd = test_gpu_begin(d->gpu);
    ag_canvas_diff_record(d->errors, cmd, NULL, input, 30, &mask);
    test_gpu_finish(d->gpu, cmd);
    struct list l = read_list(d, &mask);
    assert_int_equal(l.header.listed, 0);
    ag_free(l.cells);
    ag_buffer_destroy(d->gpu, &input);
    ag_free(a);
    ag_free(b);
    struct ag_error err = { 0 };
    assert_false(ag_cell_errors_configure(d->errors, &(struct ag_cell_errors_setup){ .height = 5 },
                                          &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
}

// ---- repair of a plan --------------------------------------------------------------------------

static uint8_t *cover(const struct test_plan_case *c, const uint32_t *cells, uint32_t n)
{
    uint32_t w = c->setup.width, h = c->setup.height;
    uint8_t *covered = ag_alloc((size_t)w * h);
    struct ag_ref_plan plan;
    ag_ref_plan(&c->setup, cells, n, &plan);
    for (uint32_t i = 0; i < plan.n; i++) {
        struct ag_rect r = ag_cell_rect(&plan.layout, plan.cells[i], w, h, c->setup.cell_scale);
        for (uint32_t y = r.y0; y < r.y1; y++) {
            memset(covered + (size_t)y * w + r.x0, 1, r.x1 - r.x0);
        }
    }
    ag_ref_plan_free(&plan);
    return covered;
}

static uint64_t error_left(const struct test_plan_case *c, const uint8_t *covered, const uint8_t *a,
                           const uint8_t *b)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < (size_t)c->setup.width * c->setup.height; i++) {
        for (int k = 0; k < 3 && !covered[i]; k++) {
            int e = a[4 * i + k] - b[4 * i + k];
            sum += (uint64_t)(e * e);
        }
    }
    return sum;
}

// What the history would still be wrong by after the frame, for the plan with repair.
static void check_repair(struct device *d, struct test_random *random, struct test_plan_case *c,
                         float db, uint32_t limit)
{
    struct ag_error err = { 0 };
    uint32_t w = c->setup.width, h = c->setup.height, first;
    struct ag_layout chosen_layout = c->setup.layout;
    assert_true(ag_repair_layout(&chosen_layout, &c->setup.layout, &first));
    for (uint32_t i = 0; i < c->n; i++) { // the numbers behind the layout are another grid's now
        c->cells[i] = c->cells[i] < chosen_layout.cells ? c->cells[i] : AG_CELL_NONE;
    }
    uint8_t *b = test_random_frame(random, w, h), *a = ag_alloc((size_t)4 * w * h);
    for (size_t i = 0; i < (size_t)4 * w * h; i++) { // some regions right, some slightly, some wrong
        uint32_t kind = (uint32_t)(i / 4 % w * 5 / w + i / 4 / w * 3 / h) % 3;
        a[i] = kind == 0 ? b[i] : kind == 1 ? b[i] ^ 3 : (uint8_t)test_random_below(random, 256);
    }
    uint64_t bytes = 4ull * w * h;
    struct ag_buffer *history = test_gpu_buffer(d->gpu, a, bytes, "history");
    struct ag_buffer *input = test_gpu_buffer(d->gpu, b, bytes, "input");
    uint32_t words[1 + 256] = { c->n };
    memcpy(words + 1, c->cells, c->n * sizeof(*words));
    struct ag_buffer *list = test_gpu_buffer(d->gpu, words, sizeof(words), "chosen");
    struct ag_mask mask = { .cells = list, .offset = 4, .count = list, .max_cells = 256 }, all;
    struct ag_plan plan;
    TEST_OK(ag_planner_configure(d->planner, &c->setup, &err), err);
    struct ag_cell_errors_setup setup = { w, h, c->setup.layout, first };
    TEST_OK(ag_cell_errors_configure(d->errors, &setup, &err), err);

    struct ag_cmd *cmd = test_gpu_begin(d->gpu);
    ag_planner_record(d->planner, cmd, &mask, false, &plan);
    ag_cmd_barrier(cmd);
    ag_repair_record(d->errors, cmd, history, input, &plan, db, limit, &all);
    ag_cmd_barrier(cmd);
    ag_planner_record(d->planner, cmd, &all, false, &plan);
    test_gpu_finish(d->gpu, cmd);

    struct list l = read_list(d, &all);
    struct ag_plan_stats stats;
    test_gpu_read(d->gpu, (struct ag_buffer *)plan.stats, &stats, sizeof(stats));
    uint64_t errors[CELLS];
    uint32_t worst[CELLS];
    uint8_t *covered = cover(c, c->cells, c->n);
    uint32_t beyond = ag_ref_worst_cells(&setup, a, b, covered, db, limit, errors, worst);
    uint32_t added = AG_MIN(beyond, limit);
    assert_int_equal(l.header.beyond, beyond);
    assert_int_equal(l.header.added, added);
    assert_int_equal(l.header.listed, l.header.chosen + added);
    assert_int_equal(stats.selected, l.header.listed); // distinct: nothing was added twice
    for (uint32_t i = 0; i < added; i++) {
        assert_int_equal(l.cells[i], first + worst[i]);
    }
    struct ag_ref_plan chosen;
    ag_ref_plan(&c->setup, c->cells, c->n, &chosen);
    assert_int_equal(l.header.chosen, chosen.stats.selected);
    ag_ref_plan_free(&chosen);
    struct ag_ref_plan whole;
    ag_ref_plan(&c->setup, l.cells, l.header.listed, &whole);
    assert_int_equal(stats.pixels, whole.stats.pixels);
    ag_ref_plan_free(&whole);

    uint8_t *after = cover(c, l.cells, l.header.listed);
    double psnr = ag_psnr_db(error_left(c, after, a, b), 3ull * w * h);
    assert_true(psnr >= (double)db || beyond > limit);
    for (size_t i = 0; i < (size_t)w * h; i++) {
        assert_true(!covered[i] || after[i]); // the chosen cells are still there
    }
    ag_free(l.cells);
    ag_free(covered);
    ag_free(after);
    ag_free(a);
    ag_free(b);
    ag_buffer_destroy(d->gpu, &history);
    ag_buffer_destroy(d->gpu, &input);
    ag_buffer_destroy(d->gpu, &list);
}

static void test_gpu_repair(void **state)
{
    static const uint32_t limits[] = { 24, 196, 0, 1, 60 };
    static const float targets[] = { 33, 20, 45, 10 };
    struct test_random random = { 12 };
    uint32_t done = 0;
    for (uint32_t round = 0; done < 60; round++) {
        struct test_plan_case c;
        test_plan_random(&random, &c);
        if (c.setup.cell_scale < 1.0f || c.setup.geometry == AG_GEOMETRY_EFFECTIVE) {
            continue; // cells smaller than their places repair nothing: options refuse that
        }
        check_repair(*state, &random, &c, targets[round % 4], limits[round % 5]);
        done++;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition),       cmocka_unit_test(test_order),
        cmocka_unit_test(test_layout),          cmocka_unit_test(test_gpu_canvas_diff),
        cmocka_unit_test(test_gpu_large_cells), cmocka_unit_test(test_gpu_first_frame),
        cmocka_unit_test(test_gpu_repair),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
