#include "tables.h"

#include <assert.h>

#include "interface/plan_args.h"

static uint32_t pack(uint32_t begin, uint32_t end)
{
    return end << 16 | begin;
}

// Cells of one grid on one axis; firsts and ends never descend.
struct cells {
    uint32_t n;
    uint32_t *first, *end; // pixels
};

// Cells behind the picture's end are left out.
static struct cells make_cells(uint32_t n, uint32_t extent, uint32_t span, uint32_t units)
{
    struct cells cells = { 0 };
    cells.first = ag_alloc(n * sizeof(*cells.first));
    cells.end = ag_alloc(n * sizeof(*cells.end));
    for (uint32_t i = 0; i < n; i++) {
        ag_cell_span(i, n, span, units, &cells.first[i], &cells.end[i]);
        cells.end[i] = AG_MIN(cells.end[i], extent);
        cells.n += cells.first[i] < extent;
    }
    return cells;
}

static void free_cells(struct cells *cells)
{
    ag_free(cells->first);
    ag_free(cells->end);
}

static void make_segments(const struct cells *cells, uint32_t n_grids, uint32_t extent,
                          struct ag_axis *out)
{
    bool *is_edge = ag_alloc((extent + 1) * sizeof(*is_edge));
    is_edge[0] = is_edge[extent] = true;
    for (uint32_t g = 0; g < n_grids; g++) {
        for (uint32_t i = 0; i < cells[g].n; i++) {
            is_edge[cells[g].first[i]] = true;
            is_edge[cells[g].first[i] + 1] = true;
            is_edge[cells[g].end[i] - 1] = true;
            is_edge[cells[g].end[i]] = true;
        }
    }
    for (uint32_t x = 0; x < extent; x++) {
        out->n += is_edge[x];
    }
    out->edges = ag_alloc((out->n + 1) * sizeof(*out->edges));
    out->segment_of = ag_alloc(extent * sizeof(*out->segment_of));
    uint32_t n = 0;
    for (uint32_t x = 0; x < extent; x++) {
        if (is_edge[x]) {
            out->edges[n++] = x;
        }
        out->segment_of[x] = n - 1;
    }
    out->edges[n] = extent;
    ag_free(is_edge);
}

static void make_ranges(const struct cells *cells, const struct ag_axis *axis,
                        struct segment_range *out)
{
    uint32_t lowest = 0, inner_lowest = 0; // first cell that ends behind the segment's begin, end
    uint32_t begun = 0, inner_begun = 0;   // cells that begin at or before, before the segment
    for (uint32_t i = 0; i < axis->n; i++) {
        uint32_t begin = axis->edges[i], end = axis->edges[i + 1];
        while (lowest < cells->n && cells->end[lowest] <= begin) {
            lowest++;
        }
        while (inner_lowest < cells->n && cells->end[inner_lowest] <= end) {
            inner_lowest++;
        }
        while (begun < cells->n && cells->first[begun] <= begin) {
            begun++;
        }
        while (inner_begun < cells->n && cells->first[inner_begun] < begin) {
            inner_begun++;
        }
        out[i].cover = pack(lowest, begun);
        out[i].inner = pack(inner_lowest, inner_begun);
    }
}

// `counts`: cells of each grid, those behind the picture's end too, which get no part.
static void make_parts(const struct cells *cells, const uint32_t *counts, uint32_t n_grids,
                       uint32_t extent, struct ag_axis *out)
{
    for (uint32_t g = 0; g < n_grids; g++) {
        out->n_cells += counts[g];
    }
    bool *is_cut = ag_alloc((extent + 1) * sizeof(*is_cut));
    uint32_t *words_before = ag_alloc((extent + 1) * sizeof(*words_before));
    out->parts = ag_alloc((size_t)n_grids * (n_grids + 1) / 2 * out->n * sizeof(*out->parts));
    out->parts_of = ag_alloc(out->n_cells * sizeof(*out->parts_of));
    uint32_t(*of)[2] = out->parts_of;
    for (uint32_t g = 0; g < n_grids; of += counts[g++]) {
        for (uint32_t i = 0; i < cells[g].n; i++) {
            is_cut[cells[g].first[i]] = is_cut[cells[g].end[i]] = true;
        }
        for (uint32_t x = 0; x <= extent; x++) {
            words_before[x] = out->n_part_words;
            for (uint32_t h = 0; h <= g && is_cut[x] && x < extent; h++) {
                uint32_t cover = out->ranges[(size_t)h * out->n + out->segment_of[x]].cover;
                out->parts[out->n_part_words++] = cover;
            }
        }
        for (uint32_t i = 0; i < cells[g].n; i++) {
            of[i][0] = words_before[cells[g].first[i]];
            of[i][1] = words_before[cells[g].end[i]];
        }
    }
    ag_free(is_cut);
    ag_free(words_before);
}

void ag_axis_make(const uint32_t *counts, uint32_t n_grids, uint32_t extent, uint32_t span,
                  uint32_t units, struct ag_axis *out)
{
    assert(n_grids <= AG_MAX_GRIDS);
    *out = (struct ag_axis){ 0 };
    struct cells cells[AG_MAX_GRIDS];
    for (uint32_t g = 0; g < n_grids; g++) {
        cells[g] = make_cells(counts[g], extent, span, units);
    }
    make_segments(cells, n_grids, extent, out);
    out->ranges = ag_alloc((size_t)(n_grids + 1) * out->n * sizeof(*out->ranges));
    for (uint32_t g = 0; g < n_grids; g++) {
        make_ranges(&cells[g], out, out->ranges + (size_t)g * out->n);
    }
    for (uint32_t i = 0; i < out->n; i++) {
        out->ranges[(size_t)n_grids * out->n + i].cover = out->edges[i + 1] - out->edges[i];
    }
    make_parts(cells, counts, n_grids, extent, out);
    for (uint32_t g = 0; g < n_grids; g++) {
        free_cells(&cells[g]);
    }
}

void ag_axis_free(struct ag_axis *axis)
{
    ag_free(axis->edges);
    ag_free(axis->segment_of);
    ag_free(axis->ranges);
    ag_free(axis->parts);
    ag_free(axis->parts_of);
    *axis = (struct ag_axis){ 0 };
}

void ag_axis_sources(uint32_t n_from, uint32_t n_to, uint32_t *out)
{
    assert(n_from <= n_to);
    for (uint32_t i = 0; i < n_to; i++) {
        out[i] = PLAN_NO_SOURCE;
    }
    for (uint32_t i = 0; i < n_from; i++) {
        out[(2 * (uint64_t)i + 1) * n_to / (2 * (uint64_t)n_from)] = i;
    }
}
