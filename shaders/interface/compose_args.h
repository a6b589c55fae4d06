// Push blocks of shaders/compositor/compose.comp and rows.comp.
#ifndef AG_INTERFACE_COMPOSE_ARGS_H
#define AG_INTERFACE_COMPOSE_ARGS_H

#include "interface/lang.h"

// Variants of compose.comp: bits of its index.
#define COMPOSE_MASK 1u       // write the mask panel
#define COMPOSE_ERROR 2u      // sum squared errors
#define COMPOSE_FULL_BLEND 4u // output: input with the union blended to white; else interframe
#define COMPOSE_VARIANTS 8u

// Palettes: four fills, then four borders, as pixels.
#define COMPOSE_PALETTE_WORDS 8u

// enum ag_dispatch
#define COMPOSE_AUTO 0u
#define COMPOSE_SPARSE 1u
#define COMPOSE_DENSE 2u

// A mask style in numbers: a covered pixel is blended with its colour, of any other one the bits
// `keep` stay; then the bits `set` are set.
struct compose_args {
    U32 width, height;
    U32 n_x;                 // segments a row of the plan
    U32 palette;             // first word
    U32 keep, set;
    F32 mask_blend[2];       // weights of picture and colour in the mask panel
    F32 output_blend[2];     // of picture and white in the output of full-blend
    U32 stats_at;            // first word of struct ag_compose_stats
    U32 keyframe, dispatch;
    U32 sparse_below;        // COMPOSE_AUTO: plans of fewer pixels take the sparse path
    U32 mask_known;          // 1: the mask panel shows the plan in `shown`, in this style
};
ABI_SIZE(compose_args, 60);

// ag_cell_units of a cell as large as its place.
#define ROWS_CELL_UNIT 4096u

struct rows_args {
    U32 width, height;
    U32 n_grids;
    U32 palette;
    U32 cell_units;
};
ABI_SIZE(rows_args, 20);

#endif
