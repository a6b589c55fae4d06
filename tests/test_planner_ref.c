// Plain C reference of the planner against the golden plans of the pipeline specification (13.2)
// and against brute force; forced masks.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/mask_source.h"

static const struct {
    uint32_t width, height;
} sizes[3] = { { 640, 360 }, { 1280, 720 }, { 1920, 1080 } };

#define ANY_GEOMETRY { AG_GEOMETRY_NATIVE, AG_GEOMETRY_DEDUPLICATED, AG_GEOMETRY_EFFECTIVE }
#define FULL { { 360, 640 * 360 }, { 720, 1280 * 720 }, { 1080, 1920 * 1080 } }

// The pixel numbers of `effective` differ only where the masks have holes that it enlarges.
static const struct {
    const char *name;
    uint32_t cells;
    struct {
        uint32_t kept, rects;
    } geometry[AG_GEOMETRY_EFFECTIVE + 1]; // in the order of the enum
    struct {
        uint32_t spans, pixels;
    } plan[3], effective[3]; // effective[0].spans 0: as plan
} goldens[] = {
    { "tiny-sparse", 1, { { 1, 1 }, { 1, 1 }, { 1, 1 } },
      { { 6, 60 }, { 12, 240 }, { 17, 510 } }, { { 0 } } },
    { "multiscale", 4, { { 4, 4 }, { 4, 4 }, { 4, 4 } },
      { { 259, 78053 }, { 516, 311972 }, { 773, 701544 } },
      { { 107, 4976 }, { 209, 19280 }, { 312, 43056 } } },
    { "coarse-dense", 1, { { 1, 1 }, { 1, 1 }, { 1, 1 } },
      { { 180, 57600 }, { 360, 230400 }, { 540, 518400 } },
      { { 26, 1196 }, { 52, 4784 }, { 78, 10764 } } },
    { "checkerboard-16", 128, { { 128, 128 }, { 128, 128 }, { 128, 128 } },
      { { 2824, 117760 }, { 5760, 460800 }, { 8584, 1044480 } }, { { 0 } } },
    { "checkerboard-32", 512, { { 512, 512 }, { 512, 512 }, { 512, 512 } },
      { { 5400, 122880 }, { 11280, 471040 }, { 16920, 1059840 } }, { { 0 } } },
    { "dense-grid-64", 4096, { { 4096, 64 }, { 4096, 64 }, { 4096, 64 } }, FULL, { { 0 } } },
    { "dense-grid-196", 196, { { 196, 14 }, { 196, 14 }, { 196, 14 } }, FULL, { { 0 } } },
    { "redundant-full-frame", 1049, { { 4, 2 }, { 1049, 55 }, { 784, 28 } }, FULL, { { 0 } } },
    { "all-model-tokens", 265, { { 4, 2 }, { 265, 27 }, { 196, 14 } }, FULL, { { 0 } } },
};

static void test_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(goldens); i++) {
        struct ag_error err = { 0 };
        struct ag_forced forced;
        assert_true(ag_forced_open(goldens[i].name, &forced, &err));
        assert_int_equal(forced.n, goldens[i].cells);
        for (size_t s = 0; s < AG_COUNT(sizes); s++) {
            for (int g = 0; g <= AG_GEOMETRY_EFFECTIVE; g++) {
                struct ag_planner_setup setup = {
                    .width = sizes[s].width, .height = sizes[s].height,
                    .layout = forced.layout, .geometry = (enum ag_geometry)g, .cell_scale = 1.0f
                };
                struct ag_ref_plan plan;
                ag_ref_plan(&setup, forced.cells, forced.n, &plan);
                struct ag_plan_spans spans = ag_ref_plan_spans(&plan, setup.width, setup.height,
                                                               1.0f);
                bool own = g == AG_GEOMETRY_EFFECTIVE && goldens[i].effective[0].spans;
                assert_int_equal(plan.stats.selected, goldens[i].cells);
                assert_int_equal(plan.stats.kept, goldens[i].geometry[g].kept);
                assert_int_equal(spans.rects, goldens[i].geometry[g].rects);
                assert_int_equal(spans.spans, own ? goldens[i].effective[s].spans
                                                  : goldens[i].plan[s].spans);
                assert_int_equal(spans.pixels, own ? goldens[i].effective[s].pixels
                                                   : goldens[i].plan[s].pixels);
                assert_int_equal(plan.stats.pixels, spans.pixels);
                ag_ref_plan_free(&plan);
            }
        }
        ag_forced_close(&forced);
    }
}

// Upstream computes edges in float32 and starts some cells a pixel early, for instance cell 7 of 14
// at these extents (5.2). Ours is the exact rule.
static void test_exact_rectangles(void **state)
{
    (void)state;
    static const uint32_t extents[] = { 360, 640, 720, 1080, 1280, 1920, 224 };
    for (size_t i = 0; i < AG_COUNT(extents); i++) {
        for (uint32_t n = 1; n <= 64; n++) {
            for (uint32_t c = 0; c < n; c++) {
                uint32_t first, end;
                ag_cell_span(c, n, extents[i], AG_CELL_UNIT, &first, &end);
                assert_int_equal(first, c * extents[i] / n);
                assert_int_equal(end, ((c + 1) * extents[i] + n - 1) / n);
            }
        }
        uint32_t first, end;
        ag_cell_span(7, 14, extents[i], AG_CELL_UNIT, &first, &end);
        assert_int_equal(first, extents[i] / 2);
    }
}

// The closed form of 5.4: cells that cover column x are floor(x g/W) to floor(((x+1) g - 1)/W).
static void test_closed_form(void **state)
{
    (void)state;
    for (uint32_t extent = 1; extent <= 40; extent++) {
        for (uint32_t n = 1; n <= 30; n++) {
            for (uint32_t x = 0; x < extent; x++) {
                for (uint32_t c = 0; c < n; c++) {
                    uint32_t first, end;
                    ag_cell_span(c, n, extent, AG_CELL_UNIT, &first, &end);
                    bool covers = x * n / extent <= c && c <= ((x + 1) * n - 1) / extent;
                    assert_int_equal(first <= x && x < end, covers);
                }
            }
        }
    }
}

static void test_cell_scale(void **state)
{
    (void)state;
    assert_int_equal(ag_cell_units(1.0f), AG_CELL_UNIT);
    assert_int_equal(ag_cell_units(0.0f), AG_CELL_UNIT);
    assert_int_equal(ag_cell_units(NAN), AG_CELL_UNIT);
    assert_int_equal(ag_cell_units(0.5f), AG_CELL_UNIT / 2);
    assert_int_equal(ag_cell_units(1e-9f), 1);
    uint32_t first, end;
    ag_cell_span(1, 4, 400, AG_CELL_UNIT / 2, &first, &end); // centre 150, half 25
    assert_int_equal(first, 125);
    assert_int_equal(end, 175);
    ag_cell_span(1, 4, 400, 2 * AG_CELL_UNIT, &first, &end);
    assert_int_equal(first, 50);
    assert_int_equal(end, 250);
    ag_cell_span(0, 4, 400, 100 * AG_CELL_UNIT, &first, &end); // at most half of the axis
    assert_int_equal(first, 0);
    assert_int_equal(end, 250);
    ag_cell_span(2, 4, 3, 1, &first, &end); // a dot at 1.875 still is a pixel
    assert_int_equal(first, 1);
    assert_int_equal(end, 2);
    // Against double arithmetic, away from ties.
    for (uint32_t units = 401; units < 20000; units += 1237) {
        for (uint32_t c = 0; c < 14; c++) {
            double centre = (c + 0.5) / 14, half = fmin(units / 4096.0 / 28.0, 0.5);
            ag_cell_span(c, 14, 997, units, &first, &end);
            assert_int_equal(first, (uint32_t)floor(fmax(centre - half, 0.0) * 997));
            assert_int_equal(end, (uint32_t)ceil(fmin(centre + half, 1.0) * 997));
        }
    }
}

// Overlapping rectangles count once; neighbours and touching ones merge.
static void test_spans(void **state)
{
    (void)state;
    // A 6x4 picture and grids 2 and 3: (0..3, 0..2) and (2..4, 1..3) make 9 pixels.
    struct ag_planner_setup setup = {
        .width = 6, .height = 4, .geometry = AG_GEOMETRY_NATIVE, .cell_scale = 1.0f
    };
    uint32_t sides[] = { 2, 3 };
    assert_true(ag_layout_from_sides(sides, 2, &setup.layout));
    uint32_t cells[] = { 0, 4 + 4 };
    struct ag_ref_plan plan;
    ag_ref_plan(&setup, cells, 2, &plan);
    assert_int_equal(plan.stats.pixels, 9);
    struct ag_plan_spans spans = ag_ref_plan_spans(&plan, 6, 4, 1.0f);
    assert_int_equal(spans.rects, 2);
    assert_int_equal(spans.spans, 3);
    assert_int_equal(spans.pixels, 9);
    ag_ref_plan_free(&plan);

    ag_ref_plan(&setup, NULL, 0, &plan);
    spans = ag_ref_plan_spans(&plan, 6, 4, 1.0f);
    assert_int_equal(spans.rects + spans.spans + spans.pixels + plan.n, 0);
    ag_ref_plan_free(&plan);
}

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

// Deduplication keeps the union and drops a coarse cell never; effective has one cell a target.
static void test_policies(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 300; round++) {
        struct ag_planner_setup setup = { .width = 1 + random_below(50),
                                          .height = 1 + random_below(40), .cell_scale = 1.0f };
        uint32_t sides[] = { 2, 4, 7, 14 };
        assert_true(ag_layout_from_sides(sides, 4, &setup.layout));
        uint32_t cells[60], n = random_below(60);
        for (uint32_t i = 0; i < n; i++) {
            cells[i] = random_below(3) ? random_below(69) : random_below(300);
        }
        struct ag_ref_plan native, dedup, effective;
        setup.geometry = AG_GEOMETRY_NATIVE;
        ag_ref_plan(&setup, cells, n, &native);
        setup.geometry = AG_GEOMETRY_DEDUPLICATED;
        ag_ref_plan(&setup, cells, n, &dedup);
        setup.geometry = AG_GEOMETRY_EFFECTIVE;
        ag_ref_plan(&setup, cells, n, &effective);
        assert_int_equal(native.stats.pixels, dedup.stats.pixels);
        assert_int_equal(native.stats.kept, native.stats.selected);
        assert_true(dedup.n <= native.n && effective.n <= native.n);
        assert_true((dedup.n == 0) == (native.n == 0) && (effective.n == 0) == (native.n == 0));
        if (setup.width >= 4 && setup.height >= 4) {
            assert_int_equal(native.stats.per_grid[0], dedup.stats.per_grid[0]);
        }
        // Spans of the kept cells count the same pixels as the map.
        assert_int_equal(ag_ref_plan_spans(&dedup, setup.width, setup.height, 1.0f).pixels,
                         dedup.stats.pixels);
        assert_int_equal(effective.layout.cells, 196);
        ag_ref_plan_free(&native);
        ag_ref_plan_free(&dedup);
        ag_ref_plan_free(&effective);
    }
}

// All four cells of the 2-grid: 100 % native, 4 of 196 cells effective; the finest one that
// projects onto a target colours it; tiled layouts have their own target.
static void test_effective(void **state)
{
    (void)state;
    struct ag_planner_setup setup = { .width = 196, .height = 196,
                                      .geometry = AG_GEOMETRY_EFFECTIVE, .cell_scale = 1.0f };
    uint32_t sides[] = { 2, 4, 7, 14 };
    assert_true(ag_layout_from_sides(sides, 4, &setup.layout));
    // Cell (3,3) of the 14-grid holds the centre of cell (0,0) of the 2-grid.
    uint32_t cells[] = { 69 + 3 * 14 + 3, 0, 1, 2, 3 };
    struct ag_ref_plan plan;
    ag_ref_plan(&setup, cells, 5, &plan);
    assert_int_equal(plan.n, 4);
    assert_int_equal(plan.stats.pixels, 4 * 196);
    assert_int_equal(plan.cells[0], 3 * 14 + 3);
    assert_int_equal(plan.colour[0], 3);
    assert_int_equal(plan.colour[1], 0);
    assert_int_equal(plan.stats.per_grid[0], 3);
    assert_int_equal(plan.stats.per_grid[3], 1);
    ag_ref_plan_free(&plan);

    struct ag_layout tiled = { .n_grids = 2, .grid = { { 18, 10, 0, 0 }, { 126, 70, 180, 3 } },
                               .cells = 180 + 8820 };
    struct ag_layout target;
    assert_true(ag_plan_layout(&tiled, AG_GEOMETRY_EFFECTIVE, &target));
    assert_int_equal(target.grid[0].cols, 126);
    assert_int_equal(target.grid[0].rows, 70);
}

// ---- forced masks ------------------------------------------------------------------------------

static void test_forced_cases(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t n, cells;
    } expected[] = {
        { "empty", 0, 265 }, { "overlap", 4, 265 }, { "full-frame", 1, 1 },
        { "checkerboard-1", 1, 1 }, { "checkerboard-255", 32513, 65025 },
        { "checkerboard-8", 32, 64 }, { "random-30%", 59, 196 }, { "random-0%", 0, 196 },
        { "random-100", 196, 196 },
    };
    for (size_t i = 0; i < AG_COUNT(expected); i++) {
        struct ag_error err = { 0 };
        struct ag_forced f;
        assert_true(ag_forced_open(expected[i].name, &f, &err));
        assert_int_equal(f.n, expected[i].n);
        assert_int_equal(f.layout.cells, expected[i].cells);
        ag_forced_close(&f);
    }
    static const char *const wrong[] = { "", "tiny", "checkerboard-", "checkerboard-0",
                                         "checkerboard-256", "checkerboard-4x", "random-101%",
                                         "random-%", "random-5%%", "checkerboard-4294967300" };
    for (size_t i = 0; i < AG_COUNT(wrong); i++) {
        struct ag_error err = { 0 };
        struct ag_forced f;
        assert_false(ag_forced_open(wrong[i], &f, &err));
        assert_int_equal(err.status, AG_ERR_USAGE);
        assert_non_null(strstr(err.text, "checkerboard-N"));
    }
}

static void test_forced_random(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_forced f;
    assert_true(ag_forced_open("random-25%", &f, &err));
    assert_true(f.changes);
    uint32_t first[49], seen[196] = { 0 };
    ag_forced_update(&f, "random-25%", 7);
    assert_int_equal(f.n, 49);
    memcpy(first, f.cells, sizeof(first));
    ag_forced_update(&f, "random-25%", 8);
    assert_memory_not_equal(first, f.cells, sizeof(first));
    ag_forced_update(&f, "random-25%", 7);
    assert_memory_equal(first, f.cells, sizeof(first));
    uint64_t allocations = ag_alloc_count();
    for (uint64_t id = 0; id < 1000; id++) {
        ag_forced_update(&f, "random-25%", id);
        bool twice[196] = { false };
        for (uint32_t i = 0; i < f.n; i++) {
            assert_false(twice[f.cells[i]]);
            twice[f.cells[i]] = true;
            seen[f.cells[i]]++;
        }
    }
    assert_int_equal(ag_alloc_count(), allocations);
    for (uint32_t i = 0; i < 196; i++) { // 250 expected, deviation 14
        assert_in_range(seen[i], 180, 320);
    }
    ag_forced_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),        cmocka_unit_test(test_exact_rectangles),
        cmocka_unit_test(test_closed_form),    cmocka_unit_test(test_cell_scale),
        cmocka_unit_test(test_spans),          cmocka_unit_test(test_policies),
        cmocka_unit_test(test_effective),      cmocka_unit_test(test_forced_cases),
        cmocka_unit_test(test_forced_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
