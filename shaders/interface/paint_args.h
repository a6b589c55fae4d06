// Push blocks of shaders/compositor/paint.comp and paint_sum.comp: the model's canvas.
#ifndef AG_INTERFACE_PAINT_ARGS_H
#define AG_INTERFACE_PAINT_ARGS_H

#include "interface/lang.h"

struct paint_args {
    U32 side, cols, tiles;   // S, tiles a row, all
    U32 n_grids, keyframe;
    U32 input_at, canvas_at; // first words
    F32 rgb[3];              // model units -> RGB 0..1, differences
};
ABI_SIZE(paint_args, 40);

struct paint_sum_args {
    U32 n;                   // partial sums
    U32 error_at;            // word
};
ABI_SIZE(paint_sum_args, 8);

#endif
