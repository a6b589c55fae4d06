// Cell list -> update plan, on the GPU (S5). The host never sees the cells on the frame path.
//
// The frame is cut along all cell edges of the layout into *segments* (at most a few dozen an axis
// for the model's own grids), inside of which coverage is constant. One kernel applies the closed
// form of S5.4 once a segment and writes a word: is it updated, which scale draws it, is it border.
// That gives the exact pixel count, the cells kept after deduplication (a cell is kept iff it is
// the first, in order, to cover some segment) and, for the compositor, a per-pixel answer at the
// cost of one table look-up, whatever the mask.
//
// Order of deduplication: grids coarse to fine, inside a grid by cell number. Upstream keeps the
// order of selection inside a grid; the two differ only where cells of one grid cover one another
// (pictures of less than two pixels a cell, cell_scale > 1), and the union is the same.
//
// Barriers: the functions that record put none before their first and after their last command. The
// caller puts one between stages, and before the first of a frame. (All stages of this header,
// compositor.h and mask_source.h.)
//
// Thread-safety: render thread.
#ifndef AUTOGAZE_PLANNER_H
#define AUTOGAZE_PLANNER_H

#include "autogaze/gpu.h"
#include "autogaze/plan.h"

// What a mask source hands over: a device list of cell numbers (AG_CELL_NONE = pad).
struct ag_mask {
    const struct ag_buffer *cells;  // uint32 words at `offset`
    uint64_t offset;
    const struct ag_buffer *count;  // one uint32 at `count_offset`: how many are in the list
    uint64_t count_offset;
    uint32_t max_cells;             // capacity of the list
    uint64_t frame_id;              // frame it was made from
};

// What the compositor, the canvas and reports read. Buffers belong to the planner and are valid
// until it is configured anew or destroyed.
struct ag_plan {
    const struct ag_buffer *stats;     // struct ag_plan_stats at offset 0
    const struct ag_buffer *selected;  // bitmap, 1 bit a cell number (what was asked for)
    const struct ag_buffer *kept;      // bitmap after the geometry policy (what is drawn), numbered
                                       // by ag_plan_layout
    const struct ag_buffer *grids;     // that layout: struct plan_grid [n_grids]
    const struct ag_buffer *column;    // uint32 [width]: x-segment of a pixel column
    const struct ag_buffer *row;       // uint32 [height]
    const struct ag_buffer *segments;  // uint32 [n_y][n_x], see shaders/interface/plan_args.h
    const struct ag_buffer *before;    // segments of the plan before, cut alike; NULL: there is none
    uint64_t serial;                   // 1, 2, ...: which plan of this planner it is
    const struct ag_buffer *edges;     // pixel edges of the segments: [n_x+1] then [n_y+1]
    uint32_t n_x, n_y, width, height;
    uint32_t n_grids;
    uint32_t cell_units;               // cell_scale, see ag_cell_units
    enum ag_geometry geometry;
    bool keyframe;
};

struct ag_planner;
struct ag_planner *ag_planner_create(struct ag_gpu *gpu, struct ag_error *err);
// The same with the work cut by hand, for tests and benches.
struct ag_planner_shape {
    uint32_t group_x, group_y;         // invocations of a workgroup; 16 together, at least
    uint32_t tile_x, tile_y;           // segments that it draws at once, at most
    uint32_t shares;                   // invocations that look at one cell
    uint32_t max_groups, max_tiles;    // workgroups at most, but more where tiles would be more
                                       // than this for each
    uint32_t own_words;                // 32 cells each that a workgroup without a tile counts; 0:
                                       // those with tiles do it
};
struct ag_planner *ag_planner_create_shaped(struct ag_gpu *gpu,
                                            const struct ag_planner_shape *shape,
                                            struct ag_error *err);
void ag_planner_destroy(struct ag_gpu *gpu, struct ag_planner **p);

// Tables for a picture size, layout and geometry; called when one of them changes. cell_scale > 0.
struct ag_planner_setup {
    uint32_t width, height;
    struct ag_layout layout;
    enum ag_geometry geometry;
    float cell_scale;               // 1: as the grids are
};
bool ag_planner_configure(struct ag_planner *p, const struct ag_planner_setup *setup,
                          struct ag_error *err);
// Records mask -> plan [stage PLAN]. `keyframe`: everything is updated, the mask is still drawn.
// A NULL mask is an empty one.
void ag_planner_record(struct ag_planner *p, struct ag_cmd *cmd, const struct ag_mask *mask,
                       bool keyframe, struct ag_plan *out);
// The next plan replaces the last one, which nobody composed: what came before stays before.
void ag_planner_replace(struct ag_planner *p);

// ---- cells and rectangles, for everybody (src/reference/layout.c) ----
// Layout in which kept cells are numbered: the input's, or for `effective` the single target grid:
// an axis has as many cells as the finest grid of the layout, at least 14. (Upstream takes the
// finest grid that has a cell in the frame's selection; a fixed grid does not flicker and is the
// same for the model's own grids.) false: more than AG_MAX_CELLS cells.
bool ag_plan_layout(const struct ag_layout *layout, enum ag_geometry geometry,
                    struct ag_layout *out);
// Position of a cell of a layout.
struct ag_cell {
    uint32_t grid, column, row;
};
struct ag_cell ag_layout_cell(const struct ag_layout *layout, uint32_t cell);
// The cell scale as exact rational: units of 1/4096, at least one. 4096 when `scale` is 0 or not
// finite.
#define AG_CELL_UNIT 4096u
uint32_t ag_cell_units(float scale);
// Samples [first, end) of `extent` that cell `index` of `n` on an axis touches (S5.2): its centre
// plus and minus half of a cell, scaled, clipped to the picture, grown outward to whole samples.
void ag_cell_span(uint32_t index, uint32_t n, uint32_t extent, uint32_t units, uint32_t *first,
                  uint32_t *end);
// Whether the centre of sample `x` of `extent` lies in that cell before it was grown. A centre
// between two cells is the right one's.
bool ag_cell_has_centre(uint32_t index, uint32_t n, uint32_t x, uint32_t extent, uint32_t units);

// ---- plain C reference, for tests, `--compositor cpu` and reports (src/reference) ----
// Exact pixel rectangle of a cell.
struct ag_rect {
    uint32_t x0, y0, x1, y1;
};
struct ag_rect ag_cell_rect(const struct ag_layout *layout, uint32_t cell, uint32_t width,
                            uint32_t height, float cell_scale);
// Applies the policy to a list of cells (pads, repeats and numbers out of range are legal). `setup`
// is valid (ag_planner_configure would take it).
struct ag_ref_plan {
    struct ag_layout layout;        // of `cells` (differs from the input's for `effective`)
    enum ag_geometry geometry;
    uint32_t n;
    uint32_t *cells;                // ag_alloc, [n], ascending
    uint32_t *colour;               // palette entry of each
    struct ag_plan_stats stats;     // keyframe 0, path 2
};
void ag_ref_plan(const struct ag_planner_setup *setup, const uint32_t *cells, uint32_t n,
                 struct ag_ref_plan *out);
void ag_ref_plan_free(struct ag_ref_plan *plan);
// Rectangle and span counts of S5.5.
struct ag_plan_spans ag_ref_plan_spans(const struct ag_ref_plan *plan, uint32_t width,
                                       uint32_t height, float cell_scale);

#endif
