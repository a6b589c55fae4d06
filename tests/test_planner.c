// Planner on the GPU against its plain C reference and the golden plans (pipeline specification
// 13.2); the segments, pixel by pixel, against rectangles.
#include "gpu_util.h"
#include "planner_util.h"

#include "interface/plan_args.h"
#include "interface/segment_args.h"

struct run {
    struct ag_plan_stats stats;
    uint32_t selected[PLAN_BITMAP_WORDS], kept[PLAN_BITMAP_WORDS];
    uint32_t *words; // [height][width], segment word of each pixel; ag_alloc
};

// Runs one plan. The list sits behind `pad` words, its length behind the list.
static void run_plan(struct ag_gpu *gpu, struct ag_planner *planner, const uint32_t *cells,
                     uint32_t n, uint32_t max, bool keyframe, struct run *out)
{
    enum { PAD = 3 };
    uint32_t *words = ag_alloc((PAD + n + 1) * sizeof(*words));
    memcpy(words + PAD, cells, n * sizeof(*words));
    words[PAD + n] = n;
    struct ag_buffer *list = test_gpu_buffer(gpu, words, (PAD + n + 1) * sizeof(*words), "list");
    struct ag_mask mask = { .cells = list, .offset = PAD * 4, .count = list,
                            .count_offset = (PAD + n) * 4ull, .max_cells = max };
    struct ag_plan plan;
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_planner_record(planner, cmd, max ? &mask : NULL, keyframe, &plan);
    test_gpu_finish(gpu, cmd);
    ag_free(words);

    uint32_t *segments = ag_alloc(4ull * plan.n_x * plan.n_y);
    uint32_t *column = ag_alloc(4ull * plan.width), *row = ag_alloc(4ull * plan.height);
    test_gpu_read(gpu, (struct ag_buffer *)plan.stats, &out->stats, sizeof(out->stats));
    test_gpu_read(gpu, (struct ag_buffer *)plan.selected, out->selected, sizeof(out->selected));
    test_gpu_read(gpu, (struct ag_buffer *)plan.kept, out->kept, sizeof(out->kept));
    test_gpu_read(gpu, (struct ag_buffer *)plan.segments, segments, 4ull * plan.n_x * plan.n_y);
    test_gpu_read(gpu, (struct ag_buffer *)plan.column, column, 4ull * plan.width);
    test_gpu_read(gpu, (struct ag_buffer *)plan.row, row, 4ull * plan.height);
    out->words = ag_alloc(4ull * plan.width * plan.height);
    for (uint32_t y = 0; y < plan.height; y++) {
        for (uint32_t x = 0; x < plan.width; x++) {
            out->words[y * plan.width + x] = segments[row[y] * plan.n_x + column[x]];
        }
    }
    ag_free(segments);
    ag_free(column);
    ag_free(row);
    ag_buffer_destroy(gpu, &list);
}

static void configure(struct ag_planner *planner, const struct ag_planner_setup *setup)
{
    struct ag_error err = { 0 };
    TEST_OK(ag_planner_configure(planner, setup, &err), err);
}

// Every pixel's word from the rectangles of the drawn cells: finest grid, then larger column, then
// larger row; border if on the border of any cell of that grid.
static void check_words(const struct ag_planner_setup *setup, const struct ag_ref_plan *plan,
                        const uint32_t *words)
{
    size_t pixels = (size_t)setup->width * setup->height;
    uint64_t *best = ag_alloc(pixels * sizeof(*best)); // rank of the winner
    uint32_t *expected = ag_alloc(pixels * sizeof(*expected));
    for (uint32_t i = 0; i < plan->n; i++) {
        struct ag_cell c = ag_layout_cell(&plan->layout, plan->cells[i]);
        struct ag_rect r = ag_cell_rect(&plan->layout, plan->cells[i], setup->width,
                                        setup->height, setup->cell_scale);
        uint64_t rank = (uint64_t)(c.grid + 1) << 32 | c.column << 16 | c.row;
        for (uint32_t y = r.y0; y < r.y1; y++) {
            for (uint32_t x = r.x0; x < r.x1; x++) {
                size_t at = (size_t)y * setup->width + x;
                if (best[at] >> 32 < rank >> 32) {
                    expected[at] = 0;
                }
                bool border = x == r.x0 || x == r.x1 - 1 || y == r.y0 || y == r.y1 - 1;
                if (border && best[at] >> 32 <= rank >> 32) {
                    expected[at] |= SEGMENT_BORDER;
                }
                if (best[at] < rank) {
                    best[at] = rank;
                    expected[at] = (expected[at] & SEGMENT_BORDER) | SEGMENT_UPDATED |
                                   SEGMENT_COVERED | plan->colour[i] << SEGMENT_COLOUR_SHIFT;
                }
            }
        }
    }
    for (size_t i = 0; i < pixels; i++) {
        assert_int_equal(words[i] & 0xff, expected[i]);
    }
    ag_free(best);
    ag_free(expected);
}

static void check_run(const struct ag_planner_setup *setup, const uint32_t *cells, uint32_t n,
                      const struct run *run, bool words)
{
    struct ag_ref_plan plan;
    ag_ref_plan(setup, cells, n, &plan);
    assert_memory_equal(&run->stats, &plan.stats, sizeof(plan.stats));
    static uint32_t kept[PLAN_BITMAP_WORDS], selected[PLAN_BITMAP_WORDS];
    memset(kept, 0, sizeof(kept));
    memset(selected, 0, sizeof(selected));
    for (uint32_t i = 0; i < plan.n; i++) {
        kept[plan.cells[i] / 32] |= 1u << plan.cells[i] % 32;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (cells[i] < setup->layout.cells) {
            selected[cells[i] / 32] |= 1u << cells[i] % 32;
        }
    }
    assert_memory_equal(run->kept, kept, sizeof(kept));
    assert_memory_equal(run->selected, selected, sizeof(selected));
    if (words) {
        check_words(setup, &plan, run->words);
    }
    ag_ref_plan_free(&plan);
}

// Ways to cut the work: that of a GPU; many small tiles, a few workgroups, which go round often.
static const struct ag_planner_shape gpu_shape = { 32, 16, 32, 16, 4, 264, 16, 4 };
static const struct ag_planner_shape odd_shape = { 3, 7, 7, 4, 3, 5, 1000, 0 };

static struct ag_planner *make_planner(struct ag_gpu *gpu, const struct ag_planner_shape *shape)
{
    struct ag_error err = { 0 };
    struct ag_planner *planner = shape ? ag_planner_create_shaped(gpu, shape, &err)
                                       : ag_planner_create(gpu, &err);
    TEST_OK(planner, err);
    return planner;
}

static void open_planner(struct ag_gpu **gpu, struct ag_planner **planner)
{
    *gpu = test_gpu_open();
    *planner = make_planner(*gpu, NULL);
}

static void close_planner(struct ag_gpu **gpu, struct ag_planner **planner)
{
    ag_planner_destroy(*gpu, planner);
    assert_null(*planner);
    test_gpu_close(gpu);
}

// The reference holds the golden numbers (test_planner_ref.c).
static void test_goldens(void **state)
{
    (void)state;
    static const char *const names[] = { "tiny-sparse", "multiscale", "coarse-dense",
                                         "checkerboard-16", "checkerboard-32", "dense-grid-64",
                                         "dense-grid-196", "redundant-full-frame",
                                         "all-model-tokens", "full-frame", "empty", "overlap" };
    static const uint32_t sizes[][2] = { { 640, 360 }, { 1280, 720 }, { 1920, 1080 } };
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    open_planner(&gpu, &planner);
    struct ag_planner *cut_for_gpus = make_planner(gpu, &gpu_shape);
    for (size_t i = 0; i < AG_COUNT(names); i++) {
        struct ag_error err = { 0 };
        struct ag_forced forced;
        TEST_OK(ag_forced_open(names[i], &forced, &err), err);
        for (size_t s = 0; s < AG_COUNT(sizes); s++) {
            for (int g = 0; g <= AG_GEOMETRY_EFFECTIVE; g++) {
                struct ag_planner_setup setup = { sizes[s][0], sizes[s][1], forced.layout,
                                                  (enum ag_geometry)g, 1.0f };
                configure(planner, &setup);
                struct run run;
                run_plan(gpu, planner, forced.cells, forced.n, forced.max, false, &run);
                check_run(&setup, forced.cells, forced.n, &run, s == 0);
                ag_free(run.words);
                configure(cut_for_gpus, &setup);
                run_plan(gpu, cut_for_gpus, forced.cells, forced.n, forced.max, false, &run);
                check_run(&setup, forced.cells, forced.n, &run, s == 0);
                ag_free(run.words);
            }
        }
        ag_forced_close(&forced);
    }
    ag_planner_destroy(gpu, &cut_for_gpus);
    close_planner(&gpu, &planner);
}

static void test_random(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_planner *planners[3] = { make_planner(gpu, NULL), make_planner(gpu, &gpu_shape),
                                       make_planner(gpu, &odd_shape) };
    struct test_random random = { 11 };
    for (uint32_t round = 0; round < 1500; round++) {
        struct ag_planner *planner = planners[round % 3];
        struct test_plan_case c;
        test_plan_random(&random, &c);
        configure(planner, &c.setup);
        struct run run;
        run_plan(gpu, planner, c.cells, c.n, 256, false, &run);
        check_run(&c.setup, c.cells, c.n, &run, true);
        ag_free(run.words);
    }
    for (size_t i = 0; i < AG_COUNT(planners); i++) {
        ag_planner_destroy(gpu, &planners[i]);
    }
    test_gpu_close(&gpu);
}

// Tiled grids as of 1080p and 4K, the largest layouts of the program.
static void test_tiled(void **state)
{
    (void)state;
    static const uint32_t grids[][2] = { { 2, 2 }, { 4, 4 }, { 7, 7 }, { 14, 14 } };
    static const uint32_t sizes[][4] = { { 960, 540, 9, 5 }, { 1280, 720, 18, 10 } };
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    open_planner(&gpu, &planner);
    struct ag_planner *cut_for_gpus = make_planner(gpu, &gpu_shape);
    struct test_random random = { 5 };
    for (size_t s = 0; s < AG_COUNT(sizes); s++) {
        struct ag_planner_setup setup = { .width = sizes[s][0], .height = sizes[s][1],
                                          .cell_scale = 1.0f };
        for (uint32_t g = 0; g < 4; g++) {
            struct ag_grid grid = { sizes[s][2] * grids[g][0], sizes[s][3] * grids[g][1],
                                    setup.layout.cells, g };
            setup.layout.grid[setup.layout.n_grids++] = grid;
            setup.layout.cells += grid.cols * grid.rows;
        }
        enum { N = 4000 };
        uint32_t *cells = ag_alloc(N * sizeof(*cells));
        for (uint32_t i = 0; i < N; i++) {
            cells[i] = test_random_below(&random, setup.layout.cells);
        }
        for (int g = 0; g <= AG_GEOMETRY_EFFECTIVE; g++) {
            setup.geometry = (enum ag_geometry)g;
            configure(planner, &setup);
            struct run run;
            run_plan(gpu, planner, cells, N, N, false, &run);
            check_run(&setup, cells, N, &run, true);
            ag_free(run.words);
            configure(cut_for_gpus, &setup);
            run_plan(gpu, cut_for_gpus, cells, N, N, false, &run);
            check_run(&setup, cells, N, &run, s == 0);
            ag_free(run.words);
        }
        ag_free(cells);
    }
    ag_planner_destroy(gpu, &cut_for_gpus);
    close_planner(&gpu, &planner);
}

// 40000 cells on two pixels. (To search 65025 is more than the loops of a software driver do.)
static void test_cells_below_pixels(void **state)
{
    (void)state;
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    open_planner(&gpu, &planner);
    struct ag_planner_setup setup = { .width = 1, .height = 2, .cell_scale = 1.0f };
    uint32_t side = 200;
    assert_true(ag_layout_from_sides(&side, 1, &setup.layout));
    uint32_t cells[] = { 39999, 12, 39998 };
    for (int g = 0; g <= AG_GEOMETRY_EFFECTIVE; g++) {
        setup.geometry = (enum ag_geometry)g;
        configure(planner, &setup);
        struct run run;
        run_plan(gpu, planner, cells, 3, 3, false, &run);
        check_run(&setup, cells, 3, &run, true);
        assert_int_equal(run.stats.kept, g == AG_GEOMETRY_DEDUPLICATED ? 2 : 3);
        ag_free(run.words);
    }
    close_planner(&gpu, &planner);
}

// A keyframe updates everything and still draws the mask; no mask is an empty one; a count beyond
// the list is cut; one plan leaves nothing behind for the next.
static void test_keyframe_and_empty(void **state)
{
    (void)state;
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    open_planner(&gpu, &planner);
    struct ag_planner_setup setup = { .width = 33, .height = 20, .cell_scale = 1.0f };
    uint32_t sides[] = { 2, 4, 7, 14 };
    assert_true(ag_layout_from_sides(sides, 4, &setup.layout));
    configure(planner, &setup);
    uint32_t cells[] = { 0, 100, 100, AG_CELL_NONE, 265, 264 };
    struct run key, none, cut;
    run_plan(gpu, planner, cells, 6, 6, true, &key);
    assert_int_equal(key.stats.keyframe, 1);
    assert_int_equal(key.stats.path, 0);
    assert_int_equal(key.stats.listed, 6);
    assert_int_equal(key.stats.selected, 3);
    uint32_t covered = 0;
    for (uint32_t i = 0; i < 33 * 20; i++) {
        assert_true(key.words[i] & SEGMENT_UPDATED);
        covered += (key.words[i] & SEGMENT_COVERED) != 0;
    }
    assert_int_equal(covered, key.stats.pixels);
    assert_in_range(covered, 17 * 10, 33 * 20 - 1);

    run_plan(gpu, planner, cells, 6, 0, false, &none);
    check_run(&setup, NULL, 0, &none, true);
    run_plan(gpu, planner, cells, 6, 2, false, &cut);
    check_run(&setup, cells, 2, &cut, true);
    ag_free(key.words);
    ag_free(none.words);
    ag_free(cut.words);
    close_planner(&gpu, &planner);
}

static void test_bad_setups(void **state)
{
    (void)state;
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    open_planner(&gpu, &planner);
    struct ag_planner_setup good = { .width = 16, .height = 16, .cell_scale = 1.0f };
    uint32_t sides[] = { 2, 4 };
    assert_true(ag_layout_from_sides(sides, 2, &good.layout));
    struct ag_planner_setup bad[9];
    for (size_t i = 0; i < AG_COUNT(bad); i++) {
        bad[i] = good;
    }
    bad[0].width = 0;
    bad[1].height = 16385;
    bad[2].cell_scale = 0.0f;
    bad[3].layout.n_grids = 0;
    bad[4].layout.n_grids = 9;
    bad[5].layout.grid[1].first = 5;
    bad[6].layout.cells = 21;
    bad[7].layout.grid[0].colour = 4;
    bad[8].layout = (struct ag_layout){ 1, { { 60000, 1, 0, 0 } }, 60000 };
    bad[8].geometry = AG_GEOMETRY_EFFECTIVE;
    for (size_t i = 0; i < AG_COUNT(bad); i++) {
        struct ag_error err = { 0 };
        assert_false(ag_planner_configure(planner, &bad[i], &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
        assert_true(strlen(err.text) > 20);
    }
    bad[8].geometry = AG_GEOMETRY_NATIVE;
    configure(planner, &bad[8]);
    close_planner(&gpu, &planner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_tiled),
        cmocka_unit_test(test_cells_below_pixels),
        cmocka_unit_test(test_keyframe_and_empty),
        cmocka_unit_test(test_bad_setups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
