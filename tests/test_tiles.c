// Tile geometry: M7.2's table, stitched grids, and upstream's target scales.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/planner.h"
#include "autogaze/tiles.h"

static const struct ag_model_config official = {
    .image_size = 224, .patch = 16, .grid = 14, .tokens = 196, .n_scales = 4,
    .scale = { 32, 64, 112, 224 }, .scale_grid = { 2, 4, 7, 14 }, .scale_first = { 0, 4, 20, 69 },
    .cells = 265, .eos = 265, .vocab = 266,
};

struct row {
    uint32_t width, height, rows, cols, canvas_w, canvas_h, finest_cols, finest_rows, ids;
};

static void table_of_sizes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { 1280, 720, 4, 6, 1344, 896, 84, 56, 6360 },
        { 1920, 1080, 5, 9, 2016, 1120, 126, 70, 11925 },
        { 3840, 2160, 10, 18, 4032, 2240, 252, 140, 47700 },
        { 720, 1280, 6, 4, 896, 1344, 56, 84, 6360 },
        { 100, 60, 1, 1, 224, 224, 14, 14, 265 },
        { 225, 224, 1, 2, 448, 224, 28, 14, 530 },
    };
    for (size_t i = 0; i < AG_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        for (enum ag_mode m = AG_MODE_TILED; m <= AG_MODE_TILED_FULL; m++) {
            struct ag_tiling t;
            struct ag_layout l;
            ag_tiling_make(m, r->width, r->height, 224, &t);
            assert_int_equal(t.rows, r->rows);
            assert_int_equal(t.cols, r->cols);
            assert_int_equal(t.canvas_width, r->canvas_w);
            assert_int_equal(t.canvas_height, r->canvas_h);
            assert_true(ag_tiling_layout(&t, &official, &l));
            assert_int_equal(l.grid[3].cols, r->finest_cols);
            assert_int_equal(l.grid[3].rows, r->finest_rows);
            assert_int_equal(l.cells, r->ids);
        }
    }
}

// Every global cell of every grid is named by exactly one (tile, id).
static void every_cell_once(void **state)
{
    (void)state;
    static uint8_t seen[AG_MAX_CELLS];
    struct ag_tiling t;
    struct ag_layout l;
    ag_tiling_make(AG_MODE_TILED, 1920, 1080, 224, &t);
    assert_true(ag_tiling_layout(&t, &official, &l));
    assert_int_equal(ag_layout_tiles(&l), 45);
    memset(seen, 0, sizeof(seen));
    for (uint32_t tile = 0; tile < t.tiles; tile++) {
        for (uint32_t id = 0; id < official.cells; id++) {
            uint32_t cell = ag_tiling_cell(&t, &official, &l, tile, id);
            assert_in_range(cell, 0, l.cells - 1);
            assert_int_equal(seen[cell]++, 0);
        }
    }
    // Tile (1, 2), cell (3, 5) of the 7-grid is global cell (10, 19).
    uint32_t id = official.scale_first[2] + 7 * 3 + 5;
    assert_int_equal(ag_tiling_cell(&t, &official, &l, 9 + 2, id), l.grid[2].first + 10 * 63 + 19);
    // In realtime a cell's number is the gaze id.
    ag_tiling_make(AG_MODE_REALTIME, 1920, 1080, 224, &t);
    assert_true(ag_tiling_layout(&t, &official, &l));
    for (id = 0; id < official.cells; id++) {
        assert_int_equal(ag_tiling_cell(&t, &official, &l, 0, id), id);
    }
}

// tiled-full: a cell is its canvas square cut off at the frame, exactly; the squares of a grid
// partition the frame; what is left of none is no cell. tiled: the canvas square, scaled.
static void rectangles(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = { { 1920, 1080 }, { 1280, 720 }, { 720, 1280 }, { 100, 60 },
                                         { 449, 225 } };
    for (size_t i = 0; i < AG_COUNT(sizes); i++) {
        uint32_t width = sizes[i][0], height = sizes[i][1];
        struct ag_tiling full, scaled;
        struct ag_layout lf, ls;
        ag_tiling_make(AG_MODE_TILED_FULL, width, height, 224, &full);
        ag_tiling_make(AG_MODE_TILED, width, height, 224, &scaled);
        assert_true(ag_tiling_layout(&full, &official, &lf));
        assert_true(ag_tiling_layout(&scaled, &official, &ls));
        uint64_t area[4] = { 0 };
        for (uint32_t tile = 0; tile < full.tiles; tile++) {
            for (uint32_t id = 0; id < official.cells; id++) {
                uint32_t s, row, col;
                ag_cell_of_id(&official, id, &s, &row, &col);
                uint32_t side = 224 / official.scale_grid[s];
                uint32_t x = tile % full.cols * 224 + col * side;
                uint32_t y = tile / full.cols * 224 + row * side;
                uint32_t cell = ag_tiling_cell(&full, &official, &lf, tile, id);
                uint32_t own = ag_tiling_cell(&scaled, &official, &ls, tile, id);
                assert_int_equal(cell == AG_CELL_NONE, x >= width || y >= height);
                if (cell != AG_CELL_NONE) {
                    assert_int_equal(cell, own); // the grids are the same
                    struct ag_rect r = ag_cell_rect(&lf, cell, width, height, 1);
                    assert_true(r.x0 == x && r.x1 == AG_MIN(x + side, width));
                    assert_true(r.y0 == y && r.y1 == AG_MIN(y + side, height));
                    area[s] += (uint64_t)(r.x1 - r.x0) * (r.y1 - r.y0);
                }
                struct ag_rect r = ag_cell_rect(&ls, own, width, height, 1);
                assert_int_equal(r.x0, (uint64_t)x * width / scaled.canvas_width);
                assert_int_equal(r.x1, AG_DIV_UP((uint64_t)(x + side) * width,
                                                 scaled.canvas_width));
                assert_int_equal(r.y0, (uint64_t)y * height / scaled.canvas_height);
                assert_int_equal(r.y1, AG_DIV_UP((uint64_t)(y + side) * height,
                                                 scaled.canvas_height));
            }
        }
        for (int s = 0; s < 4; s++) {
            assert_int_equal(area[s], (uint64_t)width * height);
        }
    }
}

static void target_scales(void **state)
{
    (void)state;
    struct ag_target_scales t;
    assert_true(ag_target_make(&official, (const uint32_t[]){ 64, 128, 224, 448 }, 4, 16, &t, NULL));
    assert_int_equal(t.cells, 1060);
    assert_int_equal(t.tiles_a_side, 2);
    assert_int_equal(t.tile_pixels, 224);
    assert_true(ag_target_make(&official, (const uint32_t[]){ 56, 112, 196, 392 }, 4, 14, &t, NULL));
    assert_int_equal(t.map[0], 4);
    assert_int_equal(t.map[3], 28);
    assert_int_equal(t.tile_pixels, 196);
    struct ag_error err = { 0 };
    assert_false(ag_target_make(&official, (const uint32_t[]){ 64, 448 }, 2, 16, &t, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);

    uint32_t ids[4][2] = { { 0, 265 }, { 3, 69 }, { 264, 265 }, { 20, 4 } };
    struct ag_gaze gaze[4];
    for (int i = 0; i < 4; i++) {
        gaze[i] = (struct ag_gaze){ .slots = 2, .ids = ids[i] };
    }
    assert_true(ag_target_make(&official, (const uint32_t[]){ 64, 128, 224, 448 }, 4, 16, &t, NULL));
    uint8_t mask[1060];
    uint32_t out[1060];
    uint32_t n = ag_target_stitch(&t, &official, gaze, mask, out);
    // tile 0: id 0 -> (0,0); tile 1: id 3 -> coarse (1,3), id 69 -> fine (0,14); tile 2: id 264 ->
    // fine (27,13); tile 3: id 20 -> 7-grid (7,7), id 4 -> 4-grid (4,4).
    const uint32_t expected[] = { 0, 7, 16 + 4 * 8 + 4, 80 + 7 * 14 + 7, 276 + 14, 276 + 27 * 28 + 13 };
    assert_int_equal(n, AG_COUNT(expected));
    assert_memory_equal(out, expected, sizeof(expected));
    int64_t upstream[8];
    ag_target_output(&t, out, n, 8, 3, upstream);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(upstream[i], 3 * 1060 + (i < n ? (int64_t)expected[i] : -1));
    }

    // 100 pixels with patch 20: maps 1, 2, 4, 5 (28-grids cropped), a tile of 280 pixels, padded.
    assert_true(ag_target_make(&official, (const uint32_t[]){ 20, 40, 80, 100 }, 4, 20, &t, NULL));
    assert_int_equal(t.tiles_a_side, 1);
    float *picture = ag_alloc(3 * 100 * 100 * 4), *tile = ag_alloc(3 * 224 * 224 * 4);
    for (uint32_t i = 0; i < 3 * 100 * 100; i++) {
        picture[i] = 0.5f;
    }
    ag_target_cut(&t, &official, picture, tile);
    for (uint32_t y = 0; y < 224; y++) { // 100 of 280 pixels are 80 of 224; bicubic at the edge
        for (uint32_t x = 0; x < 224; x++) {
            float v = tile[2 * 224 * 224 + y * 224 + x];
            bool inside = x < 77 && y < 77, outside = x > 82 || y > 82;
            assert_true(!inside || fabsf(v - 0.5f) < 1e-5f);
            assert_true(!outside || fabsf(v) < 1e-5f);
        }
    }
    ag_free(tile);
    ag_free(picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_sizes),
        cmocka_unit_test(every_cell_once),
        cmocka_unit_test(rectangles),
        cmocka_unit_test(target_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
