// Push blocks of shaders/mask/errors.comp and worst.comp: canvas-diff and repair.
#ifndef AG_INTERFACE_ERROR_ARGS_H
#define AG_INTERFACE_ERROR_ARGS_H

#include "interface/lang.h"

// Cells an axis. Column k of a grid W wide has the pixels [ceil(k W/G), ceil((k+1) W/G)) of the
// picture, which may end before: every pixel lies in one cell, and in the rectangle that the
// planner gives that cell.
#define ERROR_GRID 14u
#define ERROR_CELLS 196u

// A cell is summed up in bands of rows, a workgroup each. Partial sums: [cells][bands]. The bound
// keeps enough workgroups busy, and their sums within 32 bits (3 * 255^2 a pixel).
#define ERROR_BAND_PIXELS 4096u

struct error_args {
    U32 width, height;
    U32 grid_width, grid_height; // pixels that the grid spans
    U32 n_x;              // segments a row of the plan
    U32 bands, band_rows;
};
ABI_SIZE(error_args, 28);

// The list: its length, cells that the mask source chose, cells added here, cells beyond the target
// before that; cells from this word on, those added here first, worst first.
#define WORST_CELLS_AT 64u

// A mean squared error as an integer: sum over R, G and B, in units of 1 / WORST_UNIT.
#define WORST_SHIFT 12u
#define WORST_UNIT 4096u

struct worst_args {
    U32 width, height, grid_width, grid_height;
    U32 bands;
    U32 limit;            // cells added at most
    U32 target;           // units, see above
    U32 first;            // number of the grid's first cell
    U32 chosen_words;     // of the bitmap of chosen cells
};
ABI_SIZE(worst_args, 36);

#endif
