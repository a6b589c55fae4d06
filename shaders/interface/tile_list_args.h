// Push block of shaders/tiles/list.comp: gaze ids of tiles -> cells of the stitched grids.
#ifndef AG_INTERFACE_TILE_LIST_ARGS_H
#define AG_INTERFACE_TILE_LIST_ARGS_H

#include "interface/lang.h"

// A scale of the model and its stitched grid.
struct tile_scale {
    U32 side, first_id;       // cells a side of a tile, id of the first
    U32 cols, first_cell;     // of the stitched grid
    U32 seen_cols, seen_rows; // of it, in the frame
};
ABI_SIZE(tile_scale, 24);

struct tile_list_args {
    U32 ids_at, counts_at;    // words: ids [tiles][cells], counts [tiles] of this batch
    U32 cells, n_scales;      // of the model
    U32 first_tile, tile_cols;
    U32 totals_at, list_at;   // words: see list.comp
    U32 batch;
};
ABI_SIZE(tile_list_args, 36);

#endif
