// The plan on the device: what the kernels of planner, compositor and canvas share.
#ifndef AG_INTERFACE_PLAN_ARGS_H
#define AG_INTERFACE_PLAN_ARGS_H

#include "interface/lang.h"

#define PLAN_MAX_GRIDS 8
#define PLAN_BITMAP_WORDS 2048 // 65536 cells, 1 bit each

#define PLAN_DEDUPLICATED 0u
#define PLAN_NATIVE 1u
#define PLAN_EFFECTIVE 2u

// How a frame is composed (enum ag_path).
#define PLAN_PATH_KEYFRAME 0u
#define PLAN_PATH_SPARSE 1u
#define PLAN_PATH_DENSE 2u
#define PLAN_PATH_COPY 3u

// Same words as struct ag_plan_stats.
struct plan_stats {
    U32 listed, selected, kept, pixels, keyframe;
    U32 per_grid[PLAN_MAX_GRIDS];
    U32 chosen, repaired, path;
};
ABI_SIZE(plan_stats, 64);
#define PLAN_STATS_WORDS 16

struct plan_grid {
    U32 cols, rows, first, colour;
};
ABI_SIZE(plan_grid, 16);

// ---- plan.comp ----
// Grids [2][PLAN_MAX_GRIDS]: those of the drawn layout, those of the input's.
// Sources [input grids]([target cols] then [target rows]), `effective` only: the one column (row)
// of a grid whose centre lies in a column (row) of the target grid; PLAN_NO_SOURCE: none.
#define PLAN_NO_SOURCE 0xffffffffu
// Parts, `deduplicated` only: into which a column (row) of cells is cut by the edges of its own grid
// and of those before it. A head, words [2][PLAN_MAX_GRIDS]: where the columns, the rows of a grid
// begin; there two words a column (row): begin and end of its parts; there, of each part, the
// columns (rows) of each of those grids over it, as in segment_range.cover. Begins and ends are
// words of the table.
#define PLAN_PARTS_HEAD (2 * PLAN_MAX_GRIDS)

struct plan_args {
    U32 cells_at, count_at;           // first word of the list, word of its length
    U32 max_cells;                    // capacity of the list
    U32 cells, input_grids;           // of the input's layout
    U32 drawn_cells, n_grids;         // of the drawn layout
    U32 target_cols, target_rows;     // `effective`: the target grid
    U32 words, own_words;             // of a bitmap: all with cells, those of a workgroup
    U32 first_own;                    // first workgroup that has such
    U32 n_x, n_y;                     // segments
    U32 tile_x, tile_y;               // segments of a tile
    U32 tiles_x, n_tiles;             // tiles: in a row, all
    U32 tile_groups;                  // workgroups that draw them
    U32 keyframe;
};
ABI_SIZE(plan_args, 80);

#endif
