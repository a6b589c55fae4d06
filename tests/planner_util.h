// What the tests of planner and compositor share: golden panels (pipeline specification 13.3),
// random numbers, pictures.
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

struct golden_panel {
    const char *name;
    uint32_t width, height;
    enum ag_geometry geometry;
    enum ag_mask_style style;
    uint64_t mask, output; // output 0: not given
    double psnr;           // of the output; 0: infinite
};

#define FRAME_11_720P 0xb1e34dcea0d27d25u
#define FRAME_11_1080P 0x9bc0892b7ff01f25u

// History = bench frame 7, input = bench frame 11, blend alpha 0.38.
static const struct golden_panel golden_panels[] = {
    { "empty", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0xd395e456e4e72325, 0x63ca1ade4ac65325, 7.715824 },
    { "tiny-sparse", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x959dc900276446c7, 0x8dc7ff4bfefa33d5,
      7.716615 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0xf47ab9edbe924c8e, 0x8cffa81b2df7533d,
      9.545739 },
    { "multiscale", 1280, 720, AG_GEOMETRY_EFFECTIVE, 0, 0x30f79ecd045b4b43, 0x061fff46bf6c218d,
      7.793750 },
    { "coarse-dense", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x93aafbc010286dcb, 0x1d62de5c94030e25,
      8.946458 },
    { "checkerboard-16", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0xa7931224fff4dcd8, 0xd3d8c39da142a625,
      10.726504 },
    { "checkerboard-32", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x3b9b7f1805d58621, 0xc86a0964d0f25325,
      10.824105 },
    { "dense-grid-64", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x3c800d3b09ff57a1, FRAME_11_720P, 0 },
    { "redundant-full-frame", 1280, 720, AG_GEOMETRY_NATIVE, 0, 0x0049bf3c104f3786, FRAME_11_720P,
      0 },
    { "redundant-full-frame", 1280, 720, AG_GEOMETRY_DEDUPLICATED, 0, 0xa2b002c7ea11abc9,
      FRAME_11_720P, 0 },
    { "tiny-sparse", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x639b647d5263825e, 0xd8b015e3d3464fb5,
      7.698303 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x9fd68a9e589130ec, 0xe736f5ed751510b5,
      9.523948 },
    { "coarse-dense", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x3c5372d6a0e3915e, 0xd242b702a1030725,
      8.981743 },
    { "checkerboard-16", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0xfe3b03b473fa79a9, 0xa35dc20c69730325,
      10.766003 },
    { "checkerboard-32", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x40d33525c5257d6a, 0x5166856839d14525,
      10.806136 },
    { "dense-grid-64", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x347ab19185c936e6, FRAME_11_1080P, 0 },
    { "redundant-full-frame", 1920, 1080, AG_GEOMETRY_NATIVE, 0, 0x039e62e4e1578abe,
      FRAME_11_1080P, 0 },
    { "redundant-full-frame", 1920, 1080, AG_GEOMETRY_DEDUPLICATED, 0, 0xc4f4f71188bda55e,
      FRAME_11_1080P, 0 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, AG_STYLE_IMAGE_OVERLAY, 0xe0c49778aa989416,
      0x8cffa81b2df7533d, 9.545739 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, AG_STYLE_OVERLAY, 0x05fca15d10c11729,
      0x8cffa81b2df7533d, 9.545739 },
    { "multiscale", 1280, 720, AG_GEOMETRY_NATIVE, AG_STYLE_SCALE_ROWS, 0x4932bc308bb49a85,
      0x8cffa81b2df7533d, 9.545739 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, AG_STYLE_IMAGE_OVERLAY, 0x7f2aa99480a0ffea,
      0xe736f5ed751510b5, 9.523948 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, AG_STYLE_OVERLAY, 0x0a589210e813c691,
      0xe736f5ed751510b5, 9.523948 },
    { "multiscale", 1920, 1080, AG_GEOMETRY_NATIVE, AG_STYLE_SCALE_ROWS, 0x9733cbb52a6fbb99,
      0xe736f5ed751510b5, 9.523948 },
};

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
