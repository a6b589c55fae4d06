// Cells, grids and the update plan: what travels from mask source to planner to compositor.
// Nouns only.
//
// A *layout* is a list of grids over the frame, coarse to fine; a cell has one number over all of
// them: first + row*cols + col. For the model in realtime mode the layout is the model's own
// scales, so a cell's number is its gaze id. Tiled modes use the stitched grids (18x10 ... 126x70).
//
// Pixel rectangle of a cell (S5.2, exact rationals, half open, at least 1 px, clipped):
//     x0 = floor(col*W/cols), x1 = ceil((col+1)*W/cols), the same for y.
// W is the picture's width, or the layout's extent where that reaches beyond the picture
// (tiled-full): then cells are intersected with the picture and may be empty.
#ifndef AUTOGAZE_PLAN_H
#define AUTOGAZE_PLAN_H

#include "autogaze/base.h"

#define AG_MAX_GRIDS 8
#define AG_MAX_CELLS 65536       // over all grids of a layout
#define AG_MAX_REPAIRED 196      // cells that repair can add to a frame
#define AG_CELL_NONE 0xffffffffu // a pad in a cell list

struct ag_grid {
    uint32_t cols, rows;
    uint32_t first;              // number of its first cell
    uint32_t colour;             // palette entry 0..3 by S6.4: grid <= 2, 3..4, 5..7, >= 8 of the
                                 // *model's* grid (tiled grids keep the colour of their scale)
};
struct ag_layout {
    uint32_t n_grids;
    struct ag_grid grid[AG_MAX_GRIDS]; // ascending cols; the last may be coarser (repair)
    uint32_t cells;              // total
    uint32_t extent_width, extent_height; // pixels that the grids span; 0: the picture's
    uint32_t tile_cols, tile_rows; // tiles whose grids these are, side by side; 0: one
};
static inline uint32_t ag_layout_tiles(const struct ag_layout *layout)
{
    return AG_MAX(layout->tile_cols, 1u) * AG_MAX(layout->tile_rows, 1u);
}

enum ag_geometry { AG_GEOMETRY_DEDUPLICATED, AG_GEOMETRY_NATIVE, AG_GEOMETRY_EFFECTIVE };
enum ag_mask_style {
    AG_STYLE_IMAGE_MASK_ONLY, AG_STYLE_IMAGE_OVERLAY, AG_STYLE_OVERLAY, AG_STYLE_SCALE_ROWS
};
enum ag_output_mode { AG_OUTPUT_INTERFRAME, AG_OUTPUT_FULL_BLEND };

// Builds a layout from grid sides in ascending order (square grids, first and cells filled in).
// false: too many cells or grids.
bool ag_layout_from_sides(const uint32_t *sides, uint32_t n, struct ag_layout *out);

// Numbers of one plan; made on the GPU, read late. Also the header of the device's plan buffer, so
// only 32-bit words (see shaders/interface/plan_args.h).
struct ag_plan_stats {
    uint32_t listed;             // cells in the list, pads and repeats included
    uint32_t selected;           // distinct cells
    uint32_t kept;               // after the geometry policy
    uint32_t pixels;             // exact area of the union, on keyframes too
    uint32_t keyframe;           // 1: the whole frame replaces the history
    uint32_t per_grid[AG_MAX_GRIDS]; // kept cells a grid (`effective`: by finest contributor)
    uint32_t chosen, repaired;   // cells from the mask source, cells added by repair
    uint32_t path;               // enum ag_path; known to the compositor, not to the planner
};

enum ag_dispatch { AG_DISPATCH_AUTO, AG_DISPATCH_SPARSE, AG_DISPATCH_DENSE };
enum ag_path { AG_PATH_KEYFRAME, AG_PATH_SPARSE, AG_PATH_DENSE, AG_PATH_COPY, AG_PATH_COUNT };
static inline const char *ag_path_name(uint32_t path)
{
    static const char *const names[] = { "keyframe", "sparse", "dense", "copy" };
    return path < AG_PATH_COUNT ? names[path] : "?";
}

// Rectangles and row spans of S5.5 for reports; on request only.
struct ag_plan_spans {
    uint32_t rects, spans;
    uint64_t pixels;
};

#endif
