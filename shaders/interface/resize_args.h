// Push blocks of preprocess/resize.comp and preprocess/bicubic.comp. Both read one table buffer of
// 32-bit words; positions in it are counted in words.
#ifndef AG_INTERFACE_RESIZE_ARGS_H
#define AG_INTERFACE_RESIZE_ARGS_H

#include "interface/lang.h"

// One axis of the 8-bit triangle filter, RGBA8 -> RGBA8 (alpha is not resized: 255).
//     first[n_out], weights[taps][n_out] (22 fraction bits)
// An invocation works on RESIZE_LINES lines.
#define RESIZE_LINES 4u
struct resize_args {
    U32 n_in, n_out;     // samples of a line
    U32 lines;           // samples across, unchanged
    U32 taps;
    U32 first, weights;  // positions of the tables
};
ABI_SIZE(resize_args, 24);

// RGBA8 -> float32 planes [3][side][side]: normalised, then bicubic.
//     lut[3][256] float; an axis: index[taps][side], weight[taps][side] float
// An axis that keeps its size has 1 tap, else 4.
struct bicubic_args {
    U32 width, height;   // of the input
    U32 side;
    U32 lut;
    U32 taps_x, taps_y;
    U32 index_x, weight_x, index_y, weight_y;
    U32 first;           // first float of the output in its binding
};
ABI_SIZE(bicubic_args, 44);

// RGBA8 -> normalised tiles [rows * cols][3][side][side] float32 of a canvas.
//     lut[3][256] float; an axis: index[2][n], weight[2][n] float, n = cols * side or rows * side
// Weights of zero make padding.
struct tile_args {
    U32 width;           // of the picture
    U32 side, cols, rows;
    U32 lut;
    U32 index_x, weight_x, index_y, weight_y;
    U32 first;           // first float of the output in its binding
};
ABI_SIZE(tile_args, 40);

#endif
