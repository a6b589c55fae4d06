#include "autogaze/tiles.h"

#include <string.h>

void ag_tiling_make(enum ag_mode mode, uint32_t width, uint32_t height, uint32_t side,
                    struct ag_tiling *out)
{
    bool one = mode == AG_MODE_REALTIME;
    *out = (struct ag_tiling){
        .mode = mode,
        .side = side,
        .cols = one ? 1 : AG_DIV_UP(width, side),
        .rows = one ? 1 : AG_DIV_UP(height, side),
        .width = width,
        .height = height,
    };
    out->tiles = out->cols * out->rows;
    out->canvas_width = out->cols * side;
    out->canvas_height = out->rows * side;
    bool padded = mode == AG_MODE_TILED_FULL;
    out->extent_width = padded ? out->canvas_width : width;
    out->extent_height = padded ? out->canvas_height : height;
}

// Palette entry of a grid side, S6.4.
static uint32_t colour_of(uint32_t grid)
{
    return grid <= 2 ? 0 : grid <= 4 ? 1 : grid <= 7 ? 2 : 3;
}

bool ag_tiling_layout(const struct ag_tiling *t, const struct ag_model_config *c,
                      struct ag_layout *out)
{
    uint64_t cells = 0;
    *out = (struct ag_layout){ .n_grids = c->n_scales };
    for (uint32_t s = 0; s < c->n_scales; s++) {
        uint32_t g = c->scale_grid[s];
        out->grid[s] = (struct ag_grid){
            .cols = g * t->cols,
            .rows = g * t->rows,
            .first = (uint32_t)cells,
            .colour = colour_of(g),
        };
        cells += (uint64_t)g * t->cols * g * t->rows;
        if (cells > AG_MAX_CELLS) {
            return false;
        }
    }
    out->cells = (uint32_t)cells;
    if (t->mode == AG_MODE_TILED_FULL) {
        out->extent_width = t->extent_width;
        out->extent_height = t->extent_height;
    }
    out->tile_cols = t->cols;
    out->tile_rows = t->rows;
    return true;
}

void ag_tiling_seen(const struct ag_tiling *t, const struct ag_grid *grid, uint32_t *cols,
                    uint32_t *rows)
{
    // Cell i begins at floor(i * extent / n), which is below `size` for i < size * n / extent.
    *cols = (uint32_t)AG_DIV_UP((uint64_t)t->width * grid->cols, t->extent_width);
    *rows = (uint32_t)AG_DIV_UP((uint64_t)t->height * grid->rows, t->extent_height);
}

uint32_t ag_tiling_cell(const struct ag_tiling *t, const struct ag_model_config *c,
                        const struct ag_layout *layout, uint32_t tile, uint32_t id)
{
    uint32_t s, row, col;
    ag_cell_of_id(c, id, &s, &row, &col);
    const struct ag_grid *g = &layout->grid[s];
    row += tile / t->cols * c->scale_grid[s];
    col += tile % t->cols * c->scale_grid[s];
    uint32_t cols, rows;
    ag_tiling_seen(t, g, &cols, &rows);
    return col < cols && row < rows ? g->first + row * g->cols + col : AG_CELL_NONE;
}

bool ag_target_make(const struct ag_model_config *c, const uint32_t *scales, uint32_t n,
                    uint32_t patch, struct ag_target_scales *out, struct ag_error *err)
{
    if (n != c->n_scales || n == 0 || patch == 0) {
        return ag_fail(err, AG_ERR_INPUT, "target scales: found %u with patch size %u, expected %u",
                       n, patch, c->n_scales);
    }
    *out = (struct ag_target_scales){ .n_scales = n, .patch = patch,
                                      .tile_pixels = c->grid * patch };
    for (uint32_t s = 0; s < n; s++) {
        if (scales[s] == 0 || scales[s] % patch || (s && scales[s] <= scales[s - 1])) {
            return ag_fail(err, AG_ERR_INPUT,
                           "target scale %u is not an ascending multiple of the patch size %u",
                           scales[s], patch);
        }
        out->scale[s] = scales[s];
        out->map[s] = scales[s] / patch;
        out->first[s] = out->cells;
        out->cells += out->map[s] * out->map[s];
    }
    out->tiles_a_side = AG_DIV_UP(out->map[n - 1], c->grid);
    return true;
}

uint32_t ag_target_stitch(const struct ag_target_scales *t, const struct ag_model_config *c,
                          const struct ag_gaze *tiles, uint8_t *mask, uint32_t *ids)
{
    memset(mask, 0, t->cells);
    for (uint32_t tile = 0; tile < t->tiles_a_side * t->tiles_a_side; tile++) {
        for (uint32_t i = 0; i < tiles[tile].slots; i++) {
            uint32_t id = tiles[tile].ids[i], s, row, col;
            if (id >= c->cells) {
                continue; // a pad
            }
            ag_cell_of_id(c, id, &s, &row, &col);
            row += tile / t->tiles_a_side * c->scale_grid[s];
            col += tile % t->tiles_a_side * c->scale_grid[s];
            if (row < t->map[s] && col < t->map[s]) { // cropped to the target grid
                mask[t->first[s] + row * t->map[s] + col] = 1;
            }
        }
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->cells; i++) {
        if (mask[i]) {
            ids[n++] = i;
        }
    }
    return n;
}

void ag_target_output(const struct ag_target_scales *t, const uint32_t *ids, uint32_t n,
                      uint32_t slots, uint32_t frame, int64_t *out)
{
    int64_t first = (int64_t)t->cells * frame;
    for (uint32_t i = 0; i < slots; i++) {
        out[i] = first + (i < n ? (int64_t)ids[i] : -1);
    }
}
