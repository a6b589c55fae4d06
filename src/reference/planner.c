#include "autogaze/planner.h"

#include <stdlib.h>

// Twin of the planner's kernels: paints cells into a map of the picture, one byte a pixel.

struct map {
    uint32_t width, height;
    uint8_t *covered; // [height][width]
    uint32_t pixels;  // covered
};

static bool is_covered(const struct map *map, struct ag_rect r)
{
    for (uint32_t y = r.y0; y < r.y1; y++) {
        for (uint32_t x = r.x0; x < r.x1; x++) {
            if (!map->covered[(size_t)y * map->width + x]) {
                return false;
            }
        }
    }
    return true;
}

static void cover(struct map *map, struct ag_rect r)
{
    for (uint32_t y = r.y0; y < r.y1; y++) {
        for (uint32_t x = r.x0; x < r.x1; x++) {
            uint8_t *p = &map->covered[(size_t)y * map->width + x];
            map->pixels += !*p;
            *p = 1;
        }
    }
}

// The cell of the target grid that holds the centre of a cell: floor((c + 0.5) / n * target).
static uint32_t project(const struct ag_layout *layout, const struct ag_layout *target,
                        uint32_t cell)
{
    struct ag_cell c = ag_layout_cell(layout, cell);
    const struct ag_grid *from = &layout->grid[c.grid];
    const struct ag_grid *to = &target->grid[0];
    uint64_t column = (2 * (uint64_t)c.column + 1) * to->cols / (2 * (uint64_t)from->cols);
    uint64_t row = (2 * (uint64_t)c.row + 1) * to->rows / (2 * (uint64_t)from->rows);
    return (uint32_t)(row * to->cols + column);
}

void ag_ref_plan(const struct ag_planner_setup *setup, const uint32_t *cells, uint32_t n,
                 struct ag_ref_plan *out)
{
    const struct ag_layout *layout = &setup->layout;
    *out = (struct ag_ref_plan){ .geometry = setup->geometry };
    ag_plan_layout(layout, setup->geometry, &out->layout);
    out->stats.listed = n;
    out->stats.path = 2;

    bool *selected = ag_alloc(AG_MAX(layout->cells, 1u) * sizeof(*selected));
    for (uint32_t i = 0; i < n; i++) {
        if (cells[i] < layout->cells && !selected[cells[i]]) {
            selected[cells[i]] = true;
            out->stats.selected++;
        }
    }
    out->stats.chosen = out->stats.selected;

    // Grid that colours a drawn cell, plus one; 0: not drawn. Cells come coarse to fine, so the
    // finest contributor of an effective cell is the last one to write.
    uint32_t *grid = ag_alloc(out->layout.cells * sizeof(*grid));
    struct map map = { setup->width, setup->height, NULL, 0 };
    map.covered = ag_alloc((size_t)setup->width * setup->height);
    for (uint32_t cell = 0; cell < layout->cells; cell++) {
        if (!selected[cell]) {
            continue;
        }
        uint32_t drawn = setup->geometry == AG_GEOMETRY_EFFECTIVE
                             ? project(layout, &out->layout, cell)
                             : cell;
        struct ag_rect r = ag_cell_rect(&out->layout, drawn, setup->width, setup->height,
                                        setup->cell_scale);
        if (setup->geometry == AG_GEOMETRY_DEDUPLICATED && is_covered(&map, r)) {
            continue;
        }
        cover(&map, r);
        grid[drawn] = ag_layout_cell(layout, cell).grid + 1;
    }
    out->stats.pixels = map.pixels;

    for (uint32_t cell = 0; cell < out->layout.cells; cell++) {
        out->n += grid[cell] != 0;
    }
    out->cells = ag_alloc(AG_MAX(out->n, 1u) * sizeof(*out->cells));
    out->colour = ag_alloc(AG_MAX(out->n, 1u) * sizeof(*out->colour));
    for (uint32_t cell = 0, i = 0; cell < out->layout.cells; cell++) {
        if (grid[cell]) {
            out->cells[i] = cell;
            out->colour[i++] = layout->grid[grid[cell] - 1].colour;
            out->stats.per_grid[grid[cell] - 1]++;
        }
    }
    out->stats.kept = out->n;
    ag_free(map.covered);
    ag_free(grid);
    ag_free(selected);
}

void ag_ref_plan_free(struct ag_ref_plan *plan)
{
    ag_free(plan->cells);
    ag_free(plan->colour);
    *plan = (struct ag_ref_plan){ 0 };
}

// ---- rectangles and row spans (S5.5) -----------------------------------------------------------

static int order(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int by_rows(const void *a, const void *b)
{
    const struct ag_rect *p = a, *q = b;
    int d = order(p->y0, q->y0);
    d = d ? d : order(p->y1, q->y1);
    d = d ? d : order(p->x0, q->x0);
    return d ? d : order(p->x1, q->x1);
}

static int by_columns(const void *a, const void *b)
{
    const struct ag_rect *p = a, *q = b;
    return order(p->x0, q->x0);
}

// Joins neighbours of one band. Returns how many are left.
static uint32_t merge_rects(struct ag_rect *rects, uint32_t n)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct ag_rect *last = left ? &rects[left - 1] : NULL;
        if (last && last->y0 == rects[i].y0 && last->y1 == rects[i].y1 &&
            rects[i].x0 <= last->x1) {
            last->x1 = AG_MAX(last->x1, rects[i].x1);
        } else {
            rects[left++] = rects[i];
        }
    }
    return left;
}

static int by_value(const void *a, const void *b)
{
    return order(*(const uint32_t *)a, *(const uint32_t *)b);
}

// Spans of the rows [y0, y1), on whose way no rectangle begins or ends; `rects` are sorted by x0.
static void count_band(const struct ag_rect *rects, uint32_t n, uint32_t y0, uint32_t y1,
                       struct ag_plan_spans *out)
{
    uint32_t end = 0, spans = 0;
    uint64_t pixels = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (rects[i].y0 > y0 || rects[i].y1 < y1) {
            continue;
        }
        if (spans == 0 || rects[i].x0 > end) {
            spans++;
            end = rects[i].x0;
        }
        if (rects[i].x1 > end) {
            pixels += rects[i].x1 - end;
            end = rects[i].x1;
        }
    }
    out->spans += spans * (y1 - y0);
    out->pixels += pixels * (y1 - y0);
}

struct ag_plan_spans ag_ref_plan_spans(const struct ag_ref_plan *plan, uint32_t width,
                                       uint32_t height, float cell_scale)
{
    struct ag_plan_spans out = { 0 };
    if (plan->n == 0) {
        return out;
    }
    struct ag_rect *rects = ag_alloc(plan->n * sizeof(*rects));
    for (uint32_t i = 0; i < plan->n; i++) {
        rects[i] = ag_cell_rect(&plan->layout, plan->cells[i], width, height, cell_scale);
    }
    qsort(rects, plan->n, sizeof(*rects), by_rows);
    out.rects = merge_rects(rects, plan->n);

    // Between two neighbouring edges every row is the same.
    uint32_t *edges = ag_alloc(2 * (size_t)out.rects * sizeof(*edges));
    for (uint32_t i = 0; i < out.rects; i++) {
        edges[2 * i] = rects[i].y0;
        edges[2 * i + 1] = rects[i].y1;
    }
    qsort(edges, 2 * (size_t)out.rects, sizeof(*edges), by_value);
    qsort(rects, out.rects, sizeof(*rects), by_columns);
    for (uint32_t i = 1; i < 2 * out.rects; i++) {
        if (edges[i] > edges[i - 1]) {
            count_band(rects, out.rects, edges[i - 1], edges[i], &out);
        }
    }
    ag_free(edges);
    ag_free(rects);
    return out;
}
