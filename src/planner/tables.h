// Host tables of the planner: where the cells of a layout begin and end on each axis, and the
// segments that follow. Made when the picture size or the layout changes.
// Private to src/planner. Thread-safety: reentrant.
#ifndef AUTOGAZE_PLANNER_TABLES_H
#define AUTOGAZE_PLANNER_TABLES_H

#include "autogaze/planner.h"
#include "interface/segment_args.h"

// Segments of one axis of `extent` pixels, cut at the first pixel of each cell, behind it, before
// its last pixel and behind that. All arrays: ag_alloc.
struct ag_axis {
    uint32_t n;                   // segments
    uint32_t *edges;              // [n + 1], 0 to extent
    uint32_t *segment_of;         // [extent]
    struct segment_range *ranges; // [n_grids + 1][n], the last row: lengths
    // See plan_args.h. Cells of all grids, one after the other.
    uint32_t n_cells, n_part_words;
    uint32_t (*parts_of)[2];      // [n_cells] begin and end, words of `parts`
    uint32_t *parts;              // [n_part_words]
};

// `counts`: cells of each grid on this axis; `span`: pixels that they share, at least `extent`.
void ag_axis_make(const uint32_t *counts, uint32_t n_grids, uint32_t extent, uint32_t span,
                  uint32_t units, struct ag_axis *out);
void ag_axis_free(struct ag_axis *axis);

// `effective`: for each of `n_to` columns of the target, the column out of `n_from` whose centre it
// holds, PLAN_NO_SOURCE if there is none. n_from <= n_to.
void ag_axis_sources(uint32_t n_from, uint32_t n_to, uint32_t *out);

#endif
