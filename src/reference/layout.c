#include "autogaze/planner.h"

#include <assert.h>
#include <math.h>

// Cells, grids and rectangles in exact integer arithmetic (S5.1, S5.2, S5.3).

// S6.4: <= 2, 3..4, 5..7, >= 8 cells a side.
static uint32_t colour_of_side(uint32_t side)
{
    return side <= 2 ? 0 : side <= 4 ? 1 : side <= 7 ? 2 : 3;
}

bool ag_layout_from_sides(const uint32_t *sides, uint32_t n, struct ag_layout *out)
{
    *out = (struct ag_layout){ 0 };
    if (n > AG_MAX_GRIDS) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t cells = out->cells + (uint64_t)sides[i] * sides[i];
        if (sides[i] == 0 || cells > AG_MAX_CELLS) {
            return false;
        }
        out->grid[i] = (struct ag_grid){
            .cols = sides[i],
            .rows = sides[i],
            .first = out->cells,
            .colour = colour_of_side(sides[i]),
        };
        out->n_grids = i + 1;
        out->cells = (uint32_t)cells;
    }
    return true;
}

#define MIN_TARGET 14 // cells an axis that `effective` has at least

bool ag_plan_layout(const struct ag_layout *layout, enum ag_geometry geometry,
                    struct ag_layout *out)
{
    if (geometry != AG_GEOMETRY_EFFECTIVE) {
        *out = *layout;
        return true;
    }
    struct ag_grid target = { .cols = MIN_TARGET, .rows = MIN_TARGET };
    for (uint32_t g = 0; g < layout->n_grids; g++) {
        target.cols = AG_MAX(target.cols, layout->grid[g].cols);
        target.rows = AG_MAX(target.rows, layout->grid[g].rows);
        target.colour = AG_MAX(target.colour, layout->grid[g].colour);
    }
    uint64_t cells = (uint64_t)target.cols * target.rows;
    *out = (struct ag_layout){ .n_grids = 1, .grid[0] = target, .cells = (uint32_t)cells,
                               .extent_width = layout->extent_width,
                               .extent_height = layout->extent_height };
    return cells <= AG_MAX_CELLS;
}

struct ag_cell ag_layout_cell(const struct ag_layout *layout, uint32_t cell)
{
    assert(cell < layout->cells);
    uint32_t g = layout->n_grids - 1;
    while (cell < layout->grid[g].first) {
        g--;
    }
    uint32_t local = cell - layout->grid[g].first;
    return (struct ag_cell){
        .grid = g,
        .column = local % layout->grid[g].cols,
        .row = local / layout->grid[g].cols,
    };
}

#define MAX_SCALE 256.0f // beyond any grid that a picture can show

uint32_t ag_cell_units(float scale)
{
    if (!isfinite(scale) || scale == 0.0f) {
        return AG_CELL_UNIT;
    }
    float units = roundf(AG_MIN(scale, MAX_SCALE) * (float)AG_CELL_UNIT);
    return units < 1.0f ? 1 : (uint32_t)units;
}

// Lower and upper end of a cell as fractions of the axis: low/whole and high/whole.
struct fraction {
    uint64_t low, high, whole;
};

static struct fraction cell_ends(uint32_t index, uint32_t n, uint32_t units)
{
    uint64_t half = AG_MIN((uint64_t)units, (uint64_t)n * AG_CELL_UNIT); // at most half the axis
    uint64_t centre = (2 * (uint64_t)index + 1) * AG_CELL_UNIT;
    uint64_t whole = 2 * (uint64_t)n * AG_CELL_UNIT;
    return (struct fraction){
        .low = centre > half ? centre - half : 0,
        .high = AG_MIN(centre + half, whole),
        .whole = whole,
    };
}

// low < high, so that the rounded span holds at least one sample.
void ag_cell_span(uint32_t index, uint32_t n, uint32_t extent, uint32_t units, uint32_t *first,
                  uint32_t *end)
{
    struct fraction f = cell_ends(index, n, units);
    *first = (uint32_t)(f.low * extent / f.whole);
    *end = (uint32_t)AG_DIV_UP(f.high * extent, f.whole);
}

// (2x + 1) / (2 extent) against low/whole and high/whole.
bool ag_cell_has_centre(uint32_t index, uint32_t n, uint32_t x, uint32_t extent, uint32_t units)
{
    struct fraction f = cell_ends(index, n, units);
    uint64_t centre = (2 * (uint64_t)x + 1) * f.whole;
    return f.low * 2 * extent <= centre && centre < f.high * 2 * extent;
}

struct ag_rect ag_cell_rect(const struct ag_layout *layout, uint32_t cell, uint32_t width,
                            uint32_t height, float cell_scale)
{
    struct ag_cell c = ag_layout_cell(layout, cell);
    const struct ag_grid *grid = &layout->grid[c.grid];
    uint32_t units = ag_cell_units(cell_scale);
    struct ag_rect r;
    ag_cell_span(c.column, grid->cols, layout->extent_width ? layout->extent_width : width, units,
                 &r.x0, &r.x1);
    ag_cell_span(c.row, grid->rows, layout->extent_height ? layout->extent_height : height, units,
                 &r.y0, &r.y1);
    return (struct ag_rect){ AG_MIN(r.x0, width), AG_MIN(r.y0, height), AG_MIN(r.x1, width),
                             AG_MIN(r.y1, height) };
}
