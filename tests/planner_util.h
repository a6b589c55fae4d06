// What the tests of planner and compositor share: random numbers, pictures, plans.
#ifndef AUTOGAZE_TESTS_PLANNER_UTIL_H
#define AUTOGAZE_TESTS_PLANNER_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/compositor.h"
#include "autogaze/mask_source.h"
#include "autogaze/source.h"

#include "golden_panels.h"

struct test_random {
    uint32_t state;
};

static inline uint32_t test_random_below(struct test_random *r, uint32_t n)
{
    r->state = r->state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(r->state >> 8) * n) >> 24);
}

static inline uint8_t *test_bench_frame(uint32_t index, uint32_t width, uint32_t height)
{
    uint8_t *rgba = ag_alloc((size_t)4 * width * height);
    ag_pattern_draw(AG_PATTERN_BENCH, index, width, height, rgba);
    return rgba;
}

static inline uint8_t *test_random_frame(struct test_random *r, uint32_t width, uint32_t height)
{
    uint8_t *rgba = ag_alloc((size_t)4 * width * height);
    for (size_t i = 0; i < (size_t)4 * width * height; i++) {
        rgba[i] = (uint8_t)test_random_below(r, 256);
    }
    return rgba;
}

// A layout, a picture size and a list of cells that tests the corners: repeats, pads and numbers
// out of range among them, pictures smaller than the grid, tiled grids, cells larger or
// smaller than their places.
struct test_plan_case {
    struct ag_planner_setup setup;
    uint32_t n, cells[256];
};

static inline void test_plan_random(struct test_random *r, struct test_plan_case *out)
{
    static const uint32_t sizes[][2] = { { 7, 5 },  { 64, 36 }, { 36, 64 }, { 61, 37 }, { 48, 48 },
                                         { 90, 160 }, { 1, 1 },  { 3, 40 },  { 129, 71 } };
    static const struct ag_layout tiled = {
        .n_grids = 3, .grid = { { 6, 4, 0, 0 }, { 12, 8, 24, 1 }, { 21, 14, 120, 2 } },
        .cells = 24 + 96 + 294
    };
    static const uint32_t sides[][4] = { { 2, 4, 7, 14 }, { 1, 2, 3, 5 }, { 2, 4, 7, 28 } };
    static const float scales[] = { 1.0f, 1.0f, 1.0f, 0.5f, 1.1f, 1.7f, 3.0f, 0.01f };
    *out = (struct test_plan_case){ 0 };
    const uint32_t *size = sizes[test_random_below(r, AG_COUNT(sizes))];
    out->setup.width = size[0];
    out->setup.height = size[1];
    out->setup.geometry = (enum ag_geometry)test_random_below(r, 3);
    out->setup.cell_scale = scales[test_random_below(r, AG_COUNT(scales))];
    uint32_t kind = test_random_below(r, 5);
    if (kind == 0) {
        out->setup.layout = tiled;
    } else {
        uint32_t n = kind == 1 ? 1 + test_random_below(r, 4) : 4;
        ag_layout_from_sides(sides[test_random_below(r, AG_COUNT(sides))], n, &out->setup.layout);
    }
    if (test_random_below(r, 4) == 0) { // grids that reach beyond the picture
        out->setup.layout.extent_width = size[0] + test_random_below(r, 40);
        out->setup.layout.extent_height = size[1] + test_random_below(r, 20);
    }
    out->n = test_random_below(r, test_random_below(r, 2) ? 20 : 256);
    for (uint32_t i = 0; i < out->n; i++) {
        out->cells[i] = test_random_below(r, out->setup.layout.cells + 3);
        if (test_random_below(r, 16) == 0) {
            out->cells[i] = AG_CELL_NONE;
        }
    }
}

#endif
